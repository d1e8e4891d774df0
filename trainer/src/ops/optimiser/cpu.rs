//! Optimiser steps on slices: one pass over parameters, state and gradients, in fixed chunks.

use super::{Rule, Segment};
use crate::ops::vector::dot;
use measure::pool::{CHUNK, for_each, map, simd};

/// What LARS adds to the norm that it divides by: `eps` of apex's LARC.
pub(super) const EPSILON: f64 = 1e-8;

/// The segments that meet a chunk, each cut to it: (index of the segment, start and end within the chunk).
fn pieces(segments: &[Segment], chunk: usize) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
    let (start, end) = (chunk * CHUNK, (chunk + 1) * CHUNK);
    let first = segments.partition_point(|s| s.start + s.length <= start);
    segments[first..].iter().enumerate().take_while(move |(_, s)| s.start < end).map(move |(offset, s)| {
        (first + offset, s.start.max(start) - start, (s.start + s.length).min(end) - start)
    })
}

/// Squared norms of the weights and of the gradient of every segment; f32 within a chunk, f64 across chunks.
fn squared_norms(parameters: &[f32], gradient: &[f32], segments: &[Segment]) -> Vec<[f64; 2]> {
    let jobs = parameters.chunks(CHUNK).zip(gradient.chunks(CHUNK)).enumerate();
    let partial = map(jobs, |(chunk, (w, g))| {
        let squares = |(index, start, end): (usize, usize, usize)| {
            let (w, g) = (&w[start..end], &g[start..end]);
            simd(|| (index, [f64::from(dot(w, w)), f64::from(dot(g, g))]))
        };
        pieces(segments, chunk).filter(|(index, ..)| segments[*index].adapts).map(squares).collect::<Vec<_>>()
    });
    let mut total = vec![[0.0; 2]; segments.len()];
    for (index, squares) in partial.into_iter().flatten() {
        total[index][0] += squares[0];
        total[index][1] += squares[1];
    }
    total
}

/// Decay and scale of the gradient in a segment under LARS, from ‖w‖² and ‖∇‖²; `clip` is the rate where it clips.
fn lars(segment: &Segment, squared_norms: [f64; 2], decay: f64, trust: f64, clip: Option<f64>) -> [f32; 2] {
    let [w, g] = squared_norms.map(f64::sqrt);
    if !segment.adapts {
        [decay as f32, 1.0]
    } else if w == 0.0 || g == 0.0 {
        // Not even decay, as in apex. A NaN is not 0 and goes on.
        [0.0, 1.0]
    } else {
        let scale = trust * w / (g + decay * w + EPSILON);
        // A NaN is not above 1 and goes on.
        let clipped = clip.map_or(scale, |rate| if scale / rate > 1.0 { 1.0 } else { scale / rate });
        [decay as f32, clipped as f32]
    }
}

#[inline(always)]
pub(super) fn momentum_step(
    w: &mut [f32],
    v: &mut [f32],
    g: &[f32],
    [decay, scale, momentum, rate]: [f32; 4],
) {
    for ((w, v), g) in w.iter_mut().zip(v).zip(g) {
        *v = momentum * *v + scale * (g + decay * *w);
        *w -= rate * *v;
    }
}

/// Numbers of an AdamW step that every parameter shares.
#[derive(Clone, Copy)]
struct AdamStep {
    keep: f32,
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    size: f32,
    root: f32,
    epsilon: f32,
}

#[inline(always)]
fn adam_step(w: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], s: AdamStep) {
    for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(g) {
        *m = s.beta1 * *m + s.rest1 * g;
        *v = s.beta2 * *v + s.rest2 * g * g;
        *w = *w * s.keep - s.size * *m / (v.sqrt() * s.root + s.epsilon);
    }
}

/// One step over `state` = parameters, then the rule's state, each as long as `gradient`.
pub fn step(
    state: &mut [f32],
    gradient: &[f32],
    segments: &[Segment],
    rule: Rule,
    decay: f64,
    rate: f64,
    step: u64,
) {
    let (parameters, rest) = state.split_at_mut(gradient.len());
    let decay_of = |segment: &Segment| if segment.decays { decay } else { 0.0 };
    match rule {
        Rule::Sgd { momentum } | Rule::Lars { momentum, .. } => {
            let numbers: Vec<[f32; 2]> = match rule {
                Rule::Lars { trust, clip, .. } => {
                    let clip = clip.then_some(rate);
                    let norms = squared_norms(parameters, gradient, segments);
                    segments
                        .iter()
                        .zip(&norms)
                        .map(|(s, norms)| lars(s, *norms, decay_of(s), trust, clip))
                        .collect()
                }
                _ => segments.iter().map(|segment| [decay_of(segment) as f32, 1.0]).collect(),
            };
            let jobs = parameters.chunks_mut(CHUNK).zip(rest.chunks_mut(CHUNK)).zip(gradient.chunks(CHUNK));
            for_each(jobs.enumerate(), |(chunk, ((w, v), g))| {
                for (index, start, end) in pieces(segments, chunk) {
                    let [decay, scale] = numbers[index];
                    let numbers = [decay, scale, momentum as f32, rate as f32];
                    let (w, v, g) = (&mut w[start..end], &mut v[start..end], &g[start..end]);
                    simd(|| momentum_step(w, v, g, numbers));
                }
            });
        }
        Rule::AdamW { beta1, beta2, epsilon } => {
            let (m, v) = rest.split_at_mut(gradient.len());
            let steps = step.min(i32::MAX as u64) as i32;
            let numbers = |segment: &Segment| AdamStep {
                keep: (1.0 - rate * decay_of(segment)) as f32,
                beta1: beta1 as f32,
                beta2: beta2 as f32,
                rest1: (1.0 - beta1) as f32,
                rest2: (1.0 - beta2) as f32,
                size: (rate / (1.0 - beta1.powi(steps))) as f32,
                root: (1.0 / (1.0 - beta2.powi(steps)).sqrt()) as f32,
                epsilon: epsilon as f32,
            };
            let numbers: Vec<AdamStep> = segments.iter().map(numbers).collect();
            let jobs = parameters.chunks_mut(CHUNK).zip(m.chunks_mut(CHUNK)).zip(v.chunks_mut(CHUNK));
            for_each(jobs.zip(gradient.chunks(CHUNK)).enumerate(), |(chunk, (((w, m), v), g))| {
                for (index, start, end) in pieces(segments, chunk) {
                    let (w, m) = (&mut w[start..end], &mut m[start..end]);
                    let (v, g) = (&mut v[start..end], &g[start..end]);
                    simd(|| adam_step(w, m, v, g, numbers[index]));
                }
            });
        }
    }
}
