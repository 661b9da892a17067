"""The benchmark's command: measures, writes JSON, and renders figures and Markdown from all JSON there is.

python -m benchmarks.run --parts filtering,quality
python -m benchmarks.run --quick --save_path output/benchmarks
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks import filtering, gallery, machine, montecarlo, quality, throughput, variants
from benchmarks.figures import draw_figures
from benchmarks.measure import Settings
from benchmarks.report import insert, load_results, render
from benchmarks.runs import ROOT
from files import atomic_write

PARTS: dict[str, Callable[[Settings], dict[str, Any]]] = {
    "filtering": filtering.run,
    "ground_truth": montecarlo.ground_truth,
    "throughput": throughput.run,
    "variants": variants.run,
    "quality": quality.run,
    "kernels": gallery.run,
}


def write(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as stream:
        stream.write(text.encode())


def chosen_parts(text: str) -> list[str]:
    """The parts named in `text`, with commas in between; raises click.ClickException for others."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in PARTS]
    if unknown or not names:
        raise click.ClickException(f"--parts takes {', '.join(PARTS)}, not {', '.join(unknown) or 'nothing'}")
    return names


def publish(results: Path, docs: Path, readme: Path) -> None:
    """Markdown beside the JSON, figures in `docs`, and the README's section where it has one."""
    parts = load_results(results)
    text = render(parts, draw_figures(parts, docs), docs, results)
    write(results / "results.md", text)
    if readme.is_file():
        content = insert(readme.read_text(), render(parts, sorted(docs.glob("*.png")), docs, readme.parent))
        if "kernels" in parts:
            content = insert(content, gallery.render(parts["kernels"]["data"]), "kernels")
        write(readme, content)


@click.command()
@click.option("--parts", default=",".join(PARTS), show_default=True, help="What to measure, with commas in between.")
@click.option("--quick", is_flag=True, help="A smoke test: seconds, not figures; never touches README or docs.")
@click.option("--long", "longer", is_flag=True, help="Also train for 120 and 300 s.")
@click.option("--report", "report_only", is_flag=True, help="Measure nothing: render what was measured before.")
@click.option("--save_path", type=click.Path(path_type=Path), default=None, help="Folder of the JSON and Markdown.")
@click.option("--threads", default=0, show_default=True, help="Threads of torch; 0: one per core.")
@click.option("--seed", default=0, show_default=True)
def main(parts: str, quick: bool, longer: bool, report_only: bool, save_path: Path | None, threads: int,
         seed: int) -> None:  # fmt: skip
    """Measure speed and quality, and write benchmarks/results, docs and the README's performance section."""
    names = chosen_parts(parts)
    if threads:
        torch.set_num_threads(threads)
    results = save_path or (ROOT / "output" / "benchmarks_quick" if quick else ROOT / "benchmarks" / "results")
    settings = Settings(quick, longer, seed)
    for name in () if report_only else names:
        click.echo(f"{name} ...")
        before, start = machine.facts(), time.perf_counter()
        data = PARTS[name](settings)
        about = before | {"seconds": round(time.perf_counter() - start, 1), "seed": seed, "quick": quick}
        write(results / f"{name}.json", json.dumps({"machine": about, "data": data}, indent=1) + "\n")
        for bar in data["bars"]:
            sign = ">=" if bar["at_least"] else "<="
            mark = "ok  " if bar["met"] else "MISS"
            click.echo(f"  {mark} {bar['text']}: {bar['measured']:.4g} ({sign} {bar['wanted']:g})")
    own = results == ROOT / "benchmarks" / "results"
    publish(results, ROOT / "docs" if own else results, ROOT / "README.md" if own else results / "README.md")
    click.echo(f"{results / 'results.md'}")


if __name__ == "__main__":
    main()
