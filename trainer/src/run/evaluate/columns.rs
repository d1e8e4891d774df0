//! What a row says of the run: the settings as the descriptive columns of `losses.csv` name them.

use crate::augment::{Augmentation, text};
use crate::data::{EvaluateOn, Samples};
use crate::run::{Config, Objective};
use theory::losses::RunInfo;

/// The columns about the training of a run called `name` on these samples.
pub fn run_info(
    config: &Config,
    objective: &Objective,
    name: &str,
    head: String,
    train: &Samples,
) -> RunInfo {
    let counts = train.class_counts();
    let (most, least) = (counts.iter().max(), counts.iter().min().filter(|&&least| least > 0));
    RunInfo {
        run_id: name.to_string(),
        dataset: config.dataset.clone(),
        encoder: config.encoder.name().into(),
        head,
        loss: objective.loss_name(),
        seed: Some(config.seed),
        epochs: Some(config.epochs as u64),
        batch_size: Some(config.batch_size as u64),
        train_negatives: Some(objective.train_negatives()),
        effective_negatives: objective.effective_negatives().map(|k| k as f64),
        train_samples: Some(train.len() as u64),
        selection: objective.selection().map(|selection| selection.to_string()).unwrap_or_default(),
        optimiser: word(&config.optimiser),
        learning_rate: Some(config.learning_rate),
        augmentation: augmentation(&config.augmentation),
        imbalance: most.zip(least).map(|(&most, &least)| most as f64 / least as f64),
        settings_id: config.settings_id(),
        ..RunInfo::default()
    }
}

/// The part of the data that is measured, and whether it was cut by class.
pub fn evaluated_split(config: &Config) -> &'static str {
    match (config.evaluate_on, config.evaluate_imbalanced) {
        (EvaluateOn::Validation, false) => "validation",
        (EvaluateOn::Validation, true) => "validation, imbalanced",
        (EvaluateOn::Tuning, false) => "tuning",
        (EvaluateOn::Tuning, true) => "tuning, imbalanced",
    }
}

/// A setting of one word as it is written in a file.
fn word(value: &impl serde::Serialize) -> String {
    toml::Value::try_from(value).ok().and_then(|value| value.as_str().map(Into::into)).unwrap_or_default()
}

/// The kind of the augmentation, then what is not the default of that kind; of texts always how likely a word changes,
/// such as `erase probability=0.2`.
fn augmentation(augmentation: &Augmentation) -> String {
    let (name, default) = match augmentation {
        Augmentation::Digits(_) => ("digits", Augmentation::Digits(Default::default())),
        Augmentation::Simclr(_) => ("simclr", Augmentation::Simclr(Default::default())),
        Augmentation::Erase(erase) => return format!("erase probability={}", erase.probability),
        Augmentation::Replace(text::Replace { probability, neighbours, neighbours_file }) => {
            // The folder is that of a machine.
            let file = neighbours_file.as_deref().and_then(|file| file.file_name());
            let file = file.map_or_else(String::new, |file| format!(" file={}", file.to_string_lossy()));
            return format!("replace probability={probability} neighbours={neighbours}{file}");
        }
    };
    // Tables of numbers always have a TOML form.
    let [lines, default] = [augmentation, &default].map(|one| toml::to_string(one).unwrap_or_default());
    let changed = lines.lines().filter(|line| !default.lines().any(|known| known == *line));
    changed.fold(name.into(), |text, line| format!("{text} {}", line.replace(" = ", "=")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::{digits, simclr};

    #[test]
    fn an_augmentation_says_what_is_not_the_default() {
        let erase = Augmentation::Erase(text::Erase { probability: 0.3 });
        let replace =
            text::Replace { neighbours_file: Some("some/synonyms.tsv".into()), ..Default::default() };
        for (given, expected) in [
            (Augmentation::Digits(digits::Augmentation::default()), "digits"),
            (Augmentation::Simclr(simclr::Augmentation::default()), "simclr"),
            (
                Augmentation::Simclr(simclr::Augmentation { size: 28, hue: 0.3, ..Default::default() }),
                "simclr size=28 hue=0.3",
            ),
            (
                Augmentation::Digits(digits::Augmentation { max_shift: 1.5, ..Default::default() }),
                "digits max_shift=1.5",
            ),
            (erase, "erase probability=0.3"),
            (Augmentation::Replace(replace), "replace probability=0.2 neighbours=5 file=synonyms.tsv"),
        ] {
            assert_eq!(augmentation(&given), expected);
        }
    }
}
