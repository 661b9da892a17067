"""What a field was trained on: bounds, and what it keeps of its ground truth."""

import pytest
from builders import exact_truth, field_config, noise_signal, origin_of

from models import Origin, build_field


@pytest.mark.parametrize(
    "change, words",
    [
        ({"half_size": (0.9e-6, 0.1)}, "half size must lie in"),
        ({"half_size": (0.1, 2.1)}, "half size must lie in"),
        ({"margin": 1.1e6}, "margin 1100000.0 is out of range"),
        ({"margin": -0.1}, "margin -0.1 is out of range"),
        ({"margin": 10**400}, "out of range"),
        ({"margin": True}, "margin True"),
        ({"shape": ()}, "no signal has the shape"),
        ({"shape": (0, 9)}, "no signal has the shape"),
        ({"shape": (9, (1 << 24) + 1)}, "no signal has the shape"),
        ({"boundary": "wrap"}, "boundary"),
        ({"source": 3}, "source"),
    ],
)
def test_origins_out_of_range_are_refused(change, words):
    ends = {"half_size": (1e-6, 2.0), "margin": 1e6, "shape": (1, 1 << 24)}
    config = field_config("mlp", 2)
    field = build_field(config, origin_of(config, **ends, boundary="reflect"))
    assert field.h == pytest.approx({0: 1e-6, 1: 2.0})
    with pytest.raises(ValueError, match=words):
        origin_of(config, **change)


@pytest.mark.parametrize("covered, margin", [(None, 0.25), (0.1, 0.1), (9.0, 0.25), (-1.0, 0.0)])
def test_the_margin_is_what_training_covered_of_the_ground_truth(covered, margin):
    truth = exact_truth(noise_signal((9, 17), 1), 1, (0.2, 0.4), margin=0.25, boundary="reflect")
    origin = Origin.of(truth, covered)
    assert origin.margin == pytest.approx(margin)
    assert (origin.half_size, origin.boundary, origin.shape) == ((0.2, 0.4), "reflect", (9, 17))
    assert (origin.modality, origin.source, origin.digest) == ("image", "signal", truth.digest)
    assert not origin.released and dict(origin.psnr) == {}
