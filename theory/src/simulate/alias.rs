//! Labels of any law: an alias table over integers, without rounding.
//!
//! C columns of `capacity` points each; column k belongs to class k below its cut and to one other class from
//! there on, so that class c owns C·capacity·π_c points in all (Walker 1977; Vose 1991), all in integers. A point is
//! two digits, radices C and capacity.
//!
//! Source: M. Vose, "A linear algorithm for generating random numbers with a given distribution", 1991.

use super::index::{digits, digits_per_word, threshold};
use rand_xoshiro::rand_core::RngCore;

/// Labels of any law whose probabilities are integers over C·capacity.
#[derive(Debug, Clone)]
pub(super) struct AliasLabels {
    columns: Vec<Column>,
    /// What to add to a point at or above the cut, so that the points of a class run from 0 without a gap.
    shifts: Vec<u64>,
    capacity: u64,
    per_word: u32,
    threshold: u64,
    /// Thresholds of C and of the capacity alone, where both do not fit one word.
    apart: [u64; 2],
}

/// Column k: class k below the cut, class `alias` from there on.
#[derive(Debug, Clone, Copy)]
struct Column {
    cut: u64,
    alias: u32,
}

impl AliasLabels {
    /// Class c has probability `masses[c]` / (C · `capacity`); the masses must add up to that denominator.
    pub(super) fn new(mut masses: Vec<u128>, capacity: u64) -> Self {
        let classes = masses.len();
        let full = u128::from(capacity);
        debug_assert_eq!(masses.iter().sum::<u128>(), full * classes as u128);
        let mut columns: Vec<Column> =
            (0..classes).map(|class| Column { cut: capacity, alias: class as u32 }).collect();
        let mut shifts = vec![0; classes];
        // Points that a class has in other columns so far; those of its own column come last in its count.
        let mut elsewhere = vec![0u128; classes];
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..classes).filter(|&c| masses[c] != full).partition(|&c| masses[c] < full);
        while let (Some(&donor), Some(column)) = (large.last(), small.pop()) {
            let cut = masses[column];
            columns[column] = Column { cut: cut as u64, alias: donor as u32 };
            // The donor's points of this column are numbered from `elsewhere` on, above all those of its own column.
            shifts[column] = (elsewhere[donor].wrapping_sub(cut)) as u64;
            let given = full - cut;
            elsewhere[donor] += given;
            masses[donor] -= given;
            if masses[donor] <= full {
                large.pop();
                if masses[donor] < full {
                    small.push(donor);
                }
            }
        }
        // A class's own column holds what is left of it: its numbers come first, so the others move up by the cut.
        for column in 0..classes {
            let Column { cut, alias } = columns[column];
            if cut < capacity {
                shifts[column] = shifts[column].wrapping_add(columns[alias as usize].cut);
            }
        }
        let range = full * classes as u128;
        let (per_word, threshold_of_pairs) = digits_per_word(range, 3);
        let apart = [threshold(classes as u128, 64), threshold(full, 64)];
        Self { columns, shifts, capacity, per_word, threshold: threshold_of_pairs, apart }
    }

    /// From class counts: class c has probability exactly `counts[c]` / Σ counts.
    pub(super) fn from_counts(counts: &[u64]) -> Self {
        let total = counts.iter().sum();
        Self::new(counts.iter().map(|&m| u128::from(m) * counts.len() as u128).collect(), total)
    }

    /// From probabilities that add up to 1 within rounding: each is met to 2⁻⁶³ absolute and 2⁻⁵² relative.
    pub(super) fn from_probabilities(probabilities: &[f64]) -> Self {
        let classes = probabilities.len() as u64;
        let capacity = u64::MAX / classes;
        let target = u128::from(classes) * u128::from(capacity);
        let total: f64 = probabilities.iter().sum();
        let mut masses: Vec<u128> =
            probabilities.iter().map(|p| (p / total * target as f64).round() as u128).collect();
        // Rounding leaves a few units of 2⁻⁶⁴ for every class: they go to the likeliest one.
        let likeliest = (0..masses.len()).max_by_key(|&c| masses[c]).unwrap_or(0);
        let sum: u128 = masses.iter().sum();
        masses[likeliest] = masses[likeliest] + target - sum;
        Self::new(masses, capacity)
    }

    /// Labels that one word gives; 1 also where a label takes two words.
    pub(super) fn per_word(&self) -> u64 {
        u64::from(self.per_word.max(1))
    }

    /// Calls `visit` with `count` labels.
    #[inline(always)]
    pub(super) fn for_each(&self, rng: &mut impl RngCore, count: u64, mut visit: impl FnMut(usize)) {
        self.for_each_point(rng, count, |column, point| visit(self.class(column, point)));
    }

    /// Calls `visit(column, point)` with `count` uniform points of the table.
    #[inline(always)]
    fn for_each_point(&self, rng: &mut impl RngCore, count: u64, mut visit: impl FnMut(usize, u64)) {
        let (classes, capacity) = (self.columns.len() as u64, self.capacity);
        let mut left = count;
        match self.per_word {
            3 => {
                let radices = [classes, capacity, classes, capacity, classes, capacity];
                while left >= 3 {
                    let d = digits(rng, radices, self.threshold);
                    visit(d[0] as usize, d[1]);
                    visit(d[2] as usize, d[3]);
                    visit(d[4] as usize, d[5]);
                    left -= 3;
                }
                if left > 0 {
                    let d = digits(rng, radices, self.threshold);
                    (0..left as usize).for_each(|i| visit(d[2 * i] as usize, d[2 * i + 1]));
                }
            }
            2 => {
                let radices = [classes, capacity, classes, capacity];
                while left >= 2 {
                    let d = digits(rng, radices, self.threshold);
                    visit(d[0] as usize, d[1]);
                    visit(d[2] as usize, d[3]);
                    left -= 2;
                }
                if left > 0 {
                    let d = digits(rng, radices, self.threshold);
                    visit(d[0] as usize, d[1]);
                }
            }
            1 => {
                for _ in 0..left {
                    let [column, point] = digits(rng, [classes, capacity], self.threshold);
                    visit(column as usize, point);
                }
            }
            _ => {
                for _ in 0..left {
                    let [column] = digits(rng, [classes], self.apart[0]);
                    let [point] = digits(rng, [capacity], self.apart[1]);
                    visit(column as usize, point);
                }
            }
        }
    }

    /// Calls `visit(class, number)` with `count` uniform points, each numbered within its class from 0.
    #[inline(always)]
    pub(super) fn for_each_numbered(
        &self,
        rng: &mut impl RngCore,
        count: u64,
        mut visit: impl FnMut(usize, u64),
    ) {
        self.for_each_point(rng, count, |column, point| {
            let (own, shifted) = (point, point.wrapping_add(self.shifts[column]));
            let number = std::hint::select_unpredictable(point < self.columns[column].cut, own, shifted);
            visit(self.class(column, point), number);
        });
    }

    #[inline(always)]
    fn class(&self, column: usize, point: u64) -> usize {
        let Column { cut, alias } = self.columns[column];
        // No branch: which side the point falls on cannot be foretold.
        std::hint::select_unpredictable(point < cut, column, alias as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::UniformLabels;
    use super::*;

    /// Every point of the table, class by class.
    fn numbers(table: &AliasLabels) -> Vec<Vec<u64>> {
        let mut numbers = vec![Vec::new(); table.columns.len()];
        for column in 0..table.columns.len() {
            for point in 0..table.capacity {
                let shift = if point < table.columns[column].cut { 0 } else { table.shifts[column] };
                numbers[table.class(column, point)].push(point.wrapping_add(shift));
            }
        }
        numbers
    }

    #[test]
    fn alias_tables_own_exactly_the_points_that_the_counts_say() {
        let mut rng = super::super::plan::test_generator(5);
        let mut cases: Vec<Vec<u64>> = vec![vec![5], vec![1, 1, 1], vec![1, 2, 3, 4], vec![97, 1, 1, 1]];
        cases.extend(
            (0..200).map(|_| (0..1 + rng.next_u64() % 12).map(|_| 1 + rng.next_u64() % 30).collect()),
        );
        for counts in cases {
            let table = AliasLabels::from_counts(&counts);
            for (class, mut found) in numbers(&table).into_iter().enumerate() {
                found.sort_unstable();
                let expected: Vec<u64> = (0..counts[class] * counts.len() as u64).collect();
                assert_eq!(found, expected, "class {class} of {counts:?}");
            }
        }
    }

    #[test]
    fn float_probabilities_are_met_to_the_last_bits() {
        let weights = [0.5, 1e-3, 0.25, 1e-17, 0.1, 1e-300];
        let total: f64 = weights.iter().sum();
        let table = AliasLabels::from_probabilities(&weights.map(|w| w / total));
        let mut masses = vec![0u128; weights.len()];
        for (column, &Column { cut, alias }) in table.columns.iter().enumerate() {
            masses[column] += u128::from(cut);
            masses[alias as usize] += u128::from(table.capacity - cut);
        }
        let all = table.capacity as f64 * weights.len() as f64;
        for (mass, weight) in masses.iter().zip(weights) {
            let (found, expected) = (*mass as f64 / all, weight / total);
            let allowed = 2f64.powi(-63) + expected * 2f64.powi(-52);
            assert!((found - expected).abs() <= allowed, "{weight:e}: {found:e} against {expected:e}");
        }
    }

    /// χ² of label counts, in standard deviations above its expectation (degrees of freedom ν, variance 2ν).
    fn chi_square_z(counts: &[u64], law: &[f64]) -> f64 {
        let total = counts.iter().sum::<u64>() as f64;
        let chi_square: f64 =
            counts.iter().zip(law).map(|(&n, p)| (n as f64 - total * p).powi(2) / (total * p)).sum();
        let freedom = counts.len() as f64 - 1.0;
        (chi_square - freedom) / (2.0 * freedom).sqrt()
    }

    #[test]
    fn label_laws_pass_a_chi_square_test() {
        // A right program passes |z| < 4 but once in some 10⁴ seeds; the seed is fixed. z far below 0 would mean labels
        // that are more even than chance.
        const LABELS: u64 = 300_000;
        let mut rng = super::super::plan::test_generator(11);
        for classes in [2, 3, 10, 100, 1000, 4000] {
            let mut counts = vec![0; classes];
            UniformLabels::new(classes as u64).for_each(&mut rng, LABELS, |c| counts[c] += 1);
            let z = chi_square_z(&counts, &vec![1.0 / classes as f64; classes]);
            assert!(z.abs() < 4.0, "{classes} classes: z = {z}");
        }
        let sizes: Vec<u64> = (1..=300).map(|i| 700 + i * i % 601).collect();
        let total = sizes.iter().sum::<u64>() as f64;
        let law: Vec<f64> = sizes.iter().map(|&m| m as f64 / total).collect();
        for table in [AliasLabels::from_counts(&sizes), AliasLabels::from_probabilities(&law)] {
            let (mut counts, mut numbers) = (vec![0; law.len()], vec![0; 10]);
            table.for_each(&mut rng, LABELS, |c| counts[c] += 1);
            assert!(chi_square_z(&counts, &law).abs() < 4.0, "{}", chi_square_z(&counts, &law));
            if table.capacity as f64 == total {
                // Numbers within a class are uniform as well.
                let own = |c: usize| sizes[c] * sizes.len() as u64;
                table.for_each_numbered(&mut rng, LABELS, |c, x| numbers[(10 * x / own(c)) as usize] += 1);
                assert!(chi_square_z(&numbers, &[0.1; 10]).abs() < 4.0, "{numbers:?}");
            }
        }
    }

    #[test]
    fn first_labels_of_a_seed_do_not_change() {
        let rng = || super::super::plan::test_generator(7);
        let mut labels = [const { Vec::new() }; 4];
        UniformLabels::new(1000).for_each(&mut rng(), 8, |c| labels[0].push(c));
        AliasLabels::from_counts(&[3, 1, 4, 1, 5]).for_each(&mut rng(), 8, |c| labels[1].push(c));
        AliasLabels::from_probabilities(&[0.5, 0.25, 0.25]).for_each(&mut rng(), 8, |c| labels[2].push(c));
        // C·M above 2⁶⁴: two words a label.
        AliasLabels::from_counts(&[1 << 62, 1 << 61, 1 << 61, 7])
            .for_each(&mut rng(), 8, |c| labels[3].push(c));
        let expected = [
            [55, 360, 436, 478, 333, 125, 172, 115],
            [0, 4, 1, 0, 0, 4, 4, 1],
            [0, 0, 2, 1, 0, 1, 2, 0],
            [0, 0, 2, 0, 0, 0, 2, 0],
        ];
        assert_eq!(labels, expected);
    }
}
