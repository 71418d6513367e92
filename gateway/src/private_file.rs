//! How are secrets kept in files? Readable by their owner only; wider ones are refused.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Says why a secret cannot be read from its file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivateFileError {
    /// The file cannot be read.
    #[error("cannot read `{}`", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others can read or write it.
    #[error("`{}` is open to others (mode {mode:04o}): expected mode 0600, as `chmod 600` makes it", file.display())]
    TooOpen {
        /// The file.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// Reads a secret.
///
/// # Errors
/// If the file cannot be read, or anybody but its owner has a right to it.
pub(crate) fn read(file: &Path) -> Result<String, PrivateFileError> {
    let unreadable = |source| PrivateFileError::Unreadable {
        file: file.to_owned(),
        source,
    };
    let mut opened = std::fs::File::open(file).map_err(unreadable)?;
    let mode = opened.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::TooOpen {
            file: file.to_owned(),
            mode,
        });
    }
    let mut text = String::new();
    opened.read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// Writes a secret into a new file with mode 0600, by way of a file beside it, so that it is there whole or not at all.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write(file: &Path, text: &str) -> io::Result<()> {
    let beside = file.with_extension("new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()?;
    std::fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_a_file_of_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        write(&file, "secret").unwrap();
        assert_eq!(read(&file).unwrap(), "secret");

        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            read(&file),
            Err(PrivateFileError::TooOpen { mode: 0o640, .. })
        ));
    }
}
