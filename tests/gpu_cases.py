"""What is asked of the pretended GPU: every case checks its results, and returns what it waited for."""

import gpu_pretended as gpu  # first: before torch

# isort: split
import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders import exact_truth, random_field, smooth_signal, undrawn_truth
from field_cases import CONFIGS, uneven_kernel
from programs import call
from training_cases import SILENT

import eval as eval_program
import nfconv
from kernels import minimal_kernel
from models.checkpoint import load_checkpoint, save_checkpoint
from models.field import Field
from models.varying import CovarianceFilter, Filter
from training import directions, resolve, train
from training.processes import ManyProcesses
from training.setup import make_trainer
from training.trainer import Trainer

STEPS = 9
CUDA = torch.device("cuda", 0)
RUNS: dict[str, dict[str, Any]] = {
    "projection": {},
    "projection, Adam": {"optimizer": "adam"},
    "projection, sine layers": {"factor": "sine", "num_layers": 2},
    "splines": {"factor": "spline"},
    "lattice": {"field": "mlp", "loss": "l1"},
    "lattice, Adam": {"field": "siren", "optimizer": "adam", "loss": "log"},
    "lattice, float64": {"field": "mlp", "precision": 64, "num_layers": 2, "schedule": "step"},
    "points": {"field": "mlp", "supervision": "points", "batch": 64},
    "points, Adam": {"field": "siren", "supervision": "points", "batch": 64, "optimizer": "adam"},
    "autodiff": {"field": "mlp", "supervision": "autodiff", "batch": 64},
}
SIGNAL = smooth_signal((14, 12), 2)


def started(device: Any = CUDA, **asked: Any) -> Trainer:
    """A trainer ready for its first step."""
    options = {"num_channels": 6, "num_layers": 1, "num_steps": 2 * STEPS, "batch": 128} | asked
    return make_trainer(exact_truth(SIGNAL, margin=0.2), resolve(options), device, SIGNAL)


def stepped(trainer: Trainer, count: int) -> dict[str, int]:
    """`count` steps, and what they waited for."""
    gpu.events.clear()
    for _ in range(count):
        trainer.advance()
    return dict(gpu.events)


def weights(trainer: Trainer) -> dict[str, np.ndarray]:
    trainer.finish()
    return {name: value.cpu().numpy() for name, value in trainer.field.state_dict().items()}


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], name)


def run_of(asked: dict[str, Any]) -> dict[str, int]:
    """Steps on the GPU; a run resumed from its file goes on as if never stopped; and it moves to a CPU and back."""
    trainer = started(**asked)
    if not trainer.optimisers:
        trainer.finish()
        return {}
    # The first loss is looked at, and then every tenth one.
    trainer.advance()
    waited = stepped(trainer, STEPS)
    with tempfile.TemporaryDirectory() as folder:
        trainer.finish()
        path = save_checkpoint(Path(folder) / "current.pth", trainer.field, trainer.state())
        again, moved, back = started(**asked), started("cpu", **asked), started(**asked)
        again.restore(*load_checkpoint(path))
        stepped(trainer, 2), stepped(again, 2)
        same(weights(trainer), weights(again))
        moved.restore(*load_checkpoint(path))
        same(weights(moved), {name: value.numpy() for name, value in load_checkpoint(path)[0].state_dict().items()})
        assert moved.step == STEPS + 1 and moved.field.device.type == "cpu"
        moved.advance()
        back.restore(*load_checkpoint(save_checkpoint(path, moved.field, moved.state())))
        back.advance()
        assert back.step == STEPS + 3 and back.field.device == CUDA
    return waited


def shared() -> dict[str, int]:
    """Steps of one of two processes, the other one's part of every message made up."""
    options = resolve({"field": "mlp", "num_channels": 6, "num_layers": 1, "num_steps": STEPS + 2, "batch": 128})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.distributed, "all_reduce", lambda message: message.mul_(2))
        trainer = make_trainer(exact_truth(SIGNAL, margin=0.2), options, CUDA, processes=ManyProcesses(0, 2, CUDA))
        trainer.advance()
        waited = stepped(trainer, STEPS)
        trainer.advance()
    assert trainer.step == options.num_steps and not trainer.stopped
    return waited


def looked_at() -> dict[str, int]:
    """Looks at the loss: in the first step, twice after ten more, and at the end."""
    return stepped(started(field="mlp", num_steps=25), 25)


