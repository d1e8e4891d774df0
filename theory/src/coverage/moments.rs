//! The collector's time T: expectation, standard deviation, quantiles.

use crate::error::{Error, Result};
use crate::prior::ClassPrior;
use crate::sampling::{NumDraws, Sampling};

/// Expected number of independent draws E\[T\] until every class of `prior` was seen.
///
/// Uniform: C·H_C. Any prior: E\[T\] = ∫₀^∞ (1 − ∏_c (1 − e^{−π_c t})) dt (Flajolet, Gardy & Thimonier 1992), by the
/// trapezoid rule in ln t, whose step is halved until two values agree. Relative error below 1e-13.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, coverage};
/// assert!((coverage::expected_draws(&ClassPrior::uniform(2)?) - 3.0).abs() < 1e-14);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn expected_draws(prior: &ClassPrior) -> f64 {
    let classes = prior.num_classes();
    if prior.is_uniform() {
        return classes as f64 * (1..=classes).rev().map(|k| 1.0 / k as f64).sum::<f64>();
    }
    poissonised_moment(prior, 0)
}

/// Standard deviation of the number of independent draws T until every class of `prior` was seen.
///
/// Uniform: Var T = C² Σ 1/k² − C H_C. Any prior: with draws at the points of a unit-rate Poisson process, the waiting
/// time has variance Var T + E\[T\] and second moment 2 ∫ t (1 − ∏_c (1 − e^{−π_c t})) dt. Relative error below 1e-11.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, coverage};
/// // C = 2: T − 1 is geometric with p = 1/2, variance 2.
/// assert!((coverage::standard_deviation(&ClassPrior::uniform(2)?) - 2f64.sqrt()).abs() < 1e-14);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn standard_deviation(prior: &ClassPrior) -> f64 {
    let classes = prior.num_classes();
    let mean = expected_draws(prior);
    let variance = if prior.is_uniform() {
        let squares: f64 = (1..=classes).rev().map(|k| (k as f64).powi(-2)).sum();
        (classes as f64).powi(2) * squares - mean
    } else {
        2.0 * poissonised_moment(prior, 1) - mean * mean - mean
    };
    variance.max(0.0).sqrt()
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
    if !(level > 0.0 && level < 1.0) {
        return Err(Error::argument(format!(
            "a quantile needs a level strictly between 0 and 1, got {level}"
        )));
    }
    let reaches = |n: u64| -> Result<bool> {
        let p = super::probability(prior, Sampling::WithReplacement, NumDraws::new(n)?)?;
        // Compared on the side that is small, so that 1 − 1e-20 is a level like any other; equal up to the error bound counts
        // as reached (C = 2: υ_3 = 3/4 exactly).
        let (low, high) = (p.relative_error_bound(), p.complement_relative_error_bound());
        Ok(if level < 0.5 {
            p.value() * (1.0 + low) >= level
        } else {
            p.complement() * (1.0 - high) <= 1.0 - level
        })
    };
    let mut high = prior.num_classes();
    while !reaches(high)? {
        high *= 2;
    }
    let mut low = high / 2;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if reaches(middle)? { high = middle } else { low = middle }
    }
    Ok(high)
}

/// ∫₀^∞ t^power (1 − ∏_c (1 − e^{−π_c t})) dt by the trapezoid rule in u = ln t.
fn poissonised_moment(prior: &ClassPrior, power: i32) -> f64 {
    // The integrand rises like a power of e^u below the collector's scale and falls doubly exponentially above it.
    let missing = |t: f64| {
        let product: f64 = prior
            .groups()
            .iter()
            .map(|g| g.multiplicity as f64 * (-(-g.probability * t).exp()).ln_1p())
            .sum();
        -product.exp_m1()
    };
    let integrand = |u: f64| u.exp().powi(power + 1) * missing(u.exp());
    let scale = 1.0 / prior.min_probability();
    // Above: Σ e^{−π t} ≤ C e^{−π_min t} < 1e-20; below: t is under 1e-18 of the result, which exceeds 1/π_min.
    let high = (scale * (46.0 + (prior.num_classes() as f64).ln())).ln();
    let low = scale.ln() - 42.0;
    let mut intervals = 256usize;
    let mut step = (high - low) / intervals as f64;
    let mut sum: f64 = (0..=intervals).map(|i| integrand(low + step * i as f64)).sum();
    let mut value = sum * step;
    loop {
        sum += (0..intervals).map(|i| integrand(low + step * (i as f64 + 0.5))).sum::<f64>();
        intervals *= 2;
        step *= 0.5;
        let next = sum * step;
        if (next - value).abs() < 1e-14 * next || intervals > 1 << 17 {
            return next;
        }
        value = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_classes_by_hand() {
        // p and q: E[T] = 1/p + 1/q − 1.
        let prior = ClassPrior::from_counts(vec![9, 1]).unwrap();
        let expected = 1.0 / 0.9 + 10.0 - 1.0;
        assert!((expected_draws(&prior) / expected - 1.0).abs() < 1e-13);
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
