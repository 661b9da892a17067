"""Checkpoints: what was saved comes back, and nothing else does."""

import contextlib
import errno
import io
import os
import pickle
import random
import resource
import zipfile
from dataclasses import replace

import pytest
import torch
from builders import checkpoint_of, field_config, random_field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from files import ArchiveError
from models import checkpoint as module
from models.checkpoint import FORMAT, Checkpoint, digest_of

KINDS = {
    "siren": field_config("siren", 2, 3),
    "mlp": field_config("mlp", 1, 1, order=2),
    "cp": field_config("separable", 2, 3),
    "tucker": field_config("separable", 3, 1, axes=(0,), core="tucker", ranks=(4, 3, 2), tables=(0, 9, 7)),
}


@pytest.fixture
def saved(tmp_path):
    """A whole checkpoint with training state, in a file."""
    field = random_field(KINDS["cp"])
    training = {
        "step": 3,
        "optimisers": [{"state": {0: {"momentum": torch.randn(2, 2)}}}],
        "generator": torch.arange(9),
    }
    checkpoint = replace(checkpoint_of(field, meta={"alpha": True}), training=training)
    return checkpoint.save(tmp_path / "model.pth")


def rewritten(file, **changes):
    """The checkpoint `file` with some of its entries replaced and a digest that fits them."""
    content = module.read_plain(file)
    content.pop("digest")
    content |= changes
    content["digest"] = digest_of(content)
    torch.save(content, file)
    return file


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_a_field_comes_back_bit_by_bit(tmp_path, kind, dtype):
    field = random_field(KINDS[kind]).to(dtype)
    origin = {"half_size": 0.07, "margin": 0.4, "boundary": "reflect", "source": "ä b.png", "meta": {"a": [1, {}]}}
    checkpoint = checkpoint_of(field, **origin)
    again = Checkpoint.load(checkpoint.save(tmp_path / "model.pth"))
    assert (again.config, again.origin) == (checkpoint.config, checkpoint.origin)
    built = again.build()
    assert built.dtype == dtype
    assert not any(p.requires_grad for p in built.parameters())
    points = torch.rand(5, field.config.dim, dtype=torch.float64)
    assert torch.equal(built(points), field(points))
    for name, value in field.state_dict().items():
        assert torch.equal(value, built.state_dict()[name])


class FullDisk(io.RawIOBase):
    """A file on a disk with room for `left` more bytes."""

    def __init__(self, left: int) -> None:
        self.left = left

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.left -= len(data)
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(data)


@pytest.mark.parametrize("left", [0, 600, 1000, 5000, 500_000])
def test_a_disk_that_fills_up_at_any_place_is_named_as_such(tmp_path, monkeypatch, left):
    wide = random_field(field_config("mlp", 2, num_channels=300))
    monkeypatch.setattr(module, "atomic_write", lambda path: contextlib.closing(FullDisk(left)))
    with pytest.raises(OSError, match="No space"):
        checkpoint_of(wide).save(tmp_path / "model.pth")


def test_training_state_comes_back(saved):
    training = Checkpoint.load(saved).training
    assert training["step"] == 3
    assert training["optimisers"][0]["state"][0]["momentum"].dtype == torch.float32
    assert torch.equal(training["generator"], torch.arange(9))


def test_a_changed_byte_is_refused_or_changes_nothing(saved):
    whole = saved.read_bytes()
    first = Checkpoint.load(saved)
    refused = 0
    for place in range(0, len(whole), 97):
        saved.write_bytes(whole[:place] + bytes([whole[place] ^ 0x21]) + whole[place + 1 :])
        try:
            again = Checkpoint.load(saved)
        except ArchiveError as error:
            assert str(saved) in str(error)
            refused += 1
            continue
        # Only the padding between the parts of a file is free to change.
        assert (again.config, again.origin) == (first.config, first.origin)
        assert all(torch.equal(value, first.state[name]) for name, value in again.state.items())
    assert refused > 0.5 * len(range(0, len(whole), 97))


def test_every_number_is_covered_by_the_digest(saved):
    content = module.read_plain(saved)
    # Written anew, so that the zip file's own checksums are right.
    content["state"]["core"][0, 0] += 1e-12
    torch.save(content, saved)
    with pytest.raises(ArchiveError, match="digest"):
        Checkpoint.load(saved)


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.9, 0.999])
def test_truncated_files_are_refused(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ArchiveError, match=r"model\.pth"):
        Checkpoint.load(saved)


class Payload:
    """A pickle that makes a folder when it is loaded without care."""

    def __init__(self, trace: str) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (self.trace,)


@pytest.mark.parametrize("where", ["alone", "in the state", "plain pickle", "legacy"])
def test_pickled_payloads_are_refused_and_never_run(saved, tmp_path, where):
    payload = Payload(str(tmp_path / "trace"))
    match where:
        case "alone":
            torch.save(payload, saved)
        case "in the state":
            torch.save({"format": FORMAT, "state": {"core": payload}}, saved)
        case "plain pickle":
            saved.write_bytes(pickle.dumps({"format": FORMAT, "core": payload}))
        case "legacy":
            torch.save({"format": FORMAT, "core": payload}, saved, _use_new_zipfile_serialization=False)
    with pytest.raises(ArchiveError, match=r"model\.pth"):
        Checkpoint.load(saved)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"not a checkpoint", b"\x89PNG\r\n\x1a\n" + bytes(100), b"PK\x03\x04" + bytes(200)],
)
def test_foreign_files_are_refused(tmp_path, content):
    file = tmp_path / "model.pth"
    file.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"model\.pth"):
        Checkpoint.load(file)


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {}}, torch.zeros(3), {"format": "other"}, "text"])
def test_torch_files_of_other_programs_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(ArchiveError, match=r"model\.pth"):
        Checkpoint.load(tmp_path / "model.pth")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.pth is not there"):
        Checkpoint.load(tmp_path / "none.pth")


