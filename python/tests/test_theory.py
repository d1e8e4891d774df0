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
    if isinstance(ours, bool):
        return theirs == ("yes" if ours else "no")
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


@pytest.mark.parametrize("wrong", ["info_nec", "gap_se_", "num_class", "mean_accurracy"])
def test_a_mistyped_column_is_named(wrong):
    meant = {"info_nec": "info_nce", "gap_se_": "gap_se", "num_class": "num_classes", "mean_accurracy": "mean_accuracy"}
    for given in [losses(**{wrong: [0.5, 0.5]}), pd.DataFrame(losses(**{wrong: [0.5, 0.5]}))]:
        with pytest.raises(ArgumentError, match=f"no column {wrong}: do you mean {meant[wrong]}\\?"):
            negatives.bounds(given)


def test_columns_of_ones_own_stay_in_a_frame():
    own = losses(my_note=["a", "b"], info_nce_minus_curl=[0.1, 0.2])
    with pytest.raises(ArgumentError, match="no column my_note: do you mean"):
        negatives.bounds(own)
    assert negatives.bounds(pd.DataFrame(own))["L_Info"] == [1.8, 2.4]
    del own["my_note"]
    assert negatives.bounds(own)["L_Info"] == [1.8, 2.4]


def test_vacuous_is_a_bool():
    for info_nce in (1.8, 9.0):
        table = negatives.certify(losses(info_nce=[info_nce] * 2))
        bounds, chance = table["upper_bound"], table["chance"]
        assert table["vacuous"] == [bound is None or bound >= limit for bound, limit in zip(bounds, chance)]
        assert dict(zip(table["claim"], table["vacuous"]))["L_sup"] is (info_nce == 9.0)


def test_bounds_are_shown_a_row_a_bound(theory, digits):
    table = negatives.bounds(digits)
    lines = repr(table).splitlines()
    draws = sorted(set(table["n = K+1"]))
    assert [lines[0].count(f"n = {n}") for n in draws] == [1] * len(draws)
    for key in ("curl", "specht", "nozawa_sato"):
        row = next(line for line in lines if line.startswith("L_sup ≤") and f" {key} " in line)
        # The mean over seeds at the first n, with at least its first four digits.
        mean = table[f"L_sup ≤ ({key})"][0]
        assert float(row.split(key)[1].split()[0]) == pytest.approx(mean, rel=1e-3)
        assert ("vacuous" in row.split("±")[1]) == (mean > math.log(10))
    html = table._repr_html_()
    assert html.count("<tr>") == len(lines)
    # Beside them what holds with confidence, as a table of its own.
    assert "\n\n" in repr(negatives.bounds(digits, confidence=0.9))


def test_tables_show_themselves():
    table = negatives.bounds(losses(loss=["<b>", "<b>"]))
    frame = table.to_pandas()
    assert list(frame.columns) == list(table) and len(frame) == table.num_rows == 2
    assert "<b>" not in table._repr_html_() and "L_Info" in repr(table)
    assert repr(negatives.collision([3], 10)).splitlines()[0].split() == list(negatives.collision([3], 10))
    assert dict(table)["L_Info"] == [1.8, 2.4] and table.row(-1)["L_Info"] == 2.4


def labels_of(axes):
    return {text.get_text(): text.get_color() for text in axes.texts}


def markers_of(axes, line):
    """Markers of a line, by n: (marker, height, whether hollow)."""
    single = [one for one in axes.lines if one.get_linestyle() == "None" and one.get_color() == line.get_color()]
    return {
        one.get_xdata()[0]: (one.get_marker(), one.get_ydata()[0], one.get_markerfacecolor() == "white") for one in single
    }


def test_the_plot_shows_what_the_table_says():
    measured = losses(full_sup_loss=[1.1, 1.2])
    upper, lower = negatives.plot_bounds(measured, bounds=["specht", "bao"])
    table = negatives.bounds(measured)
    for axes in (upper, lower):
        drawn = {line.get_label(): line for line in axes.lines}
        assert list(drawn["specht"].get_ydata()) == table["L_sup ≤ (specht)"]
        assert list(drawn["L_sup, measured"].get_ydata()) == [1.1, 1.2]
        # Each name at its end in its colour, and ln C.
        assert {"specht", "ln C = 2.30"} < set(labels_of(axes))
        assert labels_of(axes)["specht"] == drawn["specht"].get_color()
        assert list(axes.get_xticks()) == [16, 32]
    assert list({line.get_label(): line for line in upper.lines}["bao"].get_ydata()) == table["unproved: L_sup ≤ (bao)"]
    assert (upper.get_yscale(), lower.get_yscale()) == ("log", "linear")
    assert lower.get_ylim() == pytest.approx((0, 1.2 * math.log(10)))
    one = negatives.plot_bounds(measured, panels="log")
    assert one.get_yscale() == "log"
    given = one.figure.add_axes((0, 0, 1, 1))
    assert negatives.plot_bounds(measured, given) is given and given.get_yscale() == "linear"
    for wrong in ({"bounds": ["nothing"]}, {"panels": "all"}, {"ax": given, "panels": "both"}):
        with pytest.raises(ArgumentError, match="no upper bound|none of 'both'|needs 2 axes"):
            negatives.plot_bounds(measured, **wrong)


