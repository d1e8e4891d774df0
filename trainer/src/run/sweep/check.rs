//! What can be known before training: whether the runs fit their data, and their checkpoints the disk.

use super::{run_folder, state};
use crate::augment::Views;
use crate::data::{self, Samples, Split};
use crate::error::{Error, Result};
use crate::model::Network;
use crate::optim::OptimiserKind;
use crate::run::plan::{Plan, PlannedRun};
use crate::run::{Config, ObjectiveKind, SamplesId};
use candle_core::Device;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Checkpoints that stand beside each other while a third is written.
const CHECKPOINTS: u64 = 3;

/// Checks that these runs of a plan (by their index, `jobs` of them at the same time) can be trained and measured into the
/// folder `out`. No folder is made and nothing is trained.
///
/// # Errors
/// Data that cannot be read, or lack a class; settings that do not fit the samples; a run that is done, on other samples;
/// a disk without room for the checkpoints and models.
pub fn check(plan: &Plan, runs: &[usize], out: &Path, data: Option<&Path>, jobs: usize) -> Result<()> {
    let keys: Vec<String> = plan.runs().iter().map(|run| format!("{:?}", run.config.data(data))).collect();
    let mut of_data: BTreeMap<&String, Vec<&PlannedRun>> = BTreeMap::new();
    for &index in runs {
        of_data.entry(&keys[index]).or_default().push(&plan.runs()[index]);
    }
    let (mut checkpoints, mut models) = (Vec::new(), 0);
    for (key, runs) in &of_data {
        let split = data::load(&runs[0].config.data(data))?;
        split.check()?;
        let here = SamplesId::from(&split.evaluated);
        for (run, _) in plan.runs().iter().zip(&keys).filter(|(_, of)| of == key) {
            if let Some(there) = state::evaluated(&run_folder(out, &run.name)).filter(|there| *there != here)
            {
                return Err(Error::argument(format!(
                    "{} was measured on other samples (evaluated.checksum: {} there, {} here): choose another folder or remove it",
                    run.name, there.checksum, here.checksum
                )));
            }
        }
        let mut known = HashMap::new();
        for run in runs {
            let config = &run.config;
            check_sizes(config, &split)?;
            // Before any folder is made: a network and views can be made of the settings, which most runs share.
            let shape = (config.encoder, config.head, config.stem, config.stem_padding, config.objective);
            let key = format!("{shape:?} {:?}", config.augmentation);
            let network = match known.get(&key) {
                Some(&parameters) => parameters,
                None => {
                    let network = check_network(config, &split.train)?;
                    *known.entry(key).or_insert(network.parameters().num_trained())
                }
            };
            checkpoints
                .push(checkpoint_bytes(config, network) * missing_checkpoints(&run_folder(out, &run.name)));
            models += 4 * network as u64;
        }
    }
    checkpoints.sort_unstable();
    let at_once: u64 = checkpoints.iter().rev().take(jobs).sum();
    check_room(out, at_once + models, runs.len())
}

/// Whether one run can be trained and measured.
///
/// # Errors
/// As for [`check`].
pub(super) fn check_run(run: &PlannedRun, split: &Split, out: &Path) -> Result<()> {
    split.check()?;
    check_sizes(&run.config, split)?;
    let network = check_network(&run.config, &split.train)?.parameters().num_trained();
    let missing = missing_checkpoints(&run_folder(out, &run.name));
    check_room(out, missing * checkpoint_bytes(&run.config, network), 1)
}

fn check_network(config: &Config, samples: &Samples) -> Result<Network> {
    Views::new(&config.augmentation, samples, &Device::Cpu)?;
    config.network(samples, &Device::Cpu)
}

fn check_sizes(config: &Config, split: &Split) -> Result<()> {
    config.check_classes(&split.train)?;
    let (trained, evaluated) = (split.train.len(), split.evaluated.len());
    let n = config.training_objective()?.evaluated_draws();
    if n < 2 || n > evaluated as u64 {
        let reference = match config.objective {
            ObjectiveKind::CrossEntropy => " of the supervised reference (batch_size)",
            ObjectiveKind::Contrastive => "",
        };
        return Err(Error::argument(format!(
            "n = K+1 = {n}{reference} is not between 2 and the {evaluated} evaluated samples"
        )));
    }
    if config.batch_size > trained {
        return Err(Error::argument(format!(
            "batch_size = {} exceeds the {trained} training samples",
            config.batch_size
        )));
    }
    Ok(())
}

