//! Who comes to the auth host, in which browser, and how do they stand?

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use directory::{Client, SecretHash, SessionEnd, SessionId};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};

use super::state::State;
use crate::cookies::{Cookie, CookieSecret};
use crate::pages::texts::{BROWSER_ON, UNKNOWN_BROWSER};
use crate::pages::{self, Expired, Language, Message, Shell};
use crate::request::{Arrived, Denial, Identified, SessionInUse, Shown, View, identify, organization_request};
use crate::sealed::BadSeal;
use crate::sessions::{Lasting, continues};
use crate::world::World;

/// Somebody at the auth host.
pub(crate) struct Visitor {
    /// The gateway.
    pub(crate) world: Arc<World>,
    /// What was asked.
    pub(crate) arrived: Arc<Arrived>,
    /// What was true then.
    pub(crate) view: View,
    /// How they stand.
    pub(crate) standing: Standing,
    /// The session that ends when somebody else signs in.
    leaving: Option<SessionId>,
    browser: CookieSecret,
    is_new: bool,
    user_agent: String,
    language: Language,
    chosen: Option<Language>,
}

/// How somebody stands who comes to the auth host.
pub(crate) enum Standing {
    /// Nobody is signed in.
    Out,
    /// A session ended that the browser still knows.
    Ended(SessionEnd),
    /// Somebody is signed in.
    In(Box<Identified>),
}

impl FromRequestParts<Arc<World>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, world: &Arc<World>) -> Result<Self, Response> {
        let arrived = parts.extensions.get::<Arc<Arrived>>().cloned();
        let arrived = arrived.ok_or_else(|| StatusCode::INTERNAL_SERVER_ERROR.into_response())?;
        let known = Cookie::Browser.read(&parts.headers).ok().flatten();
        let view = world.view();
        Ok(Self {
            standing: Standing::of(world, &view, &arrived),
            leaving: None,
            is_new: known.is_none(),
            browser: known.unwrap_or_else(CookieSecret::random),
            user_agent: user_agent(&parts.headers),
            language: Language::asked(&parts.headers, view.setup.config.language),
            chosen: Language::chosen(&parts.headers),
            world: world.clone(),
            arrived,
            view,
        })
    }
}

impl Standing {
    fn of(world: &World, view: &View, arrived: &Arrived) -> Self {
        let shown = Shown {
            certificate: None,
            assertion: None,
            session: arrived.session.as_ref(),
        };
        let identified = match identify(shown, &view.directory, view.now) {
            Ok(identified) => identified,
            Err(unidentified) => {
                return match unidentified.denial {
                    Denial::SessionEnded(end) => Self::Ended(end),
                    _ => Self::Out,
                };
            }
        };
        let Some(session) = &identified.session else {
            return Self::Out;
        };
        let asked = || organization_request(&world.facts, view, arrived, &identified);
        let standing = Lasting {
            user: world.facts.user(&view.directory, &identified.user).version,
            limits: &view.setup.config.sign_in,
            now: view.now,
        };
        match continues(&session.grip, &view.decider, asked, &standing) {
            Ok(_) => Self::In(Box::new(identified)),
            Err(_) => Self::Ended(SessionEnd::Expired),
        }
    }
}

impl Visitor {
    /// Who is signed in.
    pub(crate) fn identified(&self) -> Option<&Identified> {
        match &self.standing {
            Standing::In(identified) => Some(identified),
            Standing::Out | Standing::Ended(_) => None,
        }
    }

    /// The session of who is signed in.
    pub(crate) fn session(&self) -> Option<&SessionInUse> {
        self.identified()?.session.as_ref()
    }

    /// The hash of the browser's own cookie.
    pub(crate) fn browser(&self) -> SecretHash {
        self.browser.hash()
    }

    /// What is kept of a short secret that counts in this browser alone.
    pub(crate) fn bind(&self, text: &str) -> SecretHash {
        self.browser.bind(text)
    }

    /// What a session remembers of the browser.
    pub(crate) fn client(&self) -> Client {
        Client {
            browser: self.browser.hash(),
            name: self.browser_name(),
            address: self.arrived.peer.to_canonical(),
        }
    }

    /// What the browser calls itself, in short.
    pub(crate) fn browser_name(&self) -> String {
        browser_name(&self.user_agent)
    }

    /// The language that they chose, if they did.
    pub(crate) fn chosen_language(&self) -> Option<Language> {
        self.chosen
    }

    /// What every page has.
    pub(crate) fn shell(&self) -> Shell<'_> {
        Shell {
            texts: self.language.texts(),
            offers_languages: self.arrived.method == Method::GET,
            ..Shell::new(&self.arrived.id, &self.view.setup.brand)
        }
    }

    /// A page that says one thing, as what every page has says it.
    pub(crate) fn message<'a>(&'a self, title: &'a str, detail: &'a str) -> Message<'a> {
        Message::new(title, detail, self.shell())
    }

    /// What a page carried, if it was this browser's and is not over. Where somebody else is about to sign in, whoever is
    /// signed in counts no longer.
    pub(crate) fn open(&mut self, sealed: &str) -> Result<State, BadSeal> {
        let state = State::open(&self.world.seal, sealed, self.browser(), self.view.now)?;
        if state.another {
            self.make_way();
        }
        Ok(state)
    }

    /// Lets whoever is signed in count no longer: somebody else is to sign in.
    pub(crate) fn make_way(&mut self) {
        self.leaving = self.session().map(|session| session.session.id);
        self.standing = Standing::Out;
    }

    /// The session that ends when one begins here.
    pub(crate) fn replaces(&self) -> Option<SessionId> {
        self.leaving
            .or_else(|| self.session().map(|session| session.session.id))
    }

    /// Says that a page is too old, and where to begin anew.
    pub(crate) fn expired(&self, start: &str) -> Response {
        let page = Expired {
            shell: self.shell(),
            start,
        };
        self.answer(pages::respond(StatusCode::BAD_REQUEST, &page))
    }

    /// The field that gives the browser another cookie of its own: what was bound to the one before is over.
    pub(crate) fn rotated(&self) -> http::HeaderValue {
        Cookie::Browser.set(&CookieSecret::random())
    }

    /// The answer, which lets the browser keep its own cookie.
    pub(crate) fn answer(&self, mut response: Response) -> Response {
        if self.is_new {
            let cookie = Cookie::Browser.set(&self.browser);
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }
}

fn user_agent(headers: &HeaderMap) -> String {
    let value = headers.get(header::USER_AGENT);
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.chars().take(400).collect()
}

/// `Chrome on Linux`: enough for people to tell their browsers apart, and never what a browser wrote.
fn browser_name(user_agent: &str) -> String {
    let first = |names: &[(&str, &'static str)]| {
        names
            .iter()
            .find(|(sign, _)| user_agent.contains(sign))
            .map(|(_, name)| *name)
    };
    let browser = first(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = first(&[
        ("Windows", "Windows"),
        ("iPhone", "iOS"),
        ("iPad", "iOS"),
        ("Android", "Android"),
        ("CrOS", "ChromeOS"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser}{BROWSER_ON}{system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => UNKNOWN_BROWSER.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_called_by_a_name_of_ours() {
        for (text, name) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
                "Chrome on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/156.0 Safari/537.36 Edg/156.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iOS",
            ),
            ("curl/7.88.1", "curl"),
            ("<script>alert(1)</script>", "an unknown browser"),
            ("", "an unknown browser"),
        ] {
            assert_eq!(browser_name(text), name);
        }
    }
}
