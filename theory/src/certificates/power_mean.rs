//! L_sup at one temperature from L_sup at a lower one: L^{(t′)} ≤ (t/t′) L^{(t)} + (1 − t/t′) ln C for t ≤ t′.
//!
//! Proof. With x_j = e^{z·(μ_j − μ_c)/t′} and r = t′/t ≥ 1, e^{l′} = Σ_j x_j and e^{l} = Σ_j x_j^r. The power mean of order
//! r is at least the mean: (e^{l}/C)^{1/r} ≥ e^{l′}/C, which is l′ ≤ l/r + (1 − 1/r) ln C for each anchor; averaged, the
//! claim. Equality: all logits equal.
//!
//! Source: the power mean inequality; its use here is derived.

use crate::error::{Error, Result};

/// Upper bound of L_sup at temperature `to` where L_sup at temperature `from` ≤ `to` is at most `loss`, in nats.
///
/// # Errors
/// Temperatures that are not 0 < `from` ≤ `to`, or no classes.
///
/// # Examples
/// ```
/// use theory::certificates::power_mean::supervised_at;
/// // Chance at t = 0.5 is chance at t = 1; a loss of 0 leaves half of ln C.
/// let chance = 10f64.ln();
/// assert!((supervised_at(chance, 0.5, 1.0, 10)? - chance).abs() < 1e-15);
/// assert!((supervised_at(0.0, 0.5, 1.0, 10)? - 0.5 * chance).abs() < 1e-15);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn supervised_at(loss: f64, from: f64, to: f64, num_classes: u64) -> Result<f64> {
    if !(from > 0.0 && from <= to && to.is_finite()) || num_classes == 0 {
        return Err(Error::argument(format!(
            "L_sup of {num_classes} classes at temperature {to} is not bounded by that at {from}"
        )));
    }
    let share = from / to;
    Ok(share * loss + (1.0 - share) * (num_classes as f64).ln())
}
