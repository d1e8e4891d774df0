//! Which bounds a figure shows.

use super::bounds::mean;
use crate::bounds::{self, Bound, Standing};
use crate::error::{Error, Result};
use crate::losses::Groups;
use crate::report::blocks;

/// Which bounds a figure shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection(Vec<&'static str>);

/// The published bounds, which every figure has unless told otherwise.
const PUBLISHED: [&str; 2] = ["nozawa_sato", "curl"];
/// How many of the sharpest theorems stand beside them.
const SHARPEST: usize = 4;
/// Lines of bounds in a figure whose bounds were not named.
const MOST_LINES: usize = 8;

impl Selection {
    /// The bounds of these keys; the one key `all` means every upper bound of L_sup in the registry.
    ///
    /// # Errors
    /// No key, one that the registry lacks, one of a bound that is no upper bound of L_sup, or one twice.
    ///
    /// # Examples
    /// ```
    /// use theory::report::figure::Selection;
    /// assert!(Selection::of(&["specht", "bao"]).is_ok());
    /// assert!(Selection::of(&["spekht"]).is_err());
    /// ```
    pub fn of(keys: &[impl AsRef<str>]) -> Result<Self> {
        let upper = || bounds::all().iter().filter(|b| !b.upper_needs().is_empty()).map(|b| b.key());
        let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
        if keys == ["all"] {
            return Ok(Self(upper().collect()));
        }
        let mut found = Vec::new();
        for key in &keys {
            let known = upper().find(|known| known == key).ok_or_else(|| {
                let known: Vec<&str> = upper().collect();
                Error::argument(format!(
                    "'{key}' is no upper bound of L_sup; known: all, {}",
                    known.join(", ")
                ))
            })?;
            if found.contains(&known) {
                return Err(Error::argument(format!("the bound '{key}' is named twice")));
            }
            found.push(known);
        }
        if found.is_empty() {
            return Err(Error::argument("a figure of bounds needs at least one bound"));
        }
        Ok(Self(found))
    }

    /// The keys that were named; none by default.
    pub fn named(&self) -> &[&'static str] {
        &self.0
    }

    /// The bounds that a figure of these measurements shows: those that were named; by default the sharpest theorem,
    /// `nozawa_sato`, `curl` and the next three sharpest, fewer where each is a line for each of many settings.
    pub fn keys(&self, groups: &Groups<'_>) -> Vec<&'static str> {
        if !self.named().is_empty() {
            return self.named().to_vec();
        }
        let least = |bound: &dyn Bound| {
            let values = groups.iter().filter_map(|group| Some(mean(group, bound)?.mean));
            values.fold(f64::INFINITY, f64::min)
        };
        let mut sharp: Vec<(f64, &str)> = bounds::all()
            .iter()
            .filter(|b| b.standing() == Standing::Theorem && !b.upper_needs().is_empty())
            .map(|b| (least(*b), b.key()))
            .filter(|(value, key)| value.is_finite() && !PUBLISHED.contains(key))
            .collect();
        sharp.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut sharp = sharp.into_iter().map(|(_, key)| key);
        let first = sharp.next().into_iter();
        let mut keys: Vec<&str> = first.chain(PUBLISHED).chain(sharp.take(SHARPEST - 1)).collect();
        let settings = blocks(groups, &groups.differing_beside_draws()).len();
        keys.truncate((MOST_LINES / settings.max(1)).max(1));
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::{group, read_from};

    #[test]
    fn the_sharpest_theorem_is_in_the_figure_unless_bounds_are_named() {
        let header = "num_classes,num_draws,class_counts,temperature,sampling,info_nce,gap,log1p_collisions,full_sup_loss";
        let counts = ["100"; 10].join(";");
        let row = format!("10,32,{counts},0.5,with_replacement,2.0,-1.2,1.3,1.2");
        let rows = read_from(&format!("{header}\n{row}\n"), "losses.csv").unwrap();
        let groups = group(&rows).unwrap();
        let keys = Selection::default().keys(&groups);
        assert_eq!((keys[0], keys[1], keys[2], keys.len()), ("specht_positive", "nozawa_sato", "curl", 6));
        assert_eq!(Selection::of(&["bao"]).unwrap().keys(&groups), ["bao"]);
    }
}
