//! The launches against plain loops in f64, on whatever CUDA device there is: a GPU, or the emulated device of
//! `trainer/cuda/emulate/launches.sh`, which sets TRAINER_REQUIRE_CUDA. Without a device and without that variable they
//! do nothing.

use super::DeviceChoice;
use super::Recording;
use super::graph::Replay;
use super::launch::Element;
use crate::ops::batch_norm::{self as tensors, cuda as batch_norm};
use crate::ops::cast::cuda as cast;
use crate::ops::conv::cuda as conv;
use crate::ops::info_nce::cuda as info_nce;
use crate::ops::linear::cuda as linear;
use crate::ops::max_pool;
use crate::ops::optimiser::{Segment, cuda as optimiser};
use crate::ops::pool::cuda as pool;
use crate::ops::sums::cuda as sums;
use candle_core::{CudaDevice, DType, Device, Tensor};
use cudarc::driver::CudaSlice;
use half::bf16;
use measure::rng::{Purpose, normal, stream};

mod autograd;
mod convolution;
mod graph;
mod losses;
mod network;
mod runs;
mod select;

fn gpu() -> Option<CudaDevice> {
    match DeviceChoice::Cuda(0).open() {
        Ok(opened) => match opened.device {
            Device::Cuda(device) => Some(device),
            other => panic!("{other:?}"),
        },
        Err(e) => {
            assert!(std::env::var_os("TRAINER_REQUIRE_CUDA").is_none(), "{e}");
            None
        }
    }
}

fn is_emulated(device: &CudaDevice) -> bool {
    super::gauge::name(device).unwrap() == "emulated"
}

/// Seeded normal numbers, rounded to T, on the device and in f64.
fn numbers<T: Element>(device: &CudaDevice, count: usize, index: u64) -> (CudaSlice<T>, Vec<f64>) {
    let mut rng = stream(5, Purpose::Initialisation, index);
    let values: Vec<T> = (0..count).map(|_| T::from_f64(f64::from(normal(&mut rng)))).collect();
    (device.clone_htod(&values).unwrap(), values.iter().map(|v| v.to_f64()).collect())
}

fn upload(device: &CudaDevice, values: &[f32]) -> CudaSlice<f32> {
    device.clone_htod(values).unwrap()
}

/// Compares in units of the largest reference; a result in bf16 may be off by half a unit in its last place, 2⁻⁸ of
/// itself.
fn close<T: Element>(what: &str, device: &CudaDevice, found: &CudaSlice<T>, reference: &[f64]) {
    let found: Vec<T> = device.clone_dtoh(found).unwrap();
    assert_eq!(found.len(), reference.len(), "{what}");
    let largest = reference.iter().fold(1e-30, |m: f64, v| m.max(v.abs()));
    let rounding = if T::NAME == "bf16" { 1.0 / 256.0 } else { 0.0 };
    for (i, (f, r)) in found.iter().zip(reference).enumerate() {
        let error = ((f.to_f64() - r).abs() - rounding * r.abs()) / largest;
        assert!(error < 5e-6, "{what} {} at {i}: {} instead of {r}", T::NAME, f.to_f64());
    }
}

/// Partial sums, added over their chunks.
fn total(device: &CudaDevice, partial: &CudaSlice<f32>, columns: usize) -> CudaSlice<f32> {
    let mut sums = upload(device, &vec![f32::NAN; columns]);
    sums::add_chunks(device, &partial.as_view(), &mut sums.as_view_mut()).unwrap();
    sums
}

