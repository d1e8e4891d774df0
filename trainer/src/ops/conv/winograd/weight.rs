//! The weight gradient by Winograd's filtering: dg = Gᵀ \[Σ_tiles (A dY Aᵀ) ⊙ (Bᵀ d B)\] G.

use super::{Grid, PLACES, Places, SKEW, Scatter, Source, tile_offsets, tile_stride};
use crate::ops::conv::geometry::Geometry;
use crate::ops::scratch::Scratch;
use crate::ops::shared::Shared;
use crate::ops::tile::{Outer, SLACK};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// dw, all of it written.
pub fn weight_gradient(g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let products = Products {
        grid: Grid::new(g.batch, [g.height, g.width], g.padding),
        x,
        dy,
        inputs: g.in_channels,
        outputs: g.out_channels,
        border: vec![0.0; g.in_channels.max(g.out_channels)],
    };
    let chunks = (PARTIAL_SUMS / products.len()).min(CHUNKS);
    let sums = if chunks > 1 { products.by_chunks(chunks) } else { products.together() };
    let arch = Arch::new();
    dw.par_chunks_mut(9 * g.in_channels).enumerate().for_each(|(row, dw)| {
        arch.dispatch(Contract { sums: &sums, rows: g.out_channels, row, channels: g.in_channels, dw });
    });
}

/// Most values of the partial sums of all chunks together: 8 MiB.
const PARTIAL_SUMS: usize = 2 << 20;
/// Most chunks of a batch.
const CHUNKS: usize = 16;
/// Values of transformed input held at a time where there are no chunks: 4 MiB.
const HELD: usize = 1 << 20;
/// Rows (output channels) of one task where there are no chunks.
const ROWS: usize = 32;

/// Σ_tiles (A dY Aᵀ) ⊙ (Bᵀ d B) of each place: \[place\]\[C_out\]\[C_in\].
struct Products<'a> {
    grid: Grid,
    x: &'a [f32],
    dy: &'a [f32],
    inputs: usize,
    outputs: usize,
    border: Vec<f32>,
}

