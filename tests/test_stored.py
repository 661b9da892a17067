"""Arrays that stay in their files give what NumPy gives for the whole of them, and only what is asked for is read."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from files import ArchiveError
from files.stored import Stored, all_finite, ends, has_nan, row_blocks
from files.zarrs import open_zarr
from modalities import find, for_path
from signals import Signal

INDICES = [
    np.s_[...], np.s_[3], np.s_[-1, 2:9], np.s_[3:11:3, ::-2], np.s_[..., 1], np.s_[5:5], np.s_[2:40, :, 0:2],
    np.s_[9:2:-3, 4, ...],
]  # fmt: skip


@pytest.fixture
def lazily(monkeypatch):
    """Files of a few hundred numbers count as large."""
    for place in ("files.stored", "files.pictures.picture", "files.pictures.bigtiff"):
        monkeypatch.setattr(f"{place}.LARGE", 300)


def counting(array: np.ndarray) -> tuple[Stored, list[int]]:
    """The array as one in a file, and how many numbers were read of it each time."""
    asked: list[int] = []

    def read(part: tuple[slice, ...]) -> np.ndarray:
        asked.append(array[part].size)
        return array[part]

    return Stored(array.shape, array.dtype, read), asked


@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("block", [1 << 22, 20])
def test_slices_are_those_of_numpy(index, block, monkeypatch):
    monkeypatch.setattr("files.stored.BLOCK", block)
    array = np.random.default_rng(0).normal(size=(40, 12, 3))
    np.testing.assert_array_equal(Stored.of(array)[index], array[index])
    np.testing.assert_array_equal(Stored.of(array).mapped(np.square)[index], array[index] ** 2)


def test_other_indices_are_refused():
    with pytest.raises(IndexError, match="whole numbers and slices"):
        Stored.of(np.zeros((3, 3)))[np.array([1, 2])]
    with pytest.raises(IndexError):
        Stored.of(np.zeros((3, 3)))[3]


def test_only_what_is_asked_for_is_read(monkeypatch):
    monkeypatch.setattr("files.stored.BLOCK", 500)
    stored, asked = counting(np.arange(100 * 50 * 2, dtype=float).reshape(100, 50, 2))
    assert stored[10:12, 5:9].shape == (2, 4, 2) and asked == [16]
    asked.clear()
    thin = stored[::10, ::10]
    assert max(asked) <= 1000 and thin.shape == (10, 5, 2)
    asked.clear()
    assert all_finite(stored) and not has_nan(stored) and ends(stored) == (0, 9999) and max(asked) <= 500


def test_reading_a_little_of_an_array_holds_little():
    # Places of all its elements would fill any memory.
    array = Stored((10**15, 2), np.float32, lambda part: np.full([s.stop - s.start for s in part], part[0].start))
    assert array[10**14 : 10**14 + 5].shape == (5, 2) and array[-1, 0] == 10**15 - 1
    np.testing.assert_array_equal(array[10**9 : 10**9 - 3 : -1, 1], [10**9 - 2] * 3)


def test_a_signal_reads_around_a_boundary_what_it_needs():
    array = np.random.default_rng(0).random((30, 20, 1))
    stored, asked = counting(array)
    signal, whole = Signal(stored, (0, 1)), Signal(array, (0, 1))
    asked.clear()
    rows = [np.array([0, 0, 0, 1, 2]), np.array([18, 19, 18, 17])]
    np.testing.assert_array_equal(signal.taken(rows), whole.taken(rows))
    assert asked == [3 * 3]
    for boundary in ("clamp", "reflect", "periodic", "clamp,periodic"):
        np.testing.assert_array_equal(signal.padded((40, 3), boundary), whole.padded((40, 3), boundary))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_are_found(value):
    array = np.zeros((50, 40, 1))
    array[33, 7] = value
    assert not all_finite(Stored.of(array)) and has_nan(Stored.of(array)) == np.isnan(value)
    with pytest.raises(ValueError, match="NaN or infinite"):
        Signal(Stored.of(array), (0, 1))


def test_blocks_cover_the_rows_once(monkeypatch):
    for shape, most, multiple in (((100, 7), 50, 1), ((100, 7), 50, 16), ((3, 1000), 10, 1), ((5,), 100, 64)):
        monkeypatch.setattr("files.stored.BLOCK", most)
        rows = [row for part in row_blocks(shape, multiple) for row in range(shape[0])[part]]
        assert rows == list(range(shape[0]))
        assert all(part.start % multiple == 0 for part in row_blocks(shape, multiple))


def write_tiff(path: Path, pixels: np.ndarray, **options) -> Path:
    tifffile.imwrite(path, pixels, photometric="rgb" if pixels.shape[-1] >= 3 else "minisblack", **options)
    return path


@pytest.mark.parametrize(
    "kind", ["plain", "tiled", "planes", "strips", "alpha", "npy", "zarr 2", "zarr 3", "ome", "png"]
)
def test_large_pictures_are_read_in_parts(tmp_path, monkeypatch, kind):
    pixels = np.random.default_rng(0).integers(0, 256, (70, 50, 3), np.uint8)
    path = write_picture(tmp_path, pixels, kind)
    small = find("image").load(path)
    for place in ("files.stored", "files.pictures.picture", "files.pictures.bigtiff"):
        monkeypatch.setattr(f"{place}.LARGE", 10_000)
    large = find("image").load(path)
    assert isinstance(small.values, np.ndarray) and isinstance(large.values, Stored)
    assert (large.metadata, large.shape, large.values.dtype) == (small.metadata, small.shape, small.values.dtype)
    np.testing.assert_array_equal(np.asarray(large.values), small.values)
    np.testing.assert_array_equal(large.values[10:33, 40:, 1], small.values[10:33, 40:, 1])


def write_picture(folder: Path, pixels: np.ndarray, kind: str) -> Path:
    match kind:
        case "plain":
            return write_tiff(folder / "a.tif", pixels)
        case "tiled":
            return write_tiff(folder / "a.tif", pixels, tile=(16, 16), compression="zlib", bigtiff=True)
        case "planes":
            return write_tiff(folder / "a.tif", np.moveaxis(pixels, -1, 0), planarconfig="separate", tile=(16, 16))
        case "strips":
            return write_tiff(folder / "a.tif", pixels.astype(np.float32), compression="lzw", rowsperstrip=4)
        case "alpha":
            alpha = np.dstack([pixels, pixels[..., :1]])
            return write_tiff(folder / "a.tif", alpha, extrasamples=["unassalpha"], tile=(16, 16))
        case "npy":
            np.save(folder / "a.npy", pixels)
            return folder / "a.npy"
        case "png":
            from files.pictures import write_png

            return write_png(folder / "a.png", pixels)
        case "ome":
            return write_ome(folder / "a.zarr", pixels)
    array = zarr.create_array(folder / "a.zarr", shape=pixels.shape, chunks=(32, 32, 3), dtype="u1",
                              zarr_format=int(kind[-1]))  # fmt: skip
    array[:] = pixels
    return folder / "a.zarr"


def write_ome(path: Path, pixels: np.ndarray, names: str = "tczyx") -> Path:
    axes = [{"name": name, "type": "space"} for name in names]
    picture = {"axes": axes, "datasets": [{"path": "0"}, {"path": "1"}]}
    group = zarr.create_group(path, attributes={"ome": {"version": "0.5", "multiscales": [picture]}})
    planes = np.moveaxis(pixels, -1, 0)[None, :, None]
    for level, step in (("0", 1), ("1", 2)):
        level_planes = planes[..., ::step, ::step]
        array = group.create_array(level, shape=level_planes.shape, chunks=(1, 1, 1, 32, 32), dtype="u1")
        array[:] = level_planes
    return path


def test_a_missing_value_is_said_where_it_is_read(tmp_path, lazily):
    pixels = np.zeros((32, 32, 1), np.float32)
    pixels[20, 20] = np.nan
    path = write_tiff(tmp_path / "a.tif", pixels)
    with pytest.raises(ValueError, match=r"1 of 1024 pixels of .*a.tif are no-data"):
        find("image").load(path)


def test_grids_of_distances_stay_in_their_files(tmp_path, lazily):
    grid = np.random.default_rng(0).normal(size=(9, 8, 7))
    np.save(tmp_path / "a.npy", grid)
    signal = find("geometry").load(tmp_path / "a.npy")
    assert isinstance(signal.values, Stored) and signal.shape == (9, 8, 7)
    np.testing.assert_array_equal(signal.core[..., 0], grid.astype(np.float32))
    grid[3, 3, 3] = 1e300
    np.save(tmp_path / "a.npy", grid)
    with pytest.raises(ValueError, match="beyond 32-bit floats"):
        find("geometry").load(tmp_path / "a.npy")


def test_nothing_in_a_zarr_is_run(tmp_path):
    described = {"zarr_format": 2, "shape": [4], "chunks": [4], "dtype": "<i4", "compressor": {"id": "pickle"},
                 "fill_value": 0, "order": "C", "filters": None}  # fmt: skip
    for number, change in enumerate(({}, {"dtype": "|O"}, {"compressor": None, "filters": [{"id": "pickle"}]})):
        path = tmp_path / f"{number}.zarr"
        path.mkdir()
        (path / ".zarray").write_text(json.dumps(described | change))
        with pytest.raises(ArchiveError, match=r"zarr "):
            open_zarr(path)


def test_a_picture_names_no_level_outside_of_itself(tmp_path):
    (tmp_path / "secret").mkdir()
    zarr.create_array(tmp_path / "secret", shape=(4, 4), dtype="u1", overwrite=True)
    picture = {"axes": [{"name": "y"}, {"name": "x"}], "datasets": [{"path": "../secret"}]}
    zarr.create_group(tmp_path / "a.zarr", attributes={"ome": {"multiscales": [picture]}})
    with pytest.raises(ArchiveError, match="outside of itself"):
        open_zarr(tmp_path / "a.zarr")


def test_wrong_arrays_are_one_sentence(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    several = write_ome(tmp_path / "names.zarr", pixels, names="tcwyx")
    assert for_path(several).name == "image"
    find("image").load(several)  # an axis of one element is dropped, whatever its name
    with pytest.raises(ValueError, match="has the axes"):
        find("image").load(write_ome(tmp_path / "twice.zarr", pixels, names="tcyyx"))
    zarr.create_group(tmp_path / "group.zarr")
    with pytest.raises(ArchiveError, match="a group without a picture"):
        find("image").load(tmp_path / "group.zarr")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(ArchiveError, match="no Zarr array"):
        find("image").load(tmp_path / "empty.zarr")
    np.save(tmp_path / "line.npy", np.zeros(5))
    with pytest.raises(ValueError, match="give a picture"):
        find("image").load(tmp_path / "line.npy")
