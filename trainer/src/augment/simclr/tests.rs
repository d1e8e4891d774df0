//! Views against torchvision's, identities, and the same bits every time.

mod blurred;
mod recipes;

use super::parameters::{CropBox, PARTS, Parameters, Part, Sampler};
use super::*;
use candle_core::{DType, Device, Tensor};
use measure::rng::Purpose;
use measure::rng::philox::philox4x32;
use std::collections::HashMap;

const COUNTER: Counter = Counter { seed: 7, purpose: Purpose::Augmentation, step: 3 };
/// Nothing but a crop.
const PLAIN: Parameters = Parameters::of_box(CropBox { top: 0, left: 0, height: 32, width: 32 });

fn sampler(size: usize, height: usize, width: usize) -> Sampler {
    Sampler::new(&Augmentation { size, ..Augmentation::default() }, height, width).unwrap()
}

fn view(parameters: &Parameters, sampler: &Sampler, image: &[u8]) -> Vec<f32> {
    let mut out = vec![f32::NAN; sampler.view_len()];
    apply(parameters, sampler, image, &mut Scratch::new(sampler), &mut out);
    out
}

/// `count` images of random bytes: byte i is the upper byte of the first word of counter (i, 0, 0, 0).
fn noise(count: usize, sampler: &Sampler) -> Vec<u8> {
    let byte = |i| (philox4x32([i, 0, 0, 0], [0, 0])[0] >> 24) as u8;
    (0..(count * sampler.image_len()) as u32).map(byte).collect()
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    // Not `max`, which would pass over a NaN.
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |worst, d| if d <= worst { worst } else { d })
}

/// `make_golden.py` says what the arrays are.
#[test]
fn views_are_those_of_torchvision() {
    for channels in [3, 1] {
        views_of_torchvision(channels);
    }
}

fn views_of_torchvision(channels: usize) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/augment/golden.npz");
    let arrays: HashMap<String, Tensor> = Tensor::read_npz(path).unwrap().into_iter().collect();
    let flat = |name: &str| arrays[name].flatten_all().unwrap();
    let whole = |name: &str| -> Vec<usize> {
        flat(name).to_vec1::<i64>().unwrap().into_iter().map(|v| v as usize).collect()
    };
    let (cases, height, width, _) = arrays["images"].dims4().unwrap();
    let sampler = sampler(arrays["stages"].dims()[2], height, width).with_channels(channels).unwrap();
    // A grey image is the first channel.
    let bytes: Vec<u8> = flat("images").to_vec1().unwrap();
    let images: Vec<u8> = bytes.chunks(3).flat_map(|pixel| pixel[..channels].to_vec()).collect();
    let stages = if channels == 3 { "stages" } else { "grey_stages" };
    let stages: Vec<f32> = flat(stages).to_vec1().unwrap();
    let factors: Vec<f32> = flat("factors").to_vec1().unwrap();
    let (crops, flips, orders) = (whole("crops"), whole("flips"), whole("orders"));
    let mut worst = [0.0f32; 6];
    for case in 0..cases {
        let image = &images[case * sampler.image_len()..][..sampler.image_len()];
        let [top, left, height, width] = std::array::from_fn(|i| crops[4 * case + i] as u32);
        let order: [Part; 4] = std::array::from_fn(|i| PARTS[orders[4 * case + i]]);
        for (stage, worst) in worst.iter_mut().enumerate() {
            // After `stage` parts: those not yet applied are set to change nothing.
            let mut strengths = PLAIN.factors;
            for &part in &order[..stage.min(4)] {
                strengths[part as usize] = factors[4 * case + part as usize];
            }
            let parameters = Parameters {
                crop: CropBox { top, left, height, width },
                flip: flips[case] == 1,
                jitter: stage > 0,
                grey: stage == 5,
                factors: strengths,
                order,
                blur: None,
            };
            let found = view(&parameters, &sampler, image);
            let expected = &stages[(6 * case + stage) * sampler.view_len()..][..sampler.view_len()];
            let d = difference(&found, expected);
            *worst = worst.max(d);
            assert!(d <= 1e-6, "case {case}, stage {stage}: off by {d:e}");
        }
    }
    println!("largest differences, {channels} channels: {worst:?}");
}

