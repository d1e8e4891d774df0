//! t-SNE (van der Maaten & Hinton 2008) by Barnes and Hut's approximation (van der Maaten 2014), by the crate `bhtsne`.
//!
//! Its defaults: 1,000 steps, exaggeration 12 for the first 250, θ = 0.5; and perplexity 30, or a third of the neighbours
//! that there are. The crate draws random numbers of its own for its start and its search of neighbours: both are given
//! to it here, and it runs on one thread, whose sums have one order. The same features make the same bits.

use super::pca::Principal;
use crate::error::{Error, Result};
use crate::gemm::Threads;
use crate::matrix::{Matrix, dot, times_transposed};
use crate::pool::{self, Stop};
use crate::rng::{Purpose, normal, stream};
use bhtsne::{Neighbor, tSNE};

/// What an interruption gives up.
const DOING: &str = "drawing features";
/// Effective number of neighbours of a point.
const PERPLEXITY: usize = 30;
/// Neighbours that are looked at, for each of those.
const SEARCHED: usize = 3;
/// Barnes and Hut's θ.
const THETA: f64 = 0.5;
/// Standard deviation of the first principal component at the start, as in scikit-learn.
const START: f64 = 1e-4;
/// Standard deviation of what is added to it: points that are alike part.
const NOISE: f64 = 1e-6;
/// Rows of a block of pairs.
const BLOCK: usize = 128;

/// Fewest samples: each has three neighbours then.
pub(super) const FEWEST: usize = SEARCHED + 1;

/// Where t-SNE puts each row, from the principal components on.
///
/// # Errors
/// Fewer than [`FEWEST`] rows; `stop` says so, which is not asked during the steps: some seconds for 2,000 rows.
pub(super) fn tsne(x: &Matrix, principal: &Principal, stop: Stop<'_>) -> Result<Vec<[f64; 2]>> {
    if x.rows < FEWEST {
        return Err(Error::argument(format!("t-SNE needs {FEWEST} samples, not {}", x.rows)));
    }
    let perplexity = PERPLEXITY.min((x.rows - 1) / SEARCHED);
    let neighbours = neighbours(x, SEARCHED * perplexity, stop)?;
    let squares: f64 = principal.scores.iter().map(|score| score[0].powi(2)).sum();
    let deviation = (squares / x.rows as f64).sqrt();
    let scale = if deviation > 0.0 { START / deviation } else { 0.0 };
    let mut rng = stream(0, Purpose::Picture, 0);
    let mut start = |score: f64| scale * score + NOISE * f64::from(normal(&mut rng));
    let start: Vec<f64> = principal.scores.iter().flatten().map(|score| start(*score)).collect();
    pool::check(stop, DOING)?;
    let placed = pool::with_threads(1, || {
        // The crate asks for samples to measure their distances, which are known.
        let samples = vec![(); x.rows];
        let mut tsne = tSNE::<f64, (), 2>::new(&samples);
        tsne.perplexity(perplexity as f64).initial_embedding(start);
        Ok::<_, Error>(tsne.barnes_hut_with_neighbors(THETA, &neighbours).embedding())
    })?;
    pool::check(stop, DOING)?;
    Ok(placed.as_chunks().0.to_vec())
}

/// The `count` nearest other rows of each row, the nearest first; of equally near ones the first.
fn neighbours(x: &Matrix, count: usize, stop: Stop<'_>) -> Result<Vec<Vec<Neighbor<f64>>>> {
    let squares: Vec<f64> = (0..x.rows).map(|i| dot(x.row(i), x.row(i))).collect();
    let of_block = |start: usize| -> Result<Vec<Vec<Neighbor<f64>>>> {
        pool::check(stop, DOING)?;
        let end = (start + BLOCK).min(x.rows);
        let mut products = vec![0.0; (end - start) * x.rows];
        times_transposed(x.rows_in(start..end), x.rows_in(0..x.rows), &mut products, Threads::One)?;
        let nearest = |(i, products): (usize, &[f64])| {
            let others = (0..x.rows).filter(|&j| j != i);
            let mut all: Vec<Neighbor<f64>> = others
                .map(|index| {
                    let square = squares[i] + squares[index] - 2.0 * products[index];
                    Neighbor { index, distance: square.max(0.0).sqrt() }
                })
                .collect();
            all.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.index.cmp(&b.index)));
            all.truncate(count);
            all
        };
        Ok((start..end).zip(products.chunks_exact(x.rows)).map(nearest).collect())
    };
    let blocks = pool::map((0..x.rows).step_by(BLOCK), of_block);
    Ok(blocks.into_iter().collect::<Result<Vec<_>>>()?.concat())
}
