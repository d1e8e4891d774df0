//! The formulas as published, finite differences, constants, special cases; one negative set written in two ways.

use super::{Batch, Formula, Negatives};
use crate::error::Error;
use crate::evaluation::{Evaluation, Views};
use crate::matrix::Matrix;
use crate::pool::never;
use crate::rng::{Purpose, normal, stream};
use theory::NumDraws;
use theory::losses::Quantity;

const FORMULAS: [Formula; 10] = [
    Formula::InfoNce,
    Formula::Debiased { class_probability: 0.1 },
    Formula::Debiased { class_probability: 0.5 },
    Formula::Hard { class_probability: 0.1, beta: 1.0 },
    Formula::Hard { class_probability: 0.3, beta: 2.5 },
    Formula::Dcl,
    Formula::Dclw { sigma: 0.5 },
    Formula::FlatNce,
    Formula::Spectral { scale: 2.5 },
    Formula::EqCo { virtual_negatives: 1000.0 },
];

const CLASSES: [usize; 5] = [0, 1, 0, 2, 1];
const N: usize = CLASSES.len();
const D: usize = 4;
const SAMPLES: [usize; 10] = [1, 2, 0, 2, 3, 4, 2, 0, 0, 0];

fn random(seed: u64, rows: usize, cols: usize) -> Matrix {
    let mut rng = stream(seed, Purpose::Initialisation, 0);
    Matrix { rows, cols, data: (0..rows * cols).map(|_| f64::from(normal(&mut rng))).collect() }
}

/// Two views, those of one sample nearer to each other than to others.
fn views(seed: u64, n: usize, d: usize) -> [Matrix; 2] {
    let center = random(seed, n, d);
    [100, 200].map(|more| {
        let mut view = random(seed + more, n, d);
        view.data.iter_mut().zip(&center.data).for_each(|(x, c)| *x = c + 0.7 * *x);
        view
    })
}

/// The formulas as their papers write them.
fn published(formula: Formula, anchors: &[(f64, Vec<f64>)], t: f64) -> f64 {
    let mean = |of: &dyn Fn(f64, &[f64]) -> f64| {
        anchors.iter().map(|(s, negatives)| of(*s, negatives)).sum::<f64>() / anchors.len() as f64
    };
    let sum = |negatives: &[f64]| negatives.iter().map(|s| (s / t).exp()).sum::<f64>();
    // −ln[ e^{s⁺/t} / (e^{s⁺/t} + g) ], ln_1p where the quotient is 1 to the last digits.
    let info_nce = |s: f64, g: f64| (g / (s / t).exp()).ln_1p();
    let corrected = |probability: f64, s: f64, sum: f64, count: usize| {
        let count = count as f64;
        let rest = (sum - count * probability * (s / t).exp()) / (1.0 - probability);
        rest.max(count * (-1.0 / t).exp())
    };
    match formula {
        Formula::InfoNce | Formula::FlatNce => mean(&|s, negatives| info_nce(s, sum(negatives))),
        Formula::Debiased { class_probability } => mean(&|s, negatives| {
            info_nce(s, corrected(class_probability, s, sum(negatives), negatives.len()))
        }),
        Formula::Hard { class_probability, beta } => mean(&|s, negatives| {
            let weights: Vec<f64> = negatives.iter().map(|s| (beta * s / t).exp()).collect();
            let average = weights.iter().sum::<f64>() / weights.len() as f64;
            let sum = negatives.iter().zip(&weights).map(|(s, w)| w / average * (s / t).exp()).sum();
            info_nce(s, corrected(class_probability, s, sum, negatives.len()))
        }),
        Formula::Dcl => mean(&|s, negatives| -s / t + sum(negatives).ln()),
        Formula::Dclw { sigma } => {
            let average = mean(&|s, _| (s / sigma).exp());
            mean(&|s, negatives| -(2.0 - (s / sigma).exp() / average) * s / t + sum(negatives).ln())
        }
        Formula::Spectral { scale } => mean(&|s, negatives| {
            let squares = negatives.iter().map(|s| (scale * s).powi(2)).sum::<f64>();
            -2.0 * scale * s + squares / negatives.len() as f64
        }),
        Formula::EqCo { virtual_negatives } => {
            mean(&|s, negatives| info_nce(s, virtual_negatives / negatives.len() as f64 * sum(negatives)))
        }
    }
}

