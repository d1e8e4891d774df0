//! Contrastive losses of two views, in f64, each with its gradient: what a training loop in any precision can be checked
//! against.
//!
//! An anchor i has the cosine s_i⁺ with its positive and the cosines s_ij with its N negatives. In nats, at temperature
//! t, with a_ij = (s_ij − s_i⁺)/t, averaged over the anchors:
//!
//! | [`Formula`] | loss of an anchor | source |
//! |---|---|---|
//! | [`InfoNce`](Formula::InfoNce) | ln(1 + Σ_j e^{a_j}) | van den Oord et al. 2018; with both views NT-Xent of Chen et al. 2020 |
//! | [`Debiased`](Formula::Debiased) | ln(1 + g e^{−s⁺/t}), g = max{(Σ_j e^{s_j/t} − N τ⁺ e^{s⁺/t})/(1 − τ⁺), N e^{−1/t}} | Chuang et al. 2020, arXiv 2007.00224 |
//! | [`Hard`](Formula::Hard) | the same with Σ_j w_j e^{s_j/t}, weights w_j ∝ e^{β s_j/t} of mean 1 | Robinson et al. 2021, arXiv 2010.04592 |
//! | [`Dcl`](Formula::Dcl) | ln Σ_j e^{a_j} | Yeh et al. 2022, arXiv 2110.06848 |
//! | [`Dclw`](Formula::Dclw) | ln Σ_j e^{s_j/t} − (2 − p) s⁺/t, p = e^{s⁺/σ} over its mean over anchors | the same |
//! | [`FlatNce`](Formula::FlatNce) | **value** ln(1 + Σ_j e^{a_j}), **gradient** of ln Σ_j e^{a_j} | Chen et al. 2021, arXiv 2107.01152 |
//! | [`EqCo`](Formula::EqCo) | ln(1 + (α/N) Σ_j e^{a_j}) | Zhu et al. 2020, arXiv 2010.01929 |
//! | [`Spectral`](Formula::Spectral) | −2μ s⁺ + (μ²/N) Σ_j s_j² | HaoChen et al. 2021, arXiv 2106.04156 |
//!
//! Which candidates are negatives is a choice of its own ([`Negatives`]): SimCLR's 2n−2 of both views, the K = n−1 of the
//! second view that the bounds are about, K given for each anchor, a queue. With [`Batch::classes`] those of the anchor's
//! class are left out: [`Formula::Dcl`] is then NSCL (Luthra, Yang & Galanti 2025, arXiv 2506.04411), and
//! [`Formula::InfoNce`] its second version.
//!
//! # Accuracy
//!
//! f64, exponentials relative to the largest: the error of a value is some 10⁻¹⁵ (1 + 1/t), and a small loss keeps its
//! digits (ln(1 + x), not ln of a quotient near 1). Gradients agree with central differences to 10⁻⁸, the accuracy of
//! those. The number of threads changes no bit.

mod batch;
mod formula;
#[cfg(test)]
mod tests;

pub use batch::{Batch, Negatives};
pub use formula::Formula;
