"""What eval.py refuses: one sentence, and nothing is changed."""

import os
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from builders import exact_truth, noise_signal
from programs import refused

import eval as eval_program
from files import load_torch, save_torch
from kernels import minimal_kernel

EVAL_MISTAKES = {
    "missing model": ("none.pth", {"model_path": "none.pth"}),
    "foreign model": ("foreign.pth", {"model_path": "foreign.pth"}),
    "truncated model": ("short.pth", {"model_path": "short.pth"}),
    "payload in the model": ("payload.pth", {"model_path": "payload.pth"}),
    "model of no modality": ("modality", {"model_path": "odd.pth"}),
    "model read with unknown options": ("unknown a", {"model_path": "load.pth", "signal": "picture.png"}),
    "missing kernel": ("none", {"kernel_path": "none"}),
    "truncated kernel": ("short.npz", {"kernel_path": "short.npz"}),
    "payload in the kernel": ("payload.npz", {"kernel_path": "payload.npz"}),
    "order of the kernel": ("order 0", {"kernel_path": "box.npz"}),
    "axes of the kernel": ("axes", {"kernel_path": "three.npz"}),
    "kernel beyond the margin": ("--margin", {"kernel_scale": 1}),
    "scale 0": ("--kernel_scale", {"kernel_scale": 0}),
    "scale -2": ("--kernel_scale", {"kernel_scale": -2}),
    "scale nan": ("--kernel_scale", {"kernel_scale": "nan"}),
    "scale of words": ("--kernel_scale", {"kernel_scale": "wide"}),
    "scale of three": ("--kernel_scale", {"kernel_scale": "4,4,4"}),
    "width 0": ("--width", {"width": 0}),
    "height -3": ("--height", {"height": -3}),
    "width beyond all": ("samples", {"width": 10**9}),
    "block 0": ("--block_size", {"block_size": 0}),
    "other modality": ("image", {"modality": 3}),
    "unknown modality": ("modality", {"modality": "smell"}),
    "signal of other channels": ("channels", {"signal": "grey.png"}),
    "missing signal": ("none.png", {"signal": "none.png"}),
    "ground truth of another kernel": ("another", {"gt_path": "truth.npz", "kernel_scale": 4}),
    "ground truth and sizes": ("--gt_path holds one", {"gt_path": "truth.npz", "scale_map": "map.npy"}),
    "ground truth of other channels": ("--gt_path holds 1 channels", {"gt_path": "grey.npz"}),
    "ground truth of another boundary": ("boundary reflect", {"gt_path": "reflect.npz"}),
    "signal of another size": ("12 x 14 samples, the field was trained on 10 x 14", {"signal": "high.png"}),
    "a kernel with two sizes": ("--kernel has its size", {"kernel": "disk", "radius": 0.1}),
    "two kinds of maps": ("do not go together", {"scale_map": "map.npy", "angle_map": "map.npy"}),
    "angles of no kernel": ("--angle_map turns", {"angle_map": "map.npy"}),
    "angles of a round kernel": (
        "--angle_map turns",
        {"angle_map": "map.npy", "kernel": "disk", "radius": 0.1, "kernel_scale": None},
    ),
    "an angle of its own": (
        "--angle_map turns",
        {
            "angle_map": "map.npy",
            "kernel": "motion",
            "length": 0.2,
            "thickness": 0.1,
            "angle": 10,
            "kernel_scale": None,
        },
    ),
    "a map of other axes": ("a map requires 2 axes", {"scale_map": "long.npy"}),
    "a map beyond 1": ("from 0 to 1", {"scale_map": "high.npy"}),
    "a range of three": ("--scale_range must be two", {"scale_map": "map.npy", "scale_range": "1,2,3"}),
    "a range of one": ("--scale_range must be two", {"scale_map": "map.npy", "scale_range": "1"}),
    "a range of words": ("--scale_range must be two", {"scale_map": "map.npy", "scale_range": "a,b"}),
    "a range without a map": ("give --scale_map, too", {"scale_range": "0.5,2"}),
    "filters and a scale": ("leave --kernel_path", {"filters": "tent:0.1"}),
    "two filters of one name": ("in one folder", {"filters": "tent:0.1,a/tent:0.1", "kernel_scale": None}),
    "filters without a size": ("half size in --filters", {"filters": "tent", "kernel_scale": None}),
    "no such device": ("--device", {"device": "abacus"}),
    "full folder": ("not empty", {"save_path": "full"}),
    "a file": ("never overwritten", {"save_path": "picture.png"}),
    "below a file": ("", {"save_path": "picture.png/out"}),
    "no folder can be made": ("", {"save_path": "/proc/nowhere/out"}),
}


class Payload:
    def __reduce__(self):
        return os.mkdir, ("trace",)


@pytest.fixture
def mistakes(tmp_path, model, picture, monkeypatch):
    """A folder with everything in it that is wrong about models, kernels and signals."""
    monkeypatch.chdir(tmp_path)
    Path("foreign.pth").write_bytes(b"something else")
    Path("short.pth").write_bytes(model.read_bytes()[:-500])
    torch.save({"state": Payload()}, "payload.pth")
    content = load_torch(model)
    changes = {"odd.pth": {"modality": "smell", "meta": "{}"}, "load.pth": {"meta": '{"load": {"a": 1}}'}}
    for name, change in changes.items():
        save_torch(name, content | {"origin": content["origin"] | change})
    minimal_kernel(1, 1.0).save("tent.npz")
    minimal_kernel(0, 1.0).save("box.npz")
    minimal_kernel(1, 1.0, 3).save("three.npz")
    Path("short.npz").write_bytes(Path("tent.npz").read_bytes()[:-60])
    pickled = {"weights": np.array([Payload()], dtype=object), "order": 1, "axes": [0]}
    np.savez("payload.npz", positions=np.zeros((1, 1)), **pickled)
    iio.imwrite("grey.png", np.zeros((10, 14), np.uint8))
    exact_truth(noise_signal((10, 14), 3), half_size=0.1).save("truth.npz")
    exact_truth(noise_signal((10, 14), 1), half_size=0.25).save("grey.npz")
    exact_truth(noise_signal((10, 14), 3), half_size=0.25, boundary="reflect").save("reflect.npz")
    iio.imwrite("high.png", np.zeros((12, 14, 3), np.uint8))
    for name, values in {"map": np.zeros((4, 4)), "long": np.zeros(4), "high": np.full((4, 4), 1.1)}.items():
        np.save(f"{name}.npy", values)
    Path("full").mkdir()
    Path("full/precious.txt").write_text("mine")
    return tmp_path


@pytest.mark.parametrize("name", EVAL_MISTAKES)
def test_wrong_input_to_eval_is_one_sentence_and_changes_nothing(mistakes, name):
    words, flags = EVAL_MISTAKES[name]
    given = {"model_path": "model.pth", "save_path": "out", "kernel_scale": 4} | flags
    refused(eval_program, mistakes, words, **{flag: value for flag, value in given.items() if value is not None})
