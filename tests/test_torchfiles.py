"""`.pth` files of our own: what is written comes back; damage, bombs, code and other files end in one sentence."""

import io
import os
import pickle
import random
import struct
import zipfile
from functools import partial
from pathlib import Path

import pytest
import torch
from archives import overlapping, rewritten, sentence, unzipped, written, zipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from files import ArchiveError, checksum, load_torch, save_torch, torchfiles

refusal = partial(sentence, load_torch)
MODELS = sorted((Path(__file__).parent.parent / "trained_models").glob("*/model.pth"))
CONTENT = {
    "format": "test",
    "state": {"core": torch.arange(6.0).reshape(2, 3).T, "half": torch.ones(2, dtype=torch.float16)},
    "training": {
        "step": 3,
        "history": [(1, 0.5), (2, None)],
        "optimisers": [{0: {"momentum": torch.eye(2)}}],
        "on": True,
    },
}


@pytest.fixture
def whole(tmp_path) -> Path:
    return save_torch(tmp_path / "whole.pth", CONTENT)


def torch_bytes(content, legacy: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def with_checksum(content: dict) -> bytes:
    return torch_bytes(content | {"digest": checksum(content)})


def test_what_is_written_comes_back(whole):
    found = load_torch(whole)
    assert found.keys() == CONTENT.keys() and checksum(found) == checksum(CONTENT)
    assert found["training"]["history"] == [(1, 0.5), (2, None)]
    torch.testing.assert_close(found["state"]["core"], CONTENT["state"]["core"], rtol=0, atol=0)
    assert not list(whole.parent.glob(".*.part"))


def test_a_torn_file_of_a_killed_writer_goes_with_the_next(tmp_path):
    (tmp_path / ".whole.pth.0123abcd.part").write_bytes(b"half")
    save_torch(tmp_path / "whole.pth", CONTENT)
    assert [path.name for path in tmp_path.iterdir()] == ["whole.pth"]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.parent.name)
def test_files_of_version_0_2_are_read_and_their_checksum_verified(path, tmp_path):
    content = load_torch(path)
    assert set(content) == {"format", "config", "origin", "state", "training"}
    # A value changed under a CRC-32 that fits: only the checksum can tell.
    data = rewritten(path.read_bytes(), lambda name, data: data[:-1] + b"\x07" if name.endswith("data/1") else data)
    assert refusal(written(tmp_path / "a.pth", data), memory=1 << 26).endswith("checksum mismatch")


@pytest.mark.parametrize(
    "content, words",
    [
        ({"state": {}}, "checksum mismatch"),
        ({"state": {}, "digest": "0"}, "checksum mismatch"),
        ([1, 2], "holds a list"),
        (torch.zeros(3), "holds a Tensor"),
    ],
)
def test_torch_files_of_other_programs(tmp_path, content, words):
    assert words in refusal(written(tmp_path / "a.pth", torch_bytes(content)))


@pytest.mark.parametrize("data", [b"", b"PK", b"\x89PNG\r\n\x1a\n" + bytes(100), torch_bytes(CONTENT, legacy=True)])
def test_files_that_are_no_zip_file(tmp_path, data):
    assert "damaged or not a .pth file of this program (" in refusal(written(tmp_path / "a.pth", data))


def test_files_that_do_not_exist(tmp_path):
    for path in (tmp_path, tmp_path / "none.pth"):
        with pytest.raises(FileNotFoundError):
            load_torch(path)


class Runs:
    """Makes the folder `trace` when it is unpickled by a reader that trusts its file."""

    def __init__(self, trace: str) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (self.trace,)


class Calls:
    """Has `function(*arguments)` called, which `weights_only` lets it."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_code_is_not_run(tmp_path):
    data = torch_bytes({"format": "test", "state": Runs(str(tmp_path / "trace"))})
    assert refusal(written(tmp_path / "a.pth", data)).startswith("names 'posix mkdir', which was not run")
    assert not (tmp_path / "trace").exists()
    # The same file does run where it is trusted, so that the lines above can fail.
    torch.load(tmp_path / "a.pth", weights_only=False)
    assert (tmp_path / "trace").exists()


@pytest.mark.parametrize("call", [Calls(bytearray, 1 << 30), Calls(torch.device, "cpu"), Calls(complex, 1, 2)])
def test_functions_that_weights_only_would_call_are_refused(tmp_path, call):
    torch.load(io.BytesIO(torch_bytes([Calls(complex, 1, 2)])), weights_only=True)
    assert "which was not run" in refusal(written(tmp_path / "a.pth", torch_bytes({"state": call})))


SELF: list = []
SELF.append(SELF)
LAUGHS: list = [0.0]
for _ in range(40):
    LAUGHS = [LAUGHS, LAUGHS]


def nested(depth: int) -> bytes:
    """A torch file of lists in lists, which Python's pickler would not write."""
    pickled = b"\x80\x02}X\x05\x00\x00\x00state" + b"]" * depth + b"a" * (depth - 1) + b"s."
    return rewritten(torch_bytes({}), lambda name, data: pickled if name.endswith("data.pkl") else data)


