//! What the programs `measure` and `trainer measure` share: options, the measurement of a file, and what is printed.

use crate::classifiers::Classifiers;
use crate::error::{Error, Result};
use crate::features::{Features, MOST_PAIRED, Request, Store, most_of_class};
use crate::neighbours::Knn;
use crate::outcome::EvaluatedRun;
use crate::picture::Picture;
use crate::pool::never;
use crate::probe::{LinearProbe, PROBE_TOLERANCE, Ridge};
use std::path::{Path, PathBuf};
use theory::NumDraws;
use theory::losses::{LossComponents, Quantity, group};
use theory::report::{Screen, summary};
use theory::usage::{parse_decimals, parse_list};

/// How to measure, as typed.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Numbers of draws n = K+1: 8, a list 8,16, a range 8..512 or 8..512:8, or a mixture [default: that of the run's
    /// training]
    // By its path: the whole list is one value.
    #[arg(long, value_name = "LIST", value_parser = parse_list)]
    pub draws: Option<std::vec::Vec<u64>>,
    /// Temperature t [default: that of the run's training]
    #[arg(long, value_name = "T")]
    pub temperature: Option<f64>,
    /// Temperatures t, such as 0.1,0.2,0.5 or 0.1..0.5:0.1: measures every number of draws at each
    #[arg(long, value_name = "LIST", value_parser = parse_decimals, conflicts_with = "temperature")]
    pub temperatures: Option<std::vec::Vec<f64>>,
    /// Passes over the evaluated samples, each cut anew into batches of n [default: as many as make 100 batches]
    #[arg(long, value_name = "P")]
    pub passes: Option<usize>,
    /// Seed of the batches and views [default: that of the run, or 7]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// Threads; small networks gain nothing from more than one, and the result does not depend on it [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub threads: Option<u64>,
    /// Ridge (L2 penalty) of the linear probe: a number, or 'chosen' for the one of 1, 0.1, …, 1e-6 that is most
    /// accurate on every fifth training sample of each class [default: 1e-4]
    #[arg(long, value_name = "R")]
    pub linear_ridge: Option<Ridge>,
    /// Divide each feature by its own standard deviation before the linear probe [default: all by a common one]
    #[arg(long)]
    pub linear_standardise: bool,
    /// Neighbours of the kNN classifier [default: 20]
    #[arg(long, value_name = "K")]
    pub knn_k: Option<usize>,
    /// Temperature of the kNN classifier's votes, which are weighted by e^(cosine/temperature) [default: 0.1]
    #[arg(long, value_name = "T")]
    pub knn_temperature: Option<f64>,
    /// Also draw the features of up to 2,000 samples by PCA and t-SNE: picture.csv, picture.svg, picture.png
    #[arg(long)]
    pub picture: bool,
    /// Use all pairs of samples for the uniformities and the spread within classes [default: of more than 30,000 samples
    /// a random part]
    #[arg(long)]
    pub all_pairs: bool,
    /// Print nothing
    #[arg(short, long)]
    pub quiet: bool,
}

/// Arrays beside two views that are each a `.npy` file.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ArrayFiles {
    /// Classes of the samples, with two .npy files of views
    #[arg(long, value_name = "FILE.npy")]
    pub labels: Option<PathBuf>,
    /// Features of training samples, with two .npy files of views: for class means, linear probe and kNN
    #[arg(long, value_name = "FILE.npy", requires = "train_labels")]
    pub train: Option<PathBuf>,
    /// Classes of the training features
    #[arg(long, value_name = "FILE.npy", requires = "train")]
    pub train_labels: Option<PathBuf>,
    /// Mean feature f̄ of each sample over further views, with two .npy files of views
    #[arg(long, value_name = "FILE.npy")]
    pub mean: Option<PathBuf>,
}

impl ArrayFiles {
    /// Features of one file with all arrays, or of two files of views with these beside them.
    ///
    /// # Errors
    /// As [`Features::open`]; two files without labels, one with any array beside it, or another number of files.
    pub fn open(&self, features: &[PathBuf]) -> Result<Features<Store>> {
        let Self { labels, train, train_labels, mean } = self;
        let beside = [("labels", labels), ("train", train), ("train_labels", train_labels), ("mean", mean)];
        let beside: Vec<(&str, &Path)> =
            beside.into_iter().filter_map(|(name, file)| Some((name, file.as_deref()?))).collect();
        match features {
            [file] if beside.is_empty() => Features::open(file),
            [view1, view2] if labels.is_some() => {
                let views: [(&str, &Path); 2] = [("view1", view1), ("view2", view2)];
                Features::open_arrays(&[&views[..], &beside[..]].concat())
            }
            _ => Err(Error::argument(
                "features are one .npz or .safetensors file, or two .npy files of views with --labels FILE.npy",
            )),
        }
    }
}

