//! What every loss of two views must satisfy: its formula as a double loop of f64, finite differences, symmetries, constants.

use super::*;
use crate::ops::testing::{assert_close, finite_differences, flat, flat64, random};
use candle_core::Device;

const DEBIASED: LossKind = LossKind::Debiased { class_probability: 0.1 };
const HARD: LossKind = LossKind::Hard { class_probability: 0.1, beta: 1.0 };
const HALF: LossKind = LossKind::Debiased { class_probability: 0.5 };
const HARDER: LossKind = LossKind::Hard { class_probability: 0.3, beta: 2.5 };

const KINDS: [LossKind; 11] = [
    LossKind::NtXent {},
    DEBIASED,
    HALF,
    HARD,
    HARDER,
    LossKind::Dcl {},
    LossKind::Dclw { sigma: 0.5 },
    LossKind::FlatNce {},
    LossKind::Nscl {},
    LossKind::Spectral { scale: 2.5 },
    LossKind::EqCo { virtual_negatives: 1000.0 },
];

const CLASSES: [usize; 6] = [0, 1, 0, 2, 1, 0];
const WIDTH: usize = 5;
const TEMPERATURES: [f64; 4] = [0.01, 0.1, 0.5, 2.0];

/// Cosines of rows that are not normalised.
struct Cosines {
    s: Vec<Vec<f64>>,
    n: usize,
}

impl Cosines {
    fn of(z: &[f64]) -> Self {
        let rows: Vec<&[f64]> = z.chunks(WIDTH).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let cosine = |a: &&[f64], b: &&[f64]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        let s = rows.iter().map(|a| rows.iter().map(|b| cosine(a, b)).collect()).collect();
        Self { s, n: rows.len() / 2 }
    }

    fn positive(&self, i: usize) -> f64 {
        self.s[i][(i + self.n) % (2 * self.n)]
    }

    fn negatives(&self, i: usize) -> impl Iterator<Item = f64> {
        (0..2 * self.n).filter(move |j| j % self.n != i % self.n).map(move |j| self.s[i][j])
    }

    fn mean(&self, of: impl Fn(usize) -> f64) -> f64 {
        (0..2 * self.n).map(of).sum::<f64>() / (2 * self.n) as f64
    }

    /// −ln[ e^{s⁺/t} / (e^{s⁺/t} + g) ] with a sum over negatives.
    fn info_nce(&self, t: f64, sum: impl Fn(usize) -> f64) -> f64 {
        self.mean(|i| {
            let positive = (self.positive(i) / t).exp();
            // Of the quotient and not of its inverse, as published; ln_1p where the quotient is 1 to the last digits.
            (sum(i) / positive).ln_1p()
        })
    }

    fn corrected(&self, t: f64, probability: f64, i: usize, sum: f64) -> f64 {
        let count = self.negatives(i).count() as f64;
        let positive = (self.positive(i) / t).exp();
        let rest = (sum - count * probability * positive) / (1.0 - probability);
        rest.max(count * (-1.0 / t).exp())
    }

    fn sum(&self, t: f64, i: usize) -> f64 {
        self.negatives(i).map(|s| (s / t).exp()).sum()
    }

    fn dcl(&self, t: f64) -> f64 {
        self.mean(|i| -self.positive(i) / t + self.sum(t, i).ln())
    }

    fn value(&self, kind: LossKind, classes: &[usize], t: f64) -> f64 {
        match kind {
            LossKind::NtXent {} | LossKind::FlatNce {} => self.info_nce(t, |i| self.sum(t, i)),
            LossKind::Debiased { class_probability } => {
                self.info_nce(t, |i| self.corrected(t, class_probability, i, self.sum(t, i)))
            }
            LossKind::Hard { class_probability, beta } => self.info_nce(t, |i| {
                let weights: Vec<f64> = self.negatives(i).map(|s| (beta * s / t).exp()).collect();
                let mean = weights.iter().sum::<f64>() / weights.len() as f64;
                let sum: f64 = self.negatives(i).zip(&weights).map(|(s, w)| w / mean * (s / t).exp()).sum();
                self.corrected(t, class_probability, i, sum)
            }),
            LossKind::Dcl {} => self.dcl(t),
            LossKind::Dclw { sigma } => {
                let mean = self.mean(|i| (self.positive(i) / sigma).exp());
                let weight = |i: usize| 2.0 - (self.positive(i) / sigma).exp() / mean;
                self.mean(|i| -weight(i) * self.positive(i) / t + self.sum(t, i).ln())
            }
            LossKind::Nscl {} => self.mean(|i| {
                let others = (0..2 * self.n).filter(|j| classes[j % self.n] != classes[i % self.n]);
                let sum: f64 = others.map(|j| (self.s[i][j] / t).exp()).sum();
                -self.positive(i) / t + sum.ln()
            }),
            LossKind::Spectral { scale } => self.mean(|i| {
                let squares = self.negatives(i).map(|s| (scale * s).powi(2)).sum::<f64>();
                -2.0 * scale * self.positive(i) + squares / self.negatives(i).count() as f64
            }),
            LossKind::EqCo { virtual_negatives } => {
                let share = |i: usize| virtual_negatives / self.negatives(i).count() as f64;
                self.info_nce(t, |i| share(i) * self.sum(t, i))
            }
        }
    }
}

