//! What one class contributes to the contour sum: ln of (1 − e^{−z})/(1 − e^{−a}) and its bounds, without cancellation.

use super::tilt::Tilt;
use crate::probability::ln_one_minus_exp;

/// Beyond this a class factor is taken apart differently, so that nothing overflows.
const FAR: f64 = 300.0;

/// Classes of one weight at the radius r: a = w·L(r).
#[derive(Debug, Clone, Copy)]
pub(super) struct LargeGroup {
    pub weight: f64,
    pub multiplicity: f64,
    pub a: f64,
    /// e^{−a}/(1 − e^{−a}).
    pub odds: f64,
}

/// ln of (1 − e^{−z})/(1 − e^{−a}) with z = a − h + iy.
pub(super) struct Factor {
    pub ln_ratio: f64,
    pub argument: f64,
    /// Rounding of `ln_ratio` and of `argument`, in units of ε.
    pub error: f64,
    pub argument_error: f64,
}

/// (sin x, cos x) to one ulp: Taylor's polynomials where no reduction is needed, which is nearly always.
#[inline]
pub(super) fn sin_cos(x: f64) -> (f64, f64) {
    const SIN: [f64; 7] = [
        -1.0 / 6.0,
        1.0 / 120.0,
        -1.0 / 5040.0,
        1.0 / 362_880.0,
        -1.0 / 39_916_800.0,
        1.0 / 6_227_020_800.0,
        -1.0 / 1_307_674_368_000.0,
    ];
    const COS: [f64; 7] = [
        1.0 / 24.0,
        -1.0 / 720.0,
        1.0 / 40_320.0,
        -1.0 / 3_628_800.0,
        1.0 / 479_001_600.0,
        -1.0 / 87_178_291_200.0,
        1.0 / 20_922_789_888_000.0,
    ];
    if x.abs() > std::f64::consts::FRAC_PI_4 {
        return x.sin_cos();
    }
    let square = x * x;
    // Even and odd places apart, so that two short chains run side by side.
    let fourth = square * square;
    let horner = |c: &[f64; 7]| {
        let even = c[0] + fourth * (c[2] + fourth * (c[4] + fourth * c[6]));
        let odd = c[1] + fourth * (c[3] + fourth * c[5]);
        even + square * odd
    };
    (x + x * (square * horner(&SIN)), 1.0 - (0.5 * square - fourth * horner(&COS)))
}

/// The factor of one class, where h ≥ 0 and y are known to 4 ε each.
///
/// With d = (e^{−a} − e^{−z})/(1 − e^{−a}) it is ln(1+d), and d = −o (e^h cos y − 1 − i e^h sin y) with o =
/// e^{−a}/(1−e^{−a}) vanishes with h and y, so that the error is relative to the size of what the class contributes.
#[inline]
pub(super) fn class_factor(group: &LargeGroup, h: f64, y: f64) -> Factor {
    if group.a > FAR || h > FAR {
        return far_factor(group.a, h, y);
    }
    let (half_sine, half_cosine) = sin_cos(0.5 * y);
    let growth = h.exp_m1();
    let (versine, sine) = (2.0 * half_sine * half_sine, 2.0 * half_sine * half_cosine);
    let re = -group.odds * (growth * (1.0 - versine) - versine);
    let im = group.odds * (growth + 1.0) * sine;
    let (ln_ratio, argument) = ln_1p_complex(re, im);
    // Sizes that re and im were added from, and |1+d|⁻¹, by which ln(1+d) magnifies their errors.
    let real = group.odds * (growth * (1.0 + h) + versine);
    let imaginary = group.odds * (growth + 1.0) * y.abs();
    let square = (1.0 + re) * (1.0 + re) + im * im;
    let uncertain = 70.0 * f64::EPSILON * (1.0 + real + imaginary);
    if square < uncertain * uncertain {
        return Factor::vanishing(uncertain);
    }
    // d ln(1+d) = δd/(1+d); the sizes of 1+d are themselves known to 8 ε.
    let magnified = 7.0 / square;
    let (size, other) =
        ((1.0 + re).abs() + 8.0 * f64::EPSILON * (1.0 + real), im.abs() + 8.0 * f64::EPSILON * imaginary);
    Factor {
        ln_ratio,
        argument,
        error: magnified * (real * size + imaginary * other) + ln_ratio.abs(),
        argument_error: magnified * (imaginary * size + real * other) + argument.abs(),
    }
}

