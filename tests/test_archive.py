"""`.npz` archives and `.npy` files: what is written comes back; damage, bombs and other files end in one sentence."""

import hashlib
import random
import resource
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from archives import ARRAYS, npy_bytes, npy_with, overlapping, same, sentence, unzipped, written, zipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from files import ArchiveError, checksum, load_archive, load_array, reading, save_archive

refusal = partial(sentence, partial(load_archive, required=()))
KERNELS = sorted((Path(__file__).parent.parent / "trained_models" / "kernels").glob("*.npz"))
HEADER = "{{'descr': '{0}', 'fortran_order': False, 'shape': {1}, }}"


@pytest.fixture(params=[zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def whole(request, tmp_path) -> Path:
    path = save_archive(tmp_path / "whole.npz", ARRAYS)
    return zipped(path, unzipped(path), request.param)


def test_what_is_written_comes_back(whole):
    assert same(load_archive(whole, ARRAYS))
    with np.load(whole, allow_pickle=False) as found:
        assert set(found) == {*ARRAYS, "checksum"}


def test_memory_order_and_byte_order_come_back(tmp_path):
    arrays = {
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "s": np.arange(9)[::2],
        "b": np.arange(3, dtype=">i4"),
    }
    assert same(load_archive(save_archive(tmp_path / "a.npz", arrays), arrays), arrays)


def test_archives_of_others_need_no_checksum(tmp_path):
    np.savez(tmp_path / "plain.npz", **ARRAYS)
    assert same(load_archive(tmp_path / "plain.npz", ARRAYS))


def test_objects_are_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"^x holds Python objects"):
        save_archive(tmp_path / "a.npz", {"x": np.array([None])})
    assert not list(tmp_path.iterdir())


def test_every_flipped_bit_is_noticed_or_harmless(whole, tmp_path):
    good = whole.read_bytes()
    noticed = 0
    for position in range(0, len(good), 3):
        for bit in (0, 7):
            data = bytearray(good)
            data[position] ^= 1 << bit
            try:
                assert same(load_archive(written(tmp_path / "damaged.npz", data), ())), f"byte {position}, bit {bit}"
            except ArchiveError:
                noticed += 1
    assert noticed > len(good) / 3


def test_files_that_are_cut_off(whole, tmp_path):
    good = whole.read_bytes()
    for length in range(0, len(good), 97):
        refusal(written(tmp_path / "damaged.npz", good[:length]))


def test_a_changed_value_does_not_fit_the_checksum(whole, tmp_path):
    members = unzipped(whole)
    members["order.npy"] = npy_bytes(np.array(2))
    assert refusal(zipped(tmp_path / "a.npz", members)) == "is damaged: checksum mismatch; make it again"
    del members["order.npy"]
    assert "checksum mismatch" in refusal(zipped(tmp_path / "b.npz", members))


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_archives_of_version_0_2_are_covered_by_their_crc(path, tmp_path):
    """Their key "digest" is a checksum of another algorithm: it is dropped, and damage is noticed all the same."""
    found = load_archive(path, ("positions", "weights"))
    assert set(found) == {"positions", "weights", "order", "axes"}
    data = bytearray(path.read_bytes())
    start = data.index(found["weights"].tobytes())
    data[start + 5] ^= 1
    assert "bad CRC-32 of 'weights.npy'" in refusal(written(tmp_path / "a.npz", data))
    # A header that claims fewer values than there are, so that the last ones would never be read.
    place = data.rindex(f"({len(found['weights'])},)".encode())
    data[start + 5] ^= 1
    data[place + 1 : place + 3] = b"7 "[: len(str(len(found["weights"])))]
    assert "bad CRC-32 of 'weights.npy'" in refusal(written(tmp_path / "b.npz", data))


def test_what_is_missing_is_named(whole):
    read = partial(load_archive, required=("positions", "axes", "order"))
    assert sentence(read, whole) == "lacks axes, positions: it is another kind of file"
    for path in (whole.parent / "none.npz", whole.parent):
        with pytest.raises(FileNotFoundError, match="does not exist"):
            load_archive(path, ())


@pytest.mark.parametrize(
    "members, words",
    [
        ({"readme.txt": b"hello"}, "'readme.txt', which is not numbers or text"),
        ({"values.npy": b"hello"}, "'values', which is not"),
        ({"values.npy": npy_bytes(np.ones(2))[:-1]}, "damaged"),
        ({"values.npy": npy_with(HEADER.format("<f8", "(-1, -1)"), bytes(8))}, "damaged"),
        ({"values.npy": npy_with(HEADER.format("|V0", "(9999999999999,)"))}, "not numbers or text"),
        ({"values.npy": npy_with(HEADER.format("<U0", "(9999999999999,)"))}, "not numbers or text"),
        ({"values.npy": npy_bytes(np.array([None]))}, "allow_pickle=False"),
        ({"values.npy": npy_with(HEADER.format("<f8", "(1,)") + " '''")}, "damaged"),
        ({"values.npy": npy_with("-" * 9000 + "1")}, "damaged"),
        ({"values.npy": npy_with("__import__('os').system('false')")}, "damaged"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(next(iter(value.values())))[-40:],
)
def test_zip_files_of_other_things(tmp_path, members, words):
    assert words in refusal(zipped(tmp_path / "a.npz", members))


def test_memory_that_an_array_claims_is_never_written_to(tmp_path):
    path = zipped(tmp_path / "a.npz", {"values.npy": npy_with(HEADER.format("<f8", "(1999999999999,)"), bytes(80))})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # NumPy reserves what the header claims, where the system lets it, and fills it as far as there are values.
    assert "damaged" in sentence(partial(load_archive, required=()), path, memory=1 << 50)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes


@pytest.mark.parametrize("data", [b"", b"PK", b"\x80\x04N.", npy_bytes(np.ones(2))], ids=repr)
def test_files_that_are_no_zip_file(tmp_path, data):
    assert "damaged or not an .npz file (" in refusal(written(tmp_path / "a.npz", data))


def test_what_readers_raise_becomes_one_sentence_after_the_path(tmp_path):
    path = written(tmp_path / "a", b"")

    def read(error: Exception) -> str:
        with pytest.raises(ArchiveError) as caught, reading.reading(path, "a test"):
            raise error
        return str(caught.value)

    assert read(TypeError("odd\nlines")) == f"{path} is damaged or not a test (odd); make it again"
    assert read(KeyError(101)) == f"{path} is damaged or not a test (KeyError); make it again"
    assert read(EOFError()) == f"{path} is damaged or not a test (EOFError); make it again"
    assert read(OSError("x" * 300)) == f"{path} is damaged or not a test ({'x' * 200}); make it again"
    assert read(ArchiveError("is odd")) == f"{path} is odd"
    with pytest.raises(KeyboardInterrupt), reading.reading(path, "a test"):
        raise KeyboardInterrupt


def test_two_entries_of_one_name_are_refused(tmp_path):
    with pytest.warns(UserWarning), zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for _ in range(2):
            archive.writestr("x.npy", npy_bytes(np.ones(2)))
    assert refusal(tmp_path / "a.npz") == "holds two entries of one name"


def test_other_compressions_are_refused(tmp_path):
    assert "compressed" in refusal(zipped(tmp_path / "a.npz", {"x.npy": npy_bytes(np.ones(2))}, zipfile.ZIP_LZMA))


def test_overlapping_entries_are_refused(tmp_path):
    path = zipped(tmp_path / "a.npz", {"x.npy": npy_bytes(np.zeros(1000))})
    assert "not loaded" in refusal(written(path, overlapping(path.read_bytes())))


@pytest.mark.parametrize("extra, refused", [(0, False), (1, True)])
@pytest.mark.parametrize("ratio", [2, 10**6])
def test_compressed_entries_unfold_to_a_bound_that_depends_on_their_file(tmp_path, monkeypatch, extra, refused, ratio):
    path = zipped(tmp_path / "a.npz", {"x.npy": npy_bytes(np.zeros(1000, "i1"))}, zipfile.ZIP_DEFLATED)
    claimed, size = 1128, path.stat().st_size
    # One of the two bounds is far away, the other just there.
    monkeypatch.setattr(reading, "ALWAYS_ALLOWED", claimed - extra if ratio == 2 else 0)
    monkeypatch.setattr(reading, "LARGEST_RATIO", 2 if ratio == 2 else (claimed - extra) / size)
    if refused:
        assert refusal(path) == f"claims {claimed} bytes in a file of {size}: not loaded"
    else:
        assert load_archive(path, ("x",))["x"].shape == (1000,)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    zeros = npy_with(HEADER.format("|u1", "(100000000,)"), bytes(100_000_000))
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in "abc":
            archive.writestr(f"{name}.npy", zeros)
    assert path.stat().st_size < 1 << 21 < reading.ALWAYS_ALLOWED < 3 * len(zeros)
    assert "not loaded" in sentence(partial(load_archive, required=()), path, memory=1 << 20)


def test_black_signals_are_not_bombs(tmp_path):
    arrays = {"values": np.zeros((16, 256, 256, 3), np.float32)}
    path = tmp_path / "black.npz"
    np.savez_compressed(path, **arrays)
    assert path.stat().st_size * reading.LARGEST_RATIO < arrays["values"].nbytes
    assert same(load_archive(path, arrays), arrays)


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(number=st.integers(0, 1 << 32))
def test_mutated_archives_end_in_arrays_or_one_sentence(tmp_path, number):
    source = random.Random(number)
    array = bytearray(npy_bytes(ARRAYS["values"]))
    for _ in range(source.randint(0, 3)):
        # Within the zip file's checksums, mostly in the array's header.
        position = source.randrange(100)
        array[position : position + source.randint(0, 2)] = source.choice((source.randbytes(2), b"(", b"'", b"9"))
    data = bytearray(zipped(tmp_path / "b.npz", {"values.npy": bytes(array)}, source.choice((0, 8))).read_bytes())
    for _ in range(source.choice((0, 0, 1, 3))):
        # Mostly in the zip file's directory, which is at its end.
        position = len(data) - 1 - min(int(source.expovariate(0.02)), len(data) - 1)
        data[position : position + source.randint(0, 4)] = source.randbytes(source.randint(0, 4))
    try:
        load_archive(written(tmp_path / "mutated.npz", data), ("values",))
    except ArchiveError as error:
        assert str(tmp_path) in str(error) and "\n" not in str(error)


@pytest.mark.parametrize(
    "array", [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.ones((2, 3), ">i2")), np.array(2), np.empty((0, 3))]
)
def test_arrays_come_back(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    found = load_array(tmp_path / "a.npy")
    assert same({"a": found}, {"a": array}) and not isinstance(found, np.memmap)


@pytest.mark.parametrize(
    "data",
    [
        npy_bytes(np.ones(9))[:-1],
        npy_bytes(np.ones(9)) + b"x",
        npy_with(HEADER.format("<f8", "(9999999999999,)"), bytes(80)),
        npy_bytes(np.array([None])),
        npy_bytes(np.array(["text"])),
        b"\x80\x04N.",
        b"PK\x05\x06" + bytes(18),
    ],
    ids=["cut", "longer", "claims", "objects", "text", "pickle", "zip"],
)
def test_other_files_are_no_array(tmp_path, data):
    assert sentence(load_array, written(tmp_path / "a.npy", data)).endswith(("save it again", "make it again"))


def test_checksums_are_of_names_types_shapes_and_bytes_in_the_order_of_names():
    # Written out: a key by its repr, an array by type, shape and bytes, a list by its length.
    array = np.arange(4.0).reshape(2, 2)
    text = b"'a'float64(2, 2)" + array.tobytes() + b"'b'[2" + b"1'x'"
    assert checksum({"b": [1, "x"], "a": array}) == hashlib.sha256(text).hexdigest()
    assert checksum({"a": np.asfortranarray(array), "b": (1, "x")}) == checksum({"a": array, "b": [1, "x"]})