CONFIG = KINDS["cp"].to_dict()
ORIGIN = {"half_size": 0.2, "margin": 0.3, "boundary": "clamp", "shape": (9, 9), "modality": "image", "source": "",
          "digest": "", "meta": "{}"}  # fmt: skip
SELF = []
SELF.append(SELF)
LAUGHS = [0.0]
for _ in range(40):
    LAUGHS = [LAUGHS, LAUGHS]


@pytest.mark.parametrize(
    "changes",
    [
        {"config": CONFIG | {"num_channels": 8192, "num_layers": 64}},
        {"config": CONFIG | {"core": "tucker", "ranks": (8192,) * 2}},
        {"config": CONFIG | {"core": "tucker", "ranks": (8192,) * 8, "dim": 8, "axes": tuple(range(8))}},
        {"config": CONFIG | {"poly_degree": 8, "channels": 4096}},
        {"config": CONFIG | {"kind": "siren"}},
        {"config": CONFIG | {"order": -1}},
        {"config": CONFIG | {"axes": (0.0, 1.0)}},
        {"config": CONFIG | {"axes": "01"}},
        {"config": CONFIG | {"omega_0": "high"}},
        {"config": CONFIG | {"surprise": 1}},
        {"config": []},
        {"origin": ORIGIN | {"half_size": "small"}},
        {"origin": ORIGIN | {"half_size": float("nan")}},
        {"origin": ORIGIN | {"margin": -1.0}},
        {"origin": ORIGIN | {"shape": (9, 1 << 40)}},
        {"origin": ORIGIN | {"shape": (9,)}},
        {"origin": ORIGIN | {"boundary": "wrap"}},
        {"origin": ORIGIN | {"modality": None}},
        {"origin": ORIGIN | {"meta": "[" * 10_000}},
        {"origin": ORIGIN | {"meta": "[]"}},
        {"origin": 3},
        {"state": {}},
        {"state": []},
        {"state": {"core": "weights"}},
        {"state": {"core": torch.zeros(6, 3, dtype=torch.int64)}},
        {"training": 7},
    ],
)
def test_contents_that_do_not_fit_are_refused(saved, changes):
    file = rewritten(saved, **changes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ArchiveError):
        Checkpoint.load(file).build()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(saved, value):
    state = dict(Checkpoint.load(saved).state)
    state["core"] = torch.full_like(state["core"], value)
    with pytest.raises(ArchiveError, match="not finite"):
        Checkpoint.load(rewritten(saved, state=state)).build()


@pytest.mark.parametrize(
    "state, words",
    [
        (torch.zeros(1).expand(1 << 36), "larger than its storage"),
        ([torch.zeros(1000)] * 1000, "bomb"),
        (SELF, "recursion"),
        (LAUGHS, "bomb"),
        (10**5000, "damaged"),
    ],
    ids=["expanded", "repeated", "self", "laughs", "huge number"],
)
def test_files_that_unfold_without_end_are_refused(tmp_path, state, words):
    torch.save({"format": FORMAT, "state": state}, tmp_path / "model.pth")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ArchiveError, match=words):
        Checkpoint.load(tmp_path / "model.pth")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_compressed_bombs_are_refused(saved):
    with zipfile.ZipFile(saved) as source:
        parts = {entry.filename: source.read(entry) for entry in source.infolist()}
    name = next(part for part in parts if part.endswith("data/0"))
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as target:
        for part, data in parts.items():
            target.writestr(part, bytes(1 << 26) if part == name else data)
    with pytest.raises(ArchiveError, match=r"model\.pth"):
        Checkpoint.load(saved)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """`data` with a few bytes set, cut out, put in or copied elsewhere."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place, size = rng.randrange(len(changed)), rng.randint(1, 64)
        match rng.randrange(4):
            case 0:
                changed[place] = rng.randrange(256)
            case 1:
                del changed[place : min(place + size, len(changed) - 1)]
            case 2:
                changed[place:place] = rng.randbytes(size % 9)
            case 3:
                changed[place:place] = changed[:size]
    return bytes(changed)


def with_mutated_pickle(whole: bytes, rng: random.Random) -> bytes:
    """The file with its pickle mutated, and checksums and lengths that are right again."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(target, "w") as rewritten:
        for entry in source.infolist():
            data = source.read(entry)
            rewritten.writestr(entry, mutated(data, rng) if entry.filename.endswith("data.pkl") else data)
    return target.getvalue()


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory):
    """A small checkpoint as bytes, and a folder to write changed ones to."""
    folder = tmp_path_factory.mktemp("fuzz")
    field = random_field(field_config("siren", 1, 1, num_channels=2))
    return checkpoint_of(field, shape=(9,)).save(folder / "model.pth").read_bytes(), folder


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # of what a mutated pickle calls a string
@pytest.mark.parametrize("mutate", [mutated, with_mutated_pickle])
@settings(max_examples=1200, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(seed=st.integers(0, 1 << 62))
def test_a_mutated_file_is_refused_in_one_sentence_or_whole(whole_file, mutate, seed):
    whole, folder = whole_file
    file = folder / "changed.pth"
    file.write_bytes(mutate(whole, random.Random(seed)))
    try:
        Checkpoint.load(file).build()
    except ArchiveError as error:
        assert "\n" not in str(error)
    assert sorted(path.name for path in folder.iterdir()) == ["changed.pth", "model.pth"]
