//! What ends what? One table, which the test goes through cell by cell and the documentation shows.

mod standing;

use std::fmt::Write;

pub use standing::Standing;

/// Something that a user has open or has begun, with a device or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A session signed in by a key of the device.
    FastPass,
    /// The same by another device of the user.
    OtherDevice,
    /// A session by password and code, in a browser of the same machine.
    Password,
    /// A session begun by password, to which a key of the device was added.
    SteppedUp,
    /// A session begun by password, to which an approval on the device was added.
    Push,
    /// A challenge that the device has not answered yet.
    Challenge,
    /// A push to the device that it has not answered yet.
    PushAnswer,
    /// The stream on which the device hears of pushes.
    PushStream,
    /// A code that was handed out to the browser and not exchanged yet.
    Code,
    /// Requests that the device signs.
    Assertion,
    /// A WebSocket under the session by the device.
    WebSocket,
    /// An endless answer over HTTP/2 under that session.
    Http2,
    /// An endless answer over HTTP/1.1 under that session.
    Download,
    /// A kept connection with the device's certificate.
    Certificate,
}

/// What happens to the device, the user, or a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// An administrator deactivates the device.
    Deactivate,
    /// An administrator suspends the device.
    Suspend,
    /// An administrator deactivates and deletes the device.
    Delete,
    /// An administrator revokes the device's certificate.
    RevokeCertificate,
    /// An administrator removes the user from the device, on which another user stays.
    RemoveUser,
    /// An administrator suspends the user.
    SuspendUser,
    /// The user's password is changed.
    ChangePassword,
    /// The user signs out everywhere, in the browser of the other device.
    SignOutEverywhere,
    /// An administrator ends the session by the device.
    EndSession,
}

impl Thing {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::FastPass,
        Self::OtherDevice,
        Self::Password,
        Self::SteppedUp,
        Self::Push,
        Self::Code,
        Self::WebSocket,
        Self::Http2,
        Self::Download,
        Self::Challenge,
        Self::PushAnswer,
        Self::PushStream,
        Self::Assertion,
        Self::Certificate,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::FastPass => "session by FastPass on it",
            Self::OtherDevice => "session by FastPass on another device of the user",
            Self::Password => "session by password and code on the same machine",
            Self::SteppedUp => "session by password, stepped up with FastPass on it",
            Self::Push => "session by password, and a push approved on it",
            Self::PushAnswer => "push that it approves afterwards",
            Self::PushStream => "its stream for pushes",
            Self::Challenge => "challenge that it answers afterwards",
            Self::Code => "code in flight, of the first session",
            Self::Assertion => "requests that it signs",
            Self::WebSocket => "WebSocket under the first session",
            Self::Http2 => "HTTP/2 stream under the first session",
            Self::Download => "HTTP/1.1 download under the first session",
            Self::Certificate => "kept TLS connection with its certificate",
        }
    }
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Deactivate,
        Self::Suspend,
        Self::Delete,
        Self::RevokeCertificate,
        Self::RemoveUser,
        Self::SuspendUser,
        Self::ChangePassword,
        Self::SignOutEverywhere,
        Self::EndSession,
    ];

    /// What becomes of a thing: nothing where it lives on, else how whoever has it is told.
    pub fn fate(self, thing: Thing) -> Option<&'static str> {
        let told = match thing {
            Thing::FastPass | Thing::OtherDevice | Thing::Password | Thing::SteppedUp | Thing::Push => {
                self.said_of_session()
            }
            Thing::PushStream => "ended",
            Thing::Challenge | Thing::PushAnswer => self.said_to_answer()?,
            Thing::Assertion => self.said_to_assertion()?,
            Thing::Certificate => self.said_to_certificate()?,
            Thing::Code => "sign-in-over",
            Thing::WebSocket => "1008",
            Thing::Http2 => "reset",
            Thing::Download => "cut",
        };
        self.ends().contains(&thing).then_some(told)
    }

    fn ends(self) -> &'static [Thing] {
        match self {
            Self::Deactivate | Self::Suspend | Self::Delete | Self::RemoveUser => &OF_DEVICE,
            Self::RevokeCertificate => &[Thing::Certificate],
            Self::SuspendUser => &Thing::ALL,
            Self::ChangePassword => &[Thing::Password, Thing::SteppedUp, Thing::Push],
            Self::SignOutEverywhere => &SESSIONS,
            Self::EndSession => &[
                Thing::FastPass,
                Thing::Code,
                Thing::WebSocket,
                Thing::Http2,
                Thing::Download,
            ],
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Deactivate => "device deactivated",
            Self::Suspend => "device suspended",
            Self::Delete => "device deactivated and deleted",
            Self::RevokeCertificate => "its certificate revoked",
            Self::RemoveUser => "user removed from it",
            Self::SuspendUser => "user suspended",
            Self::ChangePassword => "password changed",
            Self::SignOutEverywhere => "sign-out everywhere",
            Self::EndSession => "first session ended by an admin",
        }
    }

    fn said_of_session(self) -> &'static str {
        match self {
            Self::Deactivate | Self::Delete => "device-deactivated",
            Self::Suspend => "device-suspended",
            Self::RemoveUser => "enrollment-ended",
            Self::SuspendUser => "user-inactive",
            Self::RevokeCertificate | Self::ChangePassword | Self::SignOutEverywhere | Self::EndSession => {
                "session-ended"
            }
        }
    }

    fn said_to_answer(self) -> Option<&'static str> {
        match self {
            Self::Deactivate | Self::Suspend => Some("403 E0000152"),
            Self::Delete => Some("401 E0000011"),
            Self::RemoveUser => Some("410 E0000154"),
            Self::SuspendUser => Some("423 E0000155"),
            Self::RevokeCertificate | Self::ChangePassword | Self::SignOutEverywhere | Self::EndSession => None,
        }
    }

    fn said_to_assertion(self) -> Option<&'static str> {
        match self {
            Self::Deactivate => Some("device-deactivated"),
            Self::Suspend => Some("device-suspended"),
            Self::Delete => Some("assertion-refused"),
            Self::RemoveUser => Some("enrollment-ended"),
            Self::SuspendUser => Some("user-inactive"),
            Self::RevokeCertificate | Self::ChangePassword | Self::SignOutEverywhere | Self::EndSession => None,
        }
    }

    fn said_to_certificate(self) -> Option<&'static str> {
        match self {
            Self::Deactivate => Some("device-deactivated"),
            Self::Suspend => Some("device-suspended"),
            Self::Delete | Self::RevokeCertificate | Self::RemoveUser => Some("certificate-revoked"),
            Self::SuspendUser => Some("user-inactive"),
            Self::ChangePassword | Self::SignOutEverywhere | Self::EndSession => None,
        }
    }
}

