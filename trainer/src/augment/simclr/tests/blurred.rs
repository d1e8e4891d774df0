//! Larger boxes, and the blur, against their definitions; draws of the blur.

use super::*;

fn blurring(probability: f32, size: usize) -> Augmentation {
    Augmentation { size, blur_probability: probability, ..Augmentation::default() }
}

/// Half as large: pixel i is the mean of four pixels with weights 1, 3, 3, 1, those of them that the box has.
#[test]
fn a_reduction_by_hand() {
    let sampler = Sampler::new(&blurring(0.0, 2), 1, 4).unwrap().with_channels(1).unwrap();
    let image = [10u8, 60, 200, 90];
    let crop = CropBox { top: 0, left: 0, height: 1, width: 4 };
    let found = view(&Parameters { crop, ..PLAIN }, &sampler, &image);
    let (first, last) = ((30.0 + 180.0 + 200.0) / 7.0, (60.0 + 600.0 + 270.0) / 7.0);
    for (found, expected) in found.chunks(2).flatten().zip([first, last, first, last]) {
        assert!((found - expected / 255.0).abs() < 1e-7, "{found} {expected}");
    }
    let flipped = view(&Parameters { crop, flip: true, ..PLAIN }, &sampler, &image);
    assert_eq!([found[0], found[1]], [flipped[1], flipped[0]]);
}

/// A point becomes the product of two kernels of SimCLR's length, whose weights are evaluated in f64.
#[test]
fn a_blurred_point_is_the_kernel() {
    let (size, radius) = (60, 3);
    let sampler = sampler(size, size, size);
    let crop = CropBox { top: 0, left: 0, height: 60, width: 60 };
    let mut image = vec![0; sampler.image_len()];
    let (row, column) = (30, 20);
    image[3 * (row * size + column) + 1] = 255;
    for sigma in [0.1f32, 0.3, 1.0, 2.0, 50.0] {
        let found = view(&Parameters { crop, blur: Some(sigma), ..PLAIN }, &sampler, &image);
        let weight = |d: usize| (-0.5 * (d as f64 / f64::from(sigma)).powi(2)).exp();
        let sum: f64 = 1.0 + 2.0 * (1..=radius).map(weight).sum::<f64>();
        for (i, pixel) in found.chunks(3).enumerate() {
            let (dy, dx) = ((i / size).abs_diff(row), (i % size).abs_diff(column));
            let inside = dy <= radius && dx <= radius;
            let expected = if inside { weight(dy) * weight(dx) / (sum * sum) } else { 0.0 };
            assert!((f64::from(pixel[1]) - expected).abs() < 2e-7, "σ = {sigma}, {dy}, {dx}: {pixel:?}");
            assert_eq!([pixel[0], pixel[2]], [0.0; 2]);
        }
    }
}

/// So that MoCo v2, which flips after the blur, has the same views.
#[test]
fn the_blur_commutes_with_the_flip() {
    let sampler = sampler(50, 60, 60);
    let image = noise(1, &sampler);
    let crop = CropBox { top: 1, left: 5, height: 58, width: 40 };
    let straight = view(&Parameters { crop, blur: Some(1.2), ..PLAIN }, &sampler, &image);
    let flipped = view(&Parameters { crop, blur: Some(1.2), flip: true, ..PLAIN }, &sampler, &image);
    for (row, other) in straight.chunks(50 * 3).zip(flipped.chunks(50 * 3)) {
        let back: Vec<f32> = other.chunks(3).rev().flatten().copied().collect();
        assert_eq!(row, back);
    }
}

#[test]
fn a_flat_image_stays_what_it_is() {
    for size in [1, 19, 20, 21, 64, 224] {
        let sampler = sampler(size, 8, 8);
        let crop = CropBox { top: 0, left: 0, height: 8, width: 8 };
        for value in [0u8, 77, 255] {
            let image = vec![value; sampler.image_len()];
            let found = view(&Parameters { crop, blur: Some(2.0), ..PLAIN }, &sampler, &image);
            let expected = f32::from(value) / 255.0;
            assert!(found.iter().all(|v| (v - expected).abs() < 3e-7 && *v <= 1.0), "{size}, {value}");
        }
    }
}

/// The blur has random numbers of its own: nothing else moves, and its share and σ follow the settings (4.5 standard
/// errors: σ is uniform in [0.1, 2.0], of mean 1.05 and variance 1.9²/12).
#[test]
fn draws_of_the_blur() {
    const N: u32 = 20_000;
    let [without, with] =
        [0.0, 0.5].map(|probability| Sampler::new(&blurring(probability, 32), 32, 32).unwrap());
    let (mut count, mut sum) = (0.0, 0.0);
    for image in 0..N {
        let number = View::new(1).unwrap();
        let (plain, mut found) =
            (without.parameters(&COUNTER, image, number), with.parameters(&COUNTER, image, number));
        if let Some(sigma) = found.blur.take() {
            assert!((0.1..=2.0).contains(&sigma));
            (count, sum) = (count + 1.0, sum + f64::from(sigma));
        }
        assert_eq!(plain, found);
    }
    let n = f64::from(N);
    assert!((count / n - 0.5).abs() < 4.5 * (0.25 / n).sqrt(), "{count}");
    assert!((sum / count - 1.05).abs() < 4.5 * (1.9f64.powi(2) / 12.0 / count).sqrt(), "{}", sum / count);
}

/// Settings that say nothing about the blur are written as before there was one.
#[test]
fn the_blur_is_not_written_where_there_is_none() {
    let text = toml::to_string(&Augmentation::default()).unwrap();
    assert!(!text.contains("blur"), "{text}");
    let moco: Augmentation = toml::from_str("blur_probability = 0.5\nblur_sigma = [0.1, 2.0]").unwrap();
    assert_eq!(moco, blurring(0.5, 32));
    let text = toml::to_string(&Augmentation { blur_sigma: (0.5, 1.0), ..moco }).unwrap();
    assert!(text.contains("blur_probability = 0.5") && text.contains("blur_sigma = [0.5, 1.0]"), "{text}");
}
