//! The tilted counts of all classes: which are drawn, which are summed beforehand, and how much samples then scatter.
//!
//! Scatter. If R has the share f of the variance V of the whole sum, a sample is w = φ_{fV}(D) with D ~ N(0, (1−f)V)
//! for normal sums, so E w² / (E w)² = 1/√(f(2−f)) and the relative variance of one sample is ρ = 1/√(f(2−f)) − 1: 0.15
//! at f = ½. Where V is so large that the law of half the sum would be too long, f falls, and most samples have next to
//! no weight: S of them are worth S (E w)² / E w² = S √(f(2−f)).

use super::alias::AliasLabels;
use super::certain::population;
use super::point;
use super::sum_law::{ClassCount, Law};
use crate::prior::ClassPrior;
use crate::sampling::{NumDraws, Sampling};
use rand_xoshiro::rand_core::RngCore;

/// Variance of the computed sum above which fewer classes enter it: its law then has 30,000 terms, its convolutions
/// 10⁹.
const MAX_COMPUTED_VARIANCE: f64 = 1e6;

/// Largest predicted relative variance ρ/S of an estimate: where V is large, samples worth some 95 of one size.
const MAX_RELATIVE_VARIANCE: f64 = 0.01;

/// The tilted law of every group of classes, and ln(υ / P(Σ X = n)).
pub(super) struct Tilt {
    pub(super) counts: Vec<(ClassCount, u64)>,
    pub(super) ln_factor: f64,
}

impl Tilt {
    pub(super) fn new(prior: &ClassPrior, sampling: Sampling, num_draws: NumDraws) -> Self {
        let (population, draws) = (population(prior, sampling), num_draws.get());
        let at = |tilt: f64| -> Vec<(ClassCount, u64)> {
            let count = |g: &crate::prior::Group| match population {
                None => ClassCount::Poisson { rate: tilt * g.probability },
                Some(_) => ClassCount::Binomial { items: g.count.unwrap_or(1), theta: tilt },
            };
            prior.groups().iter().map(|g| (count(g), g.multiplicity)).collect()
        };
        let n = draws as f64;
        // λ < Σ E X_c < λ + C, so λ lies in (n−C, n); θ lies in (0, 1). The identity holds for every tilt: no need to
        // be exact.
        let (mut low, mut high) = match population {
            None => ((draws - prior.num_classes()) as f64, n),
            Some(_) => (0.0, 1.0),
        };
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            if high - low < 1e-12 * middle {
                break;
            }
            let mean: f64 = at(middle).iter().map(|(count, m)| *m as f64 * count.mean()).sum();
            if mean < n { low = middle } else { high = middle }
        }
        let tilt = 0.5 * (low + high);
        let counts = at(tilt);
        let seen: f64 = counts.iter().map(|(count, m)| *m as f64 * count.ln_seen()).sum();
        let point = match population {
            None => point::ln_poisson(n, tilt),
            Some(total) => point::ln_binomial(n, total as f64, tilt, 1.0 - tilt),
        };
        Self { counts, ln_factor: seen - point }
    }

    /// Terms of the laws of single classes.
    pub(super) fn terms(&self) -> f64 {
        self.counts.iter().map(|(count, _)| terms(count.variance())).sum()
    }

    /// Which classes are drawn: half of them, more where the computed sum would vary too much.
    pub(super) fn split(&self) -> Split {
        let variances = self.counts.iter().map(|(count, _)| count.variance());
        let variance: f64 = variances.clone().zip(&self.counts).map(|(v, (_, m))| *m as f64 * v).sum();
        let share = (MAX_COMPUTED_VARIANCE / variance).min(0.5);
        // The likeliest class, which varies most, is always among those computed.
        let computed_before = |classes: u64| (share * classes as f64).ceil() as u64;
        let mut before = 0;
        let classes = variances.zip(&self.counts).map(|(variance, &(_, multiplicity))| {
            let computed = computed_before(before + multiplicity) - computed_before(before);
            before += multiplicity;
            SplitGroup { computed, drawn: multiplicity - computed, variance }
        });
        Split(classes.collect())
    }
}

/// Terms of a law of this variance, which reaches 15 standard deviations to both sides.
fn terms(variance: f64) -> f64 {
    30.0 * variance.sqrt() + 30.0
}

/// How many classes of each group are drawn, and how many computed.
pub(super) struct Split(Vec<SplitGroup>);

struct SplitGroup {
    computed: u64,
    drawn: u64,
    /// Variance of one class.
    variance: f64,
}

impl Split {
    pub(super) fn drawn_classes(&self) -> u64 {
        self.0.iter().map(|group| group.drawn).sum()
    }

    /// Var R.
    fn computed_variance(&self) -> f64 {
        self.0.iter().map(|group| group.computed as f64 * group.variance).sum()
    }

