"""Which graphemes a made competition has, how often, and which only in its test set."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

COMPONENTS = ("grapheme_root", "vowel_diacritic", "consonant_diacritic")
CLASS_MAP_HEADER = ("component_type", "label", "component")
NO_DIACRITIC = "0"  # how the class map spells label 0 of both diacritics

VIRAMA, REPH = "\u09cd", "\u09b0\u09cd"
RA, NUKTA_LETTERS = "\u09b0", range(0x09DC, 0x09E0)
CONSONANTS, VOWELS = range(0x0995, 0x09BA), range(0x0985, 0x0995)
CANDRABINDU = "\u0981"

# Shares of images without a vowel and without a consonant diacritic, roughly as in
# Bengali text; the rest goes to the other classes, none of them rare.
PLAIN_SHARE = (0.3, 0.6)
ROOT_SPREAD = (0.45, 2.5)  # of the roots' frequencies, around 1
DIACRITIC_SPREAD = (0.5, 2.0)

ClassNames = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Graphemes:
    """The graphemes of a competition.

    Attributes:
        names: of the classes: roots, vowel and consonant diacritics.
        labels: (G, 3) int64, root, vowel and consonant diacritic of each grapheme.
        texts: how each grapheme is written.
        frequency: (G,) float64, in any unit.
        seen: (G,) bool, whether training shows the grapheme.
    """

    names: ClassNames
    labels: npt.NDArray[np.int64]
    texts: tuple[str, ...]
    frequency: npt.NDArray[np.float64]
    seen: npt.NDArray[np.bool_]


def read_class_map(path: Path) -> ClassNames:
    """The class names of all three components, in the order of their labels.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a class map, or the labels of a component are not 0, 1, 2, ...
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [tuple(row) for row in csv.reader(file) if row]
    if not rows or rows[0] != CLASS_MAP_HEADER:
        raise ValueError(f"{path}: line 1 is not {','.join(CLASS_MAP_HEADER)}")
    names: dict[str, list[str]] = {component: [] for component in COMPONENTS}
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != 3 or row[0] not in names or row[1] != str(len(names[row[0]])):
            raise ValueError(
                f"{path}, line {line}: {','.join(row)!r}; expected a component "
                f"({', '.join(COMPONENTS)}), its next label and its text"
            )
        names[row[0]].append(row[2])
    if missing := [component for component in COMPONENTS if not names[component]]:
        raise ValueError(f"{path}: no class of {', '.join(missing)}")
    roots, vowels, consonants = (tuple(names[component]) for component in COMPONENTS)
    return roots, vowels, consonants


def invent_class_names(sizes: tuple[int, int, int]) -> ClassNames:
    """Names for the classes of no script: R0, R1, ...; 0, V1, ...; 0, C1, ..."""
    if min(sizes) < 1:
        raise ValueError(f"sizes of the components are {sizes}; give 1 or more each")
    roots = tuple(f"R{i}" for i in range(sizes[0]))
    vowels = tuple(f"V{i}" if i else NO_DIACRITIC for i in range(sizes[1]))
    consonants = tuple(f"C{i}" if i else NO_DIACRITIC for i in range(sizes[2]))
    return roots, vowels, consonants


def write_grapheme(root: str, vowel: str, consonant: str) -> str:
    """The text of a grapheme in Unicode's order: reph, root, other marks, vowel."""
    vowel = "" if vowel == NO_DIACRITIC else vowel
    consonant = "" if consonant == NO_DIACRITIC else consonant
    if consonant.startswith(REPH):
        rest = consonant.removeprefix(REPH)
        return REPH + root + (VIRAMA + rest if rest else "") + vowel
    if consonant.startswith(VIRAMA):
        return root + consonant + vowel
    return root + vowel + consonant


def is_written(root: str, vowel: str, consonant: str) -> bool:
    """Whether the script has the grapheme, and no other is written like it."""
    first = ord(root[0])
    if VIRAMA in consonant and root == RA:
        # ra + ya is written as reph over ya.
        return False
    if first in CONSONANTS or first in NUKTA_LETTERS or not 0x0980 <= first < 0x0A00:
        return True
    plain = vowel == NO_DIACRITIC
    if first in VOWELS:
        return plain and consonant in (NO_DIACRITIC, CANDRABINDU)
    return plain and consonant == NO_DIACRITIC


def _spread(
    n: int, spread: tuple[float, float], draw: np.random.RandomState
) -> npt.NDArray[np.float64]:
    return np.clip(draw.lognormal(0.0, 0.5, n), *spread)


