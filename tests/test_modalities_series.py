"""Time series: tables of times and values, even times, units that come back."""

import re
from pathlib import Path

import numpy as np
import pytest
from programs import call

import eval as eval_program
from modalities import find, for_path
from modalities.figures import Comparison
from modalities.formats.tables import Table, read_table, write_table
from modalities.series import SeriesMetadata, evenly

SERIES = find("series")
ROOT = Path(__file__).resolve().parent.parent
GOOD = "t,a,b\n0,1,5\n1,2,5\n2,4,5\n"


def load_text(folder: Path, text: str, name: str = "a.csv", **options):
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return SERIES.load(folder / name, **options)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_tables_come_back_as_they_were(tmp_path, delimiter, header, ending):
    text = (GOOD if header else GOOD[6:]).replace(",", delimiter).replace("\n", ending)
    signal = load_text(tmp_path, text)
    assert signal.shape == (3,)
    SERIES.save(signal.values, tmp_path, signal.metadata)
    assert (tmp_path / "output.csv").read_bytes().decode() == text.replace("\r", "")


def test_tables_of_other_programs_are_read(tmp_path, capfd):
    wanted = load_text(tmp_path, GOOD).values
    for encoding in ("utf-16", "utf-8-sig"):
        assert np.array_equal(load_text(tmp_path, GOOD.encode(encoding)).values, wanted)
    assert "left out" not in capfd.readouterr().err
    rows = np.loadtxt(GOOD.splitlines()[1:], delimiter=",")
    np.savetxt(tmp_path / "b.csv", rows, header="made by NumPy\nt a b")
    assert np.array_equal(SERIES.load(tmp_path / "b.csv").values, wanted)
    assert "b.csv: lines that begin with # are left out (2)" in capfd.readouterr().err
    named = load_text(tmp_path, "# by a logger\n" + GOOD.replace("t,a", "#t,a"))
    assert np.array_equal(named.values, wanted) and named.metadata.columns == ("#t", "a", "b")
    assert "lines that begin with # are left out (1)" in capfd.readouterr().err
    assert np.array_equal(load_text(tmp_path, "   t  a b \n 0   1 5  \n\n1 2   5\n2 4 5 \n").values, wanted)


def test_columns_are_of_unit_size_about_zero(tmp_path):
    signal = load_text(tmp_path, GOOD)
    a = np.array([1, 2, 4]) - 7 / 3
    np.testing.assert_allclose(signal.values[:, 0], a / np.sqrt(np.mean(a**2)), rtol=1e-6)
    np.testing.assert_array_equal(signal.values[:, 1], 0)  # a constant is not blown up
    size = float(np.sqrt(np.mean(a**2)))
    assert signal.metadata.offset == (pytest.approx(7 / 3), 5.0)
    assert signal.metadata.scale == (pytest.approx(size), 1.0)
    rest = SeriesMetadata(0.0, 1.0, 3, signal.metadata.offset, signal.metadata.scale, ("t", "a", "b"), ",", "column")
    assert signal.metadata == rest
    common = load_text(tmp_path, GOOD, scaling="common")
    np.testing.assert_allclose(common.metadata.scale, size / np.sqrt(2))
    assert SERIES.load_again(tmp_path / "a.csv", common.metadata).metadata == common.metadata


def test_values_are_written_in_their_units_and_differences_without_offset(tmp_path):
    signal = load_text(tmp_path, GOOD)
    for signed, offset in ((None, signal.metadata.offset), (True, 0)):
        SERIES.save(0.5 * signal.values, tmp_path, signal.metadata, signed)
        table = read_table(tmp_path / "output.csv")
        expected = 0.5 * (np.array([[1, 5], [2, 5], [4, 5.0]]) - signal.metadata.offset) + offset
        np.testing.assert_allclose(table.values[:, 1:], expected, atol=1e-6)
        np.testing.assert_array_equal(table.values[:, 0], [0, 1, 2])


def test_numbers_are_rounded_to_a_millionth_of_their_columns_size():
    metadata = SeriesMetadata(0.0, 1.0, 1, (0.0, 2.0), (1.0, 0.05))
    assert metadata.original(np.array([[0.123456789, 1.0]])).tolist() == [[0.123457, 2.05]]
    assert metadata.original(np.array([[1.0, 1.2345678e-5]])).tolist() == [[1.0, 2.00000062]]


