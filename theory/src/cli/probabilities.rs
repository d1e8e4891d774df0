//! `coverage`, `curve`, `collector`, `collision`.

use super::{OutputArgs, PriorArgs, Range, parse_range};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use theory::coverage::{self, exact};
use theory::report::figure::{self, Lines, Series};
use theory::report::{Cell, Table};
use theory::{ClassPrior, NumDraws, NumNegatives, Probability, Sampling, collision, files};

/// Digits that a float carries.
const FLOAT_DIGITS: f64 = 17.0;

#[derive(Args)]
pub(super) struct CoverageArgs {
    #[command(flatten)]
    prior: PriorArgs,
    /// Number of draws n = K+1, or a range A..B[:STEP]
    #[arg(long, value_name = "N|RANGE", value_parser = parse_range)]
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
fn rounded_up(bound: f64) -> Cell {
    let text = format!("{bound:.1e}");
    let up = |text: &str| format!("{:.1e}", text.parse::<f64>().unwrap_or(bound) * 1.06);
    let below = text.parse::<f64>().is_ok_and(|shown| shown < bound);
    decimal(if below { up(&text) } else { text })
}

/// p with two digits more than its error bound supports, so that printing adds nothing to the error.
fn shown(p: Probability) -> Cell {
    let bound = p.relative_error_bound();
    let digits =
        if bound > 0.0 { (2.0 - bound.log10()).ceil().clamp(1.0, FLOAT_DIGITS) } else { FLOAT_DIGITS };
    decimal(p.to_decimal(digits as usize))
}

fn float(value: f64) -> Cell {
    decimal(format!("{value:?}"))
}

pub(super) fn coverage(args: &CoverageArgs) -> Result<()> {
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
    let mut table = Table::new(headers).single(args.draws.single);
    let draws = args.draws.values.iter().map(|&n| NumDraws::new(n)).collect::<theory::Result<Vec<_>>>()?;
    if args.exact {
        let cost = exact::Cost::new(&prior, sampling, draws.iter().copied(), args.digits)?;
        if !args.force {
            let refused = |e| theory::Error::argument(format!("{e}; --force computes it whatever it costs"));
            cost.check().map_err(refused)?;
        }
    }
    for num_draws in draws {
        let n = num_draws.get();
        let mut row = vec![Cell::Integer(n as i64), Cell::Integer(prior.num_classes() as i64)];
        if args.exact {
            let digits = args.digits as usize;
            // The cost of the whole request is accepted above.
            let p = exact::probability_at_any_cost(&prior, sampling, num_draws)?;
            let q = p.complement();
            // The decimal is rounded half up: half a unit of its last digit.
            let rounding = format!("5e-{digits}");
            row.extend([
                decimal(p.to_decimal(digits)),
                decimal(q.to_decimal(digits)),
                float(p.ln()),
                float(q.ln()),
            ]);
            row.extend([decimal(rounding.clone()), decimal(rounding), Cell::text("exact integers")]);
            row.extend([decimal(p.numerator.to_string()), decimal(p.denominator.to_string())]);
        } else {
            let (p, method) = coverage::evaluate(&prior, sampling, num_draws)?;
            row.extend([p, p.opposite()].map(shown));
            row.extend([p.ln(), p.ln_complement()].map(float));
            row.extend([p.relative_error_bound(), p.complement_relative_error_bound()].map(rounded_up));
            row.push(Cell::text(method.name()));
        }
        table.push(row);
    }
    args.output.print(&table)
}

#[derive(Args)]
pub(super) struct CurveArgs {
    #[command(flatten)]
    prior: PriorArgs,
    /// Numbers of draws n = K+1: A..B[:STEP]
    #[arg(long, value_name = "RANGE", value_parser = parse_range)]
    draws: Range,
    /// Also draw υ, τ and E ln(1+Col) against n: FILE.svg or FILE.png
    #[arg(long, value_name = "FILE")]
    figure: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn curve(args: &CurveArgs) -> Result<()> {
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
    let mut table = Table::new([
        "draws",
        "upsilon",
        "tau",
        "expected_log1p_collisions",
        "complement",
        "relative_error_bound",
        "complement_relative_error_bound",
        "method",
    ]);
    for (n, upsilon, method) in coverages(&prior, sampling, &args.draws.values)? {
        let negatives = NumDraws::new(n)?.negatives();
        let tau = collision::probability(&prior, sampling, negatives)?;
        let cost = collision::expected_ln1p(&prior, sampling, negatives)?;
        let mut row = vec![Cell::Integer(n as i64)];
        row.extend([upsilon, tau].map(shown));
        row.extend([float(cost), shown(upsilon.opposite())]);
        row.extend(
            [upsilon.relative_error_bound(), upsilon.complement_relative_error_bound()].map(rounded_up),
        );
        row.push(Cell::text(method.name()));
        table.push(row);
        for (curve, value) in points.iter_mut().zip([upsilon.value(), tau.value(), cost]) {
            curve.push((n as f64, value));
        }
    }
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
    let names = ["coverage υ", "collision τ", "E ln(1+Col)"];
    let series = names.into_iter().zip(points).enumerate();
    Lines {
        title: format!("Coverage and collision, C = {} classes, {how}", prior.num_classes()),
        x_label: "number of draws n = K+1 (anchor and K negatives)".into(),
        y_label: "probability".into(),
        right_label: "E ln(1+Col) in nats".into(),
        series: series
            .map(|(index, (name, points))| Series { name: name.into(), points, right: index == 2 })
            .collect(),
        ..Lines::default()
    }
}

/// υ at these n: one pass over the whole curve where they are dense, each by itself where they are not.
fn coverages(
    prior: &ClassPrior,
    sampling: Sampling,
    draws: &[u64],
) -> Result<Vec<(u64, Probability, coverage::Method)>> {
    let (first, last) = (draws.iter().copied().min().unwrap_or(1), draws.iter().copied().max().unwrap_or(1));
    if (last - first) / 4 <= draws.len() as u64 {
        let points = coverage::curve(prior, sampling, first..=last)?;
        return Ok(draws
            .iter()
            .map(|&n| &points[(n - first) as usize])
            .map(|point| (point.draws, point.probability, point.method))
            .collect());
    }
    let single = |&n: &u64| {
        let (probability, method) = coverage::evaluate(prior, sampling, NumDraws::new(n)?)?;
        Ok((n, probability, method))
    };
    draws.iter().map(single).collect()
}

#[derive(Args)]
pub(super) struct CollectorArgs {
    #[command(flatten)]
    prior: PriorArgs,
    #[command(flatten)]
    output: OutputArgs,
}

const LEVELS: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];

pub(super) fn collector(args: &CollectorArgs) -> Result<()> {
    let (prior, sampling) = args.prior.load()?;
    if sampling == theory::Sampling::WithoutReplacement {
        return Err(theory::Error::argument(
            "the collector's time is computed for draws with replacement only",
        )
        .into());
    }
    let headers = ["classes", "expected_draws", "standard_deviation"].map(String::from);
    let levels = LEVELS.map(|level| format!("quantile_{level}"));
    let mut table = Table::new(headers.into_iter().chain(levels)).single(true);
    let mut row = vec![Cell::Integer(prior.num_classes() as i64)];
    row.extend([coverage::expected_draws(&prior), coverage::standard_deviation(&prior)].map(float));
    for level in LEVELS {
        row.push(Cell::Integer(coverage::quantile(&prior, level)? as i64));
    }
    table.push(row);
    args.output.print(&table)
}

/// K above which the law is not printed.
const MAX_SHOWN_LAW: u64 = 100_000;

#[derive(Args)]
pub(super) struct CollisionArgs {
    #[command(flatten)]
    prior: PriorArgs,
    /// Number of negatives K, or a range A..B[:STEP]
    #[arg(long, value_name = "K|RANGE", value_parser = parse_range)]
    negatives: Range,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn collision(args: &CollisionArgs) -> Result<()> {
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
    let mut table = Table::new(headers).single(single);
    for &k in &args.negatives.values {
        let negatives = NumNegatives::new(k)?;
        let tau = collision::probability(&prior, sampling, negatives)?;
        let cost = collision::expected_ln1p(&prior, sampling, negatives)?;
        let mut row = vec![Cell::Integer(k as i64), Cell::Integer(prior.num_classes() as i64)];
        row.extend([tau, tau.opposite()].map(shown));
        row.extend([tau.ln(), tau.ln_complement(), cost].map(float));
        if single && k <= MAX_SHOWN_LAW {
            let law = collision::law(&prior, sampling, negatives)?;
            row.push(Cell::List(law.iter().map(|p| format!("{p:?}")).collect()));
        }
        table.push(row);
    }
    args.output.print(&table)
}
