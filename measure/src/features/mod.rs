//! Features that any program made, and everything that is measured from them.
//!
//! A file is `.npz` (as `numpy.savez` and `numpy.savez_compressed` write it) or safetensors, or each array is a `.npy`;
//! `docs/features.md` shows how to make one. Arrays: `view1` \[N, d\], `view2` \[N, d\], `labels` \[N\]; optional `train` \[M, d\] with
//! `train_labels` \[M\] (class means; else both views), `mean` \[N, d\] (f̄ of each sample over more views; else the
//! other view alone, which makes d(f) conservative). Rows of views and `train` are normalised on reading; class means
//! and f̄ are not normalised again.
//!
//! Features at hand are matrices of f64 ([`Features::new`], [`Features::read`]); those that a program measures stay in
//! their file or in its type ([`Features::open`], [`Store`]), so that a million of them need little memory beside it.
//! Both give the same bits.

mod arrays;
mod bytes;
mod decode;
mod pairs;
mod store;

use crate::classifiers::Classifiers;
use crate::evaluation::{Evaluation, Views};
use crate::matrix::Matrix;
use crate::moments::Moments;
use crate::outcome::EvaluatedRun;
use crate::pool::{self, Stop};
use crate::rng::{Purpose, stream};
use crate::rows::{FeatureRows, runs};
use crate::{Error, Result};
use crate::{class_means, collision, components, geometry, mean_accuracy, mean_accuracy_two_views};
use arrays::{Array, Arrays};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use store::{Checked, FEW, Role};
use theory::NumDraws;
use theory::losses::{Estimate, Quantity};

pub use pairs::MOST_PAIRED;
pub(crate) use pairs::most_of_class;
pub use store::Store;

/// Features of N samples in two views, kept as `F`.
#[derive(Debug, Clone)]
pub struct Features<F = Matrix> {
    /// View 1 \[N, d\], unit rows: the anchors.
    pub view1: F,
    /// View 2 \[N, d\], unit rows: positives and negatives.
    pub view2: F,
    /// Class of each sample, from 0.
    pub labels: Vec<usize>,
    /// Training features \[M, d\] (unit rows) and their classes.
    pub train: Option<(F, Vec<usize>)>,
    /// f̄ of each sample \[N, d\], as given.
    pub mean: Option<F>,
    /// C: one more than the largest label.
    pub num_classes: usize,
}

/// How features are measured.
#[derive(Debug, Clone)]
pub struct Request {
    /// n = K+1, each one row.
    pub draws: Vec<NumDraws>,
    /// t.
    pub temperature: f64,
    /// Passes over the samples; `None`: as many as make 100 batches.
    pub passes: Option<usize>,
    /// Of the order of the samples, from which batches are cut.
    pub seed: u64,
    /// The linear probe and the nearest neighbours, which features with training samples get.
    pub classifiers: Classifiers,
}

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

    /// What identifies a measurement of these features beside its temperature and draws: the first 16 hexadecimal digits
    /// of SHA-256 over name, shape and values (f64, little-endian) of every array, the number of passes, and the seed,
    /// which here is that of the batches: two measurements of one encoder are no two seeds of a training. With more
    /// than [`MOST_PAIRED`] samples, that number as well.
    pub fn settings_id(&self, passes: Option<usize>, seed: u64) -> String {
        let paired = Some(MOST_PAIRED).filter(|&most| self.labels.len() > most);
        // Matrices at hand can always be read.
        self.identity(passes, seed, paired, &pool::never).unwrap_or_default()
    }
}

/// Bytes of an array that stays in its file, where it is stored as it is.
const LARGE: u64 = 1 << 26;

