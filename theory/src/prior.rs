//! `ClassPrior`: the law π of the latent class, as a uniform law, integer counts, or real weights.
//!
//! Classes of equal probability are grouped: every formula of this crate needs each distinct probability once,
//! with its multiplicity, so that ImageNet's 1000 classes cost about 90 evaluations.

use crate::double_double::Dd;
use crate::error::{Error, Place, Result};
use crate::files;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use std::num::IntErrorKind;
use std::path::Path;

/// The largest number of classes that a prior accepts (2²⁴; ImageNet-21k has 21,841).
pub const MAX_CLASSES: usize = 1 << 24;

/// The largest total count that a prior accepts: totals must be exact in `f64`.
pub const MAX_TOTAL: u64 = 1 << 53;

/// The largest file of counts that is read, in bytes: as many classes as allowed fit with room to spare.
pub const MAX_COUNTS_BYTES: u64 = 1 << 28;

/// Classes that share one probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// Probability π of one class of the group.
    pub probability: f64,
    /// 1 − π, with its own digits where π is near 1.
    pub others: f64,
    /// Items of one class of the group, where the prior was made from counts.
    pub count: Option<u64>,
    /// How many classes the group has.
    pub multiplicity: u64,
    /// π in double-double: π · (rounding of one class) · C would otherwise limit the accuracy of products over classes.
    pub(crate) precise: Dd,
}

impl Group {
    /// ln(1 − π), without cancellation at either end; −∞ for π = 1.
    pub fn ln_others(&self) -> f64 {
        if self.probability > 0.5 { self.others.ln() } else { (-self.probability).ln_1p() }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Uniform(u64),
    Counts(Vec<u64>),
    Weights(Vec<f64>),
}

/// The law π of the latent class over C classes; every class has positive probability.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassPrior {
    kind: Kind,
    groups: Vec<Group>,
    total: f64,
}

impl ClassPrior {
    /// The uniform law over `num_classes` classes: π = 1/C.
    ///
    /// # Errors
    /// `num_classes` is 0 or above [`MAX_CLASSES`].
    ///
    /// # Examples
    /// ```
    /// assert_eq!(theory::ClassPrior::uniform(4)?.probability(0), 0.25);
    /// # Ok::<(), theory::Error>(())
    /// ```
    pub fn uniform(num_classes: u64) -> Result<Self> {
        check_size(usize::try_from(num_classes).unwrap_or(usize::MAX))?;
        let probability = 1.0 / num_classes as f64;
        let others = (num_classes - 1) as f64 / num_classes as f64;
        let precise = Dd::ONE / Dd::from(num_classes as f64);
        let groups = vec![Group { probability, others, count: None, multiplicity: num_classes, precise }];
        Ok(Self { kind: Kind::Uniform(num_classes), groups, total: num_classes as f64 })
    }

    /// The law of a uniformly drawn item of a finite population with these items per class: π_c = M_c/M.
    ///
    /// # Errors
    /// No class; a class without items (it could never be seen, so the coverage would be 0 for every number of
    /// draws); too many classes; a total above [`MAX_TOTAL`].
    ///
    /// # Examples
    /// ```
    /// let prior = theory::ClassPrior::from_counts(vec![3, 1])?;
    /// assert_eq!((prior.probability(0), prior.population()), (0.75, Some(4)));
    /// # Ok::<(), theory::Error>(())
    /// ```
    pub fn from_counts(counts: Vec<u64>) -> Result<Self> {
        check_size(counts.len())?;
        if let Some(class) = counts.iter().position(|&m| m == 0) {
            return Err(Error::argument(format!(
                "class {class} has count 0: it can never be drawn, so remove it or give it at least 1 item"
            )));
        }
        let total =
            counts.iter().try_fold(0u64, |sum, &m| sum.checked_add(m)).filter(|&sum| sum <= MAX_TOTAL);
        let Some(total) = total else {
            return Err(Error::argument(format!("the counts add up to more than {MAX_TOTAL} items")));
        };
        let mut sorted = counts.clone();
        sorted.sort_unstable_by(|x, y| y.cmp(x));
        let groups = sorted
            .chunk_by(|x, y| x == y)
            .map(|run| Group {
                probability: run[0] as f64 / total as f64,
                others: (total - run[0]) as f64 / total as f64,
                count: Some(run[0]),
                multiplicity: run.len() as u64,
                precise: Dd::from(run[0] as f64) / Dd::from(total as f64),
            })
            .collect();
        Ok(Self { kind: Kind::Counts(counts), groups, total: total as f64 })
    }

