//! Files that are either the old one or the new one, never half of either, also where the power fails; texts of a
//! bounded size.
//!
//! A file is written under a temporary name beside its place, synchronised, renamed, and its folder synchronised. Only
//! then does the function return.

use crate::error::{Error, Place, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Links that are followed before they count as a circle.
const MAX_LINKS: usize = 40;

/// How the name of an unfinished file begins and ends.
const UNFINISHED: (&str, &str) = (".", ".partial");

/// Held by whoever writes a file; who wants to end the process waits for it.
static WRITING: RwLock<()> = RwLock::new(());

/// Writes `content` to `path`: a temporary file beside it, synchronised, then renamed; then the folder is synchronised.
///
/// A link is followed, also one whose target does not exist yet. What is no regular file (a pipe, `/dev/stdout`) is
/// written to as it is. An old file keeps its permissions; a new one has those that the process gives to new files.
///
/// # Errors
/// The operating system refuses; the old file is then untouched.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    write_all(&[(path, content)])
}

/// [`write_atomically`] for several files: all are written beside their places before the first is put there, in order.
///
/// # Errors
/// The operating system refuses one of them; all old files are then untouched, unless it was the renaming that failed.
pub fn write_all(files: &[(&Path, &[u8])]) -> Result<()> {
    let _writing = WRITING.read().unwrap_or_else(PoisonError::into_inner);
    let staged =
        files.iter().map(|(path, content)| Staged::new(path, content)).collect::<Result<Vec<_>>>()?;
    let folders = staged.into_iter().map(Staged::put).collect::<Result<BTreeSet<_>>>()?;
    folders.iter().flatten().try_for_each(|folder| synchronise(folder))
}

/// [`write_atomically`] for what does not fit into the memory: `write` writes the temporary file piece by piece.
///
/// What an end of the process leaves of it, [`remove_unfinished`] removes.
///
/// # Errors
/// Those of `write`; the operating system refuses; something stands there that is no regular file. What stood there is
/// then untouched.
pub fn write_with<E: From<Error>>(
    path: &Path,
    write: impl FnOnce(&mut std::fs::File) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let old = standing(path)?;
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return Err(Error::io(path, std::io::Error::other("it is no regular file")).into());
    }
    let (mut file, target) = temporary(path, old.as_ref())?;
    write(file.as_file_mut())?;
    let _writing = WRITING.read().unwrap_or_else(PoisonError::into_inner);
    file.as_file().sync_all().map_err(|e| Error::io(path, e))?;
    let folder = Staged::Beside { file, target, path }.put()?;
    Ok(folder.iter().try_for_each(|folder| synchronise(folder))?)
}

/// Waits until no file of this process is half-written, and keeps others from being begun; at most this long.
pub(crate) fn settle(most: Duration) {
    let start = Instant::now();
    while start.elapsed() < most {
        if let Ok(guard) = WRITING.try_write() {
            // For the rest of the process, which is short.
            std::mem::forget(guard);
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a file is what an interrupted [`write_atomically`] left.
pub fn is_unfinished(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(UNFINISHED.0) && name.ends_with(UNFINISHED.1))
}

/// Removes what interrupted [`write_atomically`] left in a folder to which nobody else writes meanwhile.
///
/// # Errors
/// The operating system refuses.
pub fn remove_unfinished(folder: &Path) -> Result<()> {
    let io = |e| Error::io(folder, e);
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        if is_unfinished(&entry.file_name()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Whether something stands there; a failure to look is none of both answers.
///
/// # Errors
/// The operating system refuses to say.
pub fn exists(path: &Path) -> Result<bool> {
    match path.try_exists() {
        Err(e) if is_absence(&e) => Ok(false),
        found => found.map_err(|e| Error::io(path, e)),
    }
}

/// The content of a file; `None` where there is none.
///
/// # Errors
/// The operating system refuses to read.
pub fn content(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if is_absence(&e) => Ok(None),
        Err(e) => Err(Error::io(path, e)),
    }
}

/// Below a file there is nothing, either.
fn is_absence(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// SHA-256, as hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a folder and those above it, and brings their names to the disk.
///
/// # Errors
/// The operating system refuses.
pub fn create_folder(path: &Path) -> Result<()> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|place| !place.as_os_str().is_empty() && !place.is_dir()).collect();
    std::fs::create_dir_all(path).map_err(|e| Error::io(path, e))?;
    missing.iter().try_for_each(|made| synchronise(folder_of(made)))
}

/// Removes a file, if it is there, and brings that to the disk.
///
/// # Errors
/// The operating system refuses.
pub fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => synchronise(folder_of(path)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io(path, e)),
    }
}

/// Gives a file another name in its folder, and brings that to the disk.
///
/// # Errors
/// The operating system refuses.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(|e| Error::io(from, e))?;
    synchronise(folder_of(to))
}

