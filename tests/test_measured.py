"""Half sizes and margins in pixels, milliseconds, hertz and a mesh's units, against the same in domain units."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import soundfile
from builders import noise_signal
from programs import call, refused

import mc_utils
import nfconv
from modalities import find
from signals.ground_truth import GroundTruth


@pytest.fixture
def files(tmp_path) -> Path:
    """A picture of 30 x 40 pixels, 300 samples of sound at 1 kHz, a table and meshes of 60 x 40 x 20 units."""
    iio.imwrite(tmp_path / "picture.png", (255 * noise_signal((30, 40), 3).values).astype(np.uint8))
    soundfile.write(tmp_path / "sound.wav", np.sin(np.arange(300) / 5.0) / 2, 1000)
    rows = "\n".join(f"{k / 100},{np.sin(k / 9)}" for k in range(101))
    (tmp_path / "table.csv").write_text(f"time [s],v\n{rows}\n")
    corners = np.array([[x, y, z] for x in (0, 60) for y in (0, 40) for z in (0, 20)])
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    lines = [f"v {x} {y} {z}" for x, y, z in corners]
    lines += [f"f {' '.join(str(corner + 1) for corner in side)}" for side in sides]
    (tmp_path / "box.obj").write_text("\n".join(lines))
    return tmp_path


def made(folder: Path, name: str, **flags) -> GroundTruth:
    before = set(folder.glob("*.npz"))
    result = call(mc_utils, path=folder / name, save_path=folder, **flags)
    assert result.exit_code == 0, result.output
    (file,) = set(folder.glob("*.npz")) - before
    return GroundTruth.load(file)


def bspline_response(order: int, half_size: float, frequency: float) -> float:
    """The spectrum of the B-spline: sinc to the power n of its knots' distance."""
    return float(np.sinc(2 * half_size / (order + 1) * frequency)) ** (order + 1)


@pytest.mark.parametrize(
    "name, typed, plain, options",
    [
        ("picture.png", ("4px", "6px"), ("0.27586206896551724,0.20512820512820512", "0.41379310344827586"), {}),
        ("picture.png", ("3px,5px", "0.2"), ("0.20689655172413793,0.2564102564102564", "0.2"), {}),
        ("sound.wav", ("5ms", "20samples"), ("0.1", "0.4"), {"window": 101}),
        ("table.csv", ("50ms", "0.1s"), ("0.1", "0.2"), {}),
        ("box.obj", ("6mm", "9mm"), ("0.16", "0.24"), {"resolution": 16}),
        ("box.obj", ("6mm", "0.9cm"), ("0.16", "0.24"), {"resolution": 16, "unit": "mm"}),
    ],
)
def test_sizes_in_units_are_those_in_domain_units(files, name, typed, plain, options):
    found, wanted = (made(files, name, half_size=h, margin=m, **options) for h, m in (typed, plain))
    np.testing.assert_allclose(found.half_size, wanted.half_size, rtol=1e-12)
    assert found.pads == wanted.pads and found.axes == wanted.axes
    np.testing.assert_allclose(found.values, wanted.values, atol=1e-6)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_hertz_are_passed_with_half_the_power(files, order):
    truth = made(files, "sound.wav", half_size="40Hz", order=order, window=101)
    # A domain unit are 50 ms: 40 Hz are 2 cycles.
    assert bspline_response(order, truth.half_size[0], 2.0) ** 2 == pytest.approx(0.5, rel=1e-7)
    assert made(files, "sound.wav", half_size=truth.half_size[0], order=order, window=101).values == pytest.approx(
        truth.values, abs=1e-6
    )


def test_from_python_too(files):
    options = {"factor": "spline", "core_size": 2000}
    field = nfconv.fit(files / "picture.png", half_size="4px", margin="6px", **options)
    assert field.origin.half_size == pytest.approx((8 / 29, 8 / 39))
    signal = find("audio").load(files / "sound.wav", window=101, halo=60)
    assert nfconv.fit(signal, "10ms", margin=0.3, **options).origin.half_size == pytest.approx((0.2,))


@pytest.mark.parametrize(
    "name, flags, words",
    [
        ("picture.png", {"half_size": "5ms"}, "axis y is measured in px, samples, or domain units"),
        ("sound.wav", {"half_size": "5px"}, "axis t is measured in samples, s, ms, Hz"),
        (
            "picture.png",
            {"half_size": "40px"},
            "--half_size must lie in 1e-06..1 domain units (the signal spans 2), not 2.7",
        ),
        ("picture.png", {"margin": "wide"}, "margin must be a number, not 'wide'"),
        ("sound.wav", {"margin": "5Hz"}, "margin is a length and not a frequency"),
        ("box.obj", {"half_size": "6mm,1cm,6mm", "resolution": 8}, "cm and mm have no common measure"),
        ("box.obj", {"unit": "s"}, "unit must be a length"),
    ],
)
def test_sizes_that_a_signal_does_not_have_are_refused(files, name, flags, words):
    refused(mc_utils, files, words, path=files / name, save_path=files / "out", **flags)


def test_files_are_named_after_what_was_typed(files):
    made(files, "picture.png", half_size="3px, 5px")
    made(files, "picture.png", half_size="0.050")
    assert (files / "picture_order_1_3px_5px_exact.npz").exists() and (
        files / "picture_order_1_0.05_exact.npz"
    ).exists()


def test_another_extension_is_tried_where_the_modality_is_named(files):
    (files / "picture.png").rename(files / "picture.jfif")
    flags = {"path": files / "picture.jfif", "save_path": files / "out"}
    refused(mc_utils, files, "no modality reads '.jfif'; name its --modality to have it tried", **flags)
    assert made(files, "picture.jfif", modality="image").shape == (30, 40)
