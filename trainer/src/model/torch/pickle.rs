//! The pickle in a file of PyTorch's: which tensors there are, and where their numbers lie.
//!
//! A pickle is a program for a stack machine. This one knows the instructions with which Python writes protocol 2
//! (PyTorch's) and calls nothing: `OrderedDict` gives a dictionary, `_rebuild_tensor_v2` a description of a tensor, and
//! whatever else is called a value that is not looked at. Values lie in one list and refer to each other by number: no
//! nesting is deep, what is shared stays shared, and a file of a few bytes that doubles a list forty times costs forty
//! values.
//!
//! The limits, [`MOST_BYTES`] and [`MOST_VALUES`], are about a thousand times what a ResNet-18 needs (14 kB, 3,500).

use candle_core::DType;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// Longest pickle in bytes.
pub(super) const MOST_BYTES: u64 = 16 << 20;
/// Most values that a pickle may make, and most that it may keep under a number.
pub(super) const MOST_VALUES: usize = 1 << 20;
/// Most dimensions of a tensor.
const MOST_DIMENSIONS: usize = 8;

type Parsed<T> = std::result::Result<T, String>;

/// A tensor that the pickle describes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Description {
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// Numbers between neighbours along each dimension.
    pub strides: Vec<usize>,
    /// Name of the entry with its numbers, inside the folder `data`.
    pub storage: String,
    /// Numbers of the storage before its own.
    pub offset: usize,
}

#[derive(Debug)]
enum Value {
    Integer(i64),
    /// Bytes of the pickle.
    Text(Range<usize>),
    Tuple(Vec<u32>),
    List,
    Dictionary(Vec<(u32, u32)>),
    Global(Global),
    /// What a persistent identifier names: the number of the identifier.
    Persistent(u32),
    /// What a call gives: callable and arguments.
    Called(u32, u32),
    /// What is not looked at.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Global {
    Dictionary,
    Tensor,
    Parameter,
    FromType,
    /// The type of a storage; `None`: one whose numbers are not read.
    Storage(Option<DType>),
    Other,
}

