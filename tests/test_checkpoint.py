"""Checkpoints: what was saved comes back, old ones are read, and what does not fit is refused without using memory."""

import errno
import io
import os
import resource
from collections import OrderedDict
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import field_config, random_field
from scipy.interpolate import BSpline

import files.torchfiles
from files import ArchiveError, load_torch, save_torch
from modalities.image import ImageMetadata
from modalities.video import VideoMetadata
from models.checkpoint import FORMAT, load_checkpoint, save_checkpoint, upgraded

ROOT = Path(__file__).resolve().parent.parent
KINDS = {
    "siren": field_config("siren", 2, 3),
    "mlp": field_config("mlp", 1, 1, order=2),
    "separable": field_config("separable", 3, 1, axes=(0,), ranks=(4, 3, 2), tables=(0, 9, 7)),
    "splines": field_config("separable", 2, 2, factor="spline", knots=(9, 12), reach=(0.7, 0.5)),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_a_field_comes_back_bit_by_bit(tmp_path, kind, dtype):
    axes = len(KINDS[kind].axes)
    origin = {"half_size": tuple(0.07 * k for k in range(1, axes + 1)), "margin": 0.4, "boundary": "reflect"}
    origin |= {"source": "ä b.png", "modality": "", "psnr": {0.5: 31.0, 1.0: 45.5}}
    field = random_field(KINDS[kind], **origin).to(dtype)
    again, training = load_checkpoint(field.save(tmp_path / "model.pth"))
    assert (again.config, again.origin, again.psnr, training) == (field.config, field.origin, 45.5, {})
    assert again.dtype == dtype and not again.training
    assert not any(p.requires_grad for p in again.parameters())
    for name, value in field.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


def test_metadata_and_what_is_released_come_back(tmp_path):
    metadata = VideoMetadata(fps=12.5, start=3, max_frames=9, height=7)
    origin = {"modality": "video", "metadata": metadata, "shape": (9, 9, 9), "released": True}
    field = random_field(field_config("separable", 3, 3, axes=(2,)), **origin)
    assert load_checkpoint(field.save(tmp_path / "model.pth"))[0].origin == field.origin


def test_training_state_comes_back(saved):
    field, training = load_checkpoint(saved)
    assert field.origin.metadata == ImageMetadata(linear=True)
    assert training["step"] == 3
    assert training["optimisers"][0]["state"][0]["momentum"].dtype == torch.float32
    assert torch.equal(training["generator"], torch.arange(9))


def old_checkpoint(path: Path, config: dict, state: dict, **origin) -> Path:
    """A file as version 0.2 wrote it: a kind of core, factors with scales, one half size, options of loaders apart."""
    facts = {"half_size": 0.2, "margin": 0.3, "boundary": "clamp", "shape": (9,) * config["dim"], "source": "a.png"}
    facts |= {"modality": "image", "digest": "0" * 64, "meta": '{"alpha": false, "load": {}, "released": false}'}
    content = {"format": FORMAT, "config": config, "origin": facts | origin, "state": state, "training": {}}
    return save_torch(path, content)


@pytest.mark.parametrize("core", ["cp", "tucker"])
def test_old_cores_and_scales_stand_for_the_same_function(tmp_path, core):
    # F(x, y) = sum_r core_r U_r(x) V_r(y) with U read off a table and V a cubic spline that is integrated once.
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    rows, knots, scales, powers = draw(5, 3), draw(7, 3), (draw(3), draw(3)), draw(1, 1, 3)
    weights = draw(3, 3) if core == "cp" else draw(3, 3, 3)
    config = field_config("separable", 2, 3, axes=(1,), order=0, factor="spline", ranks=(3, 3), tables=(5, 0),
                          knots=(0, 7), reach=(0.0, 0.5), poly_degree=0).to_dict()  # fmt: skip
    state = OrderedDict({"polynomial.coefficients": powers, "factors.0.rows": rows, "factors.1.coefficients": knots})
    state |= {"factors.0.scale": scales[0], "factors.1.scale": scales[1], "core": weights}
    field, _ = load_checkpoint(old_checkpoint(tmp_path / "old.pth", config | {"core": core}, state))
    x, y = torch.tensor([-1.0, 0.5, 1.0]).double(), torch.tensor([-0.9, 0.1, 0.77]).double()
    step = 3.0 / 4
    spline = BSpline(-1.5 + step * np.arange(-3, 8), knots.numpy(), 3).antiderivative()
    u = rows[[0, 3, 4]] * scales[0]
    v = torch.as_tensor(spline(y.numpy()) - spline(-1.5)) * scales[1]
    product = "nr,nr,rc->nc" if core == "cp" else "nr,ns,rsc->nc"
    wanted = torch.einsum(product, u, v, weights) + y[:, None] * powers[0, 0]
    # Integrals of the spline differ by a constant, which the kernels' differences do not see.
    found = field(torch.stack([x, y], dim=-1)) - field(torch.stack([x, torch.full_like(y, -1.5)], dim=-1))
    origin = torch.einsum(product, u, 0 * v, weights) - 1.5 * powers[0, 0]
    np.testing.assert_allclose(found, wanted - origin, atol=1e-12)
    assert field.origin.half_size == (0.2,) and field.origin.metadata == ImageMetadata() and not field.origin.released
    assert field.config.ranks == (3, 3)


def test_old_networks_and_loader_options(tmp_path):
    field = random_field(field_config("separable", 3, 1, axes=(0, 1)), modality="video", shape=(9, 9, 9))
    state = {name: value.clone() for name, value in field.state_dict().items()}
    scale = torch.tensor([0.5, 2.0, 1.0, 3.0, 1.0, 1.0]).double()
    state["factors.1.head.weight"] /= scale[:, None]
    state["factors.1.scale"] = scale
    config = field.config.to_dict() | {"core": "tucker"}
    meta = '{"fps": 12.5, "load": {"height": 7, "start": 2}, "released": true}'
    path = old_checkpoint(tmp_path / "old.pth", config, state, modality="video", meta=meta)
    again, _ = load_checkpoint(path)
    points = torch.rand(5, 3, dtype=torch.float64)
    torch.testing.assert_close(again(points), field(points))
    assert again.origin.metadata == VideoMetadata(fps=12.5, height=7, start=2)
    assert again.origin.half_size == (0.2, 0.2) and again.origin.released


def test_diagonal_cores_are_made_dense_up_to_a_bound(monkeypatch):
    config = {"kind": "separable", "dim": 2}
    monkeypatch.setattr("models.checkpoint.LARGEST_CORE", 18)
    assert upgraded({**config, "core": "cp"}, {"core": torch.ones(3, 2)})[1]["core"].shape == (3, 3, 2)
    with pytest.raises(ValueError, match="too large to be made dense"):
        upgraded({**config, "core": "cp"}, {"core": torch.ones(3, 3)})


@pytest.mark.parametrize("folder", ["images", "geometry", "videos", "audio", "motion"])
def test_shipped_models_are_read(folder):
    field, _ = load_checkpoint(ROOT / "trained_models" / folder / "model.pth")
    assert field.origin.metadata.modality == field.origin.modality
    assert field.config.axes and not field.origin.released


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


@pytest.mark.parametrize("left", [0, 5000])
def test_a_disk_that_fills_up_is_named_as_such(tmp_path, monkeypatch, left):
    wide = random_field(field_config("mlp", 2, num_channels=300))
    monkeypatch.setattr(files.torchfiles, "atomic_write", lambda path: closing(FullDisk(left)))
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(tmp_path / "model.pth", wide)


def test_files_that_are_no_checkpoint_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        load_checkpoint(tmp_path / "none.pth")
    save_torch(tmp_path / "other.pth", {"format": "other"})
    with pytest.raises(ArchiveError, match=r"other\.pth is not a checkpoint of this program"):
        load_checkpoint(tmp_path / "other.pth")


CONFIG = field_config("separable", 2, 3).to_dict()
ORIGIN = {"half_size": (0.2, 0.2), "margin": 0.3, "boundary": "clamp", "shape": (9, 9), "modality": "image",
          "source": "", "digest": "", "meta": "{}", "psnr": {}}  # fmt: skip


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"config": CONFIG | {"ranks": (8192,) * 2}}, "do not fit its configuration"),
        ({"config": CONFIG | {"ranks": (8192,) * 8, "dim": 8, "axes": tuple(range(8))}}, "8 filtered axes"),
        ({"config": CONFIG | {"kind": "siren"}}, "do not fit its configuration"),
        ({"config": CONFIG | {"order": -1}}, "order must be"),
        ({"config": CONFIG | {"surprise": 1}}, "surprise"),
        ({"config": []}, "kind"),
        ({"origin": ORIGIN | {"half_size": "small"}}, ""),
        ({"origin": ORIGIN | {"half_size": float("nan")}}, "half size"),
        ({"origin": ORIGIN | {"half_size": (0.2,)}}, "half size.*2 filtered axes"),
        ({"origin": ORIGIN | {"margin": -1.0}}, "margin"),
        ({"origin": ORIGIN | {"shape": (9, (1 << 24) + 1)}}, "shape"),
        ({"origin": ORIGIN | {"shape": (9,)}}, "no signal of shape"),
        ({"origin": ORIGIN | {"boundary": "wrap"}}, "boundary"),
        ({"origin": ORIGIN | {"modality": None}}, "modality"),
        ({"origin": ORIGIN | {"psnr": {"high": 1.0}}}, "high"),
        ({"origin": ORIGIN | {"meta": "[" * 10_000}}, ""),
        ({"origin": ORIGIN | {"meta": '{"alpha": 1}'}}, "alpha"),
        ({"origin": ORIGIN | {"surprise": 1}}, "surprise"),
        ({"origin": 3}, ""),
        ({"state": {}}, "do not fit its configuration"),
        ({"state": []}, ""),
        ({"training": 7}, ""),
    ],
)
def test_contents_that_do_not_fit_are_refused(saved, changes, words):
    save_torch(saved, load_torch(saved) | changes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ArchiveError, match=f"model.pth is damaged: .*{words}") as caught:
        load_checkpoint(saved)
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda core: torch.full_like(core, float("nan")), "not finite"),
        (lambda core: core.half(), "not all float32 or all float64"),
        (lambda core: core.float(), "not all float32 or all float64"),
    ],
)
def test_weights_are_finite_and_of_one_precision(saved, change, words):
    content = load_torch(saved)
    content["state"]["core"] = change(content["state"]["core"])
    save_torch(saved, content)
    with pytest.raises(ArchiveError, match=words):
        load_checkpoint(saved)