def test_another_number_of_samples_covers_the_same_time(tmp_path):
    signal = load_text(tmp_path, GOOD.replace("0,1", "0.5,1").replace("1,2", "1.25,2"))
    np.testing.assert_allclose(signal.metadata.times(7), np.linspace(0.5, 2, 7))
    SERIES.save(np.zeros((4, 2), np.float32), tmp_path, signal.metadata)
    np.testing.assert_array_equal(read_table(tmp_path / "output.csv").values[:, 0], [0.5, 1, 1.5, 2])


def test_uneven_times_are_resampled_linearly_with_a_warning(capfd):
    times = np.array([0, 1, 2, 3, 7, 8.0])
    start, step, values = evenly(times, np.stack([times, 3 - times], axis=1), "a.csv")
    assert (start, step) == (0, 1)
    np.testing.assert_allclose(values[:, 0], np.arange(9))  # a line is a line at any times
    np.testing.assert_allclose(values[:, 1], 3 - np.arange(9))
    warning = (
        "warning: a.csv has uneven times: resampled linearly to 9 samples, 1 apart as most; the largest gap is 4\n"
    )
    assert capfd.readouterr().err == warning


def test_rounded_times_are_even(capfd):
    times = np.round(np.arange(50) / 30, 3)
    values = np.random.default_rng(0).random((50, 1))
    start, step, found = evenly(times + 1e6, values, "a.csv")
    assert (start, step) == (1e6, pytest.approx(1 / 30, rel=1e-3))
    assert found is values
    assert capfd.readouterr().err == ""


def test_one_row_is_a_signal(tmp_path):
    signal = load_text(tmp_path, "5,1\n")
    assert (signal.metadata.start, signal.metadata.step, signal.metadata.columns) == (5.0, 1.0, ())
    SERIES.save(signal.values, tmp_path, signal.metadata)
    assert (tmp_path / "output.csv").read_text() == "5,1\n"
    figure = SERIES.draw(Comparison(signal.core, signal.core, None), signal.metadata)
    assert (figure.axes[0].get_title(), figure.axes[0].get_xlabel()) == ("column 1", "time")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1,2,5", ",2,5", "times that are missing"),
        ("1,2,5", "1,inf,5", "line 3 has an infinite cell"),
        ("1,2,5", "1,2", "line 3 does not hold 3 numbers with decimal points"),
        ("1,2,5", "1,two,5", "line 3 does not hold 3 numbers with decimal points"),
        ("1,2,5", "1,1e999,5", "line 3 has an infinite cell"),
        ("\n1,2,5", "\n\n1,2,x", "line 4 does not hold 3 numbers"),
        ("1,2,5", "2,2,5", "times must increase, and do not at row 3"),
        ("2,4,5", "0.5,4,5", "times must increase, and do not at row 3"),
        ("2,4,5", "1e12,4,5\n1000000000000.5,4,5\n", "cut out a piece without gaps"),
        (GOOD, "t,a\n", "has no rows of a time and a value"),
        (GOOD, "1\n2\n", "has no rows of a time and a value"),
        (GOOD, "t,a\n1\n", "has no rows of a time and a value"),
        ("0,1,5\n1,2,5", "0,1e300,5\n1,-1e300,5", "scale must be a number from 1e-100 to 1e\\+100"),
    ],
)
def test_wrong_tables_are_one_sentence(tmp_path, old, new, message):
    assert old in GOOD
    with pytest.raises(ValueError, match=message) as caught:
        load_text(tmp_path, GOOD.replace(old, new, 1))
    assert "a.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_of_columns_may_hold_anything(tmp_path):
    columns = ("time, s", 'the "left" foot', "\u00b5m")
    write_table(tmp_path / "a.csv", Table(np.array([[0, 1, 2], [0.1, 3, 4]]), columns))
    signal = SERIES.load(tmp_path / "a.csv")
    assert signal.metadata.columns == columns
    latin = "t;\u00b5\n0;1\n1;2\n".encode("latin-1")
    assert load_text(tmp_path, latin).metadata.columns == ("t", "\u00b5")
    assert load_text(tmp_path, ",x\n0,1\n1,2\n", "unnamed.csv").metadata.columns == ("", "x")
    figure = SERIES.draw(Comparison(signal.core, signal.core, None), signal.metadata)
    assert [axes.get_title() for axes in figure.axes] == list(columns[1:])
    assert figure.axes[-1].get_xlabel() == columns[0]


def test_differences_are_drawn_on_a_scale_of_their_own():
    signal = SERIES.from_array(np.array([[1000.0], [1001.0], [1003.0]]))
    figure = SERIES.draw(Comparison(signal.core, 0.01 * signal.core, 0.01 * signal.core, signed=True), signal.metadata)
    left, error, right = figure.axes
    size = signal.metadata.scale[0]
    np.testing.assert_allclose(right.lines[0].get_ydata(), [1000, 1001, 1003])
    assert left.get_ylim()[1] < 0.02 * size < right.get_ylim()[0]
    np.testing.assert_array_equal(error.lines[0].get_ydata(), 0)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["signal (right scale)", "filtered by the field", "truth"]


