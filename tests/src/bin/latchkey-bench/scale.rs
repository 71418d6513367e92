//! What do many devices cost: how much memory, how long a start, and do requests take longer?

use std::path::Path;
use std::time::{Duration, Instant};

use latchkey_tests::demo::Demo;

use crate::Arguments;
use crate::enrolling::{GATEWAYS_CORE, OTHER_CORE, pin, pin_process};
use crate::fronts::Front;
use crate::measure::{self, Load, Measured};
use crate::modes::Mode;
use crate::seeding;
use crate::signing_in::devices;
use crate::site::Site;
use crate::table::median;

/// Starts a gateway with each number of devices, and puts load on all of them in turn.
pub(crate) fn measure(arguments: &Arguments, load: &Path, services: &Path) -> String {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let site = Site::start(directory.path(), services);
    let sizes: Vec<Size> = arguments
        .scale
        .iter()
        .map(|devices| Size::start(*devices, &site, directory.path(), arguments))
        .collect();
    let mut text = format!(
        "Devices, each with a user, an instance, an enrolment and a certificate; the start on two cores, requests on one; {} of the\n\
         certificates in turn, the open load {OPEN_RATE} requests/s, {} rounds of {} s:\n\n| devices | resident MB | KB each | ready s | mode | requests/s | p50 ms | p99 ms |\n|---:|---:|---:|---:|---|---:|---:|---:|\n",
        arguments.in_use, arguments.rounds, arguments.seconds
    );
    let modes = [
        (Mode::KeepAlive, None),
        (Mode::Open, Some(OPEN_RATE)),
        (Mode::NewConnection, None),
    ];
    let mut rounds = Vec::new();
    for round in 1..=arguments.rounds {
        for (mode, rate) in modes {
            for size in &sizes {
                let load = Load {
                    program: load,
                    mode,
                    path: None,
                    rate,
                    identities: Some(&size.identities),
                    seconds: arguments.seconds,
                    connections: arguments.connections,
                };
                let measured = measure::run(&size.front, &load);
                eprintln!(
                    "round {round} of {}, {} devices, {mode}: {measured}",
                    arguments.rounds, size.devices
                );
                rounds.push((size.devices, mode, measured));
            }
        }
    }
    for size in &sizes {
        for (mode, _) in modes {
            let of_both = rounds
                .iter()
                .filter(|(devices, of, _)| *devices == size.devices && *of == mode);
            let of_both: Vec<Measured> = of_both.map(|(_, _, measured)| *measured).collect();
            text += &size.line(mode, &of_both);
        }
    }
    text
}

/// A gateway with so many devices.
struct Size {
    devices: usize,
    front: Front,
    identities: std::path::PathBuf,
    resident: usize,
    ready: Duration,
}

impl Size {
    fn start(count: usize, site: &Site, directory: &Path, arguments: &Arguments) -> Self {
        pin(GATEWAYS_CORE);
        let mut demo = Demo::of_in_front_of(&arguments.latchkey, &site.application());
        pin(OTHER_CORE);
        let enrolled = devices(&demo, arguments.in_use);
        let identities = directory.join(format!("identities-{count}"));
        std::fs::create_dir_all(&identities).expect("a folder");
        for (number, device) in enrolled.iter().enumerate() {
            let certificate = device.enrolled["certificate"].as_str().expect("a certificate");
            let name = identities.join(number.to_string());
            std::fs::write(name.with_extension("pem"), certificate).expect("a certificate is written");
            std::fs::write(name.with_extension("key"), device.possession.pem()).expect("a key is written");
        }
        demo.kill();
        let begun = Instant::now();
        seeding::add(
            &demo.database(),
            "signer-0-laptop",
            count.saturating_sub(arguments.in_use),
        );
        let seeded = begun.elapsed();
        pin(BOTH_CORES);
        let begun = Instant::now();
        demo.run_as_configured_within(PATIENCE);
        let ready = begun.elapsed();
        pin(OTHER_CORE);
        pin_process(GATEWAYS_CORE, demo.process().id());
        let resident = demo.process().memory();
        eprintln!(
            "{count} devices: written in {:.1} s, ready in {:.2} s, {} MB",
            seeded.as_secs_f64(),
            ready.as_secs_f64(),
            resident / 1_000_000
        );
        Self {
            devices: count,
            front: Front::of_demo(demo),
            identities,
            resident,
            ready,
        }
    }

    fn line(&self, mode: Mode, rounds: &[Measured]) -> String {
        let middle = |value: fn(&Measured) -> f64| median(&rounds.iter().map(value).collect::<Vec<_>>());
        format!(
            "| {} | {:.0} | {:.2} | {:.2} | {} | {:.0} | {:.2} | {:.2} |\n",
            self.devices,
            self.resident as f64 / 1e6,
            self.resident as f64 / 1e3 / self.devices as f64,
            self.ready.as_secs_f64(),
            mode.name(),
            middle(|measured| measured.requests_per_second),
            middle(|measured| measured.p50_us) / 1e3,
            middle(|measured| measured.p99_us) / 1e3,
        )
    }
}

/// A start reads with as many threads as there are cores.
const BOTH_CORES: &str = "0,1";
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Requests a second at which latencies are compared: well below what any size answers.
const OPEN_RATE: f64 = 4000.0;
