//! Whether the same samples are hard for every query: the spread of mean percentiles over bank items, against chance.
//!
//! The percentile of a negative at position h of K (0 the hardest) is p = (h + ½)/K. Each query gives its K negatives
//! the values (0 + ½)/K, …, (K − ½)/K, so if ranks are exchangeable, p has mean ½ and variance
//!
//! v = (1/K)·Σ_h ((h + ½)/K − ½)² = (K² − 1)/(12 K²),
//!
//! and the mean of an item that is a negative of n independent queries has variance v/n (1/(12 n) for a continuous p).
//! With y_j = Σ_i (p_ij − ½)/√v over the n_j queries i of item j,
//!
//! T = Σ_j y_j²,   E T = Σ_j n_j = QK,   ratio = T/(QK):
//!
//! the variance of mean percentiles about ½, items weighted by n_j², over that of the null, v·Σ n_j/Σ n_j². T is
//! Friedman's statistic but for the sample that a query leaves out, its own. Its variance under the null is exact:
//! queries are independent, Σ_j x_ij² is the constant K, so that only products of two queries vary. With x_ij = (p_ij −
//! ½)/√v, 0 for i's own sample, and Cov_i = (K/(K−1))·(P_i − 1_i 1_iᵀ/K), P_i the identity and 1_i the vector of ones
//! without that sample,
//!
//! Var T = 2 Q (Q−1) tr(Cov_i Cov_i') = 2 Q (Q−1) (K² − K − 1)/(K − 1),   z = (T − QK)/√(Var T).
//!
//! Exchangeable ranks are not what features without meaning give: for independent directions in d < K dimensions the
//! ratio still has mean 1 (reversing a query reverses its ranks), but similarities to one query share d coordinates.
//! Two items at the cosine ρ have percentiles of correlation (6/π) asin(ρ/2) over random queries, so the ratio's
//! variance is about (2/K)(1 + (9/π²) K/d) instead of 2/K, and z is wider alike. Read the ratio first.

use super::tally::Tally;
use crate::difficulty::bins::{Bin, EASIEST, HARDEST};
use crate::error::{Error, Result};
use statrs::distribution::{Binomial, DiscreteCDF};

/// The share of a binomial below the quantile that an item must pass to count as consistently hard or easy.
pub const QUANTILE: f64 = 0.999;

/// How consistently one bank item is hard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Item {
    /// Its index among the samples.
    pub index: usize,
    /// Its class.
    pub class: usize,
    /// n_j: queries for which it is a negative.
    pub queries: usize,
    /// Mean percentile over them, in (0, 1); 0 is the hardest.
    pub mean_percentile: f64,
    /// (mean − ½)·√(n/v).
    pub z: f64,
    /// Queries for which it is among the hardest 5 %.
    pub hardest: u32,
    /// Queries for which it is among the easiest 5 %.
    pub easiest: u32,
}

/// Items that are at one end for more queries than chance allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tail {
    /// Ranks at this end: ⌊0.05 K⌋ of the hardest, ⌈0.05 K⌉ of the easiest.
    pub ranks: usize,
    /// The 99.9 % quantile of Binomial(n, ranks/K), n that of most items.
    pub quantile: u64,
    /// Share of items that pass the quantile of their own n.
    pub share: f64,
    /// The same under the null, at most 0.001.
    pub expected: f64,
}

/// Consistency over all items.
#[derive(Debug, Clone, PartialEq)]
pub struct Consistency {
    /// In the order of their indices.
    pub items: Vec<Item>,
    /// Variance of mean percentiles about ½, weighted by n_j².
    pub variance: f64,
    /// Its expectation for exchangeable ranks.
    pub null_variance: f64,
    /// Their ratio, T/(QK).
    pub ratio: f64,
    /// The standard deviation of the ratio for independent directions in as many dimensions as the features have, about
    /// √((2/K)(1 + (9/π²) K/d)(1 − 1/Q)): what features without meaning give.
    pub ratio_deviation: f64,
    /// (T − QK)/√(Var T).
    pub z: f64,
    /// `None` where 5 % of K is less than one rank.
    pub hardest: Option<Tail>,
    /// The easiest 5 %.
    pub easiest: Option<Tail>,
}

/// v: the variance of the percentile of an exchangeable rank.
///
/// # Examples
/// ```
/// use measure::difficulty::percentile_variance;
/// // K = 2: percentiles ¼ and ¾.
/// assert_eq!(percentile_variance(2), 0.0625);
/// ```
pub fn percentile_variance(num_negatives: usize) -> f64 {
    let k = num_negatives as f64;
    (k * k - 1.0) / (12.0 * k * k)
}