    /// The law proportional to these weights: π_c = w_c / Σ w.
    ///
    /// # Errors
    /// No class, too many classes, or a weight that is not positive and finite.
    pub fn from_weights(weights: Vec<f64>) -> Result<Self> {
        check_size(weights.len())?;
        if let Some(class) = weights.iter().position(|w| !(w.is_finite() && *w > 0.0)) {
            return Err(Error::argument(format!(
                "class {class} has weight {}: a weight must be positive and finite",
                weights[class]
            )));
        }
        let mut sorted = weights.clone();
        sorted.sort_unstable_by(|x, y| y.total_cmp(x));
        let precise_total = sorted.iter().rev().fold(Dd::ZERO, |sum, &w| sum + Dd::from(w));
        let total = precise_total.value();
        if !total.is_finite() || sorted[sorted.len() - 1] / total < 1e-300 {
            return Err(Error::argument(format!(
                "the weights span too wide a range: smallest {:e}, sum {total:e}",
                sorted[sorted.len() - 1]
            )));
        }
        // Sums of the weights after and before each place, for 1 − π without cancellation.
        let mut after: Vec<f64> =
            sorted.iter().rev().scan(0.0, |sum, w| Some(std::mem::replace(sum, *sum + w))).collect();
        after.reverse();
        let mut groups = Vec::new();
        let (mut place, mut before) = (0, 0.0);
        for run in sorted.chunk_by(|x, y| x == y) {
            let others = (before + after[place]) / total;
            let multiplicity = run.len() as u64;
            let precise = Dd::from(run[0]) / precise_total;
            groups.push(Group { probability: run[0] / total, others, count: None, multiplicity, precise });
            before += run[0] * run.len() as f64;
            place += run.len();
        }
        Ok(Self { kind: Kind::Weights(weights), groups, total })
    }

    /// Reads counts: integers one a line (or several, with blanks between them), or one JSON array of integers.
    ///
    /// # Errors
    /// Unreadable file, one of more than [`MAX_COUNTS_BYTES`], or content that is not a list of positive integers
    /// within the limits of [`from_counts`](Self::from_counts); the line is named.
    pub fn read_counts(path: &Path) -> Result<Self> {
        Self::parse_counts(&files::read_text(path, MAX_COUNTS_BYTES)?, &path.display().to_string())
    }

    /// [`read_counts`](Self::read_counts) on a text; `name` stands in error messages.
    ///
    /// # Errors
    /// As for `read_counts`.
    pub fn parse_counts(text: &str, name: &str) -> Result<Self> {
        let at = |line: Option<usize>, message: String| {
            Error::data(Place { file: name.into(), line: line.map(|n| n as u64), column: None }, message)
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut counts = Counts::default();
        if text.trim_start().starts_with('[') {
            let mut reader = serde_json::Deserializer::from_str(text);
            let read = reader.deserialize_seq(&mut counts).and_then(|()| reader.end());
            read.map_err(|e| {
                // The place stands before the message.
                let message = e.to_string();
                let place = format!(" at line {} column {}", e.line(), e.column());
                at(Some(e.line()), message.strip_suffix(&place).unwrap_or(&message).into())
            })?;
        } else {
            for (index, line) in text.trim_end().lines().enumerate() {
                let mut words = line.split_whitespace().peekable();
                if words.peek().is_none() {
                    return Err(at(Some(index + 1), "the line is empty".into()));
                }
                for word in words {
                    parse_count(word)
                        .and_then(|count| counts.push(count))
                        .map_err(|message| at(Some(index + 1), message))?;
                }
            }
        }
        Self::from_counts(counts.counts).map_err(|e| at(None, e.to_string()))
    }

    /// Number of classes C.
    pub fn num_classes(&self) -> u64 {
        match &self.kind {
            Kind::Uniform(c) => *c,
            Kind::Counts(counts) => counts.len() as u64,
            Kind::Weights(weights) => weights.len() as u64,
        }
    }

    /// π_c of class `class`, counted from 0.
    ///
    /// # Panics
    /// If `class` is not below the number of classes.
    pub fn probability(&self, class: usize) -> f64 {
        assert!((class as u64) < self.num_classes(), "class {class} of {}", self.num_classes());
        match &self.kind {
            Kind::Uniform(c) => 1.0 / *c as f64,
            Kind::Counts(counts) => counts[class] as f64 / self.total,
            Kind::Weights(weights) => weights[class] / self.total,
        }
    }

    /// The items per class, where the prior was made from counts.
    pub fn counts(&self) -> Option<&[u64]> {
        match &self.kind {
            Kind::Counts(counts) => Some(counts),
            _ => None,
        }
    }

    /// The total number of items M, where the prior was made from counts.
    pub fn population(&self) -> Option<u64> {
        matches!(self.kind, Kind::Counts(_)).then_some(self.total as u64)
    }

    /// SHA-256 of the items per class, in their order, where the prior was made from counts.
    pub fn digest(&self) -> Option<String> {
        let bytes: Vec<u8> = self.counts()?.iter().flat_map(|count| count.to_le_bytes()).collect();
        Some(crate::files::sha256(&bytes))
    }

    /// Classes grouped by equal probability, the likeliest first.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Whether all classes have the same probability.
    pub fn is_uniform(&self) -> bool {
        self.groups.len() == 1
    }

    /// The smallest class probability, π_min.
    pub fn min_probability(&self) -> f64 {
        self.groups[self.groups.len() - 1].probability
    }
}

/// Counts that are being read: the first that cannot be accepted is refused where it stands.
#[derive(Default)]
struct Counts {
    counts: Vec<u64>,
    total: u64,
}

impl Counts {
    fn push(&mut self, count: u64) -> std::result::Result<(), String> {
        if count == 0 {
            return Err("count 0: a class without items can never be drawn, so remove it".into());
        }
        if self.counts.len() == MAX_CLASSES {
            return Err(format!("count {count} is that of one class more than the limit of {MAX_CLASSES}"));
        }
        self.total = self.total.saturating_add(count);
        if self.total > MAX_TOTAL {
            return Err(format!("with count {count} the counts add up to more than {MAX_TOTAL} items"));
        }
        self.counts.push(count);
        Ok(())
    }
}

impl<'de> Visitor<'de> for &mut Counts {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a positive integer")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> std::result::Result<(), A::Error> {
        while array.next_element_seed(&mut *self)?.is_some() {}
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, count: u64) -> std::result::Result<(), E> {
        self.push(count).map_err(E::custom)
    }
}

