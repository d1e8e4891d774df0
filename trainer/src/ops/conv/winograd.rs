//! 3×3 convolutions of stride 1 by Winograd's minimal filtering F(2×2, 3×3) (Lavin & Gray 2016): 16 products for each 2×2
//! outputs instead of 36.
//!
//! With d a 4×4 tile of the input, g a 3×3 kernel and Y the 2×2 outputs of the tile,
//!
//! Y = Aᵀ \[(G g Gᵀ) ⊙ (Bᵀ d B)\] A,
//!
//! where Bᵀ = (1 0 −1 0; 0 1 1 0; 0 −1 1 0; 0 1 0 −1), G = (1 0 0; ½ ½ ½; ½ −½ ½; 0 0 1), Aᵀ = (1 1 1 0; 0 1 −1 −1). For each
//! of the 16 places ξ the sum over channels is a product of matrices \[tiles, C_in\]·\[C_in, C_out\]. The input gradient is the
//! same convolution of dy with the kernel reversed, and the weight gradient is the transposed identity,
//! dg = Gᵀ \[Σ_tiles (A dY Aᵀ) ⊙ (Bᵀ d B)\] G.
//!
//! The transforms only add, subtract and halve, and the sums over channels are nine times shorter than a direct
//! convolution's, so the rounding error is no larger than there: the tests find the same bounds.

use super::geometry::Geometry;
use crate::ops::scratch::Scratch;
use crate::ops::shared::Shared;
use crate::ops::tile::{Gather, Outer, PanelWidth, SLACK};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Places of a tile.
const PLACES: usize = 16;
/// Values added to the distance between places: at a power of two they would compete for the same cache lines.
const SKEW: usize = 80;
/// Fewest channels for which the transforms pay.
const MIN_CHANNELS: usize = 32;
/// Channels come in multiples of the widest vector.
const LANES: usize = 16;

/// Whether this convolution is done here.
pub fn fits(g: &Geometry) -> bool {
    let channels = |c: usize| c >= MIN_CHANNELS && c.is_multiple_of(LANES);
    g.kernel == [3, 3]
        && g.stride == 1
        && g.padding <= 2
        && channels(g.in_channels)
        && channels(g.out_channels)
}

/// Tiles of a batch of images: 2×2 outputs each, reading 4×4 inputs.
#[derive(Clone, Copy)]
struct Grid {
    height: usize,
    width: usize,
    padding: usize,
    out_height: usize,
    out_width: usize,
    tiles: usize,
}

impl Grid {
    fn new(batch: usize, [height, width]: [usize; 2], padding: usize) -> Self {
        let (out_height, out_width) = (height + 2 * padding - 2, width + 2 * padding - 2);
        let tiles = batch * out_height.div_ceil(2) * out_width.div_ceil(2);
        Self { height, width, padding, out_height, out_width, tiles }
    }

    /// Image, row and column of a tile.
    #[inline(always)]
    fn place(&self, tile: usize) -> [usize; 3] {
        let (rows, columns) = (self.out_height.div_ceil(2), self.out_width.div_ceil(2));
        [tile / (rows * columns), tile / columns % rows, tile % columns]
    }

    /// Index of the input pixel at (i, j) of a tile, if it is no border.
    #[inline(always)]
    fn input(&self, [image, row, column]: [usize; 3], i: usize, j: usize) -> Option<usize> {
        let (y, x) = ((2 * row + i).wrapping_sub(self.padding), (2 * column + j).wrapping_sub(self.padding));
        (y < self.height && x < self.width).then(|| (image * self.height + y) * self.width + x)
    }

    /// Index of the output pixel at (i, j) of a tile, if it exists.
    #[inline(always)]
    fn output(&self, [image, row, column]: [usize; 3], i: usize, j: usize) -> Option<usize> {
        let (y, x) = (2 * row + i, 2 * column + j);
        (y < self.out_height && x < self.out_width)
            .then(|| (image * self.out_height + y) * self.out_width + x)
    }

