//! How features lie on the sphere: alignment, uniformity, effective rank, RankMe.
//!
//! Wang & Isola (2020), for unit features: alignment E‖f(x) − f(x⁺)‖² (α = 2) over the two views of a sample;
//! uniformity ln E e^{−2‖f(x) − f(y)‖²} (t = 2) over the pairs of distinct samples i < j of view 1, as their `pdist`
//! has it: a sample does not meet itself. Their figures average the uniformity of x and that of y, which
//! `uniformity_both_views` does; alignment is of both views as it is.
//!
//! Roy & Vetterli (2007): e^H, H = −Σ_k p_k ln p_k, p the eigenvalues of the covariance of view 1 (features less their
//! mean) over their sum: between 1 and d. RankMe (Garrido, Balestriero, Najman & LeCun 2023): the same of
//! p_k = σ_k/Σσ + 1e-7, σ the min(N, d) singular values of view 1 as it is \[N, d\], not less its mean: the mean's
//! direction counts, and σ weighs small directions more than σ² does. σ are the roots of the eigenvalues of XᵀX, so
//! that one below 1e-8 of the largest is lost: less than the 1e-7 beside it.
//!
//! **Errors over images** ([`crate::image_errors`]). Alignment: SD/√N. Uniformity: with κ_i the mean over j of the
//! exponentials of sample i, and κ̄ their mean, the U-statistic κ̄ has variance 4 Σ (κ_i − κ̄)²/(N(N−1)) to first
//! order, and its logarithm that over κ̄². Effective rank R: to first order λ_k moves with sample i by its squared
//! coordinate q_ik² along eigenvector k less λ_k, which moves R by r_i = −(R/Σλ) Σ_k (ln p_k + H) q_ik² (the terms in
//! λ_k sum to 0): √(Σ r_i²/(N(N−1))). That is the scatter of R, not its bias: R of few samples in many dimensions is
//! too low. RankMe alike, where σ_k = √λ_k moves by (q_ik² − λ_k)/(2σ_k). The mean of two uniformities moves by half
//! the sum of what moves each.

use crate::error::{Error, Result};
use crate::evaluation::Views;
use crate::gemm::Threads;
use crate::matrix::{Matrix, dot, times_transposed};
use crate::pool::{self, Stop};
use crate::rows::{FeatureRows, runs};
use nalgebra::DMatrix;
use std::ops::Range;
use theory::losses::{Estimate, Quantity};

/// What an interruption gives up.
const DOING: &str = "measuring the geometry of features";
/// Rows of a block of pairs.
const BLOCK: usize = 128;

/// Alignment, uniformity of view 1 and of both views, effective rank and RankMe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    /// E‖f(x) − f(x⁺)‖², in \[0, 4\] for unit features.
    pub alignment: f64,
    /// ln E e^{−2‖f(x) − f(y)‖²}, at most 0.
    pub uniformity: f64,
    /// Mean of that and of the same of view 2.
    pub uniformity_both_views: f64,
    /// Entropy rank of the covariance; 1 where all features are one point.
    pub effective_rank: f64,
    /// Entropy rank of the features' singular values.
    pub rankme: f64,
    /// Errors over images of the five, in their order.
    pub image_errors: [f64; 5],
}

impl Geometry {
    /// The columns of `losses.csv`.
    pub fn columns(self) -> [(Quantity, f64); 5] {
        [
            (Quantity::Alignment, self.alignment),
            (Quantity::Uniformity, self.uniformity),
            (Quantity::UniformityBothViews, self.uniformity_both_views),
            (Quantity::EffectiveRank, self.effective_rank),
            (Quantity::RankMe, self.rankme),
        ]
    }

    /// The columns with their errors over images.
    pub fn estimates(self) -> [(Quantity, Estimate); 5] {
        let columns = self.columns();
        std::array::from_fn(|i| {
            let (quantity, value) = columns[i];
            (quantity, Estimate::exact(value).with_image_error(Some(self.image_errors[i])))
        })
    }
}

/// Alignment, uniformity, effective rank and RankMe of two views of the same samples.
///
/// Cost: a product of all pairs of each view and two eigenproblems of size d; the number of threads changes no bit.
///
/// # Errors
/// Fewer than 2 samples; views of different shapes; features that are not finite; `stop` says so.
pub fn geometry<F: FeatureRows>(views: &Views<F>, stop: Stop<'_>) -> Result<Geometry> {
    of_rows(views, None, stop)
}

