//! How many samples, from which seed, and the blocks in which threads draw them.

use crate::error::{Error, Result};
use crate::sampling::NumDraws;
use rand_chacha::ChaCha8Rng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;

/// More samples would not be exact in `f64`.
pub(super) const MAX_SAMPLES: u64 = 1 << 53;

/// Labels of one block: a fraction of a millisecond, so that a few hundred samples already occupy several cores.
const LABELS_PER_BLOCK: u64 = 1 << 18;

/// Blocks whose results are held at a time.
const WAVE: u64 = 1 << 14;

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

    /// Runs blocks of samples on all threads and hands their results to `merge` in the order of the blocks.
    ///
    /// `run` gets a workspace of its thread, the generator of its block, and the number of samples to draw.
    pub(super) fn run<W, T: Send>(
        self,
        stream: Stream,
        labels_per_sample: u64,
        workspace: impl Fn() -> W + Sync + Send,
        run: impl Fn(&mut W, &mut Xoshiro256PlusPlus, u64) -> T + Sync + Send,
        mut merge: impl FnMut(T),
    ) {
        let per_block = (LABELS_PER_BLOCK / labels_per_sample.max(1)).clamp(1, 4096);
        let blocks = self.samples.div_ceil(per_block);
        let mut first = 0;
        while first < blocks {
            let wave = first..blocks.min(first + WAVE);
            first = wave.end;
            let one = |space: &mut W, block: u64| {
                let samples = per_block.min(self.samples - block * per_block);
                run(space, &mut generator(self.seed, stream, block), samples)
            };
            let results: Vec<T> = wave.into_par_iter().map_init(&workspace, one).collect();
            results.into_iter().for_each(&mut merge);
        }
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
    fn blocks_add_up_and_keep_their_order() {
        let plan = Plan::new(10_000, 1).unwrap();
        let mut sizes = Vec::new();
        let stream = Stream(Purpose::Rare, NumDraws::new(1).unwrap());
        plan.run(stream, 100, || (), |(), _, samples| samples, |samples| sizes.push(samples));
        assert_eq!(sizes.iter().sum::<u64>(), 10_000);
        assert_eq!(sizes, [2621, 2621, 2621, 2137]);
    }
}
