//! Draws the figures of the crate's documentation, `theory/docs/*.svg`; with `--check` only says which would change.
//!
//! Run: `cargo run --release -p theory --example draw_docs [-- --check]`

use std::path::Path;
use std::process::ExitCode;
use theory::losses::{Quantity, group};
use theory::report::figure::{
    Axes, Format, Lines, PanelKind, Selection, Series, Style, bounds_against_draws, lines,
};
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
    Ok(Series::new(name, points))
}

/// The figure as SVG of one panel.
fn panel(x_label: &str, log_x: bool, panel: Axes) -> Result<Vec<u8>> {
    panels(x_label, log_x, vec![panel])
}

fn panels(x_label: &str, log_x: bool, panels: Vec<Axes>) -> Result<Vec<u8>> {
    lines(&Lines { x_label: x_label.into(), log_x, panels, ..Lines::default() }, Format::Svg)
}

/// υ against n for several C.
fn coverage_figure() -> Result<Vec<u8>> {
    let mut axes = Axes {
        title: "Coverage: the probability υ that n draws show every class".into(),
        y_label: "υ".into(),
        ..Axes::default()
    };
    for classes in [4, 10, 100, 1000] {
        let prior = ClassPrior::uniform(classes)?;
        let of = |n| Ok(Some(coverage::probability(&prior, IID, NumDraws::new(n)?)?.value()));
        axes.series.push(series(format!("C = {classes}"), &spread(4, 20_000, 240), of)?);
    }
    let counts = include_str!("../../data/counts/imagenet_like.txt");
    let prior = ClassPrior::parse_counts(counts, "imagenet_like.txt")?;
    let of = |n| Ok(Some(coverage::probability(&prior, IID, NumDraws::new(n)?)?.value()));
    axes.series.push(series("732–1300 a class", &spread(3000, 20_000, 80), of)?);
    panel("n = K+1 draws, with replacement", true, axes)
}

/// υ as the published notebook computes it, against the contour.
fn float_formula_figure() -> Result<Vec<u8>> {
    let prior = ClassPrior::uniform(100)?;
    let draws: Vec<u64> = (140..=700).step_by(4).collect();
    let exact = series("this crate", &draws, |n| {
        Ok(Some(coverage::probability(&prior, IID, NumDraws::new(n)?)?.value()))
    })?;
    let float = series("alternating sum", &draws, |n| {
        Ok(Some(published::float_formula(100, n)).filter(|v| *v > 0.0))
    })?;
    let title = "C = 100: where inclusion–exclusion in float64, an alternating sum, is noise".into();
    let axes =
        Axes { title, y_label: "υ".into(), log_y: true, series: vec![exact, float], ..Axes::default() };
    panel("n = K+1 draws", false, axes)
}

/// τ and E ln(1+Col) against K.
fn collision_figure() -> Result<Vec<u8>> {
    let axes =
        |title: &str, y_label: &str| Axes { title: title.into(), y_label: y_label.into(), ..Axes::default() };
    let mut probability =
        axes("Collisions: the probability τ that one of K negatives has the anchor's class", "τ");
    let mut price = axes("What they add to the loss: E ln(1+Col)", "nats");
    let negatives = spread(1, 65_536, 120);
    for classes in [10, 100, 1000] {
        let (prior, name) = (ClassPrior::uniform(classes)?, format!("C = {classes}"));
        probability.series.push(series(name.clone(), &negatives, |k| {
            Ok(Some(collision::probability(&prior, IID, NumNegatives::new(k)?)?.value()))
        })?);
        price.series.push(series(name, &negatives, |k| {
            Ok(Some(collision::expected_ln1p(&prior, IID, NumNegatives::new(k)?)?))
        })?);
    }
    panels("K negatives", true, vec![probability, price])
}

/// Upper bounds of L_sup on the published CIFAR-100 rows.
fn bounds_figure() -> Result<Vec<u8>> {
    let tables = published::tables()?;
    let rows = tables.iter().filter(|t| t.dataset.key == "cifar100").flat_map(|t| &t.rows);
    let losses = rows.map(|row| published::losses(row, Sampling::WithoutReplacement));
    let losses = losses.collect::<Result<Vec<_>>>()?;
    let keys =
        ["curl", "nozawa_sato", "lambda", "submodular", "coverage_collision", "reverse_jensen", "specht"];
    let panels = vec![PanelKind::Log, PanelKind::Linear];
    let style = Style { bounds: Selection::of(&keys)?, panels, ..Style::default() };
    bounds_against_draws(&group(&losses)?, &style, Format::Svg)
}

/// The population optimum against K, beside the bounds there.
fn optimum_figure() -> Result<Vec<u8>> {
    let negatives = spread(1, 4096, 12);
    let mut axes = Axes {
        title: "The best encoder of all, C = 10, t = 0.5: the bounds of L_sup grow, L_sup does not".into(),
        y_label: "nats".into(),
        log_y: true,
        ..Axes::default()
    };
    let components = |k| optimum::simplex_components(10, NumNegatives::new(k)?, 0.5);
    for (name, measure) in [("L_Info", Quantity::InfoNce), ("L_sup", Quantity::FullSupLoss)] {
        axes.series.push(series(name, &negatives, |k| Ok(components(k)?.get(measure)))?);
    }
    for key in ["curl", "nozawa_sato", "submodular", "ash", "specht_positive"] {
        let of = |k| {
            let losses = components(k)?;
            let value = bounds::find(key).and_then(|b| b.upper_bound(&losses).value());
            Ok(value.filter(|v| *v < 1e4))
        };
        axes.series.push(series(key, &negatives, of)?);
    }
    panel("K negatives", true, axes)
}

fn main() -> ExitCode {
    let check = std::env::args().nth(1).is_some_and(|a| a == "--check");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    type Draw = fn() -> Result<Vec<u8>>;
    let figures: [(&str, Draw); 5] = [
        ("coverage", coverage_figure),
        ("float_formula", float_formula_figure),
        ("collision", collision_figure),
        ("bounds", bounds_figure),
        ("optimum", optimum_figure),
    ];
    let mut changed = false;
    for (name, figure) in figures {
        let svg = match figure() {
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
