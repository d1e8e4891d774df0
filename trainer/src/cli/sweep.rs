//! `sweep`: all runs of a plan, on this machine or on a Slurm cluster. `collect`: what they have left, joined.

use super::pool::{PoolArgs, stop};
use super::print;
use anyhow::{Result, bail};
use clap::Args;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use theory::interrupt::Interrupt;
use theory::report::{Cell, Screen, Table, summary};
use theory::{losses, terminal};
use trainer::run::sweep::slurm::{self, Submission};
use trainer::run::sweep::{Collected, Report, SweepRun, check, claim, sweep};
use trainer::run::{Plan, Progress};

#[derive(Args)]
pub(super) struct SweepArgs {
    /// The runs: a file that lists values of settings (.toml), the plan.jsonl of another sweep, or a preset such as digits
    plan: PathBuf,
    /// Folder for plan.jsonl, runs, losses.csv and report.html
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Override a setting of all runs, such as epochs=20
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    pool: PoolArgs,
    /// Print the runs with their ids and states, or, with --slurm, what would be submitted; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Write plan.jsonl and stop: for schedulers that start `trainer run` themselves
    #[arg(long, conflicts_with_all = ["dry_run", "slurm"])]
    plan_only: bool,
    #[command(flatten)]
    slurm: SlurmArgs,
}

#[derive(Args)]
#[command(next_help_heading = "On a Slurm cluster")]
struct SlurmArgs {
    /// Submit the runs that are missing to Slurm as an array of tasks, and a job that collects their results afterwards
    #[arg(long)]
    slurm: bool,
    /// Partition of the cluster
    #[arg(long, value_name = "NAME", requires = "slurm")]
    partition: Option<String>,
    /// Time limit of a task, such as 4:00:00; a run that needs longer saves its state two minutes before, and its
    /// task is queued again
    #[arg(long, value_name = "TIME", requires = "slurm")]
    time: Option<String>,
    /// Generic resources of a task, such as gpu:1 for a GPU
    #[arg(long, value_name = "LIST", requires = "slurm")]
    gres: Option<String>,
    /// Cores of a task
    #[arg(long, value_name = "N", requires = "slurm", value_parser = clap::value_parser!(u64).range(1..=1024))]
    cpus: Option<u64>,
    /// Memory of a task, such as 8G
    #[arg(long, value_name = "SIZE", requires = "slurm")]
    mem: Option<String>,
    /// Most tasks at a time [default: no limit]
    #[arg(long, value_name = "N", requires = "slurm", value_parser = clap::value_parser!(u64).range(1..))]
    throttle: Option<u64>,
    /// Any further option of sbatch, such as --sbatch=--account=lab
    #[arg(long, value_name = "OPTION", requires = "slurm", allow_hyphen_values = true)]
    sbatch: Vec<String>,
}

impl SlurmArgs {
    fn request(&self) -> slurm::Request {
        let cpus = self.cpus.map(|cpus| cpus.to_string());
        let named = [
            ("partition", &self.partition),
            ("time", &self.time),
            ("gres", &self.gres),
            ("cpus-per-task", &cpus),
            ("mem", &self.mem),
        ];
        let given =
            named.into_iter().filter_map(|(name, value)| Some(format!("--{name}={}", value.as_ref()?)));
        let options = given.chain(self.sbatch.iter().cloned()).collect();
        slurm::Request { options, throttle: self.throttle.map(|most| most as usize) }
    }
}

pub(super) fn run(args: &SweepArgs, interrupt: &Interrupt) -> Result<()> {
    let plan = Plan::load(&args.plan, &args.set)?;
    let data = args.pool.data.as_deref();
    if args.slurm.slurm {
        return submit(args, &plan);
    }
    if args.dry_run {
        return list(args, &plan);
    }
    if args.plan_only {
        check(&plan, &(0..plan.runs().len()).collect::<Vec<_>>(), &args.out, data, 1)?;
        let plan = claim(&plan, &args.out, data)?;
        let path = args.out.join(trainer::run::plan::FILE);
        return print(&format!("{} runs: {}\n", plan.runs().len(), path.display()));
    }
    let progress = Progress::new(args.pool.quiet);
    let (stop, _saving) = (stop(interrupt), interrupt.saving());
    let pool = args.pool.pool(&stop, &progress)?;
    let start = std::time::Instant::now();
    let done = sweep(&plan, &args.out, &pool, data)?;
    show(&done, &args.out, &progress, start)
}

