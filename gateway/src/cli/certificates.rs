//! What can be done with device certificates? They are named by fingerprint, or by a beginning that only one has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use directory::RevocationReason;
use http::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::names::{self, id};
use super::output::{Column, print};
use super::times;

#[derive(Subcommand)]
pub(super) enum CertificateCommand {
    /// List certificates
    List {
        /// Only those of this device, by name or id
        #[arg(long)]
        device: Option<String>,
    },
    /// Show a certificate
    Show {
        /// Fingerprint (SHA-256), or how it begins
        certificate: String,
    },
    /// End a certificate for good
    Revoke {
        /// Fingerprint (SHA-256), or how it begins
        certificate: String,
        /// Why: unspecified, key_compromise, affiliation_changed, superseded, cessation_of_operation or privilege_withdrawn
        #[arg(long, default_value = "unspecified")]
        reason: RevocationReason,
    },
    /// Put a certificate on hold
    Hold {
        /// Fingerprint (SHA-256), or how it begins
        certificate: String,
    },
    /// Issue a management certificate from the gateway's own management CA
    IssueManagement {
        /// The device it is for, by name or id
        device: String,
        /// The certificate request (PKCS #10, PEM) by the key that stays on the device
        #[arg(long, value_name = "FILE")]
        csr: PathBuf,
        /// Where the certificate goes; otherwise to standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// How long it lasts, such as 90d
        #[arg(long, value_parser = times::duration)]
        lifetime: Option<Duration>,
    },
    /// End a management certificate for good
    RevokeManagement {
        /// Its whole fingerprint (SHA-256)
        fingerprint: String,
    },
    /// End a hold
    Release {
        /// Fingerprint (SHA-256), or how it begins
        certificate: String,
    },
}

impl CertificateCommand {
    /// Does it.
    pub(super) async fn run(self, client: Client) -> Result<(), CliError> {
        match self {
            Self::List { device: None } => client.output.list(&LIST, &client.all(&["certificates"], &[]).await?),
            Self::List { device: Some(device) } => {
                let device = names::device(&client, &device).await?;
                client.output.list(
                    &LIST,
                    &client.all(&["certificates"], &[("device", id(&device, "id"))]).await?,
                );
            }
            Self::Show { certificate } => client
                .output
                .one(&SHOW, &names::certificate(&client, &certificate).await?),
            Self::Revoke { certificate, reason } => {
                let body = json!({ "reason": reason });
                lifecycle(&client, &certificate, "revoke", Some(&body), "revoked").await?;
            }
            Self::Hold { certificate } => lifecycle(&client, &certificate, "hold", None, "on hold").await?,
            Self::IssueManagement {
                device,
                csr,
                out,
                lifetime,
            } => issue_management(&client, &device, &csr, out.as_deref(), lifetime).await?,
            Self::RevokeManagement { fingerprint } => {
                let path = ["management-certificates", &fingerprint, "lifecycle", "revoke"];
                client.send(Method::POST, &path, None).await?;
                client
                    .output
                    .done(&format!("management certificate {fingerprint}: revoked"));
            }
            Self::Release { certificate } => lifecycle(&client, &certificate, "release", None, "released").await?,
        }
        Ok(())
    }
}

async fn issue_management(
    client: &Client,
    device: &str,
    csr: &Path,
    out: Option<&Path>,
    lifetime: Option<Duration>,
) -> Result<(), CliError> {
    let unreadable = |file: &Path| {
        let file = file.to_owned();
        move |source| CliError::File { file, source }
    };
    let request = std::fs::read_to_string(csr).map_err(unreadable(csr))?;
    let device = names::device(client, device).await?;
    let mut body = json!({ "device": id(&device, "id"), "certificateRequest": request });
    if let (Some(lifetime), Some(members)) = (lifetime, body.as_object_mut()) {
        members.insert("lifetime".to_owned(), lifetime.as_secs().into());
    }
    let issued = client
        .send(Method::POST, &["management-certificates"], Some(&body))
        .await?;
    let chain = issued
        .pointer("/certificate")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match out {
        Some(file) => {
            std::fs::write(file, chain).map_err(|source| CliError::Write {
                file: file.to_owned(),
                source,
            })?;
            client.output.one(&MANAGEMENT, &issued);
        }
        None => print(chain),
    }
    Ok(())
}

async fn lifecycle(
    client: &Client,
    certificate: &str,
    verb: &str,
    body: Option<&Value>,
    done: &str,
) -> Result<(), CliError> {
    let found = names::certificate(client, certificate).await?;
    let fingerprint = id(&found, "fingerprint");
    client
        .send(Method::POST, &["certificates", fingerprint, "lifecycle", verb], body)
        .await?;
    client.output.done(&format!("certificate {fingerprint}: {done}"));
    Ok(())
}

const MANAGEMENT: [Column; 3] = [
    ("Fingerprint", "/fingerprint"),
    ("Device id", "/device"),
    ("Ends", "/notAfter"),
];

const LIST: [Column; 5] = [
    ("FINGERPRINT", "/fingerprint"),
    ("STATUS", "/status"),
    ("DEVICE", "/deviceName"),
    ("USER", "/user"),
    ("ENDS", "/notAfter"),
];

const SHOW: [Column; 11] = [
    ("Fingerprint", "/fingerprint"),
    ("Serial", "/serial"),
    ("Issuer", "/issuer"),
    ("Status", "/status"),
    ("Since", "/since"),
    ("Reason", "/reason"),
    ("Device", "/deviceName"),
    ("Device id", "/device"),
    ("User", "/user"),
    ("Begins", "/notBefore"),
    ("Ends", "/notAfter"),
];
