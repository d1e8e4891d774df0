//! On the CPU: O(K) a row.

use measure::rng::philox::{Counter, View};

/// Bins of keys by their leading bits, of numbers: sign, exponent and three places.
const BINS: usize = 1 << (32 - BIN_SHIFT);
const BIN_SHIFT: u32 = 20;

/// Buffers for the next call.
#[derive(Debug, Default)]
pub struct Work {
    /// The keys of a row.
    pub keys: Vec<u32>,
    counts: Vec<u32>,
    inside: Vec<u64>,
}

/// Ranges of places (key, index) whose elements are kept.
#[derive(Debug)]
pub struct Kept(Vec<[u64; 2]>);

impl Kept {
    /// Whether the element of this key and index is.
    #[inline(always)]
    pub fn contains(&self, key: u32, index: u64) -> bool {
        let place = place(key, index);
        self.0.iter().fold(false, |any, [from, to]| any | ((*from <= place) & (place < *to)))
    }
}

/// The elements of these ranges of ranks among the keys of a row.
pub fn kept(ranks: &[[usize; 2]], work: &mut Work) -> Kept {
    let Work { keys, counts, inside } = work;
    counts.clear();
    if keys.len() > BINS {
        counts.resize(BINS, 0);
        keys.iter().for_each(|key| counts[bin(*key)] += 1);
    }
    let mut bound = |rank: usize| place_of_rank(keys, rank, counts, inside);
    Kept(ranks.iter().map(|&[from, to]| [bound(from), bound(to)]).collect())
}

fn bin(key: u32) -> usize {
    (key >> BIN_SHIFT) as usize
}

/// An element's place in the order: its key, then its index.
#[inline(always)]
fn place(key: u32, index: u64) -> u64 {
    u64::from(key) << 32 | index
}

/// The place that as many as `rank` others are below; above all of them for rank K. With the counts of the bins only
/// the elements in the bin of that rank are looked at more closely.
fn place_of_rank(keys: &[u32], rank: usize, counts: &[u32], inside: &mut Vec<u64>) -> u64 {
    if rank == 0 || rank >= keys.len() {
        return if rank == 0 { 0 } else { u64::MAX };
    }
    let (mut own, mut below) = (0, 0);
    while !counts.is_empty() && below + counts[own] as usize <= rank {
        below += counts[own] as usize;
        own += 1;
    }
    let all = counts.is_empty();
    let of_bin = keys.iter().zip(0u64..).filter(|(key, _)| all || bin(**key) == own);
    inside.clear();
    inside.extend(of_bin.map(|(key, index)| place(*key, index)));
    *inside.select_nth_unstable(rank - below).1
}

/// Bits in the order of the numbers, −0 = +0; of numbers that are not NaN.
#[inline(always)]
pub fn ordered(x: f32) -> u32 {
    // −0 + 0 = +0.
    let bits = (x + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// One random word for each of the first `count` candidates of an anchor, appended to `words`.
pub fn append_words(counter: &Counter, anchor: usize, view: View, count: usize, words: &mut Vec<u32>) {
    let end = words.len() + count;
    let blocks = (0..count.div_ceil(4) as u32).flat_map(|block| counter.words(anchor as u32, view, block));
    words.extend(blocks);
    words.truncate(end);
}
