//! `train`: one run.

use super::session::{SessionArgs, threads};
use anyhow::Result;
use clap::Args;
use std::cmp::Ordering;
use std::path::PathBuf;
use theory::interrupt::Interrupt;
use theory::losses::{self, LossComponents, Quantity};
use trainer::data::Split;
use trainer::run::config::Metric;
use trainer::run::sweep::slurm::quoted;
use trainer::run::train::metrics::{self, Record};
use trainer::run::{self, Config, Folder, Preset, Progress, Session};
use trainer::{Error, data};

#[derive(Args)]
pub(super) struct TrainArgs {
    /// Settings that ship, such as digits, cifar10 or ag-news-erase-quick
    #[arg(long, value_name = "NAME", required_unless_present = "config", conflicts_with = "config")]
    preset: Option<String>,
    /// Settings from a TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Override a setting, such as epochs=20 or, in a table, queue.size=512; may be repeated. config.toml of a run lists them
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Folder for config.toml, metrics.jsonl and model.safetensors
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Keep the weights of the epoch that was best on held-out samples, not the last ones: short for --set
    /// monitor.keep_best=true; monitor.metric says in what [default: kNN accuracy]
    #[arg(long)]
    keep_best: bool,
    /// Continue an interrupted run from its checkpoint
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    session: SessionArgs,
    /// Threads; small networks gain nothing from more than one, and the result does not depend on it [default: 1]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(super) threads: Option<u64>,
    /// Print nothing
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn train(args: &TrainArgs, interrupt: &Interrupt) -> Result<()> {
    let mut set = args.set.clone();
    if args.keep_best {
        set.push("monitor.keep_best=true".into());
    }
    let preset = match (&args.preset, &args.config) {
        (Some(name), _) => Preset::named(name, &set)?,
        (None, Some(file)) => Preset::from_file(file, false, &set)?,
        (None, None) => return Err(Error::argument("--preset NAME or --config FILE is needed").into()),
    };
    let config = preset.config;
    let device = args.session.open()?;
    let split = data::load(&config.data(args.session.data.as_deref()))?;
    split.check()?;
    let (stop, _saving) = (|| interrupt.requested(), interrupt.saving());
    let session = args.session.session(&device, args.resume, &stop);
    let session = Session { tuning: config.tuning(&split), ..session };
    let progress = Progress::new(args.quiet);
    let task = progress.task(&args.out.display().to_string(), config.epochs);
    let trained = run::with_threads(threads(args.threads), || {
        run::train(&config, &split.train, &args.out, &session, &task)
    })?;
    let kept = if trained.kept { ", kept from before" } else { "" };
    task.finish(&format!("mean loss of the last epoch {:.3}{kept}", trained.final_loss));
    screen(&config, &split, &trained.folder)?.iter().for_each(|line| progress.line(line));
    Ok(())
}

/// What was trained, what is known of its accuracy, where the files are, and what comes next.
fn screen(config: &Config, split: &Split, folder: &Folder) -> Result<Vec<String>> {
    let (path, samples) = (folder.path(), split.train.len());
    let Config { dataset, epochs, seed, temperature, batch_size, .. } = config;
    let objective = config.training_objective()?;
    let (encoder, loss) = (config.encoder.name(), objective.loss_name());
    let negatives = objective.effective_negatives().filter(|k| *k > 0);
    let in_training =
        negatives.map_or_else(String::new, |k| format!(" (in training {k} negatives for each anchor)"));
    let run = quoted(&path.display().to_string());
    let report = format!("theory report {run}");
    // A file that cannot be read is for `trainer measure` to write again: the run itself is well.
    let (accuracy, next) = match losses::read(&path.join("losses.csv")) {
        Ok(rows) => (of_measurement(&rows), vec![report]),
        Err(_) => {
            let unknown = "not measured yet; --set monitor.every=10 shows it while it trains";
            let watched = watched(config, folder).unwrap_or_else(|| unknown.into());
            (vec![watched], vec![format!("trainer measure --run {run}"), report])
        }
    };
    let mut lines = vec![
        format!("trained   {encoder} on {dataset}, {samples} samples; loss {loss}"),
        format!("          n = K+1 = {}{in_training}", objective.evaluated_draws()),
        format!(
            "          t = {temperature}, batches of {batch_size}, {epochs} {}, seed {seed}",
            if *epochs == 1 { "epoch" } else { "epochs" }
        ),
    ];
    let files = vec![
        format!("{}:", path.display()),
        "model.safetensors (weights), config.toml (settings),".into(),
        "metrics.csv (every epoch; metrics.jsonl has the same)".into(),
    ];
    for (label, parts) in [("accuracy", accuracy), ("files", files), ("next", next)] {
        let label = |place: usize| if place == 0 { label } else { "" };
        lines.extend(parts.iter().enumerate().map(|(place, part)| format!("{:<10}{part}", label(place))));
    }
    Ok(lines)
}

/// The accuracies of a measurement, those of head features before those of encoder features.
fn of_measurement(rows: &[LossComponents]) -> Vec<String> {
    let layers = [
        ("head", [Quantity::MeanAccuracy, Quantity::KnnAccuracy, Quantity::LinearAccuracy]),
        (
            "encoder",
            [Quantity::MeanAccuracyEncoder, Quantity::KnnAccuracyEncoder, Quantity::LinearAccuracyEncoder],
        ),
    ];
    let of_layer = |(layer, quantities): (&str, [Quantity; 3])| {
        let row = rows.first()?;
        let known: Vec<String> = ["mean classifier", "kNN", "linear probe"]
            .iter()
            .zip(quantities)
            .filter_map(|(name, quantity)| Some(format!("{name} {:.3}", row.get(quantity)?)))
            .collect();
        (!known.is_empty()).then(|| format!("{} ({layer})", known.join(", ")))
    };
    let known: Vec<String> = layers.into_iter().filter_map(of_layer).collect();
    if known.is_empty() {
        return vec!["none in losses.csv".into()];
    }
    let part = rows.first().map(|row| &row.evaluated_split).filter(|part| !part.is_empty());
    part.map(|part| format!("on the {part} samples:")).into_iter().chain(known).collect()
}

/// What was seen while it trained, of the weights that are the run's.
fn watched(config: &Config, folder: &Folder) -> Option<String> {
    let settings = config.monitor?;
    let records = metrics::jsonl::read(&folder.file("metrics.jsonl")).ok()?;
    let value = |record: &&Record| record.get(settings.metric.key());
    let best = |a: &&Record, b: &&Record| {
        let [a, b] = [a, b].map(|record| value(record).unwrap_or(f64::NAN));
        if settings.metric.is_better(b, a) { Ordering::Less } else { Ordering::Greater }
    };
    let mut looks = records.iter().filter(|record| value(record).is_some());
    let record = if settings.keep_best { looks.max_by(best) } else { looks.next_back() };
    let record = record?;
    let [mean, knn] = [Metric::MeanAccuracy, Metric::KnnAccuracy].map(|metric| record.get(metric.key()));
    let (mean, knn, epoch) = (mean?, knn?, record.epoch + 1);
    Some(format!("mean classifier {mean:.3}, kNN {knn:.3} (head, tuning samples, epoch {epoch})"))
}