/// The function that a loss's gradient is of: for FlatNCE not its value's.
fn differentiated(kind: LossKind, z: &[f64], t: f64) -> f64 {
    match kind {
        LossKind::FlatNce {} => Cosines::of(z).dcl(t),
        _ => Cosines::of(z).value(kind, &CLASSES, t),
    }
}

fn value(loss: &Loss) -> f64 {
    f64::from(loss.value.to_scalar::<f32>().unwrap())
}

/// Rows of several lengths, with views of one sample nearer to each other than to others.
fn features(seed: u64) -> Tensor {
    let center = random(seed, &[6, WIDTH]);
    let view = |seed: u64| (&center + (random(seed, &[6, WIDTH]) * 0.7).unwrap()).unwrap();
    Tensor::cat(&[view(seed + 100), view(seed + 200)], 0).unwrap()
}

#[test]
fn values_and_gradients_are_those_of_the_double_loop() {
    for kind in KINDS {
        for t in TEMPERATURES {
            for seed in 0..3 {
                let what = format!("{kind:?}, t = {t}, seed {seed}");
                let z = features(seed);
                let loss = kind.evaluate(&z, &CLASSES, t).unwrap();
                let expected = Cosines::of(&flat64(&z)).value(kind, &CLASSES, t);
                // A cosine is off by 1e-7.
                let tolerance = 1e-6 * (1.0 + expected.abs()) + 4e-7 / t;
                assert!((value(&loss) - expected).abs() < tolerance, "{what}: {} {expected}", value(&loss));
                let expected = finite_differences(&flat64(&z), |z| differentiated(kind, z, t));
                assert_close(&flat(&loss.gradient), &expected, 2e-6 + 1e-6 / t, &what);
            }
        }
    }
}

#[test]
fn both_branches_of_the_maximum_are_tested() {
    let (mut floor, mut above) = (0, 0);
    for seed in 0..3 {
        let cosines = Cosines::of(&flat64(&features(seed)));
        for i in 0..12 {
            let least = 10.0 * (-1f64 / 0.5).exp();
            let at_floor = cosines.corrected(0.5, 0.5, i, cosines.sum(0.5, i)) == least;
            *if at_floor { &mut floor } else { &mut above } += 1;
        }
    }
    assert!(floor >= 5 && above >= 5, "{floor} at the floor, {above} above");
}

#[test]
fn identical_features_give_the_constant() {
    let (n, t) = (6f64, 0.5);
    let z = Tensor::ones((12, WIDTH), candle_core::DType::F32, &Device::Cpu).unwrap();
    for kind in KINDS {
        let expected = match kind {
            LossKind::NtXent {}
            | LossKind::Debiased { .. }
            | LossKind::Hard { .. }
            | LossKind::FlatNce {} => (2.0 * n - 1.0).ln(),
            LossKind::Dcl {} | LossKind::Dclw { .. } => (2.0 * n - 2.0).ln(),
            // Classes of 3, 2 and 1 samples.
            LossKind::Nscl {} => (3.0 * 6f64.ln() + 2.0 * 8f64.ln() + 10f64.ln()) / 6.0,
            LossKind::Spectral { scale } => scale * scale - 2.0 * scale,
            LossKind::EqCo { virtual_negatives } => virtual_negatives.ln_1p(),
        };
        let loss = kind.evaluate(&z, &CLASSES, t).unwrap();
        assert!((value(&loss) - expected).abs() < 2e-6, "{kind:?}: {} {expected}", value(&loss));
        assert!(flat(&loss.gradient).iter().all(|g| g.abs() < 1e-6), "{kind:?}");
    }
}

