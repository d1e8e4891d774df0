//! Which loss a run minimises, as a table of settings.

use super::nscl::nscl;
use super::{Candidates, Logits, Loss, PendingCount, SelectedRanks, Weights, fused};
use super::{dcl, dclw, debiased, eq_co, flat_nce, hard, info_nce, spectral};
use crate::error::{Error, Result};
use candle_core::Tensor;
use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// A contrastive loss, with its parameters.
///
/// In TOML a table, `loss = { kind = "debiased", class_probability = 0.05 }`; a parameter that is absent has the
/// default of the loss's authors.
// Braces without fields: serde lets unknown keys pass beside a unit variant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LossKind {
    /// [`info_nce`]; over all of a batch [`nt_xent`](super::nt_xent).
    NtXent {},
    /// [`debiased`].
    Debiased {
        /// τ⁺ in \[0, 1).
        #[serde(default = "tenth")]
        class_probability: f64,
    },
    /// [`hard`].
    Hard {
        /// τ⁺ in \[0, 1).
        #[serde(default = "tenth")]
        class_probability: f64,
        /// β in \[0, 1000\].
        #[serde(default = "one")]
        beta: f64,
    },
    /// [`dcl`].
    Dcl {},
    /// [`dclw`].
    Dclw {
        /// σ > 0.
        #[serde(default = "half")]
        sigma: f64,
    },
    /// [`flat_nce`].
    FlatNce {},
    /// [`dcl`] over the negatives that are not of the anchor's class, which it knows. An anchor of class c in a batch
    /// has 2(n − n_c) of them; identical features give (1/n) Σ_c n_c ln(2(n − n_c)).
    Nscl {
        /// Whether the positive stands in the denominator too, as in the second version of the paper: [`info_nce`] in
        /// place of [`dcl`].
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        positive_in_denominator: bool,
    },
    /// [`spectral`], which knows no temperature.
    Spectral {
        /// μ > 0.
        #[serde(default = "one")]
        scale: f64,
    },
    /// [`eq_co`].
    EqCo {
        /// α > 0.
        #[serde(default = "queue")]
        virtual_negatives: f64,
    },
}

fn tenth() -> f64 {
    0.1
}

fn half() -> f64 {
    0.5
}

fn one() -> f64 {
    1.0
}

fn queue() -> f64 {
    65536.0
}

impl Default for LossKind {
    fn default() -> Self {
        Self::NtXent {}
    }
}

