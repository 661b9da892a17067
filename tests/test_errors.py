"""What programs say when they refuse: one short line that does nothing to a terminal."""

import click
import pytest
from click.testing import CliRunner

from utils import LONGEST_ERROR, clear_errors, one_line


def said(error: Exception) -> str:
    """What a program says that is ended by `error`."""

    @click.command()
    @clear_errors
    def program():
        raise error

    result = CliRunner().invoke(program)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    return result.output


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x" * 100_000 + ": choose another"),
        ValueError("\x1b]0;title\x07 \x1b[31mred\x1b[0m \u202e\x9b\x00: choose another"),
        ValueError("\n\n two\r\nlines \x85\u2028: choose another"),
        ValueError("\udcff\udc80: choose another"),
        ValueError("\x1b" * 10_000 + ": choose another"),
        OSError(5, "odd \x1b[31m: choose another", "/\udcff\n" + "y" * 4000),
        MemoryError("z\x1b" * 10_000),
    ],
    ids=["long", "escapes", "lines", "surrogates", "long escapes", "file", "memory"],
)
def test_errors_are_one_short_plain_line(error):
    text = said(error)
    assert text.startswith("Error: ") and text.endswith("\n")
    assert text[:-1].isprintable() and len(text) < LONGEST_ERROR + 100
    assert "choose another" in text or "out of memory; ask for less at once" in text


@pytest.mark.parametrize("text", ["", "a sentence of ordinary length, ä and 中", "x" * LONGEST_ERROR])
def test_ordinary_errors_are_left_as_they_are(text):
    assert one_line(text) == text


def test_bugs_are_not_hidden():
    for error in (OverflowError("a bug"), ZeroDivisionError("a bug"), TypeError("a bug")):
        with pytest.raises(AssertionError):
            said(error)
