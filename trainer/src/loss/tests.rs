//! What every loss must satisfy, over every source of negatives and with every selection: the value of its reference in
//! f64, finite differences, constants; and over the batch: symmetries, extremes, special cases.

use super::candidates::Source;
use super::same_class::UNKNOWN;
use super::*;
use crate::ops::normalise;
use crate::ops::select::cpu::Work;
use crate::ops::testing::{assert_close, assert_same_bits, finite_differences, flat, flat64, random};
use candle_core::{D, DType, Device, Var};
use measure::contrastive::Formula;
use measure::rng::philox::View;

const DEBIASED: LossKind = LossKind::Debiased { class_probability: 0.1 };
const HARD: LossKind = LossKind::Hard { class_probability: 0.1, beta: 1.0 };
const HALF: LossKind = LossKind::Debiased { class_probability: 0.5 };
const HARDER: LossKind = LossKind::Hard { class_probability: 0.3, beta: 2.5 };

const NSCL: LossKind = LossKind::Nscl { positive_in_denominator: false };
const NSCL_WITH_POSITIVE: LossKind = LossKind::Nscl { positive_in_denominator: true };

pub(crate) const KINDS: [LossKind; 12] = [
    LossKind::NtXent {},
    DEBIASED,
    HALF,
    HARD,
    HARDER,
    LossKind::Dcl {},
    LossKind::Dclw { sigma: 0.5 },
    LossKind::FlatNce {},
    NSCL,
    NSCL_WITH_POSITIVE,
    LossKind::Spectral { scale: 2.5 },
    LossKind::EqCo { virtual_negatives: 1000.0 },
];

const SELECTIONS: [Option<&str>; 6] = [
    None,
    Some("hardest:60%"),
    Some("easiest:60%"),
    Some("range:0-30%,60-100%"),
    Some("random:60%"),
    Some("hardest:100%"),
];

const CLASSES: [u32; 6] = [0, 1, 0, 2, 1, 0];
const N: usize = CLASSES.len();
const WIDTH: usize = 5;
const TEMPERATURES: [f64; 4] = [0.01, 0.1, 0.5, 2.0];

#[derive(Debug, Clone, Copy, PartialEq)]
enum From {
    Batch,
    Sampled,
    Queue,
}

const SOURCES: [From; 3] = [From::Batch, From::Sampled, From::Queue];

fn draws(seed: u64) -> StepDraws<'static> {
    StepDraws::new(seed, 3).unwrap()
}

fn selected(selection: Option<&str>) -> SelectedRanks<'static> {
    selection.map_or(SelectedRanks::all(), |text| SelectedRanks::of(text.parse().unwrap(), draws(5)))
}

/// Whether sample j is drawn for anchor i: j is among the K smallest of the anchor's words, by a full sort.
fn is_drawn(draws: StepDraws<'_>, n: usize, k: usize, i: usize, j: usize) -> bool {
    let word = |j: usize| draws.counter.words(i as u32, View::FIRST, j as u32 / 4)[j % 4];
    let mut others: Vec<usize> = (0..n).filter(|j| *j != i).collect();
    others.sort_by_key(|&j| (word(j), j));
    others[..k].contains(&j)
}

/// What the candidates of one source are made of.
struct Inputs {
    from: From,
    features: Tensor,
    positives: Tensor,
    queue: Queue,
}

impl Inputs {
    fn new(from: From, seed: u64) -> Self {
        let features = match from {
            From::Queue => features(seed).narrow(0, 0, N).unwrap(),
            From::Batch | From::Sampled => features(seed),
        };
        Self::of(from, features, normalise::forward(&features_of(seed).1).unwrap())
    }

    fn of(from: From, features: Tensor, positives: Tensor) -> Self {
        let mut queue = Queue::new(9, WIDTH, 7, &Device::Cpu).unwrap();
        queue.push(&normalise::forward(&random(11, &[5, WIDTH])).unwrap(), &[0, 1, 2, 0, 3]).unwrap();
        Self { from, features, positives, queue }
    }

