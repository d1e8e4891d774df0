//! The spread of features within classes: β̂_j = (1/(n_c−1)) Σ_{i ≠ j} |x0_i·x1_j − x0_j·x1_j| over the samples of one
//! class.
//!
//! x0, x1 are two views of training features. [`collision_by_class`] is the per-class analysis of Nozawa & Sato (2021,
//! Figures 3 to 5): the distribution over j of β̂_j and that of the same-class similarities x0_i·x1_j, i ≠ j;
//! [`collision_spread`] the mean over all j, their row "Collision bound". Similarities are made 64 columns j at a time, never
//! the whole n_c × n_c matrix.

use crate::error::{Error, Result};
use crate::evaluation::Views;
use crate::gemm::Threads;
use crate::matrix::{Matrix, times_transposed};
use crate::pool::{self, Stop};
use crate::rows::{FeatureRows, by_class};
use theory::report::{Cell, Table, figure};

/// Columns j of a block.
const BLOCK: usize = 64;
/// Blocks at a time: each holds a histogram.
const BLOCKS: usize = 32;
/// Bins of the histogram of similarities.
const BINS: usize = 1 << 16;
/// The shares at which quantiles are taken.
pub const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// Mean and quantiles of one quantity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distribution {
    /// The mean.
    pub mean: f64,
    /// At 5, 25, 50, 75, 95 %.
    pub quantiles: [f64; 5],
}

/// The spread within one class.
#[derive(Debug, Clone, PartialEq)]
pub struct CollisionByClass {
    /// The class.
    pub class: usize,
    /// All samples of the class, n_c.
    pub class_size: usize,
    /// The samples of the class that were taken: all, or how many of them were drawn where they are too many
    /// ([`crate::features::MOST_PAIRED`]).
    pub samples: usize,
    /// β̂_j over j. Quantiles interpolate linearly between order statistics.
    pub spread: Distribution,
    /// x0_i·x1_j over i ≠ j. The mean is exact; quantiles come from a histogram of 2¹⁶ bins over [−R, R], R the product
    /// of the largest norms of the two views: within 3.1e-5 R of an order statistic, interpolated within the bin.
    pub similarity: Distribution,
}

/// β̂ as published: the mean over j of (1/(n_c−1)) Σ_{i ≠ j} |x0_i·x1_j − x0_j·x1_j| over training features of one
/// class, from its mean in each class: a class counts with all its samples, however many of them were drawn.
///
/// A diagnostic of the spread within classes (no 1/t, a mean where a bound would need a maximum); 0 where no class has
/// two samples.
pub fn collision_spread(classes: &[CollisionByClass]) -> f64 {
    let samples: usize = classes.iter().map(|class| class.class_size).sum();
    let sum: f64 = classes.iter().map(|class| class.class_size as f64 * class.spread.mean).sum();
    sum / samples.max(1) as f64
}

/// The distributions of β̂_j and of same-class similarities, for every class of at least two samples.
///
/// Works on any two views: with the head's features and with the encoder's. Published values are of unit rows.
///
/// # Errors
/// Views of different shapes; another number of labels than of samples, or a label of `num_classes` or more; `stop` says
/// so.
pub fn collision_by_class<F: FeatureRows>(
    views: &Views<F>,
    labels: &[usize],
    num_classes: usize,
    stop: Stop<'_>,
) -> Result<Vec<CollisionByClass>> {
    let [first, second] = [&views.first, &views.second].map(|view| (view.count(), view.width()));
    if first != second {
        let shapes = format!("[{}, {}] and [{}, {}]", first.0, first.1, second.0, second.1);
        return Err(Error::argument(format!("two views of the same samples have one shape, not {shapes}")));
    }
    crate::check_labels(first.0, labels, num_classes)?;
    of_members(views, &by_class(labels, num_classes), labels, stop)
}