/// From sums over `queries` queries by features of d = `dimensions` coordinates; `bank` holds index and class of each
/// item, `own` the items that are queries themselves.
pub(super) fn consistency(
    tally: &Tally,
    bank: &[(usize, usize)],
    own: &[usize],
    dimensions: usize,
) -> Result<Consistency> {
    let (queries, k) = (own.len(), bank.len() - 1);
    if queries < 2 || k < 2 {
        return Err(Error::argument(format!(
            "consistency needs at least 2 queries and 2 negatives, not {queries} and {k}"
        )));
    }
    let v = percentile_variance(k);
    let mut asked = vec![queries; bank.len()];
    own.iter().for_each(|&j| asked[j] -= 1);
    let mut items = Vec::with_capacity(bank.len());
    let (mut t, mut weight) = (0.0, 0.0);
    for (j, (&(index, class), &n)) in bank.iter().zip(&asked).enumerate() {
        let n_f = n as f64;
        // Σ (h − (K−1)/2), halves made whole: an exact integer.
        let twice = 2 * i128::from(tally.positions[j]) - n as i128 * (k as i128 - 1);
        let offset = 0.5 * twice as f64 / k as f64;
        t += offset * offset / v;
        weight += n_f * n_f;
        items.push(Item {
            index,
            class,
            queries: n,
            mean_percentile: 0.5 + offset / n_f,
            z: offset / (n_f * v).sqrt(),
            hardest: tally.hardest[j],
            easiest: tally.easiest[j],
        });
    }
    let (q, k_f) = (queries as f64, k as f64);
    let pairs = q * k_f;
    let variance = 2.0 * q * (q - 1.0) * (k_f * k_f - k_f - 1.0) / (k_f - 1.0);
    Ok(Consistency {
        variance: t * v / weight,
        null_variance: pairs * v / weight,
        ratio: t / pairs,
        ratio_deviation: ((2.0 / k_f + 18.0 / (std::f64::consts::PI.powi(2) * dimensions as f64))
            * (1.0 - 1.0 / q))
            .sqrt(),
        z: (t - pairs) / variance.sqrt(),
        hardest: tail(HARDEST, &items, k, |item| item.hardest)?,
        easiest: tail(EASIEST, &items, k, |item| item.easiest)?,
        items,
    })
}

