//! `advise`: what the class law alone says about a number of negatives, before anything is trained.

use super::{OutputArgs, PriorArgs, Range, parse_range};
use anyhow::Result;
use clap::Args;
use theory::advice::{self, Advice, Row};
use theory::report::{Cell, Document, MeanAndDeviation, Section, Table};
use theory::usage::parse_number;
use theory::{ClassPrior, NumNegatives, Sampling, coverage};

/// Values of K in one call.
const MAX_ROWS: usize = 1000;

#[derive(Args)]
pub(super) struct AdviseArgs {
    #[command(flatten)]
    prior: PriorArgs,
    /// Numbers of negatives K: 8, a list 8,16, a range 8..512 or 8..512:8, or a mixture
    /// [default: the powers of 4 up to 65536]
    #[arg(long, value_name = "LIST", value_parser = parse_range)]
    negatives: Option<Range>,
    /// Images in a batch B: adds its K = B−1 (one view each) and 2B−2 (both views, as NT-Xent trains)
    #[arg(long, value_name = "B", value_parser = parse_number)]
    batch: Option<u64>,
    /// Temperature t that divides the inner products
    #[arg(long, value_name = "T", default_value_t = 0.5)]
    temperature: f64,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn advise(args: &AdviseArgs) -> Result<()> {
    let (prior, sampling) = args.prior.load()?;
    let mut values = match &args.negatives {
        Some(range) => range.values.clone(),
        // Without replacement no more can be drawn than there are.
        None => {
            let last = prior.population().filter(|_| sampling == Sampling::WithoutReplacement);
            (0..=8).map(|power| 4u64.pow(power)).filter(|k| last.is_none_or(|last| *k < last)).collect()
        }
    };
    if let Some(batch) = args.batch {
        let others = batch.checked_sub(1).filter(|&others| others > 0).ok_or_else(|| {
            theory::Error::argument(format!(
                "--batch {batch}: a batch of fewer than 2 images has no negatives"
            ))
        })?;
        values.extend([others, others.saturating_mul(2)]);
    }
    values.sort_unstable();
    values.dedup();
    if values.is_empty() || values.len() > MAX_ROWS {
        let count = values.len();
        return Err(theory::Error::argument(format!(
            "{count} values of K where 1 to {MAX_ROWS} are expected"
        ))
        .into());
    }
    let negatives = values.into_iter().map(NumNegatives::new).collect::<theory::Result<Vec<_>>>()?;
    let advice = advice::advise(&prior, sampling, &negatives, args.temperature)?;
    let document = document(args, &prior, &advice)?;
    args.output.print_document(&document)
}

fn document(args: &AdviseArgs, prior: &ClassPrior, advice: &Advice) -> theory::Result<Document> {
    let classes = prior.num_classes();
    let rows = Section {
        title: format!("K negatives, {classes} classes, t = {}", args.temperature),
        text: about_rows(args, prior)?,
        table: rows(&advice.rows),
    };
    let lines = Section {
        title: "What the columns say".into(),
        text: "Exact: a probability or a mean of the law of the labels. Theorem: for every encoder with features in the \
               unit ball, proved on the page theory::advice. L_Info with K negatives, in nats; d(f) ≤ 0 is the gap of \
               the bounds, and 0 where positives are two images of one class."
            .into(),
        table: lines(),
    };
    let bounds = Section {
        title: "Upper bounds of L_sup: from which K they hold, and where they can say something".into(),
        text: format!(
            "from: the least K at which the bound is defined. informative: the K of this table at which its value for \
             the encoder of least loss is not above ln {classes} = {:.3}, what a classifier reaches that ignores its \
             input. least: the smallest of these values, and its K; they are computed for independent draws. Where \
             least_of_all is yes, no other encoder has a smaller value (theorem): a bound that is not informative then \
             says nothing, whatever is trained.",
            (classes as f64).ln()
        ),
        table: bounds(advice, classes),
    };
    Ok(Document {
        title: "Advice".into(),
        sections: vec![("negatives", rows), ("lines", lines), ("bounds", bounds)],
    })
}

fn about_rows(args: &AdviseArgs, prior: &ClassPrior) -> theory::Result<String> {
    let expected = coverage::expected_draws(prior);
    let mut text = format!(
        "All {} classes are seen after {expected:.2} independent draws on average, with probability 1/2 after {}, with \
         95 % after {}.",
        prior.num_classes(),
        coverage::quantile(prior, 0.5)?,
        coverage::quantile(prior, 0.95)?,
    );
    if let Some(batch) = args.batch {
        text.push_str(&format!(
            " A batch of {batch}: K = {} with one view each, K = {} in the training of NT-Xent.",
            batch - 1,
            2 * (batch - 1)
        ));
    }
    Ok(text)
}

fn rows(rows: &[Row]) -> Table {
    let mut table = Table::new([
        "negatives",
        "draws",
        "upsilon",
        "queue_misses",
        "tau",
        "same_class",
        "least_loss",
        "class_least_loss",
    ]);
    for row in rows {
        let missing = row.queue_coverage.complement();
        table.push(vec![
            Cell::Integer(row.negatives.get() as i64),
            Cell::Integer(row.negatives.draws().get() as i64),
            Cell::number(row.coverage.value()),
            Cell::number(missing),
            Cell::number(row.collision.value()),
            Cell::number(row.same_class_negatives),
            Cell::number(row.least_loss),
            match &row.least_loss_of_classes {
                Ok(loss) => Cell::number(*loss),
                Err(why) => Cell::Note(format!("n/a: {why}")),
            },
        ]);
    }
    table
}

fn lines() -> Table {
    let mut table = Table::new(["column", "meaning", "standing"]);
    for [column, meaning, standing] in [
        ["upsilon", "υ: K+1 draws show every class", "exact"],
        ["queue_misses", "K negatives, such as a queue, do not show every class", "exact"],
        ["tau", "τ: some negative has the anchor's class", "exact"],
        ["same_class", "expected number of negatives of the anchor's class", "exact"],
        ["least_loss", "no encoder has a smaller L_Info", "theorem"],
        ["class_least_loss", "no encoder has a smaller L_Info − d(f)", "theorem"],
    ] {
        table.push([column, meaning, standing].map(Cell::text).to_vec());
    }
    table
}

fn bounds(Advice { rows, bounds }: &Advice, classes: u64) -> Table {
    let mut table =
        Table::new(["bound", "from", "informative", "least", "least_at", "least_of_all", "standing"]);
    for best in bounds {
        let mut row = vec![Cell::text(best.bound.key())];
        row.push(
            best.from.as_ref().map_or_else(
                |why| Cell::Note(format!("n/a: {why}")),
                |from| Cell::Integer(from.get() as i64),
            ),
        );
        row.push(match best.least {
            None => Cell::Note("n/a: not computed".into()),
            Some(_) if best.informative.is_empty() => Cell::text("none of these K"),
            Some(_) => Cell::List(runs(&best.informative, rows)),
        });
        match best.least {
            Some((negatives, value)) => {
                row.push(match theory::bounds::is_vacuous(value, classes) {
                    true => Cell::Vacuous(MeanAndDeviation { mean: value, deviation: None }),
                    false => Cell::number(value),
                });
                row.push(Cell::Integer(negatives.get() as i64));
            }
            None => row.extend([Cell::Missing, Cell::Missing]),
        }
        row.push(Cell::text(if best.is_least_of_all { "yes" } else { "not known" }));
        row.push(Cell::text(best.bound.standing().name()));
        table.push(row);
    }
    table
}

/// These K, `A..B` for those that follow each other in the rows.
fn runs(informative: &[NumNegatives], rows: &[Row]) -> Vec<String> {
    let is_in = |row: &&Row| informative.contains(&row.negatives);
    let together = |a: &Row, b: &Row| is_in(&a) == is_in(&b);
    let run = |part: &[Row]| match part {
        [one] => one.negatives.to_string(),
        [first, .., last] => format!("{}..{}", first.negatives, last.negatives),
        [] => String::new(),
    };
    rows.chunk_by(together).filter(|part| part.first().is_some_and(|row| is_in(&row))).map(run).collect()
}
