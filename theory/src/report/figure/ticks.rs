//! Round numbers along an axis.

use std::ops::Range;

/// Where an axis has its values: between 0 at one end and 1 at the other.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub log: bool,
    pub range: Range<f64>,
}

impl Span {
    /// Place of a value.
    pub fn place(&self, value: f64) -> f64 {
        let scale = |v: f64| if self.log { v.max(f64::MIN_POSITIVE).ln() } else { v };
        let (low, high) = (scale(self.range.start), scale(self.range.end));
        if low == high { 0.5 } else { (scale(value) - low) / (high - low) }
    }

    /// Round numbers with their labels.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let logarithmic = if self.log { log_ticks(&self.range) } else { Vec::new() };
        // Within less than an octave there may be no round logarithm.
        if logarithmic.len() > 1 { logarithmic } else { linear_ticks(&self.range) }
    }
}

/// Decades, or 1, 2, 5 times them where they are few.
fn log_ticks(range: &Range<f64>) -> Vec<(f64, String)> {
    let (low, high) = (range.start.log10().ceil() as i32, range.end.log10().floor() as i32);
    let step = ((high - low) / 7 + 1).max(1);
    let plain = range.start >= 1e-3 && range.end < 2e4;
    let mut ticks = Vec::new();
    for power in low - 1..=high {
        let factors: &[f64] = if high - low < 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        for &factor in factors {
            let value = factor * 10f64.powi(power);
            if (range.start..=range.end).contains(&value) && (factor > 1.0 || power.rem_euclid(step) == 0) {
                ticks.push((value, if plain { super::tick(value) } else { power_of_ten(factor, power) }));
            }
        }
    }
    ticks
}

fn power_of_ten(factor: f64, power: i32) -> String {
    let raised = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => char::from_u32(0x2070 + digit.to_digit(10).unwrap_or(0)).unwrap_or(digit),
    };
    let power: String = power.to_string().chars().map(raised).collect();
    if factor == 1.0 { format!("10{power}") } else { format!("{factor}·10{power}") }
}

/// Three to ten round numbers.
fn linear_ticks(range: &Range<f64>) -> Vec<(f64, String)> {
    let width = range.end - range.start;
    if !(width.is_finite() && width > 0.0) {
        return Vec::new();
    }
    let steps = |rough: f64| {
        let power = 10f64.powf(rough.log10().floor());
        [1.0, 2.0, 5.0, 10.0].map(|f| f * power)
    };
    let of = |step: f64| {
        let decimals = (-(step * (1.0 + 1e-9)).log10().floor()).max(0.0) as usize;
        let first = (range.start / step - 1e-9).ceil() as i64;
        let last = (range.end / step + 1e-9).floor() as i64;
        let tick = |i: i64| (i as f64 * step, format!("{:.decimals$}", i as f64 * step + 0.0));
        (first..=last).map(tick).collect::<Vec<_>>()
    };
    let few = steps(width / 6.0).into_iter().find(|step| *step >= width / 6.0).map(of).unwrap_or_default();
    if few.len() >= 3 {
        return few;
    }
    steps(width / 4.0).into_iter().rfind(|step| *step <= width / 4.0).map(of).unwrap_or(few)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_have_one_style() {
        let texts = |ticks: Vec<(f64, String)>| ticks.into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(texts(log_ticks(&(0.5..2e6))), ["10⁰", "10¹", "10²", "10³", "10⁴", "10⁵", "10⁶"]);
        assert_eq!(texts(log_ticks(&(0.5..60.0))), ["0.5", "1", "2", "5", "10", "20", "50"]);
        assert_eq!(texts(log_ticks(&(0.5..6000.0))), ["1", "10", "100", "1000"]);
        assert_eq!(texts(linear_ticks(&(0.0..2.76))), ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]);
        assert_eq!(texts(linear_ticks(&(0.85..1.0))), ["0.85", "0.90", "0.95", "1.00"]);
        assert_eq!(texts(linear_ticks(&(0.836..0.99))), ["0.85", "0.90", "0.95"]);
        assert_eq!(texts(linear_ticks(&(2.0..128.0))), ["20", "40", "60", "80", "100", "120"]);
    }
}
