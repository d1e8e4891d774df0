"""The contrastive losses against their formulas in numpy, finite differences, and torch where it is installed."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import negatives
from negatives import contrastive

CLASSES = [0, 1, 0, 2, 1]
N, D = len(CLASSES), 4
ALL = [
    ("info_nce", {}),
    ("nt_xent", {}),
    ("debiased", {"class_probability": 0.1}),
    ("debiased", {"class_probability": 0.5}),
    ("hard", {"class_probability": 0.3, "beta": 2.5}),
    ("dcl", {}),
    ("dclw", {"sigma": 0.5}),
    ("flat_nce", {}),
    ("nscl", {}),
    ("nscl", {"positive_in_denominator": True}),
    ("eq_co", {"virtual_negatives": 1000.0}),
    ("spectral", {"scale": 2.5}),
]


def views(seed=1, n=N, d=D):
    rng = np.random.default_rng(seed)
    center = rng.normal(size=(n, d))
    return center + 0.7 * rng.normal(size=(n, d)), center + 0.7 * rng.normal(size=(n, d))


def call(name, parameters, z1, z2, t, **more):
    function = getattr(negatives, name)
    arguments = [z1, z2]
    if name == "nscl":
        arguments.append(CLASSES)
    if name != "spectral":
        arguments.append(t)
    return function(*arguments, **parameters, **more)


def expected(name, parameters, z1, z2, t, negatives="both_views"):
    """The papers' formulas, anchor by anchor."""
    u1, u2 = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (z1, z2))
    n = len(u1)
    if isinstance(negatives, str) and negatives == "both_views":
        rows = np.concatenate([u1, u2])
        anchors = [
            (rows[i], rows[(i + n) % (2 * n)], [j for j in range(2 * n) if j % n != i % n]) for i in range(2 * n)
        ]
        if name == "nscl":
            anchors = [
                (a, p, [j for j in others if CLASSES[j % n] != CLASSES[i % n]])
                for i, (a, p, others) in enumerate(anchors)
            ]
        pairs = [(a @ p, rows[others] @ a) for a, p, others in anchors]
    else:
        if isinstance(negatives, str):
            own = [[u2[j] for j in range(n) if j != i] for i in range(n)]
        elif negatives.dtype.kind == "i":
            own = [u2[negatives[i]] for i in range(n)]
        else:
            unit = negatives / np.linalg.norm(negatives, axis=-1, keepdims=True)
            own = [unit if unit.ndim == 2 else unit[i] for i in range(n)]
        pairs = [(u1[i] @ u2[i], np.asarray(own[i]) @ u1[i]) for i in range(n)]
    if name == "dclw":
        average = np.mean([np.exp(s / parameters["sigma"]) for s, _ in pairs])
    losses = []
    for positive, others in pairs:
        count, mass = len(others), np.exp(others / t)
        top = np.exp(positive / t)
        if name in ("debiased", "hard"):
            p = parameters["class_probability"]
            weights = np.exp(parameters.get("beta", 0.0) * others / t)
            total = (weights / weights.mean() * mass).sum()
            rest = max((total - count * p * top) / (1 - p), count * np.exp(-1 / t))
            losses.append(np.log1p(rest / top))
        elif name == "dcl" or (name == "nscl" and not parameters):
            losses.append(np.log(mass.sum()) - positive / t)
        elif name == "dclw":
            weight = 2 - np.exp(positive / parameters["sigma"]) / average
            losses.append(np.log(mass.sum()) - weight * positive / t)
        elif name == "spectral":
            scale = parameters["scale"]
            losses.append(-2 * scale * positive + scale**2 * np.mean(others**2))
        else:
            factor = parameters.get("virtual_negatives", count) / count
            losses.append(np.log1p(factor * mass.sum() / top))
    return np.mean(losses)


@pytest.mark.parametrize(("name", "parameters"), ALL)
@pytest.mark.parametrize("t", [0.05, 0.5, 2.0])
def test_values_are_the_formulas_and_gradients_their_slopes(name, parameters, t):
    z1, z2 = views()
    default = "second_view" if name == "info_nce" else "both_views"
    value, gradients = call(name, parameters, z1, z2, t, gradient=True)
    assert value == call(name, parameters, z1, z2, t)
    assert value == pytest.approx(expected(name, parameters, z1, z2, t, default), rel=1e-12, abs=1e-13)
    # FlatNCE's gradient is DCL's.
    other = ("dcl", {}) if name == "flat_nce" else (name, parameters)
    for view, gradient in enumerate(gradients):
        assert gradient.shape == z1.shape and gradient.dtype == np.float64
        slope = np.zeros_like(gradient)
        for i, j in itertools.product(range(N), range(D)):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [z1.copy(), z2.copy()]
                moved[view][i, j] += step
                ends.append(expected(*other, *moved, t, default))
            slope[i, j] = (ends[0] - ends[1]) / 2e-5
        assert np.linalg.norm(gradient - slope) <= 1e-9 + 1e-7 * np.linalg.norm(slope)
        # Lengths of rows do not matter, so that gradients are at right angles to them.
        assert np.abs((gradient * (z1, z2)[view]).sum(axis=1)).max() < 1e-12 / t


@pytest.mark.parametrize("name", ["info_nce", "dcl", "debiased", "dclw", "eq_co"])
def test_every_way_to_name_negatives(name):
    z1, z2 = views(2)
    rng = np.random.default_rng(3)
    parameters = dict(ALL)[name]
    indices = np.array([[(i + 1) % N, (i + 3) % N] for i in range(N)])
    for chosen in ("second_view", "both_views", indices, rng.normal(size=(7, D)), rng.normal(size=(N, 3, D))):
        found = call(name, parameters, z1, z2, 0.3, negatives=chosen)
        assert found == pytest.approx(expected(name, parameters, z1, z2, 0.3, chosen), rel=1e-12)
    others = np.array([[j for j in range(N) if j != i] for i in range(N)], dtype=np.uint8)
    whole = call(name, parameters, z1, z2, 0.3, negatives="second_view", gradient=True)
    listed = call(name, parameters, z1, z2, 0.3, negatives=others, gradient=True)
    np.testing.assert_allclose(whole[0], listed[0], rtol=1e-14)
    np.testing.assert_allclose(whole[1], listed[1], atol=1e-15)


