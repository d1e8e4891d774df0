//! Where the negatives of a run come from, and which of them count, as words and tables of TOML.

use crate::loss::Selection;
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Where the negatives of the training loss come from, and which of them count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "Written")]
pub enum Negatives {
    /// `"batch"`: both views of the other samples of the batch, as in the paper; the batch size is n = K+1.
    Batch,
    /// K negatives per anchor, drawn without replacement from view 2 of the other samples of the batch.
    Count(usize),
    /// `"queue"`: all keys of the queue of `[queue]`.
    Queue,
    /// Such as `"hardest:5%"`: a selection of the queue's keys, or, without `[queue]`, of the batch's 2n−2 negatives.
    Selected(Selection),
}

/// [`Negatives`] in a file.
#[derive(Serialize)]
#[serde(untagged)]
enum Written {
    Number(i64),
    Word(String),
}

impl<'de> Deserialize<'de> for Negatives {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Negatives;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "negatives: a number K, \"batch\", \"queue\" or a selection such as \"hardest:5%\"",
                )
            }

            fn visit_i64<E: serde::de::Error>(self, k: i64) -> std::result::Result<Negatives, E> {
                usize::try_from(k).map(Negatives::Count).map_err(|_| {
                    E::custom(format!("negatives = {k} is neither a number of at least 1 nor a word"))
                })
            }

            fn visit_u64<E: serde::de::Error>(self, k: u64) -> std::result::Result<Negatives, E> {
                i64::try_from(k).map_err(E::custom).and_then(|k| self.visit_i64(k))
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> std::result::Result<Negatives, E> {
                match word {
                    "batch" => Ok(Negatives::Batch),
                    "queue" => Ok(Negatives::Queue),
                    word if !word.contains(':') => Err(E::custom(format!(
                        "negatives = '{word}': neither a number, nor batch, nor queue, nor a selection such as hardest:5%"
                    ))),
                    selection => selection.parse().map(Negatives::Selected).map_err(E::custom),
                }
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

impl From<Negatives> for Written {
    fn from(negatives: Negatives) -> Self {
        match negatives {
            // A file's numbers have 63 bits; `check` admits no K near that.
            Negatives::Count(k) => Self::Number(i64::try_from(k).unwrap_or(i64::MAX)),
            other => Self::Word(other.to_string()),
        }
    }
}

impl std::fmt::Display for Negatives {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Batch => f.write_str("batch"),
            Self::Count(k) => write!(f, "{k}"),
            Self::Queue => f.write_str("queue"),
            Self::Selected(selection) => selection.fmt(f),
        }
    }
}

impl Serialize for Selection {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Selection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A queue of keys by a momentum network, as MoCo's (He et al. 2020), in place of the batch's own negatives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueSettings {
    /// Q: how many keys; K of the training loss.
    pub size: usize,
    /// m of the moving average θ_k ← m θ_k + (1−m) θ_q, after every step.
    #[serde(default = "slow")]
    pub momentum: f64,
}

/// MoCo's momentum.
fn slow() -> f64 {
    0.999
}

/// Largest queue.
pub(super) const MOST_KEYS: usize = 1 << 24;
