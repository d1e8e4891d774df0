//! A picture of features: each sample a point in the colour of its class, once by the first two principal components,
//! once by t-SNE.

mod pca;
mod tsne;

use crate::error::{Error, Result};
use crate::pool::Stop;
use crate::rows::FeatureRows;
use std::fmt::Write;
use std::path::Path;
use theory::report::figure::{Format, Panel, Scatter, scatter};

/// Most samples of a picture: more would hide each other.
pub const MOST_DRAWN: usize = 2000;

/// Where the samples lie.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Which samples: their places among those that were given.
    pub samples: Vec<usize>,
    /// The class of each.
    pub classes: Vec<usize>,
    /// How many classes there are.
    pub num_classes: usize,
    /// How many samples were given.
    pub given: usize,
    /// First two principal components.
    pub pca: Vec<[f64; 2]>,
    /// Their shares of the variance, in \[0, 1\].
    pub shares: [f64; 2],
    /// By t-SNE.
    pub tsne: Vec<[f64; 2]>,
}

impl Picture {
    /// Of features \[N, d\] and the classes of the N samples, below `num_classes`: of at most 2,000 of them, each class
    /// with its share.
    ///
    /// The same features make the same bits, with any number of threads. Cost: one product of all pairs that are drawn,
    /// an eigenproblem of size d, and 1,000 steps of t-SNE on one thread.
    ///
    /// # Errors
    /// Fewer than 4 samples; another number of classes; features that are not finite; `stop` says so.
    ///
    /// # Examples
    /// ```
    /// use measure::{Picture, matrix::Matrix, never};
    /// // Two classes of ten samples, each around a point of its own.
    /// let row = |i: usize| [(i % 2) as f64, 0.01 * i as f64];
    /// let features = Matrix { rows: 20, cols: 2, data: (0..20).flat_map(row).collect() };
    /// let labels: Vec<usize> = (0..20).map(|i| i % 2).collect();
    /// let picture = Picture::new(&features, &labels, 2, &never)?;
    /// assert!(picture.shares[0] > 0.9);
    /// # Ok::<(), measure::Error>(())
    /// ```
    pub fn new<F: FeatureRows>(
        features: &F,
        labels: &[usize],
        num_classes: usize,
        stop: Stop<'_>,
    ) -> Result<Self> {
        let given = features.count();
        crate::check_labels(given, labels, num_classes)?;
        if given < tsne::FEWEST {
            return Err(Error::argument(format!("a picture needs {} samples, not {given}", tsne::FEWEST)));
        }
        let samples = shares(labels);
        let features = features.pick(&samples)?;
        let principal = pca::principal(&features)?;
        let tsne = tsne::tsne(&features, &principal, stop)?;
        let classes = samples.iter().map(|&sample| labels[sample]).collect();
        let (pca, shares) = (principal.scores, principal.shares);
        Ok(Self { samples, classes, num_classes, given, pca, shares, tsne })
    }

    /// Writes `picture.csv`, `picture.svg` and `picture.png` into a folder that exists.
    ///
    /// # Errors
    /// The operating system refuses; the figure cannot be drawn.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let figure = self.figure();
        let (svg, png) = (scatter(&figure, Format::Svg)?, scatter(&figure, Format::Png)?);
        let files = [("picture.csv", self.csv().into_bytes()), ("picture.svg", svg), ("picture.png", png)];
        let files = files.map(|(name, content)| (folder.join(name), content));
        let files: Vec<(&Path, &[u8])> = files.iter().map(|(path, content)| (&**path, &**content)).collect();
        Ok(theory::files::write_all(&files)?)
    }

    /// One line a sample: its place, its class, where it lies.
    fn csv(&self) -> String {
        let mut text = String::from("sample,class,pca_1,pca_2,tsne_1,tsne_2\n");
        let points = self.samples.iter().zip(&self.classes).zip(self.pca.iter().zip(&self.tsne));
        for ((sample, class), ([x, y], [u, v])) in points {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{sample},{class},{x},{y},{u},{v}");
        }
        text
    }

    fn figure(&self) -> Scatter {
        let axis = |index: usize| {
            format!("principal component {} ({:.1} % of the variance)", index + 1, 100.0 * self.shares[index])
        };
        let drawn = match self.samples.len() == self.given {
            true => String::new(),
            false => format!("{} of {} samples. ", self.samples.len(), self.given),
        };
        Scatter {
            title: "Features of the evaluated samples, by class".into(),
            note: format!(
                "{drawn}t-SNE keeps neighbours together; distances between its clusters, and their sizes, mean nothing."
            ),
            panels: [
                Panel { title: "PCA".into(), x_label: axis(0), y_label: axis(1), points: self.pca.clone() },
                Panel {
                    title: "t-SNE".into(),
                    x_label: "t-SNE 1 (no unit)".into(),
                    y_label: "t-SNE 2 (no unit)".into(),
                    points: self.tsne.clone(),
                },
            ],
            classes: self.classes.clone(),
            names: (0..self.num_classes).map(|class| class.to_string()).collect(),
        }
    }
}

/// At most [`MOST_DRAWN`] places, evenly spaced among the samples in the order of their classes, so that each class has
/// its share to within one; in the order of the samples.
fn shares(labels: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by_key(|&sample| labels[sample]);
    let drawn = labels.len().min(MOST_DRAWN);
    let mut samples: Vec<usize> =
        (0..drawn).map(|i| order[(2 * i + 1) * labels.len() / (2 * drawn)]).collect();
    samples.sort_unstable();
    samples
}

#[cfg(test)]
mod tests;
