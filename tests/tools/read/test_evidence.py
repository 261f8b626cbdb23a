"""What the texts beside a kernel tell about the modules it may ask for by name."""

from pathlib import Path

from kernel_builder.read.evidence import config_names


def test_dotted_names_are_found_as_whole_words(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("model: pkg.nets.Small\nclass: 'a.b:C'\nversion: 1.2.3x\n")
    assert list(config_names([path])) == ["pkg.nets.Small", "a.b"]


def test_a_long_word_takes_no_quadratic_time(tmp_path: Path) -> None:
    path = tmp_path / "image.json"
    path.write_text("x" * 1_000_000 + " pkg.mod")
    assert list(config_names([path])) == ["pkg.mod"]
