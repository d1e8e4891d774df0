//! Draws against their definition.

use super::*;
use crate::rng::Purpose;

const COUNTER: Counter = Counter { seed: 7, purpose: Purpose::Augmentation, step: 0 };

fn sampler() -> Sampler {
    Sampler::new(&Augmentation::default(), 32, 32).unwrap()
}

#[test]
fn exp_is_within_its_bound() {
    let mut worst = 0.0f64;
    for i in -280_000..=280_000 {
        let t = i as f32 * 1e-5;
        let truth = f64::from(t).exp();
        worst = worst.max(((f64::from(exp(t)) - truth) / truth).abs());
    }
    assert!(worst < 2.4e-7, "{worst:e}");
    assert_eq!(exp(0.0), 1.0);
}

#[test]
fn ratios_are_within_their_bound() {
    let sampler = sampler();
    let mut worst = 0.0f64;
    for i in 0..1 << 20 {
        let word: u32 = i << 12;
        let truth = 0.75 * (16f64 / 9.0).powf(f64::from(unit(word)));
        worst = worst.max(((f64::from(sampler.ratio(word)) - truth) / truth).abs());
    }
    assert!(worst < 3e-7, "{worst:e}");
}

#[test]
fn permutations_are_the_24() {
    let mut all: Vec<_> = (0..24).map(|i| permutation(i).map(|part| part as usize)).collect();
    assert_eq!(all[0], [0, 1, 2, 3]);
    assert_eq!(all[23], [3, 2, 1, 0]);
    assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "in lexicographic order");
    all.dedup();
    assert_eq!(all.len(), 24);
}

/// Boxes against the definition evaluated in f64 on independent numbers (ChaCha): means of area and log-ratio
/// of the boxes as rounded, of their top and left, and the share of attempts that fit, each within 4.5
/// standard errors.
#[test]
fn boxes_follow_the_definition() {
    use crate::rng::stream;
    use rand::Rng;
    const N: u32 = 200_000;
    let sampler = sampler();
    let statistics = |b: CropBox| {
        let (h, w) = (f64::from(b.height), f64::from(b.width));
        let centre = [f64::from(b.top) + h / 2.0, f64::from(b.left) + w / 2.0];
        let whole = f64::from(u8::from(b.height == 32 || b.width == 32));
        [
            h * w,
            (h * w).powi(2),
            (w / h).ln(),
            (w / h).ln().powi(2),
            centre[0],
            centre[1],
            centre[0].powi(2),
            whole,
        ]
    };
    let mut rng = stream(1, Purpose::Evaluation, 0);
    let mut reference = || loop {
        let area = 1024.0 * (0.08 + 0.92 * rng.random::<f64>());
        let ratio = (0.75f64.ln() + (16f64 / 9.0).ln() * rng.random::<f64>()).exp();
        let (w, h) = ((area * ratio).sqrt().round() as u32, (area / ratio).sqrt().round() as u32);
        if w <= 32 && h <= 32 {
            let (top, left) = (rng.random_range(0..=32 - h), rng.random_range(0..=32 - w));
            return CropBox { top, left, height: h, width: w };
        }
    };
    let moments = |draw: &mut dyn FnMut(u32) -> CropBox| {
        let (mut sum, mut square) = ([0.0; 8], [0.0; 8]);
        for i in 0..N {
            for (k, v) in statistics(draw(i)).into_iter().enumerate() {
                sum[k] += v / f64::from(N);
                square[k] += v * v / f64::from(N);
            }
        }
        (sum, square)
    };
    let (ours, squares) = moments(&mut |i| sampler.parameters(&COUNTER, i, 0).crop);
    let (theirs, _) = moments(&mut |_| reference());
    for k in 0..8 {
        // Both sides are samples of N: the variance of the difference is twice that of one mean.
        let error = (2.0 * (squares[k] - ours[k] * ours[k]) / f64::from(N)).sqrt();
        let z = (ours[k] - theirs[k]) / error;
        assert!(z.abs() < 4.5, "statistic {k}: {} against {}, z = {z:.1}", ours[k], theirs[k]);
    }
}

