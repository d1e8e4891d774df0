//! The schema of `losses.csv`: one table of the descriptive columns, one of the measured ones.
//!
//! A line of a table is all that a column needs: from it come the field of the row, reading and writing, the identity
//! of a setting, headings, and the printed schema (`theory columns`).

use super::value::Field;
use super::{Estimate, Origin, Positives, Value};
use crate::error::{Error, Result};
use crate::sampling::{NumDraws, Sampling};
use std::collections::BTreeMap;
use std::fmt;

/// What opens the name of a paired column: L_Info minus the right-hand side of the bound whose key follows.
pub const PAIRED_PREFIX: &str = "info_nce_minus_";
/// What ends the name of a column that holds the standard error of the column before it.
pub const SE_SUFFIX: &str = "_se";
/// What ends the name of a column that holds the error of a column over the evaluated images.
pub const IMAGE_SE_SUFFIX: &str = "_image_se";

/// What a descriptive column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Part of the setting, and in every file.
    Required,
    /// Part of the setting: rows that differ here are never averaged.
    Identifying,
    /// Beside the setting: a name, a seed, or a consequence of it.
    Descriptive,
}

impl Role {
    /// Whether the column is part of the setting.
    pub fn identifies(self) -> bool {
        self != Self::Descriptive
    }
}

/// A descriptive column of `losses.csv`.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name in the file.
    pub name: &'static str,
    /// Its name in headings.
    pub heading: &'static str,
    /// What an empty cell means.
    pub absent: &'static str,
    /// The values that it can have.
    pub kind: &'static str,
    /// Its meaning.
    pub meaning: &'static str,
    /// What it is for.
    pub role: Role,
    /// Its cell in a row.
    pub value: for<'a> fn(&'a LossComponents) -> Value<'a>,
}

impl Column {
    /// The column of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        COLUMNS.iter().find(|column| column.name == name)
    }
}

/// A column and what is wrong in its cell.
pub(super) type ColumnError = (String, Error);

