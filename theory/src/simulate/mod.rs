//! Monte Carlo on all cores: plain batches of labels, and coverage far too rare for those.
//!
//! - [`coverage`] and [`batches`] draw the labels of whole batches and count: υ, τ and E ln(1+Col), any prior, both samplings;
//! - [`rare_coverage`] draws tilted class counts instead, and estimates υ = 1e-400 as easily as υ = 1/2.
//!
//! A [`Plan`] says how many samples and from which seed. Samples are cut into blocks whose size depends on the request
//! alone, and block b draws from its own generator: xoshiro256++, its 256-bit state read from stream b of ChaCha8 keyed with
//! the seed and the purpose. So a result is a function of the request and the seed, and never of the number of threads.

mod alias;
mod index;
mod interval;
mod plain;
mod point;
mod rare;
mod sum_law;

pub(crate) use interval::student_quantile;
pub use interval::{Mean, Proportion};
pub use plain::{Batches, batches, coverage};
pub use rare::{RareEstimate, rare_coverage};

use crate::error::{Error, Result};
use rand_chacha::ChaCha8Rng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;

/// Labels that one request may draw: about 10¹³ ns, three hours of one core.
const MAX_LABELS: f64 = 1e13;

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
    /// No sample.
    pub fn new(samples: u64, seed: u64) -> Result<Self> {
        if samples == 0 {
            return Err(Error::argument("a simulation needs at least 1 sample, got 0"));
        }
        Ok(Self { samples, seed })
    }

    /// Number of samples.
    pub fn samples(self) -> u64 {
        self.samples
    }

    /// The seed.
    pub fn seed(self) -> u64 {
        self.seed
    }

    /// Refuses what would run for hours: `labels` are drawn for each sample, at about 1 ns each.
    fn check_cost(self, labels: f64) -> Result<()> {
        let total = self.samples as f64 * labels;
        if total <= MAX_LABELS {
            return Ok(());
        }
        Err(Error::argument(format!(
            "{} samples of about {labels:.0} labels are {total:.1e} labels, some {:.1} hours of one core; the limit is \
             {MAX_LABELS:.0e} labels, here {:.0} samples",
            self.samples,
            total * 1e-9 / 3600.0,
            (MAX_LABELS / labels).floor(),
        )))
    }

    /// Runs blocks of samples on all threads and hands their results to `merge` in the order of the blocks.
    ///
    /// `run` gets a workspace of its thread, the generator of its block, and the number of samples to draw.
    fn run<W, T: Send>(
        self,
        purpose: Purpose,
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
                run(space, &mut generator(self.seed, purpose, block), samples)
            };
            let results: Vec<T> = wave.into_par_iter().map_init(&workspace, one).collect();
            results.into_iter().for_each(&mut merge);
        }
    }
}

/// What random numbers are for: each purpose has streams of its own.
#[derive(Debug, Clone, Copy)]
enum Purpose {
    Coverage = 1,
    Batches = 2,
    Rare = 3,
}

/// The generator of one block.
fn generator(seed: u64, purpose: Purpose, block: u64) -> Xoshiro256PlusPlus {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8] = purpose as u8;
    let mut mixer = ChaCha8Rng::from_seed(key);
    mixer.set_stream(block);
    let mut state = [0; 32];
    mixer.fill_bytes(&mut state);
    Xoshiro256PlusPlus::from_seed(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_words_of_a_seed_do_not_change() {
        let words = |seed, purpose, block| -> [u64; 2] {
            let mut rng = generator(seed, purpose, block);
            [rng.next_u64(), rng.next_u64()]
        };
        let all = [
            words(7, Purpose::Coverage, 0),
            words(7, Purpose::Coverage, 1),
            words(7, Purpose::Batches, 0),
            words(8, Purpose::Coverage, 0),
        ];
        let expected = [
            [13628241679712535582, 2627908328278139509],
            [423005863501219028, 1074895222107599443],
            [16127805965012441223, 16295711751841303965],
            [14746652855070666732, 9716424037683724823],
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn blocks_add_up_and_keep_their_order() {
        let plan = Plan::new(10_000, 1).unwrap();
        let mut sizes = Vec::new();
        plan.run(Purpose::Rare, 100, || (), |(), _, samples| samples, |samples| sizes.push(samples));
        assert_eq!(sizes.iter().sum::<u64>(), 10_000);
        assert_eq!(sizes, [2621, 2621, 2621, 2137]);
    }
}
