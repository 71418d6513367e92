//! Who asks? Users whose devices come, are shut out, come back, and are replaced by others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use latchkey_tests::demo::Demo;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::model::{History, Trust};
use crate::tally::Tally;

/// One enrolment of a device, and how it stands.
pub(crate) struct Credential {
    /// The device's name, which is that of its files.
    pub(crate) device: String,
    id: String,
    fingerprint: String,
    /// How it stands.
    pub(crate) trust: History<Trust>,
}

/// A user with a device after another.
pub(crate) struct Person {
    /// Their login.
    pub(crate) login: String,
    credentials: Mutex<Vec<Arc<Credential>>>,
    changes: AtomicUsize,
}

impl Person {
    /// Makes a user with a first device.
    pub(crate) fn new(demo: &Demo, number: usize) -> Self {
        let login = format!("soak-{number}");
        demo.command(&[
            "user",
            "create",
            &login,
            "--email",
            &format!("{login}@example.com"),
            "--type",
            "employee",
        ]);
        demo.command(&["group", "add", "employees", &login]);
        let person = Self {
            login,
            credentials: Mutex::default(),
            changes: AtomicUsize::new(number),
        };
        person.enroll(demo);
        person
    }

    /// Their newest device.
    pub(crate) fn newest(&self) -> Arc<Credential> {
        Arc::clone(self.credentials.lock().unwrap().last().unwrap())
    }

    /// The device before that, which was shut out.
    pub(crate) fn former(&self) -> Option<Arc<Credential>> {
        let credentials = self.credentials.lock().unwrap();
        credentials.len().checked_sub(2).map(|at| Arc::clone(&credentials[at]))
    }

    /// Takes the next step of the lifecycle and, where it can be undone, undoes it.
    pub(crate) fn change(&self, demo: &Demo, tally: &Tally) {
        let credential = self.newest();
        let (device, certificate) = (
            format!("devices/{}", credential.id),
            format!("certificates/{}", credential.fingerprint),
        );
        let user = format!("users/{}", self.login);
        let (trust, what, there, back) = match self.changes.fetch_add(1, Ordering::Relaxed) % STEPS {
            0 => (Trust::DeviceSuspended, device, "suspend", Some("unsuspend")),
            1 => (Trust::CertificateHeld, certificate, "hold", Some("release")),
            2 => (Trust::UserSuspended, user, "suspend", Some("unsuspend")),
            3 => (Trust::CertificateRevoked, certificate, "revoke", None),
            _ => (Trust::DeviceDeactivated, device, "deactivate", None),
        };
        let command = |verb: &str| {
            let path = format!("/api/v1/{what}/lifecycle/{verb}");
            let answer = demo.admin("POST", &path, (verb == "revoke").then_some("{}"));
            assert!(
                (200..300).contains(&answer.status),
                "{path}: {} {}",
                answer.status,
                answer.text()
            );
            Tally::count(&tally.commands);
        };
        credential.trust.change(trust, || command(there));
        match back {
            Some(back) => credential.trust.change(Trust::Active, || command(back)),
            None => self.enroll(demo),
        }
    }

    /// Not by the command line, which reads the configuration: that is unfit now and then.
    fn enroll(&self, demo: &Demo) {
        let number = self.credentials.lock().unwrap().len();
        let device = format!("{}-device-{number}", self.login);
        let path = format!("/api/v1/users/{}/enrollment-tokens", self.login);
        let made = demo.admin("POST", &path, Some("{}")).json();
        let token = made["token"].as_str().unwrap_or_else(|| panic!("no token in {made}"));
        let answer = demo.enroll_with(token, &device, &demo.request(&device));
        assert!(
            matches!(answer.status, 200 | 201),
            "{}: {}",
            answer.status,
            answer.text()
        );
        let file = demo.identity(&device).certificate;
        std::fs::write(&file, &answer.body).unwrap();
        let certificate = CertificateDer::from_pem_file(&file).unwrap();
        let digest = ring::digest::digest(&ring::digest::SHA256, &certificate);
        let fingerprint: String = digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
        let issued = demo
            .admin("GET", &format!("/api/v1/certificates/{fingerprint}"), None)
            .json();
        let mut credentials = self.credentials.lock().unwrap();
        credentials.push(Arc::new(Credential {
            id: issued["device"].as_str().unwrap().to_owned(),
            device,
            fingerprint,
            trust: History::of(Trust::Active),
        }));
    }
}

const STEPS: usize = 5;
