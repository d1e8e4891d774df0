//! Interrupted runs leave what uninterrupted ones leave; the event file as somebody else's definitions read it.

use super::{Metrics, Record, jsonl};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};

/// What step `step` of a run records: two names, and a third every fourth step.
fn values(step: u64) -> Vec<(&'static str, f64)> {
    let x = step as f64;
    let mut values = vec![("loss", (x + 0.1).ln()), ("learning_rate", 1.0 / (x + 3.0))];
    if step.is_multiple_of(4) {
        values.push(("eval/knn, k=5", x / 7.0));
    }
    values
}

fn record(metrics: &mut Metrics, steps: std::ops::RangeInclusive<u64>) {
    for step in steps {
        metrics.record(step, step / 5, &values(step)).unwrap();
    }
}

fn content(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap()
}

/// The only event file.
fn event_file(folder: &Path) -> PathBuf {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = entries.filter(|path| path.to_str().unwrap().ends_with(".trainer")).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[test]
fn a_resumed_run_leaves_the_bytes_of_an_uninterrupted_one() {
    let straight = tempfile::tempdir().unwrap();
    let mut metrics = Metrics::open(straight.path(), "").unwrap();
    record(&mut metrics, 1..=20);
    metrics.flush().unwrap();
    let expected = event::read(&event_file(straight.path()));
    for checkpoint in [0, 7, 12] {
        let resumed = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::open(resumed.path(), "").unwrap();
        record(&mut metrics, 1..=checkpoint);
        let kept = metrics.lines().to_string();
        record(&mut metrics, checkpoint + 1..=12); // Killed without a word at step 12.
        drop(metrics);
        // Whatever became of the file meanwhile.
        match checkpoint {
            0 => std::fs::remove_file(resumed.path().join("metrics.jsonl")).unwrap(),
            7 => std::fs::write(resumed.path().join("metrics.jsonl"), "nonsense").unwrap(),
            _ => {}
        }
        let mut metrics = Metrics::open(resumed.path(), &kept).unwrap();
        record(&mut metrics, checkpoint + 1..=20);
        metrics.flush().unwrap();
        for name in ["metrics.jsonl", "metrics.csv"] {
            assert_eq!(content(resumed.path(), name), content(straight.path(), name), "{checkpoint} {name}");
        }
        let events = event::read(&event_file(resumed.path()));
        let without_time =
            |events: &[event::Event]| events.iter().map(|e| (e.step, e.values.clone())).collect::<Vec<_>>();
        assert_eq!(without_time(&events), without_time(&expected));
        assert!(events.windows(2).all(|pair| pair[0].wall_time <= pair[1].wall_time), "{events:?}");
    }
}

#[test]
fn a_row_is_in_the_files_as_soon_as_it_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let mut metrics = Metrics::open(folder.path(), "").unwrap();
    record(&mut metrics, 1..=1);
    let line = String::from_utf8(content(folder.path(), "metrics.jsonl")).unwrap();
    assert_eq!(
        line,
        format!("{{\"step\":1,\"epoch\":0,\"loss\":{},\"learning_rate\":0.25}}\n", 1.1_f64.ln())
    );
    assert_eq!(event::read(&event_file(folder.path())).len(), 3);
    assert_eq!(content(folder.path(), "metrics.csv"), b"step,epoch\n", "made at checkpoints");
    metrics.flush().unwrap();
    let table = format!("step,epoch,loss,learning_rate\n1,0,{},0.25\n", 1.1_f64.ln());
    assert_eq!(content(folder.path(), "metrics.csv"), table.as_bytes());
}

#[test]
fn a_line_that_a_crash_cut_off_anywhere_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut metrics = Metrics::open(folder.path(), "").unwrap();
    record(&mut metrics, 1..=4);
    let whole = metrics.lines().as_bytes().to_vec();
    assert_eq!(content(folder.path(), "metrics.jsonl"), whole);
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let first = jsonl::parse(&whole[..last]).unwrap();
    assert_eq!(first.len(), 3);
    for end in last..whole.len() {
        assert_eq!(jsonl::parse(&whole[..end]).unwrap(), first, "cut at byte {end}");
    }
    // A length that reached the disk before its content.
    assert_eq!(jsonl::parse(&[&whole[..last], &[0; 40], b"\n"].concat()).unwrap(), first);
}

