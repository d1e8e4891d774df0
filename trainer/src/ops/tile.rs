//! The two inner products that convolutions and linear layers here are made of, as register tiles over `pulp`'s
//! vectors.
//!
//! [`Gather`] (forward, input gradient): out\[p, j\] = Σ_s Σ_{k < run} src\[offset(p) + segment(s) + k\] · w\[s·run +
//! k, j\]. A window of a channels-last image is one contiguous run for each kernel row, so a convolution needs no
//! im2col: scalars are read from the image where they lie. [`Outer`] (weight gradient): w\[m, j\] += Σ_p scalar\[p, m\]
//! · src\[offset(p) + segment(s) + j\].
//!
//! Each output value is summed in one order by fused multiply-adds, whatever tile it falls in: splitting the work
//! differently does not change a bit.

use super::shared::Room;
use pulp::{Simd, WithSimd, bytemuck};

/// Columns of a packed panel, in vectors.
const PANEL_VECTORS: usize = 2;
/// Vectors of a tile of the outer product.
const OUTER_VECTORS: usize = 3;

/// Columns of a packed panel on this processor.
pub struct PanelWidth;

impl WithSimd for PanelWidth {
    type Output = usize;

    fn with_simd<S: Simd>(self, _: S) -> usize {
        PANEL_VECTORS * S::F32_LANES
    }
}

/// Floats that may be read past the last run of a source of [`Outer`].
pub const SLACK: usize = 64;

#[inline(always)]
#[allow(unsafe_code)] // unaligned vector loads
unsafe fn load<S: Simd>(from: *const f32) -> S::f32s {
    // SAFETY: the caller promises F32_LANES readable floats.
    unsafe { from.cast::<S::f32s>().read_unaligned() }
}

#[inline(always)]
#[allow(unsafe_code)] // unaligned vector stores
unsafe fn store<S: Simd>(value: S::f32s, to: *mut f32) {
    // SAFETY: the caller promises F32_LANES writable floats.
    unsafe { to.cast::<S::f32s>().write_unaligned(value) }
}

/// See the head of the file.
pub struct Gather<'a> {
    /// Image data with its zero border.
    pub src: &'a [f32],
    /// offset(p): where the window of each output pixel begins.
    pub src_offsets: &'a [usize],
    /// Where the values of all output pixels go: this task's alone.
    pub dst: Room,
    /// Offset in `dst` of each output pixel.
    pub dst_offsets: &'a [usize],
    /// Whether to add to what `dst` holds instead of replacing it.
    pub accumulate: bool,
    /// Offset of each kernel row within a window, ascending.
    pub segments: &'a [usize],
    /// Length of each segment.
    pub run: usize,
    /// Panels \[⌈columns/width⌉\]\[segments·run\]\[width\]; what lies beyond the last column is not used.
    pub packed: &'a [f32],
    /// Values per output pixel.
    pub columns: usize,
}

impl WithSimd for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 { self.run::<S, 8>(simd) } else { self.run::<S, 6>(simd) }
    }
}

