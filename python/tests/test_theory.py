"""Tables of results: equal to what the command line prints, to the bit."""

import math

import matplotlib
import numpy as np
import pandas as pd
import pytest

import negatives
from negatives import ArgumentError, CouponCollector, DataError, FileError

matplotlib.use("Agg")


def same(ours, theirs):
    """A cell of a table and of the JSON that the command line prints, where decimals are texts."""
    if isinstance(theirs, str) and not isinstance(ours, str):
        return ours == type(ours)(theirs)
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, dict):
        return ours == theirs["mean"]
    return ours == theirs


def assert_same(table, rows):
    rows = rows if isinstance(rows, list) else [rows]
    assert table.num_rows == len(rows) > 0
    assert [name for name in table if not name.endswith(" sd")] == list(rows[0])
    for index, row in enumerate(rows):
        for name, theirs in row.items():
            assert same(table[name][index], theirs), (index, name, table[name][index], theirs)
            if isinstance(theirs, dict):
                assert table[name + " sd"][index] == theirs["sd"]


def rounded(value, text):
    """The value with as many digits as the text has, which are those that the error bound supports."""
    mantissa = text.split("e")[0].replace(".", "").lstrip("0")
    return float(f"{value:.{max(len(mantissa), 1) - 1}e}")


FINITE = ["--classes", 10, "--per-class", 20, "--without-replacement"]


@pytest.mark.parametrize("arguments", [["--classes", 100], FINITE])
@pytest.mark.parametrize("draws", [10, 150, 128])
def test_coverage_is_the_command_lines(theory, arguments, draws):
    law = CouponCollector(100) if len(arguments) == 2 else CouponCollector(counts=[20] * 10, replace=False)
    row = theory("coverage", *arguments, "--draws", draws)
    assert law.logcdf(draws) == float(row["ln_upsilon"])
    assert law.logsf(draws) == float(row["ln_complement"])
    assert rounded(law.cdf(draws), row["upsilon"]) == float(row["upsilon"])
    assert rounded(law.sf(draws), row["complement"]) == float(row["complement"])


def test_a_curve_is_the_command_lines(theory):
    rows = theory("curve", "--classes", 30, "--draws", "30..400")
    draws = [row["draws"] for row in rows]
    for value, row in zip(CouponCollector(30).cdf(draws), rows):
        assert rounded(value, row["upsilon"]) == float(row["upsilon"])


def test_exact_and_moments_are_the_command_lines(theory):
    row = theory("coverage", "--classes", 50, "--draws", 170, "--exact")
    fraction = CouponCollector(50).exact(170)
    assert fraction * int(row["exact_denominator"]) == int(row["exact_numerator"])
    row = theory("collector", "--classes", 50)
    law = CouponCollector(50)
    assert (law.mean(), law.std()) == (float(row["expected_draws"]), float(row["standard_deviation"]))
    assert law.ppf(0.95) == row["quantile_0.95"]


def test_collision_is_the_command_lines(theory):
    row = theory("collision", "--classes", 10, "--negatives", 31)
    found = negatives.collision(31, 10).row(0)
    for name in ["ln_tau", "ln_complement", "expected_log1p_collisions"]:
        assert found[name] == float(row[name])
    assert rounded(found["tau"], row["tau"]) == float(row["tau"])
    assert negatives.collision_law(31, 10).tolist() == [float(p) for p in row["law"]]


@pytest.mark.parametrize("extra", [[], ["--collisions"], ["--method", "rare"]])
def test_simulation_is_the_command_lines(theory, extra):
    rows = theory("simulate", "--classes", 40, "--draws", 60, "--samples", 3000, "--seed", 5, *extra)
    for threads in [1, 2]:
        found = negatives.simulate(
            60, 40, num_samples=3000, seed=5, threads=threads,
            collisions="--collisions" in extra, method="rare" if "rare" in extra else "plain",
        )  # fmt: skip
        assert_same(found, rows)


def test_the_optimum_is_the_command_lines(theory, tmp_path):
    rows = theory("optimum", "--classes", 10, "--negatives", "31,127", "--temperature", 0.5)
    assert_same(negatives.optimum([31, 127], 10, temperature=0.5), rows)
    counts = tmp_path / "counts.txt"
    counts.write_text("5\n3\n1\n")
    rows = theory("optimum", "--counts", counts, "--negatives", "7", "--temperature", 1)
    assert_same(negatives.optimum(7, counts=[5, 3, 1], temperature=1), rows)


def test_measured_losses_are_the_command_lines(theory, digits):
    for given in [digits, str(digits), pd.read_csv(digits), pd.read_csv(digits).to_dict("list")]:
        assert_same(negatives.bounds(given), theory("bounds", digits))
    assert_same(negatives.bounds(digits, confidence=0.95), theory("bounds", digits, "--confidence", 0.95))
    assert_same(negatives.certify(digits), theory("certify", digits))
    assert_same(negatives.certify(digits, confidence=0.9), theory("certify", digits, "--confidence", 0.9))
    assert_same(negatives.explain(digits), theory("explain", digits))
    n = pd.read_csv(digits)["num_draws"].iloc[0]
    found = negatives.explain(pd.read_csv(digits), num_draws=n, bounds=["all"])
    assert_same(found, theory("explain", digits, "--draws", n, "--bounds", "all"))


