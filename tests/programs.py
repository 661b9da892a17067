"""The programs called in this process, and what is left when they refuse."""

from pathlib import Path

from click.testing import CliRunner


def call(program, **flags):
    """The program's click command with --flag value for every entry; a flag of True stands alone."""
    words = []
    for name, value in flags.items():
        words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return CliRunner().invoke(program.main, words)


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def refused(program, folder: Path, words: str, **flags) -> None:
    """The call ends in one sentence with `words` in it, and leaves everything in `folder` as it was."""
    before = snapshot(folder)
    result = call(program, **flags)
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit), result.exception
    last = result.output[result.output.index("Error:") :]
    assert last.count("\n") == 1, last
    assert words in last, last
    assert "Traceback" not in result.output
    assert snapshot(folder) == before
