"""Show a field on a page of this machine: choose a kernel, drag its size, see what it does.

python view.py --model_path trained_models/images/model.pth --signal data/raw/images/astronaut.png
python view.py --model_path logs/images/first           (then Ctrl-C ends it)
"""

import itertools
import os
import webbrowser
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import click

import nfconv
from files import atomic_write
from files.folders import refuse_existing
from modalities.formats.programs import is_program
from nfconv.api import model_file
from utils import FILE, clear_errors

SHIPPED_PICTURES = Path(__file__).resolve().parent / "data" / "raw" / "kernels"


@click.command()
@click.option("--model_path", "models", type=FILE, multiple=True, required=True,
              help="Trained field, or its folder; several for a page with a choice.")  # fmt: skip
@click.option("--signal", "signals", type=FILE, multiple=True,
              help="Raw signal of each model, in their order, to be seen and measured against.")  # fmt: skip
@click.option("--mask", "masks", type=FILE, multiple=True,
              help="Weights of the samples of each signal, as for eval.py, in the same order.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=7860, show_default=True,
              help="First port that is tried on 127.0.0.1 (0: any).")  # fmt: skip
@click.option("--browser/--no_browser", default=True, show_default=True, help="Open the page in the browser.")
@click.option("--export", type=FILE,
              help="Write one .html file with a picture's field in it instead, which needs no server.")  # fmt: skip
@clear_errors
def main(
    models: tuple[Path, ...], signals: tuple[Path, ...], masks: tuple[Path, ...], port: int, browser: bool,
    export: Path | None,
) -> None:  # fmt: skip
    """Serve the page until Ctrl-C, to this machine alone."""
    from viewer.given import Given
    from viewer.server import App, listen
    from viewer.session import Session

    check_files(models, signals, masks)
    if export is not None:
        write_static(models, signals, export)
        return
    given = Given(SHIPPED_PICTURES)
    rows = itertools.zip_longest(models, signals, masks)
    server = listen(App([Session(model_file(model), signal, given, mask) for model, signal, mask in rows]), port)
    if port and server.port != port:
        click.echo(f"port {port} is in use, taking {server.port}")
    address = f"http://127.0.0.1:{server.port}/"
    click.echo(f"{address}  (Ctrl-C ends it)")
    if browser:
        webbrowser.open(address)
    try:
        server.serve_forever()
    finally:
        server.server_close()


def check_files(models: Sequence[Path], signals: Sequence[Path], masks: Sequence[Path]) -> None:
    """Raise ValueError for files that do not exist, for more signals than models and more masks than signals."""
    for few, many, given, asked in ((models, signals, "models", "signals"), (signals, masks, "signals", "masks")):
        if len(many) > len(few):
            raise ValueError(f"there are {len(many)} {asked} for {len(few)} {given}: give one for each")
    for path in (*map(model_file, models), *signals, *masks):
        if not path.exists() and not (path in signals and is_program(path)):
            raise ValueError(f"{path} does not exist; check the path")


def write_static(models: Sequence[Path], signals: Sequence[Path], path: Path) -> None:
    """Write the page without a server; raises ValueError for several models, other names and existing files."""
    from viewer.static import static_page

    if len(models) != 1 or path.suffix.lower() not in (".html", ".htm"):
        raise ValueError("--export writes one model to a file that ends in .html")
    refuse_existing(path)
    content = static_page(nfconv.load(models[0]).eval(), SHIPPED_PICTURES / "heart.png", *signals).encode()
    with atomic_write(path) as stream:
        stream.write(content)
    click.echo(f"{path}  ({len(content) / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
