//! The notebook's own values of υ, and the float formula that made them.
//!
//! `coupon.ipynb` computes P(T = n) = Σ_{m=0}^{C−2} (−1)^m binom(C−1, m) e^{(n−1) ln(1−(m+1)/C)} term by term in
//! `float64`, clamps negative results to 0, and adds them up: υ = Σ_{n=C}^{N} max(0, P(T = n)). At C = 100, n = 100 the
//! terms reach 3e10 and should cancel to 9e-43; what comes out is rounding noise, on one machine +2.0e-4, then +8.3e-5,
//! −1.7e-6, +7.3e-5, … Its negative values are dropped and its positive ones add up. The digits belong to the library
//! that computes exp, ln and binom, and differ between machines; the size does not.
//!
//! Source: `coupon.ipynb` and `create_df` in `bound.ipynb`, official repository of Nozawa & Sato (2021).

use super::records;
use crate::error::Result;

/// What a value of the notebooks is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotebookQuantity {
    /// υ by the alternating float sum.
    FloatFormula,
    /// υ by ten shuffles of the evaluated labels.
    Simulated,
    /// The constant that stands for a counted υ̂ of 0.
    Substituted,
    /// τ as quoted in a talk.
    QuotedTau,
}

/// A value that a notebook prints.
#[derive(Debug, Clone, PartialEq)]
pub struct NotebookValue {
    /// Name of the data set.
    pub dataset: String,
    /// n = K+1 for which it was computed.
    pub num_draws: u64,
    /// What it is.
    pub quantity: NotebookQuantity,
    /// The value, as a float.
    pub value: f64,
    /// The value, digit by digit.
    pub text: String,
    /// Notebook and cell.
    pub source: String,
}

/// The values that the notebooks print, in their order.
///
/// # Errors
/// None for the file that is compiled in.
pub fn values() -> Result<Vec<NotebookValue>> {
    let text = include_str!("../../../data/published/nozawa_notebook_values.csv");
    records("nozawa_notebook_values.csv", text)?
        .iter()
        .map(|record| {
            let quantity = match record.text("quantity")? {
                "upsilon_float_formula" => NotebookQuantity::FloatFormula,
                "upsilon_simulated" => NotebookQuantity::Simulated,
                "upsilon_substituted" => NotebookQuantity::Substituted,
                "tau_quoted" => NotebookQuantity::QuotedTau,
                other => return Err(record.error("quantity", format!("'{other}' is unknown"))),
            };
            Ok(NotebookValue {
                dataset: record.text("dataset")?.into(),
                num_draws: record.number("K+1")? as u64,
                quantity,
                value: record.number("printed")?,
                text: record.text("printed")?.into(),
                source: record.text("source")?.into(),
            })
        })
        .collect()
}

/// The printed value of a quantity, if there is one.
pub(super) fn value(dataset: &str, num_draws: u64, quantity: NotebookQuantity) -> Option<f64> {
    let found = values()
        .ok()?
        .into_iter()
        .find(|v| v.dataset == dataset && (v.num_draws, v.quantity) == (num_draws, quantity));
    found.map(|v| v.value)
}

/// (−1)^m binom(C−1, m) e^{(n−1) ln(1−(m+1)/C)} for m = 0, …, C−2, as floats.
fn terms(num_classes: u64, num_draws: u64) -> impl Iterator<Item = f64> {
    let (classes, draws) = (num_classes as f64, num_draws as f64);
    let mut binomial = 1.0;
    (0..num_classes.saturating_sub(1)).map(move |m| {
        let m = m as f64;
        if m > 0.0 {
            binomial *= (classes - m) / m;
        }
        let sign = if m % 2.0 == 0.0 { 1.0 } else { -1.0 };
        sign * binomial * ((draws - 1.0) * (1.0 - (m + 1.0) / classes).ln()).exp()
    })
}

/// υ as the notebook's float formula gives it on this machine, right or wrong; O(n C) operations.
///
/// Kept to show where it fails. For C = 10 it agrees with the exact υ to 1e-11; for C = 100, n = 128 it is noise.
///
/// # Examples
/// ```
/// use theory::published::float_formula;
/// // C = 2: P(T = n) = 2^{1−n}, so υ_2 = 1/2 and υ_3 = 3/4.
/// assert_eq!((float_formula(2, 2), float_formula(2, 3)), (0.5, 0.75));
/// // True value: 1.5e-22.
/// assert!(float_formula(100, 128) > 1e-6);
/// ```
pub fn float_formula(num_classes: u64, num_draws: u64) -> f64 {
    (num_classes..=num_draws).map(|n| terms(num_classes, n).sum::<f64>().max(0.0)).sum()
}

/// The largest term of the alternating sum for P(T = C), where cancellation is worst.
pub fn largest_term(num_classes: u64) -> f64 {
    terms(num_classes, num_classes).map(f64::abs).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClassPrior, NumDraws, Sampling, coverage};

    #[test]
    fn the_formula_is_right_for_few_classes_and_noise_for_many() {
        let exact = |classes, draws| {
            let prior = ClassPrior::uniform(classes).unwrap();
            coverage::probability(&prior, Sampling::WithReplacement, NumDraws::new(draws).unwrap())
                .unwrap()
                .value()
        };
        for draws in [32, 64, 128, 512] {
            assert!((float_formula(10, draws) - exact(10, draws)).abs() < 1e-11, "{draws}");
        }
        for draws in [128, 256, 384, 1024] {
            // The published digits are another library's noise; both are a few times 1e-4 too large.
            let noise = float_formula(100, draws) - exact(100, draws);
            assert!((1e-5..5e-3).contains(&noise), "{draws}: {noise}");
        }
        assert!((1e10..1e11).contains(&largest_term(100)));
    }

    #[test]
    fn all_values_are_read() {
        let count = |quantity| values().unwrap().iter().filter(|v| v.quantity == quantity).count();
        assert_eq!(
            [
                NotebookQuantity::FloatFormula,
                NotebookQuantity::Simulated,
                NotebookQuantity::Substituted,
                NotebookQuantity::QuotedTau
            ]
            .map(count),
            [13, 8, 2, 1]
        );
        assert_eq!(value("CIFAR-100", 128, NotebookQuantity::Substituted), Some(0.0004517171443332115));
    }
}
