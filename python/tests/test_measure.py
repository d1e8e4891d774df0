"""`measure` and `difficulty` from any array, against the program `measure`, and on input that nobody should give."""

import csv
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import negatives

FEATURES = next(
    path
    for folder in pathlib.Path(__file__).resolve().parents
    if (path := folder / "tests/oracle/features.npz").is_file()
)


def oracle():
    with np.load(FEATURES) as file:
        return {name: file[name] for name in file.files}


def measured(**changes):
    arrays = {**oracle(), **changes}
    arguments = [arrays.pop(name) for name in ("view1", "view2", "labels")]
    return negatives.measure(*arguments, **{"draws": [5, 12], "temperature": 0.5, **arrays})


def cells(rows):
    """Every cell, numbers as their bits."""
    shown = {name: [float(x).hex() if isinstance(x, float) else str(x) for x in list(rows[name])] for name in rows}
    return shown


def program(name):
    """The program that the environment variable names."""
    found = os.environ.get(name)
    if not found:
        pytest.skip(f"{name} does not name the program")
    return found


def test_rows_are_those_of_the_program_to_the_last_bit(tmp_path):
    out = tmp_path / "measured"
    arguments = ["--draws", "5,12", "--temperatures", "0.2,1", "--out", str(out), "--quiet"]
    subprocess.run([program("MEASURE"), FEATURES, *arguments], check=True)
    with open(out / "losses.csv", newline="") as file:
        expected = list(csv.DictReader(file))
    rows = measured(temperature=[0.2, 1.0], name="features")
    assert list(rows) == list(expected[0])
    for name in rows:
        for found, line in zip(list(rows[name]), expected):
            text = line[name]
            if text == "":
                assert found is None or np.isnan(found), name
            elif isinstance(found, str):
                assert found == text, name
            else:
                assert float(found).hex() == float(text).hex(), name
    assert len(expected) == 4
    # And so are the bounds.
    ours, theirs = negatives.bounds(rows), negatives.bounds(out / "losses.csv")
    assert repr(ours) == repr(theirs)


def unit(rows):
    rows = rows.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def neighbours(train, classes, views, k, t):
    """Classes by the votes e^{s/t} of the k nearest."""
    votes = []
    for similarities in views @ train.T:
        near = np.argsort(-similarities, kind="stable")[:k]
        votes.append(np.bincount(classes[near], np.exp(similarities[near] / t), 4))
    return np.argmax(votes, axis=1)


def probed(train, classes, views, ridge, standardise):
    """Classes by logistic regression: mean cross-entropy + ridge/2 ‖W‖², minimised by scipy."""
    mean, scale = train.mean(axis=0), train.std(axis=0) if standardise else np.sqrt(train.var(axis=0).mean())
    x, number = (train - mean) / scale, np.arange(len(train))

    def loss(flat):
        w = flat.reshape(4, -1)
        log = scipy.special.log_softmax(x @ w[:, :-1].T + w[:, -1], axis=1)
        slope = np.exp(log)
        slope[number, classes] -= 1
        slope /= len(train)
        gradient = np.column_stack([slope.T @ x + ridge * w[:, :-1], slope.sum(axis=0)])
        return -log[number, classes].mean() + ridge / 2 * (w[:, :-1] ** 2).sum(), gradient.ravel()

    precise = {"maxiter": 10000, "maxfun": 10000, "ftol": 1e-15, "gtol": 1e-9}
    start = np.zeros(4 * (train.shape[1] + 1))
    w = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options=precise).x.reshape(4, -1)
    return np.argmax((views - mean) / scale @ w[:, :-1].T + w[:, -1], axis=1)


@pytest.mark.parametrize(("k", "t"), [(20, 0.1), (7, 0.07), (3, 0.5), (200, 0.5)])
def test_nearest_neighbours_by_their_definition(k, t):
    arrays = oracle()
    found = neighbours(unit(arrays["train"]), arrays["train_labels"], unit(arrays["view1"]), k, t)
    rows = measured(knn_k=k, knn_temperature=t)
    assert (rows["knn_k"][0], rows["knn_temperature"][0]) == (k, t)
    assert list(rows["knn_accuracy"]) == [np.mean(found == arrays["labels"])] * 2


