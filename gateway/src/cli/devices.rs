//! What can be done with devices? They are named by id, or by a name that only one of them has.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, Subcommand};
use directory::{OsVersion, Ownership, Posture};
use http::Method;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::error::CliError;
use super::names::{self, id};
use super::output::Column;
use super::times;
use super::users::tag;

#[derive(Subcommand)]
pub(super) enum DeviceCommand {
    /// List devices
    List,
    /// Show a device
    Show {
        /// Name or id
        device: String,
    },
    /// Change what is given, leave the rest
    Update {
        /// Name or id
        device: String,
        /// A new name
        #[arg(long)]
        name: Option<String>,
        /// Whose it is: unknown, corporate or personal
        #[arg(long)]
        ownership: Option<Ownership>,
        /// A device group that policies see it in, as often as needed; replaces all groups
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// What policies read by name, KEY=VALUE, as often as needed; replaces all tags
        #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
        tags: Vec<(String, String)>,
    },
    /// Let a deactivated device enrol again
    Activate {
        /// Name or id
        device: String,
    },
    /// Shut a device out at once and for good: its enrolments end, its certificates are revoked
    Deactivate {
        /// Name or id
        device: String,
    },
    /// Shut a device out at once, for a while
    Suspend {
        /// Name or id
        device: String,
    },
    /// Let a suspended device back in
    Unsuspend {
        /// Name or id
        device: String,
    },
    /// Delete a deactivated device
    Delete {
        /// Name or id
        device: String,
    },
    /// Say what an MDM says of a device
    Report(Report),
    /// Take back what an MDM said of a device
    Withdraw {
        /// Name or id
        device: String,
        /// The MDM, as it is configured; with a demo, its only one
        #[arg(long)]
        source: Option<String>,
    },
}

#[derive(Args)]
pub(super) struct Report {
    /// Name or id
    device: String,
    /// The MDM, as it is configured; with a demo, its only one
    #[arg(long)]
    source: Option<String>,
    /// Whether the MDM manages it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    managed: bool,
    /// How long the report counts
    #[arg(long, visible_alias = "ends-in", value_name = "DURATION", default_value = "24h", value_parser = times::duration)]
    ends: Duration,
    /// The operating system's version, such as 15.1.0
    #[arg(long, value_name = "VERSION", value_parser = os_version)]
    os: Option<OsVersion>,
    /// Whether the system disk is encrypted
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    disk_encrypted: Option<bool>,
    /// Whether the screen locks itself
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    screen_lock: Option<bool>,
    /// Whether a firewall runs
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    firewall: Option<bool>,
    /// Whether only signed systems boot
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    secure_boot: Option<bool>,
    /// Whether an anti-virus runs
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    antivirus: Option<bool>,
    /// Whether the system's own protections were removed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    jailbroken: Option<bool>,
    /// Whether there is a TPM, Secure Enclave or the like
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    secure_hardware: Option<bool>,
}

impl DeviceCommand {
    /// Does it.
    pub(super) async fn run(self, client: Client) -> Result<(), CliError> {
        match self {
            Self::List => {
                client.output.list(&LIST, &client.all(&["devices"], &[]).await?);
                Ok(())
            }
            Self::Show { device } => show(&client, &names::device(&client, &device).await?),
            Self::Update {
                device,
                name,
                ownership,
                groups,
                tags,
            } => {
                let found = names::device(&client, &device).await?;
                let body = update(name, ownership, groups, tags);
                show(
                    &client,
                    &client
                        .send(Method::POST, &["devices", id(&found, "id")], Some(&body))
                        .await?,
                )
            }
            Self::Activate { device } => lifecycle(&client, &device, "activate", "activated").await,
            Self::Deactivate { device } => lifecycle(&client, &device, "deactivate", "deactivated").await,
            Self::Suspend { device } => lifecycle(&client, &device, "suspend", "suspended").await,
            Self::Unsuspend { device } => lifecycle(&client, &device, "unsuspend", "let back in").await,
            Self::Delete { device } => {
                let found = names::device(&client, &device).await?;
                client
                    .send(Method::DELETE, &["devices", id(&found, "id")], None)
                    .await?;
                client.output.done(&format!("{}: deleted", called(&found)));
                Ok(())
            }
            Self::Report(report) => report.send(&client).await,
            Self::Withdraw { device, source } => {
                let source = source_or_only(&client, source)?;
                let found = names::device(&client, &device).await?;
                client
                    .send(Method::DELETE, &["devices", id(&found, "id"), "reports", &source], None)
                    .await?;
                client
                    .output
                    .done(&format!("{}: report of {source} withdrawn", called(&found)));
                Ok(())
            }
        }
    }
}

impl Report {
    async fn send(self, client: &Client) -> Result<(), CliError> {
        let source = source_or_only(client, self.source.clone())?;
        let found = names::device(client, &self.device).await?;
        let ends = times::now().plus(self.ends).to_string();
        let body = json!({ "managed": self.managed, "posture": self.posture(), "ends": ends });
        let path = ["devices", id(&found, "id"), "reports", &source];
        client
            .output
            .one(&REPORT, &client.send(Method::PUT, &path, Some(&body)).await?);
        Ok(())
    }

