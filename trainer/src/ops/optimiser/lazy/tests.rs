use super::*;
use crate::optim::Schedule;
use measure::rng::{Purpose, normal, stream};
use rand::Rng;

const ROWS: usize = 200;
const COLUMNS: usize = 10;
const STEPS: usize = 2500;

const RULES: [Rule; 3] = [
    Rule::Sgd { momentum: 0.9 },
    Rule::Sgd { momentum: 0.0 },
    Rule::Lars { trust: 0.001, momentum: 0.9, clip: false },
];

fn rates() -> Vec<f64> {
    let schedule = Schedule { peak: 0.3, warmup_steps: 50, total_steps: STEPS };
    (0..STEPS).map(|step| schedule.rate(step)).collect()
}

fn start() -> Vec<f32> {
    let mut rng = stream(2, Purpose::Initialisation, 0);
    (0..ROWS * COLUMNS).map(|_| normal(&mut rng)).collect()
}

/// A few of the rows, low numbers often, high ones every few hundred steps.
fn gradient(step: usize) -> SparseGradient {
    let mut rng = stream(2, Purpose::Negatives, step as u64);
    let mut rows: Vec<u32> = (0..6).map(|_| (ROWS as f64 * rng.random::<f64>().powi(4)) as u32).collect();
    rows.sort_unstable();
    rows.dedup();
    let values = (0..rows.len() * COLUMNS).map(|_| 0.1 * normal(&mut rng)).collect();
    SparseGradient { rows, values }
}

/// The values after all steps, brought up to date at the end; whether rows are also read on the way changes their
/// roundings.
fn lazy(rule: Rule) -> (Vec<f32>, Lazy) {
    let (mut w, mut v) = (start(), vec![0f32; ROWS * COLUMNS]);
    let mut lazy = Lazy::new(rule, (rates(), 0), COLUMNS, (&w, &v)).unwrap().unwrap();
    for (step, rate) in rates().into_iter().enumerate() {
        lazy.step(&gradient(step), rate, &mut w, &mut v).unwrap();
    }
    let current = lazy.current(&w, &v);
    lazy.flush(&mut w, &mut v);
    assert_eq!(current, w);
    (w, lazy)
}

/// The definition in f64, over all rows in every step; the norms N before each step.
fn reference(rule: Rule) -> (Vec<f64>, Vec<f64>) {
    let mut w: Vec<f64> = start().into_iter().map(f64::from).collect();
    let mut v = vec![0f64; w.len()];
    let mut norms = Vec::new();
    for (step, rate) in rates().into_iter().enumerate() {
        let sparse = gradient(step);
        let mut g = vec![0f64; w.len()];
        for (&row, values) in sparse.rows.iter().zip(sparse.values.chunks(COLUMNS)) {
            g[row as usize * COLUMNS..][..COLUMNS]
                .iter_mut()
                .zip(values)
                .for_each(|(g, x)| *g = f64::from(*x));
        }
        let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
        norms.push(square(&w));
        let (scale, momentum) = match rule {
            Rule::Lars { trust, momentum, .. } => {
                (trust * square(&w).sqrt() / (square(&g).sqrt() + 1e-8), momentum)
            }
            Rule::Sgd { momentum } => (1.0, momentum),
            Rule::AdamW { .. } => panic!("AdamW has no lazy form"),
        };
        for ((w, v), g) in w.iter_mut().zip(&mut v).zip(g) {
            *v = momentum * *v + scale * g;
            *w -= rate * *v;
        }
    }
    (w, norms)
}

fn dense_steps(rule: Rule) -> Vec<f32> {
    let mut state = start();
    state.resize(2 * ROWS * COLUMNS, 0.0);
    for (step, rate) in rates().into_iter().enumerate() {
        dense(&mut state, &gradient(step), COLUMNS, (rule, 0.0), (rate, step as u64 + 1)).unwrap();
    }
    state.truncate(ROWS * COLUMNS);
    state
}