fn check_batch_norm<T: Element>(device: &CudaDevice, rows: usize, channels: usize, relu: bool) {
    let size = rows * channels;
    let (x, xs) = numbers::<T>(device, size, 1);
    let (residual, residuals) = numbers::<T>(device, size, 2);
    let (mut gradient, gradients) = numbers::<T>(device, size, 3);
    let (affine, affines) = numbers::<f32>(device, 2 * channels, 4);
    let mut running = upload(device, &vec![0.5; 2 * channels]);
    let shape = (rows, channels);
    let stats =
        batch_norm::statistics(device, &x.as_view(), shape, Some(&mut running.as_view_mut()), 1e-5, 0.1)
            .unwrap();
    let one_row = batch_norm::statistics(device, &x.as_view(), (1, size), None, 1e-5, 0.1);
    assert!(one_row.err().is_some_and(|e| e.to_string().contains("not 1 of")));
    let column =
        |values: &[f64], c: usize| values.iter().skip(c).step_by(channels).copied().collect::<Vec<_>>();
    let mean: Vec<f64> = (0..channels).map(|c| column(&xs, c).iter().sum::<f64>() / rows as f64).collect();
    let squares: Vec<f64> =
        (0..channels).map(|c| column(&xs, c).iter().map(|v| (v - mean[c]).powi(2)).sum()).collect();
    let inverse: Vec<f64> = squares.iter().map(|s| 1.0 / (s / rows as f64 + 1e-5).sqrt()).collect();
    close("statistics", device, &stats, &[mean.clone(), inverse.clone()].concat());
    let moved =
        mean.iter().copied().chain(squares.iter().map(|s| s / (rows - 1) as f64)).map(|v| 0.45 + 0.1 * v);
    let moved: Vec<f64> = moved.collect();
    close("running statistics", device, &running, &moved);

    let more = residual.as_view();
    let y = batch_norm::apply(
        device,
        &x.as_view(),
        shape,
        &stats.as_view(),
        &affine.as_view(),
        Some(&more),
        relu,
    )
    .unwrap();
    let hat = |i: usize| (xs[i] - mean[i % channels]) * inverse[i % channels];
    let raw = |i: usize| affines[i % channels] * hat(i) + affines[channels + i % channels] + residuals[i];
    let ys: Vec<f64> = (0..size).map(|i| if relu { raw(i).max(0.0) } else { raw(i) }).collect();
    close("apply", device, &y, &ys);

    let (stats_view, affine_view, x_view, output) =
        (stats.as_view(), affine.as_view(), x.as_view(), y.as_view());
    let forward = batch_norm::Forward { x: &x_view, shape, stats: &stats_view, affine: &affine_view };
    let gradient_of = |g: &[f64], expected: &[f64]| -> Vec<f64> {
        let of = |i: usize| {
            let (c, r) = (i % channels, rows as f64);
            affines[c] * inverse[c] * (g[i] - expected[channels + c] / r - hat(i) * expected[c] / r)
        };
        (0..size).map(of).collect()
    };
    let sums_of = |g: &[f64]| {
        let mut expected = vec![0.0; 2 * channels];
        for i in 0..size {
            expected[i % channels] += g[i] * hat(i);
            expected[channels + i % channels] += g[i];
        }
        expected
    };
    // As if no residual had been added: the mask comes from x.
    let alone = |i: usize| affines[i % channels] * hat(i) + affines[channels + i % channels];
    let g: Vec<f64> = (0..size).map(|i| if relu && alone(i) <= 0.0 { 0.0 } else { gradients[i] }).collect();
    let expected = sums_of(&g);
    let partial = batch_norm::reduce(device, forward, &gradient.as_view(), relu).unwrap();
    let sums = total(device, &partial, 2 * channels);
    close("parameter gradients", device, &sums, &expected);
    let dx = batch_norm::input_gradient(device, forward, &gradient.as_view(), &sums.as_view(), relu).unwrap();
    close("input gradient", device, &dx, &gradient_of(&g, &expected));
    // With it, from y.
    let g: Vec<f64> = (0..size).map(|i| if ys[i] <= 0.0 { 0.0 } else { gradients[i] }).collect();
    let expected = sums_of(&g);
    let partial = batch_norm::masked_reduce(device, forward, &output, &mut gradient.as_view_mut()).unwrap();
    let sums = total(device, &partial, 2 * channels);
    close("masked gradient", device, &gradient, &g);
    close("parameter gradients", device, &sums, &expected);
    let mut view = gradient.as_view_mut();
    batch_norm::input_gradient_in_place(device, forward, &mut view, &sums.as_view(), false).unwrap();
    close("input gradient", device, &gradient, &gradient_of(&g, &expected));
    let frozen = batch_norm::running_statistics(device, &running.as_view(), channels, 1e-5).unwrap();
    let inverse = |v: &f64| 1.0 / (v + 1e-5).sqrt();
    close(
        "frozen",
        device,
        &frozen,
        &[moved[..channels].to_vec(), moved[channels..].iter().map(inverse).collect()].concat(),
    );
}