def test_the_linear_probe_by_its_definition():
    arrays = oracle()
    # Features of unlike scales, so that standardising them matters.
    stretched = {name: arrays[name] * np.geomspace(1, 0.01, 6) for name in ("view1", "view2", "train", "mean")}
    train, classes, views = unit(stretched["train"]), arrays["train_labels"], unit(stretched["view1"])
    held_out = np.zeros(len(train), dtype=bool)
    for c in range(4):
        held_out[np.flatnonzero(classes == c)[4::5]] = True

    def held_out_accuracy(ridge, standardise):
        found = probed(train[~held_out], classes[~held_out], train[held_out], ridge, standardise)
        return np.mean(found == classes[held_out])

    accuracies = []
    for standardise in (False, True):
        grid = 10.0 ** -np.arange(7)
        for given in (0.1, 1e-4, "chosen"):
            # Of several the largest.
            ridge = given if given != "chosen" else max(grid, key=lambda r: (held_out_accuracy(r, standardise), r))
            rows = measured(**stretched, linear_ridge=given, linear_standardise=standardise)
            assert rows["linear_ridge"][0] == pytest.approx(ridge, rel=1e-15)
            shown = "ridge=" + {0.1: "0.1", 1e-4: "0.0001"}.get(given, given)
            assert list(rows["linear_probe"]) == [shown + " standardised" * standardise] * 2
            expected = np.mean(probed(train, classes, views, ridge, standardise) == arrays["labels"])
            assert list(rows["linear_accuracy"]) == [expected] * 2
            accuracies.append(expected)
    assert accuracies[:3] != accuracies[3:]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"linear_ridge": -1.0}, "linear_ridge: -1.0 is neither a number of at least 1e-6 nor 'chosen'"),
        ({"linear_ridge": 1e-7}, "linear_ridge: 1e-07 is neither a number of at least 1e-6 nor 'chosen'"),
        ({"linear_ridge": "any"}, "linear_ridge: any is neither a number of at least 1e-6 nor 'chosen'"),
        ({"knn_k": 0}, "knn_k = 0 is outside 1..9007199254740992"),
        ({"knn_temperature": 0.0}, "knn_temperature = 0.0 is not a positive finite number"),
    ],
)
def test_settings_of_classifiers_that_cannot_be(bad, message):
    with pytest.raises(negatives.ArgumentError) as raised:
        measured(**bad)
    assert str(raised.value) == message


