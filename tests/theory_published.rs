//! `theory published` and the figures: printed against exact values, and pictures that can be looked at.

use assert_cmd::Command;
use serde_json::Value;
use std::collections::HashSet;
use std::path::Path;
use theory::published::{self, Row};
use theory::report::figure::{Axes, Format, Lines, Series, lines};
use theory::{Sampling, bounds};

/// Without any environment: no font of the system can be found by it.
fn run(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_theory")).env_clear().args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// All sections as JSON.
fn sections(args: &[&str]) -> Value {
    let (code, stdout, stderr) = run(&[&["published", "--format", "json"], args].concat());
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

/// The line of a section for this data set and n.
fn line<'a>(section: &'a Value, dataset: &str, draws: u64) -> &'a Value {
    let lines = section.as_array().unwrap();
    lines.iter().find(|l| l["data set"] == dataset && l["n = K+1"] == draws).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value} is no number"))
}

fn near(value: &Value, expected: f64, relative: f64) {
    let found = number(value);
    assert!((found / expected - 1.0).abs() <= relative, "{found} against {expected}");
}

#[test]
fn discrepancies_are_named_where_they_are_and_only_there() {
    let all = sections(&[]);
    let coverage = &all["coverage"];
    let noise = line(coverage, "CIFAR-100", 128);
    near(&noise["exact, independent"], 1.5036205078e-22, 1e-9);
    near(&noise["exact, without replacement"], 2.444561119e-22, 1e-9);
    assert!(noise["discrepancy"].as_str().unwrap().starts_with("4.52e-4 against 1.50e-22"), "{noise}");
    let noise = line(coverage, "CIFAR-100", 256);
    assert!(noise["discrepancy"].as_str().unwrap().starts_with("5.75e-4 against 1.23e-4"), "{noise}");
    let one_less = line(coverage, "CIFAR-10", 64)["discrepancy"].as_str().unwrap();
    assert!(
        one_less.contains("0.9869351 was computed for n = 63") && one_less.ends_with("0.9882380"),
        "{one_less}"
    );
    let flagged = coverage.as_array().unwrap().iter().filter(|l| !l["discrepancy"].is_null());
    assert!(flagged.clone().all(|l| l["data set"] == "CIFAR-100" || l["n = K+1"] == 64));
    assert_eq!(flagged.count(), 9);

    let sampling = all["sampling"].as_array().unwrap();
    let fits = |words: &str| sampling.iter().filter(|l| l["printed value fits"] == words).count();
    assert_eq!((fits("neither"), fits("independent only")), (0, 0));
    // The others that only one law would print if the counts had no sampling error are within two sd of both.
    let only = |line: &&Value| line["printed value fits"] == "without replacement only";
    let found: Vec<_> =
        sampling.iter().filter(only).map(|l| (l["n = K+1"].as_i64().unwrap(), &l["quantity"])).collect();
    assert_eq!(found.len(), fits("without replacement only"));
    assert!(found.iter().all(|(n, quantity)| [512, 640, 896].contains(n) && *quantity != "τ̂"), "{found:?}");
    assert_eq!(found.len(), 3);

    // 4 classes: ln UB = ln 1.38 + 63 ln(4/3) = 18.45 at n = 64, where 37.06 is printed.
    let saturated = line(&all["saturation"], "AG News", 64);
    near(&saturated["ln UB, independent"], 1.38f64.ln() + 63.0 * (4.0f64 / 3.0).ln(), 1e-3);
    assert!(saturated["discrepancy"].as_str().unwrap().contains("53 ln 2 = 37.06"), "{saturated}");
    for draws in [16, 32] {
        assert!(line(&all["saturation"], "AG News", draws)["discrepancy"].is_null());
    }

    let half = line(&all["half_subtraction"], "CIFAR-100", 384);
    near(&half["as coded, υ exact"], 70.0, 1e-3);
    near(&half["Eq. 10, υ exact"], 54.63, 1e-3);
    assert!(half["discrepancy"].as_str().unwrap().contains("70.0 against 54.6"), "{half}");
    let bar = line(&all["half_subtraction"], "CIFAR-100", 128);
    near(&bar["bar of the figure"], 6.11 / 0.0004517171443332115, 1e-9);
    for draws in [16, 32, 64, 128, 256, 512] {
        let bar = line(&all["half_subtraction"], "AG News", draws);
        let difference = number(&bar["ln of the bar"]) - number(&bar["ln UB printed"]);
        assert!(difference.abs() < 0.011, "{bar}");
    }

    for (dataset, draws, coded, valid, without_sub) in [
        ("CIFAR-10", 32, 48.5, 62.1, 50.1),
        ("CIFAR-100", 128, 9.32, 2.9e22, 17.9),
        ("CIFAR-100", 256, 45.5, 2.87e5, 53.4),
        ("CIFAR-100", 512, 661.0, 1161.0, 667.0),
    ] {
        let bar = line(&all["curl_bar"], dataset, draws);
        near(&bar["bar as coded, τ exact"], coded, 2e-3);
        near(&bar["valid rearrangement"], valid, 2e-3);
        near(&bar["valid, without c_sub"], without_sub, 2e-3);
        assert!(bar["discrepancy"].is_string());
    }
    assert!(line(&all["curl_bar"], "AG News", 64)["discrepancy"].is_null());
}

