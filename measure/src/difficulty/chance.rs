//! What same-class negatives are met by chance: when difficulty says nothing about the class, any m of a query's K
//! negatives are a uniform subset.
//!
//! With s of the K negatives in the query's class, the number among the m is hypergeometric: its mean is m·s/K, and
//!
//! P(none) = binom(K−s, m)/binom(K, m) = Π_{i<s} (K−m−i)/(K−i).

/// P(at least one of m negatives has the query's class), s of all K having it.
///
/// The sum of ln(1 − m/(K−i)) over the fewer of s and m terms: all of one sign, relative error below some min(s, m)
/// ulps.
///
/// # Examples
/// ```
/// use measure::difficulty::any_same_class;
/// // One of four negatives drawn, one of them of the query's class.
/// assert!((any_same_class(4, 1, 1) - 0.25).abs() < 1e-15);
/// assert_eq!(any_same_class(4, 2, 3), 1.0);
/// ```
pub fn any_same_class(num_negatives: usize, same_class: usize, drawn: usize) -> f64 {
    // Symmetric in s and m.
    let (few, many) = (same_class.min(drawn), same_class.max(drawn));
    if few == 0 {
        return 0.0;
    }
    if few + many > num_negatives {
        return 1.0;
    }
    let ln_none: f64 = (0..few).map(|i| (-(many as f64) / (num_negatives - i) as f64).ln_1p()).sum();
    -ln_none.exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;
    use theory::{ClassPrior, NumDraws, Sampling, collision};

    /// Pascal's triangle, in integers.
    #[test]
    fn the_complement_is_a_ratio_of_binomials() {
        let mut rows = vec![vec![1u128]];
        for n in 1..40 {
            let above = &rows[n - 1];
            rows.push((0..=n).map(|k| if k == 0 || k == n { 1 } else { above[k - 1] + above[k] }).collect());
        }
        let binomial = |n: usize, k: usize| if k > n { 0 } else { rows[n][k] };
        for k in [1usize, 2, 7, 39] {
            for same in 0..=k {
                for drawn in 0..=k {
                    let all = binomial(k, drawn);
                    let expected = (all - binomial(k - same, drawn)) as f64 / all as f64;
                    let found = any_same_class(k, same, drawn);
                    assert!((found - expected).abs() <= 1e-14 * expected, "{k} {same} {drawn}: {found}");
                }
            }
        }
    }

    /// A sample's n − 1 negatives of a shuffled batch are drawn alike.
    #[test]
    fn it_is_the_collision_probability_without_replacement() {
        let prior = ClassPrior::from_counts(vec![1000; 10]).unwrap();
        for drawn in [1u64, 9, 99, 499] {
            let n = NumDraws::new(drawn + 1).unwrap();
            let expected =
                collision::probability(&prior, Sampling::WithoutReplacement, n.negatives()).unwrap();
            let found = any_same_class(9999, 999, drawn as usize);
            assert!((found - expected.value()).abs() < 1e-12 * expected.value(), "{drawn}: {found}");
        }
    }
}
