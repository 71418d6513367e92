//! How does each front fare with each kind of load, side by side?

use std::path::Path;

use crate::fronts::{Front, Kind};
use crate::latchkey::Latchkey;
use crate::measure::{self, Load, Measured};
use crate::modes::Mode;
use crate::site::Site;
use crate::{Arguments, table};

/// What each front did with one kind of load in one round, in the order of the fronts; nothing where it was left out.
pub(crate) struct Round {
    pub(crate) mode: Mode,
    pub(crate) measured: Vec<Option<Measured>>,
}

/// Measures all fronts in turn with each kind of load, round after round; the tables.
pub(crate) fn measure(arguments: &Arguments, load: &Path, services: &Path) -> String {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let site = Site::start(directory.path(), services);
    let fronts: Vec<Competitor> = arguments
        .fronts
        .iter()
        .map(|kind| Competitor::start(*kind, &site, directory.path(), arguments))
        .collect();
    let steps = arguments.rounds * arguments.modes.len() * fronts.len();
    let (mut rounds, mut step) = (Vec::new(), 0);
    for round in 1..=arguments.rounds {
        let mut reference = Reference(arguments.rate);
        for mode in &arguments.modes {
            let mut measured = Vec::new();
            for front in &fronts {
                step += 1;
                let rate = (*mode == Mode::Open).then(|| reference.rate());
                let of_round = rounds.len() - arguments.modes.iter().take_while(|other| *other != mode).count();
                let came = front.can_take(rate, &rounds[of_round..], &fronts).then(|| {
                    let load = Load {
                        program: load,
                        mode: *mode,
                        path: None,
                        rate,
                        identities: None,
                        seconds: arguments.seconds,
                        connections: arguments.connections,
                    };
                    measure::run(front.with(*mode), &load)
                });
                let shown = came.map_or("cannot take this rate".to_owned(), |measured| measured.to_string());
                eprintln!("[{step}/{steps}] round {round}, {mode}: {} {shown}", front.kind.name());
                if let (Mode::KeepAlive, Kind::NginxAuthRequest, Some(came)) = (mode, front.kind, came) {
                    reference.is(came.requests_per_second);
                }
                measured.push(came);
            }
            rounds.push(Round { mode: *mode, measured });
        }
    }
    let kinds: Vec<Kind> = fronts.iter().map(|front| front.kind).collect();
    table::of(&kinds, &rounds, arguments)
}

/// The rate of the open load.
struct Reference(Option<f64>);

impl Reference {
    /// So many requests a second are what nginx with auth_request answers at most.
    fn is(&mut self, most: f64) {
        self.0.get_or_insert((most / 2.0).round());
    }

    fn rate(&self) -> f64 {
        self.0
            .expect("the open load takes --rate, or keep-alive and nginx-auth-request measured before it")
    }
}

/// A front that is measured beside others.
struct Competitor {
    kind: Kind,
    front: Front,
    /// What WebSockets go to, where that is another one.
    websocket: Option<Front>,
}

impl Competitor {
    fn start(kind: Kind, site: &Site, directory: &Path, arguments: &Arguments) -> Self {
        let latchkey = |upstream: &str, name: &str| {
            Front::of(Latchkey::in_front_of(upstream, &arguments.latchkey, directory, name))
        };
        match kind {
            // The others send one path elsewhere; the gateway's applications each have one upstream.
            Kind::Latchkey => Self {
                kind,
                front: latchkey(&site.application(), "latchkey"),
                websocket: Some(latchkey(&site.websocket(), "latchkey-websocket")),
            },
            _ => Self {
                kind,
                front: Front::start(kind, site, &arguments.environment),
                websocket: None,
            },
        }
    }

    fn with(&self, mode: Mode) -> &Front {
        match (mode, &self.websocket) {
            (Mode::Websocket, Some(front)) => front,
            _ => &self.front,
        }
    }

    /// Whether it answers a fifth more than this rate in the same round: under less, requests would only pile up.
    fn can_take(&self, rate: Option<f64>, round: &[Round], fronts: &[Self]) -> bool {
        let place = fronts.iter().position(|front| front.kind == self.kind);
        let closed = round.iter().find(|of| of.mode == Mode::KeepAlive);
        let most = closed
            .zip(place)
            .and_then(|(of, place)| of.measured.get(place).copied().flatten());
        match (rate, most) {
            (Some(rate), Some(most)) => most.requests_per_second > rate * 1.2,
            _ => true,
        }
    }
}
