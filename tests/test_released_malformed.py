"""Files that claim to be the authors' and make no sense: one sentence, and nothing in them is run."""

import pickletools
import random

import numpy as np
import pytest
import torch
from archives import npy_bytes, rewritten, sentence, written
from authors import JAX_FILES, TRUTH, Network, Runs, kernel, read_stored, read_tent, torch_bytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import released
from files import ArchiveError
from released import read_field


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"res": [[1.0]]}, "has res that is not an array of numbers"),
        ({"res": np.zeros((0, 3))}, "neither image, shape nor video"),
        ({"res": np.zeros((1,) * 5)}, "neither image, shape nor video"),
        ({"res": np.array([np.nan])}, "NaN"),
        ({"res": np.array([1j])}, "not an array of numbers"),
        ({"res": np.array(["a"])}, "'U1', not of plain numbers"),
        ({"size": -1.0}, "has size that is not a positive number"),
        ({"size": 0.0}, "not a positive number"),
        ({"size": float("nan")}, "not a positive number"),
        ({"size": 10**400}, "not a positive number"),
        ({"size": "0.05"}, "has size that is not a number"),
        ({"samples": 0}, "has samples that is not a whole number from 1 to 4611686018427387904"),
        ({"samples": 1.5}, "not a whole number"),
    ],
)
def test_ground_truths_that_make_no_sense(file, change, words):
    assert words in sentence(read_tent, file(npy_bytes({**TRUTH, **change})))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_ctrl_pts": 12}, "has n_ctrl_pts 12, but ckpt (13,) and ctrl_pts (13,)"),
        ({"ckpt": np.ones((13, 2))}, "but ckpt (13, 2)"),
        ({"ctrl_pts": np.full(13, np.inf)}, "has ctrl_pts with values that are NaN or infinite"),
        ({"ckpt": np.zeros(13)}, "off by nan"),
    ],
)
def test_kernels_that_make_no_sense(file, change, words):
    assert words in sentence(read_stored, file(torch_bytes({**kernel(), **change})))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layers": 1}, "has 'net.net.3.0.bias', which does not fit"),
        ({"layers": 3}, "lacks 'net.net.4.0.bias', which does not fit"),
        ({"layers": 65}, "has layers that is not a whole number from 1 to 64"),
        ({"channels": 9}, "holds net.net.0.0.weight (16, 14), but its description requires (9, 14)"),
        ({"encodings": 5}, "requires (16, 22)"),
        ({"pe": False}, "requires (16, 2)"),
        ({"include_input": False}, "requires (16, 12)"),
        ({"include_input": False, "encodings": 3.5}, "encodings"),
        ({"pe": 7}, "has pe that is not a whole number from 0 to 1"),
        ({"activation": "gelu"}, "activation that is not supported; swish and sine are"),
        ({"activation": ["swish"]}, "activation"),
        ({"input": None}, "input"),
        ({"ckpt": {1: 2}}, "has no weights under 'ckpt'"),
    ],
)
def test_checkpoints_that_make_no_sense(file, change, words):
    assert words in sentence(read_field, file(torch_bytes(Network(2, 3).checkpoint(**change))))


@pytest.mark.parametrize(
    ("network", "bands", "words"),
    [
        (lambda: Network(4, 3), 3, "has a field of 4 coordinates"),
        (lambda: Network(2, 3), 30, "pe must be a whole number"),
    ],
)
def test_whole_checkpoints_of_no_field_of_ours(file, monkeypatch, network, bands, words):
    monkeypatch.setattr("authors.BANDS", bands)
    assert words in sentence(read_field, file(torch_bytes(network().checkpoint(encodings=bands))))


