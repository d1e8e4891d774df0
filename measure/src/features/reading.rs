//! Arrays at hand or of a file to [`Features`]: what does not fit together is refused, and the message says where.

use super::Features;
use super::arrays::{Array, Arrays};
use super::decode::decode;
use super::store::{Checked, FEW, Role, Store};
use crate::matrix::Matrix;
use crate::rows::FeatureRows;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

impl Features {
    /// Of arrays at hand; rows of views and of `train` are normalised here.
    ///
    /// # Errors
    /// Shapes that do not fit together, an array without rows or columns, classes without a sample or without a training
    /// sample, a class of `train` that no sample has, a row that is zero or not finite. The message names the array, the
    /// row and the value.
    pub fn new(
        view1: Matrix,
        view2: Matrix,
        labels: Vec<usize>,
        train: Option<(Matrix, Vec<usize>)>,
        mean: Option<Matrix>,
    ) -> Result<Self> {
        let unit = |name: &str, m: Matrix| Store::of_matrix(name, m, Role::Unit);
        let stored = || {
            let shape = |m: &Matrix| vec![m.rows, m.cols];
            let others = [("view2", Some(&view2)), ("mean", mean.as_ref())];
            check_shapes(&shape(&view1), others.map(|(name, m)| (name, m.map(shape))))?;
            let views = [unit("view1", view1)?, unit("view2", view2)?];
            let train = match train {
                Some((train, labels)) => Some((unit("train", train)?, labels)),
                None => None,
            };
            let mean = mean.map(|mean| Store::of_matrix("mean", mean, Role::Mean)).transpose()?;
            Features::checked(views, labels, train, mean)
        };
        stored().map_err(Error::Argument)?.into_matrices()
    }

    /// Reads a file into matrices of f64: [`open`](Features::open), for callers who want the numbers.
    ///
    /// # Errors
    /// Those of [`open`](Features::open).
    ///
    /// # Examples
    /// ```no_run
    /// let features = measure::Features::read("features.npz".as_ref())?;
    /// println!("{} samples of {} classes", features.labels.len(), features.num_classes);
    /// # Ok::<(), measure::Error>(())
    /// ```
    pub fn read(path: &Path) -> Result<Self> {
        Features::open(path)?.into_matrices()
    }
}

/// Bytes of an array that stays in its file, where it is stored as it is.
const LARGE: u64 = 1 << 26;

impl Features<Store> {
    /// Of a `.npz` or safetensors file: floats of 16, 32 or 64 bits (in safetensors bfloat16 and float8 E4M3 too), labels as any
    /// integers,
    /// arrays in C or Fortran order. Of large arrays everything is looked at once, and kept nowhere but in the file or
    /// in its type.
    ///
    /// # Errors
    /// An unreadable file, one that is no regular file, or one shorter or longer than its header says; a damaged or
    /// doubled array; a missing array, labels that are no class, a row of `mean` longer than 1, and those of
    /// [`new`](Features::new). The message names the file.
    pub fn open(path: &Path) -> Result<Self> {
        Self::of_arrays(Arrays::open(path, LARGE)?, FEW)
    }

    /// Of `.npy` files, each with the name of its array: `view1`, `view2`, `labels`, and so on.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_arrays(files: &[(&str, &Path)]) -> Result<Self> {
        let owned = |(name, path): &(&str, &Path)| (name.to_string(), PathBuf::from(path));
        Self::of_arrays(Arrays::of_files(files.iter().map(owned).collect(), LARGE), FEW)
    }

    /// At most `few` values are made f64 at once.
    pub(super) fn of_arrays(mut arrays: Arrays, few: usize) -> Result<Self> {
        let mut get = |name: &str| Ok::<_, Error>((arrays.get(name)?, arrays.path(name).to_path_buf()));
        let needed = |(array, path): (Option<Array>, PathBuf), name: &str| match array {
            Some(array) => Ok((array, path)),
            None => Err(Error::data(&path, format!("there is no array '{name}'"))),
        };
        let rows = |(array, path): (Array, PathBuf), role| {
            Store::of(array, role, few).map_err(|message| Error::data(&path, message))
        };
        let classes = |(array, path): (Array, PathBuf), rows: usize| {
            classes(&array, rows).map_err(|message| Error::data(&path, message))
        };
        let [view1, view2] = ["view1", "view2"].map(|name| needed(get(name)?, name));
        let (view1, view2, mean) = (view1?, view2?, get("mean")?);
        let path = view1.1.clone();
        let others = [("view2", Some(&view2.0)), ("mean", mean.0.as_ref())];
        let others = others.map(|(name, array)| (name, array.map(|array| array.shape.clone())));
        check_shapes(&view1.0.shape, others).map_err(|message| Error::data(&path, message))?;
        let views = [rows(view1, Role::Unit)?, rows(view2, Role::Unit)?];
        let labels = classes(needed(get("labels")?, "labels")?, views[0].count())?;
        let train = match get("train")? {
            (Some(train), path) => {
                let (name, train) = ("train_labels", rows((train, path), Role::Unit)?);
                let labels = classes(needed(get(name)?, name)?, train.count())?;
                Some((train, labels))
            }
            (None, _) => None,
        };
        let mean = match mean {
            (Some(mean), path) => Some(rows((mean, path), Role::Mean)?),
            (None, _) => None,
        };
        Self::checked(views, labels, train, mean).map_err(|message| Error::data(&path, message))
    }

    /// Of views and f̄ of one shape.
    fn checked(
        [view1, view2]: [Store; 2],
        labels: Vec<usize>,
        train: Option<(Store, Vec<usize>)>,
        mean: Option<Store>,
    ) -> Checked<Self> {
        if let Some(i) = labels.iter().position(|&label| label >= MOST_CLASSES) {
            return Err(format!("'labels' entry {i} is {}, not a class 0, 1, …", labels[i]));
        }
        let num_classes = labels.iter().max().map_or(0, |m| m + 1);
        check_classes("labels", &labels, view1.count(), num_classes)?;
        if let Some((train, labels)) = &train {
            if train.width() != view1.width() {
                return Err(format!("'train' has {} columns, 'view1' {}", train.width(), view1.width()));
            }
            check_classes("train_labels", labels, train.count(), num_classes)?;
        }
        Ok(Self { view1, view2, labels, train, mean, num_classes })
    }

    fn into_matrices(self) -> Result<Features> {
        let Self { view1, view2, labels, train, mean, num_classes } = self;
        let train = match train {
            Some((train, labels)) => Some((train.into_matrix()?, labels)),
            None => None,
        };
        let mean = mean.map(Store::into_matrix).transpose()?;
        let (view1, view2) = (view1.into_matrix()?, view2.into_matrix()?);
        Ok(Features { view1, view2, labels, train, mean, num_classes })
    }
}