#[test]
fn batch_norm_is_its_formula() {
    let Some(device) = gpu() else { return };
    for (rows, channels, relu) in [(40, 3, true), (700, 16, true), (33, 264, false)] {
        check_batch_norm::<f32>(&device, rows, channels, relu);
        check_batch_norm::<bf16>(&device, rows, channels, relu);
    }
}

/// Operations of a training step of batch normalisation, recorded; only the emulated device counts nothing beside
/// kernels and copies.
fn num_batch_norm_operations(device: &CudaDevice, residual: bool) -> usize {
    let tensor = |shape: &[usize]| {
        let ones = Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
        ones.to_device(&Device::Cuda(device.clone())).unwrap()
    };
    let (x, around, affine) = (tensor(&[40, 16]), tensor(&[40, 16]), tensor(&[2, 16]));
    let (running, gradient, dy) = (tensor(&[2, 16]), tensor(&[2, 16]), tensor(&[40, 16]));
    let mut replay = Replay::new(device, Recording::Always);
    for _ in 0..3 {
        let step = || {
            let statistics = tensors::train_statistics(&x, &running, 1e-5, 0.1)?;
            let y = tensors::apply(&x, &statistics, &affine, residual.then_some(&around), true)?;
            let residual_output = residual.then_some(&y);
            let forward = tensors::Forward {
                x: &x,
                statistics: &statistics,
                affine: &affine,
                relu: true,
                residual_output,
            };
            tensors::backward(&dy, &forward, &gradient)?;
            Ok(())
        };
        replay.run(step).unwrap();
    }
    replay.num_operations()
}

#[test]
fn batch_norm_trains_in_six_launches() {
    let Some(device) = gpu() else { return };
    if super::gauge::name(&device).unwrap() != "emulated" || std::env::var_os("EMULATE_NO_GRAPHS").is_some() {
        return;
    }
    // Moments, statistics, output; partial sums, sums, gradient of the input. No copy into the gradient's place.
    assert_eq!(num_batch_norm_operations(&device, false), 6);
    assert_eq!(num_batch_norm_operations(&device, true), 6);
}

fn check_conv<T: Element>(device: &CudaDevice, x: [usize; 4], w: [usize; 4], stride: usize, padding: usize) {
    let shape = conv::Shape::new(x, w, stride, padding).unwrap();
    let y = shape.output();
    let count = |dims: [usize; 4]| dims.iter().product::<usize>();
    let ((xt, xs), (wt, ws)) = (numbers::<T>(device, count(x), 1), numbers::<T>(device, count(w), 2));
    let (dyt, dys) = numbers::<T>(device, count(y), 3);
    let (mut ys, mut dxs, mut dws) = (vec![0.0; count(y)], vec![0.0; count(x)], vec![0.0; count(w)]);
    let at = |dims: [usize; 4], i: [usize; 4]| ((i[0] * dims[1] + i[1]) * dims[2] + i[2]) * dims[3] + i[3];
    for place in 0..count(y) {
        let (o, q) = (place % y[3], place / y[3] % y[2]);
        let (p, n) = (place / y[3] / y[2] % y[1], place / y[3] / y[2] / y[1]);
        for tap in 0..w[1] * w[2] * w[3] {
            let (c, j, i) = (tap % w[3], tap / w[3] % w[2], tap / w[3] / w[2]);
            let (h, v) = (p * stride + i, q * stride + j);
            if h < padding || v < padding || h - padding >= x[1] || v - padding >= x[2] {
                continue;
            }
            let (a, b) = (at(x, [n, h - padding, v - padding, c]), at(w, [o, i, j, c]));
            ys[place] += xs[a] * ws[b];
            dxs[a] += dys[place] * ws[b];
            dws[b] += dys[place] * xs[a];
        }
    }
    let (xt, wt, dyt) = (xt.as_view(), wt.as_view(), dyt.as_view());
    close("convolution", device, &conv::forward(device, shape, &xt, &wt).unwrap(), &ys);
    // The columns of the matrix products are rounded to bf16 before dx sums up to nine of them.
    let dx = conv::backward_data(device, shape, &wt, &dyt).unwrap();
    if T::NAME == "f32" || (w[1], w[2]) == (1, 1) {
        close("dx of a convolution", device, &dx, &dxs);
    }
    let (mut sum, before) = numbers::<T>(device, count(x), 4);
    conv::backward_data_into(device, shape, &wt, &dyt, &mut sum.as_view_mut(), true).unwrap();
    // Here one product in bf16 is rounded before it is added, except where it adds itself.
    if T::NAME == "f32" || (w[1], w[2], stride) == (1, 1, 1) {
        let sums: Vec<f64> = before.iter().zip(&dxs).map(|(a, b)| a + b).collect();
        close("dx of a convolution, added", device, &sum, &sums);
    }
    let mut dw = upload(device, &vec![f32::NAN; count(w)]);
    conv::backward_filter(device, shape, &xt, &dyt, &mut dw.as_view_mut()).unwrap();
    if T::NAME == "f32" || super::cudnn::availability(device).is_err() {
        close("dw of a convolution", device, &dw, &dws);
    }
}

