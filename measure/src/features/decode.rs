//! Numbers of a file as f64: exact from every type but integers beyond 2⁵³.

use half::{bf16, f16};
use safetensors::Dtype;

/// The type behind a description such as `f4`.
///
/// # Errors
/// It holds no numbers that are read.
pub(super) fn dtype(description: &str) -> Result<Dtype, String> {
    Ok(match description {
        "e" | "f2" => Dtype::F16,
        "f" | "f4" => Dtype::F32,
        "d" | "f8" => Dtype::F64,
        "?" | "b1" => Dtype::BOOL,
        "b" | "i1" => Dtype::I8,
        "h" | "i2" => Dtype::I16,
        "i" | "i4" => Dtype::I32,
        "q" | "i8" => Dtype::I64,
        "B" | "u1" => Dtype::U8,
        "H" | "u2" => Dtype::U16,
        "I" | "u4" => Dtype::U32,
        "Q" | "u8" => Dtype::U64,
        _ => {
            return Err(format!("its type {description} is no integer or float of 16 to 64 bits"));
        }
    })
}

/// Numbers from little-endian bytes, one for each place of `out`.
///
/// # Errors
/// A type that holds no numbers that are read.
pub(super) fn decode(dtype: Dtype, bytes: &[u8], out: &mut [f64]) -> Result<(), String> {
    fn each<const SIZE: usize>(bytes: &[u8], out: &mut [f64], value: impl Fn([u8; SIZE]) -> f64) {
        out.iter_mut().zip(bytes.as_chunks().0).for_each(|(out, &chunk)| *out = value(chunk));
    }
    match dtype {
        Dtype::BOOL | Dtype::U8 => each(bytes, out, |b| f64::from(u8::from_le_bytes(b))),
        Dtype::I8 => each(bytes, out, |b| f64::from(i8::from_le_bytes(b))),
        Dtype::U16 => each(bytes, out, |b| f64::from(u16::from_le_bytes(b))),
        Dtype::I16 => each(bytes, out, |b| f64::from(i16::from_le_bytes(b))),
        Dtype::U32 => each(bytes, out, |b| f64::from(u32::from_le_bytes(b))),
        Dtype::I32 => each(bytes, out, |b| f64::from(i32::from_le_bytes(b))),
        Dtype::U64 => each(bytes, out, |b| u64::from_le_bytes(b) as f64),
        Dtype::I64 => each(bytes, out, |b| i64::from_le_bytes(b) as f64),
        Dtype::F8_E4M3 => each(bytes, out, e4m3),
        Dtype::F16 => each(bytes, out, |b| f16::from_le_bytes(b).to_f64()),
        Dtype::BF16 => each(bytes, out, |b| bf16::from_le_bytes(b).to_f64()),
        Dtype::F32 => each(bytes, out, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F64 => each(bytes, out, f64::from_le_bytes),
        other => return Err(format!("its type {other:?} holds no numbers that are read")),
    }
    Ok(())
}

/// One sign, four exponent bits with bias 7, three of the mantissa; no infinity.
fn e4m3([byte]: [u8; 1]) -> f64 {
    let (exponent, mantissa) = (i32::from(byte >> 3 & 15), byte & 7);
    let magnitude = match (exponent, mantissa) {
        (15, 7) => f64::NAN,
        (0, _) => f64::from(mantissa) / 8.0 * 2f64.powi(-6),
        _ => (1.0 + f64::from(mantissa) / 8.0) * 2f64.powi(exponent - 7),
    };
    if byte >> 7 == 1 { -magnitude } else { magnitude }
}
