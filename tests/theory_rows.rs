//! No row is merged with another, lost, or counted twice: whatever identifies a setting, in whatever is written of it.

use assert_cmd::Command;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use theory::bounds;
use theory::losses::{self, COLUMNS, Column, Role};
use theory::report::figure::Style;
use theory::report::{self, Format};

const FORMATS: [Format; 5] = [Format::Table, Format::Csv, Format::Json, Format::Markdown, Format::Latex];

/// Two cells of a column, from the values that the schema says it can have.
fn two_cells(column: &Column) -> [&'static str; 2] {
    match column.kind {
        "text" => ["apple", "banana"],
        "integer" => ["4", "5"],
        "number" => ["0.0012", "0.0014"],
        "integers, one a class" => ["45;45;45;45", "45;45;45;44"],
        kind => {
            let (first, second) =
                kind.split_once(" or ").unwrap_or_else(|| panic!("{}: {kind}", column.name));
            [first, second]
        }
    }
}

/// A file of one row a line, each with a cell of `column`, L_Info and L_sup; all else is the same, the seed too.
fn file(column: &Column, rows: [(&str, &str); 2]) -> String {
    let others: Vec<&Column> =
        COLUMNS.iter().filter(|c| c.role == Role::Required && c.name != column.name).collect();
    let names: Vec<&str> = others.iter().map(|c| c.name).collect();
    let cells: Vec<&str> = others.iter().map(|c| two_cells(c)[0]).collect();
    let line = |(cell, loss): (&str, &str)| format!("7,{},{cell},{loss},{loss}\n", cells.join(","));
    format!("seed,{},{},info_nce,full_sup_loss\n{}", names.join(","), column.name, rows.map(line).concat())
}

/// The pairs of rows that differ in one identifying column alone: two values, or a value and none.
fn pairs() -> Vec<(&'static Column, [&'static str; 2], String)> {
    let mut pairs = Vec::new();
    for column in COLUMNS.iter().filter(|column| column.role.identifies()) {
        let [first, second] = two_cells(column);
        // Of a column with a default the first cell may be the default.
        let others =
            [second, ""].into_iter().filter(|cell| !cell.is_empty() || column.role != Role::Required);
        for other in others {
            let known = if other.is_empty() { second } else { first };
            let text = file(column, [(known, "1.125"), (other, "2.375")]);
            pairs.push((column, [known, other], text));
        }
    }
    pairs
}

#[test]
fn two_rows_that_differ_in_one_identifying_column_are_two_groups_in_every_table() {
    for (column, cells, text) in pairs() {
        let rows = losses::read_from(&text, "losses.csv").unwrap();
        let groups = losses::group(&rows).unwrap();
        assert_eq!((groups.len(), groups.note()), (2, None), "{} {cells:?}", column.name);
        let tables = [
            report::bounds_table(&groups, bounds::all()),
            report::bounds_by_draws(&groups, bounds::all()),
            report::measured_table(&groups),
        ];
        for (table, format) in tables.iter().flat_map(|table| FORMATS.map(|format| (table, format))) {
            let text = table.to_text(format);
            for loss in ["1.125", "2.375"] {
                assert!(text.contains(loss), "{} {cells:?} {format:?}\n{text}", column.name);
            }
            let escaped = |text: &str| text.replace('_', if format == Format::Latex { "\\_" } else { "_" });
            for cell in cells {
                assert!(text.contains(&escaped(cell)), "{} {cells:?} {format:?}\n{text}", column.name);
            }
            // The heading tells the two apart; n is its own heading.
            let heading = if column.name == "num_draws" { "n = " } else { column.heading };
            assert!(text.contains(&escaped(heading)), "{} {cells:?} {format:?}\n{text}", column.name);
            if cells[1].is_empty() {
                assert!(text.contains(&escaped(column.absent)), "{text}");
            }
        }
    }
}

