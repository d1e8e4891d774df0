use super::*;
use crate::data::registry::ag_news::FILES;
use sha2::{Digest, Sha256};

/// A data folder whose classes talk of two subjects each, the first more often.
fn folder(train_file: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("ag_news");
    std::fs::create_dir(&place).unwrap();
    let subject = |class: usize, half: usize| {
        let words: Vec<String> = (0..4).map(|i| format!("w{class}{half}{i}")).collect();
        words.join(" ")
    };
    let lines = |repeats: usize| -> String {
        (0..repeats)
            .flat_map(|_| (1..=4).flat_map(|class| [0, 0, 0, 1, 1].map(|half| (class, half))))
            .map(|(class, half)| format!("\"{class}\",\"The news,\",\"{}\"\n", subject(class, half)))
            .collect()
    };
    std::fs::write(place.join(train_file), lines(6) + "\"1\",\"rare\",\"once\"\n").unwrap();
    std::fs::write(place.join("test.csv"), lines(2) + "\"2\",\"rare\",\"new w200\"\n").unwrap();
    folder
}

fn request(name: &'static str, folder: &Path, evaluate_on: EvaluateOn) -> Result<Split> {
    super::super::load(&Request { folder: Some(folder), evaluate_on, ..Request::new(name) })
}

#[test]
fn words_come_from_the_training_texts() {
    for file in ["train.csv", "train_subset.csv"] {
        let folder = folder(file);
        let split = request("ag-news", folder.path(), EvaluateOn::Validation).unwrap();
        let (Samples::Texts(train), Samples::Texts(test)) = (&split.train, &split.evaluated) else {
            panic!("AG News is texts")
        };
        assert_eq!((train.len(), test.len(), train.num_classes()), (121, 41, 4));
        // "the", "news", "," and 32 words of subjects; "rare", "once" and "new" are unknown.
        assert_eq!(train.vocabulary().len(), 36);
        assert_eq!(train.vocabulary()[..3], [",", "news", "the"]);
        assert_eq!(train.text(120), [35, 35]);
        let last: Vec<&str> = test.text(40).iter().map(|&w| test.vocabulary()[w as usize].as_str()).collect();
        assert_eq!(last, ["<unk>", "<unk>", "w200"]);
        assert_eq!(test.rows()[0], 121);
    }
}

#[test]
fn latent_classes_are_the_subjects_within_classes() {
    let folder = folder("train.csv");
    let four = request("ag-news", folder.path(), EvaluateOn::Validation).unwrap();
    let eight = request("ag-news-8", folder.path(), EvaluateOn::Validation).unwrap();
    for (four, eight) in [(&four.train, &eight.train), (&four.evaluated, &eight.evaluated)] {
        assert_eq!(eight.num_classes(), 8);
        for (i, (c, latent)) in four.labels().iter().zip(eight.labels()).enumerate() {
            assert_eq!(latent / 2, *c);
            if i < 40 {
                assert_eq!(latent % 2, usize::from(i % 5 >= 3), "text {i}");
            }
        }
    }
}

#[test]
fn tuning_texts_are_a_tenth_of_each_class_and_leave_the_vocabulary() {
    let folder = folder("train.csv");
    let split = request("ag-news", folder.path(), EvaluateOn::Tuning).unwrap();
    assert_eq!(split.evaluated.class_counts(), [3, 3, 3, 3]);
    assert_eq!(split.train.class_counts(), [28, 27, 27, 27]);
    let again = request("ag-news", folder.path(), EvaluateOn::Tuning).unwrap();
    assert_eq!(again.evaluated.labels(), split.evaluated.labels());
    let empty = tempfile::tempdir().unwrap();
    let error = request("ag-news", empty.path(), EvaluateOn::Tuning).unwrap_err().to_string();
    assert!(error.contains("train_subset.csv") && !error.contains('\n'), "{error}");
    assert!(error.contains("`trainer download ag-news"), "{error}");
    // The whole training file comes before a subset, wherever they stand.
    for (file, text) in [("ag_news/test.csv", ""), ("ag_news/train_subset.csv", ""), ("ag-news/test.csv", "")]
    {
        std::fs::create_dir_all(empty.path().join(file).parent().unwrap()).unwrap();
        std::fs::write(empty.path().join(file), text).unwrap();
    }
    let train = || Files::find(Some(empty.path()), &FILES).unwrap().train;
    assert!(train().ends_with("ag_news/train_subset.csv"));
    std::fs::write(empty.path().join("ag-news/train.csv"), "").unwrap();
    assert!(train().ends_with("ag-news/train.csv"));
}

/// The vocabulary of the 20,000 texts of `train_subset.csv`, where the environment variable TRAINER_DATA names the
/// folder of the data sets: as Python's `csv`, `re` and `Counter` make it by torchtext's rules.
#[test]
fn the_real_files_have_their_words() {
    let folder = std::env::var_os("TRAINER_DATA").map(PathBuf::from);
    match Files::find(folder.as_deref(), &FILES) {
        Ok(files) if files.train.ends_with("train_subset.csv") => {}
        _ => return println!("skipped: TRAINER_DATA names no folder with ag_news/train_subset.csv"),
    }
    let folder = folder.unwrap();
    let four = request("ag-news", &folder, EvaluateOn::Validation).unwrap();
    assert_eq!((four.train.class_counts(), four.evaluated.class_counts()), (vec![5000; 4], vec![1900; 4]));
    let Samples::Texts(texts) = &four.train else { panic!("AG News is texts") };
    let words = texts.vocabulary();
    assert_eq!(words.len(), 11_766);
    assert_eq!(words[..8], [".", "the", ",", "to", "a", "of", "in", "and"]);
    let digest = Sha256::digest(words[..words.len() - 1].join("\n"));
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "a82619de8b708b7f911f0db639865aebae37e249c5b0c134c650e851e40880d0");
    let total: usize = (0..texts.len()).map(|i| texts.text(i).len()).sum();
    assert_eq!(total, 865_217);
    let eight = request("ag-news-8", &folder, EvaluateOn::Validation).unwrap();
    let counts = eight.train.class_counts();
    assert!(counts.chunks(2).all(|pair| pair[0] + pair[1] == 5000 && pair[0] >= pair[1]), "{counts:?}");
}
