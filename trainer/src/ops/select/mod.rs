//! Which candidates of an anchor count as negatives: those of certain ranks in a row of keys.
//!
//! Everything is one operation: of the members of a row, with keys of 32 bits, the elements of ranks \[from, to), ties
//! in the order of the index. In this order:
//!
//! 1. The members of a batch's row are the other samples, of a queue's row all keys.
//! 2. Where K negatives are drawn, those of ranks \[0, K) by random words: word j of anchor i is one of
//!    [`Counter::words`](measure::rng::philox::Counter::words)`(i, view 0, j / 4)[j % 4]` at the run's step.
//! 3. Where the loss knows the classes, those of the anchor's class leave.
//! 4. A selection keeps ranks of the rest by their cosines, or by the words of view 1 where it is at random. A row with
//!    a NaN among its cosines keeps all.
//!
//! A draw is a uniform subset but for ties between words, which go to the smaller index. The probability of any tie in a
//! row of N words is below N²/2³³, 8e-6 for N = 256; a tie moves a draw only where it lies at its last rank.
//!
//! On the CPU by [`cpu`], row by row in [`crate::loss`]; on a GPU by one kernel, with the same keys and whole numbers,
//! hence the same masks.

pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
