//! Samples per class of a data set as it lies on disk: folders of images, a table of labels, an array of labels.
//!
//! | source | classes | their order |
//! |---|---|---|
//! | a folder with `labels.csv` | those of that file | by name, byte by byte |
//! | another folder | its folders; those of its folder `train`, where there is one | by name, byte by byte |
//! | `.npy` | the distinct integers of one axis | by value |
//! | any other file: CSV with a column `label` | the distinct labels | by name, byte by byte: `10` before `9` |
//!
//! This is how `trainer` reads `dataset = "folder"`, and for folders the order of `torchvision.datasets.ImageFolder`. In
//! a folder of a class, images count however deep they lie; files that are no images by their ending do not. A CSV with
//! a column `split` has its training samples counted (`train`), those of `val`, `validation` and `test` passed over.
//!
//! ImageNet's training folders give the counts behind the 7,709 expected draws of Nozawa & Sato's Table 3.

use crate::error::{Error, Place, Result};
use crate::files;
use crate::npy::Header;
use crate::{ClassPrior, coverage};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Endings of images.
const IMAGES: [&str; 4] = ["jpg", "jpeg", "png", "webp"];
/// Splits that are not trained on.
const EVALUATED: [&str; 3] = ["val", "validation", "test"];
/// Folders inside each other, so that links in a circle end.
const MOST_LEVELS: usize = 32;
/// Bytes of a `.npy` that are read: labels of 500 million samples.
const MOST_BYTES: u64 = 1 << 32;

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassCounts {
    /// Name of each class.
    pub names: Vec<String>,
    /// Samples of each class, none 0.
    pub counts: Vec<u64>,
    /// What was counted.
    pub place: PathBuf,
    /// Files in folders of classes, and rows of other splits, that were not counted.
    pub passed_over: u64,
}

impl ClassCounts {
    /// Counts what `source` is by its kind.
    ///
    /// # Errors
    /// What cannot be read; no class; a class without a sample; a row without a label; an array that is no list of
    /// integers.
    ///
    /// # Examples
    /// ```
    /// use theory::class_counts::ClassCounts;
    /// let folder = tempfile::tempdir()?;
    /// let table = folder.path().join("labels.csv");
    /// std::fs::write(&table, "file,label\na.png,10\nb.png,9\nc.png,10\n")?;
    /// let found = ClassCounts::of(&table)?;
    /// assert_eq!((found.names, found.counts), (vec!["10".to_string(), "9".to_string()], vec![2, 1]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of(source: &Path) -> Result<Self> {
        if fs::metadata(source).map_err(|e| Error::io(source, e))?.is_dir() {
            let table = source.join("labels.csv");
            return if files::exists(&table)? { of_table(&table) } else { of_folder(source) };
        }
        match source.extension() {
            Some(ending) if ending.eq_ignore_ascii_case("npy") => of_array(source),
            _ => of_table(source),
        }
    }

    /// Samples in all.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The file that `--counts` reads: a number a line.
    pub fn to_text(&self) -> String {
        self.counts.iter().map(|count| format!("{count}\n")).collect()
    }

    /// What was counted, on one line, with the expected number of draws until all classes are seen.
    ///
    /// # Errors
    /// A class without a sample.
    pub fn summary(&self) -> Result<String> {
        let prior = ClassPrior::from_counts(self.counts.clone())?;
        let expected = coverage::expected_draws(&prior);
        let least = self.counts.iter().min().copied().unwrap_or_default();
        let most = self.counts.iter().max().copied().unwrap_or_default();
        let passed_over = match self.passed_over {
            0 => String::new(),
            others => format!("; passed over: {others}"),
        };
        Ok(format!(
            "{}: {} samples of {} classes, {least} to {most} a class{passed_over}; all classes are seen after {expected:.2} draws on average",
            self.place.display(),
            self.total(),
            self.counts.len(),
        ))
    }
}

