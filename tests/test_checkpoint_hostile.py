"""Checkpoints that somebody made to do harm, or that are something else: refused, and nothing in them is run."""

import io
import os
import pickle
import random
import resource
import zipfile

import pytest
import torch
from builders import checkpoint_of, field_config, random_field
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from files import ArchiveError
from models import checkpoint as module
from models.checkpoint import FORMAT, Checkpoint, digest_of


def rewritten(file, **changes):
    """The checkpoint `file` with some of its entries replaced and a digest that fits them."""
    content = module.read_plain(file)
    content.pop("digest")
    content |= changes
    content["digest"] = digest_of(content)
    torch.save(content, file)
    return file


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


CONFIG = field_config("separable", 2, 3).to_dict()
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
