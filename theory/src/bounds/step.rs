//! The inequalities between L_Info and an upper bound of L_sup, each with a name.

/// An inequality on the way from L_Info to a bound.
///
/// What it costs on measured losses, [`slack`](super::slack) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Step {
    /// The positive's view is replaced by the mean f̄(x) of its image.
    ImageMean,
    /// The negatives' views are replaced by the means of their classes.
    ClassMeans,
    /// f̄(x) is replaced by μ_c at the cost of d(f).
    Gap,
    /// The three before in one, where the columns between are not measured.
    ViewsToMeans,
    /// Where Col > 0 only ln(1+Col) stays, elsewhere each class shown counts once.
    Collided,
    /// The collided negatives are dropped, and each class shown counts once.
    CollisionsDropped,
    /// Half the loss without collisions and half that of collisions alone.
    Halves,
    /// Each class shown counts once, and the classes that a batch does not show are made up for by submodularity.
    Unshown,
    /// Batches that do not show every class are dropped.
    Uncovered,
    /// The smallest probability over the anchor's class for every class.
    WorstClass,
    /// The exact probability for the counted share of batches: no inequality.
    Counted,
    /// A product of probabilities, or a coarser bound of it, for the probability itself.
    CoarseProbability,
    /// The largest possible ln E X − E ln X for what it is.
    ReverseJensen,
    /// The same with the measured spread of the logits, the positive's own term dropped.
    ReverseJensenMeasured,
    /// The positive's own term is dropped.
    PositiveDropped,
    /// Kantorovich's constant for the smaller of Specht's and the variance form.
    Kantorovich,
    /// The spread within classes over t for −d(f).
    Spread,
    /// Half of the sub-class loss is left out, as published.
    HalfSubClass,
    /// The published denominator, which is no lower bound of the probability.
    PublishedDenominator,
    /// All that the bound loses after the master inequality.
    Rest,
    /// All that lies between L_Info and a form that nobody derived here.
    Unproved,
}

impl Step {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::ImageMean => "positive to image mean (Jensen)",
            Self::ClassMeans => "negatives to class means (Jensen)",
            Self::Gap => "image mean to class mean, with d(f)",
            Self::ViewsToMeans => "views to class means, with d(f)",
            Self::Collided => "anchors with a collision",
            Self::CollisionsDropped => "collisions dropped",
            Self::Halves => "half of each: collisions, classes",
            Self::Unshown => "classes not shown",
            Self::Uncovered => "batches that miss a class",
            Self::WorstClass => "worst anchor class for all",
            Self::Counted => "counted batches (sampling error)",
            Self::CoarseProbability => "coarser probability",
            Self::ReverseJensen => "reverse Jensen's constant",
            Self::ReverseJensenMeasured => "reverse Jensen, measured spread",
            Self::PositiveDropped => "positive's own term dropped",
            Self::Kantorovich => "Kantorovich's constant for Specht's",
            Self::Spread => "spread within classes for d(f)",
            Self::HalfSubClass => "half of the sub-class loss",
            Self::PublishedDenominator => "published denominator (no bound)",
            Self::Rest => "class means to the bound",
            Self::Unproved => "no proved chain",
        }
    }

    /// What is given away there, in one line.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::ImageMean => {
                "the positive's view is replaced by the mean f̄(x) of its image; 0 by construction where f̄(x) is the \
                 other view itself"
            }
            Self::ClassMeans => {
                "the negatives' views are replaced by the mean of what they can show given their class"
            }
            Self::Gap => "f̄(x) is replaced by μ_c at the cost of d(f): slack of the slope bound",
            Self::ViewsToMeans => {
                "views and images are replaced by class means at the cost of d(f): Jensen and the slope bound \
                 together"
            }
            Self::Collided => {
                "where a negative has the anchor's class only ln(1+Col) stays; elsewhere each class shown counts once"
            }
            Self::CollisionsDropped => {
                "negatives of the anchor's class are dropped, and each class shown counts once"
            }
            Self::Halves => {
                "half the loss over the classes shown, each once, and half of ln(1+Col), for the larger of them"
            }
            Self::Unshown => {
                "the classes shown, each once, stand for all C: a submodular function of a random set against its \
                 value on the whole"
            }
            Self::Uncovered => "batches that do not show every class are dropped",
            Self::WorstClass => {
                "the smallest probability over the anchor's class stands for that of every class"
            }
            Self::Counted => {
                "the exact probability stands for the counted share of batches: no inequality, sampling error"
            }
            Self::CoarseProbability => {
                "a product of probabilities, or a coarser bound, stands for the probability itself"
            }
            Self::ReverseJensen => {
                "the largest possible ln E X − E ln X stands for what it is here; of unequal classes the rarest stands \
                 for all"
            }
            Self::ReverseJensenMeasured => {
                "ln E X − E ln X is bounded by the measured spread of the logits, without the positive's own term"
            }
            Self::PositiveDropped => "the positive's own term among the n = K+1 candidates is dropped",
            Self::Kantorovich => {
                "Kantorovich's constant stands for the smaller one of Specht or of the variance"
            }
            Self::Spread => {
                "the spread of the features within classes over t stands for −d(f), which it exceeds"
            }
            Self::HalfSubClass => "half of the loss of batches that miss a class is left out, as published",
            Self::PublishedDenominator => {
                "the published denominator stands for the probability: no inequality, may be negative"
            }
            Self::Rest => "all that the bound loses after the master inequality",
            Self::Unproved => "a published form without a derivation here",
        }
    }
}