impl Factor {
    /// A factor whose modulus is below `bound`, with no digit: near a zero of 1 − e^{−z}. Taken as `bound` itself with
    /// an error of several times that.
    fn vanishing(bound: f64) -> Self {
        let error = 4.0 / f64::EPSILON;
        Self { ln_ratio: bound.ln(), argument: 0.0, error, argument_error: error }
    }
}

/// [`class_factor`] by the logarithms of both parts.
#[cold]
fn far_factor(a: f64, h: f64, y: f64) -> Factor {
    let x = a - h;
    let (ln_modulus, argument) = ln_one_minus_exp_complex(x, y);
    let here = ln_one_minus_exp(a);
    // The derivative of ln(1 − e^{−z}) by z: what the rounding of z, which may be many turns of y, is magnified by.
    let slope = (-x - ln_modulus).exp().min(1e300);
    let uncertain = 70.0 * f64::EPSILON * (1.0 + a + h + y.abs());
    if uncertain * slope > 1.0 {
        return Factor::vanishing(uncertain * (-x - here).exp());
    }
    let error = 8.0 * (ln_modulus.abs() + here.abs() + slope * (a + h + y.abs()));
    Factor { ln_ratio: ln_modulus - here, argument, error, argument_error: error + 4.0 * argument.abs() }
}

/// ln(1 + d) for complex d.
#[inline]
fn ln_1p_complex(re: f64, im: f64) -> (f64, f64) {
    const ODD: [f64; 10] = [
        1.0,
        1.0 / 3.0,
        1.0 / 5.0,
        1.0 / 7.0,
        1.0 / 9.0,
        1.0 / 11.0,
        1.0 / 13.0,
        1.0 / 15.0,
        1.0 / 17.0,
        1.0 / 19.0,
    ];
    let square = re * re + im * im;
    if square > 0.04 {
        return (0.5 * (2.0 * re + square).max(-1.0).ln_1p(), im.atan2(1.0 + re));
    }
    // 2 artanh v with v = d/(2+d): |v| ≤ 1/9; terms beyond the last are below 1e-17 of the first.
    let scale = 1.0 / (4.0 + 4.0 * re + square);
    let (vr, vi) = ((2.0 * re + square) * scale, 2.0 * im * scale);
    let (wr, wi) = (vr * vr - vi * vi, 2.0 * vr * vi);
    let last = match 0.25 * square {
        s if s < 1e-8 => 1,
        s if s < 2e-6 => 2,
        s if s < 4e-5 => 3,
        s if s < 2e-4 => 4,
        s if s < 1e-3 => 5,
        _ => 9,
    };
    let (mut sr, mut si) = (ODD[last], 0.0);
    for &term in ODD[..last].iter().rev() {
        (sr, si) = (sr * wr - si * wi + term, sr * wi + si * wr);
    }
    (2.0 * (vr * sr - vi * si), 2.0 * (vr * si + vi * sr))
}

/// (ln|1 − e^{−x−iy}|, arg(1 − e^{−x−iy})) for every real x.
fn ln_one_minus_exp_complex(x: f64, y: f64) -> (f64, f64) {
    if x < 0.0 {
        // 1 − e^{−z} = e^{−z} · −(1 − e^{z}).
        let (ln_modulus, argument) = ln_one_minus_exp_complex(-x, -y);
        return (ln_modulus - x, argument - y + std::f64::consts::PI);
    }
    let half_sine_squared = (0.5 * y).sin().powi(2);
    let e = (-x).exp();
    let argument = (e * y.sin()).atan2(-(-x).exp_m1() + 2.0 * e * half_sine_squared);
    let ln_modulus = if x > 0.5 {
        0.5 * (e * (e - 2.0 * y.cos())).ln_1p()
    } else {
        let small = (-x).exp_m1();
        0.5 * (small * small + 4.0 * e * half_sine_squared).ln()
    };
    (ln_modulus, argument)
}

