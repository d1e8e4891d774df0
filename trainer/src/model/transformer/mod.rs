//! Encoders that ship and are written with `candle-nn`: transformers over the patches of an image ([`vit`]) and over
//! the words of a text ([`text`]), of pre-norm blocks (Dosovitskiy et al. 2021).
//!
//! A block: x ← x + W_o attention(norm₁ x), x ← x + W₂ GELU(W₁ norm₂ x), with biases. Attention of a head of dimension
//! d: softmax(q kᵀ/√d) v. Normalisation over features, ε = 1e-6; the exact GELU. Weights begin as N(0, 0.02²), biases
//! as 0. Names are those of timm: `blocks.I.norm1`, `attn.qkv`, `attn.proj`, `norm2`, `mlp.fc1`, `mlp.fc2`, then `norm`.

pub(super) mod text;
pub(super) mod vit;

use candle_core::{D, Result, Tensor};
use candle_nn::{Init, Linear, Module, VarBuilder, ops};

/// Initial weights.
const NORMAL: Init = Init::Randn { mean: 0.0, stdev: 0.02 };

/// Hidden features of a block's MLP over its features.
const MLP_RATIO: usize = 4;

/// How large a transformer is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Features.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Heads of a block, a divisor of the width.
    pub heads: usize,
}

/// Blocks and the normalisation behind them.
#[derive(Debug)]
struct Transformer {
    blocks: Vec<Block>,
    norm: Norm,
}

impl Transformer {
    fn new(sizes: Sizes, vb: &VarBuilder<'_>) -> Result<Self> {
        let blocks = vb.pp("blocks");
        let blocks = (0..sizes.depth).map(|index| Block::new(sizes, &blocks.pp(index)));
        Ok(Self { blocks: blocks.collect::<Result<_>>()?, norm: Norm::new(sizes.width, &vb.pp("norm"))? })
    }

    /// \[N, T, width\] → the same; `mask`, \[N, 1, 1, T\], is added to what softmax sees.
    fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let mut x = x.clone();
        for block in &self.blocks {
            x = block.forward(&x, mask)?;
        }
        self.norm.forward(&x)
    }
}

/// Normalisation over features: candle's `LayerNorm` takes a way without gradients.
#[derive(Debug)]
struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    fn new(width: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let get = |name, value| vb.get_with_hints(width, name, Init::Const(value));
        Ok(Self { weight: get("weight", 1.0)?, bias: get("bias", 0.0)? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::layer_norm_slow(x, &self.weight, &self.bias, 1e-6)
    }
}

#[derive(Debug)]
struct Block {
    norms: [Norm; 2],
    qkv: Linear,
    projection: Linear,
    mlp: [Linear; 2],
    heads: usize,
}

impl Block {
    fn new(Sizes { width, heads, .. }: Sizes, vb: &VarBuilder<'_>) -> Result<Self> {
        let (attention, mlp) = (vb.pp("attn"), vb.pp("mlp"));
        let hidden = MLP_RATIO * width;
        let first = Norm::new(width, &vb.pp("norm1"))?;
        let qkv = linear(width, 3 * width, &attention.pp("qkv"))?;
        let projection = linear(width, width, &attention.pp("proj"))?;
        let second = Norm::new(width, &vb.pp("norm2"))?;
        let mlp = [linear(width, hidden, &mlp.pp("fc1"))?, linear(hidden, width, &mlp.pp("fc2"))?];
        Ok(Self { norms: [first, second], qkv, projection, mlp, heads })
    }

    fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let x = (x + self.attention(&self.norms[0].forward(x)?, mask)?)?;
        let hidden = self.mlp[0].forward(&self.norms[1].forward(&x)?)?.gelu_erf()?;
        &x + self.mlp[1].forward(&hidden)?
    }

    fn attention(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let (count, tokens, width) = x.dims3()?;
        let dimension = width / self.heads;
        let qkv = self.qkv.forward(x)?.reshape((count, tokens, 3, self.heads, dimension))?;
        let part = |index| qkv.narrow(2, index, 1)?.squeeze(2)?.transpose(1, 2)?.contiguous();
        let (q, k, v): (Tensor, Tensor, Tensor) = (part(0)?, part(1)?, part(2)?);
        let mut logits = (q.matmul(&k.t()?)? * (dimension as f64).powf(-0.5))?;
        if let Some(mask) = mask {
            logits = logits.broadcast_add(mask)?;
        }
        let y = ops::softmax(&logits, D::Minus1)?.matmul(&v)?;
        self.projection.forward(&y.transpose(1, 2)?.reshape((count, tokens, width))?)
    }
}

fn linear(inputs: usize, outputs: usize, vb: &VarBuilder<'_>) -> Result<Linear> {
    let weight = vb.get_with_hints((outputs, inputs), "weight", NORMAL)?;
    Ok(Linear::new(weight, Some(vb.get_with_hints(outputs, "bias", Init::Const(0.0))?)))
}

#[cfg(test)]
mod tests;
