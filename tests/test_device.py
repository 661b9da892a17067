"""Devices by name."""

import pytest
import torch

from models.device import describe_device, full_float32, pick_device


def settings() -> tuple[str, str]:
    return torch.backends.cuda.matmul.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision


@pytest.fixture
def default_precision():
    yield
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.fp32_precision = torch.backends.mkldnn.matmul.fp32_precision = "none"


def test_devices_are_described_by_card_or_threads(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card {device.index}")
    assert describe_device(torch.device("cuda:1")) == "cuda:1 (card 1)"
    assert describe_device(torch.device("cpu")) == f"cpu ({torch.get_num_threads()} threads)"


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_products_are_in_full_float32_and_what_was_set_returns(default_precision, precision):
    torch.set_float32_matmul_precision(precision)
    before = settings()
    with full_float32():
        assert torch.get_float32_matmul_precision() == "highest" and settings() == ("ieee", "ieee")
        with full_float32():
            pass
        assert settings() == ("ieee", "ieee")
    assert torch.get_float32_matmul_precision() == precision and settings() == before


def test_what_one_backend_was_set_to_returns_too(default_precision):
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    before = settings()
    with pytest.raises(ZeroDivisionError), full_float32():
        assert settings() == ("ieee", "ieee")
        raise ZeroDivisionError
    assert settings() == before and before[0] == "tf32"


@pytest.mark.parametrize("cuda, name, found", [(False, "auto", "cpu"), (True, "auto", "cuda"), (True, "cpu", "cpu"),
                                               (True, "cuda", "cuda"), (True, "cuda:1", "cuda:1")])  # fmt: skip
def test_devices_are_picked_by_name(monkeypatch, cuda, name, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2 if name == "cuda:1" else 1)
    assert pick_device(name) == torch.device(found)


@pytest.mark.parametrize("cuda, name, words", [(False, "abacus", "is not a device"), (False, "mps", "is not supported"),
                                               (False, "cuda", "no such CUDA device"),
                                               (True, "cuda:2", "no such CUDA device"),
                                               (True, "cuda:256", "no such CUDA device"),
                                               (True, "cuda:300", "no such CUDA device")])  # fmt: skip
def test_devices_that_do_not_exist_are_refused(monkeypatch, cuda, name, words):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match=f"--device '{name}'.*{words}"):
        pick_device(name)