/// ln of a decreasing bound of |e^{w L(z)} − 1| / (e^{w L(r)} − 1).
///
/// Two bounds, both decreasing on [0, π]: (e^x + 1)/(e^a − 1); and exp(−(1−cos t) Σ_j p_j p_{j+1}) from
/// |φ|² = 1 − Σ_{jk} p_j p_k (1 − cos (j−k)t), of which any partial sum over neighbours may be used.
pub(super) fn class_majorant(w: f64, tilt: &Tilt, decay: f64, versine: f64) -> f64 {
    let a = w * tilt.ell;
    let (h, small) = (w * decay, -(-a).exp_m1());
    let exponential = -h + (h - a).exp().ln_1p() - small.ln();
    exponential.min(-neighbours(w, tilt) * versine).min(0.0)
}

/// Σ_j p_j p_{j+1} (a part of it) for one class's count given that it is at least 1.
pub(super) fn neighbours(w: f64, tilt: &Tilt) -> f64 {
    let a = w * tilt.ell;
    let small = -(-a).exp_m1();
    // p_1 of the count given ≥ 1, then p_{j+1}/p_j = (w−j)/(j+1) · θ/q, or a/(j+1) for Poisson.
    let (mut p, odds) = if tilt.q == 1.0 {
        (a * (-a).exp() / small, f64::NAN)
    } else {
        (w * tilt.scale * (-a).exp() / tilt.q / small, tilt.scale / tilt.q)
    };
    let mut neighbours = 0.0;
    for j in 1..12 {
        let j = j as f64;
        let ratio = if odds.is_nan() { a / (j + 1.0) } else { (w - j).max(0.0) / (j + 1.0) * odds };
        neighbours += p * p * ratio;
        p *= ratio;
    }
    neighbours
}

/// sin t − t without cancellation; `sine` = sin t.
pub(crate) fn sin_minus(t: f64, sine: f64) -> f64 {
    if t > 1.0 {
        return sine - t;
    }
    // t³/3!, t⁵/5!, … up to t¹⁹/19!: the rest is below 1e-19 of the first.
    const RATIOS: [f64; 8] =
        [1.0 / 20.0, 1.0 / 42.0, 1.0 / 72.0, 1.0 / 110.0, 1.0 / 156.0, 1.0 / 210.0, 1.0 / 272.0, 1.0 / 342.0];
    let square = t * t;
    -t * square / 6.0 * RATIOS.iter().rev().fold(1.0, |sum, ratio| 1.0 - square * ratio * sum)
}

/// arg(q + θe^{it}) − θt = ∫₀ᵗ θq(2θ−1)(1−cos s)/(1−2θq(1−cos s)) ds, by Gauss–Legendre while t is small.
pub(super) fn angle_minus_linear(theta: f64, q: f64, t: f64) -> f64 {
    let integrand = |s: f64| {
        let versine = 2.0 * (0.5 * s).sin().powi(2);
        versine / (1.0 - 2.0 * theta * q * versine)
    };
    if t > 0.5 {
        let versine = 2.0 * (0.5 * t).sin().powi(2);
        return (theta * t.sin()).atan2(1.0 - theta * versine) - theta * t;
    }
    // Ten points: exact to rounding for t ≤ 0.5, where the integrand is analytic far beyond the interval.
    const NODES: [(f64, f64); 5] = [
        (0.148_874_338_981_631_22, 0.295_524_224_714_752_87),
        (0.433_395_394_129_247_2, 0.269_266_719_309_996_35),
        (0.679_409_568_299_024_4, 0.219_086_362_515_982_04),
        (0.865_063_366_688_984_5, 0.149_451_349_150_580_6),
        (0.973_906_528_517_171_7, 0.066_671_344_308_688_14),
    ];
    let half = 0.5 * t;
    let sum: f64 = NODES
        .iter()
        .map(|&(x, weight)| weight * (integrand(half * (1.0 + x)) + integrand(half * (1.0 - x))))
        .sum();
    theta * q * (theta - q) * half * sum
}
