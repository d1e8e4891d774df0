//! The law of one zero-truncated class count, and of sums of independent ones, from positive terms alone.
//!
//! Independent draws: P(X = k) ∝ aᵏ/k!, k ≥ 1 (Poisson). Without replacement: P(X = k) ∝ binom(M, k) oᵏ, 1 ≤ k ≤ M,
//! with the odds o = θ/(1−θ) (binomial). Both by the ratio of neighbours from the mode outwards. Sums by direct
//! convolution: every product is positive, so relative errors stay a few ulps a convolution, far out in the tails too.
//! What lies below 1e-45 of the largest term is dropped; all that a sum of 2²⁴ classes drops stays below 1e-30.

/// Dropped below this fraction of the largest term.
const NEGLIGIBLE: f64 = 1e-45;

/// P(X = `lowest` + i) = `mass[i]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Law {
    pub(super) lowest: u64,
    pub(super) mass: Vec<f64>,
}

/// How often one class is drawn, given that it is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ClassCount {
    /// Poisson(rate), at least 1.
    Poisson { rate: f64 },
    /// Binomial(items, θ), at least 1.
    Binomial { items: u64, theta: f64 },
}

impl ClassCount {
    /// P(k+1)/P(k).
    fn ratio(self, k: u64) -> f64 {
        match self {
            Self::Poisson { rate } => rate / (k + 1) as f64,
            Self::Binomial { items, theta } => {
                items.saturating_sub(k) as f64 / (k + 1) as f64 * (theta / (1.0 - theta))
            }
        }
    }

    /// ln of the probability that the untruncated count is not 0.
    pub(super) fn ln_seen(self) -> f64 {
        let ln_missed = match self {
            Self::Poisson { rate } => -rate,
            Self::Binomial { items, theta } => items as f64 * (-theta).ln_1p(),
        };
        if ln_missed < -std::f64::consts::LN_2 {
            (-ln_missed.exp()).ln_1p()
        } else {
            (-ln_missed.exp_m1()).ln()
        }
    }

    /// Mean of the untruncated count.
    fn untruncated_mean(self) -> f64 {
        match self {
            Self::Poisson { rate } => rate,
            Self::Binomial { items, theta } => items as f64 * theta,
        }
    }

    /// Mean of the truncated count.
    pub(super) fn mean(self) -> f64 {
        self.untruncated_mean() * (-self.ln_seen()).exp()
    }

    /// Variance of the truncated count.
    pub(super) fn variance(self) -> f64 {
        let (raw, mean) = (self.untruncated_mean(), self.mean());
        let spread = match self {
            Self::Poisson { .. } => raw,
            Self::Binomial { theta, .. } => raw * (1.0 - theta),
        };
        // E X² = (spread + raw²)/P(seen); the variance of a count that is nearly always 1 is rounding, never negative.
        ((spread + raw * raw) * (-self.ln_seen()).exp() - mean * mean).max(0.0)
    }

    pub(super) fn law(self) -> Law {
        let mode = (self.untruncated_mean() as u64).max(1);
        let (mut above, mut below) = (vec![1.0], Vec::new());
        let (mut term, mut k) = (1.0, mode);
        loop {
            term *= self.ratio(k);
            if term < NEGLIGIBLE {
                break;
            }
            above.push(term);
            k += 1;
        }
        term = 1.0;
        for k in (1..mode).rev() {
            term /= self.ratio(k);
            if term < NEGLIGIBLE {
                break;
            }
            below.push(term);
        }
        let lowest = mode - below.len() as u64;
        below.reverse();
        below.append(&mut above);
        let total: f64 = below.iter().sum();
        below.iter_mut().for_each(|p| *p /= total);
        Law { lowest, mass: below }
    }
}