def _diacritic_shares(
    n: int, plain: float, draw: np.random.RandomState
) -> npt.NDArray[np.float64]:
    """Shares of the n classes of a diacritic, label 0 is none: (n,), sum 1."""
    others = _spread(n - 1, DIACRITIC_SPREAD, draw)
    if not len(others):
        return np.ones(1)
    return np.concatenate([[plain], (1 - plain) * others / others.sum()])


def _required(names: ClassNames) -> set[tuple[int, int, int]]:
    """Graphemes that training must show, so that it shows every class."""
    roots, vowels, consonants = names
    required = {(root, 0, 0) for root in range(len(roots))}
    for size, at in ((len(vowels), 1), (len(consonants), 2)):
        for label in range(size):
            labels = [0, 0, 0]
            labels[at] = label
            for i in range(len(roots)):
                labels[0] = (7 * label + i) % len(roots)
                if is_written(*(names[k][labels[k]] for k in range(3))):
                    required.add((labels[0], labels[1], labels[2]))
                    break
            else:
                raise ValueError(f"{names[at][label]!r} fits no root of the class map")
    return required


def _candidates(
    names: ClassNames, draw: np.random.RandomState
) -> dict[tuple[int, int, int], float]:
    """All graphemes of the class map with their share of their root's images."""
    roots, vowels, consonants = names
    vowel_shares = _diacritic_shares(len(vowels), PLAIN_SHARE[0], draw)
    consonant_shares = _diacritic_shares(len(consonants), PLAIN_SHARE[1], draw)
    return {
        (r, v, c): float(vowel_shares[v] * consonant_shares[c])
        for r in range(len(roots))
        for v in range(len(vowels))
        for c in range(len(consonants))
        if is_written(roots[r], vowels[v], consonants[c])
    }


def choose_graphemes(names: ClassNames, n: int, unseen: float, seed: int) -> Graphemes:
    """Choose n graphemes to train with, and others that only the test set has.

    Args:
        names: of the classes.
        n: graphemes that training shows; every class occurs in one.
        unseen: share of all graphemes that training does not show.
        seed: of the choice.

    Raises:
        ValueError: the class map has not so many graphemes, or n cannot show all
            classes.
    """
    draw = np.random.RandomState(seed)
    root_frequency = _spread(len(names[0]), ROOT_SPREAD, draw)
    candidates = _candidates(names, draw)
    required = _required(names)
    total = n + round(n * unseen / (1 - unseen))
    if not len(required) <= n or total > len(candidates):
        raise ValueError(
            f"{n} graphemes and {total - n} unseen ones were asked for; the class map "
            f"has {len(candidates)}, and {len(required)} are needed to show every "
            "class: change --graphemes or --unseen"
        )
    others = [labels for labels in candidates if labels not in required]
    order = np.arange(0)
    if total > len(required):
        weights = np.array([candidates[labels] for labels in others])
        weights /= weights.sum()
        order = draw.choice(len(others), total - len(required), False, weights)
    # Not in the order drawn, which begins with the frequent ones: the unseen are both.
    order = draw.permutation(order)
    shown = sorted(required) + [others[i] for i in order[: n - len(required)]]
    labels = np.array(shown + [others[i] for i in order[n - len(required) :]])
    # The square root makes the graphemes of a root less unlike.
    share = np.sqrt([candidates[tuple(row)] for row in labels])
    frequency = np.empty(total)
    for part in (slice(0, n), slice(n, total)):
        of_root = np.bincount(labels[part, 0], share[part], len(names[0]))
        root = labels[part, 0]
        frequency[part] = root_frequency[root] * share[part] / of_root[root]
    return Graphemes(
        names=names,
        labels=labels,
        texts=tuple(
            write_grapheme(*(names[k][row[k]] for k in range(3))) for row in labels
        ),
        frequency=frequency,
        seen=np.arange(total) < n,
    )


def allot_rows(
    frequency: npt.NDArray[np.float64], rows: int, draw: np.random.RandomState
) -> npt.NDArray[np.int64]:
    """Share rows out by frequency, at least one each, and shuffle them: (rows,) int64.

    Returns:
        The place in `frequency` that each row belongs to.

    Raises:
        ValueError: fewer rows than places.
    """
    if rows < len(frequency):
        raise ValueError(
            f"{rows} rows cannot show {len(frequency)} graphemes: give more rows or "
            "fewer graphemes (--graphemes)"
        )
    exact = (rows - len(frequency)) * frequency / frequency.sum()
    counts = np.floor(exact).astype(np.int64)
    largest = np.argsort(counts - exact, kind="stable")
    counts[largest[: rows - len(frequency) - counts.sum()]] += 1
    return draw.permutation(np.repeat(np.arange(len(frequency)), counts + 1))
