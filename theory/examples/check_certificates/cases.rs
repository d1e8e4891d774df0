//! Random coverage questions with their exact answers, by inclusion and exclusion over sums of class weights in
//! integers.
//!
//! υ = Σ_s a_s f(M−s)/f(M) over the sums s of missing classes, with ∏_c (1 − x^{w_c}) = Σ_s a_s x^s and f(x) = xⁿ, or
//! binom(x, n) without replacement. The alternating sum is exact, so it cannot lose digits; distinct sums are few.

use num_bigint::{BigInt, BigUint, Sign};
use num_traits::{One, Signed, ToPrimitive, Zero};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use theory::{ClassPrior, NumDraws, Probability, Sampling, coverage};

/// What was asked of the library.
pub struct Case {
    pub weights: Vec<u64>,
    pub kind: Kind,
    pub sampling: Sampling,
    pub draws: u64,
    /// The group of the anchor's class, where the question is υ^{(−c)}.
    pub anchor: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Uniform,
    Counts,
    Weights,
}

/// One side of one case: exact size, error found, bound given.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub log10: f64,
    pub error: f64,
    pub bound: f64,
    pub complement: bool,
}

/// Multiplications of machine words that one exact answer may take.
const MAX_WORK: f64 = 2e7;

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut weights = self.weights.clone();
        weights.sort_unstable();
        let groups: Vec<String> =
            weights.chunk_by(|x, y| x == y).map(|g| format!("{}x{}", g.len(), g[0])).collect();
        let Self { kind, sampling, draws, anchor, .. } = self;
        write!(f, "{kind:?} {} {sampling} n={draws} anchor {anchor:?}", groups.join(" "))
    }
}

impl Case {
    /// The case of this seed.
    pub fn random(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        loop {
            let case = Self::draw(&mut rng);
            let possible = case.draws >= 1
                && (case.sampling == Sampling::WithReplacement
                    || case.draws <= case.weights.iter().sum::<u64>());
            if possible && case.work() < MAX_WORK {
                return case;
            }
        }
    }

    fn draw(rng: &mut ChaCha8Rng) -> Self {
        let log_uniform =
            |rng: &mut ChaCha8Rng, low: f64, high: f64| rng.random_range(low.ln()..high.ln()).exp();
        let kind = [Kind::Uniform, Kind::Counts, Kind::Counts, Kind::Weights][rng.random_range(0..4)];
        let sampling = if kind == Kind::Counts && rng.random_bool(0.6) {
            Sampling::WithoutReplacement
        } else {
            Sampling::WithReplacement
        };
        let mut weights = Vec::new();
        if kind == Kind::Uniform {
            let most = if rng.random_bool(0.2) { 1200.0 } else { 200.0 };
            weights = vec![1; log_uniform(rng, 2.0, most) as usize];
        } else {
            let largest = [3.0, 50.0, 50.0, 3000.0, 1e6, if kind == Kind::Weights { 1e3 } else { 1e12 }]
                [rng.random_range(0..6)];
            for _ in 0..rng.random_range(1..8) {
                let multiplicity = log_uniform(rng, 1.0, 60.0) as usize;
                let weight = log_uniform(rng, 1.0, largest + 1.0) as u64;
                weights.extend(vec![weight; multiplicity]);
            }
        }
        let (classes, total) = (weights.len() as f64, weights.iter().sum::<u64>() as f64);
        let smallest = weights.iter().min().copied().unwrap_or(1) as f64;
        let draws = match (sampling, rng.random_range(0..4)) {
            // Few more draws than classes; a deep complement; everything between.
            (_, 0) => classes + log_uniform(rng, 1.0, classes + 2.0) - 1.0,
            (Sampling::WithReplacement, 1) => {
                total / smallest * (classes.ln() + rng.random_range(0.0..930.0))
            }
            (Sampling::WithoutReplacement, 1) => total - log_uniform(rng, 1.0, smallest * 20.0 + 1.0) + 1.0,
            (Sampling::WithReplacement, _) => classes * log_uniform(rng, 1.0, 30.0),
            (Sampling::WithoutReplacement, _) => log_uniform(rng, classes, total + 1.0),
        };
        let mut distinct = weights.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let anchor = rng.random_bool(0.25).then(|| rng.random_range(0..distinct.len()));
        Self { weights, kind, sampling, draws: draws as u64, anchor }
    }

    fn work(&self) -> f64 {
        let (n, total) = (self.draws as f64, self.weights.iter().sum::<u64>() as f64);
        if n > 4e4 {
            return f64::INFINITY;
        }
        let Some(coefficients) = self.coefficients() else {
            return f64::INFINITY;
        };
        let sums = coefficients.len() as f64;
        let words = 1.0 + n * total.log2() / 64.0;
        sums * match self.sampling {
            Sampling::WithReplacement => words.powf(1.6) * 2.0 + 50.0,
            Sampling::WithoutReplacement => n * words * 2.0 + 50.0,
        }
    }