/// A grey image in one channel beside the same in three equal ones, whose grey is g = 0.9999 v.
#[test]
fn a_grey_view_is_that_of_three_equal_channels() {
    let grey = sampler(32, 28, 30).with_channels(1).unwrap();
    let colour = sampler(32, 28, 30);
    let images = noise(40, &grey);
    let thrice: Vec<u8> = images.iter().flat_map(|&v| [v; 3]).collect();
    let compare = |change: &dyn Fn(&mut Parameters)| -> f32 {
        let mut worst = 0.0f32;
        for index in 0..40 {
            let number = View::new(1).unwrap();
            let mut parameters = grey.parameters(&COUNTER, index, number);
            assert_eq!(parameters, colour.parameters(&COUNTER, index, number), "the same random numbers");
            change(&mut parameters);
            let at = |sampler: &Sampler| {
                index as usize * sampler.image_len()..(index as usize + 1) * sampler.image_len()
            };
            let found = view(&parameters, &grey, &images[at(&grey)]);
            let expected = view(&parameters, &colour, &thrice[at(&colour)]);
            for channel in 0..3 {
                let plane: Vec<f32> = expected.iter().copied().skip(channel).step_by(3).collect();
                worst = worst.max(difference(&found, &plane));
            }
        }
        worst
    };
    // Crop, flip and brightness: the same bits.
    let brightness = compare(&|p| {
        p.jitter = true;
        (p.factors[1], p.factors[2], p.factors[3], p.grey) = (1.0, 1.0, 0.0, false);
    });
    assert_eq!(brightness, 0.0);
    // Contrast blends towards m or 0.9999 m with |1 − f| ≤ 0.4 and m ≤ 1.
    let contrast = compare(&|p| {
        p.jitter = true;
        (p.factors[2], p.factors[3], p.grey) = (1.0, 0.0, false);
    });
    assert!(contrast > 0.0 && contrast < 0.4e-4 + 5e-7, "{contrast:e}");
    // All parts: contrast and saturation at most 0.4e-4 each, which later factors of up to 1.4 enlarge, and grey 1e-4.
    let all = compare(&|_| {});
    assert!(all < 2.0 * 0.4e-4 * 1.4 * 1.4 + 1e-4 + 2e-6, "{all:e}");
    let mut views = augment_batch(&grey, &images, &[3, 5], &COUNTER, 2).unwrap();
    assert_eq!(views.len(), 4 * 32 * 32);
    assert_eq!(views.split_off(3 * 32 * 32), {
        let parameters = grey.parameters(&COUNTER, 5, View::new(1).unwrap());
        view(&parameters, &grey, &images[5 * grey.image_len()..6 * grey.image_len()])
    });
    let error = sampler(32, 28, 28).with_channels(2).unwrap_err().to_string();
    assert_eq!(error, "images of 2 channels; views are made of 1 (grey) or 3");
}

#[test]
fn the_whole_image_stays_what_it_is() {
    let sampler = sampler(32, 32, 32);
    let image = noise(1, &sampler);
    let exact: Vec<f32> = image.iter().map(|&v| f32::from(v) / 255.0).collect();
    assert_eq!(view(&PLAIN, &sampler, &image), exact);
    let jittered = Parameters { jitter: true, ..PLAIN };
    assert_eq!(view(&jittered, &sampler, &image), exact, "factors 1 and hue 0 change nothing");
}

#[test]
fn a_flip_exchanges_columns() {
    let sampler = sampler(32, 40, 50);
    let image = noise(1, &sampler);
    let crop = CropBox { top: 3, left: 11, height: 37, width: 20 };
    let straight = view(&Parameters { crop, ..PLAIN }, &sampler, &image);
    let flipped = view(&Parameters { crop, flip: true, ..PLAIN }, &sampler, &image);
    for (row, other) in straight.chunks(32 * 3).zip(flipped.chunks(32 * 3)) {
        let back: Vec<f32> = other.chunks(3).rev().flatten().copied().collect();
        assert_eq!(row, back);
    }
    assert_ne!(straight, flipped);
}

