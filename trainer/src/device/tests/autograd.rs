//! Our operations within candle's autograd on a CUDA device beside the same on the CPU: candle's own kernels add the
//! gradients of a branch, broadcast and sum.

use super::gpu;
use super::network::{distance, flat};
use crate::ops::batch_norm::BatchNorm;
use crate::ops::conv::Conv2d;
use crate::ops::linear::Linear;
use crate::ops::pool::GlobalAverage;
use candle_core::{Device, Tensor, Var};
use measure::rng::{Purpose, normal, stream};

/// Normal numbers, the same on every device.
fn variable(index: u64, dims: &[usize], device: &Device) -> Var {
    let mut rng = stream(17, Purpose::Initialisation, index);
    let values: Vec<f32> = (0..dims.iter().product()).map(|_| normal(&mut rng)).collect();
    Var::from_tensor(&Tensor::from_vec(values, dims, device).unwrap()).unwrap()
}

/// Of a residual block with a linear layer behind it: the loss, then its gradients.
fn evaluate(device: &Device) -> Vec<Tensor> {
    const SHAPES: [&[usize]; 8] =
        [&[6, 6, 5, 3], &[8, 3, 3, 3], &[2, 8], &[8, 3, 3, 8], &[2, 8], &[5, 8], &[5], &[6, 5]];
    let variables: Vec<Var> =
        SHAPES.iter().enumerate().map(|(index, dims)| variable(index as u64, dims, device)).collect();
    let [x, w, affine, second_w, second_affine, weight, bias, targets] = &variables[..] else {
        unreachable!()
    };
    let (convolve, normalise) = (Conv2d { stride: 1, padding: 1 }, BatchNorm { epsilon: 1e-5, relu: true });
    let h = x.apply_op2(w, convolve).unwrap().apply_op2(affine, normalise).unwrap();
    let y = h.apply_op2(second_w, convolve).unwrap().apply_op3(second_affine, &h, normalise).unwrap();
    let features = y.apply_op1(GlobalAverage).unwrap();
    let output = features.apply_op3(weight, bias, Linear { relu: false }).unwrap();
    let error = (output - targets.as_tensor()).unwrap();
    let loss = (error.sqr().unwrap().sum_all().unwrap() * 0.5).unwrap();
    let gradients = loss.backward().unwrap();
    let gradients = variables.iter().map(|v| gradients.get(v).unwrap().clone());
    [loss.clone()].into_iter().chain(gradients).collect()
}

#[test]
fn gradients_are_those_of_the_cpu() {
    let Some(device) = gpu() else { return };
    let (found, expected) = (evaluate(&Device::Cuda(device)), evaluate(&Device::Cpu));
    for (found, expected) in found.iter().zip(&expected) {
        let off = distance(&flat(found), &flat(expected));
        // A normalisation subtracts what is nearly its gradient; seen: 1.6e-5.
        assert!(off < 1e-4, "{:?}: {off}", expected.dims());
    }
}
