//! Against the formulas in f64, candle's AdamW, and the optimiser of `optim`.

use super::*;
use crate::ops::testing::*;
use candle_core::{DType, Device, Var};
use candle_nn::Optimizer as _;

const SGD: Rule = Rule::Sgd { momentum: 0.9 };
// A trust so large that movements stand well above the rounding of the weights.
const LARS: Rule = Rule::Lars { trust: 0.5, momentum: 0.9, clip: false };
const ADAM: Rule = Rule::AdamW { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };

/// Lengths that put several segments into a chunk, and one across three; numbers 40 and 41 belong to none.
fn segments() -> Vec<Segment> {
    let segment =
        |start, length, decays, adapts| Segment { start, length, decays, adapts, half_gradient: false };
    vec![
        segment(0, 33, true, true),
        segment(33, 7, false, false),
        segment(42, 40_000, true, true),
        segment(40_042, 1, true, false),
        segment(40_043, 0, true, true),
        segment(40_043, 900, false, true),
    ]
}

const LENGTH: usize = 40_943;

/// The gradient that apex's LARC(clip=False) hands to SGD without decay, line by line:
/// `if param_norm != 0 and grad_norm != 0: adaptive_lr = trust_coefficient * param_norm / (grad_norm + param_norm *
/// weight_decay + eps); grad += weight_decay * p; grad *= adaptive_lr`, eps = 1e-8.
fn larc(mut gradient: f64, weight: f64, [norm_w, norm_g]: [f64; 2], decay: f64, trust: f64) -> f64 {
    if norm_w != 0.0 && norm_g != 0.0 {
        let adaptive = trust * norm_w / (norm_g + norm_w * decay + 1e-8);
        gradient += decay * weight;
        gradient *= adaptive;
    }
    gradient
}

/// Three steps of the formulas in f64.
fn reference(rule: Rule, start: &[f64], gradients: &[Vec<f64>], decay: f64, rate: f64) -> Vec<f64> {
    let mut w = start.to_vec();
    let (mut m, mut v) = (vec![0.0; w.len()], vec![0.0; w.len()]);
    for (k, gradient) in gradients.iter().enumerate() {
        for segment in segments() {
            let range = segment.start..segment.start + segment.length;
            let decay = if segment.decays { decay } else { 0.0 };
            let norm = |x: &[f64]| x.iter().map(|v| v * v).sum::<f64>().sqrt();
            let (norm_w, norm_g) = (norm(&w[range.clone()]), norm(&gradient[range.clone()]));
            for i in range {
                let g = gradient[i];
                match rule {
                    Rule::Sgd { momentum } | Rule::Lars { momentum, .. } => {
                        let g = match rule {
                            Rule::Lars { trust, .. } if segment.adapts => {
                                larc(g, w[i], [norm_w, norm_g], decay, trust)
                            }
                            _ => g + decay * w[i],
                        };
                        v[i] = momentum * v[i] + g;
                        w[i] -= rate * v[i];
                    }
                    Rule::AdamW { beta1, beta2, epsilon } => {
                        let k = k as i32 + 1;
                        w[i] *= 1.0 - rate * decay;
                        m[i] = beta1 * m[i] + (1.0 - beta1) * g;
                        v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
                        let (mean, square) = (m[i] / (1.0 - beta1.powi(k)), v[i] / (1.0 - beta2.powi(k)));
                        w[i] -= rate * mean / (square.sqrt() + epsilon);
                    }
                }
            }
        }
    }
    w
}

fn gradients() -> Vec<Tensor> {
    (10..13).map(|seed| random(seed, &[LENGTH])).collect()
}

/// Parameters after three steps, then the state.
fn found(rule: Rule, start: &Tensor, gradients: &[Tensor], decay: f64, rate: f64) -> Vec<f32> {
    let zeros = Tensor::zeros(LENGTH * rule.num_states(), DType::F32, &Device::Cpu).unwrap();
    let state = Tensor::cat(&[start, &zeros], 0).unwrap();
    let optimiser = Optimiser::new(rule, decay, &segments()).unwrap();
    for (k, gradient) in gradients.iter().enumerate() {
        optimiser.step(&state, gradient, rate, k as u64 + 1).unwrap();
    }
    flat(&state)
}