macro_rules! columns {
    (@initial Required $field:ident) => { $field };
    (@initial $role:ident $field:ident) => { Default::default() };
    (@or $default:expr,) => { $default };
    (@or $default:expr, $given:literal) => { $given };
    (@column [$($path:ident).+] $field:ident: $type:ty, $role:ident, [$($heading:literal)?], [$($absent:literal)?], $meaning:expr) => {
        Column {
            name: stringify!($field),
            heading: columns!(@or stringify!($field), $($heading)?),
            absent: columns!(@or "unknown", $($absent)?),
            kind: <$type as Field>::KIND,
            meaning: $meaning.trim_ascii(),
            role: Role::$role,
            value: |row| row.$($path.)+value(),
        }
    };
    (
        $(#[$run_doc:meta])*
        run {
            $(#[doc = $r_doc:literal] $r:ident: $r_type:ty => $r_role:ident $(, heading $r_head:literal)? $(, empty $r_absent:literal)?;)*
        }
        $(#[$row_doc:meta])*
        row($($given:ident: $given_type:ty),*) {
            $(#[doc = $c_doc:literal] $c:ident: $c_type:ty => $c_role:ident $(, heading $c_head:literal)? $(, empty $c_absent:literal)?;)*
        }
    ) => {
        $(#[$run_doc])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct RunInfo { $(#[doc = $r_doc] pub $r: $r_type,)* }

        $(#[$row_doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct LossComponents {
            /// What was trained.
            pub run: RunInfo,
            $(#[doc = $c_doc] pub $c: $c_type,)*
            /// The measured quantities.
            pub measures: BTreeMap<Quantity, Estimate>,
            /// `info_nce_minus_<key>`: L_Info minus a bound's right-hand side, paired batch by batch.
            pub paired: BTreeMap<String, Estimate>,
            /// Columns that this program does not know, as read.
            pub extra: Vec<(String, String)>,
            /// Where the row was read.
            pub origin: Origin,
        }

        /// The descriptive columns, in the order of the file.
        pub const COLUMNS: &[Column] = &[
            $(columns!(@column [run.$r] $r: $r_type, $r_role, [$($r_head)?], [$($r_absent)?], $r_doc),)*
            $(columns!(@column [$c] $c: $c_type, $c_role, [$($c_head)?], [$($c_absent)?], $c_doc),)*
        ];

        impl LossComponents {
            /// A row that says no more than what every row must say.
            pub(super) fn unmeasured($($given: $given_type),*) -> Self {
                Self {
                    run: RunInfo::default(),
                    $($c: columns!(@initial $c_role $c),)*
                    measures: BTreeMap::new(),
                    paired: BTreeMap::new(),
                    extra: Vec::new(),
                    origin: Origin::default(),
                }
            }

            /// A row of these cells, one for each of [`COLUMNS`] in its order; nothing is measured yet.
            pub(super) fn from_cells<'a>(mut cells: impl Iterator<Item = Option<&'a str>>) -> std::result::Result<Self, ColumnError> {
                let mut next = || cells.next().flatten();
                Ok(Self {
                    // Fields are evaluated as they stand, which is the order of `COLUMNS`.
                    run: RunInfo { $($r: Field::read(next()).map_err(|e| (stringify!($r).into(), e))?,)* },
                    $($c: Field::read(next()).map_err(|e| (stringify!($c).into(), e))?,)*
                    measures: BTreeMap::new(),
                    paired: BTreeMap::new(),
                    extra: Vec::new(),
                    origin: Origin::default(),
                })
            }
        }
    };
}

columns! {
    /// What was trained: text as it stands in the file, empty where it is unknown, numbers where they are known.
    run {
        /// Name of the run.
        run_id: String => Descriptive;
        /// Name of the data set.
        dataset: String => Identifying;
        /// Architecture of the encoder.
        encoder: String => Identifying;
        /// Architecture of the projection head.
        head: String => Identifying;
        /// Name of the training loss.
        loss: String => Identifying;
        /// Seed of the run.
        seed: Option<u64> => Descriptive;
        /// Number of training epochs.
        epochs: Option<u64> => Identifying;
        /// Samples per training batch (each gives two views).
        batch_size: Option<u64> => Identifying;
        /// K in the training loss: 2B−2 if all of a batch of B samples is used.
        train_negatives: Option<u64> => Identifying, heading "train K";
        /// Mean number of negatives kept by the selection.
        effective_negatives: Option<f64> => Descriptive;
        /// Samples of the training set.
        train_samples: Option<u64> => Identifying;
        /// Which negatives the training loss used, such as `hardest:5%`; empty if all.
        selection: String => Identifying, empty "all";
        /// Name of the optimiser.
        optimiser: String => Identifying;
        /// Learning rate at a batch size of 256.
        learning_rate: Option<f64> => Identifying;
        /// Augmentation that makes a view, with its non-default settings.
        augmentation: String => Identifying;
        /// Number format of the training, such as f32 or bf16.
        precision: String => Identifying;
        /// Size of the largest class divided by that of the smallest, in the training set.
        imbalance: Option<f64> => Identifying;
        /// Hash of all settings except the seed; for a features file, of its numbers, the passes and the seed.
        settings_id: String => Identifying;
    }
    /// One measurement of an encoder: the terms that the bounds combine.
    ///
    /// `L_Info` and all losses are in nats and already divided by the temperature where the formula says so.
    row(num_classes: u64, num_draws: NumDraws, temperature: f64, sampling: Sampling) {
        /// C, the number of classes.
        num_classes: u64 => Required;
        /// Samples per class of the evaluated set.
        class_counts: Option<Vec<u64>> => Identifying;
        /// n = K+1 in the measurement (not in training).
        num_draws: NumDraws => Required, heading "n = K+1";
        /// t, in the contrastive loss and in the mean classifier's logits.
        temperature: f64 => Required, heading "t";
        /// How the labels of a batch were drawn.
        sampling: Sampling => Required;
        /// What a positive pair is; empty: two views of one image.
        positives: Positives => Identifying, empty "same_image";
        /// Number of batches that the means are over.
        num_batches: Option<u64> => Identifying;
        /// Number of views averaged in each f̄(x).
        fbar_views: Option<u64> => Identifying;
        /// The part of the data that was measured: validation or tuning, and whether it was split by class.
        evaluated_split: String => Identifying;
        /// Seed of the measurement, if it is not that of the run.
        measure_seed: Option<u64> => Identifying, empty "of the run";
        /// Number of neighbours of the kNN classifier.
        knn_k: Option<u64> => Identifying;
        /// Temperature of the kNN classifier's weights.
        knn_temperature: Option<f64> => Identifying;
        /// How the linear probe was trained: ridge given or chosen, features standardised or not.
        linear_probe: String => Identifying;
        /// Number of samples in columns over pairs (`uniformity…`, `collision_spread`), if not all.
        pair_samples: Option<u64> => Identifying, empty "all";
        /// L_sup for each class of the anchor, in nats.
        class_sup_loss: Option<Vec<f64>> => Descriptive;
    }
}

/// The values that a quantity can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// At least 0.
    NonNegative,
    /// At most 0.
    NonPositive,
    /// In [0, 1].
    UnitInterval,
    /// Any number.
    Any,
}

impl Domain {
    fn contains(self, value: f64) -> bool {
        match self {
            Self::NonNegative => value >= 0.0,
            Self::NonPositive => value <= 0.0,
            Self::UnitInterval => (0.0..=1.0).contains(&value),
            Self::Any => !value.is_nan(),
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NonNegative => "of at least 0",
            Self::NonPositive => "of at most 0",
            Self::UnitInterval => "in [0, 1]",
            Self::Any => "of any sign",
        })
    }
}

macro_rules! quantities {
    ($(#[doc = $doc:literal] $variant:ident = $name:literal: $domain:ident,)*) => {
        /// A measured column of `losses.csv`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Quantity { $(#[doc = $doc] $variant,)* }

        impl Quantity {
            /// All quantities, in the order of the file.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The column's name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The column's meaning.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $doc.trim_ascii(),)* }
            }

            /// The values that the column can have.
            pub fn domain(self) -> Domain {
                match self { $(Self::$variant => Domain::$domain,)* }
            }
        }
    };
}

quantities! {
    /// L_Info: one positive, K negatives, view 1 against view 2 of the batch.
    InfoNce = "info_nce": NonNegative,
    /// The two-view NT-Xent loss with 2n−2 negatives, per anchor.
    NtXent = "nt_xent": NonNegative,
    /// υ̂: share of batches that contain every class.
    Coverage = "coverage": UnitInterval,
    /// υ, exact for this sampling and these class counts.
    CoverageExact = "coverage_exact": UnitInterval,
    /// τ̂: share of anchors with a negative of their own class.
    Collision = "collision": UnitInterval,
    /// τ, exact for this sampling and these class counts.
    CollisionExact = "collision_exact": UnitInterval,
    /// Share of batches whose first anchor has a negative of its class: independent trials, for a binomial test.
    FirstAnchorCollision = "first_anchor_collision": UnitInterval,
    /// Mean of ln(1+Col).
    Log1pCollisions = "log1p_collisions": NonNegative,
    /// E ln(1+Col), exact for this sampling and these class counts.
    Log1pCollisionsExact = "log1p_collisions_exact": NonNegative,
    /// L_sup: mean of l_sup, over all C classes.
    FullSupLoss = "full_sup_loss": NonNegative,
    /// Mean of 1{cover}·l_sup, without the factor ½ of Nozawa & Sato.
    JointSupLoss = "joint_sup_loss": NonNegative,
    /// Mean of 1{not cover}·l_sub, without the factor ½ of Nozawa & Sato.
    JointSubLoss = "joint_sub_loss": NonNegative,
    /// Mean of 1{Col = 0}·1{cover}·l_sup.
    CurlJointSup = "curl_joint_sup": NonNegative,
    /// Mean of 1{Col = 0}·l, l over the classes of the batch; includes `curl_joint_sup`.
    CurlJoint = "curl_joint": NonNegative,
    /// d(f) = (1/t) E min(0, z·(μ_c − f̄(x))) (not L_Info − L_sup).
    Gap = "gap": NonPositive,
    /// Mean of ln(1 + Col + A), the right side of the master inequality without d(f).
    MasterTerm = "master_term": NonNegative,
    /// L_Info with z·z⁺ replaced by z·f̄(x): E ln(1 + Σ_k e^{(z·z_k − z·f̄(x))/t}).
    InfoNceMeanPositive = "info_nce_mean_positive": NonNegative,
    /// The same, z_k also replaced by its mean: μ_c; (m μ_c − f̄(x))/(m−1) in the anchor's class of m distinct images.
    InfoNceMeanNegatives = "info_nce_mean_negatives": NonNegative,
    /// β̂ as published: mean of abs(x0_i·x1_j − x0_j·x1_j) over pairs in one class of training samples, x0, x1 their views.
    CollisionSpread = "collision_spread": NonNegative,
    /// The same on encoder features.
    CollisionSpreadEncoder = "collision_spread_encoder": NonNegative,
    /// Mean of ln(1+Col) + max_k abs(s_k − s_+)/t, k over negatives of the anchor's class: bounds the loss on these.
    CollisionUpper = "collision_upper": NonNegative,
    /// Mean over anchors of Var_j(e^{z·μ_j/t}) / (mean_j e^{z·μ_j/t})², j uniform over the classes.
    LogitVariance = "logit_variance": NonNegative,
    /// Error of the mean classifier argmax_j z·μ_j on the anchors (augmented views); a tie is an error.
    AnchorError = "anchor_error": UnitInterval,
    /// E z·(μ_c − μ̄)/(1 − π_c), μ̄ = Σ_j π_j μ_j: the anchor's mean margin over the other classes.
    MeanMargin = "mean_margin": Any,
    /// E Σ_{j≠c} e^{z·(μ_j − μ_c)/t} = E e^{l_sup} − 1.
    SupervisedOdds = "supervised_odds": NonNegative,
    /// E‖f(x) − μ_y‖²: variance of the features within classes.
    WithinClassVariance = "within_class_variance": NonNegative,
    /// E‖f(x) − μ_y‖: mean distance of the features from the mean of their class.
    WithinClassDeviation = "within_class_deviation": NonNegative,
    /// Mean over anchors and over the classes j other than theirs of ln(1 + e^{z·(μ_j − μ_c)/t}).
    PairLoss = "pair_loss": NonNegative,
    /// L_DCL − L_NSCL = E ln(1+R), R = Σ e^{s_k/t} over negatives of the anchor's class, divided by that over the others.
    NsclGap = "nscl_gap": NonNegative,
    /// Mean over all samples of l_sup over all C classes: no batch sampling error.
    FullSupLossRaoBlackwell = "full_sup_loss_rao_blackwell": NonNegative,
    /// E over batches given the anchor of 1{cover}·l_sup = P(cover given the class)·l_sup: mean over all samples.
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
    /// Mean of the uniformities of view 1 and view 2, as in the figures of Wang & Isola.
    UniformityBothViews = "uniformity_both_views": NonPositive,
    /// e^H of the normalised eigenvalues of the features' covariance, H their entropy (Roy & Vetterli 2007).
    EffectiveRank = "effective_rank": NonNegative,
    /// e^H, H = −Σ p ln p, p the singular values of the features as they are over their sum, plus 1e-7 (Garrido et al. 2023).
    RankMe = "rankme": NonNegative,
    /// Accuracy of the mean classifier on head features.
    MeanAccuracy = "mean_accuracy": UnitInterval,
    /// Accuracy of the mean classifier on the average of two views' head features, as in the code of Nozawa & Sato.
    MeanAccuracyTwoViews = "mean_accuracy_two_views": UnitInterval,
    /// Share of samples whose class mean is nearest (Euclidean), on head features; a tie is an error.
    NearestMeanAccuracy = "nearest_mean_accuracy": UnitInterval,
    /// Cantelli's bound of the mean classifier's error, from means and variances of x·(μ_i − μ_j) in each class.
    CantelliError = "cantelli_error": UnitInterval,
    /// Chebyshev's bound of the nearest class mean's error, from the second moments of (x − μ_i)·(μ_i − μ_j) in each class.
    DirectionalError = "directional_error": UnitInterval,
    /// Accuracy of the mean classifier on encoder features.
    MeanAccuracyEncoder = "mean_accuracy_encoder": UnitInterval,
    /// Accuracy of a linear probe on head features.
    LinearAccuracy = "linear_accuracy": UnitInterval,
    /// Accuracy of a linear probe on encoder features.
    LinearAccuracyEncoder = "linear_accuracy_encoder": UnitInterval,
    /// Ridge of the linear probe on head features.
    LinearRidge = "linear_ridge": NonNegative,
    /// Ridge of the linear probe on encoder features.
    LinearRidgeEncoder = "linear_ridge_encoder": NonNegative,
    /// Final gradient norm of the linear probe on head features: above 1e-7 it has not converged.
    LinearGradient = "linear_gradient": NonNegative,
    /// Final gradient norm of the linear probe on encoder features: above 1e-7 it has not converged.
    LinearGradientEncoder = "linear_gradient_encoder": NonNegative,
    /// Accuracy of a linear probe trained by SGD as Nozawa & Sato do, on head features.
    LinearAccuracySgd = "linear_accuracy_sgd": UnitInterval,
    /// Accuracy of a linear probe trained by SGD as Nozawa & Sato do, on encoder features.
    LinearAccuracySgdEncoder = "linear_accuracy_sgd_encoder": UnitInterval,
    /// Accuracy of the weighted kNN classifier on head features.
    KnnAccuracy = "knn_accuracy": UnitInterval,
    /// Accuracy of the weighted kNN classifier on encoder features.
    KnnAccuracyEncoder = "knn_accuracy_encoder": UnitInterval,
}

impl Quantity {
    /// The quantity of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|quantity| quantity.name() == name)
    }

    /// Whether it is known of samples without classes.
    pub fn needs_no_classes(self) -> bool {
        matches!(
            self,
            Self::InfoNce
                | Self::NtXent
                | Self::Alignment
                | Self::Uniformity
                | Self::UniformityBothViews
                | Self::EffectiveRank
                | Self::RankMe
        )
    }

    /// Whether it is the share of evaluated samples that a classifier gets right.
    pub fn is_accuracy(self) -> bool {
        matches!(
            self,
            Self::MeanAccuracy
                | Self::MeanAccuracyTwoViews
                | Self::NearestMeanAccuracy
                | Self::MeanAccuracyEncoder
                | Self::LinearAccuracy
                | Self::LinearAccuracyEncoder
                | Self::LinearAccuracySgd
                | Self::LinearAccuracySgdEncoder
                | Self::KnnAccuracy
                | Self::KnnAccuracyEncoder
        )
    }

    /// Checks that a value is one that the quantity can have.
    ///
    /// # Errors
    /// The value is not finite or outside the domain.
    pub fn check(self, value: f64) -> Result<()> {
        let domain = self.domain();
        if value.is_finite() && domain.contains(value) {
            return Ok(());
        }
        Err(Error::argument(format!("{self} = {value} is not a number {domain}")))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
