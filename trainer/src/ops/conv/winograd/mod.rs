//! 3×3 convolutions of stride 1 by Winograd's minimal filtering F(2×2, 3×3) (Lavin & Gray 2016): 16 products for each
//! 2×2 outputs instead of 36.
//!
//! With d a 4×4 tile of the input, g a 3×3 kernel and Y the 2×2 outputs of the tile,
//!
//! Y = Aᵀ \[(G g Gᵀ) ⊙ (Bᵀ d B)\] A,
//!
//! where Bᵀ = (1 0 −1 0; 0 1 1 0; 0 −1 1 0; 0 1 0 −1), G = (1 0 0; ½ ½ ½; ½ −½ ½; 0 0 1), Aᵀ = (1 1 1 0; 0 1 −1 −1).
//! For each of the 16 places ξ the sum over channels is a product of matrices \[tiles, C_in\]·\[C_in, C_out\]. The
//! input gradient is the same convolution of dy with the kernel reversed, and the weight gradient is the transposed
//! identity, dg = Gᵀ \[Σ_tiles (A dY Aᵀ) ⊙ (Bᵀ d B)\] G.
//!
//! The transforms only add, subtract and halve, and the sums over channels are nine times shorter than a direct
//! convolution's; the tests hold both to the same bounds.

mod kernels;
mod weight;

pub use weight::weight_gradient;

use super::geometry::Geometry;
use crate::ops::scratch::Scratch;
use crate::ops::shared::{Room, Shared};
use crate::ops::tile::{Gather, PanelWidth};
use kernels::Kernels;
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
    // Transformed weights are put into panels sixteen at a time.
    let panels = Arch::new().dispatch(PanelWidth).is_multiple_of(LANES);
    panels
        && g.kernel == [3, 3]
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
    batch: usize,
    tiles: usize,
}

impl Grid {
    fn new(batch: usize, [height, width]: [usize; 2], padding: usize) -> Self {
        let (out_height, out_width) = (height + 2 * padding - 2, width + 2 * padding - 2);
        let tiles = batch * out_height.div_ceil(2) * out_width.div_ceil(2);
        Self { height, width, padding, out_height, out_width, batch, tiles }
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
        let room = values.at(first * stride);
        assert!((PLACES - 1) * distance + tiles * stride <= room.length);
        Self { start: room.pointer, distance }
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
    #[allow(clippy::needless_range_loop)] // rows and columns of a small square
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
    out: Room,
    accumulate: bool,
}

impl WithSimd for Collect {
    type Output = ();

    #[inline(always)]
    #[allow(unsafe_code)] // unaligned vector loads and stores
    #[allow(clippy::needless_range_loop)] // rows and columns of a small square
    fn with_simd<S: Simd>(self, simd: S) {
        let stride = tile_stride(self.channels);
        for (t, tile) in self.tiles.clone().enumerate() {
            let place = self.grid.place(tile);
            for channel in (0..self.channels).step_by(S::F32_LANES) {
                // SAFETY: `places` holds all tiles of `channels` values, a multiple of the lanes; the output pixels of
                // a tile belong to no other tile.
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
                                let to =
                                    self.out.pointer.add(pixel * self.channels + channel).cast::<S::f32s>();
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

/// The convolution of x \[.., depth\] into out \[.., columns\].
fn convolve(
    grid: Grid,
    [depth, columns]: [usize; 2],
    x: &[f32],
    kernels: &Kernels,
    out: &Shared<'_, impl Send>,
    accumulate: bool,
) {
    let (arch, block) = (Arch::new(), grid.block());
    let distances = [depth, columns].map(|channels| block * tile_stride(channels) + SKEW);
    let border = vec![0.0; depth];
    let [src_offsets, dst_offsets] = [depth, columns].map(|channels| tile_offsets(channels, block));
    assert!(grid.batch * grid.out_height * grid.out_width * columns <= out.at(0).length);
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
                    dst: Shared::new(&mut outputs[place * distances[1]..]).at(0),
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
            arch.dispatch(Collect { grid, channels: columns, tiles, places, out: out.at(0), accumulate });
        },
    );
}

/// y, all of it written.
pub fn forward(g: &Geometry, x: &[f32], weight: &[f32], y: &mut [MaybeUninit<f32>]) {
    let kernels = Kernels::forward(g, weight, Arch::new().dispatch(PanelWidth));
    let grid = Grid::new(g.batch, [g.height, g.width], g.padding);
    assert!(x.len() >= g.batch * g.height * g.width * g.in_channels);
    assert_eq!(y.len(), g.batch * grid.out_height * grid.out_width * g.out_channels);
    convolve(grid, [g.in_channels, g.out_channels], x, &kernels, &Shared::new(y), false);
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
    convolve(grid, [g.out_channels, g.in_channels], dy, &kernels, dx, accumulate);
}