/// The cosines of every anchor, by a double loop.
fn cosines(batch: &Batch<'_>) -> Vec<(f64, Vec<f64>)> {
    let n = batch.views[0].rows;
    let s = |a: &[f64], b: &[f64]| {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        if batch.normalise { dot(a, b) / (dot(a, a) * dot(b, b)).sqrt() } else { dot(a, b) }
    };
    let row = |i: usize| batch.views[i / n].row(i % n);
    let anchors = if let Negatives::BothViews = batch.negatives { 2 * n } else { n };
    let counts = |i: usize, j: usize| {
        i % n != j % n && batch.classes.is_none_or(|classes| classes[i % n] != classes[j % n])
    };
    let negatives = |i: usize| -> Vec<f64> {
        match batch.negatives {
            Negatives::BothViews => (0..2 * n).filter(|&j| counts(i, j)).map(|j| s(row(i), row(j))).collect(),
            Negatives::SecondView => {
                (n..2 * n).filter(|&j| counts(i, j)).map(|j| s(row(i), row(j))).collect()
            }
            Negatives::Samples(list) => {
                let own = list.chunks(list.len() / n).nth(i).unwrap().iter().copied();
                own.filter(|&j| counts(i, j)).map(|j| s(row(i), row(n + j))).collect()
            }
            Negatives::Shared(rows) => (0..rows.rows).map(|j| s(row(i), rows.row(j))).collect(),
            Negatives::Own(rows) => {
                let k = rows.rows / n;
                (i * k..(i + 1) * k).map(|j| s(row(i), rows.row(j))).collect()
            }
        }
    };
    (0..anchors).map(|i| (s(row(i), row((i + n) % (2 * n))), negatives(i))).collect()
}

/// Of two views as one point, the numerical gradient.
fn differences(batch: &Batch<'_>, formula: Formula) -> Vec<f64> {
    let [first, second] = batch.views;
    // FlatNCE's gradient is that of another function.
    let formula = if let Formula::FlatNce = formula { Formula::Dcl } else { formula };
    let mut both = [first.clone(), second.clone()];
    let mut slope = Vec::new();
    for view in 0..2 {
        for index in 0..first.data.len() {
            let (kept, step) = (both[view].data[index], 1e-5);
            let mut at = |x: f64| {
                both[view].data[index] = x;
                let [first, second] = &both;
                published(formula, &cosines(&Batch { views: [first, second], ..*batch }), batch.temperature)
            };
            let (above, below) = (at(kept + step), at(kept - step));
            both[view].data[index] = kept;
            slope.push((above - below) / (2.0 * step));
        }
    }
    slope
}

#[test]
fn every_loss_over_every_choice_of_negatives_is_the_published_double_loop_with_its_slope() {
    let (queue, own) = (random(7, 3, D), random(8, 2 * N, D));
    let sources = [
        (Negatives::BothViews, None),
        (Negatives::SecondView, None),
        (Negatives::Samples(&SAMPLES), None),
        (Negatives::Shared(&queue), None),
        (Negatives::Own(&own), None),
        (Negatives::BothViews, Some(&CLASSES[..])),
        (Negatives::SecondView, Some(&CLASSES)),
    ];
    let mut worst = [0f64; 2];
    for (seed, normalise) in [(1, true), (2, true), (3, false)] {
        let [first, second] = views(seed, N, D);
        for (negatives, classes) in sources {
            for (formula, temperature) in FORMULAS.iter().flat_map(|f| [0.05, 0.5, 2.0].map(|t| (*f, t))) {
                let batch = Batch { views: [&first, &second], negatives, classes, temperature, normalise };
                let (value, gradient) = batch.value_and_gradient(formula, &never).unwrap();
                let what = format!("{formula:?}, {negatives:?}, {classes:?}, t = {temperature}, {normalise}");
                assert_eq!(value, batch.value(formula, &never).unwrap(), "{what}");
                let expected = published(formula, &cosines(&batch), temperature);
                let error = (value - expected).abs() / (1.0 + expected.abs());
                assert!(error < 1e-13, "{what}: {value} {expected}");
                let slope = differences(&batch, formula);
                let norm = slope.iter().map(|g| g * g).sum::<f64>().sqrt();
                let found = gradient.iter().flat_map(|g| &g.data);
                let distance = found.zip(&slope).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                // Central differences are off by h²/6 of the third derivative, which is 1/t² of the first.
                assert!(distance <= 1e-10 + 4e-8 * norm, "{what}: {distance:e} of {norm:e}");
                worst = [worst[0].max(error), worst[1].max(distance / norm.max(1e-3))];
            }
        }
    }
    println!("largest error of a value {:e}, of a gradient {:e}", worst[0], worst[1]);
}

