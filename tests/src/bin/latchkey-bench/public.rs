//! What does authorisation cost, against a path of the same application that needs none?

use std::path::Path;

use crate::Arguments;
use crate::fronts::Front;
use crate::latchkey::{Latchkey, PUBLIC};
use crate::measure::{self, Load, Measured};
use crate::modes::Mode;
use crate::site::Site;
use crate::table::median;

/// Measures both in turn, with the same certificate on the same connections, now the one first and now the other.
pub(crate) fn measure(arguments: &Arguments, load: &Path, services: &Path) -> String {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let site = Site::start(directory.path(), services);
    let gateway = Latchkey::in_front_of(&site.application(), &arguments.latchkey, directory.path(), "latchkey");
    let front = Front::of(gateway);
    let run = |path| {
        let load = Load {
            program: load,
            mode: Mode::KeepAlive,
            path: Some(path),
            rate: None,
            identities: None,
            seconds: arguments.seconds,
            connections: arguments.connections,
        };
        measure::run(&front, &load)
    };
    let pairs: Vec<(Measured, Measured)> = (0..2 * arguments.rounds)
        .map(|round| {
            let (authorised, public) = match round % 2 {
                0 => {
                    let authorised = run("/");
                    (authorised, run(PUBLIC))
                }
                _ => {
                    let public = run(PUBLIC);
                    (run("/"), public)
                }
            };
            eprintln!("authorised {authorised}; public {public}");
            (authorised, public)
        })
        .collect();
    let ratios = |value: fn(&Measured) -> f64| -> Vec<f64> {
        pairs
            .iter()
            .map(|(authorised, public)| value(authorised) / value(public))
            .collect()
    };
    let (rates, costs) = (
        ratios(|measured| measured.requests_per_second),
        ratios(|measured| measured.cpu_us),
    );
    format!(
        "An authorised path against a public one of the same application, {} interleaved pairs of {} s:\n\
         {:.3} x the requests/s ({}), {:.3} x the CPU time of a request ({}).",
        pairs.len(),
        arguments.seconds,
        median(&rates),
        listed(&rates),
        median(&costs),
        listed(&costs),
    )
}

fn listed(ratios: &[f64]) -> String {
    let ratios: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    ratios.join(", ")
}