impl LossKind {
    /// The name in results, such as `nt_xent`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NtXent {} => "nt_xent",
            Self::Debiased { .. } => "debiased",
            Self::Hard { .. } => "hard",
            Self::Dcl {} => "dcl",
            Self::Dclw { .. } => "dclw",
            Self::FlatNce {} => "flat_nce",
            Self::Nscl { .. } => "nscl",
            Self::Spectral { .. } => "spectral",
            Self::EqCo { .. } => "eq_co",
        }
    }

    /// The name with the parameters that are not the default ones, such as `hard, beta = 2`: what a result is told
    /// apart by.
    ///
    /// # Examples
    /// ```
    /// use trainer::loss::LossKind;
    /// let of = |beta| LossKind::Hard { class_probability: 0.1, beta }.describe();
    /// assert_eq!((of(1.0).as_str(), of(2.0).as_str()), ("hard", "hard, beta = 2"));
    /// ```
    pub fn describe(&self) -> String {
        self.describe_as(self.name())
    }

    /// [`describe`](Self::describe) under another name.
    pub(crate) fn describe_as(&self, name: &str) -> String {
        let parameters = match *self {
            Self::Nscl { positive_in_denominator: true } => {
                return format!("{name}, positive_in_denominator = true");
            }
            Self::NtXent {} | Self::Dcl {} | Self::FlatNce {} | Self::Nscl { .. } => vec![],
            Self::Debiased { class_probability } => vec![("class_probability", class_probability, tenth())],
            Self::Hard { class_probability, beta } => {
                vec![("class_probability", class_probability, tenth()), ("beta", beta, one())]
            }
            Self::Dclw { sigma } => vec![("sigma", sigma, half())],
            Self::Spectral { scale } => vec![("scale", scale, one())],
            Self::EqCo { virtual_negatives } => vec![("virtual_negatives", virtual_negatives, queue())],
        };
        let other = parameters.into_iter().filter(|(_, value, default)| value != default);
        other.fold(name.to_string(), |text, (name, value, _)| format!("{text}, {name} = {value}"))
    }

    /// Checks the parameters against their ranges.
    ///
    /// # Errors
    /// A parameter out of range, named with its value.
    pub fn check(&self) -> Result<()> {
        let require = |fits: bool, name: &str, value: f64, range: &str| match fits {
            true => Ok(()),
            false => Err(Error::argument(format!("loss.{name} = {value} is not {range}"))),
        };
        let probability = |value: f64| {
            require(
                (0.0..1.0).contains(&value),
                "class_probability",
                value,
                "a number of at least 0 and below 1",
            )
        };
        // Limits that keep what is computed from them within f32, far beyond any use.
        let positive = |name: &str, value: f64| {
            require((1e-6..=1e6).contains(&value), name, value, "between 1e-6 and 1e6")
        };
        match *self {
            Self::NtXent {} | Self::Dcl {} | Self::FlatNce {} | Self::Nscl { .. } => Ok(()),
            Self::Debiased { class_probability } => probability(class_probability),
            Self::Hard { class_probability, beta } => {
                probability(class_probability)?;
                require((0.0..=1000.0).contains(&beta), "beta", beta, "between 0 and 1000")
            }
            Self::Dclw { sigma } => positive("sigma", sigma),
            Self::Spectral { scale } => positive("scale", scale),
            Self::EqCo { virtual_negatives } => {
                let fits = (1e-6..=1e12).contains(&virtual_negatives);
                require(fits, "virtual_negatives", virtual_negatives, "between 1e-6 and 1e12")
            }
        }
    }

    /// Whether negatives of the anchor's class are left out.
    pub fn knows_classes(&self) -> bool {
        matches!(self, Self::Nscl { .. })
    }

    /// The loss as a function of logits; NSCL of those that leave out the anchor's class.
    fn weights(&self, logits: &Logits) -> Result<Weights> {
        match *self {
            Self::NtXent {} => info_nce(logits),
            Self::Debiased { class_probability } => debiased(logits, class_probability),
            Self::Hard { class_probability, beta } => hard(logits, class_probability, beta),
            Self::Dcl {} => dcl(logits),
            Self::Dclw { sigma } => dclw(logits, sigma),
            Self::FlatNce {} => flat_nce(logits),
            Self::Nscl { positive_in_denominator: false } => nscl(logits),
            Self::Nscl { positive_in_denominator: true } => info_nce(logits),
            Self::Spectral { scale } => spectral(logits, scale),
            Self::EqCo { virtual_negatives } => eq_co(logits, virtual_negatives),
        }
    }

    /// The loss over these candidates at temperature t, as [`Candidates::mean`]. InfoNCE has a faster form over the
    /// whole batch, and on the CPU over a selection of it and over a queue.
    ///
    /// # Errors
    /// As [`Candidates::mean`]; NSCL over a queue, whose first keys have no class.
    pub fn mean(
        &self,
        candidates: &Candidates<'_>,
        selected: &SelectedRanks<'_>,
        temperature: f64,
    ) -> Result<(Loss, PendingCount)> {
        let fused = match self {
            Self::NtXent {} => fused::info_nce(candidates, selected, temperature)?,
            _ => None,
        };
        if let Some(found) = fused {
            return Ok(found);
        }
        // It knows no temperature: its cosines are not divided by one only to be multiplied by it again.
        let temperature = if let Self::Spectral { .. } = self { 1.0 } else { temperature };
        candidates.mean_over(self.knows_classes(), |logits| self.weights(logits), selected, temperature)
    }

    /// The loss of features \[2n, d\] over all of the batch, whose n samples have these classes: NSCL alone looks at
    /// them.
    ///
    /// # Errors
    /// As [`mean`](Self::mean).
    ///
    /// # Examples
    /// ```
    /// use candle_core::{DType, Device, Tensor};
    /// use trainer::loss::LossKind;
    /// // Three samples that all look alike, so that all logits are equal.
    /// let features = Tensor::ones((6, 4), DType::F32, &Device::Cpu)?;
    /// let value = |kind: LossKind| -> trainer::Result<f32> {
    ///     Ok(kind.evaluate(&features, &[0, 1, 1], 0.5)?.value.to_scalar()?)
    /// };
    /// assert!((value(LossKind::NtXent {})? - 5f32.ln()).abs() < 1e-6); // 2n−1 candidates
    /// assert!((value(LossKind::Dcl {})? - 4f32.ln()).abs() < 1e-6); // without the positive
    /// assert!((value(LossKind::Nscl { positive_in_denominator: false })? - (4f32.ln() + 2.0 * 2f32.ln()) / 3.0).abs() < 1e-6);
    /// # Ok::<(), trainer::Error>(())
    /// ```
    pub fn evaluate(&self, features: &Tensor, classes: &[u32], temperature: f64) -> Result<Loss> {
        let candidates = Candidates::batch(features, classes)?;
        Ok(self.mean(&candidates, &SelectedRanks::all(), temperature)?.0)
    }

    /// Reads a list of words and tables.
    pub(crate) fn words_or_tables<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Vec<Self>, D::Error> {
        #[derive(Deserialize)]
        struct One(#[serde(deserialize_with = "LossKind::word_or_table")] LossKind);
        let list: Vec<One> = Vec::deserialize(deserializer)?;
        Ok(list.into_iter().map(|One(loss)| loss).collect())
    }

    /// Reads a table, or a bare word, which stands for the kind with default parameters.
    pub(crate) fn word_or_table<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Self, D::Error> {
        struct WordOrTable;

        impl<'de> Visitor<'de> for WordOrTable {
            type Value = LossKind;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a loss, such as \"dcl\" or a table with the key kind")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> std::result::Result<LossKind, E> {
                LossKind::deserialize(MapDeserializer::new(std::iter::once(("kind", word))))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<LossKind, A::Error> {
                LossKind::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_any(WordOrTable)
    }
}
