//! How is a request answered that does not pass? The one place where denials and faults become answers.

use std::borrow::Cow;

use askama::Template;
use bytes::Bytes;
use device_checks::wire::NONCE_FIELD;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use policies::PolicyId;
use serde::Serialize;

use super::denial::{Ambiguity, Denial};
use crate::cookies::Cookie;
use crate::pages::{ENGLISH, FORMS_KEEP_THEIR_ORIGIN, Language, Link, Message, PageReason, Place, Shell, Texts};
use crate::setup::Setup;

/// Everything an answer needs besides the denial itself.
pub(crate) struct Asked<'a> {
    /// The request's id.
    pub(crate) request_id: &'a str,
    /// Whether a person in a browser waits for a page.
    pub(crate) browser: bool,
    /// Whose pages are in which language if nobody says otherwise.
    pub(crate) setup: &'a Setup,
    /// On whose host.
    pub(crate) place: Place,
    /// Where a person can sign in.
    pub(crate) sign_in: Option<&'a SignInAt>,
    /// A fresh nonce for whoever signs the request anew.
    pub(crate) nonce: Option<String>,
}

/// The way to the sign-in page and back.
pub(crate) struct SignInAt {
    /// Its address, for the browser that asked.
    pub(crate) url: String,
    /// The same for anybody.
    pub(crate) page: String,
    /// Whether a browser is sent there at once.
    pub(crate) at_once: bool,
    /// Cookies that the way back takes.
    pub(crate) cookies: Vec<HeaderValue>,
}

/// A fault: ours or the upstream's, not the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Something here did not work.
    Internal,
    /// The application does not answer, or not in HTTP.
    BadGateway,
    /// The application's servers have as many requests as they may have.
    Full,
    /// As many requests are under way as may be.
    Busy,
    /// The application takes too long.
    Timeout,
    /// The client's body is not what its head announced.
    BadRequest,
    /// The client takes too long.
    SlowRequest,
}

/// A problem as RFC 9457 has it, with our own members.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<ProblemReason<'a>>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct ProblemReason<'a> {
    policy: Option<&'a str>,
    message: &'a str,
    advice: Option<&'a str>,
}

/// Answers a denial: a page for a person, else `application/problem+json`.
pub(crate) async fn deny(session: &mut Session, denial: &Denial, asked: &Asked<'_>) -> pingora::Result<()> {
    let (head, body) = refusal(session.req_header(), denial, asked)?;
    write(session, head, body).await
}

/// The answer to a request with this head that is denied.
pub(crate) fn refusal(
    request: &RequestHeader,
    denial: &Denial,
    asked: &Asked<'_>,
) -> pingora::Result<(ResponseHeader, Bytes)> {
    if let Some(sign_in) = asked.sign_in.filter(|sign_in| asked.browser && sign_in.at_once) {
        return redirection(StatusCode::FOUND, &sign_in.url, asked);
    }
    let answer = match asked.browser {
        true => denial_page(denial, asked, asked.shell(request)),
        false => denial_problem(denial, asked),
    };
    let mut head = head(denial.status(), &answer, asked)?;
    if *denial == Denial::TooManyRequests {
        head.insert_header(header::RETRY_AFTER, 1)?;
    }
    if *denial == Denial::MethodRefused {
        head.insert_header(header::ALLOW, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")?;
    }
    for challenge in challenges(denial, asked) {
        head.append_header(header::WWW_AUTHENTICATE, challenge)?;
    }
    if *denial == Denial::Ambiguous(Ambiguity::Cookie) {
        head.append_header(header::SET_COOKIE, Cookie::Session.clear())?;
    }
    if let (Denial::AssertionRefused, Some(nonce)) = (denial, &asked.nonce) {
        head.insert_header(NONCE_FIELD, nonce)?;
    }
    Ok((head, answer.body))
}

/// Answers a fault with the request's id, by which the operator finds it in the log.
pub(crate) async fn fail(session: &mut Session, fault: Fault, asked: &Asked<'_>) -> pingora::Result<()> {
    let answer = match asked.browser {
        true => {
            let shell = asked.shell(session.req_header());
            let (title, detail) = fault.said(shell.texts);
            page(&Message {
                code: fault.code(),
                ..Message::new(title, detail, shell)
            })
        }
        false => {
            let (title, detail) = fault.said(&ENGLISH);
            problem(fault.status(), fault.code(), title, detail, Vec::new(), asked)
        }
    };
    let mut head = head(fault.status(), &answer, asked)?;
    if matches!(fault, Fault::Full | Fault::Busy) {
        head.insert_header(header::RETRY_AFTER, 1)?;
    }
    write(session, head, answer.body).await
}

impl Asked<'_> {
    /// What a page has that answers: the language is asked for only here.
    fn shell(&self, head: &RequestHeader) -> Shell<'_> {
        Shell {
            texts: Language::asked(&head.headers, self.setup.config.language).texts(),
            place: self.place,
            offers_languages: head.method == Method::GET,
            ..Shell::new(self.request_id, &self.setup.brand)
        }
    }
}

