//! Every measured column against numpy: `tests/oracle/oracle.py` computes them from the definitions on the same
//! features and the same batches; `expected.json` is its committed output.

use measure::features::{Features, Request};
use measure::{Accumulator, Evaluation, Knn, LinearProbe, Ridge, Views};
use std::path::PathBuf;
use theory::NumDraws;
use theory::losses::{Estimate, LossComponents, Quantity};

/// Features are f32 in the file; everything after is f64 on both sides.
const TOLERANCE: f64 = 1e-6;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/oracle")
}

fn expected() -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(folder().join("expected.json")).unwrap()).unwrap()
}

fn column(row: &LossComponents, name: &str) -> Estimate {
    match name.strip_prefix("info_nce_minus_") {
        Some(key) => row.paired[key],
        None => row.measures[&Quantity::from_name(name).unwrap()],
    }
}

#[test]
fn batch_columns_agree_with_numpy() {
    let expected = expected();
    let features = Features::read(&folder().join("features.npz")).unwrap();
    let (train, train_labels) = features.train.as_ref().unwrap();
    let means = measure::class_means(train, train_labels, features.num_classes).unwrap();
    let views = Views { first: features.view1.clone(), second: features.view2.clone() };
    let mut compared = std::collections::BTreeSet::new();
    for case in expected["cases"].as_array().unwrap() {
        let evaluation = Evaluation {
            labels: &features.labels,
            class_means: &means,
            sample_means: features.mean.as_ref(),
            temperature: expected["temperature"].as_f64().unwrap(),
            num_draws: NumDraws::new(case["num_draws"].as_u64().unwrap()).unwrap(),
            passes: None,
        };
        let mut sums = Accumulator::new(&evaluation).unwrap();
        for batch in case["batches"].as_array().unwrap() {
            let samples: Vec<usize> =
                batch.as_array().unwrap().iter().map(|i| i.as_u64().unwrap() as usize).collect();
            sums.add(&views, &samples).unwrap();
        }
        sums.add_pass(&views).unwrap();
        let row = sums.finish().unwrap();
        for (name, pair) in case["columns"].as_object().unwrap() {
            let found = column(&row, name);
            let (mean, error) = (pair[0].as_f64().unwrap(), pair[1].as_f64().unwrap());
            assert!((found.mean - mean).abs() < TOLERANCE, "{name}: {} against {mean}", found.mean);
            let found_error = found.standard_error.unwrap();
            assert!((found_error - error).abs() < TOLERANCE, "{name}_se: {found_error} against {error}");
            compared.insert(name.clone());
        }
        for (name, value) in case["exact"].as_object().unwrap() {
            let (found, value) = (column(&row, name).mean, value.as_f64().unwrap());
            assert!((found - value).abs() < 1e-13, "{name}: {found} against {value}");
            compared.insert(name.clone());
        }
        let per_class = row.class_sup_loss.unwrap();
        for (found, value) in per_class.iter().zip(case["class_sup_loss"].as_array().unwrap()) {
            assert!((found - value.as_f64().unwrap()).abs() < TOLERANCE);
        }
        // Nothing that a batch gives is left without an oracle.
        assert!(row.measures.keys().all(|m| compared.contains(m.name())), "{:?}", row.measures.keys());
        assert!(row.paired.keys().all(|key| compared.contains(&format!("info_nce_minus_{key}"))));
    }
}

/// Settings other than the defaults: the optimum of numpy's Newton method, and the votes by lightly's formula.
#[test]
fn classifiers_of_other_settings_agree_with_numpy() {
    let expected = expected();
    let features = Features::read(&folder().join("features.npz")).unwrap();
    let (train, train_labels) = features.train.as_ref().unwrap();
    let probes = expected["linear"].as_array().unwrap();
    for case in probes {
        let number = |key: &str| case[key].as_f64().unwrap();
        let ridge = match case["chosen"].as_bool().unwrap() {
            true => Ridge::Chosen,
            false => Ridge::Fixed(number("ridge")),
        };
        let probe = LinearProbe { ridge, standardise: case["standardise"].as_bool().unwrap() };
        let fitted = probe.fit(train, train_labels, features.num_classes, &measure::never).unwrap();
        assert!((fitted.loss - number("loss")).abs() < 1e-9, "{probe}: {} against {case}", fitted.loss);
        assert!((fitted.ridge / number("ridge") - 1.0).abs() < 1e-12, "{probe}: {case}");
        let accuracy = fitted.accuracy(&features.view1, &features.labels).unwrap();
        assert!((accuracy - number("accuracy")).abs() < TOLERANCE, "{probe}: {accuracy} against {case}");
        assert!(fitted.converged());
    }
    let votes = expected["knn"].as_array().unwrap();
    for case in votes {
        let [neighbours, temperature, accuracy] = [0, 1, 2].map(|i| case[i].as_f64().unwrap());
        let knn = Knn { neighbours: neighbours as usize, temperature };
        let test = (&features.view1, &features.labels[..]);
        let found = knn.accuracy((train, train_labels), test, features.num_classes, &measure::never).unwrap();
        assert!((found - accuracy).abs() < TOLERANCE, "{knn:?}: {found} against {accuracy}");
    }
    assert!(probes.len() == 8 && votes.len() == 6);
}

#[test]
fn whole_set_columns_agree_with_numpy() {
    let expected = expected();
    let features = Features::read(&folder().join("features.npz")).unwrap();
    let draws = vec![NumDraws::new(5).unwrap()];
    let rows = features.measure("oracle", &Request::new(draws, 0.5), &measure::never).unwrap().rows;
    for name in
        ["mean_accuracy", "mean_accuracy_two_views", "knn_accuracy", "linear_accuracy", "collision_spread"]
    {
        let (found, value) = (column(&rows[0], name).mean, expected[name].as_f64().unwrap());
        assert!((found - value).abs() < TOLERANCE, "{name}: {found} against {value}");
    }
    let views = Views { first: features.view1.clone(), second: features.view2.clone() };
    for (measure, found) in measure::geometry(&views, &measure::never).unwrap().columns() {
        let value = expected["geometry"][measure.name()].as_f64().unwrap();
        assert!((found - value).abs() < TOLERANCE, "{measure}: {found} against {value}");
    }
    for (name, value) in expected["moments"].as_object().unwrap() {
        let (found, value) = (column(&rows[0], name).mean, value.as_f64().unwrap());
        assert!((found - value).abs() < TOLERANCE, "{name}: {found} against {value}");
    }
    let by_class =
        measure::collision_by_class(&views, &features.labels, features.num_classes, &measure::never).unwrap();
    for (row, values) in by_class.iter().zip(expected["spread_by_class"].as_array().unwrap()) {
        let found = [row.spread.mean].into_iter().chain(row.spread.quantiles);
        for (found, value) in found.zip(values.as_array().unwrap()) {
            assert!((found - value.as_f64().unwrap()).abs() < TOLERANCE, "{row:?} against {values}");
        }
    }
    // The program's own batches are others than numpy's, with the same expectation.
    let columns = &expected["cases"][0]["columns"];
    for name in ["info_nce", "full_sup_loss", "gap", "master_term", "log1p_collisions"] {
        let found = column(&rows[0], name);
        let (mean, error) = (columns[name][0].as_f64().unwrap(), columns[name][1].as_f64().unwrap());
        let spread = error.hypot(found.standard_error.unwrap());
        assert!((found.mean - mean).abs() < 4.5 * spread, "{name}: {} against {mean} ± {spread}", found.mean);
    }
    assert!(rows[0].num_batches.unwrap() >= 100);
}
