//! Mean of embeddings: yᵢ = 1/|bᵢ| Σ_{w ∈ bᵢ} E_w over the words of bag i, with repetition; 0 of an empty bag.
//!
//! E \[V, d\] is row-major. The gradient of E is sparse, ∇_w = Σ_i Σ_{w ∈ bᵢ} dyᵢ/|bᵢ|, with one row for each distinct
//! word of the batch, in the order in which the words first appear: time and memory of a batch grow with its words, not
//! with V.
//! A row is summed in the order of the words, by one thread. The same function as PyTorch's
//! `EmbeddingBag(mode="mean")`.

use super::storage::expect_shape;
use candle_core::{Result, bail};
use measure::pool::{for_each, rows_per_chunk, simd};

/// Bags of row numbers.
#[derive(Debug, Clone, Copy)]
pub struct Bags<'a> {
    /// Rows of one bag after the other.
    pub words: &'a [u32],
    /// Where each bag ends in `words`.
    pub ends: &'a [usize],
}

impl<'a> Bags<'a> {
    /// Checks that every bag lies within `words`, one behind the other, and every word among `rows` rows.
    ///
    /// # Errors
    /// Otherwise.
    pub fn new(words: &'a [u32], ends: &'a [usize], rows: usize) -> Result<Self> {
        if !ends.is_sorted() || ends.last().copied().unwrap_or(0) != words.len() {
            bail!("embedding-bag: {} ends of bags do not cut {} words", ends.len(), words.len())
        }
        if let Some(word) = words.iter().find(|&&word| word as usize >= rows) {
            bail!("embedding-bag: word {word} is not among {rows} rows")
        }
        Ok(Self { words, ends })
    }

    fn range(&self, bag: usize) -> std::ops::Range<usize> {
        let start = if bag == 0 { 0 } else { self.ends[bag - 1] };
        start..self.ends[bag]
    }

    /// 1/|b|, and 0 of an empty bag.
    fn share(&self, bag: usize) -> f32 {
        match self.range(bag).len() {
            0 => 0.0,
            length => 1.0 / length as f32,
        }
    }
}

/// A gradient that is zero outside some rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SparseGradient {
    /// The rows, each once.
    pub rows: Vec<u32>,
    /// Their values \[rows, d\].
    pub values: Vec<f32>,
}

/// y \[bags, d\].
///
/// # Errors
/// `table` is not \[rows, columns\] with at least one column.
///
/// # Examples
/// ```
/// use trainer::ops::embedding_bag::{Bags, forward};
/// let table = [1.0, 2.0, 3.0, 4.0, 5.0, 8.0]; // three rows of two
/// let bags = Bags::new(&[0, 1, 2, 2], &[2, 2, 4], 3)?;
/// assert_eq!(forward(&table, [3, 2], bags)?, [2.0, 3.0, 0.0, 0.0, 5.0, 8.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn forward(table: &[f32], [rows, columns]: [usize; 2], bags: Bags<'_>) -> Result<Vec<f32>> {
    check(table.len(), [rows, columns], bags)?;
    let per_job = rows_per_chunk(columns);
    let mut means = vec![0f32; bags.ends.len() * columns];
    for_each(means.chunks_mut(per_job * columns).enumerate(), |(job, means)| {
        simd(
            #[inline(always)]
            || {
                for (index, mean) in means.chunks_exact_mut(columns).enumerate() {
                    let bag = job * per_job + index;
                    for &word in &bags.words[bags.range(bag)] {
                        add(mean, &table[word as usize * columns..][..columns]);
                    }
                    scale(mean, bags.share(bag));
                }
            },
        );
    });
    Ok(means)
}

/// ∇ for the gradient `dy` \[bags, d\] of y. `places` is room that is kept from call to call.
///
/// # Errors
/// `dy` of another shape; no column.
///
/// # Examples
/// ```
/// use trainer::ops::embedding_bag::{Bags, backward};
/// let bags = Bags::new(&[2, 0, 2], &[2, 3], 3)?;
/// let gradient = backward(&[2.0, 4.0], [3, 1], bags, &mut Vec::new())?;
/// assert_eq!((gradient.rows, gradient.values), (vec![2, 0], vec![5.0, 1.0]));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn backward(
    dy: &[f32],
    [rows, columns]: [usize; 2],
    bags: Bags<'_>,
    places: &mut Vec<u32>,
) -> Result<SparseGradient> {
    check(rows * columns, [rows, columns], bags)?;
    expect_shape("embedding-bag", "the gradient", &[dy.len()], &[bags.ends.len() * columns])?;
    let mut shares = dy.to_vec();
    for (bag, share) in shares.chunks_exact_mut(columns).enumerate() {
        scale(share, bags.share(bag));
    }
    let groups = Groups::new(bags, rows, places);
    let mut values = vec![0f32; groups.rows.len() * columns];
    let per_job = rows_per_chunk(columns);
    for_each(values.chunks_mut(per_job * columns).enumerate(), |(job, values)| {
        simd(
            #[inline(always)]
            || {
                for (index, value) in values.chunks_exact_mut(columns).enumerate() {
                    for &bag in groups.bags_of(job * per_job + index) {
                        add(value, &shares[bag as usize * columns..][..columns]);
                    }
                }
            },
        );
    });
    Ok(SparseGradient { rows: groups.rows, values })
}

fn check(length: usize, [rows, columns]: [usize; 2], bags: Bags<'_>) -> Result<()> {
    expect_shape("embedding-bag", "the table", &[length], &[rows * columns])?;
    if columns == 0 {
        bail!("embedding-bag: rows have no columns")
    }
    // `Bags::new` may have been told another number of rows.
    if bags.words.iter().any(|&word| word as usize >= rows) {
        bail!("embedding-bag: the bags have words beyond {rows} rows")
    }
    Ok(())
}

