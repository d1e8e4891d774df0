//! e^x − 1 − x without cancellation: what reverse Jensen's constants are made of where the temperature is high.

/// e^x − 1 − x to a few ulps, for every x.
pub(super) fn exp_excess(x: f64) -> f64 {
    if x.abs() > 0.5 {
        return x.exp_m1() - x;
    }
    // x²/2! + x³/3! + …, up to x²⁰/20!.
    0.5 * x * x * (3..=20).rev().fold(1.0, |sum, k| 1.0 + sum * x / f64::from(k))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_arguments() {
        // The series in exact rationals (Python's fractions).
        for (x, expected) in [
            (1e-9, 5.000_000_001_666_667e-19),
            (-1e-3, 4.998_333_749_916_681e-7),
            (0.5, 0.148_721_270_700_128_14),
            (-0.5, 0.106_530_659_712_633_42),
            (0.500_001, 0.148_721_919_422_223_24),
            (-3.0, 2.049_787_068_367_864),
        ] {
            assert!((exp_excess(x) / expected - 1.0).abs() < 1e-14, "{x}: {}", exp_excess(x));
        }
        assert_eq!(exp_excess(0.0), 0.0);
    }
}
