"""Manifests: settings and files that arrive as they were written, or are refused."""

import json

import pytest

from kaggle_kit.manifest import ManifestError, read_manifest, write_manifest


@pytest.fixture
def written(tmp_path):
    for name in ("fold1.pt", "fold0.pt"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
    files = [tmp_path / "fold1.pt", tmp_path / "fold0.pt"]
    return write_manifest(tmp_path / "net.json", files, model="resnet18", sizes=(3, 2))


def test_settings_and_files_come_back_in_order(written):
    settings, files = read_manifest(written)
    assert settings == {"model": "resnet18", "sizes": [3, 2]}
    assert files == [written.parent / "fold1.pt", written.parent / "fold0.pt"]


def test_other_files_than_those_written_are_refused_all_at_once(written):
    (written.parent / "fold0.pt").unlink()
    content = (written.parent / "fold1.pt").read_bytes()
    (written.parent / "fold1.pt").write_bytes(content[:-1] + b"x")
    with pytest.raises(
        ManifestError, match=r"content of fold1.pt has changed; fold0.pt is missing"
    ):
        read_manifest(written)
    (written.parent / "fold1.pt").write_bytes(content[:-1])
    with pytest.raises(ManifestError, match=r"fold1.pt has 7999 bytes, not 8000"):
        read_manifest(written)


def test_a_missing_or_broken_manifest_says_what_is_there(written):
    with pytest.raises(FileNotFoundError, match=r"holds: fold0.pt, fold1.pt, net.json"):
        read_manifest(written.parent / "other.json")
    for text in ("{", "[]", json.dumps({"model": "x"}), json.dumps({"files": 3})):
        written.write_text(text)
        with pytest.raises(ManifestError, match=r"net.json is no manifest"):
            read_manifest(written)


def test_what_cannot_be_kept_is_refused(written, tmp_path):
    (tmp_path / "inner").mkdir()
    with pytest.raises(ValueError, match=r"fold1.pt does not lie in the manifest's"):
        write_manifest(tmp_path / "inner" / "a.json", [tmp_path / "fold1.pt"])
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_manifest(tmp_path / "a.json", [], lr=float("nan"))
    assert not list(tmp_path.glob("*a.json*"))
