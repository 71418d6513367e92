//! How does a user say in the browser who they are? It is opened on a page of the auth host, which finds this agent on the
//! loopback and brings the token there.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use device_checks::loopback::{EnrollmentStep, LOOPBACK_PORTS};
use device_checks::wire::Organization;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::error::{CliError, chain};
use super::output::complain;
use crate::enrollment::{Applicant, Step};
use crate::loopback::enrolling::{Enrolling, Granted};
use crate::loopback::{bind, serve};
use crate::secret::Secret;

/// A page in a browser on this machine, which this agent waits for and then tells how far it is.
pub(super) struct Browser {
    enrolling: Arc<Enrolling>,
    granted: Mutex<Option<oneshot::Receiver<Granted>>>,
    serving: JoinHandle<()>,
}

impl Browser {
    /// Listens, then says where to go, and goes there.
    pub(super) async fn begin(
        applicant: &Applicant,
        organization: &Organization,
        opens: bool,
    ) -> Result<Self, CliError> {
        let ports = match organization.loopback_ports.as_slice() {
            [] => LOOPBACK_PORTS.to_vec(),
            ports => ports.to_vec(),
        };
        let Some((listener, _)) = bind(&ports).await else {
            return Err(CliError::NoPort { ports });
        };
        let (enrolling, granted) = Enrolling::new(applicant.clone());
        let enrolling = Arc::new(enrolling);
        let serving = tokio::spawn(serve(listener, Arc::clone(&enrolling)));
        let key = applicant.instance_key.public.thumbprint();
        let page = format!("{}/enroll-device?key={key}", applicant.pinned.issuer);
        complain(&format!("Go on in a browser on this machine:\n\n  {page}\n\n"));
        if opens && !open(&page) {
            complain("No browser could be opened from here: open the page yourself.\n");
        }
        Ok(Self {
            enrolling,
            granted: Mutex::new(Some(granted)),
            serving,
        })
    }

    /// Waits for the token, and for what the device is to be called where the user said so.
    pub(super) async fn granted(&self) -> Result<(Secret, Option<String>), CliError> {
        let granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner).take();
        let granted = granted.ok_or(CliError::Late)?;
        let Granted { token, name } = tokio::select! {
            granted = granted => granted.map_err(|_| CliError::Late)?,
            () = tokio::time::sleep(PATIENCE) => return Err(CliError::Late),
            _ = tokio::signal::ctrl_c() => return Err(CliError::Interrupted),
        };
        // From here on a further one ends the process as it did before.
        tokio::spawn(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(130);
            }
        });
        self.enrolling.tell(EnrollmentStep::AskingForPin, None);
        let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        Ok((token, name))
    }

    /// Tells the page how far it is.
    pub(super) fn tell(&self, step: Step) {
        let step = match step {
            Step::Identifying => EnrollmentStep::Identifying,
            Step::Beginning => EnrollmentStep::Beginning,
            Step::Activating => EnrollmentStep::Activating,
            Step::MakingKeys => EnrollmentStep::MakingKeys,
            Step::Finishing => EnrollmentStep::Finishing,
        };
        self.enrolling.tell(step, None);
    }

    /// Tells the page how it ended: with the device's name, or why not; waits a moment for it to hear that.
    pub(super) async fn end(browser: Option<Self>, ended: &Result<String, CliError>) {
        let Some(browser) = browser else {
            return;
        };
        match ended {
            Ok(name) => browser.enrolling.tell(EnrollmentStep::Done, Some(name.clone())),
            Err(error) => browser.enrolling.tell(EnrollmentStep::Failed, Some(chain(error))),
        }
        // Whoever ends it does not wait for a page.
        if !matches!(ended, Err(CliError::Interrupted))
            && tokio::time::timeout(MOMENT, browser.enrolling.read()).await.is_ok()
        {
            tokio::time::sleep(ON_ITS_WAY).await;
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Opens a page in the user's browser; says whether there is one.
fn open(page: &str) -> bool {
    let own = std::env::var("BROWSER").ok();
    let own = own
        .as_deref()
        .and_then(|list| list.split(':').find(|command| !command.trim().is_empty()));
    own.is_some_and(|command| start(&words(command, page))) || start(&["xdg-open".to_owned(), page.to_owned()])
}

/// The words of a command of `BROWSER`: the page is where it says `%s`, or else comes last.
fn words(command: &str, page: &str) -> Vec<String> {
    let mut words: Vec<String> = command
        .split_whitespace()
        .map(|word| word.replace("%s", page))
        .collect();
    if !command.contains("%s") {
        words.push(page.to_owned());
    }
    words
}

fn start(words: &[String]) -> bool {
    let Some((program, arguments)) = words.split_first() else {
        return false;
    };
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .is_ok()
}

const PATIENCE: Duration = Duration::from_secs(600);
const MOMENT: Duration = Duration::from_secs(5);
/// For what was answered to leave this process.
const ON_ITS_WAY: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_where_the_command_wants_it() {
        assert_eq!(words("firefox", "https://a"), ["firefox", "https://a"]);
        assert_eq!(
            words("env A=1 x --url=%s -n", "https://a"),
            ["env", "A=1", "x", "--url=https://a", "-n"]
        );
    }
}
