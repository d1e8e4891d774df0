//! What one class contributes to the contour sum: factors 1 − e^{−z} and their bounds, computed without cancellation.

use super::contour::Tilt;

/// Mean of one class's count given that it is at least 1.
pub(super) fn class_mean(w: f64, tilt: &Tilt) -> f64 {
    w * tilt.scale / -(-w * tilt.ell).exp_m1()
}

pub(super) struct Factor {
    pub ln_ratio: f64,
    pub argument: f64,
    /// What `ln_ratio` was computed through: its rounding is a few ulps of this.
    pub error: f64,
}

/// ln of (1 − e^{−z})/(1 − e^{−a}) with z = a − h + iy.
pub(super) fn class_factor(a: f64, h: f64, y: f64) -> Factor {
    let x = a - h;
    let small = -(-a).exp_m1();
    let half_sine_squared = (0.5 * y).sin().powi(2);
    if a > 0.5 && h < 300.0 && x > -30.0 {
        // |1−e^{−z}|² − (1−e^{−a})² in terms that vanish with e^{−a}.
        let e = (-a).exp();
        let first = 2.0 * e * (2.0 * half_sine_squared - h.exp_m1() * y.cos());
        let difference = (first + e * e * (2.0 * h).exp_m1()) / (small * small);
        if difference.abs() < 0.5 {
            let argument = argument_of_one_minus_exp(x, y, half_sine_squared);
            let size = e * (2.0 * half_sine_squared + h.exp_m1() + e * (2.0 * h).exp_m1()) / (small * small);
            return Factor { ln_ratio: 0.5 * difference.ln_1p(), argument, error: 2.0 * size + e * y.abs() };
        }
    }
    let (ln_modulus, argument) = ln_one_minus_exp_complex(x, y);
    // The angle y is rounded too: d ln(1−e^{−z})/dy = e^{−z}/(1−e^{−z}).
    let slope = (-x - ln_modulus).exp().min(1e300);
    let error = 1.0 + ln_modulus.abs() + small.ln().abs() + slope * y.abs();
    Factor { ln_ratio: ln_modulus - small.ln(), argument, error }
}

/// arg(1 − e^{−x−iy}), x not far below 0.
pub(super) fn argument_of_one_minus_exp(x: f64, y: f64, half_sine_squared: f64) -> f64 {
    let e = (-x).exp();
    (e * y.sin()).atan2(-(-x).exp_m1() + 2.0 * e * half_sine_squared)
}

/// (ln|1 − e^{−x−iy}|, arg(1 − e^{−x−iy})) for every real x.
pub(super) fn ln_one_minus_exp_complex(x: f64, y: f64) -> (f64, f64) {
    if x < 0.0 {
        // 1 − e^{−z} = e^{−z} · −(1 − e^{z}).
        let (ln_modulus, argument) = ln_one_minus_exp_complex(-x, -y);
        return (ln_modulus - x, argument - y + std::f64::consts::PI);
    }
    let half_sine_squared = (0.5 * y).sin().powi(2);
    let argument = argument_of_one_minus_exp(x, y, half_sine_squared);
    let e = (-x).exp();
    let ln_modulus = if x > 0.5 {
        0.5 * (e * (e - 2.0 * y.cos())).ln_1p()
    } else {
        let small = (-x).exp_m1();
        0.5 * (small * small + 4.0 * e * half_sine_squared).ln()
    };
    (ln_modulus, argument)
}

/// a/(e^a − 1).
pub(super) fn ratio_to_expm1(a: f64) -> f64 {
    if a > 700.0 { 0.0 } else { a / a.exp_m1() }
}

/// ln(1 − e^{−a}) for a > 0.
pub(super) fn ln_one_minus_exp(a: f64) -> f64 {
    if a > std::f64::consts::LN_2 { (-(-a).exp()).ln_1p() } else { (-(-a).exp_m1()).ln() }
}

/// ln of a decreasing bound of |e^{w L(z)} − 1| / (e^{w L(r)} − 1).
///
/// Two bounds, both decreasing on [0, π]: (e^x + 1)/(e^a − 1); and exp(−(1−cos t) Σ_j p_j p_{j+1}) from
/// |φ|² = 1 − Σ_{jk} p_j p_k (1 − cos (j−k)t), of which any partial sum over neighbours may be used.
pub(super) fn class_majorant(w: f64, tilt: &Tilt, decay: f64, versine: f64) -> f64 {
    let a = w * tilt.ell;
    let (h, small) = (w * decay, -(-a).exp_m1());
    let exponential = -h + (h - a).exp().ln_1p() - small.ln();
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
    exponential.min(-neighbours * versine).min(0.0)
}

/// sin t − t without cancellation.
pub(super) fn sin_minus(t: f64) -> f64 {
    if t > 1.0 {
        return t.sin() - t;
    }
    let square = t * t;
    let mut term = -t * square / 6.0;
    let mut sum = term;
    let mut k = 4.0;
    while term.abs() > 1e-18 * sum.abs() {
        term *= -square / (k * (k + 1.0));
        sum += term;
        k += 2.0;
    }
    sum
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
