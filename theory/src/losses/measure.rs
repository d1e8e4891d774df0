//! The measured columns of `losses.csv`, each with the set of values it can have.

use crate::error::{Error, Result};
use std::fmt;

/// The values that a measure can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// At least 0.
    NonNegative,
    /// At most 0.
    NonPositive,
    /// In [0, 1].
    UnitInterval,
}

macro_rules! measures {
    ($($(#[$doc:meta])* $variant:ident = $name:literal: $domain:ident,)*) => {
        /// A measured column of `losses.csv`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Quantity { $($(#[$doc])* $variant,)* }

        impl Quantity {
            /// All measures, in the order of the file.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The column's name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The values that the column can have.
            pub fn domain(self) -> Domain {
                match self { $(Self::$variant => Domain::$domain,)* }
            }
        }
    };
}

measures! {
    /// L_Info: one positive, K negatives, view 1 against view 2 of the batch.
    InfoNce = "info_nce": NonNegative,
    /// The two-view NT-Xent loss with 2n−2 negatives, per anchor.
    NtXent = "nt_xent": NonNegative,
    /// υ̂: share of batches that show every class.
    Coverage = "coverage": UnitInterval,
    /// υ for this sampling and these counts.
    CoverageExact = "coverage_exact": UnitInterval,
    /// τ̂: share of anchors whose class occurs again in the batch.
    Collision = "collision": UnitInterval,
    /// τ for this sampling and these counts.
    CollisionExact = "collision_exact": UnitInterval,
    /// Share of batches whose first anchor's class occurs again: one Bernoulli trial a batch, for the exact test.
    FirstAnchorCollision = "first_anchor_collision": UnitInterval,
    /// Mean of ln(1+Col).
    Log1pCollisions = "log1p_collisions": NonNegative,
    /// E ln(1+Col) for this sampling and these counts.
    Log1pCollisionsExact = "log1p_collisions_exact": NonNegative,
    /// Mean of l_sup over all C classes, whatever the batch shows.
    FullSupLoss = "full_sup_loss": NonNegative,
    /// Mean of 1{cover}·l_sup, not halved.
    JointSupLoss = "joint_sup_loss": NonNegative,
    /// Mean of 1{not cover}·l_sub, not halved.
    JointSubLoss = "joint_sub_loss": NonNegative,
    /// Mean of 1{Col = 0}·1{cover}·l_sup.
    CurlJointSup = "curl_joint_sup": NonNegative,
    /// Mean of 1{Col = 0}·l over the classes of the batch; contains `curl_joint_sup`.
    CurlJoint = "curl_joint": NonNegative,
    /// d(f) = (1/t) E min(0, z·(μ_c − f̄(x))).
    Gap = "gap": NonPositive,
    /// Mean of ln(1 + Col + A), without d(f).
    MasterTerm = "master_term": NonNegative,
    /// β̂ as published: mean |x0_i·x1_j − x0_j·x1_j| over same-class pairs of training features.
    CollisionSpread = "collision_spread": NonNegative,
    /// Rigorous upper bound of the collision term: E \[ln(1+Col) + max_k |s_k − s_+|/t\] over same-class negatives.
    CollisionUpper = "collision_upper": NonNegative,
    /// Mean over anchors of Var_j(e^{z·μ_j/t}) / (mean_j e^{z·μ_j/t})², j uniform over the classes.
    LogitVariance = "logit_variance": NonNegative,
    /// E‖f(x) − μ_y‖²: variance of the features within classes.
    WithinClassVariance = "within_class_variance": NonNegative,
    /// E ln(1+R), R the same-class over the other-class exponential mass among the negatives: L_DCL − L_NSCL.
    NsclGap = "nscl_gap": NonNegative,
    /// Mean over all samples of l_sup over all C classes: its error is that of the views alone.
    FullSupLossRaoBlackwell = "full_sup_loss_rao_blackwell": NonNegative,
    /// E over batches given the anchor of 1{cover}·l_sup, which is P(cover | class)·l_sup: mean over all samples.
    JointSupLossRaoBlackwell = "joint_sup_loss_rao_blackwell": NonNegative,
    /// E over batches given the anchor of 1{not cover}·l_sub: mean over all samples.
    JointSubLossRaoBlackwell = "joint_sub_loss_rao_blackwell": NonNegative,
    /// E over batches given the anchor of 1{Col = 0}·1{cover}·l_sup: mean over all samples.
    CurlJointSupRaoBlackwell = "curl_joint_sup_rao_blackwell": NonNegative,
    /// E over batches given the anchor of 1{Col = 0}·l over the classes of the batch: mean over all samples.
    CurlJointRaoBlackwell = "curl_joint_rao_blackwell": NonNegative,
    /// E over batches given the anchor of ln(1 + Col + A): mean over all samples.
    MasterTermRaoBlackwell = "master_term_rao_blackwell": NonNegative,
    /// E‖f(x) − f(x⁺)‖² over the two views of a sample (Wang & Isola 2020, α = 2).
    Alignment = "alignment": NonNegative,
    /// ln E e^{−2‖f(x) − f(y)‖²} over pairs of distinct samples in view 1 (Wang & Isola 2020, t = 2).
    Uniformity = "uniformity": NonPositive,
    /// e^H of the normalised eigenvalues of the features' covariance, H their entropy (Roy & Vetterli 2007).
    EffectiveRank = "effective_rank": NonNegative,
    /// Accuracy of the mean classifier on head features.
    MeanAccuracy = "mean_accuracy": UnitInterval,
    /// Accuracy of the mean classifier on encoder features.
    MeanAccuracyEncoder = "mean_accuracy_encoder": UnitInterval,
    /// Accuracy of a linear probe on head features.
    LinearAccuracy = "linear_accuracy": UnitInterval,
    /// Accuracy of a linear probe on encoder features.
    LinearAccuracyEncoder = "linear_accuracy_encoder": UnitInterval,
    /// Accuracy of a linear probe trained by SGD as Nozawa & Sato do, on head features.
    LinearAccuracySgd = "linear_accuracy_sgd": UnitInterval,
    /// Accuracy of a linear probe trained by SGD as Nozawa & Sato do, on encoder features.
    LinearAccuracySgdEncoder = "linear_accuracy_sgd_encoder": UnitInterval,
    /// Accuracy of weighted k nearest neighbours on head features.
    KnnAccuracy = "knn_accuracy": UnitInterval,
    /// Accuracy of weighted k nearest neighbours on encoder features.
    KnnAccuracyEncoder = "knn_accuracy_encoder": UnitInterval,
}

impl Quantity {
    /// The measure of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|m| m.name() == name)
    }

    /// Checks that a value is one that the measure can have.
    ///
    /// # Errors
    /// The value is not finite or outside the domain.
    pub fn check(self, value: f64) -> Result<()> {
        let (fits, domain) = match self.domain() {
            Domain::NonNegative => (value >= 0.0, "a number of at least 0"),
            Domain::NonPositive => (value <= 0.0, "a number of at most 0"),
            Domain::UnitInterval => ((0.0..=1.0).contains(&value), "a number in [0, 1]"),
        };
        if value.is_finite() && fits {
            return Ok(());
        }
        Err(Error::argument(format!("{self} = {value} is not {domain}")))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
