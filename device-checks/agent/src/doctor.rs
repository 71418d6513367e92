//! What is wrong with this installation, and how is it mended? Everything that enrolment and proof depend on, one by
//! one.

use std::sync::Arc;

use device_checks::LEEWAY;
use device_checks::wire::{ORGANIZATION_PATH, Organization, RENEW_PATH, Timestamp};
use serde::Serialize;

use crate::cli::error::chain;
use crate::gateway::{Ask, AskError, Gateway, refusal};
use crate::installation::{Clock, ConnectError, Installation};
use crate::keys::{self, Choice, KeyError, blocking};
use crate::loopback::{Found, look};
use crate::management;
use crate::pam::{self, PamError};
use crate::pin;
use crate::renew::device_host;
use crate::state::{Account, Folder, State, renew_at};
use crate::tls;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked.
    pub check: String,
    /// What came of it.
    pub verdict: Verdict,
    /// What was found.
    pub says: String,
    /// How it is mended, where it is wrong.
    pub mend: Option<String>,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is as it has to be.
    Good,
    /// It is not.
    Wrong,
    /// It could not be checked, or does not matter here.
    Skipped,
}

/// Checks everything that can be.
pub async fn examine(folder: &Folder, now: Clock) -> Vec<Finding> {
    let mut findings = Vec::new();
    let installation = match Installation::open(folder.clone(), now) {
        Ok(installation) => installation,
        Err(error) => {
            let mend = match &error {
                ConnectError::Key(_) => "use a latchkey-agent that can use these keys",
                ConnectError::State(_)
                | ConnectError::Ask(_)
                | ConnectError::NotPinned(_)
                | ConnectError::Assert(_) => "enrol first, or say which --state",
            };
            return vec![wrong("state", chain(&error), mend)];
        }
    };
    findings.push(good("state", folder.path().display().to_string()));
    findings.push(tpm(&installation.state).await);
    findings.push(token(&installation).await);
    findings.extend(management_certificates(&installation));
    findings.push(loopback(&installation.state).await);
    let gateway = gateway(&installation, &mut findings).await;
    if installation.state.accounts.is_empty() {
        findings.push(wrong("accounts", "there are none", "`latchkey-agent accounts add`"));
    }
    for account in &installation.state.accounts {
        findings.push(key(&installation, account).await);
        findings.extend(service(account));
        findings.push(certificate(&installation, account));
        if let Some(gateway) = &gateway {
            findings.push(standing(&installation, gateway, account).await);
            findings.push(device_host_answers(&installation, account).await);
        }
    }
    findings
}

async fn tpm(state: &State) -> Finding {
    let needed = state.keys.keys == Choice::Tpm;
    let Some(tcti) = state.keys.tcti.clone() else {
        return skipped("TPM", "none is used");
    };
    let asked = tcti.clone();
    match blocking(move || keys::tpm_is_there(&asked)).await {
        Ok(()) => good("TPM", format!("version 2.0 answers at {tcti}")),
        Err(error) if needed => wrong("TPM", chain(&error), &mend_tpm(&tcti)),
        Err(error) => skipped("TPM", &chain(&error)),
    }
}

/// What helps depends on what there is.
fn mend_tpm(tcti: &str) -> String {
    let device = tcti.strip_prefix("device:").map(std::path::Path::new);
    match device {
        Some(device) if !device.exists() => {
            format!(
                "there is no {}: turn the TPM on in the firmware's settings",
                device.display()
            )
        }
        Some(device) if std::fs::File::options().read(true).write(true).open(device).is_err() => {
            format!(
                "you may not use {}: join its group (`usermod -aG tss $USER`)",
                device.display()
            )
        }
        Some(_) => "another program may hold the TPM: use /dev/tpmrm0, which is shared".to_owned(),
        None => "start what answers there (swtpm, tpm2-abrmd)".to_owned(),
    }
}

async fn token(installation: &Installation) -> Finding {
    if installation.state.keys.keys != Choice::Pkcs11 {
        return skipped("PKCS#11 token", "none is used");
    }
    let (store, key) = (Arc::clone(&installation.store), installation.state.instance.key.clone());
    match blocking(move || store.open(&key, None).map(drop)).await {
        Ok(()) => good("PKCS#11 token", "the token is there, its PIN is right"),
        Err(error) => wrong(
            "PKCS#11 token",
            chain(&error),
            "plug the token in; check the module, the label and the PIN file that `status` shows",
        ),
    }
}

