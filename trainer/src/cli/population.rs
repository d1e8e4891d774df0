//! `population`: free class vectors on the exact population loss, beside the optimum.

use super::print;
use anyhow::Result;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use theory::report::Format;
use theory::report::figure::{self, Axes, Lines, Series};
use theory::{ClassPrior, NumNegatives};
use trainer::Error;
use trainer::population::{self, Row, Training};
use trainer::run::{self, Folder, Manifest};

#[derive(Args)]
pub(super) struct PopulationArgs {
    /// C equally likely classes; with --imbalance, unequal ones
    #[arg(long, value_name = "C", required_unless_present = "counts", conflicts_with = "counts")]
    classes: Option<u64>,
    /// Samples of each class: numbers such as 5000,3000,1500, or a file with one integer a line or a JSON array
    #[arg(long, value_name = "FILE|LIST")]
    counts: Option<PathBuf>,
    /// Frequency of the most over that of the least frequent class [default: 1]; between them frequencies fall
    /// exponentially
    #[arg(long, value_name = "R", conflicts_with = "counts")]
    imbalance: Option<f64>,
    /// Numbers of negatives K: 8, a list 8,16, a range 8..512 or 8..512:8, or a mixture
    // By its path: the whole list is one value.
    #[arg(long, value_name = "LIST", value_parser = theory::usage::parse_list)]
    negatives: std::vec::Vec<u64>,
    /// Temperature t that divides the inner products
    #[arg(long, value_name = "T")]
    temperature: f64,
    /// Dimension of the vectors, 2 or more [default: C]
    #[arg(long, value_name = "D")]
    dimension: Option<usize>,
    /// Steps of gradient descent
    #[arg(long, value_name = "S", default_value_t = Training::default().steps)]
    steps: usize,
    /// Rate of the first steps; it falls to 0 along a cosine
    #[arg(long, value_name = "R", default_value_t = Training::default().learning_rate)]
    learning_rate: f64,
    /// Seed of the initial vectors
    #[arg(long, value_name = "S", default_value_t = Training::default().seed, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: u64,
    /// Folder for population.csv and the figure [default: print only]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// table, csv, json, markdown or latex
    #[arg(long, default_value = "table", value_parser = |s: &str| s.parse::<Format>().map_err(|e| e.to_string()))]
    format: Format,
    /// Threads; the result does not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
}

impl PopulationArgs {
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(run::available_threads, |n| n as usize)
    }

    fn prior(&self) -> Result<ClassPrior> {
        let uniform = |classes: Option<u64>| {
            ClassPrior::uniform(classes.unwrap_or(0)).map_err(|e| Error::argument(format!("--classes: {e}")))
        };
        Ok(match (&self.counts, self.classes, self.imbalance) {
            (Some(counts), ..) => theory::usage::class_counts(counts)?,
            (None, classes, Some(ratio)) => {
                if !(ratio >= 1.0 && ratio.is_finite()) {
                    return Err(
                        Error::argument(format!("--imbalance {ratio} is not a ratio of at least 1")).into()
                    );
                }
                let classes = uniform(classes)?.num_classes();
                let last = classes.saturating_sub(1).max(1) as f64;
                ClassPrior::from_weights((0..classes).map(|c| ratio.powf(-(c as f64) / last)).collect())?
            }
            (None, classes, None) => uniform(classes)?,
        })
    }
}

/// What `run.json` says of the experiment.
#[derive(Serialize)]
struct Settings<'a> {
    counts: &'a Option<PathBuf>,
    classes: Option<u64>,
    imbalance: Option<f64>,
    negatives: &'a [u64],
    temperature: f64,
    training: Training,
}

pub(super) fn population(args: &PopulationArgs) -> Result<()> {
    let prior = args.prior()?;
    if let Some(k) =
        args.negatives.iter().enumerate().find_map(|(i, k)| args.negatives[..i].contains(k).then_some(k))
    {
        return Err(Error::argument(format!("--negatives names {k} twice")).into());
    }
    let negatives =
        args.negatives.iter().map(|&k| NumNegatives::new(k)).collect::<theory::Result<Vec<_>>>()?;
    let PopulationArgs { dimension, steps, learning_rate, seed, temperature, .. } = *args;
    let training = Training { dimension, steps, learning_rate, seed };
    let PopulationArgs { counts, classes, imbalance, .. } = args;
    let settings = Settings {
        counts,
        classes: *classes,
        imbalance: *imbalance,
        negatives: &args.negatives,
        temperature,
        training,
    };
    let manifest = Manifest::new("population", &settings)?;
    if let Some(out) = &args.out {
        Folder::check(out, &manifest)?;
    }
    let rows = population::experiment(&prior, &negatives, temperature, &training)?;
    let table = population::table(&rows, &prior, temperature);
    print(&table.to_output(args.format))?;
    if let Some(out) = &args.out {
        let folder = Folder::create(out, &manifest)?;
        let write = |name: &str, bytes: &[u8]| theory::files::write_atomically(&folder.file(name), bytes);
        write("population.csv", table.to_text(Format::Csv).as_bytes())?;
        for (name, format) in
            [("population.svg", figure::Format::Svg), ("population.png", figure::Format::Png)]
        {
            write(name, &figure::lines(&drawing(&rows, &prior, temperature), format)?)?;
        }
        if args.format == Format::Table {
            print(&format!("\nwrote {}\n", folder.file("population.csv").display()))?;
        }
    }
    Ok(())
}

/// L_K grows with K; what the mean classifier makes of its minimiser stands beside it.
fn drawing(rows: &[Row], prior: &ClassPrior, temperature: f64) -> Lines {
    let series = |name: &str, of: &dyn Fn(&Row) -> f64| {
        Series::new(name, rows.iter().map(|row| (row.num_negatives.get() as f64, of(row))))
    };
    let losses = vec![
        series("contrastive", &|row| row.trained.loss),
        series("supervised", &|row| row.trained.classified.supervised_loss),
    ];
    let accuracy = vec![series("mean classifier", &|row| row.trained.classified.accuracy)];
    let classes = prior.num_classes();
    Lines {
        x_label: "K negatives".into(),
        log_x: true,
        panels: vec![
            Axes {
                title: format!(
                    "Losses of the minimiser, free class vectors, C = {classes}, t = {temperature}"
                ),
                y_label: "nats".into(),
                series: losses,
                ..Axes::default()
            },
            Axes {
                title: "Its accuracy".into(),
                y_label: "accuracy".into(),
                limits: Some((0.0, 1.0)),
                series: accuracy,
                ..Axes::default()
            },
        ],
        ..Lines::default()
    }
}
