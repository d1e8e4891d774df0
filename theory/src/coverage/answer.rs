//! The answer to a coverage question, by regime: closed forms, the sum over single missing classes, the tilted contour.

use super::Method;
use super::contour;
use super::factorial::{ln_binomial, ln_factorial, ln_missing_items, ln_missing_product, ln_none_of};
use super::tilt::Side;
use super::urn::{Base, Scaled, Urn, WeightGroup};
use crate::double_double::Dd;
use crate::error::{Error, Result};
use crate::probability::Probability;
use std::f64::consts::LN_2;

const EPS: f64 = f64::EPSILON;

impl Urn<'_> {
    /// Probability that the draws show every required class; W must be the population, or 1.
    ///
    /// # Errors
    /// Neither side could be found to three digits.
    pub fn coverage(&self) -> Result<(Probability, Method)> {
        self.coverage_by(&mut |side| contour::solve(self, side))
    }

    /// [`coverage`](Self::coverage) with contour sums by `solve`.
    ///
    /// # Errors
    /// As for `coverage`.
    pub fn coverage_by(&self, solve: &mut dyn FnMut(Side) -> Scaled) -> Result<(Probability, Method)> {
        let (p, method) = self.unchecked(solve);
        // NaN is not below anything.
        let bounds = [p.relative_error_bound(), p.complement_relative_error_bound()];
        self.known(if bounds[0] < bounds[1] { bounds[0] } else { bounds[1] })?;
        Ok((p, method))
    }

    /// Refuses a relative error of more than one in a thousand, or none at all.
    fn known(&self, bound: f64) -> Result<()> {
        if bound <= 1e-3 {
            return Ok(());
        }
        Err(Error::argument(format!(
            "the coverage of {} draws from these classes cannot be computed: its error could only be bounded by {bound:.1e}",
            self.draws
        )))
    }

    fn unchecked(&self, solve: &mut dyn FnMut(Side) -> Scaled) -> (Probability, Method) {
        let n = self.draws;
        if self.num_required == 0.0 || self.num_required == 1.0 && self.free == 0.0 && n > 0.0 {
            return (Probability::ONE, Method::Trivial);
        }
        if n < self.num_required {
            return (Probability::ZERO, Method::Trivial);
        }
        if let Base::Binomial { population } = self.base {
            if n > population - self.lightest() {
                return (Probability::ONE, Method::Trivial);
            }
            if n == population - self.lightest() && self.num_required > 1.0 {
                // Only the subsets that leave out exactly one smallest class fail to cover.
                let multiplicity = self.required.last().map_or(1.0, |g| g.multiplicity);
                if self.lightest() == 1.0 {
                    // Classes of one item: 1−υ = (their number)/M may be near 1, so υ has its own quotient.
                    let covered = (population - multiplicity) / population;
                    let p = Probability::from_values(covered, EPS, multiplicity / population, EPS);
                    return (p, Method::ClosedForm);
                }
                let (ln_subsets, error) = ln_binomial(population, n);
                let missing = Probability::from_scaled(multiplicity, -ln_subsets, error);
                return (missing.opposite(), Method::ClosedForm);
            }
        }
        if self.num_required == 1.0 {
            return (self.single(), Method::ClosedForm);
        }
        if n == self.num_required {
            let each = self.each_once();
            return (Probability::from_scaled(each.factor, each.exponent, each.error), Method::ClosedForm);
        }
        if let Some(missing) = self.first_order() {
            return (missing.opposite(), Method::FirstOrder);
        }
        (self.by_contour(solve), Method::TiltedContour)
    }

    fn by_contour(&self, solve: &mut dyn FnMut(Side) -> Scaled) -> Probability {
        let mut side = |side| {
            let found = solve(side);
            Probability::from_scaled(found.factor, found.exponent, found.error)
        };
        // Classes are seen less often together than independently, so this estimate of ln υ is too high, and not by
        // much where it matters; a wrong guess costs a second sum.
        if self.independent_estimate() < -LN_2 {
            let covered = side(Side::Lower);
            if covered.value() < 0.6 { covered } else { side(Side::Upper).opposite() }
        } else {
            let missing = side(Side::Upper);
            if missing.value() < 0.6 { missing.opposite() } else { side(Side::Lower) }
        }
    }

    /// Σ m ln(1 − P(class is missing)), roughly.
    fn independent_estimate(&self) -> f64 {
        let rate = match self.base {
            Base::Poisson => self.draws,
            Base::Binomial { population } => -(-self.draws / population).ln_1p(),
        };
        let mut sum = 0.0;
        for group in self.required.iter().rev() {
            sum += group.multiplicity * (-(-group.weight.hi * rate).exp()).ln_1p();
            if sum < -LN_2 {
                break;
            }
        }
        sum
    }

    /// n = number of required classes: each exactly once, n! ∏ π_c, or ∏ M_c / binom(M, n).
    fn each_once(&self) -> Scaled {
        let n = self.draws;
        let (mut exponent, mut error) = match self.base {
            Base::Poisson => ln_factorial(n),
            Base::Binomial { population } => {
                let (ln, error) = ln_binomial(population, n);
                (-ln, error)
            }
        };
        for group in self.required {
            exponent = exponent + group.weight.ln() * group.multiplicity;
            error += 1e-30 * group.multiplicity * group.weight.hi.ln().abs();
        }
        Scaled { factor: 1.0, exponent, error }
    }

    /// One required class: 1−υ is the probability that it is missing.
    fn single(&self) -> Probability {
        let Some(group) = self.required.first() else {
            return Probability::ONE;
        };
        let (ln, error) = self.ln_missing(group);
        if ln.hi < -LN_2 {
            return Probability::from_scaled(1.0, ln, error).opposite();
        }
        // υ = 1 − e^ln keeps its digits; the error of ln is one of υ·(e^ln/(1−e^ln)).
        let (covered, missing) = ((-ln.exp_m1()).value(), ln.exp().value());
        let ratio = missing / covered;
        Probability::from_values(covered, error * ratio + 2.0 * EPS, missing, error + 2.0 * EPS)
    }

    /// ln P(one class of `group` is missing) and a bound of its absolute error.
    fn ln_missing(&self, group: &WeightGroup) -> (Dd, f64) {
        let n = self.draws;
        match self.base {
            Base::Poisson => {
                let others = Dd::ONE - group.weight;
                if others.hi > 1e-6 {
                    // ln(1−π) itself where π is tiny: −π − π²/2 − … is below the resolution of 1 − π.
                    let ln = if group.weight.hi < 1e-8 {
                        let w = group.weight;
                        -(w + w * w * 0.5 + w * w * w * (1.0 / 3.0))
                    } else {
                        others.ln()
                    };
                    let ln = ln * n;
                    return (ln, 1e-30 * n + 1e-24 * ln.hi.abs());
                }
                let ln = Dd::from(group.others).ln() * n;
                (ln, EPS * n)
            }
            Base::Binomial { population } => {
                let (total, own, draws) = (population as u64, group.weight.hi as u64, n as u64);
                if own.min(draws) <= 64 {
                    return ln_missing_product(population, own.min(draws) as f64, own.max(draws) as f64);
                }
                let (ln, error) = ln_none_of(total, own, draws);
                if ln > -0.05 {
                    (Dd::from(ln), error)
                } else {
                    ln_missing_items(population, group.weight.hi, n)
                }
            }
        }
    }

    /// 1−υ where it is below e⁻⁴⁰: S₁ = Σ_c P(class c is missing).
    ///
    /// Bonferroni: S₁ − S₂ ≤ 1−υ ≤ S₁, and S₂ ≤ S₁²/2 because two classes are missing together less often than
    /// independently; so S₁ is 1−υ up to a relative S₁.
    fn first_order(&self) -> Option<Probability> {
        const LIMIT: f64 = -40.0;
        let smallest = self.required.last()?;
        let rough = match self.base {
            Base::Poisson => self.draws * smallest.weight.hi.min(0.9999).mul_add(-1.0, 1.0).ln(),
            Base::Binomial { population } => {
                ln_none_of(population as u64, smallest.weight.hi as u64, self.draws as u64).0
            }
        };
        if rough + smallest.multiplicity.ln() > LIMIT + 1.0 {
            return None;
        }
        // The smallest class is the likeliest to be missing; the others are added relative to it.
        let (largest, mut error) = self.ln_missing(smallest);
        let mut relative = smallest.multiplicity;
        for group in self.required[..self.required.len() - 1].iter().rev() {
            let (ln, own_error) = self.ln_missing(group);
            let part = group.multiplicity * (ln - largest).exp().value();
            relative += part;
            if part > 1e-20 {
                error = error.max(own_error);
            } else if part * self.num_required < 1e-20 {
                break; // heavier classes are missing even less often
            }
        }
        let sum = largest.hi + relative.ln();
        (sum < LIMIT).then(|| {
            Probability::from_scaled(relative, largest, error + sum.exp() + 2.0 * EPS * (1.0 + error))
        })
    }

    /// n! \[zⁿ\] F, or \[zⁿ\] F / binom(M, n), with F of the required classes alone (no free weight): the draws show
    /// them all and nothing else.
    ///
    /// # Errors
    /// As for [`coverage`](Self::coverage).
    pub fn exactly(&self) -> Result<Option<Scaled>> {
        let found = self.exactly_unchecked();
        found.as_ref().map_or(Ok(()), |p| self.known(p.error))?;
        Ok(found)
    }

    fn exactly_unchecked(&self) -> Option<Scaled> {
        let n = self.draws;
        if n < self.num_required {
            return None;
        }
        if let Base::Binomial { population } = self.base {
            let total = self.total.hi;
            if n > total {
                return None;
            }
            if n > total - self.lightest() {
                // Any n of these items show every class.
                let (exponent, error) = ln_missing_items(population, population - total, n);
                return Some(Scaled { factor: 1.0, exponent, error });
            }
        }
        if n == self.num_required {
            return Some(self.each_once());
        }
        Some(contour::solve(self, Side::Lower))
    }
}
