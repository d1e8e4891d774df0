//! `reproduce`: a preset's sweep from data to report.

use super::print;
use super::session::SessionArgs;
use anyhow::{Result, bail};
use clap::Args;
use std::path::PathBuf;
use theory::interrupt::Interrupt;
use theory::report::Format;
use trainer::data;
use trainer::device::Recording;
use trainer::run::{self, Plan, Preset, Progress, Session};

#[derive(Args)]
pub(super) struct ReproduceArgs {
    /// digits, fashion-mnist, cifar10, cifar100, ag-news-erase, ag-news-replace or hard-negatives; also a shortened
    /// form such as cifar10-small
    name: String,
    /// The preset's shortened form: two K, one seed, few epochs, few samples
    #[arg(long)]
    quick: bool,
    /// Folder for runs, losses.csv and report.html [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Numbers of draws n = K+1, such as 16,32,64
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    draws: Option<Vec<usize>>,
    /// Seeds, such as 7,11,13
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    seeds: Option<Vec<u64>>,
    /// Temperatures t, such as 0.1,0.5: a second axis of the sweep
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    temperatures: Option<Vec<f64>>,
    /// Train every K with this batch size, K negatives drawn per anchor, so that K alone moves
    #[arg(long, value_name = "B")]
    fixed_batch: Option<usize>,
    /// Override a setting of the preset, such as epochs=20 or sweep.supervised=false
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    session: SessionArgs,
    /// Runs at a time, each on one thread [default: all cores; on a GPU, 1]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Say nothing but the final tables
    #[arg(short, long)]
    quiet: bool,
}

impl ReproduceArgs {
    /// The preset's name, and what is to be run.
    fn plan(&self) -> trainer::Result<(String, Plan)> {
        let name = match self.quick && !self.name.ends_with("-quick") {
            true => format!("{}-quick", self.name),
            false => self.name.clone(),
        };
        let Preset { config: base, grid } = Preset::named(&name, &self.set)?;
        let mut grid = grid.unwrap_or_default();
        if let Some(draws) = &self.draws {
            grid.draws.clone_from(draws);
        }
        if let Some(seeds) = &self.seeds {
            grid.seeds.clone_from(seeds);
        }
        if let Some(temperatures) = &self.temperatures {
            grid.temperatures.clone_from(temperatures);
        }
        grid.fixed_batch = self.fixed_batch.or(grid.fixed_batch);
        Ok((name, Plan { base, grid }))
    }

    /// All studies have settings of their own.
    fn refuse_settings(&self) -> trainer::Result<()> {
        let given = [
            ("--draws", self.draws.is_some()),
            ("--seeds", self.seeds.is_some()),
            ("--temperatures", self.temperatures.is_some()),
            ("--fixed-batch", self.fixed_batch.is_some()),
            ("--set", !self.set.is_empty()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(trainer::Error::argument(format!(
                "{name}: the studies have settings of their own; repeat one with the command that the page names"
            ))),
            None => Ok(()),
        }
    }
}

pub(super) fn reproduce(args: &ReproduceArgs, interrupt: &Interrupt) -> Result<()> {
    let studies = args.name == "studies";
    let plan = match studies {
        true => args.refuse_settings().map(|()| None)?,
        false => Some(args.plan()?),
    };
    let device = args.session.open()?;
    let all = if device.is_cpu() { run::available_threads() } else { 1 };
    let jobs = args.threads.map_or(all, |t| t as usize);
    let progress = Progress::new(args.quiet);
    let start = std::time::Instant::now();
    let name = plan.as_ref().map_or("studies", |(name, _)| name);
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(name));
    let split = plan.as_ref().map(|(_, plan)| data::load(&plan.base.data(args.session.data.as_deref())));
    let split = split.transpose()?;
    let (stop, _saving) = (|| interrupt.requested(), interrupt.saving());
    let session = args.session.session(&device, true, &stop);
    // Runs side by side share the stream of a GPU: while one records, the work of the others would be recorded with it.
    let recording = if jobs == 1 { session.recording } else { Recording::Never };
    let session = Session { recording, ..session };
    let (runs, report) = match plan.zip(split) {
        Some(((_, plan), split)) => {
            let done = run::reproduce(&plan, &split, &out, jobs, &session, &progress)?;
            for table in [&done.measured, &done.bounds, &done.accuracies].into_iter().chain(&done.compared) {
                print(&format!("{}\n", table.to_text(Format::Table)))?;
            }
            (done.runs, done.report)
        }
        None => {
            let done = run::studies(args.quick, &out, jobs, &session, &progress)?;
            print(&format!("{}\n", done.works.to_text(Format::Markdown)))?;
            (done.runs, done.report)
        }
    };
    progress.line(&format!("{:.0} s in all; report: {}", start.elapsed().as_secs_f64(), report.display()));
    let failures: Vec<String> =
        runs.iter().filter_map(|run| Some(format!("{}: {}", run.id, run.failure()?))).collect();
    if !failures.is_empty() {
        let (failed, all) = (failures.len(), runs.len());
        bail!("{failed} of {all} runs failed (runs.csv), the others are reported: {}", failures.join("; "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command};
    use clap::Parser;
    use std::path::Path;
    use trainer::run::study::{Sweep, command};

    /// The words of a command line whose only quotes are single ones.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut inside) = (vec![String::new()], false);
        for c in line.chars() {
            match c {
                '\'' => inside = !inside,
                ' ' if !inside => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        words
    }

    #[test]
    fn the_commands_of_the_studies_repeat_them() {
        for quick in [false, true] {
            for Sweep { name, plan } in Sweep::all(quick).unwrap() {
                let out = Path::new("my runs").join(name);
                let line = command("digits", &plan, &out).unwrap();
                let Command::Reproduce(args) = Cli::try_parse_from(words(&line)).unwrap().command else {
                    panic!("{line}");
                };
                assert_eq!(args.plan().unwrap(), ("digits".to_string(), plan), "{line}");
                assert_eq!(args.out.as_ref(), Some(&out), "{line}");
            }
        }
    }
}
