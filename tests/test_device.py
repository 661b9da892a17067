"""Devices by name."""

import pytest
import torch

from models.device import pick_device


@pytest.mark.parametrize("cuda, name, found", [(False, "auto", "cpu"), (True, "auto", "cuda"), (True, "cpu", "cpu"),
                                               (True, "cuda", "cuda"), (True, "cuda:1", "cuda:1")])  # fmt: skip
def test_devices_are_picked_by_name(monkeypatch, cuda, name, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device(name) == torch.device(found)


@pytest.mark.parametrize("cuda, name, words", [(False, "abacus", "is not a device"), (False, "mps", "is not supported"),
                                               (False, "cuda", "no such CUDA device"),
                                               (True, "cuda:2", "no such CUDA device")])  # fmt: skip
def test_devices_that_do_not_exist_are_refused(monkeypatch, cuda, name, words):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match=f"--device '{name}'.*{words}"):
        pick_device(name)