/// The share of items that are in `bin` for more queries than the quantile of the binomial law of the null.
fn tail(bin: Bin, items: &[Item], k: usize, count: impl Fn(&Item) -> u32) -> Result<Option<Tail>> {
    let ranks = bin.positions(k).len();
    if ranks == 0 {
        return Ok(None);
    }
    // n takes two values at most.
    let law = |n: usize| -> Result<(u64, f64)> {
        let law = Binomial::new(ranks as f64 / k as f64, n as u64)
            .map_err(|e| Error::argument(format!("the law of {n} queries: {e}")))?;
        let quantile = law.inverse_cdf(QUANTILE);
        Ok((quantile, law.sf(quantile)))
    };
    let (most, least) = items
        .iter()
        .fold((0, usize::MAX), |(most, least), item| (most.max(item.queries), least.min(item.queries)));
    let (of_most, of_least) = (law(most)?, law(least)?);
    let of = |item: &Item| if item.queries == most { of_most } else { of_least };
    let passing = items.iter().filter(|item| u64::from(count(item)) > of(item).0).count();
    let share = |sum: f64| sum / items.len() as f64;
    let usual = if 2 * items.iter().filter(|item| item.queries == most).count() >= items.len() {
        of_most
    } else {
        of_least
    };
    Ok(Some(Tail {
        ranks,
        quantile: usual.0,
        share: share(passing as f64),
        expected: share(items.iter().map(|item| of(item).1).sum()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, normal, permutation, stream};

    /// Sums over queries that rank their negatives by `order()`, a list of places in the bank, the hardest first.
    fn tally(bank: usize, own: &[usize], mut order: impl FnMut() -> Vec<usize>) -> Tally {
        let k = bank - 1;
        let mut tally = Tally {
            positions: vec![0; bank],
            hardest: vec![0; bank],
            easiest: vec![0; bank],
            ..Tally::default()
        };
        for query in own {
            for (position, item) in order().into_iter().filter(|j| j != query).enumerate() {
                tally.positions[item] += position as u64;
                tally.hardest[item] += u32::from(HARDEST.positions(k).contains(&position));
                tally.easiest[item] += u32::from(EASIEST.positions(k).contains(&position));
            }
        }
        tally
    }

    fn bank(size: usize) -> Vec<(usize, usize)> {
        (0..size).map(|j| (10 * j, 0)).collect()
    }

    #[test]
    fn the_variance_of_a_percentile_is_the_sum_over_ranks() {
        for k in [1usize, 2, 3, 10, 449] {
            let p = |h: usize| (h as f64 + 0.5) / k as f64 - 0.5;
            let expected = (0..k).map(|h| p(h) * p(h)).sum::<f64>() / k as f64;
            assert!((percentile_variance(k) - expected).abs() < 1e-15);
        }
        assert!((12.0 * percentile_variance(1_000_000) - 1.0).abs() < 1e-11, "the continuous limit");
    }

    /// Every query ranks alike: means are the percentiles themselves (but for the own sample), the ratio is near Q.
    #[test]
    fn equal_rankings_are_wholly_consistent() {
        let (size, queries) = (201, 40);
        let own: Vec<usize> = (0..queries).collect();
        let found = consistency(&tally(size, &own, || (0..size).collect()), &bank(size), &own, 8).unwrap();
        assert!((found.ratio / queries as f64 - 1.0).abs() < 0.02, "{}", found.ratio);
        assert!((found.variance - percentile_variance(200)).abs() < 0.002, "{}", found.variance);
        // 200 is the last item and no query: position 199 of 200 for all.
        let last = found.items[200];
        assert_eq!((last.index, last.queries, last.easiest, last.hardest), (2000, queries, 40, 0));
        assert!((last.mean_percentile - 199.5 / 200.0).abs() < 1e-15);
        // Ten of 201 items are hard for all, and ten easy, up to the items that move at the border.
        for tail in [found.hardest.unwrap(), found.easiest.unwrap()] {
            assert!(tail.ranks == 10 && (tail.share * 201.0 - 10.0).abs() < 2.0, "{tail:?}");
        }
    }

    /// Simulation of the null: mean and variance of T, the law of an item's mean, and the share of flagged items.
    #[test]
    fn permuted_ranks_have_the_moments_that_are_derived() {
        // Queries fewer than the bank and all of it; 2,000 draws each.
        for (size, queries) in [(41usize, 12usize), (21, 21)] {
            let own: Vec<usize> = (0..queries).collect();
            let k = size - 1;
            let mut rng = stream(3, Purpose::Difficulty, size as u64);
            let draws = 2000;
            let (mut ratios, mut squares, mut means, mut flagged, mut expected) = (0.0, 0.0, 0.0, 0.0, 0.0);
            for _ in 0..draws {
                let drawn = tally(size, &own, || permutation(size, &mut rng));
                let found = consistency(&drawn, &bank(size), &own, 8).unwrap();
                ratios += found.ratio;
                squares += found.z * found.z;
                means += (found.items[0].mean_percentile - 0.5).powi(2);
                let tail = found.hardest.unwrap();
                flagged += tail.share;
                expected += tail.expected;
                assert!((found.ratio - found.variance / found.null_variance).abs() < 1e-12);
            }
            let count = f64::from(draws);
            // Standard deviation of the ratio: √(Var T)/(QK) ≈ √(2/K).
            let error = (2.0 / k as f64 / count).sqrt();
            assert!((ratios / count - 1.0).abs() < 4.0 * error, "E T: {}", ratios / count);
            // z² has mean 1 and, near χ²/K, a variance of 2 + 12/K.
            let error = ((2.0 + 12.0 / k as f64) / count).sqrt();
            assert!((squares / count - 1.0).abs() < 4.0 * error, "Var T: {}", squares / count);
            // The first item is a query: n = Q − 1.
            let v = percentile_variance(k) / (queries - 1) as f64;
            assert!(
                (means / count / v - 1.0).abs() < 4.0 * (2.0 / count).sqrt(),
                "v/n: {}",
                means / count / v
            );
            let share = expected / count;
            assert!(share <= 0.001 && share > 0.0);
            // Counts of one draw are negatively correlated, so this is wide.
            let error = (share / (count * size as f64)).sqrt();
            assert!((flagged / count - share).abs() < 4.0 * error, "{} for {share}", flagged / count);
        }
    }

    /// Directions that know nothing, in few dimensions: the ratio varies as stated, far more than exchangeable ranks'.
    #[test]
    fn random_directions_vary_as_stated() {
        let (size, draws) = (60usize, 600);
        for dimensions in [4usize, 16] {
            let own: Vec<usize> = (0..size).collect();
            let mut rng = stream(5, Purpose::Difficulty, dimensions as u64);
            let mut direction = || -> Vec<f32> {
                let v: Vec<f32> = (0..dimensions).map(|_| normal(&mut rng)).collect();
                let norm = v.iter().map(|x| x * x).sum::<f32>().sqrt();
                v.iter().map(|x| x / norm).collect()
            };
            let (mut squares, mut stated) = (0.0, 0.0);
            for _ in 0..draws {
                let items: Vec<Vec<f32>> = (0..size).map(|_| direction()).collect();
                let drawn = tally(size, &own, || {
                    let query = direction();
                    let dot = |j: usize| items[j].iter().zip(&query).map(|(a, b)| a * b).sum::<f32>();
                    let mut order: Vec<usize> = (0..size).collect();
                    order.sort_by(|&a, &b| dot(b).total_cmp(&dot(a)));
                    order
                });
                let found = consistency(&drawn, &bank(size), &own, dimensions).unwrap();
                squares += (found.ratio - 1.0).powi(2);
                stated = found.ratio_deviation.powi(2);
            }
            let found = squares / f64::from(draws);
            // 600 draws of a skewed law; the formula takes ranks for Gaussian.
            assert!((found / stated - 1.0).abs() < 0.25, "d = {dimensions}: {found} for {stated}");
            assert!(stated > 3.0 * 2.0 / 59.0, "more than exchangeable ranks");
        }
    }

    #[test]
    fn too_few_queries_are_refused() {
        let error = consistency(&Tally::default(), &bank(5), &[0], 8).unwrap_err().to_string();
        assert_eq!(error, "consistency needs at least 2 queries and 2 negatives, not 1 and 4");
    }
}
