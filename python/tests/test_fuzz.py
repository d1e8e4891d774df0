"""Anything goes in: out comes an exception that is a ValueError or a TypeError, or a right result."""

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings, strategies
from hypothesis.extra import numpy as arrays

import negatives
from negatives import CouponCollector

LAWS = [
    CouponCollector(1),
    CouponCollector(7),
    CouponCollector(counts=[4, 1, 9]),
    CouponCollector(counts=[3, 3, 2], replace=False),
    CouponCollector(probs=[0.9, 0.1]),
]
COLUMNS = ["num_classes", "num_draws", "temperature", "sampling", "info_nce", "loss", "class_counts"]
NAMES = ["cdf", "sf", "logcdf", "logsf", "pmf", "logpmf"]

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

anything = strategies.one_of(
    strategies.integers(),
    strategies.floats(),
    strategies.none(),
    strategies.booleans(),
    strategies.text(max_size=4),
    strategies.binary(max_size=4),
    strategies.complex_numbers(),
    strategies.lists(strategies.one_of(strategies.integers(), strategies.floats(), strategies.none()), max_size=5),
    strategies.lists(strategies.lists(strategies.integers(-9, 99), max_size=3), max_size=3),
    arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
)


def allowed(call):
    """What the call returns; None where it refuses as it may."""
    try:
        return call()
    except (ValueError, TypeError) as error:
        assert not isinstance(error, negatives.InternalError), error
        assert str(error)
        return None


def same_as_scalars(law, name, array):
    found = getattr(law, name)(array)
    expected = [getattr(law, name)(value.item()) for value in np.asarray(array).reshape(-1)]
    np.testing.assert_allclose(np.asarray(found).reshape(-1), expected, rtol=1e-12)
    assert np.shape(found) == np.shape(array)


@quick
@given(anything, strategies.sampled_from(LAWS), strategies.sampled_from(NAMES))
def test_any_number_of_draws(value, law, name):
    found = allowed(lambda: getattr(law, name)(value))
    if found is not None:
        assert np.shape(found) == np.shape(value)
        known = np.asarray(found)[~np.isnan(found)]
        assert np.all(known <= 1) and (name.startswith("log") or np.all(known >= 0))


@quick
@given(
    arrays.arrays(
        strategies.sampled_from(["i1", "u1", "<i4", ">i4", "i8", "u8", "f2", "<f4", ">f8"]),
        arrays.array_shapes(min_dims=1, max_dims=3, max_side=5),
        elements=strategies.integers(0, 40),
    ),
    strategies.sampled_from(LAWS),
    strategies.sampled_from(NAMES),
    strategies.sampled_from(["as it is", "reversed", "strided", "transposed", "read-only", "broadcast"]),
)
def test_every_layout_gives_the_values_of_its_numbers(array, law, name, layout):
    array = {
        "as it is": lambda: array,
        "reversed": lambda: array[::-1],
        "strided": lambda: np.repeat(array, 2, axis=-1)[..., ::2],
        "transposed": lambda: array.T,
        "read-only": lambda: array.copy(),
        "broadcast": lambda: np.broadcast_to(array, (2, *array.shape)),
    }[layout]()
    array.flags.writeable = False
    same_as_scalars(law, name, array)


@quick
@given(anything, anything, anything, anything)
def test_any_law(num_classes, counts, probs, replace):
    for arguments in [
        {"num_classes": num_classes if not isinstance(num_classes, int) else min(num_classes, 10**9)},
        {"counts": counts},
        {"counts": counts, "replace": replace},
        {"probs": probs},
    ]:
        law = allowed(lambda: CouponCollector(**arguments))  # noqa: B023
        if law is not None:
            assert law.num_classes >= 1 and law.cdf(0) == 0.0


sizes = strategies.one_of(
    strategies.integers(-3, 50),
    strategies.floats(),
    strategies.none(),
    strategies.text(max_size=2),
    strategies.tuples(strategies.integers(-1, 5), strategies.integers(0, 5)),
)


@quick
@given(anything, sizes, strategies.sampled_from(LAWS))
def test_any_level_size_and_seed(value, size, law):
    allowed(lambda: law.ppf(value))
    allowed(lambda: law.rvs(size, rng=1))
    allowed(lambda: law.rvs(2, rng=value))
    if not isinstance(value, int) or abs(value) < 10**4:
        allowed(lambda: law.exact(value))


@quick
@given(anything)
def test_any_argument_of_the_functions(value):
    allowed(lambda: negatives.collision(value, 5))
    allowed(lambda: negatives.collision(3, 5, replace=value))
    allowed(lambda: negatives.optimum(value, 5, temperature=1.0))
    allowed(lambda: negatives.optimum(3, 5, temperature=value))
    allowed(lambda: negatives.simulate(5, 3, num_samples=10, seed=value))
    allowed(lambda: negatives.simulate(5, 3, num_samples=10, level=value))
    threads = value if not isinstance(value, int) or value < 9 else 1
    allowed(lambda: negatives.simulate(5, 3, num_samples=10, threads=threads))
    allowed(lambda: negatives.simulate(5, 3, num_samples=10, method=value))
    if not isinstance(value, int) or abs(value) < 10**4:
        allowed(lambda: negatives.simulate(value, 3, num_samples=10))
        allowed(lambda: negatives.collision_law(value, 5))


@quick
@given(anything, anything, strategies.sampled_from(COLUMNS))
def test_any_losses(value, cell, column):
    if not isinstance(value, (str, bytes)):
        allowed(lambda: negatives.bounds(value))
    table = {
        "num_classes": [5], "num_draws": [8], "temperature": [1.0], "sampling": ["with_replacement"], "info_nce": [1.5],
    }  # fmt: skip
    for function in [negatives.bounds, negatives.certify, negatives.explain]:
        allowed(lambda: function(table | {column: [cell]}))  # noqa: B023
        allowed(lambda: function(table | {column: value}))  # noqa: B023
    frame = pd.DataFrame(table)
    frame[column] = pd.Series([cell], dtype=object)
    allowed(lambda: negatives.bounds(frame))
