//! What is measured, of all samples and of some, and that it can be ended.

use super::*;
use crate::Result;
use crate::rng::{Purpose, stream};
use crate::rows::FeatureRows;
use std::borrow::Cow;
use theory::losses::Quantity;

#[test]
fn an_identity_is_of_arrays_and_passes() {
    let matrix = |first: f64| Matrix { rows: 2, cols: 2, data: vec![first, 0.8, 0.8, 0.6] };
    let features = |first: f64| Features {
        view1: matrix(first),
        view2: matrix(0.6),
        labels: vec![0, 1],
        train: None,
        mean: None,
        num_classes: 2,
    };
    let id = settings_id(&features(0.6), None, 7);
    // Files of today are compared with those of tomorrow: sha256 of 'view1 [2, 2]\n' and four doubles, and so on.
    assert_eq!(id, "00e7e7f79d5f2499");
    let others = [
        settings_id(&features(0.6f64.next_up()), None, 7),
        settings_id(&features(0.6), Some(1), 7),
        settings_id(&features(0.6), None, 8),
        settings_id(&Features { labels: vec![1, 0], ..features(0.6) }, None, 7),
        settings_id(&Features { mean: Some(matrix(0.6)), ..features(0.6) }, None, 7),
        settings_id(&Features { train: Some((matrix(0.6), vec![0, 1])), ..features(0.6) }, None, 7),
    ];
    assert!(others.iter().all(|other| *other != id && other.len() == 16), "{others:?}");
}

/// Every part that takes long asks, and gives up when it is told to.
#[test]
fn an_interruption_ends_every_part() {
    use crate::{Error, Evaluation, SgdProbe, linear_accuracy_sgd};
    use crate::{Knn, LinearProbe, collision_by_class, components, geometry};
    use std::sync::atomic::{AtomicUsize, Ordering};
    let classes: Vec<usize> = (0..300).map(|i| i % 2).collect();
    let train = Some((rows(300, 3, 7919), classes.clone()));
    let features =
        Features::new(rows(300, 3, 7919), rows(300, 3, 7919), classes.clone(), train, None).unwrap();
    let request = request(4);
    // Told so after any number of questions, the whole is given up; never told so, it is finished.
    let asked = AtomicUsize::new(0);
    let until = |most: usize| {
        asked.store(0, Ordering::Relaxed);
        features.measure("f", &request, &|| asked.fetch_add(1, Ordering::Relaxed) >= most)
    };
    until(usize::MAX).unwrap();
    let all = asked.load(Ordering::Relaxed);
    assert!(all > 50, "{all} questions");
    for most in [0, 1, all / 2, all - 1] {
        let error = until(most).unwrap_err();
        assert!(matches!(&error, Error::Interrupted(m) if m.starts_with("interrupted while ")), "{error}");
    }
    let now = || true;
    let (views, means, part) =
        (features.views(), features.class_means().unwrap(), (&features.view1, &classes[..]));
    let evaluation = Evaluation {
        labels: &classes,
        class_means: &means,
        sample_means: None,
        temperature: 0.5,
        num_draws: request.draws[0],
        passes: Some(1),
    };
    let mut rng = stream(1, Purpose::Probe, 0);
    let row = components(&evaluation, &mut rng, &now, |_| Ok::<_, Error>(views.clone()));
    let interrupted = [
        LinearProbe::default().fit(part.0, part.1, 2, &now).err(),
        linear_accuracy_sgd(&SgdProbe::default(), part, part, 2, &mut rng, &now).err(),
        Knn::default().accuracy(part, part, 2, &now).err(),
        geometry(&views, &now).err(),
        collision_by_class(&views, &classes, 2, &now).err(),
        row.err(),
    ];
    for (place, error) in interrupted.into_iter().enumerate() {
        assert!(matches!(error, Some(Error::Interrupted(_))), "{place}");
    }
}

/// Rows of norm 1e200 have the direction of those of norm 1.
#[test]
fn rows_of_any_norm_are_scaled_rightly() {
    let matrix =
        |scale: f64| Matrix { rows: 4, cols: 2, data: VALUES.map(|v| f64::from(v) * scale).to_vec() };
    let measure = |scale: f64| {
        let classes = LABELS.map(usize::from).to_vec();
        let features = Features::new(matrix(scale), matrix(1.0), classes, None, None).unwrap();
        let request = Request { seed: 3, ..request(2) };
        let rows = features.measure("f", &request, &never).unwrap().rows;
        rows[0].get(Quantity::InfoNce).unwrap()
    };
    for scale in [1e200, 1e300, 1e-200] {
        assert!((measure(scale) - measure(1.0)).abs() < 1e-14, "{scale}");
    }
}