/// 2,500 steps with warm-up and cosine. Steps over the whole table in f32 round every row in every step: lazy ones are
/// no farther from the definition, and both are as near to each other.
#[test]
fn lazy_steps_are_the_definition() {
    let wide = |w: &[f32]| w.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
    let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
    for rule in RULES {
        let (expected, _) = reference(rule);
        let moved = square(&difference(&wide(&start()), &expected)).sqrt();
        assert!(moved > 0.05, "{rule:?}: moved {moved}");
        let (lazy, dense) = (wide(&lazy(rule).0), wide(&dense_steps(rule)));
        let off = |w: &[f64]| (square(&difference(w, &expected)) / square(&expected)).sqrt();
        let largest = |w: &[f64]| difference(w, &expected).into_iter().map(f64::abs).fold(0.0, f64::max);
        assert!(off(&lazy) < 1e-6, "{rule:?}: {:e}", off(&lazy));
        assert!(off(&lazy) < 1.5 * off(&dense), "{rule:?}: {:e} {:e}", off(&lazy), off(&dense));
        assert!(
            largest(&lazy) < 1.5 * largest(&dense),
            "{rule:?}: {:e} {:e}",
            largest(&lazy),
            largest(&dense)
        );
        println!("{rule:?}: moved {moved}, lazy off {:e}, dense off {:e}", off(&lazy), off(&dense));
    }
}

/// ‖w‖² before each step, by the closed form with few exact sums, against that of the definition.
#[test]
fn totals_follow_the_rows() {
    let rule = Rule::Lars { trust: 0.001, momentum: 0.9, clip: false };
    let (_, norms) = reference(rule);
    let (mut w, mut v) = (start(), vec![0f32; ROWS * COLUMNS]);
    let mut lazy = Lazy::new(rule, (rates(), 0), COLUMNS, (&w, &v)).unwrap().unwrap();
    for (step, rate) in rates().into_iter().enumerate() {
        let off = lazy.totals[0] / norms[step] - 1.0;
        assert!(off.abs() < 1e-6, "step {step}: {off:e}");
        lazy.step(&gradient(step), rate, &mut w, &mut v).unwrap();
    }
}

/// Where all rows are brought up to date, the state is values, velocities and the number of the step: a second run from
/// there makes the same bits.
#[test]
fn a_flushed_table_resumes() {
    for rule in RULES {
        let (mut w, mut v) = (start(), vec![0f32; ROWS * COLUMNS]);
        let mut first = Lazy::new(rule, (rates(), 0), COLUMNS, (&w, &v)).unwrap().unwrap();
        for step in 0..700 {
            first.step(&gradient(step), rates()[step], &mut w, &mut v).unwrap();
        }
        first.flush(&mut w, &mut v);
        let (mut w2, mut v2) = (w.clone(), v.clone());
        let mut second = Lazy::new(rule, (rates(), 700), COLUMNS, (&w2, &v2)).unwrap().unwrap();
        // Beyond the next exact sum.
        for step in 700..EXACT_EVERY + 100 {
            first.step(&gradient(step), rates()[step], &mut w, &mut v).unwrap();
            second.step(&gradient(step), rates()[step], &mut w2, &mut v2).unwrap();
        }
        assert_eq!((w, v), (w2, v2), "{rule:?}");
    }
}

#[test]
fn surprises_are_refused() {
    let (mut w, mut v) = (vec![1f32; 4], vec![0f32; 4]);
    let sgd = Rule::Sgd { momentum: 0.5 };
    let mut lazy = Lazy::new(sgd, (vec![0.25], 0), 2, (&w, &v)).unwrap().unwrap();
    let gradient = |row: u32| SparseGradient { rows: vec![row], values: vec![1.0, 2.0] };
    assert!(lazy.step(&gradient(0), 0.5, &mut w, &mut v).is_err());
    assert!(lazy.step(&gradient(2), 0.25, &mut w, &mut v).is_err());
    lazy.step(&gradient(1), 0.25, &mut w, &mut v).unwrap();
    assert_eq!((w.clone(), v.clone()), (vec![1.0, 1.0, 0.75, 0.5], vec![0.0, 0.0, 1.0, 2.0]));
    let error = lazy.step(&gradient(1), 0.25, &mut w, &mut v).unwrap_err().to_string();
    assert!(error.contains("step 2"), "{error}");
    assert!(Lazy::new(sgd, (vec![f64::NAN], 0), 2, (&w, &v)).is_err());
    assert!(Lazy::new(sgd, (vec![0.1], 0), 3, (&w, &v)).is_err());
    assert!(Lazy::new(sgd, (vec![0.1], 2), 2, (&w, &v)).is_err());
    let adam = Rule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    assert!(Lazy::new(adam, (vec![0.1], 0), 2, (&w, &v)).unwrap().is_none());
}
