//! Exact random indices: several digits of mixed radix from one 64-bit word, and an alias table over integers.
//!
//! Digits. For radices r₁, …, r_D with T = ∏ r_i ≤ 2⁶⁴ and a uniform word x, ⌊x T / 2⁶⁴⌋ is uniform on 0..T once the words
//! with (x T mod 2⁶⁴) < (2⁶⁴ mod T) are rejected (Lemire 2019). Its mixed-radix digits need no division: with x₀ = x,
//! digit i is ⌊x_{i−1} r_i / 2⁶⁴⌋ and x_i = x_{i−1} r_i mod 2⁶⁴, and the last x_D is x T mod 2⁶⁴, the number that decides
//! about rejection. So one word gives six labels of 1000 classes, each with probability exactly 1/1000.
//!
//! Alias table. C columns of `capacity` points each; column k belongs to class k below its cut and to one other class from
//! there on, so that class c owns C·capacity·π_c points in all (Walker 1977; Vose 1991), all in integers. A point is two
//! digits, radices C and capacity.
//!
//! Sources: D. Lemire, "Fast random integer generation in an interval", 2019; M. Vose, "A linear algorithm for generating
//! random numbers with a given distribution", 1991.

use rand_xoshiro::rand_core::RngCore;

/// Digits of `word` in these radices, and the low part that [`threshold`] is compared with; words have `BITS` bits.
#[inline(always)]
fn split<const D: usize, const BITS: u32>(word: u64, radices: [u64; D]) -> ([u64; D], u64) {
    let mask = if BITS == 64 { u64::MAX } else { (1 << BITS) - 1 };
    let (mut digits, mut low) = ([0; D], word);
    for i in 0..D {
        let product = u128::from(low) * u128::from(radices[i]);
        digits[i] = (product >> BITS) as u64;
        low = product as u64 & mask;
    }
    (digits, low)
}

/// 2^BITS mod `range`: words whose low part lies below are rejected.
fn threshold(range: u128, bits: u32) -> u64 {
    ((1u128 << bits) % range) as u64
}

/// D uniform digits from as many words as it takes; `threshold` belongs to the product of the radices.
#[inline(always)]
fn digits<const D: usize>(rng: &mut impl RngCore, radices: [u64; D], threshold: u64) -> [u64; D] {
    loop {
        let (digits, low) = split::<D, 64>(rng.next_u64(), radices);
        if low >= threshold {
            return digits;
        }
    }
}

/// Of `range`, as many digits from one word as give the most per word, at most `most`; 0 where `range` exceeds a word.
fn digits_per_word(range: u128, most: u32) -> (u32, u64) {
    let word = 1u128 << 64;
    let mut best = (0, 0, 0.0);
    let mut product = 1u128;
    for count in 1..=most {
        product = match product.checked_mul(range) {
            Some(product) if product <= word => product,
            _ => break,
        };
        let rejected = threshold(product, 64);
        let accepted = f64::from(count) * (1.0 - rejected as f64 / word as f64);
        if accepted > best.2 {
            best = (count, rejected, accepted);
        }
    }
    (best.0, best.1)
}

/// Uniform labels 0..C.
#[derive(Debug, Clone)]
pub(super) struct UniformLabels {
    classes: u64,
    per_word: u32,
    threshold: u64,
}

impl UniformLabels {
    pub(super) fn new(classes: u64) -> Self {
        let (per_word, threshold) = digits_per_word(u128::from(classes), 8);
        Self { classes, per_word, threshold }
    }

    /// Labels that one word gives.
    pub(super) fn per_word(&self) -> u64 {
        u64::from(self.per_word)
    }

    /// Calls `visit` with `count` labels.
    #[inline(always)]
    pub(super) fn for_each(&self, rng: &mut impl RngCore, count: u64, visit: impl FnMut(usize)) {
        match self.per_word {
            8 => self.run::<8>(rng, count, visit),
            7 => self.run::<7>(rng, count, visit),
            6 => self.run::<6>(rng, count, visit),
            5 => self.run::<5>(rng, count, visit),
            4 => self.run::<4>(rng, count, visit),
            3 => self.run::<3>(rng, count, visit),
            2 => self.run::<2>(rng, count, visit),
            _ => self.run::<1>(rng, count, visit),
        }
    }

