//! One pass over queries: the negatives of each, sorted, and counted by interval of difficulty and by class.
//!
//! Similarities are made for 64 queries at a time (all items: 64·M numbers a thread), sorted row by row and forgotten:
//! O(M²d) for products, O(M² ln M) for sorting, and memory of order M beside the features. Counts are integers and the
//! similarities are added in the order of the queries, so that the number of threads changes no bit.

use super::bins::{Bin, EASIEST, HARDEST};
use crate::Views;
use crate::error::{Error, Result};
use crate::gemm::Threads;
use crate::matrix::times_transposed;
use crate::pool::{self, Stop};

/// Queries of a block.
const BLOCK: usize = 64;
/// Counts that a block may hold: with thousands of classes it has fewer queries.
const MOST_COUNTS: usize = 1 << 22;

/// What is ranked.
pub(super) struct Task<'a> {
    /// View 1 of the queries \[Q, d\], view 2 of the bank \[B, d\].
    pub views: &'a Views,
    /// Place in the bank of each query's own sample.
    pub own: &'a [usize],
    /// Class of each bank item.
    pub labels: &'a [usize],
    /// C.
    pub num_classes: usize,
    /// None of them empty.
    pub bins: &'a [Bin],
    /// Whether pairs of classes are counted.
    pub pairs: bool,
}

/// Sums over queries for one bin.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct BinTally {
    /// Σ of same-class negatives over queries.
    pub same: u64,
    /// Σ of their squares.
    pub squares: u128,
    /// Queries with at least one.
    pub any: u64,
    /// Σ of similarities.
    pub similarity: f64,
    /// Pairs of the query's class and the negative's \[C, C\]; empty unless asked for.
    pub pairs: Vec<u64>,
}

/// Sums over queries.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tally {
    /// In the order of the bins.
    pub bins: Vec<BinTally>,
    /// The hardest n_c − 1 negatives of each query, as many as have its class: Σ over queries of the share of
    /// same-class ones among them, and of its square; queries that have such negatives.
    pub mass: (f64, f64, u64),
    /// For each bank item Σ over queries of its position, 0 the hardest.
    pub positions: Vec<u64>,
    /// Queries for which it is among the hardest 5 %.
    pub hardest: Vec<u32>,
    /// Queries for which it is among the easiest 5 %.
    pub easiest: Vec<u32>,
}

