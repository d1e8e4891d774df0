//! `--shard` and `merge`: work over several machines, interrupted where it must be, and put together.

use super::progress::Progress;
use super::{OutputArgs, simulate};
use anyhow::Result;
use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use theory::error::Place;
use theory::interrupt::{EXIT_CODE, Interrupt};
use theory::report::{Cell, Table};
use theory::shard::{File, Header, Shard};
use theory::{ClassPrior, Error, Sampling, files, shard, terminal};

/// The longest time between two looks for a signal.
const LOOK: Duration = Duration::from_millis(20);

/// The longest time whose work a crash may lose, beyond what the last part took.
const SAVE: Duration = Duration::from_secs(60);

/// Parts that one file may hold: some 300 MB.
const MAX_PARTS: u64 = 1 << 22;

#[derive(Args)]
#[group(skip)]
pub(super) struct ShardArgs {
    /// Compute only part i of N, i from 0 (0/8 to 7/8, like the index of a Slurm array), into the file --out; after an
    /// interruption the same command goes on. `theory merge` joins the parts
    #[arg(long, value_name = "i/N", requires = "out", conflicts_with = "format",
        value_parser = |s: &str| s.parse::<Shard>().map_err(|e| e.to_string()))]
    pub(super) shard: Option<Shard>,
}

/// What is asked about which classes; every shard of a request says the same.
pub(super) fn request(
    prior: &ClassPrior,
    sampling: Sampling,
    asked: impl IntoIterator<Item = (&'static str, Value)>,
) -> Map<String, Value> {
    let classes = [
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("classes", prior.num_classes().into()),
        ("counts", prior.digest().map_or(Value::Null, Value::from)),
        ("sampling", sampling.name().into()),
    ];
    classes.into_iter().chain(asked).map(|(key, value)| (key.to_string(), value)).collect()
}

/// Computes what the file `--out` lacks of a shard. `work` gets a function that says whether a part is there, and one
/// that takes a part.
pub(super) fn compute<P: Serialize + DeserializeOwned + Send>(
    header: Header,
    output: &OutputArgs,
    interrupt: &Interrupt,
    work: impl FnOnce(&dyn Fn(u64) -> bool, &mut dyn FnMut(u64, P)) -> theory::Result<()>,
) -> Result<()> {
    let Some(path) = &output.out else {
        return Err(Error::argument("--shard needs --out FILE").into());
    };
    if header.expected() > MAX_PARTS {
        return Err(Error::argument(format!(
            "shard {} has {} parts, more than the limit of {MAX_PARTS} for a file: more shards have fewer each",
            header.shard,
            header.expected()
        ))
        .into());
    }
    let file: File<P> = if files::exists(path)? { resume(path, &header)? } else { File::new(header) };
    if file.is_complete() && files::exists(path)? {
        return output.say(&format!("{}: shard {} is complete, kept", path.display(), file.header.shard));
    }
    let _saving = interrupt.saving();
    // A place that cannot be written to is known before the work.
    file.write(path)?;
    let known: std::collections::BTreeSet<u64> = file.parts.keys().copied().collect();
    let file = Mutex::new(file);
    let done = std::thread::scope(|scope| {
        let (working, ended) = channel::<()>();
        let file = &file;
        scope.spawn(move || {
            let mut saved = Instant::now();
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if interrupt.requested() {
                    stop(path, &file.lock().unwrap_or_else(PoisonError::into_inner), interrupt);
                }
                if saved.elapsed() >= SAVE {
                    let kept = file.lock().unwrap_or_else(PoisonError::into_inner).write(path);
                    if let Err(error) = kept {
                        terminal::say(&format!("note: what is done so far could not be kept: {error}"));
                    }
                    saved = Instant::now();
                }
            }
        });
        let done = work(&|part| known.contains(&part), &mut |number, part| {
            file.lock().unwrap_or_else(PoisonError::into_inner).parts.insert(number, part);
        });
        drop(working);
        done
    });
    // Also where the work failed: what was done before is good.
    file.into_inner().unwrap_or_else(PoisonError::into_inner).write(path)?;
    done?;
    output.say(&format!("wrote {}", path.display()))
}

