//! How does Latchkey compare with other fronts, side by side on one core of this machine, and what does it cost by itself?

mod comparison;
mod cut;
mod enrolling;
mod fronts;
mod idle;
mod latchkey;
mod measure;
mod modes;
mod public;
mod pushing;
mod scale;
mod security_keys;
mod seeding;
mod signing_in;
mod site;
mod table;

use std::path::PathBuf;

use clap::Parser;
use fronts::Kind;
use modes::Mode;

/// Measures fronts in turn, each alone on core 0, everything else on core 1; then what the gateway does by itself. With one or more
/// of the `--only` arguments, these parts alone.
#[derive(Parser)]
struct Arguments {
    /// The gateway to measure, built with the dist profile.
    #[arg(long)]
    latchkey: PathBuf,
    /// The load generator; by default the one beside this program.
    #[arg(long)]
    load: Option<PathBuf>,
    /// The Python environment that has Envoy, Traefik and Caddy.
    #[arg(long, default_value = "target/proxies")]
    environment: PathBuf,
    /// The fronts to measure, in this order.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = FRONTS)]
    fronts: Vec<Kind>,
    /// The kinds of load, in this order.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = MODES)]
    modes: Vec<Mode>,
    /// How often each front has its turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Requests under way at a time.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Requests a second of the open load; by default half of what nginx with auth_request answers at most.
    #[arg(long)]
    rate: Option<f64>,
    /// Compares fronts.
    #[arg(long)]
    only_fronts: bool,
    /// Measures what authorisation costs.
    #[arg(long)]
    only_authorisation: bool,
    /// Open connections in the measurement of deactivation.
    #[arg(long, default_value_t = 200)]
    cut_connections: usize,
    /// Measures how fast deactivation cuts.
    #[arg(long)]
    only_cuts: bool,
    /// Connections in the measurement of idle ones.
    #[arg(long, default_value_t = 9_500)]
    idle: usize,
    /// Measures what idle connections cost.
    #[arg(long)]
    only_idle: bool,
    /// Enrolments in each round of their measurement.
    #[arg(long, default_value_t = 1000)]
    enrolments: usize,
    /// Measures enrolments and password checks.
    #[arg(long)]
    only_enrolments: bool,
    /// Sign-ins in each round of their measurement.
    #[arg(long, default_value_t = 2000)]
    sign_ins: usize,
    /// Sessions whose memory is measured.
    #[arg(long, default_value_t = 100_000)]
    sessions: usize,
    /// Measures sign-ins and sessions.
    #[arg(long)]
    only_sign_ins: bool,
    /// Agents connected in the measurement of pushes.
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    /// Measures pushes.
    #[arg(long)]
    only_pushes: bool,
    /// How many devices are in the directory when scale is measured.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 100_000, 1_000_000])]
    scale: Vec<usize>,
    /// How many of them are enrolled in earnest, and show their certificates in turn.
    #[arg(long, default_value_t = 200)]
    in_use: usize,
    /// Measures what many devices cost.
    #[arg(long)]
    only_scale: bool,
    /// The commit to name above the table.
    #[arg(long, default_value = "unknown")]
    commit: String,
}

fn main() {
    let arguments = Arguments::parse();
    let load = arguments.load.clone();
    let load = load.unwrap_or_else(|| beside_this_program("latchkey-load"));
    let services = beside_this_program("latchkey-bench-services");
    let (program, rounds) = (&arguments.latchkey, arguments.rounds);
    let parts: [(bool, &dyn Fn() -> String); 8] = [
        (arguments.only_fronts, &|| {
            comparison::measure(&arguments, &load, &services)
        }),
        (arguments.only_authorisation, &|| {
            public::measure(&arguments, &load, &services)
        }),
        (arguments.only_cuts, &|| {
            cut::measure(program, arguments.cut_connections, rounds)
        }),
        (arguments.only_enrolments, &|| {
            enrolling::measure(program, arguments.enrolments, rounds)
        }),
        (arguments.only_sign_ins, &|| signing_in::measure(&arguments, &load)),
        (arguments.only_pushes, &|| pushing::measure(program, arguments.agents)),
        (arguments.only_idle, &|| idle::measure(&arguments, &services)),
        (arguments.only_scale, &|| scale::measure(&arguments, &load, &services)),
    ];
    let all = parts.iter().all(|(only, _)| !only);
    for (only, part) in parts {
        if all || only {
            println!("{}\n", part());
        }
    }
}

fn beside_this_program(name: &str) -> PathBuf {
    std::env::current_exe()
        .expect("this program has a path")
        .with_file_name(name)
}

/// All that keep connections to what is behind them alive.
const FRONTS: [Kind; 8] = [
    Kind::NginxAuthRequest,
    Kind::NginxMap,
    Kind::HaproxyAcl,
    Kind::EnvoyExtAuthz,
    Kind::EnvoyRbac,
    Kind::TraefikForwardAuth,
    Kind::CaddyForwardAuth,
    Kind::Latchkey,
];
const MODES: [Mode; 9] = [
    Mode::KeepAlive,
    Mode::Open,
    Mode::KeepAlive10k,
    Mode::KeepAlive1000k,
    Mode::Http2,
    Mode::Http2With10k,
    Mode::Http2With1000k,
    Mode::NewConnection,
    Mode::Websocket,
];