/// [`collision_by_class`] of these samples of each class, all or some of those that `labels` say.
///
/// # Errors
/// A file that can no longer be read; `stop` says so.
pub(crate) fn of_members<F: FeatureRows>(
    views: &Views<F>,
    members: &[Vec<usize>],
    labels: &[usize],
    stop: Stop<'_>,
) -> Result<Vec<CollisionByClass>> {
    let mut rows = Vec::new();
    let counts = crate::class_counts(labels, members.len());
    for (class, members) in members.iter().enumerate() {
        if members.len() < 2 {
            continue;
        }
        let (first, second) = (views.first.pick(members)?, views.second.pick(members)?);
        let norm = |m: &Matrix| {
            let squares = (0..m.rows).map(|i| m.row(i).iter().map(|x| x * x).sum::<f64>());
            squares.fold(0.0, f64::max).sqrt()
        };
        let radius = (norm(&first) * norm(&second)).max(f64::MIN_POSITIVE);
        let mut spreads = Vec::with_capacity(members.len());
        let mut similarities = Histogram::empty(radius);
        let visit = |start, block: &[f64]| Histogram::of(radius, start, block, members.len());
        of_class(&first, &second, stop, visit, |of_block, histogram| {
            spreads.extend(of_block);
            similarities.add(&histogram);
        })?;
        rows.push(CollisionByClass {
            class,
            class_size: counts[class] as usize,
            samples: members.len(),
            spread: distribution(&mut spreads),
            similarity: similarities.distribution(),
        });
    }
    Ok(rows)
}

/// The rows as a table: `spread_mean`, `spread_q05`, …, `similarity_q95`.
pub fn collision_table(rows: &[CollisionByClass]) -> Table {
    let mut headers = vec!["class".to_string(), "samples".to_string()];
    for quantity in ["spread", "similarity"] {
        headers.push(format!("{quantity}_mean"));
        headers.extend(QUANTILES.map(|q| format!("{quantity}_q{:02}", (100.0 * q).round())));
    }
    let mut table = Table::new(headers);
    for row in rows {
        let mut cells = vec![Cell::Integer(row.class as i64), Cell::Integer(row.samples as i64)];
        for values in [&row.spread, &row.similarity] {
            cells.push(Cell::number(values.mean));
            cells.extend(values.quantiles.map(Cell::number));
        }
        table.push(cells);
    }
    table
}

/// β̂_j by class as a figure: one series a set of rows, such as "head" and "encoder".
///
/// # Errors
/// No row.
pub fn collision_figure(series: &[(&str, &[CollisionByClass])], format: figure::Format) -> Result<Vec<u8>> {
    let classes = series.iter().flat_map(|(_, rows)| rows.iter()).map(|row| row.class + 1).max().unwrap_or(0);
    let of_series = |(name, rows): &(&str, &[CollisionByClass])| {
        let mut boxes = vec![None; classes];
        for row in *rows {
            let Distribution { mean, quantiles } = row.spread;
            boxes[row.class] = Some(figure::QuantileBox { quantiles, mean });
        }
        figure::QuantileSeries { name: (*name).into(), boxes }
    };
    let figure = figure::Quantiles {
        title: "Similarity of a sample's two views, and that with others of its class: how far apart".into(),
        x_label: "class (of its samples: line 5–95 %, box 25–75 %, bar median, dot mean)".into(),
        y_label: "mean absolute difference of similarities".into(),
        categories: (0..classes).map(|class| class.to_string()).collect(),
        series: series.iter().map(of_series).collect(),
    };
    Ok(figure::quantiles(&figure, format)?)
}

/// Gives `take` each block of columns j, in their order: β̂_j, and what `visit(first j, similarities [j, i])` says.
fn of_class<T: Send>(
    first: &Matrix,
    second: &Matrix,
    stop: Stop<'_>,
    visit: impl Fn(usize, &[f64]) -> T + Sync + Send,
    mut take: impl FnMut(Vec<f64>, T),
) -> Result<()> {
    let count = first.rows;
    let of_block = |start: usize| -> Result<(Vec<f64>, T)> {
        pool::check(stop, "measuring the spread within classes")?;
        let end = (start + BLOCK).min(count);
        let mut block = vec![0.0; (end - start) * count];
        times_transposed(second.rows_in(start..end), first.all(), &mut block, Threads::One)?;
        let spread = |(row, j): (&[f64], usize)| {
            // The term i = j is zero.
            row.iter().map(|s| (s - row[j]).abs()).sum::<f64>() / (count - 1) as f64
        };
        let spreads = block.chunks_exact(count).zip(start..end).map(spread).collect();
        Ok((spreads, visit(start, &block)))
    };
    let starts: Vec<usize> = (0..count).step_by(BLOCK).collect();
    for starts in starts.chunks(BLOCKS) {
        for part in pool::map(starts.iter().copied(), of_block) {
            let (spreads, visited) = part?;
            take(spreads, visited);
        }
    }
    Ok(())
}

