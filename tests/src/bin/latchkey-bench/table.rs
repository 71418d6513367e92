//! How are the rounds shown? As Markdown: medians first, then the ratio of every round.

use std::fmt::Write;

use crate::measure::{Measured, Mode};
use crate::{Arguments, Round};

/// The whole report, ready for `docs/performance.md`.
pub(crate) fn of(names: &[&str; 3], rounds: &[Round], arguments: &Arguments) -> String {
    let mut text = format!(
        "Commit {}, {} rounds of {} s, {} requests under way, TLS 1.3, P-256 client certificate, 1 KiB bodies,\n\
         each proxy alone on one core of {}; generator and upstream on the other core.\n\n\
         | | front | requests/s | p50 ms | p99 ms | CPU µs/request | other core |\n|---|---|---:|---:|---:|---:|---:|\n",
        arguments.commit,
        arguments.rounds,
        arguments.seconds,
        arguments.connections,
        processor()
    );
    for mode in Mode::ALL {
        for (place, front) in names.iter().enumerate() {
            line(&mut text, mode, front, rounds, place);
        }
    }
    for (place, reference) in names.iter().enumerate().take(names.len() - 1) {
        let _infallible = writeln!(
            text,
            "\nRequests/s of Latchkey relative to {reference}:\n\n| | each round | median |\n|---|---|---:|"
        );
        for mode in Mode::ALL {
            let ratios: Vec<f64> = of_mode(rounds, mode)
                .map(|(_, measured)| {
                    measured[names.len() - 1].requests_per_second / measured[place].requests_per_second
                })
                .collect();
            let each: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
            let _infallible = writeln!(text, "| {mode} | {} | {:.2} |", each.join(", "), median(&ratios));
        }
    }
    text
}

fn line(text: &mut String, mode: Mode, front: &str, rounds: &[Round], place: usize) {
    let all: Vec<Measured> = of_mode(rounds, mode).map(|(_, measured)| measured[place]).collect();
    let middle = |value: fn(&Measured) -> f64| median(&all.iter().map(value).collect::<Vec<_>>());
    let _infallible = writeln!(
        text,
        "| {mode} | {front} | {:.0} | {:.2} | {:.2} | {:.1} | {:.0} % |",
        middle(|measured| measured.requests_per_second),
        middle(|measured| measured.p50_us) / 1e3,
        middle(|measured| measured.p99_us) / 1e3,
        middle(|measured| measured.cpu_us),
        middle(|measured| measured.other_core) * 100.0
    );
}

fn of_mode(rounds: &[Round], mode: Mode) -> impl Iterator<Item = &Round> {
    rounds.iter().filter(move |(of, _)| *of == mode)
}

/// The middle value, or the mean of the two in the middle; zero of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match (values.len() / 2, values.len() % 2) {
        (0, 0) => 0.0,
        (half, 0) => f64::midpoint(values[half - 1], values[half]),
        (half, _) => values[half],
    }
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(": "))
        .map_or("this machine".to_owned(), |(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }
}
