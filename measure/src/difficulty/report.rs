//! Tables, files and figures of an analysis of difficulty.

use super::consistency::{Consistency, Item, Tail};
use super::{Difficulty, bins};
use crate::error::Result;
use statrs::distribution::{ContinuousCDF, Normal};
use std::path::Path;
use theory::report::figure::{self, Axes, Datum, Lines, Series};
use theory::report::{Cell, Format, Table};

/// Items at each end of the table of extremes.
const EXTREMES: usize = 10;
/// Points of the curve of mean percentiles that is expected by chance.
const NULL_POINTS: usize = 400;

/// Names of the files.
const DIFFICULTY: &str = "difficulty";
const CONSISTENCY: &str = "consistency";
const SEMANTICS: &str = "semantics";

impl Difficulty {
    /// What was ranked and the sums over items, one quantity a line: `summary.csv`.
    pub fn summary(&self) -> Table {
        let mut table = Table::new(["quantity", "value"]);
        let mut push = |name: &str, cell: Cell| table.push(vec![Cell::text(name), cell]);
        let integer = |value: usize| Cell::Integer(value as i64);
        push("samples", integer(self.samples));
        push("bank", integer(self.num_negatives + 1));
        push("queries", integer(self.queries));
        push("negatives_K", integer(self.num_negatives));
        push("seed", Cell::Decimal(self.seed.to_string()));
        push("same_class_chance_percent", number(self.mass.percent));
        push("same_class_in_hardest_chance_percent", number(100.0 * self.mass.same_class));
        push("same_class_in_hardest_chance_percent_se", number(100.0 * self.mass.standard_error));
        let Consistency { variance, null_variance, ratio, ratio_deviation, z, hardest, easiest, .. } =
            &self.consistency;
        push("mean_percentile_variance", number(*variance));
        push("mean_percentile_variance_null", number(*null_variance));
        push("consistency_ratio", number(*ratio));
        push("consistency_ratio_sd_random_directions", number(*ratio_deviation));
        push("consistency_z_exchangeable_ranks", number(*z));
        for (end, tail) in [("hardest", hardest), ("easiest", easiest)] {
            let Some(Tail { ranks, quantile, share, expected }) = *tail else { continue };
            push(&format!("{end}_5_percent_ranks"), integer(ranks));
            push(&format!("{end}_5_percent_queries_quantile_99.9"), Cell::Integer(quantile as i64));
            push(&format!("{end}_5_percent_items_above_quantile"), number(share));
            push(&format!("{end}_5_percent_items_above_quantile_null"), number(expected));
        }
        if let Some((name, _)) = &self.semantics {
            push("hierarchy", Cell::text(name));
            push("class_permutations", integer(super::PERMUTATIONS));
        }
        table
    }

    /// One row a bin: `difficulty.csv`.
    pub fn table(&self) -> Table {
        let mut table = Table::new([
            "bin_percent",
            "ranks",
            "similarity",
            "same_class",
            "same_class_se",
            "same_class_chance",
            "ratio_to_chance",
            "same_class_count",
            "same_class_count_chance",
            "any_same_class",
            "any_same_class_chance",
        ]);
        for row in &self.bins {
            let mut cells = vec![Cell::Text(row.bin.to_string()), Cell::Integer(row.ranks as i64)];
            let numbers = [
                row.similarity,
                row.same_class,
                row.standard_error,
                row.chance,
                row.same_class / row.chance,
                row.same_class_count(),
                row.chance_count(),
                row.any,
                row.any_chance,
            ];
            cells.extend(numbers.map(number));
            table.push(cells);
        }
        table
    }

    /// One row an item of the bank: `consistency.csv`.
    pub fn items(&self) -> Table {
        items(self.consistency.items.iter())
    }

    /// The ten items that are hardest on average, then the ten that are easiest; all where there are fewer.
    pub fn extremes(&self) -> Table {
        let mut order: Vec<&Item> = self.consistency.items.iter().collect();
        order.sort_by(|a, b| a.mean_percentile.total_cmp(&b.mean_percentile).then(a.index.cmp(&b.index)));
        if order.len() > 2 * EXTREMES {
            order.drain(EXTREMES..order.len() - EXTREMES);
        }
        items(order.into_iter())
    }

    /// One row a bin and similarity: `semantics.csv`.
    pub fn semantics_table(&self) -> Option<Table> {
        let (_, rows) = self.semantics.as_ref()?;
        let mut table = Table::new([
            "bin_percent",
            "different_class_pairs",
            "similarity",
            "mean",
            "null_mean",
            "null_sd",
            "z",
            "p_value_above",
        ]);
        for (bin, row) in self.bins.iter().zip(rows) {
            for (index, name) in ["path", "wu_palmer"].into_iter().enumerate() {
                let mut cells =
                    vec![Cell::Text(bin.bin.to_string()), Cell::Integer(row.pairs as i64), Cell::text(name)];
                if let Some(s) = row.similarities.map(|both| both[index]) {
                    cells.extend([s.mean, s.null_mean, s.null_deviation, s.z, s.p_value].map(number));
                }
                table.push(cells);
            }
        }
        Some(table)
    }

