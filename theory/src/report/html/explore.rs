//! What the sliders of a report move over, and the values behind its bars: JSON that the page carries.

use crate::bounds::{self, Bound, Standing};
use crate::error::Result;
use crate::losses::{Group, Groups, Quantity};
use crate::prior::ClassPrior;
use crate::report::bounds::{Side, bound_cell};
use crate::report::{Cell, statistic};
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

/// How the bar of an upper bound of L_sup is drawn. Only a theorem says anything, and only up to ln C.
fn look(standing: Standing, value: f64, num_classes: u64) -> &'static str {
    match standing {
        Standing::Theorem if bounds::is_vacuous(value, num_classes) => "vacuous",
        Standing::Theorem => "informative",
        _ => "unproved",
    }
}

/// For each measurement its name, L_sup, ln C, every upper bound of L_sup that can be drawn on a logarithmic axis, and
/// why the others cannot.
pub(super) fn measurements(groups: &Groups<'_>, name: impl Fn(&Group<'_>) -> String) -> Value {
    groups
        .iter()
        .map(|group| measurement(group, &name(group), bounds::all()))
        .filter(|run| run["bounds"].as_array().is_some_and(|all| !all.is_empty()))
        .collect()
}

fn measurement(group: &Group<'_>, name: &str, bounds: &[&dyn Bound]) -> Value {
    let setting = group.setting();
    let (mut shown, mut missing) = (Vec::new(), Vec::new());
    for bound in bounds.iter().filter(|bound| !bound.upper_needs().is_empty()) {
        let value = match bound_cell(group, *bound, Side::Supervised) {
            Cell::Estimate(value) | Cell::Vacuous(value) => value,
            why => {
                let why = why.to_string().replacen("n/a: ", "not applicable: ", 1);
                missing.push(format!("{} ({why})", bound.key()));
                continue;
            }
        };
        if !value.mean.is_finite() || value.mean <= 0.0 {
            let why = if value.mean <= 0.0 { "not positive" } else { "beyond the largest number of a float" };
            missing.push(format!("{} ({}: {why})", bound.key(), value.mean));
            continue;
        }
        let standing = bound.standing();
        let look = look(standing, value.mean, setting.num_classes);
        let said = match look {
            "vacuous" => "a theorem, above ln C: says nothing here".to_string(),
            "informative" => "a theorem".to_string(),
            _ => format!("{}, no proved upper bound: {}", standing.name(), standing.caveat()),
        };
        shown.push(json!({
            "key": bound.key(), "name": bound.name(), "value": value.mean, "deviation": value.deviation,
            "look": look, "standing": standing.name(), "said": said,
        }));
    }
    let supervised = match statistic(group, |row| row.get(Quantity::FullSupLoss)) {
        Cell::Estimate(value) if value.mean.is_finite() => Some(value.mean),
        _ => None,
    };
    json!({
        "name": name, "trivial": (setting.num_classes as f64).ln(), "supervised": supervised,
        "seeds": group.rows.len(), "bounds": shown, "missing": missing,
    })
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

    #[test]
    fn only_a_theorem_at_most_ln_c_looks_informative() {
        let trivial = 10f64.ln();
        let others = [Standing::Unproved("a"), Standing::FormOnly("b"), Standing::AsPublished("c")];
        for value in [0.1, trivial, 3.0] {
            assert!(others.iter().all(|standing| look(*standing, value, 10) == "unproved"));
        }
        let theorem = [0.1, trivial, 3.0].map(|value| look(Standing::Theorem, value, 10));
        assert_eq!(theorem, ["informative", "informative", "vacuous"]);
    }

    #[test]
    fn each_bar_looks_and_says_what_its_bound_is() {
        let rows = crate::losses::committed("digits-fixed-batch");
        let groups = crate::losses::group(&rows).unwrap();
        let found = measurements(&groups, |group| group.setting().num_draws.to_string());
        let mut below = 0;
        for run in found.as_array().unwrap() {
            let trivial = run["trivial"].as_f64().unwrap();
            for bar in run["bounds"].as_array().unwrap() {
                let bound = bounds::find(bar["key"].as_str().unwrap()).unwrap();
                let is_theorem = bound.standing() == Standing::Theorem;
                let is_below = bar["value"].as_f64().unwrap() <= trivial;
                assert_eq!(bar["look"] == "informative", is_theorem && is_below, "{bar}");
                assert_eq!(bar["look"] == "unproved", !is_theorem, "{bar}");
                assert_eq!(
                    bar["said"].as_str().unwrap().contains("no proved upper bound"),
                    !is_theorem,
                    "{bar}"
                );
                below += u32::from(is_below && !is_theorem);
            }
            // Every bound of L_sup has a bar or a reason.
            let upper = bounds::all().iter().filter(|bound| !bound.upper_needs().is_empty()).count();
            let [bars, reasons] = ["bounds", "missing"].map(|key| run[key].as_array().unwrap().len());
            assert_eq!(bars + reasons, upper);
        }
        assert!(below > 0, "with few negatives a published value lies below ln C and is no bound");
    }

    #[test]
    fn a_value_that_one_seed_lacks_is_not_drawn_from_the_others() {
        let mut rows = crate::losses::committed("digits");
        rows.retain(|row| row.num_draws.get() == 16);
        assert!(rows.len() > 1);
        rows[0].set(Quantity::Coverage, crate::losses::Estimate::exact(0.0)).unwrap();
        rows[1].set(Quantity::InfoNce, crate::losses::Estimate::exact(1e-9)).unwrap();
        let groups = crate::losses::group(&rows).unwrap();
        let found = measurements(&groups, |_| String::new());
        let missing = found[0]["missing"].to_string();
        assert!(missing.contains("nozawa_sato_as_published (undefined: counted υ̂ is 0)"), "{missing}");
        assert!(missing.contains("inverted (undefined: L_Info"), "{missing}");
        let bars = found[0]["bounds"].to_string();
        assert!(!bars.contains("\"inverted\"") && !bars.contains("\"nozawa_sato_as_published\""), "{bars}");
    }
}