#[test]
fn equal_features_give_the_constant() {
    let view = Matrix { rows: 6, cols: 2, data: [3.0, 4.0].repeat(6) };
    for (negatives, count) in [(Negatives::BothViews, 10.0), (Negatives::SecondView, 5.0)] {
        for formula in FORMULAS {
            let expected = match formula {
                Formula::InfoNce | Formula::FlatNce | Formula::Debiased { .. } | Formula::Hard { .. } => {
                    f64::ln_1p(count)
                }
                Formula::Dcl | Formula::Dclw { .. } => count.ln(),
                Formula::Spectral { scale } => scale * scale - 2.0 * scale,
                Formula::EqCo { virtual_negatives } => virtual_negatives.ln_1p(),
            };
            let batch =
                Batch { views: [&view, &view], negatives, classes: None, temperature: 0.1, normalise: true };
            let (value, gradient) = batch.value_and_gradient(formula, &never).unwrap();
            assert!((value - expected).abs() < 1e-14, "{formula:?}: {value} {expected}");
            assert!(gradient.iter().flat_map(|g| &g.data).all(|g| g.abs() < 1e-14), "{formula:?}");
        }
    }
}

#[test]
fn special_cases_are_the_simpler_loss() {
    let [first, second] = views(4, N, D);
    let none = Formula::Debiased { class_probability: 0.0 };
    for (special, simple) in [
        (Formula::Hard { class_probability: 0.1, beta: 0.0 }, FORMULAS[1]),
        (none, Formula::InfoNce),
        (Formula::EqCo { virtual_negatives: 8.0 }, Formula::InfoNce),
        (Formula::Dclw { sigma: 1e12 }, Formula::Dcl),
    ] {
        for temperature in [0.01, 0.5] {
            let views = [&first, &second];
            let negatives = Negatives::BothViews;
            let batch = Batch { views, negatives, classes: None, temperature, normalise: true };
            let [special, simple] =
                [special, simple].map(|formula| batch.value_and_gradient(formula, &never).unwrap());
            assert!((special.0 - simple.0).abs() < 1e-11, "{} {}", special.0, simple.0);
            for (a, b) in special.1.iter().zip(&simple.1).flat_map(|(a, b)| a.data.iter().zip(&b.data)) {
                assert!((a - b).abs() < 1e-9, "{a} {b}");
            }
        }
    }
}

/// One anchor's negatives written as a list are those of the second view; in several blocks, on any threads.
#[test]
fn lists_are_the_second_view_and_threads_change_no_bit() {
    let n = 1100;
    let [first, second] = views(5, n, 3);
    let list: Vec<usize> = (0..n).flat_map(|i| (0..n).filter(move |&j| j != i)).collect();
    let on = |threads: usize, negatives: Negatives<'_>| {
        let views = [&first, &second];
        let batch = Batch { views, negatives, classes: None, temperature: 0.2, normalise: true };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| batch.value_and_gradient(Formula::InfoNce, &never).unwrap())
    };
    let (value, gradient) = on(1, Negatives::SecondView);
    assert_eq!((value, &gradient), (on(3, Negatives::SecondView).0, &on(3, Negatives::SecondView).1));
    let both = on(1, Negatives::BothViews);
    assert_eq!(both, on(3, Negatives::BothViews));
    let (other, slope) = on(2, Negatives::Samples(&list));
    assert!((value - other).abs() < 1e-13);
    for (a, b) in gradient.iter().zip(&slope).flat_map(|(a, b)| a.data.iter().zip(&b.data)) {
        assert!((a - b).abs() < 1e-15, "{a} {b}");
    }
}

