"""Motion: the BVH format and rotations that may be averaged."""

from dataclasses import replace

import numpy as np
import pytest
from bvh_cases import HEAD, bvh
from scipy.spatial.transform import Rotation

from modalities import figure_pixels, find
from modalities.figures import Comparison
from modalities.formats.bvh import parse_skeleton, read_bvh
from modalities.rotations import angle_errors, decode, encode, parts_of

MOTION = find("motion")


def skeleton_of(channels: str):
    return parse_skeleton(HEAD.format(channels=channels))


def load_text(tmp_path, text: str):
    (tmp_path / "a.bvh").write_text(text)
    return MOTION.load(tmp_path / "a.bvh")


ORDERS = ["X Y Z", "X Z Y", "Y X Z", "Y Z X", "Z X Y", "Z Y X"]


@pytest.mark.parametrize("order", ORDERS)
def test_every_channel_order_turns_as_it_says(order):
    names = order.split()
    parts = parts_of(skeleton_of("3 " + " ".join(f"{name}rotation" for name in names)))
    angles = np.random.default_rng(3).uniform(-180, 180, (50, 3))
    numbers = encode(angles, parts)
    turns = [
        Rotation.from_rotvec(np.eye(3)["XYZ".index(n)] * np.radians(a)).as_matrix()
        for n, a in zip(names, angles[7], strict=True)
    ]
    matrix = turns[0] @ turns[1] @ turns[2]  # the first channel is applied last
    np.testing.assert_allclose(numbers[7], np.concatenate([matrix[:, 0], matrix[:, 1]]), atol=1e-12)
    back = decode(numbers, parts, 3)
    assert angle_errors(encode(back, parts), numbers, parts).max() < 1e-5


def test_curves_come_back_across_the_wrap_around():
    """Angles that run through several turns stay continuous where sampled angles would jump."""
    angles = np.linspace(0, 1000, 300)[:, None] * [1.0, 0.0, 0.0] + [0.0, 20.0, 5.0]
    parts = parts_of(skeleton_of("3 Zrotation Yrotation Xrotation"))
    np.testing.assert_allclose(decode(encode(angles, parts), parts, 3), angles, atol=1e-6)
    through_pole = np.linspace(60, 120, 61)[:, None] * [0.0, 1.0, 0.0] + [10.0, 0.5, 20.0]
    np.testing.assert_allclose(decode(encode(through_pole, parts), parts, 3), through_pole, atol=1e-5)


def test_the_mean_of_two_near_rotations_is_between_them():
    parts = parts_of(skeleton_of("3 Zrotation Yrotation Xrotation"))
    numbers = encode(np.array([[179.0, 0, 0], [-179.0, 0, 0]]), parts).mean(axis=0, keepdims=True)
    assert abs(abs(decode(numbers, parts, 3)[0, 0]) - 180) < 1e-9


def test_numbers_that_are_no_rotation_still_give_one():
    parts = parts_of(skeleton_of("3 Zrotation Yrotation Xrotation"))
    for numbers in (np.zeros(6), np.ones(6), np.array([0, 0, 0, 1.0, 0, 0]), np.array([0, 2.0, 0, 0, -3, 0])):
        frames = decode(numbers[None], parts, 3)
        assert np.isfinite(frames).all()
        matrix = encode(frames, parts)[0].reshape(2, 3)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(2), atol=1e-9)


@pytest.mark.parametrize(
    "channels",
    [
        "1 Xrotation",
        "2 Yrotation Xrotation",
        "3 Xposition Yposition Zposition",
        "6 Xposition Yposition Zposition Zrotation Xrotation Yrotation",
        "6 Zrotation Xposition Xrotation Yposition Yrotation Zposition",
        "4 Xrotation Yrotation Zrotation Yposition",
    ],
)
@pytest.mark.parametrize("count", [1, 2, 30])
def test_one_joint_comes_back(tmp_path, channels, count):
    width = int(channels[0])
    frames = 50 * np.sin(np.linspace(0, 5, count)[:, None] + np.arange(width))
    signal = load_text(tmp_path, bvh(channels, frames))
    assert signal.axes == (0,)
    assert len(signal.values) == count
    MOTION.save(signal.values, tmp_path / "out", signal.metadata)
    again = read_bvh(tmp_path / "out" / "output.bvh")
    np.testing.assert_allclose(again.frames, frames, atol=2e-3)
    assert again.frame_time == pytest.approx(0.02)
    assert again.skeleton == read_bvh(tmp_path / "a.bvh").skeleton


def test_values_are_of_unit_size_and_keep_angles_comparable(tmp_path):
    rng = np.random.default_rng(4)
    frames = np.cumsum(rng.standard_normal((200, 6)), axis=0) * [100, 100, 100, 1, 1, 0.01]
    signal = load_text(tmp_path, bvh("6 Xposition Yposition Zposition Zrotation Yrotation Xrotation", frames))
    np.testing.assert_allclose(signal.values.mean(axis=0), 0, atol=1e-4)
    for kind in (signal.values[:, :3], signal.values[:, 3:]):
        assert np.square(kind).mean() == pytest.approx(1, rel=1e-3)
    assert len(set(signal.metadata.scale)) == 2


