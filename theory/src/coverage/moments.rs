//! E\[T\]: the expected number of draws until every class was seen.

use crate::prior::ClassPrior;

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
    // The integrand in u = ln t: e^u below the collector's scale, falling doubly exponentially above it.
    let missing = |t: f64| {
        let product: f64 = prior
            .groups()
            .iter()
            .map(|g| g.multiplicity as f64 * (-(-g.probability * t).exp()).ln_1p())
            .sum();
        -product.exp_m1()
    };
    let integrand = |u: f64| u.exp() * missing(u.exp());
    let scale = 1.0 / prior.min_probability();
    // Above: Σ e^{−π t} ≤ C e^{−π_min t} < 1e-20; below: t itself is below 1e-18 of the result, which exceeds 1/π_min.
    let high = (scale * (46.0 + (classes as f64).ln())).ln();
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
