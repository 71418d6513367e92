//! Who asks one question after the other? Clients over HTTP/1.1 and HTTP/2, with certificates that count, that do not any more, or
//! with none; each answer is held against the model.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use latchkey_tests::answer::Answer;
use latchkey_tests::demo::{Demo, host};
use latchkey_tests::h2::H2Client;
use latchkey_tests::raw::RawClient;

use crate::Stage;
use crate::model::{Outcome, Trust};
use crate::people::{Credential, Person};
use crate::question::{Kind, outcome};
use crate::tally::Tally;

/// A connection to one application with one credential.
trait Connection: Sized {
    /// Connects; nothing where it is refused.
    fn connect(demo: &Demo, device: Option<&str>, app: &str) -> Option<Self>;

    /// Asks; nothing where the connection ended instead.
    fn ask(&mut self, kind: Kind, path: &str) -> Option<Answer>;

    /// How a question over it is told apart from all others.
    const NAME: &'static str;

    /// Whether it can put this question.
    fn can(kind: Kind) -> bool;
}

/// Asks over HTTP/1.1 until the stop.
pub(crate) fn first(stage: &Stage, person: &Person, number: usize) {
    ask_on::<RawClient>(stage, person, number);
}

/// Asks over HTTP/2 until the stop.
pub(crate) fn second(stage: &Stage, person: &Person, number: usize) {
    ask_on::<H2Client>(stage, person, number);
}

fn ask_on<C: Connection>(stage: &Stage, person: &Person, number: usize) {
    let mut kept: Option<(Option<String>, &'static str, C)> = None;
    let mut asked = number;
    while stage.stop.rest(PAUSE) {
        asked += 1;
        let kind = Kind::of(asked);
        if !C::can(kind) {
            continue;
        }
        // Most of the time with the newest device; now and then with the one before, or none.
        let credential = match asked % 13 {
            0 => None,
            1 => person.former(),
            _ => Some(person.newest()),
        };
        let device = credential.as_ref().map(|credential| credential.device.clone());
        let path = kind.path(&format!("{}-{}-{number}-{asked}", person.login, C::NAME));
        let login = device.as_ref().map(|_| person.login.as_str());
        let reused = kept
            .take()
            .filter(|(of, app, _)| *of == device && *app == kind.app() && !asked.is_multiple_of(17));
        let from = Instant::now();
        let mut connection = reused.map(|(_, _, connection)| connection);
        let was_kept = connection.is_some();
        let ask = |connection: &mut Option<C>| {
            if connection.is_none() {
                *connection = C::connect(&stage.demo, device.as_deref(), kind.app());
            }
            let asked = AssertUnwindSafe(|| connection.as_mut().and_then(|connection| connection.ask(kind, &path)));
            // Clients panic when nothing comes at all, not even an end.
            catch_unwind(asked).unwrap_or_else(|_| {
                stage.tally.wrong(format!("{path} as {device:?} is never answered"));
                None
            })
        };
        let mut answer = ask(&mut connection);
        if answer.is_none() && was_kept {
            // A kept connection may end at any time; a new one may not.
            Tally::count(&stage.tally.again);
            connection = None;
            answer = ask(&mut connection);
        }
        let to = Instant::now();
        let broken = answer.is_none();
        hold(
            stage,
            credential.as_ref(),
            login,
            kind,
            &path,
            answer.as_ref(),
            from,
            to,
        );
        let ends = answer.and_then(|answer| answer.header("connection").map(|value| value == "close"));
        kept = connection
            .filter(|_| !broken && ends != Some(true) && kind != Kind::Half)
            .map(|connection| (device, kind.app(), connection));
    }
}

/// Holds an answer against all that may have been answered.
#[expect(clippy::too_many_arguments, reason = "one question with its answer")]
fn hold(
    stage: &Stage,
    credential: Option<&Arc<Credential>>,
    login: Option<&str>,
    kind: Kind,
    path: &str,
    answer: Option<&Answer>,
    from: Instant,
    to: Instant,
) {
    let trust = credential.map(|credential| &credential.trust);
    let allowed = stage.world.allowed(trust, kind, from, to);
    let told = || {
        format!(
            "{path} as {login:?} by {:?}: allowed is {allowed:?}",
            credential.map(|credential| &credential.device)
        )
    };
    // Whoever shows what does not count is nobody, on public paths too.
    let may_be_known = trust.is_some_and(|trust| trust.between(from, to).contains(&Trust::Active));
    let found = match answer {
        Some(answer) => outcome(answer, login.filter(|_| may_be_known), path, kind),
        None => Ok(Outcome::Broken),
    };
    // A request whose permission ends while it is under way is cut.
    let refusals = allowed
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Refused(..)))
        .count();
    let may_be_cut = refusals > 0 && refusals < allowed.len();
    match found {
        Ok(Outcome::Broken) if may_be_cut => Tally::count(&stage.tally.cut),
        Ok(outcome) if allowed.contains(&outcome) => Tally::count(match outcome {
            Outcome::Answered(200) => &stage.tally.answered,
            Outcome::Refused(..) => &stage.tally.refused,
            Outcome::Answered(_) | Outcome::Broken | Outcome::BadGateway => &stage.tally.faults,
        }),
        Ok(outcome) => stage
            .tally
            .wrong(format!("{}; it was {outcome:?} after {:?}", told(), to - from)),
        Err(why) => stage.tally.wrong(format!("{}; {why}", told())),
    }
}

