"""Checkpoints: what was saved comes back, and damage is noticed."""

import contextlib
import errno
import io
import os

import pytest
import torch
from builders import checkpoint_of, field_config, random_field

from files import ArchiveError
from models import checkpoint as module
from models.checkpoint import Checkpoint

KINDS = {
    "siren": field_config("siren", 2, 3),
    "mlp": field_config("mlp", 1, 1, order=2),
    "cp": field_config("separable", 2, 3),
    "tucker": field_config("separable", 3, 1, axes=(0,), core="tucker", ranks=(4, 3, 2), tables=(0, 9, 7)),
}


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


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.pth is not there"):
        Checkpoint.load(tmp_path / "none.pth")
