//! Two-dimensional convolution of channels-last images, and its gradients.
//!
//! x \[N, H, W, C_in\], w \[C_out, KH, KW, C_in\], y \[N, H', W', C_out\], stride s, padding p (zeros on all sides):
//! - y\[n, i, j, o\] = Σ_{r, q, c} x\[n, i·s + r − p, j·s + q − p, c\] · w\[o, r, q, c\];
//! - dx\[n, h, v, c\] = Σ_o Σ_{i·s + r = h + p, j·s + q = v + p} dy\[n, i, j, o\] · w\[o, r, q, c\];
//! - dw\[o, r, q, c\] = Σ_{n, i, j} dy\[n, i, j, o\] · x\[n, i·s + r − p, j·s + q − p, c\].
//!
//! [`Conv2d`] is the operation with its backward pass for candle's autograd; [`Conv2dInputGradient`] and
//! [`Conv2dWeightGradient`] are the two gradients by themselves. A gradient is computed only for an argument that is
//! tracked.

mod cpu;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
mod geometry;
mod pointwise;
mod winograd;

pub use geometry::Geometry;

use super::storage::{contiguous, contiguous_mut};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, InplaceOp3, Layout, Result, Shape, Tensor, bail};

/// y = x ⋆ w.
#[derive(Debug, Clone, Copy)]
pub struct Conv2d {
    /// Step between windows.
    pub stride: usize,
    /// Zeros on all sides.
    pub padding: usize,
}

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d-channels-last"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let geometry = Geometry::new(x_layout.dims(), w_layout.dims(), self.stride, self.padding)?;
        let y = cpu::forward(&geometry, &contiguous(x, x_layout)?, &contiguous(w, w_layout)?);
        Ok((CpuStorage::F32(y), (&geometry.output_shape()).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        w: &CudaStorage,
        w_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let geometry = Geometry::new(x_layout.dims(), w_layout.dims(), self.stride, self.padding)?;
        let y = cuda::convolve(&geometry, (x, x_layout), (w, w_layout))?;
        Ok((y, (&geometry.output_shape()).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let geometry = Geometry::new(x.dims(), w.dims(), self.stride, self.padding)?;
        let dx = x.track_op().then(|| dy.apply_op2_no_bwd(w, &Conv2dInputGradient(geometry))).transpose()?;
        let dw = w.track_op().then(|| x.apply_op2_no_bwd(dy, &Conv2dWeightGradient(geometry))).transpose()?;
        Ok((dx, dw))
    }
}

/// dx from (dy, w): as a new tensor, or added to a tensor by `inplace_op3`.
#[derive(Debug, Clone, Copy)]
pub struct Conv2dInputGradient(pub Geometry);

impl Conv2dInputGradient {
    fn check(&self, dy: &Layout, w: &Layout) -> Result<()> {
        expect("output gradient", dy, self.0.output_shape())?;
        expect("weight", w, self.0.weight_shape())
    }
}

impl CustomOp2 for Conv2dInputGradient {
    fn name(&self) -> &'static str {
        "conv2d-channels-last-input-gradient"
    }

    fn cpu_fwd(
        &self,
        dy: &CpuStorage,
        dy_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.check(dy_layout, w_layout)?;
        let dx = cpu::input_gradient(&self.0, &contiguous(dy, dy_layout)?, &contiguous(w, w_layout)?);
        Ok((CpuStorage::F32(dx), (&self.0.input_shape()).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        dy: &CudaStorage,
        dy_layout: &Layout,
        w: &CudaStorage,
        w_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.check(dy_layout, w_layout)?;
        let dx = cuda::input_gradient(&self.0, (dy, dy_layout), (w, w_layout))?;
        Ok((dx, (&self.0.input_shape()).into()))
    }
}

impl InplaceOp3 for Conv2dInputGradient {
    fn name(&self) -> &'static str {
        "conv2d-channels-last-add-input-gradient"
    }

    fn cpu_fwd(
        &self,
        sum: &mut CpuStorage,
        sum_layout: &Layout,
        dy: &CpuStorage,
        dy_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> Result<()> {
        self.check(dy_layout, w_layout)?;
        expect("sum", sum_layout, self.0.input_shape())?;
        let sum = contiguous_mut("convolution", sum, sum_layout)?;
        cpu::add_input_gradient(&self.0, &contiguous(dy, dy_layout)?, &contiguous(w, w_layout)?, sum);
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        sum: &mut CudaStorage,
        sum_layout: &Layout,
        dy: &CudaStorage,
        dy_layout: &Layout,
        w: &CudaStorage,
        w_layout: &Layout,
    ) -> Result<()> {
        self.check(dy_layout, w_layout)?;
        expect("sum", sum_layout, self.0.input_shape())?;
        cuda::add_input_gradient(&self.0, (sum, sum_layout), (dy, dy_layout), (w, w_layout))
    }
}

/// dw from (x, dy): as a new tensor, or written into a gradient buffer by `inplace_op3`.
#[derive(Debug, Clone, Copy)]
pub struct Conv2dWeightGradient(pub Geometry);

impl Conv2dWeightGradient {
    fn check(&self, x: &Layout, dy: &Layout) -> Result<()> {
        expect("input", x, self.0.input_shape())?;
        expect("output gradient", dy, self.0.output_shape())
    }
}

impl CustomOp2 for Conv2dWeightGradient {
    fn name(&self) -> &'static str {
        "conv2d-channels-last-weight-gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        dy: &CpuStorage,
        dy_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.check(x_layout, dy_layout)?;
        let mut dw = vec![0.0; self.0.depth() * self.0.out_channels];
        cpu::weight_gradient(&self.0, &contiguous(x, x_layout)?, &contiguous(dy, dy_layout)?, &mut dw);
        Ok((CpuStorage::F32(dw), (&self.0.weight_shape()).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        dy: &CudaStorage,
        dy_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.check(x_layout, dy_layout)?;
        let dw = cuda::new_weight_gradient(&self.0, (x, x_layout), (dy, dy_layout))?;
        Ok((dw, (&self.0.weight_shape()).into()))
    }
}

impl InplaceOp3 for Conv2dWeightGradient {
    fn name(&self) -> &'static str {
        "conv2d-channels-last-weight-gradient"
    }

    fn cpu_fwd(
        &self,
        dw: &mut CpuStorage,
        dw_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
        dy: &CpuStorage,
        dy_layout: &Layout,
    ) -> Result<()> {
        self.check(x_layout, dy_layout)?;
        expect("weight gradient", dw_layout, self.0.weight_shape())?;
        cpu::weight_gradient(
            &self.0,
            &contiguous(x, x_layout)?,
            &contiguous(dy, dy_layout)?,
            contiguous_mut("convolution", dw, dw_layout)?,
        );
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        dw: &mut CudaStorage,
        dw_layout: &Layout,
        x: &CudaStorage,
        x_layout: &Layout,
        dy: &CudaStorage,
        dy_layout: &Layout,
    ) -> Result<()> {
        self.check(x_layout, dy_layout)?;
        expect("weight gradient", dw_layout, self.0.weight_shape())?;
        cuda::weight_gradient(&self.0, (dw, dw_layout), (x, x_layout), (dy, dy_layout))
    }
}

fn expect(what: &str, found: &Layout, expected: [usize; 4]) -> Result<()> {
    if found.dims() != expected {
        bail!("convolution: the {what} has shape {:?} instead of {expected:?}", found.dims());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};
    use measure::rng::{Purpose, normal, stream};

    const CASES: [([usize; 4], [usize; 3], usize, usize); 28] = [
        // input [N, H, W, C_in], [C_out, KH, KW], stride, padding
        ([1, 5, 5, 1], [1, 1, 1], 1, 0),
        ([1, 7, 4, 3], [5, 3, 3], 1, 1),
        ([2, 9, 8, 20], [37, 3, 3], 2, 1),
        ([3, 8, 8, 16], [32, 3, 3], 1, 1),
        ([2, 8, 8, 4], [16, 1, 1], 2, 0),
        ([1, 7, 9, 2], [3, 5, 5], 1, 2),
        ([2, 11, 7, 3], [9, 5, 5], 2, 3),
        ([1, 9, 9, 3], [4, 7, 7], 2, 3),
        ([2, 8, 10, 2], [50, 7, 7], 1, 0),
        ([1, 6, 5, 33], [2, 3, 3], 1, 0),
        ([17, 2, 2, 8], [8, 3, 3], 1, 1),
        ([2, 5, 6, 3], [4, 3, 1], 2, 3),
        ([33, 1, 1, 3], [6, 1, 1], 1, 2),
        ([1, 4, 4, 64], [96, 3, 3], 3, 2),
        // Winograd's
        ([1, 6, 5, 32], [32, 3, 3], 1, 0),
        ([2, 7, 9, 64], [48, 3, 3], 1, 1),
        ([3, 8, 8, 32], [64, 3, 3], 1, 1),
        ([1, 3, 4, 48], [80, 3, 3], 1, 2),
        ([9, 1, 1, 32], [32, 3, 3], 1, 1),
        ([1, 3, 3, 256], [272, 3, 3], 1, 1),
        ([2, 3, 2, 512], [512, 3, 3], 1, 1),
        // Windows that see only zeros: the stem of the published ResNet-18.
        ([2, 6, 5, 3], [64, 3, 3], 1, 3),
        // Products of matrices: dw in one chunk, in two, in more than there are images for, and in one product.
        ([3, 5, 7, 20], [33, 1, 1], 1, 0),
        ([17, 3, 2, 64], [48, 1, 1], 1, 0),
        ([2, 2, 3, 512], [320, 1, 1], 1, 0),
        // The same of strides that leave pixels out, at the edges too.
        ([17, 7, 5, 24], [48, 1, 1], 3, 0),
        ([2, 6, 9, 512], [320, 1, 1], 2, 0),
        // The stem of ImageNet.
        ([2, 18, 13, 3], [64, 7, 7], 2, 3),
    ];

    fn random(shape: &[usize], seed: u64) -> Tensor {
        let mut rng = stream(seed, Purpose::Initialisation, 0);
        let data: Vec<f32> = (0..shape.iter().product()).map(|_| normal(&mut rng)).collect();
        Tensor::from_vec(data, shape, &Device::Cpu).unwrap()
    }

    fn flat(tensor: &Tensor) -> Vec<f64> {
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.into_iter().map(f64::from).collect()
    }

    /// The three definitions in f64, term by term: (y, dx, dw).
    fn reference(g: &Geometry, x: &[f64], w: &[f64], dy: &[f64]) -> [Vec<f64>; 3] {
        let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
        for n in 0..g.batch {
            for i in 0..g.out_height() {
                for j in 0..g.out_width() {
                    for o in 0..g.out_channels {
                        let out = ((n * g.out_height() + i) * g.out_width() + j) * g.out_channels + o;
                        for r in 0..g.kernel[0] {
                            for q in 0..g.kernel[1] {
                                let (Some(h), Some(v)) = (
                                    (i * g.stride + r).checked_sub(g.padding),
                                    (j * g.stride + q).checked_sub(g.padding),
                                ) else {
                                    continue;
                                };
                                if h >= g.height || v >= g.width {
                                    continue;
                                }
                                for c in 0..g.in_channels {
                                    let from = ((n * g.height + h) * g.width + v) * g.in_channels + c;
                                    let at = ((o * g.kernel[0] + r) * g.kernel[1] + q) * g.in_channels + c;
                                    y[out] += x[from] * w[at];
                                    dx[from] += dy[out] * w[at];
                                    dw[at] += dy[out] * x[from];
                                }
                            }
                        }
                    }
                }
            }
        }
        [y, dx, dw]
    }

    /// Largest difference over the largest magnitude.
    fn relative_error(found: &Tensor, expected: &[f64]) -> f64 {
        let scale = expected.iter().fold(1e-30, |m: f64, v| m.max(v.abs()));
        let found = flat(found);
        assert_eq!(found.len(), expected.len());
        // Not `f64::max` alone, which would drop a NaN.
        assert!(found.iter().all(|value| value.is_finite()));
        found.iter().zip(expected).map(|(a, b)| (a - b).abs() / scale).fold(0.0, f64::max)
    }

    fn case(
        (input, [out, kh, kw], stride, padding): ([usize; 4], [usize; 3], usize, usize),
        seed: u64,
    ) -> (Geometry, [Tensor; 3]) {
        let weight = [out, kh, kw, input[3]];
        let geometry = Geometry::new(&input, &weight, stride, padding).unwrap();
        let tensors =
            [random(&input, seed), random(&weight, seed + 1), random(&geometry.output_shape(), seed + 2)];
        (geometry, tensors)
    }

    /// Forward, dx and dw through candle's autograd, for the loss Σ y·dy.
    fn run(op: Conv2d, x: &Tensor, w: &Tensor, dy: &Tensor) -> [Tensor; 3] {
        let (x, w) = (Var::from_tensor(x).unwrap(), Var::from_tensor(w).unwrap());
        let y = x.apply_op2(&w, op).unwrap();
        let gradients = (&y * dy).unwrap().sum_all().unwrap().backward().unwrap();
        [y, gradients.get(&x).unwrap().clone(), gradients.get(&w).unwrap().clone()]
    }

    #[test]
    fn values_and_gradients_are_the_definition() {
        for (index, shape) in CASES.into_iter().enumerate() {
            let (geometry, [x, w, dy]) = case(shape, index as u64);
            let expected = reference(&geometry, &flat(&x), &flat(&w), &flat(&dy));
            let found = run(Conv2d { stride: shape.2, padding: shape.3 }, &x, &w, &dy);
            for (name, (found, expected)) in ["y", "dx", "dw"].iter().zip(found.iter().zip(&expected)) {
                let error = relative_error(found, expected);
                assert!(error < 2e-6, "{name} of {shape:?}: {error:e}");
            }
        }
    }

    #[test]
    fn gradients_are_finite_differences() {
        // The loss is linear in x and in w, so central differences of the f64 definition have no truncation error.
        let (geometry, [x, w, dy]) = case(([2, 5, 4, 3], [4, 3, 3], 2, 1), 40);
        let [_, dx, dw] = run(Conv2d { stride: 2, padding: 1 }, &x, &w, &dy);
        let (x, w, dy) = (flat(&x), flat(&w), flat(&dy));
        let loss = |x: &[f64], w: &[f64]| -> f64 {
            reference(&geometry, x, w, &dy)[0].iter().zip(&dy).map(|(a, b)| a * b).sum()
        };
        let shifted = |values: &[f64], i: usize, h: f64| {
            let mut values = values.to_vec();
            values[i] += h;
            values
        };
        for i in (0..x.len()).step_by(7) {
            let numeric = loss(&shifted(&x, i, 0.5), &w) - loss(&shifted(&x, i, -0.5), &w);
            assert!((numeric - flat(&dx)[i]).abs() <= 1e-5 * numeric.abs().max(1.0), "x {i}");
        }
        for i in (0..w.len()).step_by(5) {
            let numeric = loss(&x, &shifted(&w, i, 0.5)) - loss(&x, &shifted(&w, i, -0.5));
            assert!((numeric - flat(&dw)[i]).abs() <= 1e-5 * numeric.abs().max(1.0), "w {i}");
        }
    }

    #[test]
    fn agrees_with_candle_on_non_contiguous_inputs() {
        let (mut forward, mut backward) = (0, 0);
        for (index, shape) in CASES.into_iter().enumerate() {
            // candle's layout is channels first; permuted views of it are our non-contiguous inputs.
            let (geometry, [x, w, dy]) = case(shape, 100 + index as u64);
            let first = |t: &Tensor| t.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
            let last = |t: &Tensor| t.permute((0, 2, 3, 1)).unwrap();
            let (stride, padding) = (shape.2, shape.3);
            let (vx, vw) = (Var::from_tensor(&first(&x)).unwrap(), Var::from_tensor(&first(&w)).unwrap());
            let stock = vx.conv2d(&vw, padding, stride, 1, 1).unwrap();
            let (x, w) = (last(&first(&x)), last(&first(&w)));
            let y = x.apply_op2_no_bwd(&w, &Conv2d { stride, padding }).unwrap();
            let mut pairs = vec![(y, stock.clone())];
            forward += usize::from(!x.is_contiguous() && !w.is_contiguous());
            // candle's own backward refuses kernels, strides and images that are not square in some combinations.
            if let Ok(grads) = (&stock * &first(&dy)).unwrap().sum_all().unwrap().backward() {
                let dy = last(&first(&dy));
                let dx = dy.apply_op2_no_bwd(&w, &Conv2dInputGradient(geometry)).unwrap();
                let dw = x.apply_op2_no_bwd(&dy, &Conv2dWeightGradient(geometry)).unwrap();
                pairs.push((dx, grads.get(&vx).unwrap().clone()));
                pairs.push((dw, grads.get(&vw).unwrap().clone()));
                backward += 1;
            }
            for (ours, stock) in pairs {
                let error = relative_error(&ours, &flat(&last(&stock)));
                assert!(error < 1e-5, "{shape:?}: {error:e}");
            }
        }
        assert!(forward >= 9 && backward >= 9, "{forward} {backward}");
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        for shape in [
            CASES[2],
            ([19, 6, 6, 24], [40, 3, 3], 1, 1),
            ([5, 4, 4, 128], [264, 3, 3], 1, 1),
            ([9, 9, 8, 64], [96, 3, 3], 1, 1),
        ] {
            let (_, [x, w, dy]) = case(shape, 7);
            let with = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    run(Conv2d { stride: shape.2, padding: shape.3 }, &x, &w, &dy).map(|t| flat(&t))
                })
            };
            let one = with(1);
            assert!([2, 3, 5].into_iter().all(|threads| with(threads) == one), "{shape:?}");
        }
    }

    #[test]
    fn untracked_arguments_get_no_gradient() {
        let (_, [x, w, dy]) = case(CASES[1], 9);
        let op = Conv2d { stride: 1, padding: 1 };
        let var = Var::from_tensor(&w).unwrap();
        let y = x.apply_op2(&var, op).unwrap();
        let (dx, dw) = op.bwd(&x, &var, &y, &dy).unwrap();
        assert!(dx.is_none() && dw.is_some());
        let (dx, dw) = op.bwd(&Var::from_tensor(&x).unwrap(), &w, &y, &dy).unwrap();
        assert!(dx.is_some() && dw.is_none());
    }

    #[test]
    fn the_weight_gradient_is_written_into_a_view() {
        let (geometry, [x, w, dy]) = case(CASES[3], 11);
        let buffer = Tensor::full(7f32, w.elem_count() + 2, &Device::Cpu).unwrap();
        let view = buffer.narrow(0, 1, w.elem_count()).unwrap().reshape(w.dims()).unwrap();
        view.inplace_op3(&x, &dy, &Conv2dWeightGradient(geometry)).unwrap();
        let direct = x.apply_op2_no_bwd(&dy, &Conv2dWeightGradient(geometry)).unwrap();
        let found = flat(&buffer);
        assert_eq!(found[1..found.len() - 1], flat(&direct));
        assert_eq!((found[0], found[found.len() - 1]), (7.0, 7.0));
    }

    #[test]
    fn the_input_gradient_is_added() {
        for shape in [CASES[2], CASES[4], CASES[9], CASES[15]] {
            let (geometry, [x, w, dy]) = case(shape, 13);
            let sum = x.copy().unwrap();
            sum.inplace_op3(&dy, &w, &Conv2dInputGradient(geometry)).unwrap();
            let dx = dy.apply_op2_no_bwd(&w, &Conv2dInputGradient(geometry)).unwrap();
            assert_eq!(flat(&sum), flat(&(&x + &dx).unwrap()));
        }
    }

    #[test]
    fn wrong_shapes_are_refused() {
        let (geometry, [x, w, dy]) = case(CASES[1], 12);
        let narrow = dy.narrow(1, 0, 3).unwrap();
        let error = narrow.apply_op2_no_bwd(&w, &Conv2dInputGradient(geometry)).unwrap_err();
        assert!(error.to_string().contains("the output gradient has shape"), "{error}");
        let double = x.to_dtype(candle_core::DType::F64).unwrap();
        assert!(
            double
                .apply_op2_no_bwd(
                    &w.to_dtype(candle_core::DType::F64).unwrap(),
                    &Conv2d { stride: 1, padding: 1 }
                )
                .is_err()
        );
    }
}
