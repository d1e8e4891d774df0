//! Accuracies of simple classifiers on frozen features.

use super::embed::{Embedded, EvaluationContext};
use crate::data::Split;
use crate::error::Result;
use measure::matrix::Matrix;
use measure::rng::{Purpose, stream};
use measure::{Classifiers, SgdProbe, Stop, class_means, linear_accuracy_sgd, mean_accuracy};
use theory::losses::Quantity;

/// Accuracies of three classifiers on one representation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accuracies {
    /// Class means.
    pub mean: f64,
    /// Linear probe.
    pub linear: f64,
    /// Weighted nearest neighbours.
    pub knn: f64,
}

/// Accuracies, and how the linear probe ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Classified {
    pub accuracies: Accuracies,
    /// The ridge that was given or chosen.
    pub ridge: f64,
    /// Norm of the loss's gradient.
    pub gradient: f64,
}

impl Classified {
    /// Of these features of the training and evaluated samples; `means`: μ_c, or else those of `train`.
    pub(super) fn new(
        classifiers: &Classifiers,
        train: &Matrix,
        test: &Matrix,
        means: Option<&Matrix>,
        split: &Split,
        stop: Stop<'_>,
    ) -> Result<Self> {
        let classes = split.train.num_classes();
        let (train_labels, test_labels) = (split.train.labels(), split.evaluated.labels());
        let own_means = class_means(train, train_labels, classes)?;
        let probe = classifiers.linear.fit(train, train_labels, classes, stop)?;
        let knn = classifiers.knn.accuracy((train, train_labels), (test, test_labels), classes, stop)?;
        let accuracies = Accuracies {
            mean: mean_accuracy(means.unwrap_or(&own_means), test, test_labels)?,
            linear: probe.accuracy(test, test_labels)?,
            knn,
        };
        Ok(Self { accuracies, ridge: probe.ridge, gradient: probe.gradient })
    }
}

impl Embedded<'_> {
    /// Accuracies on un-augmented samples: head features, encoder features.
    ///
    /// The mean classifier uses μ_c for head features, and the means of the un-augmented training samples for encoder
    /// features.
    pub(super) fn accuracies(&self, classifiers: &Classifiers) -> Result<[Classified; 2]> {
        let (train, test) = (&self.train, &self.evaluated);
        let (split, stop) = (self.context.split, self.context.stop);
        Ok([
            Classified::new(classifiers, &train.head, &test.head, Some(&self.class_means), split, stop)?,
            Classified::new(classifiers, &train.encoder, &test.encoder, None, split, stop)?,
        ])
    }

    /// Accuracies of the paper's linear probe on head features and encoder features, where the settings ask for them.
    pub(super) fn sgd_accuracies(&self) -> Result<Vec<(Quantity, f64)>> {
        let EvaluationContext { config, split, stop, .. } = self.context;
        let Some(epochs) = config.probe_epochs else { return Ok(Vec::new()) };
        let probe = SgdProbe { epochs, best_epoch: config.probe_best_epoch, ..SgdProbe::default() };
        let (train, test) = (&self.train, &self.evaluated);
        let mut found = Vec::new();
        for (index, quantity, train, test) in [
            (0, Quantity::LinearAccuracySgd, &train.head, &test.head),
            (1, Quantity::LinearAccuracySgdEncoder, &train.encoder, &test.encoder),
        ] {
            let mut rng = stream(config.seed, Purpose::Probe, index);
            let (train, test) = ((train, split.train.labels()), (test, split.evaluated.labels()));
            match linear_accuracy_sgd(&probe, train, test, split.train.num_classes(), &mut rng, stop) {
                Ok(accuracy) => found.push((quantity, accuracy)),
                // Features of large norm at this rate: the column stays empty.
                Err(measure::Error::NonFinite(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }
}
