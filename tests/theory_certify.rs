//! `theory certify` as its users meet it.

use assert_cmd::Command;
use std::path::Path;
use theory::losses::{self, Estimate, LossComponents, Quantity};
use theory::{NumDraws, Sampling};

fn run(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_theory")).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// Two classes, one negative: error ≤ (L_Info − ½ ln 2)/(½ ln 2).
fn row(split: &str, temperature: f64, info_nce: f64) -> LossComponents {
    let draws = NumDraws::new(2).unwrap();
    let mut row = LossComponents::new(2, draws, temperature, Sampling::WithReplacement).unwrap();
    row.class_counts = Some(vec![50, 50]);
    row.run.run_id = format!("of-{split}");
    row.run.seed = Some(7);
    row.evaluated_split = split.into();
    let measures = [
        (Quantity::InfoNce, info_nce),
        (Quantity::Gap, 0.0),
        (Quantity::AnchorError, 0.05),
        (Quantity::FullSupLoss, 0.2),
    ];
    for (quantity, value) in measures {
        row.set(quantity, Estimate::exact(value)).unwrap();
    }
    row
}

fn certify(rows: &[LossComponents], format: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("losses.csv");
    losses::write(&file, rows).unwrap();
    let (code, printed, notes) = run(&["certify", file.to_str().unwrap(), "--format", format]);
    assert_eq!(code, 0, "{notes}");
    (printed, notes)
}

fn lines(rows: &[LossComponents]) -> Vec<serde_json::Value> {
    serde_json::from_str(&certify(rows, "json").0).unwrap()
}

fn of<'a>(lines: &'a [serde_json::Value], claim: &str) -> &'a serde_json::Value {
    lines.iter().find(|line| line["claim"] == claim).unwrap()
}

#[test]
fn the_best_of_a_run_and_where_it_was_chosen() {
    let ln2 = 2f64.ln();
    let error = |info_nce: f64| 2.0 * info_nce / ln2 - 1.0;
    let rows = [row("", 0.1, 0.45), row("", 0.5, 0.4), row("", 1.0, 0.5)];
    let found = lines(&rows);
    assert_eq!(found.iter().filter(|line| line["claim"] == "L_sup").count(), 3);
    let best = of(&found, "error, L_Info");
    assert!((best["upper_bound"].as_f64().unwrap() - error(0.4)).abs() < 1e-7, "{best}");
    assert_eq!((&best["temperature"], &best["num_draws"]), (&0.5.into(), &2.into()));
    assert_eq!(
        (&best["measured"], &best["chance"], &best["vacuous"]),
        (&0.05.into(), &0.5.into(), &"no".into())
    );
    assert_eq!((&best["considered"], &best["chosen_on"]), (&3.into(), &"the same samples".into()));
    let moments = of(&found, "error, moments");
    assert!(moments["reason"].as_str().unwrap().contains("needs cantelli_error"), "{moments}");
    let (table, notes) = certify(&rows, "table");
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    assert!(notes.contains("chosen on the samples that are reported"), "{notes}");

    // The tuning part says which temperature, the validation part what comes out.
    let both = [
        row("tuning", 0.1, 0.38),
        row("tuning", 0.5, 0.4),
        row("validation", 0.1, 0.45),
        row("validation", 0.5, 0.36),
    ];
    let found = lines(&both);
    assert!(found.iter().all(|line| line["run"] == "of-validation"), "{found:?}");
    let best = of(&found, "error, L_Info");
    assert!((best["upper_bound"].as_f64().unwrap() - error(0.45)).abs() < 1e-7, "{best}");
    assert_eq!(best["chosen_on"], "the tuning part");
    assert!(!certify(&both, "table").1.contains("chosen on the samples"));
}

