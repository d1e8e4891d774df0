//! Files that are either the old one or the new one, never half of either.

use crate::error::{Error, Result};
use std::io::Write;
use std::path::Path;

/// Writes `content` to `path`: a temporary file beside it, synchronised, then renamed.
///
/// # Errors
/// The operating system refuses; the old file is then untouched.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let io = |e| Error::io(path, e);
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
