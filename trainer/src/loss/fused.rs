//! InfoNCE where it has a form of its own: over all of the batch by [`crate::ops::info_nce`]; and, on the CPU, over a
//! selection of the batch and over a queue, by rows of one matrix of cosines, which its weights replace.
//!
//! With k = 1/t, a positive cosine s₊ and negatives s_j, of which −∞ does not take part:
//!
//! - loss = ln(1 + Σ_j e^{(s_j − s₊)k});
//! - p_j = e^{s_j k} / (e^{s₊ k} + Σ_i e^{s_i k}), and 1 − p₊ = Σ_j p_j;
//! - ∂loss/∂s_j = p_j k, ∂loss/∂s₊ = −(1 − p₊) k.

use super::candidates::{Candidates, Source};
use super::{Loss, PendingCount, Queue, SameClassCount, SelectedRanks, inverse, nt_xent};
use crate::error::{Error, Result};
use crate::ops::gemm::{Matrix, product};
use crate::ops::normalise;
use crate::ops::select::cpu::Work;
use crate::ops::storage::{contiguous, values};
use crate::ops::vector::{dot, exp, maximum, sum_of};
use candle_core::{Device, Storage, Tensor};
use measure::pool::{map, simd};

/// Anchors that one task handles with one buffer.
const ANCHORS: usize = 8;

/// InfoNCE over these candidates; `None` where there is no form of its own.
pub(super) fn info_nce(
    candidates: &Candidates<'_>,
    selected: &SelectedRanks<'_>,
    temperature: f64,
) -> Result<Option<(Loss, PendingCount)>> {
    let Candidates { features, classes, source } = candidates;
    let classes = classes.host();
    let on_cpu = features.device().is_cpu();
    match source {
        Source::Batch if selected.is_all() => {
            Ok(Some((nt_xent(features, temperature)?, PendingCount::default())))
        }
        Source::Batch if on_cpu => selected_of_batch(features, classes, selected, temperature).map(Some),
        Source::Queue { positives, queue } if on_cpu => {
            against_queue(features, classes, positives, queue, selected, temperature).map(Some)
        }
        Source::Batch | Source::Sampled { .. } | Source::Queue { .. } => Ok(None),
    }
}

/// Of one anchor.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    /// ln(1 + Σ e^{(s_j − s₊)k}).
    loss: f64,
    /// (1 − p₊)·scale.
    pull: f32,
}

/// Writes p_j·scale over the negatives. NaN where any number is one.
///
/// Stable as `ops::info_nce`: cosines are shifted by the largest before they are scaled, and where the positive is the
/// largest, the loss is ln(1 + rest) with `rest` summed apart from the 1, which would swallow a small one.
#[inline(always)]
fn weigh(positive: f32, negatives: &mut [f32], inverse_temperature: f32, scale: f32) -> Anchor {
    let largest = maximum(negatives);
    let shift = if positive >= largest { positive } else { largest };
    for value in negatives.iter_mut() {
        *value = exp((*value - shift) * inverse_temperature);
    }
    let rest = sum_of(negatives, |value| value);
    let total = rest + exp((positive - shift) * inverse_temperature);
    // A NaN positive takes the second form and stays one.
    let loss = if positive >= largest {
        f64::from(rest).ln_1p()
    } else {
        f64::from(total).ln() + f64::from(shift - positive) * f64::from(inverse_temperature)
    };
    let share = scale / total;
    for value in negatives.iter_mut() {
        *value *= share;
    }
    Anchor { loss, pull: rest * share }
}