    fn posture(&self) -> Posture {
        Posture {
            os: self.os,
            disk_encrypted: self.disk_encrypted,
            screen_lock: self.screen_lock,
            firewall: self.firewall,
            secure_boot: self.secure_boot,
            antivirus: self.antivirus,
            jailbroken: self.jailbroken,
            secure_hardware: self.secure_hardware,
        }
    }
}

async fn lifecycle(client: &Client, device: &str, verb: &str, done: &str) -> Result<(), CliError> {
    let found = names::device(client, device).await?;
    client
        .send(Method::POST, &["devices", id(&found, "id"), "lifecycle", verb], None)
        .await?;
    client.output.done(&format!("{}: {done}", called(&found)));
    Ok(())
}

fn update(
    name: Option<String>,
    ownership: Option<Ownership>,
    groups: Vec<String>,
    tags: Vec<(String, String)>,
) -> Value {
    let given = [
        ("name", name.map(Value::from)),
        ("ownership", ownership.map(|ownership| json!(ownership))),
        ("groups", (!groups.is_empty()).then(|| json!(groups))),
        (
            "tags",
            (!tags.is_empty()).then(|| json!(tags.into_iter().collect::<BTreeMap<_, _>>())),
        ),
    ];
    let body: Map<String, Value> = given
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect();
    Value::Object(body)
}

fn source_or_only(client: &Client, source: Option<String>) -> Result<String, CliError> {
    let source = source.or_else(|| client.mdm_source.clone());
    source.ok_or_else(|| CliError::Usage("say which MDM it is: --source NAME, as in the configuration".to_owned()))
}

/// Reads `15`, `15.1` or `15.1.0`.
fn os_version(text: &str) -> Result<OsVersion, String> {
    let expected = || "expected a version such as 15.1.0".to_owned();
    let numbers: Vec<u32> = text
        .split('.')
        .map(|part| part.parse().map_err(|_| expected()))
        .collect::<Result<_, _>>()?;
    match numbers.as_slice() {
        [major] => Ok(OsVersion {
            major: *major,
            minor: 0,
            patch: 0,
        }),
        [major, minor] => Ok(OsVersion {
            major: *major,
            minor: *minor,
            patch: 0,
        }),
        [major, minor, patch] => Ok(OsVersion {
            major: *major,
            minor: *minor,
            patch: *patch,
        }),
        _ => Err(expected()),
    }
}

fn called(device: &Value) -> String {
    format!("device {} ({})", id(device, "name"), id(device, "id"))
}

fn show(client: &Client, device: &Value) -> Result<(), CliError> {
    client.output.one(&SHOW, device);
    Ok(())
}

const LIST: [Column; 6] = [
    ("NAME", "/name"),
    ("ID", "/id"),
    ("STATUS", "/status"),
    ("MANAGED", "/managed"),
    ("PLATFORM", "/platform"),
    ("USERS", "/users"),
];

const SHOW: [Column; 20] = [
    ("Name", "/name"),
    ("Id", "/id"),
    ("Status", "/status"),
    ("Platform", "/platform"),
    ("Registered", "/registered"),
    ("Managed", "/managed"),
    ("Ownership", "/ownership"),
    ("Secure hardware present", "/secureHardwarePresent"),
    ("Secure hardware attested", "/secureHardware"),
    ("Root of the attestation", "/attestation/rootClass"),
    ("Machine", "/attestation/hardware"),
    ("Says of itself", "/reported"),
    ("Accounts", "/enrollments"),
    ("Management certificates", "/managementCertificates"),
    ("Users", "/users"),
    ("Certificates", "/certificates"),
    ("Groups", "/groups"),
    ("Tags", "/tags"),
    ("Reports", "/reports"),
    ("Updated", "/lastUpdated"),
];

const REPORT: [Column; 5] = [
    ("Source", "/source"),
    ("Managed", "/managed"),
    ("Posture", "/posture"),
    ("At", "/at"),
    ("Ends", "/ends"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_given_is_sent() {
        assert_eq!(update(None, None, Vec::new(), Vec::new()), json!({}));
        let tags = vec![("site".to_owned(), "berlin".to_owned())];
        assert_eq!(
            update(None, Some(Ownership::Corporate), vec!["kiosks".to_owned()], tags),
            json!({ "ownership": "corporate", "groups": ["kiosks"], "tags": { "site": "berlin" } })
        );
    }

    #[test]
    fn a_version_has_one_to_three_numbers() {
        assert_eq!(
            os_version("15.1"),
            Ok(OsVersion {
                major: 15,
                minor: 1,
                patch: 0
            })
        );
        for bad in ["", "15.", "15.1.0.2", "-1", "x"] {
            assert!(os_version(bad).is_err(), "{bad}");
        }
    }
}