    fn candidates(&self) -> Candidates<'_> {
        match self.from {
            From::Batch => Candidates::batch(&self.features, &CLASSES).unwrap(),
            From::Sampled => Candidates::sampled(&self.features, &CLASSES, 4, draws(5)).unwrap(),
            From::Queue => Candidates::queue(&self.features, &CLASSES, &self.positives, &self.queue).unwrap(),
        }
    }
}

/// Its row, that of the positive, those of the negatives with their classes.
type Anchor = (usize, usize, Vec<(usize, u32)>);

/// Which rows are anchors, positives and negatives, of rows of features and of others behind them that are constant.
struct Pairs {
    constant: Vec<f64>,
    anchors: Vec<Anchor>,
}

impl Pairs {
    fn all(inputs: &Inputs, other_classes: bool) -> Self {
        let mut constant = Vec::new();
        let anchors: Vec<_> = match &inputs.candidates().source {
            Source::Batch => {
                let others = |i: usize| (0..2 * N).filter(move |j| j % N != i % N);
                let with_class = |i| others(i).map(|j| (j, CLASSES[j % N])).collect();
                (0..2 * N).map(|i| (i, (i + N) % (2 * N), with_class(i))).collect()
            }
            Source::Sampled { draws, num_negatives, .. } => {
                let drawn = |i: usize| (0..N).filter(move |&j| is_drawn(*draws, N, *num_negatives, i, j));
                (0..N).map(|i| (i, N + i, drawn(i).map(|j| (N + j, CLASSES[j])).collect())).collect()
            }
            Source::Queue { positives, queue } => {
                constant = [flat64(positives), flat64(queue.keys())].concat();
                let keys: Vec<_> = queue.classes().iter().enumerate().map(|(j, &c)| (2 * N + j, c)).collect();
                (0..N).map(|i| (i, N + i, keys.clone())).collect()
            }
        };
        let mut pairs = Self { constant, anchors };
        if other_classes {
            for (i, _, negatives) in &mut pairs.anchors {
                negatives.retain(|(_, class)| *class != CLASSES[*i % N]);
            }
        }
        pairs
    }

    /// Those that a selection keeps at these features.
    fn keep(&mut self, from: From, z: &[f64], selected: &SelectedRanks<'_>) {
        let cosines = self.cosines(z);
        let first_candidate = match from {
            From::Batch => 0,
            From::Sampled => N,
            From::Queue => 2 * N,
        };
        for (index, (_, _, negatives)) in self.anchors.iter_mut().enumerate() {
            let mut logits: Vec<f32> = cosines[index].1.iter().map(|s| *s as f32).collect();
            let candidate = |k: usize| negatives[k].0 - first_candidate;
            selected.apply(index, &mut logits, candidate, &mut Work::default());
            let mut kept = logits.iter().map(|s| *s > f32::NEG_INFINITY);
            negatives.retain(|_| kept.next().unwrap());
        }
    }

    fn count(&self) -> SameClassCount {
        let mut count = SameClassCount::default();
        for (i, _, negatives) in &self.anchors {
            count.known += negatives.iter().filter(|(_, class)| *class != UNKNOWN).count() as u64;
            count.same += negatives.iter().filter(|(_, class)| *class == CLASSES[i % N]).count() as u64;
        }
        count
    }

