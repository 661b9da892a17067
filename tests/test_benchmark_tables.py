"""What the tables of the benchmarks are made of: clocks, durations, Markdown, and the joined page."""

import pytest
from click.testing import CliRunner

from benchmarks import common
from benchmarks.common import Cost, duration, interleaved, table
from benchmarks.run import SECTIONS, joined, main


def test_tasks_take_turns_after_a_warm_up_and_the_median_of_both_clocks_counts(monkeypatch):
    turns = []
    # The seconds of each run of the two tasks, first those of the warm-up.
    seconds = iter([50, 60, 1, 10, 5, 30, 2, 20])
    clock = {"now": 0.0}
    monkeypatch.setattr(common.time, "perf_counter", lambda: clock["now"])
    monkeypatch.setattr(common.time, "process_time", lambda: 2 * clock["now"])

    def task(name):
        turns.append(name)
        clock["now"] += next(seconds)

    found = interleaved({"a": lambda: task("a"), "b": lambda: task("b")}, rounds=3)
    assert turns == ["a", "b"] * 4
    assert found == {"a": Cost(2, 4), "b": Cost(20, 40)}
    assert str(found["a"] * 0.25) == "500 ms (1 s)"


@pytest.mark.parametrize(
    "seconds, text", [(0.0123, "12.3 ms"), (1, "1 s"), (999.4, "999 s"), (1000, "0.278 h"), (3.6e7, "1e+04 h")]
)
def test_durations_have_three_digits(seconds, text):
    assert duration(seconds) == text


def test_tables_are_markdown():
    assert table(["a", "b", "c"], [["x", 1, 2.5]]) == "| a | b | c |\n|---|---:|---:|\n| x | 1 | 2.5 |"


def test_the_page_joins_the_sections_there_are_in_their_order(tmp_path):
    for name in ("quality", "filtering"):
        (tmp_path / f"{name}.md").write_text(f"## {name}\n")
    assert joined(tmp_path).startswith("# Benchmarks\n")
    assert joined(tmp_path).endswith("\n\n## filtering\n\n## quality\n")


def test_unknown_sections_are_refused_before_anything_is_measured(tmp_path):
    result = CliRunner().invoke(main, ["--sections", "models,cooking", "--save_path", str(tmp_path / "new")])
    assert result.exit_code == 1
    assert f"--sections must be of {', '.join(SECTIONS)}, not cooking" in result.output
    assert not (tmp_path / "new").exists()