impl Options {
    /// The numbers of draws, each once, and temperatures that can be used.
    ///
    /// # Errors
    /// A number of draws that is 0 or comes twice; a temperature that is no positive number or comes twice; no neighbour.
    pub fn check(&self) -> Result<Option<Vec<NumDraws>>> {
        let is_bad = |t: &&f64| !(t.is_finite() && **t > 0.0);
        let list = self.temperatures.as_deref().unwrap_or_default();
        for (option, given) in [("--temperature", self.temperature.as_slice()), ("--temperatures", list)] {
            if let Some(t) = given.iter().find(is_bad) {
                return Err(Error::argument(format!("{option} {t} is not a positive number")));
            }
        }
        let Knn { neighbours, temperature } = self.classifiers().knn;
        if neighbours == 0 {
            return Err(Error::argument("--knn-k 0: at least one neighbour votes"));
        }
        if is_bad(&&temperature) {
            return Err(Error::argument(format!("--knn-temperature {temperature} is not a positive number")));
        }
        if let Some((_, t)) = list.iter().enumerate().find(|(i, t)| list[..*i].contains(t)) {
            return Err(Error::argument(format!("--temperatures names {t} twice")));
        }
        let Some(list) = &self.draws else { return Ok(None) };
        if let Some((_, n)) = list.iter().enumerate().find(|(i, n)| list[..*i].contains(n)) {
            return Err(Error::argument(format!("--draws names {n} twice")));
        }
        Ok(Some(list.iter().map(|&n| NumDraws::new(n)).collect::<theory::Result<_>>()?))
    }

    /// The temperatures, of whichever option; empty where none is given.
    pub fn temperatures(&self) -> &[f64] {
        self.temperatures.as_deref().unwrap_or(self.temperature.as_slice())
    }

    /// The settings of the linear probe and of the nearest neighbours.
    pub fn classifiers(&self) -> Classifiers {
        let (linear, knn) = (LinearProbe::default(), Knn::default());
        Classifiers {
            linear: LinearProbe {
                ridge: self.linear_ridge.unwrap_or(linear.ridge),
                standardise: self.linear_standardise,
            },
            knn: Knn {
                neighbours: self.knn_k.unwrap_or(knn.neighbours),
                temperature: self.knn_temperature.unwrap_or(knn.temperature),
            },
        }
    }

    /// Threads to compute with.
    pub fn threads(&self) -> usize {
        self.threads.unwrap_or(1) as usize
    }

    /// Reads a file of features and measures it on the current pool; the rows have the file's name.
    ///
    /// # Errors
    /// As [`check`](Self::check), [`Features::open`] and [`Features::measure`]; no draws or no temperature.
    pub fn measure(&self, file: &Path) -> Result<EvaluatedRun> {
        self.measure_as(file, || Features::open(file))
    }

    /// [`measure`](Self::measure) of features from anywhere; the rows have the name of `file`.
    ///
    /// # Errors
    /// As [`measure`](Self::measure), and those of `open`.
    pub fn measure_as(
        &self,
        file: &Path,
        open: impl FnOnce() -> Result<Features<Store>>,
    ) -> Result<EvaluatedRun> {
        let (Some(draws), [_, ..]) = (self.check()?, self.temperatures()) else {
            return Err(Error::argument(
                "features need --draws LIST and --temperature T or --temperatures LIST",
            ));
        };
        let name = file.file_stem().map_or(String::new(), |stem| stem.to_string_lossy().into_owned());
        let (passes, seed, classifiers) = (self.passes, self.seed.unwrap_or(7), self.classifiers());
        let (temperatures, most_paired) =
            (self.temperatures().to_vec(), (!self.all_pairs).then_some(MOST_PAIRED));
        let request = Request { draws, temperatures, passes, seed, classifiers, most_paired };
        let features = open()?;
        let mut measured = features.measure(&name, &request, &never)?;
        if self.picture {
            let Features { view1, labels, num_classes, .. } = &features;
            measured.picture = Some(Picture::new(view1, labels, *num_classes, &never)?);
        }
        Ok(measured)
    }
}

/// What is printed of rows: what was found, the proved bounds that say something, and what to know about the columns;
/// `folder` is where the rows are written.
///
/// # Errors
/// One seed stands twice in a setting, with different values.
pub fn text(rows: &[LossComponents], folder: &Path) -> Result<String> {
    let all = format!("theory bounds {} --all", folder.display());
    let found = summary(&group(rows)?).to_screen(Screen::of_standard_output(), &all);
    Ok(format!("{found}\n{}{}", pairs_note(rows), unsolved(rows)))
}

/// A line for each linear probe that did not converge; every row of a measurement has the same.
fn unsolved(rows: &[LossComponents]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for row in rows {
        for (features, quantity) in
            [("head", Quantity::LinearGradient), ("encoder", Quantity::LinearGradientEncoder)]
        {
            if let Some(gradient) = row.get(quantity).filter(|gradient| *gradient > PROBE_TOLERANCE) {
                let line = format!(
                    "linear probe ({features}) not converged: {quantity} = {gradient:.1e} > {PROBE_TOLERANCE:e}\n"
                );
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
        }
    }
    lines.concat()
}

/// Which columns are of a part of the samples, where any is.
fn pairs_note(rows: &[LossComponents]) -> String {
    let Some((paired, row)) = rows.iter().find_map(|row| Some((row.pair_samples?, row))) else {
        return String::new();
    };
    let of_class = most_of_class(paired as usize, row.num_classes as usize);
    format!(
        "The uniformities are of {paired} samples drawn at random;\nthe spread within classes is of at most {of_class} samples \
         of a class.\n--all-pairs takes all.\n\n"
    )
}
