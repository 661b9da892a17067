"""`.npz` archives: what is written comes back, and damage anywhere is noticed or does no harm."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from archives import ARRAYS, packed, refusal, same, zipped
from released import npy_bytes

from files import ArchiveError, load_archive, save_archive


@pytest.fixture(params=[False, True], ids=["stored", "compressed"])
def whole(request, tmp_path) -> Path:
    path = save_archive(tmp_path / "whole.npz", ARRAYS)
    return packed(path) if request.param else path


def test_what_is_written_comes_back(whole):
    assert same(load_archive(whole, ARRAYS))


def test_arrays_come_back_as_their_own(tmp_path):
    arrays = {
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "s": np.arange(9)[::2],
        "b": np.arange(3, dtype=">i4"),
    }
    found = load_archive(save_archive(tmp_path / "a.npz", arrays), arrays)
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    assert all(array.flags.writeable and array.base is None for array in found.values())


def test_archives_of_others_need_no_digest(tmp_path):
    np.savez(tmp_path / "plain.npz", **ARRAYS)
    assert same(load_archive(tmp_path / "plain.npz", ARRAYS))


def test_numpy_reads_what_is_written(whole):
    with np.load(whole, allow_pickle=False) as found:
        assert set(found) == {*ARRAYS, "digest"}


def test_objects_are_not_written(tmp_path):
    with pytest.raises(ArchiveError, match="objects"):
        save_archive(tmp_path / "a.npz", {"x": np.array([None])})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["digest", "file", "a/b", ""])
def test_names_that_would_clash_are_not_written(tmp_path, name):
    with pytest.raises(ArchiveError, match="name"):
        save_archive(tmp_path / "a.npz", {name: np.ones(2)})
    assert not list(tmp_path.iterdir())


def test_every_flipped_bit_is_noticed_or_harmless(whole, tmp_path):
    good = whole.read_bytes()
    damaged = tmp_path / "damaged.npz"
    noticed = 0
    for position in range(len(good)):
        for bit in (0, 3, 7):
            data = bytearray(good)
            data[position] ^= 1 << bit
            damaged.unlink(missing_ok=True)
            damaged.write_bytes(data)
            try:
                assert same(load_archive(damaged, ())), f"byte {position}, bit {bit}"
            except ArchiveError:
                noticed += 1
    assert noticed > 1.5 * len(good)


def test_cut_off_anywhere(whole, tmp_path):
    good = whole.read_bytes()
    damaged = tmp_path / "damaged.npz"
    for length in range(0, len(good), 7):
        damaged.unlink(missing_ok=True)
        damaged.write_bytes(good[:length])
        refusal(damaged)


def test_a_changed_value_does_not_fit_the_digest(whole, tmp_path):
    with zipfile.ZipFile(whole) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["order.npy"] = npy_bytes(np.array(2))
    assert "digest" in refusal(zipped(tmp_path / "a.npz", members))
    del members["order.npy"]
    assert "digest" in refusal(zipped(tmp_path / "b.npz", members))


def test_what_is_missing_is_named(whole):
    assert "lacks axes, positions" in refusal(whole, ("positions", "axes", "order"))
    for path in (whole.parent / "none.npz", whole.parent):
        with pytest.raises(FileNotFoundError):
            load_archive(path, ())