def losses(**columns):
    return {
        "num_classes": [10, 10],
        "num_draws": [16, 32],
        "temperature": [1.0, 1.0],
        "sampling": ["with_replacement"] * 2,
        "class_counts": [[100] * 10] * 2,
        "info_nce": [1.8, 2.4],
        "gap": [-0.1, -0.1],
    } | columns


def test_a_dict_needs_no_pandas():
    table = negatives.bounds(losses())
    assert table["n = K+1"] == [16, 32] and table["L_Info"] == [1.8, 2.4]
    # What is float32 is read as the number that it is.
    table = negatives.bounds(losses(info_nce=np.float32([1.8, 2.4])))
    assert table["L_Info"] == [float(np.float32(1.8)), float(np.float32(2.4))]
    assert negatives.bounds(losses(seed=[None, float("nan")])).num_rows == 2


@pytest.mark.parametrize(
    ("columns", "row", "column", "says"),
    [
        ({"temperature": [1.0, -1.0]}, 1, "temperature", "-1"),
        ({"info_nce": [-3.0, 2.0]}, 0, "info_nce", "at least 0"),
        ({"info_nce": ["x", 2.0]}, 0, "info_nce", "x"),
        ({"num_draws": [16, 32.5]}, 1, "num_draws", "32.5"),
        ({"sampling": ["with", "with"]}, 0, "sampling", "with"),
    ],
)
def test_bad_cells_are_named(columns, row, column, says):
    for given, name in [(losses(**columns), "losses"), (pd.DataFrame(losses(**columns)), "the DataFrame")]:
        with pytest.raises(DataError, match=says) as raised:
            negatives.bounds(given)
        assert (raised.value.line, raised.value.column) == (row, column)
        assert str(raised.value).startswith(f"{name}, row {row}, column {column}: ")


def test_bad_tables_are_named():
    with pytest.raises(DataError, match="num_classes.*missing"):
        negatives.bounds({"num_draws": [3]})
    with pytest.raises(ArgumentError, match="differ in length"):
        negatives.bounds(losses(gap=[0.0]))
    with pytest.raises(ArgumentError, match="row 1, column loss: a text with a line break"):
        negatives.bounds(losses(loss=["a", "b\nc"]))
    with pytest.raises(ArgumentError, match="several settings|twice"):
        negatives.plot_bounds(losses(num_draws=[16, 16], temperature=[1.0, 2.0]))
    with pytest.raises(TypeError, match="got int"):
        negatives.bounds(5)
    with pytest.raises(FileError, match="none.csv"):
        negatives.certify("none.csv")
    with pytest.raises(ArgumentError, match="was not measured"):
        negatives.explain(losses(), num_draws=17)


def test_tables_show_themselves():
    table = negatives.bounds(losses(loss=["<b>", "<b>"]))
    frame = table.to_pandas()
    assert list(frame.columns) == list(table) and len(frame) == table.num_rows == 2
    assert "<b>" not in table._repr_html_() and "L_Info" in repr(table)
    assert repr(negatives.collision([3], 10)).splitlines()[0].split() == list(negatives.collision([3], 10))
    assert dict(table)["L_Info"] == [1.8, 2.4] and table.row(-1)["L_Info"] == 2.4


def test_the_plot_shows_what_the_table_says():
    axes = negatives.plot_bounds(losses(), bounds=["specht", "bao"])
    table = negatives.bounds(losses())
    drawn = {line.get_label(): line.get_ydata() for line in axes.lines}
    assert list(drawn["specht"]) == table["L_sup ≤ (specht)"]
    assert list(drawn["bao"]) == table["unproved: L_sup ≤ (bao)"]
    assert any("ln C = 2.30" in label for label in drawn)
    with pytest.raises(ArgumentError, match="no upper bound"):
        negatives.plot_bounds(losses(), axes, bounds=["nothing"])


def test_the_registry_has_every_bound():
    table = negatives.registry()
    assert len(set(table["key"])) == table.num_rows > 30
    assert {"bound", "certificate"} == set(table["kind"])
    assert all(table["conditions"]) and "theorem" in table["standing"]


def test_collision_by_hand():
    table = negatives.collision([0, 1, 2], 2)
    assert table["tau"] == pytest.approx([0, 0.5, 0.75], rel=1e-15)
    assert table["expected_log1p_collisions"][1] == pytest.approx(0.5 * math.log(2), rel=1e-15)
    with pytest.raises(ArgumentError):
        negatives.collision(-1, 2)
    assert negatives.collision_law(700, 10, log=True)[700] == pytest.approx(-700 * math.log(10), rel=1e-14)