def test_angle_errors_are_degrees(tmp_path):
    frames = 40 * np.sin(np.linspace(0, 5, 30)[:, None] + np.arange(3))
    signal = load_text(tmp_path, bvh("3 Zrotation Yrotation Xrotation", frames))
    turned = load_text(tmp_path, bvh("3 Zrotation Yrotation Xrotation", frames + np.array([2.0, 0, 0])))
    values = (turned.metadata.numbers(turned.values) - signal.metadata.offset) / signal.metadata.scale
    measured = MOTION.metrics(values, signal.values, signal.metadata)
    assert measured["angle_error"] == pytest.approx(2.0, abs=1e-4)
    assert measured["angle_error_max"] == pytest.approx(2.0, abs=1e-4)


def test_another_number_of_frames_takes_the_same_time(tmp_path):
    signal = load_text(tmp_path, bvh("1 Xrotation", np.linspace(0, 50, 11)[:, None]))
    motion = signal.metadata.motion(signal.values[::2])
    assert motion.frame_time == pytest.approx(0.04)
    with pytest.raises(ValueError, match="are not a motion of 2 numbers"):
        signal.metadata.motion(signal.values[:, :1])


def test_arrays_are_motions():
    frames = 40 * np.sin(np.linspace(0, 5, 30)[:, None] + np.arange(3))
    hierarchy = HEAD.format(channels="3 Zrotation Yrotation Xrotation")
    signal = MOTION.from_array(frames, hierarchy=hierarchy, frame_time=0.1)
    np.testing.assert_allclose(signal.metadata.motion(signal.values).frames, frames, atol=1e-4)
    assert (signal.metadata.frame_time, signal.metadata.hierarchy) == (0.1, hierarchy)


@pytest.mark.parametrize("name", ["$\\frac$", "$x^$\x00\x1b", "x" * 10_000])
def test_names_are_drawn_as_they_are(name):
    signal = MOTION.from_array(np.eye(4, 1), hierarchy=HEAD.format(channels="1 Xrotation"), frame_time=0.1)
    metadata = replace(signal.metadata, hierarchy=signal.metadata.hierarchy.replace("ROOT A", f"ROOT {name}"))
    figure = MOTION.draw(Comparison(signal.core, signal.core, None), metadata)
    assert figure_pixels(figure).std() > 5
    shown = "".join(letter if letter.isprintable() else "?" for letter in f"{name} Xrotation")[:60]
    assert figure.axes[0].get_title() == shown


def test_angles_of_the_result_follow_the_truth():
    """Equal rotations written 360 degrees or a gimbal flip apart are no error."""
    angles = np.linspace(0, 700, 50)[:, None] * [1.0, 0.0, 0.0] + [0.0, 89.0, 5.0]
    hierarchy = HEAD.format(channels="3 Zrotation Yrotation Xrotation")
    signal = MOTION.from_array(angles, hierarchy=hierarchy, frame_time=0.1)
    figure = MOTION.draw(Comparison(signal.core * 0.9, signal.core, signal.core), signal.metadata)
    error = figure.axes[1].lines[0].get_ydata()
    np.testing.assert_allclose(error, 0, atol=1e-9)


@pytest.mark.parametrize("channels", ["3 Zrotation Yrotation Xrotation", "2 Zrotation Xrotation", "1 Yrotation"])
@pytest.mark.parametrize("start", [-900.0, -200.0, 0.0, 195.0, 540.0, 1000.0])
def test_curves_start_on_the_branch_of_the_input(start, channels):
    """Also where the middle angle is beyond 90 degrees, which is the other way to write a rotation."""
    angles = start + np.linspace(0, 60, 50)[:, None] * np.arange(1, 1 + int(channels[0]))
    signal = MOTION.from_array(angles, hierarchy=HEAD.format(channels=channels), frame_time=0.1)
    np.testing.assert_allclose(signal.metadata.motion(signal.values).frames, angles, atol=1e-3)
    older = replace(signal.metadata, first=())
    turned = older.motion(signal.values).frames
    np.testing.assert_allclose(encode(turned, older.parts), encode(angles, older.parts), atol=1e-4)
    assert np.abs(turned[0]).max() <= 180


def test_jumps_of_the_input_are_made_continuous():
    """Sampled angles within +-180 jump where the motion does not."""
    steady = np.linspace(100, 300, 60)[:, None] * [1.0, 0.0, 0.0] + [0.0, 5.0, 10.0]
    jumping = (steady + 180) % 360 - 180
    signal = MOTION.from_array(
        jumping, hierarchy=HEAD.format(channels="3 Zrotation Yrotation Xrotation"), frame_time=0.1
    )
    np.testing.assert_allclose(signal.metadata.motion(signal.values).frames, steady, atol=1e-3)
