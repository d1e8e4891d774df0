//! Images of one's own as users bring them: from folders and lists to the same bits as from the published files,
//! damaged ones among them, by `train`, `measure` and `sweep`.

use image::{ImageBuffer, Rgb};
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[path = "../trainer/src/data/own/tests/hostile.rs"]
#[allow(dead_code)] // the tests of the reader use the rest
mod hostile;

fn trainer(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.args(args).env_remove("RUST_BACKTRACE");
    command
}

fn run(args: &[&str]) -> (i32, String) {
    text(trainer(args).output().unwrap())
}

fn text(output: Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn succeeds(args: &[&str]) -> String {
    let (code, stderr) = run(args);
    assert_eq!(code, 0, "{args:?}: {stderr}");
    stderr
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().into()
}

fn put(path: PathBuf, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Names, shapes and bytes of the weights of a run.
fn weights(run: &str) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let bytes = std::fs::read(Path::new(run).join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut weights: Vec<_> = tensors
        .tensors()
        .into_iter()
        .map(|(name, tensor)| (name, tensor.shape().to_vec(), tensor.data().to_vec()))
        .collect();
    weights.sort();
    weights
}

const QUICK: [&str; 10] = [
    "--preset",
    "digits",
    "--set",
    "epochs=1",
    "--set",
    "mean_views=2",
    "--set",
    "fbar_views=1",
    "--set",
    "warmup_epochs=0",
];

/// Pixels of image `number` of a class: 32×32 in colour.
fn pixels(number: usize, class: usize) -> ImageBuffer<Rgb<u8>, Vec<u8>> {
    ImageBuffer::from_fn(32, 32, |x, y| {
        let value = |c: u32| ((x * 7 + y * 5 + c * 80) as usize * (class + 1) + number * 13) % 256;
        Rgb([value(0) as u8, value(1) as u8, value(2) as u8])
    })
}

/// CIFAR-10's binary records: class, then all of red, of green, of blue.
fn record(number: usize, class: usize) -> Vec<u8> {
    let image = pixels(number, class);
    let channel = |c: usize| image.pixels().map(move |pixel| pixel[c]);
    std::iter::once(class as u8).chain(channel(0)).chain(channel(1)).chain(channel(2)).collect()
}

#[test]
fn cifar_as_folders_a_list_and_shards_trains_to_the_same_bits_as_the_published_files() {
    let place = tempfile::tempdir().unwrap();
    let at = place.path();
    const NAMES: [&str; 10] =
        ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
    // (class, number) in the order of the classes, as folders have it, and mixed, as the published files.
    let by_class: Vec<(usize, usize)> = (0..200).map(|i| (i / 20, i)).collect();
    let mixed: Vec<(usize, usize)> = (0..200).map(|i| by_class[i * 77 % 200]).collect();
    let test: Vec<(usize, usize)> = (0..20).map(|i| (i / 2, 500 + i)).collect();
    let binary = |name: &str, train: &[(usize, usize)]| {
        let records =
            |images: &[(usize, usize)]| images.iter().flat_map(|&(c, i)| record(i, c)).collect::<Vec<u8>>();
        for (batch, images) in train.chunks(40).enumerate() {
            put(
                at.join(format!("{name}/cifar-10-batches-bin/data_batch_{}.bin", batch + 1)),
                &records(images),
            );
        }
        put(at.join(format!("{name}/cifar-10-batches-bin/test_batch.bin")), &records(&test));
    };
    binary("ordered", &by_class);
    binary("mixed", &mixed);
    let mut list = "file,label,split\n".to_string();
    for (images, part) in [(&mixed, "train"), (&test, "val")] {
        for &(class, number) in images {
            let png = hostile::file(pixels(number, class), image::ImageFormat::Png);
            put(at.join(format!("folders/{part}/{}/{number:05}.png", NAMES[class])), &png);
            put(at.join(format!("list/images/{number}.png")), &png);
            list += &format!("images/{number}.png,{},{part}\n", NAMES[class]);
        }
    }
    put(at.join("list/labels.csv"), list.as_bytes());
    for (part, images) in [("train/0", &mixed[..70]), ("train/1", &mixed[70..]), ("val/0", &test)] {
        let mut tar = tar::Builder::new(Vec::new());
        for &(class, number) in images {
            let png = hostile::file(pixels(number, class), image::ImageFormat::Png);
            for (suffix, bytes) in [("png", &png[..]), ("cls", class.to_string().as_bytes())] {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                tar.append_data(&mut header, format!("{number:05}.{suffix}"), bytes).unwrap();
            }
        }
        put(at.join(format!("shards/{part}.tar")), &tar.into_inner().unwrap());
    }
    let train = |data: &str, dataset: &str| {
        let (data, out) = (path(at, data), path(at, &format!("run-{}", dataset.replace(' ', "-") + data)));
        let (dataset, more) = dataset.split_once(' ').unwrap_or((dataset, "seed=7"));
        let dataset = format!("dataset={dataset}");
        let mut args =
            vec!["train", "--preset", "cifar10-quick", "--data", &data, "--out", &out, "--set", more];
        for setting in [&dataset, "epochs=1", "warmup_epochs=0", "train_samples=160", "batch_size=40"] {
            args.extend(["--set", setting]);
        }
        assert_eq!(succeeds(&args).lines().filter(|line| line.contains("warning")).count(), 0);
        weights(&out)
    };
    let (ordered, mixed) = (train("ordered", "cifar10"), train("mixed", "cifar10"));
    assert!(ordered == train("folders", "folder"), "folders");
    assert!(mixed == train("list", "folder"), "a list");
    assert!(mixed == train("shards", "shards"), "tar files");
    assert!(mixed == train("shards", "shards images.cache=false"), "tar files, decoded batch by batch");
    assert!(ordered == train("folders", "folder images.cache=false"), "folders, decoded batch by batch");
    let (shards, counts) = (path(at, "shards"), path(at, "counts.txt"));
    let told = succeeds(&["counts", "--data", &shards, "--out", &counts]);
    assert!(told.contains("200 samples of 10 classes, 20 to 20 a class"), "{told}");
    assert_eq!(std::fs::read_to_string(&counts).unwrap(), "20\n".repeat(10));
    let buffered = train("shards", "shards images.shuffle_buffer=20");
    assert!(mixed != buffered, "an order of its own");
    assert!(ordered != mixed, "another order is another training");
}

#[test]
fn hostile_images_end_with_a_summary_and_a_run_that_is_measured() {
    let place = tempfile::tempdir().unwrap();
    hostile::write_folder(place.path(), 99);
    let (data, out) = (path(place.path(), ""), path(place.path(), "run"));
    let images = [
        "--set",
        "dataset=folder",
        "--set",
        "images.side=8",
        "--set",
        "images.colour=grey",
        "--set",
        "batch_size=8",
    ];
    let args = |out| [&["train", "--data", &data, "--out", out][..], &QUICK, &images].concat();
    // Two processes at once: both train, the images are decoded once.
    let other = path(place.path(), "other");
    let mut beside = trainer(&args(&other)).stderr(std::process::Stdio::null()).spawn().unwrap();
    let stderr = succeeds(&args(&out));
    assert!(beside.wait().unwrap().success());
    assert_eq!(stderr.matches("files are left out: train/").count(), 1, "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(weights(&out) == weights(&other));
    let decoded: Vec<String> = std::fs::read_dir(place.path().join(".decoded"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lock")
        .collect();
    assert_eq!(decoded, ["8-of-8-grey.images"]);
    // The folder of the images is that of the training.
    succeeds(&["measure", "--run", &out, "--draws", "4", "--passes", "2", "--quiet"]);
    assert!(place.path().join("run/losses.csv").is_file());
}

#[test]
fn a_file_of_settings_and_a_sweep_know_the_images() {
    let place = tempfile::tempdir().unwrap();
    for i in 0..80 {
        let png = hostile::file(hostile::picture(12, 10, i * i), image::ImageFormat::Png);
        put(place.path().join(format!("data/{}/{i}.png", ["x", "y"][i as usize % 2])), &png);
    }
    let settings = "preset = \"digits\"\ndataset = \"folder\"\nvalidation = 0.25\nepochs = 1\nwarmup_epochs = 0\n\
                    mean_views = 2\nfbar_views = 1\npasses = 1\nbatch_size = 8\n\
                    [images]\nside = 8\nshort_side = 9\ncolour = \"grey\"\n[grid]\nseed = [1, 2]\n";
    put(place.path().join("plan.toml"), settings.as_bytes());
    let (plan, data, out) =
        (path(place.path(), "plan.toml"), path(place.path(), "data"), path(place.path(), "out"));
    succeeds(&["sweep", &plan, "--data", &data, "--out", &out, "--jobs", "2"]);
    let losses = std::fs::read_to_string(place.path().join("out/losses.csv")).unwrap();
    assert_eq!(losses.lines().count(), 3, "{losses}");
    assert!(place.path().join("data/.decoded/8-of-9-grey.images").is_file());
    let config = std::fs::read_dir(place.path().join("out/runs"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("config.toml"))
        .find(|path| path.is_file())
        .unwrap();
    // The settings of a run are a file of settings.
    let (config, again) = (config.to_str().unwrap().to_string(), path(place.path(), "again"));
    succeeds(&["train", "--config", &config, "--data", &data, "--out", &again]);
}

/// Whether a part of DIR is to be evaluated or a share is held out: the preset takes both.
#[test]
fn the_preset_for_folders_takes_folders_with_and_without_a_part_to_be_evaluated() {
    let place = tempfile::tempdir().unwrap();
    for i in 0..160 {
        let png = hostile::file(hostile::picture(12, 10, i), image::ImageFormat::Png);
        let class = ["x", "y"][i as usize % 2];
        put(place.path().join(format!("whole/{class}/{i}.png")), &png);
        let part = if i < 140 { "train" } else { "val" };
        put(place.path().join(format!("parts/{part}/{class}/{i}.png")), &png);
    }
    for (name, note) in [("whole", false), ("parts", true)] {
        let (data, out) = (path(place.path(), name), path(place.path(), &format!("{name}-run")));
        let preset = ["train", "--preset", "folder-quick", "--set", "epochs=1", "--set", "warmup_epochs=0"];
        let stderr = succeeds(&[&preset[..], &["--data", &data, "--out", &out]].concat());
        assert_eq!(stderr.contains("note: validation = 0.2 is not used"), note, "{stderr}");
    }
}

/// Views of 16×16 from images of 24×24, as ImageNet's 224 from 256: trained on, watched, measured, exported, and read
/// again as somebody else's weights.
#[test]
fn views_may_be_smaller_or_larger_than_images() {
    let place = tempfile::tempdir().unwrap();
    for i in 0..80 {
        let png = hostile::file(hostile::picture(24, 24, i * i), image::ImageFormat::Png);
        put(place.path().join(format!("data/{}/{i}.png", ["x", "y"][i as usize % 2])), &png);
    }
    let data = path(place.path(), "data");
    for (side, encoder) in [("16", "resnet18"), ("30", "small")] {
        let (out, theirs) = (path(place.path(), side), path(place.path(), &format!("{side}-theirs")));
        let size = format!("augmentation.size={side}");
        let encoder_setting = format!("encoder={encoder}");
        let settings = [
            "dataset=folder",
            "images.colour=rgb",
            "validation=0.25",
            "batch_size=8",
            "epochs=1",
            "warmup_epochs=0",
            "monitor.every=1",
            "monitor.keep_best=true",
            &size,
            &encoder_setting,
        ];
        let settings: Vec<&str> = settings.into_iter().flat_map(|setting| ["--set", setting]).collect();
        let preset = ["--preset", "cifar10-quick", "--data", &data];
        succeeds(&[&["train", "--out", &out][..], &preset, &settings].concat());
        succeeds(&["measure", "--run", &out, "--draws", "4", "--passes", "1", "--quiet"]);
        succeeds(&["export", "--run", &out, "--to", "features"]);
        if encoder == "resnet18" {
            succeeds(&["export", "--run", &out, "--to", "torch"]);
            let weights = format!("{out}/weights.pt");
            let pixels = ["--normalise", "none", "--stem-padding", "1", "--draws", "4", "--passes", "1"];
            let torch = ["measure", "--torch", &weights, "--out", &theirs];
            succeeds(&[&torch[..], &preset, &settings, &pixels].concat());
            // The same network on the same images.
            let column = |folder: &str| -> String {
                let losses = std::fs::read_to_string(Path::new(folder).join("losses.csv")).unwrap();
                let lines: Vec<Vec<&str>> = losses.lines().map(|line| line.split(',').collect()).collect();
                let place = lines[0].iter().position(|&name| name == "knn_accuracy_encoder").unwrap();
                lines[1][place].to_string()
            };
            assert_eq!(column(&out), column(&theirs));
        }
    }
}

#[test]
fn where_the_folder_cannot_be_written_the_images_are_kept_elsewhere_or_nowhere() {
    let place = tempfile::tempdir().unwrap();
    for i in 0..40 {
        let png = hostile::file(hostile::picture(8, 8, i), image::ImageFormat::Png);
        put(place.path().join(format!("data/{}/{i}.png", ["x", "y"][i as usize % 2])), &png);
    }
    // No folder can be made in place of a file.
    put(place.path().join("data/.decoded"), b"");
    let data = path(place.path(), "data");
    let train = |name: &str, cache: &str| {
        let out = path(place.path(), name);
        let images = ["--set", "dataset=folder", "--set", "images.colour=grey", "--set", "batch_size=8"];
        let args = [&["train", "--data", &data, "--out", &out][..], &QUICK, &images].concat();
        let (code, stderr) =
            text(trainer(&args).env("XDG_CACHE_HOME", cache).env_remove("HOME").output().unwrap());
        assert_eq!(code, 0, "{stderr}");
        weights(&out)
    };
    let kept = train("kept", &path(place.path(), "cache"));
    assert!(std::fs::read_dir(place.path().join("cache/negatives-images")).unwrap().count() == 1);
    assert!(train("not-kept", "/dev/null/none") == kept);
}

#[test]
fn images_without_classes_are_measured_without_what_compares_them() {
    let place = tempfile::tempdir().unwrap();
    for i in 0..40 {
        put(
            place.path().join(format!("data/{i}.png")),
            &hostile::file(hostile::picture(8, 8, i), image::ImageFormat::Png),
        );
    }
    let (data, out) = (path(place.path(), "data"), path(place.path(), "run"));
    let images = ["--set", "dataset=folder", "--set", "images.colour=grey", "--set", "batch_size=8"];
    let train = [&["train", "--data", &data, "--out", &out][..], &QUICK, &images].concat();
    succeeds(&train);
    succeeds(&["measure", "--run", &out, "--draws", "2,4", "--quiet"]);
    let losses = std::fs::read_to_string(place.path().join("run/losses.csv")).unwrap();
    let mut lines = losses.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 2, "{losses}");
    let measured = |name: &str| {
        columns
            .iter()
            .position(|column| *column == name)
            .is_some_and(|at| rows.iter().all(|row| !row[at].is_empty()))
    };
    for name in ["info_nce", "nt_xent", "alignment", "uniformity", "effective_rank"] {
        assert!(measured(name), "{name}: {losses}");
    }
    for name in [
        "class_counts",
        "imbalance",
        "coverage",
        "collision_exact",
        "full_sup_loss",
        "gap",
        "mean_accuracy",
        "knn_k",
    ] {
        assert!(!measured(name), "{name}: {losses}");
    }
    assert!(!place.path().join("run/collision.csv").exists());
    // What is computed from such a row says what it lacks.
    let rows = theory::losses::read(&place.path().join("run/losses.csv")).unwrap();
    for bound in theory::bounds::all() {
        assert!(bound.lower_bound(&rows[0]).value().is_none(), "{}", bound.key());
    }
    // A sweep ends with a report; what trains on classes is refused.
    let plan = "preset = \"digits\"\ndataset = \"folder\"\nepochs = 1\nwarmup_epochs = 0\nmean_views = 2\n\
                passes = 1\nbatch_size = 4\n[images]\ncolour = \"grey\"\n[grid]\nseed = [1, 2]\n";
    put(place.path().join("plan.toml"), plan.as_bytes());
    let (plan, sweep) = (path(place.path(), "plan.toml"), path(place.path(), "sweep"));
    succeeds(&["sweep", &plan, "--data", &data, "--out", &sweep]);
    succeeds(&["collect", &sweep]);
    assert!(place.path().join("sweep/report.html").is_file());
    let other = path(place.path(), "other");
    let supervised = [&["train", "--data", &data, "--out", &other][..], &QUICK, &images];
    for setting in ["objective=cross-entropy", "monitor.every=1"] {
        let (code, stderr) = run(&[&supervised.concat()[..], &["--set", setting]].concat());
        assert!(code == 2 && stderr.contains("the samples have none"), "{code}: {stderr}");
    }
}