impl Task<'_> {
    /// K.
    pub fn num_negatives(&self) -> usize {
        self.labels.len() - 1
    }

    /// Ranks the negatives of every query.
    ///
    /// # Errors
    /// `stop` says so; views of different numbers of columns; a similarity that is not finite.
    pub fn run(&self, stop: Stop<'_>) -> Result<Tally> {
        let queries = self.own.len();
        let block = (MOST_COUNTS / (self.bins.len() * self.num_classes)).clamp(1, BLOCK);
        let class_counts = crate::class_counts(self.labels, self.num_classes);
        let mut total = Tally {
            bins: vec![BinTally::default(); self.bins.len()],
            positions: vec![0; self.labels.len()],
            hardest: vec![0; self.labels.len()],
            easiest: vec![0; self.labels.len()],
            ..Tally::default()
        };
        if self.pairs {
            total.bins.iter_mut().for_each(|bin| bin.pairs = vec![0; self.num_classes * self.num_classes]);
        }
        // In waves of one block a thread, so that no more results wait than there are threads.
        let starts: Vec<usize> = (0..queries).step_by(block).collect();
        for wave in starts.chunks(rayon::current_num_threads().max(1)) {
            pool::check(stop, "ranking negatives")?;
            let found = pool::map(wave.iter().copied(), |start| {
                self.rank(start..(start + block).min(queries), &class_counts)
            });
            for (block, &start) in found.into_iter().zip(wave) {
                self.add(&mut total, &block?, start);
            }
        }
        Ok(total)
    }

    fn rank(&self, queries: std::ops::Range<usize>, class_counts: &[u64]) -> Result<Block> {
        let (bank, negatives) = (self.labels.len(), self.num_negatives());
        let ranges: Vec<_> = self.bins.iter().map(|bin| bin.positions(negatives)).collect();
        let [hardest, easiest] = [HARDEST, EASIEST].map(|bin| bin.positions(negatives));
        let mut found = Block::new(queries.len(), self);
        let mut similarities = vec![0.0; queries.len() * bank];
        let rows = self.views.first.rows_in(queries.clone());
        times_transposed(rows, self.views.second.all(), &mut similarities, Threads::One)?;
        let mut order: Vec<(f64, u32)> = Vec::with_capacity(bank);
        for (query, (row, own)) in similarities.chunks_exact(bank).zip(&self.own[queries]).enumerate() {
            sort(row, *own, &mut order);
            if let Some((value, j)) = order.iter().find(|(s, _)| !s.is_finite()) {
                return Err(Error::NonFinite(format!("the similarity of negative {j} is {value}")));
            }
            for (bin, range) in ranges.iter().enumerate() {
                let counts = found.counts(query, bin);
                let mut sum = 0.0;
                for &(similarity, item) in &order[range.clone()] {
                    counts[self.labels[item as usize]] += 1;
                    sum += similarity;
                }
                found.similarity[bin] += sum;
            }
            let class = self.labels[*own];
            let mass = class_counts[class] as usize - 1;
            let same = order[..mass].iter().filter(|(_, item)| self.labels[*item as usize] == class).count();
            found.mass.push((same as u32, mass as u32));
            for (position, &(_, item)) in order.iter().enumerate() {
                found.positions[item as usize] += position as u64;
            }
            order[hardest.clone()].iter().for_each(|(_, item)| found.hardest[*item as usize] += 1);
            order[easiest.clone()].iter().for_each(|(_, item)| found.easiest[*item as usize] += 1);
        }
        Ok(found)
    }

    fn add(&self, total: &mut Tally, block: &Block, start: usize) {
        let classes = self.num_classes;
        for (query, counts) in block.counts.chunks_exact(self.bins.len() * classes).enumerate() {
            let class = self.labels[self.own[start + query]];
            for (bin, counts) in total.bins.iter_mut().zip(counts.chunks_exact(classes)) {
                let same = counts[class];
                bin.same += u64::from(same);
                bin.squares += u128::from(same) * u128::from(same);
                bin.any += u64::from(same > 0);
                if self.pairs {
                    let pairs = &mut bin.pairs[class * classes..][..classes];
                    pairs.iter_mut().zip(counts).for_each(|(sum, count)| *sum += u64::from(*count));
                }
            }
        }
        for (bin, similarity) in total.bins.iter_mut().zip(&block.similarity) {
            bin.similarity += similarity;
        }
        for &(same, mass) in block.mass.iter().filter(|(_, mass)| *mass > 0) {
            let share = f64::from(same) / f64::from(mass);
            total.mass = (total.mass.0 + share, total.mass.1 + share * share, total.mass.2 + 1);
        }
        let add = |sums: &mut [u32], found: &[u32]| sums.iter_mut().zip(found).for_each(|(s, x)| *s += x);
        add(&mut total.hardest, &block.hardest);
        add(&mut total.easiest, &block.easiest);
        total.positions.iter_mut().zip(&block.positions).for_each(|(sum, found)| *sum += found);
    }
}

/// The bank without the query's own sample, the hardest first.
///
/// Ascending ranks are stable by index, so among negatives of one similarity the last index is the hardest.
fn sort(similarities: &[f64], own: usize, order: &mut Vec<(f64, u32)>) {
    order.clear();
    // + 0.0: −0 and 0 are one similarity.
    order.extend(similarities.iter().zip(0..).filter(|(_, j)| *j as usize != own).map(|(s, j)| (s + 0.0, j)));
    order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
}

/// What a block of queries says.
struct Block {
    /// \[query, bin, class\].
    counts: Vec<u32>,
    bins: usize,
    classes: usize,
    similarity: Vec<f64>,
    mass: Vec<(u32, u32)>,
    positions: Vec<u64>,
    hardest: Vec<u32>,
    easiest: Vec<u32>,
}

