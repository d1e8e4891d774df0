//! Which negatives are hard: the analysis of Cai, Frankle, Schwab & Morcos (2020), "Are all negatives created equal in
//! contrastive instance discrimination?" (arXiv 2010.06682), of any features.
//!
//! The difficulty of a negative j for a query i is x0_i·x1_j, unit rows of two views of samples i ≠ j. The bank is all
//! samples or a random part of them, the queries all of the bank or a random part; each query has K = B − 1 negatives,
//! the bank without its own sample. They are sorted, and asked by interval of difficulty ([`Bin`]):
//!
//! 1. how many are of the query's class ([`BinRow`]), against a difficulty that does not know the class
//!    ([`any_same_class`]);
//! 2. whether the same samples are hard for every query ([`Consistency`]);
//! 3. whether those of other classes are of similar classes ([`Semantics`]), where a [`Hierarchy`] of the classes is
//!    known.

mod bins;
mod chance;
mod consistency;
mod hierarchy;
mod report;
mod semantics;
mod tally;

pub use bins::{Bin, DEFAULT_BINS};
pub use chance::any_same_class;
pub use consistency::{Consistency, Item, QUANTILE, Tail, percentile_variance};
pub use hierarchy::Hierarchy;
pub use semantics::{PERMUTATIONS, Semantics, Similarity};

use super::Views;
use crate::error::{Error, Result};
use crate::pool::Stop;
use crate::rng::{Purpose, permutation, stream};
use crate::rows::FeatureRows;
use tally::{BinTally, Tally, Task};

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Number of queries; `None`: all of the bank.
    pub queries: Option<usize>,
    /// B, the number of samples in the bank; `None`: all.
    pub bank: Option<usize>,
    /// `None`: [`DEFAULT_BINS`], those left out that hold no negative.
    pub bins: Option<Vec<Bin>>,
    /// Where classes stand; `None`: no semantics.
    pub hierarchy: Option<Hierarchy>,
    /// Of the choice of queries and bank, and of the permutations of classes.
    pub seed: u64,
}

/// Same-class negatives in one bin, over queries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BinRow {
    /// The interval.
    pub bin: Bin,
    /// Negatives of each query in it.
    pub ranks: usize,
    /// Mean similarity x0_i·x1_j.
    pub similarity: f64,
    /// Mean over queries of the same-class share.
    pub same_class: f64,
    /// Standard error over queries, taken as independent; NaN for one query.
    pub standard_error: f64,
    /// What it is when difficulty does not know the class: the mean over queries of (n_c − 1)/K.
    pub chance: f64,
    /// Share of queries with at least one same-class negative in the bin.
    pub any: f64,
    /// Its expectation by chance, hypergeometric.
    pub any_chance: f64,
}

impl BinRow {
    /// Same-class negatives of a query in the bin, on average.
    pub fn same_class_count(&self) -> f64 {
        self.same_class * self.ranks as f64
    }

    /// The same by chance.
    pub fn chance_count(&self) -> f64 {
        self.chance * self.ranks as f64
    }
}

/// The hardest n_c − 1 negatives of a query: as many as have its class, a share of about 1/C of all.
///
/// If "hard" meant "of the same class", all of them would be. Queries alone in their class are left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FalseNegativeMass {
    /// Mean of (n_c − 1)/K over queries, in percent: the expected same-class mass.
    pub percent: f64,
    /// Mean same-class share of these negatives; NaN where every query is alone.
    pub same_class: f64,
    /// Standard error over queries.
    pub standard_error: f64,
}

/// What [`difficulty`] finds.
#[derive(Debug, Clone)]
pub struct Difficulty {
    /// Q.
    pub queries: usize,
    /// K.
    pub num_negatives: usize,
    /// M, all samples.
    pub samples: usize,
    /// Of the choice of queries and bank, and of the permutations of classes.
    pub seed: u64,
    /// One for each bin.
    pub bins: Vec<BinRow>,
    /// The bin that matches the expected mass of same-class negatives.
    pub mass: FalseNegativeMass,
    /// Over items of the bank.
    pub consistency: Consistency,
    /// The hierarchy's name, and one row for each bin.
    pub semantics: Option<(String, Vec<Semantics>)>,
}

