use super::*;
use crate::ops::testing::*;
use candle_core::{Device, Var};

/// The definition, value by value: y, and dx of dy.
fn reference(x: &[f32], dy: &[f32], sizes: Sizes) -> (Vec<f32>, Vec<f32>) {
    let [images, height, width, channels] = sizes;
    let [_, rows, columns, _] = output(sizes);
    let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
    for index in 0..images * rows * columns * channels {
        let (c, j) = (index % channels, index / channels % columns);
        let (i, n) = (index / channels / columns % rows, index / channels / columns / rows);
        let mut best: Option<usize> = None;
        for h in (0..height).filter(|h| h.abs_diff(2 * i) <= 1) {
            for v in (0..width).filter(|v| v.abs_diff(2 * j) <= 1) {
                let at = ((n * height + h) * width + v) * channels + c;
                if best.is_none_or(|best| x[at] > x[best]) {
                    best = Some(at);
                }
            }
        }
        let best = best.unwrap();
        y[index] = x[best];
        dx[best] += dy[index];
    }
    (y, dx)
}

#[test]
fn values_and_gradients_are_the_definition() {
    for (seed, sizes) in
        [[1, 1, 1, 1], [2, 1, 5, 3], [3, 6, 4, 2], [2, 7, 9, 33], [5, 16, 16, 64]].into_iter().enumerate()
    {
        // Rounded to halves, so that many values are equal.
        let x = (random(seed as u64, &sizes) * 2.0).unwrap().round().unwrap();
        let dy = random(9, &output(sizes));
        let (y, dx) = reference(&flat(&x), &flat(&dy), sizes);
        let x = Var::from_tensor(&x).unwrap();
        let found = x.apply_op1(MaxPool).unwrap();
        assert_eq!((found.dims(), flat(&found)), (&output(sizes)[..], y), "{sizes:?}");
        let gradients = (found * &dy).unwrap().sum_all().unwrap().backward().unwrap();
        assert_eq!(flat(gradients.get(&x).unwrap()), dx, "{sizes:?}");
    }
}

/// `torch.nn.functional.max_pool2d(x, 3, 2, 1)` of PyTorch 2.15 and its gradient, for dy = 1, 2, 3, …
#[test]
fn ties_and_numbers_that_are_none_are_as_in_pytorch() {
    let pool = |x: &[f32], dy: &[f32]| {
        let x = Tensor::new(x, &Device::Cpu).unwrap().reshape((1, 1, x.len(), 1)).unwrap();
        let dy = Tensor::new(dy, &Device::Cpu).unwrap().reshape((1, 1, dy.len(), 1)).unwrap();
        (flat(&forward(&x).unwrap()), flat(&backward(&x, &dy).unwrap()))
    };
    assert_eq!(pool(&[0.0; 5], &[1.0, 2.0, 3.0]), (vec![0.0; 3], vec![1.0, 2.0, 0.0, 3.0, 0.0]));
    let (y, dx) = pool(&[1.0, f32::NAN, 5.0, 2.0, f32::NAN], &[1.0, 2.0, 3.0]);
    assert!(y.iter().all(|y| y.is_nan()));
    assert_eq!(dx, [0.0, 3.0, 0.0, 0.0, 3.0]);
    let low = f32::NEG_INFINITY;
    assert_eq!(pool(&[low, low, low], &[1.0, 2.0]), (vec![low, low], vec![1.0, 2.0, 0.0]));
}

#[test]
fn strides_and_threads_change_no_bit() {
    let (x, dy) = (random(1, &[6, 9, 8, 20]), random(2, &[6, 5, 4, 20]));
    let run =
        |x: &Tensor, dy: &Tensor| [flat(&forward(x).unwrap()), flat(&backward(x, dy).unwrap())].concat();
    assert_eq!(run(&x, &dy), run(&strided(&x), &strided(&dy)));
    assert_same_bits(|| run(&x, &dy));
}

#[test]
fn refusals_name_the_shape() {
    assert!(forward(&random(1, &[4, 3])).unwrap_err().to_string().contains("[4, 3]"));
    let error = backward(&random(1, &[1, 4, 4, 2]), &random(2, &[1, 3, 2, 2])).unwrap_err().to_string();
    assert!(error.contains("[1, 3, 2, 2]") && error.contains("[1, 2, 2, 2]"), "{error}");
}