/// Waits until the names in a folder are on the disk.
fn synchronise(folder: &Path) -> Result<()> {
    // Other systems have no such call on folders.
    if !cfg!(unix) {
        return Ok(());
    }
    let done = std::fs::File::open(folder).and_then(|open| open.sync_all());
    match done {
        // Some file systems have none, either.
        Err(e) if !matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Err(Error::io(folder, e))
        }
        _ => Ok(()),
    }
}

/// The folder that holds a path.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Content that waits for its place.
enum Staged<'a> {
    /// A complete file beside `target`; `path` is what the caller called it.
    Beside { file: tempfile::NamedTempFile, target: PathBuf, path: &'a Path },
    /// Something that cannot be replaced, opened.
    Special { file: std::fs::File, path: &'a Path, content: &'a [u8] },
}

impl<'a> Staged<'a> {
    fn new(path: &'a Path, content: &'a [u8]) -> Result<Self> {
        let io = |e| Error::io(path, e);
        let old = standing(path)?;
        if old.as_ref().is_some_and(|old| !old.is_file()) {
            let file = std::fs::OpenOptions::new().write(true).open(path).map_err(io)?;
            return Ok(Self::Special { file, path, content });
        }
        let (mut file, target) = temporary(path, old.as_ref())?;
        file.as_file_mut().write_all(content).map_err(io)?;
        file.as_file().sync_all().map_err(io)?;
        Ok(Self::Beside { file, target, path })
    }

    /// Puts it there; the folder that must be synchronised.
    fn put(self) -> Result<Option<PathBuf>> {
        match self {
            Self::Beside { file, target, path } => {
                let io = |e| Error::io(path, e);
                let (_, beside) = file.keep().map_err(|e| io(e.error))?;
                std::fs::rename(&beside, &target).map_err(|e| {
                    // The first failure is what the caller must know.
                    let _ = std::fs::remove_file(&beside);
                    io(e)
                })?;
                Ok(Some(folder_of(&target).to_path_buf()))
            }
            Self::Special { mut file, path, content } => {
                file.write_all(content).map_err(|e| Error::io(path, e))?;
                Ok(None)
            }
        }
    }
}

/// What stands at a place, a link followed.
fn standing(path: &Path) -> Result<Option<std::fs::Metadata>> {
    match std::fs::metadata(path) {
        Ok(old) => Ok(Some(old)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path, e)),
    }
}

/// An empty file beside the place that it will have, and that place.
fn temporary(path: &Path, old: Option<&std::fs::Metadata>) -> Result<(tempfile::NamedTempFile, PathBuf)> {
    let io = |e| Error::io(path, e);
    let target = resolved(path).map_err(io)?;
    let folder = folder_of(&target);
    if !folder.try_exists().map_err(io)? {
        return Err(io(std::io::Error::new(ErrorKind::NotFound, "its folder does not exist")));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED.0).suffix(UNFINISHED.1);
    #[cfg(unix)]
    if old.is_none() {
        // A temporary file is private; a result is as readable as the process wants new files to be.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    // The message of the library names the temporary file, which tells the user nothing.
    let file = builder.tempfile_in(folder).map_err(|e| io(without_path(&e)))?;
    if let Some(old) = old {
        file.as_file().set_permissions(old.permissions()).map_err(io)?;
    }
    // Not through `file`, whose errors name it, too.
    Ok((file, target))
}

/// What the system said, without the name of a temporary file that the library adds.
fn without_path(error: &std::io::Error) -> std::io::Error {
    let text = error.to_string();
    let reason = text.split_once(" at path ").map_or(text.as_str(), |(reason, _)| reason);
    std::io::Error::new(error.kind(), reason)
}

/// Where the links of `path` lead, whether anything stands there or not.
fn resolved(path: &Path) -> std::io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {}
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => return Ok(path),
        }
        let target = std::fs::read_link(&path)?;
        path = path.parent().map_or(target.clone(), |folder| folder.join(&target));
    }
    Err(std::io::Error::other(format!("more than {MAX_LINKS} links lead to each other")))
}

/// Whether writing to both would write to one file.
///
/// # Errors
/// The operating system refuses to follow a link.
pub fn is_same_file(a: &Path, b: &Path) -> Result<bool> {
    let place = |path: &Path| -> Result<PathBuf> {
        let target = resolved(path).map_err(|e| Error::io(path, e))?;
        let folder = folder_of(&target);
        // A folder that does not exist has no other name that matters: nothing can be written there.
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
        Ok(folder.join(target.file_name().unwrap_or_default()))
    };
    Ok(place(a)? == place(b)?)
}

