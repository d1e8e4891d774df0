//! A loss of one's own, written once, over every source of negatives and with a selection.

use candle_core::{DType, Device, Tensor};
use trainer::loss::{Candidates, Logits, Queue, SelectedRanks, StepDraws, Weights};

/// Mean over the negatives of max(0, a_ij + m), a_ij = (s_ij − s_i⁺)/t: a hinge with margin m, ∂/∂a_ij = \[a_ij >
/// −m\]/N.
fn hinge(logits: &Logits, margin: f64) -> trainer::Result<Weights> {
    let excess = (logits.negatives(1.0)? + margin)?;
    let share = 1.0 / logits.num_negatives();
    let losses = (excess.relu()?.sum_keepdim(1)? * share)?;
    let by_negative = (excess.gt(0f32)?.to_dtype(DType::F32)? * share)?;
    Ok(Weights { losses, by_negative, by_positive: None })
}

#[test]
fn a_hinge_over_batch_sample_and_queue() -> trainer::Result<()> {
    // Samples along two axes, views equal: the positive has cosine 1, the other sample −1 or 0.
    let z = Tensor::new(
        &[[2f32, 0.0], [-1.0, 0.0], [0.0, 3.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]],
        &Device::Cpu,
    )?;
    let classes = [0, 1, 2];
    let draws = StepDraws::new(7, 0)?;
    let (queries, keys) =
        (z.narrow(0, 0, 3)?, Tensor::new(&[[1f32, 0.0], [-1.0, 0.0], [0.0, 1.0]], &Device::Cpu)?);
    let mut queue = Queue::new(4, 2, 7, &Device::Cpu)?;
    // Every key along the first axis.
    queue.push(&Tensor::new(&[[1f32, 0.0]; 4], &Device::Cpu)?, &[0; 4])?;
    let batch = Candidates::batch(&z, &classes)?;
    let sampled = Candidates::sampled(&z, &classes, 2, draws)?;
    let queue = Candidates::queue(&queries, &classes, &keys, &queue)?;
    let all = SelectedRanks::all();
    let hardest = SelectedRanks::of("hardest:50%".parse()?, draws);
    // m = 1.5, t = 1. An anchor on the first axis has others at cosines −1 and 0: hinges 0 and 1/2; one on the second
    // 1/2 and 1/2. The hardest half are those at cosine 0. Of the queue, anchors see cosine 1, −1 and 0: hinges 3/2, 0
    // and 1/2.
    for (candidates, selected, expected) in [
        (&batch, &all, (0.25 + 0.25 + 0.5) / 3.0),
        (&sampled, &all, (0.25 + 0.25 + 0.5) / 3.0),
        (&queue, &all, (1.5 + 0.0 + 0.5) / 3.0),
        (&batch, &hardest, 0.5),
        (&sampled, &hardest, 0.5),
        (&queue, &hardest, (1.5 + 0.0 + 0.5) / 3.0),
    ] {
        let (loss, _) = candidates.mean(|logits| hinge(logits, 1.5), selected, 1.0)?;
        let found = loss.value.to_scalar::<f32>()?;
        assert!((found - expected).abs() < 1e-6, "{candidates:?}: {found} {expected}");
    }
    // The gradient of the one anchor that the keys pull: of q = (0, 3) at cosine 0 with each key, du = (1/3)(k − k₊)
    // and dz = (du − u (u·du))/3.
    let (loss, _) = queue.mean(|logits| hinge(logits, 1.5), &all, 1.0)?;
    let gradient = loss.gradient.to_vec2::<f32>()?[2].clone();
    assert!((gradient[0] - 1.0 / 9.0).abs() < 1e-6 && gradient[1].abs() < 1e-6, "{gradient:?}");
    Ok(())
}
