//! Which images, of which class, in which part, from tar files: see [`tar_index`](super::tar_index) for one of them.
//!
//! Shards are DIR/train/*.tar (DIR/*.tar, where there is no `train`), those of DIR/val, or of `validation` or `test`,
//! are evaluated. Images stand in the order of the bytes of the shards' names, and in a shard in its order. The
//! classes are the numbers that occur, in order; `DIR/classes.txt` names them, a line each, from 0.

use super::left_out::LeftOut;
use super::listing::{Listing, NO_CLASS, Source, Within, part_folders};
use super::tar_index::{Index, index_of_tar};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use theory::files::exists;

/// Names of the classes, where they have any.
const NAMES: &str = "classes.txt";

impl Listing {
    /// The images in the shards of a folder.
    ///
    /// # Errors
    /// There is no such folder, no shard, no class or only one; more classes than names.
    pub(super) fn of_shards(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::data(folder, "there is no such folder of shards"));
        }
        let (train, evaluated) = part_folders(folder);
        let mut shards = tars_in(folder, train)?;
        let of_train = shards.len();
        if let Some(part) = evaluated {
            shards.extend(tars_in(folder, part)?);
        }
        let indices = shards.par_iter().with_max_len(1).map(|shard| index_of(&folder.join(shard)));
        let indices = indices.collect::<Result<Vec<_>>>()?;
        let numbers: BTreeSet<u64> =
            indices.iter().flat_map(|index| &index.samples).filter_map(|sample| sample.class).collect();
        let flat = numbers.is_empty() && indices.iter().any(|index| !index.samples.is_empty());
        let classes = if flat { vec![NO_CLASS.into()] } else { names_of(folder, &numbers)? };
        let numbers: BTreeMap<u64, u32> = numbers.into_iter().zip(0..).collect();
        let (mut parts, mut left_out) = ([Vec::new(), Vec::new()], LeftOut::default());
        for ((shard, path), index) in (0..).zip(&shards).zip(indices) {
            left_out.append(index.left_out, path);
            for sample in index.samples {
                let path = path.join(sample.name.trim_start_matches('/'));
                let class = sample.class.and_then(|number| numbers.get(&number).copied());
                match class.or(flat.then_some(0)) {
                    Some(class) => parts[usize::from(shard as usize >= of_train)].push(Source {
                        path,
                        class,
                        within: Some(Within { shard, offset: sample.offset, length: sample.length }),
                    }),
                    None => left_out.add(&path.to_string_lossy(), "no class stands beside it"),
                }
            }
        }
        let (has_validation, folder) = (evaluated.is_some(), folder.to_path_buf());
        Self { folder, classes, parts, has_validation, left_out, shards, flat }.with_classes(|| {
            "two are needed, as a number in KEY.cls beside KEY.jpg (or none at all, for images without classes)"
                .into()
        })
    }
}

/// The tar files in `folder`/`part`, in the order of the bytes of their names.
fn tars_in(folder: &Path, part: &str) -> Result<Vec<PathBuf>> {
    let place = folder.join(part);
    let io = |e| Error::io(&place, e);
    let (mut found, mut packed) = (Vec::new(), false);
    for entry in std::fs::read_dir(&place).map_err(io)? {
        let name = PathBuf::from(entry.map_err(io)?.file_name());
        let bytes = name.as_os_str().as_encoded_bytes().to_ascii_lowercase();
        if bytes.starts_with(b".") {
            continue;
        }
        packed |= bytes.ends_with(b".tar.gz") || bytes.ends_with(b".tgz");
        if bytes.ends_with(b".tar") {
            found.push(Path::new(part).join(name));
        }
    }
    found.sort_by_cached_key(|path| path.as_os_str().as_encoded_bytes().to_vec());
    match found.is_empty() {
        false => Ok(found),
        true => Err(Error::data(
            &place,
            match packed {
                true => {
                    "its shards are packed: images are read from anywhere in a shard, so unpack them (gunzip)"
                }
                false => "there is no shard, KEY.tar",
            },
        )),
    }
}

fn index_of(shard: &Path) -> Result<Index> {
    let (file, length) = measure::input::open(shard)?;
    Ok(index_of_tar(file, length))
}

/// What the classes of these numbers are called.
fn names_of(folder: &Path, numbers: &BTreeSet<u64>) -> Result<Vec<String>> {
    let place = folder.join(NAMES);
    if !exists(&place)? {
        return Ok(numbers.iter().map(u64::to_string).collect());
    }
    let text = String::from_utf8(measure::input::read(&place)?)
        .map_err(|_| Error::data(&place, "is no text in UTF-8"))?;
    let names: Vec<&str> = text.lines().map(str::trim).collect();
    let name = |&number: &u64| {
        let name = usize::try_from(number).ok().and_then(|number| names.get(number).copied());
        name.filter(|name| !name.is_empty()).map(String::from).ok_or_else(|| {
            Error::data(
                &place,
                format!("there is no name of class {number} (line {})", u128::from(number) + 1),
            )
        })
    };
    numbers.iter().map(name).collect()
}
