//! Measurement of a trained run, or of features that another program made.
//!
//! What a network gives of the samples is computed once (`embed`); accuracies, spreads, geometry and the terms of
//! the bounds read it.

mod accuracies;
mod baselines;
mod columns;
mod embed;
mod trained;

pub use accuracies::Accuracies;
pub(super) use baselines::{pixel_accuracies, untrained_accuracies};
pub use embed::{Features, matrix};
pub use trained::{EvaluatedRun, EvaluationSettings, measure_network, measure_run, two_views};

use crate::data;
use crate::error::{Error, Result};
use measure::rng::{Purpose, stream};
use measure::{
    CollisionByClass, Evaluation, class_means, collision_by_class, collision_spread, knn_accuracy,
    linear_accuracy, mean_accuracy,
};
use theory::NumDraws;
use theory::losses::{Estimate, LossComponents, Quantity, RunInfo};

/// Sets measures that are no means over batches.
fn set_exact(row: &mut LossComponents, values: &[(Quantity, f64)]) -> Result<()> {
    values.iter().try_for_each(|&(measure, value)| Ok(row.set(measure, Estimate::exact(value))?))
}

fn knn_columns(row: &mut LossComponents) {
    row.knn_k = Some(measure::KNN_NEIGHBOURS as u64);
    row.knn_temperature = Some(measure::KNN_TEMPERATURE);
}

/// Measures features that another program made, at each number of draws.
///
/// # Errors
/// More draws than samples.
pub fn measure_features(
    features: &data::features::Features,
    name: &str,
    draws: &[NumDraws],
    temperature: f64,
    passes: Option<usize>,
    seed: u64,
) -> Result<Vec<LossComponents>> {
    let classes = features.num_classes;
    let views = measure::Views { first: features.view1.clone(), second: features.view2.clone() };
    let means = match &features.train {
        Some((train, labels)) => class_means(train, labels, classes),
        None => {
            let mut means = class_means(&views.first, &features.labels, classes);
            let second = class_means(&views.second, &features.labels, classes);
            means.data.iter_mut().zip(&second.data).for_each(|(x, y)| *x = 0.5 * (*x + y));
            means
        }
    };
    // What does not depend on the number of draws.
    let test = (&views.first, &features.labels[..]);
    let mut fixed = vec![
        (Quantity::MeanAccuracy, mean_accuracy(&means, test.0, test.1)?),
        (Quantity::CollisionSpread, collision_spread(&views, &features.labels, classes)?),
    ];
    fixed.extend(measure::geometry(&views)?.columns());
    if let Some((train, labels)) = &features.train {
        fixed.push((Quantity::LinearAccuracy, linear_accuracy((train, labels), test, classes)?));
        fixed.push((Quantity::KnnAccuracy, knn_accuracy((train, labels), test, classes)?));
    }
    let mut rows = Vec::new();
    for &num_draws in draws {
        let evaluation = Evaluation {
            labels: &features.labels,
            class_means: &means,
            sample_means: features.mean.as_ref(),
            temperature,
            num_draws,
            passes,
        };
        let mut order = stream(seed, Purpose::Evaluation, num_draws.get());
        let mut row = measure::measure(&evaluation, &mut order, |_| Ok::<_, Error>(views.clone()))?;
        row.run = RunInfo { run_id: name.into(), seed: Some(seed), ..RunInfo::default() };
        // How many views a given mean averages, the file does not say.
        row.fbar_views = features.mean.is_none().then_some(1);
        set_exact(&mut row, &fixed)?;
        if features.train.is_some() {
            knn_columns(&mut row);
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The spread within each class between the two views of features that another program made; the encoder's are not in the
/// file.
///
/// # Errors
/// The tensor library fails.
pub fn feature_spreads(features: &data::features::Features) -> Result<[Vec<CollisionByClass>; 2]> {
    let views = measure::Views { first: features.view1.clone(), second: features.view2.clone() };
    Ok([collision_by_class(&views, &features.labels, features.num_classes)?, Vec::new()])
}
