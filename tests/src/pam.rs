//! What stands for a fingerprint reader? A PAM service that libpam_wrapper has the real libpam find, and a file that is the finger.

use std::ffi::OsString;

use tempfile::TempDir;

/// A machine with a reader, or without one.
pub struct Reader {
    folder: TempDir,
}

impl Reader {
    /// A machine with a reader, set up as the service `latchkey-fingerprint`; the right finger is on it.
    pub fn new() -> Self {
        let reader = Self::missing();
        reader.touch(true);
        let service = format!(
            "auth optional pam_echo.so Place your finger on the reader\n\
             auth required pam_exec.so quiet /bin/grep -q right {}\n\
             account required pam_permit.so\n",
            reader.folder.path().join("finger").display()
        );
        std::fs::write(reader.folder.path().join("pam.d/latchkey-fingerprint"), service).unwrap();
        reader
    }

    /// A machine without one.
    pub fn missing() -> Self {
        let folder = tempfile::Builder::new().prefix("latchkey-reader-").tempdir().unwrap();
        std::fs::create_dir(folder.path().join("pam.d")).unwrap();
        Self { folder }
    }

    /// Puts the right finger on it, or another one.
    pub fn touch(&self, right: bool) {
        let finger = if right { "right" } else { "another" };
        std::fs::write(self.folder.path().join("finger"), finger).unwrap();
    }

    /// What an agent finds it by.
    pub fn environment(&self) -> [(&'static str, OsString); 3] {
        [
            ("LD_PRELOAD", "libpam_wrapper.so".into()),
            ("PAM_WRAPPER", "1".into()),
            ("PAM_WRAPPER_SERVICE_DIR", self.folder.path().join("pam.d").into()),
        ]
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}