#[test]
fn a_loss_at_a_lower_temperature_bounds_the_one_above() {
    let found = lines(&[row("", 0.1, 0.36), row("", 1.0, 0.69)]);
    let at = |t: f64| found.iter().find(|line| line["claim"] == "L_sup" && line["temperature"] == t).unwrap();
    let (low, high) = (at(0.1), at(1.0));
    assert!(low["from_temperature"].is_null() && high["from_temperature"] == 0.1, "{found:?}");
    let value = |line: &serde_json::Value| line["upper_bound"].as_f64().unwrap();
    assert!((value(high) - (0.1 * value(low) + 0.9 * 2f64.ln())).abs() < 1e-12);
}

#[test]
fn with_a_confidence_the_choice_is_paid_for() {
    let measured = |n: u64, split: &str| {
        let draws = NumDraws::new(n).unwrap();
        let mut row = LossComponents::new(2, draws, 1.0, Sampling::WithoutReplacement).unwrap();
        (row.class_counts, row.num_batches) = (Some(vec![20_000, 20_000]), Some(40_000 / n));
        row.evaluated_split = split.into();
        let info_nce = if n == 2 { 0.3 } else { 2.0 };
        for (quantity, mean) in
            [(Quantity::InfoNce, info_nce), (Quantity::Gap, -0.01), (Quantity::FullSupLoss, 0.2)]
        {
            let error = Some(0.001);
            let estimate = Estimate { mean, standard_error: error, image_error: error };
            row.set(quantity, estimate).unwrap();
        }
        row
    };
    let confident = |rows: &[LossComponents]| {
        let rows: Vec<_> = rows.iter().collect();
        let table = theory::report::certify(&rows, Some(0.95)).unwrap().table(theory::report::Format::Json);
        let lines: Vec<serde_json::Value> = serde_json::from_value(table.to_json()).unwrap();
        let value = |claim: &str, name: &str| {
            let line = lines.iter().find(|line| line["claim"] == claim).unwrap();
            line[name].as_f64().unwrap()
        };
        let names = ["upper_bound", "upper_bound_0.95_normal", "upper_bound_0.95_assumption_free"];
        ["L_sup", "error, L_Info", "error, L_sup"].map(|claim| names.map(|name| value(claim, name)))
    };
    let one = confident(&[measured(2, "")]);
    for [estimate, normal, free] in one {
        assert!(estimate < normal && normal < free, "{estimate} {normal} {free}");
    }
    // Of two rows the better is the same, but compared with another: each value may fail less often.
    let two = confident(&[measured(2, ""), measured(4, "")]);
    let parts = ["validation", "tuning"].map(|part| [2, 4].map(|n| measured(n, part)));
    // On the part that is reported only the row that the tuning part chose is compared.
    assert_eq!(confident(&parts.concat()), one);
    for i in 0..3 {
        assert!(
            two[i][0] == one[i][0] && two[i][1] > one[i][1] && two[i][2] > one[i][2],
            "{i}: {one:?} {two:?}"
        );
    }
    // The best of two runs is a choice as well: its line has what holds for both with this confidence.
    let runs = [7, 11].map(|seed| {
        let mut row = measured(2, "");
        (row.run.seed, row.run.run_id) = (Some(seed), format!("s{seed}"));
        row
    });
    let rows: Vec<_> = runs.iter().collect();
    let overview = theory::report::certify(&rows, Some(0.95)).unwrap().overview().to_json();
    let shared = theory::report::certify(&rows[..1], Some(0.975)).unwrap().overview().to_json();
    for line in 0..3 {
        assert_eq!(overview[line]["best run"], "s7");
        for kind in ["normal", "any law"] {
            assert!(overview[line][kind].as_f64().unwrap() > 0.0);
            assert_eq!(overview[line][kind], shared[line][kind], "{overview}");
        }
    }
    let (code, _, errors) = run(&["certify", "none.csv", "--confidence", "2"]);
    assert!(code != 0 && errors.lines().count() == 1, "{errors}");
    assert!(theory::report::certify(&[&measured(2, "")], Some(95.0)).is_err());
}

