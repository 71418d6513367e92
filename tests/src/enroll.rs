//! How does a test get a device of its own: a key and a request from `openssl`, a certificate from the gateway?

use std::path::{Path, PathBuf};

use crate::curl::CurlAnswer;
use crate::demo::{Demo, NOBODY};
use crate::openssl::openssl;
use crate::tls::Identity;

impl Demo {
    /// Enrols a device of this name for a user, as the README says it; afterwards it is one of the demo's devices.
    pub fn enroll(&self, login: &str, device: &str) -> Identity {
        let answer = self.enroll_with(&self.enrollment_token(login), device, &self.request(device));
        assert!(
            matches!(answer.status, 200 | 201),
            "{}: {}",
            answer.status,
            answer.text()
        );
        let identity = self.identity(device);
        std::fs::write(&identity.certificate, &answer.body).unwrap();
        identity
    }

    /// A fresh enrolment token for this user, from the command line.
    pub fn enrollment_token(&self, login: &str) -> String {
        let output = self.command(&["user", "enrollment-token", login, "--json"]);
        output.json()["token"]
            .as_str()
            .unwrap_or_else(|| panic!("no token in {output:?}"))
            .to_owned()
    }

    /// A certificate signing request in PEM for a new P-256 key of this device.
    pub fn request(&self, device: &str) -> PathBuf {
        request(
            &self.file("devices"),
            device,
            &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
            &[],
        )
    }

    /// What the enrolment endpoint answers to this token and this file.
    pub fn enroll_with(&self, token: &str, device: &str, request: &Path) -> CurlAnswer {
        let field = format!("Authorization: Bearer {token}");
        let body = format!("@{}", request.display());
        let url = self.url("auth", &format!("/enroll?name={device}"));
        self.curl(
            NOBODY,
            &url,
            &[
                "-H",
                &field,
                "-H",
                "Content-Type: application/pkcs10",
                "--data-binary",
                &body,
            ],
        )
    }
}

/// Makes `NAME.key` and `NAME.csr` with `openssl req`; the key as `newkey` says, the rest as `more` says.
pub fn request(directory: &Path, name: &str, newkey: &[&str], more: &[&str]) -> PathBuf {
    let file = |ending: &str| directory.join(format!("{name}.{ending}")).display().to_string();
    let (key, request) = (file("key"), file("csr"));
    let fixed = ["-nodes", "-subj", "/CN=whatever", "-keyout", &key, "-out", &request];
    let output = openssl([&["req", "-new"], newkey, &fixed[..], more].concat(), "");
    assert!(output.success, "{}", output.text);
    request.into()
}