#[test]
fn three_steps_agree_with_the_formulas() {
    let (start, gradients) = (random(1, &[LENGTH]), gradients());
    let gradients64: Vec<Vec<f64>> = gradients.iter().map(flat64).collect();
    for rule in [SGD, LARS, ADAM] {
        let found = found(rule, &start, &gradients, 0.05, 0.03);
        let expected = reference(rule, &flat64(&start), &gradients64, 0.05, 0.03);
        let moved = |w: &[f64]| w.iter().zip(flat64(&start)).map(|(w, s)| w - s).collect::<Vec<f64>>();
        let found_moved: Vec<f32> = found[..LENGTH].iter().zip(flat(&start)).map(|(w, s)| w - s).collect();
        // The movement, not the weights: rounding of weights of order 1 against movements of order 0.01.
        assert_close(&found_moved, &moved(&expected), 1e-5, &format!("{rule:?}"));
        assert_eq!(found[40..42], flat(&start)[40..42], "numbers outside every segment");
    }
}

#[test]
fn adamw_agrees_with_candle() {
    let (start, gradients) = (random(1, &[LENGTH]), gradients());
    let var = Var::from_tensor(&start).unwrap();
    let params = candle_nn::ParamsAdamW { lr: 0.03, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.05 };
    let mut theirs = candle_nn::AdamW::new(vec![var.clone()], params).unwrap();
    let zeros = Tensor::zeros(2 * LENGTH, DType::F32, &Device::Cpu).unwrap();
    let state = Tensor::cat(&[&start, &zeros], 0).unwrap();
    let whole = [Segment { start: 0, length: LENGTH, decays: true, adapts: false, half_gradient: false }];
    let ours = Optimiser::new(ADAM, 0.05, &whole).unwrap();
    for (k, gradient) in gradients.iter().enumerate() {
        theirs.backward_step(&(var.as_tensor() * gradient).unwrap().sum_all().unwrap()).unwrap();
        ours.step(&state, gradient, 0.03, k as u64 + 1).unwrap();
    }
    assert_close(&flat(&state)[..LENGTH], &flat64(&var), 1e-6, "AdamW");
}

#[test]
fn lars_is_apexs_larc_at_zero_and_tiny_norms() {
    let segment = [Segment { start: 0, length: 2, decays: true, adapts: true, half_gradient: false }];
    let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
    let norm = |x: &[f32]| x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    // Zero weights; zero gradient, where the weights stay without decay; both; a gradient of the order of eps.
    for (w, g) in [
        ([0f32, 0.0], [1f32, 2.0]),
        ([2.0, 4.0], [0.0, 0.0]),
        ([0.0, 0.0], [0.0, 0.0]),
        ([2.0, 4.0], [3e-9, -4e-9]),
        ([2.0, 4.0], [0.5, -0.25]),
    ] {
        for decay in [0.0, 0.5] {
            let optimiser = Optimiser::new(LARS, decay, &segment).unwrap();
            let state = tensor(&[w[0], w[1], 0.0, 0.0]);
            optimiser.step(&state, &tensor(&g), 0.5, 1).unwrap();
            let v: Vec<f64> = (0..2)
                .map(|i| larc(f64::from(g[i]), f64::from(w[i]), [norm(&w), norm(&g)], decay, 0.5))
                .collect();
            let moved: Vec<f64> = (0..2).map(|i| f64::from(w[i]) - 0.5 * v[i]).collect();
            assert_close(&flat(&state), &[moved, v].concat(), 2e-7, &format!("{w:?} {g:?} {decay}"));
        }
    }
}

