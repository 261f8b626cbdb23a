"""The ink of a grapheme before anybody's hand: from fonts, or drawn from strokes."""

import unicodedata
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from bengali_graphemes import REPH, VIRAMA, Graphemes
from PIL import Image, ImageDraw, ImageFont, features

FONT_EM = 110  # pixels of a font's em in a mask
MARGIN = 6  # pixels of nothing around the ink of a mask
VOWEL_SIGNS = dict.fromkeys([0x0981, *range(0x09BE, 0x09CD), 0x09D7])
NON_JOINER, NO_CHARACTER = "\u200c", "\U0010fffe"
OVERHANG = FONT_EM // 2  # how far marks may stick out of the box that raqm gives
SPACE_FOR_MARKS = "\u00a0"  # a mark alone is drawn on a dotted circle, except on this
FONT_SUFFIXES = (".ttf", ".otf")
# Its vowel signs stand beside the letters that they belong below or above.
UNFIT_FONTS = ("MitraMono",)

Mask = npt.NDArray[np.uint8]


def find_fonts(places: list[Path]) -> list[Path]:
    """The font files among the places: files, or folders of them.

    Raises:
        FileNotFoundError: a place does not exist or holds no font.
    """
    fonts = []
    for place in places:
        inside = [place] if place.is_file() else sorted(place.rglob("*"))
        found = [
            path
            for path in inside
            if path.suffix.lower() in FONT_SUFFIXES and path.stem not in UNFIT_FONTS
        ]
        if not found:
            raise FileNotFoundError(
                f"{place}: no font ({', '.join(FONT_SUFFIXES)}) there that is fit; "
                "Debian has Bengali ones in fonts-beng-extra and "
                "fonts-lohit-beng-bengali, below /usr/share/fonts/truetype"
            )
        fonts += found
    return fonts


