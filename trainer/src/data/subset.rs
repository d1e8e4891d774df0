//! Fixed random subsets that know the classes.
//!
//! Of a permutation of the samples, drawn from a stream that belongs to the data set's definition, the first m_c of
//! each class c are taken. m_c is a tenth (tuning samples), the profile of [`Imbalance`], or the share n·N_c/N of a
//! subset of n, rounded down, with one more for the classes of largest remainder (of equal ones the first).

use super::{Imbalance, Samples};
use crate::error::{Error, Result};
use measure::class_counts;
use measure::rng::{Purpose, permutation, stream};

/// The seed of all subsets: that of no run.
const SEED: u64 = 2021;

/// What a subset is for: its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Tuning samples.
    Tuning = 1,
    /// The long-tailed training samples.
    Train = 2,
    /// The long-tailed evaluated samples.
    Evaluated = 3,
    /// A number of training samples.
    Number = 4,
    /// Evaluated images of a folder that has none.
    Validation = 5,
}

/// The first `quotas[c]` samples of each class c, in the order of the part's permutation.
fn take(labels: &[usize], quotas: &[u64], part: Part) -> Vec<usize> {
    let mut left = quotas.to_vec();
    let mut order = permutation(labels.len(), &mut stream(SEED, Purpose::Split, part as u64));
    order.retain(|&index| {
        let left = &mut left[labels[index]];
        let taken = *left > 0;
        *left -= u64::from(taken);
        taken
    });
    order
}

/// (rest, held out): a tenth of each class, rounded down but at least one sample, is held out; both in the given order.
pub(super) fn hold_out(labels: &[usize], num_classes: usize) -> Result<(Vec<usize>, Vec<usize>)> {
    let counts = class_counts(labels, num_classes);
    if let Some(class) = counts.iter().position(|&count| count < 2) {
        let count = counts[class];
        return Err(Error::argument(format!(
            "class {class} has {count} training samples: none can be held out for tuning"
        )));
    }
    let quotas: Vec<u64> = counts.iter().map(|count| (count / 10).max(1)).collect();
    Ok(parted(labels, &quotas, Part::Tuning))
}

/// (rest, held out): this share of each class, rounded to the nearest number but at least one sample and not all, is
/// held out; both in the given order.
///
/// # Errors
/// A class of fewer than two samples, by name.
pub(super) fn hold_out_share(
    labels: &[usize],
    classes: &[String],
    share: f64,
) -> std::result::Result<(Vec<usize>, Vec<usize>), String> {
    let counts = class_counts(labels, classes.len());
    if let Some(class) = counts.iter().position(|&count| count < 2) {
        let (name, count) = (&classes[class], counts[class]);
        return Err(format!(
            "class '{name}' has {count} image: of two or more, one can be held out to be evaluated"
        ));
    }
    let quota = |&count: &u64| ((count as f64 * share).round() as u64).clamp(1, count - 1);
    Ok(parted(labels, &counts.iter().map(quota).collect::<Vec<_>>(), Part::Validation))
}

/// (the others, the first `quotas[c]` samples of each class c in the order of the part's permutation), in given order.
fn parted(labels: &[usize], quotas: &[u64], part: Part) -> (Vec<usize>, Vec<usize>) {
    let mut held_out = take(labels, quotas, part);
    held_out.sort_unstable();
    let mut is_held_out = vec![false; labels.len()];
    held_out.iter().for_each(|&index| is_held_out[index] = true);
    ((0..labels.len()).filter(|&index| !is_held_out[index]).collect(), held_out)
}

/// The samples of the long-tailed variant, in the given order.
pub(super) fn imbalanced(samples: &Samples, imbalance: &Imbalance, part: Part) -> Result<Vec<usize>> {
    let quotas = imbalance.counts(&samples.class_counts())?;
    let mut kept = take(samples.labels(), &quotas, part);
    kept.sort_unstable();
    Ok(kept)
}

/// `number` samples in random order, every class with its share.
pub(super) fn stratified(samples: &Samples, number: usize) -> Result<Vec<usize>> {
    let (counts, total) = (samples.class_counts(), samples.len());
    let present = counts.iter().filter(|&&count| count > 0).count();
    if number > total {
        return Err(Error::argument(format!(
            "train_samples = {number} exceeds the {total} training samples"
        )));
    }
    if number < present {
        return Err(Error::argument(format!("train_samples = {number} is fewer than the {present} classes")));
    }
    Ok(take(samples.labels(), &shares(&counts, number as u64), Part::Number))
}