/// By solo-learn's `LARSWrapper(clip=True)`: `new_lr = min(new_lr / group["lr"], 1)`.
#[test]
fn lars_clips_where_the_factor_exceeds_the_rate() {
    let segment = [Segment { start: 0, length: 2, decays: true, adapts: true, half_gradient: false }];
    // ‖w‖ = 5, ‖∇‖ = 1: a factor of 0.5·5/(1 + 0.1·5) = 5/3.
    let (w, g) = ([3f64, 4.0], [0.6f64, -0.8]);
    for (rate, scale) in [(0.5, 1.0), (4.0, 5.0 / 12.0)] {
        let rule = Rule::Lars { trust: 0.5, momentum: 0.9, clip: true };
        let optimiser = Optimiser::new(rule, 0.1, &segment).unwrap();
        let tensor =
            |values: &[f64]| Tensor::new(values, &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
        let state = tensor(&[w[0], w[1], 0.0, 0.0]);
        optimiser.step(&state, &tensor(&g), rate, 1).unwrap();
        let v: Vec<f64> = (0..2).map(|i| scale * (g[i] + 0.1 * w[i])).collect();
        let moved: Vec<f64> = (0..2).map(|i| w[i] - rate * v[i]).collect();
        assert_close(&flat(&state), &[moved, v].concat(), 1e-6, &format!("rate {rate}"));
    }
}

#[test]
fn lars_shows_a_nan() {
    // A norm that is NaN is not 0: every weight of the segment becomes NaN, as in apex.
    let segment = [Segment { start: 0, length: 2, decays: true, adapts: true, half_gradient: false }];
    let optimiser = Optimiser::new(LARS, 0.0, &segment).unwrap();
    let state = Tensor::new(&[2f32, 4.0, 0.0, 0.0], &Device::Cpu).unwrap();
    optimiser.step(&state, &Tensor::new(&[1f32, f32::NAN], &Device::Cpu).unwrap(), 0.5, 1).unwrap();
    assert!(flat(&state).iter().all(|v| v.is_nan()));
}

#[test]
fn strides_and_threads_change_no_bit() {
    let start = random(1, &[LENGTH]);
    let gradients = gradients();
    // Every second number of a longer tensor.
    let doubled =
        |g: &Tensor| Tensor::stack(&[g, g], 1).unwrap().narrow(1, 0, 1).unwrap().squeeze(1).unwrap();
    let strided: Vec<Tensor> = gradients.iter().map(doubled).collect();
    assert!(!strided[0].is_contiguous());
    for rule in [SGD, LARS, ADAM] {
        assert_eq!(found(rule, &start, &gradients, 0.05, 0.03), found(rule, &start, &strided, 0.05, 0.03));
        assert_same_bits(|| found(rule, &start, &gradients, 0.05, 0.03));
    }
}

#[test]
fn refusals_name_the_value() {
    let refused =
        |rule, decay, segments: &[Segment]| Optimiser::new(rule, decay, segments).unwrap_err().to_string();
    assert!(refused(Rule::Sgd { momentum: 1.0 }, 0.0, &[]).contains("momentum must be in [0, 1), not 1"));
    assert!(refused(Rule::AdamW { beta1: 0.9, beta2: -0.5, epsilon: 1e-8 }, 0.0, &[]).contains("beta2"));
    assert!(refused(SGD, f64::NAN, &[]).contains("weight decay"));
    let mut overlapping = segments();
    overlapping[0].length = 34;
    assert!(refused(SGD, 0.0, &overlapping).contains("length: 34"));
    let optimiser = Optimiser::new(SGD, 0.0, &segments()).unwrap();
    let step = |state: usize, gradient: usize, step| {
        optimiser.step(&random(1, &[state]), &random(2, &[gradient]), 0.1, step).unwrap_err().to_string()
    };
    assert!(step(LENGTH, LENGTH, 1).contains("the state has shape [40943] instead of [81886]"));
    assert!(step(80, 40, 1).contains("outside 40 parameters"));
    assert!(step(2 * LENGTH, LENGTH, 0).contains("step 0"));
}
