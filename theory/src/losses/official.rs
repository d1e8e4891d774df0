//! `bounds.json`: what `code/bound.py` and `code/nlp_bound.py` of Nozawa & Sato's repository
//! (<https://github.com/nzw0301/Understanding-Negative-Samples>, commit 803c8b1) write of one encoder.
//!
//! What the file does not hold, [`OfficialSettings`] says: C, the number of draws n (the batch size), t, and the
//! samples per class of the evaluated set, without which no bound that needs an exact υ or τ applies. Sampling is
//! without replacement, since the published loader shuffles. A seed is taken from a folder `seed-N` in the path, where
//! the published configuration puts it.
//!
//! These names are read in such files alone: a `losses.csv` with a column `SimCLR_loss` has no `info_nce`.

use super::{Estimate, LossComponents, Quantity};
use crate::error::{Error, Place, Result};
use crate::files;
use crate::json::Unrepeated;
use crate::prior::ClassPrior;
use crate::sampling::{NumDraws, Sampling};
use serde_json::{Map, Value};
use std::path::Path;

/// The object that holds the numbers.
const OBJECT: &str = "training-validation";
/// Keys that others add up to.
const DERIVED: [&str; 2] = ["bound", "curl_bound"];
/// The largest file that is read, in bytes; a whole one has less than a thousand.
const MAX_BYTES: u64 = 1 << 20;
/// By how much a sum of shares may exceed 1: they are added up batch by batch.
const ROUNDING: f64 = 1e-9;

/// What the published code does not write into its `bounds.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct OfficialSettings {
    /// Classes C, and if it has counts, samples per class of the evaluated set.
    pub prior: ClassPrior,
    /// n = K+1: the batch size.
    pub num_draws: NumDraws,
    /// t.
    pub temperature: f64,
}

/// Reads a `bounds.json`: what `bound.py` of Nozawa & Sato's repository writes.
///
/// The file is `{"training-validation": {KEY: NUMBER, …}}`; the inner object alone is read as well. Every number is a
/// mean over the anchors of all batches of the evaluated set, in several passes.
///
/// | key | here |
/// |---|---|
/// | `SimCLR_loss` | `info_nce` |
/// | `Original_SimCLR_loss` | `nt_xent` |
/// | `upsilon`, `curl_tau` | `coverage`, `collision`, as counted |
/// | `conflict_term` | `log1p_collisions` |
/// | `sup_loss`, `partial_sup_loss` | `joint_sup_loss`, `joint_sub_loss`, not halved |
/// | `curl_sup_loss`, `curl_partial_sup_loss` | `curl_joint_sup`, `curl_joint` (which contains the former) |
/// | `assumption_value` | `gap` |
/// | `centroid_accuracy` | 100 × `mean_accuracy` |
/// | `bound`, `curl_bound` | nothing: ½(`sup_loss` + `partial_sup_loss` + `conflict_term`) and `curl_partial_sup_loss` + `conflict_term`, without d(f) |
///
/// # Errors
/// Unreadable file, no such JSON, a key that is missing (`SimCLR_loss`) or unknown, a number outside its domain. The
/// message names file and key.
pub fn read_official(path: &Path, settings: &OfficialSettings) -> Result<LossComponents> {
    let name = path.display().to_string();
    let mut row = read_official_from(&files::read_text(path, MAX_BYTES)?, &name, settings)?;
    row.run.seed =
        path.iter().filter_map(|part| part.to_str()?.strip_prefix("seed-")?.parse().ok()).next_back();
    row.run.run_id = name;
    Ok(row)
}