impl Gather<'_> {
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(&self, simd: S) {
        let width = PANEL_VECTORS * S::F32_LANES;
        let depth = self.segments.len() * self.run;
        let pixels = self.src_offsets.len();
        let reach = self.segments.last().map_or(0, |last| last + self.run);
        assert!(self.src_offsets.iter().all(|offset| offset + reach <= self.src.len()));
        assert!(self.packed.len() >= self.columns.div_ceil(width) * depth * width);
        assert!(self.segments.is_sorted());
        assert_eq!(self.dst_offsets.len(), pixels);
        assert!(self.dst_offsets.iter().all(|offset| offset + self.columns <= self.dst.length));
        for panel in 0..self.columns.div_ceil(width) {
            let first = panel * width;
            let valid = (self.columns - first).min(width);
            let packed = &self.packed[panel * depth * width..(panel + 1) * depth * width];
            let mut p = 0;
            while p + ROWS <= pixels {
                self.tile::<S, ROWS>(simd, p, first, valid, packed);
                p += ROWS;
            }
            while p < pixels {
                self.tile::<S, 1>(simd, p, first, valid, packed);
                p += 1;
            }
        }
    }

    #[inline(always)]
    #[allow(unsafe_code)] // the innermost loop: bounds are asserted once per call of `run`
    fn tile<S: Simd, const ROWS: usize>(
        &self,
        simd: S,
        first_pixel: usize,
        first_column: usize,
        valid: usize,
        packed: &[f32],
    ) {
        let mut sums = [[simd.splat_f32s(0.0); PANEL_VECTORS]; ROWS];
        let mut weights = packed.as_ptr();
        // SAFETY: `run` asserted that offset + segment + run stays inside `src` for all pixels and that the panel holds
        // segments·run rows, and that `columns` values fit at every destination, which are this task's alone.
        unsafe {
            for segment in self.segments {
                let windows: [*const f32; ROWS] = std::array::from_fn(|m| {
                    self.src.as_ptr().add(self.src_offsets[first_pixel + m] + segment)
                });
                for k in 0..self.run {
                    let mut row = [simd.splat_f32s(0.0); PANEL_VECTORS];
                    for (j, value) in row.iter_mut().enumerate() {
                        *value = load::<S>(weights.add(j * S::F32_LANES));
                    }
                    weights = weights.add(PANEL_VECTORS * S::F32_LANES);
                    for (sums, window) in sums.iter_mut().zip(windows) {
                        let scalar = simd.splat_f32s(*window.add(k));
                        for (sum, weight) in sums.iter_mut().zip(row) {
                            *sum = simd.mul_add_f32s(scalar, weight, *sum);
                        }
                    }
                }
            }
            // A copy: taking the address of the sums themselves would store them to memory at every step.
            let mut results = sums;
            for (m, row) in results.iter_mut().enumerate() {
                let out = self.dst.pointer.add(self.dst_offsets[first_pixel + m] + first_column);
                if valid == PANEL_VECTORS * S::F32_LANES {
                    for (j, sum) in row.iter_mut().enumerate() {
                        let out = out.add(j * S::F32_LANES);
                        if self.accumulate {
                            *sum = simd.add_f32s(load::<S>(out), *sum);
                        }
                        store::<S>(*sum, out);
                    }
                } else {
                    for (j, &sum) in bytemuck::cast_slice::<_, f32>(row)[..valid].iter().enumerate() {
                        *out.add(j) = if self.accumulate { *out.add(j) + sum } else { sum };
                    }
                }
            }
        }
    }
}

/// See the head of the file.
pub struct Outer<'a> {
    /// scalar\[p, ·\]: rows of `scalar_stride` values.
    pub scalars: &'a [f32],
    /// Values from one row of `scalars` to the next.
    pub scalar_stride: usize,
    /// The rows m of the result.
    pub rows: std::ops::Range<usize>,
    /// Image data with its zero border and [`SLACK`] more values.
    pub src: &'a [f32],
    /// offset(p).
    pub src_offsets: &'a [usize],
    /// Offset of each kernel row within a window, ascending.
    pub segments: &'a [usize],
    /// Length of each segment.
    pub run: usize,
    /// The result \[rows\]\[segments·run\]: this task's alone.
    pub dst: Room,
}

impl WithSimd for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 { self.run::<S, 8>(simd) } else { self.run::<S, 4>(simd) }
    }
}