impl Law {
    /// The law of X + Y for independent X and Y.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let (long, short) = if self.mass.len() >= other.mass.len() { (self, other) } else { (other, self) };
        let mut mass = vec![0.0; long.mass.len() + short.mass.len() - 1];
        for (shift, weight) in short.mass.iter().enumerate() {
            mass[shift..].iter_mut().zip(&long.mass).for_each(|(sum, p)| *sum += weight * p);
        }
        let floor = NEGLIGIBLE * mass.iter().fold(0.0, |x: f64, &y| x.max(y));
        let first = mass.iter().position(|&p| p >= floor).unwrap_or(0);
        let last = mass.iter().rposition(|&p| p >= floor).unwrap_or(0);
        let lowest = self.lowest + other.lowest + first as u64;
        mass.truncate(last + 1);
        mass.drain(..first);
        Self { lowest, mass }
    }

    /// The law of the sum of `times` ≥ 1 independent copies.
    pub(super) fn times(self, mut times: u64) -> Self {
        let (mut power, mut sum) = (self, None::<Self>);
        loop {
            if times % 2 == 1 {
                sum = Some(sum.map_or_else(|| power.clone(), |sum| sum.plus(&power)));
            }
            times /= 2;
            match sum {
                Some(sum) if times == 0 => return sum,
                _ => power = power.plus(&power),
            }
        }
    }

    /// The law of the sum of all, each pair of neighbours first.
    pub(super) fn sum(mut laws: Vec<Self>) -> Self {
        while laws.len() > 1 {
            laws = laws
                .chunks(2)
                .map(|pair| if let [x, y] = pair { x.plus(y) } else { pair[0].clone() })
                .collect();
        }
        laws.pop().unwrap_or(Self { lowest: 0, mass: vec![1.0] })
    }

    /// P(X = `value`).
    pub(super) fn at(&self, value: u64) -> f64 {
        let place = value.checked_sub(self.lowest).and_then(|i| usize::try_from(i).ok());
        place.and_then(|i| self.mass.get(i)).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_class_by_hand() {
        // Poisson(2) given ≥ 1: e⁻²2ᵏ/k!/(1−e⁻²).
        let (count, seen) = (ClassCount::Poisson { rate: 2.0 }, 1.0 - (-2.0f64).exp());
        let law = count.law();
        for (k, weight) in [(1, 2.0), (2, 2.0), (3, 8.0 / 6.0)] {
            assert!((law.at(k) - (-2.0f64).exp() * weight / seen).abs() < 1e-15);
        }
        assert!((count.ln_seen() - seen.ln()).abs() < 1e-15);
        // Binomial(2, 1/2) given ≥ 1: 2/3 and 1/3.
        let law = ClassCount::Binomial { items: 2, theta: 0.5 }.law();
        assert_eq!((law.lowest, law.mass.len()), (1, 2));
        assert!((law.at(1) - 2.0 / 3.0).abs() < 1e-15 && law.at(0) == 0.0 && law.at(3) == 0.0);
    }

    #[test]
    fn moments_of_the_law_are_those_of_the_formulas() {
        for count in [
            ClassCount::Poisson { rate: 1e-3 },
            ClassCount::Poisson { rate: 7.5 },
            ClassCount::Poisson { rate: 900.0 },
            ClassCount::Binomial { items: 1, theta: 0.3 },
            ClassCount::Binomial { items: 50, theta: 0.9 },
        ] {
            let law = count.law();
            let moment = |f: &dyn Fn(f64) -> f64| -> f64 {
                law.mass.iter().enumerate().map(|(i, p)| p * f((law.lowest + i as u64) as f64)).sum()
            };
            let mean = moment(&|k| k);
            assert!((mean / count.mean() - 1.0).abs() < 1e-13, "{count:?}");
            let variance = moment(&|k| (k - mean) * (k - mean));
            assert!((variance - count.variance()).abs() < 1e-9 * (1.0 + variance), "{count:?}");
        }
    }

    #[test]
    fn sums_of_equal_rates_are_stirling_numbers() {
        // m Poisson(a) given ≥ 1: P(Σ = n) = m! S(n, m) aⁿ / (n! (eᵃ−1)ᵐ). S(7, 3) = 301, S(9, 3) = 3025.
        let (a, m) = (1.3f64, 3);
        let law = ClassCount::Poisson { rate: a }.law().times(m);
        for (n, stirling) in [(3, 1.0), (7, 301.0), (9, 3025.0)] {
            let factorial: f64 = (1..=n).map(|i| i as f64).product();
            let expected = 6.0 * stirling * a.powi(n as i32) / factorial / a.exp_m1().powi(3);
            assert!((law.at(n) / expected - 1.0).abs() < 1e-14, "{n}");
        }
        let one = ClassCount::Poisson { rate: a }.law();
        let same = Law::sum(vec![one.clone(), one.clone(), one]);
        assert!(same.mass.iter().zip(&law.mass).all(|(x, y)| (x / y - 1.0).abs() < 1e-13));
    }
}
