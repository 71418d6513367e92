//! What does a letter say? Who asked for what, from where, the code and the link, and what to do about a stranger's.

use std::net::IpAddr;

use askama::Template;
use directory::{Timestamp, User, UserId};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::{Address, Message};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::pages::{Moment, Texts};

/// A letter with what signs somebody in.
pub(crate) struct Letter {
    /// What it says.
    pub(crate) texts: &'static Texts,
    /// Whom it is for, for the log.
    pub(crate) user: UserId,
    /// Where it goes.
    pub(crate) to: Address,
    /// What is to be opened.
    pub(crate) application: String,
    /// The browser that asked, by a name of ours.
    pub(crate) browser: String,
    /// From where it asked.
    pub(crate) address: IpAddr,
    /// When.
    pub(crate) asked: Timestamp,
    /// From when on the letter is of no use.
    pub(crate) ends: Timestamp,
    /// What is typed, as people read it.
    pub(crate) code: Zeroizing<String>,
    /// What is clicked.
    pub(crate) link: Zeroizing<String>,
}

/// Where the user reads mail, if that is an address that every server takes, in a domain that can be (RFC 2606).
pub(crate) fn address_of(user: &User) -> Option<Address> {
    let address: Address = user.email.parse().ok()?;
    let is_plain = user.email.bytes().all(|byte| byte.is_ascii_graphic());
    let top = address.domain().rsplit('.').next().unwrap_or_default();
    (is_plain && !top.eq_ignore_ascii_case("invalid")).then_some(address)
}

impl Letter {
    /// The letter as it is sent. Its subject has nothing that helps whoever reads over a shoulder.
    ///
    /// # Errors
    /// If it cannot be put together.
    pub(crate) fn write(&self, from: &Mailbox, id: &str) -> Result<Message, lettre::error::Error> {
        let texts = self.texts;
        let said = Said {
            texts,
            letter: self,
            time: Moment(self.asked).text(texts),
            minutes: self.minutes(),
        };
        let (plain, html) = (said.plain(), said.html());
        let mut message = Message::builder()
            .from(from.clone())
            .to(Mailbox::new(None, self.to.clone()))
            .subject(format!("{} {}", texts.mail.subject, self.application))
            .message_id(Some(format!("<{id}@{}>", from.email.domain())))
            .date(
                OffsetDateTime::from_unix_timestamp(self.asked.secs())
                    .unwrap_or(OffsetDateTime::UNIX_EPOCH)
                    .into(),
            )
            .multipart(MultiPart::alternative_plain_html(plain, html))?;
        // RFC 3834: nobody's holiday answers it.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let value = HeaderValue::new(automatic, "auto-generated".to_owned());
        message.headers_mut().insert_raw(value);
        Ok(message)
    }

    fn minutes(&self) -> u64 {
        let lifetime = self.asked.until(self.ends).unwrap_or_default();
        lifetime.as_secs() / 60
    }
}

/// What the templates fill in.
struct Said<'a> {
    texts: &'static Texts,
    letter: &'a Letter,
    time: String,
    minutes: u64,
}

#[derive(Template)]
#[template(path = "mail_code.txt")]
struct Plain<'a>(&'a Said<'a>);

#[derive(Template)]
#[template(path = "mail_code.html")]
struct Markup<'a>(&'a Said<'a>);

impl Said<'_> {
    fn plain(&self) -> String {
        Plain(self).render().unwrap_or_default()
    }

    fn html(&self) -> String {
        Markup(self).render().unwrap_or_default()
    }
}
