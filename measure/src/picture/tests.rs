use super::*;
use crate::matrix::Matrix;
use crate::pool::{never, with_threads};
use crate::rng::{Purpose, normal, stream};

/// `count` unit rows \[count, 16\], each near one of five directions.
fn clusters(count: usize) -> (Matrix, Vec<usize>) {
    let mut rng = stream(3, Purpose::Evaluation, 0);
    let labels: Vec<usize> = (0..count).map(|i| i % 5).collect();
    let mut matrix = Matrix::zeros(count, 16);
    for (i, &class) in labels.iter().enumerate() {
        for (j, v) in matrix.row_mut(i).iter_mut().enumerate() {
            *v = if j == class { 1.0 } else { 0.0 } + 0.05 * f64::from(normal(&mut rng));
        }
    }
    matrix.normalise_nonzero_rows();
    (matrix, labels)
}

/// The share of points whose nearest other point is of their class.
fn nearest_alike(points: &[[f64; 2]], labels: &[usize]) -> f64 {
    let distance = |a: &[f64; 2], b: &[f64; 2]| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2);
    let nearest = |i: usize| {
        let others = (0..points.len()).filter(|&j| j != i);
        others.min_by(|&a, &b| distance(&points[i], &points[a]).total_cmp(&distance(&points[i], &points[b])))
    };
    let alike = (0..points.len()).filter(|&i| labels[nearest(i).unwrap()] == labels[i]).count();
    alike as f64 / points.len() as f64
}

#[test]
fn clusters_stay_together_with_any_number_of_threads() {
    let (features, labels) = clusters(200);
    let picture = |threads| with_threads(threads, || Picture::new(&features, &labels, 5, &never)).unwrap();
    let found = picture(1);
    assert!(nearest_alike(&found.tsne, &labels) > 0.99);
    // Classes in another order are no clusters.
    let wrong: Vec<usize> = (0..200).map(|i| i / 40).collect();
    assert!(nearest_alike(&found.tsne, &wrong) < 0.5);
    let bits = |picture: &Picture| -> Vec<u64> {
        picture.tsne.iter().chain(&picture.pca).flatten().map(|v| v.to_bits()).collect()
    };
    for again in [picture(1), picture(3)] {
        assert!(bits(&again) == bits(&found));
    }
    let folder = tempfile::tempdir().unwrap();
    found.write(folder.path()).unwrap();
    let csv = std::fs::read_to_string(folder.path().join("picture.csv")).unwrap();
    assert_eq!(csv.lines().count(), 201);
    let last: Vec<f64> = csv.lines().last().unwrap().split(',').map(|v| v.parse().unwrap()).collect();
    assert_eq!(last, [[199.0, 4.0], found.pca[199], found.tsne[199]].concat());
    let svg = std::fs::read_to_string(folder.path().join("picture.svg")).unwrap();
    let share = format!("principal component 1 ({:.1} % of the variance)", 100.0 * found.shares[0]);
    assert!(svg.contains(&share) && svg.contains("mean nothing") && !svg.contains(" samples. "), "{svg}");
    assert_eq!(svg.matches("<circle").count(), 2 * 200 + 5);
}

/// A collapsed encoder, a half-collapsed one, and very few samples: drawn, not a panic.
#[test]
fn samples_that_are_alike_can_be_drawn() {
    let (features, labels) = clusters(120);
    let mut half = features.clone();
    let first = features.row(0).to_vec();
    (0..60).for_each(|i| half.row_mut(2 * i).copy_from_slice(&first));
    let alike = features.gather(&[0; 120]);
    for (features, labels) in
        [(&half, &labels[..]), (&alike, &labels), (&features.gather(&[0, 1, 2, 3]), &labels[..4])]
    {
        let picture = Picture::new(features, labels, 5, &never).unwrap();
        assert!(picture.tsne.iter().chain(&picture.pca).flatten().all(|v| v.is_finite()));
        picture.write(tempfile::tempdir().unwrap().path()).unwrap();
    }
    let few = Picture::new(&features.gather(&[0, 1, 2]), &labels[..3], 5, &never).unwrap_err().to_string();
    assert_eq!(few, "a picture needs 4 samples, not 3");
    let stopped = Picture::new(&features, &labels, 5, &|| true).unwrap_err();
    assert!(matches!(stopped, Error::Interrupted(_)));
}

#[test]
fn of_many_samples_each_class_has_its_share() {
    let labels: Vec<usize> = (0..10_000).map(|i| usize::from(i % 10 == 3)).collect();
    let found = shares(&labels);
    assert!(found.len() == MOST_DRAWN && found.is_sorted_by(|a, b| a < b));
    let rare = found.iter().filter(|&&sample| labels[sample] == 1).count();
    assert!((199..=201).contains(&rare), "{rare}");
    assert_eq!(shares(&labels[..50]), (0..50).collect::<Vec<_>>());
}
