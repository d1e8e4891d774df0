//! `encoder = "vit-tiny"`: ViT-Tiny (Touvron et al. 2021), width 192, 12 blocks of 3 heads.
//!
//! Patches of 4×4 for images up to 64 pixels a side, of 16×16 for larger ones, each through one linear layer; a class
//! token before them; learnt positions; blocks. Features: those of the class token, normalised (timm's
//! `global_pool = "token"`). Names and shapes are those of timm's `vit_tiny_patch16_224` without `head`:
//! `patch_embed.proj`, `cls_token`, `pos_embed`, `blocks.I.…`, `norm`.

use super::{NORMAL, Sizes, Transformer};
use crate::data::InputKind;
use candle_core::{Result, Tensor, bail};
use candle_nn::{Init, Linear, Module, ModuleT, VarBuilder, func_t};

const TINY: Sizes = Sizes { width: 192, depth: 12, heads: 3 };

/// The largest side of an image with patches of 4×4.
const MOST_SMALL: usize = 64;

/// Makes a ViT-Tiny.
///
/// # Errors
/// Texts; images that cannot be cut into patches.
pub(in crate::model) fn tiny(vb: VarBuilder<'_>, input: InputKind) -> Result<Box<dyn ModuleT>> {
    build(TINY, &vb, input)
}

pub(super) fn build(sizes: Sizes, vb: &VarBuilder<'_>, input: InputKind) -> Result<Box<dyn ModuleT>> {
    let InputKind::Images([height, width, channels]) = input else {
        bail!("it reads images, not texts");
    };
    let side = if height.max(width) <= MOST_SMALL { 4 } else { 16 };
    if height == 0 || width == 0 || channels == 0 || height % side != 0 || width % side != 0 {
        bail!("images of {height}×{width}×{channels} cannot be cut into patches of {side}×{side}");
    }
    let patches = Patches { rows: height / side, columns: width / side, channels, side };
    let features = sizes.width;
    // As torch's convolutions begin, which timm leaves alone.
    let bound = (patches.pixels() as f64).powf(-0.5);
    let init = Init::Uniform { lo: -bound, up: bound };
    let embed = vb.pp("patch_embed").pp("proj");
    let weight = embed.get_with_hints((features, channels, side, side), "weight", init)?;
    let embed = Linear::new(weight.flatten_from(1)?, Some(embed.get_with_hints(features, "bias", init)?));
    let token = Init::Randn { mean: 0.0, stdev: 1e-6 };
    let token = vb.get_with_hints((1, 1, features), "cls_token", token)?;
    let positions = (1, 1 + patches.rows * patches.columns, features);
    let positions = vb.get_with_hints(positions, "pos_embed", NORMAL)?;
    let transformer = Transformer::new(sizes, vb)?;
    Ok(Box::new(func_t(move |images, _| {
        let x = embed.forward(&patches.cut(images)?)?;
        let token = token.broadcast_as((x.dim(0)?, 1, features))?;
        let x = Tensor::cat(&[&token, &x], 1)?.broadcast_add(&positions)?;
        transformer.forward(&x, None)?.narrow(1, 0, 1)?.squeeze(1)
    })))
}

/// How an image is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patches {
    pub rows: usize,
    pub columns: usize,
    pub channels: usize,
    pub side: usize,
}

impl Patches {
    /// Numbers of a patch.
    fn pixels(self) -> usize {
        self.channels * self.side * self.side
    }

    /// \[N, C, H, W\] → \[N, rows·columns, C·side²\].
    pub fn cut(self, images: &Tensor) -> Result<Tensor> {
        let Self { rows, columns, channels, side } = self;
        let count = images.dim(0)?;
        let cut = images.reshape(&[count, channels, rows, side, columns, side][..])?;
        cut.permute(vec![0, 2, 4, 1, 3, 5])?.reshape((count, rows * columns, self.pixels()))
    }
}