fn management_certificates(installation: &Installation) -> Vec<Finding> {
    let folder = installation.folder.management(&installation.state);
    let (usable, unusable) = management::find(&folder, installation.now());
    if usable.is_empty() && unusable.is_empty() {
        return vec![skipped(
            "management certificate",
            &format!("none in {}", folder.display()),
        )];
    }
    let mut findings: Vec<Finding> = unusable
        .iter()
        .map(|(file, why)| {
            let says = format!("{}: {}", file.display(), chain(why));
            wrong(
                "management certificate",
                says,
                "have the management service deliver a new one",
            )
        })
        .collect();
    if let Some(newest) = management::newest(&usable, None) {
        let says = format!("{}, until {}", newest.file.display(), newest.not_after);
        findings.push(good("management certificate", says));
    }
    findings
}

/// Whether pages find an agent of this user on this machine.
async fn loopback(state: &State) -> Finding {
    let mut others = Vec::new();
    for port in state.loopback_ports() {
        match look(*port, &state.gateway.issuer).await {
            Found::Agent => return good("loopback", format!("an agent answers on port {port}")),
            Found::Enrolling | Found::Nobody => {}
            Found::Another => others.push(port.to_string()),
        }
    }
    let start = "no agent answers pages: `latchkey-agent run`, or `systemctl --user enable --now latchkey-agent`";
    if others.len() == state.loopback_ports().len() {
        let says = format!("others have all its ports: {}", others.join(", "));
        return wrong(
            "loopback",
            says,
            "end what listens there, or have the gateway publish other ports",
        );
    }
    skipped("loopback", start)
}

/// Whether the gateway can be reached, is trusted, is the one that was pinned, and has the same time.
async fn gateway(installation: &Installation, findings: &mut Vec<Finding>) -> Option<Gateway> {
    let pinned = &installation.state.gateway;
    let gateway = match Gateway::new(&pinned.issuer, pinned.authority.as_deref(), None) {
        Ok(gateway) => gateway,
        Err(error) => {
            findings.push(wrong(
                "TLS",
                chain(&error),
                "`unenroll --forget`, then enrol again with the right --ca",
            ));
            return None;
        }
    };
    let told = match gateway.reach(Ask::get(ORGANIZATION_PATH)).await {
        Ok(told) => told,
        Err(error) => {
            let (check, mend) = match error {
                AskError::Untrusted { .. } => (
                    "TLS",
                    "if the gateway has a new CA, `unenroll --forget` and enrol again with --ca; if not, somebody is in between",
                ),
                AskError::Url(_)
                | AskError::Tls(_)
                | AskError::Setup(_)
                | AskError::Unreachable { .. }
                | AskError::NotTheProtocol { .. }
                | AskError::Refused(_) => ("gateway", "check the network, the name and that the gateway runs"),
            };
            findings.push(wrong(check, chain(&error), mend));
            return None;
        }
    };
    findings.push(good("gateway", format!("{} answers", pinned.issuer)));
    findings.push(good("TLS", "its certificate is trusted"));
    findings.push(clock(installation.now(), told.date()));
    let organization: Result<Organization, _> = serde_json::from_slice(&told.body);
    let Ok(organization) = organization else {
        let says = format!("{} does not answer as a gateway does", pinned.issuer);
        findings.push(wrong("organisation", says, "ask who runs it"));
        return None;
    };
    match pin::check(pinned, &organization) {
        Ok(()) => {
            findings.push(good("organisation", "the one that was pinned"));
            Some(gateway)
        }
        Err(error) => {
            let mend = "if your administrator set the gateway up anew: `unenroll --forget`, then enrol again";
            findings.push(wrong("organisation", chain(&error), mend));
            None
        }
    }
}

fn clock(now: Timestamp, theirs: Option<Timestamp>) -> Finding {
    let Some(theirs) = theirs else {
        return skipped("clock", "the gateway does not say what time it is");
    };
    let apart = now.secs().abs_diff(theirs.secs());
    if apart < LEEWAY.unsigned_abs() {
        good("clock", "the gateway's and this one agree")
    } else {
        let ahead = if now > theirs { "ahead of" } else { "behind" };
        let says = format!("this one is {apart} s {ahead} the gateway's");
        wrong(
            "clock",
            says,
            "set the clock (`timedatectl set-ntp true`): nothing signed is believed meanwhile",
        )
    }
}

async fn key(installation: &Installation, account: &Account) -> Finding {
    let check = format!("key of {}", account.login);
    let (store, stored) = (Arc::clone(&installation.store), account.possession.clone());
    let signed = blocking::<_, KeyError>(move || {
        let key = store.open(&stored, None)?;
        key.sign_digest(&[0; 32]).map(drop)
    });
    match signed.await {
        Ok(()) => good(&check, "signs"),
        Err(error) => wrong(
            &check,
            chain(&error),
            "if the key is gone for good, remove the account and add it again; a key of \
             another machine's TPM never works here",
        ),
    }
}

