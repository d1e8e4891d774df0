//! Draws the figures of the crate's documentation, `theory/docs/*.svg`; with `--check` only says which would change.
//!
//! Run: `cargo run --release -p theory --example draw_docs [-- --check]`

use std::path::Path;
use std::process::ExitCode;
use theory::losses::Quantity;
use theory::report::figure::{Format, Lines, Series, lines};
use theory::{
    ClassPrior, NumDraws, NumNegatives, Result, Sampling, bounds, collision, coverage, optimum, published,
};

const IID: Sampling = Sampling::WithReplacement;

/// About `count` integers from `low` to `high`, evenly in the logarithm.
fn spread(low: u64, high: u64, count: u32) -> Vec<u64> {
    let ratio = (high as f64 / low as f64).powf(1.0 / f64::from(count));
    let mut values: Vec<u64> =
        (0..=count).map(|i| (low as f64 * ratio.powi(i as i32)).round() as u64).collect();
    values.dedup();
    values
}

fn series(
    name: impl Into<String>,
    values: &[u64],
    mut of: impl FnMut(u64) -> Result<Option<f64>>,
) -> Result<Series> {
    let mut points = Vec::new();
    for &x in values {
        points.extend(of(x)?.map(|y| (x as f64, y)));
    }
    Ok(Series { name: name.into(), points, right: false })
}

/// υ against n for several C.
fn coverage_figure() -> Result<Lines> {
    let mut figure = Lines {
        title: "Coverage: the probability that n draws show every class".into(),
        x_label: "n = K+1 draws, with replacement".into(),
        y_label: "υ".into(),
        log_x: true,
        ..Lines::default()
    };
    for classes in [4, 10, 100, 1000] {
        let prior = ClassPrior::uniform(classes)?;
        let of = |n| Ok(Some(coverage::probability(&prior, IID, NumDraws::new(n)?)?.value()));
        figure.series.push(series(format!("C = {classes}"), &spread(4, 20_000, 240), of)?);
    }
    let counts = include_str!("../../data/counts/imagenet_like.txt");
    let prior = ClassPrior::parse_counts(counts, "imagenet_like.txt")?;
    let of = |n| Ok(Some(coverage::probability(&prior, IID, NumDraws::new(n)?)?.value()));
    figure.series.push(series("C = 1000, 732 to 1300 items a class", &spread(3000, 20_000, 80), of)?);
    Ok(figure)
}

/// υ as the published notebook computes it, against the contour.
fn float_formula_figure() -> Result<Lines> {
    let prior = ClassPrior::uniform(100)?;
    let draws: Vec<u64> = (140..=700).step_by(4).collect();
    let exact = series("this crate", &draws, |n| {
        Ok(Some(coverage::probability(&prior, IID, NumDraws::new(n)?)?.value()))
    })?;
    let float = series("alternating sum in float64", &draws, |n| {
        Ok(Some(published::float_formula(100, n)).filter(|v| *v > 0.0))
    })?;
    Ok(Lines {
        title: "C = 100: where inclusion–exclusion in float64 is noise".into(),
        x_label: "n = K+1 draws".into(),
        y_label: "υ".into(),
        log_y: true,
        series: vec![exact, float],
        ..Lines::default()
    })
}

/// τ and E ln(1+Col) against K.
fn collision_figure() -> Result<Lines> {
    let mut figure = Lines {
        title: "Collisions: their probability (left) and their price in nats (right)".into(),
        x_label: "K negatives".into(),
        y_label: "τ".into(),
        right_label: "E ln(1+Col)".into(),
        log_x: true,
        ..Lines::default()
    };
    let negatives = spread(1, 65_536, 120);
    for classes in [10, 100, 1000] {
        let prior = ClassPrior::uniform(classes)?;
        figure.series.push(series(format!("τ, C = {classes}"), &negatives, |k| {
            Ok(Some(collision::probability(&prior, IID, NumNegatives::new(k)?)?.value()))
        })?);
        let mut price = series(format!("E ln(1+Col), C = {classes}"), &negatives, |k| {
            Ok(Some(collision::expected_ln1p(&prior, IID, NumNegatives::new(k)?)?))
        })?;
        price.right = true;
        figure.series.push(price);
    }
    Ok(figure)
}

