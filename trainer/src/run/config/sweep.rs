//! Sweeps: the axes around one run's settings, and the runs that they span.

use super::{Config, LearningRateRule, Negatives, ObjectiveKind};
use crate::error::{Error, Result};
use crate::loss::LossKind;
use crate::optim::OptimiserKind;
use serde::{Deserialize, Serialize};

/// The axes of a sweep.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// n = K+1 of the evaluation, and of the training batch unless `fixed_batch` is set.
    pub draws: Vec<usize>,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Temperatures t; empty: that of the settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub temperatures: Vec<f64>,
    /// Negatives, such as `"queue"` and `"hardest:5%"`; empty: those of the settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selections: Vec<Negatives>,
    /// Losses of the batch, such as `"dcl"` or `{ kind = "hard", beta = 2 }`; empty: that of the settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "LossKind::words_or_tables")]
    pub losses: Vec<LossKind>,
    /// Whether the same encoder is also trained with known classes, once a seed, for reference.
    #[serde(default)]
    pub supervised: bool,
    /// Train all K with this batch size and K sampled negatives per anchor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_batch: Option<usize>,
}

/// Learning rate of the supervised references at a batch of 256.
const REFERENCE_RATE: f64 = 0.002;

/// What to run; written as a file of settings with a table `[sweep]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sweep {
    /// Settings that all runs share; seed, batch size, negatives and temperature are set per run.
    #[serde(flatten)]
    pub base: Config,
    /// The axes.
    #[serde(rename = "sweep")]
    pub grid: Grid,
}

impl Sweep {
    /// The runs as (folder name, settings), the slowest first.
    pub fn runs(&self) -> Vec<(String, Config)> {
        let grid = &self.grid;
        let losses = if grid.losses.is_empty() { vec![self.base.loss] } else { grid.losses.clone() };
        let mut runs = Vec::new();
        for temperature in self.temperatures() {
            for &n in &grid.draws {
                let batch_size = grid.fixed_batch.unwrap_or(n);
                for negatives in self.negatives(n) {
                    for &loss in &losses {
                        let mut axes = String::new();
                        if !grid.temperatures.is_empty() {
                            axes += &format!("-t{temperature}");
                        }
                        if !grid.selections.is_empty() {
                            axes += &format!("-{}", in_a_file_name(negatives));
                        }
                        if !grid.losses.is_empty() {
                            axes += &format!("-{}", loss.describe().replace(", ", "+").replace(" = ", "-"));
                        }
                        for &seed in &grid.seeds {
                            let base = self.base.clone();
                            let config = Config { seed, temperature, batch_size, negatives, loss, ..base };
                            runs.push((format!("n{n:04}{axes}-s{seed}"), config));
                        }
                    }
                }
            }
        }
        runs
    }

    /// The negatives of the runs at n = K+1.
    fn negatives(&self, n: usize) -> Vec<Negatives> {
        match (self.grid.fixed_batch, self.base.negatives) {
            _ if !self.grid.selections.is_empty() => self.grid.selections.clone(),
            (Some(_), _) => vec![Negatives::Count(n.saturating_sub(1))],
            (None, own @ (Negatives::Queue | Negatives::Selected(_))) => vec![own],
            (None, Negatives::Batch | Negatives::Count(_)) => vec![Negatives::Batch],
        }
    }

    fn temperatures(&self) -> Vec<f64> {
        match self.grid.temperatures.is_empty() {
            true => vec![self.base.temperature],
            false => self.grid.temperatures.clone(),
        }
    }

    /// The supervised references, one a seed.
    pub fn references(&self) -> Vec<(String, Config)> {
        let seeds = self.grid.seeds.iter().filter(|_| self.grid.supervised);
        let reference = |&seed: &u64| {
            let objective = ObjectiveKind::CrossEntropy;
            let negatives = Negatives::Batch;
            // AdamW learns from labels whatever the encoder; the rates of contrastive losses, and of LARS, are others.
            let (optimiser, learning_rate) = (OptimiserKind::AdamW, REFERENCE_RATE);
            let learning_rate_rule = LearningRateRule::Sqrt;
            let (queue, selection, loss, monitor) = (None, None, LossKind::default(), None);
            let base = Config { optimiser, learning_rate, learning_rate_rule, ..self.base.clone() };
            let (lars_adapt_bias_and_norm, lars_clip) = (true, false);
            let base =
                Config { queue, selection, loss, monitor, lars_adapt_bias_and_norm, lars_clip, ..base };
            (format!("supervised-s{seed}"), Config { seed, objective, negatives, ..base })
        };
        seeds.map(reference).collect()
    }