impl Connection for RawClient {
    fn connect(demo: &Demo, device: Option<&str>, app: &str) -> Option<Self> {
        Self::connect(demo.address(), &host(app), demo.tls(device, &["http/1.1"])).ok()
    }

    fn ask(&mut self, kind: Kind, path: &str) -> Option<Answer> {
        let host = host(kind.app());
        match kind.body() {
            None => self.get(&host, path),
            Some(length) => {
                let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n");
                self.send(&[head.as_bytes(), &vec![b'x'; length]].concat());
                self.answer()
            }
        }
    }

    const NAME: &'static str = "h1";

    fn can(_kind: Kind) -> bool {
        true
    }
}

impl Connection for H2Client {
    fn connect(demo: &Demo, device: Option<&str>, app: &str) -> Option<Self> {
        // It has no other way to say that it did not come about.
        catch_unwind(AssertUnwindSafe(|| demo.h2(device, app))).ok()
    }

    fn ask(&mut self, _kind: Kind, path: &str) -> Option<Answer> {
        self.get(path)
    }

    const NAME: &'static str = "h2";

    fn can(kind: Kind) -> bool {
        kind.body().is_none()
    }
}

/// Clients that give up in the middle of something, each in another way.
pub(crate) fn aborting(stage: &Stage, person: &Person) {
    let mut number = 0_usize;
    while stage.stop.rest(ABORTED) {
        number += 1;
        let device = person.newest().device.clone();
        let tls = |alpn: &[&str]| stage.demo.tls(Some(&device), alpn);
        let begun = abort(stage, number % 7, &tls);
        if let Err(error) = begun
            && error.kind() == ErrorKind::ConnectionRefused
        {
            stage.tally.wrong("the gateway takes no connections");
        }
        Tally::count(&stage.tally.aborted);
    }
}

fn abort(stage: &Stage, way: usize, tls: &dyn Fn(&[&str]) -> rustls::ClientConfig) -> std::io::Result<()> {
    use std::io::{Read, Write};
    let address = stage.demo.address();
    let name = host("wiki");
    let connect = |alpn: &[&str]| latchkey_tests::tls::connect(address, &name, tls(alpn));
    match way {
        0 => drop(std::net::TcpStream::connect(address)?),
        1 => {
            // The start of a ClientHello.
            let mut socket = std::net::TcpStream::connect(address)?;
            socket.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00")?;
        }
        2 => drop(connect(&["h2"])?),
        3 => {
            let mut connection = connect(&["http/1.1"])?;
            connection.write_all(b"GET /page/half HTTP/1.1\r\nHost: wiki.local")?;
            connection.flush()?;
        }
        4 => {
            let mut connection = connect(&["http/1.1"])?;
            connection.write_all(b"GET /fault-slow/gone HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n")?;
            connection.flush()?;
        }
        5 => {
            let mut connection = connect(&["http/1.1"])?;
            connection
                .write_all(b"POST /page/up HTTP/1.1\r\nHost: wiki.localhost\r\nContent-Length: 100000\r\n\r\nhalf")?;
            connection.flush()?;
        }
        _ => {
            let mut connection = connect(&["http/1.1"])?;
            connection.write_all(b"GET /large/gone HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n")?;
            connection.flush()?;
            let _some = connection.read(&mut [0; 4096])?;
        }
    }
    Ok(())
}

/// Between two questions of one client.
const PAUSE: Duration = Duration::from_millis(20);
const ABORTED: Duration = Duration::from_millis(50);
