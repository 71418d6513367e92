//! How does this device keep the secret of its own codes? Sealed in a file under the installation's own key: no key store makes
//! such codes.

use std::path::{Path, PathBuf};

use device_checks::wire::EnrollmentId;

use super::KeyError;
use super::software::Vault;
use crate::private_file;
use crate::secret::Secret;

/// Keeps the secret of an account's codes.
///
/// # Errors
///
/// It cannot be written.
pub fn keep(folder: &Path, account: EnrollmentId, secret: &Secret) -> Result<(), KeyError> {
    let name = name(account);
    Vault::take(folder)?.seal(&path(folder, &name), secret.expose().as_bytes(), &name, None)
}

/// The secret of an account's codes, if it has any.
///
/// # Errors
///
/// It cannot be read, or was changed.
pub fn read(folder: &Path, account: EnrollmentId) -> Result<Option<Secret>, KeyError> {
    let name = name(account);
    if !path(folder, &name).exists() {
        return Ok(None);
    }
    let octets = Vault::take(folder)?.open(&path(folder, &name), &name, None)?;
    let text = std::str::from_utf8(&octets).map_err(|_| KeyError::Damaged(name))?;
    Ok(Some(Secret::new(text.to_owned())))
}

/// Forgets the secret of an account's codes.
///
/// # Errors
///
/// It stays.
pub fn forget(folder: &Path, account: EnrollmentId) -> Result<(), KeyError> {
    Ok(private_file::remove(&path(folder, &name(account)))?)
}

fn name(account: EnrollmentId) -> String {
    format!("codes-{account}")
}

fn path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.secret"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_read_back_for_its_account_alone_and_is_gone_once_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let (one, other) = (EnrollmentId::from_random(1), EnrollmentId::from_random(2));
        keep(folder.path(), one, &Secret::new("GEZDGNBV".to_owned())).unwrap();

        let known = read(folder.path(), one).unwrap();
        assert_eq!(known.unwrap().expose(), "GEZDGNBV");
        assert!(read(folder.path(), other).unwrap().is_none());
        let file = path(folder.path(), &name(one));
        assert!(!std::fs::read_to_string(&file).unwrap().contains("GEZDGNBV"));
        std::fs::copy(&file, path(folder.path(), &name(other))).unwrap();
        assert!(read(folder.path(), other).is_err(), "another account's");
        forget(folder.path(), one).unwrap();
        assert!(read(folder.path(), one).unwrap().is_none());
    }
}
