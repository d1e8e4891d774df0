//! Where the files of a data set are looked for.
//!
//! With DIR the folder of data sets and c₁, c₂, … the official folders and archives of the data set NAME: DIR/c₁,
//! DIR/c₂, …, then DIR/NAME/c₁, DIR/NAME/c₂, …; the first that exists is read, and none other.

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// The first of `candidates` that exists.
///
/// # Errors
/// There is no folder of data sets, or none of the candidates in it.
pub(super) fn find(folder: Option<&Path>, name: &str, candidates: &[&str]) -> Result<PathBuf> {
    let Some(folder) = folder else {
        return Err(Error::argument(format!(
            "data set '{name}' is read from files: name their folder with --data DIR (`trainer download {name} --data \
             DIR` gets them)"
        )));
    };
    let inner = folder.join(name);
    let mut places = [folder, &inner].into_iter().flat_map(|at| candidates.iter().map(move |c| at.join(c)));
    places.find(|place| place.exists()).ok_or_else(|| {
        Error::argument(format!(
            "no files of data set '{name}' under {folder}: looked for {candidates} there and in {inner}; `trainer \
             download {name} --data {folder}` gets them",
            candidates = candidates.join(", "),
            folder = folder.display(),
            inner = inner.display(),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_the_documented_one() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let candidates = ["cifar-a", "cifar-a.tar.gz"];
        let find = || find(Some(at), "cifar", &candidates);
        let message = find().unwrap_err().to_string();
        assert!(message.contains("looked for cifar-a, cifar-a.tar.gz there and in"), "{message}");
        assert!(message.ends_with(&format!("`trainer download cifar --data {}` gets them", at.display())));
        assert_eq!(message.lines().count(), 1);
        std::fs::create_dir_all(at.join("cifar/cifar-a")).unwrap();
        assert_eq!(find().unwrap(), at.join("cifar/cifar-a"));
        std::fs::write(at.join("cifar-a.tar.gz"), "").unwrap();
        assert_eq!(find().unwrap(), at.join("cifar-a.tar.gz"));
        std::fs::create_dir(at.join("cifar-a")).unwrap();
        assert_eq!(find().unwrap(), at.join("cifar-a"));
        assert!(super::find(None, "cifar", &candidates).unwrap_err().to_string().contains("--data DIR"));
    }
}