#[test]
fn two_rows_that_differ_in_one_identifying_column_are_two_groups_in_a_report() {
    let folder = tempfile::tempdir().unwrap();
    for (place, (column, cells, text)) in pairs().into_iter().enumerate() {
        let rows = losses::read_from(&text, "losses.csv").unwrap();
        let out = folder.path().join(place.to_string());
        report::write(&out, "Two", &rows, &[], &Style::default(), None).unwrap();
        let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
        for name in ["report.html", "bounds.md", "bounds.csv", "losses.csv"] {
            let text = read(name);
            // In losses.csv a default is an empty cell.
            let is_told = name == "losses.csv" || cells.iter().all(|cell| text.contains(cell));
            assert!(is_told, "{name}: {} {cells:?}", column.name);
            assert!(text.contains("1.125") && text.contains("2.375"), "{name}: {} {cells:?}", column.name);
        }
        // The figure has one line for each, with its name.
        let svg = read("bounds.svg");
        let labels: HashSet<&str> =
            svg.lines().filter(|line| line.starts_with("L_sup, measured, ")).collect();
        if column.name == "num_draws" {
            assert!(svg.lines().any(|line| line == "4") && svg.lines().any(|line| line == "5"));
        } else {
            assert_eq!(labels.len(), 2, "{} {cells:?}: {labels:?}", column.name);
        }
        assert_eq!(losses::read(&out.join("losses.csv")).unwrap(), rows);
    }
}

#[test]
fn groups_do_not_depend_on_the_order_of_rows() {
    for (column, _, text) in pairs() {
        let rows = losses::read_from(&text, "losses.csv").unwrap();
        let turned = [rows[1].clone(), rows[0].clone()];
        let table = |rows: &[losses::LossComponents]| {
            report::bounds_by_draws(&losses::group(rows).unwrap(), bounds::all()).to_text(Format::Csv)
        };
        assert_eq!(table(&rows), table(&turned), "{}", column.name);
    }
}

