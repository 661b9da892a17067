"""The folder of a run: one run at a time, nothing overwritten, nothing left behind."""

import pytest

from training.folder import RunError, RunFolder


def test_a_run_killed_before_it_wrote_anything_can_start_again(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").touch()
    (folder / ".current.pth.0123abcd.part").write_bytes(b"torn")
    with RunFolder(tmp_path, "run", resume=False):
        assert [path.name for path in folder.iterdir()] == [".lock"]


def test_a_second_run_of_the_same_name_is_refused_while_the_first_lives(tmp_path):
    with RunFolder(tmp_path, "run", resume=False) as first:
        with pytest.raises(RunError, match="another run"):
            RunFolder(tmp_path, "run", resume=False)
        first.write_json("options.json", {})
        first.current.touch()
        with pytest.raises(RunError, match="another run"):
            RunFolder(tmp_path, "run", resume=True)
    with pytest.raises(RunError, match="never overwritten"):
        RunFolder(tmp_path, "run", resume=False)
    with RunFolder(tmp_path, "run", resume=True):
        pass


def test_a_run_that_wrote_nothing_leaves_nothing(tmp_path):
    with RunFolder(tmp_path / "new" / "runs", "run", resume=False):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp"])
def test_names_that_are_no_folder_names_are_refused(tmp_path, name):
    with pytest.raises(RunError, match="--experiment_name"):
        RunFolder(tmp_path, name, resume=False)
    assert not list(tmp_path.iterdir())
