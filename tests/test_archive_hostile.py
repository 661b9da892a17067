"""`.npz` archives that somebody made to do harm, or that are something else: one sentence, and no memory lost."""

import io
import random
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from archives import ARRAYS, npy_with, packed, refusal, same, zipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from released import npy_bytes

from files import ArchiveError, load_archive, save_archive
from files.archive import ALWAYS_ALLOWED


@pytest.mark.parametrize(
    "members",
    [
        {"readme.txt": b"hello"},
        {"values.npy": b"hello"},
        {"values.npy": b""},
        {"../values": npy_bytes(np.ones(2))},
        {"values.npy": npy_bytes(np.ones(2))[:-1]},
        {"values.npy": npy_bytes(np.ones(2)) + b"more"},
        {"values.npy": npy_with("{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999999,), }")},
        {"values.npy": npy_with("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1), }", bytes(8))},
        {"values.npy": npy_with("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1," * 99 + "), }", bytes(8))},
        {"values.npy": npy_with("{'descr': '|V0', 'fortran_order': False, 'shape': (9999999999999,), }")},
        {"values.npy": npy_with("{'descr': '|O', 'fortran_order': False, 'shape': (0,), }")},
        {"values.npy": npy_with("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), } '''")},
        {"values.npy": npy_with("{'descr': " + "(" * 3000 + ", 'fortran_order': False, 'shape': (), }")},
        {"values.npy": npy_with("-" * 9000 + "1")},
        {"values.npy": npy_with("__import__('os').system('false')")},
        {"values.npy": npy_with("x" * 20_000, version=2)},
        {"values.npy": npy_with("", version=9)},
        {"values.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\xff"},
    ],
)
def test_other_things_in_a_zip_file(tmp_path, members):
    refusal(zipped(tmp_path / "a.npz", members))


@pytest.mark.parametrize("value", [np.array([None]), np.array({"a": 1})])
def test_pickled_members_are_named_as_such(tmp_path, value):
    assert "pickled objects" in refusal(zipped(tmp_path / "a.npz", {"values.npy": npy_bytes(value)}))


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x05\x06" + bytes(18), b"\x80\x04N.", b"hello" * 100])
def test_other_files(tmp_path, data):
    path = tmp_path / "a.npz"
    path.write_bytes(data)
    refusal(path, ("values",))


def test_two_of_one_name_are_refused(tmp_path):
    with pytest.warns(UserWarning), zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", npy_bytes(np.ones(2)))
        archive.writestr("x.npy", npy_bytes(np.zeros(2)))
    refusal(tmp_path / "a.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path, method):
    assert "compressed" in refusal(zipped(tmp_path / "a.npz", {"x.npy": npy_bytes(np.ones(2))}, method))


def test_a_compressed_bomb_is_refused_before_it_goes_off(tmp_path):
    zeros = npy_with("{'descr': '|u1', 'fortran_order': False, 'shape': (100000000,), }", bytes(100_000_000))
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in "abc":
            archive.writestr(f"{name}.npy", zeros)
    assert path.stat().st_size < 1 << 21
    tracemalloc.start()
    assert "bomb" in refusal(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 23
    tracemalloc.stop()


def test_overlapping_members_are_refused(tmp_path):
    path = zipped(tmp_path / "a.npz", {"x.npy": npy_bytes(np.zeros(1000))})
    data = path.read_bytes()
    start = data.index(b"PK\x01\x02")
    directory, end = data[start:-22], bytearray(data[-22:])
    entries = b"".join(directory.replace(b"x.npy", bytes([letter]) + b".npy") for letter in b"abcdefghij")
    struct.pack_into("<HHI", end, 8, 10, 10, len(entries))
    path.write_bytes(data[:start] + entries + end)
    assert "bomb" in refusal(path)


def test_black_signals_are_not_bombs(tmp_path):
    arrays = {"values": np.zeros((64, 256, 256, 3), np.float32)}
    path = packed(save_archive(tmp_path / "black.npz", arrays))
    assert arrays["values"].nbytes < ALWAYS_ALLOWED and path.stat().st_size < 1 << 17
    assert same(load_archive(path, arrays), arrays)


@settings(
    max_examples=2000, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(number=st.integers(0, 1 << 32))
def test_mutated_archives_end_in_arrays_or_one_sentence(tmp_path, number):
    source = random.Random(number)
    stream = io.BytesIO()
    header = bytearray(npy_bytes(ARRAYS["values"]))
    for _ in range(source.randint(0, 3)):
        # Within the zip file's checksums, mostly in the array's header.
        position = source.randrange(100)
        header[position : position + source.randint(0, 2)] = source.choice(
            (source.randbytes(2), b"(", b"'", b"9", b"\n")
        )
    with zipfile.ZipFile(stream, "w", source.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        archive.writestr("values.npy", bytes(header))
    data = bytearray(stream.getvalue())
    for _ in range(source.choice((0, 0, 1, 3))):
        # Mostly in the zip file's directory, which is at its end.
        position = len(data) - 1 - min(int(source.expovariate(0.02)), len(data) - 1)
        data[position : position + source.randint(0, 4)] = source.randbytes(source.randint(0, 4))
    path = tmp_path / "mutated.npz"
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    try:
        load_archive(path, ("values",))
    except ArchiveError as error:
        assert str(path) in str(error) and "\n" not in str(error)
