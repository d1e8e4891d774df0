//! Sums and exponentials that vectorise: fixed lanes, so that every thread and every call adds in the same order.

/// Lanes of a sum: one AVX-512 register.
const LANES: usize = 16;

/// Σ aᵢbᵢ, over 16 interleaved partial sums that are then added pairwise.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let (mut a, mut b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (a, b) in (&mut a).zip(&mut b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    for ((lane, a), b) in lanes.iter_mut().zip(a.remainder()).zip(b.remainder()) {
        *lane += a * b;
    }
    fold(lanes, |a, b| a + b)
}

/// Σ value(aᵢ).
#[inline(always)]
pub fn sum_of(a: &[f32], value: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let mut chunks = a.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, a) in lanes.iter_mut().zip(chunk) {
            *lane += value(*a);
        }
    }
    for (lane, a) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane += value(*a);
    }
    fold(lanes, |a, b| a + b)
}

/// Largest element; −∞ of nothing. NaNs are passed over.
#[inline(always)]
pub fn maximum(a: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut chunks = a.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, a) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, *a);
        }
    }
    for (lane, a) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane = larger(*lane, *a);
    }
    fold(lanes, larger)
}

#[inline(always)]
fn fold(mut lanes: [f32; LANES], combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] = combine(lanes[i], lanes[i + width]);
        }
    }
    lanes[0]
}

/// eˣ for x ≤ 88, without a branch; 0 below −87, NaN of NaN. Relative error below 3e-7.
///
/// eˣ = 2ᵏ·eʳ with k = round(x / ln 2) and |r| ≤ ln 2 / 2, where the Taylor polynomial of degree 7 is off by
/// r⁸/8! < 6e-9. The library's exponential is a call per element.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // ln 2 in two parts: the first has so few bits that k·LN2_HIGH is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding 1.5·2²³ rounds to the nearest integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let scaled = x * std::f32::consts::LOG2_E + ROUND;
    let k = scaled - ROUND;
    let r = (x - k * LN2_HIGH) - k * LN2_LOW;
    let mut p = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p * r + coefficient;
    }
    let power = f32::from_bits(scaled.to_bits().wrapping_shl(23).wrapping_add(0x3f80_0000));
    let value = p * power;
    if x < -87.0 { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_f64() {
        let mut worst = 0f64;
        for i in 0..=1_750_000 {
            let x = -87.0 + i as f32 * 1e-4;
            let expected = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) / expected - 1.0).abs());
        }
        assert!(worst < 3e-7, "{worst:e}");
        assert_eq!(exp(0.0), 1.0);
        assert_eq!((exp(-88.0), exp(-1e30), exp(f32::NEG_INFINITY)), (0.0, 0.0, 0.0));
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn lanes_lose_nothing() {
        for length in [0, 1, 15, 16, 17, 50] {
            let a: Vec<f32> = (0..length).map(|i| i as f32 - 7.0).collect();
            assert_eq!(dot(&a, &a), a.iter().map(|v| v * v).sum::<f32>());
            assert_eq!(sum_of(&a, |v| v + 1.0), a.iter().map(|v| v + 1.0).sum::<f32>());
            assert_eq!(maximum(&a), a.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}