#[inline(always)]
fn add(sum: &mut [f32], row: &[f32]) {
    for (sum, x) in sum.iter_mut().zip(row) {
        *sum += x;
    }
}

#[inline(always)]
fn scale(row: &mut [f32], factor: f32) {
    row.iter_mut().for_each(|x| *x *= factor);
}

/// The distinct words of bags in the order in which they first appear, each with the bags it is in.
struct Groups {
    rows: Vec<u32>,
    /// Where the bags of each row end.
    ends: Vec<u32>,
    bags: Vec<u32>,
}

impl Groups {
    /// `places` is all `u32::MAX` before and after.
    fn new(bags: Bags<'_>, rows: usize, places: &mut Vec<u32>) -> Self {
        places.resize(rows, u32::MAX);
        let (mut found, mut counts) = (Vec::new(), Vec::<u32>::new());
        for &word in bags.words {
            let place = &mut places[word as usize];
            if *place == u32::MAX {
                *place = found.len() as u32;
                found.push(word);
                counts.push(0);
            }
            counts[*place as usize] += 1;
        }
        let mut next: Vec<u32> = Vec::with_capacity(counts.len());
        let mut total = 0;
        for count in counts {
            next.push(total);
            total += count;
        }
        let mut of = vec![0u32; bags.words.len()];
        for bag in 0..bags.ends.len() {
            for &word in &bags.words[bags.range(bag)] {
                let next = &mut next[places[word as usize] as usize];
                of[*next as usize] = bag as u32;
                *next += 1;
            }
        }
        found.iter().for_each(|&word| places[word as usize] = u32::MAX);
        // Each start has moved to its end.
        Self { rows: found, ends: next, bags: of }
    }

    fn bags_of(&self, index: usize) -> &[u32] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bags[start as usize..self.ends[index] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use measure::rng::{Purpose, normal, stream};
    use rand::Rng;

    struct Case {
        table: Vec<f32>,
        dy: Vec<f32>,
        words: Vec<u32>,
        ends: Vec<usize>,
    }

    const SHAPE: [usize; 2] = [300, 50];

    fn case() -> Case {
        let mut rng = stream(5, Purpose::Split, 0);
        let (mut words, mut ends) = (Vec::new(), Vec::new());
        for bag in 0..700 {
            // One bag is empty, and words repeat within bags.
            let length = if bag == 3 { 0 } else { rng.random_range(1..40) };
            words.extend((0..length).map(|_| (300.0 * rng.random::<f64>().powi(3)) as u32));
            ends.push(words.len());
        }
        let mut normals = |count: usize| (0..count).map(|_| normal(&mut rng)).collect::<Vec<_>>();
        Case { table: normals(300 * 50), dy: normals(700 * 50), words, ends }
    }

    /// Both passes against their definitions in f64.
    #[test]
    fn passes_are_their_definitions() {
        let case = case();
        let bags = Bags::new(&case.words, &case.ends, 300).unwrap();
        let y = forward(&case.table, SHAPE, bags).unwrap();
        let gradient = backward(&case.dy, SHAPE, bags, &mut Vec::new()).unwrap();
        // Σ and Σ|·| of each number, and of how many terms.
        let mut expected = vec![(0f64, 0f64, 0f64); 300 * 50];
        for bag in 0..700 {
            let words = &case.words[bags.range(bag)];
            for column in 0..50 {
                let of = |word: u32| f64::from(case.table[word as usize * 50 + column]);
                let mean = words.iter().map(|&word| of(word)).sum::<f64>() / words.len().max(1) as f64;
                assert!((f64::from(y[bag * 50 + column]) - mean).abs() < 1e-6, "bag {bag}");
                for &word in words {
                    let term = f64::from(case.dy[bag * 50 + column]) / words.len() as f64;
                    let (sum, size, terms) = &mut expected[word as usize * 50 + column];
                    (*sum, *size, *terms) = (*sum + term, *size + term.abs(), *terms + 1.0);
                }
            }
        }
        let mut distinct = gradient.rows.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), gradient.rows.len());
        for (row, values) in gradient.rows.iter().zip(gradient.values.chunks(50)) {
            for (found, expected) in values.iter().zip(&mut expected[*row as usize * 50..]) {
                let (sum, size, terms) = std::mem::take(expected);
                // Rounding of a sum in order, and two of each term: (n + 1) 2⁻²⁴ Σ|·|.
                let bound = (terms + 1.0) * size / f64::from(1 << 24);
                assert!((f64::from(*found) - sum).abs() <= bound, "row {row}: {found} {sum}");
            }
        }
        assert!(expected.iter().all(|left| left.2 == 0.0), "a row is missing");
    }

    #[test]
    fn threads_change_no_bit() {
        let case = case();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let bags = Bags::new(&case.words, &case.ends, 300).unwrap();
                let y = forward(&case.table, SHAPE, bags).unwrap();
                (y, backward(&case.dy, SHAPE, bags, &mut Vec::new()).unwrap())
            })
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn bags_outside_are_refused() {
        assert!(Bags::new(&[0, 3], &[2], 3).is_err());
        assert!(Bags::new(&[0, 1], &[1], 3).is_err());
        assert!(Bags::new(&[0, 1], &[2, 1, 2], 3).is_err());
        let bags = Bags::new(&[2], &[1], 3).unwrap();
        assert!(forward(&[0.0; 4], [2, 2], bags).is_err());
        assert!(backward(&[0.0; 3], [3, 2], bags, &mut Vec::new()).is_err());
    }
}
