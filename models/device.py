"""Where tensors live: the CPU, or a CUDA device."""

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
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise ValueError(f"--device {name!r}: this machine has no such CUDA device; choose --device cpu")
    return device