/// What stands in a file already.
fn resume<P: Serialize + DeserializeOwned>(path: &Path, header: &Header) -> theory::Result<File<P>> {
    // To read a terminal or a pipe would be to wait.
    if !std::fs::metadata(path).map_err(|e| Error::io(path, e))?.is_file() {
        return Err(Error::argument(format!("{} is no file that a shard can be kept in", path.display())));
    }
    let found = Header::read(path)?;
    let other = found
        .difference(header)
        .map(|difference| format!("shard {} of another request ({difference} here)", found.shard))
        .or_else(|| (found.shard != header.shard).then(|| format!("shard {}", found.shard)));
    match other {
        Some(other) => Err(Error::argument(format!(
            "{} holds {other}: remove it, or choose another file",
            path.display()
        ))),
        None => File::read(path),
    }
}

/// Keeps what is done, and ends the process: a part may take longer than anybody who sent a signal waits.
fn stop<P: Serialize + DeserializeOwned>(path: &Path, file: &File<P>, interrupt: &Interrupt) -> ! {
    let (signal, name) = (interrupt.signal().unwrap_or("a signal"), path.display());
    let code = match file.write(path) {
        Ok(()) => {
            let (done, all) = (file.parts.len(), file.header.expected());
            terminal::say(&format!(
                "error: interrupted by {signal}: {name} keeps {done} of {all} parts, the same command does the rest"
            ));
            i32::from(EXIT_CODE)
        }
        Err(error) => {
            terminal::say(&format!("error: interrupted by {signal}, and what was done is lost: {error}"));
            1
        }
    };
    std::process::exit(code)
}

/// A table with one row for each value of a range.
pub(super) struct Rows {
    /// The command.
    pub(super) kind: &'static str,
    /// What is asked for, the values included.
    pub(super) request: Map<String, Value>,
    pub(super) headers: Vec<&'static str>,
    /// Whether the JSON of one row is a bare object.
    pub(super) single: bool,
    /// Number of values.
    pub(super) count: usize,
}

impl Rows {
    /// All rows.
    pub(super) fn table(
        self,
        quiet: bool,
        mut row: impl FnMut(usize) -> theory::Result<Vec<Cell>>,
    ) -> theory::Result<Table> {
        let mut table = Table::new(self.headers).single(self.single);
        let mut progress = Progress::new(self.count, "rows", quiet);
        for number in 0..self.count {
            table.push(row(number)?);
            progress.at(number + 1);
        }
        Ok(table)
    }

    /// The rows of a shard, into their file. No cell may hold a float: its decimal is what is kept.
    pub(super) fn keep(
        mut self,
        shard: Shard,
        output: &OutputArgs,
        interrupt: &Interrupt,
        mut row: impl FnMut(usize) -> theory::Result<Vec<Cell>>,
    ) -> Result<()> {
        self.request.insert("columns".into(), self.headers.into());
        self.request.insert("single".into(), self.single.into());
        let total = self.count as u64;
        let header = Header { kind: self.kind.into(), request: self.request, shard, total };
        compute(header, output, interrupt, |is_done, found| {
            for number in shard.of_range(0..total).filter(|&number| !is_done(number)) {
                found(number, row(number as usize)?);
            }
            Ok(())
        })
    }
}

#[derive(Args)]
pub(super) struct MergeArgs {
    /// The files of all shards of one request
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Content of shards that cannot be accepted.
pub(super) fn refused(error: impl std::fmt::Display) -> Error {
    Error::data(Place { file: "the shards".into(), ..Place::default() }, error.to_string())
}

pub(super) fn merge(args: &MergeArgs) -> Result<()> {
    if let Some(out) = &args.output.out {
        for file in &args.files {
            if files::is_same_file(out, file)? {
                let message = format!("--out would overwrite the shard {}", file.display());
                return Err(Error::argument(message).into());
            }
        }
    }
    let kind = Header::read(&args.files[0])?.kind;
    let table = match kind.as_str() {
        simulate::KIND => {
            let (header, parts) = shard::merge(&args.files)?;
            simulate::merged(header, parts.values())?
        }
        _ => {
            let (header, rows) = shard::merge::<Vec<Cell>>(&args.files)?;
            merged_rows(&header, rows.into_values())?
        }
    };
    args.output.print(&table)
}

fn merged_rows(header: &Header, rows: impl Iterator<Item = Vec<Cell>>) -> theory::Result<Table> {
    let field = |key: &str| header.request.get(key).cloned().unwrap_or_default();
    let columns: Vec<String> = serde_json::from_value(field("columns")).map_err(refused)?;
    let mut table = Table::new(columns).single(field("single") == Value::Bool(true));
    rows.for_each(|row| table.push(row));
    Ok(table)
}
