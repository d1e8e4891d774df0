//! Convolution and its two gradients on the CPU: a direct convolution of channels-last images, or, where
//! [`winograd::fits`], Winograd's, or, where [`pointwise::fits`], a product of matrices.
//!
//! Images are copied with their zero border into a scratch of a few images that stays in cache; weights are packed into
//! panels of a register tile's width once per call. The input gradient is a convolution of the output gradient with the
//! kernel reversed, one for each residue of the stride. Work is split over groups of images; the weight gradient also
//! over blocks of C_out and, where it is small, over a number of image chunks that depends on the shape alone, whose
//! sums are added in order. So the same bits come out with any number of threads.
//!
//! Accuracy: a value is a chain of fused multiply-adds in f32, over KH·KW·C_in or KH·KW·C_out terms, or, for the weight
//! gradient, over the output pixels of a chunk of images; the tests find errors below 2e-6 of the largest value.

use super::geometry::{Geometry, Residue};
use super::{pointwise, winograd};
use crate::ops::scratch::Scratch;
use crate::ops::shared::Shared;
use crate::ops::storage::filled;
use crate::ops::tile::{Gather, Outer, PanelWidth, SLACK};
use pulp::Arch;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Scratch of padded images for one task, in floats: about a quarter of a second-level cache.
const SCRATCH: usize = 64 << 10;
/// Tasks that a batch is cut into at least, where it has as many images.
const TASKS: usize = 16;

/// Zero borders and the padded size.
#[derive(Clone, Copy)]
struct Border {
    top: usize,
    left: usize,
    height: usize,
    width: usize,
}

/// Images per task when one padded image has this size.
fn group_size(batch: usize, padded_image: usize) -> usize {
    (SCRATCH / padded_image).clamp(1, batch.div_ceil(TASKS))
}

/// Copies images \[height, width, channels\] into the middle of zero-bordered ones.
fn pad(src: &[f32], [height, width, channels]: [usize; 3], border: Border, dst: &mut [f32]) {
    let image = height * width * channels;
    let row = border.width * channels;
    for (src, dst) in src.chunks_exact(image).zip(dst.chunks_exact_mut(border.height * row)) {
        let (before, rest) = dst.split_at_mut(border.top * row);
        let (middle, after) = rest.split_at_mut(height * row);
        before.fill(0.0);
        after.fill(0.0);
        for (src, dst) in src.chunks_exact(width * channels).zip(middle.chunks_exact_mut(row)) {
            let (left, rest) = dst.split_at_mut(border.left * channels);
            let (inside, right) = rest.split_at_mut(width * channels);
            left.fill(0.0);
            inside.copy_from_slice(src);
            right.fill(0.0);
        }
    }
}

/// Panels \[⌈columns/width⌉\]\[depth\]\[width\]: `fill` gets the number of a panel, its columns and its values.
fn pack(
    depth: usize,
    columns: usize,
    width: usize,
    fill: impl Fn(usize, std::ops::Range<usize>, &mut [f32]) + Sync,
) -> Scratch {
    let mut panels = Scratch::new(columns.div_ceil(width) * depth * width);
    panels.par_chunks_mut((depth * width).max(1)).enumerate().for_each(|(panel, values)| {
        let first = panel * width;
        if first + width > columns {
            values.fill(0.0);
        }
        fill(panel, first..(first + width).min(columns), values);
    });
    panels
}

