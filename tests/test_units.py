"""Lengths as people type them, in domain units."""

import numpy as np
import pytest

from evaluation.kernels import named_kernel
from kernels.library import parameters, tent
from modalities import find
from signals.metadata import Metadata
from signals.units import Ruler, Units, find_unit, has_unit

PIXELS = [Ruler({"px": 0.25}), Ruler({"px": 0.125, "s": 4.0})]


def units(rulers=PIXELS, names="yx") -> tuple[Units, list[str]]:
    heard: list[str] = []
    return Units(rulers, names, heard.append), heard


@pytest.mark.parametrize(
    "text, lengths",
    [
        ("0.5", [0.5, 0.5]),
        ("2px", [0.5, 0.25]),
        (" 2 PX , .5Pixels", [0.5, 0.0625]),
        ("0.1,3e-1", [0.1, 0.3]),
        ("1e1px,5ms", [2.5, 0.02]),
    ],
)
def test_a_length_per_axis(text, lengths):
    assert units()[0].lengths(text, "sigma") == pytest.approx(lengths, rel=1e-15)


@pytest.mark.parametrize(
    "text, words",
    [
        ("-1px", "sigma must be one positive number or 2 of them with commas, one for each of y, x"),
        ("0", "positive"),
        ("1,2,3", "positive"),
        ("wide", "positive"),
        ("nanpx", "positive"),
        ("1e999px", "positive"),
        ("5,3px", "gives some numbers a unit and others none"),
        ("5ell", "there is no unit 'ell'; axis y is measured in px, or"),
        ("5s", "axis y is measured in px"),
        ("5px,5mm", "axis x is measured in px, s, ms, Hz"),
        ("1px,5Hz", "give it in another unit than Hz"),
    ],
)
def test_what_is_no_length_along_an_axis_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        units()[0].lengths(text, "sigma")


def test_frequencies_are_cycles_per_domain_unit_or_the_length_they_cut_off():
    time, _ = units([Ruler({"s": 4.0})], "t")
    assert time.frequencies("200Hz", "f") == [50.0] and time.frequencies("0.2 kHz", "f") == [50.0]
    assert time.frequencies("3", "f") == [3.0] and time.frequencies("1/ms", "f") == pytest.approx([250.0])
    # A kernel of length 1 passes 0.3 cycles per domain unit: one of length s passes 0.3 / s, here 2 Hz = 0.5.
    assert time.lengths("2Hz", "sigma", lambda axis: 0.3) == pytest.approx([0.6])
    with pytest.raises(ValueError, match="must be a frequency, such as 200Hz"):
        time.frequencies("3px", "f")


@pytest.mark.parametrize("text", ["8", "2/px", "32Hz", "0.032kHz"])
def test_kernels_have_their_frequency_in_domain_units(text):
    measured = Units([Ruler({"px": 0.25, "s": 4.0})], "x", print)
    kernel = named_kernel({"kernel": "gabor", "sigma": "1.2px", "frequency": text}, measured)
    assert dict(kernel.parameters)["frequency"] == pytest.approx(8) and kernel.stretch is None
    assert dict(kernel.parameters)["sigma"] == pytest.approx(0.3)


def test_options_of_a_command_line_become_a_kernel():
    domain = Units([Ruler({})], "x", print)
    options = dict.fromkeys(["kernel", "order", *parameters()])
    assert named_kernel(options, domain) is None
    assert named_kernel({**options, "order": 1, "kernel": "tent", "half_size": 0.1}, domain) == tent(half_size=0.1)
    with pytest.raises(ValueError, match=r"^--sigma describes a kernel: name one with --kernel$"):
        named_kernel({**options, "sigma": 0.1}, domain)
    with pytest.raises(ValueError, match="no parameter 'sigma'"):
        named_kernel({**options, "kernel": "tent", "half_size": 0.1, "sigma": 0.1}, domain)