impl Products<'_> {
    fn len(&self) -> usize {
        PLACES * self.outputs * self.inputs
    }

    /// Transforms tiles of input and output gradient into two buffers, from tile `first` of the buffers on.
    fn scatter(
        &self,
        tiles: std::ops::Range<usize>,
        buffers: [&Shared<'_, f32>; 2],
        first: usize,
        block: usize,
    ) {
        let sources = [(Source::Input(self.x), self.inputs), (Source::OutputGradient(self.dy), self.outputs)];
        for ((source, channels), values) in sources.into_iter().zip(buffers) {
            let distance = block * tile_stride(channels) + SKEW;
            let places = Places::new(values, channels, first, tiles.len(), distance);
            let (grid, border) = (self.grid, &self.border);
            Arch::new().dispatch(Scatter { grid, source, border, channels, tiles: tiles.clone(), places });
        }
    }

    /// Adds tiles `range` of the buffers to the rows of one place, at `dst`.
    #[allow(clippy::too_many_arguments)] // one call's worth of a five-fold loop
    fn add(
        &self,
        [inputs, outputs]: [&[f32]; 2],
        offsets: &[usize],
        block: usize,
        place: usize,
        range: std::ops::Range<usize>,
        rows: std::ops::Range<usize>,
        sums: &mut [f32],
    ) {
        let [x_stride, dy_stride] = [self.inputs, self.outputs].map(tile_stride);
        let scalars = &outputs[place * (block * dy_stride + SKEW)..];
        Arch::new().dispatch(Outer {
            scalars: &scalars[range.start * dy_stride..range.end * dy_stride],
            scalar_stride: dy_stride,
            rows,
            src: &inputs[place * (block * x_stride + SKEW)..],
            src_offsets: &offsets[range],
            segments: &[0],
            run: self.inputs,
            dst: Shared::new(sums).at(0),
        });
    }

    fn buffers(&self, block: usize) -> [Scratch; 2] {
        [self.inputs, self.outputs]
            .map(|channels| Scratch::new(PLACES * (block * tile_stride(channels) + SKEW) + SLACK))
    }

    /// Few channels: chunks of the batch whose transformed tiles and sums stay in a task's cache.
    fn by_chunks(&self, chunks: usize) -> Scratch {
        const BLOCK: usize = 64;
        let per_chunk = self.grid.tiles.div_ceil(chunks);
        let chunks = self.grid.tiles.div_ceil(per_chunk);
        let offsets = tile_offsets(self.inputs, BLOCK);
        let mut sums = Scratch::new(chunks * self.len());
        let place_len = self.outputs * self.inputs;
        sums.par_chunks_mut(self.len()).enumerate().for_each_init(
            || self.buffers(BLOCK),
            |buffers, (chunk, sums)| {
                sums.fill(0.0);
                let tiles = chunk * per_chunk..((chunk + 1) * per_chunk).min(self.grid.tiles);
                for first in tiles.clone().step_by(BLOCK) {
                    let count = BLOCK.min(tiles.end - first);
                    let [inputs, outputs] = buffers;
                    let shared = [Shared::new(&mut inputs[..]), Shared::new(&mut outputs[..])];
                    self.scatter(first..first + count, [&shared[0], &shared[1]], 0, BLOCK);
                    for (place, sums) in sums.chunks_exact_mut(place_len).enumerate() {
                        let rows = 0..self.outputs;
                        self.add([&inputs[..], &outputs[..]], &offsets, BLOCK, place, 0..count, rows, sums);
                    }
                }
            },
        );
        let (total, others) = sums.split_at_mut(self.len());
        total.par_chunks_mut(place_len).enumerate().for_each(|(place, total)| {
            for chunk in others.chunks_exact(PLACES * place_len) {
                let values = &chunk[place * place_len..(place + 1) * place_len];
                total.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
        });
        sums
    }

    /// Many channels: the tiles of some images at a time, then the places and blocks of rows in parallel.
    fn together(&self) -> Scratch {
        let block = (HELD / (PLACES * self.inputs.max(self.outputs))).clamp(1, self.grid.tiles);
        let offsets = tile_offsets(self.inputs, block);
        let [mut inputs, mut outputs] = self.buffers(block);
        let mut sums = Scratch::new(self.len());
        for first in (0..self.grid.tiles).step_by(block) {
            let count = block.min(self.grid.tiles - first);
            let shared = [Shared::new(&mut inputs[..]), Shared::new(&mut outputs[..])];
            (0..count.div_ceil(16)).into_par_iter().for_each(|index| {
                let tiles = index * 16..((index + 1) * 16).min(count);
                let buffers = [&shared[0], &shared[1]];
                self.scatter(first + tiles.start..first + tiles.end, buffers, tiles.start, block);
            });
            let [inputs, outputs] = [&inputs[..], &outputs[..]];
            let places = sums.par_chunks_exact_mut(self.outputs * self.inputs).enumerate();
            places.for_each(|(place, sums)| {
                sums.par_chunks_mut(ROWS * self.inputs).enumerate().for_each(|(block_of_rows, sums)| {
                    let row = block_of_rows * ROWS;
                    let rows = row..(row + ROWS).min(self.outputs);
                    if first == 0 {
                        sums.fill(0.0);
                    }
                    self.add([inputs, outputs], &offsets, block, place, 0..count, rows, sums);
                });
            });
        }
        sums
    }
}

/// dg = Gᵀ u G of one output channel.
struct Contract<'a> {
    /// \[place\]\[rows\]\[channels\].
    sums: &'a [f32],
    rows: usize,
    row: usize,
    channels: usize,
    dw: &'a mut [f32],
}

impl WithSimd for Contract<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(unsafe_code)] // unaligned vector loads and stores
    #[allow(clippy::needless_range_loop)] // rows and columns of a small square
    fn with_simd<S: Simd>(self, simd: S) {
        assert!(self.sums.len() >= PLACES * self.rows * self.channels && self.dw.len() >= 9 * self.channels);
        let half = simd.splat_f32s(0.5);
        let contract = |[a, b, c, d]: [S::f32s; 4]| {
            let (sum, difference) = (simd.add_f32s(b, c), simd.sub_f32s(b, c));
            [
                simd.mul_add_f32s(half, sum, a),
                simd.mul_f32s(half, difference),
                simd.mul_add_f32s(half, sum, d),
            ]
        };
        for channel in (0..self.channels).step_by(S::F32_LANES) {
            // SAFETY: asserted above, and channels are a multiple of the lanes.
            unsafe {
                let load = |place: usize| {
                    let from =
                        self.sums.as_ptr().add((place * self.rows + self.row) * self.channels + channel);
                    from.cast::<S::f32s>().read_unaligned()
                };
                let mut rows = [[half; 4]; 3];
                for j in 0..4 {
                    let column = contract([load(j), load(4 + j), load(8 + j), load(12 + j)]);
                    rows[0][j] = column[0];
                    rows[1][j] = column[1];
                    rows[2][j] = column[2];
                }
                for (r, row) in rows.into_iter().enumerate() {
                    for (q, value) in contract(row).into_iter().enumerate() {
                        let to = self.dw.as_mut_ptr().add((3 * r + q) * self.channels + channel);
                        to.cast::<S::f32s>().write_unaligned(value);
                    }
                }
            }
        }
    }
}