def test_checkpoints_that_encode_positions_alone(file):
    network = Network(2, 3)
    network.layers[0] = torch.nn.Linear(12, 16)
    stored = network.checkpoint(include_input=False)
    assert "without the positions themselves" in sentence(read_field, file(torch_bytes(stored)))
    sine = Network(2, 3, "sine").checkpoint(include_input=False)
    assert read_field(file(torch_bytes(sine))).config.kind == "siren"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("pe.more", torch.ones(2), "has 'pe.more', which does not fit"),
        ("net.net.0.0.bias", 3, "holds net.net.0.0.bias None, but its description requires (16,)"),
        ("net.net.0.0.bias", torch.full((16,), np.nan), "has net.net.0.0.bias with values that are NaN"),
        ("net.net.0.0.bias", torch.full((16,), 1e300, dtype=torch.float64), "its weights are not finite"),
    ],
)
def test_weights_that_make_no_sense(file, name, value, words):
    stored = Network(2, 3).checkpoint()
    stored["ckpt"][name] = value
    assert words in sentence(read_field, file(torch_bytes(stored)))


def test_files_of_another_kind_are_known_as_such(file):
    for read in (read_stored, read_field):
        for value in ([1, 2], {"a": 1}, torch.ones(3), "text"):
            with pytest.raises(released.OtherKindError, match=r"file (holds a|lacks)"):
                read(file(torch_bytes(value)))
    assert "lacks size: it is another kind" in sentence(read_tent, file(npy_bytes({"res": 1, "samples": 1})))
    assert "array of plain values" in sentence(read_tent, file(npy_bytes(np.ones(3))))
    assert "array of plain values" in sentence(read_tent, file(npy_bytes(np.array([None]))))
    holder = np.empty((), object)
    holder[()] = [1, 2]
    assert "holds a list" in sentence(read_tent, file(npy_bytes(holder)))
    for data in (b"", torch_bytes(kernel()), b"\x93NUMPY\x03\x00" + bytes(9)):
        assert "not an .npy file of a known version" in sentence(read_tent, file(data))


@pytest.mark.parametrize("read", [read_stored, read_field, read_tent])
def test_files_that_do_not_exist(tmp_path, read):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(FileNotFoundError):
            read(path)


def test_payloads_are_not_run(file, tmp_path):
    runs = Runs(tmp_path / "ran")
    for read, data in (
        (read_stored, torch_bytes(kernel() | {"radius": runs})),
        (read_field, torch_bytes(Network(2, 3).checkpoint(epoch=runs))),
        (read_tent, npy_bytes(TRUTH | {"res": runs})),
    ):
        assert "system', which was not run" in sentence(read, file(data))
    assert not (tmp_path / "ran").exists()


SEEDS = {
    "truth": (read_tent, [npy_bytes(TRUTH | {"res": np.ones((2, 2))}), *JAX_FILES.values()]),
    "kernel": (read_stored, [torch_bytes(kernel(3)), torch_bytes(kernel(3), legacy=True)]),
    "field": (read_field, [torch_bytes(Network(2, 3).checkpoint(optim=None), legacy) for legacy in (False, True)]),
}


INSTRUCTIONS = [op.code.encode("latin1") for op in pickletools.opcodes]


def mutated(data: bytes, source: random.Random) -> bytes:
    """`data` with a few bytes overwritten, inserted or deleted, and now and then cut off."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        place = source.randrange(len(changed) + 1)
        new = source.choice((source.randbytes(source.randint(1, 4)), source.choice(INSTRUCTIONS)))
        changed[place : source.choice((place, place + len(new), place + source.randint(0, 9)))] = new
    return bytes(changed[: source.randrange(len(changed)) if source.random() < 0.05 else None])


@pytest.mark.parametrize("kind", SEEDS)
@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(number=st.integers(0, 1 << 32))
def test_mutated_files_end_in_values_or_one_sentence(tmp_path, kind, number):
    source = random.Random(number)
    read, seeds = SEEDS[kind]
    data = source.choice(seeds)
    if data.startswith(b"PK") and number % 4:
        # Past the zip file's own checksums, at the pickle within.
        data = rewritten(data, lambda name, old: mutated(old, source) if name.endswith("data.pkl") else old)
    else:
        data = mutated(data, source)
    try:
        read(written(tmp_path / "mutated", data))
    except ArchiveError as error:
        assert str(error).startswith(str(tmp_path)) and "\n" not in str(error)
