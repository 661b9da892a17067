"""drivers.py: which programs it runs with which words, with recorders in place of the programs."""

import sys
from types import SimpleNamespace

import click
import pytest
from checkout import ROOT
from click.testing import CliRunner

from modalities import MODALITIES, find
from scripts import drivers
from scripts.drivers import Driver, chosen, latest, option, unused


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty folder in place of the repository."""
    monkeypatch.setattr(drivers, "ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def asked(monkeypatch):
    """The (program, words) that are run, with recorders in place of the programs."""
    calls = []

    def recorder(name):
        return SimpleNamespace(main=SimpleNamespace(main=lambda words, **_: calls.append((name, words))))

    for name in ("mc_utils", "train", "eval", "make_map", "view", "scripts.ship_model"):
        monkeypatch.setitem(sys.modules, name, recorder(name))
    return calls


def value(words: list[str], name: str) -> str:
    """What follows the last --name."""
    return words[len(words) - 1 - words[::-1].index(f"--{name}") + 1]


def drive(*words: str):
    result = CliRunner().invoke(drivers.main, words)
    assert result.exit_code == 0, result.output
    return result.output


def test_unused_and_latest_count_from_two(root):
    run, file = root / "run", root / "look.png"
    assert (unused(run), latest(run), unused(file)) == (run, run, file)
    for taken in ("run", "run_2", "run_4"):
        (root / taken).mkdir()
    file.touch()
    assert (unused(run), latest(run)) == (root / "run_3", root / "run_2")
    assert unused(file) == root / "look_2.png"


@pytest.mark.parametrize(
    "words, found",
    [
        ((), None),
        (("--seeds", "1"), None),
        (("--seed", "1"), "1"),
        (("--seed=1=2",), "1=2"),
        (("--seed", "1", "--seed=3"), "3"),
        (("--seed=3", "--seed", "1"), "1"),
        (("--seed",), ""),
    ],
)
def test_options_are_found_in_either_form_and_the_last_wins(words, found):
    assert option("seed", words) == found


@pytest.mark.parametrize(
    "words, names, options",
    [
        ((), ["a", "b"], ()),
        (("all",), ["a", "b"], ()),
        (("b",), ["b"], ()),
        (("b", "--x", "a"), ["b"], ("--x", "a")),
        (("--x",), ["a", "b"], ("--x",)),
    ],
)
def test_names_come_before_options(words, names, options):
    assert chosen(words, ["a", "b"]) == (names, options)


@pytest.mark.parametrize("name", MODALITIES)
def test_shipped_signals_and_models_are_there(name):
    driver = Driver(find(name))
    assert driver.raw.is_file() and driver.raw.is_relative_to(ROOT / "data" / "raw")
    assert all(kernel == "tent" or (ROOT / "trained_models/kernels" / f"{kernel}.npz").is_file()
               for kernel, _ in driver.sample.filters)  # fmt: skip


@pytest.mark.parametrize("name", MODALITIES)
def test_training_goes_from_the_signal_to_the_filters(root, asked, name):
    output = drive("train", name, "--device", "cpu")
    driver = Driver(find(name))
    sample = driver.sample
    (made, truth), (trained, training), (filtered, filters) = asked
    assert (made, trained, filtered) == ("mc_utils", "train", "eval")
    assert value(truth, "path") == str(driver.raw) and value(truth, "half_size") == str(sample.half_size)
    assert value(truth, "save_path") == str(driver.ground_truth.parent) and value(truth, "modality") == name
    assert value(training, "monte_carlo") == str(driver.ground_truth)
    assert value(training, "num_steps") == str(sample.steps) and training[-2:] == ["--device", "cpu"]
    assert all(value(training, option) == str(wanted) for option, wanted in sample.training.items())
    assert value(filters, "signal") == str(driver.raw)
    assert value(filters, "model_path") == str(root / "logs" / sample.folder / "model_final.pth")
    shown = [f"{kernel}:{size:g}" for kernel, size in sample.filters]
    assert value(filters, "filters").split(",") == shown
    assert "+ train.py --summary" in output and "tensorboard.sh" in output.splitlines()[-2]
    assert "view.sh" in output.splitlines()[-1] and "model_final.pth" in output.splitlines()[-1]


def test_ground_truth_is_named_as_mc_utils_names_it(root):
    import mc_utils

    driver = Driver(find("image"))
    folder, stem, sample = driver.ground_truth.parent, driver.raw.stem, driver.sample
    assert mc_utils.ground_truth_file(folder, stem, sample.order, sample.half_size, "exact") == driver.ground_truth


def test_existing_ground_truth_is_used(root, asked):
    made = Driver(find("image")).ground_truth
    made.parent.mkdir(parents=True)
    made.touch()
    assert f"using the ground truth {made}" in drive("train", "image")
    assert [program for program, _ in asked] == ["train", "eval"]


def test_no_run_or_result_is_written_over(root, asked):
    for taken in ("logs/images", "logs/images_2", "output/images/images_3"):
        (root / taken).mkdir(parents=True)
    drive("train", "image")
    assert value(asked[1][1], "experiment_name") == "images_3"
    assert value(asked[2][1], "save_path") == str(root / "output/images/images_3_2")


def test_resuming_goes_on_with_the_last_run_and_its_own_options(root, asked):
    for taken in ("logs/images", "logs/images_2"):
        (root / taken).mkdir(parents=True)
    drive("train", "image", "--resume")
    words = asked[1][1]
    assert value(words, "experiment_name") == "images_2"
    assert "--num_steps" not in words


@pytest.mark.parametrize("words", [("--field", "siren"), ("--preset", "paper")])
def test_other_fields_have_their_own_recipe(root, asked, words):
    drive("train", "geometry", *words)
    training = asked[1][1]
    assert not {f"--{name}" for name in Driver(find("geometry")).sample.training} & set(training)
    assert "--num_steps" not in training and training[-2:] == list(words)


@pytest.mark.parametrize("words", [("--num_steps=7",), ("--time_budget", "9")])
def test_lengths_of_the_user_win(root, asked, words):
    drive("train", "geometry", *words)
    assert "--num_steps" not in asked[1][1]


def test_ground_truth_of_the_user_is_not_measured_against_the_shipped_signal(root, asked):
    output = drive("train", "image", "--experiment_name", "mine", "--summary=my logs", "--monte_carlo", "mine.npz")
    (trained, training), (filtered, filters) = asked
    assert (trained, filtered) == ("train", "eval")
    assert value(training, "monte_carlo") == "mine.npz" and value(training, "experiment_name") == "mine"
    assert value(filters, "model_path") == "my logs/mine/model_final.pth" and "--signal" not in filters
    assert "my logs/mine/model_final.pth" in output


def test_generating_adds_a_preview_and_options_of_the_user_win(root, asked):
    (root / "data/GTs/images").mkdir(parents=True)
    (root / "data/GTs/images/preview.png").touch()
    drive("generate", "image", "--half_size", "0.1")
    ((program, words),) = asked
    assert program == "mc_utils" and value(words, "half_size") == "0.1"
    assert value(words, "preview") == str(root / "data/GTs/images/preview_2.png")
    assert value(words, "method") == "exact"


@pytest.mark.parametrize("words, names", [((), list(MODALITIES)), (("all",), list(MODALITIES)),
                                          (("sound", "1"), ["audio", "image"])])  # fmt: skip
def test_shipped_models_filter_their_signals(root, asked, words, names):
    output = drive("eval", *words, "--block_size", "9")
    for name, (program, given) in zip(names, asked, strict=True):
        driver = Driver(find(name))
        assert program == "eval" and given[-2:] == ["--block_size", "9"]
        assert value(given, "model_path") == str(root / "trained_models" / driver.folder / "model.pth")
        assert value(given, "signal") == str(driver.raw)
        assert f"results: {root / 'output' / driver.folder / 'shipped'}\n" in output


def test_options_that_a_modality_lacks_are_skipped_there_where_several_are_named(root, asked):
    output = drive("eval", "all", "--width", "99", "--height=9", "--block_size", "8")
    given = {find(name).name: words for name, (_, words) in zip(MODALITIES, asked, strict=True)}
    assert "--width is no option of audio: skipped there" in output
    for name in ("image", "video", "geometry"):
        assert value(given[name], "width") == "99" and "--height=9" in given[name]
    for name in ("audio", "motion", "series"):
        assert given[name][-2:] == ["--block_size", "8"] and not {"--width", "99", "--height=9"} & set(given[name])
    asked.clear()
    drive("eval", "audio", "--width", "99")
    assert asked[0][1][-2:] == ["--width", "99"]
    asked.clear()
    drive("generate", "image", "audio", "--window", "64", "--order", "2")
    assert "--window" not in asked[0][1] and value(asked[0][1], "order") == "2"
    assert value(asked[1][1], "window") == "64"


def test_shipping_trains_filters_and_keeps_a_record(root, asked):
    (root / "logs/shipped_images").mkdir(parents=True)
    drive("ship", "image")
    assert [program for program, _ in asked] == ["mc_utils", "train", "eval", "scripts.ship_model"]
    words = asked[3][1]
    assert value(words, "run") == str(root / "logs/shipped_images_2")
    assert value(words, "results") == value(asked[2][1], "save_path") == str(root / "output/images/shipped_images_2")
    assert value(words, "signal") == "data/raw/images/astronaut.png"
    assert value(words, "command") == "sh scripts/train_all.sh image"


def test_varying_kernels_have_a_map_and_a_filter_each(root, asked):
    drive("varying", "--width", "9")
    assert [program for program, _ in asked] == ["make_map", "eval"] * 3
    for (_, made), (_, filtered) in zip(asked[::2], asked[1::2], strict=True):
        kind = value(made, "kind")
        path = str(root / "output/images/varying" / f"{kind}.npy")
        assert value(made, "save_path") == path == value(filtered, "angle_map" if kind == "flow" else "scale_map")
        assert filtered[-2:] == ["--width", "9"]
    asked.clear()
    drive("varying", "depth")
    assert [value(words, "kind") for program, words in asked if program == "make_map"] == ["depth"]


def test_unknown_modalities_are_one_sentence(root, asked):
    result = CliRunner().invoke(drivers.main, ["eval", "smell"])
    assert result.exit_code == 1 and result.output.startswith("Error: there is no modality 'smell'")
    assert not asked


def test_failures_of_a_program_end_the_driver(root, asked, monkeypatch):
    def fail(words, **_):
        raise click.ClickException("no such luck")

    monkeypatch.setitem(sys.modules, "train", SimpleNamespace(main=SimpleNamespace(main=fail)))
    result = CliRunner().invoke(drivers.main, ["train", "image"])
    assert result.exit_code == 1 and "Error: no such luck" in result.output
    assert [program for program, _ in asked] == ["mc_utils"]


@pytest.mark.parametrize("words, names", [((), list(MODALITIES)), (("motion", "image"), ["motion", "image"])])
def test_the_page_shows_shipped_models_with_their_signals(root, asked, words, names):
    drive("view", *words, "--port", "0")
    [(program, given)] = asked
    assert program == "view" and given[-2:] == ["--port", "0"]
    folders = [find(name).sample.folder for name in names]
    assert given[1:-2:4] == [str(root / "trained_models" / folder / "model.pth") for folder in folders]
    assert given[3:-2:4] == [str(Driver(find(name)).raw) for name in names]


def test_the_page_shows_the_model_that_is_named(asked):
    drive("view", "--model_path", "my.pth", "--signal", "my.png")
    assert asked == [("view", ["--model_path", "my.pth", "--signal", "my.png"])]
