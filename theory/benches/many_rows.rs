//! Reading, grouping and tabling 100,000 rows, each its own setting or all of one: each must take less than 5 s.
//!
//! `cargo bench -p theory --bench many_rows`

use std::fmt::Write;
use std::time::{Duration, Instant};
use theory::report::{Format, bounds_by_draws, bounds_table, measured_table};
use theory::{bounds, losses};

const ROWS: usize = 100_000;
const LIMIT: Duration = Duration::from_secs(5);

/// `ROWS` rows of the columns that most bounds need.
fn file(setting: impl Fn(usize) -> usize, seed: impl Fn(usize) -> usize) -> String {
    let mut text = String::from(
        "run_id,dataset,settings_id,seed,num_classes,class_counts,num_draws,temperature,sampling,num_batches,info_nce,info_nce_se,\
         full_sup_loss,joint_sup_loss,joint_sub_loss,gap,log1p_collisions,master_term,mean_accuracy,extra\n",
    );
    for row in 0..ROWS {
        let (setting, seed) = (setting(row), seed(row));
        let loss = 2.0 + 1e-6 * row as f64;
        let _ = writeln!(
            text,
            "r{row},digits,{setting:x},{seed},10,45;45;45;45;45;45;45;45;45;45,32,0.5,without_replacement,112,{loss},0.01,\
             1.5,1.1,0.4,-0.4,1.31,2.2,0.9,x{row}"
        );
    }
    text
}

fn main() {
    // `cargo test` runs benches with this argument, `cargo bench` with `--bench`.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    for (name, text) in
        [("100,000 settings", file(|row| row, |_| 7)), ("one setting", file(|_| 1, |row| row))]
    {
        let mut lap = Instant::now();
        let mut step = |what: &str| {
            let took = lap.elapsed();
            println!("{name}: {what} {:.2} s", took.as_secs_f64());
            lap = Instant::now();
            took
        };
        let rows = losses::read_from(&text, "losses.csv").expect("the file is sound");
        let read = step("read");
        let groups = losses::group(&rows).expect("no seed stands twice");
        let grouped = step("grouped");
        let table = bounds_table(&groups, bounds::all()).to_text(Format::Csv);
        let tabled = step("bounds table");
        assert_eq!(table.lines().count(), 1 + groups.len());
        let total = read + grouped + tabled;
        println!("{name}: together {:.2} s", total.as_secs_f64());
        assert!(total < LIMIT, "{name}: {total:?} where {LIMIT:?} are allowed");
        drop(measured_table(&groups).to_text(Format::Markdown));
        step("measured table (not in the sum)");
        drop(bounds_by_draws(&groups, bounds::all()));
        step("bounds by draws (not in the sum)");
        drop(losses::write_to(&rows));
        step("written (not in the sum)");
    }
}