/// About the size of a checkpoint: weights, the optimiser's state, and with a queue its keys and a second network.
fn checkpoint_bytes(config: &Config, parameters: usize) -> u64 {
    let states = match config.optimiser {
        OptimiserKind::AdamW => 2,
        _ => 1,
    };
    let networks = 1 + states + u64::from(config.queue.is_some());
    // The heads have at most 128 features, but for the classifiers, which have no queue.
    let keys = config.queue.map_or(0, |queue| 128 * queue.size as u64);
    4 * (parameters as u64 * networks + keys)
}

/// How many checkpoints will stand in the folder of a run beside those that do already.
fn missing_checkpoints(folder: &Path) -> u64 {
    let there = ["checkpoint.safetensors", "checkpoint.previous.safetensors"];
    CHECKPOINTS - there.iter().filter(|name| folder.join(name).is_file()).count() as u64
}

/// Whether so many bytes can be written below a folder, which need not be there yet.
#[cfg(unix)]
fn check_room(folder: &Path, needed: u64, runs: usize) -> Result<()> {
    let folder = std::path::absolute(folder).map_err(|e| Error::io(folder, e))?;
    let Some(there) = folder.ancestors().find(|place| place.is_dir()) else { return Ok(()) };
    // A file system that does not say how full it is, or has no blocks, is no reason not to begin.
    let Some(found) = rustix::fs::statvfs(there).ok().filter(|found| found.f_blocks > 0) else {
        return Ok(());
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    match free < needed {
        true => Err(Error::argument(format!(
            "{}: {free} bytes are free, and the checkpoints and models of {runs} runs take about {needed}",
            folder.display()
        ))),
        false => Ok(()),
    }
}

#[cfg(not(unix))]
fn check_room(_: &Path, _: u64, _: usize) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Preset;

    fn run(overrides: &[&str]) -> PlannedRun {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        PlannedRun { name: overrides.concat(), config: Preset::named("digits", &overrides).unwrap().config }
    }

    #[test]
    fn what_cannot_be_is_known_before_training() {
        let place = tempfile::tempdir().unwrap();
        let error = |overrides: &[&str]| {
            let plan = Plan::new(vec![run(&["seed=11"]), run(overrides)]).unwrap();
            check(&plan, &[0, 1], place.path(), None, 1).unwrap_err().to_string()
        };
        for (overrides, words) in [
            (&["batch_size=451"][..], "n = K+1 = 451 is not between 2 and the 450"),
            (&["batch_size=1400", "negatives=3"], "batch_size = 1400 exceeds the 1347"),
            (&["encoder=embedding-bag"], "embedding-bag"),
            (&["dataset=digit"], "digit"),
        ] {
            let message = error(overrides);
            assert!(message.contains(words) && !message.contains('\n'), "{message}");
        }
        check(&Plan::new(vec![run(&[])]).unwrap(), &[0], place.path(), None, 1).unwrap();
    }

    #[test]
    fn a_disk_without_room_is_named_with_both_sizes() {
        let place = tempfile::tempdir().unwrap();
        let inside = place.path().join("not/yet/there");
        check_room(&inside, 1, 3).unwrap();
        let message = check_room(&inside, u64::MAX, 3).unwrap_err().to_string();
        assert!(message.contains("there: ") && message.contains("of 3 runs"), "{message}");
        let plain = checkpoint_bytes(&run(&[]).config, 1000);
        assert_eq!(plain, 8000, "weights and momentum");
        let queue = run(&["negatives=queue", "queue.size=100", "optimiser=adamw"]).config;
        assert_eq!(checkpoint_bytes(&queue, 1000), 4 * (4 * 1000 + 12_800));
    }
}
