"""Markdown from the benchmark's JSON, and its place in the README."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Parts = dict[str, dict[str, Any]]


def load_results(folder: Path) -> Parts:
    """What was measured, by part: {'machine': ..., 'data': ...}."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def insert(text: str, section: str, name: str = "benchmarks") -> str:
    """`text` with what is between the markers of `name` replaced by `section`; unchanged where there are no markers."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if begin not in text or end not in text:
        return text
    before, rest = text.split(begin, 1)
    return f"{before}{begin}\n{section.strip()}\n{end}{rest.split(end, 1)[1]}"


def render(parts: Parts, figures: Sequence[Path], docs: Path, base: Path) -> str:
    """The report; `base` is the folder that links are relative to."""
    blocks = [SECTIONS[name](parts[name]["data"]) for name in SECTIONS if name in parts]
    drawn = {path.stem: os.path.relpath(path, base) for path in figures if path.parent == docs}
    pictures = [f"![{TITLES[name]}]({drawn[name]})" for name in TITLES if name in drawn]
    return "\n\n".join([*pictures, *blocks, promises(parts), origin(parts)]) + "\n"


TITLES = {
    "benchmark_quality": "Quality against training time",
    "benchmark_filtering": "Filtering time against kernel size and Dirac count",
    "benchmark_ground_truth": "Error of Monte Carlo ground truth against samples",
}


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table: words to the left, numbers to the right."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def duration(seconds: float | None) -> str:
    """Seconds as people say them, with three digits; a dash for what was not measured."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds / 3600:.3g} h"


