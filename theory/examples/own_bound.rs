//! A bound of one's own beside the registry: implement `Bound`, give it to the table.
//!
//! The bound: cross-entropy of a classifier with inner products in [−1, 1] over t is at most ln(1 + (C−1) e^{2/t}),
//! whatever was learned.
//!
//! `cargo run --example own_bound -p theory -- data/results/digits/losses.csv`

use theory::bounds::{self, Bound, Outcome};
use theory::losses::{self, LossComponents, Quantity};
use theory::report::{Format, bounds_by_draws};

struct WorstCase;

impl Bound for WorstCase {
    fn key(&self) -> &'static str {
        "worst_case"
    }

    fn name(&self) -> &'static str {
        "worst case"
    }

    fn formula(&self) -> &'static str {
        "L_sup ≤ ln(1 + (C − 1) e^{2/t})"
    }

    fn source(&self) -> &'static str {
        "this example"
    }

    fn conditions(&self) -> &'static str {
        "features and class means in the unit ball"
    }

    /// A side is shown where it needs something.
    fn upper_needs(&self) -> &'static [Quantity] {
        &[Quantity::FullSupLoss]
    }

    fn upper_bound(&self, losses: &LossComponents) -> Outcome {
        let others = (losses.num_classes - 1) as f64;
        Outcome::Value((others * (2.0 / losses.temperature).exp()).ln_1p())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: own_bound LOSSES.csv")?;
    let rows = losses::read(path.as_ref())?;
    let beside: Vec<&dyn Bound> = bounds::all().iter().copied().chain([&WorstCase as &dyn Bound]).collect();
    print!("{}", bounds_by_draws(&losses::group(&rows)?, &beside).to_text(Format::Table));
    for row in &rows {
        // With C = 10 and t = 1/2: ln(1 + 9 e^4) = 6.199.
        if let (Some(measured), Some(bound)) =
            (row.get(Quantity::FullSupLoss), WorstCase.upper_bound(row).value())
        {
            assert!(measured <= bound, "{}: {measured} > {bound}", row.run.run_id);
        }
    }
    Ok(())
}