/// Whether what verifies the account's user is there, where it is a PAM service.
fn service(account: &Account) -> Option<Finding> {
    let service = account.verification.as_ref()?.service().ok()?;
    let check = format!("confirming of {}", account.login);
    let mend = "set the service up, or confirm in another way: `latchkey-agent verification set`";
    Some(match pam::is_usable() {
        Err(error) => wrong(&check, error, mend),
        Ok(()) if service.is_there() => good(&check, format!("the PAM service `{service}` is there")),
        Ok(()) => wrong(&check, chain(&PamError::NoService(service)), mend),
    })
}

fn certificate(installation: &Installation, account: &Account) -> Finding {
    let check = format!("certificate of {}", account.login);
    let again = "remove the account, then add it again";
    let leaf = match installation.folder.leaf(account) {
        Ok(Some(leaf)) => leaf,
        Ok(None) => return wrong(&check, "it is gone", again),
        Err(error) => return wrong(&check, chain(&error), again),
    };
    let now = installation.now();
    if !tls::is_for(&leaf, &account.possession.public) {
        wrong(&check, "it is for another key", again)
    } else if now > leaf.not_after {
        wrong(&check, format!("expired: it was valid until {}", leaf.not_after), again)
    } else if now.plus(std::time::Duration::from_secs(LEEWAY.unsigned_abs())) < leaf.not_before {
        wrong(
            &check,
            format!("it is not valid before {}", leaf.not_before),
            "set the clock",
        )
    } else if now >= renew_at(&leaf) {
        let says = format!("expiring: it is valid until {}", leaf.not_after);
        wrong(
            &check,
            says,
            "`latchkey-agent renew`; `latchkey-agent run` does it by itself",
        )
    } else {
        good(&check, format!("valid until {}", leaf.not_after))
    }
}

async fn standing(installation: &Installation, gateway: &Gateway, account: &Account) -> Finding {
    let check = format!("enrolment of {}", account.login);
    match installation.status(gateway, account).await {
        Ok(status) => good(&check, status.status),
        Err(error) => denied(&check, &error),
    }
}

/// Whether the host where certificates are renewed takes this one.
async fn device_host_answers(installation: &Installation, account: &Account) -> Finding {
    let check = format!("device host for {}", account.login);
    let mend = "check the network and the name; ask whether the certificate counts still";
    if installation.state.gateway.device_origin.is_none() {
        return wrong(
            &check,
            "the gateway had none when this device enrolled",
            "enrol again once it has one",
        );
    }
    let host = match device_host(installation, account).await {
        Ok((host, _)) => host,
        Err(error) => return wrong(&check, chain(&error), mend),
    };
    match host.reach(Ask::get(RENEW_PATH)).await {
        Ok(told) => match refusal(&told).filter(|refusal| matches!(refusal.status, 401 | 403)) {
            Some(refusal) => {
                let mend = refusal.advice().unwrap_or_else(|| mend.to_owned());
                wrong(&check, refusal.line(), &mend)
            }
            None => good(&check, format!("{} answers, and takes the certificate", host.origin())),
        },
        Err(error) => wrong(&check, chain(&error), mend),
    }
}

/// The gateway's no, with what helps against it.
fn denied(check: &str, error: &ConnectError) -> Finding {
    let Some(refusal) = error.refusal() else {
        return wrong(check, chain(error), "see what is wrong above, then try again");
    };
    let mend = refusal.advice();
    let mend = mend.unwrap_or_else(|| "see the gateway's log, or ask an administrator".to_owned());
    wrong(check, refusal.line(), &mend)
}

fn good(check: &str, says: impl Into<String>) -> Finding {
    Finding {
        check: check.to_owned(),
        verdict: Verdict::Good,
        says: says.into(),
        mend: None,
    }
}

fn wrong(check: &str, says: impl Into<String>, mend: &str) -> Finding {
    Finding {
        check: check.to_owned(),
        verdict: Verdict::Wrong,
        says: says.into(),
        mend: Some(mend.to_owned()),
    }
}

fn skipped(check: &str, says: &str) -> Finding {
    Finding {
        check: check.to_owned(),
        verdict: Verdict::Skipped,
        says: says.to_owned(),
        mend: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

    #[test]
    fn a_clock_that_is_a_minute_off_is_wrong() {
        let off = |seconds: i64| clock(NOW, Some(Timestamp::from_secs(NOW.secs() + seconds)));
        assert_eq!(off(0).verdict, Verdict::Good);
        assert_eq!(off(59).verdict, Verdict::Good);
        assert_eq!(off(60).verdict, Verdict::Wrong);
        assert!(off(-90).says.contains("90 s ahead"), "{:?}", off(-90));
        assert_eq!(clock(NOW, None).verdict, Verdict::Skipped);
    }

    #[test]
    fn a_tpm_that_is_not_there_is_told_from_one_that_may_not_be_used() {
        assert!(mend_tpm("device:/nonexistent/tpmrm0").contains("turn the TPM on"));
        assert!(mend_tpm("swtpm:host=127.0.0.1,port=1").contains("swtpm"));
    }
}