    /// Whether the axes fit each other; whether they fit the data, the data must tell.
    ///
    /// # Errors
    /// An axis without values or with one twice; axes of which one fixes what another moves.
    pub fn check(&self) -> Result<()> {
        let Self { base, grid } = self;
        let Grid { draws, seeds, temperatures, selections, losses, fixed_batch, .. } = grid;
        if draws.is_empty() || seeds.is_empty() {
            return Err(Error::argument("a sweep needs at least one K and one seed"));
        }
        if let Some(n) = draws.iter().find(|n| **n < 2) {
            return Err(Error::argument(format!(
                "n = K+1 = {n} is not at least 2: the anchor and one negative"
            )));
        }
        let twice = [
            twice(draws).map(|n| format!("n = K+1 = {n} is")),
            twice(seeds).map(|seed| format!("seed = {seed} is")),
            twice(temperatures).map(|t| format!("temperature = {t} is")),
            twice(selections).map(|negatives| format!("negatives = {negatives} are")),
            twice(losses).map(|loss| format!("loss = {} is", loss.describe())),
        ];
        if let Some(value) = twice.into_iter().flatten().next() {
            return Err(Error::argument(format!("{value} asked for twice")));
        }
        if let Some(Negatives::Count(k)) = selections.iter().find(|s| matches!(s, Negatives::Count(_))) {
            return Err(Error::argument(format!(
                "sweep.selections has the number {k}: K drawn negatives are an axis of their own, --draws with --fixed-batch"
            )));
        }
        if let (Some(batch), own @ (Negatives::Queue | Negatives::Selected(_))) =
            (*fixed_batch, base.negatives)
        {
            return Err(Error::argument(format!(
                "with a fixed batch of {batch} samples K = n-1 negatives are drawn: negatives = {own} cannot be"
            )));
        }
        if let (Some(batch), Some(first)) = (*fixed_batch, selections.first()) {
            return Err(Error::argument(format!(
                "with a fixed batch of {batch} samples K = n-1 negatives are drawn: sweep.selections, such as {first}, cannot be"
            )));
        }
        let too_large = |batch: usize| draws.iter().find(|&&n| n > batch).map(|n| (n, batch));
        if let Some((n, batch)) = fixed_batch.and_then(too_large) {
            return Err(Error::argument(format!("n = K+1 = {n} exceeds the fixed batch of {batch} samples")));
        }
        Ok(())
    }
}

/// A value that stands there twice.
fn twice<T: PartialEq>(values: &[T]) -> Option<&T> {
    (1..values.len()).find(|&i| values[..i].contains(&values[i])).map(|i| &values[i])
}

/// `hardest-5`, `range-0-40+60-100`.
fn in_a_file_name(negatives: Negatives) -> String {
    negatives.to_string().replace(':', "-").replace(',', "+").replace('%', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Preset;

    fn sweep(overrides: &[&str]) -> Sweep {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        let Preset { config: base, grid } = Preset::named("digits", &overrides).unwrap();
        Sweep { base, grid: grid.unwrap() }
    }

    #[test]
    fn runs_are_named_by_the_axes_that_move() {
        let names = |overrides: &[&str]| -> Vec<String> {
            let sweep = sweep(&[&["sweep.seeds=[7]", "sweep.draws=[16]"], overrides].concat());
            sweep.check().unwrap();
            sweep.runs().into_iter().chain(sweep.references()).map(|(name, _)| name).collect()
        };
        assert_eq!(names(&["sweep.supervised=true"]), ["n0016-s7", "supervised-s7"]);
        let all = ["sweep.temperatures=[0.1, 0.5]", "sweep.selections=[\"batch\", \"range:0-40%,60-100%\"]"];
        let all = [&all[..], &["sweep.losses=[\"dcl\", { kind = \"hard\", beta = 2 }]"]].concat();
        let names = names(&all);
        assert_eq!(names.len(), 8);
        assert_eq!(names[0], "n0016-t0.1-batch-dcl-s7");
        assert!(
            names[7].starts_with("n0016-t0.5-range-0-40+60-100-hard") && !names[7].contains([' ', '%', ':'])
        );
    }

    #[test]
    fn a_fixed_batch_moves_k_alone() {
        let sweep = sweep(&["sweep.draws=[2, 16]", "sweep.seeds=[7]", "sweep.fixed_batch=64"]);
        let found = sweep.runs().into_iter().map(|(_, config)| (config.batch_size, config.negatives));
        assert_eq!(found.collect::<Vec<_>>(), [(64, Negatives::Count(1)), (64, Negatives::Count(15))]);
    }

    #[test]
    fn axes_that_do_not_fit_each_other_are_refused() {
        for (overrides, expected) in [
            (&["sweep.draws=[]"][..], "at least one K"),
            (&["sweep.draws=[16, 8, 16]"], "n = K+1 = 16 is asked for twice"),
            (&["sweep.seeds=[7, 7]"], "seed = 7 is"),
            (&["sweep.temperatures=[0.5, 0.5]"], "temperature = 0.5 is"),
            (&["sweep.selections=[\"queue\", \"queue\"]"], "negatives = queue are"),
            (&["sweep.selections=[3]"], "has the number 3"),
            (&["sweep.losses=[\"dcl\", \"dcl\"]"], "loss = dcl is"),
            (&["sweep.fixed_batch=15", "sweep.draws=[16]"], "exceeds the fixed batch of 15"),
            (&["sweep.fixed_batch=256", "sweep.selections=[\"hardest:5%\"]"], "such as hardest:5%"),
            (&["sweep.fixed_batch=256", "negatives=hardest:5%"], "negatives = hardest:5% cannot be"),
        ] {
            let message = sweep(overrides).check().unwrap_err().to_string();
            assert!(message.contains(expected) && !message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn a_sweep_is_written_as_a_file_of_settings() {
        for overrides in [&[][..], &["sweep.losses=[\"dcl\", { kind = \"hard\", beta = 2 }]", "loss=dcl"]] {
            let sweep = sweep(overrides);
            let read = Preset::from_toml(&toml::to_string(&sweep).unwrap(), &[]).unwrap();
            assert_eq!((read.config, read.grid), (sweep.base, Some(sweep.grid)));
        }
    }
}