@pytest.mark.parametrize(
    "data, words",
    [
        (torch_bytes({"state": torch.zeros(1).expand(1 << 36)}), "claims more numbers than it holds"),
        (torch_bytes({"state": [torch.zeros(1000)] * 1000}), "claims more numbers than it holds"),
        (torch_bytes({"state": SELF}), "claims more numbers than it holds"),
        (torch_bytes({"state": LAUGHS}), "claims more numbers than it holds"),
        (torch_bytes({"state": 10**5000}), "damaged"),
        (nested(50_000), "recursion"),
    ],
    ids=["expanded", "repeated", "in itself", "doubling", "huge number", "deep"],
)
def test_files_that_unfold_without_end_are_refused(tmp_path, data, words):
    assert words in refusal(written(tmp_path / "a.pth", data))


@pytest.mark.parametrize(
    "part, claim",
    [(b"cpuq\x06K\x04", b"cpuq\x06\x8a\x05\x00\x00\x00\x00\x01"), (b"K\x00K\x04\x85", b"K\x00J\xff\xff\xff\x7f\x85")],
    ids=["storage", "shape"],
)
def test_tensors_that_claim_more_than_their_storage(tmp_path, part, claim):
    data = torch_bytes({"state": torch.arange(4.0)})
    assert unzipped(written(tmp_path / "a.pth", data))["archive/data.pkl"].count(part) == 1
    assert "damaged" in refusal(written(tmp_path / "a.pth", rewritten(data, lambda _, old: old.replace(part, claim))))


def test_the_bounds_on_numbers_are_exact(tmp_path, monkeypatch):
    content = {"state": [1, 2, (3,)]}
    path = written(tmp_path / "a.pth", with_checksum(content))
    # The dictionary, its two values, the list's three, and the one in the tuple.
    monkeypatch.setattr(torchfiles, "MOST_VALUES", 7)
    assert load_torch(path) == content
    monkeypatch.setattr(torchfiles, "MOST_VALUES", 6)
    assert "claims more" in refusal(path)


def test_the_bound_on_pickles_is_exact(whole, monkeypatch):
    size = len(unzipped(whole)["archive/data.pkl"])
    monkeypatch.setattr(torchfiles, "LARGEST_PICKLE", size)
    load_torch(whole)
    monkeypatch.setattr(torchfiles, "LARGEST_PICKLE", size - 1)
    assert refusal(whole) == f"describes its tensors in {size} bytes: it is another kind of file"


def test_compressed_files_are_refused(whole):
    parts = {name: bytes(1 << 26) if name.endswith("data/0") else data for name, data in unzipped(whole).items()}
    assert "is compressed in a way" in refusal(zipped(whole, parts, zipfile.ZIP_DEFLATED))


def test_overlapping_entries_are_refused(whole):
    assert refusal(
        written(whole, overlapping(zipped(whole, {"a/data.pkl": b"}.", "a/data/x": bytes(999)}).read_bytes()))
    )


def test_torch_sees_the_entries_that_were_checked(whole, tmp_path):
    """Readers of zip files differ in files with other bytes before or after them."""
    bomb = zipped(tmp_path / "b.zip", {"archive/data.pkl": pickle.dumps({}, 2)}).read_bytes()
    for data in (bomb + whole.read_bytes(), whole.read_bytes() + bytes(20)):
        assert checksum(load_torch(written(tmp_path / "a.pth", data))) == checksum(CONTENT)


def test_files_that_are_cut_off(whole, tmp_path):
    data = whole.read_bytes()
    for length in range(0, len(data), 99):
        refusal(written(tmp_path / "a.pth", data[:length]))


def mutated(data: bytes, source: random.Random) -> bytes:
    """`data` with a few bytes set, cut out, put in or copied elsewhere."""
    changed = bytearray(data)
    for _ in range(source.randint(1, 4)):
        place, size = source.randrange(len(changed)), source.randint(1, 64)
        match source.randrange(4):
            case 0:
                changed[place] = source.randrange(256)
            case 1:
                del changed[place : min(place + size, len(changed) - 1)]
            case 2:
                changed[place:place] = source.randbytes(size % 9)
            case 3:
                changed[place:place] = changed[:size]
    return bytes(changed)


@pytest.mark.parametrize("inside", [False, True], ids=["file", "pickle"])
@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(number=st.integers(0, 1 << 32))
def test_mutated_files_end_in_the_content_or_one_sentence(tmp_path, inside, number):
    source, path = random.Random(number), tmp_path / "a.pth"
    data = with_checksum(CONTENT)
    if inside:
        # Checksums and lengths of the zip file are right again.
        data = rewritten(data, lambda name, old: mutated(old, source) if name.endswith("data.pkl") else old)
    else:
        data = mutated(data, source)
    try:
        assert checksum(load_torch(written(path, data))) == checksum(CONTENT)
    except ArchiveError as error:
        assert str(path) in str(error) and "\n" not in str(error)


def test_the_checksum_is_the_same_for_tensors_and_their_arrays():
    assert checksum([torch.eye(3)]) == checksum([torch.eye(3).numpy()]) != checksum([torch.eye(3).double()])
    assert checksum(struct.pack("<i", 1)) != checksum(1)
