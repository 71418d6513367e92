//! What does the configuration say of devices' proofs? Roots of attestation, and the CAs of management certificates.

use device_checks::attestation::RootClass;
use directory::HardwareId;

use super::check::{Checker, check_authorities, check_key_pair};
use super::raw::{RawAttestation, RawManagement};
use super::values::{Expected, one_of};
use super::{Attestation, AttestationRoot, Management};

/// Roots, their classes, and machines that are not believed. A root made for tests attests in a demo alone.
pub(super) fn check_attestation(raw: &RawAttestation, demo: bool, checker: &mut Checker<'_>) -> Option<Attestation> {
    let mut roots = Vec::new();
    for (index, root) in raw.roots.iter().enumerate() {
        let key = format!("attestation.roots[{index}]");
        let certificate = checker.file(&format!("{key}.certificate"), &root.certificate);
        let class = checker.value(&format!("{key}.class"), &root.class, one_of(&CLASSES));
        if class == Some(RootClass::Test) && !demo {
            checker.refuse(
                &format!("{key}.class"),
                "expected hardware or virtual: a root made for tests attests in a demo alone".to_owned(),
            );
        }
        roots.push(
            certificate
                .zip(class)
                .map(|(certificate, class)| AttestationRoot { certificate, class }),
        );
    }
    let denied = checker.all("attestation.denied", &raw.denied, hardware_id);
    Some(Attestation {
        roots: roots.into_iter().collect::<Option<_>>()?,
        denied: denied?,
    })
}

/// The gateway's own management CA, and those of MDMs.
pub(super) fn check_management(raw: &RawManagement, checker: &mut Checker<'_>) -> Option<Management> {
    let own = raw.certificate_authority.as_ref().map_or(Some(None), |pair| {
        check_key_pair(pair, "management.certificate_authority", checker).map(Some)
    });
    let authorities = check_authorities(&raw.authorities, "management.authorities", checker);
    Some(Management {
        own_authority: own?,
        authorities: authorities?,
    })
}

fn hardware_id(text: &str) -> Result<HardwareId, Expected> {
    text.parse()
        .map_err(|_| Expected::new("a hardware id: 64 lowercase hexadecimal digits"))
}

const CLASSES: [(&str, RootClass); 3] = [
    ("hardware", RootClass::Hardware),
    ("virtual", RootClass::Virtual),
    ("test", RootClass::Test),
];
