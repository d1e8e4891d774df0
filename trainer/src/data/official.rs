//! Published files: F = {(name, length in bytes, MD5)}, the folders of the network that have them, and where they are
//! looked for on this machine.
//!
//! MD5 is what the data sets' own pages publish; it proves that a file is the published one, not who published it.
//!
//! With DIR the folder of data sets and c₁, c₂, … the places of the files NAME: DIR/c₁, DIR/c₂, …, then DIR/NAME/c₁,
//! DIR/NAME/c₂, …; the first that exists is read, and none other.

use crate::error::{Error, Result};
use md5::{Digest, Md5};
use std::io::Read;
use std::path::{Path, PathBuf};

/// One published file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfficialFile {
    /// Its official name, under which it is stored.
    pub name: &'static str,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its MD5 as published: 32 lower-case hexadecimal digits.
    pub md5: &'static str,
}

/// The published files of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfficialFiles {
    /// What `trainer download` calls them, and the folder that they go to.
    pub name: &'static str,
    /// The terms of their use.
    pub terms: &'static str,
    /// Folders of the network that have them, in the order in which they are tried; each ends in `/`.
    pub addresses: &'static [&'static str],
    /// The files that are fetched; archives stay packed.
    pub files: &'static [OfficialFile],
    /// Others that are read where they lie, and never fetched.
    pub others: &'static [OfficialFile],
    /// Folders and archives that are looked for, in this order; `""` is the folder of data sets itself.
    pub places: &'static [&'static str],
}

impl OfficialFiles {
    /// Length of all files that are fetched, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The first place that exists: see the head of the file.
    ///
    /// # Errors
    /// There is no folder of data sets, or none of the places in it; a place of which the operating system does not say
    /// whether it exists.
    pub fn find(&self, folder: Option<&Path>) -> Result<PathBuf> {
        let name = self.name;
        let Some(folder) = folder else {
            return Err(Error::argument(format!(
                "data set '{name}' is read from files: name their folder with --data DIR (`trainer download {name} \
                 --data DIR` gets them)"
            )));
        };
        let inner = folder.join(name);
        let places = [folder, &inner].into_iter().flat_map(|at| self.places.iter().map(move |c| at.join(c)));
        for place in places {
            if theory::files::exists(&place)? {
                return Ok(place);
            }
        }
        Err(Error::argument(format!(
            "no files of data set '{name}' under {folder}: looked for {places} there and in {inner}; `trainer \
             download {name} --data {folder}` gets them",
            places = self.places.join(", "),
            folder = folder.display(),
            inner = inner.display(),
        )))
    }

    /// Compares a file of an official name with its published MD5; one of another name is not checked.
    ///
    /// # Errors
    /// The file is not readable, or is not the published one.
    pub fn check(&self, path: &Path) -> Result<()> {
        let mut known = self.files.iter().chain(self.others);
        let Some(OfficialFile { md5, .. }) = known.find(|file| path.file_name() == Some(file.name.as_ref()))
        else {
            return Ok(());
        };
        let found = md5_of(path)?;
        if found == *md5 {
            return Ok(());
        }
        let length = std::fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
        Err(Error::data(
            path,
            format!(
                "the MD5 of its {length} bytes is {found}, not the published {md5}: not the official file, or cut \
                 short (a file with its own content is read from where it lies unpacked)"
            ),
        ))
    }
}

/// The MD5 of a file, in hexadecimal digits.
///
/// # Errors
/// The file is not readable.
pub fn md5_of(path: &Path) -> Result<String> {
    let (mut file, _) = measure::input::open(path)?;
    let (mut digest, mut buffer) = (Md5::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).map_err(|e| Error::io(path, e))? {
            0 => break,
            length => digest.update(&buffer[..length]),
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: OfficialFiles = OfficialFiles {
        name: "cifar",
        terms: "none",
        addresses: &[],
        files: &[],
        others: &[OfficialFile { name: "abc.gz", bytes: 3, md5: "c32a1d4ab5d03f1284b67883e8d87530" }],
        places: &["cifar-a", "cifar-a.tar.gz"],
    };

    #[test]
    fn a_file_under_an_official_name_must_be_the_official_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc.gz");
        std::fs::write(&path, "abc").unwrap();
        // RFC 1321's test suite.
        assert_eq!(md5_of(&path).unwrap(), "900150983cd24fb0d6963f7d28e17f72");
        let error = FILES.check(&path).unwrap_err().to_string();
        assert!(
            error.contains("3 bytes is 900150983cd24fb0d6963f7d28e17f72, not the published c32a1d4a"),
            "{error}"
        );
        OfficialFiles { others: &[], ..FILES }.check(&path).unwrap();
    }

    #[test]
    fn the_order_is_the_documented_one() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let find = || FILES.find(Some(at));
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
        assert!(FILES.find(None).unwrap_err().to_string().contains("--data DIR"));
    }
}
