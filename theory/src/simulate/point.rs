//! ln of the Poisson and binomial probability of one point, without cancellation (Loader 2000).
//!
//! Poisson: ln p(n; r) = −½ ln(2πn) − δ(n) − D(n, r). Binomial: ln p(n; M, θ) =
//! ½ ln(M / (2πn(M−n))) + δ(M) − δ(n) − δ(M−n) − D(n, Mθ) − D(M−n, Mq). Here δ is the error of Stirling's formula
//! and D(x, y) = x ln(x/y) + y − x the deviance, both computed to a few ulps.
//!
//! Source: C. Loader, "Fast and accurate computation of binomial probabilities", 2000.

use crate::coverage::stirling;
use std::f64::consts::TAU;

/// D(x, y) = x ln(x/y) + y − x for x, y > 0; relative error of a few ulps, also where x ≈ y.
fn deviance(x: f64, y: f64) -> f64 {
    let difference = x - y;
    if difference.abs() >= 0.1 * (x + y) {
        return x * (x / y).ln() - difference;
    }
    // With v = (x−y)/(x+y): D = (x−y) v + 2x (v³/3 + v⁵/5 + …), all terms of one sign.
    let v = difference / (x + y);
    let mut sum = difference * v;
    let mut power = 2.0 * x * v;
    let mut odd = 3.0;
    loop {
        power *= v * v;
        let next = sum + power / odd;
        if next == sum {
            return next;
        }
        sum = next;
        odd += 2.0;
    }
}

/// ln of the Poisson(r) probability of n ≥ 1.
pub(super) fn ln_poisson(n: f64, rate: f64) -> f64 {
    -0.5 * (TAU * n).ln() - stirling(n) - deviance(n, rate)
}

/// ln of the Binomial(M, θ) probability of n, 1 ≤ n ≤ M−1, with q = 1−θ.
pub(super) fn ln_binomial(n: f64, total: f64, theta: f64, q: f64) -> f64 {
    let rest = total - n;
    let half_log = 0.5 * (total / n / rest / TAU).ln();
    let corrections = stirling(total) - stirling(n) - stirling(rest);
    half_log + corrections - deviance(n, total * theta) - deviance(rest, total * q)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poisson_and_binomial_by_hand() {
        // Poisson(3) at 2: e^-3 9/2. Binomial(4, 1/4) at 1: 4 (1/4) (27/64).
        assert!((ln_poisson(2.0, 3.0) - (4.5f64.ln() - 3.0)).abs() < 1e-15);
        assert!((ln_binomial(1.0, 4.0, 0.25, 0.75) - (27.0f64 / 64.0).ln()).abs() < 1e-15);
    }

    #[test]
    fn stirling_series_meets_the_table() {
        // ln 16! − ln 15! = ln 16 links the series (n = 16) to the last entry of the table (n = 15).
        let stirling = |n: f64| (n + 0.5) * n.ln() - n + stirling(n);
        assert!((stirling(16.0) - stirling(15.0) - 16.0f64.ln()).abs() < 1e-14);
    }
}
