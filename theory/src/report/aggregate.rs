//! Grouping of rows that differ only by seed, and mean ± standard deviation over them.

use crate::losses::LossComponents;

/// Rows of one configuration at one number of draws, one per seed.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// The rows, in the order of the file; at least one.
    pub rows: Vec<&'a LossComponents>,
}

/// Groups rows that differ only in `run_id`, `seed` and what was measured; groups are ordered by data set, encoder and number of draws.
pub fn group(rows: &[LossComponents]) -> Vec<Group<'_>> {
    let same = |a: &LossComponents, b: &LossComponents| {
        let run = |r: &LossComponents| {
            let run = &r.run;
            (
                run.dataset.clone(),
                run.encoder.clone(),
                run.head.clone(),
                run.loss.clone(),
                run.epochs,
                run.batch_size,
            )
        };
        run(a) == run(b)
            && a.run.train_negatives == b.run.train_negatives
            && a.num_draws == b.num_draws
            && (a.num_classes, &a.class_counts) == (b.num_classes, &b.class_counts)
            && a.temperature == b.temperature
            && a.sampling == b.sampling
    };
    let mut groups: Vec<Group<'_>> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|group| same(group.rows[0], row)) {
            Some(group) => group.rows.push(row),
            None => groups.push(Group { rows: vec![row] }),
        }
    }
    groups.sort_by(|a, b| {
        let key = |g: &Group<'_>| {
            let run = &g.rows[0].run;
            (
                run.dataset.clone(),
                run.encoder.clone(),
                run.loss.clone(),
                g.rows[0].num_draws,
                run.train_negatives,
            )
        };
        key(a).cmp(&key(b))
    });
    groups
}

/// Mean and sample standard deviation over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanAndDeviation {
    /// Mean.
    pub mean: f64,
    /// Standard deviation with n−1; absent for one value.
    pub deviation: Option<f64>,
}

/// Mean and sample standard deviation of at least one value.
pub fn mean_and_deviation(values: &[f64]) -> MeanAndDeviation {
    if values.iter().any(|v| !v.is_finite()) {
        // A bound above the range of floats: no deviation, and no NaN from ∞ − ∞.
        return MeanAndDeviation {
            mean: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            deviation: None,
        };
    }
    // Relative to the first value, so that equal values have deviation 0 exactly.
    let (first, count) = (values[0], values.len() as f64);
    let mean = first + values.iter().map(|v| v - first).sum::<f64>() / count;
    let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
    MeanAndDeviation { mean, deviation: (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(mean_and_deviation(&[0.1; 3]), MeanAndDeviation { mean: 0.1, deviation: Some(0.0) });
        assert_eq!(
            mean_and_deviation(&[1.0, 2.0, 3.0]),
            MeanAndDeviation { mean: 2.0, deviation: Some(1.0) }
        );
        assert_eq!(mean_and_deviation(&[5.0]).deviation, None);
        let infinite = MeanAndDeviation { mean: f64::INFINITY, deviation: None };
        assert_eq!(mean_and_deviation(&[f64::INFINITY, 1.0]), infinite);
    }
}
