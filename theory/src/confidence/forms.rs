//! Upper confidence limits of a mean of bounded, independent terms, proved in the page of the [module](super).

/// A mean of terms in \[0, 1\], and what else is known of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    /// The mean.
    pub mean: f64,
    /// M: terms that are independent of each other, in each of the passes that the mean averages.
    pub blocks: f64,
    /// Mean of the squared deviations of all terms from the mean.
    pub variance: Option<f64>,
    /// For L_Info, what one image can change.
    pub sensitivity: Option<Sensitivity>,
}

/// How a mean over batches depends on each of its images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sensitivity {
    /// Images of a pass: n ⌊N/n⌋.
    pub images: f64,
    /// D: the mean moves by at most D/images when one image is another, on the scale on which terms are in \[0, 1\].
    pub most: f64,
    /// What was subtracted from the loss before it was scaled, on the same scale.
    pub offset: f64,
    /// A loss that the choice between forms takes as typical, on the same scale.
    pub typical: f64,
}

impl Sample {
    /// A number that the expectation exceeds with probability at most `alpha`, whatever the law of the terms.
    pub fn upper(self, alpha: f64) -> f64 {
        // Half of alpha for the form that knows the variance, where it is known.
        let log = |share: f64| (share / alpha).ln();
        let (variance, others) = match self.variance {
            Some(variance) => (self.betting(variance, log(2.0)), log(2.0)),
            None => (1.0, log(1.0)),
        };
        let one = match self.sensitivity.map(|s| (s, s.best(self.blocks))) {
            None | Some((_, Form::Chernoff)) => self.chernoff(others),
            Some((s, Form::Differences)) => self.mean + s.most * (others / (2.0 * s.images)).sqrt(),
            Some((s, Form::SelfBounding)) => {
                let scaled = s.images * (self.mean + s.offset) / s.most;
                (others.sqrt() + (others + scaled).sqrt()).powi(2) * s.most / s.images - s.offset
            }
        };
        one.min(variance).clamp(self.mean, 1.0)
    }

    /// The largest θ with M kl(mean, θ) ≤ `log`.
    fn chernoff(self, log: f64) -> f64 {
        let fits = |theta: f64| self.blocks * relative_entropy(self.mean, theta) <= log;
        bisect(self.mean, 1.0, fits)
    }

    /// The smallest θ at which the bets reach e^`log`; 1 where none does.
    fn betting(self, variance: f64, log: f64) -> f64 {
        const GUESSES: i32 = 5;
        const STEPS: u32 = 256;
        let typical = (2.0 * log / self.blocks).sqrt();
        let bets: Vec<(f64, f64)> = (1..=GUESSES)
            .map(|guess| (typical * 2f64.powi(guess)).min(0.75))
            .map(|c| (c, -(-c).ln_1p() - c))
            .collect();
        let fits = |theta: f64| {
            let rest = 1.0 - theta;
            let (move_by, square) = (theta - self.mean, (theta - self.mean).powi(2) + variance);
            let gain = |&(c, curved): &(f64, f64)| {
                self.blocks * (c * move_by / rest - curved * square / (rest * rest))
            };
            let gains = bets.iter().map(gain);
            let largest = gains.clone().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = gains.map(|gain| (gain - largest).exp()).sum();
            // At θ = 1 nothing is won.
            let won = largest + (sum / f64::from(GUESSES)).ln();
            won.is_nan() || won < log
        };
        let at = |step: u32| self.mean + (1.0 - self.mean) * f64::from(step) / f64::from(STEPS);
        match (1..STEPS).find(|&step| !fits(at(step))) {
            Some(step) => bisect(at(step - 1), at(step), fits),
            None => 1.0,
        }
    }
}

/// The forms between which a rule chooses that does not look at the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Chernoff,
    Differences,
    SelfBounding,
}

