//! The population optimum against computations that share nothing with it: tuples of classes enumerated one by one, a
//! grid over all triangles, the definition of the certificate.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use theory::optimum::{self, gram, simplex};
use theory::{ClassPrior, NumNegatives};

fn negatives(k: u64) -> NumNegatives {
    NumNegatives::new(k).unwrap()
}

fn solve(prior: &ClassPrior, k: u64, t: f64) -> gram::Solution {
    gram::solve(prior, negatives(k), t, &gram::Options::default()).unwrap()
}

/// The full matrix of a solution, classes in the order of the prior.
fn matrix(prior: &ClassPrior, found: &gram::Solution) -> Vec<f64> {
    let classes = prior.num_classes() as usize;
    let group = |c: usize| prior.groups().iter().position(|g| g.probability == prior.probability(c)).unwrap();
    let entry = |i: usize| {
        let (c, j) = (i / classes, i % classes);
        if c == j { 1.0 } else { found.gram.between(group(c), group(j)) }
    };
    (0..classes * classes).map(entry).collect()
}

/// E over all C^K tuples of negatives of one anchor.
fn tuples(probability: &[f64], exponential: &[f64], k: u64, sum: f64) -> f64 {
    if k == 0 {
        return sum.ln_1p();
    }
    let terms = probability.iter().zip(exponential);
    terms.map(|(p, e)| p * tuples(probability, exponential, k - 1, sum + e)).sum()
}

fn enumerate(prior: &ClassPrior, k: u64, t: f64, gram: &[f64]) -> f64 {
    let classes = prior.num_classes() as usize;
    let probability: Vec<f64> = (0..classes).map(|c| prior.probability(c)).collect();
    let of_anchor = |c: usize| {
        let row = &gram[c * classes..(c + 1) * classes];
        let exponential: Vec<f64> = row.iter().map(|g| ((g - row[c]) / t).exp()).collect();
        probability[c] * tuples(&probability, &exponential, k, 0.0)
    };
    (0..classes).map(of_anchor).sum()
}

/// Gram matrix of random vectors of the unit ball (of the sphere, with `unit`).
fn random_gram(rng: &mut ChaCha8Rng, classes: usize, unit: bool) -> Vec<f64> {
    let vectors: Vec<Vec<f64>> = (0..classes)
        .map(|_| {
            let v: Vec<f64> = (0..classes).map(|_| rng.random_range(-1.0..1.0)).collect();
            let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            let length = if unit { 1.0 } else { rng.random_range(0.2..1.0) };
            v.iter().map(|x| x / norm * length).collect()
        })
        .collect();
    let product = |i: usize| -> f64 {
        vectors[i / classes].iter().zip(&vectors[i % classes]).map(|(x, y)| x * y).sum()
    };
    (0..classes * classes).map(|i| product(i).clamp(-1.0, 1.0)).collect()
}

#[test]
fn loss_of_any_gram_matrix_against_enumeration() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut worst = 0.0f64;
    for (counts, largest) in [(vec![1, 1], 8), (vec![5, 1], 8), (vec![5, 3, 1], 6), (vec![4, 4, 2, 1], 5)] {
        let prior = ClassPrior::from_counts(counts).unwrap();
        for k in 1..=largest {
            for t in [0.05, 0.5, 2.0] {
                for unit in [true, false] {
                    let gram = random_gram(&mut rng, prior.num_classes() as usize, unit);
                    let exact = enumerate(&prior, k, t, &gram);
                    let found = gram::loss(&prior, negatives(k), t, &gram).unwrap();
                    worst = worst.max((found / exact - 1.0).abs());
                    assert!((found / exact - 1.0).abs() < 1e-13, "K = {k}, t = {t}: {found} {exact}");
                }
            }
        }
    }
    println!("largest relative error {worst:.1e}");
}

/// (c): the program knows nothing of the simplex and finds it, whatever K and t.
#[test]
fn equal_classes_give_the_simplex() {
    for classes in [2, 3, 5, 10] {
        let prior = ClassPrior::uniform(classes).unwrap();
        for k in [1, 7, 1023, 1_000_000] {
            for t in [0.05, 0.5, 2.0] {
                let found = solve(&prior, k, t);
                let exact = simplex::optimum(classes, negatives(k), t).unwrap();
                assert!(found.converged);
                let program = found.optimum;
                let (excess, rounding) = (program.loss - exact.loss, 1e-13 * exact.loss);
                assert!(
                    -rounding <= excess && excess <= program.gap + rounding,
                    "C = {classes}, K = {k}, t = {t}: {excess} {}",
                    program.gap
                );
                let expected = exact.min_inner_product.unwrap();
                assert!((program.min_inner_product.unwrap() - expected).abs() < 1e-6);
                assert!((program.supervised_loss / exact.supervised_loss - 1.0).abs() < 1e-4);
                assert_eq!(program.accuracy, 1.0);
            }
        }
    }
}