#[test]
fn the_order_of_samples_and_of_views_does_not_matter() {
    let z = features(7);
    let order = [4, 2, 0, 5, 1, 3];
    let samples: Vec<u32> = order.iter().chain(&order.map(|i| i + 6)).copied().collect();
    let views: Vec<u32> = (6..12).chain(0..6).collect();
    let permuted: Vec<usize> = order.iter().map(|&i| CLASSES[i as usize]).collect();
    for kind in KINDS {
        let before = kind.evaluate(&z, &CLASSES, 0.3).unwrap();
        for (rows, classes) in [(&samples, &permuted[..]), (&views, &CLASSES)] {
            let rows = Tensor::new(&rows[..], &Device::Cpu).unwrap();
            let after = kind.evaluate(&z.index_select(&rows, 0).unwrap(), classes, 0.3).unwrap();
            assert!((value(&after) - value(&before)).abs() < 3e-6, "{kind:?}");
            let expected = flat64(&before.gradient.index_select(&rows, 0).unwrap());
            assert_close(&flat(&after.gradient), &expected, 1e-5, &format!("{kind:?}"));
        }
    }
}

#[test]
fn extreme_features_stay_finite_and_nan_does_not_hide() {
    // Samples whose views are opposite, equal to another's, or at right angles: cosines −1, 0, 1.
    let axis =
        |k: usize, sign: f32| (0..WIDTH).map(|j| if j == k { sign } else { 0.0 }).collect::<Vec<f32>>();
    let rows = [(0, 1.0), (0, 1.0), (1, 1.0), (2, 1.0), (2, -1.0), (3, 1.0)];
    let others = [(0, -1.0), (0, 1.0), (1, -1.0), (2, 1.0), (4, 1.0), (0, 1.0)];
    let values: Vec<f32> = rows.iter().chain(&others).flat_map(|&(k, sign)| axis(k, sign)).collect();
    let z = Tensor::from_vec(values.clone(), (12, WIDTH), &Device::Cpu).unwrap();
    for kind in KINDS {
        for t in [0.01, 0.5] {
            let loss = kind.evaluate(&z, &CLASSES, t).unwrap();
            let expected = Cosines::of(&flat64(&z)).value(kind, &CLASSES, t);
            assert!((value(&loss) - expected).abs() < 1e-6 * (1.0 + expected.abs()), "{kind:?}, t = {t}");
            assert!(flat(&loss.gradient).iter().all(|g| g.is_finite()), "{kind:?}, t = {t}");
        }
        let mut broken = values.clone();
        broken[7] = f32::NAN;
        let broken = Tensor::from_vec(broken, (12, WIDTH), &Device::Cpu).unwrap();
        assert!(value(&kind.evaluate(&broken, &CLASSES, 0.5).unwrap()).is_nan(), "{kind:?}");
    }
}

#[test]
fn special_cases_are_the_simpler_loss() {
    let distinct = [0, 1, 2, 3, 4, 5];
    let none = LossKind::Debiased { class_probability: 0.0 };
    for (special, simple) in [
        (LossKind::Hard { class_probability: 0.1, beta: 0.0 }, DEBIASED),
        (LossKind::Hard { class_probability: 0.0, beta: 0.0 }, none),
        (none, LossKind::NtXent {}),
        (LossKind::EqCo { virtual_negatives: 10.0 }, LossKind::NtXent {}),
        (LossKind::Nscl {}, LossKind::Dcl {}),
    ] {
        for t in TEMPERATURES {
            let z = features(3);
            let special_loss = special.evaluate(&z, &distinct, t).unwrap();
            let simple_loss = simple.evaluate(&z, &distinct, t).unwrap();
            let what = format!("{special:?} and {simple:?}, t = {t}");
            assert_close(&flat(&special_loss.value), &flat64(&simple_loss.value), 2e-6 + 2e-7 / t, &what);
            assert_close(
                &flat(&special_loss.gradient),
                &flat64(&simple_loss.gradient),
                2e-6 + 5e-7 / t,
                &what,
            );
        }
    }
}

#[test]
fn flat_nce_has_the_value_of_info_nce_and_the_gradient_of_dcl() {
    let z = features(5);
    let flat_loss = flat_nce(&z, 0.2).unwrap();
    assert_close(&flat(&flat_loss.value), &flat64(&nt_xent(&z, 0.2).unwrap().value), 1e-6, "value");
    assert_eq!(flat(&flat_loss.gradient), flat(&dcl(&z, 0.2).unwrap().gradient));
    // What it is for: where the positive stands out, InfoNCE's gradient vanishes.
    let view = Tensor::eye(WIDTH, candle_core::DType::F32, &Device::Cpu).unwrap();
    let other = (&view + (random(2, &[WIDTH, WIDTH]) * 0.1).unwrap()).unwrap();
    let easy = Tensor::cat(&[&view, &other], 0).unwrap();
    let norm = |loss: Loss| flat64(&loss.gradient).iter().map(|g| g * g).sum::<f64>().sqrt();
    assert!(norm(nt_xent(&easy, 0.05).unwrap()) < 1e-3 && norm(flat_nce(&easy, 0.05).unwrap()) > 1.0);
}
