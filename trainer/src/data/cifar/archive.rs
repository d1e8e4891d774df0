//! CIFAR's official archives: a packed tar file with one folder, read as a stream; nothing is written to disk.

use super::{Classes, IMAGE, Layout, Records, images, ordered};
use crate::data::Images;
use crate::data::source::Bounded;
use crate::error::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use std::io::BufRead;
use std::ops::Range;
use std::path::{Component, Path};
use tar::EntryType;

/// Bytes that an archive may unpack to: twice its 60,000 images with their labels and names, for a packed stream of a few
/// bytes can stand for any number of them.
const MOST_UNPACKED: u64 = 2 * 60_000 * (IMAGE as u64 + 64);

/// Training and test images of an archive; `place` is for messages. Entries of other names are passed over.
///
/// # Errors
/// A damaged archive, or one that unpacks to more than twice an official one; an entry that is neither a plain file nor a folder, or whose path is absolute or leads upwards
/// (refused by name, though nothing would be written); a file of the layout that is missing or comes twice; and those
/// of the files' readers.
pub fn read(
    stream: impl BufRead,
    place: &Path,
    layout: &Layout,
    classes: Classes,
) -> Result<(Images, Images)> {
    let bad = |message: String| Error::data(place, message);
    // The library's messages repeat names as they stand in the archive, which may hold anything.
    let damaged = |e: std::io::Error| bad(format!("not readable: {}", printable(&e.to_string())));
    let (mut train, mut test) = (Records::default(), Records::default());
    let mut ranges: Vec<Option<Range<usize>>> = vec![None; layout.train.len() + 1];
    let mut archive = tar::Archive::new(Bounded::new(MultiGzDecoder::new(stream), MOST_UNPACKED));
    for entry in archive.entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?.into_owned();
        let name = printable(&path.to_string_lossy());
        let inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside {
            return Err(bad(format!("entry '{name}' points outside its folder")));
        }
        let kind = entry.header().entry_type();
        match kind {
            EntryType::Regular => {}
            EntryType::Directory | EntryType::XGlobalHeader => continue,
            _ => return Err(bad(format!("entry '{name}' is {}", describe(kind)))),
        }
        let files = layout.train.iter().chain([&layout.test]);
        let file = path.strip_prefix(layout.folder).ok();
        let Some(index) = files.map(Path::new).position(|name| file == Some(name)) else { continue };
        if ranges[index].is_some() {
            return Err(bad(format!("entry '{name}' comes twice")));
        }
        let records = if index < layout.train.len() { &mut train } else { &mut test };
        let begin = records.labels.len();
        layout.read(entry, &place.join(&path), classes, records)?;
        ranges[index] = Some(begin..records.labels.len());
    }
    // What follows the last entry is only blank, but the checksum of the packed stream stands at its end.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(damaged)?;
    if let Some(index) = ranges.iter().position(Option::is_none) {
        let name = layout.train.get(index).unwrap_or(&layout.test);
        return Err(bad(format!("there is no entry '{}/{name}'", layout.folder)));
    }
    let train_ranges: Vec<_> = ranges.into_iter().take(layout.train.len()).flatten().collect();
    Ok((ordered(train, &train_ranges, classes)?, images(test, classes)?))
}

/// What a message shows of a text: 200 characters, on one line.
fn printable(text: &str) -> String {
    text.escape_debug().take(200).collect()
}

fn describe(kind: EntryType) -> String {
    match kind {
        EntryType::Symlink => "a symbolic link".into(),
        EntryType::Link => "a hard link".into(),
        kind => format!("neither a plain file nor a folder (type {:?})", char::from(kind.as_byte())),
    }
}
