//! What bounds and certificates claim of a world, how far each claim is from being violated, and an adversary.

use super::{Truth, World, random_unit, unit};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use theory::bounds::{self, Standing};
use theory::certificates;
use theory::losses::Quantity;

/// How far a bound is from being violated, per side; negative: violated.
pub fn margins(truth: &Truth) -> Vec<(&'static str, &'static str, f64)> {
    let mut found = Vec::new();
    for bound in bounds::all() {
        let mut add = |side, margin: Option<f64>| found.extend(margin.map(|m| (bound.key(), side, m)));
        let losses = &truth.losses;
        add("L_Info ≥", bound.lower_bound(losses).value().map(|v| truth.info_nce - v));
        add("L_sup ≤", bound.upper_bound(losses).value().map(|v| v - truth.supervised));
        add("L_sup ≥", bound.supervised_lower_bound(losses).value().map(|v| truth.supervised - v));
        let other = bound.other(losses).and_then(|s| s.outcome.value());
        let margin = match bound.key() {
            "collision_term" => other.zip(truth.collided).map(|(v, t)| v - t),
            "nscl_gap" => other.zip(truth.nscl_gap).map(|(v, t)| v - t),
            "arora_pairs" => other.zip(losses.get(Quantity::PairLoss)).map(|(v, t)| v - t),
            "nozawa_sato_by_class" => other.map(|v| {
                let [joint, covers] =
                    [Quantity::JointSupLoss, Quantity::Coverage].map(|q| losses.get(q).unwrap());
                v - joint / covers
            }),
            "mutual_information" => other.map(|v| truth.mutual_information - v),
            _ => None,
        };
        add("other", margin);
    }
    for certificate in certificates::all() {
        let error = match certificate.key() {
            "directional" => truth.nearest_error,
            _ => truth.losses.get(Quantity::AnchorError).unwrap(),
        };
        let value = certificate.error_bound(&truth.losses).value();
        found.extend(value.map(|v| (certificate.key(), "error ≤", v - error)));
    }
    found
}

/// Standing of a certificate, or of one side of a bound.
pub fn standing(key: &str, side: &str) -> Standing {
    let of_certificate = || certificates::find(key).map(|certificate| certificate.standing());
    let of_side = |bound: &dyn bounds::Bound| match side {
        "L_sup ≥" => bound.supervised_lower_standing(),
        _ => bound.standing(),
    };
    bounds::find(key).map(of_side).or_else(of_certificate).unwrap()
}

/// Whether a violation of a certificate, or of this side of a bound, refutes it: it claims validity, or none was ever
/// found.
pub fn is_claimed(key: &str, side: &str) -> bool {
    matches!(standing(key, side), Standing::Theorem | Standing::Unproved(_))
}

/// What rounding may do to a margin: sums of up to 10⁵ terms, and quotients by probabilities of 1e-7 or so.
pub const ROUNDING: f64 = 1e-9;

/// Whether a margin refutes a bound; NaN does.
pub fn is_violated(margin: f64) -> bool {
    margin.is_nan() || margin < -ROUNDING
}

/// Moves one view at a time to where a bound's margin shrinks: an adversary for this bound.
pub fn attack(world: &mut World, key: &str, side: &str, steps: usize, rng: &mut ChaCha8Rng) {
    let margin = |world: &World| {
        let of = margins(&world.enumerate());
        of.into_iter().find(|(k, s, _)| *k == key && *s == side).map_or(f64::INFINITY, |(.., m)| m)
    };
    let mut best = margin(world);
    if best == f64::INFINITY {
        return;
    }
    for step in 0..steps {
        let size = if step % 2 == 0 { 1.0 } else { 0.2 };
        let mut moved = world.clone();
        let place = rng.random_range(0..moved.views.len());
        let direction = random_unit(rng, moved.views[place].feature.len());
        let feature = &mut moved.views[place].feature;
        *feature = unit(feature.iter().zip(&direction).map(|(a, b)| a + size * b).collect());
        let found = margin(&moved);
        if found < best {
            best = found;
            *world = moved;
        }
    }
}