/// [`geometry`], both uniformities over the pairs of these samples (`None`: of all), all else over all samples, some
/// rows at a time.
///
/// # Errors
/// Those of [`geometry`]; a file that can no longer be read.
pub(crate) fn of_rows<F: FeatureRows>(
    views: &Views<F>,
    paired: Option<&[usize]>,
    stop: Stop<'_>,
) -> Result<Geometry> {
    pool::check(stop, DOING)?;
    let (first, second) = (&views.first, &views.second);
    let (count, cols) = (first.count(), first.width());
    if (count, cols) != (second.count(), second.width()) || count < 2 {
        let shapes = format!("[{count}, {cols}] and [{}, {}]", second.count(), second.width());
        return Err(Error::argument(format!(
            "alignment and uniformity need two views of 2 samples, not {shapes}"
        )));
    }
    let (mut sum, mut distances) = (0.0, Vec::with_capacity(count));
    for range in runs(count, cols) {
        pool::check(stop, DOING)?;
        let (x, y) = (first.run(range.clone())?, second.run(range)?);
        for (x, y) in x.chunks_exact(cols.max(1)).zip(y.chunks_exact(cols.max(1))) {
            let squares = x.iter().zip(y).map(|(x, y)| (x - y).powi(2));
            squares.clone().for_each(|square| sum += square);
            distances.push(squares.sum::<f64>());
        }
    }
    let alignment = sum / count as f64;
    let aligned = error_of_mean(distances.iter().map(|distance| distance - alignment));
    let uniform = |view: &F| match paired {
        Some(samples) => uniformity(&view.pick(samples)?, stop),
        None => {
            let whole = view.whole()?;
            uniformity(&whole, stop)
        }
    };
    let (uniformity, moved) = uniform(first)?;
    let (second_view, moved_second) = uniform(second)?;
    let uniformity_both_views = 0.5 * (uniformity + second_view);
    let both = moved.iter().zip(&moved_second).map(|(x, y)| 0.5 * (x + y));
    let (effective_rank, ranked) = effective_rank(first, stop)?;
    let (rankme, ranked_me) = rankme(first, stop)?;
    let uniform = error_of_mean(moved.iter().copied());
    let image_errors = [aligned, uniform, error_of_mean(both), ranked, ranked_me];
    let found =
        Geometry { alignment, uniformity, uniformity_both_views, effective_rank, rankme, image_errors };
    match found.columns().into_iter().find(|(_, value)| !value.is_finite()) {
        Some((quantity, value)) => {
            Err(Error::NonFinite(format!("{quantity} of {count} features is {value}")))
        }
        None => Ok(found),
    }
}

/// √(Σ d²/(N(N−1))) of N deviations.
fn error_of_mean(deviations: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = deviations.len() as f64;
    (deviations.map(|d| d * d).sum::<f64>() / (count * (count - 1.0))).sqrt()
}

/// Blocks of pairs at a time: each holds a sum for every sample.
const BLOCKS: usize = 32;

/// ln of the mean over i < j of e^{−2‖x_i − x_j‖²}, and by how much each image moves it.
fn uniformity(x: &Matrix, stop: Stop<'_>) -> Result<(f64, Vec<f64>)> {
    let squares: Vec<f64> = (0..x.rows).map(|i| dot(x.row(i), x.row(i))).collect();
    let of_block = |start: usize| -> Result<(f64, Vec<f64>)> {
        pool::check(stop, DOING)?;
        let end = (start + BLOCK).min(x.rows);
        // In all, and for each sample from the block's first on.
        let (mut sum, mut of_sample) = (0.0, vec![0.0; x.rows - start]);
        let mut products = vec![0.0; (end - start) * BLOCK];
        // Blocks of columns from the diagonal on: each pair is met once.
        for first in (start..x.rows).step_by(BLOCK) {
            let last = (first + BLOCK).min(x.rows);
            let products = &mut products[..(end - start) * (last - first)];
            times_transposed(x.rows_in(start..end), x.rows_in(first..last), products, Threads::One)?;
            for (row, i) in products.chunks_exact(last - first).zip(start..end) {
                for j in first.max(i + 1)..last {
                    let distance = squares[i] + squares[j] - 2.0 * row[j - first];
                    let term = (-2.0 * distance.max(0.0)).exp();
                    sum += term;
                    of_sample[i - start] += term;
                    of_sample[j - start] += term;
                }
            }
        }
        Ok((sum, of_sample))
    };
    let (mut sum, mut of_sample) = (0.0, vec![0.0; x.rows]);
    let starts: Vec<usize> = (0..x.rows).step_by(BLOCK).collect();
    for starts in starts.chunks(BLOCKS) {
        for (start, part) in starts.iter().zip(pool::map(starts.iter().copied(), of_block)) {
            let (of_block, of_samples) = part?;
            sum += of_block;
            of_sample[*start..].iter_mut().zip(&of_samples).for_each(|(total, part)| *total += part);
        }
    }
    let others = (x.rows - 1) as f64;
    let mean = sum / (0.5 * x.rows as f64 * others);
    of_sample.iter_mut().for_each(|sum| *sum = 2.0 * (*sum / others / mean - 1.0));
    // Rounding may leave the mean of ones above 1.
    Ok((mean.ln().min(0.0), of_sample))
}

