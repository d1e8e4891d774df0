//! The stack machine: one instruction after the other, each checked before anything is taken from the stack.

use super::{Global, Value};
use crate::data::source::Source;
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::io::Read;

/// Strings longer than this go to the store.
const LONGEST_SHORT: usize = 1024;
/// Longest line of a name or number in text form.
const LONGEST_LINE: usize = 64;

/// What stops the machine.
pub(super) enum Problem {
    /// The stream.
    File(Error),
    /// The instruction.
    Machine(String),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::File(error)
    }
}

impl From<String> for Problem {
    fn from(message: String) -> Self {
        Self::Machine(message)
    }
}

impl From<&str> for Problem {
    fn from(message: &str) -> Self {
        Self::Machine(message.into())
    }
}

/// Values, stack and memo.
#[derive(Default)]
pub(super) struct Machine {
    /// All values so far.
    pub(super) values: Vec<Value>,
    stack: Vec<usize>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, usize>,
}

impl Machine {
    /// Carries out an instruction other than the last; long strings are appended to `store`.
    pub(super) fn step<R: Read>(
        &mut self,
        code: u8,
        source: &mut Source<R>,
        store: &mut Vec<u8>,
    ) -> std::result::Result<(), Problem> {
        const ARGUMENT: &str = "an argument";
        match code {
            0x80 => {
                let [version] = source.array(ARGUMENT)?;
                if !(1..=2).contains(&version) {
                    return Err(format!("protocol {version}; the official files have 1 or 2").into());
                }
            }
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' => {
                let [value] = source.array(ARGUMENT)?;
                self.push(Value::Integer(value.into()));
            }
            b'M' => {
                let value = u16::from_le_bytes(source.array(ARGUMENT)?);
                self.push(Value::Integer(value.into()));
            }
            b'J' => {
                let value = i32::from_le_bytes(source.array(ARGUMENT)?);
                self.push(Value::Integer(value.into()));
            }
            b'I' => {
                // Protocol 1 writes truth values so.
                let value = match line(source)?.as_str() {
                    "00" => Value::Bool(false),
                    "01" => Value::Bool(true),
                    text => {
                        Value::Integer(text.parse().map_err(|e| format!("'{}': {e}", text.escape_debug()))?)
                    }
                };
                self.push(value);
            }
            b'U' => {
                let [length] = source.array(ARGUMENT)?;
                self.text(length.into(), source, store)?;
            }
            b'T' => {
                let length = i32::from_le_bytes(source.array(ARGUMENT)?);
                let length = u32::try_from(length).map_err(|_| format!("a length of {length}"))?;
                self.text(length, source, store)?;
            }
            b'X' => {
                let length = u32::from_le_bytes(source.array(ARGUMENT)?);
                self.text(length, source, store)?;
            }
            b')' => self.push(Value::Tuple(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dictionary(Vec::new())),
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(code - 0x84))?;
                self.push(Value::Tuple(items));
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.list()?.push(item);
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.list()?.extend(items);
            }
            b's' => {
                let pair = self.pop_many(2)?;
                self.dictionary()?.push((pair[0], pair[1]));
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                if items.len() % 2 == 1 {
                    return Err("a key without value".into());
                }
                self.dictionary()?.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
            }
            b'q' => {
                let [index] = source.array(ARGUMENT)?;
                self.memoise(index.into())?;
            }
            b'r' => {
                let index = u32::from_le_bytes(source.array(ARGUMENT)?);
                self.memoise(index)?;
            }
            b'h' => {
                let [index] = source.array(ARGUMENT)?;
                self.recall(index.into())?;
            }
            b'j' => {
                let index = u32::from_le_bytes(source.array(ARGUMENT)?);
                self.recall(index)?;
            }
            b'c' => {
                let (module, name) = (line(source)?, line(source)?);
                let global = match (module.as_str(), name.as_str()) {
                    ("numpy.core.multiarray", "_reconstruct") => Global::Reconstruct,
                    ("numpy", "ndarray") => Global::Ndarray,
                    ("numpy", "dtype") => Global::Dtype,
                    _ => {
                        let name = format!("{module}.{name}");
                        return Err(format!("the name {} is not allowed", name.escape_debug()).into());
                    }
                };
                self.push(Value::Global(global));
            }
            b'R' => self.call()?,
            b'b' => self.build()?,
            _ => return Err("the official files do not have it".into()),
        }
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    /// The stack's height at the last mark: what lies below is out of reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    /// Takes the top of the stack.
    pub(super) fn pop(&mut self) -> std::result::Result<usize, String> {
        if self.stack.len() <= self.floor() {
            return Err("the stack is empty".into());
        }
        self.stack.pop().ok_or_else(|| "the stack is empty".into())
    }

    fn pop_many(&mut self, count: usize) -> std::result::Result<Vec<usize>, String> {
        match self.stack.len().checked_sub(count) {
            Some(height) if height >= self.floor() => Ok(self.stack.split_off(height)),
            _ => Err("the stack is empty".into()),
        }
    }

    fn pop_to_mark(&mut self) -> std::result::Result<Vec<usize>, String> {
        let height = self.marks.pop().ok_or("there is no mark")?;
        Ok(self.stack.split_off(height))
    }

    fn top(&self) -> std::result::Result<usize, String> {
        match self.stack.last() {
            Some(&top) if self.stack.len() > self.floor() => Ok(top),
            _ => Err("the stack is empty".into()),
        }
    }

    fn list(&mut self) -> std::result::Result<&mut Vec<usize>, String> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::List(items) => Ok(items),
            other => Err(format!("{} is not a list", other.describe())),
        }
    }

    fn dictionary(&mut self) -> std::result::Result<&mut Vec<(usize, usize)>, String> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::Dictionary(pairs) => Ok(pairs),
            other => Err(format!("{} is not a dictionary", other.describe())),
        }
    }

    fn text<R: Read>(&mut self, length: u32, source: &mut Source<R>, store: &mut Vec<u8>) -> Result<()> {
        let value = if length as usize > LONGEST_SHORT {
            let begin = store.len();
            source.append(length.into(), store, "a string")?;
            Value::Stored(begin..store.len())
        } else {
            let mut text = vec![0; length as usize];
            let (begin, read) = (source.offset(), source.fill(&mut text)?);
            if read < text.len() {
                let message = format!("the file ends: {read} of the {length} bytes of a string");
                return Err(source.bad_at(begin, message));
            }
            Value::Text(text)
        };
        self.push(value);
        Ok(())
    }

    fn memoise(&mut self, index: u32) -> std::result::Result<(), String> {
        self.memo.insert(index, self.top()?);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> std::result::Result<(), String> {
        let value = self.memo.get(&index).ok_or_else(|| format!("nothing is kept under {index}"))?;
        self.stack.push(*value);
        Ok(())
    }

    fn tuple(&self, number: usize) -> std::result::Result<Vec<&Value>, String> {
        match &self.values[number] {
            // No argument list or state has more; without a limit, few bytes could name a long one again and again.
            Value::Tuple(items) if items.len() <= 8 => {
                Ok(items.iter().map(|&item| &self.values[item]).collect())
            }
            other => Err(format!("{} is not a tuple of up to 8", other.describe())),
        }
    }

    /// `_reconstruct(ndarray, (0,), 'b')`, or `dtype('u1', 0, 1)`.
    fn call(&mut self) -> std::result::Result<(), String> {
        let pair = self.pop_many(2)?;
        let arguments = self.tuple(pair[1])?;
        let value = match (&self.values[pair[0]], &arguments[..]) {
            (Value::Global(Global::Reconstruct), [Value::Global(Global::Ndarray), _, _]) => Value::EmptyArray,
            (Value::Global(Global::Dtype), [Value::Text(kind), _, _]) if kind == b"u1" => Value::Bytes,
            (Value::Global(Global::Dtype), [Value::Text(kind), _, _]) => {
                let kind: String = String::from_utf8_lossy(kind).escape_debug().take(20).collect();
                return Err(format!("an array of type '{kind}', not 'u1'"));
            }
            (called, _) => {
                return Err(format!("{} is not called so in the official files", called.describe()));
            }
        };
        self.push(value);
        Ok(())
    }

    /// The state of an array (1, shape, dtype, column major, content), or of a dtype.
    fn build(&mut self) -> std::result::Result<(), String> {
        let state = self.pop()?;
        let object = self.top()?;
        let parts = self.tuple(state)?;
        let value = match (&self.values[object], &parts[..]) {
            // Byte order, fields and alignment mean nothing for single bytes.
            (Value::Bytes, [Value::Integer(_), Value::Text(_), ..]) => return Ok(()),
            (
                Value::EmptyArray,
                [
                    Value::Integer(1),
                    Value::Tuple(shape),
                    Value::Bytes,
                    Value::Bool(column_major),
                    Value::Stored(content),
                ],
            ) => {
                let [rows, columns] = shape[..] else {
                    return Err(format!("an array of {} dimensions, not 2", shape.len()));
                };
                let size = |number: usize| match &self.values[number] {
                    Value::Integer(size) => usize::try_from(*size).map_err(|_| format!("a size of {size}")),
                    other => Err(format!("a size that is {}", other.describe())),
                };
                Value::Array {
                    shape: [size(rows)?, size(columns)?],
                    column_major: *column_major,
                    content: content.clone(),
                }
            }
            (object, _) => return Err(format!("a state that {} has in no official file", object.describe())),
        };
        self.values[object] = value;
        Ok(())
    }
}

/// A line of text without its end.
fn line<R: Read>(source: &mut Source<R>) -> std::result::Result<String, Problem> {
    let mut bytes = Vec::new();
    loop {
        match source.array("a line")? {
            [b'\n'] => break,
            _ if bytes.len() == LONGEST_LINE => return Err("a line of more than 64 bytes".into()),
            [byte] => bytes.push(byte),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
