//! `reproduce`: a preset's sweep from data to report.

use super::pool::{PoolArgs, stop};
use super::print;
use super::sweep::show;
use anyhow::{Result, bail};
use clap::Args;
use std::path::PathBuf;
use theory::interrupt::Interrupt;
use theory::report::{Cell, Format, Table};
use theory::usage::{parse_decimals, parse_list};
use trainer::Error;
use trainer::run::{self, Plan, Preset, Progress, Session, Sweep};

#[derive(Args)]
pub(super) struct ReproduceArgs {
    /// digits, folder (images of your own in --data), fashion-mnist, cifar10, cifar100, ag-news-erase, ag-news-replace,
    /// hard-negatives, imagenet-moco or imagenet-simclr; also a shortened form such as cifar10-small. Or studies: the
    /// experiments of the published papers, repeated on the digits
    #[arg(required_unless_present = "config", conflicts_with = "config")]
    name: Option<String>,
    /// Settings from a TOML file with a table [sweep], in place of a preset
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The preset's shortened form: few K, one seed, few epochs, few samples
    #[arg(long)]
    quick: bool,
    /// Folder for runs, losses.csv and report.html [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Numbers of draws n = K+1: 8, a list 8,16, a range 8..512 or 8..512:8, or a mixture
    // By its path, here and below: the whole list is one value.
    #[arg(long, value_name = "LIST", value_parser = parse_list)]
    draws: Option<std::vec::Vec<u64>>,
    /// Seeds, such as 7,11,13 or 1..5 [default: those of the preset]
    #[arg(long, value_name = "LIST", value_parser = parse_list)]
    seeds: Option<std::vec::Vec<u64>>,
    /// Temperatures t, such as 0.1,0.5 or 0.1..0.5:0.1: every number of draws is trained with each
    #[arg(long, value_name = "LIST", value_parser = parse_decimals)]
    temperatures: Option<std::vec::Vec<f64>>,
    /// Train every K with this batch size, drawing K negatives for each anchor, so that only K changes
    #[arg(long, value_name = "B")]
    fixed_batch: Option<usize>,
    /// Override a setting of the preset, such as epochs=20 or sweep.supervised=false
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    pool: PoolArgs,
}

impl ReproduceArgs {
    /// The name of the preset or file, and what is to be run.
    fn sweep(&self) -> trainer::Result<(String, Sweep)> {
        let (name, Preset { config: base, grid }) = match (&self.name, &self.config) {
            (Some(name), _) => {
                let name = match self.quick && !name.ends_with("-quick") {
                    true => format!("{name}-quick"),
                    false => name.clone(),
                };
                let preset = Preset::named(&name, &self.set)?;
                (name, preset)
            }
            (None, Some(file)) => {
                let name =
                    file.file_stem().map_or("config".into(), |stem| stem.to_string_lossy().into_owned());
                (name, Preset::from_file(file, self.quick, &self.set)?)
            }
            (None, None) => return Err(Error::argument("NAME or --config FILE is needed")),
        };
        let mut grid = grid.unwrap_or_default();
        if let Some(draws) = &self.draws {
            // No machine holds more samples than its memory has addresses.
            grid.draws = draws.iter().map(|&n| usize::try_from(n).unwrap_or(usize::MAX)).collect();
        }
        if let Some(seeds) = &self.seeds {
            grid.seeds.clone_from(seeds);
        }
        if let Some(temperatures) = &self.temperatures {
            grid.temperatures.clone_from(temperatures);
        }
        grid.fixed_batch = self.fixed_batch.or(grid.fixed_batch);
        Ok((name, Sweep { base, grid }))
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
    let studies = args.name.as_deref() == Some("studies");
    let sweep = match studies {
        true => args.refuse_settings().map(|()| None)?,
        false => Some(args.sweep()?),
    };
    let progress = Progress::new(args.pool.quiet);
    let start = std::time::Instant::now();
    let name = sweep.as_ref().map_or("studies", |(name, _)| name);
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(name));
    let (stop, _saving) = (stop(interrupt), interrupt.saving());
    let pool = args.pool.pool(&stop, &progress)?;
    let data = args.pool.data.as_deref();
    if let Some((_, sweep)) = sweep {
        let done = run::sweep::sweep(&Plan::of_sweep(&sweep)?, &out, &pool, data)?;
        return show(&done, &out, &progress, start);
    }
    let device = super::open(args.pool.first_device())?;
    let session = Session { data, device: &device, stop: &stop, ..Session::CPU };
    let done = run::studies(args.quick, &out, &pool, &session)?;
    print(&format!("{}\n", brief(&done.works).to_output(Format::Table)))?;
    progress.line(&format!(
        "{:.0} s in all; all values, tables and commands: {}",
        start.elapsed().as_secs_f64(),
        done.report.display()
    ));
    match &done.failures[..] {
        [] => Ok(()),
        failures => bail!("{} runs failed, the others are reported: {}", failures.len(), failures.join("; ")),
    }
}

/// What was asked and found, for a screen: of many values the first and the last.
fn brief(works: &Table) -> Table {
    let column = |name: &str| works.headers().iter().position(|header| header == name);
    let shown: Vec<usize> = ["work", "question", "result"].into_iter().filter_map(column).collect();
    let mut table = Table::new(shown.iter().map(|&c| works.headers()[c].clone()));
    for row in works.rows() {
        let short = |cell: &Cell| match cell {
            Cell::Text(text) => match &values(text)[..] {
                [first, _, _, .., last] => Cell::Text(format!("{first}; …; {last}")),
                _ => cell.clone(),
            },
            _ => cell.clone(),
        };
        table.push(shown.iter().map(|&c| short(&row[c])).collect());
    }
    table
}

/// The parts between semicolons, but for those within parentheses, as in `I(view; image)`.
fn values(text: &str) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for part in text.split("; ") {
        match values.last_mut() {
            Some(last) if last.matches('(').count() > last.matches(')').count() => {
                last.push_str("; ");
                last.push_str(part);
            }
            _ => values.push(part.into()),
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command};
    use super::{Cell, Table};
    use clap::Parser;
    use std::path::Path;
    use trainer::run::study::{NamedSweep, command};

    #[test]
    fn a_screen_has_the_first_and_the_last_of_many_values() {
        let mut works = Table::new(["work", "question", "measured here", "result", "command"]);
        for result in ["K = 1: I(a; b); K = 2: b; K = 3: c; K = 4: d", "I(a; b); c"] {
            works.push(["w", "q", "m", result, "c"].map(Cell::text).to_vec());
        }
        let brief = super::brief(&works);
        assert_eq!(brief.headers(), ["work", "question", "result"]);
        assert_eq!(brief.rows()[0][2], Cell::text("K = 1: I(a; b); …; K = 4: d"));
        assert_eq!(brief.rows()[1][2], Cell::text("I(a; b); c"));
    }

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
            for NamedSweep { name, sweep } in NamedSweep::all(quick).unwrap() {
                let out = Path::new("my runs").join(name);
                let line = command("digits", &sweep, &out).unwrap();
                let Command::Reproduce(args) = Cli::try_parse_from(words(&line)).unwrap().command else {
                    panic!("{line}");
                };
                assert_eq!(args.sweep().unwrap(), ("digits".to_string(), sweep), "{line}");
                assert_eq!(args.out.as_ref(), Some(&out), "{line}");
            }
        }
    }
}
