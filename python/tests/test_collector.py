"""The law of T against exact fractions, mpmath and scipy's conventions."""

import copy
import math
import pickle
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import scipy.stats

from negatives import ArgumentError, Bounded, CouponCollector


def upsilon(classes, draws):
    """The textbook's alternating sum in integers."""
    total = sum((-1) ** j * math.comb(classes, j) * (classes - j) ** draws for j in range(classes))
    return Fraction(total, classes**draws)


def without_replacement(counts, draws):
    """Coefficients of the product of (1+z)^m − 1, by multiplication."""
    product = [1]
    for m in counts:
        factor = [0] + [math.comb(m, i) for i in range(1, m + 1)]
        new = [0] * (len(product) + m)
        for i, a in enumerate(product):
            for j, b in enumerate(factor):
                new[i + j] += a * b
        product = new
    total = sum(counts)
    return Fraction(product[draws] if draws < len(product) else 0, math.comb(total, draws))


def digits_of(fraction):
    return mpmath.mpf(fraction.numerator) / fraction.denominator


@pytest.fixture(autouse=True)
def digits():
    """1 − υ of 1e-100 and 1 − 1e-100 alike."""
    with mpmath.workdps(120):
        yield


@pytest.mark.parametrize("classes", [1, 2, 3, 10, 100])
def test_every_function_against_integers(classes):
    law = CouponCollector(classes)
    draws = sorted({1, classes, classes + 1, 2 * classes, 5 * classes, 12 * classes})
    for n in draws:
        exact, before = upsilon(classes, n), upsilon(classes, n - 1) if n > 1 else Fraction(0)
        assert law.exact(n) == exact
        truth = {
            "cdf": digits_of(exact),
            "sf": digits_of(1 - exact),
            "pmf": digits_of(exact - before),
            "logcdf": mpmath.log(digits_of(exact)) if exact else -mpmath.inf,
            "logsf": mpmath.log(digits_of(1 - exact)) if exact != 1 else -mpmath.inf,
            "logpmf": mpmath.log(digits_of(exact - before)) if exact > before else -mpmath.inf,
        }
        for name, true in truth.items():
            value, bound = getattr(law, name)(n, full_output=True)
            assert isinstance(value, float) and isinstance(bound, float)
            if true == 0 or not mpmath.isfinite(true):
                assert value == float(true), (name, n)
                continue
            error = abs(value - true) / (1 if name.startswith("log") else abs(true))
            # The bound holds before the value is rounded to a float.
            assert error <= bound + 2.3e-16 * max(1, abs(true)), (name, n, value, error, bound)
            assert bound < 1e-12 * max(1, abs(value)), (name, n)
            several = getattr(law, name)([n, n + 1, n], full_output=True).value
            assert several[0] == several[2] and abs(several[0] - true) <= 1e-12 * max(abs(true), 1e-300)


@pytest.mark.parametrize("counts", [[2, 2], [5, 3, 1], [7, 7, 7]])
def test_without_replacement_against_integers(counts):
    law = CouponCollector(counts=counts, replace=False)
    for n in range(1, sum(counts) + 3):
        exact = without_replacement(counts, n) if n <= sum(counts) else Fraction(1)
        assert law.exact(n) == exact
        assert law.cdf(n) == pytest.approx(float(exact), rel=1e-14)
        assert law.sf(n) == pytest.approx(float(1 - exact), rel=1e-13)
    assert law.cdf(np.arange(1, sum(counts) + 3)).max() == 1.0


def test_probs_are_counts_up_to_a_factor():
    n = np.arange(3, 60)
    by_counts = CouponCollector(counts=[6, 3, 1]).cdf(n)
    np.testing.assert_allclose(CouponCollector(probs=[0.6, 0.3, 0.1]).cdf(n), by_counts, rtol=1e-13)
    np.testing.assert_allclose(CouponCollector(probs=[60, 30, 10]).cdf(n), by_counts, rtol=1e-13)


def test_a_published_value():
    # The alternating sum in mpmath with 2,000 digits.
    with mpmath.workdps(2000):
        terms = ((-1) ** j * mpmath.binomial(1000, j) * (1 - mpmath.mpf(j) / 1000) ** 7709 for j in range(1000))
        true = mpmath.fsum(terms)
    assert abs(CouponCollector(1000).cdf(7709) / true - 1) < 1e-14


def test_conventions_are_those_of_scipy():
    # T − 1 is geometric; scipy rounds ln(1 − 1e-18) to 0.
    ours, theirs = CouponCollector(2), scipy.stats.geom(0.5, loc=1)
    n = np.array([[-3.0, 0.0, 1.0], [2.0, 2.5, 3.999], [60.0, np.nan, np.inf]])
    for name in ["cdf", "sf", "logcdf", "logsf", "pmf"]:
        found = getattr(ours, name)(n)
        assert found.shape == n.shape and found.dtype == np.float64
        np.testing.assert_allclose(found, getattr(theirs, name)(n), rtol=1e-14, atol=1e-17, err_msg=name)
    q = np.array([0.0, 0.1, 0.5, 0.75, 0.9, 1.0, -0.1, 1.1, np.nan])
    np.testing.assert_array_equal(ours.ppf(q), theirs.ppf(q))
    np.testing.assert_array_equal(ours.isf(q), theirs.isf(q))
    assert ours.isf(2.0**-1000) == 1001
    assert ours.support() == theirs.support()
    for name in ["mean", "std", "var", "median"]:
        assert getattr(ours, name)() == pytest.approx(getattr(theirs, name)(), rel=1e-14)
    assert isinstance(ours.cdf(np.float64(3)), float)
    assert ours.cdf([]).shape == (0,)