#[test]
fn identities_hold_within_the_printed_rounding() {
    let identities = sections(&["--section", "identities"]);
    let lines = identities["identities"].as_array().unwrap();
    assert_eq!(lines.len(), 2 * 19);
    for line in lines {
        assert!(line["discrepancy"].is_null() && number(&line["difference"]).abs() <= 0.01, "{line}");
    }
}

#[test]
fn table_three() {
    let all = sections(&["--section", "expected_draws"]);
    let lines = all["expected_draws"].as_array().unwrap();
    let printed: Vec<_> = lines.iter().map(|l| l["printed"].clone()).collect();
    assert_eq!(
        printed,
        [
            3.into(),
            9.into(),
            30.into(),
            519.into(),
            26030.into(),
            7709.into(),
            7700.into(),
            Value::Null,
            "0.96".into()
        ]
    );
    assert!(lines.iter().all(|l| l["discrepancy"].is_null()));
    assert!(lines[5]["exact"].as_str().unwrap().contains("--counts FILE"));
    near(&lines[7]["exact"], 7485.4708605503, 1e-8);
    // Equal counts are not ImageNet's: the line then says what they give.
    let folder = tempfile::tempdir().unwrap();
    let counts = folder.path().join("counts.txt");
    std::fs::write(&counts, "1281\n".repeat(1000)).unwrap();
    let all = sections(&["--section", "expected_draws", "--counts", counts.to_str().unwrap()]);
    assert_eq!(all["expected_draws"][5]["discrepancy"], "rounded up: 7486");
    std::fs::write(&counts, "1281\n".repeat(10)).unwrap();
    let all = sections(&["--section", "expected_draws", "--counts", counts.to_str().unwrap()]);
    assert_eq!(all["expected_draws"][5]["discrepancy"], "the counts have 10 classes, not 1000");
}

#[test]
fn every_bound_of_the_registry_is_shown() {
    let all = sections(&[]);
    for (section, sampling) in [
        ("upper_bounds_independent", Sampling::WithReplacement),
        ("upper_bounds_without_replacement", Sampling::WithoutReplacement),
    ] {
        for row in published::rows().unwrap() {
            let losses = published::losses(&row, sampling).unwrap();
            let shown = line(&all[section], row.dataset.name, row.num_draws.get());
            for bound in bounds::all() {
                if let Some(value) = bound.upper_bound(&losses).value() {
                    near(&shown[format!("L_sup ≤ ({})", bound.key())], value, 1e-12);
                }
            }
        }
    }
}

#[test]
fn rows_hold_what_was_printed() {
    let rows = published::rows().unwrap();
    let find = |key: &str, draws| -> &Row {
        rows.iter().find(|r| r.dataset.key == key && r.num_draws.get() == draws).unwrap()
    };
    assert_eq!(find("cifar100", 128).divisor(), Some(0.0004517171443332115));
    assert_eq!(find("cifar100", 384).divisor(), None);
    assert_eq!(
        (find("cifar100", 512).divisor(), find("cifar100", 512).notebook_constant()),
        (Some(0.62), None)
    );
    // 2 · 1.21 / 0.5967 and 2 · 0.63 / 0.6925; at 384 υ is below one half.
    let estimate = |key, draws| find(key, draws).full_sup_loss_estimate().unwrap();
    assert!((estimate("cifar100", 512).unwrap() - 4.056).abs() < 1e-3);
    assert!((estimate("cifar10", 32).unwrap() - 1.820).abs() < 1e-3);
    assert_eq!(estimate("cifar100", 384), None);
}

