//! The printed rows of Nozawa & Sato's bound tables satisfy Eq. 8 and Eq. 10 as this crate computes them.

use theory::losses::{Estimate, Quantity};
use theory::{LossComponents, NumDraws, Sampling, bounds};

/// Printed values have two decimals; each formula adds two to four of them.
const ROUNDING: f64 = 0.0101;

#[test]
fn equations_8_and_10_reproduce_all_printed_rows() {
    let tables = [
        ("CIFAR-10", 10, include_str!("../../data/published/nozawa_cifar10.csv")),
        ("CIFAR-100", 100, include_str!("../../data/published/nozawa_cifar100.csv")),
        ("AG News", 4, include_str!("../../data/published/nozawa_agnews_erase.csv")),
    ];
    let mut rows = 0;
    for (name, classes, text) in tables {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let headers = reader.headers().unwrap().clone();
        for record in reader.records() {
            let record = record.unwrap();
            let column = |name: &str| -> f64 {
                let index = headers.iter().position(|h| h == name).unwrap();
                record[index].parse().unwrap()
            };
            let draws = NumDraws::new(column("K+1") as u64).unwrap();
            let mut losses = LossComponents::new(classes, draws, 0.5, Sampling::WithoutReplacement).unwrap();
            // The printed rows "L_sup" and "L_sub" of Eq. 10 are already halved.
            for (measure, value) in [
                (Quantity::JointSupLoss, 2.0 * column("half_ups_Lsup")),
                (Quantity::JointSubLoss, 2.0 * column("half_1mups_Lsub")),
                (Quantity::Log1pCollisions, column("collision")),
                (Quantity::CurlJointSup, column("curl_Lsup_part")),
                (Quantity::CurlJoint, column("curl_Lsup_part") + column("curl_Lsub_part")),
                (Quantity::Gap, column("d_f")),
            ] {
                losses.set(measure, Estimate::exact(value)).unwrap();
            }
            for (key, printed) in
                [("curl", column("curl_bound_eq8")), ("nozawa_sato", column("prop_bound_eq10"))]
            {
                let found = bounds::find(key).unwrap().lower_bound(&losses).value().unwrap();
                assert!(
                    (found - printed).abs() <= ROUNDING,
                    "{name} n={draws} {key}: {found} against {printed}"
                );
            }
            rows += 1;
        }
    }
    assert_eq!(rows, 19);
}

#[test]
fn printed_collision_rows_are_those_of_draws_without_replacement() {
    use theory::{ClassPrior, collision};
    let cifar100 = ClassPrior::from_counts(vec![100; 100]).unwrap();
    for (n, printed) in [(128, 0.69), (896, 2.24), (1024, 2.37)] {
        let negatives = NumDraws::new(n).unwrap().negatives();
        let exact = |sampling| collision::expected_ln1p(&cifar100, sampling, negatives).unwrap();
        assert!((exact(Sampling::WithoutReplacement) - printed).abs() <= 0.005);
        assert!((exact(Sampling::WithReplacement) - printed).abs() > 0.005);
    }
}

/// Half a unit of the last printed digit of a number with three to four significant digits.
fn half_unit(text: &str) -> f64 {
    let mantissa = text.split('e').next().unwrap();
    let places = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let exponent: i32 = text.split_once('e').map_or(0, |(_, e)| e.parse().unwrap());
    0.5 * 10f64.powi(exponent - places as i32)
}

#[test]
fn every_upper_bound_rebuilt_from_the_printed_rows() {
    use theory::published;
    let text = include_str!("../../data/published/reconstructed_bounds.csv");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = [
        ("ub_official_code", "nozawa_sato_as_published"),
        ("ub_eq10", "nozawa_sato"),
        ("curl_as_coded", "curl_as_published"),
        ("ub_lambda1", "lambda"),
        ("ub_submodular", "submodular"),
        ("ub_reverse_jensen", "reverse_jensen"),
        ("ub_specht", "specht"),
    ];
    let headers = reader.headers().unwrap().clone();
    let mut compared = 0;
    for (record, row) in reader.records().zip(published::rows().unwrap()) {
        let record = record.unwrap();
        let cell = |name: &str| &record[headers.iter().position(|h| h == name).unwrap()];
        assert_eq!(cell("num_draws"), row.num_draws.to_string());
        let losses = published::losses(&row, Sampling::WithReplacement).unwrap();
        for (column, key) in columns {
            let found = bounds::find(key).unwrap().upper_bound(&losses);
            let expected = cell(column);
            if expected == "inf" {
                // 1−τ is 0 in a float that holds τ; the bound as published does so too.
                assert!(found.value().is_none(), "{key} n={}: {found:?}", row.num_draws);
                continue;
            }
            let (value, printed): (f64, f64) = (found.value().unwrap(), expected.parse().unwrap());
            assert!(
                (value - printed).abs() <= 1.01 * half_unit(expected),
                "{key} n={}: {value} against {expected}",
                row.num_draws
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 19 * columns.len() - 3);
}

#[test]
fn the_inverted_bound_on_the_printed_rows() {
    use theory::published;
    let expected =
        [("cifar10", 32, 3.13), ("cifar10", 64, 3.66), ("cifar100", 128, 5.70), ("cifar100", 256, 5.26)];
    let more = [
        ("cifar100", 512, 5.64),
        ("cifar100", 1024, 6.27),
        ("ag_news_erase", 16, 2.76),
        ("ag_news_erase", 32, 3.29),
    ];
    let mut compared = 0;
    for row in published::rows().unwrap() {
        let key = row.dataset.key;
        let Some((.., value)) =
            expected.iter().chain(&more).find(|e| (e.0, e.1) == (key, row.num_draws.get()))
        else {
            continue;
        };
        let losses = published::losses(&row, Sampling::WithReplacement).unwrap();
        let found = bounds::find("inverted").unwrap().upper_bound(&losses).value().unwrap();
        assert!((found - value).abs() < 0.0051, "{key} n={}: {found} against {value}", row.num_draws);
        compared += 1;
    }
    assert_eq!(compared, 8);
}
