//! `encoder = "transformer"`: a small transformer over the words of a text in their order, width 128, 2 blocks of 4
//! heads.
//!
//! Embeddings of words plus learnt positions, blocks, a normalisation, and the mean over the words of the text. The
//! first 128 words are read; an erased word leaves no gap. A text without words gives 0. Names: `embedding`,
//! `positions`, `blocks.I.…`, `norm`.

use super::{NORMAL, Sizes, Transformer};
use crate::data::InputKind;
use candle_core::{DType, Result, bail};
use candle_nn::{ModuleT, VarBuilder, func_t};

const SMALL: Sizes = Sizes { width: 128, depth: 2, heads: 4 };

/// Words that are read of a text.
const MOST_WORDS: usize = 128;

/// Added to the logit of what is no word.
const FAR: f64 = 1e9;

/// Makes the transformer.
///
/// # Errors
/// Images; a vocabulary without words.
pub(in crate::model) fn small(vb: VarBuilder<'_>, input: InputKind) -> Result<Box<dyn ModuleT>> {
    build(SMALL, &vb, input)
}

pub(super) fn build(sizes: Sizes, vb: &VarBuilder<'_>, input: InputKind) -> Result<Box<dyn ModuleT>> {
    let InputKind::Texts { vocabulary } = input else {
        bail!("it reads texts, not images");
    };
    if vocabulary == 0 {
        bail!("texts with a vocabulary of 0 words have nothing to embed");
    }
    let width = sizes.width;
    let embedding = vb.get_with_hints((vocabulary, width), "embedding.weight", NORMAL)?;
    let positions = vb.get_with_hints((MOST_WORDS, width), "positions.weight", NORMAL)?;
    let transformer = Transformer::new(sizes, vb)?;
    Ok(Box::new(func_t(move |words, _| {
        let (count, length) = words.dims2()?;
        let length = length.min(MOST_WORDS);
        let words = words.narrow(1, 0, length)?.contiguous()?;
        // 1 for a word, 0 behind the end of a text.
        let is_word = words.lt(vocabulary as u32)?.to_dtype(DType::F32)?;
        // What stands behind the end is masked: any word will do.
        let known = words.minimum(vocabulary as u32 - 1)?.flatten_all()?;
        let x = embedding.index_select(&known, 0)?.reshape((count, length, width))?;
        let x = x.broadcast_add(&positions.narrow(0, 0, length)?)?;
        let mask = ((&is_word - 1.0)? * FAR)?.reshape((count, 1, 1, length))?;
        let y = transformer.forward(&x, Some(&mask))?;
        let is_word = is_word.unsqueeze(2)?;
        let lengths = is_word.sum(1)?.maximum(1.0)?;
        y.broadcast_mul(&is_word)?.sum(1)?.broadcast_div(&lengths)
    })))
}