#[test]
fn convolution_is_its_sum() {
    let Some(device) = gpu() else { return };
    for (x, w, stride, padding) in [
        ([2, 6, 5, 3], [8, 3, 3, 3], 1, 1),
        ([3, 8, 8, 8], [16, 3, 3, 8], 2, 1),
        ([2, 5, 5, 8], [16, 1, 1, 8], 1, 0),
        ([2, 6, 6, 16], [8, 1, 1, 16], 2, 0),
    ] {
        check_conv::<f32>(&device, x, w, stride, padding);
        check_conv::<bf16>(&device, x, w, stride, padding);
    }
}

#[test]
fn dw_in_bf16_is_that_in_f32_rounded() {
    let Some(device) = gpu() else { return };
    // By cuDNN, which rounds it to bf16 in either case, or by matrix products; with three channels always by those.
    for (x, w, stride) in [([3, 8, 8, 8], [16, 3, 3, 8], 2), ([2, 6, 5, 3], [8, 3, 3, 3], 1)] {
        let shape = conv::Shape::new(x, w, stride, 1).unwrap();
        let count = |dims: [usize; 4]| dims.iter().product::<usize>();
        let (x, dy) =
            (numbers::<bf16>(&device, count(x), 1).0, numbers::<bf16>(&device, count(shape.output()), 2).0);
        let (x, dy) = (x.as_view(), dy.as_view());
        let mut single = upload(&device, &vec![f32::NAN; count(w)]);
        conv::backward_filter(&device, shape, &x, &dy, &mut single.as_view_mut()).unwrap();
        let mut half = device.alloc_zeros::<bf16>(count(w)).unwrap();
        conv::backward_filter_in_half(&device, shape, &x, &dy, &mut half.as_view_mut()).unwrap();
        let single = device.clone_dtoh(&single).unwrap().into_iter().map(bf16::from_f32);
        assert_eq!(device.clone_dtoh(&half).unwrap(), single.collect::<Vec<_>>());
    }
}

