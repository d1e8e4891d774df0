//! E over batches of the logarithms that the bounds average, given the anchor: exact for draws without replacement.
//!
//! An anchor of class a meets K of the other M−1 samples, m_c of them of class c. With weights w_c = e^{z·(μ_c −
//! μ_a)/t}, w_a = 1, let S = Σ_c m_c w_c (that is Col + A) and S′ = Σ_{c≠a} 1{m_c > 0} w_c. From ln(1+S) = ∫_0^∞ e^{−s}
//! (1 − e^{−sS})/s ds,
//!
//! E ln(1+S) = ∫ e^{−s} (1 − φ(s))/s ds, φ(s) = E e^{−sS} = \[z^K\] ∏_c (1 + z e^{−s w_c})^{M_c − 1{c=a}} / binom(M−1,
//! K),
//!
//! E e^{−sS′} = \[z^K\] (1+z)^{M_a−1} ∏_{c≠a} (1 + ((1+z)^{M_c} − 1) e^{−s w_c}) / binom(M−1, K), and without its first
//! factor the same with 1{Col = 0}.
//!
//! Coefficients are trapezoid sums over the circle |z| = K/(M−1−K), where binom(M−1, K) z^K is largest: with p =
//! K/(M−1) every factor is one of numbers at most 1 in size, (1−p + p e^{iθ})^{M_c} among them, which no s changes.
//! Aliasing is a binomial tail (Bernstein) below 1e-18. Since |1 + a z| ≤ max(1, |1 + z|) for a in \[0, 1\], nodes that
//! do not matter at s = 0 do so at no s: some 12 remain. Against e^{−sm}, m = E S, whose integral is ln(1+m), the
//! integrand in u = ln s is analytic for |Im u| < π/2 and vanishes at both ends, so that the trapezoid of step 0.28
//! errs by e^{−π²/0.28} = 5e-16.
//!
//! Of many classes of one size the logarithms of both products are sums over w_c of functions of s w_c alone, which
//! [`LogTable`] gives for all s.
//!
//! Source: the integral is classical; its use here is derived from the definition. Accuracy: absolute error below
//! 1e-13 + 1e-14·M (rounding of powers M_c), against enumeration and recurrences; measured 8e-12 at M = 10,000.

use super::log_table::{LogTable, Spread};
use crate::complex::Complex;
use crate::coverage::ln_none_of;
use crate::error::{Error, Result};
use crate::sampling::NumNegatives;
use std::f64::consts::TAU;

/// Step of the trapezoid in u = ln s.
const STEP: f64 = 0.28;
/// e^{−s} is below 1e-17 from here on.
const LARGEST_S: f64 = 40.0;
/// Classes from which on a table is made.
const LEAST_TABLED: usize = 64;
/// Size of what is left out.
const NEGLIGIBLE: f64 = 1e-17;

/// The law of the class counts of a batch: K of the other M−1 samples of a finite population, beside the anchor.
///
/// # Examples
/// ```
/// use theory::{NumNegatives, collision::BatchLaw};
/// // Two samples a class and one negative: it is of the anchor's class with probability 1/3.
/// let law = BatchLaw::new(&[2, 2], NumNegatives::new(1)?)?;
/// let logs = law.given(0)?.expected_logs(&[1.0, 3.0])?;
/// let (same, other) = (2f64.ln() / 3.0, 4f64.ln() * 2.0 / 3.0);
/// assert!((logs.all - (same + other)).abs() < 1e-13 && (logs.shown - other).abs() < 1e-13);
/// # Ok::<(), theory::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BatchLaw {
    counts: Vec<u64>,
    negatives: u64,
    /// p = K/(M−1).
    share: f64,
    /// Weight of each node times e^{−iKθ}, over binom(M−1, K) in the same scale.
    phases: Vec<Complex>,
    /// e^{iθ} of each node.
    circle: Vec<Complex>,
    /// (1−p + p e^{iθ})^{M_c} \[C, nodes\].
    powers: Vec<Complex>,
    /// (1−p)^{M_c}.
    missing_powers: Vec<f64>,
    /// P(class c is not among K of M−1 samples that hold all M_c of it).
    missing: Vec<f64>,
    /// Distinct counts as anchors' classes, in rising order, and the place of each class among them.
    anchors: Vec<Anchor>,
    anchor_of: Vec<usize>,
    /// Classes in the order of their counts.
    by_count: Vec<usize>,
    /// Logarithms of the factors of both products, where all classes are of one size.
    table: Option<LogTable>,
}

