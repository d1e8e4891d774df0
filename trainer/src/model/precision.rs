//! In which numbers a network computes.

use candle_core::DType;

/// The type of activations and of the weights that multiply them.
///
/// Parameters themselves, their gradients, the optimiser's state, biases, batch normalisation's statistics, scales and
/// shifts, and the features that a loss sees are f32 always, and sums are taken in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 24 bits of significand.
    #[default]
    F32,
    /// 8 bits of significand, on a GPU only: half the memory traffic, and products at the rate of the tensor cores. No
    /// scaling of the loss: the exponent has the range of f32.
    Bf16,
}

impl Precision {
    /// Name, as `--dtype` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// The type of activations.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }
}
