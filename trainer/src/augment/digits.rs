//! Views of small grey digits: shift, rotation, scale, intensity, noise, erasing; no flips, which change a digit.

use super::check_strength;
use crate::error::Result;
use measure::rng::normal;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Strengths of the augmentation; all random numbers are uniform in the stated range.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Rotation in degrees, either way.
    pub max_rotation: f64,
    /// Shift in pixels along each axis, either way.
    pub max_shift: f64,
    /// Scale between 1 − this and 1 + this.
    pub max_scale: f64,
    /// Intensity factor between 1 − this and 1 + this.
    pub max_intensity: f64,
    /// Standard deviation of the Gaussian noise on each pixel, in [0, this].
    pub max_noise: f64,
    /// Probability that one block of 2 to 4 by 2 to 4 pixels is set to zero, or of what a smaller image has.
    pub erase_probability: f64,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            max_rotation: 10.0,
            max_shift: 0.5,
            max_scale: 0.1,
            max_intensity: 0.4,
            max_noise: 0.1,
            erase_probability: 0.5,
        }
    }
}

impl Augmentation {
    /// Checks every strength against its range.
    ///
    /// # Errors
    /// A strength out of range, named with its value.
    pub fn check(&self) -> Result<()> {
        check_strength("max_rotation", self.max_rotation, 180.0)?;
        check_strength("max_shift", self.max_shift, 8.0)?;
        check_strength("max_scale", self.max_scale, 0.9)?;
        check_strength("max_intensity", self.max_intensity, 1.0)?;
        check_strength("max_noise", self.max_noise, 10.0)?;
        check_strength("erase_probability", self.erase_probability, 1.0)
    }

    /// Appends one random view of `image` (side × side pixels in [0, 1]) to `out`.
    ///
    /// Geometry and strengths are drawn first, then one normal number a pixel, whether or not the pixel is erased.
    pub fn view(&self, image: &[f32], side: usize, rng: &mut ChaCha8Rng, out: &mut Vec<f32>) {
        let mut spread = |limit: f64| (2.0 * rng.random::<f64>() - 1.0) * limit;
        let angle = spread(self.max_rotation).to_radians();
        let scale = 1.0 + spread(self.max_scale);
        let (dx, dy) = (spread(self.max_shift), spread(self.max_shift));
        let intensity = (1.0 + spread(self.max_intensity)) as f32;
        let noise = (rng.random::<f64>() * self.max_noise) as f32;
        let erases = rng.random::<f64>() < self.erase_probability;
        let mut length = || rng.random_range(2.min(side)..=4.min(side));
        let (height, width) = (length(), length());
        let (top, left) = (rng.random_range(0..=side - height), rng.random_range(0..=side - width));
        let (sin, cos) = angle.sin_cos();
        let centre = (side as f64 - 1.0) / 2.0;
        for y in 0..side {
            for x in 0..side {
                // Inverse map: where in the image this pixel comes from.
                let (u, v) = ((x as f64 - centre - dx) / scale, (y as f64 - centre - dy) / scale);
                let value = bilinear(image, side, cos * u + sin * v + centre, cos * v - sin * u + centre);
                let noisy = value * intensity + noise * normal(rng);
                let erased = erases && (top..top + height).contains(&y) && (left..left + width).contains(&x);
                out.push(if erased { 0.0 } else { noisy.clamp(0.0, 1.0) });
            }
        }
    }
}

/// The image at a real position, 0 outside.
fn bilinear(image: &[f32], side: usize, x: f64, y: f64) -> f32 {
    let (x0, y0) = (x.floor(), y.floor());
    let (fx, fy) = ((x - x0) as f32, (y - y0) as f32);
    let at = |x: f64, y: f64| {
        let inside = x >= 0.0 && y >= 0.0 && x < side as f64 && y < side as f64;
        if inside { image[y as usize * side + x as usize] } else { 0.0 }
    };
    let top = at(x0, y0) * (1.0 - fx) + at(x0 + 1.0, y0) * fx;
    let bottom = at(x0, y0 + 1.0) * (1.0 - fx) + at(x0 + 1.0, y0 + 1.0) * fx;
    top * (1.0 - fy) + bottom * fy
}

#[cfg(test)]
mod tests {
    use super::*;
    use measure::rng::{Purpose, stream};

    fn view(settings: Augmentation, image: &[f32]) -> Vec<f32> {
        let mut out = Vec::new();
        settings.view(image, 8, &mut stream(1, Purpose::Augmentation, 0), &mut out);
        out
    }

    const NOTHING: Augmentation = Augmentation {
        max_rotation: 0.0,
        max_shift: 0.0,
        max_scale: 0.0,
        max_intensity: 0.0,
        max_noise: 0.0,
        erase_probability: 0.0,
    };

    fn ramp() -> Vec<f32> {
        (0..64).map(|i| i as f32 / 64.0).collect()
    }

    #[test]
    fn no_strength_is_the_identity() {
        assert_eq!(view(NOTHING, &ramp()), ramp());
    }

    #[test]
    fn erasing_removes_one_block() {
        let erased = view(Augmentation { erase_probability: 1.0, ..NOTHING }, &[1.0; 64]);
        let zeros = erased.iter().filter(|&&v| v == 0.0).count();
        assert!([4, 6, 8, 9, 12, 16].contains(&zeros), "{zeros}");
    }

    #[test]
    fn views_are_random_and_in_range() {
        let settings = Augmentation::default();
        let mut rng = stream(1, Purpose::Augmentation, 0);
        let (mut a, mut b) = (Vec::new(), Vec::new());
        settings.view(&ramp(), 8, &mut rng, &mut a);
        settings.view(&ramp(), 8, &mut rng, &mut b);
        assert_ne!(a, b);
        assert!(a.iter().chain(&b).all(|v| (0.0..=1.0).contains(v)));
    }

    #[test]
    fn a_shift_by_one_moves_the_picture() {
        // Bilinear interpolation at whole positions copies pixels; outside is 0.
        assert_eq!(bilinear(&ramp(), 8, 3.0, 2.0), 19.0 / 64.0);
        assert_eq!(bilinear(&ramp(), 8, -1.0, 2.0), 0.0);
        assert_eq!(bilinear(&ramp(), 8, 3.5, 2.0), 19.5 / 64.0);
    }
}
