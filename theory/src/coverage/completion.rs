//! P(T = n): the n-th draw is the first that completes the classes.
//!
//! υ_n − υ_{n−1} cancels. The last draw shows a class c for the first time and the n−1 others show all classes but c,
//! and only those: P(T = n) = Σ_c π_c (n−1)! \[z^{n−1}\] ∏_{d≠c} (e^{π_d z} − 1), a sum of positive terms; uniform:
//! (C!/Cⁿ) S(n−1, C−1). Without replacement Σ_c M_c/(M−n+1) \[z^{n−1}\] ∏_{d≠c} ((1+z)^{M_d} − 1) / binom(M, n−1).

use super::urn::{self, Scaled, Urn};
use crate::double_double::Dd;
use crate::error::Result;
use crate::prior::ClassPrior;
use crate::probability::Probability;
use crate::sampling::{NumDraws, Sampling};

/// Probability P(T = n) that the classes of `prior` are complete with draw n = `num_draws` and not before.
///
/// Accuracy and error bound as for [`probability`](super::probability()); one contour sum per distinct class size.
///
/// # Errors
/// As for `probability`.
///
/// # Examples
/// ```
/// use theory::{ClassPrior, NumDraws, Sampling, coverage};
/// // Two equal classes: the third draw completes them if the first two agree and it does not.
/// let p = coverage::completion_probability(&ClassPrior::uniform(2)?, Sampling::WithReplacement, NumDraws::new(3)?)?;
/// assert!((p.value() - 0.25).abs() < 1e-15);
/// # Ok::<(), theory::Error>(())
/// ```
pub fn completion_probability(
    prior: &ClassPrior,
    sampling: Sampling,
    num_draws: NumDraws,
) -> Result<Probability> {
    sampling.check(prior, num_draws)?;
    let (classes, draws) = (prior.num_classes(), num_draws.get());
    let population = urn::population(prior, sampling);
    if draws < classes {
        return Ok(Probability::ZERO);
    }
    if classes == 1 || population == Some(classes as f64) {
        return Ok(if draws == classes { Probability::ONE } else { Probability::ZERO });
    }
    let before = draws - 1;
    let of_group = |last: usize| -> Result<Option<Scaled>> {
        let group = &prior.groups()[last];
        let required = urn::weight_groups(prior, sampling, Some(last));
        let own = population.map_or(group.precise, |_| Dd::from(group.count.unwrap_or(1) as f64));
        let total = match population {
            Some(all) => Dd::from(all) - own,
            None if group.probability > 0.999 => Dd::from(group.others),
            None => Dd::ONE - own,
        };
        let Some(part) = Urn::new(population, total, 0.0, &required, before).exactly()? else {
            return Ok(None);
        };
        let chance = population.map_or(own, |all| own / Dd::from(all - before as f64)).value();
        Ok(Some(Scaled { factor: part.factor * chance * group.multiplicity as f64, ..part }))
    };
    let groups = 0..prior.groups().len();
    let parts: Vec<Scaled> = groups.filter_map(|last| of_group(last).transpose()).collect::<Result<_>>()?;
    let Some(largest) = parts.iter().map(|p| p.exponent).reduce(|x, y| if x.hi < y.hi { y } else { x })
    else {
        return Ok(Probability::ZERO);
    };
    let (mut sum, mut error) = (0.0, 0.0);
    for part in &parts {
        let value = part.factor * (part.exponent - largest).exp().value();
        sum += value;
        error += value * part.error;
    }
    let rounding = f64::EPSILON * (3.0 + 0.5 * parts.len() as f64);
    Ok(Probability::from_scaled(sum, largest, error / sum + rounding))
}
