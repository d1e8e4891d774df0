"""Coverage from Python: what a call costs, and arrays beside numpy's alternating sum. Prints medians in microseconds.

Run with the package installed: python benches/coverage.py
"""

import statistics
import sys
import time

import numpy as np

from negatives import CouponCollector, _negatives


def median(function, repeats, inner=1):
    """Median time of one call in microseconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(inner):
            function()
        times.append((time.perf_counter() - start) / inner)
    return statistics.median(times) * 1e6


def alternating_sum(classes, draws):
    """The textbook's formula, all n at once: Σ (−1)^j binom(C, j) (1 − j/C)^n, in logarithms."""
    j = np.arange(classes)
    logs = np.concatenate([[0.0], np.cumsum(np.log((classes - j[:-1]) / (j[:-1] + 1)))])
    signs = np.where(j % 2 == 0, 1.0, -1.0)
    out = np.empty(len(draws))
    for start in range(0, len(draws), 256):  # by blocks, so that memory stays in the cache
        part = draws[start : start + 256, None]
        out[start : start + 256] = np.exp(logs + part * np.log1p(-j / classes)) @ signs
    return out


def main():
    law = CouponCollector(1000)
    # In turn, so that both meet the same machine.
    pairs = [
        (median(lambda: law.cdf(7709), 1, 20), _negatives.time_of_coverage(law._classes, 7709, 20) * 1e6)
        for _ in range(1000)
    ]
    call, inner = (statistics.median(times) for times in zip(*pairs))
    print(f"CouponCollector(1000).cdf(7709): {call:.2f} us a call, {inner:.2f} us in Rust, {call - inner:.2f} us above")
    for classes in (100, 1000):
        draws = np.arange(classes, classes + 10_000)
        law = CouponCollector(classes)
        ours = median(lambda: law.cdf(draws), 15)
        numpys = median(lambda: alternating_sum(classes, draws), 3)
        found, theirs = law.cdf(draws), alternating_sum(classes, draws)
        lost = int(np.sum(np.abs(theirs - found) > 1e-6))
        print(
            f"10,000 n from C = {classes}: {ours:.0f} us, numpy's alternating sum {numpys:.0f} us "
            f"(wrong by more than 1e-6 at {lost} n): ratio {numpys / ours:.0f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
