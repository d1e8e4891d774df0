//! Features that another program made, as `.npz` or safetensors; `docs/features.md` shows how.
//!
//! Arrays: `view1` \[N, d\], `view2` \[N, d\], `labels` \[N\]; optional `train` \[M, d\] with `train_labels` \[M\] (class means;
//! else both views), `mean` \[N, d\] (f̄ of each sample over more views; else the other view alone, which makes d(f)
//! conservative). Rows of views and `train` are normalised on reading; class means and f̄ are not normalised again.

use crate::error::{Error, Result};
use candle_core::{DType, Device, Tensor};
use measure::matrix::Matrix;
use std::collections::HashMap;
use std::path::Path;

/// Features of N samples in two views.
#[derive(Debug, Clone)]
pub struct Features {
    /// View 1, unit rows.
    pub view1: Matrix,
    /// View 2, unit rows.
    pub view2: Matrix,
    /// Class of each sample, from 0.
    pub labels: Vec<usize>,
    /// Training features (unit rows) and their classes.
    pub train: Option<(Matrix, Vec<usize>)>,
    /// f̄ of each sample, as given.
    pub mean: Option<Matrix>,
    /// C: one more than the largest label.
    pub num_classes: usize,
}

/// Reads a file of features.
///
/// # Errors
/// Unreadable file, a missing array, shapes that do not fit together, labels that are no class, a class without
/// sample, a row that is zero or not finite.
pub fn read(path: &Path) -> Result<Features> {
    let arrays = arrays(path)?;
    let bad = |message: String| Error::data(path, message);
    let get = |name: &str| arrays.get(name).ok_or_else(|| bad(format!("there is no array '{name}'")));
    let matrix = |name: &str| -> Result<Matrix> {
        let tensor = get(name)?;
        let (rows, cols) = tensor
            .dims2()
            .map_err(|_| bad(format!("'{name}' has shape {:?}, not [rows, d]", tensor.dims())))?;
        let data = tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        if let Some(i) = data.iter().position(|v: &f64| !v.is_finite()) {
            return Err(bad(format!("'{name}' row {}, column {} is {}", i / cols, i % cols, data[i])));
        }
        Ok(Matrix { rows, cols, data })
    };
    let unit = |name: &str| -> Result<Matrix> {
        let mut m = matrix(name)?;
        m.normalise_rows().map_err(|row| bad(format!("'{name}' row {row} is zero: it has no direction")))?;
        Ok(m)
    };
    let labels = |name: &str, rows: usize| -> Result<Vec<usize>> {
        let tensor = get(name)?.flatten_all()?;
        let values: Vec<f64> = tensor.to_dtype(DType::F64)?.to_vec1()?;
        if values.len() != rows {
            return Err(bad(format!("'{name}' has {} entries for {rows} rows", values.len())));
        }
        let label = |(i, &v): (usize, &f64)| {
            let whole = v >= 0.0 && v.fract() == 0.0 && v < 1e7;
            if whole {
                Ok(v as usize)
            } else {
                Err(bad(format!("'{name}' entry {i} is {v}, not a class 0, 1, …")))
            }
        };
        values.iter().enumerate().map(label).collect()
    };
    let (view1, view2) = (unit("view1")?, unit("view2")?);
    let same_shape = |name: &str, m: &Matrix| {
        if (m.rows, m.cols) == (view1.rows, view1.cols) {
            return Ok(());
        }
        let (expected, found) = ([view1.rows, view1.cols], [m.rows, m.cols]);
        Err(bad(format!("'{name}' has shape {found:?}, 'view1' has {expected:?}")))
    };
    same_shape("view2", &view2)?;
    let sample_labels = labels("labels", view1.rows)?;
    let num_classes = sample_labels.iter().max().map_or(0, |m| m + 1);
    let check_classes = |name: &str, labels: &[usize]| -> Result<()> {
        if let Some(&label) = labels.iter().find(|&&label| label >= num_classes) {
            return Err(bad(format!("'{name}' has class {label}, 'labels' only 0..{num_classes}")));
        }
        let counts = measure::class_counts(labels, num_classes);
        match counts.iter().position(|&count| count == 0) {
            Some(class) => Err(bad(format!("'{name}' has no sample of class {class}"))),
            None => Ok(()),
        }
    };
    check_classes("labels", &sample_labels)?;
    let train = match arrays.contains_key("train") {
        true => {
            let train = unit("train")?;
            if train.cols != view1.cols {
                return Err(bad(format!("'train' has {} columns, 'view1' {}", train.cols, view1.cols)));
            }
            let train_labels = labels("train_labels", train.rows)?;
            check_classes("train_labels", &train_labels)?;
            Some((train, train_labels))
        }
        false => None,
    };
    let mean = arrays.contains_key("mean").then(|| matrix("mean")).transpose()?;
    if let Some(mean) = &mean {
        same_shape("mean", mean)?;
    }
    Ok(Features { view1, view2, labels: sample_labels, train, mean, num_classes })
}

fn arrays(path: &Path) -> Result<HashMap<String, Tensor>> {
    std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let unreadable =
        |e: candle_core::Error, hint: &str| Error::data(path, format!("not readable: {e}{hint}"));
    match path.extension().and_then(|e| e.to_str()) {
        Some("npz") => {
            const HINT: &str = " (what is read: numpy.savez, not savez_compressed, of arrays in C order)";
            Ok(Tensor::read_npz(path).map_err(|e| unreadable(e, HINT))?.into_iter().collect())
        }
        Some("safetensors") => {
            candle_core::safetensors::load(path, &Device::Cpu).map_err(|e| unreadable(e, ""))
        }
        _ => Err(Error::data(path, "features must be a .npz or .safetensors file")),
    }
}