/// [`read_official`] from a text; `name` stands in error messages.
///
/// # Errors
/// As for `read_official`.
///
/// # Examples
/// ```
/// use theory::losses::{Quantity, OfficialSettings, read_official_from};
/// use theory::{ClassPrior, NumDraws};
/// let settings = OfficialSettings {
///     prior: ClassPrior::from_counts(vec![1000; 10])?,
///     num_draws: NumDraws::new(32)?,
///     temperature: 0.5,
/// };
/// let text = r#"{"training-validation": {"SimCLR_loss": 2.02, "centroid_accuracy": 72.75}}"#;
/// let row = read_official_from(text, "bounds.json", &settings)?;
/// assert_eq!((row.get(Quantity::InfoNce), row.get(Quantity::MeanAccuracy)), (Some(2.02), Some(0.7275)));
/// # Ok::<(), theory::Error>(())
/// ```
pub fn read_official_from(text: &str, name: &str, settings: &OfficialSettings) -> Result<LossComponents> {
    let place =
        |line, column: Option<&str>| Place { file: name.into(), line, column: column.map(Into::into) };
    let text = python_numbers(text.strip_prefix('\u{feff}').unwrap_or(text));
    let Unrepeated(value) = serde_json::from_str(&text)
        .map_err(|e| Error::data(place(Some(e.line() as u64), None), format!("no JSON: {e}")))?;
    let object = object(&value).ok_or_else(|| Error::data(place(None, None), "no JSON object of numbers"))?;
    let prior = &settings.prior;
    let mut row = LossComponents::new(
        prior.num_classes(),
        settings.num_draws,
        settings.temperature,
        Sampling::WithoutReplacement,
    )?;
    row.class_counts = prior.counts().map(<[u64]>::to_vec);
    if row.class_counts.is_some() {
        row.sampling.check(prior, settings.num_draws)?;
    }
    for (key, value) in object {
        let bad = |message: String| Error::data(place(None, Some(key)), message);
        if DERIVED.contains(&key.as_str()) {
            continue;
        }
        let (measured, unit) =
            quantity(key).ok_or_else(|| bad("no key of the published bound.py's results".into()))?;
        let value = value.as_f64().ok_or_else(|| bad(format!("{value} is not a finite number")))? / unit;
        let rounded = if (1.0..1.0 + ROUNDING).contains(&value) && measured.check(value).is_err() {
            1.0
        } else {
            value
        };
        row.set(measured, Estimate::exact(rounded)).map_err(|e| bad(e.to_string()))?;
    }
    if row.get(Quantity::InfoNce).is_none() {
        let message = "there is no 'SimCLR_loss': not a result of the published bound.py";
        return Err(Error::data(place(None, None), message));
    }
    row.check_gap().map_err(|e| Error::data(place(None, Some("assumption_value")), e.to_string()))?;
    Ok(row)
}

/// The text with `NaN`, `Infinity` and `-Infinity`, which Python's `json` writes and JSON has not, as strings: a key that
/// nobody asks for may have one.
fn python_numbers(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(place) = rest.find(['"', 'N', 'I', '-']) {
        let (before, from) = rest.split_at(place);
        out.push_str(before);
        let word = ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| from.starts_with(word));
        let length = match word {
            Some(word) => {
                out.push_str(&format!("\"{word}\""));
                rest = &from[word.len()..];
                continue;
            }
            None if from.starts_with('"') => {
                // To the end of the string, past what is escaped.
                let mut escaped = false;
                let end = from[1..].find(|c| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                });
                end.map_or(from.len(), |end| end + 2)
            }
            None => 1,
        };
        out.push_str(&from[..length]);
        rest = &from[length..];
    }
    out + rest
}

fn object(value: &Value) -> Option<&Map<String, Value>> {
    let outer = value.as_object()?;
    outer.get(OBJECT).map_or(Some(outer), Value::as_object)
}

