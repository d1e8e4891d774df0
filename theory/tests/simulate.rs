//! Simulated probabilities against exact ones, with fixed seeds and stated z-bounds.

use theory::simulate::{self, Batches, Plan};
use theory::{ClassPrior, NumDraws, NumNegatives, Sampling, collision, coverage};

const WITH: Sampling = Sampling::WithReplacement;
const WITHOUT: Sampling = Sampling::WithoutReplacement;

/// Standard errors that an estimate may be off: a right program fails one check of 15,000, and the seeds are fixed.
const Z: f64 = 4.0;

fn n(draws: u64) -> NumDraws {
    NumDraws::new(draws).unwrap()
}

fn plan(samples: u64) -> Plan {
    Plan::new(samples, 7).unwrap()
}

fn uniform(classes: u64) -> ClassPrior {
    ClassPrior::uniform(classes).unwrap()
}

fn counts(counts: &[u64]) -> ClassPrior {
    ClassPrior::from_counts(counts.to_vec()).unwrap()
}

fn exact(prior: &ClassPrior, sampling: Sampling, draws: u64) -> theory::Probability {
    coverage::probability(prior, sampling, n(draws)).unwrap()
}

/// |share − p| in standard errors of p.
fn z(share: f64, p: f64, samples: f64) -> f64 {
    (share - p).abs() / (p * (1.0 - p) / samples).sqrt().max(1e-12)
}

#[test]
fn plain_coverage_and_collisions_meet_the_exact_values() {
    const SAMPLES: u64 = 20_000;
    let weights = ClassPrior::from_weights(vec![0.7, 0.1, 0.15, 0.05]).unwrap();
    let skew = counts(&[7, 1, 2, 5, 5, 3]);
    let cases = [
        (uniform(1), WITH, 3),
        (uniform(2), WITH, 2),
        (uniform(10), WITH, 27),
        (uniform(100), WITH, 500),
        (uniform(700), WITH, 3), // fewer draws than classes: coverage 0, collisions all the same
        (counts(&[9; 4]), WITH, 9),
        (skew.clone(), WITH, 12),
        (weights, WITH, 20),
        (counts(&[4]), WITHOUT, 4),
        (counts(&[100; 10]), WITHOUT, 27),
        (skew.clone(), WITHOUT, 6),
        (skew.clone(), WITHOUT, 12),
        (skew.clone(), WITHOUT, 22),
        (skew, WITHOUT, 23),
    ];
    for (prior, sampling, draws) in cases {
        let context = format!("C = {} n = {draws} {sampling}", prior.num_classes());
        let p = exact(&prior, sampling, draws).value();
        let alone = simulate::coverage(&prior, sampling, n(draws), plan(SAMPLES)).unwrap();
        let together = simulate::batches(&prior, sampling, n(draws), plan(SAMPLES)).unwrap();
        let tau = collision::probability(&prior, sampling, n(draws).negatives()).unwrap().value();
        for (found, p, name) in
            [(alone, p, "alone"), (together.coverage, p, "together"), (together.collision, tau, "collision")]
        {
            assert_eq!(found.samples(), SAMPLES);
            let z = z(found.estimate(), p, SAMPLES as f64);
            assert!(z < Z, "{context}: {name} {} against {p}, z = {z}", found.estimate());
        }
        let mean = together.ln1p_collisions;
        let expected = collision::expected_ln1p(&prior, sampling, n(draws).negatives()).unwrap();
        let off = (mean.estimate() - expected).abs();
        assert!(off <= Z * mean.standard_error() + 1e-12, "{context}: {mean:?} against {expected}");
    }
}

