"""A GPU that is not there: what would meet across devices, draw from another generator or wait, by a pretended one.

The programs run on CPU tensors that claim to be on cuda:0, in a process of its own (`gpu_report`).
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from torch.utils.cpp_extension import include_paths

HERE = Path(__file__).resolve().parent
SUPERVISIONS = ["projection", "projection, Adam", "projection, sine layers", "splines", "lattice", "lattice, Adam",
                "lattice, float64", "points", "points, Adam", "autodiff", "shared"]  # fmt: skip
# Cases of filtering.
FILTERED = 25
# Faults on purpose, and the words that tell of them.
FAULTS = {
    "constants on the CPU": ("error", "Expected all tensors to be on the same device"),
    "a generator of the CPU": ("error", "Expected a cuda generator but found one of the cpu"),
    "the global generator": ("error", "the global generator drew"),
    "a number read": ("events", "waits: aten._local_scalar_dense"),
    "a checked solution": ("events", "waits: aten._linalg_check_errors"),
    "constants copied": ("events", "copies: to the GPU"),
    "a mask": ("events", "waits: a boolean index"),
    "half products": ("events", "imprecise: aten.addmm"),
}


def guard() -> Path:
    """The device guard as a library, compiled once for each of its sources and versions of torch."""
    if platform.system() != "Linux" or torch.backends.cuda.is_built():
        pytest.skip("the pretended GPU requires Linux and a build of PyTorch without CUDA, whose place it takes")
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        pytest.skip("no C++ compiler (Debian, Ubuntu: apt install g++)")
    source = HERE / "gpu_guard.cpp"
    digest = hashlib.sha256(source.read_bytes() + torch.__version__.encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"nfc-gpu-guard-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Nothing is loaded that somebody else may have put there.
    if folder.is_symlink() or folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
        pytest.skip(f"{folder} is not a folder of this user's own")
    library = folder / f"{digest}.so"
    if not library.exists():
        part = folder / f"{digest}.{os.getpid()}.part"
        abi = f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"
        command = [compiler, "-shared", "-fPIC", "-std=c++20", abi, str(source), "-o", str(part)]
        done = subprocess.run([*command, *(f"-I{path}" for path in include_paths())], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"the device guard does not compile: {done.stderr[-300:]}")
        part.rename(library)
    return library


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What every case waited for, and its error."""
    file = tmp_path_factory.mktemp("gpu") / "reports.json"
    paths = os.pathsep.join((str(HERE), str(HERE.parent)))
    environment = os.environ | {"NFC_GPU_GUARD": str(guard()), "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "gpu_report.py"), str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert file.is_file(), done.stderr[-2000:]
    return json.loads(file.read_text())


def events_of(report) -> dict[str, int]:
    assert not report["error"], report["error"]
    return report["events"]


@pytest.mark.parametrize("name", SUPERVISIONS)
def test_no_step_waits_for_the_gpu(reports, name):
    assert events_of(reports[f"steps: {name}"]) == {}


def test_the_loss_is_looked_at_in_every_tenth_step_and_the_last(reports):
    look = "waits: aten._local_scalar_dense at training/trainer.py in _check_loss"
    assert events_of(reports["the loss"]) == {look: 4}


@pytest.mark.parametrize("name", ["a run in a folder", "tiles"])
def test_products_are_in_full_float32_whatever_was_set(reports, name):
    assert events_of(reports[name]) == {}


def test_what_only_preparing_requires_is_not_kept(reports):
    events_of(reports["memory"])


def test_every_kind_of_filtering_answers_as_on_a_cpu(reports):
    kinds = ("grid: ", "points: ", "varying", "covariances: ", "tiles", "eval.py")
    found = [name for name in reports if name.startswith(kinds)]
    assert len(found) == FILTERED
    for name in found:
        events = events_of(reports[name])
        # A few for each axis and kernel: see `gpu_cases.at_points` for those that grow with nothing.
        assert sum(events.values()) <= 70, (name, events)


def test_every_case_is_looked_at(reports):
    named = {f"steps: {name}" for name in SUPERVISIONS} | {"the loss", "a run in a folder", "memory", *FAULTS}
    assert len(reports) == len(named) + FILTERED and named <= set(reports)


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_on_purpose_are_found(reports, fault):
    kind, words = FAULTS[fault]
    assert any(words in text for text in ([reports[fault]["error"]] if kind == "error" else reports[fault]["events"]))
