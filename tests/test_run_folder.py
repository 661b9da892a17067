"""The folder of a run: one run at a time, nothing overwritten, nothing left behind; and what a run writes to it."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from builders import exact_truth, noise_signal, undrawn_truth
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_cases import CPU, SILENT

from models.checkpoint import load_checkpoint
from training import kept, record, resolve, train
from training.folder import RunError, RunFolder
from training.setup import make_trainer

TINY = {"field": "mlp", "num_channels": 6, "batch": 64, "levels": 2, "display": SILENT}


def test_a_run_killed_before_it_wrote_anything_can_start_again(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").touch()
    (folder / ".current.pth.0123abcd.part").write_bytes(b"torn")
    with RunFolder(folder):
        assert [path.name for path in folder.iterdir()] == [".lock"]
    assert folder.is_dir()


def test_a_second_run_of_the_same_name_is_refused_while_the_first_lives(tmp_path):
    with RunFolder(tmp_path / "run") as first:
        with pytest.raises(RunError, match="another run is writing"):
            RunFolder(tmp_path / "run")
        first.write_json("options.json", {"a": 1})
        assert json.loads((tmp_path / "run" / "options.json").read_text()) == {"a": 1}
        first.current.touch()
        with pytest.raises(RunError, match="another run is writing"):
            RunFolder(tmp_path / "run", resume=True)
    with pytest.raises(RunError, match="never overwritten"):
        RunFolder(tmp_path / "run")
    with RunFolder(tmp_path / "run", resume=True):
        pass


def test_a_run_that_wrote_nothing_leaves_nothing(tmp_path):
    with RunFolder(tmp_path / "new" / "runs" / "run"):
        pass
    with pytest.raises(RunError, match=r"nothing to resume in .*: no current\.pth; start without --resume"):
        RunFolder(tmp_path / "new" / "run", resume=True)
    assert not list(tmp_path.iterdir())


def test_places_where_no_folder_can_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="never overwritten"):
        RunFolder(tmp_path / "file")
    with pytest.raises(RunError, match=r"cannot write to .*; choose another --summary"):
        RunFolder(tmp_path / "file" / "run")
    with pytest.raises(ValueError, match="requires the folder"):
        train(undrawn_truth(), resume=True)


def scalars(folder) -> dict[str, list[tuple[int, float]]]:
    """All scalars in the TensorBoard events of a folder, (step, value) by name."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0}).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]} | {
        "images": events.Tags()["images"], "texts": events.Tags()["tensors"]
    }  # fmt: skip


def test_a_run_leaves_what_happened_in_its_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "SCALAR_PAUSE", 0.0)
    steps, step = [], record.Record.step

    def looked_at(self, trainer, loss):
        steps.append((loss, trainer.learn_rate, loss.points * trainer.step / trainer.elapsed))
        step(self, trainer, loss)

    monkeypatch.setattr(record.Record, "step", looked_at)
    folder = tmp_path / "run"
    field = train(undrawn_truth(), folder=folder, num_steps=16, checkpoint_steps=6, seed=3, **TINY)
    names = {path.name for path in folder.iterdir() if "tfevents" not in path.name}
    assert names == {".lock", "model_final.pth", "current.pth", "checkpoint_6.pth", "checkpoint_12.pth", "options.json",
                     "metrics.json"}  # fmt: skip
    options = json.loads((folder / "options.json").read_text())
    assert (options["seed"], options["ground_truth"]) == (3, "signal")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["steps"] == 16 and metrics["parameters"] == sum(p.numel() for p in field.parameters())
    assert metrics["bytes"] == (folder / "model_final.pth").stat().st_size
    assert metrics["psnr"] == {"0.2": round(field.origin.psnr[1.0], 2), "0.4": round(field.origin.psnr[2.0], 2)}
    assert metrics["options"] | {"ground_truth": "signal"} == options
    final, training = load_checkpoint(folder / "model_final.pth")
    assert training == {} and final.origin == field.origin
    assert all(torch.equal(value, final.state_dict()[name]) for name, value in field.state_dict().items())
    assert [load_checkpoint(folder / f"checkpoint_{step}.pth")[1]["step"] for step in (6, 12)] == [6, 12]
    seen = scalars(folder)
    assert [step for step, _ in seen["loss/total"]] == list(range(1, 17))
    assert [step for step, _ in seen["psnr/0.2"]] == [2, 4, 6, 8, 10, 12, 14, 16]
    assert seen["psnr/0.4"][-1] == (16, pytest.approx(field.origin.psnr[2.0], abs=1e-4))
    assert seen["final/psnr_0.2"][0][1] == pytest.approx(field.psnr, abs=1e-4)
    written = [
        [value for _, value in seen[tag]] for tag in ("loss/total", "rms/2x", "learn_rate", "samples_per_second")
    ]
    wanted = [[loss.total.item(), loss.rms[1].item(), rate, speed] for loss, rate, speed in steps]
    np.testing.assert_allclose(np.transpose(written), wanted, rtol=1e-5)
    assert seen["images"] == ["kernel"] and any("options" in tag for tag in seen["texts"])