fn of_folder(folder: &Path) -> Result<ClassCounts> {
    let train = folder.join("train");
    let place = if fs::metadata(&train).is_ok_and(|found| found.is_dir()) { train } else { folder.into() };
    let (mut names, mut counts, mut passed_over) = (Vec::new(), Vec::new(), 0);
    for class in entries(&place)? {
        if !class.is_folder {
            continue;
        }
        let mut count = 0;
        count_images(&class.path, 0, &mut count, &mut passed_over)?;
        if count == 0 {
            let (path, endings) = (class.path.display(), IMAGES.join(", "));
            return Err(Error::argument(format!(
                "{path} is a class without an image ({endings}): fill it or remove it"
            )));
        }
        names.push(class.name);
        counts.push(count);
    }
    if counts.is_empty() {
        return Err(Error::argument(format!("{} has no folders, one a class, to count", place.display())));
    }
    Ok(ClassCounts { names, counts, place, passed_over })
}

struct Entry {
    name: String,
    path: PathBuf,
    is_folder: bool,
}

/// What a folder holds, hidden files left out, by name.
fn entries(folder: &Path) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let entry = entry.map_err(|e| Error::io(folder, e))?;
        let (name, path) = (entry.file_name(), entry.path());
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let kind = entry.file_type().map_err(|e| Error::io(&path, e))?;
        // A link that leads nowhere is an image that cannot be read, not a reason to stop.
        let is_folder = kind.is_dir() || kind.is_symlink() && fs::metadata(&path).is_ok_and(|m| m.is_dir());
        found.push((name, path, is_folder));
    }
    found.sort_unstable_by(|a, b| a.0.as_encoded_bytes().cmp(b.0.as_encoded_bytes()));
    let entry = |(name, path, is_folder): (std::ffi::OsString, _, _)| Entry {
        name: name.to_string_lossy().into_owned(),
        path,
        is_folder,
    };
    Ok(found.into_iter().map(entry).collect())
}

fn count_images(folder: &Path, level: usize, count: &mut u64, passed_over: &mut u64) -> Result<()> {
    if level == MOST_LEVELS {
        let path = folder.display();
        return Err(Error::argument(format!(
            "{path} lies {MOST_LEVELS} folders deep: is it a link to itself?"
        )));
    }
    for entry in entries(folder)? {
        if entry.is_folder {
            count_images(&entry.path, level + 1, count, passed_over)?;
        } else if entry
            .path
            .extension()
            .is_some_and(|e| IMAGES.iter().any(|image| e.eq_ignore_ascii_case(image)))
        {
            *count += 1;
        } else {
            *passed_over += 1;
        }
    }
    Ok(())
}

fn of_table(path: &Path) -> Result<ClassCounts> {
    let at = |line: Option<u64>, message: String| {
        Error::data(Place { file: path.display().to_string(), line, column: None }, message)
    };
    let unreadable =
        |e: &csv::Error| at(e.position().map(csv::Position::line), e.to_string().replace('\n', " "));
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(|e| unreadable(&e))?;
    let headers = reader.headers().map_err(|e| unreadable(&e))?.clone();
    let column = |name: &str| headers.iter().position(|header| header.trim_start_matches('\u{feff}') == name);
    let Some(label) = column("label") else {
        let found: Vec<&str> = headers.iter().take(8).collect();
        return Err(at(Some(1), format!("no column 'label' among {}", found.join(", "))));
    };
    let split = column("split");
    let (mut counts, mut passed_over) = (BTreeMap::new(), 0);
    for row in reader.records() {
        let row = row.map_err(|e| unreadable(&e))?;
        let line = || row.position().map(csv::Position::line);
        match split.and_then(|column| row.get(column)) {
            None | Some("train") => {}
            Some(other) if EVALUATED.contains(&other) => {
                passed_over += 1;
                continue;
            }
            Some(other) => return Err(at(line(), format!("the split '{other}' is neither train nor val"))),
        }
        match row.get(label).unwrap_or("") {
            "" => return Err(at(line(), "the label is empty".into())),
            name => match counts.get_mut(name) {
                Some(count) => *count += 1,
                None => drop(counts.insert(name.to_string(), 1)),
            },
        }
    }
    if counts.is_empty() {
        return Err(at(None, "it has no row to count".into()));
    }
    let (names, counts) = counts.into_iter().unzip();
    Ok(ClassCounts { names, counts, place: path.into(), passed_over })
}

