//! Does the gateway stay as it is, and right, for as long as it runs? Everything at once, each answer held against a model.

mod app;
mod clients;
mod long;
mod model;
mod people;
mod question;
mod reloads;
mod tally;
mod watch;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use app::App;
use clap::Parser;
use latchkey_tests::demo::{Demo, NOBODY};
use latchkey_tests::process::until;
use model::{History, Rules, Server, Settings};
use people::Person;
use question::World;
use tally::{Stop, Tally};
use watch::Sample;

/// Runs a gateway under everything that may happen to it, and ends with 0 if nothing was wrong: devices come and go, policies and
/// configurations change, applications fail, clients give up.
#[derive(Parser)]
struct Arguments {
    /// How long, in minutes
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// How many users, each with clients of their own
    #[arg(long, default_value_t = 8)]
    people: usize,
    /// By how much memory may have grown from the second quarter to the last, in MiB
    #[arg(long, default_value_t = 24)]
    growth: i64,
}

/// All that takes part.
pub(crate) struct Stage {
    pub(crate) demo: Demo,
    pub(crate) world: World,
    pub(crate) tally: Tally,
    pub(crate) stop: Stop,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (app, other) = (App::start(), App::start());
    let mut demo = Demo::start_with_upstream(&app.url());
    reloads::prepare(|file| demo.file(file));
    put_behind(&demo, "payroll", &other.url());
    demo.run_as_configured();
    let stage = Stage {
        demo,
        world: World {
            rules: History::of(Rules::Open),
            settings: History::of(Settings::Plain),
            server: History::of(Server::Up),
        },
        tally: Tally::default(),
        stop: Stop::default(),
    };
    let people: Vec<Person> = (0..arguments.people)
        .map(|number| Person::new(&stage.demo, number))
        .collect();
    let quiet = settled(&stage, &app);
    println!(
        "{} descriptors and {} MiB at rest",
        quiet.descriptors,
        quiet.memory >> 20
    );

    let samples = run(
        &stage,
        &people,
        other,
        Duration::from_secs_f64(arguments.minutes * 60.0),
    );

    let rest = settled(&stage, &app);
    judge(&stage, &arguments, &samples, quiet, rest)
}

/// Lets everybody do their part for that long; what the gateway took up meanwhile.
fn run(stage: &Stage, people: &[Person], other: App, time: Duration) -> Vec<Sample> {
    let begun = Instant::now();
    let mut samples = vec![Sample::take(&stage.demo, begun)];
    std::thread::scope(|scope| {
        for (number, person) in people.iter().enumerate() {
            scope.spawn(move || clients::first(stage, person, number));
            scope.spawn(move || clients::second(stage, person, number * 5));
            scope.spawn(move || long::live(stage, person, number));
            if number % 4 == 0 {
                scope.spawn(move || clients::aborting(stage, person));
            }
        }
        scope.spawn(move || {
            for person in people.iter().cycle() {
                if !stage.stop.rest(CHURN) {
                    return;
                }
                person.change(&stage.demo, &stage.tally);
            }
        });
        scope.spawn(move || reloads::change(stage));
        scope.spawn(move || reloads::come_and_go(stage, other));
        while begun.elapsed() < time && stage.stop.rest(SAMPLED) {
            samples.push(Sample::take(&stage.demo, begun));
            if samples.len() % PROGRESS == 0 {
                progress(stage, &samples);
            }
        }
        stage.stop.stop();
    });
    samples
}

fn progress(stage: &Stage, samples: &[Sample]) {
    let Some(sample) = samples.last() else { return };
    let counts: Vec<String> = stage
        .tally
        .rows()
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    println!(
        "{:>5.0} s: {} MiB, {} descriptors, {} threads; {}; {} wrong",
        sample.at.as_secs_f64(),
        sample.memory >> 20,
        sample.descriptors,
        sample.threads,
        counts.join(", "),
        stage.tally.wrongs().len()
    );
}

/// What the gateway takes up when nothing is under way and its applications have let go of their connections.
fn settled(stage: &Stage, app: &App) -> Sample {
    assert_eq!(stage.demo.status(NOBODY, "wiki", "/"), 401);
    app.hang_up();
    let begun = Instant::now();
    let mut least = Sample::take(&stage.demo, begun);
    let nothing_live = || stage.demo.metric("latchkey_live_requests").unwrap_or_default() == 0.0;
    until(SETTLED, || {
        let now = Sample::take(&stage.demo, begun);
        if now.descriptors < least.descriptors {
            least = now;
        }
        nothing_live() && begun.elapsed() > SETTLED / 2
    });
    if !nothing_live() {
        stage
            .tally
            .wrong("requests are still under way when all clients have gone");
    }
    least
}

/// Says what was found; whether all was well.
fn judge(stage: &Stage, arguments: &Arguments, samples: &[Sample], quiet: Sample, rest: Sample) -> ExitCode {
    let growth = watch::growth(samples);
    if growth > arguments.growth << 20 {
        stage.tally.wrong(format!("memory grew by {} KiB", growth >> 10));
    }
    if rest.descriptors > quiet.descriptors + MORE_DESCRIPTORS {
        stage.tally.wrong(format!(
            "{} descriptors before, {} after",
            quiet.descriptors, rest.descriptors
        ));
    }
    let output = stage.demo.process().output();
    for line in output.lines().filter(|line| is_unexpected(line)) {
        stage.tally.wrong(format!("the log says: {line}"));
    }
    for (name, count) in stage.tally.rows() {
        println!("{name:<35} {count:>10}");
        if count == 0 {
            stage
                .tally
                .wrong(format!("no {name} at all: nothing was shown of them"));
        }
    }
    println!(
        "{:<35} {:>10.0} s",
        "time",
        samples.last().map_or(0.0, |sample| sample.at.as_secs_f64())
    );
    println!(
        "{:<35} {:>10} MiB at rest before, {} after",
        "memory",
        quiet.memory >> 20,
        rest.memory >> 20
    );
    println!(
        "{:<35} {:>10} KiB from the second quarter to the last; {:.0} KiB a minute",
        "growth",
        growth >> 10,
        watch::slope(samples) / 1024.0
    );
    println!(
        "{:<35} {:>10} at rest before, {} after",
        "descriptors", quiet.descriptors, rest.descriptors
    );
    let wrongs = stage.tally.wrongs();
    println!("{:<35} {:>10}", "wrong", wrongs.len());
    if wrongs.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Whether a line of the gateway's log says what nobody here provoked.
fn is_unexpected(line: &str) -> bool {
    let bad = line.contains("panicked") || line.contains(" ERROR ");
    bad && !PROVOKED.iter().any(|provoked| line.contains(provoked))
}

/// Has an application served by another server.
fn put_behind(demo: &Demo, application: &str, url: &str) {
    let file = demo.file("latchkey.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, after) = text.split_once(&format!("- name: {application}\n")).unwrap();
    let (between, rest) = after.split_once("url: ").unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    std::fs::write(
        file,
        format!("{before}- name: {application}\n{between}url: {url}\n{rest}"),
    )
    .unwrap();
}

/// What the soak provokes: files that are not fit, and kept connections that an application ended.
const PROVOKED: [&str; 2] = [
    "not taken over, the last good one is kept",
    "failed to acquire reusable stream",
];

const CHURN: Duration = Duration::from_millis(200);
const SAMPLED: Duration = Duration::from_secs(1);

/// So many samples to a line.
const PROGRESS: usize = 5;
const SETTLED: Duration = Duration::from_secs(20);

/// What may be open beside what was: files that are being written.
const MORE_DESCRIPTORS: usize = 8;
