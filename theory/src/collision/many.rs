//! E ln(1+Col) where many collisions are expected: Taylor's series around the mean.
//!
//! Col is Binomial(K, p), and with y = 1 + Kp, E ln(1+Col) = ln y + Σ_{j≥2} (−1)^{j+1} μ_j/(j y^j), μ_j its central
//! moments: of size (1−p)^{j/2} (j−1)!!/(j (Kp)^{j/2}). What is left after j = 16 is (y/ξ)^17 (Col−Kp)^17/(17 y^17), ξ
//! between 1 + Col and y: as long as 1 + Col ≥ y/2, which fails with probability e^{−Kp/8}, at most 2^17 E|Col−Kp|^17/(17
//! y^17), some 6e-18 at Kp = 2000, and less from there on.

/// The least Kp for which the series is used.
pub(super) const LEAST_MEAN: f64 = 2000.0;

/// The last moment.
const ORDER: usize = 16;

/// E ln(1+Col) for K = `negatives`, p = `probability` and 1−p = `others`; Kp ≥ [`LEAST_MEAN`].
pub(super) fn expected_ln1p(negatives: f64, probability: f64, others: f64) -> f64 {
    // Central moments of one draw, p q^j + q (−p)^j, and its cumulants: κ_n = μ_n − Σ_j binom(n−1, j−1) κ_j μ_{n−j}.
    let (mut one, mut cumulants) = ([0.0; ORDER + 1], [0.0; ORDER + 1]);
    // Those of Col, whose cumulants are K times as large.
    let mut moments = [0.0; ORDER + 1];
    (one[0], moments[0]) = (1.0, 1.0);
    let (mut own, mut other) = (probability * others, others * probability);
    for n in 2..=ORDER {
        (own, other) = (own * others, other * -probability);
        one[n] = own - other;
        let (mut products, mut sums, mut choose) = (0.0, 0.0, (n - 1) as f64);
        for j in 2..n - 1 {
            products += choose * cumulants[j] * one[n - j];
            sums += choose * negatives * cumulants[j] * moments[n - j];
            choose *= (n - j) as f64 / j as f64;
        }
        cumulants[n] = one[n] - products;
        moments[n] = sums + negatives * cumulants[n];
    }
    let y = 1.0 + negatives * probability;
    let mut series = 0.0;
    let mut power = y;
    for (j, moment) in moments.iter().enumerate().skip(2) {
        power *= y;
        let sign = if j % 2 == 0 { -1.0 } else { 1.0 };
        series += sign * moment / (j as f64 * power);
    }
    y.ln() + series
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collision::class_law::ClassLaw;
    use crate::{ClassPrior, NumNegatives, Sampling};

    #[test]
    fn the_series_is_the_sum_over_the_law() {
        for counts in [vec![1u64, 1], vec![1; 10], vec![9, 1], vec![999_999, 1]] {
            let prior = ClassPrior::from_counts(counts).unwrap();
            let group = &prior.groups()[0];
            for mean in [LEAST_MEAN, 3e4, 1e6, 1e10] {
                let k = NumNegatives::new((mean / group.probability).ceil() as u64).unwrap();
                let mut sum = 0.0;
                let law = ClassLaw::new(&prior, group, Sampling::WithReplacement, k);
                law.for_each(|m, p| sum += p * (m as f64).ln_1p());
                let found = expected_ln1p(k.get() as f64, group.probability, group.others);
                assert!((found / sum - 1.0).abs() < 2e-15, "{k} {}: {found} {sum}", group.probability);
            }
        }
    }
}