/// The mean of the rows.
fn mean_row<F: FeatureRows>(x: &F) -> Result<Vec<f64>> {
    let mut mean = vec![0.0; x.width()];
    for range in runs(x.count(), x.width()) {
        for row in x.run(range)?.chunks_exact(x.width().max(1)) {
            mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / x.count() as f64);
        }
    }
    Ok(mean)
}

/// These rows of X, less `centre` each.
fn rows_less<F: FeatureRows>(x: &F, rows: Range<usize>, centre: &[f64]) -> Result<Matrix> {
    let count = rows.len();
    let mut data = x.run(rows)?.into_owned();
    data.chunks_exact_mut(centre.len().max(1))
        .for_each(|row| row.iter_mut().zip(centre).for_each(|(v, m)| *v -= m));
    Ok(Matrix { rows: count, cols: centre.len(), data })
}

/// The rows of X less their mean, and XᵀX of those.
///
/// # Errors
/// The product is too large.
pub(crate) fn centred(x: &Matrix) -> Result<(Matrix, Matrix)> {
    let centred = rows_less(x, 0..x.rows, &mean_row(x)?)?;
    let covariance = centred.transposed_times(&centred)?;
    Ok((centred, covariance))
}

/// Eigenvalues of XᵀX, X less `centre` in each row, and the eigenvectors as rows; `None` where X is not finite.
fn spectrum<F: FeatureRows>(x: &F, centre: &[f64], stop: Stop<'_>) -> Result<Option<(Vec<f64>, Matrix)>> {
    let mut moments: Option<Matrix> = None;
    for range in runs(x.count(), x.width()) {
        pool::check(stop, DOING)?;
        let rows = rows_less(x, range, centre)?;
        let product = rows.transposed_times(&rows)?;
        match &mut moments {
            Some(sum) => sum.data.iter_mut().zip(&product.data).for_each(|(sum, part)| *sum += part),
            None => moments = Some(product),
        }
    }
    let Some(moments) = moments.filter(|moments| moments.data.iter().all(|v| v.is_finite())) else {
        return Ok(None);
    };
    let size = moments.cols;
    let eigen = DMatrix::from_row_slice(size, size, &moments.data).symmetric_eigen();
    // nalgebra's columns are eigenvectors, and its memory runs along them: rows here.
    let vectors = Matrix { rows: size, cols: size, data: eigen.eigenvectors.as_slice().to_vec() };
    Ok(Some((eigen.eigenvalues.iter().copied().collect(), vectors)))
}

/// The error over images of what each moves by `moved(its coordinates along these vectors)`.
fn error_of_moves<F: FeatureRows>(
    x: &F,
    centre: &[f64],
    vectors: &Matrix,
    stop: Stop<'_>,
    moved: impl Fn(&[f64]) -> f64,
) -> Result<f64> {
    let mut moves = Vec::with_capacity(x.count());
    for range in runs(x.count(), x.width()) {
        pool::check(stop, DOING)?;
        let coordinates = rows_less(x, range, centre)?.times_transposed(vectors)?;
        moves.extend((0..coordinates.rows).map(|i| moved(coordinates.row(i))));
    }
    Ok(error_of_mean(moves.into_iter()))
}

