//! What can be asked on the command line? To run a gateway, to check its files, and to manage a running one.

mod certificates;
mod client;
mod devices;
mod doctor;
mod error;
mod factors;
mod fastpass;
mod groups;
mod local;
mod log;
mod names;
mod output;
mod place;
mod sessions;
mod times;
mod tokens;
mod users;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use url::Url;

use crate::demo::Demo;
use crate::logs::Chain;

pub(crate) use output::print;

use error::CliError;
use output::complain;
use place::Place;

/// Latchkey: an access gateway that lets a request through when the policies allow it for this user on this device
#[derive(Parser)]
#[command(name = "latchkey", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Show a whole gateway on this machine, with users, devices and applications of its own
    Demo {
        /// Where it keeps its files
        #[arg(long, default_value = "demo-data")]
        dir: PathBuf,
        /// The port on 127.0.0.1
        #[arg(long, default_value_t = 8443)]
        port: u16,
        /// An application of your own in place of the built-in ones, such as http://127.0.0.1:3000
        #[arg(long, value_name = "URL")]
        upstream: Option<Url>,
        /// Leave out the software TPM, and the desktop with keys in it
        #[arg(long)]
        without_tpm: bool,
        /// Where pages look for agents, in place of the usual ports: for several demos beside each other
        #[arg(long, value_name = "PORT", value_delimiter = ',')]
        loopback_ports: Vec<u16>,
        /// Leave out the agents of the laptops
        #[arg(long)]
        without_agents: bool,
    },
    /// Run the gateway
    Run {
        /// Its configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration
    #[command(subcommand)]
    Config(ConfigTask),
    /// Say what is wrong, or soon will be: clock, files, ports, upstreams, certificates; changes nothing
    Doctor {
        /// The gateway's configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print the findings as JSON
        #[arg(long)]
        json: bool,
    },
    /// Check or try policies
    #[command(subcommand)]
    Policy(PolicyTask),
    /// Manage users
    User(Remote<users::UserCommand>),
    /// List and end sessions
    Session(Remote<sessions::SessionCommand>),
    /// Manage groups
    Group(Remote<groups::GroupCommand>),
    /// Manage devices
    Device(Remote<devices::DeviceCommand>),
    /// Say what FastPass asks of devices
    #[command(name = "fastpass")]
    FastPass(Remote<fastpass::FastPassCommand>),
    /// Manage device certificates
    Cert(Remote<certificates::CertificateCommand>),
    /// Manage tokens of the admin API
    Token(Remote<tokens::TokenCommand>),
    /// Read the System Log
    Log {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        asked: log::Asked,
    },
}

#[derive(Subcommand)]
enum ConfigTask {
    /// Read a configuration and everything it names, as a start would
    Check {
        /// The configuration
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum PolicyTask {
    /// Validate the .cedar files of a folder, and say how they decide
    Check {
        /// The folder
        dir: PathBuf,
    },
    /// Decide the requests of a file of cases, and compare with what it expects
    Test {
        /// The folder of the .cedar files
        dir: PathBuf,
        /// The file of cases, JSON
        cases: PathBuf,
    },
}

/// A command to a running gateway.
#[derive(Args)]
struct Remote<C: Subcommand> {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: C,
}

/// Does what the command line says: 0 when done, 1 when it failed, 2 when it was asked wrongly.
pub fn main() -> ExitCode {
    match perform(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("latchkey: {}\n", Chain(&error)));
            ExitCode::from(error.exit_code())
        }
    }
}

fn perform(task: Task) -> Result<(), CliError> {
    match task {
        Task::Demo {
            dir,
            port,
            upstream,
            without_tpm,
            without_agents,
            loopback_ports,
        } => Ok(Demo {
            folder: dir,
            port,
            upstream,
            with_tpm: !without_tpm,
            with_agents: !without_agents,
            loopback_ports,
        }
        .run()?),
        Task::Run { config } => local::run(&config),
        Task::Config(ConfigTask::Check { file }) => local::check_config(&file),
        Task::Doctor { config, json } => doctor::run(&config, json),
        Task::Policy(PolicyTask::Check { dir }) => local::check_policies(&dir),
        Task::Policy(PolicyTask::Test { dir, cases }) => local::test_policies(&dir, &cases),
        Task::User(Remote { place, command }) => place.with(|client| command.run(client)),
        Task::Session(Remote { place, command }) => place.with(|client| command.run(client)),
        Task::Group(Remote { place, command }) => place.with(|client| command.run(client)),
        Task::Device(Remote { place, command }) => place.with(|client| command.run(client)),
        Task::FastPass(Remote { place, command }) => place.with(|client| command.run(client)),
        Task::Cert(Remote { place, command }) => place.with(|client| command.run(client)),
        Task::Token(Remote { place, command }) => command.run(place),
        Task::Log { place, asked } => place.with(|client| asked.run(client)),
    }
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
    fn where_the_gateway_is_can_be_said_last() {
        for line in [
            "latchkey device deactivate alice-laptop --dir demo-data",
            "latchkey device list --json --url https://admin.example.com --ca ca.pem --token-file token",
            "latchkey user enrollment-token alice --lifetime 1s --dir d",
            "latchkey device report alice-laptop --source mdm --managed true --ends 24h --disk-encrypted --dir d",
            "latchkey group add finance alice --dir d",
            "latchkey user password alice --password-file f --dir d",
            "latchkey user totp alice --dir d",
            "latchkey user factors alice --dir d",
            "latchkey user sign-out alice --dir d",
            "latchkey session list --user alice --json --dir d",
            "latchkey session end ses1 --dir d",
            "latchkey fastpass set --key-protection hardware --user-verification required --enabled true --dir d",
            "latchkey cert issue-management alice-laptop --csr f --out g --dir d",
            "latchkey cert revoke 00ff --reason key_compromise --dir d",
            "latchkey token create ci --scope devices.read --scope users.read --network 10.0.0.0/8 --lifetime 30d --dir d",
            "latchkey doctor --config latchkey.yaml --json",
            "latchkey log --since 1h --type device.lifecycle.suspend --limit 5 --dir d",
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "latchkey",
            "latchkey run",
            "latchkey device list --dir d --url https://admin.example.com",
            "latchkey device report alice-laptop --managed maybe --dir d",
            "latchkey token create ci --scope devices.own --dir d",
            "latchkey token create ci --dir d",
            "latchkey fastpass set --key-protection perhaps --dir d",
            "latchkey cert revoke 00ff --reason bored --dir d",
            "latchkey user enrollment-token alice --lifetime 1y --dir d",
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