#[test]
fn collisions_of_many_draws_have_their_law() {
    // The histogram of Col over 3000 batches against Binomial(7708, 1/1000), cells merged to 20 expected batches.
    // 99.99 % quantile of χ²(29): 67.6.
    let (prior, k) = (uniform(1000), NumNegatives::new(7708).unwrap());
    let law = collision::law(&prior, WITH, k).unwrap();
    let mut histogram = vec![0u64; law.len()];
    const SAMPLES: u64 = 3000;
    for seed in 0..SAMPLES {
        let one = simulate::batches(&prior, WITH, k.draws(), Plan::new(1, seed).unwrap()).unwrap();
        let collisions = one.ln1p_collisions.estimate().exp_m1().round();
        histogram[collisions as usize] += 1;
    }
    let (mut chi_square, mut cells, mut observed, mut expected) = (0.0, 0, 0.0, 0.0);
    for (count, p) in histogram.iter().zip(&law) {
        observed += *count as f64;
        expected += p.value() * SAMPLES as f64;
        if expected > 20.0 {
            chi_square += (observed - expected) * (observed - expected) / expected;
            (cells, observed, expected) = (cells + 1, 0.0, 0.0);
        }
    }
    assert!((12..=30).contains(&cells), "{cells}");
    assert!(chi_square < 67.6, "χ² = {chi_square} in {cells} cells");
}

#[test]
fn impossible_and_certain_coverage() {
    for sampling in [WITH, WITHOUT] {
        let prior = counts(&[2, 3, 4]);
        let of = |draws| simulate::coverage(&prior, sampling, n(draws), plan(500)).unwrap().successes();
        assert_eq!(of(2), 0);
        assert_eq!(simulate::batches(&prior, sampling, n(2), plan(500)).unwrap().coverage.successes(), 0);
        let rare = |draws| simulate::rare_coverage(&prior, sampling, n(draws), plan(500)).unwrap();
        assert_eq!(rare(2).ln(), f64::NEG_INFINITY);
        let exact = exact(&prior, sampling, 3).ln();
        assert!((rare(3).ln() - exact).abs() < 1e-14, "n = C: {} against {exact}", rare(3).ln());
        assert_eq!(rare(3).relative_standard_error(), 0.0);
    }
    let prior = counts(&[2, 3, 4]);
    for draws in [8, 9] {
        assert_eq!(simulate::coverage(&prior, WITHOUT, n(draws), plan(500)).unwrap().successes(), 500);
        assert_eq!(simulate::rare_coverage(&prior, WITHOUT, n(draws), plan(500)).unwrap().ln(), 0.0);
    }
    assert_eq!(simulate::rare_coverage(&uniform(1), WITH, n(5), plan(3)).unwrap().ln(), 0.0);
    assert_eq!(simulate::coverage(&uniform(1), WITH, n(5), plan(3)).unwrap().successes(), 3);
    let one_each = simulate::rare_coverage(&counts(&[1; 5]), WITHOUT, n(5), plan(3)).unwrap();
    assert_eq!(one_each.ln(), 0.0);
}

#[test]
fn what_is_certain_needs_one_sample_only() {
    // 10!/10¹⁰, 0 and 1: no interval wider than a point, with or without a second sample.
    for samples in [1, 2] {
        let of = |prior: &ClassPrior, sampling, draws| {
            let found = simulate::rare_coverage(prior, sampling, n(draws), plan(samples)).unwrap();
            assert!(found.is_certain() && found.samples() == samples && found.relative_variance() == 0.0);
            assert_eq!(found.ln_interval(0.95).unwrap(), (found.ln(), found.ln()));
            found.ln()
        };
        assert!((of(&uniform(10), WITH, 10) - 3.6288e-4f64.ln()).abs() < 1e-14);
        assert_eq!(of(&uniform(10), WITH, 9), f64::NEG_INFINITY);
        assert_eq!(of(&counts(&[2, 3]), WITHOUT, 4), 0.0);
    }
    assert!(!simulate::rare_coverage(&uniform(10), WITH, n(20), plan(16)).unwrap().is_certain());
}