/// Ranks the negatives of every query and counts.
///
/// O(Q·B·d) products and O(Q·B ln B) for sorting, on the current pool; the number of threads changes no bit; the order
/// of the samples moves last digits of sums, ties, and which samples a seed chooses. `stop` is asked now and then.
///
/// # Errors
/// Views of different shapes, or labels of another number; more queries than bank items or more of these than samples;
/// fewer than 2 queries or 3 bank items; a bin that holds no negative; a hierarchy of other classes; features that are
/// not finite.
pub fn difficulty<F: FeatureRows>(
    views: &Views<F>,
    (labels, num_classes): (&[usize], usize),
    request: &Request,
    stop: Stop<'_>,
) -> Result<Difficulty> {
    let (first, second) = (&views.first, &views.second);
    let shape = |rows: &F| [rows.count(), rows.width()];
    if shape(first) != shape(second) {
        let shapes = format!("{:?} and {:?}", shape(first), shape(second));
        return Err(Error::argument(format!("two views of the same samples have one shape, not {shapes}")));
    }
    crate::check_labels(first.count(), labels, num_classes)?;
    if let Some(hierarchy) = &request.hierarchy {
        hierarchy.check(num_classes)?;
    }
    let Chosen { bank, own } = choose(labels.len(), request)?;
    let bins = bins::usable(request.bins.as_deref(), bank.len() - 1)?;
    let queries: Vec<usize> = own.iter().map(|&place| bank[place]).collect();
    let chosen = Views { first: first.pick(&queries)?, second: second.pick(&bank)? };
    let bank_labels: Vec<usize> = bank.iter().map(|&index| labels[index]).collect();
    let pairs = request.hierarchy.is_some();
    let task = Task { views: &chosen, own: &own, labels: &bank_labels, num_classes, bins: &bins, pairs };
    let tally = task.run(stop)?;
    let items: Vec<(usize, usize)> = bank.iter().copied().zip(bank_labels.iter().copied()).collect();
    let semantics = |hierarchy: &Hierarchy| -> Result<(String, Vec<Semantics>)> {
        let tables: Vec<&[u64]> = tally.bins.iter().map(|bin| &bin.pairs[..]).collect();
        Ok((hierarchy.name.clone(), semantics::semantics(&tables, hierarchy, request.seed)?))
    };
    let law = Law::new(&task);
    Ok(Difficulty {
        queries: own.len(),
        num_negatives: task.num_negatives(),
        samples: labels.len(),
        seed: request.seed,
        bins: bins.iter().zip(&tally.bins).map(|(bin, tally)| law.row(*bin, tally)).collect(),
        mass: law.mass(&tally),
        consistency: consistency::consistency(&tally, &items, &own, first.width())?,
        semantics: request.hierarchy.as_ref().map(semantics).transpose()?,
    })
}

/// Which samples are ranked.
struct Chosen {
    /// Indices of samples, ascending.
    bank: Vec<usize>,
    /// Places in the bank of the queries, ascending.
    own: Vec<usize>,
}

/// A random part of the samples, and a random part of that.
fn choose(samples: usize, request: &Request) -> Result<Chosen> {
    let part = |what: &str,
                of: &str,
                size: usize,
                asked: Option<usize>,
                least: usize,
                index: u64|
     -> Result<Vec<usize>> {
        let number = asked.unwrap_or(size);
        if number > size || number < least {
            return Err(Error::argument(format!(
                "{number} {what} are not between {least} and {size}, the {of}"
            )));
        }
        if number == size {
            return Ok((0..size).collect());
        }
        let mut order = permutation(size, &mut stream(request.seed, Purpose::Difficulty, index));
        order.truncate(number);
        order.sort_unstable();
        Ok(order)
    };
    let bank = part("bank items", "samples", samples, request.bank, 3, 0)?;
    let own = part("queries", "bank items", bank.len(), request.queries, 2, 1)?;
    Ok(Chosen { bank, own })
}

/// The classes of queries and bank.
struct Law {
    queries: f64,
    num_negatives: usize,
    /// Queries of the class, n_c − 1.
    classes: Vec<(f64, usize)>,
    /// Mean of (n_c − 1)/K.
    chance: f64,
}

impl Law {
    fn new(task: &Task<'_>) -> Self {
        let own: Vec<usize> = task.own.iter().map(|&place| task.labels[place]).collect();
        let asked = crate::class_counts(&own, task.num_classes);
        let counts = crate::class_counts(task.labels, task.num_classes);
        let classes: Vec<(f64, usize)> = asked
            .into_iter()
            .zip(counts)
            .filter(|(asked, _)| *asked > 0)
            .map(|(asked, count)| (asked as f64, count as usize - 1))
            .collect();
        let (queries, num_negatives) = (own.len() as f64, task.num_negatives());
        let same: f64 = classes.iter().map(|(asked, same)| asked * *same as f64).sum();
        Self { queries, num_negatives, classes, chance: same / (queries * num_negatives as f64) }
    }

    fn row(&self, bin: Bin, tally: &BinTally) -> BinRow {
        let (queries, ranks) = (self.queries, bin.positions(self.num_negatives).len());
        let mean = tally.same as f64 / queries;
        // Σ same² − Q·mean², in integers but for the last step.
        let spread = tally.squares as f64 - mean * tally.same as f64;
        let any = |&(asked, same): &(f64, usize)| asked * any_same_class(self.num_negatives, same, ranks);
        BinRow {
            bin,
            ranks,
            similarity: tally.similarity / (queries * ranks as f64),
            same_class: mean / ranks as f64,
            standard_error: standard_error(spread, queries) / ranks as f64,
            chance: self.chance,
            any: tally.any as f64 / queries,
            any_chance: self.classes.iter().map(any).sum::<f64>() / queries,
        }
    }

    fn mass(&self, tally: &Tally) -> FalseNegativeMass {
        let (sum, squares, queries) = tally.mass;
        let queries = queries as f64;
        let mean = sum / queries;
        FalseNegativeMass {
            percent: 100.0 * self.chance,
            same_class: mean,
            standard_error: standard_error(squares - mean * sum, queries),
        }
    }
}

/// √(Σ (x − x̄)²/(Q (Q−1))); NaN for one query.
fn standard_error(spread: f64, queries: f64) -> f64 {
    (spread.max(0.0) / (queries * (queries - 1.0))).sqrt()
}

#[cfg(test)]
mod tests;
