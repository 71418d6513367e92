//! How is a request answered that does not pass? The one place where denials and faults become answers.

use askama::Template;
use bytes::Bytes;
use device_checks::wire::NONCE_FIELD;
use http::{HeaderValue, Method, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use policies::PolicyId;
use serde::Serialize;

use super::denial::{Ambiguity, Denial};
use crate::cookies::Cookie;
use crate::pages::{ENGLISH, Link, Message, PageReason, Texts, content_security_policy};

/// Everything an answer needs besides the denial itself.
pub(crate) struct Asked<'a> {
    /// The request's id.
    pub(crate) request_id: &'a str,
    /// Whether a person in a browser waits for a page.
    pub(crate) browser: bool,
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
    if let Some(sign_in) = asked.sign_in.filter(|sign_in| asked.browser && sign_in.at_once) {
        return redirect(session, &sign_in.url, asked).await;
    }
    let detail = denial.detail();
    let answer = Answer {
        status: denial.status(),
        code: denial.code(),
        title: denial.title(),
        detail: &detail,
        denial,
    };
    let body = answer.body(asked);
    let mut head = head(answer.status, &body, asked)?;
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
    write(session, head, body).await
}

/// Answers a fault with the request's id, by which the operator finds it in the log.
pub(crate) async fn fail(session: &mut Session, fault: Fault, asked: &Asked<'_>) -> pingora::Result<()> {
    let (status, code, title, detail) = match fault {
        Fault::Internal => (
            500,
            "internal-error",
            "Something went wrong here",
            "The request was not passed on.",
        ),
        Fault::BadGateway => (
            502,
            "bad-gateway",
            "The application does not answer",
            "Try again in a moment.",
        ),
        Fault::Timeout => (
            504,
            "gateway-timeout",
            "The application takes too long",
            "Try again in a moment.",
        ),
        Fault::BadRequest => (
            400,
            "bad-request",
            "This request is broken",
            "Its body is not what its head announced.",
        ),
        Fault::SlowRequest => (408, "request-timeout", "This request took too long", "Send it again."),
    };
    let problem = problem(status, code, title, detail, Vec::new(), asked);
    let body = if asked.browser {
        page(Message {
            code,
            ..Message::new(title, detail, asked.request_id)
        })
    } else {
        problem
    };
    let head = head(status, &body, asked)?;
    write(session, head, body).await
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

struct Answer<'a> {
    status: u16,
    code: &'static str,
    title: &'static str,
    detail: &'a str,
    denial: &'a Denial,
}

impl Answer<'_> {
    fn body(&self, asked: &Asked<'_>) -> Bytes {
        if asked.browser {
            self.page(asked)
        } else {
            self.problem(asked)
        }
    }

    fn page(&self, asked: &Asked<'_>) -> Bytes {
        let reasons: Vec<PageReason<'_>> = match self.denial {
            Denial::Policy(denied) | Denial::ProofTooOld(denied) => denied
                .reasons
                .iter()
                .map(|reason| page_reason(&ENGLISH, reason))
                .collect(),
            _ => Vec::new(),
        };
        let offers_sign_in = matches!(
            self.denial,
            Denial::DeviceDeactivated
                | Denial::DeviceSuspended
                | Denial::CertificateRevoked
                | Denial::CertificateUnknown
                | Denial::CertificateExpired
                | Denial::SessionEnded(_)
                | Denial::SessionOver
                | Denial::ProofTooOld(_)
        );
        let link = asked.sign_in.filter(|_| offers_sign_in).map(|sign_in| Link {
            href: &sign_in.url,
            text: "Other ways to sign in",
        });
        // The reasons say it all; the detail would say it again.
        let detail = if reasons.is_empty() {
            self.detail
        } else {
            "The rules for this application stand in the way:"
        };
        let message = Message::new(self.title, detail, asked.request_id);
        page(Message {
            reasons: &reasons,
            link,
            code: self.code,
            ..message
        })
    }

    fn problem(&self, asked: &Asked<'_>) -> Bytes {
        let reasons = match self.denial {
            Denial::Policy(denied) | Denial::ProofTooOld(denied) => denied.reasons.iter().map(problem_reason).collect(),
            _ => Vec::new(),
        };
        problem(self.status, self.code, self.title, self.detail, reasons, asked)
    }
}

/// A reason, for a person.
pub(crate) fn page_reason<'a>(texts: &Texts, reason: &'a policies::Reason) -> PageReason<'a> {
    PageReason {
        message: &reason.message,
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
) -> Bytes {
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
    body.into()
}

fn page(message: Message<'_>) -> Bytes {
    message.render().unwrap_or_default().into()
}

fn head(status: u16, body: &Bytes, asked: &Asked<'_>) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build(status, Some(10))?;
    let content_type = if asked.browser {
        "text/html; charset=utf-8"
    } else {
        "application/problem+json"
    };
    head.insert_header(header::CONTENT_TYPE, content_type)?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    head.insert_header(header::CONTENT_SECURITY_POLICY, content_security_policy())?;
    head.insert_header(header::REFERRER_POLICY, "no-referrer")?;
    head.insert_header("x-request-id", asked.request_id)?;
    for cookie in asked.sign_in.iter().flat_map(|sign_in| &sign_in.cookies) {
        head.append_header(header::SET_COOKIE, cookie.clone())?;
    }
    Ok(head)
}

async fn redirect(session: &mut Session, to: &str, asked: &Asked<'_>) -> pingora::Result<()> {
    let body = Bytes::new();
    let mut head = head(302, &body, asked)?;
    head.remove_header(&header::CONTENT_TYPE);
    if let Ok(location) = HeaderValue::from_str(to) {
        head.insert_header(header::LOCATION, location)?;
    }
    write(session, head, body).await
}

async fn write(session: &mut Session, head: ResponseHeader, body: Bytes) -> pingora::Result<()> {
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

/// Where a script on the application's page renews the device's proof.
pub(crate) const RENEW: &str = "/.latchkey/renew";

const UNREAD: std::time::Duration = std::time::Duration::from_secs(1);
const UNREAD_BYTES: usize = 64 * 1024;
