//! How many samples, from which seed, the blocks in which threads draw them, and the chunks of blocks that machines share.

use super::tally::Tally;
use crate::error::{Error, Result};
use crate::sampling::NumDraws;
use rand_chacha::ChaCha8Rng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use std::ops::Range;

/// More samples would not be exact in `f64`.
pub(super) const MAX_SAMPLES: u64 = 1 << 53;

/// Labels of one block: a fraction of a millisecond, so that a few hundred samples already occupy several cores.
const LABELS_PER_BLOCK: u64 = 1 << 18;

/// Chunks of the samples of one n. A machine computes whole chunks, so more of them occupy more machines; a chunk is
/// some 50 bytes of a file.
const MAX_CHUNKS: u64 = 1 << 10;

/// Labels between two moments at which results are handed over, for each thread: some tenths of a second.
const LABELS_PER_WAVE: u64 = 1 << 28;

/// How many samples, and the seed that they are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    samples: u64,
    seed: u64,
}

impl Plan {
    /// `samples` independent samples from `seed`.
    ///
    /// # Errors
    /// No sample, or more than 2⁵³.
    pub fn new(samples: u64, seed: u64) -> Result<Self> {
        match samples {
            0 => Err(Error::argument("a simulation needs at least 1 sample, got 0")),
            _ if samples > MAX_SAMPLES => {
                Err(Error::argument(format!("{samples} samples exceed the limit of {MAX_SAMPLES}")))
            }
            _ => Ok(Self { samples, seed }),
        }
    }

    /// Number of samples.
    pub fn samples(self) -> u64 {
        self.samples
    }

    /// The seed.
    pub fn seed(self) -> u64 {
        self.seed
    }

    /// Draws these chunks, in ascending order, on all threads, and hands over what each showed, in the same order.
    ///
    /// `run` gets a workspace of its thread, the generator of its block, and the number of samples to draw.
    pub(super) fn run<W>(
        self,
        stream: Stream,
        cut: Cut,
        chunks: &[u64],
        workspace: impl Fn() -> W + Sync + Send,
        run: impl Fn(&mut W, &mut Xoshiro256PlusPlus, u64) -> Tally + Sync + Send,
        mut done: impl FnMut(u64, Tally),
    ) {
        let one = |space: &mut W, &(_, block): &(u64, u64)| {
            run(space, &mut generator(self.seed, stream, block), cut.samples_of(block))
        };
        let mut left = chunks.iter().flat_map(|&chunk| cut.blocks_of(chunk).map(move |block| (chunk, block)));
        let mut total = Tally::EMPTY;
        loop {
            let wave: Vec<(u64, u64)> = left.by_ref().take(cut.blocks_per_wave()).collect();
            if wave.is_empty() {
                return;
            }
            let found: Vec<Tally> = wave.par_iter().map_init(&workspace, one).collect();
            for ((chunk, block), tally) in wave.into_iter().zip(found) {
                total.merge(tally);
                if block + 1 == cut.blocks_of(chunk).end {
                    done(chunk, std::mem::replace(&mut total, Tally::EMPTY));
                }
            }
        }
    }
}

/// How the samples of one n are cut: into blocks, which share a generator, and these into chunks, whose results are
/// merged before those of different chunks are. It depends on the request alone, and so does every rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    samples: u64,
    labels_per_sample: u64,
    per_block: u64,
    blocks: u64,
}

impl Cut {
    pub(super) fn new(plan: Plan, labels_per_sample: u64) -> Self {
        let labels_per_sample = labels_per_sample.max(1);
        let per_block = (LABELS_PER_BLOCK / labels_per_sample).clamp(1, 4096);
        Self { samples: plan.samples, labels_per_sample, per_block, blocks: plan.samples.div_ceil(per_block) }
    }

    /// Number of chunks.
    pub(super) fn chunks(self) -> u64 {
        self.blocks.min(MAX_CHUNKS)
    }

    /// The blocks of a chunk: at most 2⁵³ of them, times 2¹⁰, fit a word.
    fn blocks_of(self, chunk: u64) -> Range<u64> {
        let end = |chunks: u64| chunks * self.blocks / self.chunks();
        end(chunk)..end(chunk + 1)
    }