def test_the_plot_marks_what_says_nothing(digits):
    upper, lower = negatives.plot_bounds(digits, bounds=["curl", "nozawa_sato", "specht"])
    drawn = {line.get_label(): line for line in upper.lines}
    table, trivial, top = negatives.bounds(digits), math.log(10), upper.get_ylim()[1]
    for key in ("curl", "nozawa_sato", "specht"):
        values = dict(zip(table["n = K+1"], table[f"L_sup ≤ ({key})"]))
        for n, (marker, height, hollow) in markers_of(upper, drawn[key]).items():
            if isinstance(values[n], str):
                assert (marker, height) == ("x", top)
            else:
                assert height == pytest.approx(min(values[n], top))
                assert (marker == "$\\uparrow$") == (values[n] > top) and hollow == (trivial <= values[n] <= top)
    # Several seeds have bands; the linear panel has only what says something.
    assert len(upper.collections) > 0
    assert set(labels_of(lower)) == {"specht", "L_sup, measured", "ln C = 2.30"}


def test_the_plot_tells_apart_what_is_no_theorem(digits):
    table = negatives.registry()
    standing = dict(zip(table["key"], table["standing"]))
    keys = ["specht", "bao", "curl_as_published", "nozawa_sato_as_published"]
    axes = negatives.plot_bounds(digits, bounds=keys, panels="log")
    drawn = {line.get_label(): line for line in axes.lines}
    for key in keys:
        markers = [marker for marker, _, _ in markers_of(axes, drawn[key]).values()]
        theorem = standing[key] == "theorem"
        assert drawn[key].get_linestyle() == ("-" if theorem else ":")
        assert all((marker in "osD^vPX<>hp") == theorem for marker in markers if "arrow" not in marker and marker != "x"), markers
    note = " ".join(next(text for text in labels_of(axes) if "not proved" in text).split())
    assert all((f"{key} ({standing[key]})" in note) == (standing[key] != "theorem") for key in keys), note
    # Where all are theorems there is no such note.
    plain = negatives.plot_bounds(digits, bounds=["specht"], panels="log")
    assert not any("not proved" in text for text in labels_of(plain))


def test_the_plot_of_one_n_has_bars_and_names_what_it_leaves_out():
    measured = losses(seed=[7, 8], num_draws=[16, 16], info_nce=[1.8, 2.0], full_sup_loss=[1.1, 1.3])
    axes = negatives.plot_bounds(measured, bounds=["specht", "bao"], panels="log")
    heights = [sorted(y for _, y in bar.get_segments()[0]) for bar in axes.collections if len(bar.get_segments()) == 1]
    table = negatives.bounds(measured)
    mean, deviation = table["L_sup ≤ (specht)"][0], table["L_sup ≤ (specht) sd"][0]
    assert any(found == pytest.approx([mean - deviation, mean + deviation]) for found in heights), heights
    axes = negatives.plot_bounds(measured, bounds=["specht", "bao", "curl"], panels="linear")
    assert table["unproved: L_sup ≤ (bao)"][0] > math.log(10) and not isinstance(table["L_sup ≤ (curl)"][0], float)
    note = "Not shown, above ln C at every n: bao.\nNot shown, without a value at any n: curl."
    assert note in labels_of(axes), labels_of(axes)


def test_the_registry_has_every_bound():
    table = negatives.registry()
    assert len(set(table["key"])) == table.num_rows > 30
    assert {"bound", "certificate"} == set(table["kind"])
    assert all(table["conditions"]) and "theorem" in table["standing"]
    formula = dict(zip(table["key"], table["formula"]))
    assert formula["submodular"] == "L_sup ≤ (L_Info − d(f)) / (1 − (1 − π_min)^K)"


def test_collision_by_hand():
    table = negatives.collision([0, 1, 2], 2)
    assert table["tau"] == pytest.approx([0, 0.5, 0.75], rel=1e-15)
    assert table["expected_log1p_collisions"][1] == pytest.approx(0.5 * math.log(2), rel=1e-15)
    with pytest.raises(ArgumentError):
        negatives.collision(-1, 2)
    assert negatives.collision_law(700, 10, log=True)[700] == pytest.approx(-700 * math.log(10), rel=1e-14)
