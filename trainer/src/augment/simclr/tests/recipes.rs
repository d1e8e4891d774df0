//! Whole views, and images as they are evaluated, against torchvision; `make_golden.py` says what the arrays are.

use super::*;

/// As `image_of` there, of its first channels.
fn image_of(height: usize, width: usize, channels: usize) -> Vec<u8> {
    let value = |y: usize, x: usize, c: usize| {
        ((3 * y * y + 5 * x * x + 7 * x * y * (c + 1) + 640 * c) / 16 % 256) as u8
    };
    (0..height * width * channels)
        .map(|i| value(i / channels / width, i / channels % width, i % channels))
        .collect()
}

fn chosen(view: &[f32], count: usize) -> Vec<f32> {
    (0..count).map(|k| view[7919 * k % view.len()]).collect()
}

struct Arrays(HashMap<String, Tensor>);

impl Arrays {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/augment/recipes.npz");
        Self(Tensor::read_npz(path).unwrap().into_iter().collect())
    }

    /// Rows of N whole numbers.
    fn whole<const N: usize>(&self, name: &str) -> Vec<[usize; N]> {
        let values: Vec<i64> = self.0[name].flatten_all().unwrap().to_vec1().unwrap();
        values.as_chunks().0.iter().map(|row: &[i64; N]| row.map(|v| v as usize)).collect()
    }

    fn rows(&self, name: &str) -> Vec<Vec<f32>> {
        let tensor = &self.0[name];
        tensor.reshape((tensor.dims()[0], ())).unwrap().to_vec2().unwrap()
    }
}

/// MoCo v2's views and SimCLR's at 224 × 224 and other sizes, of larger and smaller images, in colour and in grey.
#[test]
fn recipes_are_those_of_torchvision() {
    let arrays = Arrays::read();
    let (sizes, crops, orders) =
        (arrays.whole::<3>("sizes"), arrays.whole::<4>("crops"), arrays.whole::<4>("orders"));
    let (flips, greys) = (arrays.whole::<1>("flips"), arrays.whole::<1>("greys"));
    let (factors, sigmas) = (arrays.rows("factors"), arrays.rows("sigmas"));
    let mut worst = 0.0f32;
    for (channels, values) in [(3, arrays.rows("values")), (1, arrays.rows("grey_values"))] {
        for (case, &[height, width, size]) in sizes.iter().enumerate() {
            let sampler = sampler(size, height, width).with_channels(channels).unwrap();
            let [top, left, box_height, box_width] = crops[case].map(|v| v as u32);
            let parameters = Parameters {
                crop: CropBox { top, left, height: box_height, width: box_width },
                flip: flips[case] == [1],
                jitter: true,
                grey: greys[case] == [1],
                factors: factors[case][..].try_into().unwrap(),
                order: orders[case].map(|part| PARTS[part]),
                blur: (sigmas[case][0] > 0.0).then_some(sigmas[case][0]),
            };
            let found = view(&parameters, &sampler, &image_of(height, width, channels));
            let d = difference(&chosen(&found, values[case].len()), &values[case]);
            worst = worst.max(d);
            assert!(d <= 2e-6, "case {case}, {channels} channels: off by {d:e}");
        }
    }
    println!("largest difference of a recipe: {worst:e}");
}

#[test]
fn evaluated_images_are_those_of_torchvision() {
    let arrays = Arrays::read();
    for ([height, width, size], expected) in
        arrays.whole::<3>("centres").into_iter().zip(arrays.rows("centre_values"))
    {
        let sampler = sampler(size, height, width);
        let found = centre_batch(&sampler, &image_of(height, width, 3), &[0]).unwrap();
        let d = difference(&chosen(&found, expected.len()), &expected);
        // Pixels that are only cut out have no rounding but that of /255.
        let tolerance = if size <= height.min(width) { 0.0 } else { 5e-7 };
        assert!(d <= tolerance, "{size} of {height}×{width}: off by {d:e}");
    }
}
