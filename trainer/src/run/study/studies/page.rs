//! The page of the studies: its tables and figures.

use super::works;
use super::{Analysis, Found, Population, Study, TEMPERATURE};
use crate::error::Result;
use crate::population;
use crate::run::sweep::missing_section;
use theory::losses::{Group, LossComponents, Quantity, group};
use theory::report::figure::{self, Axes, Datum, Lines, Series, Style};
use theory::report::{Document, Figure, Section, Table, mean_and_deviation};

impl Found {
    pub(super) fn document(&self) -> Result<Document> {
        let section =
            |title: &str, text: &str, table: Table| Section { title: title.into(), text: text.into(), table };
        let seeds = if self.quick {
            "one seed, ten epochs: to see that all of it runs, not to conclude"
        } else {
            "three seeds (mean ± standard deviation)"
        };
        let compared =
            |study: &Study| study.report.compared.as_ref().unwrap_or(&study.report.accuracies).clone();
        let [equal, unequal] = &self.population;
        let population = |case: &Population| population::table(&case.rows, &case.prior, TEMPERATURE);
        let mut sections = vec![
            (
                "works",
                section(
                    "The works, and what was measured",
                    &format!(
                        "On 1,797 digits of 8 × 8 pixels, {seeds}, but where a line says otherwise. n = K+1 draws, losses in nats, ln C = {:.3}; \
                         accuracies on 450 evaluated images. All losses are trained with the \
                         settings that were chosen for NT-Xent.",
                        10f64.ln()
                    ),
                    works::table(self)?,
                ),
            ),
            ("bounds", section("Bounds against n", &self.bounds.command, self.bounds.report.bounds.clone())),
            (
                "accuracy",
                section("Accuracy against n", &self.bounds.command, self.bounds.report.accuracies.clone()),
            ),
            (
                "fixed-batch",
                section(
                    "K alone, the batch fixed at 256",
                    &self.fixed_batch.command,
                    self.fixed_batch.report.accuracies.clone(),
                ),
            ),
            (
                "population",
                section(
                    "Free class vectors on the population loss, equal classes",
                    &equal.command,
                    population(equal),
                ),
            ),
            (
                "population-unequal",
                section(
                    "Free class vectors on the population loss, unequal classes",
                    &unequal.command,
                    population(unequal),
                ),
            ),
            (
                "selections",
                section(
                    "Selected negatives of a queue",
                    &self.selections.command,
                    compared(&self.selections),
                ),
            ),
            ("loss-functions", section("Loss functions", &self.losses.command, compared(&self.losses))),
        ];
        if let Some(Analysis { command, found }) = &self.difficulty {
            // Before the last: the order of the works.
            let part = ("difficulty", section("Which negatives are hard", command, found.table()));
            sections.insert(sections.len() - 1, part);
        }
        let failed = self.sweeps().into_iter().flat_map(|study| study.runs.iter());
        sections.extend(missing_section(failed).map(|section| ("failed", section)));
        Ok(Document { title: "How many negative samples, and which?".into(), sections })
    }

    pub(super) fn figures(&self) -> Result<Vec<Figure>> {
        let groups = group(&self.bounds.rows)?;
        let bounds = Figure::of_bounds(
            "bounds-against-n",
            "Upper bounds of the supervised loss, and what was measured.",
            &groups,
            &Style::default(),
        )?;
        let lines = |name: &str, caption: &str, drawing: &Lines| -> Result<Figure> {
            let svg = figure::lines(drawing, figure::Format::Svg)?;
            Ok(Figure {
                name: name.into(),
                caption: caption.into(),
                svg: String::from_utf8_lossy(&svg).into_owned(),
                png: figure::lines(drawing, figure::Format::Png)?,
            })
        };
        let fixed = lines(
            "accuracy-against-k",
            "The batch is fixed: K alone moves.",
            &against_k(&self.fixed_batch.rows)?,
        )?;
        let mut figures = vec![bounds, fixed];
        if let Some(Analysis { found, .. }) = &self.difficulty {
            let caption = "Same-class share of the negatives against their difficulty.";
            figures.push(lines("same-class", caption, &found.figure())?);
        }
        Ok(figures)
    }
}

/// Accuracies of runs whose batch is fixed against K.
fn against_k(rows: &[LossComponents]) -> Result<Lines> {
    let groups = group(rows)?;
    let series = |name: &str, measure: Quantity| {
        let point = |g: &Group<'_>| {
            let values: Option<Vec<f64>> = g.rows.iter().map(|row| row.get(measure)).collect();
            let over_seeds = mean_and_deviation(&values?);
            let x = (g.rows[0].num_draws.get() - 1) as f64;
            Some(Datum { x, y: over_seeds.mean, error: over_seeds.deviation, bin: None })
        };
        Series::new(name, groups.iter().filter_map(point))
    };
    let panel = Axes {
        title: "Accuracy against K, batch of 256".into(),
        y_label: "accuracy".into(),
        limits: Some((0.0, 1.0)),
        series: vec![
            series("mean classifier (head)", Quantity::MeanAccuracy),
            series("linear (head)", Quantity::LinearAccuracy),
            series("linear (encoder)", Quantity::LinearAccuracyEncoder),
        ],
        ..Axes::default()
    };
    let x_label = "K negatives in the training loss".into();
    Ok(Lines { x_label, log_x: true, panels: vec![panel], ..Lines::default() }.over_seeds()?)
}
