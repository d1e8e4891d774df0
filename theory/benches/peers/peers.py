#!/usr/bin/env python3
"""What a researcher would use today, as a process that times one case at a time for `cargo bench -p theory`.

Reads lines `PEER [ARGUMENTS]` from standard input and answers each with one JSON line
{"cpu_ms": ..., "wall_ms": ..., "value": ...}: per evaluation, in CPU time of this process and its threads.
needs: numpy scipy mpmath gmpy2 python-flint (requirements.txt). `peers.py COUNTS` gives the file of class counts.
"""
import json, platform, sys, time
import flint, gmpy2, mpmath
import numpy as np
import scipy
from scipy.integrate import quad
from scipy.special import gammaln
from scipy.stats import binom

COUNTS = np.loadtxt(sys.argv[1], dtype=np.int64) if len(sys.argv) > 1 else np.ones(1, np.int64)
PRIOR = COUNTS / COUNTS.sum()
RNG = np.random.default_rng(1)


def numpy_sum(c, n):
    """The alternating sum in float64: no correct digit where upsilon is small, NaN where a binomial overflows."""
    np.seterr(all="ignore")
    j = np.arange(c + 1)
    return float(np.sum((-1.0) ** j * np.exp(gammaln(c + 1) - gammaln(j + 1) - gammaln(c - j + 1)) * (1 - j / c) ** n))


def mpmath_sum(c, n):
    mpmath.mp.dps = 50
    terms = ((-1) ** j * mpmath.binomial(c, j) * (mpmath.mpf(c - j) / c) ** n for j in range(c + 1))
    return float(mpmath.fsum(terms))


def arb_sum(c, n):
    """Ball arithmetic, precision doubled until 53 bits are certain."""
    precision = 128
    while True:
        flint.ctx.prec = precision
        total, b = flint.arb(0), flint.fmpz(1)
        for j in range(c + 1):
            total += (-1) ** j * flint.arb(b) * (flint.arb(c - j) / c) ** n
            b = b * (c - j) // (j + 1)
        if total.rel_accuracy_bits() >= 53:
            return float(total.mid())
        precision *= 2


def arb_series(n):
    """Product of exponential generating functions, one factor per distinct count."""
    flint.ctx.prec, flint.ctx.cap = 128, n + 1
    product, z = flint.arb_series([1]), flint.arb_series([0, 1])
    for count, classes in zip(*np.unique(COUNTS, return_counts=True)):
        product *= ((z * (flint.arb(int(count)) / int(COUNTS.sum()))).exp() - 1) ** int(classes)
    return float((product[n] * flint.arb(n).gamma() * n).mid())


def stirling_flint(c, n):
    return flint.fmpz.stirling_s2(n, c) and "exact"


def surjections_gmpy2(c, n):
    total, b = gmpy2.mpz(0), gmpy2.mpz(1)
    for j in range(c + 1):
        term = b * gmpy2.mpz(j) ** n
        total = total + term if (c - j) % 2 == 0 else total - term
        b = b * (c - j) // (j + 1)
    return total and "exact"


def occupancy(c, n):
    p, k, curve = np.zeros(c + 1), np.arange(c + 1), np.zeros(n + 1)
    p[0] = 1
    for i in range(1, n + 1):
        q = p * k / c
        q[1:] += p[:-1] * (c - k[1:] + 1) / c
        p = q
        curve[i] = p[c]
    return float(curve[-1])


def bincount(c, n, batches):
    draw = lambda: RNG.integers(0, c, n, dtype=np.int32)  # faster than the default int64
    return sum(bool(np.bincount(draw(), minlength=c).all()) for _ in range(batches)) / batches


def multinomial(n, batches):
    return float((RNG.multinomial(n, PRIOR, size=batches) > 0).all(1).mean())


def pmf_sum(k, c):
    m = np.arange(k + 1)
    return float(np.sum(binom.pmf(m, k, 1 / c) * np.log1p(m)))


DISTINCT, MULTIPLICITY = np.unique(PRIOR, return_counts=True)


def quad_expectation():
    """Distinct counts grouped, as ours; at the default tolerance, which here is right to 3e-14."""
    missing = lambda t: -np.expm1(MULTIPLICITY @ np.log1p(-np.exp(-DISTINCT * t))) if t > 0 else 1.0
    return float(quad(missing, 0, np.inf, limit=500)[0])


def versions():
    modules = ", ".join(f"{module.__name__} {module.__version__}" for module in (np, scipy, mpmath))
    return f"Python {platform.python_version()}, {modules}, gmpy2 {gmpy2.version()}, python-flint {flint.__version__}"


PEERS = {
    "numpy_sum": numpy_sum, "mpmath_sum": mpmath_sum, "arb_sum": arb_sum, "arb_series": arb_series,
    "stirling_flint": stirling_flint, "surjections_gmpy2": surjections_gmpy2, "occupancy": occupancy,
    "bincount": bincount, "multinomial": multinomial, "pmf_sum": pmf_sum, "quad_expectation": quad_expectation,
    "versions": versions,
}

for line in sys.stdin:
    name, *arguments = line.split()
    arguments, repeats = list(map(int, arguments)), 0
    cpu, wall = time.process_time(), time.perf_counter()
    # Like our side: repeated until it took 30 ms, so that neither a cold start nor the clock's step is what is measured.
    while repeats == 0 or time.perf_counter() - wall < 0.03:
        value = PEERS[name](*arguments)
        repeats += 1
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({"cpu_ms": 1e3 * cpu / repeats, "wall_ms": 1e3 * wall / repeats, "value": str(value)}), flush=True)