/// One element: an error of its visitor stands where the element ends, not where the array does.
impl<'de> DeserializeSeed<'de> for &mut Counts {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_u64(self)
    }
}

/// A count, or why `word` is none.
fn parse_count(word: &str) -> std::result::Result<u64, String> {
    word.parse().map_err(|e: std::num::ParseIntError| {
        let shown: String = word.chars().take(40).collect();
        match e.kind() {
            IntErrorKind::PosOverflow => format!("'{shown}' exceeds the limit of {MAX_TOTAL}"),
            _ => format!("'{shown}' is not a positive integer"),
        }
    })
}

fn check_size(num_classes: usize) -> Result<()> {
    match num_classes {
        0 => Err(Error::argument("a prior needs at least 1 class, got 0")),
        n if n > MAX_CLASSES => {
            Err(Error::argument(format!("{n} classes exceed the limit of {MAX_CLASSES}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_sorted_and_complete() {
        let prior = ClassPrior::from_counts(vec![2, 5, 2, 1]).unwrap();
        let groups: Vec<_> = prior.groups().iter().map(|g| (g.count, g.multiplicity)).collect();
        assert_eq!(groups, [(Some(5), 1), (Some(2), 2), (Some(1), 1)]);
        assert_eq!(prior.min_probability(), 0.1);
        assert!(!prior.is_uniform() && ClassPrior::from_counts(vec![7; 3]).unwrap().is_uniform());
    }

    #[test]
    fn counts_are_read_as_lines_and_as_json() {
        let lines = ClassPrior::parse_counts("\u{feff}3\r\n4\n5\n\n", "x").unwrap();
        assert_eq!(lines, ClassPrior::parse_counts("[3, 4,5]", "x").unwrap());
    }

    #[test]
    fn bad_counts_name_the_line() {
        let zero = "count 0: a class without items can never be drawn, so remove it";
        let float = "invalid type: floating point `4.5`, expected a positive integer";
        for (text, expected) in [
            ("3\nfour\n", "c.txt, line 2: 'four' is not a positive integer"),
            ("3\n-4", "c.txt, line 2: '-4' is not a positive integer"),
            ("3\n\n4", "c.txt, line 2: the line is empty"),
            ("3\n5 0\n4", &format!("c.txt, line 2: {zero}")),
            ("[3,\n0\n]", &format!("c.txt, line 2: {zero}")),
            ("[3,\n\n4.5]", &format!("c.txt, line 3: {float}")),
            ("[3, 4", "c.txt, line 1: EOF while parsing a list"),
            ("[3]\n4", "c.txt, line 2: trailing characters"),
            (
                "1\n18446744073709551616",
                "c.txt, line 2: '18446744073709551616' exceeds the limit of 9007199254740992",
            ),
            (
                "1\n9007199254740992",
                "c.txt, line 2: with count 9007199254740992 the counts add up to more than 9007199254740992 items",
            ),
            ("", "c.txt: a prior needs at least 1 class, got 0"),
            ("[]", "c.txt: a prior needs at least 1 class, got 0"),
        ] {
            assert_eq!(ClassPrior::parse_counts(text, "c.txt").unwrap_err().to_string(), expected);
        }
        assert!(
            ClassPrior::from_counts(vec![3, 0]).unwrap_err().to_string().starts_with("class 1 has count 0")
        );
        assert!(ClassPrior::from_weights(vec![1.0, f64::NAN]).is_err());
        assert!(ClassPrior::uniform(0).is_err());
    }

    #[test]
    fn too_much_is_refused_before_it_is_kept() {
        let text = format!("{}\n1 7\n", "1 ".repeat(MAX_CLASSES - 1));
        let error = ClassPrior::parse_counts(&text, "c").unwrap_err().to_string();
        assert_eq!(
            error,
            format!("c, line 2: count 7 is that of one class more than the limit of {MAX_CLASSES}")
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MAX_COUNTS_BYTES + 1).unwrap();
        let error = ClassPrior::read_counts(file.path()).unwrap_err().to_string();
        assert!(error.ends_with("268435457 bytes exceed the limit of 268435456"), "{error}");
    }
}
