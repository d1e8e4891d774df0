//! Cells of `losses.csv`: the types that a descriptive column can have, their reading, order and text.

use super::Positives;
use crate::error::{Error, Result};
use crate::sampling::{NumDraws, Sampling};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// A cell of a descriptive column.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// The column is absent or the cell empty.
    Unknown,
    /// Words.
    Text(&'a str),
    /// A whole number.
    Integer(u64),
    /// A number.
    Number(f64),
    /// Whole numbers, one a class.
    Integers(&'a [u64]),
    /// Numbers, one a class.
    Numbers(&'a [f64]),
}

impl Value<'_> {
    fn rank(&self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Text(_) => 1,
            Self::Integer(_) => 2,
            Self::Number(_) => 3,
            Self::Integers(_) => 4,
            Self::Numbers(_) => 5,
        }
    }
}

/// Numbers by their bits' total order, texts by their letters, unknown first.
impl Ord for Value<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Integers(a), Self::Integers(b)) => a.cmp(b),
            (Self::Numbers(a), Self::Numbers(b)) => {
                let first = a.iter().zip(*b).map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne());
                first.unwrap_or_else(|| a.len().cmp(&b.len()))
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Value<'_> {}

impl Hash for Value<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.rank());
        match self {
            Self::Unknown => {}
            Self::Text(text) => text.hash(state),
            Self::Integer(value) => value.hash(state),
            Self::Number(value) => value.to_bits().hash(state),
            Self::Integers(values) => values.hash(state),
            Self::Numbers(values) => values.iter().for_each(|value| value.to_bits().hash(state)),
        }
    }
}

/// The text of the cell: shortest that reads back as the same value, empty where it is unknown.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = |place: usize| if place == 0 { "" } else { ";" };
        match self {
            Self::Unknown => Ok(()),
            Self::Text(text) => f.write_str(text),
            Self::Integer(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Integers(values) => {
                values.iter().enumerate().try_for_each(|(i, v)| write!(f, "{}{v}", separator(i)))
            }
            Self::Numbers(values) => {
                values.iter().enumerate().try_for_each(|(i, v)| write!(f, "{}{v:?}", separator(i)))
            }
        }
    }
}

/// A type that a descriptive column can have.
pub(super) trait Field: Sized {
    /// Its name in the printed schema.
    const KIND: &'static str;

    /// The field of a cell; `None`: the column is absent or the cell empty.
    fn read(cell: Option<&str>) -> Result<Self>;

    /// The cell.
    fn value(&self) -> Value<'_>;
}

fn parse<T: FromStr>(cell: &str, what: &str) -> Result<T> {
    cell.parse().map_err(|_| Error::argument(format!("'{cell}' is not {what}")))
}

fn present(cell: Option<&str>) -> Result<&str> {
    cell.ok_or_else(|| Error::argument("the cell is empty"))
}

/// A number as a measured cell holds it, of any sign or infinite.
pub(super) fn parse_number(cell: &str) -> Result<f64> {
    parse(cell, "a number")
}

fn integer(cell: &str) -> Result<u64> {
    parse(cell, "a non-negative integer")
}

pub(super) fn non_negative(cell: &str) -> Result<f64> {
    let value = parse_number(cell)?;
    if value.is_finite() && value >= 0.0 {
        return Ok(value);
    }
    Err(Error::argument(format!("{cell} is not a number of at least 0")))
}

fn list<T>(cell: Option<&str>, one: fn(&str) -> Result<T>) -> Result<Option<Vec<T>>> {
    cell.map(|cell| cell.split(';').map(|part| one(part.trim())).collect()).transpose()
}

impl Field for String {
    const KIND: &'static str = "text";

    fn read(cell: Option<&str>) -> Result<Self> {
        Ok(cell.unwrap_or_default().to_string())
    }

    fn value(&self) -> Value<'_> {
        if self.is_empty() { Value::Unknown } else { Value::Text(self) }
    }
}

impl Field for u64 {
    const KIND: &'static str = "integer";

    fn read(cell: Option<&str>) -> Result<Self> {
        integer(present(cell)?)
    }

    fn value(&self) -> Value<'_> {
        Value::Integer(*self)
    }
}

impl Field for f64 {
    const KIND: &'static str = "number";

    fn read(cell: Option<&str>) -> Result<Self> {
        parse_number(present(cell)?)
    }

    fn value(&self) -> Value<'_> {
        Value::Number(*self)
    }
}

impl Field for Option<u64> {
    const KIND: &'static str = "integer";

    fn read(cell: Option<&str>) -> Result<Self> {
        cell.map(integer).transpose()
    }

    fn value(&self) -> Value<'_> {
        self.map_or(Value::Unknown, Value::Integer)
    }
}

impl Field for Option<f64> {
    const KIND: &'static str = "number";

    fn read(cell: Option<&str>) -> Result<Self> {
        cell.map(non_negative).transpose()
    }

    fn value(&self) -> Value<'_> {
        self.map_or(Value::Unknown, Value::Number)
    }
}

impl Field for Option<Vec<u64>> {
    const KIND: &'static str = "integers, one a class";

    fn read(cell: Option<&str>) -> Result<Self> {
        list(cell, integer)
    }

    fn value(&self) -> Value<'_> {
        self.as_deref().map_or(Value::Unknown, Value::Integers)
    }
}

impl Field for Option<Vec<f64>> {
    const KIND: &'static str = "numbers, one a class";

    fn read(cell: Option<&str>) -> Result<Self> {
        list(cell, non_negative)
    }

    fn value(&self) -> Value<'_> {
        self.as_deref().map_or(Value::Unknown, Value::Numbers)
    }
}

impl Field for NumDraws {
    const KIND: &'static str = "integer";

    fn read(cell: Option<&str>) -> Result<Self> {
        Self::new(integer(present(cell)?)?)
    }

    fn value(&self) -> Value<'_> {
        Value::Integer(self.get())
    }
}

impl Field for Sampling {
    const KIND: &'static str = "with_replacement or without_replacement";

    fn read(cell: Option<&str>) -> Result<Self> {
        present(cell)?.parse()
    }

    fn value(&self) -> Value<'_> {
        Value::Text(self.name())
    }
}

/// The default leaves its cell empty.
impl Field for Positives {
    const KIND: &'static str = "same_image or same_class";

    fn read(cell: Option<&str>) -> Result<Self> {
        cell.map_or_else(|| Ok(Self::default()), str::parse)
    }

    fn value(&self) -> Value<'_> {
        if *self == Self::default() { Value::Unknown } else { Value::Text(self.name()) }
    }
}
