//! How are the agent's files kept? For their owner alone, each written whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Says why a file of the agent cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or written.
    #[error("cannot use `{}`", file.display())]
    Unusable {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others have a right to it.
    #[error("`{}` is open to others (mode {mode:04o}): `chmod go= {}`", file.display(), file.display())]
    TooOpen {
        /// The file or folder.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// Makes a folder for its owner alone, unless it is there; one that is open to others is refused.
///
/// # Errors
///
/// It cannot be made, or others have a right to it.
pub fn make_folder(folder: &Path) -> Result<(), FileError> {
    let unusable = unusable(folder);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(&unusable)?;
    check_mode(folder, &std::fs::metadata(folder).map_err(&unusable)?)
}

/// Reads a file that is its owner's alone; nothing where there is none.
///
/// # Errors
///
/// It cannot be read, or others have a right to it.
pub fn read(file: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    let unusable = unusable(file);
    let mut opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(error)),
    };
    check_mode(file, &opened.metadata().map_err(&unusable)?)?;
    let mut octets = Zeroizing::new(Vec::new());
    opened.read_to_end(&mut octets).map_err(unusable)?;
    Ok(Some(octets))
}

/// Replaces a file, by way of one beside it: after a crash either the old or the new one is there, whole and on the
/// disk.
///
/// # Errors
///
/// It cannot be written.
pub fn write(file: &Path, octets: &[u8]) -> Result<(), FileError> {
    replace(file, octets).map_err(unusable(file))
}

/// Removes a file, where there is one.
///
/// # Errors
///
/// It is there and stays.
pub fn remove(file: &Path) -> Result<(), FileError> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(file)(error)),
        _ => Ok(()),
    }
}

fn replace(file: &Path, octets: &[u8]) -> io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    opened.write_all(octets)?;
    opened.sync_all()?;
    std::fs::rename(&beside, file)?;
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn check_mode(file: &Path, metadata: &std::fs::Metadata) -> Result<(), FileError> {
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(FileError::TooOpen {
            file: file.to_owned(),
            mode,
        })
    }
}

fn unusable(file: &Path) -> impl Fn(io::Error) -> FileError {
    let file = file.to_owned();
    move |source| FileError::Unusable {
        file: file.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, file) = (folder.path().join("a/b"), folder.path().join("a/b/secret"));

        make_folder(&inner).unwrap();
        write(&file, b"one").unwrap();
        write(&file, b"two").unwrap();

        assert_eq!(read(&file).unwrap().unwrap().as_slice(), b"two");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&inner), mode(&file)), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 1);
        remove(&file).unwrap();
        remove(&file).unwrap();
        assert!(read(&file).unwrap().is_none());
    }

    #[test]
    fn what_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        write(&file, b"one").unwrap();
        for mode in [0o640, 0o604, 0o620] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(read(&file), Err(FileError::TooOpen { .. })), "{mode:o}");
        }
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert!(read(&file).is_ok());
    }
}
