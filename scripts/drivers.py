"""What the drivers in this folder do: make ground truth, train and filter, in one process, for one modality.

The sample, the training and the filters shown of every modality stand in modalities/NAME.py. Options after the
modality go to mc_utils.py (generate), train.py (train) or eval.py (eval, varying).
"""

import importlib
import itertools
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import click

from modalities import MODALITIES, find
from modalities.modality import Modality

ROOT = Path(__file__).resolve().parent.parent
FOVEA = "--kernel gaussian --sigma 0.1 --scale_range 0.17,1"
# The eye rests on the face; the plane is in focus at the height of the badge. Options of make_map.py and of eval.py.
VARYING = {
    "fovea": ("--row -0.5 --column -0.1", f"--scale_map {{}} {FOVEA}"),
    "depth": ("--row 0.4", f"--scale_map {{}} {FOVEA}"),
    "flow": ("", "--angle_map {} --kernel anisotropic --sigma 0.06 --sigma_across 0.02"),
}


def run(program: str, *words: object) -> None:
    """Run one of the programs in this process, its command shown as it would be typed; exits where it fails."""
    arguments = [str(word) for word in words]
    click.echo(f"+ {program}.py {shlex.join(arguments)}")
    try:
        importlib.import_module(program).main.main(arguments, prog_name=f"{program}.py", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


def unused(path: Path) -> Path:
    """`path`, or the first of NAME_2, NAME_3, ... beside it that does not exist: no result is overwritten."""
    others = (path.with_name(f"{path.stem}_{count}{path.suffix}") for count in itertools.count(2))
    return next(found for found in itertools.chain([path], others) if not found.exists())


def latest(path: Path) -> Path:
    """The last of `path`, NAME_2, NAME_3, ... that exists."""
    count, found = 2, path
    while (following := path.with_name(f"{path.name}_{count}")).exists():
        count, found = count + 1, following
    return found


def option(name: str, words: Sequence[str]) -> str | None:
    """What the last `--name value` or `--name=value` among `words` gives, an empty string for a flag, else None."""
    found = None
    for word, following in zip(words, [*words, ""][1:], strict=True):
        if word == f"--{name}":
            found = following
        elif word.startswith(f"--{name}="):
            found = word.partition("=")[2]
    return found


class Driver:
    """The shipped sample of one modality: its files, and the options of the programs that they are made with."""

    def __init__(self, kind: Modality) -> None:
        sample = kind.sample
        self.kind, self.folder, self.sample = kind, sample.folder, sample
        self.raw = ROOT / "data" / "raw" / sample.folder / sample.raw
        name = f"{self.raw.stem}_order_{sample.order}_{sample.half_size:g}_exact.npz"
        self.ground_truth = ROOT / "data" / "GTs" / sample.folder / name
        self.model = ROOT / "trained_models" / sample.folder / "model.pth"

    def generate(self, *words: str) -> None:
        """The ground truth of the sample."""
        sample = self.sample
        run("mc_utils", "--path", self.raw, "--save_path", self.ground_truth.parent, "--modality", self.kind.name,
            "--half_size", sample.half_size, "--order", sample.order, "--margin", sample.margin, *words)  # fmt: skip

    def train(self, *words: str) -> tuple[Path, Path]:
        """Ground truth where there is none, training with the options `words`, filters; run and results folder."""
        signal = []
        if option("monte_carlo", words) is None:
            signal = ["--signal", str(self.raw)]
            if self.ground_truth.exists():
                click.echo(f"using the ground truth {self.ground_truth} (remove it to have it made again)")
            else:
                self.generate("--method", "exact")
            words = ("--monte_carlo", str(self.ground_truth), *words)
        summary = Path(option("summary", words) or ROOT / "logs")
        choose = unused if option("resume", words) is None else latest
        name = option("experiment_name", words) or choose(summary / self.folder).name
        run("train", "--summary", summary, "--experiment_name", name, *self._training(words), *words)
        results = unused(ROOT / "output" / self.folder / name)
        final = summary / name / "model_final.pth"
        self.filters(final, results, *signal)
        click.echo(f"\nmodel:      {final}")
        click.echo(f"results:    {results} (a folder per filter; metrics.json and a comparison figure in each)")
        click.echo(f"training:   sh {ROOT / 'scripts' / 'tensorboard.sh'} --logdir {summary}")
        look = shlex.join(["--model_path", str(final), "--signal", str(self.raw)])
        click.echo(f"see it:     sh {ROOT / 'scripts' / 'view.sh'} {look}")
        return summary / name, results

    def _training(self, words: Sequence[str]) -> list[str]:
        """The sample's training options; another field has its own recipe, and a resumed run its own options."""
        if any(option(name, words) is not None for name in ("field", "preset", "resume")):
            return []
        chosen = [word for name, value in self.sample.training.items() for word in (f"--{name}", str(value))]
        if option("num_steps", words) is None and option("time_budget", words) is None:
            chosen += ["--num_steps", str(self.sample.steps)]
        return chosen

    def filters(self, model: Path, results: Path, *words: str) -> None:
        """Every filter shown of the modality, each in a folder of its own under `results`."""
        shown = ",".join(f"{kernel}:{size:g}" for kernel, size in self.sample.filters)
        run("eval", "--model_path", model, "--filters", shown, "--save_path", results, *words)

    def ship(self) -> None:
        """Make the shipped model again, and the record of how it was made."""
        name = unused(ROOT / "logs" / f"shipped_{self.folder}").name
        made, results = self.train("--experiment_name", name)
        sample = self.sample
        run("scripts.ship_model", "--run", made, "--results", results, "--save_path", self.model.parent,
            "--command", f"sh scripts/train_all.sh {self.kind.name}", "--signal", self.raw.relative_to(ROOT),
            "--order", sample.order, "--half_size", sample.half_size, "--margin", sample.margin)  # fmt: skip

    def pair(self) -> list[str]:
        """The shipped model and its signal, as options of view.py."""
        return ["--model_path", str(self.model), "--signal", str(self.raw)]


def drivers_of(words: Sequence[str]) -> tuple[list[Driver], tuple[str, ...]]:
    """The drivers of the modalities that `words` begin with, or of all, and the options that follow."""
    names, options = chosen(words, list(MODALITIES))
    try:
        return [Driver(find(name)) for name in names], options
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def view(words: Sequence[str]) -> None:
    """The page of a model that is named by its options, or of the shipped models of some modalities."""
    if option("model_path", words) is not None or "--help" in words:
        run("view", *words)
        return
    drivers, options = drivers_of(words)
    run("view", *(word for driver in drivers for word in driver.pair()), *options)


def without_lacking(kind: Modality, action: str, words: Sequence[str]) -> tuple[str, ...]:
    """`words` without those options, and their values, that some other modality has and `kind` lacks; says so."""
    if action == "eval":
        own, known = {*kind.size_flags, "depth"}, {flag for each in MODALITIES.values() for flag in each.size_flags}
    else:
        own, known = {o.name for o in kind.options}, {o.name for each in MODALITIES.values() for o in each.options}
    kept: list[str] = []
    following = iter(words)
    for word in following:
        if word.startswith("--") and (name := word[2:].partition("=")[0]) in known - own:
            click.echo(f"--{name} is no option of {kind.name}: skipped there")
            if "=" not in word:
                next(following, None)
        else:
            kept.append(word)
    return tuple(kept)


def chosen(words: Sequence[str], known: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """The names that `words` begin with, or all that are `known`, and the options that follow."""
    count = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    names = [name for word in words[:count] for name in (known if word == "all" else [word])]
    return names or list(known), tuple(words[count:])


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("action", type=click.Choice(["generate", "train", "eval", "ship", "varying", "view"]))
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def main(action: str, words: tuple[str, ...]) -> None:
    """Carry out a driver: ACTION [MODALITY ...] [OPTIONS]."""
    if action == "varying":
        kinds, options = chosen(words, list(VARYING))
        vary(kinds, options)
        return
    if action == "view":
        view(words)
        return
    drivers, given = drivers_of(words)
    for driver in drivers:
        options = without_lacking(driver.kind, action, given) if len(drivers) > 1 and action != "train" else given
        match action:
            case "generate":
                preview = unused(driver.ground_truth.with_name("preview.png"))
                driver.generate("--method", "exact", "--preview", str(preview), *options)
            case "train":
                driver.train(*options)
            case "ship":
                driver.ship()
            case _:
                results = unused(ROOT / "output" / driver.folder / "shipped")
                driver.filters(driver.model, results, "--signal", str(driver.raw), *options)
                click.echo(f"results: {results}")


def vary(kinds: Sequence[str], options: Sequence[str]) -> None:
    """Kernels that vary over the shipped photograph: foveation, depth of field, blur along the flow of edges."""
    driver = Driver(find("image"))
    results = unused(ROOT / "output" / driver.folder / "varying")
    for kind in kinds:
        place, kernel = VARYING[kind]
        path = results / f"{kind}.npy"
        run("make_map", "--kind", kind, "--path", driver.raw, "--save_path", path, *place.split())
        run("eval", *driver.pair(), "--save_path", results / kind, *kernel.format(path).split(), *options)
    click.echo(f"results: {results}")


if __name__ == "__main__":
    main()
