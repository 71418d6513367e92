//! Do those take what the gateway sends who are no servers of applications: the mail server, the collector? Neither gets anything.

use std::time::Duration;

use super::Finding;
use crate::config::{Config, Mail, MailWay};
use crate::logs::Chain;
use crate::mail::Post;
use crate::setup::Setup;
use crate::telemetry::Telemetry;

/// Connects to the mail server as for a letter, sign-in included.
pub(super) async fn mail(setup: &Setup) -> Option<Finding> {
    let (post, mail) = (setup.mail.as_ref()?, setup.config.mail.as_ref()?);
    Some(try_mail(post, mail).await)
}

async fn try_mail(post: &Post, mail: &Mail) -> Finding {
    let way = match &mail.way {
        MailWay::Server(server) => format!("{}:{}", server.name, server.port),
        MailWay::Folder(folder) => folder.display().to_string(),
    };
    let found = match tokio::time::timeout(PATIENCE, post.try_out()).await {
        Ok(Ok(true)) => return Finding::ok("mail", format!("{way} takes letters")),
        Ok(Ok(false)) => format!("{way} takes no letters"),
        Ok(Err(error)) => format!("{way}: {}", Chain(&error)),
        Err(_) => format!("{way} does not answer"),
    };
    let advice = "people wait for links and codes: look at `mail`, and whether the server is reachable from here";
    Finding::fail("mail", found, advice)
}

/// Sends the collector a message without anything in it.
pub(super) async fn collector(config: &Config) -> Option<Finding> {
    let otlp = config.telemetry.as_ref()?;
    let endpoint = &otlp.endpoint;
    let advice = "look at `telemetry`, and at the collector's own log; requests do not wait for it";
    Some(match Telemetry::new(otlp, 0) {
        Err(error) => Finding::fail(
            "telemetry",
            Chain(&error).to_string(),
            "a start would be refused for this",
        ),
        Ok((_, exporter)) => match exporter.try_out().await {
            Ok(()) => Finding::ok("telemetry", format!("{endpoint} takes traces")),
            Err(error) => Finding::warn("telemetry", Chain(&error).to_string(), advice),
        },
    })
}

/// How long the mail server may take in all.
const PATIENCE: Duration = Duration::from_secs(10);