/// With all samples in one batch the measured columns are these losses.
#[test]
fn the_measured_columns_are_losses_of_a_batch() {
    let [mut first, mut second] = views(6, N, D);
    first.normalise_nonzero_rows();
    second.normalise_nonzero_rows();
    let means = crate::class_means(&first, &CLASSES, 3).unwrap();
    let evaluation = Evaluation {
        labels: &CLASSES,
        class_means: &means,
        sample_means: None,
        temperature: 0.5,
        num_draws: NumDraws::new(N as u64).unwrap(),
        passes: Some(1),
    };
    let mut order = stream(7, Purpose::Evaluation, 0);
    let views = Views { first, second };
    let row = crate::components(&evaluation, &mut order, &never, |_| Ok::<_, Error>(views.clone())).unwrap();
    let found = [(Quantity::InfoNce, Negatives::SecondView), (Quantity::NtXent, Negatives::BothViews)];
    for (quantity, negatives) in found {
        let batch = Batch {
            views: [&views.first, &views.second],
            negatives,
            classes: None,
            temperature: 0.5,
            normalise: true,
        };
        let (value, expected) = (batch.value(Formula::InfoNce, &never).unwrap(), row.get(quantity).unwrap());
        assert!((value - expected).abs() < 1e-14, "{quantity:?}: {value} {expected}");
    }
}

/// Products beyond the range of doubles are refused: no maximum passes over what is no number.
#[test]
fn what_overflows_is_refused_and_not_left_out() {
    let first = Matrix { rows: 2, cols: 2, data: vec![1e200, 1.0, 1e200, 0.0] };
    let second = Matrix { rows: 2, cols: 2, data: vec![1e200, 0.0, 2e200, 0.0] };
    for formula in FORMULAS {
        let batch = Batch {
            views: [&first, &second],
            negatives: Negatives::SecondView,
            classes: None,
            temperature: 1.0,
            normalise: false,
        };
        assert!(batch.value(formula, &never).is_err(), "{formula:?}");
        assert!(batch.value_and_gradient(formula, &never).is_err(), "{formula:?}");
    }
    let (anchor, away) = ([1.0, 0.0, 1.0, 0.0], [-1.0, 0.0, -1.0, 0.0]);
    let [anchor, away] = [anchor, away].map(|data| Matrix { rows: 2, cols: 2, data: data.to_vec() });
    for formula in
        [Formula::Hard { class_probability: 0.1, beta: 1.0 }, Formula::Debiased { class_probability: 0.1 }]
    {
        let batch = Batch {
            views: [&anchor, &away],
            negatives: Negatives::BothViews,
            classes: None,
            temperature: 1e-310,
            normalise: false,
        };
        assert!(batch.value(formula, &never).is_err(), "{formula:?}");
    }
}