def plain(value: float) -> str:
    """A number with three digits or, above a thousand, none behind the point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def filtering(data: dict[str, Any]) -> str:
    """Direct sums against shared grids, and the ways without a field."""
    rows = []
    for kernel, fields in data["compared"].items():
        for kind, entry in fields.items():
            rows.append([
                f"{kernel}, {kind}", duration(entry["seconds_direct"]), duration(entry["seconds_points"]),
                duration(entry["seconds_tables"]), duration(entry["seconds_grid"]), f"{entry['speed_up']:,.0f} x",
                f"{entry['queries_per_output']:.3g}", f"{entry['agreement']:.0f} dB",
                f"{entry['accuracy_direct']:.1f} / {entry['accuracy_grid']:.1f} dB",
                "?" if entry["peak_memory_mb"] is None else f"{entry['peak_memory_mb']:.0f} MB",
            ])  # fmt: skip
    head = ["kernel, field", "Dirac by Dirac", "axis by axis", "from tables", "on the grid", "faster"]
    head += ["queries per output"]
    head += ["agreement", "accuracy direct / grid", "memory"]
    instead = [
        [name, duration(e["seconds"]), f"{min(e['accuracy'], 300):.0f} dB"] for name, e in data["instead"].items()
    ]
    averaged = [
        [kind, f"{e['accuracy']:.1f} dB", plain(e["samples"]), duration(e["seconds_signal"]),
         duration(e["seconds_network"])] for kind, e in data["monte_carlo"]["fields"].items()
    ]  # fmt: skip
    return "\n\n".join([
        "**Filtering 512 x 512 pixels** with 169 Diracs (Gaussian) and 9 (tent), half size 0.2. Dirac by Dirac is the "
        "sum as written (timed on a part of the pixels). Separable fields sum axis by axis, too: with a query of a "
        "network for every Dirac and axis, or from tables of such queries, as kernels that vary from point to point "
        "are filtered. On the grid is how eval.py filters with one kernel. Accuracy is PSNR against the exact "
        "convolution, for fields trained for some seconds.",
        table(head, rows),
        "Without a field, the same Gaussian on the pixels themselves:",
        table(["way", "time", "accuracy"], instead),
        "Averaging random samples instead, tent of half size 0.2, to the accuracy that each field has: of the signal's "
        "own pixels, or of a plain network the size of the MLP (times carried on from fewer samples):",
        table(["as accurate as", "accuracy", "samples per pixel", "from pixels", "from a network"], averaged),
    ])  # fmt: skip


def quality(data: dict[str, Any]) -> str:
    """PSNR by method, picture and budget."""
    rows = [
        [f"{r['method']}; {r['picture']}", f"{r['budget']:.2g} s" if r["budget"] < 10 else f"{r['budget']:g} s",
         *[f"{value:.1f}" for value in r["psnr"]], f"{r['steps']:,}", f"{r['parameters']:,}",
         f"{r['stored'] / 1e6:.2f} MB"] for r in data["runs"]
    ]  # fmt: skip
    head = ["method; picture", "trained", *[f"{size:g}" for size in data["sizes"]], "steps", "parameters", "stored"]
    return (
        "**Quality against training time**: PSNR in dB of the whole picture, borders included, for tents of four half "
        "sizes against the exact convolution. Every row is a run of its own, with one thread and a core to itself; "
        "for the solved field, the time is what solving it took.\n\n" + table(head, rows)
    )


def variants(data: dict[str, Any]) -> str:
    """One choice changed at a time; the change is against the default of the same kind, which stands before it."""
    rows = []
    for r in data["runs"]:
        if r["variant"].endswith(": default"):
            default = r["psnr"]
        change = sum(a - b for a, b in zip(r["psnr"], default, strict=True)) / len(default)
        values = [f"{value:.1f}" for value in (r["half"], *r["psnr"])]
        seconds = f"{r['set_up']:.1f} + {r['seconds']:.0f} s"
        rows.append([r["variant"], *values, f"{change:+.1f}", seconds, f"{r['steps']:,}", f"{r['parameters']:,}"])
    sizes = [f"{size:g}" for size in (data["half_size"], *data["sizes"])]
    head = ["variant", *sizes, "mean change", "set-up + training", "steps", "parameters"]
    return (
        f"**What was tried**, one choice changed at a time (PSNR in dB; the training kernel has half size "
        f"{data['sizes'][0]:g}, so that {data['half_size']:g} is asked of fields that were not made for it; the mean "
        "is over the other four). One thread a run. Splines are solved for and take no steps.\n\n" + table(head, rows)
    )


def throughput(data: dict[str, Any]) -> str:
    """The training step of the 256 x 4 network."""
    rows = [
        [name, duration(e["first_step"]), duration(e["seconds"]), f"{e['points']:,}", plain(e["samples_per_second"]),
         plain(e["samples_per_second_and_core"]), f"{e['queries_per_sample']:.2f}", plain(e["gflops"]),
         f"{e['share']:.0%}"] for name, e in data["steps"].items()
    ]  # fmt: skip
    head = [
        "field, batch, optimiser",
        "first step",
        "step",
        "points",
        "samples/s",
        "per core",
        "queries per sample",
        "GFLOP/s",
    ]
    rates = ", ".join(f"{name} {rate:.0f}" for name, rate in data["products_gflops"].items())
    return (
        f"**Training step of a {data['width']} x {data['layers']} network.** float32 matrix products on this machine, "
        f"GFLOP/s: {rates} (cube of 1024, a hidden layer's shape, its gradient's). The share is of the cube's rate; "
        "operations of activations, differences and optimisers are not counted. A compiled network is compiled in its "
        "first step.\n\n" + table([*head, "share"], rows)
    )


def ground_truth(data: dict[str, Any]) -> str:
    """Exact against Monte Carlo ground truth."""
    ratio = data["seconds_monte_carlo"] / data["seconds_exact"]
    laws = ", ".join(
        f"{name}: samples to the power {data[name]['slope']:.2f}, {plain(data[name]['samples_at_50_dB'])} for 50 dB"
        for name in ("lattice", "independent")
    )
    return (
        f"**Ground truth** of 512 x 512 pixels, tent of half size 0.05: exact in {duration(data['seconds_exact'])}; "
        f"Monte Carlo at 50 dB in {duration(data['seconds_monte_carlo'])} ({data['sampler']} sampler), {ratio:,.0f} "
        f"times as long. Error of the two samplers: {laws}."
    )


SECTIONS: dict[str, Callable[[dict[str, Any]], str]] = {
    "filtering": filtering,
    "quality": quality,
    "variants": variants,
    "throughput": throughput,
    "ground_truth": ground_truth,
}


def promises(parts: Parts) -> str:
    """Every bar with what was measured."""
    bars = [bar for part in parts.values() for bar in part["data"]["bars"]]
    rows = [
        [bar["text"], f"{'at least' if bar['at_least'] else 'at most'} {plain(bar['wanted'])}", plain(bar["measured"]),
         "yes" if bar["met"] else "**no**"] for bar in bars
    ]  # fmt: skip
    met = sum(bar["met"] for bar in bars)
    head = f"<details><summary>{met} of {len(bars)} promised figures are met</summary>"
    return f"{head}\n\n{table(['figure', 'promised', 'measured', 'met'], rows)}\n\n</details>"


def origin(parts: Parts) -> str:
    """Where and how this was measured."""
    lines = []
    for name, part in parts.items():
        m = part["machine"]
        versions = ", ".join(f"{package} {number}" for package, number in m["versions"].items())
        facts = f"{m['cpu']}, {m['cores']} cores, {m['threads']} threads, load {m['load']} at the start; Python "
        facts += f"{m['python']}, {versions}; seed {m['seed']}, {m['date']}"
        lines.append((facts, f"{name} ({m['seconds']:.0f} s)"))
    grouped: dict[str, list[str]] = {}
    for facts, name in lines:
        grouped.setdefault(facts, []).append(name)
    return "\n".join(f"Measured by `sh scripts/benchmark.sh`: {', '.join(n)}. {f}.  " for f, n in grouped.items())