#[test]
fn so_many_draws_need_more_samples() {
    // υ = 1 to all digits. 2 samples used to say 0 at n = 4·10¹⁵, and 100 samples anything at 10¹⁰.
    let thousand = uniform(1000);
    for (draws, samples, needed) in
        [(4_000_000_000_000_000, 2, "2137"), (10_000_000_000, 2136, "2137"), (7709, 15, "16")]
    {
        let refused =
            simulate::rare_coverage(&thousand, WITH, n(draws), plan(samples)).unwrap_err().to_string();
        assert!(refused.contains(&format!("at least {needed} are needed")), "{refused}");
    }
    // One class of 10⁻¹⁰: υ = 1 − e⁻¹, for 40 seeds. A right program misses 8 or more once in some 1000 times.
    let mut weights = vec![(1.0 - 1e-10) / 999.0; 999];
    weights.push(1e-10);
    let one_rare = ClassPrior::from_weights(weights).unwrap();
    for (prior, most) in [(thousand, 0.0), (one_rare, 1.0)] {
        let truth = exact(&prior, WITH, 10_000_000_000).ln();
        let mut missed = 0;
        for seed in 0..40 {
            let plan = Plan::new(2137, seed).unwrap();
            let found = simulate::rare_coverage(&prior, WITH, n(10_000_000_000), plan).unwrap();
            let (low, high) = found.ln_interval(0.95).unwrap();
            assert!(found.ln() <= 0.0 && low <= found.ln() && found.ln() <= high && high <= 0.0, "{found:?}");
            missed += u64::from(truth < low || high < truth);
        }
        assert!(missed < 8, "{missed} missed, ln υ = {truth}");
        let expected = most * (1.0 - (-1.0f64).exp()).ln();
        assert!((truth - expected).abs() < 1e-6, "{truth}");
    }
}

#[test]
fn weights_that_hardly_scatter_do_not_claim_certainty() {
    // Two classes of 0.99 and 0.01: the drawn class nearly always has count 1, so that most seeds saw equal weights.
    let prior = ClassPrior::from_weights(vec![0.99, 0.01]).unwrap();
    let truth = exact(&prior, WITH, 4).ln();
    let held = (0..100).filter(|&seed| {
        let found = simulate::rare_coverage(&prior, WITH, n(4), Plan::new(20, seed).unwrap()).unwrap();
        let (low, high) = found.ln_interval(0.95).unwrap();
        low <= truth && truth <= high
    });
    assert!(held.count() >= 90);
    // 100 batches of 3 labels from 10⁶ classes nearly never collide, yet E ln(1+Col) = 2·10⁻⁶ ln 2.
    let few = simulate::batches(&uniform(1_000_000), WITH, n(3), plan(100)).unwrap();
    let (low, high) = few.ln1p_collisions.interval(0.95).unwrap();
    assert!(low == 0.0 && high > 1.4e-6 && high < 0.02, "{low} {high}");
}

#[test]
fn results_along_a_range_are_independent() {
    // Col of one batch of 101 and one of 102 labels, for 400 seeds: |r| < 4/√400 but once in 10⁴ times. The same labels
    // up to the last one would give r = 0.99.
    const SEEDS: u64 = 400;
    let collisions = |draws| -> Vec<f64> {
        let of = |seed| simulate::batches(&uniform(10), WITH, n(draws), Plan::new(1, seed).unwrap()).unwrap();
        (0..SEEDS).map(|seed| of(seed).ln1p_collisions.estimate()).collect()
    };
    let (x, y) = (collisions(101), collisions(102));
    let mean = |v: &[f64]| v.iter().sum::<f64>() / SEEDS as f64;
    let covariance = |v: &[f64], w: &[f64]| -> f64 {
        v.iter().zip(w).map(|(a, b)| (a - mean(v)) * (b - mean(w))).sum::<f64>()
    };
    let r = covariance(&x, &y) / (covariance(&x, &x) * covariance(&y, &y)).sqrt();
    assert!(r.abs() < Z / (SEEDS as f64).sqrt(), "r = {r}");
}