def test_quantiles_invert():
    laws = [CouponCollector(50), CouponCollector(counts=range(1, 20)), CouponCollector(counts=[9] * 9, replace=False)]
    for law in laws:
        q = np.linspace(0.01, 0.99, 23)
        n = law.ppf(q)
        assert np.all(law.cdf(n) >= q * (1 - 1e-12)) and np.all(law.cdf(n - 1) < q)
        q = np.geomspace(1e-200, 0.99, 23)
        n = law.isf(q)
        assert np.all(law.sf(n) <= q * (1 + 1e-12)) and np.all(law.sf(n - 1) > q)


def test_random_values_have_the_law():
    for law in [CouponCollector(12), CouponCollector(counts=[5, 3, 2]), CouponCollector(counts=[3] * 6, replace=False)]:
        times = law.rvs((40, 500), rng=7)
        assert times.shape == (40, 500) and times.dtype == np.int64
        np.testing.assert_array_equal(times, law.rvs((40, 500), rng=np.random.default_rng(7)))
        assert abs(times.mean() - law.mean()) < 4.5 * law.std() / math.sqrt(times.size)
        # Each count is binomial: 4.5 standard deviations, for some 60 values.
        for n in range(law.num_classes, int(law.ppf(0.99))):
            p = law.cdf(n)
            assert abs((times <= n).mean() - p) <= 4.5 * math.sqrt(p * (1 - p) / times.size), n
    assert isinstance(CouponCollector(3).rvs(), int)
    assert CouponCollector(3).rvs(0, rng=1).shape == (0,)
    assert CouponCollector(3).rvs(5, rng=np.random.RandomState(1)).shape == (5,)


def test_copies_are_equal():
    counts = np.array([3, 2, 1])
    law = CouponCollector(counts=counts, replace=False)
    counts[:] = 1
    for copied in [pickle.loads(pickle.dumps(law)), copy.deepcopy(law)]:
        assert repr(copied) == repr(law) == "<CouponCollector: counts of 3 classes, replace=False>"
        assert copied.cdf([3, 4]).tolist() == law.cdf([3, 4]).tolist()


def test_bounds_come_where_asked():
    found = CouponCollector(100).sf([150, 900], full_output=True)
    assert isinstance(found, Bounded)
    assert found.value.shape == found.error_bound.shape == (2,)
    assert np.all((0 < found.error_bound) & (found.error_bound < 1e-11))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "exactly one"),
        ({"num_classes": 3, "counts": [1]}, "num_classes and counts"),
        ({"num_classes": 0}, "at least 1 class, got 0"),
        ({"num_classes": -1}, "num_classes = -1 is outside"),
        ({"num_classes": 2.5}, "2.5 is not a whole number"),
        ({"num_classes": 10**30}, "is outside"),
        ({"counts": []}, "class"),
        ({"counts": [1, 0]}, "class 1 has count 0"),
        ({"counts": [1, -4]}, r"counts\[1\] = -4"),
        ({"counts": [1.5]}, "not a whole number"),
        ({"counts": [[1]]}, "one axis"),
        ({"probs": [0.5, float("nan")]}, "class 1 has weight NaN"),
        ({"probs": [0.5], "replace": False}, "replace=False needs counts"),
        ({"num_classes": 5, "replace": False}, "replace=False needs counts"),
    ],
)
def test_bad_laws_are_named(arguments, says):
    with pytest.raises(ArgumentError, match=says):
        CouponCollector(**arguments)


def test_what_is_no_number_is_a_type_error():
    law = CouponCollector(3)
    for bad in ["5", None, object(), [None], ["a"], [True], 1j, [1j], np.array(["2020"], dtype="M8[Y]")]:
        with pytest.raises((TypeError, ArgumentError)):
            law.cdf(bad)
    for bad in [10**400, [2**60], 1e300, np.uint64(2**63)]:
        with pytest.raises(ArgumentError, match="exceeds the limit"):
            law.cdf(bad)
    with pytest.raises(ArgumentError, match="weights"):
        CouponCollector(probs=[0.6, 0.4]).exact(3)


@pytest.mark.parametrize("law", [CouponCollector(100), CouponCollector(counts=[90] * 100, replace=False)])
def test_a_curve_is_its_points(law):
    """One pass over 10,000 n: at every depth the value of each alone, within both bounds."""
    n = np.arange(90, 9200)
    for name in ["cdf", "sf"]:
        values, bounds = getattr(law, name)(n, full_output=True)
        assert bounds.max() < 5e-12
        for place in range(0, len(n), 37):
            alone, bound = getattr(law, name)(int(n[place]), full_output=True)
            assert abs(values[place] - alone) <= (bounds[place] + bound + 3e-16) * alone, (name, n[place])
    shuffled = np.random.default_rng(3).permutation(n)
    np.testing.assert_array_equal(law.cdf(shuffled), law.cdf(n)[shuffled - 90])
