"""A copy of the drivers, with a stand-in for Python that writes down what it is asked to run."""

import shutil
import subprocess
import sys
from pathlib import Path

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

    def prepare(self) -> "Checkout":
        """Make the environment, and forget what that asked for."""
        assert self.run("setup.sh")[0] == 0
        self.log.unlink()
        return self

    def stand_in(self, path: Path, pip_seconds: float = 0) -> Path:
        text = STAND_IN.format(python=sys.executable, log=self.log, broken=self.broken, pip_seconds=pip_seconds)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def pretend_cuda(self, version: str | None) -> None:
        """A torch for CUDA `version`, which the stand-in's Python imports."""
        (self.root / "torch.py").write_text(f"class version:\n    cuda = {version!r}\n")

    def start(self, script: str, *arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.Popen:
        # The folders of the real shell tools stay on PATH, but behind the stand-in.
        environment = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.root), "PYTHONPATH": str(self.root)}
        environment |= variables
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