/// Shares and means of everything else, each within 4.5 standard errors of the exact value.
#[test]
fn colours_follow_the_definition() {
    const N: u32 = 100_000;
    let sampler = sampler();
    let mut sums = [0.0; 11];
    for i in 0..N {
        let p = sampler.parameters(&COUNTER, i, 1);
        let share = |b: bool| f64::from(u8::from(b));
        let first = |part: Part| share(p.order[0] == part);
        let hue = share(p.order[3] == Part::Hue);
        let mut values = vec![share(p.flip), share(p.jitter), share(p.grey)];
        values.extend([first(Part::Brightness), first(Part::Contrast), first(Part::Saturation), hue]);
        // As uniform numbers of mean 1/2 and variance 1/12.
        values.extend((0..3).map(|k| (f64::from(p.factors[k]) - 0.6) / 0.8));
        values.push((f64::from(p.factors[3]) + 0.1) / 0.2);
        assert!(values.iter().all(|v| (-1e-6..=1.0 + 1e-6).contains(v)), "{values:?}");
        values.iter().zip(&mut sums).for_each(|(v, sum)| *sum += v / f64::from(N));
    }
    let shares = [0.5, 0.8, 0.2, 0.25, 0.25, 0.25, 0.25];
    for (k, &mean) in sums.iter().enumerate() {
        let (truth, variance) = shares.get(k).map_or((0.5, 1.0 / 12.0), |&p| (p, p * (1.0 - p)));
        let z = (mean - truth) / (variance / f64::from(N)).sqrt();
        assert!(z.abs() < 4.5, "quantity {k}: {mean} against {truth}, z = {z:.1}");
    }
}

#[test]
fn boxes_that_never_fit_give_the_centre() {
    // 4 × 64: every box of at least half the area with ratio 1 is too high.
    let augmentation = Augmentation { scale: (0.5, 1.0), ratio: (1.0, 1.0), ..Augmentation::default() };
    let sampler = Sampler::new(&augmentation, 4, 64).unwrap();
    let crop = sampler.parameters(&COUNTER, 0, 0).crop;
    assert_eq!(crop, CropBox { top: 0, left: 30, height: 4, width: 4 });
    let high = Sampler::new(&augmentation, 64, 5).unwrap().parameters(&COUNTER, 0, 0).crop;
    assert_eq!(high, CropBox { top: 29, left: 0, height: 5, width: 5 });
}

#[test]
fn settings_outside_their_range_are_refused() {
    let base = Augmentation::default();
    for (bad, named) in [
        (Augmentation { size: 0, ..base }, "size is 0"),
        (Augmentation { scale: (0.0, 1.0), ..base }, "scale is (0, 1)"),
        (Augmentation { scale: (0.5, 0.2), ..base }, "scale is (0.5, 0.2)"),
        (Augmentation { ratio: (0.75, f32::NAN), ..base }, "ratio is (0.75, NaN)"),
        (Augmentation { hue: 0.6, ..base }, "hue is 0.6"),
        (Augmentation { contrast: -0.1, ..base }, "contrast is -0.1"),
        (Augmentation { grey_probability: 1.5, ..base }, "grey_probability is 1.5"),
    ] {
        let error = Sampler::new(&bad, 32, 32).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    assert!(Sampler::new(&base, 32, 5000).unwrap_err().to_string().contains("width is 5000"));
}

/// Old runs stay reproducible only while these do not change.
#[test]
fn first_draws_are_part_of_the_interface() {
    use Part::{Brightness, Contrast, Hue, Saturation};
    let first = Parameters {
        crop: CropBox { top: 7, left: 0, height: 14, width: 17 },
        flip: true,
        jitter: false,
        grey: false,
        factors: [0.9552678, 0.633636, 1.3041325, -0.0021552816],
        order: [Brightness, Saturation, Hue, Contrast],
    };
    let other = Parameters {
        crop: CropBox { top: 6, left: 0, height: 24, width: 29 },
        flip: false,
        jitter: true,
        grey: false,
        factors: [1.1145406, 1.1538236, 0.9686295, -0.01424408],
        order: [Brightness, Saturation, Contrast, Hue],
    };
    assert_eq!(sampler().parameters(&COUNTER, 0, 0), first);
    assert_eq!(sampler().parameters(&Counter { step: 9, ..COUNTER }, 49_999, 1), other);
}