    /// Tiles per task.
    fn block(&self) -> usize {
        self.tiles.div_ceil(16).clamp(1, 64)
    }
}

/// Values from one transformed tile to the next: not a power of two, see [`SKEW`].
fn tile_stride(channels: usize) -> usize {
    channels + LANES
}

/// Where transformed tiles go or come from: \[place\]\[tile\]\[channel\], `distance` values from place to place.
#[derive(Clone, Copy)]
struct Places {
    start: *mut f32,
    distance: usize,
}

impl Places {
    /// Room for `tiles` tiles of this many channels, from tile `first` of the buffer on.
    fn new(values: &Shared<'_, f32>, channels: usize, first: usize, tiles: usize, distance: usize) -> Self {
        let stride = tile_stride(channels);
        // The last value of the last tile of the last place lies inside.
        values.at((PLACES - 1) * distance + (first + tiles) * stride);
        Self { start: values.at(first * stride), distance }
    }

    #[inline(always)]
    fn at(&self, place: usize, offset: usize) -> *mut f32 {
        self.start.wrapping_add(place * self.distance + offset)
    }
}

/// Which transform a tile goes through on its way to the 16 places.
enum Source<'a> {
    /// Bᵀ d B of the input.
    Input(&'a [f32]),
    /// A dY Aᵀ of the output gradient.
    OutputGradient(&'a [f32]),
}

struct Scatter<'a> {
    grid: Grid,
    source: Source<'a>,
    /// A pixel of zeros.
    border: &'a [f32],
    channels: usize,
    tiles: std::ops::Range<usize>,
    places: Places,
}

