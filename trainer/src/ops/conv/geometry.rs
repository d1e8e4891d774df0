//! Shapes of a two-dimensional convolution, channels last: x \[N, H, W, C_in\] ⋆ w \[C_out, KH, KW, C_in\] =
//! y \[N, H', W', C_out\], H' = ⌊(H + 2·padding − KH)/stride⌋ + 1, likewise W'.

use candle_core::{Result, bail};

/// Sizes of one convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// N.
    pub batch: usize,
    /// H.
    pub height: usize,
    /// W.
    pub width: usize,
    /// C_in.
    pub in_channels: usize,
    /// C_out.
    pub out_channels: usize,
    /// KH, KW.
    pub kernel: [usize; 2],
    /// Step between windows, the same along both axes.
    pub stride: usize,
    /// Zeros around the image, the same on all sides.
    pub padding: usize,
}

impl Geometry {
    /// The geometry of these shapes.
    ///
    /// # Errors
    /// Not four dimensions each; channels that differ; an empty axis; stride 0; a kernel larger than the padded image.
    pub fn new(input: &[usize], weight: &[usize], stride: usize, padding: usize) -> Result<Self> {
        let (&[batch, height, width, in_channels], &[out_channels, kh, kw, weight_channels]) =
            (input, weight)
        else {
            bail!("convolution: input {input:?} and weight {weight:?} must have four dimensions each");
        };
        if in_channels != weight_channels {
            bail!(
                "convolution: input {input:?} has {in_channels} channels, weight {weight:?} takes {weight_channels}"
            );
        }
        if input.contains(&0) || weight.contains(&0) {
            bail!("convolution: input {input:?} or weight {weight:?} is empty");
        }
        if stride == 0 {
            bail!("convolution: the stride must be at least 1");
        }
        if height + 2 * padding < kh || width + 2 * padding < kw {
            bail!(
                "convolution: a {kh}×{kw} kernel does not fit a {height}×{width} image with padding {padding}"
            );
        }
        Ok(Self { batch, height, width, in_channels, out_channels, kernel: [kh, kw], stride, padding })
    }

    /// H'.
    pub fn out_height(&self) -> usize {
        (self.height + 2 * self.padding - self.kernel[0]) / self.stride + 1
    }

    /// W'.
    pub fn out_width(&self) -> usize {
        (self.width + 2 * self.padding - self.kernel[1]) / self.stride + 1
    }

    /// \[N, H, W, C_in\].
    pub fn input_shape(&self) -> [usize; 4] {
        [self.batch, self.height, self.width, self.in_channels]
    }

    /// \[C_out, KH, KW, C_in\].
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.out_channels, self.kernel[0], self.kernel[1], self.in_channels]
    }

    /// \[N, H', W', C_out\].
    pub fn output_shape(&self) -> [usize; 4] {
        [self.batch, self.out_height(), self.out_width(), self.out_channels]
    }

    /// KH·KW·C_in, the terms of one output value.
    pub fn depth(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.in_channels
    }

    /// Multiplications of one forward pass; each of the two gradients takes as many.
    pub fn multiplications(&self) -> f64 {
        self.output_shape().iter().product::<usize>() as f64 * self.depth() as f64
    }
}

/// Which outputs meet the input rows (or columns) of one residue class: for stride s, input index i = a + s·j takes
/// part in outputs o = j + `shift` − t with kernel index `first_tap` + s·t, for t = 0..`taps`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Residue {
    /// Indices of the input in the class.
    pub count: usize,
    /// r = (a + padding) mod s.
    pub first_tap: usize,
    /// How many kernel indices are ≡ r (mod s).
    pub taps: usize,
    /// (a + padding − r)/s.
    pub shift: usize,
}

impl Residue {
    pub fn new(class: usize, length: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        let first_tap = (class + padding) % stride;
        Self {
            count: length.saturating_sub(class).div_ceil(stride),
            first_tap,
            taps: kernel.saturating_sub(first_tap).div_ceil(stride),
            shift: (class + padding - first_tap) / stride,
        }
    }

    /// Zeros needed before the outputs so that every class reads inside.
    pub fn margin_before(self) -> usize {
        if self.taps == 0 || self.count == 0 { 0 } else { (self.taps - 1).saturating_sub(self.shift) }
    }

    /// Zeros needed after `outputs` outputs.
    pub fn margin_after(self, outputs: usize) -> usize {
        if self.taps == 0 || self.count == 0 { 0 } else { (self.count + self.shift).saturating_sub(outputs) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_shapes_are_named() {
        let error = |input: &[usize], weight: &[usize], stride, padding| {
            Geometry::new(input, weight, stride, padding).unwrap_err().to_string()
        };
        assert!(error(&[1, 4, 4], &[1, 3, 3, 1], 1, 1).contains("four dimensions"));
        assert!(error(&[1, 4, 4, 2], &[1, 3, 3, 1], 1, 1).contains("2 channels"));
        assert!(error(&[1, 4, 4, 2], &[1, 3, 3, 2], 0, 1).contains("stride"));
        assert!(error(&[1, 4, 4, 2], &[1, 7, 7, 2], 1, 1).contains("7×7 kernel does not fit a 4×4 image"));
        assert!(error(&[0, 4, 4, 2], &[1, 3, 3, 2], 1, 1).contains("empty"));
    }

    #[test]
    fn residues_are_the_convolution_read_backwards() {
        for (length, kernel, stride, padding) in
            [(5, 3, 2, 1), (4, 1, 2, 0), (7, 7, 2, 3), (6, 5, 3, 0), (3, 1, 1, 3)]
        {
            if length + 2 * padding < kernel {
                continue;
            }
            let outputs = (length + 2 * padding - kernel) / stride + 1;
            for input in 0..length {
                let expected: Vec<(usize, usize)> = (0..outputs)
                    .flat_map(|o| (0..kernel).map(move |k| (o, k)))
                    .filter(|(o, k)| o * stride + k == input + padding)
                    .collect();
                let class = Residue::new(input % stride, length, kernel, stride, padding);
                let j = input / stride;
                assert!(j < class.count);
                let mut found: Vec<(usize, usize)> = (0..class.taps)
                    .filter_map(|t| Some(((j + class.shift).checked_sub(t)?, class.first_tap + stride * t)))
                    .filter(|&(o, _)| o < outputs)
                    .collect();
                found.sort_unstable();
                assert_eq!(found, expected, "{length} {kernel} {stride} {padding} input {input}");
            }
        }
    }
}
