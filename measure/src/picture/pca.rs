//! Principal components: with the features less their mean as rows of X, the unit vectors v₁, v₂ for which |X v| is
//! largest, v₂ orthogonal to v₁; eigenvectors of XᵀX.

use crate::error::{Error, Result};
use crate::geometry::centred;
use crate::matrix::{Matrix, dot};
use nalgebra::DMatrix;

/// The first two principal components.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Principal {
    /// X v₁ and X v₂ of each sample.
    pub(super) scores: Vec<[f64; 2]>,
    /// Their shares of the variance; 0 where all features are one point.
    pub(super) shares: [f64; 2],
}

/// The first two principal components of the rows; of features of one number the second is 0. The largest entry of
/// each vector is positive.
///
/// # Errors
/// Numbers that are not finite.
pub(super) fn principal(x: &Matrix) -> Result<Principal> {
    let (centred, covariance) = centred(x)?;
    if covariance.data.iter().any(|v| !v.is_finite()) {
        return Err(Error::NonFinite(format!("the variance of {} features is not finite", x.rows)));
    }
    let size = covariance.cols;
    let eigen = DMatrix::from_row_slice(size, size, &covariance.data).symmetric_eigen();
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let total: f64 = eigen.eigenvalues.iter().map(|v| v.max(0.0)).sum();
    let mut found = Principal { scores: vec![[0.0; 2]; x.rows], shares: [0.0; 2] };
    for (axis, &index) in order.iter().take(2).enumerate() {
        let mut vector: Vec<f64> = eigen.eigenvectors.column(index).iter().copied().collect();
        let largest = vector.iter().copied().fold(0.0, |m: f64, v| if v.abs() > m.abs() { v } else { m });
        vector.iter_mut().for_each(|v| *v *= largest.signum());
        for (i, scores) in found.scores.iter_mut().enumerate() {
            scores[axis] = dot(centred.row(i), &vector);
        }
        if total > 0.0 {
            found.shares[axis] = eigen.eigenvalues[index].max(0.0) / total;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on two orthogonal axes that are not those of the coordinates, around a mean that is not 0.
    #[test]
    fn the_axes_of_a_cross() {
        let (u, v) = ([0.6, 0.8, 0.0], [-0.8, 0.6, 0.0]);
        let point = |a: f64, b: f64| [1.0 + a * u[0] + b * v[0], 2.0 + a * u[1] + b * v[1], 3.0];
        let rows = [point(2.0, 0.0), point(-2.0, 0.0), point(0.0, 1.0), point(0.0, -1.0)];
        let found = principal(&Matrix { rows: 4, cols: 3, data: rows.concat() }).unwrap();
        // v's largest entry is −0.8: turned around.
        let expected = [[2.0, 0.0], [-2.0, 0.0], [0.0, -1.0], [0.0, 1.0]];
        for (found, expected) in found.scores.iter().zip(expected) {
            assert!(
                (0..2).all(|axis| (found[axis] - expected[axis]).abs() < 1e-12),
                "{found:?} {expected:?}"
            );
        }
        assert!((found.shares[0] - 0.8).abs() < 1e-12 && (found.shares[1] - 0.2).abs() < 1e-12);
    }

    #[test]
    fn one_point_and_one_number_have_components() {
        let alike = principal(&Matrix { rows: 5, cols: 2, data: [0.6, 0.8].repeat(5) }).unwrap();
        assert!(alike.scores.iter().flatten().all(|v| v.abs() < 1e-15));
        let line = principal(&Matrix { rows: 2, cols: 1, data: vec![1.0, 3.0] }).unwrap();
        assert_eq!((line.scores, line.shares), (vec![[-1.0, 0.0], [1.0, 0.0]], [1.0, 0.0]));
        let endless = Matrix { rows: 2, cols: 1, data: vec![f64::INFINITY, 0.0] };
        assert!(matches!(principal(&endless), Err(Error::NonFinite(_))));
    }
}
