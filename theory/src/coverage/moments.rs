//! The collector's time T for independent draws: expectation, standard deviation, quantiles.

use super::collector::{collector_quantile, collector_time};
use crate::error::Result;
use crate::prior::ClassPrior;
use crate::sampling::Sampling;

/// Expected number of independent draws E\[T\] until every class of `prior` was seen.
///
/// Uniform: C·H_C. Any prior: with draws at the points of a unit-rate Poisson process the waiting time has the law
/// G(t) = ∏_c (1 − e^{−π_c t}) and the mean E\[T\] = ∫ t dG(t), by the trapezoid rule in ln t, where dG is a narrow
/// bump. Relative error below 1e-13. Source: Flajolet, Gardy & Thimonier 1992.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, coverage};
/// assert!((coverage::expected_draws(&ClassPrior::uniform(2)?) - 3.0).abs() < 1e-14);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn expected_draws(prior: &ClassPrior) -> f64 {
    // Independent draws are refused from no prior.
    collector_time(prior, Sampling::WithReplacement).map_or(f64::NAN, |time| time.expected_draws)
}

/// Standard deviation of the number of independent draws T until every class of `prior` was seen.
///
/// Uniform: Var T = C² Σ 1/k² − C H_C. Any prior: the waiting time of [`expected_draws`] has variance Var T + E\[T\].
/// Relative error below 1e-12.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, coverage};
/// // C = 2: T − 1 is geometric with p = 1/2, variance 2.
/// assert!((coverage::standard_deviation(&ClassPrior::uniform(2)?) - 2f64.sqrt()).abs() < 1e-14);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn standard_deviation(prior: &ClassPrior) -> f64 {
    collector_time(prior, Sampling::WithReplacement).map_or(f64::NAN, |time| time.standard_deviation)
}

/// Smallest n with υ_n = P(T ≤ n) ≥ `level`, for independent draws.
///
/// # Errors
/// `level` is not strictly between 0 and 1.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, coverage};
/// assert_eq!(coverage::quantile(&ClassPrior::uniform(10)?, 0.5)?, 27);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn quantile(prior: &ClassPrior, level: f64) -> Result<u64> {
    collector_quantile(prior, Sampling::WithReplacement, level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_classes_by_hand() {
        // p and q: E[T] = 1/p + 1/q − 1.
        for heavy in [2u64, 9, 1000, 1_000_000_000_000] {
            let prior = ClassPrior::from_counts(vec![heavy, 1]).unwrap();
            let (p, total) = (heavy as f64 / (heavy as f64 + 1.0), heavy as f64 + 1.0);
            let expected = 1.0 / p + total - 1.0;
            assert!((expected_draws(&prior) / expected - 1.0).abs() < 1e-14, "{heavy}");
        }
    }

    #[test]
    fn deviations_of_rare_classes() {
        // Over non-empty subsets S of (−1)^{|S|−1}: E[T] = Σ ±1/π(S), E[T²] = Σ ±(2−π(S))/π(S)², at 60 digits (mpmath 1.3).
        let cases: [(&[u64], f64); 9] = [
            (&[4_000_000_000_000_000, 1], 4_000_000_000_000_000.5),
            (&[1_000_000_000_000, 1], 1_000_000_000_000.5),
            (&[1_000_000, 1], 1_000_000.499_998_875),
            (&[3, 1], 3.231_786_571_610_886),
            (&[5875, 815_363_081_009, 4_051_686_261, 673_671_310, 61_482, 390], 2_095_173_731.396_409_8),
            (&[10, 14, 56_765_422_243, 2984, 173_471_312_370, 80_733_131_608], 30_931_272_359.552_573),
            (&[793, 984], 1.495_307_591_237_536),
            (&[38, 26_069, 90_976_867], 2_394_809.538_951_441_8),
            (&[187, 40_300_638_040, 1, 174_018, 34, 6, 9882], 39_612_181_319.862_54),
        ];
        for (counts, expected) in cases {
            let found = standard_deviation(&ClassPrior::from_counts(counts.to_vec()).unwrap());
            assert!((found / expected - 1.0).abs() < 1e-13, "{counts:?}: {found}, not {expected}");
        }
    }

    const IMAGENET_LIKE: f64 = 7_998.334_854_288_564;

    #[test]
    fn counts_like_imagenet() {
        // 30-digit quadrature (mpmath) of 1 − G: 895 classes of 1300, 105 spread over 732..1293 in steps of 5.4.
        let mut counts = vec![1300u64; 895];
        counts.extend((0..105).map(|i| 732 + i * 27 / 5));
        let found = expected_draws(&ClassPrior::from_counts(counts).unwrap());
        assert!((found / IMAGENET_LIKE - 1.0).abs() < 1e-14, "{found}");
    }

    #[test]
    fn one_class_needs_one_draw() {
        assert_eq!(expected_draws(&ClassPrior::uniform(1).unwrap()), 1.0);
    }

    #[test]
    fn published_quantiles_and_deviations() {
        let uniform = |c| ClassPrior::uniform(c).unwrap();
        for (c, level, expected) in [
            (2, 0.75, 3),
            (2, 0.5, 2),
            (4, 0.01, 4),
            (10, 0.9, 44),
            (100, 0.05, 356),
            (1000, 0.5, 7274),
            (3029, 0.99, 38209),
        ] {
            assert_eq!(quantile(&uniform(c), level).unwrap(), expected, "C={c} q={level}");
        }
        assert!((standard_deviation(&uniform(1000)) - 1_279.237_701_063_023_5).abs() < 1e-9);
        // Two classes of unequal weight: T is 1 + a mixture of two geometric times.
        let prior = ClassPrior::from_counts(vec![9, 1]).unwrap();
        let second = |p: f64| (2.0 - p) / (p * p) + 2.0 / p + 1.0; // E (1+G)², G geometric on 1, 2, … with success p
        let mean = expected_draws(&prior);
        let expected = (0.9 * second(0.1) + 0.1 * second(0.9) - mean * mean).sqrt();
        assert!((standard_deviation(&prior) / expected - 1.0).abs() < 1e-11);
        assert!(quantile(&prior, 1.0).is_err());
    }

    #[test]
    fn subsets_of_seven_classes() {
        // E[T] = Σ over non-empty subsets S of (−1)^{|S|−1} / π(S).
        let counts = [1u64, 2, 3, 5, 8, 13, 21];
        let total: u64 = counts.iter().sum();
        let expected: f64 = (1u32..1 << 7)
            .map(|set| {
                let mass: u64 = (0..7).filter(|i| set >> i & 1 == 1).map(|i| counts[i]).sum();
                let sign = if set.count_ones() % 2 == 1 { 1.0 } else { -1.0 };
                sign * total as f64 / mass as f64
            })
            .sum();
        let found = expected_draws(&ClassPrior::from_counts(counts.to_vec()).unwrap());
        assert!((found / expected - 1.0).abs() < 1e-13, "{found} {expected}");
    }
}