/// The quantity behind a key, and its unit.
fn quantity(key: &str) -> Option<(Quantity, f64)> {
    Some(match key {
        "SimCLR_loss" => (Quantity::InfoNce, 1.0),
        "Original_SimCLR_loss" => (Quantity::NtXent, 1.0),
        "upsilon" => (Quantity::Coverage, 1.0),
        "curl_tau" => (Quantity::Collision, 1.0),
        "conflict_term" => (Quantity::Log1pCollisions, 1.0),
        "sup_loss" => (Quantity::JointSupLoss, 1.0),
        "partial_sup_loss" => (Quantity::JointSubLoss, 1.0),
        "curl_sup_loss" => (Quantity::CurlJointSup, 1.0),
        "curl_partial_sup_loss" => (Quantity::CurlJoint, 1.0),
        "assumption_value" => (Quantity::Gap, 1.0),
        "centroid_accuracy" => (Quantity::MeanAccuracy, 100.0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds;

    /// CIFAR-10 at n = 32 as printed (`data/published/nozawa_cifar10.csv`): halves doubled, υ̂ and τ̂ of two decimals.
    const PRINTED: &str = r#"{"training-validation": {"SimCLR_loss": 2.02, "Original_SimCLR_loss": 2.71, "upsilon": 0.69,
        "conflict_term": 1.32, "sup_loss": 1.26, "partial_sup_loss": 0.52, "bound": 1.55, "curl_tau": 0.96,
        "curl_sup_loss": 0.05, "curl_partial_sup_loss": 0.06, "curl_bound": 1.38, "assumption_value": -1.16,
        "centroid_accuracy": 72.75}}"#;

    fn settings(prior: ClassPrior) -> OfficialSettings {
        OfficialSettings { prior, num_draws: NumDraws::new(32).unwrap(), temperature: 0.5 }
    }

    fn cifar10() -> OfficialSettings {
        settings(ClassPrior::from_counts(vec![1000; 10]).unwrap())
    }

    fn read(text: &str) -> Result<LossComponents> {
        read_official_from(text, "bounds.json", &cifar10())
    }

    fn upper(row: &LossComponents, key: &str) -> f64 {
        bounds::find(key).unwrap().upper_bound(row).value().unwrap_or_else(|| panic!("{key}"))
    }

    #[test]
    fn a_printed_row_gives_the_reconstructed_bounds() {
        let mut row = read(PRINTED).unwrap();
        assert_eq!((row.num_classes, row.sampling), (10, Sampling::WithoutReplacement));
        assert_eq!(row.class_counts, Some(vec![1000; 10]));
        // data/published/reconstructed_bounds.csv: independent draws, four digits.
        row.sampling = Sampling::WithReplacement;
        for (key, expected) in [("nozawa_sato", 6.541), ("submodular", 3.306), ("lambda", 3.85)] {
            let found = upper(&row, key);
            assert!((found / expected - 1.0).abs() < 3e-4, "{key}: {found}");
        }
        assert!((upper(&row, "specht") - 2.41).abs() < 0.005);
        // As published divides by the counted υ̂ and 1 − τ̂: by the printed 0.69 and 0.04 for 0.6910 and 0.0381.
        let found = upper(&row, "nozawa_sato_as_published");
        assert!((found * 0.69 - 6.918 * 0.69098).abs() < 1e-3, "{found}");
        let found = upper(&row, "curl_as_published");
        assert!((found * 0.04 - 48.49 * 0.03815).abs() < 1e-3, "{found}");
    }

    #[test]
    fn every_key_has_its_quantity() {
        let row = read(PRINTED).unwrap();
        let expected = [
            (Quantity::InfoNce, 2.02),
            (Quantity::NtXent, 2.71),
            (Quantity::Coverage, 0.69),
            (Quantity::Collision, 0.96),
            (Quantity::Log1pCollisions, 1.32),
            (Quantity::JointSupLoss, 1.26),
            (Quantity::JointSubLoss, 0.52),
            (Quantity::CurlJointSup, 0.05),
            (Quantity::CurlJoint, 0.06),
            (Quantity::Gap, -1.16),
            (Quantity::MeanAccuracy, 0.7275),
        ];
        assert_eq!(row.measures.len(), expected.len());
        for (quantity, value) in expected {
            assert!((row.get(quantity).unwrap() - value).abs() < 1e-15, "{quantity}");
        }
        assert!(row.extra.is_empty());
        // The object without the key around it.
        let value: Value = serde_json::from_str(PRINTED).unwrap();
        assert_eq!(read(&value[OBJECT].to_string()).unwrap(), row);
    }

    #[test]
    fn a_sum_of_shares_may_round_above_one() {
        let with = |upsilon: &str| read(&format!(r#"{{"SimCLR_loss": 2.0, "upsilon": {upsilon}}}"#));
        assert_eq!(with("1.0000000000000002").unwrap().get(Quantity::Coverage), Some(1.0));
        assert!(with("1.001").unwrap_err().to_string().contains("column upsilon: coverage = 1.001"));
        // Losses are not shares.
        let loss = read(r#"{"SimCLR_loss": 1.0000000000000002}"#).unwrap();
        assert_eq!(loss.get(Quantity::InfoNce), Some(1.0000000000000002));
    }

    #[test]
    fn what_is_no_result_is_refused_with_its_key() {
        for (text, words) in [
            (r#"{"SimCLR_loss": 2.0, "info_nce": 2.0}"#, "column info_nce: no key of the published"),
            (r#"{"SimCLR_loss": "2"}"#, "column SimCLR_loss: \"2\" is not a finite number"),
            (r#"{"SimCLR_loss": 2.0, "assumption_value": -4.1}"#, "d(f) = -4.1 is below −2/t = -4"),
            (r#"{"sup_loss": 2.0}"#, "there is no 'SimCLR_loss'"),
            (r#"{"SimCLR_loss": 2.0, "assumption_value": 0.5}"#, "gap = 0.5 is not a number of at most 0"),
            ("{\"SimCLR_loss\": 2.0,\n\"sup_loss\": nan}", "bounds.json, line 2: no JSON"),
            (r#"{"SimCLR_loss": 2, "sup_loss": NaN}"#, "column sup_loss: \"NaN\" is not a finite number"),
            ("[1]", "no JSON object"),
            (
                "{\"SimCLR_loss\": 2.0,\n\"SimCLR_loss\": 3.0}",
                "bounds.json, line 2: no JSON: the key 'SimCLR_loss' is there twice",
            ),
            (
                r#"{"training-validation": {"sup_loss": 1, "sup_loss": 1}}"#,
                "the key 'sup_loss' is there twice",
            ),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(words) && message.starts_with("bounds.json"), "{text}: {message}");
        }
        let few = settings(ClassPrior::from_counts(vec![3; 10]).unwrap());
        assert!(read_official_from(PRINTED, "bounds.json", &few).is_err(), "32 of 30 samples");
    }

    #[test]
    fn what_python_writes_for_no_number_may_stand_where_nobody_looks() {
        let text = r#"{"SimCLR_loss": 2.0, "bound": Infinity, "curl_bound":-Infinity, "sup_loss": 1e-3}"#;
        let row = read(text).unwrap();
        assert_eq!((row.get(Quantity::InfoNce), row.get(Quantity::JointSupLoss)), (Some(2.0), Some(1e-3)));
        // Not within a string, escaped quotes or not.
        let strings = r#"{"a \" NaN": "Infinity", "b\\": [NaN, "-Infinity"]}"#;
        let expected = r#"{"a \" NaN": "Infinity", "b\\": ["NaN", "-Infinity"]}"#;
        assert_eq!(python_numbers(strings), expected);
        assert_eq!(python_numbers("\"never ends NaN"), "\"never ends NaN");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_it() {
        let settings = settings(ClassPrior::uniform(10).unwrap());
        let marked = format!("\u{feff}{PRINTED}");
        let row = |text| read_official_from(text, "bounds.json", &settings).unwrap();
        assert_eq!(row(&marked), row(PRINTED));
    }

    #[test]
    fn without_counts_no_exact_probability_is_assumed() {
        let settings = settings(ClassPrior::uniform(10).unwrap());
        let row = read_official_from(PRINTED, "bounds.json", &settings).unwrap();
        assert_eq!(row.class_counts, None);
        assert_eq!(bounds::find("submodular").unwrap().upper_bound(&row).reason(), "needs class_counts");
    }

    #[test]
    fn the_seed_is_that_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("seed-13/2021-05-01");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::write(inner.join("bounds.json"), PRINTED).unwrap();
        let row = read_official(&inner.join("bounds.json"), &cifar10()).unwrap();
        assert_eq!(row.run.seed, Some(13));
        assert!(row.run.run_id.ends_with("bounds.json"));
    }

    #[test]
    fn the_published_names_mean_nothing_in_a_csv() {
        let text = "num_classes,num_draws,temperature,sampling,SimCLR_loss,upsilon\n10,32,0.5,without_replacement,2.02,0.69\n";
        let rows = crate::losses::read_from(text, "losses.csv").unwrap();
        assert!(rows[0].measures.is_empty());
        let kept =
            [("SimCLR_loss", "2.02"), ("upsilon", "0.69")].map(|(k, v)| (k.to_string(), v.to_string()));
        assert_eq!(rows[0].extra, kept);
    }
}
