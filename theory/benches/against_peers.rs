//! Speed beside what people use today, both sides measured in one go.
//!
//! Run: `python3 -m venv .venv && .venv/bin/pip install -r theory/benches/peers/requirements.txt`, then
//! `cargo bench -p theory --bench against_peers [-- FILTER]`, on a machine that does nothing else. `PYTHON` names another
//! interpreter. Without a filter it prints what docs/benchmarks.md has below 'Probabilities': the machine, the table, and
//! the error of the curve. Every round times our side, then the peer,
//! in CPU time (wall time where said); the table shows medians over rounds and the median of the rounds' ratios. For
//! the curve the error against exact integers is printed too. Before timing, both sides' values are compared where both
//! are floats; the alternating sum in float64 is allowed to be wrong, the others are not.

use cpu_time::ProcessTime;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use theory::coverage::{self, exact};
use theory::{ClassPrior, NumDraws, NumNegatives, Sampling, collision, simulate};

const IID: Sampling = Sampling::WithReplacement;
/// Our side is repeated until it took this long, so that one round is well above the clock's step.
const LEAST: Duration = Duration::from_millis(30);
/// A case stops after this long, with at least three rounds.
const BUDGET: Duration = Duration::from_secs(25);
const ROUNDS: usize = 9;

/// The Python process that times the peers.
struct Peers {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// CPU and wall time of one evaluation.
#[derive(Clone, Copy, Debug)]
struct Time {
    cpu_ms: f64,
    wall_ms: f64,
}

impl Peers {
    fn start() -> std::io::Result<Self> {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let own = format!("{root}/.venv/bin/python");
        let fallback = || if std::path::Path::new(&own).exists() { own.clone() } else { "python3".into() };
        let python = std::env::var("PYTHON").unwrap_or_else(|_| fallback());
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/peers.py"))
            .arg(format!("{root}/data/counts/imagenet_like.txt"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let missing = || std::io::Error::other("the peers' process has no pipes");
        let (input, output) = (input.ok_or_else(missing)?, BufReader::new(output.ok_or_else(missing)?));
        Ok(Self { child, input, output })
    }

    fn time(&mut self, request: &str) -> std::io::Result<(Time, String)> {
        writeln!(self.input, "{request}")?;
        self.input.flush()?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let reply: serde_json::Value = serde_json::from_str(&line)
            .map_err(|_| std::io::Error::other(format!("the peer answered '{line}' to '{request}'")))?;
        let missing = || std::io::Error::other(format!("no time in the peer's answer '{line}'"));
        let number = |key: &str| reply[key].as_f64().ok_or_else(missing);
        let time = Time { cpu_ms: number("cpu_ms")?, wall_ms: number("wall_ms")? };
        Ok((time, reply["value"].as_str().unwrap_or_default().to_string()))
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Clock {
    Cpu,
    Wall,
}

/// The other side of a comparison.
enum Peer {
    Python(&'static str, String),
    Ours(&'static str, Work),
}

type Work = Box<dyn Fn() -> Option<f64> + Send + Sync>;

struct Case {
    name: String,
    threads: usize,
    clock: Clock,
    /// One evaluation, and its value where it is a float.
    ours: Work,
    peer: Peer,
    target: &'static str,
}

fn time_of(work: &Work) -> Time {
    let (cpu, wall) = (ProcessTime::now(), Instant::now());
    let mut repeats = 0.0;
    while repeats == 0.0 || wall.elapsed() < LEAST {
        std::hint::black_box(work());
        repeats += 1.0;
    }
    let ms = |d: Duration| 1e3 * d.as_secs_f64() / repeats;
    Time { cpu_ms: ms(cpu.elapsed()), wall_ms: ms(wall.elapsed()) }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { 0.5 * (values[middle - 1] + values[middle]) }
}

fn milliseconds(ms: f64) -> String {
    match ms {
        _ if ms < 1.0 => format!("{:.3} µs", 1e3 * ms),
        _ if ms < 1000.0 => format!("{ms:.2} ms"),
        _ => format!("{:.2} s", 1e-3 * ms),
    }
}

/// Three digits of a ratio above 10, three decimals of one below.
fn times(ratio: f64) -> String {
    match ratio {
        _ if ratio < 10.0 => format!("{ratio:.3}×"),
        _ if ratio < 100.0 => format!("{ratio:.1}×"),
        _ => format!("{ratio:.0}×"),
    }
}

/// The processor, as Linux names it, and how many of its cores this process may use.
fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let name = name.map_or("a processor without a name", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{name}, {cores} {}", if cores == 1 { "core" } else { "cores" })
}

fn run(case: &Case, peers: &mut Peers) -> std::io::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(case.threads).build();
    let pool = pool.map_err(std::io::Error::other)?;
    let on_clock = |t: Time| if case.clock == Clock::Cpu { t.cpu_ms } else { t.wall_ms };
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let start = Instant::now();
    while ours.len() < ROUNDS && (ours.len() < 3 || start.elapsed() < BUDGET) {
        let own = on_clock(pool.install(|| time_of(&case.ours)));
        let other = on_clock(match &case.peer {
            Peer::Python(name, request) => {
                let (time, value) = peers.time(request)?;
                if let (Some(ours), Ok(theirs)) = (pool.install(&*case.ours), value.parse::<f64>()) {
                    // Two simulated shares of 4000 batches differ by chance, five standard deviations allowed; the
                    // float64 sum is wrong where υ is small.
                    let simulated = name.contains("bincount") || name.contains("multinomial");
                    let allowed =
                        if simulated { 5.0 * (2.0 * (1.0 - ours) / ours / 4000.0).sqrt() } else { 1e-11 };
                    let wrong = theirs.is_finite() && (ours / theirs - 1.0).abs() > allowed;
                    if wrong && *name != "numpy alternating sum" {
                        return Err(std::io::Error::other(format!("{ours:?} against the peer's {theirs:?}")));
                    }
                }
                time
            }
            Peer::Ours(_, work) => time_of(work),
        });
        ours.push(own);
        theirs.push(other);
        ratios.push(other / own);
    }
    let name = match &case.peer {
        Peer::Python(name, _) | Peer::Ours(name, _) => name,
    };
    println!(
        "| {} | {} | {name} | {} | {} | {} |",
        case.name,
        milliseconds(median(&mut ours)),
        milliseconds(median(&mut theirs)),
        times(median(&mut ratios)),
        case.target
    );
    Ok(())
}

fn draws(n: u64) -> NumDraws {
    NumDraws::new(n).expect("a positive number of draws")
}

fn uniform(c: u64) -> ClassPrior {
    ClassPrior::uniform(c).expect("a positive number of classes")
}

/// υ at every n of a range by itself.
fn value_of_last(prior: &ClassPrior, range: std::ops::Range<u64>) -> Work {
    let prior = prior.clone();
    Box::new(move || {
        let value = |n| coverage::probability(&prior, IID, draws(n)).expect("υ").value();
        range.clone().fold(None, |_, n| Some(std::hint::black_box(value(n))))
    })
}

fn cases() -> Vec<Case> {
    let counts = include_str!("../../data/counts/imagenet_like.txt");
    let long_tailed = ClassPrior::parse_counts(counts, "imagenet_like.txt").expect("counts that ship");
    let mut cases = Vec::new();
    let mut add = |name: String, peer: Peer, target, ours: Work| {
        cases.push(Case { name, threads: 1, clock: Clock::Cpu, ours, peer, target });
    };
    let value = |prior: &ClassPrior, n: u64| -> Work {
        let prior = prior.clone();
        Box::new(move || Some(coverage::probability(&prior, IID, draws(n)).expect("υ").value()))
    };
    for (c, n) in [(100, 128), (1000, 5000), (1000, 7709), (1000, 65_536), (3029, 26_030)] {
        let headline = (c, n) == (1000, 7709);
        let name = format!("υ, both tails, error bound: C = {c}, n = {n}");
        let peer = Peer::Python("python-flint arb, 53 bits", format!("arb_sum {c} {n}"));
        add(name.clone(), peer, if headline { "≥ 1000" } else { "" }, value(&uniform(c), n));
        let peer = Peer::Python("numpy alternating sum", format!("numpy_sum {c} {n}"));
        add(name.clone(), peer, if headline { "≥ 40" } else { "" }, value(&uniform(c), n));
        if headline {
            let peer = Peer::Python("mpmath, 50 digits", format!("mpmath_sum {c} {n}"));
            add(name, peer, "", value(&uniform(c), n));
        }
    }
    for (n, target) in [(1100, ""), (4096, "≥ 200000")] {
        let peer = Peer::Python("python-flint arb_series", format!("arb_series {n}"));
        add(format!("υ, 89 distinct counts, n = {n}"), peer, target, value(&long_tailed, n));
    }
    for (c, n) in [(10, 512), (100, 1024), (1000, 7709), (1000, 65_536), (3029, 26_030)] {
        let large = c >= 1000;
        let stirling = move || {
            std::hint::black_box(exact::stirling_second(n, c));
            None
        };
        let peer = Peer::Python("FLINT stirling_s2", format!("stirling_flint {c} {n}"));
        let target = if large { "≥ 0.8" } else { "≥ 1.2" };
        add(format!("exact S(n, C): C = {c}, n = {n}"), peer, target, Box::new(stirling));
        let peer = Peer::Python("gmpy2 inclusion–exclusion", format!("surjections_gmpy2 {c} {n}"));
        add(
            format!("exact υ: C = {c}, n = {n}"),
            peer,
            if large { "≥ 1.67" } else { "" },
            Box::new(move || {
                std::hint::black_box(exact::probability(&uniform(c), IID, draws(n)).expect("υ"));
                None
            }),
        );
    }
    for (c, n, target) in [(100, 1024, ""), (1000, 7709, "≥ 40")] {
        let peer = Peer::Python("numpy occupancy recurrence", format!("occupancy {c} {n}"));
        add(
            format!("curve υ_1..υ_N: C = {c}, N = {n}"),
            peer,
            target,
            Box::new(move || {
                coverage::curve(&uniform(c), IID, 1..=n).expect("curve").pop().map(|p| p.probability.value())
            }),
        );
    }
    for (first, target) in [(1100, ""), (4096, "≥ 7")] {
        let range = first..first + 256;
        let (prior, range_alone) = (long_tailed.clone(), range.clone());
        let alone = value_of_last(&long_tailed, range_alone);
        add(
            format!("curve of 256 n from {first}: 89 distinct counts"),
            Peer::Ours("ours, each n alone", alone),
            target,
            Box::new(move || {
                let curve = coverage::curve(&prior, IID, range.start..=range.end - 1).expect("curve");
                curve.last().map(|p| p.probability.value())
            }),
        );
    }
    let batches = |prior: &ClassPrior| -> Work {
        let prior = prior.clone();
        let plan = simulate::Plan::new(4000, 7).expect("a plan");
        Box::new(move || {
            Some(simulate::coverage(&prior, IID, draws(7709), plan).expect("simulation").estimate())
        })
    };
    let peer = Peer::Python("numpy bincount", "bincount 1000 7709 4000".into());
    add("Monte Carlo, 4000 batches: C = 1000, n = 7709".into(), peer, "≥ 6", batches(&uniform(1000)));
    let peer = Peer::Python("numpy bincount", "bincount 1000 7709 4000".into());
    let every_label = || {
        let plan = simulate::Plan::new(4000, 7).expect("a plan");
        let found = simulate::batches(&uniform(1000), IID, draws(7709), plan).expect("simulation");
        Some(found.coverage.estimate())
    };
    add("Monte Carlo without early stop, also τ and E ln(1+Col)".into(), peer, "", Box::new(every_label));
    let peer = Peer::Python("numpy multinomial", "multinomial 7709 4000".into());
    add("Monte Carlo, 4000 batches: 89 distinct counts, n = 7709".into(), peer, "≥ 5", batches(&long_tailed));
    for (k, c, target) in [(512, 10, ""), (7708, 1000, "≥ 500"), (65_535, 1000, "≥ 500")] {
        let peer = Peer::Python("scipy pmf sum", format!("pmf_sum {k} {c}"));
        add(
            format!("E ln(1+Col): C = {c}, K = {k}"),
            peer,
            target,
            Box::new(move || {
                let negatives = NumNegatives::new(k).expect("K");
                Some(collision::expected_ln1p(&uniform(c), IID, negatives).expect("E"))
            }),
        );
    }
    let peer = Peer::Python("scipy quad", "quad_expectation".into());
    let prior = long_tailed.clone();
    add(
        "E[T]: 89 distinct counts".into(),
        peer,
        "≥ 5",
        Box::new(move || Some(coverage::expected_draws(&prior))),
    );
    // Two threads, in wall time.
    let mut parallel = |name: &str, ours: Work, peer: Peer, target| {
        cases.push(Case { name: name.into(), threads: 2, clock: Clock::Wall, ours, peer, target });
    };
    for (c, n) in [(1000, 65_536), (3029, 26_030)] {
        let stirling = move || {
            std::hint::black_box(exact::stirling_second(n, c));
            None
        };
        parallel(
            &format!("exact S(n, C), 2 threads, wall time: C = {c}, n = {n}"),
            Box::new(stirling),
            Peer::Python("FLINT stirling_s2, 1 thread", format!("stirling_flint {c} {n}")),
            "≥ 1.33",
        );
    }
    let single = batches(&uniform(1000));
    let one_thread = move || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
        pool.install(&single)
    };
    parallel(
        "Monte Carlo, 2 threads, wall time: C = 1000, n = 7709",
        batches(&uniform(1000)),
        Peer::Ours("ours, 1 thread", Box::new(one_thread)),
        "≥ 1.8",
    );
    cases
}

/// Largest relative error of the curve against exact integers, where υ > 1e-280.
fn curve_error() -> theory::Result<f64> {
    let prior = uniform(1000);
    let curve = coverage::curve(&prior, IID, 1..=7709)?;
    let mut largest: f64 = 0.0;
    for n in [1230, 1500, 2000, 2500, 3000, 4000, 5000, 6000, 7000, 7709] {
        let truth = exact::probability(&prior, IID, draws(n))?;
        let found = curve[n as usize - 1].probability;
        largest = largest.max((found.ln() - truth.ln()).exp_m1().abs());
    }
    Ok(largest)
}

fn main() -> ExitCode {
    // Cargo adds --bench.
    let filter = std::env::args().skip(1).find(|a| !a.starts_with("--")).unwrap_or_default();
    let mut peers = match Peers::start() {
        Ok(peers) => peers,
        Err(error) => {
            eprintln!("error: the peers' Python process does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match peers.time("versions") {
        Ok((_, versions)) => println!(
            "CPU time on one core, medians of up to {ROUNDS} alternating rounds; {}; {versions}; ratio: theirs over ours, so \
             more is better.\n",
            machine()
        ),
        Err(error) => {
            eprintln!("error: versions: {error}");
            return ExitCode::FAILURE;
        }
    }
    println!("| case | ours | peer | theirs | ratio | target |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for case in cases().iter().filter(|c| c.name.contains(&filter)) {
        if let Err(error) = run(case, &mut peers) {
            eprintln!("error: {}: {error}", case.name);
            return ExitCode::FAILURE;
        }
    }
    if "curve".contains(&filter) {
        match curve_error() {
            Ok(error) => {
                println!(
                    "\nThe curve's largest relative error at ten points against exact integers, from 1e-280 up, is \
                     {error:.1e}."
                );
            }
            Err(error) => eprintln!("error: {error}"),
        }
    }
    ExitCode::SUCCESS
}