#[test]
fn one_file_a_section_and_one_page() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("published");
    let name = out.to_str().unwrap();
    assert_eq!(run(&["published", "--out", name, "-q"]), (0, String::new(), String::new()));
    let all = sections(&[]);
    for key in all.as_object().unwrap().keys() {
        let text = std::fs::read_to_string(out.join(format!("{key}.csv"))).unwrap();
        assert_eq!(
            csv::Reader::from_reader(text.as_bytes()).records().count(),
            all[key].as_array().unwrap().len()
        );
        let page = std::fs::read_to_string(out.join("published.html")).unwrap();
        assert!(page.contains(&format!("<h2 id=\"{key}\">")), "{key}");
    }
    for figure in ["cifar10", "cifar100", "ag_news_erase"] {
        assert_eq!(std::fs::read(out.join(format!("{figure}.png"))).unwrap()[..4], *b"\x89PNG");
        let svg = std::fs::read_to_string(out.join(format!("{figure}.svg"))).unwrap();
        // A tick of the axis that reaches 1e66 once read 1.0000000000000001e60.
        assert!(svg.starts_with("<svg") && !svg.contains("00000001e"), "{figure}");
    }
    looks_like_a_figure(&std::fs::read(out.join("cifar100.png")).unwrap());
    // Its own folder is written again; somebody else's is not.
    assert_eq!(run(&["published", "--out", name, "--format", "markdown"]).0, 0);
    assert!(out.join("coverage.md").exists());
    std::fs::write(folder.path().join("mine.txt"), "mine").unwrap();
    let (code, _, stderr) = run(&["published", "--out", folder.path().to_str().unwrap()]);
    assert!(code == 2 && stderr.contains("no report"), "{stderr}");
    // One section alone: its table and the page, and the figures where they show its values.
    for (section, names) in [
        ("coverage", &["coverage.csv", "published.html", "published.md"][..]),
        (
            "upper_bounds_without_replacement",
            &[
                "ag_news_erase.png",
                "ag_news_erase.svg",
                "cifar10.png",
                "cifar10.svg",
                "cifar100.png",
                "cifar100.svg",
                "published.html",
                "published.md",
                "upper_bounds_without_replacement.csv",
            ],
        ),
    ] {
        let out = folder.path().join(section);
        let args = ["published", "--section", section, "-q", "--out", out.to_str().unwrap()];
        assert_eq!(run(&args), (0, String::new(), String::new()));
        let entries = std::fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let found: std::collections::BTreeSet<String> = entries.collect();
        assert!(found.iter().eq(names), "{found:?}");
    }
    let (code, _, stderr) = run(&["published", "--section", "figures"]);
    assert!(code == 2 && stderr.contains("'figures' is none of printed, coverage, sampling"), "{stderr}");
}

#[test]
fn every_format_and_the_example_of_the_help() {
    let (_, help, _) = run(&["published", "--help"]);
    let example = help.lines().find_map(|l| l.strip_prefix("Example: theory ")).unwrap();
    let (code, stdout, _) = run(&example.split(' ').collect::<Vec<_>>());
    assert!(code == 0 && stdout.contains("| CIFAR-100"), "{stdout}");
    for key in sections(&[]).as_object().unwrap().keys() {
        assert!(help.contains(key.as_str()), "{key} is missing in {help}");
    }
    for (format, words) in [
        ("table", "\nCoverage υ\n==========\n"),
        ("csv", "# coverage: Coverage υ\ndata set,n = K+1,"),
        ("markdown", "## Coverage υ\n"),
        ("latex", "% coverage: Coverage υ\n{\\footnotesize"),
    ] {
        let (code, stdout, _) = run(&["published", "--format", format]);
        assert!(code == 0 && format!("\n{stdout}").contains(words), "{format}");
    }
    let (_, plain, _) = run(&["published", "--section", "curl_bar", "--format", "csv"]);
    assert_eq!(csv::Reader::from_reader(plain.as_bytes()).records().filter(Result::is_ok).count(), 19);
}