/// The same with every class a group of its own (weights that differ in the last digits), so that the groups do not
/// give the symmetry away.
#[test]
fn nearly_equal_classes_give_nearly_the_simplex() {
    let prior = ClassPrior::from_weights((0..10).map(|c| 1.0 + 1e-12 * f64::from(c)).collect()).unwrap();
    assert_eq!(prior.groups().len(), 10);
    let found = solve(&prior, 31, 0.5);
    let exact = simplex::optimum(10, negatives(31), 0.5).unwrap();
    assert!(found.converged && (found.optimum.loss - exact.loss).abs() < 1e-8 + 1e-10);
    assert!((found.optimum.max_inner_product.unwrap() + 1.0 / 9.0).abs() < 1e-3);
}

/// (e): two classes are antipodal whatever the prior, and the loss is then a sum over two binomial laws.
#[test]
fn two_classes_are_antipodal() {
    for counts in [[1, 1], [3, 1], [1000, 1]] {
        let prior = ClassPrior::from_counts(counts.to_vec()).unwrap();
        for k in [1, 6] {
            for t in [0.2, 1.0] {
                let found = solve(&prior, k, t).optimum;
                assert!(found.min_inner_product.unwrap() < -1.0 + 1e-6 && found.accuracy == 1.0);
                let exact = enumerate(&prior, k, t, &[1.0, -1.0, -1.0, 1.0]);
                assert!((found.loss - exact).abs() <= found.gap + 1e-13, "{} {exact}", found.loss);
            }
        }
    }
}

/// Three vectors span a plane at the optimum (its rank is at most C − 1), so that two angles describe every candidate:
/// the best of a fine grid is not below L − gap and comes close to L.
#[test]
fn three_classes_against_all_triangles() {
    for (counts, k, t) in [
        (vec![5, 3, 1], 3, 0.5),
        (vec![2, 1, 1], 4, 0.2),
        (vec![100, 10, 1], 2, 0.5),
        (vec![5, 3, 1], 3, 2.0),
        (vec![1000, 1, 1], 3, 0.5),
    ] {
        let prior = ClassPrior::from_counts(counts).unwrap();
        let found = solve(&prior, k, t);
        let loss = found.optimum.loss;
        assert!(found.converged && found.optimum.gap <= 1e-8);
        let mut best = f64::INFINITY;
        const STEPS: i32 = 120;
        for i in 0..=STEPS {
            for j in -STEPS..=STEPS {
                let angle = |n: i32| f64::from(n) * std::f64::consts::PI / f64::from(STEPS);
                let (x, y) = (angle(i), angle(j));
                let (a, b, c) = (x.cos(), y.cos(), (x - y).cos());
                best = best.min(enumerate(&prior, k, t, &[1.0, a, b, a, 1.0, c, b, c, 1.0]));
            }
        }
        let excess = best - loss;
        assert!(
            -found.optimum.gap - 1e-13 <= excess && excess < 2e-4,
            "{:?} K = {k}: {excess}",
            prior.counts()
        );
    }
}

/// No feasible matrix beats the loss by more than the certified gap: small and large random steps from the optimum.
#[test]
fn feasible_perturbations_do_not_beat_the_optimum() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for counts in [vec![5, 3, 1], vec![3, 3, 1, 1], vec![40, 20, 10, 4, 1]] {
        let prior = ClassPrior::from_counts(counts).unwrap();
        for (k, t) in [(3, 0.5), (1000, 0.1), (50, 2.0)] {
            // A loose tolerance as well: the certificate must hold wherever the solver stops.
            for tolerance in [1e-8, 1e-2] {
                let options = gram::Options { tolerance, ..gram::Options::default() };
                let found = gram::solve(&prior, negatives(k), t, &options).unwrap();
                let best = matrix(&prior, &found);
                let loss = gram::loss(&prior, negatives(k), t, &best).unwrap();
                assert!((loss - found.optimum.loss).abs() < 1e-13 * (1.0 + loss));
                let tight = solve(&prior, k, t).optimum.loss;
                assert!(
                    loss - tight <= found.optimum.gap + 1e-13 * loss,
                    "{} {}",
                    loss - tight,
                    found.optimum.gap
                );
                for step in [1e-6, 1e-4, 1e-2, 0.3] {
                    for _ in 0..6 {
                        let other = random_gram(&mut rng, prior.num_classes() as usize, true);
                        let moved: Vec<f64> =
                            best.iter().zip(&other).map(|(x, y)| (1.0 - step) * x + step * y).collect();
                        let there = gram::loss(&prior, negatives(k), t, &moved).unwrap();
                        assert!(there >= loss - found.optimum.gap - 1e-13 * loss, "{there} {loss}");
                    }
                }
            }
        }
    }
}

/// (b): convex along segments of feasible matrices, with diagonals below 1 too; raising the diagonal lowers the loss.
#[test]
fn convex_in_the_gram_matrix() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let prior = ClassPrior::from_counts(vec![7, 3, 2, 1]).unwrap();
    for round in 0..60 {
        let (k, t) = ([1, 10, 1000][round % 3], [0.1, 0.5, 2.0][round / 3 % 3]);
        let loss = |g: &[f64]| gram::loss(&prior, negatives(k), t, g).unwrap();
        let (x, y) = (random_gram(&mut rng, 4, false), random_gram(&mut rng, 4, round % 2 == 0));
        let middle: Vec<f64> = x.iter().zip(&y).map(|(x, y)| 0.5 * (x + y)).collect();
        assert!(loss(&middle) <= 0.5 * (loss(&x) + loss(&y)) + 1e-12);
        let mut raised = x.clone();
        (0..4).for_each(|c| raised[5 * c] = 1.0);
        assert!(loss(&raised) < loss(&x));
    }
}

