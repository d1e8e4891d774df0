//! Draws against their definition.

use super::*;
use measure::rng::{Purpose, stream};
use rand::Rng;

const COUNTER: Counter = Counter { seed: 7, purpose: Purpose::Augmentation, step: 0 };

fn view(number: u32) -> View {
    View::new(number).unwrap()
}

fn sampler() -> Sampler {
    Sampler::new(&Augmentation::default(), 32, 32).unwrap()
}

#[test]
fn exp_is_within_its_bound() {
    let mut worst = 0.0f64;
    for i in -2_000_000..=2_000_000 {
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

/// A box by the definition, in f64, from independent numbers; whether one of the ten attempts fitted.
fn reference(sides: [u32; 2], scale: (f64, f64), ratio: (f64, f64), rng: &mut impl Rng) -> (CropBox, bool) {
    let [height, width] = sides;
    let pixels = f64::from(height * width);
    for _ in 0..10 {
        let area = pixels * (scale.0 + (scale.1 - scale.0) * rng.random::<f64>());
        let r = (ratio.0.ln() + (ratio.1 / ratio.0).ln() * rng.random::<f64>()).exp();
        let [h, w] = [area / r, area * r].map(|square| square.sqrt().round_ties_even() as u32);
        if 0 < w && w <= width && 0 < h && h <= height {
            let (top, left) = (rng.random_range(0..=height - h), rng.random_range(0..=width - w));
            return (CropBox { top, left, height: h, width: w }, true);
        }
    }
    let (mut h, mut w) = (f64::from(height), f64::from(width));
    if w / h < ratio.0 {
        h = (w / ratio.0).round_ties_even();
    } else if w / h > ratio.1 {
        w = (h * ratio.1).round_ties_even();
    }
    let (h, w) = (h as u32, w as u32);
    (CropBox { top: (height - h) / 2, left: (width - w) / 2, height: h, width: w }, false)
}

/// Boxes against the definition evaluated in f64 on independent numbers (ChaCha): first and second moments of
/// height, width, log-ratio and both coordinates of the centre, the mean area, and the shares of boxes as high
/// or as wide as the image and of the box after ten that did not fit, each within 4.5 standard errors of the
/// difference.
///
/// Neither images nor ranges of ratios are symmetric, so that no two sides can change places. The second
/// image is so flat that most of its views find no box in ten attempts.
#[test]
fn boxes_follow_the_definition() {
    const N: u32 = 200_000;
    for (sides, scale, least_fallbacks) in [([24, 40], (0.08, 1.0), 0), ([12, 60], (0.4, 1.0), N / 4)] {
        let ratio = (0.5, 3.0);
        let augmentation = Augmentation { scale, ratio, ..Augmentation::default() };
        let sampler = Sampler::new(&augmentation, sides[0] as usize, sides[1] as usize).unwrap();
        let statistics = |b: CropBox| {
            let (h, w) = (f64::from(b.height), f64::from(b.width));
            let (y, x) = (f64::from(b.top) + h / 2.0, f64::from(b.left) + w / 2.0);
            let r = (w / h).ln();
            let shares = [b.height == sides[0], b.width == sides[1], b == sampler.fallback];
            let [high, wide, fallback] = shares.map(|b| f64::from(u8::from(b)));
            [h, h * h, w, w * w, r, r * r, y, y * y, x, x * x, h * w, high, wide, fallback]
        };
        let moments = |draw: &mut dyn FnMut(u32) -> CropBox| {
            let (mut mean, mut square) = ([0.0; 14], [0.0; 14]);
            for i in 0..N {
                for (k, v) in statistics(draw(i)).into_iter().enumerate() {
                    mean[k] += v / f64::from(N);
                    square[k] += v * v / f64::from(N);
                }
            }
            (mean, square)
        };
        let (ours, squares) = moments(&mut |i| sampler.parameters(&COUNTER, i, view(0)).crop);
        let (mut rng, mut fallbacks) = (stream(1, Purpose::Evaluation, 0), 0);
        let scale = (f64::from(scale.0), f64::from(scale.1));
        let (theirs, their_squares) = moments(&mut |_| {
            let (crop, fits) = reference(sides, scale, (0.5, 3.0), &mut rng);
            fallbacks += u32::from(!fits);
            crop
        });
        assert!(fallbacks >= least_fallbacks, "{sides:?}: {fallbacks} of {N}");
        for k in 0..14 {
            let variance = squares[k] - ours[k] * ours[k] + their_squares[k] - theirs[k] * theirs[k];
            let (ours, theirs) = (ours[k], theirs[k]);
            // No box of the second image is as wide as it is: 0 on both sides, without an error.
            let z = if ours == theirs { 0.0 } else { (ours - theirs) / (variance / f64::from(N)).sqrt() };
            assert!(z.abs() < 4.5, "{sides:?}, statistic {k}: {ours} against {theirs}, z = {z:.1}");
        }
    }
}

/// Factors as numbers between 0 and 1.
fn standardised(p: &Parameters) -> [f64; 4] {
    let [b, c, s, h] = p.factors.map(f64::from);
    [(b - 0.6) / 0.8, (c - 0.6) / 0.8, (s - 0.6) / 0.8, (h + 0.1) / 0.2]
}

/// Shares of flip, jitter, grey and of parts at a place of the order, and E v = ½, E v² = ⅓ of each factor v
/// (standardised to \[0, 1\]; variances 1/12 and 1/5 − 1/9 = 4/45), each within 4.5 standard errors of the
/// exact value.
#[test]
fn colours_follow_the_definition() {
    const N: u32 = 100_000;
    let sampler = sampler();
    let mut means = [0.0; 15];
    for i in 0..N {
        let p = sampler.parameters(&COUNTER, i, view(1));
        let share = |b: bool| f64::from(u8::from(b));
        let first = |part: Part| share(p.order[0] == part);
        let hue = share(p.order[3] == Part::Hue);
        let mut values = vec![share(p.flip), share(p.jitter), share(p.grey)];
        values.extend([first(Part::Brightness), first(Part::Contrast), first(Part::Saturation), hue]);
        let factors = standardised(&p);
        assert!(factors.iter().all(|v| (-1e-6..=1.0 + 1e-6).contains(v)), "{factors:?}");
        values.extend(factors);
        values.extend(factors.map(|v| v * v));
        values.iter().zip(&mut means).for_each(|(v, mean)| *mean += v / f64::from(N));
    }
    let shares = [0.5, 0.8, 0.2, 0.25, 0.25, 0.25, 0.25].map(|p: f64| (p, p * (1.0 - p)));
    let exact = [&shares[..], &[(0.5, 1.0 / 12.0); 4], &[(1.0 / 3.0, 4.0 / 45.0); 4]].concat();
    for (k, (&mean, (truth, variance))) in means.iter().zip(exact).enumerate() {
        let z = (mean - truth) / (variance / f64::from(N)).sqrt();
        assert!(z.abs() < 4.5, "quantity {k}: {mean} against {truth}, z = {z:.1}");
    }
}

/// Flip, jitter, grey, the part that is first, and the four factors are independent of each other, of the
/// box, and of the same choice for the other view and for the next image: of each such pair the correlation,
/// times √N, is standard normal, and stays below 4.5.
#[test]
fn choices_are_independent() {
    const N: u32 = 100_000;
    const CHOICES: usize = 8;
    let sampler = sampler();
    let draw = |image: u32, number: u32| {
        let p = sampler.parameters(&COUNTER, image, view(number));
        let share = |b: bool| f64::from(u8::from(b));
        let mut values = vec![share(p.flip), share(p.jitter), share(p.grey)];
        values.push(share(p.order[0] == Part::Brightness));
        values.extend(standardised(&p));
        let [top, left, height, width] =
            [p.crop.top, p.crop.left, p.crop.height, p.crop.width].map(f64::from);
        values.extend([height * width, width / height, top, left]);
        values
    };
    let mut columns = vec![Vec::new(); 3 * CHOICES + 4];
    for i in 0..N {
        let row = [draw(i, 1), draw(i, 0)[..CHOICES].to_vec(), draw(i + 1, 1)[..CHOICES].to_vec()].concat();
        row.into_iter().zip(&mut columns).for_each(|(v, column)| column.push(v));
    }
    let n = f64::from(N);
    for column in &mut columns {
        let mean = column.iter().sum::<f64>() / n;
        let deviation = (column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        column.iter_mut().for_each(|v| *v = (*v - mean) / deviation);
    }
    // Columns before `own` are this view's choices; then come its box, the other view, the next image.
    for own in 0..CHOICES {
        for other in own + 1..columns.len() {
            let product: f64 = columns[own].iter().zip(&columns[other]).map(|(a, b)| a * b).sum();
            let z = product / n.sqrt();
            assert!(z.abs() < 4.5, "quantities {own} and {other}: z = {z:.1}");
        }
    }
}

#[test]
fn boxes_that_never_fit_give_the_centre() {
    // 4 × 64: every box of at least half the area with ratio 1 is too high.
    let augmentation = Augmentation { scale: (0.5, 1.0), ratio: (1.0, 1.0), ..Augmentation::default() };
    let sampler = Sampler::new(&augmentation, 4, 64).unwrap();
    let crop = sampler.parameters(&COUNTER, 0, view(0)).crop;
    assert_eq!(crop, CropBox { top: 0, left: 30, height: 4, width: 4 });
    let high = Sampler::new(&augmentation, 64, 5).unwrap().parameters(&COUNTER, 0, view(0)).crop;
    assert_eq!(high, CropBox { top: 29, left: 0, height: 5, width: 5 });
}

/// A half goes to the even number, as Python's `round` has it; boxes are those that torchvision 0.26 gives.
#[test]
fn half_a_pixel_is_rounded_to_the_even_number() {
    let box_of = |height, width, scale, ratio| {
        let augmentation = Augmentation { scale, ratio, ..Augmentation::default() };
        Sampler::new(&augmentation, height, width).unwrap().parameters(&COUNTER, 0, view(0)).crop
    };
    // No box fits; the fallback would be 2½ wide, or 2½ high.
    let wide = box_of(5, 64, (0.5, 1.0), (0.5, 0.5));
    assert_eq!(wide, CropBox { top: 0, left: 31, height: 5, width: 2 });
    let high = box_of(64, 5, (0.5, 1.0), (2.0, 2.0));
    assert_eq!(high, CropBox { top: 31, left: 0, height: 2, width: 5 });
    // A quarter of 5 × 5 is 2½ × 2½.
    let drawn = box_of(5, 5, (0.25, 0.25), (1.0, 1.0));
    assert_eq!((drawn.height, drawn.width), (2, 2));
    // A fallback that torchvision would make empty.
    assert_eq!(
        box_of(1, 64, (1.0, 1.0), (0.0625, 0.0625)),
        CropBox { top: 0, left: 31, height: 1, width: 1 }
    );
}

/// 2⁻²⁴ of 4096 × 4096 is one pixel.
#[test]
fn the_least_box_is_a_pixel_of_the_largest_image() {
    let least = 2f32.powi(-24);
    let augmentation = Augmentation { scale: (least, least), ratio: (1.0, 1.0), ..Augmentation::default() };
    let crop = Sampler::new(&augmentation, 4096, 4096).unwrap().parameters(&COUNTER, 0, view(0)).crop;
    assert_eq!((crop.height, crop.width), (1, 1));
    let less = Augmentation { scale: (least / 2.0, 1.0), ..augmentation };
    let error = Sampler::new(&less, 32, 32).unwrap_err().to_string();
    assert!(error.contains("lie between 0.000000059604645 and 1"), "{error}");
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
        (Augmentation { blur_probability: -1.0, ..base }, "blur_probability is -1"),
        (Augmentation { blur_sigma: (0.0, 2.0), ..base }, "blur_sigma is (0, 2)"),
        (Augmentation { blur_sigma: (2.0, f32::NAN), ..base }, "blur_sigma is (2, NaN)"),
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
        blur: None,
    };
    let other = Parameters {
        crop: CropBox { top: 6, left: 0, height: 24, width: 29 },
        flip: false,
        jitter: true,
        grey: false,
        factors: [1.1145406, 1.1538236, 0.9686295, -0.01424408],
        order: [Brightness, Saturation, Contrast, Hue],
        blur: None,
    };
    assert_eq!(sampler().parameters(&COUNTER, 0, view(0)), first);
    assert_eq!(sampler().parameters(&Counter { step: 9, ..COUNTER }, 49_999, view(1)), other);
}