    /// Writes `difficulty.csv`, `consistency.csv`, `semantics.csv` where there is a hierarchy, a figure of each as
    /// `.svg` and `.png`, and `summary.csv`.
    ///
    /// # Errors
    /// The operating system refuses; a figure cannot be drawn.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, bytes: &[u8]| theory::files::write_atomically(&folder.join(name), bytes);
        let semantics = self.semantics_table().zip(self.semantics_figure());
        let parts = [
            Some((DIFFICULTY, self.table(), self.figure())),
            Some((CONSISTENCY, self.items(), self.consistency_figure())),
            semantics.map(|(table, figure)| (SEMANTICS, table, figure)),
        ];
        for (name, table, lines) in parts.into_iter().flatten() {
            write(&format!("{name}.csv"), table.to_text(Format::Csv).as_bytes())?;
            for (end, format) in [("svg", figure::Format::Svg), ("png", figure::Format::Png)] {
                write(&format!("{name}.{end}"), &figure::lines(&lines, format)?)?;
            }
        }
        Ok(write("summary.csv", self.summary().to_text(Format::Csv).as_bytes())?)
    }

    /// Same-class share by bin with its standard error, and that by chance; bins that overlap earlier ones are not drawn.
    pub fn figure(&self) -> Lines {
        let percent = |value: f64, error: Option<f64>| Some((100.0 * value, error.map(|e| 100.0 * e)));
        let found = self.binned("same class", |i| {
            let row = &self.bins[i];
            percent(row.same_class, Some(row.standard_error).filter(|e| e.is_finite()))
        });
        let chance = self.binned("by chance", |i| percent(self.bins[i].chance, None));
        let panel = Axes {
            title: format!("Negatives of the query's class, by difficulty (K = {})", self.num_negatives),
            y_label: "negatives of the query's class (%)".into(),
            series: vec![found, chance],
            ..Axes::default()
        };
        Lines {
            x_label: BINS_LABEL.into(),
            panels: vec![panel],
            note: format!("Error bars: one standard error, over {} queries.", self.queries),
            ..Lines::default()
        }
    }

    /// The quantile function of mean percentiles, and that of independent exchangeable ranks (normal, by the central
    /// limit).
    fn consistency_figure(&self) -> Lines {
        let items = &self.consistency.items;
        let mut means: Vec<f64> = items.iter().map(|item| 100.0 * item.mean_percentile).collect();
        means.sort_unstable_by(f64::total_cmp);
        let share = |index: usize, count: usize| (index as f64 + 0.5) / count as f64;
        let count = means.len();
        let found = means.into_iter().enumerate().map(|(i, mean)| (100.0 * share(i, count), mean));
        let normal = Normal::standard();
        let deviation = self.consistency.null_variance.sqrt();
        let null = (0..NULL_POINTS.min(count)).map(|i| {
            let p = share(i, NULL_POINTS.min(count));
            (100.0 * p, 100.0 * (0.5 + deviation * normal.inverse_cdf(p)))
        });
        let panel = Axes {
            title: format!("Are the same samples hard for all {} queries?", self.queries),
            y_label: "mean percentile as a negative (%)".into(),
            series: vec![Series::new("samples", found), Series::new("random ranks", null)],
            ..Axes::default()
        };
        Lines {
            x_label: "share of samples (%), the hardest on average first".into(),
            panels: vec![panel],
            note: "Percentile 0: the hardest negative of a query. Random ranks: independent for each query."
                .into(),
            ..Lines::default()
        }
    }

    /// Mean similarity of different-class negatives by bin, and that of permuted classes: one panel a similarity.
    fn semantics_figure(&self) -> Option<Lines> {
        let (name, rows) = self.semantics.as_ref()?;
        let hierarchy =
            Path::new(name).file_stem().map_or(String::new(), |s| s.to_string_lossy().into_owned());
        let panel = |which: usize, similarity: &str| {
            let of = |i: usize| rows[i].similarities.map(|both| both[which]);
            let found = self.binned("measured", |i| Some((of(i)?.mean, None)));
            let null = self.binned("permuted classes", |i| {
                let null = of(i)?;
                Some((null.null_mean, Some(null.null_deviation).filter(|d| d.is_finite())))
            });
            Axes {
                title: format!(
                    "{similarity} similarity of class of query and different-class negatives, tree of {hierarchy}"
                ),
                y_label: "mean similarity".into(),
                series: vec![found, null],
                ..Axes::default()
            }
        };
        Some(Lines {
            x_label: BINS_LABEL.into(),
            panels: vec![panel(1, "Wu–Palmer"), panel(0, "Path")],
            note: format!(
                "Error bars: one standard deviation over {} permutations of the classes.",
                super::PERMUTATIONS
            ),
            ..Lines::default()
        })
    }

    /// Values of bins that do not overlap, with their errors, drawn to the width of the bins.
    fn binned(&self, name: &str, of: impl Fn(usize) -> Option<(f64, Option<f64>)>) -> Series {
        let shown = bins::chain(&self.bins.iter().map(|row| row.bin).collect::<Vec<_>>());
        let datum = |i: usize| {
            let (y, error) = of(i)?;
            let edges = (self.bins[i].bin.from_percent(), self.bins[i].bin.to_percent());
            Some(Datum { x: 0.5 * (edges.0 + edges.1), y, error, bin: Some(edges) })
        };
        Series::new(name, shown.into_iter().filter_map(datum))
    }
}

const BINS_LABEL: &str = "negatives of a query (% of K), the hardest first";

fn items<'a>(items: impl Iterator<Item = &'a Item>) -> Table {
    let mut table = Table::new([
        "index",
        "class",
        "queries",
        "mean_percentile",
        "z",
        "queries_in_hardest_5_percent",
        "queries_in_easiest_5_percent",
    ]);
    for item in items {
        table.push(vec![
            Cell::Integer(item.index as i64),
            Cell::Integer(item.class as i64),
            Cell::Integer(item.queries as i64),
            number(item.mean_percentile),
            number(item.z),
            Cell::Integer(i64::from(item.hardest)),
            Cell::Integer(i64::from(item.easiest)),
        ]);
    }
    table
}

/// A number, or nothing where there is none.
fn number(value: f64) -> Cell {
    if value.is_finite() { Cell::number(value) } else { Cell::Missing }
}
