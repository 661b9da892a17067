"""The drivers under a POSIX shell, with a stand-in for Python that writes down what it is asked to run."""

import os

import pytest
from checkout import ROOT, Checkout


@pytest.fixture
def ready(tmp_path):
    """A checkout with its environment made and the log empty."""
    return Checkout(tmp_path).prepare()


@pytest.mark.parametrize("place", ["root", "scripts", "elsewhere"])
def test_drivers_run_from_anywhere_and_pass_arguments_on(ready, tmp_path, place):
    script, cwd = {
        "root": ("scripts/generate_gt_2d.sh", ready.root),
        "scripts": ("generate_gt_2d.sh", ready.root / "scripts"),
        "elsewhere": ("generate_gt_2d.sh", None),
    }[place]
    assert ready.run(script, "--path", "my picture.png", "--seed=3", cwd=cwd)[0] == 0
    (asked,) = ready.asked("mc_utils.py")
    assert asked.endswith("<--path><my picture.png><--seed=3>")
    assert f"<--save_path><{ready.root}/data/GTs/images>" in asked


@pytest.mark.parametrize("name", ["2d", "3d", "_video", "_audio", "_motion"])
def test_training_goes_from_the_signal_to_the_filters(ready, name):
    code, output, errors = ready.run(f"train{name}.sh", "--field", "siren")
    assert (code, errors) == (0, "")
    programs = [line.split()[0] for line in ready.asked()]
    assert programs[:2] == ["mc_utils.py", "train.py"] and set(programs[2:]) == {"eval.py"}
    assert ready.asked("train.py")[0].endswith("<--field><siren>")
    assert "tensorboard.sh" in output.splitlines()[-1]


def test_filters_are_tents_and_the_shipped_gaussian(ready):
    assert ready.run("train2d.sh")[0] == 0
    tent, gaussian = (
        next(line for line in ready.asked("eval.py") if f"/{name}_0.4>" in line) for name in ("tent", "gaussian")
    )
    assert "<--kernel_scale><2.5>" in tent and "--kernel_path" not in tent
    assert f"<--kernel_path><{ready.root}/trained_models/kernels/gaussian.npz><--kernel_scale><2.5>" in gaussian
    assert f"<--signal><{ready.root}/data/raw/images/astronaut.png>" in tent


def test_no_run_or_result_is_written_over(ready):
    for taken in ("logs/images", "logs/images_2", "output/images/images_3"):
        (ready.root / taken).mkdir(parents=True)
    assert ready.run("train2d.sh")[0] == 0
    assert "<--experiment_name><images_3>" in ready.asked("train.py")[0]
    assert all(f"<{ready.root}/output/images/images_3_2/" in line for line in ready.asked("eval.py"))


def test_resuming_takes_the_last_run(ready):
    for taken in ("logs/images", "logs/images_2"):
        (ready.root / taken).mkdir(parents=True)
    assert ready.run("train2d.sh", "--resume")[0] == 0
    assert "<--experiment_name><images_2>" in ready.asked("train.py")[0]


def test_options_of_the_user_win(ready):
    arguments = ("--num_steps=7", "--experiment_name", "mine", "--summary=my logs", "--monte_carlo", "mine.npz")
    code, output, _ = ready.run("train2d.sh", *arguments)
    assert code == 0 and not ready.asked("mc_utils.py")
    (asked,) = ready.asked("train.py")
    assert asked.endswith("".join(f"<{argument}>" for argument in arguments))
    assert "my logs/mine/model_final.pth" in output
    # The ground truth may be another signal's: results are not measured against the shipped one.
    assert all("<--model_path><my logs/mine/model_final.pth>" in line for line in ready.asked("eval.py"))
    assert not any("--signal" in line for line in ready.asked("eval.py"))


def test_existing_ground_truth_is_used(ready):
    made = ready.root / "data/GTs/images/astronaut_order_1_0.05_exact.npz"
    made.parent.mkdir(parents=True)
    made.touch()
    code, output, _ = ready.run("train2d.sh")
    assert code == 0 and f"using the ground truth {made}" in output and not ready.asked("mc_utils.py")


def test_eval_takes_a_modality(ready):
    assert ready.run("eval.sh", "geometry", "--width", "64")[0] == 0
    assert all("geometry/model.pth" in line and line.endswith("<--width><64>") for line in ready.asked("eval.py"))
    code, _, errors = ready.run("eval.sh", "smell")
    assert code == 2 and "unknown modality 'smell'" in errors


@pytest.mark.parametrize("arguments", [(), ("all",), ("--block_size", "9")])
def test_eval_shows_every_modality(ready, arguments):
    assert ready.run("eval.sh", *arguments)[0] == 0
    asked = ready.asked("eval.py")
    assert all(any(f"<{name}>" in line for line in asked) for name in ("image", "geometry", "video", "audio", "motion"))


def test_failures_end_the_driver(ready):
    path = ready.root / ".venv" / "bin" / "python"
    path.write_text(path.read_text().replace("*) echo", "*train.py) exit 3 ;;\n    *) echo"))
    code, _, _ = ready.run("train2d.sh")
    assert code == 3 and not ready.asked("eval.py")


def test_every_driver_the_readme_names_is_there():
    names = {path.name for path in (ROOT / "scripts").glob("*.sh")}
    pairs = {f"{kind}{name}.sh" for kind in ("train", "generate_gt_") for name in ("2d", "3d")}
    pairs |= {f"{kind}_{name}.sh" for kind in ("train", "generate_gt") for name in ("video", "audio", "motion")}
    assert pairs | {"setup.sh", "eval.sh", "test.sh"} <= names
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