def _cut_out(mask: Mask) -> Mask:
    """The mask without empty rows and columns, but with MARGIN of them."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return np.zeros((2 * MARGIN, 2 * MARGIN), np.uint8)
    inked = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.pad(inked, MARGIN)


class FontGlyphs:
    """Graphemes as fonts print them, each in the fonts that can write it.

    A font that lacks a letter shows a box, one that lacks a conjunct shows the virama
    that a hand would not write; such a font is left out for that grapheme.

    Raises:
        OSError: Pillow cannot read a font.
        RuntimeError: Pillow cannot shape Bengali text.
        ValueError: no font can write a grapheme.
    """

    def __init__(self, graphemes: Graphemes, fonts: list[Path]) -> None:
        if not features.check("raqm"):
            raise RuntimeError(
                "Pillow was built without raqm, which shapes Bengali text: install "
                "Pillow's own wheel (python -m pip install --force-reinstall pillow), "
                "or leave --fonts out for drawn glyphs"
            )
        self.em, self.texts = FONT_EM, graphemes.texts
        layout = ImageFont.Layout.RAQM
        self.fonts = [
            ImageFont.truetype(font, FONT_EM, layout_engine=layout) for font in fonts
        ]
        self.names = [font.stem for font in fonts]
        self.styles = [self._styles(text) for text in self.texts]

    def mask(self, grapheme: int, style: int) -> Mask:
        """The grapheme in one of its `styles`: (H, W) uint8, 255 is ink."""
        return self._draw(self.texts[grapheme], style)

    def _draw(self, text: str, font: int) -> Mask:
        if unicodedata.category(text[0]).startswith("M"):
            text = SPACE_FOR_MARKS + text
        left, top, right, bottom = self.fonts[font].getbbox(text)
        size = (int(right - left) + 2 * OVERHANG, int(bottom - top) + 2 * OVERHANG)
        image = Image.new("L", size)
        draw = ImageDraw.Draw(image)
        draw.text(
            (OVERHANG - left, OVERHANG - top), text, fill=255, font=self.fonts[font]
        )
        return _cut_out(np.asarray(image))

    def _styles(self, text: str) -> list[int]:
        usable = [i for i in range(len(self.fonts)) if self._has_letters(text, i)]
        # Vowel signs and reph move when a joint is forbidden, so they are left out.
        letters = text.removeprefix(REPH) if len(text) > 2 else text
        letters = letters.translate(VOWEL_SIGNS).rstrip(VIRAMA)
        joined = [i for i in usable if self._joins(letters, i)]
        if not usable:
            raise ValueError(
                f"no font can write {text!r}; fonts: {', '.join(self.names)}"
            )
        return joined or usable

    @cache  # noqa: B019 - lives as long as the program
    def _letter_is_missing(self, letter: str, font: int) -> bool:
        missing = self._draw(NO_CHARACTER, font)
        return np.array_equal(self._draw(letter, font), missing)

    def _has_letters(self, text: str, font: int) -> bool:
        return not any(self._letter_is_missing(letter, font) for letter in text)

    @cache  # noqa: B019 - likewise
    def _joins(self, text: str, font: int) -> bool:
        """Whether no virama shows: forbidding a joint then changes the look."""
        drawn = self._draw(text, font)
        for i, letter in enumerate(text):
            if letter == VIRAMA:
                apart = text[: i + 1] + NON_JOINER + text[i + 1 :]
                if np.array_equal(self._draw(apart, font), drawn):
                    return False
        return True


# ----------------------------------------------------------------------- drawn glyphs

DRAWN_EM = 96
UNIT = 25  # pixels between the points that strokes join
STROKE = 6  # pixels
PLACES = {"root": (3, 3), "mark": (2, 2)}  # rows and columns of points


def _strokes(place: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """All strokes between neighbouring points, in units from the top left."""
    rows, columns = PLACES[place]
    points = [(y, x) for y in range(rows) for x in range(columns)]
    return [
        (a, b)
        for i, a in enumerate(points)
        for b in points[i + 1 :]
        if max(abs(a[0] - b[0]), abs(a[1] - b[1])) == 1
    ]


def _patterns(place: str, n: int, inked: int, apart: int) -> list[list[int]]:
    """Make n sets of strokes, any two of which differ in at least `apart` strokes."""
    draw = np.random.RandomState(n)
    chosen: list[set[int]] = []
    total = len(_strokes(place))
    for _ in range(200_000):
        if len(chosen) == n:
            return [sorted(pattern) for pattern in chosen]
        new = set(draw.permutation(total)[: int(inked + draw.randint(2))].tolist())
        if all(len(new ^ old) >= apart for old in chosen):
            chosen.append(new)
    raise ValueError(f"there are no {n} drawn {place}s that differ enough")


class DrawnGlyphs:
    """Graphemes of an invented script, drawn from straight strokes.

    The root hangs from a headline as in Bengali, vowel diacritics stand left or right
    of it, consonant diacritics above or below.
    """

    def __init__(self, graphemes: Graphemes) -> None:
        roots, vowels, consonants = (len(names) for names in graphemes.names)
        self.em, self.labels = DRAWN_EM, graphemes.labels
        self.styles = [[0]] * len(self.labels)
        self.names = ["drawn"]
        self.roots = _patterns("root", roots, 6, 4 if roots <= 400 else 2)
        self.vowels = _patterns("mark", (vowels + 1) // 2, 2, 1)
        self.consonants = _patterns("mark", (consonants + 1) // 2, 2, 1)

    def mask(self, grapheme: int, style: int) -> Mask:
        """The grapheme in one of its `styles`: (H, W) uint8, 255 is ink."""
        root, vowel, consonant = self.labels[grapheme]
        canvas = np.zeros((9 * UNIT, 9 * UNIT), np.uint8)
        self._ink(canvas, "root", self.roots[root], (3, 3))
        cv2.line(
            canvas, (5 * UNIT // 2, 3 * UNIT), (11 * UNIT // 2, 3 * UNIT), 255, STROKE
        )
        if vowel:
            side, pattern = divmod(int(vowel) - 1, len(self.vowels))
            self._ink(canvas, "mark", self.vowels[pattern], (4, 6 if side == 0 else 1))
        if consonant:
            side, pattern = divmod(int(consonant) - 1, len(self.consonants))
            where = (1 if side == 0 else 6, 4)
            self._ink(canvas, "mark", self.consonants[pattern], where)
        return _cut_out(canvas)

    @staticmethod
    def _ink(canvas: Mask, place: str, pattern: list[int], at: tuple[int, int]) -> None:
        strokes = _strokes(place)
        for i in pattern:
            ends = [((at[1] + x) * UNIT, (at[0] + y) * UNIT) for y, x in strokes[i]]
            cv2.line(canvas, ends[0], ends[1], 255, STROKE, cv2.LINE_AA)
