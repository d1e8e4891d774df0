//! Where a run stands between two steps, as a checkpoint keeps it beside the tensors.

use serde::{Deserialize, Serialize};

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct TrainState {
    /// Steps taken.
    pub step: u64,
    /// The epoch that the next step belongs to.
    pub epoch: usize,
    /// Steps taken within it.
    pub step_of_epoch: usize,
    /// Words drawn from this epoch's stream of views.
    #[serde(with = "text")]
    pub views: u128,
    /// How often the negatives kept in this epoch were of their anchor's class.
    #[serde(default)]
    pub kept_same: u64,
    /// How many kept negatives had a known class.
    #[serde(default)]
    pub kept_known: u64,
    /// Sum of the losses of this epoch's steps.
    pub loss_sum: f64,
    /// Mean loss of the last whole epoch.
    pub last_loss: Option<f64>,
    /// Whether that epoch is not in the metrics yet: it ended while the network was looked at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unrecorded: bool,
}

/// Numbers of 128 bits, which JSON readers do not take, as text.
mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.to_string())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