/// Prints what a sweep found, and where its report is; a run that failed is an error.
pub(super) fn show(
    done: &Collected,
    folder: &Path,
    progress: &Progress,
    start: std::time::Instant,
) -> Result<()> {
    let failures = done.failures()?;
    if let Some(report) = &done.report {
        print_found(done, report, folder)?;
        if let Some(page) = &report.page {
            let time = start.elapsed().as_secs_f64();
            progress.line(&format!("{time:.0} s in all; {}", where_it_is(page)));
        }
    }
    match failures {
        Some(failures) => bail!(failures),
        None => Ok(()),
    }
}

/// Where the page of a report is, and its figure.
fn where_it_is(page: &Path) -> String {
    format!("report: {}, figure: {}", page.display(), page.with_file_name("bounds.svg").display())
}

/// One screen of what was found; where selections or losses are compared, that too.
fn print_found(done: &Collected, report: &Report, folder: &Path) -> Result<()> {
    let screen = Screen::of_standard_output();
    let word = slurm::quoted(&folder.display().to_string());
    let all = format!(
        "theory bounds {word} --all; beside untrained encoders and raw inputs: {}",
        folder.join("accuracy.csv").display()
    );
    print(&format!("{}\n", summary(&losses::group(&done.rows)?).to_screen(screen, &all)))?;
    match &report.compared {
        Some(table) => print(&format!("{}\n", table.to_screen(screen))),
        None => Ok(()),
    }
}

/// The runs, and how far they are.
fn list(args: &SweepArgs, plan: &Plan) -> Result<()> {
    let plan = plan.as_in(&args.out)?;
    let mut table = Table::new(["index", "id", "run", "state", "reason"]);
    for (index, (run, id)) in plan.runs().iter().zip(plan.ids()).enumerate() {
        let state = SweepRun::read(&args.out, run).state;
        table.push(vec![
            Cell::Integer(index as i64),
            Cell::text(id),
            Cell::Text(plan.label(index)),
            Cell::text(state.name()),
            Cell::text(state.reason()),
        ]);
    }
    print(&table.to_screen(Screen::of_standard_output()))
}

fn submit(args: &SweepArgs, plan: &Plan) -> Result<()> {
    args.pool.refuse_local()?;
    let data = args.pool.data.as_deref();
    let mut plan = plan.as_in(&args.out)?;
    let mut missing = slurm::missing(&plan, &args.out, args.pool.retry())?;
    check(&plan, &missing, &args.out, data, args.slurm.throttle.map_or(missing.len(), |most| most as usize))?;
    if !args.dry_run {
        plan = claim(&plan, &args.out, data)?;
        missing = slurm::missing(&plan, &args.out, args.pool.retry())?;
    }
    let request = args.slurm.request();
    let mut run_options = args.pool.options();
    let device = args.pool.first_device();
    run_options.extend(["--device".into(), device.to_string().into(), "--quiet".into()]);
    if let Some(cpus) = args.slurm.cpus {
        run_options.extend(["--threads".into(), cpus.to_string().into()]);
    }
    if args.pool.retry() {
        run_options.push("--retry".into());
    }
    let submission = Submission {
        sweep: &args.out,
        program: std::env::current_exe()?,
        run_options,
        request: &request,
        missing,
    };
    if args.dry_run {
        print(&format!("{}\n{}\n", submission.array_script()?, submission.collect_script()?))?;
        let line = |words: &Vec<String>| {
            words.iter().map(|word| slurm::quoted(word)).collect::<Vec<_>>().join(" ") + "\n"
        };
        return print(&submission.commands()?.iter().map(line).collect::<String>());
    }
    if submission.missing.is_empty() {
        return print("nothing is missing: every run is done, at work or in the queue\n");
    }
    let count = submission.missing.len();
    let jobs = submission.submit()?;
    print(&format!("{count} runs submitted: jobs {}\n", jobs.join(", ")))
}

#[derive(Args)]
pub(super) struct CollectArgs {
    /// Folder of a sweep, complete or not
    sweep: PathBuf,
    /// Say nothing but how many runs are in which state
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn collect(args: &CollectArgs) -> Result<()> {
    let done = Collected::new(&args.sweep, &BTreeMap::new())?;
    if let Some(report) = done.report.as_ref().filter(|_| !args.quiet) {
        report.warnings.iter().for_each(|warning| terminal::say(warning));
        print_found(&done, report, &args.sweep)?;
        if let Some(page) = &report.page {
            print(&format!("{}\n", where_it_is(page)))?;
        }
    }
    print(&format!("{}\n", done.summary()))
}
