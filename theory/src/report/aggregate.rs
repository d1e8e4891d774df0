//! Mean ± standard deviation over seeds, and intervals.

use crate::bounds::Ratio;
use crate::simulate::student_quantile;
use serde::{Deserialize, Serialize};

/// Mean and sample standard deviation over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanAndDeviation {
    /// Mean.
    pub mean: f64,
    /// Standard deviation with n−1; absent for one value.
    pub deviation: Option<f64>,
}

impl MeanAndDeviation {
    /// The deviation as people read it: none where all values are the same up to rounding, such as those computed from the
    /// classes alone, where `± 0` would look measured.
    ///
    /// # Examples
    /// ```
    /// use theory::report::mean_and_deviation;
    /// assert_eq!(mean_and_deviation(&[2.0, 2.0 + 1e-15]).spread(), None);
    /// assert_eq!(mean_and_deviation(&[1.0, 3.0]).spread(), Some(2f64.sqrt()));
    /// ```
    pub fn spread(&self) -> Option<f64> {
        self.deviation.filter(|deviation| *deviation > 1e-9 * self.mean.abs())
    }
}

/// Mean and sample standard deviation of at least one value.
pub fn mean_and_deviation(values: &[f64]) -> MeanAndDeviation {
    if values.iter().any(|v| !v.is_finite()) {
        // A bound above the range of floats: no deviation, and no NaN from ∞ − ∞.
        return MeanAndDeviation {
            mean: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            deviation: None,
        };
    }
    // Relative to the first value, so that equal values have deviation 0 exactly.
    let (first, count) = (values[0], values.len() as f64);
    let mean = first + values.iter().map(|v| v - first).sum::<f64>() / count;
    let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    MeanAndDeviation { mean, deviation: (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()) }
}

/// A 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// 95 % interval for the mean over seeds, by Student's t; `None` for fewer than two values or a value that is not
/// finite.
pub fn mean_interval(values: &[f64]) -> Option<Interval> {
    let ratios: Vec<_> = values.iter().map(|&numerator| Ratio { numerator, ln_denominator: 0.0 }).collect();
    ratio_interval(&ratios)
}

/// 95 % interval for the quotient of the means over seeds, by Fieller's theorem.
///
/// Numerator and denominator of a seed may depend on each other. With an exact, common denominator it is Student's
/// interval for the numerator, divided. `None` for fewer than two seeds, values that are not finite, or a denominator
/// that is not clearly different from 0, for which no bounded interval exists.
///
/// Source: E. C. Fieller, "Some problems in interval estimation", J. R. Stat. Soc. B 16, 1954.
pub fn ratio_interval(ratios: &[Ratio]) -> Option<Interval> {
    if ratios.len() < 2 {
        return None;
    }
    let quantile = student_quantile(0.025, (ratios.len() - 1) as f64);
    let count = ratios.len() as f64;
    // Denominators relative to the largest: they may lie far below the range of floats.
    let scale = ratios.iter().map(|r| r.ln_denominator).fold(f64::NEG_INFINITY, f64::max);
    let pairs: Vec<(f64, f64)> =
        ratios.iter().map(|r| (r.numerator, (r.ln_denominator - scale).exp())).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| {
        let first = of(&pairs[0]);
        first + pairs.iter().map(|p| of(p) - first).sum::<f64>() / count
    };
    let (top, bottom) = (mean(|p| p.0), mean(|p| p.1));
    let moment = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / (count - 1.0) / count;
    let variance_top = moment(&|p| (p.0 - top).powi(2));
    let variance_bottom = moment(&|p| (p.1 - bottom).powi(2));
    let covariance = moment(&|p| (p.0 - top) * (p.1 - bottom));
    // The set of r with (top − r·bottom)² ≤ t² Var(top − r·bottom): a quadratic in r.
    let square = quantile * quantile;
    let a = bottom * bottom - square * variance_bottom;
    let b = top * bottom - square * covariance;
    let c = top * top - square * variance_top;
    let discriminant = b * b - a * c;
    if a.is_nan() || a <= 0.0 || discriminant.is_nan() {
        return None;
    }
    let root = discriminant.max(0.0).sqrt();
    let end = |x: f64| {
        let x = x / a;
        if scale > -700.0 { x / scale.exp() } else { x.signum() * (x.abs().ln() - scale).exp() }
    };
    let (low, high) = (end(b - root), end(b + root));
    (low.is_finite() && high.is_finite()).then_some(Interval { low, high })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_by_hand() {
        // Values 1, 2, 3: mean 2, standard error 1/√3, t at 97.5 % with 2 degrees of freedom 4.302653.
        let half = 4.302_652_729_911_275 / 3f64.sqrt();
        let found = mean_interval(&[1.0, 2.0, 3.0]).unwrap();
        assert!((found.low - (2.0 - half)).abs() < 1e-9 && (found.high - (2.0 + half)).abs() < 1e-9);
        // A common denominator scales it, also far below the range of floats.
        let ratios = |ln| [1.0, 2.0, 3.0].map(|numerator| Ratio { numerator, ln_denominator: ln });
        let scaled = ratio_interval(&ratios(0.25f64.ln())).unwrap();
        assert!((scaled.high / found.high - 4.0).abs() < 1e-9);
        assert_eq!(ratio_interval(&ratios(-2000.0)), None, "above the range of floats");
        assert_eq!(mean_interval(&[1.0]), None);
        assert_eq!(mean_interval(&[1.0, f64::INFINITY]), None);
        // A denominator that scatters over an order of magnitude bounds nothing.
        let wild = [(1.0, 0.1f64), (1.1, 1.0)].map(|(n, d)| Ratio { numerator: n, ln_denominator: d.ln() });
        assert_eq!(ratio_interval(&wild), None);
    }

    #[test]
    fn fieller_covers_at_its_nominal_rate() {
        // Means of three pairs from a correlated normal law: the interval should hold the true quotient 95 % of the
        // time.
        use rand::{Rng, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        let (mut held, total) = (0, 4000);
        for _ in 0..total {
            let seeds = [(); 3].map(|()| {
                let (x, y) = (normal(), normal());
                Ratio { numerator: 3.0 + 0.2 * x, ln_denominator: (0.7 + 0.02 * (x + y)).ln() }
            });
            held +=
                usize::from(ratio_interval(&seeds).is_some_and(|i| i.low < 3.0 / 0.7 && 3.0 / 0.7 < i.high));
        }
        // Standard error of the share: 0.0034.
        let share = held as f64 / total as f64;
        assert!((share - 0.95).abs() < 0.0125, "{share}");
    }

    #[test]
    fn by_hand() {
        assert_eq!(mean_and_deviation(&[0.1; 3]), MeanAndDeviation { mean: 0.1, deviation: Some(0.0) });
        assert_eq!(
            mean_and_deviation(&[1.0, 2.0, 3.0]),
            MeanAndDeviation { mean: 2.0, deviation: Some(1.0) }
        );
        assert_eq!(mean_and_deviation(&[5.0]).deviation, None);
        let infinite = MeanAndDeviation { mean: f64::INFINITY, deviation: None };
        assert_eq!(mean_and_deviation(&[f64::INFINITY, 1.0]), infinite);
    }
}