impl Features<Store> {
    /// Of a `.npz` or safetensors file: floats of 16, 32 or 64 bits (bfloat16 in safetensors), labels as any integers,
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
    fn of_arrays(mut arrays: Arrays, few: usize) -> Result<Self> {
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

impl<F: FeatureRows + Clone> Features<F> {
    /// Both views, as the components take them.
    pub fn views(&self) -> Views<F> {
        Views { first: self.view1.clone(), second: self.view2.clone() }
    }

    /// μ_c \[C, d\]: of the training features, else the mean over both views.
    ///
    /// # Errors
    /// A class without sample, which [`new`](Features::new) and [`open`](Features::open) refuse; a file that can no longer
    /// be read.
    pub fn class_means(&self) -> Result<Matrix> {
        if let Some((train, labels)) = &self.train {
            return class_means(train, labels, self.num_classes);
        }
        let mut means = class_means(&self.view1, &self.labels, self.num_classes)?;
        let second = class_means(&self.view2, &self.labels, self.num_classes)?;
        means.data.iter_mut().zip(&second.data).for_each(|(x, y)| *x = 0.5 * (*x + y));
        Ok(means)
    }

    /// [`settings_id`](Features::settings_id).
    ///
    /// # Errors
    /// A file that can no longer be read; `stop` says so.
    fn identity(
        &self,
        passes: Option<usize>,
        seed: u64,
        paired: Option<usize>,
        stop: Stop<'_>,
    ) -> Result<String> {
        let mut hash = Sha256::new();
        let matrices = [
            Some(("view1", &self.view1)),
            Some(("view2", &self.view2)),
            self.train.as_ref().map(|(train, _)| ("train", train)),
            self.mean.as_ref().map(|mean| ("mean", mean)),
        ];
        let mut bytes = Vec::new();
        for (name, rows) in matrices.into_iter().flatten() {
            hash.update(format!("{name} [{}, {}]\n", rows.count(), rows.width()));
            for range in runs(rows.count(), rows.width() << 4) {
                pool::check(stop, "reading features")?;
                bytes.clear();
                bytes.extend(rows.run(range)?.iter().flat_map(|value| value.to_le_bytes()));
                hash.update(&bytes);
            }
        }
        let train_labels = self.train.as_ref().map(|(_, labels)| ("train_labels", labels));
        for (name, labels) in [("labels", &self.labels)].into_iter().chain(train_labels) {
            hash.update(format!("{name} [{}, 1]\n", labels.len()));
            labels.iter().for_each(|&label| hash.update((label as f64).to_le_bytes()));
        }
        match passes {
            Some(passes) => hash.update(format!("passes {passes}\n")),
            None => hash.update("passes for 100 batches\n"),
        }
        hash.update(format!("seed {seed}\n"));
        if let Some(paired) = paired {
            hash.update(format!("pairs of {paired} samples\n"));
        }
        Ok(hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Everything that the bounds need, at each number of draws, as rows called `name`, with the spread within each
    /// class between the two views (the encoder's features are not in the file).
    ///
    /// The same bits for any number of threads of the current rayon pool.
    ///
    /// # Errors
    /// More draws than samples; a temperature that is not positive, or a setting of the classifiers out of range; an
    /// exponential or a loss that overflows.
    ///
    /// # Examples
    /// As in the documentation of the [crate].
    pub fn measure(&self, name: &str, request: &Request) -> Result<EvaluatedRun> {
        self.measure_until(name, request, &pool::never)
    }

    /// [`measure`](Self::measure), given up as soon as `stop` says so.
    ///
    /// # Errors
    /// Those of [`measure`](Self::measure); `stop` says so.
    pub fn measure_until(&self, name: &str, request: &Request, stop: Stop<'_>) -> Result<EvaluatedRun> {
        self.measure_grid(name, request, &[request.temperature], stop)
    }

    /// [`measure_until`](Self::measure_until) at each of these temperatures in place of the request's, and at each number
    /// of draws; the batches of a number of draws are the same at every temperature.
    ///
    /// # Errors
    /// Those of [`measure`](Self::measure); `stop` says so.
    pub fn measure_grid(
        &self,
        name: &str,
        request: &Request,
        temperatures: &[f64],
        stop: Stop<'_>,
    ) -> Result<EvaluatedRun> {
        self.measure_pairs(name, request, temperatures, Some(MOST_PAIRED), stop)
    }

    /// [`measure_grid`](Self::measure_grid), where of more than `most_paired` samples a random part of so many stands for
    /// all in the columns over all pairs: both uniformities, and the spread within classes (there where Σ n_c² is above
    /// its square, ⌊`most_paired`/√C⌋ of a class, each class with its share of all samples); `None`: however many there
    /// are. No error is stated of what drawing adds to the spread.
    ///
    /// # Errors
    /// Those of [`measure_grid`](Self::measure_grid).
    pub fn measure_pairs(
        &self,
        name: &str,
        request: &Request,
        temperatures: &[f64],
        most_paired: Option<usize>,
        stop: Stop<'_>,
    ) -> Result<EvaluatedRun> {
        let &Request { ref draws, passes, seed, classifiers, .. } = request;
        classifiers.knn.check()?;
        let (views, means, classes) = (self.views(), self.class_means()?, self.num_classes);
        // What depends on neither draws nor temperature.
        let share = |share| Estimate::share(share, self.labels.len());
        let members = pairs::of_classes(&self.labels, classes, most_paired, seed);
        let (spread, by_class) = collision::of_members(&views, &members, &self.labels, stop)?;
        let mut fixed = vec![
            (Quantity::MeanAccuracy, share(mean_accuracy(&means, &self.view1, &self.labels)?)),
            (Quantity::MeanAccuracyTwoViews, share(mean_accuracy_two_views(&means, &views, &self.labels)?)),
            (Quantity::CollisionSpread, Estimate::exact(spread)),
        ];
        fixed.extend(Moments::new(&means, &self.view1, &self.labels, stop)?.columns().map(
            |(quantity, value)| {
                (quantity, if quantity.is_accuracy() { share(value) } else { Estimate::exact(value) })
            },
        ));
        let paired = pairs::of_all(self.labels.len(), most_paired, seed);
        fixed.extend(geometry::of_rows(&views, paired.as_deref(), stop)?.estimates());
        if let Some((train, labels)) = &self.train {
            let train = train.whole()?;
            let linear = classifiers.linear.fit(&train, labels, classes, stop)?;
            let scored = self.share_right(|x, labels| linear.accuracy(x, labels), stop)?;
            fixed.push((Quantity::LinearAccuracy, share(scored)));
            fixed.push((Quantity::LinearRidge, Estimate::exact(linear.ridge)));
            fixed.push((Quantity::LinearGradient, Estimate::exact(linear.gradient)));
            let train = (&*train, &labels[..]);
            let vote = |x: &Matrix, own: &[usize]| classifiers.knn.accuracy(train, (x, own), classes, stop);
            fixed.push((Quantity::KnnAccuracy, share(self.share_right(vote, stop)?)));
        }
        let paired = paired.map(|paired| paired.len());
        let settings_id = self.identity(passes, seed, paired, stop)?;
        let mut rows = Vec::new();
        for (&num_draws, &temperature) in draws.iter().flat_map(|n| temperatures.iter().map(move |t| (n, t)))
        {
            let evaluation = Evaluation {
                labels: &self.labels,
                class_means: &means,
                sample_means: self.mean.as_ref(),
                temperature,
                num_draws,
                passes,
            };
            let mut order = stream(seed, Purpose::Evaluation, num_draws.get());
            let mut row = components(&evaluation, &mut order, stop, |_| Ok::<_, Error>(&views))?;
            row.run.run_id = name.into();
            row.run.seed = Some(seed);
            row.run.settings_id = settings_id.clone();
            // How many views a given mean averages, the file does not say.
            row.fbar_views = self.mean.is_none().then_some(1);
            row.pair_samples = paired.map(|paired| paired as u64);
            for &(quantity, estimate) in &fixed {
                row.set(quantity, estimate)?;
            }
            if self.train.is_some() {
                classifiers.describe(&mut row);
            }
            rows.push(row);
        }
        Ok(EvaluatedRun { rows, spreads: [by_class, Vec::new()], picture: None })
    }

    /// The share of view 1 that is right, from `accuracy(rows, their labels)` of some rows at a time.
    fn share_right(
        &self,
        accuracy: impl Fn(&Matrix, &[usize]) -> Result<f64>,
        stop: Stop<'_>,
    ) -> Result<f64> {
        let (count, cols) = (self.view1.count(), self.view1.width());
        let mut right = 0.0;
        for range in runs(count, cols.max(self.num_classes)) {
            pool::check(stop, "scoring the classifiers")?;
            let data = self.view1.run(range.clone())?.into_owned();
            let labels = &self.labels[range];
            // A share of so many rows is a whole number of them.
            let share = accuracy(&Matrix { rows: labels.len(), cols, data }, labels)?;
            right += (share * labels.len() as f64).round();
        }
        Ok(right / count as f64)
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
    decode::decode(*dtype, bytes, &mut values).map_err(refused)?;
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

#[cfg(test)]
mod tests;