fn check_linear<T: Element>(device: &CudaDevice, rows: usize, inputs: usize, outputs: usize, relu: bool) {
    let shape = linear::Shape { rows, inputs, outputs };
    let ((x, xs), (w, ws)) =
        (numbers::<T>(device, rows * inputs, 1), numbers::<T>(device, outputs * inputs, 2));
    let ((b, bs), (mut g, gs)) =
        (numbers::<f32>(device, outputs, 3), numbers::<T>(device, rows * outputs, 4));
    let bias = b.as_view();
    let plain = linear::forward(device, shape, &x.as_view(), &w.as_view(), None, false).unwrap();
    let product = |i: usize| {
        (0..inputs).map(|k| xs[i / outputs * inputs + k] * ws[i % outputs * inputs + k]).sum::<f64>()
    };
    close("product", device, &plain, &(0..rows * outputs).map(product).collect::<Vec<_>>());
    let y = linear::forward(device, shape, &x.as_view(), &w.as_view(), Some(&bias), relu).unwrap();
    // What the kernel adds to is the product as T holds it.
    let held: Vec<T> = device.clone_dtoh(&plain).unwrap();
    let raw = |i: usize| held[i].to_f64() + bs[i % outputs];
    let ys: Vec<f64> = (0..rows * outputs).map(|i| if relu { raw(i).max(0.0) } else { raw(i) }).collect();
    close("linear layer", device, &y, &ys);
    let column =
        |g: &[f64]| (0..outputs).map(|o| g.iter().skip(o).step_by(outputs).sum::<f64>()).collect::<Vec<_>>();
    let partial = linear::column_sums(device, (rows, outputs), &g.as_view()).unwrap();
    close("bias gradient", device, &total(device, &partial, outputs), &column(&gs));
    let partial = linear::masked_sums(device, (rows, outputs), &y.as_view(), &mut g.as_view_mut()).unwrap();
    let gs: Vec<f64> = (0..rows * outputs).map(|i| if ys[i] <= 0.0 { 0.0 } else { gs[i] }).collect();
    close("masked gradient", device, &g, &gs);
    close("bias gradient", device, &total(device, &partial, outputs), &column(&gs));
    let dx = linear::input_gradient(device, shape, &g.as_view(), &w.as_view()).unwrap();
    let of = |i: usize| {
        (0..outputs).map(|o| gs[i / inputs * outputs + o] * ws[o * inputs + i % inputs]).sum::<f64>()
    };
    close("input gradient", device, &dx, &(0..rows * inputs).map(of).collect::<Vec<_>>());
    let mut dw = upload(device, &vec![f32::NAN; outputs * inputs]);
    linear::weight_gradient(device, shape, &g.as_view(), &x.as_view(), &mut dw.as_view_mut()).unwrap();
    let of =
        |i: usize| (0..rows).map(|r| gs[r * outputs + i / inputs] * xs[r * inputs + i % inputs]).sum::<f64>();
    close("weight gradient", device, &dw, &(0..outputs * inputs).map(of).collect::<Vec<_>>());
}

#[test]
fn linear_layer_is_its_formula() {
    let Some(device) = gpu() else { return };
    for (rows, inputs, outputs, relu) in [(5, 7, 3, true), (40, 8, 16, true), (300, 16, 8, false)] {
        check_linear::<f32>(&device, rows, inputs, outputs, relu);
        check_linear::<bf16>(&device, rows, inputs, outputs, relu);
    }
}

/// Mean NT-Xent of rows that are normalised first.
fn loss(z: &[f64], columns: usize, temperature: f64) -> f64 {
    let rows = z.len() / columns;
    let row = |i: usize| &z[i * columns..(i + 1) * columns];
    let norm = |i: usize| row(i).iter().map(|v| v * v).sum::<f64>().sqrt();
    let product = |i: usize, j: usize| {
        row(i).iter().zip(row(j)).map(|(a, b)| a * b).sum::<f64>() / (norm(i) * norm(j) * temperature)
    };
    let one = |i: usize| {
        let normaliser: f64 = (0..rows).filter(|&j| j != i).map(|j| product(i, j).exp()).sum();
        normaliser.ln() - product(i, (i + rows / 2) % rows)
    };
    (0..rows).map(one).sum::<f64>() / rows as f64
}

