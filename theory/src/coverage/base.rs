//! ln of the Poisson and binomial probability of one point, without cancellation (Loader 2000).
//!
//! Poisson: ln p(n; r) = −½ ln(2πn) − δ(n) − D(n, r). Binomial: ln p(n; M, θ) =
//! ½ ln(M / (2πn(M−n))) + δ(M) − δ(n) − δ(M−n) − D(n, Mθ) − D(M−n, Mq). Here δ is the error of Stirling's formula
//! and D(x, y) = x ln(x/y) + y − x the deviance, both computed to a few ulps.
//!
//! Source: C. Loader, "Fast and accurate computation of binomial probabilities", 2000.

use std::f64::consts::TAU;

/// δ(n) = ln n! − (n + ½) ln n + n − ½ ln 2π for n = 1..15, from 60-digit arithmetic.
const STIRLING_ERROR: [f64; 15] = [
    0.081_061_466_795_327_26,
    0.041_340_695_955_409_3,
    0.027_677_925_684_998_34,
    0.020_790_672_103_765_093,
    0.016_644_691_189_821_193,
    0.013_876_128_823_070_748,
    0.011_896_709_945_891_77,
    0.010_411_265_261_972_096,
    0.009_255_462_182_712_733,
    0.008_330_563_433_362_87,
    0.007_573_675_487_951_841,
    0.006_942_840_107_209_53,
    0.006_408_994_188_004_207,
    0.005_951_370_112_758_848,
    0.005_554_733_551_962_801,
];

/// δ(n) for an integer n ≥ 1; absolute error below 1e-17.
pub(crate) fn stirling_error(n: f64) -> f64 {
    if n < 15.5 {
        return STIRLING_ERROR[n as usize - 1];
    }
    let square = n * n;
    (1.0 / 12.0
        - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / 1188.0 / square) / square) / square) / square)
        / n
}

/// D(x, y) = x ln(x/y) + y − x for x, y > 0; relative error of a few ulps, also where x ≈ y.
pub(crate) fn deviance(x: f64, y: f64) -> f64 {
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

/// A log-probability with a bound of its absolute error.
pub(crate) struct LnPmf {
    pub ln: f64,
    pub error: f64,
}

/// ln of the Poisson(r) probability of n ≥ 1.
pub(crate) fn ln_poisson(n: f64, rate: f64) -> LnPmf {
    let d = deviance(n, rate);
    let half_log = 0.5 * (TAU * n).ln();
    LnPmf { ln: -half_log - stirling_error(n) - d, error: f64::EPSILON * (1.0 + half_log + 2.0 * d) }
}

/// ln of the Binomial(M, θ) probability of n, 1 ≤ n ≤ M−1, with q = 1−θ.
pub(crate) fn ln_binomial(n: f64, total: f64, theta: f64, q: f64) -> LnPmf {
    let rest = total - n;
    let (d_in, d_out) = (deviance(n, total * theta), deviance(rest, total * q));
    let half_log = 0.5 * (total / n / rest / TAU).ln();
    let stirling = stirling_error(total) - stirling_error(n) - stirling_error(rest);
    // The products Mθ and Mq are rounded; D(x, y) then moves by |x − y| ulps.
    let products = (n - total * theta).abs() + (rest - total * q).abs();
    LnPmf {
        ln: half_log + stirling - d_in - d_out,
        error: f64::EPSILON * (1.0 + half_log.abs() + 2.0 * (d_in + d_out) + products),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poisson_and_binomial_by_hand() {
        // Poisson(3) at 2: e^-3 9/2. Binomial(4, 1/4) at 1: 4 (1/4) (27/64).
        assert!((ln_poisson(2.0, 3.0).ln - (4.5f64.ln() - 3.0)).abs() < 1e-15);
        assert!((ln_binomial(1.0, 4.0, 0.25, 0.75).ln - (27.0f64 / 64.0).ln()).abs() < 1e-15);
    }

    #[test]
    fn stirling_series_meets_the_table() {
        // ln 16! − ln 15! = ln 16 links the series (n = 16) to the last entry of the table (n = 15).
        let stirling = |n: f64| (n + 0.5) * n.ln() - n + stirling_error(n);
        assert!((stirling(16.0) - stirling(15.0) - 16.0f64.ln()).abs() < 1e-14);
    }
}
