//! What can be asked on the command line? To enrol, to prove and report, and to say what is wrong.

mod accounts;
mod assert;
mod browser;
mod confirm;
mod describe;
mod enroll;
pub(crate) mod error;
mod examine;
mod keep;
mod output;
mod pin;
mod place;
mod prompt;
mod run;
mod settle;
mod status;
mod totp;
mod verification;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::installation::{Clock, Installation};
use crate::pam::{Service, helper};
use crate::state::Folder;

pub use keep::OPENSSL_CONFIGURATION;

use error::{CliError, chain};
use output::{complain, printable_lines};

/// latchkey-agent: enrols this device with a Latchkey gateway and proves it with keys that stay here
#[derive(Parser)]
#[command(name = "latchkey-agent", version)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    task: Task,
}

#[derive(Args)]
struct Common {
    /// Where everything is kept [default: $XDG_DATA_HOME/latchkey-agent or ~/.local/share/latchkey-agent]
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Task {
    /// Enrol this device for a user
    Enroll(Box<enroll::Asked>),
    /// Show the device, its accounts, keys and certificates, and how the gateway sees them
    Status,
    /// Add, remove or list accounts
    #[command(subcommand)]
    Accounts(accounts::Task),
    /// Call this device something else
    Rename {
        /// What
        name: String,
    },
    /// Show how sign-ins are confirmed, or change it
    Verification(verification::Asked),
    /// Manage the PIN of a user-verification key
    #[command(subcommand)]
    Pin(pin::Task),
    /// Renew certificates now
    Renew(accounts::Which),
    /// Remove all accounts, here and on the gateway
    Unenroll(accounts::Forget),
    /// Have the gateway ask what it wants to know of this device, and answer it
    Report(assert::Report),
    /// Answer pages and pushes that ask for a sign-in, and keep certificates and reports fresh, until stopped
    Run(run::Asked),
    /// Find what is wrong, and how to mend it
    Doctor,
    /// Print a header field that proves this device in one request: curl -H "$(latchkey-agent assert --url URL)" URL
    Assert(assert::Asked),
    /// Print this device's present code to sign in with, or that of a TOTP secret (RFC 6238)
    Totp(totp::Asked),
    /// What this program runs itself to ask a PAM service
    #[command(name = helper::COMMAND, hide = true)]
    VerifyByPam {
        #[arg(long)]
        service: Service,
        #[arg(long)]
        within: u32,
    },
}

/// What every command works with.
struct World {
    folder: Folder,
    json: bool,
    now: Clock,
}

/// Does what the command line says: 0 when done, 1 when it failed, 2 when it was asked wrongly.
pub fn main(now: Clock) -> ExitCode {
    let Arguments { common, task } = Arguments::parse();
    let json = common.json;
    if let Task::VerifyByPam { service, within } = &task {
        return helper::run(service, *within);
    }
    match perform(common, task, now) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ CliError::Unwell { .. }) => ExitCode::from(error.exit_code()),
        Err(error) => {
            if json {
                complain(&format!("{:#}\n", error.json()));
            } else {
                complain(&format!("latchkey-agent: {}\n", printable_lines(&chain(&error))));
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn perform(common: Common, task: Task, now: Clock) -> Result<(), CliError> {
    let world = World {
        folder: Folder::new(match common.state {
            Some(folder) => std::path::absolute(folder).map_err(CliError::Start)?,
            None => usual_folder()?,
        }),
        json: common.json,
        now,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(CliError::Start)?;
    runtime.block_on(async {
        settle::before(&world).await;
        match task {
            Task::Enroll(asked) => enroll::enroll(&world, *asked).await,
            Task::Status => status::show(&world).await,
            Task::Accounts(task) => accounts::perform(&world, task).await,
            Task::Rename { name } => accounts::rename(&world, &name).await,
            Task::Verification(asked) => verification::perform(&world, asked).await,
            Task::Pin(task) => pin::perform(&world, task).await,
            Task::Renew(which) => accounts::renew(&world, &which).await,
            Task::Unenroll(forget) => accounts::unenroll(&world, &forget).await,
            Task::Report(asked) => assert::report(&world, &asked).await,
            Task::Run(asked) => run::run(&world, asked).await,
            Task::Doctor => examine::examine(&world).await,
            Task::Assert(asked) => assert::assert(&world, &asked).await,
            Task::Totp(asked) => totp::perform(&world, &asked).await,
            // Done before there were threads.
            Task::VerifyByPam { .. } => Ok(()),
        }
    })
}

impl World {
    fn installation(&self) -> Result<Installation, CliError> {
        Ok(Installation::open(self.folder.clone(), self.now)?)
    }
}

fn usual_folder() -> Result<PathBuf, CliError> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("latchkey-agent"))
        .ok_or_else(|| CliError::Usage("say where to keep everything: --state DIR".to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn everything_can_be_said_at_once() {
        for line in [
            "latchkey-agent enroll --gateway https://auth.localhost:8443",
            "latchkey-agent enroll --gateway https://a --ca ca.pem --user alice --password-file p --totp 123456 --name n \
             --pin-file f --keys tpm --tcti swtpm:host=127.0.0.1,port=2321 --management m --state s --json",
            "latchkey-agent enroll --gateway https://a --token-file t --keys pkcs11 --pkcs11-module m --pkcs11-token l \
             --pkcs11-pin-file p --no-attestation --no-pin",
            "latchkey-agent accounts add --user bob --password-file p",
            "latchkey-agent accounts remove bob --forget",
            "latchkey-agent --state s accounts list --json",
            "latchkey-agent rename laptop",
            "latchkey-agent pin change --account alice --pin-file a --new-pin-file b",
            "latchkey-agent enroll --gateway https://a --verify fingerprint --pam-service sudo",
            "latchkey-agent accounts add --user bob --verify none",
            "latchkey-agent verification",
            "latchkey-agent verification set",
            "latchkey-agent verification set face --account alice --browser --no-open",
            "latchkey-agent verification set pin --password-file p --totp 123456 --pin-file f --json",
            "latchkey-agent renew --account alice",
            "latchkey-agent unenroll",
            "latchkey-agent report --pin-file p",
            "latchkey-agent run --state s",
            "latchkey-agent run --prompt ask-me",
            "latchkey-agent enroll --gateway https://a --browser --no-open --name n --pin-file p",
            "latchkey-agent accounts add --browser",
            "latchkey-agent doctor --json",
            "latchkey-agent assert --method GET --url https://app/ --account alice --verify-user --pin-file p",
            "latchkey-agent totp --secret-file f",
        ] {
            let parsed = Arguments::try_parse_from(line.split_whitespace());
            assert!(parsed.is_ok(), "{line}: {}", parsed.err().unwrap());
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "latchkey-agent",
            "latchkey-agent enroll --gateway https://a --user alice --token-file t",
            "latchkey-agent enroll --gateway https://a --keys pkcs11",
            "latchkey-agent enroll --gateway https://a --keys magic",
            "latchkey-agent enroll --gateway https://a --pin-file p --no-pin",
            "latchkey-agent enroll --gateway https://a --browser --user alice",
            "latchkey-agent enroll --gateway https://a --browser --password-file p",
            "latchkey-agent enroll --gateway https://a --browser --totp 123456",
            "latchkey-agent enroll --gateway https://a --browser --token-file t",
            "latchkey-agent enroll --gateway https://a --no-open",
            "latchkey-agent enroll --gateway https://a --no-pin --verify pin",
            "latchkey-agent enroll --gateway https://a --verify voice",
            "latchkey-agent enroll --gateway https://a --verify face --pam-service ../shadow",
            "latchkey-agent verification set face --browser --password-file p",
            "latchkey-agent assert",
            "latchkey-agent totp --set-up --secret-file f",
            "latchkey-agent totp --pin-file p",
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