/// RGB pixels of a PNG of the promised width.
fn pixels(file: &[u8]) -> Vec<[u8; 3]> {
    assert_eq!(file[..8], *b"\x89PNG\r\n\x1a\n");
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
    let mut buffer = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut buffer).unwrap();
    assert_eq!((frame.width, frame.color_type), (1800, png::ColorType::Rgb));
    assert!((1000..3000).contains(&frame.height), "{}", frame.height);
    buffer.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect()
}

/// Mostly white, with smooth edges and something dark near every side where letters stand.
fn looks_like_a_figure(file: &[u8]) {
    let pixels = pixels(file);
    let colours: HashSet<_> = pixels.iter().collect();
    assert!(colours.len() > 200, "{} colours", colours.len());
    let white = pixels.iter().filter(|p| **p == [255; 3]).count() as f64 / pixels.len() as f64;
    assert!((0.3..0.98).contains(&white), "{white} of the pixels are white");
    let ink = |columns: std::ops::Range<usize>, lines: std::ops::Range<usize>| {
        let dark = |(i, p): (usize, &[u8; 3])| {
            columns.contains(&(i % 1800)) && lines.contains(&(i / 1800)) && p.iter().all(|&v| v < 100)
        };
        pixels.iter().enumerate().filter(|&(i, p)| dark((i, p))).count()
    };
    let height = pixels.len() / 1800;
    // Legend or title, left label, label below: letters of the font that is compiled in.
    for (columns, lines) in
        [(180..1700, 0..150), (20..70, 200..height - 100), (400..1400, height - 90..height - 10)]
    {
        assert!(ink(columns.clone(), lines.clone()) > 300, "{columns:?} {lines:?}");
    }
}

#[test]
fn the_report_and_the_curve_have_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let losses = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/results/digits/losses.csv");
    let out = folder.path().join("report");
    assert_eq!(run(&["report", losses, "--out", out.to_str().unwrap(), "-q"]).0, 0);
    looks_like_a_figure(&std::fs::read(out.join("bounds.png")).unwrap());
    let svg = std::fs::read_to_string(out.join("bounds.svg")).unwrap();
    assert!(svg.contains("font-family=\"sans-serif\"") && !svg.contains("DejaVu"));

    let curve = |file: &Path| {
        let args = ["curve", "--classes", "10", "--draws", "2..128:2", "--format", "csv", "--figure"];
        run(&[&args[..], &[file.to_str().unwrap()]].concat())
    };
    let (svg, png) = (folder.path().join("c.svg"), folder.path().join("c.png"));
    let (code, stdout, _) = curve(&svg);
    // The table on the terminal stays a table.
    assert!(code == 0 && stdout.lines().count() == 65 && stdout.starts_with("draws,upsilon"), "{stdout}");
    assert_eq!(curve(&png).0, 0);
    looks_like_a_figure(&std::fs::read(&png).unwrap());
    let text = std::fs::read_to_string(&svg).unwrap();
    for words in ["coverage υ", "collision τ", "E ln(1+Col)", "number of draws n = K+1"] {
        assert!(text.contains(words), "{words}");
    }
    let (code, _, stderr) = curve(&folder.path().join("c.jpg"));
    assert!(code == 2 && stderr.contains("ends in none of .svg, .png, .pdf"), "{stderr}");
}

#[test]
fn logarithmic_axes_and_a_single_point() {
    let powers = Series::new("10^−n", (0..200).map(|i| (1.0 + f64::from(i), 10f64.powi(-i))));
    for (log_x, log_y) in [(false, false), (false, true), (true, false), (true, true)] {
        let panel = Axes { log_y, series: vec![powers.clone()], ..Axes::default() };
        let figure = Lines { log_x, panels: vec![panel.clone(), panel], ..Lines::default() };
        assert!(pixels(&lines(&figure, Format::Png).unwrap()).contains(&[0, 114, 178]));
    }
    let point = Axes { series: vec![Series::new("one", [(3.0, 4.0)])], ..Axes::default() };
    let figure = Lines { panels: vec![point], ..Lines::default() };
    let svg = String::from_utf8(lines(&figure, Format::Svg).unwrap()).unwrap();
    assert!(svg.contains("<title>one, 3: 4.000</title>"), "{svg}");
}