/// What depends on the count M_a of the anchor's class.
#[derive(Debug, Clone)]
struct Anchor {
    /// P(Col = 0).
    alone: f64,
    /// P(a class is not drawn | Col = 0), for each distinct count.
    missing_alone: Vec<f64>,
    /// (1−p + p e^{iθ})^{M_a−1}.
    own: Vec<Complex>,
    /// (1−p)^{M_a−1}.
    own_missing: f64,
}

/// E of logarithms over batches, in nats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpectedLogs {
    /// E ln(1 + Σ_c m_c w_c) = E ln(1 + Col + A).
    pub all: f64,
    /// E ln(1 + Σ_{c≠a} 1{m_c > 0} w_c): the loss over the classes that the batch shows.
    pub shown: f64,
    /// E 1{Col = 0} ln(1 + Σ_{c≠a} 1{m_c > 0} w_c).
    pub alone: f64,
}

/// A [`BatchLaw`] given the anchor's class.
#[derive(Debug, Clone, Copy)]
pub struct AnchorLaw<'a> {
    law: &'a BatchLaw,
    class: usize,
    anchor: &'a Anchor,
}

/// ∏ over classes, one number a node.
fn multiply(product: &mut [Complex], factors: impl Iterator<Item = Complex>) {
    for (p, f) in product.iter_mut().zip(factors) {
        *p = p.times(f);
    }
}

impl BatchLaw {
    /// The law of batches of 1 + `num_negatives` samples of a population with these counts.
    ///
    /// Cost: some 12 powers for each class.
    ///
    /// # Errors
    /// A class without sample; K above M − 1.
    pub fn new(counts: &[u64], num_negatives: NumNegatives) -> Result<Self> {
        let prior = crate::prior::ClassPrior::from_counts(counts.to_vec())?;
        crate::sampling::Sampling::WithoutReplacement.check(&prior, num_negatives.draws())?;
        let (others, negatives) = (counts.iter().sum::<u64>() - 1, num_negatives.get());
        let share = if others == 0 { 0.0 } else { negatives as f64 / others as f64 };
        let rest = if others == 0 { 1.0 } else { (others - negatives) as f64 / others as f64 };
        let variance = others as f64 * share * rest;
        // P(|N − K| ≥ T) ≤ 2 exp(−T²/(2 (variance + T/3))), beside P(N = K) of about 0.4/σ.
        let depth = 43.0 + (1.0 + variance.sqrt()).ln();
        let enough = depth / 3.0 + (depth * depth / 9.0 + 2.0 * depth * variance).sqrt();
        let points = 2 * (0.5 * enough.min(others as f64)).ceil() as u64 + 1;
        let (mut phases, mut circle) = (Vec::new(), Vec::new());
        let mut norm = 0.0;
        for node in 0..=points / 2 {
            let angle = TAU * node as f64 / points as f64;
            let e = Complex { re: angle.cos(), im: angle.sin() };
            let factor = Complex { re: rest + share * e.re, im: share * e.im };
            let size = rest.max(factor.re.hypot(factor.im));
            if size.powf(others as f64) < NEGLIGIBLE / points as f64 {
                continue;
            }
            let turned = (u128::from(negatives) * u128::from(node) % u128::from(points)) as f64;
            let turn = TAU * turned / points as f64;
            let weight = if node == 0 { 1.0 } else { 2.0 };
            let phase = Complex { re: weight * turn.cos(), im: -weight * turn.sin() };
            norm += factor.power(others).times(phase).re;
            phases.push(phase);
            circle.push(e);
        }
        phases.iter_mut().for_each(|p| *p = Complex { re: p.re / norm, im: p.im / norm });
        let factor = |e: &Complex| Complex { re: rest + share * e.re, im: share * e.im };
        let powers: Vec<Complex> =
            counts.iter().flat_map(|&m| circle.iter().map(move |e| factor(e).power(m))).collect();
        let missing_powers: Vec<f64> = counts.iter().map(|&m| rest.powf(m as f64)).collect();
        let missing =
            |&own: &u64| if own > others { 0.0 } else { ln_none_of(others, own, negatives).0.exp() };
        let mut by_count: Vec<usize> = (0..counts.len()).collect();
        by_count.sort_by_key(|&c| counts[c]);
        let mut distinct: Vec<u64> = counts.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let anchor = |&own: &u64| {
            let left = others + 1 - own;
            let none = |m: u64| if m > left { 0.0 } else { ln_none_of(left, m, negatives).0.exp() };
            let possible = negatives <= left;
            Anchor {
                alone: if possible { ln_none_of(others, own - 1, negatives).0.exp() } else { 0.0 },
                missing_alone: distinct.iter().map(|&m| if possible { none(m) } else { 1.0 }).collect(),
                own: circle.iter().map(|e| factor(e).power(own - 1)).collect(),
                own_missing: rest.powf((own - 1) as f64),
            }
        };
        let table = match distinct[..] {
            [size] if counts.len() >= LEAST_TABLED => {
                let missing = missing_powers[0];
                let shown = powers[..circle.len()].iter();
                let shown = shown.map(|u| (1.0, missing, Complex { re: u.re - missing, im: u.im }));
                let all = circle.iter().map(|e| Complex { re: share * e.re, im: share * e.im });
                let functions: Vec<_> = shown.chain(all.map(|slope| (size as f64, rest, slope))).collect();
                LogTable::new(&functions, STEP)
            }
            _ => None,
        };
        Ok(Self {
            table,
            negatives,
            share,
            powers,
            missing_powers,
            missing: counts.iter().map(missing).collect(),
            anchors: distinct.iter().map(anchor).collect(),
            anchor_of: counts.iter().map(|m| distinct.partition_point(|d| d < m)).collect(),
            by_count,
            counts: counts.to_vec(),
            phases,
            circle,
        })
    }