FORMS = {
    "float64": lambda a: a.astype(np.float64),
    "fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "big_endian": lambda a: a.astype(">f4"),
    "unaligned": lambda a: np.frombuffer(b"\0" + a.tobytes(), dtype=np.uint8)[1:].view(a.dtype).reshape(a.shape),
    "field": lambda a: np.rec.fromarrays([np.zeros(a.shape, "i1"), a], names="x,y")["y"],
    "list": lambda a: a.tolist(),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_numbers_in_any_form_are_the_same_rows(form):
    arrays = oracle()
    changed = {name: FORMS[form](arrays[name]) for name in ("view1", "view2", "train", "mean") if name in arrays}
    before = {name: np.array(array, copy=True) for name, array in changed.items()}
    assert cells(measured(**changed)) == cells(measured())
    for name, array in changed.items():
        np.testing.assert_array_equal(array, before[name])


def test_read_only_arrays_are_read():
    arrays = oracle()
    for array in arrays.values():
        array.flags.writeable = False
    assert cells(measured(**arrays)) == cells(measured())


class Interface:
    """Nothing but `__array_interface__`."""

    def __init__(self, array):
        self.kept, self.__array_interface__ = array, array.__array_interface__


class DLPack:
    """Nothing but DLPack."""

    def __init__(self, array):
        self.kept = array

    def __dlpack__(self, **arguments):
        return self.kept.__dlpack__(**arguments)

    def __dlpack_device__(self):
        return self.kept.__dlpack_device__()


@pytest.mark.parametrize("protocol", [Interface, DLPack, memoryview])
def test_protocols_of_arrays(protocol):
    arrays = oracle()
    changed = {name: protocol(arrays[name]) for name in ("view1", "view2")}
    assert cells(measured(**changed)) == cells(measured())


def test_torch_tensors():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    arrays = oracle()
    changed = {name: torch.from_numpy(array) for name, array in arrays.items() if array.dtype.kind == "f"}
    changed["view1"].requires_grad_(True)
    changed["labels"] = torch.from_numpy(arrays["labels"].astype(np.int64))
    assert cells(measured(**changed)) == cells(measured())
    turned = {name: changed[name].T.contiguous().T for name in ("view1", "view2")}
    assert cells(measured(**turned)) == cells(measured())
    with pytest.raises(TypeError, match="view1 is no array of numbers in the memory of the CPU"):
        measured(view1=torch.empty(40, 6, device="meta"))


def test_half_precision_is_exact():
    arrays = oracle()
    half = {name: arrays[name].astype(np.float16) for name in ("view1", "view2")}
    whole = {name: array.astype(np.float64) for name, array in half.items()}
    assert cells(measured(**half)) == cells(measured(**whole))


@pytest.mark.parametrize("dtype", [*"bhilqBHILQ", "f8", ">i2", ">u8"])
def test_labels_of_every_type(dtype):
    labels = oracle()["labels"]
    assert cells(measured(labels=labels.astype(dtype))) == cells(measured())
    assert cells(measured(labels=labels.astype(dtype)[:, None])) == cells(measured())


def test_two_classes_may_be_booleans():
    rng = np.random.default_rng(1)
    view, labels = rng.normal(size=(8, 3)), np.arange(8) % 2
    found = [negatives.measure(view, view, of, draws=2, temperature=1.0) for of in (labels, labels == 1)]
    assert cells(found[0]) == cells(found[1])


def test_threads_change_no_bit():
    # So many rows that every part of the work is split.
    view1, view2, train, mean = np.random.default_rng(6).normal(size=(4, 5000, 24)).astype(np.float32)
    classes = np.arange(5000) % 5
    more = {"train": train, "train_labels": classes, "mean": mean / 100, "draws": [8, 64], "temperature": [0.2, 1.0]}
    one, three = (negatives.measure(view1, view2, classes, threads=threads, **more) for threads in (1, 3))
    assert cells(one) == cells(three)


def test_rows_go_on_to_the_theory(tmp_path):
    rows = measured()
    file = tmp_path / "losses.csv"
    rows.to_csv(file, index=False)
    for question in (negatives.bounds, negatives.certify, negatives.explain):
        ours, theirs = question(rows), question(file)
        assert list(ours) == list(theirs) and ours.num_rows > 0
        for name in ours:
            assert cells(ours)[name] == cells(theirs)[name], name
    page = negatives.report(rows, tmp_path / "report")
    assert page == tmp_path / "report" / "report.html" and "<svg" in page.read_text()
    with pytest.raises(negatives.ArgumentError, match="report"):
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "mine.txt").write_text("")
        negatives.report(rows, tmp_path / "other")


def test_without_pandas_there_is_a_table(monkeypatch):
    frame = measured()
    monkeypatch.setitem(sys.modules, "pandas", None)
    table = measured()
    assert isinstance(table, negatives.Table) and not isinstance(frame, negatives.Table)
    assert cells(table) == cells(frame)
    assert repr(negatives.bounds(table)) == repr(negatives.bounds(frame))


def test_the_report_is_that_of_the_program(tmp_path):
    measure, theory = program("MEASURE"), program("THEORY")
    out = tmp_path / "measured"
    subprocess.run([measure, FEATURES, "--draws", "5", "--temperature", "0.5", "--out", out, "--quiet"], check=True)
    subprocess.run([theory, "report", out / "losses.csv", "--out", tmp_path / "theirs", "--quiet"], check=True)
    negatives.report(measured(draws=5, name="features"), tmp_path / "ours")
    names = sorted(path.name for path in (tmp_path / "theirs").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "ours").iterdir())
    for name in names:
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes(), name


def test_difficulty_counts_by_hand():
    rng = np.random.default_rng(2)
    view1, view2 = rng.normal(size=(2, 30, 4))
    labels = np.arange(30) % 3
    found = negatives.difficulty(view1, view2, labels, bins=["0-100"])
    assert found.summary["negatives_K"] == 29 and found.semantics is None
    # Of all negatives the same-class share is that by chance.
    assert found.bins["same_class"][0] == pytest.approx(9 / 29) == found.bins["same_class_chance"][0]
    assert len(found.items["mean_percentile"]) == 30 and "<table" in found._repr_html_()
    with pytest.raises(negatives.ArgumentError, match="'5' is no interval"):
        negatives.difficulty(view1, view2, labels, bins=["5"])


