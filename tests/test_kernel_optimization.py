"""The program that fits kernels, and the kernel that is shipped."""

import json
import math
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from click.testing import CliRunner

from kernel_optimization import main
from kernels import SparseKernel
from kernels.convergence import sweep
from kernels.library import KERNELS, parameters

SHIPPED = Path(__file__).parents[1] / "trained_models" / "kernels" / "gaussian.npz"


def run(*arguments: object):
    """The program with these arguments."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_writes_kernel_figure_and_errors(tmp_path):
    path = tmp_path / "new" / "gaussian"
    result = run("--kernel", "gaussian", "--sigma", 0.05, "--count", 9, "--save_path", path)
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in path.parent.iterdir()) == ["gaussian.json", "gaussian.npz", "gaussian.png"]
    kernel = SparseKernel.load(path.with_suffix(".npz"))
    facts = json.loads(path.with_suffix(".json").read_text())
    assert len(kernel) == facts["diracs"] == 9
    assert facts["parameters"] == {"sigma": 0.05}
    np.testing.assert_allclose(kernel.radius, facts["radius"])
    assert facts["max_error"] <= 0.04
    assert facts["mass_error"] <= 1e-9
    assert facts["moment_defect"] <= 1e-12
    assert facts["seconds"] > 0
    assert imageio.imread(path.with_suffix(".png")).ndim == 3
    assert "9 Diracs" in result.output


def test_unit_kernels_have_half_size_one_and_a_suffix_is_not_doubled(tmp_path):
    path = tmp_path / "disk.npz"
    result = run("--kernel", "disk", "--radius", 0.3, "--count", 21, "--unit", "--save_path", path)
    assert result.exit_code == 0, result.output
    kernel = SparseKernel.load(path)
    np.testing.assert_allclose(kernel.radius, 1.0, rtol=1e-12)
    assert abs(kernel.mass - 1) < 1e-9
    assert not (tmp_path / "disk.npz.npz").exists()


def test_picture_and_error_are_targets_too(tmp_path):
    pixels = np.zeros((24, 24), np.uint8)
    pixels[4:20, 6:16] = 200
    imageio.imwrite(tmp_path / "drawn.png", pixels)
    result = run("--kernel", "image", "--kernel_image", tmp_path / "drawn.png", "--radius", 0.1, "--error", 0.1,
                 "--save_path", tmp_path / "out")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "out.json").read_text())["relative_l2"] <= 0.1


def test_sweep_writes_a_figure_and_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr("kernel_optimization.sweep", lambda build, exact: sweep(build, exact, (6, 24)))
    result = run("--kernel", "cubic", "--half_size", 0.1, "--sweep", "--save_path", tmp_path / "v1.2")
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["v1.2.json", "v1.2.png"]
    assert set(json.loads((tmp_path / "v1.2.json").read_text())) == {"order 0", "order 1", "order 2"}
    refused = run("--kernel", "cubic", "--half_size", 0.1, "--sweep", "--count", 5, "--save_path", tmp_path / "n")
    assert refused.exit_code == 1
    assert "--sweep tries numbers of its own" in refused.output


def test_nothing_is_overwritten_unasked(tmp_path):
    arguments = ("--kernel", "tent", "--half_size", 0.1, "--save_path", tmp_path / "tent")
    (tmp_path / "tent.png").write_bytes(b"mine")
    refused = run(*arguments)
    assert refused.exit_code == 1
    assert "never overwritten" in refused.output
    assert [p.name for p in tmp_path.iterdir()] == ["tent.png"]
    assert (tmp_path / "tent.png").read_bytes() == b"mine"
    assert run(*arguments, "--overwrite").exit_code == 0
    assert (tmp_path / "tent.png").read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kernel", "gausian", "--sigma", "0.1"], "no kernel called 'gausian'"),
        (["--kernel", "gaussian"], "gaussian needs sigma"),
        (["--kernel", "gaussian", "--sigma", "-1"], "sigma must be positive"),
        (["--kernel", "gaussian", "--sigma", "0.1", "--radius", "0.1"], "no parameter 'radius'"),
        (["--kernel", "gaussian", "--sigma", "0.1", "--order", "9"], "order must be"),
        (["--kernel", "gaussian", "--sigma", "0.1", "--count", "2"], "at least 3 Diracs"),
        (["--kernel", "gaussian", "--sigma", "0.1", "--count", "9", "--error", "0.1"], "either"),
        (["--kernel", "gaussian", "--sigma", "0.1", "--dim", "4"], "filtered axes"),
        (["--kernel", "image", "--kernel_image", "nowhere.png", "--radius", "0.1"], "nowhere.png does not exist"),
    ],
)
def test_what_is_wrong_is_one_line_and_writes_nothing(tmp_path, arguments, message):
    result = run(*arguments, "--save_path", tmp_path / "out")
    assert result.exit_code == 1
    assert message in result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_unwritable_place_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = run("--kernel", "tent", "--half_size", 0.1, "--save_path", tmp_path / "file" / "tent")
    assert result.exit_code == 1
    assert result.output.count("\n") == 1


def test_help_names_every_kernel_and_parameter():
    words = run("--help").output
    assert all(f"--{name}" in words for name in parameters())
    assert all(name in words.replace("\n", "") for name in KERNELS)


def test_shipped_gaussian_is_what_its_json_says():
    kernel = SparseKernel.load(SHIPPED)
    assert (len(kernel), kernel.order, kernel.axes, kernel.dim) == (13, 1, (0,), 1)
    np.testing.assert_allclose(kernel.radius, 1.0, rtol=1e-12)
    assert abs(kernel.mass - 1) <= 1e-9
    x = np.linspace(-1, 1, 4001)
    exact = np.exp(-4.5 * x**2) * 3 / math.sqrt(2 * math.pi) / math.erf(3 / math.sqrt(2))
    assert np.abs(kernel.density(x[:, None]) - exact).max() <= 0.02 * exact.max()
    facts = json.loads(SHIPPED.with_suffix(".json").read_text())
    assert math.isclose(
        np.abs(kernel.density(x[:, None]) - exact).max() / exact.max(), facts["max_error"], rel_tol=0.05
    )