#[test]
fn damage_elsewhere_is_an_error_that_names_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let good = "{\"step\":1,\"epoch\":0}\n";
    for (bad, words) in [
        ("nonsense\n", "line 2: "),
        ("{\"epoch\":0}\n", "line 2: no 'step'"),
        ("{\"step\":-1,\"epoch\":0}\n", "line 2: 'step' is -1, not a whole number"),
        ("{\"step\":1,\"epoch\":0,\"a\":\"x\"}\n", "line 2: 'a' is \"x\", not a number"),
    ] {
        std::fs::write(&path, [good, bad, good].concat()).unwrap();
        let error = jsonl::read(&path).unwrap_err().to_string();
        assert!(error.starts_with(path.to_str().unwrap()) && error.contains(words), "{error}");
    }
}

#[test]
fn every_double_survives_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let special =
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MIN_POSITIVE, 5e-324, f64::MAX, 0.1 + 0.2];
    let values: Vec<f64> =
        special.into_iter().chain((0..20_000).map(|_| f64::from_bits(rng.random()))).collect();
    let mut metrics = Metrics::open(folder.path(), "").unwrap();
    for (step, value) in values.iter().enumerate() {
        metrics.record(step as u64, 0, &[("x", *value)]).unwrap();
    }
    metrics.flush().unwrap();
    let records = jsonl::read(&folder.path().join("metrics.jsonl")).unwrap();
    assert_eq!(records.len(), values.len());
    let table = String::from_utf8(content(folder.path(), "metrics.csv")).unwrap();
    let events = event::read(&event_file(folder.path()));
    for (((value, record), row), event) in
        values.iter().zip(&records).zip(table.lines().skip(1)).zip(&events[2..])
    {
        let same = |read: f64| read.to_bits() == value.to_bits() || (read.is_nan() && value.is_nan());
        assert!(same(record.get("x").unwrap()), "{value:e} became {record:?}");
        assert!(same(row.rsplit(',').next().unwrap().parse().unwrap()), "{value:e} became {row}");
        let single = event.values[0].1;
        assert!(
            single == *value as f32 || (single.is_nan() && value.is_nan()),
            "{value:e} became {single:e}"
        );
    }
}

#[test]
fn names_that_would_hide_something_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut metrics = Metrics::open(folder.path(), "").unwrap();
    for values in [&[("step", 1.0)][..], &[("epoch", 1.0)], &[("", 1.0)], &[("a", 1.0), ("a", 2.0)]] {
        let error = metrics.record(3, 0, values).unwrap_err().to_string();
        assert!(error.starts_with("metric '") && error.contains("at step 3"), "{error}");
    }
    assert_eq!(content(folder.path(), "metrics.jsonl"), b"", "and nothing was written");
    assert_eq!(event::read(&event_file(folder.path())).len(), 2);
}

#[test]
fn the_table_has_every_name_and_quotes_what_needs_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let record = |step, values: &[(&str, f64)]| {
        let values = values.iter().map(|(name, value)| (name.to_string(), *value)).collect();
        Record { step, epoch: 0, values }
    };
    let records =
        [record(1, &[("a", 1.5)]), record(2, &[("b, \"c\"", f64::NAN), ("a", -2.0)]), record(3, &[])];
    super::csv::write(&path, &records).unwrap();
    let expected = "step,epoch,a,\"b, \"\"c\"\"\"\n1,0,1.5,\n2,0,-2.0,nan\n3,0,,\n";
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
}