/// Twice as large: pixel 2i lies a quarter of a pixel before pixel i, pixel 2i + 1 a quarter behind.
#[test]
fn interpolation_by_hand() {
    let sampler = sampler(4, 2, 2);
    let image: Vec<u8> = [0u8, 100, 200, 60].iter().flat_map(|&v| [v; 3]).collect();
    let crop = CropBox { top: 0, left: 0, height: 2, width: 2 };
    let found = view(&Parameters { crop, ..PLAIN }, &sampler, &image);
    let along = |a: f32, b: f32| [a, 0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b, b];
    let (first, last) = (along(0.0, 100.0), along(200.0, 60.0));
    for x in 0..4 {
        for (y, value) in along(first[x], last[x]).into_iter().enumerate() {
            let pixel = &found[3 * (4 * y + x)..][..3];
            assert!(pixel.iter().all(|v| (v - value / 255.0).abs() < 1e-7), "({y}, {x}): {pixel:?}, {value}");
        }
    }
}

/// A third of a turn exchanges the channels, half a turn is the same either way, and a small turn changes
/// little.
#[test]
fn hue_turns_around() {
    let sampler = sampler(32, 32, 32);
    let image = noise(1, &sampler);
    let straight = view(&PLAIN, &sampler, &image);
    let turned = |shift: f32| {
        let factors = [1.0, 1.0, 1.0, shift];
        view(&Parameters { jitter: true, factors, ..PLAIN }, &sampler, &image)
    };
    let rotated: Vec<f32> = straight.chunks(3).flat_map(|p| [p[2], p[0], p[1]]).collect();
    assert!(difference(&turned(1.0 / 3.0), &rotated) < 2e-6);
    assert!(difference(&turned(0.5), &turned(-0.5)) < 2e-6);
    // The limit of a small turn is no turn; the hue moves by up to 6 · 1e-6 in a channel.
    assert!(difference(&turned(1e-6), &straight) < 8e-6);
    assert!(difference(&turned(-1e-6), &straight) < 8e-6);
}

/// Contrast keeps the mean of the grey image, saturation every pixel's grey, where nothing is clamped.
#[test]
fn blends_keep_what_they_blend_towards() {
    let sampler = sampler(32, 32, 32);
    let image: Vec<u8> = noise(1, &sampler).into_iter().map(|v| 96 + v / 4).collect();
    let grey_of = |factors: [f32; 4]| -> Vec<f32> {
        let parameters = Parameters { jitter: true, grey: true, factors, ..PLAIN };
        view(&parameters, &sampler, &image).into_iter().step_by(3).collect()
    };
    let mean = |v: &[f32]| v.iter().map(|&v| f64::from(v)).sum::<f64>() / v.len() as f64;
    let straight = grey_of(PLAIN.factors);
    let contrasted = grey_of([1.0, 1.4, 1.0, 0.0]);
    // The grey weights add up to 0.9999, hence a mean m becomes 1.4 m − 0.4 · 0.9999 m.
    let expected = mean(&straight) * (1.4 - 0.4 * 0.9999);
    assert!((mean(&contrasted) - expected).abs() < 1e-6, "{} {expected}", mean(&contrasted));
    assert!(difference(&straight, &contrasted) > 0.01);
    let saturated = grey_of([1.0, 1.0, 1.4, 0.0]);
    let expected: Vec<f32> = straight.iter().map(|g| g * (1.4 - 0.4 * 0.9999)).collect();
    assert!(difference(&saturated, &expected) < 1e-6);
}

#[test]
fn without_strengths_a_view_is_its_crop() {
    let nothing = Augmentation {
        flip_probability: 0.0,
        jitter_probability: 1.0,
        brightness: 0.0,
        contrast: 0.0,
        saturation: 0.0,
        hue: 0.0,
        grey_probability: 0.0,
        ..Augmentation::default()
    };
    let sampler = Sampler::new(&nothing, 32, 32).unwrap();
    let images = noise(3, &sampler);
    let views = augment_batch(&sampler, &images, &[0, 1, 2], &COUNTER, 1).unwrap();
    for (i, found) in views.chunks(sampler.view_len()).enumerate() {
        let crop = sampler.parameters(&COUNTER, i as u32, View::new(0).unwrap()).crop;
        let image = &images[i * sampler.image_len()..][..sampler.image_len()];
        assert_eq!(found, view(&Parameters { crop, ..PLAIN }, &sampler, image));
    }
}