#[test]
fn contrastive_gradient_is_that_of_the_loss() {
    let Some(device) = gpu() else { return };
    let (rows, columns, temperature) = (10, 6, 0.5);
    let (z, zs) = numbers::<f32>(&device, rows * columns, 1);
    let packed =
        info_nce::loss_and_gradient(&device, &z.as_view(), (rows, columns), temperature as f32).unwrap();
    let mut packed: Vec<f32> = device.clone_dtoh(&packed).unwrap();
    let mean = f64::from(packed.pop().unwrap());
    assert!((mean - loss(&zs, columns, temperature)).abs() < 1e-6, "{mean}");
    let dz = upload(&device, &packed);
    let differences = (0..zs.len()).map(|i| {
        let (mut up, mut down) = (zs.clone(), zs.clone());
        up[i] += 1e-5;
        down[i] -= 1e-5;
        (loss(&up, columns, temperature) - loss(&down, columns, temperature)) / 2e-5
    });
    close("dz", &device, &dz, &differences.collect::<Vec<_>>());
    for (rows, temperature) in [(9, 0.5), (0, 0.5), (10, 0.0), (10, 1e-39), (10, f32::NAN)] {
        // No memory is empty.
        let z = upload(&device, &vec![1.0; (rows * columns).max(1)]);
        let z = z.slice(..rows * columns);
        assert!(info_nce::losses_and_gradient(&device, &z, (rows, columns), temperature).is_err());
    }
}

