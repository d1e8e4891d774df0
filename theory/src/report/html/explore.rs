//! What the sliders of a report move over, and the values behind its bars: JSON that the page carries.

use crate::bounds::{self, Standing};
use crate::error::Result;
use crate::losses::{Group, Groups, Quantity};
use crate::prior::ClassPrior;
use crate::report::mean_and_deviation;
use crate::sampling::Sampling;
use crate::{NumDraws, collision, coverage, optimum};
use serde_json::{Value, json};
use std::sync::OnceLock;

const CLASSES: [u64; 9] = [2, 4, 10, 20, 50, 100, 200, 500, 1000];
const TEMPERATURES: [f64; 6] = [0.05, 0.07, 0.1, 0.2, 0.5, 1.0];
/// n is at most 2 to this power.
const POWERS: u32 = 14;

/// υ, τ and the least L_Info of any encoder for equally likely classes, independent draws, to six digits.
pub(super) fn curves() -> &'static str {
    static CURVES: OnceLock<String> = OnceLock::new();
    CURVES.get_or_init(|| computed().map_or_else(|_| "null".into(), |curves| curves.to_string()))
}

fn computed() -> Result<Value> {
    let between = |power: u32| [1u64 << power, 3 << (power - 1)];
    let mut draws: Vec<u64> = (1..POWERS).flat_map(between).collect();
    draws.push(1 << POWERS);
    let priors: Vec<ClassPrior> = CLASSES.map(ClassPrior::uniform).into_iter().collect::<Result<_>>()?;
    let law = Sampling::WithReplacement;
    let of = |prior: &ClassPrior, value: &dyn Fn(&ClassPrior, NumDraws) -> Result<f64>| {
        draws.iter().map(|&n| Ok(digits(value(prior, NumDraws::new(n)?)?))).collect::<Result<Vec<f64>>>()
    };
    let all = |value: &dyn Fn(&ClassPrior, NumDraws) -> Result<f64>| {
        priors.iter().map(|prior| of(prior, value)).collect::<Result<Vec<_>>>()
    };
    let covered = all(&|prior, n| Ok(coverage::probability(prior, law, n)?.value()))?;
    let collided = all(&|prior, n| Ok(collision::probability(prior, law, n.negatives())?.value()))?;
    let at = |t: f64| all(&|prior, n| Ok(optimum::solve(prior, n.negatives(), t)?.loss));
    let least = TEMPERATURES.map(at).into_iter().collect::<Result<Vec<_>>>()?;
    Ok(json!({
        "classes": CLASSES, "draws": draws, "temperatures": TEMPERATURES,
        "coverage": covered, "collision": collided, "least": least,
    }))
}

/// A value to six digits, as much as any drawing shows.
fn digits(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// For each measurement its name, L_sup, ln C and every upper bound of L_sup that has a value.
pub(super) fn measurements(groups: &Groups<'_>, name: impl Fn(&Group<'_>) -> String) -> Value {
    let mean = |group: &Group<'_>, of: &dyn Fn(&crate::LossComponents) -> Option<f64>| {
        let values: Option<Vec<f64>> = group.rows.iter().map(|row| of(row)).collect();
        values.map(|values| mean_and_deviation(&values).mean).filter(|mean| mean.is_finite() && *mean > 0.0)
    };
    let of_group = |group: &Group<'_>| {
        let trivial = (group.setting().num_classes as f64).ln();
        let shown = bounds::all().iter().filter_map(|bound| {
            let value = mean(group, &|row| bound.upper_bound(row).value())?;
            let standing = match bound.standing() {
                Standing::Theorem if value > trivial => "a theorem, above ln C: says nothing here",
                Standing::Theorem => "a theorem",
                standing => standing.name(),
            };
            Some(json!({ "key": bound.key(), "name": bound.name(), "value": value, "standing": standing }))
        });
        let supervised = mean(group, &|row| row.get(Quantity::FullSupLoss));
        json!({ "name": name(group), "trivial": trivial, "supervised": supervised, "bounds": shown.collect::<Vec<_>>() })
    };
    groups
        .iter()
        .map(of_group)
        .filter(|run| run["bounds"].as_array().is_some_and(|all| !all.is_empty()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curves_are_those_of_the_library() {
        let found: Value = serde_json::from_str(curves()).unwrap();
        let place = |key: &str, wanted: f64| {
            found[key].as_array().unwrap().iter().position(|v| v.as_f64() == Some(wanted)).unwrap()
        };
        let (c, n, t) = (place("classes", 10.0), place("draws", 32.0), place("temperatures", 0.5));
        // 10 classes, 32 draws: υ = 0.690976 (theory coverage); τ = 1 − 0.9³¹.
        assert!((found["coverage"][c][n].as_f64().unwrap() - 0.690976).abs() < 1e-5);
        assert!((found["collision"][c][n].as_f64().unwrap() - (1.0 - 0.9f64.powi(31))).abs() < 1e-5);
        let least = found["least"][t][c][n].as_f64().unwrap();
        assert!(least > 0.0 && least < 32f64.ln(), "{least}");
        assert!(curves().len() < 60_000, "{}", curves().len());
    }
}