    #[inline(always)]
    fn run<const D: usize>(&self, rng: &mut impl RngCore, count: u64, mut visit: impl FnMut(usize)) {
        let radices = [self.classes; D];
        let threshold = self.threshold;
        for _ in 0..count / D as u64 {
            let labels = digits(rng, radices, threshold);
            for label in &labels {
                visit(*label as usize);
            }
        }
        let rest = (count % D as u64) as usize;
        if rest > 0 {
            for &label in &digits(rng, radices, self.threshold)[..rest] {
                visit(label as usize);
            }
        }
    }
}

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

    /// Whether C·capacity fits 64 bits, so that numbers within a class do.
    pub(super) fn fits_one_word(&self) -> bool {
        self.per_word > 0
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
    use super::*;

    /// Every word of 12 bits: accepted words give each combination of digits equally often.
    fn exhaust<const D: usize>(radices: [u64; D]) {
        const BITS: u32 = 12;
        let range: u64 = radices.iter().product();
        let rejected = threshold(u128::from(range), BITS);
        let mut counts = vec![0u64; range as usize];
        for word in 0..1 << BITS {
            let (digits, low) = split::<D, BITS>(word, radices);
            if low >= rejected {
                let index = digits.iter().zip(radices).fold(0, |index, (digit, radix)| index * radix + digit);
                counts[index as usize] += 1;
            }
        }
        let each = (1 << BITS) / range;
        assert!(each > 0 && counts.iter().all(|&count| count == each), "{radices:?}: {counts:?}");
    }

    #[test]
    fn digits_of_every_short_word_are_exactly_uniform() {
        (1..=4096).for_each(|radix| exhaust([radix]));
        (1..=64).for_each(|radix| exhaust([radix, 4096 / radix]));
        (1..=16).for_each(|radix| exhaust([radix; 3]));
        exhaust([3, 7, 3, 7]);
        exhaust([2; 12]);
        exhaust([5, 1, 2, 9, 4]);
    }

    #[test]
    fn full_words_agree_with_division() {
        // The same digits from ⌊x T / 2⁶⁴⌋ by division, and the same low part from x T mod 2⁶⁴.
        let mut rng = super::super::generator(3, super::super::Purpose::Coverage, 0);
        for _ in 0..1000 {
            let word = rng.next_u64();
            let (digits, low) = split::<6, 64>(word, [1000; 6]);
            let product = u128::from(word) * 10u128.pow(18);
            let mut high = (product >> 64) as u64;
            for digit in digits.iter().rev() {
                assert_eq!(*digit, high % 1000);
                high /= 1000;
            }
            assert_eq!((high, low), (0, product as u64));
        }
        assert_eq!(digits_per_word(1000, 8), (6, 446_744_073_709_551_616));
        assert_eq!(digits_per_word(1 << 32, 8), (2, 0));
        assert_eq!(digits_per_word(1 << 65, 8).0, 0);
    }

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
        let mut rng = super::super::generator(5, super::super::Purpose::Coverage, 0);
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
        // A right program passes |z| < 4 but once in some 10⁴ seeds; the seed is fixed. z far below 0 would mean labels that
        // are more even than chance.
        const LABELS: u64 = 300_000;
        let mut rng = super::super::generator(11, super::super::Purpose::Coverage, 0);
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
        let rng = || super::super::generator(7, super::super::Purpose::Coverage, 0);
        let mut labels = [const { Vec::new() }; 4];
        UniformLabels::new(1000).for_each(&mut rng(), 8, |c| labels[0].push(c));
        AliasLabels::from_counts(&[3, 1, 4, 1, 5]).for_each(&mut rng(), 8, |c| labels[1].push(c));
        AliasLabels::from_probabilities(&[0.5, 0.25, 0.25]).for_each(&mut rng(), 8, |c| labels[2].push(c));
        // C·M above 2⁶⁴: two words a label.
        AliasLabels::from_counts(&[1 << 62, 1 << 61, 1 << 61, 7])
            .for_each(&mut rng(), 8, |c| labels[3].push(c));
        let expected = [
            [738, 788, 461, 815, 91, 558, 142, 459],
            [4, 4, 0, 0, 2, 0, 0, 2],
            [2, 0, 0, 1, 0, 2, 1, 0],
            [2, 2, 0, 2, 2, 0, 1, 0],
        ];
        assert_eq!(labels, expected);
    }
}