impl Block {
    fn new(queries: usize, task: &Task<'_>) -> Self {
        let (bins, classes, bank) = (task.bins.len(), task.num_classes, task.labels.len());
        Self {
            counts: vec![0; queries * bins * classes],
            bins,
            classes,
            similarity: vec![0.0; bins],
            mass: Vec::with_capacity(queries),
            positions: vec![0; bank],
            hardest: vec![0; bank],
            easiest: vec![0; bank],
        }
    }

    fn counts(&mut self, query: usize, bin: usize) -> &mut [u32] {
        &mut self.counts[(query * self.bins + bin) * self.classes..][..self.classes]
    }
}

/// Ranks by the definition, for tests of this module and its neighbours: `[query][position]` is the place in the bank.
#[cfg(test)]
pub(super) fn by_definition(
    first: &crate::matrix::Matrix,
    second: &crate::matrix::Matrix,
    own: &[usize],
) -> Vec<Vec<usize>> {
    let similarity = |i: usize, j: usize| crate::matrix::dot(first.row(i), second.row(j));
    let of_query = |(i, own): (usize, &usize)| {
        let mut order: Vec<usize> = (0..second.rows).filter(|j| j != own).collect();
        // A stable ascending sort, read from its end.
        order.sort_by(|&a, &b| similarity(i, a).total_cmp(&similarity(i, b)));
        order.reverse();
        order
    };
    own.iter().enumerate().map(of_query).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Matrix;

    /// Small whole numbers: similarities are exact and often equal.
    fn matrix(rows: usize, seed: usize) -> Matrix {
        let data = (0..rows * 4).map(|i| ((i * 7919 + i / 3 * seed) % 5) as f64 - 2.0).collect();
        Matrix { rows, cols: 4, data }
    }

    #[test]
    fn counts_follow_the_definition() {
        // Two blocks of queries, the second ragged; a bank larger than the queries; a class of one sample.
        let (bank, queries) = (150, BLOCK + 9);
        let own: Vec<usize> = (0..queries).map(|i| 2 * i).collect();
        let second = matrix(bank, 11);
        let views = Views { first: matrix(queries, 5), second };
        let labels: Vec<usize> =
            (0..bank).map(|j| if j == 4 { 2 } else { usize::from(j % 3 == 0) }).collect();
        let bins: Vec<Bin> = ["0-1", "1-20", "0-50", "37.5-100"].map(|b| b.parse().unwrap()).to_vec();
        let task =
            Task { views: &views, own: &own, labels: &labels, num_classes: 3, bins: &bins, pairs: true };
        let found = task.run(&|| false).unwrap();

        let orders = by_definition(&views.first, &views.second, &own);
        let k = bank - 1;
        for (tally, bin) in found.bins.iter().zip(&bins) {
            let mut expected = BinTally { pairs: vec![0; 9], ..BinTally::default() };
            for (i, order) in orders.iter().enumerate() {
                let class = labels[own[i]];
                let inside = &order[bin.positions(k)];
                let same = inside.iter().filter(|&&j| labels[j] == class).count();
                expected.same += same as u64;
                expected.squares += (same * same) as u128;
                expected.any += u64::from(same > 0);
                for &j in inside {
                    expected.pairs[3 * class + labels[j]] += 1;
                    expected.similarity += crate::matrix::dot(views.first.row(i), views.second.row(j));
                }
            }
            assert_eq!(*tally, expected, "{bin}");
        }
        for j in 0..bank {
            let places: Vec<usize> =
                orders.iter().filter_map(|order| order.iter().position(|&item| item == j)).collect();
            assert_eq!(found.positions[j], places.iter().sum::<usize>() as u64);
            let within = |bin: Bin| places.iter().filter(|p| bin.positions(k).contains(p)).count() as u32;
            assert_eq!((found.hardest[j], found.easiest[j]), (within(HARDEST), within(EASIEST)));
        }
        // The sample of class 2, a query too, is alone: no mass.
        assert_eq!(found.mass.2, queries as u64 - 1);
        assert!(task.run(&|| true).unwrap_err().to_string().contains("interrupted"));

        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| task.run(&|| false).unwrap())
        };
        assert!(on(1) == found && on(3) == found, "threads change no bit");
    }
}