/// `theory` with these arguments: exit code, standard output, standard error.
fn theory(args: &[&str]) -> (i32, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_theory")).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Rows of these columns; the required ones and a table's worth of losses are the same in all.
    fn csv(&self, name: &str, header: &str, rows: &[&str]) -> String {
        let common = "num_draws,temperature,sampling,joint_sup_loss,joint_sub_loss,gap,log1p_collisions";
        let path: PathBuf = self.0.path().join(name);
        let rows: String =
            rows.iter().map(|row| format!("{row},32,0.5,with_replacement,1,0.4,-0.4,1.3\n")).collect();
        std::fs::write(&path, format!("{header},{common}\n{rows}")).unwrap();
        path.to_str().unwrap().to_string()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Both losses stand alone in every format, in `bounds` and in a report.
fn told_apart(files: &Files, csv: &str, heading: &str) {
    let latex = heading.replace('_', "\\_");
    for (format, heading) in
        [("table", heading), ("csv", heading), ("json", heading), ("markdown", heading), ("latex", &latex)]
    {
        // The screen names settings by what tells them apart, without headings.
        let (code, text, stderr) = theory(&["bounds", csv, "--all", "--format", format]);
        assert_eq!((code, stderr.as_str()), (0, ""));
        for word in ["2.125", "3.375", heading] {
            assert!(text.contains(word), "{word} in {format}:\n{text}");
        }
    }
    let out = files.path("report");
    let (code, _, stderr) = theory(&["report", csv, "--out", out.to_str().unwrap(), "-q"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for name in ["report.html", "bounds.md", "bounds.csv"] {
        let text = std::fs::read_to_string(out.join(name)).unwrap();
        assert!(
            text.contains("2.125") && text.contains("3.375") && text.contains(heading),
            "{name}:\n{text}"
        );
    }
}

#[test]
fn rows_that_differ_in_views_classes_or_counts_are_told_apart() {
    for (header, rows) in [
        ("num_classes,seed,fbar_views,info_nce", ["4,7,2,2.125", "4,7,8,3.375"]),
        ("num_classes,seed,info_nce", ["4,7,2.125", "5,7,3.375"]),
        ("num_classes,seed,class_counts,info_nce", ["2,7,45;45,2.125", "2,7,45;44,3.375"]),
    ] {
        let files = Files::new();
        let heading = header.split(',').find(|name| ["fbar_views", "class_counts"].contains(name));
        told_apart(&files, &files.csv("losses.csv", header, &rows), heading.unwrap_or("num_classes"));
    }
}

#[test]
fn rows_that_differ_in_head_batch_samples_or_rate_are_told_apart() {
    for (column, cells) in [
        ("head", ["linear", "mlp"]),
        ("batch_size", ["64", "128"]),
        ("train_samples", ["1000", "100"]),
        ("learning_rate", ["0.1", "0.5"]),
        ("optimiser", ["sgd", "lars"]),
        ("augmentation", ["crop", "simclr"]),
        ("imbalance", ["1", "100"]),
    ] {
        let files = Files::new();
        let rows =
            [("2.125", cells[0]), ("3.375", cells[1])].map(|(loss, cell)| format!("4,7,{cell},{loss}"));
        let rows = rows.each_ref().map(String::as_str);
        told_apart(
            &files,
            &files.csv("losses.csv", &format!("num_classes,seed,{column},info_nce"), &rows),
            column,
        );
    }
}

#[test]
fn a_file_given_twice_counts_once_and_says_so() {
    let files = Files::new();
    let csv = files.csv("losses.csv", "num_classes,seed,info_nce", &["4,7,2.125"]);
    let (code, once, stderr) = theory(&["bounds", &csv]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let (code, twice, stderr) = theory(&["bounds", &csv, &csv]);
    assert_eq!((code, &twice), (0, &once));
    assert!(stderr.starts_with("note: 1 row repeats another") && stderr.contains("line 2"), "{stderr}");
    assert!(!twice.contains('±'), "no deviation over one seed:\n{twice}");
    let (_, json, _) = theory(&["bounds", &csv, &csv, "--format", "json"]);
    assert!(json.contains("\"seeds\": 1") && !json.contains("interval"), "{json}");
    let out = files.path("report");
    let (code, _, stderr) = theory(&["report", &csv, &csv, "--out", out.to_str().unwrap(), "-q"]);
    assert!(code == 0 && stderr.contains("repeats another"), "{stderr}");
    for name in ["report.html", "bounds.md"] {
        assert!(std::fs::read_to_string(out.join(name)).unwrap().contains("repeats another"), "{name}");
    }
}

#[test]
fn one_seed_with_two_values_is_refused() {
    let files = Files::new();
    let refused = |csvs: &[&str], words: &[&str]| {
        let out = files.path("report");
        for args in [&["bounds"][..], &["report", "--out", out.to_str().unwrap()]] {
            let (code, stdout, stderr) = theory(&[args, csvs].concat());
            assert_eq!((code, stdout.as_str(), stderr.lines().count()), (1, "", 1), "{stderr}");
            assert!(
                stderr.starts_with("error: ") && words.iter().all(|word| stderr.contains(word)),
                "{stderr}"
            );
            assert!(!Path::new(&out).exists());
        }
    };
    // Two learning rates, of which the file does not tell.
    let header = "run_id,num_classes,seed,info_nce";
    let csv = files.csv("losses.csv", header, &["a,4,7,2.125", "b,4,7,3.375"]);
    let (there, here) = (format!("{csv}, line 2"), format!("{csv}, line 3, column info_nce"));
    refused(&[&csv], &[&there, &here, "seed 7", "2.125 there and 3.375 here"]);
    let other = files.csv("other.csv", header, &["b,4,7,3.375"]);
    refused(
        &[&csv.replace("losses", "other"), &files.csv("third.csv", header, &["b,4,7,3.5"])],
        &[&other, "third.csv, line 2"],
    );
    // Without seeds nothing says that these are two runs.
    let csv = files.csv("none.csv", "num_classes,info_nce", &["4,2.125", "4,3.375"]);
    refused(&[&csv], &["none.csv, line 2", "none.csv, line 3", "no seed", "seed-N"]);
    // Columns that this program does not know do not group, and so may not differ within a seed.
    let csv =
        files.csv("unknown.csv", "num_classes,seed,weather,info_nce", &["4,7,sun,2.125", "4,7,rain,2.125"]);
    refused(&[&csv], &["column weather", "sun there and rain here"]);
}

#[test]
fn checks_name_what_tells_rows_apart() {
    let header = "run_id,seed,num_classes,num_draws,temperature,sampling,collision,collision_exact\n";
    let rows = "a,7,4,8,0.5,with_replacement,0.5,0.5\na,7,4,8,0.25,with_replacement,0.5,0.5\n";
    let rows = losses::read_from(&format!("{header}{rows}"), "losses.csv").unwrap();
    let table = report::checks_table(&losses::group(&rows).unwrap());
    assert_eq!(table.headers()[..4], ["run", "n = K+1", "t", "quantity"]);
    assert_ne!(table.rows()[0], table.rows()[1]);
}

#[test]
fn a_given_number_keeps_its_digits_and_its_sign() {
    let header = "learning_rate,train_samples,num_classes,num_draws,temperature,sampling,info_nce\n";
    let line = |rate: &str, samples: u64| format!("{rate},{samples},4,8,0.5,with_replacement,2.5\n");
    let text = format!("{header}{}{}", line("0.0012", u64::MAX), line("0.00000014", 9));
    let rows = losses::read_from(&text, "losses.csv").unwrap();
    let groups = losses::group(&rows).unwrap();
    for table in [report::measured_table(&groups), report::bounds_by_draws(&groups, bounds::all())] {
        for format in FORMATS {
            let text = table.to_text(format);
            let small = if format == Format::Json { "1.4e-7" } else { "0.00000014" };
            for cell in ["0.0012", small, "18446744073709551615"] {
                assert!(text.contains(cell), "{cell} {format:?}\n{text}");
            }
        }
        assert_eq!(table.to_json()[0]["learning_rate"].as_f64(), Some(1.4e-7));
    }
}

#[test]
fn a_bad_standard_error_is_named_by_its_own_column() {
    for name in ["info_nce", "info_nce_minus_curl"] {
        for cell in ["-0.25", "inf", "NaN"] {
            let header = format!("num_classes,num_draws,temperature,sampling,{name},{name}_se");
            let text = format!("{header}\n4,8,0.5,with_replacement,2.5,{cell}\n");
            let message = losses::read_from(&text, "losses.csv").unwrap_err().to_string();
            assert!(
                message.contains(&format!("line 2, column {name}_se"))
                    && message.contains(&format!("{cell} is not a number of at least 0")),
                "{message}"
            );
        }
    }
}

#[test]
fn other_separators_and_features_that_were_not_normalised_are_named() {
    let header = "num_classes,num_draws,temperature,sampling,gap\n";
    let row = |gap: &str| format!("{header}10,32,0.5,with_replacement,{gap}\n");
    for (text, words) in [
        (
            row("-1").replace(',', ";"),
            "line 1: semicolons separate the 5 columns, where losses.csv has commas",
        ),
        (row("-1").replace(',', "\t"), "line 1: tabs separate the 5 columns"),
        (row("-4.1"), "line 2, column gap: d(f) = -4.1 is below −2/t = -4, the least"),
    ] {
        let message = losses::read_from(&text, "losses.csv").unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
    // Rounding may reach it, and one column has no separator.
    assert!(losses::read_from(&row("-4.000001"), "losses.csv").is_ok());
    let message = losses::read_from("info_nce\n1\n", "losses.csv").unwrap_err().to_string();
    assert!(message.contains("column num_classes: the column is missing"), "{message}");
}

#[test]
fn files_of_earlier_versions_are_read_as_before() {
    let text = "run_id,seed,num_classes,num_draws,temperature,sampling,info_nce,train_samples,selection,knn_k,knn_temperature,comment\n\
                a,7,4,8,0.5,with_replacement,2.5,1347,hardest:5%,20,0.1,kept\n";
    let rows = losses::read_from(text, "losses.csv").unwrap();
    let row = &rows[0];
    assert_eq!((row.run.train_samples, row.selection()), (Some(1347), Some("hardest:5%")));
    assert_eq!((row.knn_k, row.knn_temperature), (Some(20), Some(0.1)));
    assert_eq!(row.extra, [("comment".to_string(), "kept".to_string())]);
    assert_eq!((row.run.learning_rate, row.run.settings_id.as_str()), (None, ""));
    let again = losses::write_to(&rows);
    let cell = |name: &str| {
        let place = again.lines().next().unwrap().split(',').position(|n| n == name).unwrap();
        again.lines().nth(1).unwrap().split(',').nth(place).unwrap().to_string()
    };
    for (name, value) in text.lines().next().unwrap().split(',').zip(text.lines().nth(1).unwrap().split(','))
    {
        assert_eq!(cell(name), value, "{name}");
    }
}

#[test]
fn the_page_of_columns_is_what_the_program_prints() {
    let (code, printed, _) = theory(&["columns", "--format", "markdown"]);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/losses.md");
    assert_eq!(code, 0);
    assert_eq!(
        std::fs::read_to_string(page).unwrap(),
        printed,
        "write it again: theory columns --format markdown --out docs/losses.md"
    );
    for column in COLUMNS {
        assert!(printed.contains(&format!("| {} ", column.name)), "{}", column.name);
    }
}