/// The tensors of the dictionary that a pickle makes, or of one of its entries `nested`: of the one with the most, and
/// of equals the first.
///
/// Entries that are no tensor, and tensors of types without numbers (bool), are passed over.
///
/// # Errors
/// A pickle beyond the limits, damaged, or with an instruction that PyTorch does not write; a tensor described
/// otherwise than PyTorch does: the message names the byte or the tensor. An object of a class where a dictionary of
/// tensors was looked for, and none was found.
pub(super) fn tensors(bytes: &[u8], nested: &[&str]) -> Parsed<BTreeMap<String, Description>> {
    let mut machine = Machine {
        bytes,
        at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    let root = machine.run()?;
    let entries = nested.iter().filter_map(|name| machine.entry(root, name));
    let places: Vec<u32> = std::iter::once(root).chain(entries).collect();
    let mut most = BTreeMap::new();
    for &place in &places {
        let found = machine.described(place)?;
        if found.len() > most.len() {
            most = found;
        }
    }
    let is_object =
        |&place: &u32| matches!(machine.value(place), Value::Called(..)) && machine.rebuilt(place).is_none();
    if most.is_empty() && places.iter().any(is_object) {
        return Err("it holds a whole model, an object of a class, and no state dict".into());
    }
    Ok(most)
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<u32>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, u32>,
}

impl Machine<'_> {
    /// Carries out all instructions; the number of the result.
    fn run(&mut self) -> Parsed<u32> {
        if self.bytes.len() as u64 > MOST_BYTES {
            return Err(format!("its pickle has {} bytes, more than {MOST_BYTES}", self.bytes.len()));
        }
        loop {
            let begin = self.at;
            let code = self.byte()?;
            let done = if code == b'.' { self.pop().map(Some) } else { self.step(code).map(|()| None) };
            match done {
                Ok(Some(root)) => return Ok(root),
                Ok(None) => {}
                Err(e) => return Err(format!("byte {begin} of its pickle, instruction {code:#04x}: {e}")),
            }
        }
    }

    fn step(&mut self, code: u8) -> Parsed<()> {
        match code {
            // The version of the protocol says nothing that the instructions do not.
            0x80 => self.byte().map(drop),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(drop),
            b'1' => self.pop_to_mark().map(drop),
            b'N' | 0x88 | 0x89 => self.push(Value::Other),
            b'K' => {
                let value = self.byte()?;
                self.push(Value::Integer(value.into()))
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.push(Value::Integer(value.into()))
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Value::Integer(value.into()))
            }
            0x8a => {
                let length = self.byte()?.into();
                self.long(length)
            }
            0x8b => {
                let length = u32::from_le_bytes(self.array()?) as usize;
                self.long(length)
            }
            b'G' => {
                self.take(8)?;
                self.push(Value::Other)
            }
            b'X' => {
                let length = u32::from_le_bytes(self.array()?) as usize;
                let text = self.take(length)?;
                self.push(Value::Text(text))
            }
            b']' => self.push(Value::List),
            b'}' => self.push(Value::Dictionary(Vec::new())),
            b')' => self.push(Value::Tuple(Vec::new())),
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(code - 0x84))?;
                self.push(Value::Tuple(items))
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items))
            }
            // What lists hold is not looked at.
            b'a' => {
                self.pop()?;
                self.list()
            }
            b'e' => {
                self.pop_to_mark()?;
                self.list()
            }
            b's' => {
                let pair = self.pop_many(2)?;
                self.add(&pair)
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.add(&items)
            }
            b'q' => {
                let number = self.byte()?;
                self.keep(number.into())
            }
            b'r' => {
                let number = u32::from_le_bytes(self.array()?);
                self.keep(number)
            }
            b'h' => {
                let number = self.byte()?;
                self.recall(number.into())
            }
            b'j' => {
                let number = u32::from_le_bytes(self.array()?);
                self.recall(number)
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(global(&self.bytes[module], &self.bytes[name])))
            }
            b'Q' => {
                let identifier = self.pop()?;
                self.push(Value::Persistent(identifier))
            }
            // A call, and an object made without one.
            b'R' | 0x81 => {
                let pair = self.pop_many(2)?;
                self.push(match self.value(pair[0]) {
                    Value::Global(Global::Dictionary) => Value::Dictionary(Vec::new()),
                    _ => Value::Called(pair[0], pair[1]),
                })
            }
            // The state of an object, such as a dictionary's attributes, is not looked at.
            b'b' => {
                self.pop()?;
                self.top().map(drop)
            }
            _ => Err("PyTorch does not write it".into()),
        }
    }

    fn take(&mut self, count: usize) -> Parsed<Range<usize>> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| format!("it ends: {} of {count} bytes", self.bytes.len() - self.at))?;
        let taken = self.at..end;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Parsed<u8> {
        self.array().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let range = self.take(N)?;
        self.bytes[range].first_chunk().copied().ok_or_else(|| "it ends".into())
    }

    /// A line without its end.
    fn line(&mut self) -> Parsed<Range<usize>> {
        let length =
            self.bytes[self.at..].iter().position(|&byte| byte == b'\n').ok_or("a line has no end")?;
        let line = self.take(length)?;
        self.take(1)?;
        Ok(line)
    }

    /// An integer of `length` bytes; a long one is none that a tensor has.
    fn long(&mut self, length: usize) -> Parsed<()> {
        let bytes = &self.bytes[self.take(length)?];
        let negative = bytes.last().is_some_and(|byte| byte >> 7 == 1);
        let mut whole = [if negative { 0xff } else { 0 }; 8];
        let value = match whole.get_mut(..length) {
            Some(part) => {
                part.copy_from_slice(bytes);
                Value::Integer(i64::from_le_bytes(whole))
            }
            None => Value::Other,
        };
        self.push(value)
    }

    fn push(&mut self, value: Value) -> Parsed<()> {
        if self.values.len() == MOST_VALUES {
            return Err(format!("it makes more than {MOST_VALUES} values"));
        }
        self.stack.push(self.values.len() as u32);
        self.values.push(value);
        Ok(())
    }

    /// The stack's height at the last mark: what lies below is out of reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop_many(&mut self, count: usize) -> Parsed<Vec<u32>> {
        match self.stack.len().checked_sub(count) {
            Some(height) if height >= self.floor() => Ok(self.stack.split_off(height)),
            _ => Err("the stack is empty".into()),
        }
    }

    fn pop(&mut self) -> Parsed<u32> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Parsed<Vec<u32>> {
        let height = self.marks.pop().ok_or("there is no mark")?;
        Ok(self.stack.split_off(height))
    }

    fn top(&self) -> Parsed<u32> {
        match self.stack.last() {
            Some(&top) if self.stack.len() > self.floor() => Ok(top),
            _ => Err("the stack is empty".into()),
        }
    }

    fn list(&self) -> Parsed<()> {
        match self.value(self.top()?) {
            Value::List | Value::Called(..) => Ok(()),
            _ => Err("what it appends to is no list".into()),
        }
    }

    /// Adds pairs of keys and values to the dictionary on the stack.
    fn add(&mut self, items: &[u32]) -> Parsed<()> {
        let (pairs, rest) = items.as_chunks();
        if !rest.is_empty() {
            return Err("a key without value".into());
        }
        let top = self.top()?;
        match &mut self.values[top as usize] {
            Value::Dictionary(entries) => entries.extend(pairs.iter().map(|&[key, value]| (key, value))),
            Value::Called(..) => {}
            _ => return Err("what it adds entries to is no dictionary".into()),
        }
        Ok(())
    }

    fn keep(&mut self, number: u32) -> Parsed<()> {
        if self.memo.len() == MOST_VALUES && !self.memo.contains_key(&number) {
            return Err(format!("it keeps more than {MOST_VALUES} values"));
        }
        self.memo.insert(number, self.top()?);
        Ok(())
    }

    fn recall(&mut self, number: u32) -> Parsed<()> {
        let value = self.memo.get(&number).ok_or_else(|| format!("nothing is kept under {number}"))?;
        self.stack.push(*value);
        Ok(())
    }

    fn value(&self, number: u32) -> &Value {
        &self.values[number as usize]
    }

    /// The entry of this name of a dictionary; as in Python, the last one counts.
    fn entry(&self, dictionary: u32, name: &str) -> Option<u32> {
        let Value::Dictionary(entries) = self.value(dictionary) else { return None };
        let named =
            |&&(key, _): &&(u32, u32)| matches!(self.text(key), Some(text) if text == name.as_bytes());
        entries.iter().rev().find(named).map(|&(_, value)| value)
    }

    /// The tensors of a dictionary.
    fn described(&self, dictionary: u32) -> Parsed<BTreeMap<String, Description>> {
        let mut found = BTreeMap::new();
        let Value::Dictionary(entries) = self.value(dictionary) else { return Ok(found) };
        for &(key, value) in entries {
            let Some(name) = self.text(key).and_then(|name| std::str::from_utf8(name).ok()) else { continue };
            let Some(arguments) = self.rebuilt(value) else { continue };
            let described = self.tensor(arguments).ok_or_else(|| {
                let name: String = name.escape_debug().take(200).collect();
                format!("'{name}' is not described as PyTorch describes a tensor")
            })?;
            if let Some(description) = described {
                found.insert(name.to_string(), description);
            }
        }
        Ok(found)
    }

    /// The arguments of `_rebuild_tensor_v2` behind a value, also where that is wrapped as a parameter or a subclass;
    /// `None`: the value is no tensor.
    fn rebuilt(&self, value: u32) -> Option<&[u32]> {
        let call = |value: u32| match *self.value(value) {
            Value::Called(callable, arguments) => match (self.value(callable), self.tuple(arguments)) {
                (Value::Global(global), Some(arguments)) => Some((*global, arguments)),
                _ => None,
            },
            _ => None,
        };
        let (mut callable, mut arguments) = call(value)?;
        if callable == Global::Parameter {
            (callable, arguments) = call(*arguments.first()?)?;
        }
        if callable == Global::FromType {
            let [function, _, inner, ..] = *arguments else { return None };
            let Value::Global(function) = self.value(function) else { return None };
            (callable, arguments) = (*function, self.tuple(inner)?);
        }
        (callable == Global::Tensor).then_some(arguments)
    }

    /// The tensor of these arguments: storage, offset, shape, strides, …; inside, `None`: of a type that is not read.
    #[allow(clippy::option_option)]
    fn tensor(&self, arguments: &[u32]) -> Option<Option<Description>> {
        let [storage, offset, shape, strides, ..] = *arguments else { return None };
        let Value::Persistent(identifier) = *self.value(storage) else { return None };
        // ("storage", type, name, device, numbers)
        let [_, kind, name, _, _] = *self.tuple(identifier)? else { return None };
        let &Value::Global(Global::Storage(dtype)) = self.value(kind) else { return None };
        let Some(dtype) = dtype else { return Some(None) };
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        let storage = std::str::from_utf8(self.text(name)?).ok()?.to_string();
        let fits = shape.len() == strides.len() && storage.len() <= 20;
        fits.then_some(Some(Description { dtype, shape, strides, storage, offset: self.size(offset)? }))
    }

    fn text(&self, number: u32) -> Option<&[u8]> {
        match self.value(number) {
            Value::Text(range) => Some(&self.bytes[range.clone()]),
            _ => None,
        }
    }

    fn tuple(&self, number: u32) -> Option<&[u32]> {
        match self.value(number) {
            Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    fn size(&self, number: u32) -> Option<usize> {
        match self.value(number) {
            Value::Integer(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    fn sizes(&self, number: u32) -> Option<Vec<usize>> {
        let items = self.tuple(number).filter(|items| items.len() <= MOST_DIMENSIONS)?;
        items.iter().map(|&item| self.size(item)).collect()
    }
}

fn global(module: &[u8], name: &[u8]) -> Global {
    match (module, name) {
        (b"collections", b"OrderedDict" | b"defaultdict") => Global::Dictionary,
        (b"torch._utils", b"_rebuild_tensor_v2") => Global::Tensor,
        (b"torch._utils", b"_rebuild_parameter") => Global::Parameter,
        (b"torch._tensor", b"_rebuild_from_type_v2") => Global::FromType,
        (b"torch", b"FloatStorage") => Global::Storage(Some(DType::F32)),
        (b"torch", b"DoubleStorage") => Global::Storage(Some(DType::F64)),
        (b"torch", b"HalfStorage") => Global::Storage(Some(DType::F16)),
        (b"torch", b"BFloat16Storage") => Global::Storage(Some(DType::BF16)),
        (b"torch", b"ByteStorage") => Global::Storage(Some(DType::U8)),
        (b"torch", b"LongStorage") => Global::Storage(Some(DType::I64)),
        (_, name) if name.ends_with(b"Storage") => Global::Storage(None),
        _ => Global::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(bytes: &[u8]) -> String {
        tensors(bytes, &[]).unwrap_err()
    }

    /// Lists in lists, a list that doubles, and nothing a hundred million times: none costs more than its limit.
    #[test]
    fn no_nesting_is_deep_and_no_sharing_grows() {
        // 10⁶ lists, each inside the one before, and dropped again.
        let deep = [&b"]".repeat(1_000_000)[..], &b"a".repeat(999_999), b"."].concat();
        assert_eq!(tensors(&deep, &[]), Ok(BTreeMap::new()));
        // x = (x, x), forty times.
        let doubled = [&b")q\0"[..], &b"h\0h\0\x86q\0".repeat(40), b"."].concat();
        assert_eq!(tensors(&doubled, &[]), Ok(BTreeMap::new()));
        let long = b"N".repeat(2_000_000);
        assert!(error(&long).ends_with("0x4e: it makes more than 1048576 values"), "{}", error(&long));
        let huge = b"(".repeat(MOST_BYTES as usize + 1);
        assert_eq!(error(&huge), "its pickle has 16777217 bytes, more than 16777216");
    }

    #[test]
    fn every_defect_is_named() {
        for (bytes, words) in [
            (&b""[..], "it ends: 0 of 1 bytes"),
            (b".", "byte 0 of its pickle, instruction 0x2e: the stack is empty"),
            (b"(.", "the stack is empty"),
            (b"t", "there is no mark"),
            (b"N(s", "the stack is empty"),
            (b"}(Nu", "a key without value"),
            (b"NNNs", "what it adds entries to is no dictionary"),
            (b"NNa", "what it appends to is no list"),
            (b"h\x05", "nothing is kept under 5"),
            (b"X\xff\xff\xff\xffa", "it ends: 1 of 4294967295 bytes"),
            (b"\x8b\xff\xff\xff\xff", "it ends: 0 of 4294967295 bytes"),
            (b"ctorch\nFloat", "a line has no end"),
            (b"i", "PyTorch does not write it"),
        ] {
            assert!(error(bytes).contains(words), "{bytes:?}: {}", error(bytes));
        }
        // A tensor without arguments.
        let none = b"}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n)Rs.";
        assert_eq!(error(none), "'w' is not described as PyTorch describes a tensor");
    }
}
