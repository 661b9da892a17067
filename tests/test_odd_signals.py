"""Signals at the edge of what is allowed, through all three programs."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
import trimesh
from cases import make_case, smooth
from passages import ask, asked, flags, passage

import mc_utils
import train
from modalities.formats.clips import write_clip


def holed(folder: Path) -> tuple[Path, dict]:
    ball = trimesh.creation.icosphere(subdivisions=2)
    ball.update_faces(ball.triangles_center[:, 2] < 0.8)
    assert not ball.is_watertight
    ball.export(folder / "holed.ply")
    return folder / "holed.ply", {"resolution": 16}


def non_manifold(folder: Path) -> tuple[Path, dict]:
    box = trimesh.creation.box()
    fin = np.array([[0.5, 0.5, 0.5], [0.5, 0.5, -0.5], [0.9, 0.9, 0.0]])
    faces = np.concatenate([box.faces, [[8, 9, 10]], box.faces[:1]])
    trimesh.Trimesh(np.concatenate([box.vertices, fin]), faces, process=False).export(folder / "fin.obj")
    return folder / "fin.obj", {"resolution": 16}


def odd_frames(folder: Path) -> tuple[Path, dict]:
    (folder / "odd").mkdir()
    for number, frame in enumerate(np.moveaxis((255 * smooth(15, 23, 4)).astype(np.uint8), -1, 0)):
        cv2.imwrite(str(folder / "odd" / f"{number}.png"), frame)
    return folder / "odd", {"fps": 10}


def one_frame(folder: Path) -> tuple[Path, dict]:
    return write_clip(folder / "one.mp4", [(255 * smooth(16, 24, 3)).astype(np.uint8)], 25), {}


def short_sound(folder: Path) -> tuple[Path, dict]:
    soundfile.write(folder / "short.wav", smooth(70, 1) - 0.5, 8000)
    return folder / "short.wav", {}


def one_joint(folder: Path) -> tuple[Path, dict]:
    joint = "ROOT A\n{\nOFFSET 0 0 0\nCHANNELS 3 Zrotation Yrotation Xrotation\nEnd Site\n{\nOFFSET 0 1 0\n}\n}\n"
    rows = "\n".join(" ".join(f"{value:.4f}" for value in row) for row in 360 * smooth(30, 3) - 180)
    (folder / "one.bvh").write_text(f"HIERARCHY\n{joint}MOTION\nFrames: 30\nFrame Time: 0.02\n{rows}\n")
    return folder / "one.bvh", {}


@pytest.mark.usefixtures("small_pictures")
@pytest.mark.parametrize("make", [holed, non_manifold, odd_frames, one_frame, short_sound, one_joint])
def test_odd_signals_go_all_the_way(make, tmp_path):
    signal, options = make(tmp_path)
    path = passage(signal, tmp_path, options)
    assert path.metrics["mse"] < 0.01
    assert all(file.stat().st_size for file in path.results.rglob("*") if file.is_file())


def test_only_float64_or_separable_fields_hold_two_differences_in_three_axes(tmp_path):
    case = make_case("geometry", tmp_path)
    truth = tmp_path / "truth.npz"
    asked(
        mc_utils, "--path", case.path, "--save_path", truth, "--half_size", 0.05, "--margin", 0.1, *flags(case.options)
    )
    for field in ("siren", "mlp"):
        run = ("--experiment_name", field, "--summary", tmp_path / "runs")
        result = ask(train, "--monte_carlo", truth, "--field", field, "--num_steps", 5, "--num_channels", 32, *run)
        assert result.exit_code == 1
        assert "float32 cannot represent 2 differences" in result.output
        assert not (tmp_path / "runs" / field / "model_final.pth").exists()
