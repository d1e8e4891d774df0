//! The launches of batch normalisation on candle's storages, whose shapes the operations have checked.

use super::Forward;
use crate::device::operand::{self, Operand, Source, for_element, with};
use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Result, Storage, Tensor, bail};

/// A tensor that is overwritten.
type Target<'a> = (&'a mut CudaStorage, &'a Layout);
/// x, its rows and channels, statistics, γ and β.
type Before<'a> = (Source<'a>, (usize, usize), &'a Tensor, &'a Tensor);

/// x -> statistics.
pub fn statistics(x: Source, sizes: (usize, usize), epsilon: f64) -> Result<CudaStorage> {
    let device = x.0.device();
    for_element!(x.0, T => {
        let x = Operand::<T>::new(x)?;
        let statistics = super::statistics(device, &x.view()?, sizes, None, epsilon as f32, 0.0)?;
        Ok(operand::result(device, statistics))
    })
}

/// running <- running moved towards the batch x, whose statistics are returned.
pub fn train_statistics(
    running: Target,
    x: Source,
    sizes: (usize, usize),
    epsilon: f64,
    momentum: f64,
) -> Result<Tensor> {
    let device = x.0.device();
    let mut running = operand::overwritten("batch-norm-train-statistics", running.0, running.1)?;
    let (epsilon, momentum) = (epsilon as f32, momentum as f32);
    for_element!(x.0, T => {
        let x = Operand::<T>::new(x)?;
        let statistics = super::statistics(device, &x.view()?, sizes, Some(&mut running), epsilon, momentum)?;
        Ok(operand::tensor(device, statistics, (2, sizes.1)))
    })
}

/// running -> statistics.
pub fn frozen(running: Source, channels: usize, epsilon: f64) -> Result<CudaStorage> {
    let device = running.0.device();
    let running = Operand::new(running)?;
    let statistics = super::running_statistics(device, &running.view()?, channels, epsilon as f32)?;
    Ok(operand::result(device, statistics))
}

/// (x, \[statistics, affine\], residual) -> y.
pub fn apply(
    x: Source,
    sizes: (usize, usize),
    coefficients: [Source; 2],
    residual: Option<&Tensor>,
    relu: bool,
) -> Result<CudaStorage> {
    let Some(residual) = residual else { return apply_with(x, sizes, coefficients, None, relu) };
    let (storage, layout) = residual.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else {
        bail!("batch norm: x lies on a GPU, its residual elsewhere")
    };
    apply_with(x, sizes, coefficients, Some((storage, layout)), relu)
}

/// (x, \[statistics, affine\], residual) -> y.
pub fn apply_with(
    x: Source,
    sizes: (usize, usize),
    [statistics, affine]: [Source; 2],
    residual: Option<Source>,
    relu: bool,
) -> Result<CudaStorage> {
    let device = x.0.device();
    let (statistics, affine) = (Operand::new(statistics)?, Operand::new(affine)?);
    for_element!(x.0, T => {
        let x = Operand::<T>::new(x)?;
        let residual = residual.map(Operand::<T>::new).transpose()?;
        let residual = residual.as_ref().map(Operand::view).transpose()?;
        let (statistics, affine) = (statistics.view()?, affine.view()?);
        let y = super::apply(device, &x.view()?, sizes, &statistics, &affine, residual.as_ref(), relu)?;
        Ok(operand::result(device, y))
    })
}

/// (dy, x) -> partial sums of (dγ; dβ), and how many.
pub fn reduce((x, shape, stats, affine): Before, dy: Source, relu: bool) -> Result<(CudaStorage, usize)> {
    let device = x.0.device();
    for_element!(x.0, T => {
        let (x, dy) = (Operand::<T>::new(x)?, Operand::<T>::new(dy)?);
        with(stats, |stats| with(affine, |affine| {
            let forward = Forward { x: &x.view()?, shape, stats, affine };
            let partial = super::reduce(device, forward, &dy.view()?, relu)?;
            let chunks = partial.len() / (2 * shape.1);
            Ok((operand::result(device, partial), chunks))
        }))
    })
}

/// dy <- g by the sign of y; partial sums of (dγ; dβ) \[chunks, 2, channels\].
pub fn masked_reduce((x, shape, stats, affine): Before, y: Source, dy: Target) -> Result<Tensor> {
    let device = x.0.device();
    for_element!(x.0, T => {
        let (x, y) = (Operand::<T>::new(x)?, Operand::<T>::new(y)?);
        let mut dy = operand::overwritten::<T>("batch-norm-masked-reduce", dy.0, dy.1)?;
        with(stats, |stats| with(affine, |affine| {
            let forward = Forward { x: &x.view()?, shape, stats, affine };
            let partial = super::masked_reduce(device, forward, &y.view()?, &mut dy)?;
            let chunks = partial.len() / (2 * shape.1);
            Ok(operand::tensor(device, partial, (chunks, 2, shape.1)))
        }))
    })
}

/// (g, x) -> dx.
pub fn input_gradient(
    (x, shape, stats, affine): Before,
    g: Source,
    sums: &Tensor,
    relu: bool,
) -> Result<CudaStorage> {
    let device = x.0.device();
    for_element!(x.0, T => {
        let (x, g) = (Operand::<T>::new(x)?, Operand::<T>::new(g)?);
        with(stats, |stats| with(affine, |affine| with(sums, |sums| {
            let forward = Forward { x: &x.view()?, shape, stats, affine };
            Ok(operand::result(device, super::input_gradient(device, forward, &g.view()?, sums, relu)?))
        })))
    })
}

/// g <- dx.
pub fn input_gradient_in_place(
    (x, shape, stats, affine): Before,
    g: Target,
    sums: &Tensor,
    relu: bool,
) -> Result<()> {
    let device = x.0.device();
    for_element!(x.0, T => {
        let x = Operand::<T>::new(x)?;
        let mut g = operand::overwritten::<T>("batch-norm-input-gradient", g.0, g.1)?;
        with(stats, |stats| with(affine, |affine| with(sums, |sums| {
            let forward = Forward { x: &x.view()?, shape, stats, affine };
            super::input_gradient_in_place(device, forward, &mut g, sums, relu)
        })))
    })
}
