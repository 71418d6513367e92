//! How does Latchkey compare with nginx and its auth_request, side by side on one core of this machine?

mod cut;
mod enrolling;
mod fronts;
mod measure;
mod nginx;
mod pushing;
mod security_keys;
mod signing_in;
mod table;

use std::path::PathBuf;

use clap::Parser;
use fronts::{Front, Latchkey};
use measure::{Measured, Mode};
use nginx::{Nginx, Tuning};

/// Measures both proxies in turn, round after round, each alone on core 0, everything else on core 1.
#[derive(Parser)]
struct Arguments {
    /// The gateway to measure, built with the dist profile.
    #[arg(long)]
    latchkey: PathBuf,
    /// The load generator; by default the one beside this program.
    #[arg(long)]
    load: Option<PathBuf>,
    /// How often each proxy has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Requests under way at a time.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Open connections in the measurement of deactivation; 0 leaves it out.
    #[arg(long, default_value_t = 200)]
    cut_connections: usize,
    /// Enrolments in each round of their measurement; 0 leaves it out.
    #[arg(long, default_value_t = 1000)]
    enrolments: usize,
    /// Measures enrolments and password checks alone.
    #[arg(long)]
    only_enrolments: bool,
    /// Sign-ins in each round of their measurement; 0 leaves it out.
    #[arg(long, default_value_t = 2000)]
    sign_ins: usize,
    /// Sessions whose memory is measured.
    #[arg(long, default_value_t = 100_000)]
    sessions: usize,
    /// Measures sign-ins and sessions alone.
    #[arg(long)]
    only_sign_ins: bool,
    /// Agents connected in the measurement of pushes; 0 leaves it out.
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    /// Measures pushes alone.
    #[arg(long)]
    only_pushes: bool,
    /// The commit to name above the table.
    #[arg(long, default_value = "unknown")]
    commit: String,
}

fn main() {
    let arguments = Arguments::parse();
    if arguments.only_enrolments {
        println!(
            "{}",
            enrolling::measure(&arguments.latchkey, arguments.enrolments, arguments.rounds)
        );
        return;
    }
    if arguments.only_pushes {
        println!("{}", pushing::measure(&arguments.latchkey, arguments.agents));
        return;
    }
    let load = arguments
        .load
        .clone()
        .unwrap_or_else(|| beside_this_program("latchkey-load"));
    if arguments.only_sign_ins {
        println!("{}", signing_in::measure(&arguments, &load));
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");

    let plain = Nginx::start(directory.path(), Tuning::Default);
    let kept_alive = Nginx::start(directory.path(), Tuning::KeptAlive);
    let latchkey = Latchkey::start(&arguments.latchkey, directory.path(), Some(plain.upstream()));
    let fronts: [&dyn Front; 3] = [&plain, &kept_alive, &latchkey];
    let mut rounds = Vec::new();
    for round in 1..=arguments.rounds {
        for mode in Mode::ALL {
            let measured = fronts.map(|front| measure::run(front, mode, &load, &arguments));
            for (front, measured) in fronts.iter().zip(&measured) {
                eprintln!(
                    "round {round} of {}, {mode}: {} {measured}",
                    arguments.rounds,
                    front.name()
                );
            }
            rounds.push((mode, measured));
        }
    }
    let names = fronts.map(|front| front.name());
    drop(latchkey);

    println!("{}", table::of(&names, &rounds, &arguments));
    if arguments.cut_connections > 0 {
        println!(
            "{}",
            cut::measure(&arguments.latchkey, arguments.cut_connections, arguments.rounds)
        );
    }
    if arguments.enrolments > 0 {
        println!(
            "{}",
            enrolling::measure(&arguments.latchkey, arguments.enrolments, arguments.rounds)
        );
    }
    if arguments.sign_ins > 0 {
        println!("{}", signing_in::measure(&arguments, &load));
    }
    if arguments.agents > 0 {
        println!("{}", pushing::measure(&arguments.latchkey, arguments.agents));
    }
}

fn beside_this_program(name: &str) -> PathBuf {
    std::env::current_exe()
        .expect("this program has a path")
        .with_file_name(name)
}

/// One mode in one round: what each front did, Latchkey last.
type Round = (Mode, [Measured; 3]);