def test_difficulty_with_a_hierarchy(tmp_path):
    tree = tmp_path / "tree.csv"
    tree.write_text("node,parent,class\nroot,,\na,root,0\nb,root,1\nc,b,2\n")
    view1, view2 = np.random.default_rng(3).normal(size=(2, 30, 4))
    found = negatives.difficulty(view1, view2, np.arange(30) % 3, hierarchy=tree)
    # Path similarity, and Wu & Palmer's, of every interval.
    assert len(found.semantics["bin_percent"]) == 2 * len(found.bins["ranks"])
    with pytest.raises(negatives.FileError, match="nowhere"):
        negatives.difficulty(view1, view2, np.arange(30) % 3, hierarchy=tmp_path / "nowhere.csv")


GOOD = {"view1": np.eye(4), "view2": np.eye(4), "labels": [0, 0, 1, 1], "draws": 2, "temperature": 0.5}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"view2": np.ones((4, 3))}, ValueError, r"'view2' has shape \[4, 3\], 'view1' has \[4, 4\]"),
        ({"view1": np.ones(4)}, ValueError, r"view1 has shape \(4,\)"),
        ({"view1": np.empty((0, 3)), "view2": np.empty((0, 3)), "labels": []}, ValueError, "nothing to measure"),
        ({"view1": np.full((4, 4), np.nan)}, ValueError, "'view1' row 0, column 0 is NaN"),
        ({"view1": np.zeros((4, 4))}, ValueError, "'view1' row 0 is zero"),
        ({"view1": np.eye(4) * 1j}, TypeError, "complex"),
        ({"view1": "abcd"}, TypeError, "real numbers"),
        ({"view1": None}, TypeError, "real numbers"),
        ({"view1": [[1.0], [1.0, 2.0]]}, TypeError, "view1 is no array"),
        ({"view1": np.ma.masked_array(np.eye(4), np.eye(4))}, TypeError, "masked"),
        ({"labels": [0, 0, 1]}, ValueError, "'labels' has 3 entries for 4 rows"),
        ({"labels": [0, 0, 2, 2]}, ValueError, "no sample of class 1"),
        ({"labels": [0, 0, 1, -1]}, ValueError, "'labels' entry 3 is -1, not a class"),
        ({"labels": [0, 0, 1, 2**62]}, ValueError, "'labels' entry 3 is 4611686018427387904"),
        ({"labels": np.array([0, 0, 1, 2**64 - 1], dtype=np.uint64)}, ValueError, "entry 3 is 18446744073709551615"),
        ({"labels": [0, 0, 1, 0.5]}, ValueError, "entry 3 is 0.5"),
        ({"labels": [0, 0, 1, np.nan]}, ValueError, "entry 3 is nan"),
        ({"labels": np.eye(4)}, ValueError, "numpy.argmax"),
        ({"labels": ["cat", "cat", "dog", "dog"]}, TypeError, "numpy.unique"),
        ({"draws": 5}, ValueError, "4 evaluated samples"),
        ({"draws": 0}, ValueError, "draws = 0"),
        ({"draws": [2, 2]}, ValueError, "draws names 2 twice"),
        ({"draws": []}, ValueError, "draws is empty"),
        ({"draws": 2.5}, ValueError, "draws = 2.5"),
        ({"draws": "2"}, TypeError, "draws"),
        ({"draws": 2**70}, ValueError, "draws"),
        ({"temperature": 0}, ValueError, "temperature = 0"),
        ({"temperature": [0.5, 0.5]}, ValueError, "temperature names 0.5 twice"),
        ({"temperature": 1e-310}, ValueError, "at temperature 1e-310"),
        ({"train": np.eye(4)}, ValueError, "train and train_labels go together"),
        ({"passes": 0}, ValueError, "passes = 0"),
        ({"seed": -1}, ValueError, "seed = -1"),
        ({"threads": 0}, ValueError, "threads = 0"),
        ({"threads": 10**9}, ValueError, "threads = 1000000000"),
    ],
)
def test_what_does_not_fit_is_named(change, error, message):
    with pytest.raises(error, match=message) as raised:
        negatives.measure(**{**GOOD, **change})
    assert "\n" not in str(raised.value) and not isinstance(raised.value, negatives.InternalError)


