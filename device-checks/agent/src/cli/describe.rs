//! How are keys and accounts said to people? In words that never make more of them than is proved.

use std::path::Path;

use device_checks::attestation::RootClass;
use device_checks::wire::{KeyProtection, SignalReport, VerificationMethod};
use serde_json::{Value, json};

use crate::keys::{Choice, Configuration, KeyReference, KeyStore, Shared, StoredKey};
use crate::state::{Account, Folder, State, Verification};

/// Where keys live.
pub(super) fn store(configuration: &Configuration) -> String {
    match configuration.keys {
        Choice::Software => "files of this installation, sealed".to_owned(),
        Choice::Tpm => format!(
            "the TPM at {}",
            configuration.tcti.as_deref().unwrap_or(crate::keys::DEFAULT_TCTI)
        ),
        Choice::Pkcs11 => configuration.pkcs11.as_ref().map_or_else(String::new, |token| {
            format!("the PKCS#11 token `{}` ({})", token.token, token.module.display())
        }),
    }
}

/// How well a key is kept, as the gateway knows it.
pub(super) fn protection(protection: KeyProtection, root: Option<RootClass>) -> String {
    let protection = match protection {
        KeyProtection::Hardware => "HARDWARE, proved",
        KeyProtection::Software => "SOFTWARE, or not proved to be in hardware",
    };
    match root {
        Some(RootClass::Hardware) | None => protection.to_owned(),
        Some(RootClass::Virtual) => format!("{protection}; the machine is VIRTUAL"),
        Some(RootClass::Test) => format!("{protection} - BY TEST HARDWARE: proves nothing outside of tests"),
    }
}

/// Who verifies the user.
pub(super) fn verification(account: &Account) -> String {
    let Some(verification) = &account.verification else {
        return "none: this account proves possession alone".to_owned();
    };
    let by = method(verification.method);
    match verification.service() {
        Ok(service) => format!("{by}, by the PAM service `{service}`: enforced by this software"),
        Err(_) if in_hardware(verification) => format!("{by}, enforced by the TPM"),
        Err(_) => format!("{by}, enforced by this software"),
    }
}

/// What users confirm with.
pub(super) fn method(method: VerificationMethod) -> &'static str {
    match method {
        VerificationMethod::Pin => "PIN",
        VerificationMethod::Fingerprint => "fingerprint",
        VerificationMethod::Face => "face",
    }
}

/// Whether the TPM asks for what the user knows: no TPM knows a finger.
fn in_hardware(verification: &Verification) -> bool {
    verification.method == VerificationMethod::Pin && matches!(verification.key.reference, KeyReference::Tpm { .. })
}

/// Who verifies the user, for scripts.
pub(super) fn verification_json(account: &Account) -> Value {
    let verification = account.verification.as_ref().map(|verification| {
        json!({
            "key": verification.key.public.thumbprint(),
            "method": verification.method,
            "pamService": verification.service().ok(),
            "enforcedBy": if in_hardware(verification) { "tpm" } else { "software" },
        })
    });
    json!(verification)
}

/// Which key it is.
pub(super) fn key(key: &StoredKey) -> String {
    key.public.thumbprint().to_string().chars().take(16).collect::<String>() + "…"
}

