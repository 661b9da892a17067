"""Atomic writes, with real processes that are killed, refused and cut off."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from files import atomic_write, load_archive, save_archive

ROOT = Path(__file__).resolve().parent.parent
# Writes a file over and over, each time all of one letter, and says so when it has begun.
WRITER = """
import sys
from pathlib import Path
from files import atomic_write

def write(letter):
    with atomic_write(sys.argv[1]) as stream:
        for _ in range(200):
            stream.write(letter * 5000)

print("begun", flush=True)
for number in range(2000):
    # Until the reader has seen enough, which makes a file beside.
    if Path(sys.argv[1] + ".seen").exists():
        break
    write(bytes([97 + number % 25]))
write(b"z")
"""
STOPPED = """
import sys
from files import atomic_write
with atomic_write(sys.argv[1]) as stream:
    stream.write(b"half")
    print("begun", flush=True)
    sys.stdin.readline()
    stream.write(b" whole")
"""
LIMITED = """
import resource, signal, sys
import numpy as np
from files import save_archive
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    save_archive(sys.argv[1], {"values": np.zeros(100_000)})
except OSError as error:
    sys.exit(f"no room: {error}")
"""


def python(code: str, *arguments: str, **options) -> subprocess.Popen:
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT, **options)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    with atomic_write(path) as stream:
        stream.write(b"half")
        assert not path.exists()
        stream.write(b" whole")
    assert path.read_bytes() == b"half whole" and names(path.parent) == ["file"]


def test_an_old_file_stays_until_then(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic_write(path) as stream:
        stream.write(b"new")
        stream.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and names(tmp_path) == ["file"]


@pytest.mark.parametrize("fault", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing_behind(tmp_path, fault):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(fault), atomic_write(path) as stream:
        stream.write(b"new")
        raise fault
    assert path.read_bytes() == b"old" and names(tmp_path) == ["file"]


@pytest.mark.parametrize("delay", [0, 0.01, 0.04])
def test_a_killed_writer_leaves_a_whole_file(tmp_path, delay):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    writer = python(WRITER, str(path))
    writer.stdout.readline()
    time.sleep(delay)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    found = path.read_bytes()
    assert found == b"old" or (len(found) == 1_000_000 and len(set(found)) == 1)
    assert all(name == "file" or (name.startswith(".file.") and name.endswith(".part")) for name in names(tmp_path))


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    writer = python(WRITER, str(path))
    seen = set()
    while writer.poll() is None:
        found = path.read_bytes()
        assert len(found) in (0, 1_000_000) and len(set(found)) <= 1
        seen.update(found[:1])
        if len(seen) > 1:
            (tmp_path / "file.seen").touch()
    writer.communicate()
    assert writer.returncode == 0 and path.read_bytes()[:1] == b"z" and len(seen) > 1


@pytest.mark.parametrize("fault", [OSError("40 requested and 0 written"), OSError(errno.ENOSPC, "No space left")])
def test_a_fault_that_names_neither_file_nor_reason_gets_both(tmp_path, fault):
    with pytest.raises(OSError) as caught, atomic_write(tmp_path / "file") as stream:
        stream.write(b"new")
        raise fault
    assert caught.value.filename == str(tmp_path / "file")
    assert caught.value.errno in (errno.EIO, errno.ENOSPC)
    assert "written whole (40 requested" in caught.value.strerror or "No space" in caught.value.strerror


def test_what_a_killed_writer_left_goes_with_the_next_archive(tmp_path):
    path = tmp_path / "truth.npz"
    killed = python(STOPPED, str(path))
    killed.stdout.readline()
    killed.kill()
    killed.communicate()
    alive = python(STOPPED, str(path))
    alive.stdout.readline()
    assert len(names(tmp_path)) == 2
    others = [".truth.npz.part", ".truth.npz.0123abcd.part.txt", ".other.npz.0123abcd.part", ".truth.npz.0123abcz.part"]
    for name in others:
        (tmp_path / name).write_bytes(b"mine")
    save_archive(path, {"values": np.ones(3)})
    rest = set(names(tmp_path)) - {"truth.npz", *others}
    assert len(rest) == 1 and set(others) < set(names(tmp_path))
    alive.communicate("go on\n", timeout=60)
    assert alive.returncode == 0 and path.read_bytes() == b"half whole"
    assert set(names(tmp_path)) == {"truth.npz", *others}


@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit on file sizes as a stand-in for a full disk")
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.npz"
    save_archive(path, {"values": np.ones(3)})
    process = python(LIMITED, str(path))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and errors.startswith("no room") and "Traceback" not in errors
    assert np.array_equal(load_archive(path, ())["values"], np.ones(3)) and names(tmp_path) == ["file.npz"]


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    path = tmp_path / "file"

    def write(letter: bytes) -> None:
        for _ in range(20):
            with atomic_write(path) as stream:
                for _ in range(50):
                    stream.write(letter * 1000)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in (b"a" * 50_000, b"b" * 50_000) and names(tmp_path) == ["file"]


def test_results_are_as_readable_as_any_other_file(tmp_path):
    (tmp_path / "other").touch()
    with atomic_write(tmp_path / "file") as stream:
        stream.write(b"x")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("file", "other")}
    assert len(modes) == 1


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    for path in (tmp_path, tmp_path / "file" / "below", Path("/proc/none/file")):
        with pytest.raises(OSError), atomic_write(path) as stream:
            stream.write(b"new")
    assert names(tmp_path) == ["file"] and (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.skipif(os.geteuid() == 0, reason="everything may be written by root")
def test_read_only_folders(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError), atomic_write(tmp_path / "file") as stream:
        stream.write(b"new")
    tmp_path.chmod(0o700)
    assert not names(tmp_path)


def test_long_names_have_room_for_the_part(tmp_path):
    path = tmp_path / ("ü" * 120)
    with atomic_write(path) as stream:
        stream.write(b"x")
    assert names(tmp_path) == [path.name]