fn of_array(path: &Path) -> Result<ClassCounts> {
    let bad = |message: String| {
        Error::data(Place { file: path.display().to_string(), line: None, column: None }, message)
    };
    let length = fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
    if length > MOST_BYTES {
        return Err(bad(format!("its {length} bytes exceed the limit of {MOST_BYTES}")));
    }
    let bytes = files::content(path)?.ok_or_else(|| bad("it is not there".into()))?;
    let header = Header::parse(&bytes).map_err(bad)?;
    if header.shape.len() != 1 {
        return Err(bad(format!("labels of shape {:?} where one axis is expected", header.shape)));
    }
    let mut counts = BTreeMap::new();
    for label in header.integers(&bytes).map_err(bad)? {
        *counts.entry(label).or_insert(0u64) += 1;
    }
    if counts.is_empty() {
        return Err(bad("it has no label".into()));
    }
    let (names, counts) = counts.into_iter().map(|(label, count)| (label.to_string(), count)).unzip();
    Ok(ClassCounts { names, counts, place: path.into(), passed_over: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};

    fn message(path: &Path) -> String {
        let message = ClassCounts::of(path).unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    }

    #[test]
    fn folders_count_what_image_folder_numbers() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for (class, files) in
            [("n02", &["b.JPEG", "a.png", "list.txt"][..]), ("n01", &["deep/x.webp"]), ("Z", &["1.jpg"])]
        {
            for file in files {
                let path = at(class).join(file);
                create_dir_all(path.parent().unwrap()).unwrap();
                write(path, b"").unwrap();
            }
        }
        create_dir_all(at(".cache")).unwrap();
        write(at("notes.png"), b"").unwrap();
        let found = ClassCounts::of(root.path()).unwrap();
        assert_eq!(found.names, ["Z", "n01", "n02"]);
        assert_eq!((found.counts.as_slice(), found.passed_over, found.total()), (&[1, 1, 2][..], 1, 4));
        // A list is what counts where there is one.
        write(at("labels.csv"), "file,label\nnotes.png,only\n").unwrap();
        assert_eq!(ClassCounts::of(root.path()).unwrap().names, ["only"]);
        std::fs::remove_file(at("labels.csv")).unwrap();
        // Where there is a training part, its classes count.
        create_dir_all(at("train/cat")).unwrap();
        assert!(message(root.path()).contains("cat is a class without an image"));
        write(at("train/cat/1.jpg"), b"").unwrap();
        assert_eq!(ClassCounts::of(root.path()).unwrap().names, ["cat"]);
        assert!(message(&at("train/cat")).contains("no folders, one a class"));
        assert!(message(&at("nowhere")).contains("nowhere"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_itself_ends() {
        let root = tempfile::tempdir().unwrap();
        let class = root.path().join("a");
        create_dir_all(&class).unwrap();
        std::os::unix::fs::symlink(&class, class.join("b")).unwrap();
        assert!(message(root.path()).contains("link to itself"));
    }

    #[test]
    fn tables_by_name() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("labels.csv");
        let counted = |text: &str| {
            write(&path, text).unwrap();
            ClassCounts::of(&path).map(|found| (found.names.join(" "), found.counts, found.passed_over))
        };
        let names = |text: &str, names: &str, counts: &[u64]| {
            assert_eq!(counted(text).unwrap(), (names.to_string(), counts.to_vec(), 0));
        };
        names("file,label\na,dog\nb,cat\nc,dog\n", "cat dog", &[1, 2]);
        names("label\n10\n2\n10\n-1\n", "-1 10 2", &[1, 2, 1]);
        names("\u{feff}label,file\n 1 , a\n", "1", &[1]);
        let parts = "file,label,split\na,x,train\nb,x,val\nc,y,train\n";
        assert_eq!(counted(parts).unwrap(), ("x y".into(), vec![1, 1], 1));
        for (text, expected) in [
            ("file,class\na,1\n", "line 1: no column 'label' among file, class"),
            ("file,label\na,1\nb,\n", "line 3: the label is empty"),
            ("file,label\na\n", "line 2"),
            ("file,label,split\na,1,\n", "line 2: the split '' is neither train nor val"),
            ("file,label\n", "no row to count"),
            ("", "no column 'label'"),
        ] {
            counted(text).unwrap_err();
            let found = message(&path);
            assert!(found.contains(expected), "{text:?}: {found}");
        }
    }
}