impl Sensitivity {
    /// The form with the least leading term at the typical loss: squared deviations at one unit of ln(1/α)/images.
    fn best(self, blocks: f64) -> Form {
        let p = self.typical.clamp(0.0, 0.5);
        let forms = [
            (Form::Chernoff, 2.0 * p * (1.0 - p) * self.images / blocks),
            (Form::Differences, 0.5 * self.most * self.most),
            (Form::SelfBounding, 4.0 * (self.typical + self.offset) * self.most),
        ];
        forms.iter().fold(forms[0], |best, form| if form.1 < best.1 { *form } else { best }).0
    }
}

/// p ln(p/q) + (1−p) ln((1−p)/(1−q)).
fn relative_entropy(p: f64, q: f64) -> f64 {
    let term = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    term(p, q) + term(1.0 - p, 1.0 - q)
}

/// The end, on the side where `fits` fails, of the interval in which it begins to fail.
fn bisect(mut low: f64, mut high: f64, fits: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if fits(middle) { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    fn sample(mean: f64, blocks: f64, variance: Option<f64>) -> Sample {
        Sample { mean, blocks, variance, sensitivity: None }
    }

    #[test]
    fn by_hand() {
        // Nothing seen in 10: (1−θ)^10 = α.
        let found = sample(0.0, 10.0, None).upper(0.05);
        assert!((found - (1.0 - 0.05f64.powf(0.1))).abs() < 1e-14, "{found}");
        assert_eq!(sample(1.0, 10.0, Some(0.0)).upper(0.05), 1.0);
        let sensitivity = Sensitivity { images: 800.0, most: 4.0, offset: 0.0, typical: 0.5 };
        // 4²/2 = 8 equals 4·½·4: the first of them; √(ln 20/(2·800))·4.
        assert_eq!(sensitivity.best(10.0), Form::Differences);
        let given = Sample { sensitivity: Some(sensitivity), ..sample(0.25, 10.0, None) };
        assert!((given.upper(0.05) - (0.25 + 4.0 * (20f64.ln() / 1600.0).sqrt())).abs() < 1e-14);
        // A small typical loss: z − 2√(z L) = Z, z = 200 θ, Z = 200·0.25.
        let small = Sensitivity { typical: 0.1, ..sensitivity };
        let z = 200.0 * Sample { sensitivity: Some(small), ..given }.upper(0.05);
        assert!((z - 2.0 * (z * 20f64.ln()).sqrt() - 50.0).abs() < 1e-9);
    }

    #[test]
    fn a_small_variance_is_worth_much() {
        let wide = sample(0.3, 1000.0, None).upper(0.05) - 0.3;
        let narrow = sample(0.3, 1000.0, Some(1e-3)).upper(0.05) - 0.3;
        // Normal: 1.645 √(1e-3/1000) = 0.0016. Three of five bets have c = ¾: for the limit 0.3 + d, with
        // ln 40 − ln ⅗ to win, ¾·1000 d/0.7 = 4.20 + 0.636·1000 (10⁻³ + d²)/0.49, so that d = 0.0051.
        assert!((narrow - 0.0051).abs() < 1e-4 && wide > 0.03, "{narrow} {wide}");
        assert!(narrow > 1.645e-3);
    }

    #[test]
    fn covers_whatever_the_law() {
        // Bernoulli, uniform, and a rare large term, each with its mean; 20,000 samples of 30 terms.
        let laws: [(&dyn Fn(f64) -> f64, f64); 4] = [
            (&|u| f64::from(u < 0.3), 0.3),
            (&|u| u, 0.5),
            (&|u| if u < 0.02 { 1.0 } else { 0.05 }, 0.069),
            (&|u| 0.4 + 0.01 * u, 0.405),
        ];
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        for (place, (law, mean)) in laws.iter().enumerate() {
            let (mut held, total) = (0, 20_000);
            for _ in 0..total {
                let terms: Vec<f64> = (0..30).map(|_| law(rng.random())).collect();
                let found = terms.iter().sum::<f64>() / 30.0;
                let variance = terms.iter().map(|x| (x - found).powi(2)).sum::<f64>() / 30.0;
                held += u32::from(sample(found, 30.0, Some(variance)).upper(0.1) >= *mean);
            }
            // Error of the share: 0.0021.
            assert!(f64::from(held) / f64::from(total) > 0.9 - 0.008, "law {place}: {held}");
        }
    }
}