/// The table as the documentation shows it: what ends, and below it what is said.
pub fn table() -> String {
    let mut text = String::from("| |");
    for event in Event::ALL {
        let _ = write!(text, " {} |", event.title());
    }
    let _ = write!(text, "\n|{}", " --- |".repeat(Event::ALL.len() + 1));
    for thing in Thing::ALL {
        let _ = write!(text, "\n| {} |", thing.title());
        for event in Event::ALL {
            let cell = event.fate(thing).map_or("lives", |_| "**ends**");
            let _ = write!(text, " {cell} |");
        }
    }
    text
}

/// What is said of each event, to whom.
pub fn words() -> String {
    let columns = [Thing::FastPass, Thing::Challenge, Thing::Assertion, Thing::Certificate];
    let mut text = String::from("| | cookie | answer to a challenge | signed request | certificate |\n");
    text += "| --- | --- | --- | --- | --- |";
    for event in Event::ALL {
        let _ = write!(text, "\n| {} |", event.title());
        for thing in columns {
            // Of the sessions it is another one that ends with a password.
            let thing = match (thing, event) {
                (Thing::FastPass, Event::ChangePassword) => Thing::Password,
                _ => thing,
            };
            let cell = event.fate(thing).map_or("–".to_owned(), |said| format!("`{said}`"));
            let _ = write!(text, " {cell} |");
        }
    }
    text
}

const OF_DEVICE: [Thing; 12] = [
    Thing::FastPass,
    Thing::SteppedUp,
    Thing::Push,
    Thing::Challenge,
    Thing::PushAnswer,
    Thing::PushStream,
    Thing::Code,
    Thing::Assertion,
    Thing::WebSocket,
    Thing::Http2,
    Thing::Download,
    Thing::Certificate,
];

const SESSIONS: [Thing; 9] = [
    Thing::FastPass,
    Thing::OtherDevice,
    Thing::Password,
    Thing::SteppedUp,
    Thing::Push,
    Thing::Code,
    Thing::WebSocket,
    Thing::Http2,
    Thing::Download,
];