def test_huge_shapes_of_small_arrays_are_refused_or_measured():
    """A broadcast array says that it is large and is not: no more memory than its own copy is taken."""
    wide = np.broadcast_to(np.float32(1), (3, 2048))
    rows = negatives.measure(wide, wide, [0, 0, 0], draws=2, temperature=1.0, passes=1)
    assert rows["info_nce"][0] == pytest.approx(np.log(2))


def test_more_than_the_memory_is_an_exception():
    huge = np.broadcast_to(np.float32(1), (1 << 22, 1 << 22))
    for call in (lambda: measured(view1=huge, view2=huge), lambda: negatives.nt_xent(huge, huge, 0.5)):
        with pytest.raises((MemoryError, ValueError)):
            call()


@pytest.mark.usefixtures("control_c")
@pytest.mark.parametrize("name", ["measure", "difficulty"])
def test_control_c_is_heard_within_a_second(name):
    view1, view2 = np.random.default_rng(4).normal(size=(2, 12000, 64))
    labels = np.arange(12000) % 10
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    arguments = {"draws": [64], "temperature": 0.1, "passes": 10000} if name == "measure" else {}
    start = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        getattr(negatives, name)(view1, view2, labels, threads=1, **arguments)
    assert time.monotonic() - start < 1.5


def test_other_threads_run_meanwhile():
    view = np.random.default_rng(5).normal(size=(4000, 32))
    done, count = threading.Event(), [0]

    def work():
        negatives.measure(view, view, np.arange(4000) % 4, draws=[32], temperature=0.5, threads=1, passes=10)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.is_set():
        count[0] += 1
        time.sleep(1e-3)
    thread.join()
    assert count[0] > 5


def draw_features(data, shape, tame):
    """An array of any order and strides; of any type and with any numbers unless it is to be tame."""
    kinds = [np.float16, np.float32, np.float64, ">f8", np.int8, np.uint64, bool, complex, "U2", object]
    dtype = np.dtype(data.draw(st.sampled_from(kinds[:4] if tame else kinds)))
    if dtype == object:
        return np.full(shape, None)
    array = data.draw(hnp.arrays(dtype, shape, elements=st.floats(0.5, 4, width=16) if tame else None))
    order = data.draw(st.sampled_from(["C", "F", "T", "step"]))
    if order == "step" and array.ndim:
        array = np.repeat(array, 2, axis=0)[::2]
    elif order != "C":
        array = np.array(array, order="F") if order == "F" else array.T.copy().T
    array.flags.writeable = data.draw(st.booleans())
    return array


def test_any_arrays_give_rows_or_an_exception():
    outcomes = []

    @settings(max_examples=300, deadline=None)
    @given(data=st.data())
    def run(data):
        tame = data.draw(st.booleans())
        rectangle = hnp.array_shapes(min_dims=2, max_dims=2, min_side=2 * tame, max_side=6)
        shape = data.draw(rectangle if tame else hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6))
        view1 = draw_features(data, shape, tame)
        view2 = draw_features(data, shape if tame else data.draw(st.just(shape) | rectangle), tame)
        rows = shape[0] if shape else 1
        labels = np.arange(rows) % 2
        if not tame:
            labels = data.draw(st.just(labels) | hnp.arrays(np.int64, rows) | hnp.arrays(np.uint8, rows))
        arguments = {
            "draws": data.draw(st.integers(1, 2) if tame else st.integers(-1, 7)),
            "temperature": data.draw(st.floats(0.1, 10) if tame else st.floats()),
            "passes": data.draw(st.none() | st.integers(int(tame), 3)),
        }
        try:
            found = negatives.measure(view1, view2, labels, threads=1, **arguments)
        except (negatives.NegativesError, TypeError) as error:
            assert not isinstance(error, negatives.InternalError)
            assert not tame
            outcomes.append(False)
        else:
            assert np.isfinite(found["info_nce"][0])
            outcomes.append(True)

    run()
    assert any(outcomes) and not all(outcomes)