#[test]
fn rare_coverage_meets_the_exact_values_at_any_depth() {
    let geometric =
        |c: u32| ClassPrior::from_weights((0..c).map(|i| 0.98f64.powi(i as i32)).collect()).unwrap();
    let stairs = counts(&(1..=60).collect::<Vec<_>>());
    for (prior, sampling, draws) in [
        (uniform(1000), WITH, 1100), // ln υ = -731.4187, υ = 2e-318
        (uniform(1000), WITH, 1024), // 5.7e-392
        (uniform(1000), WITH, 2000),
        (uniform(1000), WITH, 7709),
        (uniform(100), WITH, 128),
        (uniform(10), WITH, 11),
        (uniform(2), WITH, 4),
        (uniform(2), WITH, 2000),
        (geometric(150), WITH, 160),
        (geometric(150), WITH, 700),
        (stairs.clone(), WITH, 75),
        (stairs.clone(), WITHOUT, 75),
        (stairs.clone(), WITHOUT, 400),
        (stairs, WITHOUT, 1828),
        (counts(&[100; 100]), WITHOUT, 128),
        (counts(&[2; 30]), WITHOUT, 31),
    ] {
        let context = format!("C = {} n = {draws} {sampling}", prior.num_classes());
        let found = simulate::rare_coverage(&prior, sampling, n(draws), plan(1000)).unwrap();
        let expected = exact(&prior, sampling, draws).ln();
        let (off, error) = (found.ln() - expected, found.relative_standard_error());
        assert!(off.abs() <= Z * error + 1e-11, "{context}: {} against {expected}, se {error:e}", found.ln());
        assert!(found.relative_variance() < 0.5, "{context}: {}", found.relative_variance());
        let (low, high) = found.ln_interval(0.9999).unwrap();
        assert!(low <= expected + 1e-11 && expected <= high + 1e-11, "{context}");
    }
    let deep = simulate::rare_coverage(&uniform(1000), WITH, n(1100), plan(1000)).unwrap();
    assert!((deep.ln() + 731.4187).abs() < 0.06, "{}", deep.ln());
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let prior = counts(&[30, 20, 10, 5, 5, 2]);
    let all = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            [WITH, WITHOUT].map(|sampling| {
                let batches: Batches = simulate::batches(&prior, sampling, n(20), plan(30_000)).unwrap();
                let coverage = simulate::coverage(&prior, sampling, n(20), plan(30_000)).unwrap();
                let rare = simulate::rare_coverage(&prior, sampling, n(20), plan(200_000)).unwrap();
                (batches, coverage, rare)
            })
        })
    };
    let one = all(1);
    assert_eq!(one, all(2));
    assert_eq!(one, all(5));
}

#[test]
fn intervals_cover_as_often_as_they_say() {
    // A smaller `check_intervals`: 200 seeds, nominal 95 %. A right program falls below 0.95 − 4·√(0.95·0.05/200) =
    // 0.888 once in 10⁴ times.
    const SEEDS: u64 = 200;
    let prior = counts(&[7, 1, 2, 5, 5, 3]);
    let floor = SEEDS as f64 * (0.95 - Z * (0.95f64 * 0.05 / SEEDS as f64).sqrt());
    for sampling in [WITH, WITHOUT] {
        let (p, tau) = (
            exact(&prior, sampling, 12),
            collision::probability(&prior, sampling, n(12).negatives()).unwrap().value(),
        );
        let cost = collision::expected_ln1p(&prior, sampling, n(12).negatives()).unwrap();
        let mut covered = [0; 5];
        for seed in 0..SEEDS {
            let plan = Plan::new(400, seed).unwrap();
            let alone = simulate::coverage(&prior, sampling, n(12), plan).unwrap();
            let batches = simulate::batches(&prior, sampling, n(12), plan).unwrap();
            let rare = simulate::rare_coverage(&prior, sampling, n(12), plan).unwrap();
            for (covered, ((low, high), truth)) in covered.iter_mut().zip([
                (alone.interval(0.95).unwrap(), p.value()),
                (batches.coverage.interval(0.95).unwrap(), p.value()),
                (batches.collision.interval(0.95).unwrap(), tau),
                (batches.ln1p_collisions.interval(0.95).unwrap(), cost),
                (rare.ln_interval(0.95).unwrap(), p.ln()),
            ]) {
                *covered += u64::from(low <= truth && truth <= high);
            }
        }
        assert!(
            covered.iter().all(|&c| c as f64 > floor),
            "{sampling}: {covered:?} of {SEEDS}, floor {floor}"
        );
        assert!(
            covered[3] < SEEDS && covered[4] < SEEDS,
            "intervals that never miss are too wide: {covered:?}"
        );
    }
}