def trained() -> dict[str, int]:
    """A whole run in a folder, resumed, its products in full float32 although less was set."""
    truth, asked = undrawn_truth(), {"field": "mlp", "num_channels": 6, "batch": 64, "display": SILENT}
    torch.set_float32_matmul_precision("high")
    gpu.events.clear()
    with tempfile.TemporaryDirectory() as folder:
        field = train(truth, device="cuda", folder=Path(folder) / "run", num_steps=12, **asked)
        stored = load_checkpoint(Path(folder) / "run" / "current.pth")[1]
        assert stored["step"] == 12
        train(truth, device="cpu", folder=Path(folder) / "run", resume=True, **asked)
    assert field.device == CUDA and field.psnr > 0
    field.filter(minimal_kernel(1, 0.3, 2))
    assert torch.get_float32_matmul_precision() == "high"
    torch.set_float32_matmul_precision("highest")
    return {event: count for event, count in gpu.events.items() if event.startswith("imprecise")}


def kept_memory() -> dict[str, int]:
    """Numbers that a prepared trainer holds besides its field: nothing of the size of the decomposition."""
    trainer = started()
    held = trainer.objective.__dict__
    assert held.get("decomposition") is None, "the decomposition is still there"
    for basis in trainer.objective.bases:
        assert basis.held.untyped_storage().nbytes() == 8 * basis.numel(), "a basis is a view of all singular vectors"
    return {}


def closely(found: Any, wanted: Any, tolerance: float = 1e-9) -> None:
    found, wanted = np.asarray(found), np.asarray(wanted)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * max(1.0, np.abs(wanted).max()))


def both(field: Field, ask: Callable[[Field], Any]) -> dict[str, int]:
    """The answer on the GPU, equal to that on the CPU; and what the second request of the kind waited for."""
    wanted = ask(field)
    moved = copy.deepcopy(field).to(CUDA)
    ask(moved)
    gpu.events.clear()
    found = ask(moved)
    events = dict(gpu.events)
    closely(found.cpu() if isinstance(found, torch.Tensor) else found, wanted, 1e-6)
    return events


def on_grid(name: str) -> dict[str, int]:
    field = random_field(CONFIGS[name], shape=tuple(9 + axis for axis in range(CONFIGS[name].dim)))
    return both(field, lambda f: f.filter(uneven_kernel(f.config)))


def at_points(name: str) -> dict[str, int]:
    """Arrays and tensors, stretched, with gradients; what is waited for does not grow with points or blocks."""
    field, rng = random_field(CONFIGS[name]), np.random.default_rng(0)
    points = rng.uniform(-1, 1, (600, field.config.dim))
    scale = rng.uniform(0.8, 1.1, (600, len(field.config.axes)))
    kernel = uneven_kernel(field.config)
    both(field, lambda f: f.filter(kernel, at=points))
    few = both(field, lambda f: f.filter(kernel, at=points[:64], scale=scale[:64]))
    many = both(field, lambda f: f.filter(kernel, at=points, scale=scale, block=1 << 10))
    if not field.factored:
        assert few == many, (few, many)
    x, s = (torch.as_tensor(array).to(CUDA).requires_grad_() for array in (points, scale))
    values = copy.deepcopy(field).to(CUDA).filter(kernel, at=x, scale=s, precision="64")
    assert values.device == CUDA
    closely(values.detach().cpu(), field.filter(kernel, at=points, scale=scale, precision="64"))
    values.square().sum().backward()
    assert x.grad is not None and s.grad is not None and x.grad.device == CUDA
    return few


def varying() -> dict[str, int]:
    field = random_field(CONFIGS["swish"])
    kernels = (minimal_kernel(1, 0.2, 2), minimal_kernel(1, [0.2, 0.25], 2))
    sizes = np.linspace(0.7, 1.2, 12).reshape(3, 4, 1)
    both(field, lambda f: Filter(kernels, angles=np.linspace(0, 1, 6).reshape(2, 3, 1)).apply(f, (8, 7)))
    both(field, lambda f: f.filter(kernels[0], (40, 30), scale=np.linspace(0.7, 1.2, 1200).reshape(40, 30)))
    return both(field, lambda f: Filter(kernels[:1], factors=sizes).apply(f, (8, 7)))


