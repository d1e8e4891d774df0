//! The four sweeps of the digits, as plans.

use crate::error::{Error, Result};
use crate::loss::LossKind;
use crate::run::{Config, Grid, Negatives, Preset, QueueSettings, Sweep};

/// The preset whose settings the sweeps have, but for what they move.
pub(super) const PRESET: &str = "digits";

/// The losses that are compared, with the parameters of their authors; the first is the reference.
const LOSSES: [LossKind; 9] = [
    LossKind::NtXent {},
    LossKind::Debiased { class_probability: 0.1 },
    LossKind::Hard { class_probability: 0.1, beta: 1.0 },
    LossKind::Dcl {},
    LossKind::Dclw { sigma: 0.5 },
    LossKind::FlatNce {},
    LossKind::EqCo { virtual_negatives: 65536.0 },
    LossKind::Spectral { scale: 1.0 },
    LossKind::Nscl { positive_in_denominator: false },
];

/// A sweep of the studies.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedSweep {
    /// Its name: that of its folder.
    pub name: &'static str,
    /// What is run.
    pub sweep: Sweep,
}

impl NamedSweep {
    /// Bounds against n, K alone, selections of negatives, losses; `quick`: one seed, ten epochs, fewer n.
    ///
    /// # Errors
    /// The preset has no sweep.
    pub fn all(quick: bool) -> Result<[Self; 4]> {
        let Preset { config, grid } = Preset::named(PRESET, &[])?;
        let grid = grid.ok_or_else(|| Error::argument(format!("the preset {PRESET} has no [sweep]")))?;
        let base = Config { epochs: if quick { 10 } else { config.epochs }, ..config };
        let seeds = if quick { vec![7] } else { grid.seeds.clone() };
        let over = |draws: &[usize]| Grid { draws: draws.to_vec(), seeds: seeds.clone(), ..grid.clone() };
        let (draws, drawn): (&[usize], &[usize]) = match quick {
            true => (&[16, 64, 256], &[2, 16, 256]),
            false => (&[16, 32, 64, 128, 256], &[2, 4, 8, 16, 32, 64, 128, 256]),
        };
        let mut selections = vec![Negatives::Queue];
        for words in ["hardest:5%", "random:5%", "easiest:95%", "random:95%", "drop-hardest:1%"] {
            selections.push(Negatives::Selected(words.parse()?));
        }
        let queued = Config {
            negatives: Negatives::Queue,
            queue: Some(QueueSettings { size: 512, momentum: 0.9 }),
            temperature: 0.2,
            ..base.clone()
        };
        let sweep = |name, base: &Config, grid| Self { name, sweep: Sweep { base: base.clone(), grid } };
        Ok([
            sweep("bounds", &base, Grid { supervised: true, ..over(draws) }),
            sweep("fixed-batch", &base, Grid { fixed_batch: Some(256), ..over(drawn) }),
            sweep("selections", &queued, Grid { selections, ..over(&[64]) }),
            sweep("losses", &base, Grid { losses: LOSSES.to_vec(), ..over(&[64]) }),
        ])
    }
}
