//! `.npy`, the file of one array that `numpy.save` writes: what its header says, and the bytes of its values.
//!
//! Magic bytes, version, length of a header, the header (a Python dictionary of type, order and shape), the values.
//! What a header promises is compared with the bytes at hand before anything is made of it.
//!
//! Source: `numpy.lib.format`.

/// Numpy's own limit.
const MOST_DIMENSIONS: usize = 64;

/// What the header of an array says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header<'a> {
    /// Type of a value without its byte order, which is little-endian: `i8`, `f4`, `?`, …
    pub descr: &'a str,
    /// Whether the first axis runs fastest.
    pub fortran_order: bool,
    /// Length along each axis.
    pub shape: Vec<usize>,
    /// Bytes before the first value.
    pub start: usize,
}

impl<'a> Header<'a> {
    /// Reads the header from the beginning of a file; whether the values follow is not asked.
    ///
    /// # Errors
    /// One line: no `.npy`, a damaged or cut header, big-endian values.
    ///
    /// # Examples
    /// ```
    /// use theory::npy::Header;
    /// let text = "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }";
    /// let mut file = b"\x93NUMPY\x01\x00".to_vec();
    /// file.extend((text.len() as u16).to_le_bytes());
    /// file.extend(text.bytes());
    /// let header = Header::parse(&file)?;
    /// assert_eq!((header.descr, header.fortran_order, &header.shape[..]), ("f4", true, &[3, 4][..]));
    /// assert_eq!(header.start, file.len());
    /// # Ok::<(), String>(())
    /// ```
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let damaged = || "it is no .npy array".to_string();
        let (&[b'\x93', b'N', b'U', b'M', b'P', b'Y', major, _], rest) =
            bytes.split_first_chunk().ok_or_else(damaged)?
        else {
            return Err(damaged());
        };
        let (length, rest) = if major == 1 {
            let (length, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
            (u16::from_le_bytes(*length) as usize, rest)
        } else {
            let (length, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
            (u32::from_le_bytes(*length) as usize, rest)
        };
        let (header, values) = rest.split_at_checked(length).ok_or_else(damaged)?;
        let header = std::str::from_utf8(header).map_err(|_| damaged())?;
        let field = |key: &str| field(header, key).ok_or_else(|| format!("its header has no '{key}'"));
        let descr = field("descr")?;
        if descr.starts_with('>') {
            return Err(format!("its type {descr} is big-endian: save a.astype(a.dtype.newbyteorder('<'))"));
        }
        let lengths = field("shape")?.split(',').map(str::trim).filter(|length| !length.is_empty());
        let shape: Vec<usize> = lengths
            .map(|length| length.parse().map_err(|_| format!("its shape has a length '{length}'")))
            .collect::<Result<_, String>>()?;
        if shape.len() > MOST_DIMENSIONS {
            return Err(format!("its shape has {} lengths", shape.len()));
        }
        Ok(Self {
            descr: descr.trim_start_matches(['<', '=', '|']),
            fortran_order: field("fortran_order")? != "False",
            shape,
            start: bytes.len() - values.len(),
        })
    }

    /// Checks that `length` bytes of values are what the shape has, of `size` bytes each.
    ///
    /// # Errors
    /// More or fewer, in one line.
    pub fn check_size(&self, size: usize, length: usize) -> Result<(), String> {
        let shape = &self.shape;
        match shape.iter().try_fold(size, |product, &length| product.checked_mul(length)) {
            Some(promised) if promised == length => Ok(()),
            Some(promised) if promised < length => {
                Err(format!("{length} bytes are more than its shape {shape:?} has"))
            }
            _ => Err(format!("{length} bytes are fewer than its shape {shape:?} has")),
        }
    }

    /// The values of this file, in C order, where they are integers of 8 to 64 bits.
    ///
    /// # Errors
    /// Another type; Fortran order; more or fewer values than the shape has.
    ///
    /// # Examples
    /// ```
    /// use theory::npy::Header;
    /// let text = "{'descr': '<i2', 'fortran_order': False, 'shape': (3,), }";
    /// let mut file = b"\x93NUMPY\x01\x00".to_vec();
    /// file.extend((text.len() as u16).to_le_bytes());
    /// file.extend(text.bytes().chain([7, 0, 1, 0, 7, 0]));
    /// assert_eq!(Header::parse(&file)?.integers(&file)?, [7, 1, 7]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn integers(&self, file: &[u8]) -> Result<Vec<i128>, String> {
        fn each<const SIZE: usize>(
            header: &Header<'_>,
            values: &[u8],
            value: impl Fn([u8; SIZE]) -> i128,
        ) -> Result<Vec<i128>, String> {
            header.check_size(SIZE, values.len())?;
            Ok(values.as_chunks().0.iter().map(|&chunk| value(chunk)).collect())
        }
        if self.fortran_order {
            return Err("it is in Fortran order: save numpy.ascontiguousarray(…)".into());
        }
        let values = file.get(self.start..).unwrap_or_default();
        match self.descr {
            "b" | "i1" => each(self, values, |b| i8::from_le_bytes(b).into()),
            "h" | "i2" => each(self, values, |b| i16::from_le_bytes(b).into()),
            "i" | "i4" => each(self, values, |b| i32::from_le_bytes(b).into()),
            "q" | "i8" => each(self, values, |b| i64::from_le_bytes(b).into()),
            "?" | "b1" | "B" | "u1" => each(self, values, |b| u8::from_le_bytes(b).into()),
            "H" | "u2" => each(self, values, |b| u16::from_le_bytes(b).into()),
            "I" | "u4" => each(self, values, |b| u32::from_le_bytes(b).into()),
            "Q" | "u8" => each(self, values, |b| u64::from_le_bytes(b).into()),
            other => Err(format!("its type {other} is no integer")),
        }
    }
}

