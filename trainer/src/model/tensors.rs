//! Files of tensors that somebody else may have written: safetensors.
//!
//! What a header promises is compared with the file before anything is made of it, and only types that are numbers of
//! whole bytes are read.

use crate::error::{Error, Result};
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::path::Path;

/// All tensors of a safetensors file, on the CPU.
///
/// # Errors
/// No regular file, or one that cannot be read; a header that does not fit the file, or names a tensor twice; a tensor of
/// another type than floats of 16, 32 or 64 bits and integers. The message names file and tensor.
pub(super) fn read(path: &Path) -> Result<HashMap<String, Tensor>> {
    let bytes = measure::input::read(path)?;
    parse(&bytes).map_err(|message| Error::data(path, format!("not readable: {message}")))
}

/// All tensors of the bytes of a safetensors file, on the CPU.
///
/// # Errors
/// Those of [`read`] but for the file's own; the message is one line that names no file.
pub(crate) fn parse(bytes: &[u8]) -> std::result::Result<HashMap<String, Tensor>, String> {
    let tensors: SafeTensors<'_> = measure::input::safetensors(bytes)?;
    tensors.iter().map(|(name, view)| Ok((name.to_string(), tensor(name, &view)?))).collect()
}

/// A tensor on the CPU.
///
/// # Errors
/// A type that is not read, in one line that names the tensor.
pub(super) fn tensor(name: &str, view: &TensorView<'_>) -> std::result::Result<Tensor, String> {
    let shown = || name.escape_debug().take(200).collect::<String>();
    let dtype = dtype(view.dtype()).ok_or_else(|| {
        format!(
            "'{}' is of type {:?}: floats of 16, 32 or 64 bits and integers are read",
            shown(),
            view.dtype()
        )
    })?;
    let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu);
    tensor.map_err(|e| format!("'{}': {}", shown(), measure::input::one_line(&e.to_string())))
}

/// The types that are read. The tensor library has others whose conversion fails or never ends.
fn dtype(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        Dtype::U8 => DType::U8,
        Dtype::U32 => DType::U32,
        Dtype::I16 => DType::I16,
        Dtype::I32 => DType::I32,
        Dtype::I64 => DType::I64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::serialize;

    #[test]
    fn types_that_are_no_numbers_of_whole_bytes_are_refused() {
        let file = |dtype: Dtype, bytes: &[u8], shape: Vec<usize>| {
            serialize([("a", TensorView::new(dtype, shape, bytes).unwrap())], None).unwrap()
        };
        let good = parse(&file(Dtype::F32, &1.5f32.to_le_bytes(), vec![1])).unwrap();
        assert_eq!(good["a"].to_vec1::<f32>().unwrap(), [1.5]);
        for dtype in [Dtype::F8_E4M3, Dtype::F8_E5M2, Dtype::F8_E8M0, Dtype::BOOL, Dtype::I8] {
            let error = parse(&file(dtype, &[1, 0], vec![2])).unwrap_err();
            let words =
                format!("'a' is of type {dtype:?}: floats of 16, 32 or 64 bits and integers are read");
            assert_eq!(error, words);
        }
        let four_bits = file(Dtype::F4, &[1], vec![2]);
        assert!(parse(&four_bits).unwrap_err().contains("of type F4"));
    }
}
