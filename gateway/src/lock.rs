//! Who may use the database now? One process at a time: each keeps its own picture of the directory in memory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Keeps others from using the database for as long as it lives; the system lets go when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DataLock {
    _file: File,
}

/// Says why the database cannot be used now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Another process uses it.
    #[error("`{}` is in use: a gateway is running on this data", file.display())]
    Taken {
        /// The lock file.
        file: PathBuf,
    },
    /// The lock file cannot be made or locked.
    #[error("cannot lock `{}`", file.display())]
    Unusable {
        /// The lock file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl DataLock {
    /// Takes the lock of a data folder, which has to exist, or says at once that somebody else has it.
    ///
    /// # Errors
    ///
    /// Another process has it, or the lock file cannot be made.
    pub(crate) fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join("lock");
        let unusable = |source| LockError::Unusable {
            file: path.clone(),
            source,
        };
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let file = opened.map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken { file: path }),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_used_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataLock::take(folder.path()).unwrap();

        assert!(matches!(DataLock::take(folder.path()), Err(LockError::Taken { .. })));
        drop(first);

        assert!(DataLock::take(folder.path()).is_ok());
        assert!(matches!(
            DataLock::take(&folder.path().join("none")),
            Err(LockError::Unusable { .. })
        ));
    }
}