/// The value of a key of a header such as `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`.
fn field<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (_, value) = header.split_once(&format!("'{key}':"))?;
    let value = value.trim_start();
    let until = |text: &'a str, ends: &[char]| text.split(ends).next().map(str::trim);
    match value.chars().next()? {
        '\'' => until(&value[1..], &['\'']),
        '(' => until(&value[1..], &[')']),
        _ => until(value, &[',', '}']),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(major: u8, header: &str, values: &[u8]) -> Vec<u8> {
        let mut file = b"\x93NUMPY".to_vec();
        file.extend([major, 0]);
        match major {
            1 => file.extend((header.len() as u16).to_le_bytes()),
            _ => file.extend((header.len() as u32).to_le_bytes()),
        }
        file.extend(header.bytes().chain(values.iter().copied()));
        file
    }

    fn integers(bytes: &[u8]) -> Result<Vec<i128>, String> {
        Header::parse(bytes)?.integers(bytes)
    }

    #[test]
    fn integers_of_every_width() {
        for (descr, values, expected) in [
            ("|i1", vec![255, 2], vec![-1, 2]),
            ("<u2", vec![1, 1, 0, 0], vec![257, 0]),
            ("<i4", vec![254, 255, 255, 255], vec![-2]),
            ("<u8", vec![255; 8], vec![i128::from(u64::MAX)]),
            ("|b1", vec![1, 0], vec![1, 0]),
        ] {
            for major in [1, 2] {
                let shape = expected.len();
                let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape},), }}");
                let bytes = file(major, &header, &values);
                assert_eq!(integers(&bytes).unwrap(), expected, "{descr}");
                let longer = file(major, &header, &[values.as_slice(), &[0]].concat());
                let message = integers(&longer).unwrap_err();
                assert!(message.contains("more than its shape"), "{message}");
            }
        }
    }

    #[test]
    fn what_is_not_read_says_why() {
        let array = |descr: &str, order: &str| {
            file(1, &format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': (1,), }}"), &[0; 8])
        };
        let message = |bytes: &[u8]| integers(bytes).unwrap_err();
        assert!(message(b"PK\x03\x04").contains("no .npy"));
        assert!(message(&array("<f8", "False")).contains("f8 is no integer"));
        assert!(message(&array(">i8", "False")).contains("big-endian"));
        assert!(message(&array("<i8", "True")).contains("Fortran"));
    }
}
