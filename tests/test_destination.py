"""Where results go: one program at a time, and never in place of another's result."""

import subprocess
import sys
from pathlib import Path
from threading import Barrier, Thread

import pytest
from checkout import ROOT
from programs import call, refused

import eval as eval_program
from evaluation.destination import Destination
from files.locks import FOLDER_LOCK, lock_beside

HOLD = """
import sys, time
from pathlib import Path
from evaluation.destination import Destination

with Destination(Path(sys.argv[1])).writable():
    print("held", flush=True)
    time.sleep(600)
"""


def claim_of(path: Path) -> Path:
    return lock_beside(path) if path.suffix else path / FOLDER_LOCK


@pytest.mark.parametrize("name", ["new/out", "new/out.npy"])
def test_of_several_that_begin_at_once_one_writes_and_the_others_are_refused(tmp_path, name):
    for turn in range(10):
        path, start, said = tmp_path / str(turn) / name, Barrier(4), []
        path.parent.parent.mkdir()

        def write(path=path, start=start, said=said) -> None:
            target = Destination(path)
            start.wait()
            try:
                with target.writable():
                    with (path if target.alone else path / "output.npy").open("xb") as stream:
                        stream.write(b"mine")
                    said.append("written")
            except ValueError as error:
                said.append(str(error))

        threads = [Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(said) == 4 and said.count("written") == 1, said
        refusals = [text for text in said if text != "written"]
        assert all("another program is writing" in text or "never overwritten" in text for text in refusals)
        assert not claim_of(path).exists()


@pytest.mark.parametrize("name", ["out", "out.png"])
def test_eval_is_refused_while_another_program_writes_and_not_once_that_is_killed(tmp_path, model, name):
    path = tmp_path / name
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        flags = {"model_path": model, "save_path": path}
        refused(eval_program, tmp_path, f"another program is writing {path}", **flags)
    finally:
        other.kill()
        other.wait()
    assert claim_of(path).exists()
    result = call(eval_program, **flags)
    assert result.exit_code == 0, result.output
    assert not claim_of(path).exists() and path.exists()