/// Classes that a file may have: a label beyond is taken for a mistake.
const MOST_CLASSES: usize = 10_000_000;

/// Arrays have the shape of 'view1'; one that is no matrix is refused where it is read.
fn check_shapes(expected: &[usize], others: [(&str, Option<Vec<usize>>); 2]) -> Checked<()> {
    let wrong = |found: &[usize]| found.len() == 2 && expected.len() == 2 && found != expected;
    match others.iter().find_map(|(name, found)| Some((name, found.as_ref().filter(|f| wrong(f))?))) {
        Some((name, found)) => Err(format!("'{name}' has shape {found:?}, 'view1' has {expected:?}")),
        None => Ok(()),
    }
}

/// Classes of so many rows: whole numbers of any type, along one axis; others have length 1.
fn classes(Array { name, shape, dtype, bytes, .. }: &Array, rows: usize) -> Checked<Vec<usize>> {
    if shape.iter().filter(|&&length| length > 1).count() > 1 {
        let advice = match shape.len() {
            2 => format!(": of one-hot rows or scores save {name}.argmax(axis=1)"),
            _ => String::new(),
        };
        return Err(format!("'{name}' has shape {shape:?}, not [N]{advice}"));
    }
    check_entries(name, shape.iter().product(), rows)?;
    let mut buffer = Vec::new();
    let refused = |message: String| format!("'{name}' is not readable: {message}");
    let size = (dtype.bitsize() / 8).max(1);
    let mut values = vec![0.0; bytes.length() / size];
    let bytes = bytes.get(0..bytes.length(), &mut buffer).map_err(|e| refused(e.to_string()))?;
    decode(*dtype, bytes, &mut values).map_err(refused)?;
    let class = |(i, &v): (usize, &f64)| match v >= 0.0 && v.fract() == 0.0 && v < MOST_CLASSES as f64 {
        true => Ok(v as usize),
        false => Err(format!("'{name}' entry {i} is {v}, not a class 0, 1, …")),
    };
    values.iter().enumerate().map(class).collect()
}

/// What to do where classes are missing among the evaluated samples.
const CLASSES_ANEW: &str = "every class needs an evaluated sample and a training sample: \
    names, labels = numpy.unique(labels, return_inverse=True), and of train those of keep = \
    numpy.isin(train_labels, names), with numpy.searchsorted(names, train_labels[keep])";

fn check_entries(name: &str, entries: usize, rows: usize) -> Checked<()> {
    match entries == rows {
        true => Ok(()),
        false => Err(format!("'{name}' has {entries} entries for {rows} rows")),
    }
}

fn check_classes(name: &str, labels: &[usize], rows: usize, num_classes: usize) -> Checked<()> {
    check_entries(name, labels.len(), rows)?;
    if let Some(&label) = labels.iter().find(|&&label| label >= num_classes) {
        return Err(format!("'{name}' has class {label}, 'labels' only 0..{num_classes}; {CLASSES_ANEW}"));
    }
    match crate::absent_classes(labels, num_classes) {
        Some(absent) => Err(format!("'{name}' has no sample of {absent}; {CLASSES_ANEW}")),
        None => Ok(()),
    }
}