def test_arrays_and_npy_files_are_tables(tmp_path):
    times, values = np.arange(4) / 10, np.random.default_rng(0).random((4, 2))
    signal = SERIES.from_array(values, times=times, columns=("t", "x", "y"))
    np.testing.assert_allclose(signal.metadata.original(signal.values), values, atol=1e-7)
    assert signal.metadata.step == pytest.approx(0.1)
    assert SERIES.from_array(values[:, 0]).metadata.times(4).tolist() == [0, 1, 2, 3]
    np.save(tmp_path / "a.npy", np.column_stack([times, values]))
    np.testing.assert_array_equal(SERIES.load(tmp_path / "a.npy").values, signal.values)
    assert for_path("a.npy").name == "geometry"  # a grid of distances, unless a modality is named
    np.save(tmp_path / "c.npy", np.arange(8).reshape(4, 2))
    assert SERIES.load(tmp_path / "c.npy").metadata.offset == (4.0,)
    np.save(tmp_path / "b.npy", values[0])
    with pytest.raises(ValueError, match=r"b\.npy holds float64 \[2\]; give numbers \[T, 1 \+ c\]"):
        SERIES.load(tmp_path / "b.npy")
    with pytest.raises(ValueError, match="infinite values"):
        SERIES.from_array(np.array([1, np.inf, 2]))
    with pytest.raises(ValueError, match="columns without a value"):
        SERIES.from_array(np.array([[1, np.nan], [2, np.nan]]))


def test_the_shipped_series_is_the_lorenz_system():
    """Central differences of the rows are the right-hand side of Lorenz' equations, to second order in the step."""
    table = read_table(ROOT / "data" / "raw" / SERIES.sample.folder / SERIES.sample.raw)
    x, y, z = table.values[1:-1, 1:].T
    slopes = (table.values[2:, 1:] - table.values[:-2, 1:]) / 0.02
    expected = np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], axis=1)
    assert np.sqrt(np.mean((slopes - expected) ** 2)) < 0.01 * expected.std()


def test_metrics_are_those_of_the_scaled_columns():
    truth = np.array([[-1.0], [1.0]])
    measured = SERIES.metrics(truth + 0.1, truth, SERIES.from_array(truth).metadata)
    assert measured == {"snr": pytest.approx(20), "psnr": pytest.approx(20 * np.log10(20)), "mse": pytest.approx(0.01)}


def test_mutated_tables_are_signals_or_one_sentence(tmp_path):
    rng, path, refused = np.random.default_rng(0), tmp_path / "a.csv", 0
    for _ in range(500):
        data = bytearray(GOOD.encode())
        for place in rng.integers(0, len(data), int(rng.integers(1, 5))):
            data[place : place + 1] = rng.choice([b"\n", b",", b'"', b"9", b"-", b"", b"\xe9", b"\0", b"e99"])
        path.write_bytes(data)
        try:
            assert np.isfinite(SERIES.load(path).values).all()
        except ValueError as error:
            assert "a.csv" in str(error) and "\n" not in str(error) and len(str(error)) < 400
            refused += 1
    assert 0 < refused < 500


def test_derivatives_are_those_of_the_table_by_the_unit_that_is_printed(tmp_path):
    times = 0.5 * np.arange(400)
    rows = [f"{t},{v}" for t, v in zip(times, 1000 + 10 * np.sin(0.2 * times), strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["t,a", *rows]))
    result = call(eval_program, signal=tmp_path / "a.csv", kernel="derivative", sigma="1s", save_path=tmp_path / "out")
    assert result.exit_code == 0, result.output
    seconds = float(re.findall(r"per domain unit; a domain unit is ([\d.]+) s along", result.output)[0])
    found = np.loadtxt(tmp_path / "out" / "output.csv", delimiter=",", skiprows=1)[:, 1] / seconds
    wanted = 2 * np.cos(0.2 * times) * np.exp(-(0.2**2) / 2)
    np.testing.assert_allclose(found[20:-20], wanted[20:-20], atol=0.01)


def test_arrays_of_scaled_columns_are_said_to_be_that(tmp_path, capsys):
    signal = load_text(tmp_path, GOOD)
    SERIES.save_as(signal.values, tmp_path / "out.npy", signal.metadata)
    assert "out.npy: columns are (value - mean) / size" in capsys.readouterr().err
