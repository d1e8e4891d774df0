//! Files that are either the old one or the new one, never half of either.

use crate::error::{Error, Result};
use std::io::Write;
use std::path::Path;

/// Writes `content` to `path`: a temporary file beside it, synchronised, then renamed.
///
/// A link is followed. What is no regular file (a pipe, `/dev/stdout`) is written to as it is.
///
/// # Errors
/// The operating system refuses; the old file is then untouched.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let io = |e| Error::io(path, e);
    if let Ok(found) = std::fs::metadata(path)
        && !found.is_file()
    {
        let mut target = std::fs::OpenOptions::new().write(true).open(path).map_err(io)?;
        return target.write_all(content).map_err(io);
    }
    let resolved = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let path = resolved.as_path();
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new().prefix(".").suffix(".partial").tempfile_in(folder).map_err(io)?;
    file.write_all(content).map_err(io)?;
    #[cfg(unix)]
    {
        // A temporary file is private; a result is as readable as any other file.
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(io)?;
    }
    file.as_file().sync_all().map_err(io)?;
    file.persist(path).map_err(|e| io(e.error))?;
    Ok(())
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
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file is left");
        write_atomically(Path::new("/dev/null"), b"x").unwrap();
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
        assert!(write_atomically(folder.path(), b"x").is_err());
    }
}
