"""Measures the sections of docs/benchmarks.md: each prints its tables and writes a file, and all files are joined.

python -m benchmarks.run --sections filtering,quality
python -m benchmarks.run --quick --save_path output/benchmarks
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import torch

from benchmarks import angles, callables, filtering, gallery, large, networks, peers, points, training
from benchmarks.common import ROOT, Settings, circumstances, cost_of
from files import atomic_write
from utils import FILE

SECTIONS: dict[str, Callable[[Settings], str]] = {
    "filtering": filtering.filtering,
    "ground_truth": filtering.ground_truth,
    "quality": training.quality,
    "networks": networks.networks,
    "shapes": training.shapes,
    "variants": training.variants,
    "throughput": training.throughput,
    "points": points.points,
    "angles": angles.angles,
    "peers": peers.peers,
    "callables": callables.callables,
    "pictures": large.pictures,
    "wide_kernels": large.wide_kernels,
    "signals": large.other_signals,
    "kernels": gallery.kernels,
    "models": gallery.models,
}
HEAD = """# Benchmarks

What was measured, when and on what; nothing here is a promise. `sh scripts/benchmark.sh --sections NAME` makes a
section again; each ends with the version it was made with. Times are by the clock, with the seconds of all processors
together in parentheses; figures that are compared with each other were measured in turn in one run. Lengths are in
domain units: a signal spans [-1, 1]. Nothing ran on a GPU yet ([gpu.md](gpu.md)). PSNR is of the whole signal,
borders included, against the exact convolution.
"""


def write(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with atomic_write(path) as stream:
        stream.write(text.encode())


def joined(results: Path) -> str:
    """The page, from the files of all sections that there are."""
    files = [results / f"{name}.md" for name in SECTIONS]
    return "\n".join([HEAD, *[file.read_text() for file in files if file.is_file()]])


@click.command()
@click.option("--sections", default=",".join(SECTIONS), show_default=True, help="What to measure, by commas.")
@click.option("--quick", is_flag=True, help="A trial of the programs in seconds; its figures mean nothing.")
@click.option("--save_path", type=FILE, help="Folder of a trial's files.")
@click.option("--threads", default=0, show_default=True, help="Threads of torch; 0: one per core.")
@click.option("--seed", default=0, show_default=True)
def main(sections: str, quick: bool, save_path: Path | None, threads: int, seed: int) -> None:
    """Measure speed and quality, and write docs/benchmarks.md, or a trial of it to --save_path."""
    names = sections.split(",")
    if unknown := [name for name in names if name not in SECTIONS]:
        raise click.ClickException(f"--sections must be of {', '.join(SECTIONS)}, not {', '.join(unknown)}")
    if threads:
        torch.set_num_threads(threads)
    trial = save_path or (ROOT / "output" / "benchmarks" if quick else None)
    results, docs = (trial, trial) if trial else (ROOT / "benchmarks" / "results", ROOT / "docs")
    settings = Settings(docs, quick, seed)
    for name in names:
        before = circumstances()
        text, cost = cost_of(partial(SECTIONS[name], settings))
        text = f"{text}\n\n*Made in {cost} with seed {seed}: {before}.*\n"
        click.echo(text)
        write(results / f"{name}.md", text)
    write(docs / "benchmarks.md", joined(results))


if __name__ == "__main__":
    main()