/// y\[n, i, j, o\] = Σ_{r, q, c} x\[n, i·s + r − p, j·s + q − p, c\] · w\[o, r, q, c\]; x outside the image is 0.
pub fn forward(geometry: &Geometry, x: &[f32], weight: &[f32]) -> Vec<f32> {
    let g = *geometry;
    if pointwise::fits(&g) {
        return pointwise::forward(&g, x, weight);
    }
    if winograd::fits(&g) {
        let length = g.output_shape().iter().product();
        #[allow(unsafe_code)] // the output is not zeroed first
        // SAFETY: the tiles together are all output pixels.
        return unsafe { filled(length, |y| winograd::forward(&g, x, weight, y)) };
    }
    let (out_height, out_width, depth) = (g.out_height(), g.out_width(), g.depth());
    let arch = Arch::new();
    let width = arch.dispatch(PanelWidth);
    let packed = pack(depth, g.out_channels, width, |_, channels, panel| {
        // Sixteen rows of the panel at a time: both sides of the transposition stay in first-level cache.
        for begin in (0..depth).step_by(16) {
            for (j, channel) in channels.clone().enumerate() {
                let row = &weight[channel * depth..(channel + 1) * depth];
                for k in begin..(begin + 16).min(depth) {
                    panel[k * width + j] = row[k];
                }
            }
        }
    });
    let border = Border {
        top: g.padding,
        left: g.padding,
        height: g.height + 2 * g.padding,
        width: g.width + 2 * g.padding,
    };
    let padded = border.height * border.width * g.in_channels;
    let group = group_size(g.batch, padded);
    let segments: Vec<usize> = (0..g.kernel[0]).map(|r| r * border.width * g.in_channels).collect();
    let pixels = out_height * out_width;
    let src_offsets = window_offsets(&g, border, group);
    let dst_offsets: Vec<usize> = (0..group * pixels).map(|p| p * g.out_channels).collect();
    let (image, out_image) = (g.height * g.width * g.in_channels, pixels * g.out_channels);
    let write = |y: &mut [MaybeUninit<f32>]| {
        let y = Shared::new(y);
        let groups = g.batch.div_ceil(group);
        (0..groups).into_par_iter().for_each_init(
            || Scratch::new(group * padded),
            |scratch, index| {
                let images = index * group..((index + 1) * group).min(g.batch);
                pad(
                    &x[images.start * image..images.end * image],
                    [g.height, g.width, g.in_channels],
                    border,
                    scratch,
                );
                arch.dispatch(Gather {
                    src: scratch,
                    src_offsets: &src_offsets[..images.len() * pixels],
                    dst: y.at(images.start * out_image),
                    accumulate: false,
                    dst_offsets: &dst_offsets[..images.len() * pixels],
                    segments: &segments,
                    run: g.kernel[1] * g.in_channels,
                    packed: &packed,
                    columns: g.out_channels,
                });
            },
        );
    };
    #[allow(unsafe_code)] // the output is not zeroed first
    // SAFETY: every pixel of every image is written by its group.
    unsafe {
        filled(g.batch * out_image, write)
    }
}

/// Where the window of each output pixel of `images` padded images begins.
fn window_offsets(g: &Geometry, border: Border, images: usize) -> Vec<usize> {
    let mut offsets = Vec::with_capacity(images * g.out_height() * g.out_width());
    for image in 0..images {
        for i in 0..g.out_height() {
            for j in 0..g.out_width() {
                let pixel = (image * border.height + i * g.stride) * border.width + j * g.stride;
                offsets.push(pixel * g.in_channels);
            }
        }
    }
    offsets
}

/// Input pixels of one residue of the stride along both axes.
struct Class {
    rows: Residue,
    columns: Residue,
    packed: Scratch,
    segments: Vec<usize>,
    run: usize,
    src_offsets: Vec<usize>,
    dst_offsets: Vec<usize>,
}

/// dx\[n, h, v, c\] = Σ dy\[n, i, j, o\] · w\[o, r, q, c\] over i·s + r = h + p, j·s + q = v + p.
pub fn input_gradient(geometry: &Geometry, dy: &[f32], weight: &[f32]) -> Vec<f32> {
    if pointwise::fits(geometry) {
        return pointwise::input_gradient(geometry, dy, weight);
    }
    let length = geometry.input_shape().iter().product();
    #[allow(unsafe_code)] // the output is not zeroed first
    // SAFETY: the classes together are all pixels of every image.
    unsafe {
        filled(length, |dx| scatter(geometry, dy, weight, &Shared::new(dx), false))
    }
}

/// sum ← sum + dx.
pub fn add_input_gradient(geometry: &Geometry, dy: &[f32], weight: &[f32], sum: &mut [f32]) {
    if pointwise::fits(geometry) {
        return pointwise::add_input_gradient(geometry, dy, weight, sum);
    }
    scatter(geometry, dy, weight, &Shared::new(sum), true);
}