impl Fault {
    const fn status(self) -> u16 {
        match self {
            Self::Internal => 500,
            Self::BadGateway => 502,
            Self::Full | Self::Busy => 503,
            Self::Timeout => 504,
            Self::BadRequest => 400,
            Self::SlowRequest => 408,
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Self::Internal => "internal-error",
            Self::BadGateway => "bad-gateway",
            Self::Full => "application-busy",
            Self::Busy => "gateway-busy",
            Self::Timeout => "gateway-timeout",
            Self::BadRequest => "bad-request",
            Self::SlowRequest => "request-timeout",
        }
    }

    /// A few words for a heading, and what helps.
    const fn said(self, texts: &Texts) -> (&'static str, &'static str) {
        let said = &texts.faults;
        match self {
            Self::Internal => (said.internal_title, said.internal),
            Self::BadGateway => (said.bad_gateway_title, said.try_again),
            Self::Full => (said.full_title, said.try_again),
            Self::Busy => (said.busy_title, said.try_again),
            Self::Timeout => (said.timeout_title, said.try_again),
            Self::BadRequest => (said.bad_request_title, said.bad_body),
            Self::SlowRequest => (said.slow_request_title, said.slow_request),
        }
    }
}

/// What would do in place of what is missing (RFC 9110, section 11.6.1): a certificate, an assertion, a session.
fn challenges(denial: &Denial, asked: &Asked<'_>) -> Vec<String> {
    let named = |scheme: &str| format!("{scheme} realm=\"latchkey\"");
    let session = |more: &str| {
        let sign_in = asked.sign_in.map(|sign_in| format!(", sign_in=\"{}\"", sign_in.page));
        format!("{}{more}{}", named("Session"), sign_in.unwrap_or_default())
    };
    match denial {
        Denial::NotSignedIn => vec![named("Certificate"), named("Device-Assertion"), session("")],
        Denial::SessionEnded(_) | Denial::SessionOver => vec![session(&format!(", error=\"{}\"", denial.code()))],
        Denial::ProofTooOld(_) => vec![session(&format!(", error=\"{}\", renew=\"{RENEW}\"", denial.code()))],
        Denial::TokenRefused => vec![named("Bearer")],
        Denial::AssertionRefused => vec![named("Device-Assertion")],
        _ => Vec::new(),
    }
}

/// What is written, apart from the status.
struct Answer {
    body: Bytes,
    fields: Vec<(HeaderName, Cow<'static, str>)>,
}

fn denial_page(denial: &Denial, asked: &Asked<'_>, shell: Shell<'_>) -> Answer {
    let said = &shell.texts.denials;
    let reasons: Vec<PageReason<'_>> = reasons(denial)
        .iter()
        .map(|reason| page_reason(shell.texts, reason))
        .collect();
    let link = asked.sign_in.filter(|_| offers_sign_in(denial)).map(|sign_in| Link {
        href: &sign_in.url,
        text: said.other_ways,
    });
    let detail = denial.detail(shell.texts);
    // The reasons say it all; the detail would say it again.
    let detail = if reasons.is_empty() { &*detail } else { said.rules };
    page(&Message {
        reasons: &reasons,
        link,
        code: denial.code(),
        ..Message::new(denial.title(shell.texts), detail, shell)
    })
}

/// Whether signing in may help although the browser is not sent there.
const fn offers_sign_in(denial: &Denial) -> bool {
    matches!(
        denial,
        Denial::DeviceDeactivated
            | Denial::DeviceSuspended
            | Denial::CertificateRevoked
            | Denial::CertificateUnknown
            | Denial::CertificateExpired
            | Denial::SessionEnded(_)
            | Denial::SessionOver
            | Denial::ProofTooOld(_)
    )
}

/// Scripts go by the code; what is said beside it is in English.
fn denial_problem(denial: &Denial, asked: &Asked<'_>) -> Answer {
    let reasons = reasons(denial).iter().map(problem_reason).collect();
    let (title, detail) = (denial.title(&ENGLISH), denial.detail(&ENGLISH));
    problem(denial.status(), denial.code(), title, &detail, reasons, asked)
}

fn reasons(denial: &Denial) -> &[policies::Reason] {
    match denial {
        Denial::Policy(denied) | Denial::ProofTooOld(denied) => &denied.reasons,
        _ => &[],
    }
}

/// A reason, for a person.
pub(crate) fn page_reason<'a>(texts: &Texts, reason: &'a policies::Reason) -> PageReason<'a> {
    PageReason {
        message: texts.reason(reason),
        help: reason.advice.as_deref().map(|advice| texts.help(advice).to_owned()),
        policy: reason.policy.as_ref().map(PolicyId::as_str).unwrap_or_default(),
    }
}

