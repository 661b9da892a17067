"""setup.sh: the environment is made once, whole, and never over somebody else's."""

import os
import re
import signal
import time
from pathlib import Path

import pytest
from checkout import Checkout


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_setup_makes_the_environment_once(checkout):
    code, output, errors = checkout.run("setup.sh")
    assert (code, errors) == (0, "") and "with Python stand-in, once:" in output
    asked = checkout.asked("-m")
    assert [line.split()[1] for line in asked] == ["venv", "pip", "pip"]
    assert "torch==" in asked[1] and "whl/cpu" in asked[1] and "requirements-dev.txt" in asked[2]
    assert checkout.run("setup.sh") == (0, "", "")
    assert checkout.asked("-m") == asked


@pytest.mark.parametrize("build", ["cu126", "cu130"])
def test_cuda_is_a_variable_away(checkout, build):
    checkout.pretend_cuda("13.0")
    assert checkout.run("setup.sh", NFC_TORCH=build)[0] == 0
    asked = checkout.asked("-m pip")
    assert f"whl/{build}" in asked[0] and re.search(rf" torch==\S+\+{build}$", asked[0])
    assert not any("whl/cpu" in line for line in asked)
    assert checkout.run("setup.sh", NFC_TORCH=build) == checkout.run("setup.sh") == (0, "", "")


CARDS = {
    "580.65.06, 9.0": "cu130",
    "580.65.06, 7.0": "cu126",
    "595.71.05, 12.0\n595.71.05, 7.5": "cu130",
    "575.57.08, 8.9": "cu126",
    "525.60.13, 5.0": "cu126",
    "570.86.10, 12.0": "no build of PyTorch works",
    "595.71.05, 12.0\n595.71.05, 6.1": "no build of PyTorch works",
    "515.43.04, 8.0": "no build of PyTorch works",
    "": "nvidia-smi does not answer",
}


@pytest.mark.parametrize("cards, wanted", CARDS.items())
def test_cuda_is_the_newest_that_driver_and_cards_work_with(checkout, cards, wanted):
    checkout.pretend_cuda("12.6")
    smi = checkout.bin / "nvidia-smi"
    smi.write_text(f"#!/bin/sh\nprintf '{cards}'\n" if cards else "#!/bin/sh\nexit 9\n")
    smi.chmod(0o755)
    code, _, errors = checkout.run("setup.sh", NFC_TORCH="cuda")
    if wanted.startswith("cu"):
        assert (code, errors) == (0, "")
        assert f"whl/{wanted}" in checkout.asked("-m pip")[0]
        assert checkout.run("setup.sh", NFC_TORCH="cuda") == (0, "", "")
    else:
        assert code == 1 and wanted in errors and errors.count("\n") == 1
        assert not (checkout.root / ".venv").exists()


def test_a_build_without_cuda_is_not_marked_as_done(checkout):
    checkout.pretend_cuda(None)
    code, _, errors = checkout.run("setup.sh", NFC_TORCH="cu130")
    assert code == 1 and "torch.version.cuda is None" in errors and errors.count("\n") == 1
    assert not (checkout.root / ".venv" / "requirements.installed").exists()
    code, _, errors = checkout.run("setup.sh", NFC_TORCH="cu12")
    assert code == 1 and "NFC_TORCH must be cpu, cuda, cu126 or cu130, not cu12" in errors


def test_conda_names_the_same_builds_of_the_same_version(checkout):
    own = Path(__file__).resolve().parent.parent
    pinned = re.search(r"^torch==(\S+)$", (own / "requirements.txt").read_text(), re.MULTILINE)
    offered = re.findall(r"# - torch==(\S+)\+(cu\d+)$", (own / "environment.yml").read_text(), re.MULTILINE)
    assert [version for version, _ in offered] == 2 * [pinned.group(1)]
    for _, build in offered:
        checkout.pretend_cuda("13.0")
        assert checkout.run("setup.sh", NFC_TORCH=build)[0] == 0


def test_changed_requirements_install_again(checkout):
    checkout.prepare()
    with (checkout.root / "requirements.txt").open("a") as stream:
        stream.write("click==0.0\n")
    assert checkout.run("setup.sh")[0] == 0
    assert any("requirements-dev.txt" in line for line in checkout.asked("-m pip"))


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


def test_a_linked_environment_is_never_cleared(checkout):
    theirs = checkout.root / "theirs"
    theirs.mkdir()
    (theirs / "requirements.installed").write_text("of other requirements\n")
    (checkout.root / ".venv").symlink_to(theirs)
    code, _, errors = checkout.run("setup.sh")
    assert code == 1 and "did not make" in errors
    assert [path.name for path in theirs.iterdir()] == ["requirements.installed"]


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
    (asked,) = checkout.asked()
    assert asked.startswith("-m pytest ") and asked.endswith(" -k one two")
    assert checkout.run("scripts/test.sh", cwd=checkout.root, NFC_PYTHON="./own python")[0] == 0
    assert not (checkout.root / ".venv").exists()