fn run(args: &[&str]) -> (i32, String, String) {
    let program = env!("CARGO_BIN_EXE_theory");
    let output = assert_cmd::Command::new(program).arg("simulate").args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_command_prints_estimate_interval_and_method() {
    let json = |args: &[&str]| -> serde_json::Value {
        let (code, stdout, stderr) = run(&[args, &["--format", "json"]].concat());
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str(&stdout).unwrap()
    };
    let ends = |row: &serde_json::Value| -> Vec<f64> {
        row["interval"].as_array().unwrap().iter().map(|end| end.as_str().unwrap().parse().unwrap()).collect()
    };
    let one =
        json(&["--classes", "10", "--draws", "27", "--samples", "4000", "--seed", "7", "--level", "0.9999"]);
    let truth = exact(&uniform(10), WITH, 27).value();
    assert!(ends(&one)[0] < truth && truth < ends(&one)[1], "{one}");
    assert_eq!((&one["method"], &one["samples"]), (&"plain, Clopper-Pearson".into(), &4000.into()));
    let library = simulate::coverage(&uniform(10), WITH, n(27), plan(4000)).unwrap();
    assert_eq!(one["estimate"].as_str().unwrap().parse::<f64>().unwrap(), library.estimate());
    let args = ["--classes", "10", "--per-class", "5", "--without-replacement", "--draws", "20..30:10"];
    let many = json(&[&args[..], &["--samples", "1000", "--collisions"]].concat());
    let quantities: Vec<_> =
        many.as_array().unwrap().iter().map(|row| row["quantity"].as_str().unwrap()).collect();
    assert_eq!(quantities, ["upsilon", "tau", "expected_log1p_collisions"].repeat(2));
    let certain = json(&["--classes", "10", "--draws", "9..10", "--samples", "1", "--method", "rare"]);
    assert_eq!(ends(&certain[0]), [0.0, 0.0], "{certain}");
    assert_eq!(ends(&certain[1]), [3.6288e-4; 2], "{certain}");
    assert_eq!(certain[1]["method"], "certain, not simulated");
    let deep = json(&["--classes", "1000", "--draws", "1100", "--samples", "500", "--method", "rare"]);
    assert!(deep["estimate"].as_str().unwrap().ends_with("e-318"), "{deep}");
    // The examples of --help run.
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, 0);
    let examples: Vec<_> = help.lines().filter_map(|line| line.split_once("theory simulate --")).collect();
    assert_eq!(examples.len(), 2, "{help}");
    for (_, example) in examples {
        let words: Vec<String> = format!("--{example}").split_whitespace().map(String::from).collect();
        let (code, _, stderr) = run(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(code, 0, "{example}: {stderr}");
    }
}

#[test]
fn the_command_refuses_bad_arguments_with_code_2() {
    let basic = ["--classes", "10", "--draws", "20", "--samples"];
    for (more, word) in [
        (vec!["0"], "at least 1 sample"),
        (vec!["99999999999999"], "hours"),
        (vec!["18446744073709551615"], "limit of 9007199254740992"),
        (vec!["9", "--method", "rare"], "at least 16 are needed"),
        (vec!["9", "--level", "1.5"], "between 0 and 1"),
        (vec!["9", "--without-replacement"], "--without-replacement needs"),
        (vec!["9", "--method", "rare", "--collisions"], "--method plain only"),
    ] {
        let (code, stdout, stderr) = run(&[&basic[..], &more].concat());
        assert_eq!((code, stdout.as_str()), (2, ""), "{more:?}");
        assert!(stderr.contains(word) && stderr.lines().count() == 1, "{more:?}: {stderr}");
    }
    let near_one = ["--classes", "10", "--draws", "20,60", "--samples", "600", "--method", "rare"];
    let (code, stdout, stderr) = run(&near_one);
    assert_eq!((code, stdout.as_str(), stderr.lines().count()), (2, "", 1), "{stderr}");
    assert!(stderr.contains("too near 1 at 60 draws") && stderr.contains("--method plain"), "{stderr}");
    let (code, _, stderr) = run(&["--classes", "10", "--draws", "0", "--samples", "5"]);
    assert!(code == 2 && stderr.contains("at least 1, got 0"), "{stderr}");
    // Before the first sample: what would take hours of sampling is refused at once for what is wrong elsewhere.
    let long = ["--classes", "1000", "--samples", "1000000000"];
    for (more, word) in [
        (vec!["--draws", "7709", "--level", "7"], "between 0 and 1, got 7"),
        (vec!["--draws", "7709,0"], "at least 1, got 0"),
        (vec!["--draws", "7709", "--method", "rare", "--collisions"], "--method plain only"),
        (vec!["--draws", "7709,7710"], "summed over 2 numbers of draws, are 1.5e13 labels"),
        (vec!["--draws", "9000,9007199254740992", "--collisions"], "summed over 2 numbers of draws"),
        (vec!["--per-class", "9", "--without-replacement", "--draws", "7709,9001"], "only 9000 items"),
    ] {
        let (code, stdout, stderr) = run(&[&long[..], &more].concat());
        assert_eq!((code, stdout.as_str()), (2, ""), "{more:?}");
        assert!(stderr.contains(word) && stderr.lines().count() == 1, "{more:?}: {stderr}");
    }
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    assert!(Plan::new(0, 7).unwrap_err().to_string().contains("at least 1 sample"));
    assert!(Plan::new((1 << 53) + 1, 7).unwrap_err().to_string().contains("limit of 9007199254740992"));
    assert_eq!(Plan::new(1 << 53, 7).unwrap().samples(), 1 << 53);
    let too_much = simulate::coverage(&uniform(1000), WITH, n(7709), plan(1 << 40)).unwrap_err().to_string();
    assert!(
        too_much.contains("hours") && too_much.contains("1e13") && too_much.contains("1335921304"),
        "{too_much}"
    );
    let many = NumDraws::new(1 << 53).unwrap();
    assert!(simulate::batches(&uniform(2), WITH, many, plan(1)).is_err());
    assert!(
        simulate::rare_coverage(&uniform(3), WITH, many, plan(1)).unwrap_err().to_string().contains("terms")
    );
    for refused in [
        simulate::coverage(&uniform(3), WITHOUT, n(2), plan(5)).map(|_| ()),
        simulate::batches(&counts(&[2, 2]), WITHOUT, n(5), plan(5)).map(|_| ()),
        simulate::rare_coverage(&uniform(3), WITHOUT, n(2), plan(5)).map(|_| ()),
    ] {
        assert!(refused.unwrap_err().to_string().contains("draws without replacement"));
    }
    let huge = counts(&[1 << 41; 4000]);
    assert!(simulate::coverage(&huge, WITHOUT, n(5000), plan(1)).unwrap_err().to_string().contains("2^64"));
    assert_eq!(simulate::coverage(&huge, WITH, n(100_000), plan(1)).unwrap().successes(), 1);
}
