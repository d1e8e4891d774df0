//! Tables, files and figures of an analysis of difficulty.

use super::consistency::{Consistency, Item, Tail};
use super::{Difficulty, bins};
use crate::error::Result;
use statrs::distribution::{ContinuousCDF, Normal};
use std::path::Path;
use theory::report::figure::{self, Lines, Series};
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

    /// Same-class share by bin, and the chance line; bins that overlap earlier ones are not drawn.
    pub fn figure(&self) -> Lines {
        let shown = self.chain();
        let chance_name = format!("chance: {:.1} %", self.mass.percent);
        Lines {
            title: format!("Negatives of the query's class, by difficulty (K = {})", self.num_negatives),
            x_label: BINS_LABEL.into(),
            y_label: "share of the query's class among them (%)".into(),
            x_names: self.names(&shown),
            series: vec![
                series("same class", self.points(&shown, |i| Some(100.0 * self.bins[i].same_class))),
                series(&chance_name, self.points(&shown, |i| Some(100.0 * self.bins[i].chance))),
            ],
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
        let found = means.into_iter().enumerate().map(|(i, mean)| (100.0 * share(i, count), mean)).collect();
        let normal = Normal::standard();
        let deviation = self.consistency.null_variance.sqrt();
        let null = (0..NULL_POINTS.min(count)).map(|i| {
            let p = share(i, NULL_POINTS.min(count));
            (100.0 * p, 100.0 * (0.5 + deviation * normal.inverse_cdf(p)))
        });
        Lines {
            title: format!("Are the same samples hard for all {} queries?", self.queries),
            x_label: "share of samples (%), the hardest on average first".into(),
            y_label: "mean percentile as a negative (%), 0 = hardest".into(),
            series: vec![series("samples", found), series("independent random ranks", null.collect())],
            ..Lines::default()
        }
    }

    /// Mean similarity of different-class negatives by bin over that of permuted classes: both similarities on one
    /// axis.
    fn semantics_figure(&self) -> Option<Lines> {
        let (name, rows) = self.semantics.as_ref()?;
        let shown = self.chain();
        let relative = |which: usize| {
            self.points(&shown, |i| rows[i].similarities.map(|both| both[which].mean / both[which].null_mean))
        };
        let hierarchy =
            Path::new(name).file_stem().map_or(String::new(), |s| s.to_string_lossy().into_owned());
        Some(Lines {
            title: format!("Similarity of class of query and different-class negatives, tree of {hierarchy}"),
            x_label: BINS_LABEL.into(),
            y_label: "mean similarity, permuted classes = 1".into(),
            x_names: self.names(&shown),
            series: vec![
                series("Wu–Palmer", relative(1)),
                series("permuted classes", self.points(&shown, |_| Some(1.0))),
                series("path", relative(0)),
            ],
            ..Lines::default()
        })
    }

    /// Indices of the bins that a curve joins.
    fn chain(&self) -> Vec<usize> {
        bins::chain(&self.bins.iter().map(|row| row.bin).collect::<Vec<_>>())
    }

    fn names(&self, shown: &[usize]) -> Vec<String> {
        shown.iter().map(|&i| self.bins[i].bin.to_string().replace('-', "–")).collect()
    }

    fn points(&self, shown: &[usize], value: impl Fn(usize) -> Option<f64>) -> Vec<(f64, f64)> {
        shown.iter().enumerate().filter_map(|(place, &i)| Some((place as f64, value(i)?))).collect()
    }
}

const BINS_LABEL: &str = "negatives from the hardest (left) to the easiest, intervals in % of K";

fn series(name: &str, points: Vec<(f64, f64)>) -> Series {
    Series { name: name.into(), points, right: false }
}

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
