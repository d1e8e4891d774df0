//! NT-Xent over a selection of each anchor's negatives.
//!
//! As [`super::nt_xent`], each of the 2n views is an anchor with 2n−2 negatives, but those that the [`Choice`] drops leave the
//! denominator: loss_i = ln(1 + Σ_{j kept by i} e^{s_ij − s_{i i⁺}}), averaged over the anchors and not scaled, so that with
//! fewer negatives it is lower: by about the logarithm of their share where they are kept at random, by less where the hardest are.
//!
//! With G_ij = (p_ij − \[j = i⁺\])/(2n t), 0 where i does not keep j: du = (G + Gᵀ) u. Who keeps whom is not symmetric.

use super::anchor::{Kept, weigh};
use super::{Choice, Loss, inverse};
use crate::error::{Error, Result};
use crate::ops::gemm::{Matrix, product};
use crate::ops::normalise;
use crate::ops::storage::values;
use candle_core::{Device, Tensor};
use measure::pool::{map, simd};

/// Anchors that one task handles with one buffer.
const ANCHORS: usize = 8;

/// NT-Xent of features \[2n, d\] at temperature t over the negatives that `choice` keeps of each anchor's 2n−2, which stand in
/// the order of the views; and how often they are of the anchor's class, from the n classes of the samples.
///
/// It computes on the CPU, in f32: features on a GPU are copied there, and the gradient back (2·2n·d numbers).
///
/// # Errors
/// Features that are no two views of as many samples as there are classes; a choice of another number of negatives; a
/// temperature that is not positive.
pub fn selected_nt_xent(
    features: &Tensor,
    classes: &[u32],
    choice: &Choice,
    temperature: f64,
) -> Result<(Loss, Kept)> {
    let (views, width) = features.dims2()?;
    if views != 2 * classes.len() || views < 4 || !choice.fits(views, views - 2) {
        return Err(Error::argument(format!(
            "features of shape {:?} are not two views of {} samples, each view with K = {} negatives",
            features.dims(),
            classes.len(),
            choice.num_negatives()
        )));
    }
    let inverse_temperature = inverse(temperature)?;
    let scale = (1.0 / (views as f64 * temperature)) as f32;
    let here = features.to_device(&Device::Cpu)?;
    let unit = normalise::forward(&here)?;
    let u = values(&unit)?;
    let rows = Matrix::new(&u, width);
    let mut logits = product(rows, rows.transposed(), [views, views, width]);
    let class = |view: usize| classes[view % classes.len()];
    let found = map(logits.chunks_mut(ANCHORS * views).enumerate(), |(index, rows)| {
        let (mut work, mut loss, mut kept) = (Vec::new(), 0.0, Kept::default());
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
            choice.apply(anchor, &mut negatives, &mut work);
            let positive = values[partner];
            kept += Kept::count(class(anchor), &negatives, &of_negatives);
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
    let (mut loss, mut kept) = (0.0, Kept::default());
    for (of_rows, of_kept) in found {
        loss += of_rows;
        kept += of_kept;
    }
    let shares = Matrix::new(&logits, views);
    let shape = [views, width, views];
    let (own, others) = (product(shares, rows, shape), product(shares.transposed(), rows, shape));
    let du: Vec<f32> = own.iter().zip(&others).map(|(a, b)| a + b).collect();
    let du = Tensor::from_vec(du, (views, width), &Device::Cpu)?;
    let gradient = normalise::backward(&here, &du)?.to_device(features.device())?;
    let value = Tensor::new((loss / views as f64) as f32, features.device())?;
    Ok((Loss { value, gradient }, kept))
}