/// Reads a text of at most `max_bytes` bytes.
///
/// # Errors
/// The operating system refuses; the file is larger; it is not UTF-8, where the line is named.
pub(crate) fn read_text(path: &Path, max_bytes: u64) -> Result<String> {
    let io = |e| Error::io(path, e);
    let at = |line, message: String| {
        Error::data(Place { file: path.display().to_string(), line, column: None }, message)
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if length > max_bytes {
        return Err(at(None, format!("{length} bytes exceed the limit of {max_bytes}")));
    }
    // What is no regular file has no length.
    file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > max_bytes {
        return Err(at(None, format!("more than the limit of {max_bytes} bytes")));
    }
    String::from_utf8(bytes).map_err(|e| {
        let bytes = e.as_bytes();
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return at(Some(1), "the text is UTF-16: save it as UTF-8".into());
        }
        let good = e.utf8_error().valid_up_to();
        let line = 1 + bytes[..good].iter().filter(|byte| **byte == b'\n').count() as u64;
        at(Some(line), format!("byte {:#04x} is not UTF-8 text", bytes[good]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_and_devices_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        write_atomically(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_atomically(&link, b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        // A dangling link, relative to its own folder, makes its target.
        std::fs::remove_file(&file).unwrap();
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert!(
            is_same_file(&link, &file).unwrap() && !is_same_file(&link, &folder.path().join("x")).unwrap()
        );
        write_atomically(&link, b"newer").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"newer");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
        let circle = folder.path().join("circle");
        std::os::unix::fs::symlink("circle", &circle).unwrap();
        assert!(write_atomically(&circle, b"x").unwrap_err().to_string().contains("links"));
        write_atomically(Path::new("/dev/null"), b"x").unwrap();
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
        assert!(write_atomically(folder.path(), b"x").is_err());
    }

    #[test]
    fn permissions_are_those_of_the_old_file_or_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (file, plain) = (folder.path().join("file"), folder.path().join("plain"));
        std::fs::write(&plain, "x").unwrap();
        write_atomically(&file, b"x").unwrap();
        assert_eq!(mode(&file), mode(&plain));
        for private in [0o600, 0o640, 0o755] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(private)).unwrap();
            write_atomically(&file, b"y").unwrap();
            assert_eq!(mode(&file), private);
        }
    }

    #[test]
    fn a_temporary_file_that_cannot_be_made_is_told_by_its_reason() {
        let error = write_atomically(Path::new("/proc/losses.csv"), b"x").unwrap_err().to_string();
        assert!(error.starts_with("/proc/losses.csv: ") && error.contains("os error"), "{error}");
        assert!(!error.contains(".partial") && !error.contains("uncategorized"), "{error}");
    }

    #[test]
    fn several_files_are_written_together_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (good, bad) = (folder.path().join("good"), folder.path().join("none/bad"));
        let error = write_all(&[(&good, b"x"), (&bad, b"x")]).unwrap_err().to_string();
        assert_eq!(error, format!("{}: its folder does not exist", bad.display()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        write_all(&[(&good, b"x"), (&folder.path().join("other"), b"y")]).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_an_interruption_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".Ab12xy.partial", ".hidden", "x.partial", "run.json"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_unfinished(folder.path()).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".hidden", "run.json", "x.partial"]);
    }

    #[test]
    fn folders_and_names_are_made_and_changed() {
        let place = tempfile::tempdir().unwrap();
        let deep = place.path().join("a/b/c");
        create_folder(&deep).unwrap();
        create_folder(&deep).unwrap();
        let [old, new] = ["old", "new"].map(|name| deep.join(name));
        write_atomically(&old, b"x").unwrap();
        rename(&old, &new).unwrap();
        assert!(!exists(&old).unwrap() && exists(&new).unwrap());
        remove(&new).unwrap();
        remove(&new).unwrap();
        assert!(!exists(&new).unwrap());
        // Below a file there is nothing, and nothing can be made.
        write_atomically(&old, b"x").unwrap();
        assert!(!exists(&old.join("inside")).unwrap() && content(&old.join("inside")).unwrap().is_none());
        assert!(create_folder(&old.join("inside")).is_err());
        assert_eq!(content(&old).unwrap().unwrap(), b"x");
        // What cannot be looked at is not absent: a link to itself.
        std::os::unix::fs::symlink("circle", deep.join("circle")).unwrap();
        assert!(exists(&deep.join("circle")).is_err() && content(&deep.join("circle")).is_err());
    }

    #[test]
    fn texts_have_a_size_and_an_encoding() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text");
        let error = |content: &[u8]| {
            std::fs::write(&file, content).unwrap();
            read_text(&file, 10).unwrap_err().to_string()
        };
        assert!(error(b"12345678901").ends_with("text: 11 bytes exceed the limit of 10"));
        assert!(error(b"ab\nc\xe9").ends_with("text, line 2: byte 0xe9 is not UTF-8 text"));
        assert!(error(b"\xff\xfe3\0").ends_with("text, line 1: the text is UTF-16: save it as UTF-8"));
        std::fs::write(&file, "1234567890").unwrap();
        assert_eq!(read_text(&file, 10).unwrap(), "1234567890");
        let endless = read_text(Path::new("/dev/zero"), 10).unwrap_err().to_string();
        assert_eq!(endless, "/dev/zero: more than the limit of 10 bytes");
    }
}