#[test]
fn beginning_anew_drops_our_files_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut metrics = Metrics::open(folder.path(), "").unwrap();
    record(&mut metrics, 1..=3);
    metrics.flush().unwrap();
    let foreign = folder.path().join("events.out.tfevents.1.elsewhere");
    std::fs::write(&foreign, "x").unwrap();
    let old = event_file(folder.path());
    drop(Metrics::open(folder.path(), "").unwrap());
    assert_eq!(content(folder.path(), "metrics.jsonl"), b"");
    let new = event_file(folder.path());
    assert!(new > old, "a new name, later in order: {new:?}");
    assert_eq!(event::read(&new).len(), 2);
    assert!(foreign.exists());
}

#[test]
fn times_of_day_outlive_a_crash_within_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let mut metrics = Metrics::open(folder.path(), "").unwrap();
    record(&mut metrics, 1..=300); // Steps of two bytes, too.
    let kept = metrics.lines().to_string();
    drop(metrics);
    let path = event_file(folder.path());
    let before = event::read(&path);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    drop(Metrics::open(folder.path(), &kept).unwrap());
    let after = event::read(&event_file(folder.path()));
    assert_eq!(after[2..301], before[2..301], "all but the last are as they were");
    assert_eq!(after[301].values, before[301].values);
    assert!(after[301].wall_time >= before[301].wall_time + 0.02, "the last has a new time");
}

/// Reads event files by the published formats alone, bit by bit.
mod event {
    use std::path::Path;

    #[derive(Debug, Clone, PartialEq)]
    pub(super) struct Event {
        pub(super) wall_time: f64,
        pub(super) step: u64,
        pub(super) values: Vec<(String, f32)>,
    }

    /// CRC-32C by polynomial division.
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0x82f6_3b78 } else { c >> 1 })
        })
    }

    fn masked(bytes: &[u8]) -> u32 {
        let c = crc(bytes);
        c.rotate_left(17).wrapping_add(0xa282_ead8)
    }

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return value;
            }
        }
    }

    /// Number, wire type and content of each field; a varint as its eight bytes.
    fn fields(mut bytes: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let length = match key & 7 {
                0 => {
                    fields.push((key >> 3, 0, varint(&mut bytes).to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                2 => varint(&mut bytes) as usize,
                5 => 4,
                other => panic!("wire type {other}"),
            };
            let (content, rest) = bytes.split_at(length);
            fields.push((key >> 3, key & 7, content.to_vec()));
            bytes = rest;
        }
        fields
    }

    fn value(entry: &[u8]) -> (String, f32) {
        match &fields(entry)[..] {
            [(1, 2, tag), (2, 5, value)] => {
                let value = f32::from_le_bytes(value[..].try_into().unwrap());
                (String::from_utf8(tag.clone()).unwrap(), value)
            }
            other => panic!("{other:?}"),
        }
    }

    /// All events; the first gives the version, the second the start.
    pub(super) fn read(path: &Path) -> Vec<Event> {
        assert_eq!(crc(b"123456789"), 0xe306_9283, "the published check value");
        let bytes = std::fs::read(path).unwrap();
        let (mut at, mut events) = (0, Vec::new());
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            assert_eq!(u32_at(&bytes, at + 8), masked(&bytes[at..at + 8]), "length at {at}");
            let data = &bytes[at + 12..at + 12 + length];
            assert_eq!(u32_at(&bytes, at + 12 + length), masked(data), "data at {at}");
            at += length + 16;
            let fields = fields(data);
            let [(1, 1, time), (2, 0, step), (what, 2, content)] = &fields[..] else { panic!("{fields:?}") };
            let mut values = Vec::new();
            match (events.len(), what) {
                (0, 3) => assert_eq!(content, b"brain.Event:2"),
                (1, 7) => assert_eq!(content, &[8, 1]),
                (2.., 5) => {
                    for (number, kind, entry) in self::fields(content) {
                        assert_eq!((number, kind), (1, 2));
                        values.push(value(&entry));
                    }
                }
                other => panic!("{other:?}"),
            }
            events.push(Event {
                wall_time: f64::from_le_bytes(time[..].try_into().unwrap()),
                step: u64::from_le_bytes(step[..].try_into().unwrap()),
                values,
            });
        }
        events
    }
}
