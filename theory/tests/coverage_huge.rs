//! Coverage where draws and items run into the thousands of billions: a rare class beside very frequent ones.

use theory::Sampling::{self, WithReplacement, WithoutReplacement};
use theory::{ClassPrior, NumDraws, coverage};

/// (sampling, counts, n, υ, 1−υ): inclusion–exclusion at 60 digits and more (mpmath 1.3).
const HUGE: [(Sampling, &[u64], u64, f64, f64); 22] = [
    (
        WithReplacement,
        &[1_000_000_000_000_000, 1],
        97_577_688_250_265,
        0.092_968_126_900_604,
        9.070_318_730_993_96e-1,
    ),
    (
        WithoutReplacement,
        &[1_000_000_000_000_000, 1],
        97_577_688_250_265,
        9.757_768_825_026_49e-2,
        9.024_223_117_497_351e-1,
    ),
    (
        WithReplacement,
        &[1_000_000_000_000_000, 1],
        100_000_000_000_000,
        9.516_258_196_404_038e-2,
        9.048_374_180_359_596e-1,
    ),
    (
        WithoutReplacement,
        &[1_000_000_000_000_000, 1],
        100_000_000_000_000,
        9.999_999_999_999_99e-2,
        9.000_000_000_000_001e-1,
    ),
    (
        WithReplacement,
        &[1_000_000_000_000_000, 1],
        300_000_000_000_000,
        2.591_817_793_182_82e-1,
        7.408_182_206_817_18e-1,
    ),
    (
        WithoutReplacement,
        &[1_000_000_000_000_000, 1],
        300_000_000_000_000,
        2.999_999_999_999_997e-1,
        7.000_000_000_000_003e-1,
    ),
    (
        WithReplacement,
        &[1_000_000_000_000_000, 1],
        1_000_000_000_000_000,
        0.632_120_558_828_557_5,
        3.678_794_411_714_425e-1,
    ),
    (
        WithReplacement,
        &[1_000_000_000_000_000, 1],
        9_000_000_000_000_000,
        9.998_765_901_959_133e-1,
        1.234_098_040_866_801e-4,
    ),
    (
        WithReplacement,
        &[200_000_000_000_000, 1],
        100_000_000_000_000,
        3.934_693_402_873_658e-1,
        6.065_306_597_126_342e-1,
    ),
    (
        WithoutReplacement,
        &[200_000_000_000_000, 1],
        100_000_000_000_000,
        4.999_999_999_999_975e-1,
        5.000_000_000_000_025e-1,
    ),
    (
        WithReplacement,
        &[200_000_000_000_000, 1],
        70_000_000_000_000,
        2.953_119_102_812_859_5e-1,
        7.046_880_897_187_14e-1,
    ),
    (
        WithoutReplacement,
        &[200_000_000_000_000, 1],
        70_000_000_000_000,
        3.499_999_999_999_982_5e-1,
        6.500_000_000_000_018e-1,
    ),
    (
        WithReplacement,
        &[8_000_000_000_000_000, 1, 1],
        100_000_000_000_000,
        1.543_110_405_698_109e-4,
        9.998_456_889_594_302e-1,
    ),
    (
        WithoutReplacement,
        &[8_000_000_000_000_000, 1, 1],
        100_000_000_000_000,
        1.562_499_999_999_983_8e-4,
        9.998_437_5e-1,
    ),
    (
        WithReplacement,
        &[8_000_000_000_000_000, 1, 1],
        4_000_000_000_000_000,
        1.548_181_217_461_754e-1,
        8.451_818_782_538_246e-1,
    ),
    (
        WithoutReplacement,
        &[8_000_000_000_000_000, 1, 1],
        4_000_000_000_000_000,
        2.499_999_999_999_998_4e-1,
        0.750_000_000_000_000_2,
    ),
    (
        WithReplacement,
        &[1_000_000_000_000_000, 300_000_000_000_000, 50],
        20_000_000_000_000,
        5.366_306_307_688_178e-1,
        4.633_693_692_311_821_6e-1,
    ),
    (
        WithoutReplacement,
        &[1_000_000_000_000_000, 300_000_000_000_000, 50],
        20_000_000_000_000,
        5.393_926_465_556_634e-1,
        4.606_073_534_443_365_8e-1,
    ),
    (
        WithReplacement,
        &[1_000_000_000_000_000, 300_000_000_000_000, 50],
        100_000_000_000_000,
        9.786_382_608_249_914e-1,
        2.136_173_917_500_863_5e-2,
    ),
    (
        WithoutReplacement,
        &[1_000_000_000_000_000, 300_000_000_000_000, 50],
        100_000_000_000_000,
        9.817_234_302_988_793e-1,
        1.827_656_970_112_071_3e-2,
    ),
    (
        WithReplacement,
        &[9_007_199_254_740_000, 3, 2, 1],
        9_000_000_000_000_000,
        5.189_231_562_458_104e-1,
        4.810_768_437_541_896_3e-1,
    ),
    (
        WithoutReplacement,
        &[9_007_199_254_740_000, 3, 2, 1],
        9_000_000_000_000_000,
        9.992_000_833_180_976e-1,
        7.999_166_819_024_027e-4,
    ),
];

#[test]
fn a_rare_class_among_thousands_of_billions() {
    let mut unlike = Vec::new();
    for (sampling, counts, n, covered, missing) in HUGE {
        let prior = ClassPrior::from_counts(counts.to_vec()).unwrap();
        let p = coverage::probability(&prior, sampling, NumDraws::new(n).unwrap()).unwrap();
        let sides = [
            (p.value(), covered, p.relative_error_bound()),
            (p.complement(), missing, p.complement_relative_error_bound()),
        ];
        for (found, expected, bound) in sides {
            let error = (found / expected - 1.0).abs();
            // The reference is rounded, too.
            if !(bound < 1e-12 && error <= bound + f64::EPSILON) {
                unlike.push(format!(
                    "{sampling:?} {counts:?} {n}: {found} ± {bound:e}, not {expected} ({error:e})"
                ));
            }
        }
    }
    assert!(unlike.is_empty(), "{unlike:#?}");
}