    /// Products in the convolutions that give the law of R, in the order of `Law::times` and `Law::sum`.
    pub(super) fn products(&self) -> f64 {
        let computed = self.0.iter().filter(|group| group.computed > 0);
        let mut variances: Vec<f64> = computed.clone().map(|g| g.computed as f64 * g.variance).collect();
        // Squares of laws of 1, 2, 4, … classes, and as much again where the number of classes is no power of 2.
        let several = computed.zip(&variances).filter(|(group, _)| group.computed > 1);
        let mut products: f64 = several.map(|(_, &variance)| terms(variance).powi(2)).sum();
        variances.sort_by(f64::total_cmp);
        while variances.len() > 1 {
            products += variances.chunks_exact(2).map(|pair| terms(pair[0]) * terms(pair[1])).sum::<f64>();
            variances = variances.chunks(2).map(|pair| pair.iter().sum()).collect();
        }
        products
    }

    /// ρ = 1/√(f(2−f)) − 1.
    fn relative_variance(&self) -> f64 {
        let drawn: f64 = self.0.iter().map(|group| group.drawn as f64 * group.variance).sum();
        let computed = self.computed_variance();
        // Counts that do not vary leave nothing to chance.
        if drawn <= 0.0 {
            return 0.0;
        }
        let f = computed / (computed + drawn);
        1.0 / (f * (2.0 - f)).sqrt() - 1.0
    }

    /// The smallest number of samples with an interval.
    pub(super) fn needed_samples(&self) -> f64 {
        (self.relative_variance() / MAX_RELATIVE_VARIANCE).ceil().max(1.0)
    }
}

/// Σ X_c = n, part of the classes drawn and the rest integrated out.
pub(super) struct TiltedSum {
    /// Per group: the law of X − `lowest`, and how many classes are drawn from it.
    drawn: Vec<(AliasLabels, u64)>,
    /// n less the smallest values that the drawn classes can have.
    target: u64,
    pub(super) rest: Law,
}

impl TiltedSum {
    pub(super) fn new(tilt: &Tilt, num_draws: NumDraws) -> Self {
        let split = tilt.split();
        let (mut drawn, mut laws, mut target) = (Vec::new(), Vec::new(), num_draws.get());
        for (&(count, _), group) in tilt.counts.iter().zip(&split.0) {
            let law = count.law();
            if group.drawn > 0 {
                drawn.push((AliasLabels::from_probabilities(&law.mass), group.drawn));
                target = target.saturating_sub(group.drawn * law.lowest);
            }
            if group.computed > 0 {
                laws.push(law.times(group.computed));
            }
        }
        laws.sort_by_key(|law| law.mass.len());
        Self { drawn, target, rest: Law::sum(laws) }
    }

    /// P(R = n − S) for freshly drawn S.
    pub(super) fn weight(&self, rng: &mut impl RngCore) -> f64 {
        let mut sum = 0;
        for (law, classes) in &self.drawn {
            law.for_each(rng, *classes, |above_lowest| sum += above_lowest as u64);
        }
        self.target.checked_sub(sum).map_or(0.0, |value| self.rest.at(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predicted_scatter_is_that_of_the_laws() {
        // E w² and E w of w = P(R = n − S), summed over the law of S, against 1/√(f(2−f)) − 1 for 100 classes of
        // rate 400.
        let class = ClassCount::Poisson { rate: 400.0 };
        for computed in [50, 20, 10, 1] {
            let (s, r) = (class.law().times(100 - computed), class.law().times(computed));
            let weights = s
                .mass
                .iter()
                .enumerate()
                .map(|(i, p)| (p, 40_000u64.checked_sub(s.lowest + i as u64).map_or(0.0, |k| r.at(k))));
            let (mean, square) = weights.fold((0.0, 0.0), |(m, q), (p, w)| (m + p * w, q + p * w * w));
            let split =
                Split(vec![SplitGroup { computed, drawn: 100 - computed, variance: class.variance() }]);
            let (found, exact) = (split.relative_variance(), square / (mean * mean) - 1.0);
            assert!((found / exact - 1.0).abs() < 2e-3, "{computed} computed: {found} against {exact}");
        }
        // f = 1/2: 2/√3 − 1. Nothing drawn: no scatter.
        let half = Split(vec![SplitGroup { computed: 1, drawn: 1, variance: 2.0 }]);
        assert!((half.relative_variance() - (2.0 / 3f64.sqrt() - 1.0)).abs() < 1e-15);
        assert_eq!(half.needed_samples(), 16.0);
        let none = Split(vec![SplitGroup { computed: 1, drawn: 3, variance: 0.0 }]);
        assert_eq!((none.relative_variance(), none.needed_samples()), (0.0, 1.0));
    }

    #[test]
    fn products_are_those_of_the_convolutions() {
        // Poisson(10⁴) has standard deviation 100: 3030 terms. Three classes: a square, and a sum with the third.
        let group = |computed| SplitGroup { computed, drawn: 1, variance: 1e4 };
        assert_eq!(Split(vec![group(1)]).products(), 0.0);
        assert_eq!(Split(vec![group(1), group(1)]).products(), 3030.0 * 3030.0);
        let of_four = Split(vec![group(4)]).products();
        let exact = 3030f64.powi(2) + terms(2e4).powi(2);
        assert!((0.5..2.0).contains(&(of_four / exact)), "{of_four} against {exact}");
    }
}
