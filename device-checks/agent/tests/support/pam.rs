//! PAM services as libpam_wrapper has the real libpam find them, and nowhere else.

use std::path::PathBuf;
use std::process::Command;

use super::agent::Agent;

/// The services of an agent.
pub(crate) struct Pam {
    folder: PathBuf,
}

impl Pam {
    /// None so far.
    pub(crate) fn of(agent: &Agent) -> Self {
        let folder = agent.path().join("pam.d");
        std::fs::create_dir(&folder).unwrap();
        Self { folder }
    }

    /// Sets a service up, by the lines of its file.
    pub(crate) fn set(&self, service: &str, lines: &str) {
        std::fs::write(self.folder.join(service), lines).unwrap();
    }

    /// A service that takes what is in this file, and anything else for nobody's.
    pub(crate) fn set_finger(&self, service: &str, finger: &str) {
        self.set(
            service,
            &format!(
                "auth optional pam_echo.so Place your finger on the reader\n\
                 auth required pam_exec.so quiet /bin/grep -q right {finger}\n\
                 account required pam_permit.so\n"
            ),
        );
    }

    /// A service that does not end, until what comes back goes.
    pub(crate) fn set_waiting(&self, service: &str) -> Waiting {
        let pipe = self.folder.with_extension("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let lines = format!(
            "auth optional pam_echo.so Touch\nauth required pam_exec.so quiet /bin/cat {}\n",
            pipe.display()
        );
        self.set(service, &lines);
        Waiting { pipe }
    }

    /// What a command finds them by.
    pub(crate) fn wrap(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", "libpam_wrapper.so")
            .env("PAM_WRAPPER", "1")
            .env("PAM_WRAPPER_SERVICE_DIR", &self.folder);
    }
}

/// A service that waits.
pub(crate) struct Waiting {
    pipe: PathBuf,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Whoever waits to read finds that there is nothing.
        let _ = std::fs::File::options().read(true).write(true).open(&self.pipe);
    }
}

/// A module of libpam_wrapper's for tests.
pub(crate) fn module(name: &str) -> String {
    let found = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    ]
    .map(|folder| PathBuf::from(folder).join("pam_wrapper").join(name))
    .into_iter()
    .find(|file| file.exists());
    found
        .expect("libpam-wrapper is installed: scripts/install test")
        .display()
        .to_string()
}

/// Who runs this.
pub(crate) fn user() -> String {
    let said = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}