/// Rows that are never all asked for.
struct Many(Matrix);

impl FeatureRows for Many {
    fn count(&self) -> usize {
        self.0.rows
    }

    fn width(&self) -> usize {
        self.0.cols
    }

    fn run(&self, rows: std::ops::Range<usize>) -> Result<Cow<'_, [f64]>> {
        self.0.run(rows)
    }

    fn pick(&self, rows: &[usize]) -> Result<Matrix> {
        self.0.pick(rows)
    }

    fn whole(&self) -> Result<Cow<'_, Matrix>> {
        panic!("all rows are asked for");
    }
}

/// The classifiers of features that are never whole are those of matrices.
#[test]
fn classifiers_take_runs_of_rows() {
    let labels: Vec<usize> = (0..300).map(|i| i % 4).collect();
    let train = Some((rows(300, 3, 7901), labels.clone()));
    let whole = Features::new(rows(300, 3, 7919), rows(300, 3, 7907), labels, train, None).unwrap();
    let many = Features {
        view1: Many(whole.view1.clone()),
        view2: Many(whole.view2.clone()),
        labels: whole.labels.clone(),
        train: whole.train.clone().map(|(train, labels)| (Many(train), labels)),
        mean: None,
        num_classes: 4,
    };
    let linear = crate::LinearProbe { ridge: crate::Ridge::Chosen, standardise: true };
    let classifiers = Classifiers { linear, ..Classifiers::default() };
    let request = Request { classifiers, most_paired: Some(100), ..request(4) };
    let found = many.measure("f", &request, &never).unwrap();
    assert_eq!(found.rows, whole.measure("f", &request, &never).unwrap().rows);
    let (train, labels) = whole.train.as_ref().unwrap();
    let linear = linear.fit(train, labels, 4, &never).unwrap();
    let accuracy = linear.accuracy(&whole.view1, &whole.labels).unwrap();
    assert_eq!(found.rows[0].get(Quantity::LinearAccuracy), Some(accuracy));
}

/// What is measured of a part of the samples says so, and is near what all of them give.
#[test]
fn many_samples_are_measured_by_a_part_of_their_pairs() {
    let labels: Vec<usize> = (0..1000).map(|i| i % 40).collect();
    let features = Features::new(rows(1000, 2, 7919), rows(1000, 2, 7907), labels, None, None).unwrap();
    let of = |most_paired| {
        let request = Request { most_paired, seed: 3, ..request(4) };
        let mut measured = features.measure("f", &request, &never).unwrap();
        (measured.rows.remove(0), measured.spreads[0].clone())
    };
    let (all, whole) = of(None);
    assert_eq!(all.run.settings_id, settings_id(&features, Some(1), 3));
    // 40 classes of 25 samples have 158² pairs: of 400 samples every class is whole, of 100 each has 15.
    for (most, of_class) in [(400, 25), (100, 15)] {
        let (part, spreads) = of(Some(most));
        assert_eq!((part.pair_samples, all.pair_samples), (Some(most as u64), None));
        assert_ne!(part.run.settings_id, all.run.settings_id);
        assert!(spreads.iter().all(|class| (class.samples, class.class_size) == (of_class, 25)));
        assert_eq!(spreads == whole, of_class == 25);
        for (quantity, estimate) in &all.measures {
            let found = part.measures[quantity];
            match quantity {
                Quantity::Uniformity | Quantity::UniformityBothViews => {
                    let error = found.image_error.unwrap();
                    assert!((found.mean - estimate.mean).abs() < 2.5 * error, "{quantity}: {found:?}");
                    assert_ne!(found.mean, estimate.mean);
                }
                Quantity::CollisionSpread if of_class < 25 => {
                    assert_ne!(found.mean, estimate.mean);
                    assert!((found.mean / estimate.mean - 1.0).abs() < 0.1, "{found:?} {estimate:?}");
                }
                _ => assert_eq!(found, *estimate, "{quantity}"),
            }
        }
    }
}