impl WithSimd for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(unsafe_code)] // unaligned vector loads and stores
    fn with_simd<S: Simd>(self, simd: S) {
        let pixel = |values: &[f32], index: Option<usize>| match index {
            Some(index) => values[index * self.channels..(index + 1) * self.channels].as_ptr(),
            None => self.border[..self.channels].as_ptr(),
        };
        let stride = tile_stride(self.channels);
        for (t, tile) in self.tiles.clone().enumerate() {
            let place = self.grid.place(tile);
            let mut pixels = [[self.border.as_ptr(); 4]; 4];
            for i in 0..4 {
                for j in 0..4 {
                    match self.source {
                        Source::Input(x) => pixels[i][j] = pixel(x, self.grid.input(place, i, j)),
                        Source::OutputGradient(dy) if i < 2 && j < 2 => {
                            pixels[i][j] = pixel(dy, self.grid.output(place, i, j));
                        }
                        Source::OutputGradient(_) => {}
                    }
                }
            }
            for channel in (0..self.channels).step_by(S::F32_LANES) {
                // SAFETY: every pixel has `channels` values, a multiple of the lanes; `places` holds all tiles.
                unsafe {
                    let load =
                        |i: usize, j: usize| pixels[i][j].add(channel).cast::<S::f32s>().read_unaligned();
                    let store = |i: usize, j: usize, value: S::f32s| {
                        let to = self.places.at(4 * i + j, t * stride + channel);
                        to.cast::<S::f32s>().write_unaligned(value);
                    };
                    let zero = simd.splat_f32s(0.0);
                    let mut rows = [[zero; 4]; 4];
                    match self.source {
                        Source::Input(_) => {
                            for j in 0..4 {
                                let [a, b, c, d] = [load(0, j), load(1, j), load(2, j), load(3, j)];
                                rows[0][j] = simd.sub_f32s(a, c);
                                rows[1][j] = simd.add_f32s(b, c);
                                rows[2][j] = simd.sub_f32s(c, b);
                                rows[3][j] = simd.sub_f32s(b, d);
                            }
                            for (i, [a, b, c, d]) in rows.into_iter().enumerate() {
                                store(i, 0, simd.sub_f32s(a, c));
                                store(i, 1, simd.add_f32s(b, c));
                                store(i, 2, simd.sub_f32s(c, b));
                                store(i, 3, simd.sub_f32s(b, d));
                            }
                        }
                        Source::OutputGradient(_) => {
                            for j in 0..2 {
                                let [a, b] = [load(0, j), load(1, j)];
                                rows[0][j] = a;
                                rows[1][j] = simd.add_f32s(a, b);
                                rows[2][j] = simd.sub_f32s(a, b);
                                rows[3][j] = simd.sub_f32s(zero, b);
                            }
                            for (i, [a, b, _, _]) in rows.into_iter().enumerate() {
                                store(i, 0, a);
                                store(i, 1, simd.add_f32s(a, b));
                                store(i, 2, simd.sub_f32s(a, b));
                                store(i, 3, simd.sub_f32s(zero, b));
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Y = Aᵀ M A of each tile.
struct Collect {
    grid: Grid,
    channels: usize,
    tiles: std::ops::Range<usize>,
    places: Places,
    out: *mut f32,
    accumulate: bool,
}

impl WithSimd for Collect {
    type Output = ();

    #[inline(always)]
    #[allow(unsafe_code)] // unaligned vector loads and stores
    fn with_simd<S: Simd>(self, simd: S) {
        let stride = tile_stride(self.channels);
        for (t, tile) in self.tiles.clone().enumerate() {
            let place = self.grid.place(tile);
            for channel in (0..self.channels).step_by(S::F32_LANES) {
                // SAFETY: `places` holds all tiles of `channels` values, a multiple of the lanes; the output pixels of a
                // tile belong to no other tile.
                unsafe {
                    let load = |i: usize, j: usize| {
                        let from = self.places.at(4 * i + j, t * stride + channel);
                        from.cast::<S::f32s>().read_unaligned()
                    };
                    let sums = |a, b, c, d| {
                        let first = simd.add_f32s(simd.add_f32s(a, b), c);
                        [first, simd.sub_f32s(simd.sub_f32s(b, c), d)]
                    };
                    let mut rows = [[simd.splat_f32s(0.0); 4]; 2];
                    for j in 0..4 {
                        [rows[0][j], rows[1][j]] = sums(load(0, j), load(1, j), load(2, j), load(3, j));
                    }
                    for (i, [a, b, c, d]) in rows.into_iter().enumerate() {
                        for (j, value) in sums(a, b, c, d).into_iter().enumerate() {
                            if let Some(pixel) = self.grid.output(place, i, j) {
                                let to = self.out.add(pixel * self.channels + channel).cast::<S::f32s>();
                                let before =
                                    if self.accumulate { to.read_unaligned() } else { simd.splat_f32s(0.0) };
                                to.write_unaligned(simd.add_f32s(before, value));
                            }
                        }
                    }
                }
            }
        }
    }
}

fn tile_offsets(channels: usize, tiles: usize) -> Vec<usize> {
    (0..tiles).map(|t| t * tile_stride(channels)).collect()
}

/// One column or row of G g Gᵀ.
#[inline(always)]
fn expand([a, b, c]: [f32; 3]) -> [f32; 4] {
    [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c]
}

/// G g Gᵀ as panels \[place\]\[⌈columns/width⌉\]\[depth\]\[width\].
struct Kernels {
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
    fn forward(g: &Geometry, weight: &[f32], width: usize) -> Self {
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
    fn reversed(g: &Geometry, weight: &[f32], width: usize) -> Self {
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
                debug_assert!(k < depth && column + values.len() <= width);
                let to = shared.at(place * per_place + (panel * depth + k) * width + column);
                #[allow(unsafe_code)] // panels of one place are not adjacent to those of another
                // SAFETY: inside panel `panel` of place `place`, which no other task writes.
                unsafe {
                    std::ptr::copy_nonoverlapping(values.as_ptr(), to, values.len());
                }
            });
        });
        Self { panels, per_place }
    }

    fn place(&self, place: usize) -> &[f32] {
        &self.panels[place * self.per_place..(place + 1) * self.per_place]
    }
}

/// The convolution of x \[.., depth\] into out \[.., columns\].
fn convolve(
    grid: Grid,
    [depth, columns]: [usize; 2],
    x: &[f32],
    kernels: &Kernels,
    out: *mut f32,
    accumulate: bool,
) {
    let (arch, block) = (Arch::new(), grid.block());
    let distances = [depth, columns].map(|channels| block * tile_stride(channels) + SKEW);
    let border = vec![0.0; depth];
    let [src_offsets, dst_offsets] = [depth, columns].map(|channels| tile_offsets(channels, block));
    let out = Output(out);
    (0..grid.tiles.div_ceil(block)).into_par_iter().for_each_init(
        || distances.map(|distance| Scratch::new(PLACES * distance)),
        |[inputs, outputs], index| {
            let tiles = index * block..((index + 1) * block).min(grid.tiles);
            let count = tiles.len();
            let shared = Shared::new(inputs);
            let places = Places::new(&shared, depth, 0, count, distances[0]);
            let source = Source::Input(x);
            arch.dispatch(Scatter {
                grid,
                source,
                border: &border,
                channels: depth,
                tiles: tiles.clone(),
                places,
            });
            for place in 0..PLACES {
                arch.dispatch(Gather {
                    src: &inputs[place * distances[0]..],
                    src_offsets: &src_offsets[..count],
                    dst: outputs[place * distances[1]..].as_mut_ptr(),
                    dst_offsets: &dst_offsets[..count],
                    accumulate: false,
                    segments: &[0],
                    run: depth,
                    packed: kernels.place(place),
                    columns,
                });
            }
            let shared = Shared::new(outputs);
            let places = Places::new(&shared, columns, 0, count, distances[1]);
            arch.dispatch(Collect { grid, channels: columns, tiles, places, out: out.pointer(), accumulate });
        },
    );
}

/// The start of an output whose tiles are written by several tasks.
struct Output(*mut f32);

#[allow(unsafe_code)] // tasks on several threads need the pointer
// SAFETY: tiles are disjoint.
unsafe impl Sync for Output {}

impl Output {
    fn pointer(&self) -> *mut f32 {
        self.0
    }
}

/// y, all of it written.
pub fn forward(g: &Geometry, x: &[f32], weight: &[f32], y: &mut [MaybeUninit<f32>]) {
    let kernels = Kernels::forward(g, weight, Arch::new().dispatch(PanelWidth));
    let grid = Grid::new(g.batch, [g.height, g.width], g.padding);
    assert!(x.len() >= g.batch * g.height * g.width * g.in_channels);
    assert_eq!(y.len(), g.batch * grid.out_height * grid.out_width * g.out_channels);
    convolve(grid, [g.in_channels, g.out_channels], x, &kernels, y.as_mut_ptr().cast(), false);
}

/// dx, all of it written, or added to.
pub fn input_gradient(
    g: &Geometry,
    dy: &[f32],
    weight: &[f32],
    dx: &Shared<'_, impl Send>,
    accumulate: bool,
) {
    let kernels = Kernels::reversed(g, weight, Arch::new().dispatch(PanelWidth));
    let grid = Grid::new(g.batch, [g.out_height(), g.out_width()], 2 - g.padding);
    assert_eq!([grid.out_height, grid.out_width], [g.height, g.width]);
    convolve(grid, [g.out_channels, g.in_channels], dy, &kernels, dx.at(0).cast(), accumulate);
}

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
        dst: *mut f32,
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
            dst,
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
                        let (rows, dst) = (0..self.outputs, sums.as_mut_ptr());
                        self.add([&inputs[..], &outputs[..]], &offsets, BLOCK, place, 0..count, rows, dst);
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
            sums.par_chunks_mut(ROWS * self.inputs).enumerate().for_each(|(task, sums)| {
                let blocks = self.outputs.div_ceil(ROWS);
                let (place, row) = (task / blocks, task % blocks * ROWS);
                let rows = row..(row + ROWS).min(self.outputs);
                if first == 0 {
                    sums.fill(0.0);
                }
                self.add([inputs, outputs], &offsets, block, place, 0..count, rows, sums.as_mut_ptr());
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