def covariances(name: str) -> dict[str, int]:
    field, rng = random_field(CONFIGS[name]), np.random.default_rng(0)
    dim, kernel = field.config.dim, nfconv.gaussian()
    factors = 0.04 * np.eye(dim) + 0.01 * rng.standard_normal((40, dim, dim))
    sigma, points = factors @ factors.swapaxes(1, 2), rng.uniform(-1, 1, (40, dim))
    chosen = CovarianceFilter(sigma[:12].reshape(*(3, 4, 1)[:dim], dim, dim), field.config.order)
    both(field, lambda f: chosen.apply(f, (5,) * dim))
    x, s = (torch.as_tensor(array).to(CUDA) for array in (points, sigma))
    values = copy.deepcopy(field).to(CUDA).filter(kernel, at=x, covariance=s, precision="64")
    closely(values.cpu(), field.filter(kernel, at=points, covariance=sigma, precision="64"))
    return both(field, lambda f: f.filter(kernel, at=points, covariance=sigma))


def counted(counts: list[int]) -> Callable[..., Any]:
    """`singular_directions`, which notes how many matrices it is asked for at once."""
    whole = directions.singular_directions

    def found(many: Any, axis: int) -> Any:
        counts.append(len(many))
        return whole(many, axis)

    return found


def in_tiles() -> dict[str, int]:
    """Tiles solved on the GPU, filtered on a grid, at points and with a covariance each, as on the CPU."""
    signal, rng = smooth_signal((34, 29), 1), np.random.default_rng(0)
    points, kernel = rng.uniform(-1, 1, (50, 2)), nfconv.gaussian(sigma=0.1)
    sigma = np.tile(np.diag([0.02, 0.01]), (50, 1, 1))
    options: dict[str, Any] = {"tile": 16, "factor": "spline", "core_size": 500, "accuracy": 0}
    together: dict[str, list[int]] = {"cuda": [], "cpu": []}
    fields: dict[str, Any] = {}
    for device, asked_at_once in together.items():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(directions, "singular_directions", counted(asked_at_once))
            fields[device] = nfconv.fit(signal, 0.2, 1, 0.5, device=device, **options)
    found, wanted = fields["cuda"], fields["cpu"]
    counts = [int(np.prod(level.tiling.counts)) for level in found.levels]
    # All tiles of a level at once along either axis, and one after the other.
    assert found.device == CUDA and counts[0] > 1, counts
    assert together["cuda"] == [count for count in counts for _ in range(2)], together
    assert together["cpu"] == [1] * 2 * sum(counts), together
    torch.set_float32_matmul_precision("high")
    gpu.events.clear()
    for ask in (
        lambda f: f.filter(kernel),
        lambda f: f.filter(kernel, at=points),
        lambda f: f.filter(nfconv.gaussian(), at=points, covariance=sigma),
    ):
        closely(ask(found), ask(wanted), 1e-4)
    on_gpu = found.filter(kernel, at=torch.as_tensor(points).to(CUDA))
    assert on_gpu.device == CUDA
    closely(on_gpu.cpu(), wanted.filter(kernel, at=points), 1e-4)
    torch.set_float32_matmul_precision("highest")
    return {event: count for event, count in gpu.events.items() if event.startswith("imprecise")}


def evaluated() -> dict[str, int]:
    """eval.py --device cuda: the same result as on the CPU, and the device named once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = random_field(CONFIGS["swish"], shape=(10, 14)).float().save(folder / "model.pth")
        for device in ("cuda", "cpu"):
            flags = {"model_path": model, "kernel": "gaussian", "sigma": 0.08, "device": device}
            result = call(eval_program, save_path=folder / device, **flags)
            assert result.exit_code == 0, result.output
            shown = {"cuda": "device: cuda (pretended GPU)\n", "cpu": "device: cpu (1 threads)\n"}[device]
            assert result.output.count("device: ") == result.output.count(shown) == 1, result.output
        pictures = [(folder / device / "output.png").read_bytes() for device in ("cuda", "cpu")]
        assert pictures[0] == pictures[1]
    return {}


CASES: dict[str, Callable[[], dict[str, int]]] = {
    **{f"steps: {name}": lambda asked=asked: run_of(asked) for name, asked in RUNS.items()},
    "steps: shared": shared,
    "the loss": looked_at,
    "a run in a folder": trained,
    "memory": kept_memory,
    **{f"grid: {name}": lambda name=name: on_grid(name) for name in CONFIGS},
    **{f"points: {name}": lambda name=name: at_points(name) for name in ("swish", "mlp", "splines", "tables")},
    "varying": varying,
    **{f"covariances: {name}": lambda name=name: covariances(name) for name in ("swish", "mlp", "sine")},
    "tiles": in_tiles,
    "eval.py": evaluated,
}
