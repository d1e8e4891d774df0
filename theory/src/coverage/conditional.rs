//! υ_K^{(−c)}: the K negatives of an anchor of class c show every other class.
//!
//! Independent draws: K! \[z^K\] e^{π_c z} ∏_{d≠c} (e^{π_d z} − 1). Without replacement, with the anchor out of the
//! urn: \[z^K\] (1+z)^{M_c−1} ∏_{d≠c} ((1+z)^{M_d} − 1) / binom(M−1, K). Averaged over the anchor, υ_{K+1} = Σ_c π_c
//! υ_K^{(−c)}.
//!
//! [`given_anchor_alone`] also asks that no negative shares the anchor's class (Col = 0): K! \[z^K\] ∏_{d≠c} (e^{π_d z}
//! − 1), or \[z^K\] ∏_{d≠c} ((1+z)^{M_d} − 1) / binom(M−1, K).
//!
//! For a prior that is not uniform, E 1{cover}·ℓ_sup = Σ_c π_c υ_K^{(−c)} L_sup,c does not factor as υ_{K+1} L_sup; a
//! bound with the plain supervised loss needs min_c υ_K^{(−c)}.

use super::urn::{self, Urn};
use crate::double_double::Dd;
use crate::error::Result;
use crate::prior::ClassPrior;
use crate::probability::Probability;
use crate::sampling::{NumDraws, Sampling};

/// Probability that a batch of `num_draws` = K+1 labels shows every class, given the anchor's class: one value for each
/// of [`ClassPrior::groups`], in their order.
///
/// Accuracy and error bounds as for [`probability`](super::probability()).
///
/// # Errors
/// As for `probability`.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumDraws, Sampling, coverage};
/// // π = (3/4, 1/4), one negative: after the heavy class it must be the light one, and the other way round.
/// let prior = ClassPrior::from_counts(vec![3, 1])?;
/// let given = coverage::given_anchor(&prior, Sampling::WithReplacement, NumDraws::new(2)?)?;
/// assert!((given[0].value() - 0.25).abs() < 1e-15 && (given[1].value() - 0.75).abs() < 1e-15);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn given_anchor(prior: &ClassPrior, sampling: Sampling, num_draws: NumDraws) -> Result<Vec<Probability>> {
    sampling.check(prior, num_draws)?;
    (0..prior.groups().len()).map(|anchor| of_group(prior, sampling, num_draws, anchor)).collect()
}

/// Probability that the K negatives of an anchor show every other class and never the anchor's own (cover and Col = 0),
/// given the anchor's class: one value for each of [`ClassPrior::groups`], in their order.
///
/// Accuracy and error bounds as for [`probability`](super::probability()); 1−p is derived from p, as its error bound
/// says where p is near 1.
///
/// # Errors
/// As for `probability`.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumDraws, Sampling, coverage};
/// // π = (3/4, 1/4), two negatives: after the heavy class both must be light, and the other way round.
/// let prior = ClassPrior::from_counts(vec![3, 1])?;
/// let alone = coverage::given_anchor_alone(&prior, Sampling::WithReplacement, NumDraws::new(3)?)?;
/// assert!((alone[0].value() - 0.0625).abs() < 1e-15 && (alone[1].value() - 0.5625).abs() < 1e-15);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn given_anchor_alone(
    prior: &ClassPrior,
    sampling: Sampling,
    num_draws: NumDraws,
) -> Result<Vec<Probability>> {
    sampling.check(prior, num_draws)?;
    let of_group = |anchor: usize| {
        let required = urn::weight_groups(prior, sampling, Some(anchor));
        let negatives = num_draws.negatives().get();
        if required.is_empty() || negatives == 0 {
            let nothing_is_asked = required.is_empty() && negatives == 0;
            return Ok(if nothing_is_asked { Probability::ONE } else { Probability::ZERO });
        }
        let group = &prior.groups()[anchor];
        let population = urn::population(prior, sampling);
        let others = match population {
            Some(all) => Dd::from(all - group.count.unwrap_or(1) as f64),
            None if group.probability > 0.999 => Dd::from(group.others),
            None => Dd::ONE - group.precise,
        };
        let urn = Urn::new(population.map(|all| all - 1.0), others, 0.0, &required, negatives);
        let found = urn.exactly()?;
        Ok(found.map_or(Probability::ZERO, |p| Probability::from_scaled(p.factor, p.exponent, p.error)))
    };
    (0..prior.groups().len()).map(of_group).collect()
}

/// min_c υ_K^{(−c)}, which is that of the likeliest class.
///
/// P(all others are drawn and c is not) is K! \[z^K\] e^{π_d z}·∏_{others}, with non-negative coefficients that grow
/// with the weight π_d of the class that may still be drawn; so it is harder to see the lighter of two classes,
/// whatever else must be seen. The same holds without replacement.
///
/// # Errors
/// As for [`probability`](super::probability()).
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumDraws, Sampling, coverage};
/// let prior = ClassPrior::from_counts(vec![3, 1])?;
/// let least = coverage::least_given_anchor(&prior, Sampling::WithReplacement, NumDraws::new(2)?)?;
/// assert!((least.value() - 0.25).abs() < 1e-15);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn least_given_anchor(
    prior: &ClassPrior,
    sampling: Sampling,
    num_draws: NumDraws,
) -> Result<Probability> {
    sampling.check(prior, num_draws)?;
    of_group(prior, sampling, num_draws, 0)
}

fn of_group(
    prior: &ClassPrior,
    sampling: Sampling,
    num_draws: NumDraws,
    anchor: usize,
) -> Result<Probability> {
    let required = urn::weight_groups(prior, sampling, Some(anchor));
    let population = urn::population(prior, sampling).map(|all| all - 1.0);
    let group = &prior.groups()[anchor];
    let (total, free) = match population {
        Some(rest) => (Dd::from(rest), group.count.unwrap_or(1) as f64 - 1.0),
        None => (Dd::ONE, group.probability),
    };
    let urn = Urn::new(population, total, free, &required, num_draws.negatives().get());
    urn.coverage().map(|(probability, _)| probability)
}
