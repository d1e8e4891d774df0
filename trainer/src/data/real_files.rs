//! The official files, where the environment variable `TRAINER_DATA` names a folder of data sets; else nothing is
//! tested, and each test says so. `TRAINER_DATA=DIR cargo test -p trainer --lib real_files -- --nocapture`.
//!
//! Known facts: first labels and pixels of the files, class counts, mean and deviation of the training pixels as
//! published in many training codes (CIFAR-10: 0.4914 0.4822 0.4465, 0.2470 0.2435 0.2616;
//! CIFAR-100: 0.5071 0.4865 0.4409, 0.2673 0.2564 0.2762; Fashion-MNIST: 0.2860, 0.3530).

use super::*;
use std::path::PathBuf;

/// The data set, where its files are there.
fn real(name: &str, evaluate_on: EvaluateOn) -> Option<(Images, Images)> {
    let Some(folder) = std::env::var_os("TRAINER_DATA").map(PathBuf::from) else {
        println!("skipped: TRAINER_DATA does not name a folder with the files of {name}");
        return None;
    };
    let split = load(&Request { folder: Some(&folder), evaluate_on, ..Request::new(name) }).unwrap();
    let (Samples::Images(train), Samples::Images(evaluated)) = (split.train, split.evaluated) else {
        panic!("{name} has images");
    };
    Some((train, evaluated))
}

/// Mean and standard deviation of each channel in [0, 1].
fn moments(images: &Images) -> Vec<[f64; 2]> {
    let channels = images.shape()[2];
    let (mut sums, mut squares) = (vec![0_u64; channels], vec![0_u64; channels]);
    for index in 0..images.len() {
        for pixel in images.image(index).chunks_exact(channels) {
            for (channel, &value) in pixel.iter().enumerate() {
                sums[channel] += u64::from(value);
                squares[channel] += u64::from(value) * u64::from(value);
            }
        }
    }
    let count = (images.len() * images.pixels_per_image() / channels) as f64;
    let moments = |(&sum, &square): (&u64, &u64)| {
        let mean = sum as f64 / count;
        [mean / 255.0, (square as f64 / count - mean * mean).sqrt() / 255.0]
    };
    sums.iter().zip(&squares).map(moments).collect()
}

fn assert_moments(images: &Images, expected: &[[f64; 2]]) {
    let found = moments(images);
    println!("moments {found:.6?}");
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        // Published with four digits.
        assert!((found - expected).abs() < 6e-5, "{found} instead of {expected}");
    }
}

#[test]
fn fashion_mnist() {
    let Some((train, test)) = real("fashion-mnist", EvaluateOn::Validation) else { return };
    assert_eq!((train.shape(), train.num_classes()), ([28, 28, 1], 10));
    assert_eq!((train.class_counts(), test.class_counts()), (vec![6000; 10], vec![1000; 10]));
    assert_eq!(train.labels()[..5], [9, 0, 0, 3, 0]);
    assert_eq!(test.labels()[..5], [9, 2, 1, 1, 6]);
    assert_moments(&train, &[[0.2860, 0.3530]]);
}

#[test]
fn cifar10() {
    let Some((train, test)) = real("cifar10", EvaluateOn::Validation) else { return };
    assert_eq!((train.shape(), train.num_classes()), ([32, 32, 3], 10));
    assert_eq!((train.class_counts(), test.class_counts()), (vec![5000; 10], vec![1000; 10]));
    // A frog, two trucks, a deer, a car; a cat, two ships, a plane, a frog.
    assert_eq!(train.labels()[..5], [6, 9, 9, 4, 1]);
    assert_eq!(test.labels()[..5], [3, 8, 8, 0, 6]);
    // The frog's first pixels.
    assert_eq!(train.image(0)[..6], [59, 62, 63, 43, 46, 45]);
    assert_moments(&train, &[[0.4914, 0.2470], [0.4822, 0.2435], [0.4465, 0.2616]]);
    let Some((train, tuning)) = real("cifar10", EvaluateOn::Tuning) else { return };
    assert_eq!((train.class_counts(), tuning.class_counts()), (vec![4500; 10], vec![500; 10]));
}

#[test]
fn cifar100() {
    let Some((train, test)) = real("cifar100", EvaluateOn::Validation) else { return };
    assert_eq!((train.class_counts(), test.class_counts()), (vec![500; 100], vec![100; 100]));
    assert_moments(&train, &[[0.5071, 0.2673], [0.4865, 0.2564], [0.4409, 0.2762]]);
    let Some((coarse, test)) = real("cifar100-coarse", EvaluateOn::Validation) else { return };
    assert_eq!((coarse.class_counts(), test.class_counts()), (vec![2500; 20], vec![500; 20]));
    let superclass = |&label: &usize| usize::from(cifar::SUPERCLASS[label]);
    assert!(train.labels().iter().map(superclass).eq(coarse.labels().iter().copied()));
}

#[test]
fn ag_news_articles() {
    let Some(folder) = std::env::var_os("TRAINER_DATA").map(PathBuf::from) else {
        println!("skipped: TRAINER_DATA does not name a folder with the files of ag_news");
        return;
    };
    let articles = ag_news::read(&folder.join("ag_news/test.csv")).unwrap();
    let labels: Vec<usize> = articles.iter().map(|article| article.class).collect();
    assert_eq!(measure::class_counts(&labels, ag_news::NUM_CLASSES), [1900; 4]);
    assert!(
        articles[0]
            .text
            .starts_with("Fears for T N pension after talks Unions representing workers at Turner")
    );
    assert_eq!(labels[..4], [2, 3, 3, 3]);
}