/// Upper bounds of L_sup on the published CIFAR-100 rows.
fn bounds_figure() -> Result<Lines> {
    let tables = published::tables()?;
    let rows: Vec<_> =
        tables.iter().filter(|t| t.dataset.key == "cifar100").flat_map(|t| t.rows.clone()).collect();
    let draws: Vec<u64> = rows.iter().map(|r| r.num_draws.get()).collect();
    let mut figure = Lines {
        title: "Upper bounds of L_sup on the published CIFAR-100 rows".into(),
        x_label: "n = K+1".into(),
        y_label: "nats".into(),
        log_y: true,
        ..Lines::default()
    };
    for key in
        ["curl", "nozawa_sato", "lambda", "submodular", "coverage_collision", "reverse_jensen", "specht"]
    {
        let mut rows = rows.iter();
        let of = |_| {
            let Some(row) = rows.next() else { return Ok(None) };
            let losses = published::losses(row, Sampling::WithoutReplacement)?;
            // Beyond 1e6 a bar says no more than that it is vacuous.
            let value = bounds::find(key).and_then(|b| b.upper_bound(&losses).value());
            Ok(value.filter(|v| *v < 1e6))
        };
        figure.series.push(series(key, &draws, of)?);
    }
    figure.series.push(series("ln C", &draws, |_| Ok(Some(100f64.ln())))?);
    Ok(figure)
}

/// The population optimum against K, beside the bounds there.
fn optimum_figure() -> Result<Lines> {
    let negatives = spread(1, 4096, 60);
    let mut figure = Lines {
        title: "The best encoder of all, C = 10, t = 0.5: the bounds grow, what they bound does not".into(),
        x_label: "K negatives".into(),
        y_label: "nats".into(),
        log_x: true,
        log_y: true,
        ..Lines::default()
    };
    let components = |k| optimum::simplex_components(10, NumNegatives::new(k)?, 0.5);
    for (name, measure) in [("L_Info", Quantity::InfoNce), ("L_sup", Quantity::FullSupLoss)] {
        figure.series.push(series(name, &negatives, |k| Ok(components(k)?.get(measure)))?);
    }
    for key in ["curl", "nozawa_sato", "submodular", "ash", "specht_positive"] {
        let of = |k| {
            let losses = components(k)?;
            let value = bounds::find(key).and_then(|b| b.upper_bound(&losses).value());
            Ok(value.filter(|v| *v < 1e4))
        };
        figure.series.push(series(format!("L_sup ≤ ({key})"), &negatives, of)?);
    }
    Ok(figure)
}

fn main() -> ExitCode {
    let check = std::env::args().nth(1).is_some_and(|a| a == "--check");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    type Draw = fn() -> Result<Lines>;
    let figures: [(&str, Draw); 5] = [
        ("coverage", coverage_figure),
        ("float_formula", float_formula_figure),
        ("collision", collision_figure),
        ("bounds", bounds_figure),
        ("optimum", optimum_figure),
    ];
    let mut changed = false;
    for (name, figure) in figures {
        let drawn = figure().and_then(|figure| lines(&figure, Format::Svg));
        let svg = match drawn {
            // As wide as the page allows; rustdoc shows an SVG that stands in the text.
            Ok(bytes) => String::from_utf8_lossy(&bytes).replacen(
                "<svg ",
                "<svg style=\"max-width:100%;height:auto;background:white\" ",
                1,
            ),
            Err(error) => {
                eprintln!("error: {name}: {error}");
                return ExitCode::FAILURE;
            }
        };
        let path = folder.join(name).with_extension("svg");
        if std::fs::read_to_string(&path).is_ok_and(|old| old == svg) {
            continue;
        }
        changed = true;
        println!("{} {name}.svg", if check { "differs:" } else { "wrote" });
        if !check && let Err(error) = theory::files::write_atomically(&path, svg.as_bytes()) {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    }
    if check && changed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
