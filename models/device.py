"""Where tensors live, the CPU or a CUDA device, and how precisely either multiplies."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch


def pick_device(name: str) -> torch.device:
    """'auto' (CUDA where available), 'cpu', 'cuda' or 'cuda:N'; raises ValueError for a device that does not exist."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"--device {name!r} is not a device; choose auto, cpu or cuda") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"--device {name!r} is not supported; choose auto, cpu or cuda")
    # torch keeps a number in eight bits: its cuda:256 is cuda:0.
    index = int(name.partition(":")[2] or 0)
    if device.type == "cuda" and (not torch.cuda.is_available() or index >= torch.cuda.device_count()):
        raise ValueError(f"--device {name!r}: this machine has no such CUDA device; choose --device cpu")
    return device


def describe_device(device: torch.device) -> str:
    """A device as a report names it: with the card's name, or the number of threads."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"


@contextlib.contextmanager
def ordinary_tensors() -> Iterator[None]:
    """Leaves torch.inference_mode until the end of the block: its tensors do not count how often they change."""
    with torch.inference_mode(False) if torch.is_inference_mode_enabled() else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Products of float32 matrices in float32 until the end of the block, whatever precision was set before: in TF32
    or bfloat16 the differences of large numbers that follow would be noise."""
    backends: list[Any] = [torch.backends.cuda.matmul, torch.backends.mkldnn.matmul]  # type: ignore[attr-defined]
    by_backend = [backend.fp32_precision for backend in backends]
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:
        # torch has two interfaces for this, and refuses the older one where the newer one was used.
        before = ""
        for backend in backends:
            backend.fp32_precision = "ieee"
    if before not in ("", "highest"):
        torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        if before not in ("", "highest"):
            torch.set_float32_matmul_precision(before)
        for backend, precision in zip(backends, by_backend, strict=True):
            if backend.fp32_precision != precision:
                backend.fp32_precision = precision
