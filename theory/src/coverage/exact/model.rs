//! What single steps of exact arithmetic take, in seconds of one core: the part of the model of [`cost`](super::cost)
//! by which routes are chosen, too.

use super::lift::num_moduli;

/// Longest integer, in bits: there are not many more moduli.
pub(super) const MAX_BITS: f64 = 1e9;

/// Seconds of a product modulo one number, four at a time.
const PRODUCT: f64 = 1.1e-9;

/// Seconds of a pair of moduli in the weights of the remainder theorem.
const PAIR: f64 = 1.0e-9;

/// Seconds of a product of two words within a product of rows.
const ROW: f64 = 9e-10;

/// Seconds of a product of two integers of so many words each.
pub(super) fn multiplication(words: f64) -> f64 {
    1e-9 * words.min(32.0) * words + 1.1e-8 * words.powf(1.465)
}

/// Seconds of an integer of so many bits from its residues, at `work` products each.
pub(super) fn seconds_of_residues(bits: f64, work: f64) -> f64 {
    let k = num_moduli(bits) as f64;
    5e-6 + k * (3e-7 + PRODUCT * work) + PAIR * k * k / 2.0 + 8.0 * multiplication(k / 2.0)
}

/// Seconds of S(n, C) by residues.
pub(super) fn seconds_of_uniform_residues(num_draws: u64, num_classes: u64) -> f64 {
    seconds_of_residues(bits(num_draws, num_classes), work(num_draws, num_classes))
}

/// Seconds of C! S(n, C) by grouping: the binomial coefficients, C sums of a power times one of them, and about one
/// full-size product per prime up to C, by rows where it is short.
pub(super) fn seconds_of_grouping(num_draws: u64, num_classes: u64) -> f64 {
    let c = num_classes as f64;
    let words = num_draws as f64 * c.log2() / 64.0;
    let product = multiplication(words / 2.0).min(ROW * (words / 2.0).powi(2));
    5e-7 + 8e-8 * c + 0.4 * ROW * c * (c / 64.0 + 1.0) * words + 1.2 * c / c.ln().max(1.0) * product
}

/// log₂ of Cⁿ/C!, an upper bound of S(n, C), and at most a bit more.
pub(super) fn bits(num_draws: u64, num_classes: u64) -> f64 {
    let c = num_classes as f64;
    // C! ≥ √(2πC) (C/e)^C.
    let ln_factorial = (c + 0.5) * c.ln() - c + 0.5 * std::f64::consts::TAU.ln();
    (num_draws as f64 * c.ln() - ln_factorial) * std::f64::consts::LOG2_E
}

/// Products modulo one number: what a residue costs.
pub(super) fn work(num_draws: u64, num_classes: u64) -> f64 {
    let c = num_classes as f64;
    // π(C) powers, C falling products, C/2 weights, C sums.
    1.3 * c / c.ln().max(1.0) * 1.3 * (num_draws as f64).log2().max(1.0) + 2.5 * c
}