fn scatter<T: Send>(geometry: &Geometry, dy: &[f32], weight: &[f32], dx: &Shared<'_, T>, accumulate: bool) {
    let g = *geometry;
    if winograd::fits(&g) {
        return winograd::input_gradient(&g, dy, weight, dx, accumulate);
    }
    let (out_height, out_width) = (g.out_height(), g.out_width());
    let residues = |length, kernel| -> Vec<Residue> {
        (0..g.stride).map(|class| Residue::new(class, length, kernel, g.stride, g.padding)).collect()
    };
    let (rows, columns) = (residues(g.height, g.kernel[0]), residues(g.width, g.kernel[1]));
    let before = |r: &[Residue]| r.iter().map(|r| r.margin_before()).max().unwrap_or(0);
    let after = |r: &[Residue], outputs| r.iter().map(|r| r.margin_after(outputs)).max().unwrap_or(0);
    let border = Border {
        top: before(&rows),
        left: before(&columns),
        height: before(&rows) + out_height + after(&rows, out_height),
        width: before(&columns) + out_width + after(&columns, out_width),
    };
    let padded = border.height * border.width * g.out_channels;
    let group = group_size(g.batch, padded);
    let mut classes = Vec::new();
    for (a, &r) in rows.iter().enumerate() {
        for (b, &c) in columns.iter().enumerate() {
            if r.count > 0 && c.count > 0 {
                classes.push(class(&g, weight, border, group, [a, b], [r, c]));
            }
        }
    }
    let arch = Arch::new();
    let (image, out_image) = (g.height * g.width * g.in_channels, out_height * out_width * g.out_channels);
    let groups = g.batch.div_ceil(group);
    (0..groups).into_par_iter().for_each_init(
        || Scratch::new(group * padded),
        |scratch, index| {
            let images = index * group..((index + 1) * group).min(g.batch);
            let source = &dy[images.start * out_image..images.end * out_image];
            pad(source, [out_height, out_width, g.out_channels], border, scratch);
            for class in &classes {
                let pixels = images.len() * class.rows.count * class.columns.count;
                arch.dispatch(Gather {
                    src: scratch,
                    src_offsets: &class.src_offsets[..pixels],
                    dst: dx.at(images.start * image),
                    accumulate,
                    dst_offsets: &class.dst_offsets[..pixels],
                    segments: &class.segments,
                    run: class.run,
                    packed: &class.packed,
                    columns: g.in_channels,
                });
            }
        },
    );
}

fn class(
    g: &Geometry,
    weight: &[f32],
    border: Border,
    group: usize,
    first: [usize; 2],
    [rows, columns]: [Residue; 2],
) -> Class {
    let width = Arch::new().dispatch(PanelWidth);
    // Kernel indices from the last tap to the first, so that the outputs come in ascending order.
    let taps = |r: Residue| (0..r.taps).rev().map(move |t| r.first_tap + g.stride * t);
    let depth = rows.taps * columns.taps * g.out_channels;
    let packed = pack(depth, g.in_channels, width, |_, channels, panel| {
        let mut k = 0;
        for row in taps(rows) {
            for column in taps(columns) {
                for out_channel in 0..g.out_channels {
                    let tap = ((out_channel * g.kernel[0] + row) * g.kernel[1] + column) * g.in_channels;
                    panel[k * width..][..channels.len()]
                        .copy_from_slice(&weight[tap + channels.start..tap + channels.end]);
                    k += 1;
                }
            }
        }
    });
    let (mut src_offsets, mut dst_offsets) = (Vec::new(), Vec::new());
    for image in 0..group {
        for i in 0..rows.count {
            for j in 0..columns.count {
                // The margins make both differences non-negative wherever there is a tap.
                let row = (border.top + i + rows.shift + 1).saturating_sub(rows.taps);
                let column = (border.left + j + columns.shift + 1).saturating_sub(columns.taps);
                let inside = if depth == 0 {
                    0
                } else {
                    ((image * border.height + row) * border.width + column) * g.out_channels
                };
                src_offsets.push(inside);
                let pixel = (image * g.height + first[0] + g.stride * i) * g.width + first[1] + g.stride * j;
                dst_offsets.push(pixel * g.in_channels);
            }
        }
    }
    let segments = if depth == 0 {
        Vec::new()
    } else {
        (0..rows.taps).map(|t| t * border.width * g.out_channels).collect()
    };
    Class { rows, columns, packed, segments, run: columns.taps * g.out_channels, src_offsets, dst_offsets }
}

/// Most values of the partial sums of all chunks together: 8 MiB.
const PARTIAL_SUMS: usize = 2 << 20;

/// How the weight gradient is cut, from the shape alone.
struct Split {
    chunks: usize,
    images_per_chunk: usize,
    blocks: usize,
    channels_per_block: usize,
}

