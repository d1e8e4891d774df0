//! A step over a batch that does not fit in memory: the gradient cache (Gao et al. 2021, "Scaling Deep Contrastive
//! Learning Batch Size under Memory Limited Setup").
//!
//! The views are embedded a chunk at a time, and nothing but their head features is kept; the loss sees those of the
//! whole batch, so that K is the whole batch's; then each chunk is embedded again, and its pass carries the gradient of
//! its own features back: ∂L/∂θ = Σ_chunks (∂L/∂z_chunk)(∂z_chunk/∂θ). The views are those of the first pass.
//!
//! Without batch normalisation that is the gradient of the whole batch but for rounding. With it, statistics are those
//! of a chunk, and the running ones move once for each chunk, in the second pass: the first leaves them as they were.

use crate::error::Result;
use crate::model::{Input, Network};
use candle_core::Tensor;

/// Where chunks of about the same size begin, and their sizes: as few as there can be of at most `most` rows, but none
/// of a single row, which has no batch statistics (of an odd number with `most` = 2 one has three).
fn chunks(rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = rows.div_ceil(most).min(rows / 2).max(1);
    let begin = move |chunk: usize| chunk * rows / count;
    (0..count).map(move |chunk| (begin(chunk), begin(chunk + 1) - begin(chunk)))
}

/// Head features \[N, d\] of views, `most` at a time; running statistics do not move.
///
/// # Errors
/// Those of the passes.
pub(super) fn embed(network: &Network, views: &Input, most: usize) -> Result<Tensor> {
    let statistics = network.parameters().buffers();
    let before = statistics.copy()?;
    let mut parts = Vec::new();
    for (start, count) in chunks(views.count()?, most) {
        let (output, _) = network.forward_train(&views.rows(start, count)?)?;
        parts.push(output.head);
    }
    statistics.slice_set(&before, 0, 0)?;
    Ok(Tensor::cat(&parts, 0)?)
}

/// Writes the gradients of all parameters for the `gradient` of the head features that [`embed`] gave.
///
/// # Errors
/// Those of the passes.
pub(super) fn replay(network: &Network, views: &Input, gradient: &Tensor, most: usize) -> Result<()> {
    let parameters = network.parameters();
    let mut sum: Option<Tensor> = None;
    for (start, count) in chunks(views.count()?, most) {
        let (_, tape) = network.forward_train(&views.rows(start, count)?)?;
        network.backward(tape, gradient.narrow(0, start, count)?.copy()?)?;
        let found = parameters.gradients()?;
        sum = Some(match sum {
            Some(sum) => (sum + found)?,
            None => found.copy()?,
        });
    }
    if let Some(sum) = sum {
        parameters.gradients()?.slice_set(&sum, 0, 0)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::nt_xent;
    use crate::model::{Architecture, Bags};
    use candle_core::Device;
    use measure::rng::{Purpose, normal, stream};

    #[test]
    fn chunks_cover_all_rows_and_are_alike() {
        for rows in 1..60 {
            for most in 2..70 {
                let chunks: Vec<_> = chunks(rows, most).collect();
                let mut next = 0;
                for (start, count) in chunks {
                    assert!(
                        start == next
                            && (2.min(rows)..=most.max(3)).contains(&count)
                            && count + 1 >= rows.min(most).div_ceil(2),
                        "{rows} {most}"
                    );
                    next += count;
                }
                assert_eq!(next, rows);
            }
        }
    }

    /// The largest difference of the gradients of the whole batch and of chunks, over the largest gradient.
    fn difference(network: &Network, input: &Input, most: usize) -> f32 {
        let gradients = || network.parameters().gradients().unwrap().to_vec1::<f32>().unwrap();
        let (output, tape) = network.forward_train(input).unwrap();
        let whole_loss = nt_xent(&output.head, 0.5).unwrap();
        network.backward(tape, whole_loss.gradient).unwrap();
        let whole = gradients();
        let loss = nt_xent(&embed(network, input, most).unwrap(), 0.5).unwrap();
        replay(network, input, &loss.gradient, most).unwrap();
        let largest = whole.iter().fold(0f32, |m, v| m.max(v.abs()));
        whole.iter().zip(gradients()).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / largest
    }

    #[test]
    fn gradients_are_those_of_the_whole_batch_without_batch_normalisation() {
        let mut rng = stream(3, Purpose::Evaluation, 0);
        let pixels: Vec<f32> = (0..24 * 8 * 8 * 3).map(|_| normal(&mut rng)).collect();
        let images = Input::Images(Tensor::from_vec(pixels, (24, 8, 8, 3), &Device::Cpu).unwrap());
        let words: Vec<u32> = (0..24 * 5).map(|i| (i * 7 + i * i) % 11).collect();
        let texts = Input::Bags(Bags { words, ends: (1..=24).map(|i| 5 * i).collect() });
        let network = |name: &str, input: crate::data::InputKind| {
            let architecture = Architecture::try_from(name.to_string()).unwrap();
            Network::new(architecture, input, 7, &Device::Cpu).unwrap()
        };
        for (network, input) in [
            (network("plain-mlp", [8, 8, 3].into()), &images),
            (network("vit-tiny", [8, 8, 3].into()), &images),
            (network("transformer", crate::data::InputKind::Texts { vocabulary: 11 }), &texts),
        ] {
            let name = network.architecture().name();
            for most in [2, 7, 23, 24] {
                let worst = difference(&network, input, most);
                println!("{name}, chunks of {most}: gradients differ by {worst:.1e} of the largest");
                assert!(worst < 1e-5, "{name} {most}: {worst:e}");
            }
        }
        // The same network with batch normalisation has other gradients: what is compared can differ.
        assert!(difference(&network("mlp", [8, 8, 3].into()), &images, 6) > 1e-2);
    }

    /// By hand: running ← 0.9 running + 0.1 chunk, chunk after chunk.
    #[test]
    fn running_statistics_move_once_for_each_chunk() {
        let mut rng = stream(3, Purpose::Evaluation, 0);
        let pixels: Vec<f32> = (0..12 * 16).map(|_| normal(&mut rng)).collect();
        let input = Input::Images(Tensor::from_vec(pixels, (12, 16), &Device::Cpu).unwrap());
        let new = || Network::new(Architecture::Mlp, [4, 4, 1], 7, &Device::Cpu).unwrap();
        let (network, by_hand) = (new(), new());
        let statistics = |network: &Network| network.parameters().buffers().to_vec1::<f32>().unwrap();
        let before = statistics(&network);
        let head = embed(&network, &input, 5).unwrap();
        assert_eq!(statistics(&network), before, "the first pass moves nothing");
        replay(&network, &input, &nt_xent(&head, 0.5).unwrap().gradient, 5).unwrap();
        for chunk in 0..3 {
            by_hand.forward_train(&input.rows(4 * chunk, 4).unwrap()).unwrap();
        }
        assert_eq!(statistics(&network), statistics(&by_hand));
        assert_ne!(statistics(&network), before);
    }
}