#[test]
fn the_same_bits_in_any_batch_on_any_number_of_threads() {
    let sampler = sampler(32, 32, 32);
    let images = noise(50, &sampler);
    let indices: Vec<u32> = (0..50).rev().collect();
    let batch = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| augment_batch(&sampler, &images, &indices, &COUNTER, 2)).unwrap()
    };
    let views = batch(1);
    assert_eq!(views, batch(2));
    assert_eq!(views, batch(3));
    let length = sampler.view_len();
    let alone = augment_batch(&sampler, &images, &[49], &COUNTER, 2).unwrap();
    assert_eq!(alone[..length], views[..length]);
    assert_eq!(alone[length..], views[50 * length..51 * length]);
    assert_ne!(alone[..length], alone[length..]);
    assert!(views.iter().all(|v| (0.0..=1.0).contains(v)));
}

/// The kernel that a GPU runs must give these bits too (`trainer/cuda/emulate/simclr.cpp` has the same six
/// hashes), and old runs stay reproducible only while they do not change. FNV-1a over the bytes of the views.
#[test]
fn first_views_are_part_of_the_interface() {
    let hash = |sampler: &Sampler| {
        let views = augment_batch(sampler, &noise(20, sampler), &[3, 19, 0, 7, 8, 11], &COUNTER, 2).unwrap();
        let bytes = views.iter().flat_map(|v| v.to_bits().to_le_bytes());
        bytes.fold(0xcbf29ce484222325, |h: u64, byte| (h ^ u64::from(byte)).wrapping_mul(0x100000001b3))
    };
    let strong = Augmentation {
        size: 21,
        scale: (0.5, 1.0),
        ratio: (0.5, 2.0),
        brightness: 0.8,
        contrast: 1.5,
        saturation: 0.8,
        hue: 0.5,
        ..Augmentation::default()
    };
    let strong = Sampler::new(&strong, 14, 26).unwrap();
    // Here every view is the box after ten that do not fit.
    let flat = Augmentation { size: 8, scale: (0.5, 1.0), ratio: (0.5, 0.5), ..Augmentation::default() };
    let flat = Sampler::new(&flat, 5, 64).unwrap();
    let grey = sampler(32, 28, 28).with_channels(1).unwrap();
    // Some boxes are larger than the view, and seven views of ten are blurred.
    let blur = Augmentation { size: 60, blur_probability: 0.7, ..Augmentation::default() };
    let blurred = Sampler::new(&blur, 80, 50).unwrap();
    let soft = Augmentation { size: 270, scale: (0.01, 1.0), ..blur };
    let soft = Sampler::new(&soft, 30, 28).unwrap().with_channels(1).unwrap();
    let all = [&sampler(32, 32, 32), &strong, &flat, &grey, &blurred, &soft];
    assert_eq!(all.map(hash), FIRST_VIEWS);
}

const FIRST_VIEWS: [u64; 6] = [
    0xb0850639b8624a5c,
    0xd2f85a22fa480142,
    0xa2cc8786a14fe8b9,
    0xc6d171925b057191,
    0x712b5a1365188784,
    0xcf728d1f1924acc9,
];

#[test]
fn the_operation_takes_any_layout() {
    let sampler = sampler(6, 5, 7);
    let images = noise(4, &sampler);
    let expected = augment_batch(&sampler, &images, &[3, 1], &COUNTER, 2).unwrap();
    let operation = Augment::new(sampler, COUNTER, 2).unwrap();
    let data = Tensor::from_vec(images.clone(), (4, 5, 7, 3), &Device::Cpu).unwrap();
    // Stored with the channels first, every second index of four.
    let first = data.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap().permute((0, 2, 3, 1)).unwrap();
    let indices = Tensor::new(&[[3u32, 9], [1, 9]], &Device::Cpu).unwrap().t().unwrap();
    let strided = Tensor::new(&[[3u32, 9], [1, 9]], &Device::Cpu).unwrap().narrow(1, 0, 1).unwrap();
    let strided = strided.squeeze(1).unwrap();
    for (data, indices) in [(&data, &indices.get(0).unwrap()), (&first, &strided)] {
        let views = operation.apply(data, indices).unwrap();
        assert_eq!(views.dims(), [4, 6, 6, 3]);
        assert_eq!(views.flatten_all().unwrap().to_vec1::<f32>().unwrap(), expected);
        let buffer = Tensor::ones((5, 6, 6, 3), DType::F32, &Device::Cpu).unwrap();
        operation.apply_into(&buffer.narrow(0, 1, 4).unwrap(), data, indices).unwrap();
        let found = buffer.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(found[..108], [1.0; 108], "what lies before the part that is written stays");
        assert_eq!(found[108..], expected);
    }
}

