"""The drivers under a POSIX shell, with a stand-in for Python that writes down what it is asked to run."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHELL = shutil.which("dash") or "sh"
# Programs and pip are written down; the questions that set-up asks (-c) are answered by the real Python.
STAND_IN = """#!/bin/sh
case $1 in
    -c) exec "{python}" "$@" ;;
    --version) echo "Python stand-in" ;;
    -m)
        echo "$*" >>"{log}"
        if [ "$2" = venv ]; then
            for folder; do :; done
            rm -rf "$folder"
            mkdir -p "$folder/bin"
            cp "$0" "$folder/bin/python"
        fi
        if [ "$2" = pip ]; then
            sleep {pip_seconds}
            [ ! -e "{broken}" ] || exit 1
        fi
        ;;
    *) echo "$(basename "$1") $(shift; for a; do printf '<%s>' "$a"; done)" >>"{log}" ;;
esac
"""


class Checkout:
    """A copy of the drivers in a folder whose name has a space, with the stand-in first on PATH as python3."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a checkout"
        self.log = folder / "asked"
        self.broken = folder / "pip is broken"
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        for name in ("requirements.txt", "requirements-dev.txt"):
            shutil.copy(ROOT / name, self.root)
        self.stand_in(self.bin / "python3")

    def stand_in(self, path: Path, pip_seconds: float = 0) -> Path:
        text = STAND_IN.format(python=sys.executable, log=self.log, broken=self.broken, pip_seconds=pip_seconds)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def start(self, script: str, *arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.Popen:
        # The folders of the real shell tools stay on PATH, but behind the stand-in.
        environment = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.root), **variables}
        command = [SHELL, script if cwd else str(self.root / "scripts" / script), *arguments]
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, script: str, *arguments: str, cwd: Path | None = None, **variables: str) -> tuple[int, str, str]:
        process = self.start(script, *arguments, cwd=cwd, **variables)
        output, errors = process.communicate(timeout=30)
        return process.returncode, output, errors

    def asked(self, program: str = "") -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if line.startswith(program)]


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


@pytest.fixture
def ready(checkout):
    """A checkout with its environment made and the log empty."""
    assert checkout.run("setup.sh")[0] == 0
    checkout.log.unlink()
    return checkout


def test_setup_makes_the_environment_once(checkout):
    code, output, errors = checkout.run("setup.sh")
    assert (code, errors) == (0, "") and "this first time only" in output
    asked = checkout.asked("-m")
    assert [line.split()[1] for line in asked] == ["venv", "pip", "pip"]
    assert "torch==" in asked[1] and "whl/cpu" in asked[1] and "requirements-dev.txt" in asked[2]
    assert checkout.run("setup.sh") == (0, "", "")
    assert checkout.asked("-m") == asked


def test_cuda_is_a_variable_away(checkout):
    assert checkout.run("setup.sh", NFC_TORCH="cuda")[0] == 0
    assert not any("whl/cpu" in line for line in checkout.asked("-m"))


def test_changed_requirements_install_again(ready):
    with (ready.root / "requirements.txt").open("a") as stream:
        stream.write("click==0.0\n")
    assert ready.run("setup.sh")[0] == 0
    assert any("requirements-dev.txt" in line for line in ready.asked("-m pip"))


def test_a_failed_set_up_is_not_marked_as_done(checkout):
    checkout.broken.touch()
    code, _, errors = checkout.run("setup.sh")
    assert code == 1 and "run this again" in errors
    checkout.broken.unlink()
    assert checkout.run("setup.sh")[0] == 0
    assert len(checkout.asked("-m venv")) == 2


def test_a_killed_set_up_is_made_again(checkout):
    checkout.stand_in(checkout.bin / "python3", pip_seconds=60)
    process = checkout.start("setup.sh")
    deadline = time.monotonic() + 20
    while not checkout.asked("-m pip") and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    checkout.stand_in(checkout.bin / "python3")
    checkout.stand_in(checkout.root / ".venv" / "bin" / "python")
    assert checkout.run("setup.sh")[0] == 0
    assert len(checkout.asked("-m venv")) == 2


def test_two_at_once_install_once(checkout):
    checkout.stand_in(checkout.bin / "python3", pip_seconds=0.4)
    both = [checkout.start("setup.sh") for _ in range(2)]
    outputs = [process.communicate(timeout=30)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len(checkout.asked("-m venv")) == 1
    assert sum("waiting for another set-up" in output for output in outputs) == 1


def test_somebody_elses_environment_is_left_alone(checkout):
    precious = checkout.root / ".venv" / "precious"
    precious.parent.mkdir()
    precious.touch()
    code, _, errors = checkout.run("setup.sh")
    assert code == 1 and "did not make" in errors and errors.count("\n") == 1
    assert precious.exists()


def test_no_python_is_one_clear_sentence(checkout):
    old = "#!/bin/sh\nexit 1\n"
    for name in ("python3", "python3.13", "python3.12", "python3.11", "python3.10", "python"):
        path = checkout.bin / name
        path.write_text(old)
        path.chmod(0o755)
    code, _, errors = checkout.run("setup.sh")
    assert code == 1 and "3.10 or newer" in errors and errors.count("\n") == 1
    assert not (checkout.root / ".venv").exists()


def test_a_python_of_ones_own(checkout):
    code, _, errors = checkout.run("setup.sh", NFC_PYTHON="/bin/false")
    assert code == 1 and "NFC_PYTHON=/bin/false" in errors
    own = checkout.stand_in(checkout.root / "own python")
    assert checkout.run("test.sh", "-k", "one two", cwd=None, NFC_PYTHON=str(own))[0] == 0
    assert checkout.asked() == ["-m pytest -k one two"]
    assert checkout.run("scripts/test.sh", cwd=checkout.root, NFC_PYTHON="./own python")[0] == 0
    assert not (checkout.root / ".venv").exists()


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