    fn samples_of(self, block: u64) -> u64 {
        self.per_block.min(self.samples - block * self.per_block)
    }

    fn blocks_per_wave(self) -> usize {
        let each = LABELS_PER_WAVE / self.labels_per_sample.saturating_mul(self.per_block);
        each.max(1) as usize * rayon::current_num_threads()
    }
}

/// Each purpose has streams of its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Coverage = 1,
    Batches = 2,
    Rare = 3,
}

/// What random numbers are for, and the n that they are for: along a range of n every result has streams of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream(pub(super) Purpose, pub(super) NumDraws);

/// The generator of one block.
fn generator(seed: u64, Stream(purpose, num_draws): Stream, block: u64) -> Xoshiro256PlusPlus {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8] = purpose as u8;
    key[16..24].copy_from_slice(&num_draws.get().to_le_bytes());
    let mut mixer = ChaCha8Rng::from_seed(key);
    mixer.set_stream(block);
    let mut state = [0; 32];
    mixer.fill_bytes(&mut state);
    Xoshiro256PlusPlus::from_seed(state)
}

/// A generator for tests of what draws from one.
#[cfg(test)]
pub(super) fn test_generator(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_words_of_a_seed_do_not_change() {
        let words = |seed, purpose, draws, block| -> [u64; 2] {
            let mut rng = generator(seed, Stream(purpose, NumDraws::new(draws).unwrap()), block);
            [rng.next_u64(), rng.next_u64()]
        };
        let all = [
            words(7, Purpose::Coverage, 27, 0),
            words(7, Purpose::Coverage, 27, 1),
            words(7, Purpose::Batches, 27, 0),
            words(8, Purpose::Coverage, 27, 0),
            words(7, Purpose::Coverage, 28, 0),
        ];
        let expected = [
            [6380172555661865288, 5710860315532216348],
            [12485663005495154303, 12769398467997199093],
            [16289931223927575286, 9320060698397804125],
            [6375889650607805593, 7429241911479180645],
            [9698772094793386872, 542506672152780859],
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn chunks_add_up_and_keep_their_order() {
        let stream = Stream(Purpose::Rare, NumDraws::new(1).unwrap());
        let sizes = |samples, chunks: &[u64]| {
            let plan = Plan::new(samples, 1).unwrap();
            let mut sizes = Vec::new();
            let run = |_: &mut (), _: &mut _, samples| Tally { samples, ..Tally::EMPTY };
            let done = |chunk, tally: Tally| sizes.push((chunk, tally.samples));
            plan.run(stream, Cut::new(plan, 100), chunks, || (), run, done);
            sizes
        };
        assert_eq!(sizes(10_000, &[0, 1, 2, 3]), [(0, 2621), (1, 2621), (2, 2621), (3, 2137)]);
        assert_eq!(sizes(10_000, &[1, 3]), [(1, 2621), (3, 2137)]);
        // 1526 blocks are 1024 chunks of one or two.
        let samples = 4_000_000;
        assert_eq!(Cut::new(Plan::new(samples, 1).unwrap(), 100).chunks(), 1024);
        let all = sizes(samples, &(0..1024).collect::<Vec<_>>());
        assert_eq!(all.iter().map(|(_, size)| size).sum::<u64>(), samples);
        assert!(all[..1023].iter().all(|(_, size)| [2621, 5242].contains(size)));
        let odd: Vec<u64> = (1..1024).step_by(2).collect();
        let some: Vec<_> = all.iter().copied().skip(1).step_by(2).collect();
        assert_eq!(sizes(samples, &odd), some);
    }

    #[test]
    fn the_largest_plans_are_cut_without_overflow() {
        let cut = Cut::new(Plan::new(MAX_SAMPLES, 1).unwrap(), u64::MAX);
        assert_eq!((cut.blocks_of(0).start, cut.blocks_of(1023).end), (0, MAX_SAMPLES));
        assert_eq!(cut.blocks_per_wave(), rayon::current_num_threads());
    }
}
