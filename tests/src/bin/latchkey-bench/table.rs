//! How are the rounds shown? As Markdown, a table for each kind of load: medians, and the ratio of every round.

use std::fmt::Write;

use crate::Arguments;
use crate::comparison::Round;
use crate::fronts::Kind;
use crate::measure::Measured;
use crate::modes::Mode;

/// The whole report, ready for `docs/performance.md`.
pub(crate) fn of(fronts: &[Kind], rounds: &[Round], arguments: &Arguments) -> String {
    let mut text = format!(
        "Commit {}, {} rounds of {} s, {} requests under way, TLS 1.3, a P-256 client certificate required, each front alone\n\
         on one core of {}; generator and upstream on the other core.\n",
        arguments.commit,
        arguments.rounds,
        arguments.seconds,
        arguments.connections,
        processor()
    );
    for mode in &arguments.modes {
        let of_mode: Vec<&Round> = rounds.iter().filter(|round| round.mode == *mode).collect();
        let _infallible = write!(
            text,
            "\n{mode}:\n\n| front | {}/s | p50 ms | p99 ms | CPU µs | other core | {} |\n|---|---:|---:|---:|---:|---:|---|\n",
            if *mode == Mode::Websocket {
                "messages"
            } else {
                "requests"
            },
            if *mode == Mode::Open {
                "Latchkey's p99, each round"
            } else {
                "Latchkey's rate, each round"
            },
        );
        for (place, front) in fronts.iter().enumerate() {
            let own = fronts.iter().position(|front| *front == Kind::Latchkey);
            line(&mut text, *mode, *front, place, own, &of_mode);
        }
    }
    text
}

fn line(text: &mut String, mode: Mode, front: Kind, place: usize, own: Option<usize>, rounds: &[&Round]) {
    let all: Vec<Measured> = rounds.iter().filter_map(|round| round.measured[place]).collect();
    if all.is_empty() {
        let _infallible = writeln!(text, "| {} | cannot take this rate | | | | | |", front.name());
        return;
    }
    let middle = |value: fn(&Measured) -> f64| median(&all.iter().map(value).collect::<Vec<_>>());
    let value = match mode {
        Mode::Open => |measured: &Measured| measured.p99_us,
        _ => |measured: &Measured| measured.requests_per_second,
    };
    let ratios: Vec<f64> = rounds
        .iter()
        .filter_map(|round| {
            let (other, own) = (
                round.measured[place]?,
                round.measured[own.filter(|own| *own != place)?]?,
            );
            Some(value(&own) / value(&other))
        })
        .collect();
    let each: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    let ratio = match ratios.is_empty() {
        true => String::new(),
        false => format!("{:.2} × ({})", median(&ratios), each.join(", ")),
    };
    let _infallible = writeln!(
        text,
        "| {} | {:.0} | {:.2} | {:.2} | {:.1} | {:.0} % | {ratio} |",
        front.name(),
        middle(|measured| measured.requests_per_second),
        middle(|measured| measured.p50_us) / 1e3,
        middle(|measured| measured.p99_us) / 1e3,
        middle(|measured| measured.cpu_us),
        middle(|measured| measured.other_core) * 100.0,
    );
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