impl Split {
    fn new(g: &Geometry) -> Self {
        let chunks = (PARTIAL_SUMS / (g.depth() * g.out_channels)).clamp(1, TASKS).min(g.batch);
        let images_per_chunk = g.batch.div_ceil(chunks);
        // What the chunks leave of the tasks is split by channel.
        let channels_per_block = g.out_channels.div_ceil(TASKS.div_ceil(chunks)).div_ceil(8) * 8;
        Self {
            chunks: g.batch.div_ceil(images_per_chunk),
            images_per_chunk,
            blocks: g.out_channels.div_ceil(channels_per_block),
            channels_per_block,
        }
    }
}

/// dw\[o, r, q, c\] = Σ_{n, i, j} dy\[n, i, j, o\] · x\[n, i·s + r − p, j·s + q − p, c\], written to `dw`.
pub fn weight_gradient(geometry: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let g = *geometry;
    if pointwise::fits(&g) {
        return pointwise::weight_gradient(&g, x, dy, dw);
    }
    if winograd::fits(&g) {
        return winograd::weight_gradient(&g, x, dy, dw);
    }
    let split = Split::new(&g);
    if split.chunks == 1 {
        dw.fill(0.0);
        return add_weight_gradient(&g, &split, x, dy, dw);
    }
    let mut partial = Scratch::zeroed(split.chunks * dw.len());
    add_weight_gradient(&g, &split, x, dy, &mut partial);
    const PIECE: usize = 4096;
    let length = dw.len();
    dw.par_chunks_mut(PIECE).enumerate().for_each(|(piece, out)| {
        out.copy_from_slice(&partial[piece * PIECE..][..out.len()]);
        for chunk in 1..split.chunks {
            let values = &partial[chunk * length + piece * PIECE..][..out.len()];
            out.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
    });
}

/// Adds the gradient of each chunk of images to its own copy of dw.
fn add_weight_gradient(g: &Geometry, split: &Split, x: &[f32], dy: &[f32], partial: &mut [f32]) {
    let pixels = g.out_height() * g.out_width();
    let border = Border {
        top: g.padding,
        left: g.padding,
        height: g.height + 2 * g.padding,
        width: g.width + 2 * g.padding,
    };
    let sizes = [g.height, g.width, g.in_channels];
    let (image, padded) = (sizes.iter().product::<usize>(), border.height * border.width * g.in_channels);
    let depth = g.depth();
    // A block of pixels whose rows of x and dy stay in cache while all tiles pass over them; many where dw is large,
    // since dw itself is then read and written once a block.
    let block: usize = if depth * g.out_channels > 100_000 { 256 } else { 64 };
    let group = block.div_ceil(pixels).min(split.images_per_chunk);
    let offsets = window_offsets(g, border, group);
    let segments: Vec<usize> = (0..g.kernel[0]).map(|r| r * border.width * g.in_channels).collect();
    let arch = Arch::new();
    // Several blocks of channels read the same images: those are given their border once.
    let mut bordered = Scratch::new(if split.blocks > 1 { g.batch * padded + SLACK } else { 0 });
    if split.blocks > 1 {
        let images = x.par_chunks_exact(image).zip(bordered.par_chunks_exact_mut(padded));
        images.for_each(|(x, bordered)| pad(x, sizes, border, bordered));
    }
    let target = Shared::new(partial);
    (0..split.chunks * split.blocks).into_par_iter().for_each_init(
        || Scratch::new(if split.blocks > 1 { 0 } else { group * padded + SLACK }),
        |scratch, task| {
            let (chunk, channels) = (task / split.blocks, task % split.blocks * split.channels_per_block);
            let channels = channels..(channels + split.channels_per_block).min(g.out_channels);
            let images = chunk * split.images_per_chunk..((chunk + 1) * split.images_per_chunk).min(g.batch);
            for first in images.clone().step_by(group) {
                let count = group.min(images.end - first);
                let src = if split.blocks > 1 {
                    &bordered[first * padded..(first + count) * padded + SLACK]
                } else {
                    pad(&x[first * image..(first + count) * image], sizes, border, scratch);
                    &scratch[..]
                };
                for begin in (0..count * pixels).step_by(block) {
                    let end = (begin + block).min(count * pixels);
                    arch.dispatch(Outer {
                        scalars: &dy[(first * pixels + begin) * g.out_channels
                            ..(first * pixels + end) * g.out_channels],
                        scalar_stride: g.out_channels,
                        rows: channels.clone(),
                        src,
                        src_offsets: &offsets[begin..end],
                        segments: &segments,
                        run: g.kernel[1] * g.in_channels,
                        dst: target.at((chunk * g.out_channels + channels.start) * depth),
                    });
                }
            }
        },
    );
}