def test_a_run_in_a_folder_is_the_run_without_one(tmp_path):
    truth = undrawn_truth()
    alone = train(truth, num_steps=9, **TINY)
    kept_field = train(truth, folder=tmp_path / "run", num_steps=9, save_seconds=0, **TINY)
    assert all(torch.equal(value, kept_field.state_dict()[name]) for name, value in alone.state_dict().items())
    assert alone.origin == kept_field.origin
    assert not list((tmp_path / "run").glob("checkpoint_*"))


def test_current_is_renewed_as_often_as_asked(tmp_path, monkeypatch):
    saved = []
    save = kept.save_state
    monkeypatch.setattr(kept, "save_state", lambda path, trainer: (saved.append(trainer.step), save(path, trainer)))
    train(undrawn_truth(), folder=tmp_path / "often", num_steps=4, save_seconds=0, **TINY)
    assert saved == [0, 1, 2, 3, 4, 4]
    saved.clear()
    train(undrawn_truth(), folder=tmp_path / "seldom", num_steps=4, save_seconds=1e6, **TINY)
    assert saved == [0, 4]
    saved.clear()
    # An option that the run has may be repeated, one by one.
    train(undrawn_truth(), folder=tmp_path / "seldom", resume=True, display=SILENT, supervision="lattice")
    assert saved == [4]


def test_pictures_of_a_run_compare_with_the_ground_truth(tmp_path, monkeypatch):
    drawn = []
    draw = record.Record._draw
    monkeypatch.setattr(record.Record, "_draw", lambda self, *args: (drawn.append(args[-1]), draw(self, *args)))
    truth = exact_truth(noise_signal((14, 12)), margin=0.2)
    train(truth, folder=tmp_path / "run", num_steps=8, **TINY)
    # One at once, one at the end, and in between only as often as a tenth of the time allows.
    assert drawn[0] == 1 and drawn[-1] == 8 and len(drawn) < 8
    assert "prediction, truth, error" in scalars(tmp_path / "run")["images"]


def test_drawing_takes_no_more_than_a_tenth_of_the_time(tmp_path, monkeypatch):
    """Drawing takes 2 seconds and validating 7 by this clock: 20 pass from one beginning to the next."""
    now, drawn, validate = [0.0], [], record.Record.validate

    def slow(self, *args, **last):
        now[0] += 7
        return validate(self, *args, **last)

    def draw(self, modality, prediction, truth, step):
        now[0] += 2
        drawn.append(step)
        # What is shown is seen through the training kernel, not through a larger one.
        assert truth is self.validation.levels[0].truth

    monkeypatch.setattr(record, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(record.Record, "validate", slow)
    monkeypatch.setattr(record.Record, "_draw", draw)
    train(exact_truth(noise_signal((14, 12)), margin=0.2), folder=tmp_path / "run", num_steps=8, **TINY)
    assert drawn == [1, 4, 7, 8]


def test_a_run_that_goes_on_is_validated_when_it_would_have_been(tmp_path):
    seen, run = [], SimpleNamespace(current=tmp_path / "current.pth")
    told = SimpleNamespace(step=lambda *_: None, validate=lambda step, field: seen.append(step))
    silent = SimpleNamespace(step=lambda *_: None, validated=lambda quality: None)
    for start, steps in ((0, [2, 4, 6, 8, 10, 12, 14]), (8, [10, 12, 14])):
        seen.clear()
        asked = {name: value for name, value in TINY.items() if name != "display"}
        trainer = make_trainer(undrawn_truth(), resolve(asked | {"num_steps": 16}), CPU)
        trainer.step = start
        kept.keep_training(run, trainer, told, silent, 0, 1e9)
        assert seen == steps


def test_a_signal_that_cannot_be_drawn_is_trained_all_the_same(tmp_path, monkeypatch):
    def undrawable(*_, **__):
        raise ValueError("no picture of this")

    monkeypatch.setattr(record, "figure_pixels", undrawable)
    truth = exact_truth(noise_signal((14, 12)), margin=0.2)
    train(truth, folder=tmp_path / "run", num_steps=8, **TINY)
    seen = scalars(tmp_path / "run")
    assert seen["images"] == ["kernel"] and any("no picture" in tag for tag in seen["texts"])