    /// a_s of the required classes, unless there are too many.
    fn coefficients(&self) -> Option<BTreeMap<u64, BigInt>> {
        let mut weights = self.weights.clone();
        weights.sort_unstable_by(|x, y| y.cmp(x));
        if let Some(anchor) = self.anchor {
            let place = weights.chunk_by(|x, y| x == y).take(anchor).map(<[u64]>::len).sum::<usize>();
            weights.remove(place);
        }
        let mut sums = BTreeMap::from([(0, BigInt::one())]);
        for group in weights.chunk_by(|x, y| x == y) {
            let mut next = BTreeMap::new();
            let mut binomial = BigInt::one();
            for j in 0..=group.len() as u64 {
                for (s, a) in &sums {
                    let entry = next.entry(s + j * group[0]).or_insert_with(BigInt::zero);
                    if j % 2 == 0 { *entry += a * &binomial } else { *entry -= a * &binomial }
                }
                binomial = binomial * (group.len() as u64 - j) / (j + 1);
            }
            sums = next;
            if sums.len() > 20_000 {
                return None;
            }
        }
        Some(sums)
    }

    /// (numerator of υ, numerator of 1−υ, denominator).
    fn exact(&self) -> (BigInt, BigInt, BigInt) {
        let mut total: u64 = self.weights.iter().sum();
        let draws = self.draws - u64::from(self.anchor.is_some());
        if self.anchor.is_some() && self.sampling == Sampling::WithoutReplacement {
            total -= 1;
        }
        let ways = |items: u64| -> BigInt {
            match self.sampling {
                Sampling::WithReplacement => BigInt::from(BigUint::from(items).pow(draws as u32)),
                Sampling::WithoutReplacement if draws > items => BigInt::zero(),
                Sampling::WithoutReplacement => {
                    let small = draws.min(items - draws);
                    BigInt::from((1..=small).fold(BigUint::one(), |b, i| b * (items - i + 1) / i))
                }
            }
        };
        let missing: BigInt = self
            .coefficients()
            .unwrap_or_default()
            .iter()
            .filter(|(s, _)| **s > 0)
            .map(|(s, a)| -(a * ways(total - s)))
            .sum();
        let all = ways(total);
        (&all - &missing, missing, all)
    }

    fn prior(&self) -> theory::Result<ClassPrior> {
        match self.kind {
            Kind::Uniform => ClassPrior::uniform(self.weights.len() as u64),
            Kind::Counts => ClassPrior::from_counts(self.weights.clone()),
            Kind::Weights => ClassPrior::from_weights(self.weights.iter().map(|&w| w as f64).collect()),
        }
    }

    /// Both sides against the exact value.
    pub fn check(&self) -> theory::Result<[Outcome; 2]> {
        let (prior, draws) = (self.prior()?, NumDraws::new(self.draws)?);
        let found = match self.anchor {
            None => coverage::probability(&prior, self.sampling, draws)?,
            Some(group) => coverage::given_anchor(&prior, self.sampling, draws)?[group],
        };
        let (covered, missing, all) = self.exact();
        Ok([compare(found, &covered, &all, false), compare(found.opposite(), &missing, &all, true)])
    }
}

/// |p̂ − p|/p in integers, rounded once.
fn compare(found: Probability, top: &BigInt, bottom: &BigInt, complement: bool) -> Outcome {
    let bound = found.relative_error_bound();
    let (mantissa, exponent) = found.mantissa_exponent();
    if top.is_zero() {
        // An impossible event must be exactly 0.
        let error = if mantissa == 0.0 { 0.0 } else { f64::INFINITY };
        return Outcome { log10: f64::NEG_INFINITY, error, bound, complement };
    }
    let log10 = (top.bits() as f64 - bottom.bits() as f64) * std::f64::consts::LOG10_2;
    // p̂ as a fraction: the float itself, or mantissa · 10^exponent below its range.
    let value = found.value();
    let (float, power) = if value > 1e-290 { (value, 0) } else { (mantissa, exponent) };
    let bits = float.to_bits();
    let (significand, shift) = ((bits & ((1 << 52) - 1)) | 1 << 52, (bits >> 52) as i64 - 1075);
    let ten = BigInt::from(10u32).pow(power.unsigned_abs() as u32);
    let (mut ours, mut truth) = (BigInt::from(significand) * bottom, top.clone());
    if shift >= 0 {
        ours <<= shift as u64
    } else {
        truth <<= shift.unsigned_abs()
    }
    if power >= 0 {
        ours *= ten
    } else {
        truth *= ten
    }
    let difference = (ours - &truth).abs();
    // The decimal mantissa is rounded on top of the bound.
    let bound = bound + if power == 0 { 0.0 } else { 2.0 * f64::EPSILON };
    Outcome { log10, error: ratio(&difference, &truth), bound, complement }
}

fn ratio(top: &BigInt, bottom: &BigInt) -> f64 {
    debug_assert!(bottom.sign() == Sign::Plus);
    let shift = 80 + bottom.bits().saturating_sub(top.bits());
    ((top << shift) / bottom).to_f64().unwrap_or(f64::INFINITY) * (-(shift as f64)).exp2()
}
