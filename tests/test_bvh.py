"""The BVH format: what programs write is read, what is wrong is named with its line."""

import numpy as np
import pytest
from bvh_cases import HEAD, bvh

from modalities import find
from modalities.formats.bvh import BvhError, parse_skeleton, read_bvh
from modalities.poses import joint_places

MOTION = find("motion")


def load_text(tmp_path, text: str):
    (tmp_path / "a.bvh").write_text(text)
    return MOTION.load(tmp_path / "a.bvh")


GOOD = bvh("1 Xrotation", np.zeros((2, 1)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "HIERARCHIE", "line 1: HIERARCHY is missing"),
        ("ROOT", "JOINT", "line 2: 'JOINT' is not allowed there"),
        ("OFFSET 0 0 0", "OFFSET 0 0 nan", "line 4: 'nan' is not a number"),
        ("OFFSET 0 0 0\n", "", "line 4: OFFSET is missing"),
        ("CHANNELS 1 Xrotation", "CHANNELS 7 Xrotation", "line 5: .* are not 0 to 6 channels"),
        ("CHANNELS 1 Xrotation", "CHANNELS 1 Wrotation", "line 5: 'wrotation' are not 0 to 6 channels"),
        ("CHANNELS 1 Xrotation", "CHANNELS 2 Xrotation Xrotation", "each named once"),
        ("CHANNELS 1 Xrotation", "CHANNELS 0", "has no channels"),
        ("}\n}", "}\n", "1 closing braces are missing"),
        ("}\n}", "}\n}\n}", "line 11: '}' is not allowed there"),
        ("MOTION", "EMOTION", "it has no MOTION section"),
        ("Frames: 2", "Frames: 0", "line 12: 'Frames:' with a count and"),
        ("Frames: 2", "Frames: 1.5", "line 12: 1.5 frames are announced and 2 follow"),
        ("Frames: 2", "Frames: 3", "3 frames are announced and 2 follow"),
        ("Frames: 2", "Frame 2", "line 12: 'Frames:' with a count and"),
        ("Time: 0.02", "Time: 0", "'Frame Time:' with seconds are missing"),
        ("Time: 0.02", "Time: soon", "'Frame Time:' with seconds are missing"),
        ("0.02\n0.00000", "0.02\n0.00000 1", "line 14: a frame of this skeleton has 1 finite numbers"),
        ("0.02\n0.00000", "0.02\nzero", "line 14: a frame of this skeleton has 1 finite numbers"),
        ("0.02\n0.00000", "0.02\ninf", "line 14: a frame of this skeleton has 1 finite numbers"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, old, new, message):
    assert old in GOOD
    with pytest.raises(BvhError, match=message) as caught:
        load_text(tmp_path, GOOD.replace(old, new, 1))
    assert "a.bvh" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_deep_skeletons_do_not_recurse(tmp_path):
    depth = 3000
    joint = "{\nOFFSET 0 0 0\nCHANNELS 1 Xrotation\n"
    text = "HIERARCHY\nROOT r " + joint + "".join(f"JOINT j {joint}" for _ in range(depth)) + "}" * (depth + 1)
    frames = " ".join(["1"] * (depth + 1))
    signal = load_text(tmp_path, f"{text}\nMOTION\nFrames: 1\nFrame Time: 0.1\n{frames}\n")
    assert signal.values.shape == (1, 2 * (depth + 1))
    with pytest.raises(BvhError, match="or one of more than 4096 joints"):
        parse_skeleton("HIERARCHY\nROOT r " + joint + f"JOINT j {joint}" * 5000 + "}" * 5001)


def test_names_with_spaces_braces_on_one_line_and_several_roots(tmp_path):
    text = (
        "hierarchy\nROOT Left Hand {\nOFFSET 0 0 0\nCHANNELS 1 xROTATION\n}\n"
        "ROOT B {\nOFFSET 0 0 0 CHANNELS 1 Yposition }\nMOTION\nFrames: 1\nFrame Time: 0.1\n\n10 7\n\n"
    )
    signal = load_text(tmp_path, text)
    motion = signal.metadata.motion(signal.values)
    assert [joint.name for joint in motion.skeleton.joints] == ["Left Hand", "B"]
    assert motion.skeleton.joints[0].channels == ("Xrotation",)
    np.testing.assert_allclose(motion.frames, [[10, 7]], atol=1e-5)


@pytest.mark.parametrize(
    ("frames", "time"),
    [("Frames:2", "Frame Time:0.02"), ("FRAMES : 2", "Frame  time : 0.02"), ("frames :2", "Frame Time :.02")],
)
def test_labels_are_read_with_and_without_spaces(tmp_path, frames, time):
    signal = load_text(tmp_path, GOOD.replace("Frames: 2", frames).replace("Frame Time: 0.02", time))
    assert (signal.metadata.frames, signal.metadata.frame_time) == (2, 0.02)


@pytest.mark.parametrize(("encoding", "letter"), [("utf-8", "\u2026"), ("cp1252", "\u2026"), ("latin-1", "\xe9")])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_names_come_back_byte_by_byte(tmp_path, encoding, letter, ending):
    name = f"H\u00fcfte{letter}"
    (tmp_path / "a.bvh").write_bytes(GOOD.replace("ROOT A", f"ROOT {name}").replace("\n", ending).encode(encoding))
    signal = MOTION.load(tmp_path / "a.bvh")
    MOTION.save(signal.values, tmp_path, signal.metadata)
    assert f"ROOT {name}\n".encode(encoding) in (tmp_path / "output.bvh").read_bytes()
    assert MOTION.load(tmp_path / "output.bvh").metadata.hierarchy == signal.metadata.hierarchy


CHANNELS = "6 Xposition Yposition Zposition Zrotation Yrotation Xrotation"


def moving(count: int = 40) -> np.ndarray:
    """Channels [T, 6] whose first rotation passes 180 degrees, as a turned hip does."""
    time = np.linspace(0, 5, count)
    return np.stack(
        [time, 90 + np.sin(time), 2 * time, 170 + 20 * time, 200 + 10 * np.sin(time), 10 * np.cos(time)], axis=1
    )


def wrapped(text: str, count: int) -> bytes:
    """The text with at most `count` numbers of a frame on a line."""
    head, rows = text.split("0.02\n")
    words = [row.split() for row in rows.splitlines()]
    lines = [" ".join(row[i : i + count]) for row in words for i in range(0, len(row), count)]
    return f"{head}0.02\n{chr(10).join(lines)}\n".encode()


DRESSES = {
    "Ctrl-Z": lambda text: text.encode() + b"\x1a\r\nrubbish",
    "zeros": lambda text: text.encode() + b"\0" * 100,
    "zeros in lines": lambda text: text.replace("\n", "\0\n").encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "UTF-16, big end": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 without mark": lambda text: text.encode("utf-16-le"),
    "mark, Windows": lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
    "old Mac": lambda text: text.replace("\n", "\r").encode(),
    "wrapped": lambda text: wrapped(text, 4),
    "a number a line": lambda text: wrapped(text, 1),
    "named end": lambda text: text.replace("End Site", "End Site Head Top").encode(),
    "named end and brace": lambda text: text.replace("End Site\n{", "end site top {").encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", DRESSES)
def test_motion_is_read_in_every_dress_and_written_back(tmp_path, name):
    frames = moving()
    (tmp_path / "a.bvh").write_bytes(DRESSES[name](bvh(CHANNELS, frames)))
    signal = MOTION.load(tmp_path / "a.bvh")
    MOTION.save(signal.values, tmp_path / "out", signal.metadata)
    again = read_bvh(tmp_path / "out" / "output.bvh")
    np.testing.assert_allclose(again.frames, frames, atol=2e-4)
    assert (again.frame_time, again.skeleton.joints[0].name) == (0.02, "A")
    (tmp_path / "out" / "output.bvh").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", [0, 1])
def test_joints_without_channels_never_move(tmp_path, place):
    """The first or the second of two children has none."""
    children = ["JOINT B\n{\nOFFSET 0 1 0\nCHANNELS 3 Zrotation Yrotation Xrotation\nEnd Site\n{\nOFFSET 0 1 0\n}\n}\n",
                "JOINT C\n{\nOFFSET 0 1 0\nEnd Site\n{\nOFFSET 0 1 0\n}\n}\n"]  # fmt: skip
    text = f"HIERARCHY\nROOT A\n{{\nOFFSET 0 0 0\nCHANNELS {CHANNELS}\n{children[place]}{children[1 - place]}}}\n"
    frames = np.concatenate([moving(), moving()[:, 3:] / 10], axis=1)
    rows = "\n".join(" ".join(map(str, row)) for row in frames)
    signal = load_text(tmp_path, f"{text}MOTION\nFrames: {len(frames)}\nFrame Time: 0.02\n{rows}\n")
    MOTION.save(signal.values, tmp_path, signal.metadata)
    again = read_bvh(tmp_path / "output.bvh")
    np.testing.assert_allclose(again.frames, frames, atol=1e-4)
    assert sorted(len(joint.channels) for joint in again.skeleton.joints) == [0, 3, 6]
    assert again.skeleton.text == text.rstrip()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1 2\n3\n4 5 6\n", None),
        ("1\n2 3 4\n5 6\n", "lines 14 to 15: a frame of this skeleton has 3 finite numbers"),
        ("1 2 3\n4 5\n", "line 15: 2 frames are announced and 2 follow, the last of 2 numbers instead of 3"),
        ("1 2\n3\n", "line 15: 2 frames are announced and 1 follow; give"),
        ("1 2 3\n4 5 6\n7 8 9\n", "line 16: 2 frames are announced and 3 follow; give"),
        ("1 2 3 4 5 6\n7 8 9\n", "line 14: a frame of this skeleton has 3 finite numbers"),
    ],
)
def test_each_frame_begins_a_line(tmp_path, rows, message):
    head = HEAD.format(channels="3 Xposition Yposition Zposition")
    (tmp_path / "a.bvh").write_text(f"{head}MOTION\nFrames: 2\nFrame Time: 0.1\n{rows}")
    if message is None:
        assert read_bvh(tmp_path / "a.bvh").frames.tolist() == [[1, 2, 3], [4, 5, 6]]
        return
    with pytest.raises(BvhError, match=message):
        read_bvh(tmp_path / "a.bvh")


def test_joints_are_turned_with_their_parents(tmp_path):
    """An arm of two bones whose second joint has the name of an end site, bent by quarter turns about z."""
    text = (
        "HIERARCHY\nROOT A {\nOFFSET 5 5 5\nCHANNELS 2 Xposition Zrotation\nJOINT My Site {\nOFFSET 0 2 0\n"
        "CHANNELS 1 Zrotation\nEnd Site {\nOFFSET 0 1 0\n}\n}\n}\nMOTION\nFrames: 2\nFrame Time: 0.1\n1 0 90\n0 90 0\n"
    )
    (tmp_path / "a.bvh").write_text(text)
    places = joint_places(read_bvh(tmp_path / "a.bvh"))
    wanted = [[[1, 5, 5], [1, 7, 5], [0, 7, 5]], [[0, 5, 5], [-2, 5, 5], [-3, 5, 5]]]
    np.testing.assert_allclose(places, wanted, atol=1e-12)
