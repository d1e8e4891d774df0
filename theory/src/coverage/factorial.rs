//! Factorials and binomial coefficients: in double-double where a value far below 1 is to keep its digits.
//!
//! ln n! = (n + ½) ln n − n + ½ ln 2π + δ(n), where δ is at most 1/(12n): the large parts in double-double, δ in
//! floats.
//!
//! Source: C. Loader, "Fast and accurate computation of binomial probabilities", 2000, for δ.

use crate::double_double::Dd;

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

const HALF_LN_TAU: Dd = Dd { hi: 0.918_938_533_204_672_8, lo: -3.878_294_158_067_242e-17 };

/// δ(n) for an integer n ≥ 1; absolute error below 1e-17.
pub(crate) fn stirling(n: f64) -> f64 {
    if n < 15.5 {
        return STIRLING_ERROR[(n as usize).max(1) - 1];
    }
    let square = n * n;
    // The term after the last is 1/(156 n¹³): 1.4e-18 at n = 16.
    const TERMS: [f64; 6] =
        [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0];
    TERMS.iter().rev().fold(0.0, |sum, term| sum / square + term) / n
}

/// ln n! and a bound of its absolute error.
pub(crate) fn ln_factorial(n: f64) -> (Dd, f64) {
    if n < 2.0 {
        return (Dd::ZERO, 0.0);
    }
    let ln = Dd::from(n).ln();
    let large = ln * (n + 0.5) - Dd::from(n) + HALF_LN_TAU;
    (large + Dd::from(stirling(n)), 1e-17 + 1e-30 * n * (1.0 + ln.hi))
}

/// ln binom(n, k) for 0 ≤ k ≤ n, and a bound of its absolute error.
pub(super) fn ln_binomial(n: f64, k: f64) -> (Dd, f64) {
    let ((all, e0), (chosen, e1), (rest, e2)) = (ln_factorial(n), ln_factorial(k), ln_factorial(n - k));
    (all - chosen - rest, e0 + e1 + e2)
}

/// ln binom(M−m, n)/binom(M, n) for n ≤ M−m in double-double, and a bound of its absolute error.
///
/// The error is absolute, so this is for logarithms that are not small; [`ln_none_of`] is for those.
pub(super) fn ln_missing_items(total: f64, own: f64, draws: f64) -> (Dd, f64) {
    let parts = [
        ln_factorial(total - own),
        ln_factorial(total - draws),
        ln_factorial(total),
        ln_factorial(total - own - draws),
    ];
    let error = parts.iter().map(|p| p.1).sum();
    (parts[0].0 - parts[2].0 + (parts[1].0 - parts[3].0), error)
}

/// The same for few factors, as ∏_{i < factors} (M−i−removed)/(M−i); the relative error is small for small logarithms,
/// too.
pub(super) fn ln_missing_product(total: f64, factors: f64, removed: f64) -> (Dd, f64) {
    let (mut product, mut ln, mut i) = (Dd::ONE, Dd::ZERO, 0.0);
    while i < factors {
        product = product * (Dd::from(total - i - removed) / Dd::from(total - i));
        if product.hi < 1e-200 {
            ln = ln + product.ln();
            product = Dd::ONE;
        }
        i += 1.0;
    }
    let ln = ln + product.ln();
    (ln, 1e-30 * (factors + ln.hi.abs()))
}

/// ln P(none of m = `own` marked among M = `total` items is drawn in n draws), and a bound of its absolute error.
///
/// binom(M−m, n)/binom(M, n); −∞ where n > M−m. A product of few factors, or Stirling's formula with the logarithms
/// arranged so that nothing of size M ln M is subtracted: with R = M−m−n,
/// R ln(1 + mn/(MR)) + n ln(1−m/M) + m ln(1−n/M) + ½ ln(1 + mn/(MR)) + δ(M−m) + δ(M−n) − δ(M) − δ(R).
pub(crate) fn ln_none_of(total: u64, own: u64, draws: u64) -> (f64, f64) {
    let (factors, removed) = if draws < own { (draws, own) } else { (own, draws) };
    if factors == 0 {
        return (0.0, 0.0);
    }
    let Some(rest) = (total - own).checked_sub(draws) else {
        return (f64::NEG_INFINITY, 0.0);
    };
    if factors <= 64 {
        let ln: f64 = (0..factors).map(|i| ln_without(total - i, removed)).sum();
        return (ln, f64::EPSILON * (2.0 + factors as f64) * ln.abs());
    }
    if rest == 0 {
        let (ln, error) = ln_binomial(total as f64, draws as f64);
        return (-ln.hi, error + f64::EPSILON * ln.hi);
    }
    let (all, m, n, r) = (total as f64, own as f64, draws as f64, rest as f64);
    let odds = m / all * (n / r);
    let terms =
        [r * odds.ln_1p(), n * ln_without(total, own), m * ln_without(total, draws), 0.5 * odds.ln_1p()];
    let delta = stirling(all - m) + stirling(all - n) - stirling(all) - stirling(r);
    let size: f64 = terms.iter().map(|t| t.abs()).sum();
    (terms.iter().sum::<f64>() + delta, 4.0 * f64::EPSILON * (size + stirling(r)))
}

/// ln(1 − removed/total), from whichever of the two parts is smaller.
fn ln_without(total: u64, removed: u64) -> f64 {
    if removed > total / 2 {
        ((total - removed) as f64 / total as f64).ln()
    } else {
        (-(removed as f64) / total as f64).ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_factorials_and_binomials() {
        let mut factorial = Dd::ONE;
        for n in 2..=40 {
            factorial = factorial * f64::from(n);
            let (ln, error) = ln_factorial(f64::from(n));
            let difference = (ln - factorial.ln()).value().abs();
            assert!(difference <= error, "{n}: {difference:e} above {error:e}");
        }
        let (ln, error) = ln_binomial(10.0, 3.0);
        assert!((ln - Dd::from(120.0).ln()).value().abs() <= error);
    }

    #[test]
    fn both_forms_of_missing_items() {
        for (total, own, draws) in [(1000u64, 300u64, 100u64), (50, 3, 20), (5000, 70, 4000), (900, 450, 450)]
        {
            let (float, float_error) = ln_none_of(total, own, draws);
            let (precise, error) = ln_missing_items(total as f64, own as f64, draws as f64);
            assert!((precise.value() - float).abs() <= error + float_error + 1e-16 * float.abs());
            let (product, _) = ln_missing_product(total as f64, own.min(draws) as f64, own.max(draws) as f64);
            assert!((precise - product).value().abs() <= error, "{total} {own} {draws}");
        }
        assert_eq!(ln_none_of(10, 5, 6).0, f64::NEG_INFINITY);
    }
}