    /// The law given the anchor's class.
    ///
    /// # Errors
    /// No such class.
    pub fn given(&self, class: usize) -> Result<AnchorLaw<'_>> {
        match self.anchor_of.get(class) {
            Some(&place) => Ok(AnchorLaw { law: self, class, anchor: &self.anchors[place] }),
            None => Err(Error::argument(format!("there is no class {class} among {}", self.counts.len()))),
        }
    }
}

impl AnchorLaw<'_> {
    /// P(Col = 0).
    pub fn alone(&self) -> f64 {
        self.anchor.alone
    }

    /// ln(1 + E S), ln(1 + E S′) and P(Col = 0) ln(1 + E\[S′ | Col = 0\]): by Jensen's inequality never below
    /// [`expected_logs`](Self::expected_logs), and near them where S varies little. Cost: three products a class.
    ///
    /// # Errors
    /// As for `expected_logs`.
    pub fn logs_of_means(&self, weights: &[f64]) -> Result<ExpectedLogs> {
        self.check(weights)?;
        let [all, shown, alone] = self.means(weights).map(f64::ln_1p);
        Ok(ExpectedLogs { all, shown, alone: self.anchor.alone * alone })
    }

    fn check(&self, weights: &[f64]) -> Result<()> {
        let classes = self.law.counts.len();
        if weights.len() != classes {
            return Err(Error::argument(format!("{} weights for {classes} classes", weights.len())));
        }
        match weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
            Some(c) => {
                let weight = weights[c];
                Err(Error::argument(format!(
                    "the weight {weight} of class {c} is not a number of at least 0"
                )))
            }
            None => Ok(()),
        }
    }

    /// E S, E S′, E\[S′ | Col = 0\].
    fn means(&self, weights: &[f64]) -> [f64; 3] {
        let law = self.law;
        let mut sums = [(law.counts[self.class] - 1) as f64, 0.0, 0.0];
        for (c, w) in weights.iter().enumerate().filter(|(c, _)| *c != self.class) {
            sums[0] += w * law.counts[c] as f64;
            sums[1] += w * (1.0 - law.missing[c]);
            sums[2] += w * (1.0 - self.anchor.missing_alone[law.anchor_of[c]]);
        }
        [law.share * sums[0], sums[1], sums[2]]
    }

    /// The expectations for these weights w_c ≥ 0, one a class; the weight of the anchor's own class counts as 1.
    ///
    /// Cost: some 80 × 12 complex products a class; of many classes of one size some 80 × 12 × 4 products for each of
    /// the points that the logarithms of the weights cover, some 20 a unit, however many classes there are.
    ///
    /// # Errors
    /// Another number of weights than classes; a weight that is negative or not finite.
    pub fn expected_logs(&self, weights: &[f64]) -> Result<ExpectedLogs> {
        let law = self.law;
        self.check(weights)?;
        if law.negatives == 0 {
            return Ok(ExpectedLogs { all: 0.0, shown: 0.0, alone: 0.0 });
        }
        let means = self.means(weights);
        let parts = [1.0, 1.0, self.anchor.alone];
        // Near s = 0 the integrand is s²/2 times a variance of at most K max w².
        let others = weights.iter().enumerate().filter(|(c, _)| *c != self.class);
        let largest = others.clone().map(|(_, w)| *w).fold(1.0, f64::max);
        let first = 0.5 * (NEGLIGIBLE.ln() - (law.negatives as f64).ln()) - largest.ln();
        let mut sums = [0.0; 3];
        let mut buffers = Buffers::new(law);
        // An exponential of a sum costs as much as some factors.
        let most = (2 * weights.len()).saturating_sub(40);
        let spread = law.table.as_ref().and_then(|table| {
            let spread: Spread = table.spread(others.map(|(_, w)| *w), most)?;
            Some((table, spread))
        });
        for step in (first / STEP).floor() as i64..=(LARGEST_S.ln() / STEP).ceil() as i64 {
            let s = (step as f64 * STEP).exp();
            let transforms = match &spread {
                Some((table, spread)) => {
                    table.sums(spread, step, &mut buffers.logs);
                    self.transforms_of_logs(&buffers.logs, (-s).exp())
                }
                None => {
                    buffers.decays.clear();
                    buffers.decays.extend(weights.iter().map(|w| (-s * w).exp()));
                    self.transforms(&mut buffers, (-s).exp())
                }
            };
            let mut left = 0.0f64;
            for i in 0..3 {
                let reference = parts[i] * (-s * means[i]).exp();
                sums[i] += (-s).exp() * (transforms[i] - reference);
                left = left.max(transforms[i].abs()).max(reference);
            }
            if left < NEGLIGIBLE {
                break;
            }
        }
        let log = |i: usize| (parts[i] * means[i].ln_1p() - STEP * sums[i]).max(0.0);
        Ok(ExpectedLogs { all: log(0), shown: log(1), alone: log(2) })
    }

    /// E e^{−sS}, E e^{−sS′}, E 1{Col = 0} e^{−sS′}, from e^{−s w_c} and e^{−s}.
    fn transforms(&self, buffers: &mut Buffers, own_decay: f64) -> [f64; 3] {
        let law = self.law;
        let nodes = law.circle.len();
        let Buffers { decays, product, part, .. } = buffers;
        let coefficient = |product: &[Complex], last: &mut dyn FnMut(usize) -> Complex| {
            let terms = product.iter().zip(&law.phases).enumerate();
            terms.map(|(j, (p, phase))| p.times(last(j)).times(*phase).re).sum::<f64>()
        };
        product.fill(Complex::ONE);
        for (c, (&decay, &missing)) in decays.iter().zip(&law.missing_powers).enumerate() {
            if c != self.class {
                let constant = missing * (1.0 - decay);
                let powers = &law.powers[c * nodes..(c + 1) * nodes];
                multiply(
                    product,
                    powers.iter().map(|u| Complex { re: constant + decay * u.re, im: decay * u.im }),
                );
            }
        }
        let shown = coefficient(product, &mut |j| self.anchor.own[j]);
        let alone = self.anchor.own_missing * coefficient(product, &mut |_| Complex::ONE);
        product.fill(Complex::ONE);
        let rest = 1.0 - law.share;
        let factor = |e: &Complex, decay: f64| {
            let scaled = law.share * decay;
            Complex { re: rest + scaled * e.re, im: scaled * e.im }
        };
        for run in law.by_count.chunk_by(|&x, &y| law.counts[x] == law.counts[y]) {
            part.fill(Complex::ONE);
            for &c in run.iter().filter(|&&c| c != self.class) {
                multiply(part, law.circle.iter().map(|e| factor(e, decays[c])));
            }
            multiply(product, part.iter().map(|f| f.power(law.counts[run[0]])));
        }
        let own = law.counts[self.class] - 1;
        let all = coefficient(product, &mut |j| factor(&law.circle[j], own_decay).power(own));
        [all, shown, alone]
    }

    /// [`transforms`](Self::transforms) from the logarithms of both products over the other classes, at each node.
    fn transforms_of_logs(&self, logs: &[f64], own_decay: f64) -> [f64; 3] {
        let law = self.law;
        let own = law.counts[self.class] - 1;
        let (shown_logs, all_logs) = logs.split_at(2 * law.circle.len());
        let exp = |log: &[f64]| Complex::exp(log[0], log[1]);
        let products = shown_logs.chunks_exact(2).map(exp).zip(all_logs.chunks_exact(2).map(exp));
        let mut sums = [0.0; 3];
        for (j, (shown, all)) in products.enumerate() {
            let (phase, e) = (law.phases[j], law.circle[j]);
            let scaled = law.share * own_decay;
            let factor = Complex { re: 1.0 - law.share + scaled * e.re, im: scaled * e.im };
            let shown = shown.times(phase);
            sums[0] += all.times(factor.power(own)).times(phase).re;
            sums[1] += shown.times(self.anchor.own[j]).re;
            sums[2] += self.anchor.own_missing * shown.re;
        }
        sums
    }
}

