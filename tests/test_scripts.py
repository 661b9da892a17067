"""The drivers: shell that hands arguments on, with a stand-in for Python that writes down what it is asked to run."""

import os

import pytest
from checkout import ROOT, Checkout

from modalities import MODALITIES

DRIVERS = {
    "train2d.sh": "train image",
    "train3d.sh": "train geometry",
    "generate_gt_2d.sh": "generate image",
    "generate_gt_3d.sh": "generate geometry",
    "train_all.sh": "ship",
    "eval.sh": "eval",
    "varying2d.sh": "varying",
    "view.sh": "view",
}
for _name in sorted(set(MODALITIES) - {"image", "geometry"}):
    DRIVERS |= {f"train_{_name}.sh": f"train {_name}", f"generate_gt_{_name}.sh": f"generate {_name}"}


@pytest.fixture
def ready(tmp_path):
    """A checkout with its environment made and the log empty."""
    return Checkout(tmp_path).prepare()


@pytest.mark.parametrize("script, action", DRIVERS.items())
def test_every_driver_hands_its_action_and_arguments_on(ready, script, action):
    assert ready.run(script, "--path", "my picture.png", "--seed=3") == (0, "", "")
    words = "".join(f"<{word}>" for word in (*action.split(), "--path", "my picture.png", "--seed=3"))
    assert ready.asked() == [f"drivers.py {words}"]


@pytest.mark.parametrize("place", ["root", "scripts"])
def test_drivers_run_from_anywhere(ready, place):
    script, cwd = {"root": ("scripts/eval.sh", ready.root), "scripts": ("eval.sh", ready.root / "scripts")}[place]
    assert ready.run(script, "image", cwd=cwd) == (0, "", "")
    assert ready.asked() == ["drivers.py <eval><image>"]


def test_failures_end_the_driver(ready):
    path = ready.root / ".venv" / "bin" / "python"
    path.write_text(path.read_text().replace("*) echo", "*drivers.py) exit 3 ;;\n    *) echo"))
    assert ready.run("train2d.sh")[0] == 3


def test_there_is_no_other_driver_and_what_is_started_may_be_run():
    others = {"benchmark.sh", "common.sh", "setup.sh", "tensorboard.sh", "test.sh"}
    assert {path.name for path in (ROOT / "scripts").glob("*.sh")} == set(DRIVERS) | others
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