#[test]
fn the_operation_takes_grey_images() {
    let sampler = sampler(6, 5, 7).with_channels(1).unwrap();
    let images = noise(4, &sampler);
    let expected = augment_batch(&sampler, &images, &[3, 1], &COUNTER, 2).unwrap();
    let data = Tensor::from_vec(images, (4, 5, 7, 1), &Device::Cpu).unwrap();
    let indices = Tensor::new(&[3u32, 1], &Device::Cpu).unwrap();
    let views = Augment::new(sampler, COUNTER, 2).unwrap().apply(&data, &indices).unwrap();
    assert_eq!(views.dims(), [4, 6, 6, 1]);
    assert_eq!(views.flatten_all().unwrap().to_vec1::<f32>().unwrap(), expected);
}

#[test]
fn what_does_not_fit_is_refused() {
    let sampler = sampler(32, 32, 32);
    let images = noise(2, &sampler);
    let message = |result: Result<Vec<f32>>| result.unwrap_err().to_string();
    let whole = message(augment_batch(&sampler, &images[1..], &[0], &COUNTER, 2));
    assert!(whole.contains("6143 bytes") && whole.contains("32 × 32 × 3"), "{whole}");
    let outside = message(augment_batch(&sampler, &images, &[0, 2], &COUNTER, 2));
    assert_eq!(outside, "entry 1 of the batch is image 2; the data set has 2");
    assert!(augment_batch(&sampler, &images, &[], &COUNTER, 2).unwrap().is_empty());
    assert!(Augment::new(sampler, COUNTER, u32::MAX).is_err());
    let operation = Augment::new(sampler, COUNTER, 2).unwrap();
    let tensor = |dtype, shape: &[usize]| Tensor::zeros(shape, dtype, &Device::Cpu).unwrap();
    let good = (tensor(DType::U8, &[2, 32, 32, 3]), tensor(DType::U32, &[2]));
    for (images, indices, named) in [
        (&tensor(DType::U8, &[2, 3, 32, 32]), &good.1, "[2, 3, 32, 32], not [N, 32, 32, 3]"),
        (&tensor(DType::U8, &[2, 32, 32, 1]), &good.1, "[2, 32, 32, 1], not [N, 32, 32, 3]"),
        (&good.0, &tensor(DType::U32, &[2, 1]), "[2, 1], not [B]"),
        (&tensor(DType::F32, &[2, 32, 32, 3]), &good.1, "(F32, U32)"),
    ] {
        let error = operation.apply(images, indices).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    for (views, named) in [
        (tensor(DType::F32, &[2, 32, 32, 3]), "[2, 32, 32, 3]; they must be [4, 32, 32, 3]"),
        (tensor(DType::F32, &[4, 3, 32, 32]).permute((0, 2, 3, 1)).unwrap(), "and contiguous"),
        (tensor(DType::BF16, &[4, 32, 32, 3]), "not BF16"),
    ] {
        let error = operation.apply_into(&views, &good.0, &good.1).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}

/// Images of any sides have views of any size; numbers stay in [0, 1].
#[test]
fn images_and_views_of_one_pixel() {
    for [height, width] in [[1, 1], [1, 9], [9, 1], [2, 2], [2, 3]] {
        for (size, channels) in [(1, 1), (1, 3), (2, 3), (5, 1)] {
            let settings = Augmentation { size, ..Augmentation::default() };
            let sampler = Sampler::new(&settings, height, width).unwrap().with_channels(channels).unwrap();
            let images: Vec<u8> = (0..3 * height * width * channels).map(|i| (i * 37 % 256) as u8).collect();
            for step in 0..40 {
                let counter = Counter { seed: 5, purpose: Purpose::Augmentation, step };
                let views = augment_batch(&sampler, &images, &[2, 0, 1], &counter, 2).unwrap();
                assert_eq!(views.len(), 6 * size * size * channels);
                assert!(views.iter().all(|v| (0.0..=1.0).contains(v)), "{height}×{width}, {size}: {views:?}");
            }
        }
    }
}