impl Outer<'_> {
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(&self, simd: S) {
        let reach = self.segments.last().map_or(0, |last| last + self.run) + OUTER_VECTORS * S::F32_LANES;
        assert!(self.src_offsets.iter().all(|offset| offset + reach <= self.src.len()));
        assert!(
            self.scalars.len() + self.scalar_stride
                >= self.src_offsets.len() * self.scalar_stride + self.rows.end
        );
        assert!(self.segments.is_sorted());
        assert!(self.rows.len() * self.segments.len() * self.run <= self.dst.length);
        for (s, segment) in self.segments.iter().enumerate() {
            let mut column = 0;
            while column < self.run {
                let vectors = (self.run - column).div_ceil(S::F32_LANES).min(OUTER_VECTORS);
                let valid = (self.run - column).min(vectors * S::F32_LANES);
                let target = s * self.run + column;
                let mut row = self.rows.start;
                while row < self.rows.end {
                    let full = row + ROWS <= self.rows.end;
                    match (full, vectors) {
                        (true, 3) => self.tile::<S, ROWS, 3>(simd, row, segment + column, target, valid),
                        (true, 2) => self.tile::<S, ROWS, 2>(simd, row, segment + column, target, valid),
                        (true, _) => self.tile::<S, ROWS, 1>(simd, row, segment + column, target, valid),
                        (false, 3) => self.tile::<S, 1, 3>(simd, row, segment + column, target, valid),
                        (false, 2) => self.tile::<S, 1, 2>(simd, row, segment + column, target, valid),
                        (false, _) => self.tile::<S, 1, 1>(simd, row, segment + column, target, valid),
                    }
                    row += if full { ROWS } else { 1 };
                }
                column += vectors * S::F32_LANES;
            }
        }
    }

    #[inline(always)]
    #[allow(unsafe_code)] // the innermost loop: bounds are asserted once per call of `run`
    fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        first_row: usize,
        shift: usize,
        target: usize,
        valid: usize,
    ) {
        let depth = self.segments.len() * self.run;
        // SAFETY: `run` asserted that offset + segment + run + one tile stays inside `src` and that `scalars` holds a
        // row per pixel and `dst` one per row; partial tiles touch `valid` columns only.
        unsafe {
            let out = self.dst.pointer.add((first_row - self.rows.start) * depth + target);
            let mut start = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
            for (m, row) in start.iter_mut().enumerate() {
                if valid == VECTORS * S::F32_LANES {
                    *row = std::array::from_fn(|j| load::<S>(out.add(m * depth + j * S::F32_LANES)));
                } else {
                    let lanes: &mut [f32] = bytemuck::cast_slice_mut(row);
                    std::ptr::copy_nonoverlapping(out.add(m * depth), lanes.as_mut_ptr(), valid);
                }
            }
            // Copies: taking the address of the sums themselves would store them to memory at every step.
            let mut sums = start;
            let mut scalars = self.scalars.as_ptr().add(first_row);
            let vectors = self.src.as_ptr().add(shift);
            for &offset in self.src_offsets {
                let mut row = [simd.splat_f32s(0.0); VECTORS];
                for (j, value) in row.iter_mut().enumerate() {
                    *value = load::<S>(vectors.add(offset + j * S::F32_LANES));
                }
                for (m, sums) in sums.iter_mut().enumerate() {
                    let scalar = simd.splat_f32s(*scalars.add(m));
                    for (sum, vector) in sums.iter_mut().zip(row) {
                        *sum = simd.mul_add_f32s(scalar, vector, *sum);
                    }
                }
                scalars = scalars.wrapping_add(self.scalar_stride);
            }
            let results = sums;
            for (m, row) in results.iter().enumerate() {
                if valid == VECTORS * S::F32_LANES {
                    for (j, &sum) in row.iter().enumerate() {
                        store::<S>(sum, out.add(m * depth + j * S::F32_LANES));
                    }
                } else {
                    let lanes: &[f32] = bytemuck::cast_slice(row);
                    std::ptr::copy_nonoverlapping(lanes.as_ptr(), out.add(m * depth), valid);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::shared::Shared;
    use crate::ops::testing::{flat, random};

    /// Two kernel rows of 5 values, windows 7 apart.
    const SEGMENTS: [usize; 2] = [0, 40];
    const RUN: usize = 5;

    struct Case {
        src: Vec<f32>,
        offsets: Vec<usize>,
        /// \[depth\]\[columns\] of a gather, \[pixels\]\[columns\] of an outer product.
        weights: Vec<f32>,
        columns: usize,
    }

    impl Case {
        fn new(pixels: usize, columns: usize) -> Self {
            let src = flat(&random(1, &[7 * pixels + 60 + SLACK]));
            let weights = flat(&random(2, &[pixels.max(2 * RUN), columns]));
            Self { src, offsets: (0..pixels).map(|p| 7 * p).collect(), weights, columns }
        }

        fn value(&self, pixel: usize, k: usize) -> f64 {
            f64::from(self.src[self.offsets[pixel] + SEGMENTS[k / RUN] + k % RUN])
        }
    }

    struct RunGather<'a>(&'a Case, bool);

    impl WithSimd for RunGather<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
            let (case, width) = (self.0, PanelWidth.with_simd(simd));
            let panels = case.columns.div_ceil(width);
            let mut packed = vec![f32::NAN; panels * 2 * RUN * width];
            for k in 0..2 * RUN {
                for column in 0..case.columns {
                    packed[((column / width) * 2 * RUN + k) * width + column % width] =
                        case.weights[k * case.columns + column];
                }
            }
            let mut out = vec![1.0; case.offsets.len() * case.columns];
            let dst_offsets: Vec<usize> = (0..case.offsets.len()).map(|p| p * case.columns).collect();
            Gather {
                src: &case.src,
                src_offsets: &case.offsets,
                dst: Shared::new(&mut out).at(0),
                dst_offsets: &dst_offsets,
                accumulate: self.1,
                segments: &SEGMENTS,
                run: RUN,
                packed: &packed,
                columns: case.columns,
            }
            .with_simd(simd);
            out
        }
    }

    struct RunOuter<'a>(&'a Case, std::ops::Range<usize>);

    impl WithSimd for RunOuter<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
            let mut out = vec![1.0; self.1.len() * 2 * RUN];
            Outer {
                scalars: &self.0.weights[..self.0.offsets.len() * self.0.columns],
                scalar_stride: self.0.columns,
                rows: self.1,
                src: &self.0.src,
                src_offsets: &self.0.offsets,
                segments: &SEGMENTS,
                run: RUN,
                dst: Shared::new(&mut out).at(0),
            }
            .with_simd(simd);
            out
        }
    }

    /// The result on every instruction set that this processor has.
    fn on_every_processor<Op: WithSimd<Output = Vec<f32>>>(op: impl Fn() -> Op) -> Vec<Vec<f32>> {
        let mut results = vec![Simd::vectorize(pulp::Scalar, op()), pulp::Arch::new().dispatch(op())];
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = pulp::x86::V3::try_new() {
            results.push(Simd::vectorize(avx2, op()));
        }
        results
    }

    #[test]
    fn gathers_are_the_sum_on_every_processor() {
        for (pixels, columns) in [(1, 1), (5, 3), (8, 32), (23, 37), (17, 80)] {
            let case = Case::new(pixels, columns);
            for accumulate in [false, true] {
                let results = on_every_processor(|| RunGather(&case, accumulate));
                for pixel in 0..pixels {
                    for column in 0..columns {
                        let product =
                            |k| case.value(pixel, k) * f64::from(case.weights[k * columns + column]);
                        let sum: f64 =
                            (0..2 * RUN).map(product).sum::<f64>() + f64::from(u8::from(accumulate));
                        for found in &results {
                            let found = f64::from(found[pixel * columns + column]);
                            assert!(
                                (found - sum).abs() < 1e-5,
                                "{pixels}×{columns} at {pixel}, {column}: {found} {sum}"
                            );
                        }
                    }
                }
                assert!(results.iter().all(|found| *found == results[0]), "one chain of fused multiply-adds");
            }
        }
    }

    #[test]
    fn outer_products_are_the_sum_on_every_processor() {
        for (pixels, columns, rows) in [(1, 1, 0..1), (5, 9, 2..9), (64, 16, 0..16), (13, 40, 3..30)] {
            let case = Case::new(pixels, columns);
            let results = on_every_processor(|| RunOuter(&case, rows.clone()));
            for (index, row) in rows.clone().enumerate() {
                for k in 0..2 * RUN {
                    let product = |p: usize| case.value(p, k) * f64::from(case.weights[p * columns + row]);
                    let sum = 1.0 + (0..pixels).map(product).sum::<f64>();
                    for found in &results {
                        let found = f64::from(found[index * 2 * RUN + k]);
                        assert!((found - sum).abs() < 1e-5, "{pixels} pixels, row {row}, {k}: {found} {sum}");
                    }
                }
            }
            assert!(results.iter().all(|found| *found == results[0]), "one chain of fused multiply-adds");
        }
    }
}
