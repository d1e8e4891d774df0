//! Which loss a run minimises over its batch, as a table of settings.

use super::{Loss, dcl, dclw, debiased, eq_co, flat_nce, hard, nscl, nt_xent, spectral};
use crate::error::{Error, Result};
use candle_core::Tensor;
use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// A contrastive loss of two views of a batch, with its parameters.
///
/// In TOML a table, `loss = { kind = "debiased", class_probability = 0.05 }`; a parameter that is absent has the default of
/// the loss's authors.
// Braces without fields: serde lets unknown keys pass beside a unit variant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LossKind {
    /// [`nt_xent`].
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
    /// [`nscl`], which knows the classes.
    Nscl {},
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
            Self::Nscl {} => "nscl",
            Self::Spectral { .. } => "spectral",
            Self::EqCo { .. } => "eq_co",
        }
    }

    /// The name with the parameters that are not the default ones, such as `hard, beta = 2`: what a result is told apart by.
    ///
    /// # Examples
    /// ```
    /// use trainer::loss::LossKind;
    /// let of = |beta| LossKind::Hard { class_probability: 0.1, beta }.describe();
    /// assert_eq!((of(1.0).as_str(), of(2.0).as_str()), ("hard", "hard, beta = 2"));
    /// ```
    pub fn describe(&self) -> String {
        let parameters = match *self {
            Self::NtXent {} | Self::Dcl {} | Self::FlatNce {} | Self::Nscl {} => vec![],
            Self::Debiased { class_probability } => vec![("class_probability", class_probability, tenth())],
            Self::Hard { class_probability, beta } => {
                vec![("class_probability", class_probability, tenth()), ("beta", beta, one())]
            }
            Self::Dclw { sigma } => vec![("sigma", sigma, half())],
            Self::Spectral { scale } => vec![("scale", scale, one())],
            Self::EqCo { virtual_negatives } => vec![("virtual_negatives", virtual_negatives, queue())],
        };
        let other = parameters.into_iter().filter(|(_, value, default)| value != default);
        other.fold(self.name().to_string(), |text, (name, value, _)| format!("{text}, {name} = {value}"))
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
            Self::NtXent {} | Self::Dcl {} | Self::FlatNce {} | Self::Nscl {} => Ok(()),
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

    /// How many negatives an anchor has in a batch of n samples: 2n−2, both views of the others. For NSCL the most it can
    /// have: those of its own class drop out. EqCo weighs its 2n−2 as α.
    pub fn num_negatives(&self, num_samples: usize) -> u64 {
        (2 * num_samples as u64).saturating_sub(2)
    }

    /// The loss of features \[2n, d\] whose n samples have these classes, which NSCL alone looks at.
    ///
    /// # Errors
    /// As for the function of the loss.
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
    /// assert!((value(LossKind::Nscl {})? - (4f32.ln() + 2.0 * 2f32.ln()) / 3.0).abs() < 1e-6);
    /// # Ok::<(), trainer::Error>(())
    /// ```
    pub fn evaluate(&self, features: &Tensor, classes: &[usize], temperature: f64) -> Result<Loss> {
        match *self {
            Self::NtXent {} => nt_xent(features, temperature),
            Self::Debiased { class_probability } => debiased(features, class_probability, temperature),
            Self::Hard { class_probability, beta } => hard(features, class_probability, beta, temperature),
            Self::Dcl {} => dcl(features, temperature),
            Self::Dclw { sigma } => dclw(features, sigma, temperature),
            Self::FlatNce {} => flat_nce(features, temperature),
            Self::Nscl {} => nscl(features, classes, temperature),
            Self::Spectral { scale } => spectral(features, scale),
            Self::EqCo { virtual_negatives } => eq_co(features, virtual_negatives, temperature),
        }
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
