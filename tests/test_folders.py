"""Folders for results: made when needed, removed where nothing was written."""

import pytest

from files.folders import missing_folders, refuse_existing, remove_empty, writable_folder


def test_missing_folders_come_innermost_first(tmp_path):
    assert missing_folders(tmp_path / "a" / "b") == [tmp_path / "a" / "b", tmp_path / "a"]
    assert missing_folders(tmp_path) == []


def test_what_exists_is_refused_by_name(tmp_path):
    one, two, none = tmp_path / "one", tmp_path / "two", tmp_path / "none"
    for path in (one, two):
        path.mkdir()
    refuse_existing(none)
    with pytest.raises(ValueError) as caught:
        refuse_existing(none, one)
    assert str(caught.value) == f"{one} exists and is never overwritten: remove it or name another place"
    with pytest.raises(ValueError, match=r"one, .*two exist and are never overwritten"):
        refuse_existing(one, two)


def test_only_empty_folders_are_removed(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "file").touch()
    remove_empty([tmp_path / "a" / "b", tmp_path / "a", tmp_path / "none"])
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "file"]


@pytest.mark.parametrize("written", [False, True])
def test_a_folder_stays_where_something_was_written_to_it(tmp_path, written):
    with pytest.raises(KeyboardInterrupt), writable_folder(tmp_path / "a" / "b") as folder:
        assert folder.is_dir()
        if written:
            (folder / "file").touch()
        raise KeyboardInterrupt
    assert (tmp_path / "a").exists() == written
    (tmp_path / "old").mkdir()
    with writable_folder(tmp_path / "old"):
        pass
    assert (tmp_path / "old").exists()


def test_folders_that_cannot_be_made_or_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(OSError), writable_folder(tmp_path / "file" / "below"):
        pass
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="new"), writable_folder(tmp_path / "new"):
        pass
    assert not (tmp_path / "new").exists()
