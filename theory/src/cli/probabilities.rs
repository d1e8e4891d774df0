//! `coverage`, `curve`, `collector`, `collision`.

use super::shard::{self, Rows, ShardArgs};
use super::{OutputArgs, PriorArgs, Range, parse_range};
use anyhow::Result;
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;
use theory::coverage::{self, exact};
use theory::interrupt::Interrupt;
use theory::report::Cell;
use theory::report::figure::{self, Axes, Lines, Series};
use theory::shard::Shard;
use theory::{ClassPrior, NumDraws, NumNegatives, Probability, Sampling, collision, files};

/// Digits that a float carries.
const FLOAT_DIGITS: f64 = 17.0;

#[derive(Args)]
pub(super) struct CoverageArgs {
    #[command(flatten)]
    prior: PriorArgs,
    /// Numbers of draws n = K+1: 8, a list 8,16, a range 8..512 or 8..512:8, or a mixture
    #[arg(long, value_name = "LIST", value_parser = parse_range)]
    draws: Range,
    /// Exact integers instead of floating point
    #[arg(long)]
    exact: bool,
    /// Compute the exact value whatever it costs
    #[arg(long, requires = "exact")]
    force: bool,
    /// Significant digits of the exact decimal
    #[arg(long, value_name = "D", default_value_t = 30, requires = "exact", value_parser = parse_digits)]
    digits: u32,
    #[command(flatten)]
    shard: ShardArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The most digits that are printed.
const MAX_DIGITS: u64 = 100_000;

fn parse_digits(text: &str) -> std::result::Result<u32, String> {
    match theory::usage::parse_number(text)? {
        digits @ 1..=MAX_DIGITS => Ok(digits as u32),
        _ => Err(format!("'{text}' is outside 1..{MAX_DIGITS}")),
    }
}

fn decimal(text: String) -> Cell {
    Cell::Decimal(text)
}

/// A bound with two digits, rounded up.
pub(super) fn rounded_up(bound: f64) -> Cell {
    let text = format!("{bound:.1e}");
    let up = |text: &str| format!("{:.1e}", text.parse::<f64>().unwrap_or(bound) * 1.06);
    let below = text.parse::<f64>().is_ok_and(|shown| shown < bound);
    decimal(if below { up(&text) } else { text })
}

/// p with two digits more than its error bound supports, so that printing adds nothing to the error.
pub(super) fn shown(p: Probability) -> Cell {
    let bound = p.relative_error_bound();
    let digits =
        if bound > 0.0 { (2.0 - bound.log10()).ceil().clamp(1.0, FLOAT_DIGITS) } else { FLOAT_DIGITS };
    decimal(p.to_decimal(digits as usize))
}

/// p as a float, or where it is below the range of floats in decimal.
fn of_any_size(p: Probability) -> String {
    let value = p.value();
    if value > 1e-300 || p == Probability::ZERO { format!("{value:?}") } else { p.to_decimal(15) }
}

pub(super) fn float(value: f64) -> Cell {
    decimal(format!("{value:?}"))
}

pub(super) fn coverage(args: &CoverageArgs, interrupt: &Interrupt) -> Result<()> {
    let (prior, sampling) = args.prior.load()?;
    let mut headers = vec![
        "draws",
        "classes",
        "upsilon",
        "complement",
        "ln_upsilon",
        "ln_complement",
        "relative_error_bound",
        "complement_relative_error_bound",
        "method",
    ];
    if args.exact {
        headers.extend(["exact_numerator", "exact_denominator"]);
    }
    let draws = args.draws.values.iter().map(|&n| NumDraws::new(n)).collect::<theory::Result<Vec<_>>>()?;
    if args.exact {
        let own = args.shard.shard.unwrap_or(Shard::WHOLE).of_range(0..draws.len() as u64);
        let own = own.map(|number| draws[number as usize]);
        let cost = exact::Cost::new(&prior, sampling, own, args.digits)?;
        if !args.force {
            let refused = |e| theory::Error::argument(format!("{e}; --force computes it whatever it costs"));
            cost.check().map_err(refused)?;
        }
    }
    let asked = [
        ("draws", args.draws.values.clone().into()),
        ("exact", args.exact.into()),
        ("digits", if args.exact { args.digits.into() } else { Value::Null }),
    ];
    let rows = Rows {
        kind: "coverage",
        request: shard::request(&prior, sampling, asked),
        headers,
        single: args.draws.single,
        count: draws.len(),
    };
    let row = |number: usize| match args.exact {
        true => exact_row(&prior, sampling, draws[number], args.digits as usize),
        false => float_row(&prior, sampling, draws[number]),
    };
    match args.shard.shard {
        Some(shard) => rows.keep(shard, &args.output, interrupt, row),
        None => args.output.print(&rows.table(args.output.quiet, row)?),
    }
}

/// υ at one n, as the cost of the whole request allows.
fn exact_row(
    prior: &ClassPrior,
    sampling: Sampling,
    num_draws: NumDraws,
    digits: usize,
) -> theory::Result<Vec<Cell>> {
    let p = exact::probability_at_any_cost(prior, sampling, num_draws)?;
    let q = p.complement();
    // The decimal is rounded half up: half a unit of its last digit.
    let rounding = format!("5e-{digits}");
    let mut row = row_of(prior, num_draws);
    row.extend([decimal(p.to_decimal(digits)), decimal(q.to_decimal(digits)), float(p.ln()), float(q.ln())]);
    row.extend([decimal(rounding.clone()), decimal(rounding), Cell::text("exact integers")]);
    row.extend([decimal(p.numerator.to_string()), decimal(p.denominator.to_string())]);
    Ok(row)
}

/// υ at one n in floating point.
fn float_row(prior: &ClassPrior, sampling: Sampling, num_draws: NumDraws) -> theory::Result<Vec<Cell>> {
    let (p, method) = coverage::evaluate(prior, sampling, num_draws)?;
    let mut row = row_of(prior, num_draws);
    row.extend([p, p.opposite()].map(shown));
    row.extend([p.ln(), p.ln_complement()].map(float));
    row.extend([p.relative_error_bound(), p.complement_relative_error_bound()].map(rounded_up));
    row.push(Cell::text(method.name()));
    Ok(row)
}

/// How a row of coverage begins.
fn row_of(prior: &ClassPrior, num_draws: NumDraws) -> Vec<Cell> {
    vec![Cell::Integer(num_draws.get() as i64), Cell::Integer(prior.num_classes() as i64)]
}

#[derive(Args)]
pub(super) struct CurveArgs {
    #[command(flatten)]
    prior: PriorArgs,
    /// Numbers of draws n = K+1: 8, a list 8,16, a range 8..512 or 8..512:8, or a mixture
    #[arg(long, value_name = "LIST", value_parser = parse_range)]
    draws: Range,
    /// Also draw υ, τ and E ln(1+Col) against n: FILE.svg, FILE.png or FILE.pdf
    #[arg(long, value_name = "FILE", conflicts_with = "shard")]
    figure: Option<PathBuf>,
    #[command(flatten)]
    shard: ShardArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn curve(args: &CurveArgs, interrupt: &Interrupt) -> Result<()> {
    let format = args.figure.as_deref().map(figure::Format::of_path).transpose()?;
    if let (Some(figure), Some(table)) = (&args.figure, &args.output.out)
        && files::is_same_file(figure, table)?
    {
        return Err(
            theory::Error::argument(format!("--figure and --out both name {}", table.display())).into()
        );
    }
    let (prior, sampling) = args.prior.load()?;
    let mut points: [Vec<(f64, f64)>; 3] = Default::default();
    let headers = [
        "draws",
        "upsilon",
        "tau",
        "expected_log1p_collisions",
        "complement",
        "relative_error_bound",
        "complement_relative_error_bound",
        "method",
    ];
    let draws = &args.draws.values;
    let mut upsilons = coverage::Upsilons::new(&prior, sampling, draws)?;
    let rows = Rows {
        kind: "curve",
        request: shard::request(&prior, sampling, [("draws", draws.clone().into())]),
        headers: headers.to_vec(),
        single: false,
        count: draws.len(),
    };
    let row = |number: usize| {
        let num_draws = NumDraws::new(draws[number])?;
        let (upsilon, method) = upsilons.at(num_draws)?;
        let tau = collision::probability(&prior, sampling, num_draws.negatives())?;
        let cost = collision::expected_ln1p(&prior, sampling, num_draws.negatives())?;
        let mut row = vec![Cell::Integer(num_draws.get() as i64)];
        row.extend([upsilon, tau].map(shown));
        row.extend([float(cost), shown(upsilon.opposite())]);
        row.extend(
            [upsilon.relative_error_bound(), upsilon.complement_relative_error_bound()].map(rounded_up),
        );
        row.push(Cell::text(method.name()));
        for (curve, value) in points.iter_mut().zip([upsilon.value(), tau.value(), cost]) {
            curve.push((num_draws.get() as f64, value));
        }
        Ok(row)
    };
    if let Some(shard) = args.shard.shard {
        return rows.keep(shard, &args.output, interrupt, row);
    }
    let table = rows.table(args.output.quiet, row)?;
    let (Some(path), Some(format)) = (&args.figure, format) else {
        return args.output.print(&table);
    };
    let figure = figure::lines(&curves(&prior, sampling, points), format)?;
    let Some(out) = &args.output.out else {
        files::write_atomically(path, &figure)?;
        // A table on the terminal must not mix with a message.
        return args.output.print(&table);
    };
    let table = table.to_text(args.output.format);
    files::write_all(&[(out, table.as_bytes()), (path, &figure)])?;
    args.output.say(&format!("wrote {}", out.display()))?;
    args.output.say(&format!("wrote {}", path.display()))
}

/// The figure of `curve`.
fn curves(prior: &ClassPrior, sampling: Sampling, points: [Vec<(f64, f64)>; 3]) -> Lines {
    let how = match sampling {
        Sampling::WithReplacement => "independent draws",
        Sampling::WithoutReplacement => "draws without replacement",
    };
    let [upsilon, tau, price] = points;
    let panel = |title: String, y_label: &str, series: Vec<Series>| Axes {
        title,
        y_label: y_label.into(),
        series,
        ..Axes::default()
    };
    let probabilities = vec![Series::new("coverage υ", upsilon), Series::new("collision τ", tau)];
    Lines {
        x_label: "number of draws n = K+1 (anchor and K negatives)".into(),
        panels: vec![
            Axes {
                limits: Some((0.0, 1.0)),
                ..panel(
                    format!("Coverage and collision, C = {} classes, {how}", prior.num_classes()),
                    "probability",
                    probabilities,
                )
            },
            panel("Price of collisions in the loss".into(), "nats", vec![Series::new("E ln(1+Col)", price)]),
        ],
        ..Lines::default()
    }
}

/// K above which the law is not printed.
const MAX_SHOWN_LAW: u64 = 100_000;

#[derive(Args)]
pub(super) struct CollisionArgs {
    #[command(flatten)]
    prior: PriorArgs,
    /// Numbers of negatives K: 8, a list 8,16, a range 8..512 or 8..512:8, or a mixture
    #[arg(long, value_name = "LIST", value_parser = parse_range)]
    negatives: Range,
    #[command(flatten)]
    shard: ShardArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn collision(args: &CollisionArgs, interrupt: &Interrupt) -> Result<()> {
    let (prior, sampling) = args.prior.load()?;
    let single = args.negatives.single;
    let mut headers = vec![
        "negatives",
        "classes",
        "tau",
        "complement",
        "ln_tau",
        "ln_complement",
        "expected_log1p_collisions",
    ];
    if single && args.negatives.values[0] <= MAX_SHOWN_LAW {
        headers.push("law"); // P(Col = 0), P(Col = 1), …, P(Col = K)
    }
    let values = &args.negatives.values;
    let rows = Rows {
        kind: "collision",
        request: shard::request(&prior, sampling, [("negatives", values.clone().into())]),
        headers,
        single,
        count: values.len(),
    };
    let row = |number: usize| {
        let negatives = NumNegatives::new(values[number])?;
        let k = negatives.get();
        let tau = collision::probability(&prior, sampling, negatives)?;
        let cost = collision::expected_ln1p(&prior, sampling, negatives)?;
        let mut row = vec![Cell::Integer(k as i64), Cell::Integer(prior.num_classes() as i64)];
        row.extend([tau, tau.opposite()].map(shown));
        row.extend([tau.ln(), tau.ln_complement(), cost].map(float));
        if single && k <= MAX_SHOWN_LAW {
            let law = collision::law(&prior, sampling, negatives)?;
            row.push(Cell::List(law.into_iter().map(of_any_size).collect()));
        }
        Ok(row)
    };
    match args.shard.shard {
        Some(shard) => rows.keep(shard, &args.output, interrupt, row),
        None => args.output.print(&rows.table(args.output.quiet, row)?),
    }
}