#[test]
fn extremes_keep_their_digits() {
    // The positive at the anchor, the negatives at right angles: ln(1 + 2e^{−1/t}), e^{−100} = 4e-44.
    let view = Matrix { rows: 3, cols: 3, data: vec![1e200, 0.0, 0.0, 0.0, 1e-200, 0.0, 0.0, 0.0, 5e-324] };
    let batch = |temperature| Batch {
        views: [&view, &view],
        negatives: Negatives::SecondView,
        classes: None,
        temperature,
        normalise: true,
    };
    let value = batch(0.01).value(Formula::InfoNce, &never).unwrap();
    assert!((value / (2.0 * (-100f64).exp()) - 1.0).abs() < 1e-12, "{value:e}");
    assert_eq!(batch(1e-300).value(Formula::InfoNce, &never).unwrap(), 0.0);
    let opposite = Matrix { data: view.data.iter().map(|x| -x).collect(), ..view.clone() };
    let away = Batch { views: [&view, &opposite], ..batch(1e-4) };
    let value = away.value(Formula::InfoNce, &never).unwrap();
    assert!((value - (1e4 + 2f64.ln())).abs() < 1e-9, "{value}");
    let error = Batch { temperature: 1e-320, ..away }.value(Formula::InfoNce, &never).unwrap_err();
    assert!(error.to_string().contains("overflows"), "{error}");
    // The gradient by a row is as large as that row is short, and at most 1/t for one of length 1.
    for (length, fits) in [(1e-300, true), (1e-310, false)] {
        let short = Matrix { rows: 3, cols: 2, data: vec![length, 0.0, 0.0, 1.0, 1.0, 1.0] };
        let other = Matrix { rows: 3, cols: 2, data: vec![1.0, 1.0, 0.0, 1.0, 1.0, 0.0] };
        let batch = Batch { views: [&short, &other], ..batch(0.5) };
        assert!(batch.value(Formula::InfoNce, &never).unwrap().is_finite());
        match batch.value_and_gradient(Formula::InfoNce, &never) {
            Ok((_, gradient)) => {
                assert!(fits && gradient.iter().flat_map(|g| &g.data).all(|g| g.is_finite()), "{length:e}");
            }
            Err(error) => assert!(!fits && error.to_string().contains("overflows"), "{length:e}: {error}"),
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let [first, second] = views(1, N, D);
    let (narrow, rows) = (random(1, N, 3), random(1, 7, D));
    let mut broken = first.clone();
    broken.data[6] = f64::NAN;
    let zero = Matrix::zeros(N, D);
    let good = Batch {
        views: [&first, &second],
        negatives: Negatives::SecondView,
        classes: None,
        temperature: 0.5,
        normalise: true,
    };
    let given = |negatives| Batch { negatives, ..good };
    let one = [0; N];
    for (batch, word) in [
        (Batch { views: [&first, &narrow], ..good }, "[5, 4], view 2 has [5, 3]"),
        (Batch { views: [&first, &broken], ..good }, "row 1 of view 2, column 2, is NaN"),
        (Batch { views: [&zero, &first], ..good }, "row 0 of view 1 is zero"),
        (Batch { temperature: 0.0, ..good }, "temperature = 0.0 is not a positive"),
        (Batch { temperature: f64::NAN, ..good }, "temperature = NaN"),
        (Batch { temperature: -1e-310, ..good }, "temperature = -1e-310 is not"),
        (Batch { classes: Some(&one[..2]), ..good }, "2 classes for 5 samples"),
        (Batch { classes: Some(&one), ..good }, "all candidates are of its class 0"),
        (Batch { classes: Some(&CLASSES), ..given(Negatives::Shared(&rows)) }, "have no classes"),
        (given(Negatives::Samples(&[1, 2, 3])), "3 negatives are no K ≥ 1 for each of 5 anchors"),
        (given(Negatives::Samples(&[])), "0 negatives"),
        (given(Negatives::Samples(&[1, 2, 3, 4, 9])), "negative 4 is sample 9, not one of 0..5"),
        (given(Negatives::Samples(&[1, 1, 3, 4, 0])), "negative 0 of anchor 1 is its own sample"),
        (given(Negatives::Own(&rows)), "7 negatives"),
        (given(Negatives::Shared(&narrow)), "3 columns, the views have 4"),
        (Batch { views: [&Matrix::zeros(0, D), &Matrix::zeros(0, D)], ..good }, "hold no features"),
    ] {
        let error = batch.value(Formula::InfoNce, &never).unwrap_err().to_string();
        assert!(error.contains(word) && !error.contains('\n'), "{error}");
    }
    let lone = Matrix { rows: 1, cols: 1, data: vec![1.0] };
    let error = Batch { views: [&lone, &lone], ..good }.value(Formula::Dcl, &never).unwrap_err();
    assert!(error.to_string().contains("a batch of 1 samples has none"), "{error}");
    for (formula, word) in [
        (Formula::Debiased { class_probability: 1.0 }, "class_probability = 1"),
        (Formula::Hard { class_probability: 0.0, beta: f64::INFINITY }, "beta = inf"),
        (Formula::Dclw { sigma: 0.0 }, "sigma = 0"),
        (Formula::EqCo { virtual_negatives: -1.0 }, "virtual_negatives = -1"),
        (Formula::Spectral { scale: f64::NAN }, "scale = NaN"),
    ] {
        let error = good.value(formula, &never).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    let error = good.value(Formula::Dcl, &|| true).unwrap_err();
    assert!(matches!(error, Error::Interrupted(_)), "{error}");
}