/// n·N_c/N, rounded so that the sum is n and no class that has a sample is left without.
fn shares(counts: &[u64], number: u64) -> Vec<u64> {
    let total = counts.iter().map(|&count| u128::from(count)).sum::<u128>().max(1);
    let product = |count: u64| u128::from(count) * u128::from(number);
    let mut shares: Vec<u64> = counts.iter().map(|&count| (product(count) / total) as u64).collect();
    for (share, &count) in shares.iter_mut().zip(counts) {
        *share = (*share).max(count.min(1));
    }
    let mut order: Vec<usize> = (0..counts.len()).filter(|&class| shares[class] < counts[class]).collect();
    order.sort_by_key(|&class| std::cmp::Reverse(product(counts[class]) % total));
    let mut sum = shares.iter().sum::<u64>();
    for class in order {
        if sum >= number {
            break;
        }
        shares[class] += 1;
        sum += 1;
    }
    // Where classes below one sample were rounded up, the largest give way.
    while sum > number {
        let Some(largest) = (0..shares.len()).rev().max_by_key(|&class| shares[class]) else { break };
        shares[largest] -= 1;
        sum -= 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::super::{EvaluateOn, Images, Request, Split};
    use super::*;
    use std::collections::BTreeSet;

    /// Images of one pixel, whose value is the sample's number; classes in turn.
    fn samples(number: usize, num_classes: usize) -> Samples {
        let labels = (0..number).map(|i| i % num_classes).collect();
        let pixels = (0..number).map(|i| i as u8).collect();
        Samples::Images(Images::new(pixels, labels, [1, 1, 1], 255, num_classes).unwrap())
    }

    fn numbers(samples: &Samples) -> Vec<u8> {
        let Samples::Images(images) = samples else { unreachable!() };
        (0..images.len()).map(|i| images.image(i)[0]).collect()
    }

    fn set(samples: &Samples) -> BTreeSet<u8> {
        numbers(samples).into_iter().collect()
    }

    fn split(request: Request<'_>) -> Result<Split> {
        request.split(samples(200, 4), samples(80, 4))
    }

    #[test]
    fn tuning_samples_are_a_tenth_of_each_class_and_leave_the_rest() {
        let tuning = split(Request { evaluate_on: EvaluateOn::Tuning, ..Request::new("x") }).unwrap();
        assert_eq!(tuning.evaluated.class_counts(), [5; 4]);
        assert_eq!(tuning.train.class_counts(), [45; 4]);
        let (train, evaluated) = (set(&tuning.train), set(&tuning.evaluated));
        assert!(train.is_disjoint(&evaluated));
        assert_eq!(train.len() + evaluated.len(), 200);
        assert!(numbers(&tuning.train).is_sorted());
        let few = Request { evaluate_on: EvaluateOn::Tuning, ..Request::new("x") };
        let error = few.split(samples(7, 4), samples(4, 4)).unwrap_err().to_string();
        assert_eq!(error, "class 3 has 1 training samples: none can be held out for tuning");
    }

    #[test]
    fn a_number_of_samples_is_stratified_shuffled_fixed_and_nested() {
        let of = |number| split(Request { train_samples: Some(number), ..Request::new("x") }).unwrap().train;
        assert_eq!(of(40).class_counts(), [10; 4]);
        assert_eq!(of(42).class_counts(), [11, 11, 10, 10]);
        assert!(!numbers(&of(40)).is_sorted());
        assert_eq!(numbers(&of(40)), numbers(&of(40)));
        assert!(set(&of(40)).is_subset(&set(&of(42))));
        assert_eq!(set(&of(200)).len(), 200);
        // Published results depend on these.
        assert_eq!(numbers(&of(8)), FIRST_EIGHT);
        let refused = |number| {
            let request = Request { train_samples: Some(number), ..Request::new("x") };
            split(request).unwrap_err().to_string()
        };
        assert_eq!(refused(201), "train_samples = 201 exceeds the 200 training samples");
        assert_eq!(refused(3), "train_samples = 3 is fewer than the 4 classes");
    }

    const FIRST_EIGHT: [u8; 8] = [161, 43, 94, 6, 149, 131, 188, 144];

    #[test]
    fn shares_sum_up_and_leave_no_class_empty() {
        assert_eq!(shares(&[5000, 2997, 50], 1000), [621, 373, 6]);
        assert_eq!(shares(&[1000, 1, 1, 0], 10), [8, 1, 1, 0]);
        assert_eq!(shares(&[1, 1, 1], 3), [1, 1, 1]);
        for number in 4..=107 {
            let shares = shares(&[90, 9, 5, 3], number);
            assert_eq!(shares.iter().sum::<u64>(), number);
            assert!(shares.iter().zip([90, 9, 5, 3]).all(|(&share, count)| (1..=count).contains(&share)));
        }
    }

    #[test]
    fn imbalance_cuts_before_the_number_and_the_evaluated_samples_only_on_request() {
        let long_tailed = Request { imbalance: Some(Imbalance { ratio: 8.0 }), ..Request::new("x") };
        let all = split(long_tailed).unwrap();
        assert_eq!(all.train.class_counts(), [50, 25, 12, 6]);
        assert_eq!(all.evaluated.class_counts(), [20; 4]);
        assert!(numbers(&all.train).is_sorted());
        let fewer = split(Request { train_samples: Some(31), ..long_tailed }).unwrap();
        assert_eq!(fewer.train.class_counts(), [17, 8, 4, 2]);
        assert!(set(&fewer.train).is_subset(&set(&all.train)));
        let both = split(Request { evaluate_imbalanced: true, ..long_tailed }).unwrap();
        assert_eq!(both.evaluated.class_counts(), [20, 10, 5, 2]);
        let error =
            split(Request { evaluate_imbalanced: true, ..Request::new("x") }).unwrap_err().to_string();
        assert_eq!(error, "evaluate_imbalanced = true needs imbalance.ratio");
    }
}
