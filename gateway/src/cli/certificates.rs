//! What can be done with device certificates? They are named by fingerprint, or by a beginning that only one has.

use clap::Subcommand;
use directory::RevocationReason;
use http::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::error::CliError;
use super::names::{self, id};
use super::output::Column;

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
            Self::Release { certificate } => lifecycle(&client, &certificate, "release", None, "released").await?,
        }
        Ok(())
    }
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