def test_unnormalised_rows_are_dot_products():
    z1, z2 = views(4)
    value, (grad1, _) = negatives.info_nce(z1, z2, 0.5, normalise=False, gradient=True)
    logits = z1 @ z2.T / 0.5
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    assert value == pytest.approx(np.mean(-np.log(np.diag(share))), rel=1e-12)
    np.testing.assert_allclose(grad1, (share - np.eye(N)) @ z2 / 0.5 / N, atol=1e-14)


def test_info_nce_is_the_measured_column():
    z1, z2 = views(5)
    rows = negatives.measure(z1, z2, CLASSES, draws=N, temperature=0.5, passes=1)
    assert rows["info_nce"][0] == pytest.approx(negatives.info_nce(z1, z2, 0.5), rel=1e-14)
    assert rows["nt_xent"][0] == pytest.approx(negatives.nt_xent(z1, z2, 0.5), rel=1e-14)


def test_torch_finds_the_same_gradient():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    z1, z2 = (torch.tensor(z, requires_grad=True) for z in views(6, 16, 8))
    both = torch.nn.functional.normalize(torch.cat([z1, z2]), dim=1)
    logits = (both @ both.T / 0.2).fill_diagonal_(float("-inf"))
    loss = torch.nn.functional.cross_entropy(logits, torch.arange(32).roll(16))
    loss.backward()
    value, gradients = negatives.nt_xent(z1, z2, 0.2, gradient=True)
    assert value == pytest.approx(loss.item(), rel=1e-12)
    for gradient, z in zip(gradients, (z1, z2)):
        np.testing.assert_allclose(gradient, z.grad.numpy(), atol=1e-13)
    half = negatives.nt_xent(z1.to(torch.bfloat16), z2.to(torch.bfloat16), 0.2)
    assert half == negatives.nt_xent(z1.bfloat16().double(), z2.bfloat16().double(), 0.2)


def test_threads_change_no_bit():
    z1, z2 = views(7, 900, 8)
    one, many = (negatives.nt_xent(z1, z2, 0.2, gradient=True, threads=threads) for threads in (1, 3))
    assert one[0] == many[0]
    np.testing.assert_array_equal(one[1], many[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"z2": np.ones((N, D + 1))}, r"view 1 has shape \[5, 4\], view 2 has \[5, 5\]"),
        ({"z1": np.ones(N)}, r"z1 has shape \(5,\)"),
        ({"z1": np.zeros((N, D))}, "row 0 of view 1 is zero"),
        ({"z1": np.full((N, D), np.nan)}, "row 0 of view 1, column 0, is NaN"),
        ({"temperature": 0.0}, "temperature = 0"),
        ({"temperature": float("nan")}, "temperature = NaN"),
        ({"negatives": "both"}, "negatives = 'both' is neither"),
        ({"negatives": np.ones((N + 1, 2), dtype=int)}, r"shape \(6, 2\), not \(5, K\)"),
        ({"negatives": np.full((N, 1), N)}, r"'negatives' entry 0, 0 is 5, not a sample 0, …, 4"),
        ({"negatives": np.zeros((N, 1), dtype=int)}, "negative 0 of anchor 0 is its own sample"),
        ({"negatives": np.ones((3, D + 1))}, "negatives have 5 columns, the views have 4"),
        ({"negatives": np.ones((0, D))}, "0 negatives"),
        ({"negatives": np.ones((2, 3, D))}, r"shape \(2, 3, 4\), not \(5, K, d\)"),
        ({"threads": 0}, "threads = 0"),
    ],
)
def test_what_does_not_fit_is_named(arguments, message):
    z1, z2 = views()
    with pytest.raises(negatives.ArgumentError, match=message):
        negatives.info_nce(**{"z1": z1, "z2": z2, "temperature": 0.5, **arguments})


def test_losses_that_overflow_say_so():
    z = np.eye(3)
    assert negatives.info_nce(z, z, 1e-300) == 0.0
    with pytest.raises(negatives.NotFiniteError, match="overflows"):
        negatives.info_nce(z, -z, 1e-310)


@settings(max_examples=300, deadline=None)
@given(
    data=st.data(),
    shapes=st.tuples(st.tuples(st.integers(0, 5), st.integers(0, 4)), st.tuples(st.integers(0, 5), st.integers(0, 4))),
    same=st.booleans(),
    case=st.sampled_from(ALL),
    t=st.floats(1e-3, 1e3) | st.floats(),
)
def test_any_arrays_give_a_number_or_an_exception(data, shapes, same, case, t):
    floats = st.sampled_from([np.float16, np.float32, np.float64])
    z1 = data.draw(hnp.arrays(data.draw(floats), shapes[0]))
    z2 = data.draw(hnp.arrays(data.draw(floats), shapes[0] if same else shapes[1]))
    name, parameters = case
    arguments = [z1, z2] + ([np.arange(len(z1))] if name == "nscl" else []) + ([] if name == "spectral" else [t])
    try:
        value, gradients = getattr(contrastive, name)(*arguments, **parameters, gradient=True)
    except negatives.NegativesError as error:
        assert not isinstance(error, negatives.InternalError)
    else:
        assert np.isfinite(value) and all(np.isfinite(gradient).all() for gradient in gradients)
