//! Files of other people, before anything is made of them.
//!
//! What a reader is given may be a pipe that never ends, or a header that promises more than the disk holds. So a file
//! is opened only where it is a regular one, whose length bounds what may be asked for.

use crate::error::{Error, Result};
use safetensors::SafeTensors;
use std::fs::{File, FileType};
use std::path::Path;
use theory::json::Unrepeated;

/// Opens a regular file to be read, and its length in bytes.
///
/// # Errors
/// There is none, or it cannot be read; a folder, a named pipe, a device (opening a pipe would wait for its writer).
///
/// # Examples
/// ```
/// let folder = std::env::temp_dir();
/// let error = measure::input::open(&folder).unwrap_err().to_string();
/// assert!(error.ends_with(": a folder, where a regular file is needed"));
/// ```
pub fn open(path: &Path) -> Result<(File, u64)> {
    let io = |e| Error::io(path, e);
    check_regular(path)?;
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    Ok((file, length))
}

/// All bytes of a regular file.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> Result<Vec<u8>> {
    check_regular(path)?;
    std::fs::read(path).map_err(|e| Error::io(path, e))
}

fn check_regular(path: &Path) -> Result<()> {
    let kind = std::fs::metadata(path).map_err(|e| Error::io(path, e))?.file_type();
    match kind.is_file() {
        true => Ok(()),
        false => Err(Error::data(path, format!("{}, where a regular file is needed", describe(kind)))),
    }
}

/// What a file that is not regular is.
fn describe(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a named pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_block_device() || kind.is_char_device() {
            return "a device";
        }
    }
    if kind.is_dir() { "a folder" } else { "something else" }
}

/// The tensors of a safetensors file, whose header is compared with its length.
///
/// # Errors
/// A damaged header; a name that comes twice, of which the library would take the last. The message is one line.
pub fn safetensors(bytes: &[u8]) -> std::result::Result<SafeTensors<'_>, String> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|e| one_line(&e.to_string()))?;
    // The library has checked that the header is there.
    let header = bytes.split_first_chunk().and_then(|(length, rest)| {
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        rest.get(..length)
    });
    if let Some(header) = header {
        serde_json::from_slice::<Unrepeated>(header).map_err(|e| one_line(&e.to_string()))?;
    }
    Ok(tensors)
}

/// What a message shows of what a file holds or another library says: 200 characters, on one line.
///
/// # Examples
/// ```
/// assert_eq!(measure::input::one_line("a\nb\0"), "a b ");
/// ```
pub fn one_line(message: &str) -> String {
    theory::terminal::one_line(message).chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| open(path).unwrap_err().to_string();
        assert!(error(folder.path()).ends_with(": a folder, where a regular file is needed"));
        assert!(error(&folder.path().join("none")).contains("No such file"));
        #[cfg(unix)]
        {
            let pipe = folder.path().join("pipe");
            let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
            assert!(made.success());
            assert!(error(&pipe).ends_with("pipe: a named pipe, where a regular file is needed"));
            assert!(read(&pipe).is_err());
            assert!(error(Path::new("/dev/null")).contains("a device"));
        }
        let file = folder.path().join("file");
        std::fs::write(&file, "abc").unwrap();
        assert_eq!((open(&file).unwrap().1, read(&file).unwrap()), (3, b"abc".to_vec()));
    }

    #[test]
    fn a_name_that_comes_twice_is_refused() {
        let file = |header: &str, bytes: usize| {
            let length = (header.len() as u64).to_le_bytes();
            [&length[..], header.as_bytes(), &vec![0; bytes]].concat()
        };
        let entry = r#"{"dtype":"U8","shape":[2],"data_offsets":[0,2]}"#;
        assert!(safetensors(&file(&format!(r#"{{"a":{entry}}}"#), 2)).is_ok());
        let twice = file(&format!(r#"{{"a":{entry},"\u0061":{entry}}}"#), 2);
        let error = safetensors(&twice).unwrap_err();
        assert!(error.starts_with("the key 'a' is there twice"), "{error}");
        let inner = r#"{"dtype":"U8","shape":[2],"data_offsets":[0,2],"dtype":"U8"}"#;
        assert!(safetensors(&file(&format!(r#"{{"a":{inner}}}"#), 2)).is_err());
        let notes = format!(r#"{{"__metadata__":{{"n":"1","n":"2"}},"a":{entry}}}"#);
        assert!(safetensors(&file(&notes, 2)).unwrap_err().contains("'n' is there twice"));
        assert!(safetensors(b"").is_err() && safetensors(&[255; 9]).is_err());
    }
}