    /// Of each anchor the cosine of the positive and those of the negatives.
    fn cosines(&self, z: &[f64]) -> Vec<(f64, Vec<f64>)> {
        let all = [z, &self.constant].concat();
        let rows: Vec<&[f64]> = all.chunks(WIDTH).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let s = |i: usize, j: usize| {
            let (a, b) = (rows[i], rows[j]);
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        let of = |(i, p, negatives): &Anchor| (s(*i, *p), negatives.iter().map(|(j, _)| s(*i, *j)).collect());
        self.anchors.iter().map(of).collect()
    }

    fn value(&self, kind: LossKind, z: &[f64], t: f64) -> f64 {
        formula(kind).of_cosines(&self.cosines(z), t)
    }
}

/// The reference in f64; the classes that NSCL leaves out are left out of the pairs.
fn formula(kind: LossKind) -> Formula {
    match kind {
        LossKind::NtXent {} | NSCL_WITH_POSITIVE => Formula::InfoNce,
        LossKind::Debiased { class_probability } => Formula::Debiased { class_probability },
        LossKind::Hard { class_probability, beta } => Formula::Hard { class_probability, beta },
        LossKind::Dcl {} | NSCL => Formula::Dcl,
        LossKind::Dclw { sigma } => Formula::Dclw { sigma },
        LossKind::FlatNce {} => Formula::FlatNce,
        LossKind::Spectral { scale } => Formula::Spectral { scale },
        LossKind::EqCo { virtual_negatives } => Formula::EqCo { virtual_negatives },
    }
}

/// The function that a loss's gradient is of: for FlatNCE not its value's.
fn differentiated(kind: LossKind) -> LossKind {
    if let LossKind::FlatNce {} = kind { LossKind::Dcl {} } else { kind }
}

fn value(loss: &Loss) -> f64 {
    f64::from(loss.value.to_scalar::<f32>().unwrap())
}

/// Two views, rows of several lengths, with views of one sample nearer to each other than to others.
fn features_of(seed: u64) -> (Tensor, Tensor) {
    let center = random(seed, &[N, WIDTH]);
    let view = |seed: u64| (&center + (random(seed, &[N, WIDTH]) * 0.7).unwrap()).unwrap();
    (view(seed + 100), view(seed + 200))
}

fn features(seed: u64) -> Tensor {
    let (first, second) = features_of(seed);
    Tensor::cat(&[first, second], 0).unwrap()
}

#[test]
fn every_loss_over_every_source_with_every_selection_is_its_reference() {
    for from in SOURCES {
        for (selection, kind) in SELECTIONS.iter().flat_map(|s| KINDS.map(|kind| (*s, kind))) {
            if from == From::Queue && kind.knows_classes() {
                continue;
            }
            for seed in 0..3 {
                let inputs = Inputs::new(from, seed);
                let (candidates, selected) = (inputs.candidates(), selected(selection));
                let z = flat64(&inputs.features);
                let mut pairs = Pairs::all(&inputs, kind.knows_classes());
                pairs.keep(from, &z, &selected);
                for t in TEMPERATURES {
                    let what = format!("{kind:?} over {from:?}, {selection:?}, t = {t}, seed {seed}");
                    let expected = pairs.value(kind, &z, t);
                    let slope = finite_differences(&z, |z| pairs.value(differentiated(kind), z, t));
                    let mut found = vec![kind.mean(&candidates, &selected, t).unwrap()];
                    if let LossKind::NtXent {} = kind {
                        // What a GPU computes.
                        found.push(candidates.mean(info_nce, &selected, t).unwrap());
                    }
                    for (loss, count) in found {
                        // A cosine is off by 1e-7.
                        let tolerance = 1e-6 * (1.0 + expected.abs()) + 4e-7 / t;
                        let difference = (value(&loss) - expected).abs();
                        assert!(difference < tolerance, "{what}: {} {expected}", value(&loss));
                        let gradient = flat(&loss.gradient);
                        if slope.iter().all(|g| g.abs() < 1e-30) {
                            // e^{a} of the farthest negatives at t = 0.01 lies below the numbers of f32.
                            assert!(gradient.iter().all(|g| g.abs() < 1e-29), "{what}");
                        } else {
                            assert_close(&gradient, &slope, 2e-6 + 1e-6 / t, &what);
                        }
                        let counted = selection.is_some() || from == From::Queue;
                        let expected = if counted { pairs.count() } else { SameClassCount::default() };
                        assert_eq!(count.read().unwrap(), expected, "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn both_branches_of_the_maximum_are_tested() {
    let (mut floor, mut above) = (0, 0);
    for seed in 0..3 {
        let inputs = Inputs::new(From::Batch, seed);
        for (s, negatives) in Pairs::all(&inputs, false).cosines(&flat64(&inputs.features)) {
            // At the floor g is 10 e^{−1/t}, whatever the negatives.
            let at_floor = (10.0 * (-(1.0 + s) / 0.5).exp()).ln_1p();
            let value = formula(HALF).of_cosines(&[(s, negatives)], 0.5);
            *if value - at_floor < 1e-12 { &mut floor } else { &mut above } += 1;
        }
    }
    assert!(floor >= 5 && above >= 5, "{floor} at the floor, {above} above");
}

#[test]
fn identical_features_give_the_constant() {
    let t = 0.5;
    let same = |rows: usize| Tensor::ones((rows, WIDTH), DType::F32, &Device::Cpu).unwrap();
    for (from, selection) in SOURCES.iter().flat_map(|from| SELECTIONS.map(|s| (*from, s))) {
        let rows = if from == From::Queue { N } else { 2 * N };
        let unit = normalise::forward(&same(N)).unwrap();
        let mut inputs = Inputs::of(from, same(rows), unit);
        inputs.queue.push(&normalise::forward(&same(9)).unwrap(), &[0; 9]).unwrap();
        let (candidates, selected) = (inputs.candidates(), selected(selection));
        let negatives = selected.require_kept(candidates.num_negatives()).unwrap() as f64;
        for kind in KINDS {
            let expected = match kind {
                LossKind::NtXent {}
                | LossKind::Debiased { .. }
                | LossKind::Hard { .. }
                | LossKind::FlatNce {} => (negatives + 1.0).ln(),
                LossKind::Dcl {} | LossKind::Dclw { .. } => negatives.ln(),
                // Classes of 3, 2 and 1 samples; elsewhere the number of negatives depends on the anchor.
                LossKind::Nscl { positive_in_denominator } if (from, selection) == (From::Batch, None) => {
                    let more = f64::from(u8::from(positive_in_denominator));
                    (3.0 * (6.0 + more).ln() + 2.0 * (8.0 + more).ln() + (10.0 + more).ln()) / 6.0
                }
                LossKind::Nscl { .. } => continue,
                LossKind::Spectral { scale } => scale * scale - 2.0 * scale,
                LossKind::EqCo { virtual_negatives } => virtual_negatives.ln_1p(),
            };
            let (loss, _) = kind.mean(&candidates, &selected, t).unwrap();
            let what = format!("{kind:?} over {from:?}, {selection:?}");
            assert!((value(&loss) - expected).abs() < 2e-6, "{what}: {} {expected}", value(&loss));
            assert!(flat(&loss.gradient).iter().all(|g| g.abs() < 2e-6), "{what}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let message = |result: Result<(Loss, PendingCount)>| {
        result.err().map_or_else(String::new, |error| error.to_string())
    };
    let all = SelectedRanks::all();
    let (nscl, dcl) = (NSCL, LossKind::Dcl {});
    let of_batch = |kind: LossKind, rows: usize, classes: &[u32], t: f64| {
        let features = Tensor::ones((rows, 3), DType::F32, &Device::Cpu).unwrap();
        message(Candidates::batch(&features, classes).and_then(|found| kind.mean(&found, &all, t)))
    };
    for (found, expected) in [
        (of_batch(nscl, 4, &[3, 3], 0.5), "all of class 3"),
        (of_batch(dcl, 2, &[0], 0.5), "1 samples has no negatives"),
        (of_batch(dcl, 0, &[], 0.5), "0 samples"),
        (of_batch(dcl, 5, &[0, 1], 0.5), "[5, 3]"),
        (of_batch(dcl, 4, &[0, 1], -1.0), "-1e0"),
        (of_batch(dcl, 4, &[0, 1], f64::NAN), "NaN"),
    ] {
        assert!(found.contains(expected) && !found.contains('\n'), "{found}");
    }
    assert_eq!(of_batch(dcl, 4, &[3, 3], 0.5), "");
    let inputs = Inputs::new(From::Queue, 0);
    let found = message(nscl.mean(&inputs.candidates(), &all, 0.5));
    assert!(found.contains("random directions, of no class"), "{found}");
    // Of three samples of class 0 and one of class 1, K = 1: some anchor draws one of its class.
    let (z, classes) = (random(1, &[8, WIDTH]), [0, 0, 0, 1]);
    let candidates = Candidates::sampled(&z, &classes, 1, draws(1)).unwrap();
    let found = message(nscl.mean(&candidates, &all, 0.5));
    assert!(found.contains("of class 0 drew K = 1 negatives, all of its class"), "{found}");
    for k in [0, 4] {
        let error = Candidates::sampled(&z, &classes, k, draws(1)).unwrap_err();
        assert!(error.to_string().contains(&format!("K = {k} ")), "{error}");
    }
    for kind in [LossKind::NtXent {}, dcl] {
        for from in SOURCES {
            let inputs = Inputs::new(from, 0);
            let found = message(kind.mean(&inputs.candidates(), &selected(Some("hardest:0.1%")), 0.5));
            assert!(found.contains("'hardest:0.1%' keeps none of K = "), "{found}");
        }
    }
    let wide = random(1, &[N, WIDTH + 1]);
    let error = Candidates::queue(&wide, &CLASSES, &wide, &inputs.queue).unwrap_err().to_string();
    assert!(error.contains("[6, 6]") && error.contains("[9, 5]"), "{error}");
}

/// The K samples that are drawn for each of n anchors.
fn drawn(n: usize, k: usize, seed: u64, step: u64) -> Vec<Vec<usize>> {
    let (z, classes) = (Tensor::zeros((2 * n, 1), DType::F32, &Device::Cpu).unwrap(), vec![0; n]);
    let draws = StepDraws::new(seed, step).unwrap();
    let candidates = Candidates::sampled(&z, &classes, k, draws).unwrap();
    (0..n).map(|i| (0..n).filter(|&j| candidates.is_negative(i, j, false)).collect()).collect()
}

#[test]
fn sampled_negatives_are_the_smallest_words() {
    for (n, k) in [(2, 1), (5, 2), (37, 1), (37, 20), (37, 36), (64, 63)] {
        let draws = StepDraws::new(9, 4).unwrap();
        let expected = |i: usize| (0..n).filter(|&j| is_drawn(draws, n, k, i, j)).collect::<Vec<_>>();
        assert_eq!(drawn(n, k, 9, 4), (0..n).map(expected).collect::<Vec<_>>(), "{k} of {n}");
    }
}

#[test]
fn sampled_negatives_are_uniform_over_the_others_also_in_pairs() {
    // z-bound: 5 of each standard deviation. Of 7 · (6 + 15) · 3 numbers one beyond it has a probability below 3e-4,
    // and the seed is fixed.
    let (n, steps) = (7, 6000);
    for k in [1, 3, 5] {
        let mut counts = vec![0u32; n * n];
        let mut pairs = vec![0u32; n * n * n];
        for step in 0..steps {
            for (i, negatives) in drawn(n, k, 9, step).into_iter().enumerate() {
                assert!(negatives.len() == k && !negatives.contains(&i), "{negatives:?}");
                for &a in &negatives {
                    counts[i * n + a] += 1;
                    negatives.iter().filter(|b| a < **b).for_each(|b| pairs[(i * n + a) * n + b] += 1);
                }
            }
        }
        let within = |count: u32, probability: f64, what: &str| {
            let (mean, steps) = (steps as f64 * probability, steps as f64);
            let bound = 5.0 * (steps * probability * (1.0 - probability)).sqrt();
            assert!(
                (f64::from(count) - mean).abs() < bound + 1e-9,
                "K = {k}, {what}: {count}, not {mean} ± {bound}"
            );
        };
        let (k, others) = (k as f64, (n - 1) as f64);
        for i in 0..n {
            for a in (0..n).filter(|a| *a != i) {
                within(counts[i * n + a], k / others, "one");
                let pair = k * (k - 1.0) / (others * (others - 1.0));
                (a + 1..n).filter(|b| *b != i).for_each(|b| within(pairs[(i * n + a) * n + b], pair, "pair"));
            }
        }
    }
}

#[test]
fn steps_seeds_and_anchors_draw_independently() {
    // Two independent 8-subsets of 64 others share 1 on average; the same subset would share 8. Over 65 anchors the sum
    // is 65 ± 6.9 (hypergeometric variance 8 · (1/8) · (7/8) · (56/63) = 0.78 an anchor, 7.1 in all); z-bound 5.
    let (n, k) = (65, 8);
    let base = drawn(n, k, 9, 4);
    let shared = |other: &[Vec<usize>]| -> usize {
        base.iter().zip(other).map(|(a, b)| a.iter().filter(|j| b.contains(j)).count()).sum()
    };
    let by_offset =
        |all: &[Vec<usize>], i: usize| -> Vec<usize> { all[i].iter().map(|j| (j + n - i) % n).collect() };
    let next: Vec<Vec<usize>> = (0..n)
        .map(|i| by_offset(&base, (i + 1) % n).iter().map(|offset| (i + offset) % n).collect())
        .collect();
    assert_eq!(shared(&drawn(n, k, 9, 4)), n * k);
    for other in [drawn(n, k, 9, 5), drawn(n, k, 10, 4), drawn(n, k, 9 + (1 << 32), 4), next] {
        assert!((30..=100).contains(&shared(&other)), "{}", shared(&other));
    }
}

#[test]
fn sampled_info_nce_is_what_automatic_differentiation_finds() {
    for t in [0.02, 0.05, 0.5, 2.0] {
        let (n, width) = (40, 16);
        let (z, classes) = (random(3, &[2 * n, width]), vec![0; n]);
        let candidates = Candidates::sampled(&z, &classes, 7, draws(5)).unwrap();
        let (loss, _) = LossKind::NtXent {}.mean(&candidates, &SelectedRanks::all(), t).unwrap();
        let drawn = |i: usize, j: usize| candidates.is_negative(i, j, false);
        // 0 for the positive and the K drawn, and so far below elsewhere that e^x is 0.
        let mask: Vec<f64> = (0..n * n)
            .map(|place| (place / n, place % n))
            .map(|(i, j)| if drawn(i, j) || i == j { 0.0 } else { -1e9 })
            .collect();
        let mask = Tensor::from_vec(mask, (n, n), &Device::Cpu).unwrap();
        // In f64: in f32 the difference of normaliser and positive, 20 − 20 at t = 0.05, loses two digits of the value.
        let by_graph = || -> candle_core::Result<(f64, Vec<f64>)> {
            let z = Var::from_tensor(&z.to_dtype(DType::F64)?)?;
            let unit = z.broadcast_div(&z.sqr()?.sum_keepdim(1)?.sqrt()?)?;
            let (first, second) = (unit.narrow(0, 0, n)?, unit.narrow(0, n, n)?);
            let logits = (first.matmul(&second.t()?)? / t)?;
            let normaliser = (logits + &mask)?.log_sum_exp(D::Minus1)?.mean_all()?;
            let positive = ((first * second)?.sum(1)?.mean_all()? / t)?;
            let value = (normaliser - positive)?;
            let gradient = value.backward()?.get(&z).unwrap().flatten_all()?.to_vec1()?;
            Ok((value.to_scalar()?, gradient))
        };
        let (expected, slope) = by_graph().unwrap();
        // A cosine is off by 1e-7.
        assert_close(&flat(&loss.value), &[expected], 1e-6 + 1e-7 / t, "value");
        assert_close(&flat(&loss.gradient), &slope, 1e-6 + 1e-7 / t, "gradient");
    }
}

#[test]
fn small_losses_keep_their_digits_and_small_temperatures_do_not_overflow() {
    // Queries on their positives, keys at right angles: ln(1 + 10 e^{−20}) = 2e-8.
    let axis = |k: usize| {
        let row: [f32; WIDTH] = std::array::from_fn(|j| if j == k { 1.0 } else { 0.0 });
        Tensor::new(&[row], &Device::Cpu).unwrap()
    };
    let (query, other) = (axis(0), axis(1));
    let mut queue = Queue::new(10, WIDTH, 7, &Device::Cpu).unwrap();
    let all = SelectedRanks::all();
    let both = |features: &Tensor, positives: &Tensor, queue: &Queue, t: f64| {
        let candidates = Candidates::queue(features, &[0], positives, queue).unwrap();
        let general = candidates.mean(info_nce, &all, t).unwrap();
        [LossKind::NtXent {}.mean(&candidates, &all, t).unwrap().0, general.0]
    };
    queue.push(&other.repeat((10, 1)).unwrap(), &[1; 10]).unwrap();
    for loss in both(&query, &query, &queue, 0.05) {
        assert_close(&flat(&loss.value), &[(10.0 * (-20f64).exp()).ln_1p()], 1e-5, "small");
    }
    // The positive at right angles, the keys on the query: 1000 + ln 10.
    queue.push(&query.repeat((10, 1)).unwrap(), &[1; 10]).unwrap();
    for loss in both(&query, &other, &queue, 1e-3) {
        assert_close(&flat(&loss.value), &[1000.0 + 10f64.ln()], 1e-6, "large");
        assert!(flat(&loss.gradient).iter().all(|v| v.is_finite()));
    }
    // A NaN anywhere makes the loss one.
    let nan = Tensor::new(&[[f32::NAN, 0.0, 0.0, 0.0, 0.0]], &Device::Cpu).unwrap();
    assert!(both(&nan, &other, &queue, 0.2).iter().all(|loss| value(loss).is_nan()));
}

#[test]
fn threads_change_no_bit() {
    let (n, width) = (37, 16);
    let (z, classes) = (random(1, &[2 * n, width]), vec![0; n]);
    let queries = z.narrow(0, 0, n).unwrap();
    let positives = normalise::forward(&random(2, &[n, width])).unwrap();
    let queue = Queue::new(900, width, 7, &Device::Cpu).unwrap();
    for text in ["hardest:20%", "random:40%"] {
        for kind in [LossKind::NtXent {}, LossKind::Dcl {}] {
            assert_same_bits(|| {
                let all = [
                    Candidates::batch(&z, &classes).unwrap(),
                    Candidates::sampled(&z, &classes, 20, draws(5)).unwrap(),
                    Candidates::queue(&queries, &classes, &positives, &queue).unwrap(),
                ];
                let of = |candidates: &Candidates<'_>| {
                    let (loss, _) = kind.mean(candidates, &selected(Some(text)), 0.2).unwrap();
                    [flat(&loss.value), flat(&loss.gradient)].concat()
                };
                all.iter().flat_map(of).collect()
            });
        }
    }
}

#[test]
fn the_order_of_samples_and_of_views_does_not_matter() {
    let z = features(7);
    let order = [4, 2, 0, 5, 1, 3];
    let samples: Vec<u32> = order.iter().chain(&order.map(|i| i + 6)).copied().collect();
    let views: Vec<u32> = (6..12).chain(0..6).collect();
    let permuted: Vec<u32> = order.iter().map(|&i| CLASSES[i as usize]).collect();
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
    let pairs = |kind: LossKind| Pairs::all(&Inputs::new(From::Batch, 0), kind.knows_classes());
    for kind in KINDS {
        for t in [0.01, 0.5] {
            let loss = kind.evaluate(&z, &CLASSES, t).unwrap();
            let expected = pairs(kind).value(kind, &flat64(&z), t);
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
        (NSCL, LossKind::Dcl {}),
        (NSCL_WITH_POSITIVE, LossKind::NtXent {}),
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
    let of = |kind: LossKind, z: &Tensor, t: f64| {
        let classes = vec![0; z.dim(0).unwrap() / 2];
        kind.evaluate(z, &classes, t).unwrap()
    };
    let flat_loss = of(LossKind::FlatNce {}, &z, 0.2);
    assert_close(&flat(&flat_loss.value), &flat64(&nt_xent(&z, 0.2).unwrap().value), 1e-6, "value");
    assert_eq!(flat(&flat_loss.gradient), flat(&of(LossKind::Dcl {}, &z, 0.2).gradient));
    // What it is for: where the positive stands out, InfoNCE's gradient vanishes.
    let view = Tensor::eye(WIDTH, DType::F32, &Device::Cpu).unwrap();
    let other = (&view + (random(2, &[WIDTH, WIDTH]) * 0.1).unwrap()).unwrap();
    let easy = Tensor::cat(&[&view, &other], 0).unwrap();
    let norm = |loss: Loss| flat64(&loss.gradient).iter().map(|g| g * g).sum::<f64>().sqrt();
    assert!(norm(nt_xent(&easy, 0.05).unwrap()) < 1e-3 && norm(of(LossKind::FlatNce {}, &easy, 0.05)) > 1.0);
}