fn problem_reason(reason: &policies::Reason) -> ProblemReason<'_> {
    ProblemReason {
        policy: reason.policy.as_ref().map(PolicyId::as_str),
        message: &reason.message,
        advice: reason.advice.as_deref(),
    }
}

fn problem(
    status: u16,
    code: &str,
    title: &str,
    detail: &str,
    reasons: Vec<ProblemReason<'_>>,
    asked: &Asked<'_>,
) -> Answer {
    let problem = Problem {
        r#type: format!("urn:latchkey:problem:{code}"),
        title,
        status,
        detail,
        code,
        reasons,
        request_id: asked.request_id,
    };
    let mut body = serde_json::to_vec(&problem).unwrap_or_default();
    body.push(b'\n');
    Answer {
        body: body.into(),
        fields: vec![
            (header::CONTENT_TYPE, "application/problem+json".into()),
            (header::CONTENT_SECURITY_POLICY, NOTHING.into()),
            (header::REFERRER_POLICY, "no-referrer".into()),
        ],
    }
}

fn page(message: &Message<'_>) -> Answer {
    let language = message.shell.language_fields();
    let own = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".into()),
        (header::CONTENT_SECURITY_POLICY, message.policy().into()),
        (header::REFERRER_POLICY, FORMS_KEEP_THEIR_ORIGIN.into()),
    ];
    let language = language.map(|(name, value)| (name, value.into()));
    Answer {
        body: message.render().unwrap_or_default().into(),
        fields: own.into_iter().chain(language).collect(),
    }
}

fn head(status: u16, answer: &Answer, asked: &Asked<'_>) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build(status, Some(12))?;
    for (name, value) in &answer.fields {
        head.insert_header(name, value.as_ref())?;
    }
    head.insert_header(header::CONTENT_LENGTH, answer.body.len())?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    head.insert_header("x-request-id", asked.request_id)?;
    for cookie in asked.sign_in.iter().flat_map(|sign_in| &sign_in.cookies) {
        head.append_header(header::SET_COOKIE, cookie.clone())?;
    }
    Ok(head)
}

/// Tells the client another place.
pub(crate) fn redirection(status: StatusCode, to: &str, asked: &Asked<'_>) -> pingora::Result<(ResponseHeader, Bytes)> {
    let answer = Answer {
        body: Bytes::new(),
        fields: vec![
            (header::CONTENT_SECURITY_POLICY, NOTHING.into()),
            (header::REFERRER_POLICY, "no-referrer".into()),
        ],
    };
    let mut head = head(status.as_u16(), &answer, asked)?;
    if let Ok(location) = HeaderValue::from_str(to) {
        head.insert_header(header::LOCATION, location)?;
    }
    Ok((head, answer.body))
}

/// Writes an answer.
pub(crate) async fn write(session: &mut Session, head: ResponseHeader, body: Bytes) -> pingora::Result<()> {
    let without_body = body.is_empty() || session.req_header().method == Method::HEAD;
    session.write_response_header(Box::new(head), without_body).await?;
    if !without_body {
        session.write_response_body(Some(body), true).await?;
    }
    if session.is_http2() {
        // A stream that is dropped with a body unread is reset, and the reset overtakes the answer.
        let _ = tokio::time::timeout(UNREAD, discard(session)).await;
    }
    Ok(())
}

/// Reads what is left of a small body.
async fn discard(session: &mut Session) -> pingora::Result<()> {
    let mut left = UNREAD_BYTES;
    while let Some(part) = session.read_request_body().await? {
        left = left.saturating_sub(part.len());
        if left == 0 {
            break;
        }
    }
    Ok(())
}

/// What a browser may do with what is no page.
const NOTHING: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where a script on the application's page renews the device's proof.
pub(crate) const RENEW: &str = "/.latchkey/renew";

const UNREAD: std::time::Duration = std::time::Duration::from_secs(1);
const UNREAD_BYTES: usize = 64 * 1024;
