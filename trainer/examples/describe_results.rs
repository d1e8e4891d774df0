//! Fills the columns that say what was trained in results that an earlier version wrote:
//! `cargo run --release -p trainer --example describe_results -- DATA PRESET LOSSES.csv [KEY=VALUE…]`.
//!
//! DATA is the folder of the data sets' files; PRESET and the overrides, such as `sweep.seeds=[7]`, those of the
//! `trainer reproduce` that made the file, without `--dtype`. Rows are matched by run_id. What a row says already must agree with the
//! settings; nothing that was measured changes (`compare_results` shows it).

use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::Path;
use theory::losses;
use trainer::data;
use trainer::run::evaluate::{evaluated_split, run_info};
use trainer::run::{Preset, Sweep};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, preset, file, overrides @ ..] = &arguments[..] else {
        bail!("usage: describe_results DATA PRESET LOSSES.csv [KEY=VALUE…]")
    };
    let (folder, file) = (Path::new(folder), Path::new(file));
    let Preset { config: base, grid } = Preset::named(preset, overrides)?;
    let sweep = Sweep { base, grid: grid.context("the preset has no [sweep]")? };
    let split = data::load(&sweep.base.data(Some(folder)))?;
    let configs: BTreeMap<_, _> = sweep.runs().into_iter().chain(sweep.references()).collect();
    let mut rows = losses::read(file)?;
    for row in &mut rows {
        let name = row.run.run_id.clone();
        let config = configs.get(&name).with_context(|| format!("{name} is no run of these settings"))?;
        let objective = config.training_objective()?;
        let found = run_info(config, &objective, &name, row.run.head.clone(), &split.train);
        let known = |run: &losses::RunInfo| {
            let sizes = (run.seed, run.epochs, run.batch_size, run.train_negatives);
            (run.dataset.clone(), run.encoder.clone(), run.loss.clone(), run.selection.clone(), sizes)
        };
        ensure!(
            known(&row.run) == known(&found),
            "{name}: {:?} in the file, {:?} by the settings",
            known(&row.run),
            known(&found)
        );
        // What `reproduce` computes in, unless it is told otherwise.
        row.run = losses::RunInfo { precision: "f32".into(), ..found };
        row.evaluated_split = evaluated_split(config).into();
    }
    losses::write(file, &rows)?;
    println!("described {} rows of {}", rows.len(), file.display());
    Ok(())
}