@pytest.mark.parametrize(
    "name, found",
    [
        ("ms", ("s", 1e-3)),
        ("MS", ("s", 1e-3)),
        ("khz", ("Hz", 1e3)),
        ("mHz", ("Hz", 1e-3)),
        ("MHZ", None),
        ("Inch", ("m", 0.0254)),
        ("\u00b5m", ("m", 1e-6)),
        ("\u03bcm", ("m", 1e-6)),
        ("", None),
    ],
)
def test_units_in_any_case_unless_it_matters(name, found):
    assert find_unit(name) == found


def test_numbers_with_units_are_told_from_plain_ones():
    assert has_unit("1,2px") and has_unit("1/px") and not has_unit("1,2e3") and not has_unit("x")


def test_a_mesh_without_a_unit_has_the_one_that_is_typed():
    rulers = [Ruler({"u": 0.5}, unstated=True)] * 3
    mesh, heard = units(rulers, "xyz")
    assert mesh.lengths("3mm", "sigma") == mesh.lengths("3u", "sigma") == [1.5] * 3
    assert heard == ["the file does not state its unit: mm are taken for its own units"]
    with pytest.raises(ValueError, match="cm and mm have no common measure: state it with --unit"):
        mesh.lengths("3cm", "sigma")
    stated, heard = units([Ruler({"u": 0.5, "m": 500.0})] * 3, "xyz")
    assert stated.lengths("3mm,1cm,1in", "sigma") == pytest.approx([1.5, 5.0, 12.7]) and not heard


def test_what_signals_measure_by():
    image = find("image").from_array(np.zeros((5, 9), np.float32))
    assert [ruler.units["px"] for ruler in image.metadata.rulers(image.shape)] == [0.5, 0.25]
    clip = find("video").from_array(np.zeros((5, 9, 11), np.float32), fps=20.0)
    y, x, t = clip.metadata.rulers(clip.shape)
    assert "s" not in y.units and x.units["px"] == 0.25 and t.units == {"frame": 0.2, "sample": 0.2, "s": 4.0}
    sound = find("audio").from_array(np.zeros(2000, np.float32), sample_rate=1000, window=101)
    assert sound.metadata.rulers(sound.shape)[1].units == pytest.approx({"sample": 0.02, "s": 20.0})
    for column, second in (("t [ms]", 0.02e3), ("time_s", 0.02), ("hours", 0.02 / 3600), ("t", 0.02), ("in", 0.02)):
        table = find("series").from_array(np.arange(101.0), columns=(column, "v"))
        (ruler,) = table.metadata.rulers(table.shape)
        assert ruler.units["s"] == pytest.approx(second) and ruler.units["u"] == pytest.approx(0.02)
        assert ruler.unstated == (column in ("t", "in"))
    assert Metadata().rulers((1, 3)) == (Ruler({"sample": 2.0}), Ruler({"sample": 1.0}))


def test_names_of_units_follow_from_their_prefixes_and_each_other():
    powers = {"M": 6, "G": 9, "k": 3, "c": -2, "m": -3, "u": -6, "µ": -6, "n": -9}
    for unit, prefixes in (("m", "kcmuµn"), ("s", "muµn"), ("Hz", "kmMG")):
        for prefix in prefixes:
            assert find_unit(prefix + unit) == (unit, pytest.approx(10.0 ** powers[prefix], rel=1e-14))
    size = lambda name: find_unit(name)[1]  # noqa: E731
    for larger, count, smaller in (("min", 60, "s"), ("h", 60, "min"), ("d", 24, "h"), ("ft", 12, "in"),
                                   ("in", 25.4, "mm"), ("m", 1000, "mm"), ("s", 1000, "ms")):  # fmt: skip
        assert size(larger) == pytest.approx(count * size(smaller), rel=1e-14)
    for names in ("min minute minutes", "h hour hours", "d day days", "in inch inches", "ft foot feet", "px pixels"):
        assert len({find_unit(name) for name in names.split()}) == 1
