"""Content digests: every change of a folder shows."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.artifacts.digest import content_digest, hash_tree, is_safe
from tasks.failures import StageFailure

names = st.text("abcdé ①*?[].-", min_size=1, max_size=6).filter(lambda name: name not in (".", ".."))
trees = st.dictionaries(names, st.binary(min_size=1, max_size=40), min_size=1, max_size=5)


def digest(files: dict[str, bytes]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        return content_digest(hash_tree(Path(folder)))


@settings(max_examples=60, deadline=None)
@given(trees, st.data())
def test_a_flipped_bit_a_new_name_one_file_more_or_less_all_show(files: dict[str, bytes], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(files)))
    other = data.draw(names.filter(lambda other: other not in files))
    position = data.draw(st.integers(0, len(files[name]) * 8 - 1))
    flipped = bytearray(files[name])
    flipped[position // 8] ^= 1 << position % 8
    rest = {key: value for key, value in files.items() if key != name}
    seen = [
        digest(files),
        digest({**files, name: bytes(flipped)}),
        digest({**rest, other: files[name]}),
        digest({**files, other: b""}),
        digest({**rest, name: files[name] + b"\0"}),
        digest(rest),
    ]
    assert len(set(seen)) == len(seen)
    assert digest(files) == seen[0]


def test_a_folder_in_the_path_is_not_a_part_of_the_name(tmp_path: Path) -> None:
    (tmp_path / "one" / "a").mkdir(parents=True)
    (tmp_path / "one" / "a" / "b").write_bytes(b"x")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "a_b").write_bytes(b"x")
    assert [entry.path for entry in hash_tree(tmp_path / "one")] == ["a/b"]
    assert content_digest(hash_tree(tmp_path / "one")) != content_digest(hash_tree(tmp_path / "two"))


@pytest.mark.parametrize("target", ["file.txt", ".", "/etc/hosts"])
def test_links_are_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "file.txt").write_bytes(b"x")
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(StageFailure, match="link"):
        hash_tree(tmp_path)


def test_names_that_are_not_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad\udcff").write_bytes(b"x")
    with pytest.raises(StageFailure, match="not UTF-8"):
        hash_tree(tmp_path)


@pytest.mark.parametrize("path", ["../up", "/etc/passwd", "a/../../b", "a//b", "", "a/./b", "a\0b"])
def test_paths_that_leave_the_folder_are_not_safe(path: str) -> None:
    assert not is_safe(path)
    assert is_safe("a/b..c/...d")