/// Work space of the transforms.
struct Buffers {
    decays: Vec<f64>,
    product: Vec<Complex>,
    part: Vec<Complex>,
    logs: Vec<f64>,
}

impl Buffers {
    fn new(law: &BatchLaw) -> Self {
        let ones = vec![Complex::ONE; law.circle.len()];
        Self {
            decays: Vec::with_capacity(law.counts.len()),
            product: ones.clone(),
            part: ones,
            logs: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table gives what the products over the classes give, for K from few to many and weights near and far.
    #[test]
    fn many_classes_of_one_size_have_the_values_of_their_products() {
        for (classes, size, negatives) in
            [(100, 10, 31), (100, 100, 127), (300, 20, 1), (300, 20, 255), (1000, 20, 127), (1000, 5, 1000)]
        {
            let law = BatchLaw::new(&vec![size; classes], NumNegatives::new(negatives).unwrap()).unwrap();
            assert!(law.table.is_some(), "{classes} {size} {negatives}");
            let direct = BatchLaw { table: None, ..law.clone() };
            for (spread, centre) in [(1.0, 0.0), (4.0, -2.0), (6.0, 3.0)] {
                let noise = |c: usize| (c * 7919 % 1009) as f64 / 1009.0 - 0.5;
                let weights: Vec<f64> = (0..classes).map(|c| (spread * noise(c) + centre).exp()).collect();
                let class = classes / 3;
                let logs = |law: &BatchLaw| law.given(class).unwrap().expected_logs(&weights).unwrap();
                let (found, expected) = (logs(&law), logs(&direct));
                for (found, expected) in
                    [(found.all, expected.all), (found.shown, expected.shown), (found.alone, expected.alone)]
                {
                    let error = (found - expected).abs();
                    assert!(
                        error < 1e-12,
                        "{classes} {size} {negatives} {spread}: {found} {expected} {error:e}"
                    );
                }
            }
        }
    }
}