/// NT-Xent over a selection of each anchor's 2n−2 negatives, which stand in the order of the views.
///
/// With G_ij = (p_ij − \[j = i⁺\])/(2n t), 0 where i does not keep j: du = (G + Gᵀ) u. Who keeps whom is not symmetric.
fn selected_of_batch(
    features: &Tensor,
    classes: &[u32],
    selected: &SelectedRanks<'_>,
    temperature: f64,
) -> Result<(Loss, PendingCount)> {
    let (views, width) = features.dims2()?;
    if views < 4 {
        return Err(Error::argument(format!("a batch of {} samples has no negatives", classes.len())));
    }
    selected.require_kept(views - 2)?;
    let inverse_temperature = inverse(temperature)?;
    let scale = (1.0 / (views as f64 * temperature)) as f32;
    let unit = normalise::forward(features)?;
    let u = values(&unit)?;
    let rows = Matrix::new(&u, width);
    let mut logits = product(rows, rows.transposed(), [views, views, width]);
    let class = |view: usize| classes[view % classes.len()];
    let found = map(logits.chunks_mut(ANCHORS * views).enumerate(), |(index, rows)| {
        let (mut work, mut loss, mut kept) = (Work::default(), 0.0, SameClassCount::default());
        let mut negatives = vec![0.0; views - 2];
        let mut of_negatives = vec![0; views - 2];
        for (row, values) in rows.chunks_exact_mut(views).enumerate() {
            let anchor = index * ANCHORS + row;
            let partner = (anchor + views / 2) % views;
            let [low, high] = [anchor.min(partner), anchor.max(partner)];
            let places = [(0, 0..low), (low, low + 1..high), (high - 1, high + 1..views)];
            for (start, range) in places.clone() {
                let count = range.len();
                of_negatives[start..start + count]
                    .iter_mut()
                    .zip(range.clone())
                    .for_each(|(to, view)| *to = class(view));
                negatives[start..start + count].copy_from_slice(&values[range]);
            }
            let view = |k: usize| k + usize::from(k >= low) + usize::from(k + 1 >= high);
            selected.apply(anchor, &mut negatives, view, &mut work);
            let positive = values[partner];
            kept += SameClassCount::of(class(anchor), &negatives, &of_negatives);
            let found = simd(|| weigh(positive, &mut negatives, inverse_temperature, scale));
            for (start, range) in places {
                let count = range.len();
                values[range].copy_from_slice(&negatives[start..start + count]);
            }
            (values[anchor], values[partner]) = (0.0, -found.pull);
            loss += found.loss;
        }
        (loss, kept)
    });
    let (mut loss, mut kept) = (0.0, SameClassCount::default());
    for (of_rows, of_kept) in found {
        loss += of_rows;
        kept += of_kept;
    }
    let shares = Matrix::new(&logits, views);
    let shape = [views, width, views];
    let (own, others) = (product(shares, rows, shape), product(shares.transposed(), rows, shape));
    let du: Vec<f32> = own.iter().zip(&others).map(|(a, b)| a + b).collect();
    let du = Tensor::from_vec(du, (views, width), &Device::Cpu)?;
    let value = Tensor::new((loss / views as f64) as f32, &Device::Cpu)?;
    Ok((Loss { value, gradient: normalise::backward(features, &du)? }, kept.into()))
}

/// InfoNCE of queries against a queue: dq_i = (1/(n t)) \[ Σ_j p_j k_j − (1 − p₊) k₊ \], in one matrix of n·Q numbers.
fn against_queue(
    features: &Tensor,
    classes: &[u32],
    positives: &Tensor,
    queue: &Queue,
    selected: &SelectedRanks<'_>,
    temperature: f64,
) -> Result<(Loss, PendingCount)> {
    let (count, width) = features.dims2()?;
    let size = queue.size();
    selected.require_kept(size)?;
    let inverse_temperature = inverse(temperature)?;
    let scale = inverse_temperature / count as f32;
    let unit = normalise::forward(features)?;
    let (queries, positives) = (values(&unit)?, values(positives)?);
    let (storage, layout) = queue.keys().storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        return Err(Error::argument("the queue lies on another device than the queries"));
    };
    let keys = contiguous(storage, layout)?;
    let keys = Matrix::new(&keys, width);
    let mut logits = product(Matrix::new(&queries, width), keys.transposed(), [count, size, width]);
    let found = map(logits.chunks_mut(ANCHORS * size).enumerate(), |(index, rows)| {
        let mut work = Work::default();
        let mut found = Vec::with_capacity(ANCHORS);
        for (offset, negatives) in rows.chunks_exact_mut(size).enumerate() {
            let query = index * ANCHORS + offset;
            let own = &queries[query * width..][..width];
            let key = &positives[query * width..][..width];
            selected.apply(query, negatives, |key| key, &mut work);
            found.push(simd(|| {
                let kept = SameClassCount::of(classes[query], negatives, queue.classes());
                (weigh(dot(own, key), negatives, inverse_temperature, scale), kept)
            }));
        }
        found
    })
    .concat();
    let (mut loss, mut kept) = (0.0, SameClassCount::default());
    for (anchor, of_query) in &found {
        loss += anchor.loss;
        kept += *of_query;
    }
    let mut du = product(Matrix::new(&logits, size), keys, [count, width, size]);
    let rows = du.chunks_exact_mut(width).zip(positives.chunks_exact(width)).zip(&found);
    for ((du, key), (anchor, _)) in rows {
        du.iter_mut().zip(key).for_each(|(d, k)| *d -= anchor.pull * k);
    }
    let du = Tensor::from_vec(du, (count, width), &Device::Cpu)?;
    let value = Tensor::new((loss / count as f64) as f32, &Device::Cpu)?;
    Ok((Loss { value, gradient: normalise::backward(features, &du)? }, kept.into()))
}
