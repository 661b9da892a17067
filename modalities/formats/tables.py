"""Tables of numbers as text (CSV, TSV): a time column, value columns and perhaps a header."""

import codecs
import csv
import math
import re
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np

from files import atomic_write
from files.inputs import LARGEST_TEXT, bounded, existing_file, warn

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
ADVICE = "give a CSV or TSV table of a time column and value columns"
DELIMITERS = (";", "\t", ",", "|", " ")
# What lines begin with that are no rows.
COMMENT = "#"


@dataclass(frozen=True)
class Table:
    """Numbers [T, 1 + c], the names of their columns (none without a header) and the delimiter of the text."""

    values: np.ndarray
    columns: tuple[str, ...] = ()
    delimiter: str = ","


def read_table(path: Path) -> Table:
    """The numbers of a CSV or TSV file, without its comments, which is a printed warning; raises FileNotFoundError, or
    ValueError that names file and line."""
    path = existing_file(path, "a table", ADVICE, LARGEST_TEXT)
    data = path.read_bytes()
    try:
        text = data.decode("utf-16" if data.startswith(UTF_16) else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    lines = (line.strip(" ") for line in text.splitlines() if line.strip())
    first = next((line for line in lines if not line.startswith(COMMENT)), "")
    delimiter = next((mark for mark in DELIMITERS if mark in first), ",")
    if delimiter == " ":  # several are one, and those at the ends of lines none
        text = re.sub(" +$", "", text, flags=re.MULTILINE)
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=delimiter == " ")
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise ValueError(f"{path}: line {reader.line_num}: {error}; {ADVICE}") from None
    rows = _without_comments(path, rows)
    head = [_number(cell) for cell in rows[0][1]] if rows else [0.0]
    columns = () if any(number is not None and math.isfinite(number) for number in head) else tuple(rows[0][1])
    rows = rows[1:] if columns else rows
    if not rows or len(rows[0][1]) < 2:
        raise ValueError(f"{path} has no rows of a time and a value; {ADVICE}")
    width = len(columns or rows[0][1])
    bounded(path, len(rows) * width, "cut it into shorter pieces")
    values = np.array([_numbers(path, number, row, width) for number, row in rows])
    return Table(values, columns, delimiter)


def _without_comments(path: Path, rows: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """The rows but for comments, with a printed warning; a comment right above the first numbers, of as many cells as
    they are, names the columns."""
    comments = [row[0].startswith(COMMENT) for _, row in rows]
    start = comments.index(False) if False in comments else 0
    if start and _number(rows[start][1][0]) is not None and len(rows[start - 1][1]) == len(rows[start][1]):
        comments[start - 1] = False
    if any(comments):
        warn(f"{path.name}: lines that begin with {COMMENT} are left out ({sum(comments)})")
    return [row for row, comment in zip(rows, comments, strict=True) if not comment]


def _number(cell: str) -> float | None:
    """The number of a cell, NaN for an empty one, None for text."""
    try:
        return float(cell) if cell.strip() else math.nan
    except ValueError:
        return None


def _numbers(path: Path, line: int, row: list[str], width: int) -> list[float]:
    """The numbers of one row; raises ValueError for another count, for text, and for infinite numbers; NaN for gaps."""
    numbers = [number for cell in row if (number := _number(cell)) is not None]
    if len(row) != width or len(numbers) < width:
        raise ValueError(f"{path}: line {line} does not hold {width} numbers with decimal points; {ADVICE}")
    if any(map(math.isinf, numbers)):
        raise ValueError(f"{path}: line {line} has an infinite cell; leave what is missing empty")
    return numbers


def write_table(path: Path, table: Table) -> Path:
    """Write a table, numbers to 15 digits, atomically."""
    text = StringIO(newline="")
    writer = csv.writer(text, delimiter=table.delimiter, lineterminator="\n")
    if table.columns:
        writer.writerow(table.columns)
    writer.writerows([f"{value:.15g}" for value in row] for row in table.values.tolist())
    with atomic_write(path) as stream:
        stream.write(text.getvalue().encode())
    return path
