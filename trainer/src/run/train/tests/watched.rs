//! Runs with a table `[monitor]`.

use super::*;

const WATCHED: [&str; 4] = ["epochs=6", "batch_size=256", "learning_rate=0.5", "monitor.every=2"];

fn watched(overrides: &[&str]) -> Config {
    config(&[&WATCHED, overrides].concat())
}

#[test]
fn a_run_that_is_watched_has_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let [plain, seen] = ["plain", "seen"].map(|name| folder.path().join(name));
    quietly(&config(&WATCHED[..3]), &plain, &Session::CPU).unwrap();
    quietly(&watched(&[]), &seen, &Session::CPU).unwrap();
    let model = |path: &Path| std::fs::read(path.join(MODEL)).unwrap();
    assert!(model(&plain) == model(&seen));
    let rows = metrics::jsonl::read(&seen.join("metrics.jsonl")).unwrap();
    for (epoch, row) in rows.iter().enumerate() {
        let accuracy = row.get("monitor/knn_accuracy");
        assert_eq!(accuracy.is_some(), epoch % 2 == 1, "after epochs 2, 4, 6");
        assert!(accuracy.is_none_or(|accuracy| accuracy > 0.5), "{accuracy:?}");
    }
    // 24 tuning samples of each digit's training samples are fewer than a batch of 256.
    let last = rows.last().unwrap();
    for (name, least, most) in [
        ("monitor/mean_accuracy", 0.5, 1.0),
        ("monitor/info_nce", 0.5, 6.0),
        ("monitor/negatives", 100.0, 255.0),
        ("monitor/alignment", 0.0, 2.0),
        ("monitor/uniformity", -4.0, 0.0),
        ("monitor/effective_rank", 1.0, 64.0),
    ] {
        let value = last.get(name).unwrap();
        assert!((least..=most).contains(&value), "{name} = {value}");
    }
}

#[test]
fn a_watched_run_that_is_interrupted_goes_on_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let config = watched(&["monitor.every=1", "monitor.keep_best=true", "monitor.metric=uniformity"]);
    let whole = folder.path().join("whole");
    quietly(&config, &whole, &Session::CPU).unwrap();
    // The stop is asked for within the looks, too, some twenty times in each.
    for steps in [31, 37, 43, 49] {
        let pieces = folder.path().join(steps.to_string());
        in_pieces(&config, &pieces, steps);
        for file in [MODEL, "metrics.jsonl"] {
            let read = |path: &Path| std::fs::read(path.join(file)).unwrap();
            assert!(read(&whole) == read(&pieces), "{steps}: {file} differs");
        }
    }
}

#[test]
fn the_best_look_is_kept_and_ends_the_training() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |name: &str, overrides: &[&str]| {
        let path = folder.path().join(name);
        let run = quietly(&watched(overrides), &path, &Session::CPU).unwrap();
        (
            std::fs::read(path.join(MODEL)).unwrap(),
            metrics::jsonl::read(&path.join("metrics.jsonl")).unwrap(),
            run,
        )
    };
    // Uniformity is best at the second look, before the images of a class come together.
    let uniformity = ["monitor.every=1", "monitor.metric=uniformity"];
    let (_, all, last) = rows("all", &uniformity);
    let values: Vec<f64> = all.iter().map(|row| row.get("monitor/uniformity").unwrap()).collect();
    assert!(values[1] < values[0] && (2..6).all(|i| values[i] > values[1]), "{values:?}");
    assert_eq!(Some(last.final_loss), all[5].get("loss"));
    let (kept, _, run) = rows("kept", &[&uniformity[..], &["monitor.keep_best=true"]].concat());
    assert_eq!(Some(run.final_loss), all[1].get("loss"));
    let (stopped, short, _) = rows("stopped", &[&uniformity[..], &["monitor.early_stop=2"]].concat());
    assert_eq!(short, all[..4], "it ends after two looks that are no better");
    let (ended, _, _) =
        rows("ended", &[&uniformity[..], &["monitor.early_stop=1", "monitor.keep_best=true"]].concat());
    let tensors =
        |bytes: &[u8]| Opened::new(bytes.to_vec()).unwrap().tensors(&candle_core::Device::Cpu).unwrap();
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (kept, ended, stopped) = (tensors(&kept), tensors(&ended), tensors(&stopped));
    for (name, tensor) in &kept {
        assert_eq!(values(tensor), values(&ended[name]), "{name}");
    }
    assert!(kept.iter().any(|(name, tensor)| values(tensor) != values(&stopped[name])));
}
