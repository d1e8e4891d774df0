//! What is looked at while a run trains.

use serde::{Deserialize, Serialize};

/// What is looked at while a run trains, and what follows from it.
///
/// Looked at are the tuning samples: those that are evaluated where `evaluate_on = "tuning"`, else a tenth of each class
/// of the training samples: a contrastive loss sees their images, not their classes. The classifiers learn from the other training samples,
/// at most [`MOST_REFERENCES`] of them. The streams of random views are its own: without `early_stop` and `keep_best`
/// the bits that are trained are the same with and without it, and `settings_id` leaves it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MonitorSettings {
    /// Epochs between two looks; the last epoch is looked at, too.
    pub every: usize,
    /// What `early_stop` and `keep_best` go by.
    pub metric: Metric,
    /// Training ends after so many looks without a better `metric`; never where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stop: Option<usize>,
    /// Whether the weights at the best look, not the last ones, are the run's.
    #[serde(skip_serializing_if = "super::is_default")]
    pub keep_best: bool,
}

/// The most training samples that the classifiers of a look learn from.
pub const MOST_REFERENCES: usize = 10_000;

impl Default for MonitorSettings {
    /// Every ten epochs, by the accuracy of nearest neighbours; nothing follows from it.
    fn default() -> Self {
        Self { every: 10, metric: Metric::KnnAccuracy, early_stop: None, keep_best: false }
    }
}

impl MonitorSettings {
    /// Whether it changes what is trained.
    pub fn decides(&self) -> bool {
        self.early_stop.is_some() || self.keep_best
    }
}

/// A quantity that is monitored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Accuracy of nearest neighbours on head features; more is better.
    KnnAccuracy,
    /// Accuracy of the mean classifier on head features; more is better.
    MeanAccuracy,
    /// L_Info; less is better.
    InfoNce,
    /// Alignment; less is better.
    Alignment,
    /// Uniformity; less is better.
    Uniformity,
    /// Effective rank; more is better.
    EffectiveRank,
}

impl Metric {
    /// Its name in the metrics of a run.
    pub fn key(self) -> &'static str {
        match self {
            Self::KnnAccuracy => "monitor/knn_accuracy",
            Self::MeanAccuracy => "monitor/mean_accuracy",
            Self::InfoNce => "monitor/info_nce",
            Self::Alignment => "monitor/alignment",
            Self::Uniformity => "monitor/uniformity",
            Self::EffectiveRank => "monitor/effective_rank",
        }
    }

    /// Whether `value` is better than `other`; nothing is better than itself, and a number better than none.
    pub fn is_better(self, value: f64, other: f64) -> bool {
        let more = matches!(self, Self::KnnAccuracy | Self::MeanAccuracy | Self::EffectiveRank);
        other.is_nan() && !value.is_nan() || if more { value > other } else { value < other }
    }
}
