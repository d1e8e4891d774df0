//! The weights of a 3×3 convolution as Winograd's products take them: G g Gᵀ in panels.

use super::{LANES, PLACES};
use crate::ops::conv::geometry::Geometry;
use crate::ops::scratch::Scratch;
use crate::ops::shared::Shared;
use rayon::prelude::*;

/// One column or row of G g Gᵀ.
#[inline(always)]
fn expand([a, b, c]: [f32; 3]) -> [f32; 4] {
    [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c]
}

/// G g Gᵀ as panels \[place\]\[⌈columns/width⌉\]\[depth\]\[width\].
pub(super) struct Kernels {
    panels: Scratch,
    per_place: usize,
}

/// Sixteen values along the contiguous channel of the weights, transformed: `taps(r, q)` starts them.
#[inline(always)]
fn transform(weight: &[f32], tap: impl Fn(usize, usize) -> usize, out: &mut [[f32; LANES]; PLACES]) {
    let taps: [[&[f32]; 3]; 3] =
        std::array::from_fn(|r| std::array::from_fn(|q| &weight[tap(r, q)..][..LANES]));
    for lane in 0..LANES {
        let mut rows = [[0.0; 3]; 4];
        for q in 0..3 {
            let column = expand([taps[0][q][lane], taps[1][q][lane], taps[2][q][lane]]);
            (0..4).for_each(|i| rows[i][q] = column[i]);
        }
        for (i, row) in rows.into_iter().enumerate() {
            let values = expand(row);
            (0..4).for_each(|j| out[4 * i + j][lane] = values[j]);
        }
    }
}

impl Kernels {
    /// Of the forward convolution: depth C_in, columns C_out.
    pub fn forward(g: &Geometry, weight: &[f32], width: usize) -> Self {
        let (depth, columns) = (g.in_channels, g.out_channels);
        Self::build(depth, columns, width, |panel, out| {
            let channels = panel * width..((panel + 1) * width).min(columns);
            let mut values = [[0.0; LANES]; PLACES];
            for c in (0..depth).step_by(LANES) {
                for o in channels.clone() {
                    transform(weight, |r, q| ((o * 3 + r) * 3 + q) * depth + c, &mut values);
                    for (place, values) in values.iter().enumerate() {
                        for (lane, &value) in values.iter().enumerate() {
                            out(place, c + lane, o - channels.start, &[value]);
                        }
                    }
                }
            }
        })
    }

    /// Of the input gradient, with the kernel reversed: depth C_out, columns C_in.
    pub fn reversed(g: &Geometry, weight: &[f32], width: usize) -> Self {
        let (depth, columns) = (g.out_channels, g.in_channels);
        Self::build(depth, columns, width, |panel, out| {
            let channels = panel * width..((panel + 1) * width).min(columns);
            let mut values = [[0.0; LANES]; PLACES];
            for o in 0..depth {
                for c in channels.clone().step_by(LANES) {
                    transform(weight, |r, q| ((o * 3 + 2 - r) * 3 + 2 - q) * columns + c, &mut values);
                    for (place, values) in values.iter().enumerate() {
                        out(place, o, c - channels.start, values);
                    }
                }
            }
        })
    }

    /// `fill(panel, put)` puts values at (place, depth, column within the panel).
    fn build(
        depth: usize,
        columns: usize,
        width: usize,
        fill: impl Fn(usize, &mut dyn FnMut(usize, usize, usize, &[f32])) + Sync,
    ) -> Self {
        let count = columns.div_ceil(width);
        let per_place = count * depth * width;
        let mut panels = Scratch::new(PLACES * per_place);
        let shared = Shared::new(&mut panels);
        (0..count).into_par_iter().for_each(|panel| {
            fill(panel, &mut |place, k, column, values| {
                assert!(place < PLACES && k < depth && column + values.len() <= width);
                let to = shared.at(place * per_place + (panel * depth + k) * width + column).pointer;
                #[allow(unsafe_code)] // panels of one place are not adjacent to those of another
                // SAFETY: inside panel `panel` of place `place`, which no other task writes.
                unsafe {
                    std::ptr::copy_nonoverlapping(values.as_ptr(), to, values.len());
                }
            });
        });
        Self { panels, per_place }
    }

    pub fn place(&self, place: usize) -> &[f32] {
        &self.panels[place * self.per_place..(place + 1) * self.per_place]
    }
}