/// Mean and quantiles of values that are all at hand.
fn distribution(values: &mut [f64]) -> Distribution {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.sort_unstable_by(f64::total_cmp);
    let quantile = |share: f64| {
        let place = share * (values.len() - 1) as f64;
        let (low, part) = (place.floor() as usize, place.fract());
        values[low] + part * (values[(low + 1).min(values.len() - 1)] - values[low])
    };
    Distribution { mean, quantiles: QUANTILES.map(quantile) }
}

/// Counts of values in equal bins over [−radius, radius].
struct Histogram {
    radius: f64,
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    fn empty(radius: f64) -> Self {
        Self { radius, counts: vec![0; BINS], sum: 0.0 }
    }

    /// The similarities \[j, i\] of a block of columns that begins at j = `start`, those of i = j left out.
    fn of(radius: f64, start: usize, block: &[f64], count: usize) -> Self {
        let mut histogram = Self::empty(radius);
        let scale = 0.5 * BINS as f64 / radius;
        for (row, j) in block.chunks_exact(count).zip(start..) {
            for (_, &value) in row.iter().enumerate().filter(|(i, _)| *i != j) {
                histogram.sum += value;
                histogram.counts[(((value + radius) * scale) as usize).min(BINS - 1)] += 1;
            }
        }
        histogram
    }

    fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, count)| *own += count);
        self.sum += other.sum;
    }

    fn distribution(&self) -> Distribution {
        let total: u64 = self.counts.iter().sum();
        let quantile = |share: f64| {
            let wanted = share * total as f64;
            let mut below = 0.0;
            for (bin, &count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                let count = count as f64;
                if below + count >= wanted {
                    let place = bin as f64 + ((wanted - below) / count).clamp(0.0, 1.0);
                    return self.radius * (2.0 * place / BINS as f64 - 1.0);
                }
                below += count;
            }
            self.radius
        };
        Distribution { mean: self.sum / total as f64, quantiles: QUANTILES.map(quantile) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::dot;
    use crate::pool::never;
    use crate::rng::{Purpose, normal, stream};

    fn views(samples: usize) -> (Views, Vec<usize>) {
        let mut rng = stream(5, Purpose::Split, 0);
        let mut matrix = || {
            let data = (0..samples * 6).map(|_| f64::from(normal(&mut rng))).collect();
            let mut m = Matrix { rows: samples, cols: 6, data };
            m.normalise_rows().unwrap();
            m
        };
        let (first, second) = (matrix(), matrix());
        // Class 2 has one sample, class 3 none.
        let labels = (0..samples).map(|i| if i == 7 { 2 } else { usize::from(i % 3 == 0) }).collect();
        (Views { first, second }, labels)
    }

    #[test]
    fn rows_follow_the_definition() {
        let (views, labels) = views(200);
        let rows = collision_by_class(&views, &labels, 4, &never).unwrap();
        assert_eq!(rows.iter().map(|row| row.class).collect::<Vec<_>>(), [0, 1]);
        let (mut total, mut count) = (0.0, 0);
        for row in &rows {
            let members: Vec<usize> = (0..200).filter(|&i| labels[i] == row.class).collect();
            let s = |i: usize, j: usize| dot(views.first.row(i), views.second.row(j));
            let mut spreads = Vec::new();
            let mut similarities = Vec::new();
            for &j in &members {
                let others = members.iter().filter(|&&i| i != j);
                similarities.extend(others.clone().map(|&i| s(i, j)));
                let sum: f64 = others.map(|&i| (s(i, j) - s(j, j)).abs()).sum();
                spreads.push(sum / (members.len() - 1) as f64);
            }
            total += spreads.iter().sum::<f64>();
            count += members.len();
            for (found, mut expected, tolerance) in
                [(row.spread, spreads, 1e-12), (row.similarity, similarities, 1e-3)]
            {
                let expected = distribution(&mut expected);
                assert!((found.mean - expected.mean).abs() < 1e-12);
                for (a, b) in found.quantiles.iter().zip(expected.quantiles) {
                    assert!((a - b).abs() < tolerance, "{a} {b}");
                }
            }
        }
        assert!((collision_spread(&rows) - total / count as f64).abs() < 1e-12);
    }

    /// Of a class of which half is taken, the spread counts for all of its samples.
    #[test]
    fn a_class_that_is_cut_weighs_what_it_weighs_whole() {
        let (views, labels) = views(200);
        let all = by_class(&labels, 4);
        let mut some = all.clone();
        some[0].truncate(20);
        let rows = of_members(&views, &some, &labels, &never).unwrap();
        let spread = collision_spread(&rows);
        assert_eq!((rows[0].samples, rows[1].samples), (20, all[1].len()));
        let sizes = [all[0].len() as f64, all[1].len() as f64];
        let sum: f64 = sizes.iter().zip(&rows).map(|(size, row)| size * row.spread.mean).sum();
        assert!((spread - sum / sizes.iter().sum::<f64>()).abs() < 1e-14);
        let drawn: f64 = rows.iter().map(|row| row.samples as f64 * row.spread.mean).sum();
        assert!((spread - drawn / (20.0 + sizes[1])).abs() > 1e-4);
    }

    #[test]
    fn a_histogram_has_the_accuracy_that_is_stated() {
        // 0, 1, …, 999 over 1000: the quantiles of the steps are known to one step and one bin.
        let values: Vec<f64> = (0..1001).map(|i| f64::from(i) / 1000.0).collect();
        let found = Histogram::of(1.0, 0, &values, 1001); // one row, its i = 0 left out
        assert!((found.sum - 500.5).abs() < 1e-9);
        let mut all = Histogram::empty(1.0);
        all.add(&found);
        for (quantile, share) in all.distribution().quantiles.iter().zip(QUANTILES) {
            assert!((quantile - share).abs() < 3.1e-5, "{quantile} {share}");
        }
    }

    #[test]
    fn the_table_has_a_row_a_class() {
        let (views, labels) = views(50);
        let rows = collision_by_class(&views, &labels, 4, &never).unwrap();
        let text = collision_table(&rows).to_text(theory::report::Format::Csv);
        assert!(text.starts_with("class,samples,spread_mean,spread_q05,spread_q25"), "{text}");
        assert_eq!(text.lines().count(), 3);
        let both: [(&str, &[_]); 2] = [("head", &rows), ("encoder", &rows[..1])];
        let svg = String::from_utf8(collision_figure(&both, figure::Format::Svg).unwrap()).unwrap();
        assert!(
            svg.matches("<circle").count() == 3
                && svg.contains("encoder")
                && svg.contains("difference of similarities")
        );
        assert!(collision_figure(&[], figure::Format::Svg).is_err());
        let alone = collision_by_class(&views, &(0..50).collect::<Vec<_>>(), 50, &never).unwrap();
        assert_eq!((alone.len(), collision_spread(&alone)), (0, 0.0));
    }

    #[test]
    fn labels_and_shapes_that_do_not_fit_are_named() {
        let (views, labels) = views(50);
        let error = |views: &Views, labels: &[usize], classes| {
            collision_by_class(views, labels, classes, &never).unwrap_err().to_string()
        };
        assert_eq!(error(&views, &labels, 2), "label 7 is 2, not below C = 2");
        assert_eq!(error(&views, &labels[1..], 4), "50 samples have 49 labels");
        let short = Views { second: views.second.gather(&[0, 1]), ..views };
        let expected = "two views of the same samples have one shape, not [50, 6] and [2, 6]";
        assert_eq!(error(&short, &labels, 4), expected);
    }
}