#[test]
fn nothing_better_than_chance_is_said() {
    let (table, notes) = certify(&[row("", 0.5, 0.69)], "table");
    assert!(table.contains("† vacuous") && !notes.contains("--all"), "{table}{notes}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("losses.csv");
    losses::write(&file, &[row("", 0.5, 0.69)]).unwrap();
    let (_, _, notes) = run(&["certify", file.to_str().unwrap(), "--all"]);
    assert!(notes.contains("from L_Info: nothing better than chance"), "{notes}");
}

/// A sweep is one line a claim: the best run, and at each n the mean over its seeds.
#[test]
fn the_runs_of_a_sweep_are_one_screen() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/results/digits/losses.csv");
    let (_, short, notes) = run(&["certify", file]);
    let (_, all, _) = run(&["certify", file, "--all"]);
    let (_, json, _) = run(&["certify", file, "--format", "json"]);
    let lines: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    assert_eq!((lines.len(), all.lines().filter(|line| line.starts_with('n')).count()), (60, 60));
    assert!(short.lines().count() < 20 && notes.contains("--all"), "{short}");
    assert!(short.lines().all(|line| line.chars().count() <= 100), "{short}");
    let bounds = |run: &str| -> Vec<f64> {
        let of = |line: &&serde_json::Value| {
            line["claim"] == "error, L_sup" && line["run"].as_str().unwrap().starts_with(run)
        };
        lines.iter().filter(of).map(|line| line["upper_bound"].as_f64().unwrap()).collect()
    };
    let least = bounds("").into_iter().reduce(f64::min).unwrap();
    let found =
        |text: &str| short.lines().any(|line| line.starts_with("error, from L_sup") && line.contains(text));
    assert!(found(&format!("{least:.3}")) && found("15 of 15"), "{short}");
    let of_16 = theory::report::mean_and_deviation(&bounds("n0016"));
    assert!(found(&format!("{:.3} ± {:.3}", of_16.mean, of_16.deviation.unwrap())), "{short}");
}

/// Runs that differ in more than n and seed are no seeds of each other.
#[test]
fn every_setting_has_its_own_line() {
    let mut rows = [row("", 0.5, 0.4), row("", 0.5, 0.45), row("", 0.5, 0.5)];
    for (row, (loss, seed)) in rows.iter_mut().zip([("nt_xent", 7), ("nt_xent", 11), ("dcl", 7)]) {
        (row.run.loss, row.run.seed) = (loss.into(), Some(seed));
        row.run.run_id = format!("{loss}-{seed}");
    }
    let (table, _) = certify(&rows, "markdown");
    let of = |loss: &str| {
        let start = format!("| {loss} ");
        table.lines().find(|line| line.starts_with(&start) && line.contains("error, from L_Info")).unwrap()
    };
    let error = |info_nce: f64| 2.0 * info_nce / 2f64.ln() - 1.0;
    let both = format!("{:.3} to {:.3}", error(0.4), error(0.45));
    assert!(of("nt_xent").contains(&both) && of("nt_xent").contains("nt_xent-7"), "{table}");
    assert!(of("dcl").contains(&format!("{:.3}", error(0.5))) && of("dcl").contains("of 1"), "{table}");
}

#[test]
fn every_committed_result_is_certified() {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/results");
    let mut files = 0;
    for folder in std::fs::read_dir(results).unwrap() {
        let file = folder.unwrap().path().join("losses.csv");
        if !file.is_file() {
            continue;
        }
        let (code, printed, notes) = run(&["certify", file.to_str().unwrap(), "--format", "json"]);
        assert_eq!(code, 0, "{notes}");
        for line in serde_json::from_str::<Vec<serde_json::Value>>(&printed).unwrap() {
            let (Some(measured), Some(bound)) = (line["measured"].as_f64(), line["upper_bound"].as_f64())
            else {
                continue;
            };
            // Class means are those of the training samples: what is measured of others may exceed a bound by chance.
            assert!(bound >= measured - 0.01, "{}: {line}", file.display());
        }
        files += 1;
    }
    assert!(files >= 10, "{files}");
    let (code, _, error) = run(&["certify", "no/such.csv"]);
    assert_eq!((code, error.lines().count()), (1, 1), "{error}");
}
