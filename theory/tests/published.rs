//! The printed rows of Nozawa & Sato's bound tables satisfy Eq. 8 and Eq. 10 as this crate computes them.

use theory::losses::{Estimate, Measure};
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
                (Measure::JointSupLoss, 2.0 * column("half_ups_Lsup")),
                (Measure::JointSubLoss, 2.0 * column("half_1mups_Lsub")),
                (Measure::Log1pCollisions, column("collision")),
                (Measure::CurlJointSup, column("curl_Lsup_part")),
                (Measure::CurlJoint, column("curl_Lsup_part") + column("curl_Lsub_part")),
                (Measure::Gap, column("d_f")),
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
