//! Does the gateway keep a rule of HTTP/2? An exchange that keeps it goes through, and one that breaks it ends as the rule says.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use Expected::{Connection, Either, GoesOn, Lenient, Stream};

use crate::canary;
use crate::demo::{BOB, Demo, host};
use crate::frames::{CANCEL, Fate, Fields, FrameClient, StreamFate, get, head, preface, request, reset};
use crate::shared::Shared;
use crate::upstream::{Reply, Upstream, ok};

/// One rule: an exchange that keeps it, one that breaks it, and what has to come of that.
pub struct Case {
    rule: &'static str,
    control: Vec<u8>,
    trick: Vec<u8>,
    expected: Expected,
}

/// What comes of stream 1, or of the connection.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// Nothing: other requests on the connection are answered.
    GoesOn,
    /// The stream ends, with one of these codes or with a status of the 400s; the connection goes on.
    Stream(&'static [u32]),
    /// The connection ends, with one of these codes if it says any.
    Connection(&'static [u32]),
    /// One of the two.
    Either(&'static [u32]),
    /// One of the two, or nothing.
    Lenient(&'static [u32]),
}

impl Expected {
    fn is_met(self, fate: &Fate) -> bool {
        let goes_on = !fate.is_over() && fate.of(AFTER) == Some(StreamFate::Answered(200));
        let stream = |codes: &[u32]| match fate.of(1) {
            Some(StreamFate::Reset(code)) => goes_on && codes.contains(&code),
            Some(StreamFate::Answered(status)) => goes_on && (400..500).contains(&status),
            None => false,
        };
        let connection = |codes: &[u32]| fate.is_over() && fate.gone_away.is_none_or(|code| codes.contains(&code));
        match self {
            GoesOn => goes_on && !matches!(fate.of(1), Some(StreamFate::Reset(_))),
            Stream(codes) => stream(codes),
            Connection(codes) => connection(codes),
            Either(codes) => stream(codes) || connection(codes),
            Lenient(codes) => goes_on || connection(codes),
        }
    }
}

/// A rule with the exchanges that keep and break it, and what has to come of the latter.
pub fn case(rule: &'static str, control: &[u8], trick: &[u8], expected: Expected) -> Case {
    Case {
        rule,
        control: control.to_vec(),
        trick: trick.to_vec(),
        expected,
    }
}

/// Runs the cases one by one beside what other requests get, and fails at the end if any did.
///
/// # Panics
/// When the gateway does not keep a rule.
pub fn check(cases: &[Case]) {
    let stage = Stage::new();
    let mut failed: Vec<String> = Vec::new();
    for case in cases {
        let asks = contains(&case.control, b"/trick") || contains(&case.control, b"/post");
        let is_answered = asks && !contains(&case.control, &reset(1, CANCEL));
        let control = stage.fate(&case.control, is_answered);
        let of_stream = control.of(1).filter(|_| is_answered);
        if !GoesOn.is_met(&control) || of_stream.is_some_and(|fate| fate != StreamFate::Answered(200)) {
            failed.push(format!("{}: {control:?} came of the control", case.rule));
        }
        let before = stage.upstream.received().len();
        let fate = stage.fate(&case.trick, matches!(case.expected, Stream(_) | Either(_)));
        if !case.expected.is_met(&fate) {
            failed.push(format!("{}: {fate:?} instead of {:?}", case.rule, case.expected));
        }
        let mut arrived = stage.upstream.received().split_off(before);
        arrived.retain(|request| match (case.expected, request.target()) {
            // What follows an error on its connection is never read.
            (Connection(_), "/after") => true,
            (Stream(_) | Either(_) | Connection(_), "/trick" | "/post") => true,
            _ => request.head.contains("/other"),
        });
        if !arrived.is_empty() {
            failed.push(format!("{}: {arrived:?} reached the application", case.rule));
        }
        if let Err(why) = canary::sing(&stage.demo) {
            failed.push(format!("{}: {why}", case.rule));
        }
    }
    assert!(failed.is_empty(), "{} of {}: {failed:#?}", failed.len(), cases.len());
}

/// A gateway in front of an application that records everything; the tests of a file share the gateway.
pub struct Stage {
    /// The gateway.
    pub demo: Arc<Demo>,
    /// The application; it never answers for `/silent`.
    pub upstream: &'static Upstream,
    // One test at a time: what reaches the application is of its own.
    _turn: MutexGuard<'static, ()>,
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage {
    /// Starts one, or waits for the turn at one.
    pub fn new() -> Self {
        let upstream = UPSTREAM.get_or_init(|| {
            Upstream::start(|request| match request.target() {
                "/silent" => Reply::Silence,
                _ => Reply::Send(ok("ok")),
            })
        });
        let demo = DEMO.demo_or(|| Demo::in_front_of(upstream));
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            demo,
            upstream,
            _turn: turn,
        }
    }

    /// A connection that begins with these settings.
    pub fn connect(&self, values: &[(u16, u32)]) -> FrameClient {
        let config = self.demo.tls(BOB, &["h2"]);
        let mut client = FrameClient::silent(self.demo.address(), &host("wiki"), config).unwrap();
        client.send(&preface(values));
        client
    }

    /// Sends these frames and then a request of another stream, and says what came of that, and of stream 1 if something has to.
    fn fate(&self, frames: &[u8], of_stream: bool) -> Fate {
        let mut client = self.connect(&[]);
        client.send(frames);
        client.send(&request(AFTER, &get(&host("wiki"), "/after")));
        let mut fate = Fate::default();
        client.read_until(&mut fate, |fate| {
            fate.of(AFTER).is_some() && (!of_stream || fate.of(1).is_some())
        });
        fate
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// The head of a request with a body.
pub fn post() -> Fields {
    head("POST", &host("wiki"), "/post")
}

/// The stream of the request that follows.
const AFTER: u32 = 101;

static TURN: Mutex<()> = Mutex::new(());
static DEMO: Shared = Shared::new();
static UPSTREAM: OnceLock<Upstream> = OnceLock::new();