/// Commands that show what the account can do, for a shell.
pub(super) fn things_to_try(folder: &Folder, state: &State, account: &Account, store: &dyn KeyStore) -> Vec<String> {
    let several = state.accounts.len() > 1;
    let which = if several {
        format!(" --account {}", quoted(&account.login))
    } else {
        String::new()
    };
    let trusted = match state.gateway.authority {
        Some(_) => format!("--cacert {}", path(&folder.authority())),
        None => String::new(),
    };
    let mut lines = vec!["url=https://APPLICATION/".to_owned()];
    if account.fastpass {
        lines.push(format!(
            "curl {trusted}{BREAK}-H \"$(latchkey-agent assert --state {}{which} --url \"$url\")\"{BREAK}\"$url\"",
            path(folder.path())
        ));
    }
    let certificate = path(&folder.certificate(account));
    match store.shared(&account.possession) {
        Ok(Some(Shared::File(_))) => {
            let tcti = state.keys.tcti.as_deref().unwrap_or(crate::keys::DEFAULT_TCTI);
            if ["swtpm", "mssim"].iter().any(|bare| tcti.starts_with(bare)) {
                lines.push(
                    "# OpenSSL loads more than a bare TPM holds: put tpm2-abrmd in front and name that".to_owned(),
                );
            }
            lines.push(format!(
                "OPENSSL_CONF={}{BREAK}TPM2OPENSSL_TCTI={}{BREAK}curl --tlsv1.3 {trusted}\
                 {BREAK}--cert {certificate}{BREAK}\
                 --key {} \"$url\"",
                path(&folder.openssl_configuration()),
                quoted(tcti),
                path(&folder.key(account)),
            ));
        }
        Ok(Some(Shared::Uri(uri))) => lines.push(format!(
            "curl --engine pkcs11 --key-type ENG {trusted}{BREAK}--cert {certificate}{BREAK}--key {}{BREAK}\"$url\"",
            quoted(&uri)
        )),
        Ok(None) | Err(_) => {}
    }
    lines
}

/// What a machine says of itself.
pub(super) fn signals(report: &SignalReport) -> [(&'static str, Option<String>); 8] {
    let yes_no = |value: Option<bool>| value.map(|yes| if yes { "yes" } else { "no" }.to_owned());
    let os = report.os.map(|os| format!("{}.{}.{}", os.major, os.minor, os.patch));
    let tpm = match (report.tpm, &report.tpm_version) {
        (Some(true), Some(version)) => Some(format!("yes, version {version}")),
        (tpm, _) => yes_no(tpm),
    };
    [
        ("  system", os),
        ("  kernel", report.kernel.clone()),
        ("  serial number", report.serial.clone()),
        ("  TPM", tpm),
        ("  secure boot", yes_no(report.secure_boot)),
        ("  disk encrypted", yes_no(report.disk_encrypted)),
        ("  screen lock", yes_no(report.screen_lock)),
        ("  firewall", yes_no(report.firewall)),
    ]
}

/// An account for scripts.
pub(super) fn account(folder: &Folder, account: &Account, store: Option<&dyn KeyStore>) -> Value {
    let leaf = folder.leaf(account).ok().flatten();
    let shared = store.and_then(|store| store.shared(&account.possession).ok().flatten());
    json!({
        "login": account.login,
        "user": account.user,
        "enrollment": account.enrollment,
        "key": account.possession.public.thumbprint(),
        "keyProtection": account.key_protection,
        "rootClass": account.root_class,
        "verification": verification_json(account),
        "managed": account.managed,
        "fastpass": account.fastpass,
        "certificate": folder.certificate(account),
        "certificateNotAfter": leaf.as_ref().map(|leaf| leaf.not_after.to_string()),
        "keyFile": matches!(shared, Some(Shared::File(_))).then(|| folder.key(account)),
        "keyUri": match shared {
            Some(Shared::Uri(uri)) => Some(uri),
            Some(Shared::File(_)) | None => None,
        },
    })
}

fn path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// Where a long line goes on, as a shell reads it.
const BREAK: &str = " \\\n    ";

/// As a shell reads it.
fn quoted(text: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-@+:,=%".contains(character);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_hardware_is_said_loudly_and_nothing_is_called_proved_that_is_not() {
        let said = protection(KeyProtection::Hardware, Some(RootClass::Test));
        assert!(said.contains("TEST HARDWARE"), "{said}");
        assert!(!protection(KeyProtection::Software, None).contains("HARDWARE, proved"));
        assert_eq!(
            protection(KeyProtection::Hardware, Some(RootClass::Hardware)),
            "HARDWARE, proved"
        );
    }

    #[test]
    fn a_line_to_try_can_be_pasted_into_a_shell() {
        assert_eq!(quoted("/home/a/state"), "/home/a/state");
        assert_eq!(quoted("pkcs11:token=t;id=%01"), "'pkcs11:token=t;id=%01'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
