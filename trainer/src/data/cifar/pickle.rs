//! A reader of the pickles that CIFAR consists of, and of no other.
//!
//! A pickle is a program for a stack machine. This machine knows the instructions with which Python 2 wrote those files
//! in protocols 1 and 2: None, truth values, integers, strings, tuples, lists, dictionaries, memo, and the three calls
//! that rebuild a numpy array of bytes (`_reconstruct`, `dtype`, and their states), which it recognises by name instead
//! of calling anything. All else is an error that names the instruction and its byte.
//!
//! Values lie in one list and refer to each other by number, so that no nesting is deep and shared values are
//! shared. A string of more than 1,024 bytes (the pixels) goes to a store of the caller and is not copied. What a file
//! may ask for is bounded: [`MOST_INSTRUCTIONS`].

mod machine;

use crate::data::source::Source;
use crate::error::Result;
use machine::{Machine, Problem};
use std::io::Read;
use std::ops::Range;

/// Instructions of a pickle, and so its values and all that they hold; the largest official file, the training set of
/// CIFAR-100, has under 400,000.
const MOST_INSTRUCTIONS: usize = 1 << 20;

/// A value of a pickle; others are referred to by number.
#[derive(Debug)]
pub(super) enum Value {
    /// `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Integer(i64),
    /// A short string.
    Text(Vec<u8>),
    /// A long string: its range of the store.
    Stored(Range<usize>),
    /// A tuple.
    Tuple(Vec<usize>),
    /// A list.
    List(Vec<usize>),
    /// A dictionary, as pairs in the order of the file.
    Dictionary(Vec<(usize, usize)>),
    /// One of the known names.
    Global(Global),
    /// `dtype('u1')`.
    Bytes,
    /// An array before its state.
    EmptyArray,
    /// A matrix of bytes.
    Array {
        /// Rows and columns.
        shape: [usize; 2],
        /// Whether columns, not rows, lie side by side.
        column_major: bool,
        /// Its range of the store.
        content: Range<usize>,
    },
}

/// The names that the files mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    /// `numpy.core.multiarray._reconstruct`.
    Reconstruct,
    /// `numpy.ndarray`.
    Ndarray,
    /// `numpy.dtype`.
    Dtype,
}

impl Value {
    /// What it is, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::None => "None".into(),
            Self::Bool(value) => format!("the truth value {value}"),
            Self::Integer(value) => format!("the number {value}"),
            Self::Text(_) => "a string".into(),
            Self::Stored(range) => format!("a string of {} bytes", range.len()),
            Self::Tuple(items) => format!("a tuple of {}", items.len()),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Dictionary(_) => "a dictionary".into(),
            Self::Global(name) => format!("the name {name:?}"),
            Self::Bytes => "a dtype".into(),
            Self::EmptyArray => "an array without state".into(),
            Self::Array { shape, .. } => format!("an array of shape {shape:?}"),
        }
    }
}

/// All values of a pickle, whose result is a dictionary.
#[derive(Debug)]
pub(super) struct Pickle {
    values: Vec<Value>,
    root: usize,
}

impl Pickle {
    /// Reads a pickle up to its end; long strings are appended to `store`.
    ///
    /// # Errors
    /// An instruction, name or state that the official files do not have, a stack that does not fit, a stream that
    /// ends.
    pub(super) fn read<R: Read>(source: &mut Source<R>, store: &mut Vec<u8>) -> Result<Self> {
        let mut machine = Machine::default();
        for done in 0.. {
            let begin = source.offset();
            if done == MOST_INSTRUCTIONS {
                return Err(source.bad(format!("the pickle has more than {MOST_INSTRUCTIONS} instructions")));
            }
            let [code] = source.array("an instruction")?;
            if code == b'.' {
                let root = machine.pop().map_err(|e| source.bad_at(begin, e))?;
                return Ok(Self { values: machine.values, root });
            }
            machine.step(code, source, store).map_err(|problem| match problem {
                Problem::File(e) => e,
                Problem::Machine(e) => {
                    source.bad_at(begin, format!("pickle instruction {}: {e}", shown(code)))
                }
            })?;
        }
        Err(source.bad("the pickle does not end"))
    }

    /// A value by number.
    pub(super) fn value(&self, number: usize) -> &Value {
        &self.values[number]
    }

    /// The value under a name in the resulting dictionary.
    pub(super) fn entry(&self, name: &str) -> Option<&Value> {
        let Value::Dictionary(pairs) = self.value(self.root) else { return None };
        // As in Python, the last one counts.
        let is_name =
            |&&(key, _): &&(usize, usize)| matches!(self.value(key), Value::Text(t) if t == name.as_bytes());
        pairs.iter().rev().find(is_name).map(|&(_, value)| self.value(value))
    }
}

fn shown(code: u8) -> String {
    match code {
        b'!'..=b'~' => format!("'{}'", char::from(code)),
        _ => format!("{code:#04x}"),
    }
}