/// Entry by entry against central differences, with diagonals below 1 too.
#[test]
fn derivatives_of_the_loss() {
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let prior = ClassPrior::from_counts(vec![7, 3, 2, 1]).unwrap();
    for round in 0..18 {
        let (k, t) = ([1, 10, 1000][round % 3], [0.2, 0.5, 2.0][round / 3 % 3]);
        let g = random_gram(&mut rng, 4, round % 2 == 0);
        let found = gram::evaluate(&prior, negatives(k), t, &g).unwrap();
        let (value, slopes) = (found.loss(), &found.slopes);
        assert_eq!(value, gram::loss(&prior, negatives(k), t, &g).unwrap());
        for i in 0..16 {
            let at = |h: f64| {
                let mut moved = g.clone();
                moved[i] += h;
                gram::loss(&prior, negatives(k), t, &moved)
            };
            // An entry of 1 can only fall.
            let slope = match at(1e-6) {
                Ok(above) => (above - at(-1e-6).unwrap()) / 2e-6,
                Err(_) => (value - at(-1e-6).unwrap()) / 1e-6,
            };
            assert!((slope - slopes[i]).abs() < 2e-5 * (1.0 + slopes[i].abs()), "{i}: {slope} {}", slopes[i]);
        }
    }
}

/// Monotone in K for any prior, and never below the price of collisions.
#[test]
fn more_negatives_cost_more() {
    let prior = ClassPrior::from_counts(vec![20, 5, 5, 1]).unwrap();
    let losses: Vec<f64> = [1, 2, 5, 20, 100, 1000].map(|k| solve(&prior, k, 0.5).optimum.loss).to_vec();
    assert!(losses.windows(2).all(|w| w[0] < w[1]), "{losses:?}");
    let iid = theory::Sampling::WithReplacement;
    assert!(losses[3] > theory::collision::expected_ln1p(&prior, iid, negatives(20)).unwrap());
}

/// Very unequal classes: at high temperature all rare classes stand at one point, opposite to the heavy one, and the
/// mean classifier cannot tell them apart; at low temperature they separate.
#[test]
fn rare_classes_collapse_at_high_temperature() {
    let prior = ClassPrior::from_counts(vec![1000, 1, 1]).unwrap();
    for k in [1, 31, 1023, 1_000_000] {
        let hot = solve(&prior, k, 0.5).optimum;
        assert!((hot.accuracy - (1000.0 + 1.0) / 1002.0).abs() < 1e-15, "{}", hot.accuracy);
        let cold = solve(&prior, k, 0.2).optimum;
        assert!(cold.accuracy == 1.0 && cold.max_inner_product.unwrap() < 0.5);
    }
}

/// The scope of the theorem: with two views of one image, features e₁, e₂ | −e₁, −e₂ lie 0.293 below L_K*.
#[test]
fn two_views_of_one_image_can_be_lower() {
    let (t, k) = (0.1, 2);
    // Anchor and positive are one image; a negative is one of the four images, with inner product 1, 0, 0 or −1.
    let exponential = [1.0, 0.0, 0.0, -1.0f64].map(|product| ((product - 1.0) / t).exp());
    let two_views = tuples(&[0.25; 4], &exponential, k, 0.0);
    let optimum = simplex::optimum(2, negatives(k), t).unwrap().loss;
    assert!((optimum - two_views - 0.293).abs() < 5e-4, "{}", optimum - two_views);
}

/// One class leaves nothing to optimise: every negative collides.
#[test]
fn one_class() {
    let found = solve(&ClassPrior::uniform(1).unwrap(), 7, 0.5);
    assert!(found.converged && (found.optimum.loss - 8.0f64.ln()).abs() < 1e-14);
    assert_eq!((found.optimum.accuracy, found.optimum.min_inner_product), (1.0, None));
}

#[test]
fn refusals_name_the_limit() {
    let prior = ClassPrior::from_counts(vec![2, 1]).unwrap();
    let message = |k: u64, t: f64| optimum::solve(&prior, negatives(k), t).unwrap_err().to_string();
    assert!(message(0, 0.5).contains("K must be at least 1"));
    assert!(message(5, 0.001).contains("0.01 to 100"));
    assert!(message(5, -1.0).contains("not a positive number"));
    let many = ClassPrior::from_counts((1..=501).collect()).unwrap();
    let refused = optimum::solve(&many, negatives(5), 0.5).unwrap_err().to_string();
    assert!(refused.contains("501 groups") && refused.contains("500"), "{refused}");
    assert!(gram::loss(&prior, negatives(1), 0.5, &[1.0; 3]).is_err());
    assert!(gram::loss(&prior, negatives(1), 0.5, &[1.0, 2.0, 2.0, 1.0]).is_err());
}
