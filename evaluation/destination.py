"""Where a result goes: a folder with its metrics and figures, or a file of the result alone."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from files import atomic_write
from files.folders import refuse_existing, writable_folder
from files.locks import FOLDER_LOCK, holding, lock_beside
from modalities import MODALITIES


@dataclass(frozen=True)
class Destination:
    """What --save_path names."""

    path: Path

    @property
    def alone(self) -> bool:
        """Whether it is a file rather than a folder: by a suffix that some modality reads or writes."""
        known = {suffix for kind in MODALITIES.values() for suffix in (*kind.extensions, *kind.results)}
        # What Zarr writes is a folder itself.
        return self.path.suffix.lower() == ".zarr" or (self.path.suffix.lower() in known and not self.path.is_dir())

    def check(self, suffixes: Sequence[str], what: str) -> None:
        """Raise ValueError where something exists already, and for a file without one of the `suffixes` of results; the
        message begins with `what`."""
        self._refuse_taken()
        if self.alone and self.path.suffix.lower() not in suffixes:
            known = ", ".join(suffixes)
            raise ValueError(f"{what} not written as {self.path.suffix}: name a file with {known}, or a folder")

    def _refuse_taken(self) -> None:
        """Raise ValueError where something exists already."""
        if self.alone:
            refuse_existing(self.path)
        elif self.path.exists() and (not self.path.is_dir() or any(e.name != FOLDER_LOCK for e in self.path.iterdir())):
            raise ValueError(f"{self.path} is not empty and is never overwritten: choose another --save_path")

    @contextlib.contextmanager
    def writable(self) -> Iterator[None]:
        """Its folder, made where it is missing, while no other program writes there; raises OSError as
        `writable_folder`, and ValueError where one does or has done so."""
        folder = self.path.parent if self.alone else self.path
        lock = lock_beside(self.path) if self.alone else folder / FOLDER_LOCK
        with writable_folder(folder), holding(lock, self.path):
            # Again, now that no other can come.
            self._refuse_taken()
            yield

    def write_metrics(self, report: Mapping[str, Any]) -> list[Path]:
        """The file of the report: none beside a result alone."""
        if self.alone:
            return []
        with atomic_write(self.path / "metrics.json") as stream:
            stream.write(json.dumps(report, indent=2).encode() + b"\n")
        return [self.path / "metrics.json"]


def print_report(report: Mapping[str, Any], files: Sequence[Path]) -> None:
    """The metrics against what was asked for, what the field and the fit have in them, and the files written."""
    for name, value in report.get("whole", {}).items():
        click.echo(f"{name}: {value:.6g}")
    if "ideal" in report:
        name = next(name for name in ("psnr", "snr", "mse") if name in report["ideal"])
        parts = (("ideal", "against the exact kernel,"), ("field", "of that, the field's own:"),
                 ("fit", "of that, the fit's own:"))  # fmt: skip
        click.echo("; ".join(f"{label} {name}: {report[part][name]:.6g}" for part, label in parts))
    many = f"{report['kernels']} kernels of " if report["kernels"] > 1 else ""
    size = " x ".join(map(str, report["shape"][:-1]))
    radius = max(report["radius"])
    click.echo(f"{many}{report['diracs']} Diracs, radius {radius:.3g}, {size}: {report['seconds']:.2f} s")
    for file in files:
        click.echo(f"  {file}")