/// The same values and, since both add up in the order of the windows, the same gradients as on the CPU.
#[test]
fn max_pooling_is_that_of_the_cpu() {
    let Some(device) = gpu() else { return };
    let cuda = Device::Cuda(device.clone());
    for sizes in [[2, 1, 4, 5], [3, 7, 6, 24]] {
        let [batch, height, width, channels] = sizes;
        let dy = [batch, max_pool::pooled(height), max_pool::pooled(width), channels];
        // Rounded to halves, so that many values are equal.
        let tensor = |shape: [usize; 4], index: u64| {
            let values = numbers::<f32>(&device, shape.iter().product(), index).1;
            let values: Vec<f32> = values.into_iter().map(|v| (2.0 * v).round() as f32 / 2.0).collect();
            Tensor::from_vec(values, &shape, &Device::Cpu).unwrap()
        };
        let (x, dy) = (tensor(sizes, 1), tensor(dy, 2));
        let on = |device: &Device| {
            let (x, dy) = (x.to_device(device).unwrap(), dy.to_device(device).unwrap());
            [max_pool::forward(&x).unwrap(), max_pool::backward(&x, &dy).unwrap()]
                .map(|found| found.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        };
        assert_eq!(on(&cuda), on(&Device::Cpu), "{sizes:?}");
    }
}

#[test]
fn pooling_and_casts() {
    let Some(device) = gpu() else { return };
    for (batch, positions, channels) in [(3, 4, 5), (2, 16, 24)] {
        let (x, xs) = numbers::<f32>(&device, batch * positions * channels, 1);
        let shape = (batch, positions, channels);
        let at = |n: usize, c: usize, p: usize| xs[(n * positions + p) * channels + c];
        let mean = |i: usize| {
            (0..positions).map(|p| at(i / channels, i % channels, p)).sum::<f64>() / positions as f64
        };
        let means: Vec<f64> = (0..batch * channels).map(mean).collect();
        let y = pool::forward(&device, &x.as_view(), shape).unwrap();
        close("pooled", &device, &y, &means);
        let back = |i: usize| means[i / channels / positions * channels + i % channels] / positions as f64;
        let dx = pool::backward(&device, &y.as_view(), shape).unwrap();
        close("dx of pooling", &device, &dx, &(0..xs.len()).map(back).collect::<Vec<_>>());
        let narrow = cast::to_bf16(&device, &x.as_view()).unwrap();
        close("bf16", &device, &narrow, &xs);
        let held: Vec<bf16> = device.clone_dtoh(&narrow).unwrap();
        let held: Vec<f64> = held.iter().map(|v| v.to_f64()).collect();
        close("f32 of bf16", &device, &cast::to_f32(&device, &narrow.as_view()).unwrap(), &held);
    }
}

/// Two segments of 300 parameters: one that decays, adapts and may have its gradient in bf16, one that does nothing of
/// that.
fn segments(device: &CudaDevice) -> optimiser::Segments {
    let segment = |start, length, weight| Segment {
        start,
        length,
        decays: weight,
        adapts: weight,
        half_gradient: weight,
    };
    optimiser::Segments::new(device, &[segment(0, 200, true), segment(200, 100, false)], 300).unwrap()
}

#[test]
fn optimisers_are_their_formulas() {
    let Some(device) = gpu() else { return };
    let segments = segments(&device);
    let (state, start) = numbers::<f32>(&device, 900, 1);
    let (gradient, g) = numbers::<f32>(&device, 300, 2);
    let copy = |range: std::ops::Range<usize>| upload(&device, &device.clone_dtoh(&state).unwrap()[range]);
    let norm = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
    for (lars, halves) in [(false, false), (true, false), (false, true), (true, true)] {
        let (half_gradient, rounded) = numbers::<bf16>(&device, 300, 2);
        let g: Vec<f64> = (0..300).map(|k| if halves && k < 200 { rounded[k] } else { g[k] }).collect();
        let mut state = copy(0..600);
        let settings = upload(&device, &optimiser::momentum_settings(0.2, 0.01, 0.9, 0.001));
        let half = device.alloc_zeros::<bf16>(300).unwrap();
        let (gradient, settings) = (gradient.as_view(), settings.as_view());
        let (values, half_gradient) = (half.as_view(), half_gradient.as_view());
        let half_views = halves.then_some(optimiser::HalfViews { values: &values, gradient: &half_gradient });
        let mut view = state.as_view_mut();
        optimiser::momentum(&device, &segments, &mut view, &gradient, &settings, lars, half_views).unwrap();
        let scale = 0.001 * norm(&start[..200]) / (norm(&g[..200]) + 0.01 * norm(&start[..200]));
        let v = |k: usize| {
            let update =
                if k < 200 { (g[k] + 0.01 * start[k]) * if lars { scale } else { 1.0 } } else { g[k] };
            0.9 * start[300 + k] + update
        };
        let weights: Vec<f64> = (0..300).map(|k| start[k] - 0.2 * v(k)).collect();
        close("weights in bf16", &device, &half, &if halves { weights.clone() } else { vec![0.0; 300] });
        close("w and v", &device, &state, &weights.into_iter().chain((0..300).map(v)).collect::<Vec<_>>());
    }
    // Second moments are not negative.
    let mut values: Vec<f32> = device.clone_dtoh(&state).unwrap();
    values[600..].iter_mut().for_each(|v| *v = v.abs());
    let mut state = upload(&device, &values);
    let settings = upload(&device, &optimiser::adamw_settings(0.01, 0.05, (0.9, 0.999), 1e-8, 3));
    let mut view = state.as_view_mut();
    optimiser::adamw(&device, &segments, &mut view, &gradient.as_view(), &settings.as_view(), None).unwrap();
    let m = |k: usize| 0.9 * start[300 + k] + 0.1 * g[k];
    let v = |k: usize| 0.999 * start[600 + k].abs() + 0.001 * g[k] * g[k];
    let w = |k: usize| {
        let decayed = if k < 200 { start[k] * (1.0 - 0.01 * 0.05) } else { start[k] };
        decayed - 0.01 * (m(k) / (1.0 - 0.9f64.powi(3))) / ((v(k) / (1.0 - 0.999f64.powi(3))).sqrt() + 1e-8)
    };
    // Apart, as they differ in size: a second moment near 0 makes a large step.
    let found: Vec<f32> = device.clone_dtoh(&state).unwrap();
    let part = |k: usize| upload(&device, &found[300 * k..300 * (k + 1)]);
    close("w of AdamW", &device, &part(0), &(0..300).map(w).collect::<Vec<_>>());
    close("m of AdamW", &device, &part(1), &(0..300).map(m).collect::<Vec<_>>());
    close("v of AdamW", &device, &part(2), &(0..300).map(v).collect::<Vec<_>>());
}

#[test]
fn segments_that_overlap_or_end_beyond_are_refused() {
    let Some(device) = gpu() else { return };
    let segment = |start, length| Segment { start, length, decays: true, adapts: true, half_gradient: false };
    for table in [[segment(0, 5), segment(4, 2)], [segment(0, 5), segment(5, 6)]] {
        let message = optimiser::Segments::new(&device, &table, 10).err().unwrap().to_string();
        assert!(message.contains("segment 1"), "{message}");
    }
}