/// e^H of the normalised eigenvalues of the covariance, and its error over images.
fn effective_rank<F: FeatureRows>(x: &F, stop: Stop<'_>) -> Result<(f64, f64)> {
    let mean = mean_row(x)?;
    let Some((eigenvalues, vectors)) = spectrum(x, &mean, stop)? else { return Ok((f64::NAN, f64::NAN)) };
    let total: f64 = eigenvalues.iter().map(|v| v.max(0.0)).sum();
    if total <= 0.0 {
        return Ok((1.0, 0.0));
    }
    let shares: Vec<f64> = eigenvalues.iter().map(|v| v.max(0.0) / total).collect();
    let entropy: f64 = shares.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum();
    let rank = entropy.exp();
    let moved = |coordinates: &[f64]| {
        let terms = coordinates.iter().zip(&shares).filter(|(_, p)| **p > 0.0);
        // Σλ is N times the covariance's.
        -rank * x.count() as f64 / total * terms.map(|(q, p)| (p.ln() + entropy) * q * q).sum::<f64>()
    };
    Ok((rank, error_of_moves(x, &mean, &vectors, stop, moved)?))
}

/// What RankMe adds to each share.
const RANKME_SHIFT: f64 = 1e-7;

/// e^H of the min(N, d) normalised singular values of the features as they are, and its error over images.
fn rankme<F: FeatureRows>(x: &F, stop: Stop<'_>) -> Result<(f64, f64)> {
    let origin = vec![0.0; x.width()];
    let Some((eigenvalues, vectors)) = spectrum(x, &origin, stop)? else { return Ok((f64::NAN, f64::NAN)) };
    let mut kept: Vec<usize> = (0..eigenvalues.len()).collect();
    if x.count() < kept.len() {
        // The others are zero, but for rounding, and no singular values of X.
        kept.sort_by(|&a, &b| eigenvalues[b].total_cmp(&eigenvalues[a]));
        kept.truncate(x.count());
    }
    let vectors = vectors.gather(&kept);
    let singular: Vec<f64> = kept.iter().map(|&k| eigenvalues[k].max(0.0).sqrt()).collect();
    let total: f64 = singular.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let shares: Vec<f64> = singular.iter().map(|s| s / total + RANKME_SHIFT).collect();
    let entropy: f64 = shares.iter().map(|p| -p * p.ln()).sum();
    let rank = entropy.exp();
    let weighted: f64 = singular.iter().zip(&shares).map(|(s, p)| s / total * p.ln()).sum();
    let moved = |coordinates: &[f64]| {
        let terms = coordinates.iter().zip(singular.iter().zip(&shares));
        let seen = terms.filter(|(_, (s, _))| **s > RANKME_SHIFT * total);
        // σ are √N those of the mean of xxᵀ.
        -rank * x.count() as f64 / (2.0 * total)
            * seen.map(|(q, (s, p))| (p.ln() - weighted) * q * q / s).sum::<f64>()
    };
    Ok((rank, error_of_moves(x, &origin, &vectors, stop, moved)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::never;

    fn matrix(rows: &[&[f64]]) -> Matrix {
        Matrix { rows: rows.len(), cols: rows[0].len(), data: rows.concat() }
    }

    #[test]
    fn by_hand() {
        // Four points of the plane, ±e1 and ±e2: squared distances 2 (four pairs) and 4 (two pairs); equal variances.
        let first = matrix(&[&[1.0, 0.0], &[-1.0, 0.0], &[0.0, 1.0], &[0.0, -1.0]]);
        // The second view: turned by a right angle, distance² 2.
        let second = matrix(&[&[0.0, 1.0], &[0.0, -1.0], &[-1.0, 0.0], &[1.0, 0.0]]);
        let found = geometry(&Views { first: first.clone(), second }, &never).unwrap();
        assert!((found.alignment - 2.0).abs() < 1e-15);
        let mean = (4.0 * (-4f64).exp() + 2.0 * (-8f64).exp()) / 6.0;
        assert!((found.uniformity - mean.ln()).abs() < 1e-14);
        assert!((found.effective_rank - 2.0).abs() < 1e-14);
        // The second view lies as the first; two singular values of √2.
        assert!((found.uniformity_both_views - mean.ln()).abs() < 1e-14);
        let entropy = -2.0 * (0.5 + RANKME_SHIFT) * (0.5 + RANKME_SHIFT).ln();
        assert!((found.rankme - entropy.exp()).abs() < 1e-14);
        // One point: nothing is spread.
        let one = matrix(&[&[0.6, 0.8] as &[f64]; 3]);
        let found = geometry(&Views { first: one.clone(), second: one }, &never).unwrap();
        assert_eq!((found.alignment, found.uniformity, found.effective_rank), (0.0, 0.0, 1.0));
        assert_eq!(found.uniformity_both_views, 0.0);
        // One direction, and 1e-7 of each.
        assert!((found.rankme - 1.0).abs() < 1e-5, "{}", found.rankme);
        let single = matrix(&[&[1.0, 0.0]]);
        assert!(geometry(&Views { first: single.clone(), second: single }, &never).is_err());
        assert!(geometry(&Views { first: first.clone(), second: Matrix::zeros(4, 3) }, &never).is_err());
        let broken = Matrix { data: vec![f64::NAN; 8], ..first.clone() };
        assert!(geometry(&Views { first: broken, second: first }, &never).is_err());
    }

    /// The errors against the jackknife's, which leaves each sample out in turn.
    #[test]
    fn errors_over_images_are_those_of_leaving_samples_out() {
        let noise = |i: usize| ((i * 7919 + i * i % 1013) % 1009) as f64 / 1009.0 - 0.5;
        let (rows, cols) = (120, 4);
        let view = |shift: usize| {
            let data =
                (0..rows * cols).map(|i| (noise(i) + 0.2 * noise(i * 3 + shift)) / (1 + i % cols) as f64);
            let mut view = Matrix { rows, cols, data: data.collect() };
            view.normalise_rows().unwrap();
            view
        };
        let (first, second) = (view(1), view(2));
        let errors =
            geometry(&Views { first: first.clone(), second: second.clone() }, &never).unwrap().image_errors;
        let without = |left_out: usize| {
            let kept: Vec<usize> = (0..rows).filter(|&i| i != left_out).collect();
            let views = Views { first: first.gather(&kept), second: second.gather(&kept) };
            geometry(&views, &never).unwrap().columns().map(|(_, value)| value)
        };
        let all: Vec<[f64; 5]> = (0..rows).map(without).collect();
        for (place, error) in errors.into_iter().enumerate() {
            let mean = all.iter().map(|found| found[place]).sum::<f64>() / rows as f64;
            let squares: f64 = all.iter().map(|found| (found[place] - mean).powi(2)).sum();
            let jackknife = (squares * (rows - 1) as f64 / rows as f64).sqrt();
            assert!((error / jackknife - 1.0).abs() < 0.05, "{place}: {error} against {jackknife}");
        }
    }

    /// Fewer samples than dimensions: RankMe is of the N singular values that an SVD finds.
    #[test]
    fn rankme_of_few_samples_is_of_their_singular_values() {
        let (rows, cols) = (20, 300);
        let data =
            (0..rows * cols).map(|i| ((i * 7919 + i * i % 1013) % 1009) as f64 / 1009.0 - 0.5).collect();
        let mut x = Matrix { rows, cols, data };
        x.normalise_rows().unwrap();
        let singular = DMatrix::from_row_slice(rows, cols, &x.data).singular_values();
        assert_eq!(singular.len(), rows);
        let shares = singular.iter().map(|s| s / singular.sum() + RANKME_SHIFT);
        let expected = shares.map(|p| -p * p.ln()).sum::<f64>().exp();
        let found = rankme(&x, &never).unwrap().0;
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }

    #[test]
    fn blocks_are_the_sum_over_pairs() {
        let rows = 2 * BLOCK + 31;
        let data = (0..rows * 4).map(|i| ((i * 7919) % 1013) as f64 / 1013.0 - 0.5).collect();
        let mut x = Matrix { rows, cols: 4, data };
        x.normalise_rows().unwrap();
        let mut sum = 0.0;
        for i in 0..rows {
            for j in 0..i {
                let distance: f64 = x.row(i).iter().zip(x.row(j)).map(|(a, b)| (a - b).powi(2)).sum();
                sum += (-2.0 * distance).exp();
            }
        }
        let expected = (sum / (rows * (rows - 1) / 2) as f64).ln();
        assert!((uniformity(&x, &never).unwrap().0 - expected).abs() < 1e-12);
        // Variances 1 : 1 : 2 on three axes: H = 2·¼ ln 4 + ½ ln 2.
        let axes = matrix(&[
            &[1.0, 0.0, 0.0],
            &[-1.0, 0.0, 0.0],
            &[0.0, 1.0, 0.0],
            &[0.0, -1.0, 0.0],
            &[0.0, 0.0, 2f64.sqrt()],
            &[0.0, 0.0, -(2f64.sqrt())],
        ]);
        let entropy = 0.5 * 4f64.ln() + 0.5 * 2f64.ln();
        assert!((effective_rank(&axes, &never).unwrap().0 - entropy.exp()).abs() < 1e-13);
    }
}
