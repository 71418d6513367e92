//! How do the admin API and the endpoints for devices say no? One table from refusals to codes, one body for all of them.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use directory::{QueryError, Refusal, Scope};
use http::{HeaderValue, StatusCode, header};
use policies::{Denied, Reason};
use serde_json::json;

use crate::logs::Chain;
use crate::store::SubmitError;

/// Why a call gets no answer.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// There is no token that counts.
    InvalidToken,
    /// The token was not made for this.
    Forbidden(String),
    /// There is no such thing.
    NotFound(String),
    /// The method is not offered here.
    MethodNotAllowed,
    /// What was sent is not as expected; says what was.
    Invalid(String),
    /// The directory refuses.
    Refused(Refusal),
    /// Who signs in did not say who they are, or not rightly: alike for everybody.
    NotAuthenticated,
    /// There were too many failures; so long to wait.
    Throttled(Duration),
    /// Too much is asked for at once.
    Busy,
    /// The policies say no; their reasons.
    Policy(Denied),
    /// The policies ask for a factor that the user does not have.
    FactorMissing {
        /// What the policies say.
        denied: Denied,
        /// Which factor would do.
        factor: &'static str,
    },
    /// A proof by a key is not a good one.
    ProofRefused(String),
    /// Another origin than the auth host's asked the device.
    PhishingDeclined,
    /// The device was deleted.
    DeviceDeleted,
    /// Another enrolment of this device is under way.
    EnrollmentUnderWay,
    /// FastPass cannot be switched off while policies look at devices: which.
    DeviceConditions(String),
    /// The gateway itself fails; the cause is logged, not told.
    Fault,
}

impl ApiError {
    /// There is no such thing.
    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        Self::NotFound(format!("there is no {what} `{id}`"))
    }

    /// The token lacks a scope.
    pub(crate) fn lacks(scope: Scope) -> Self {
        Self::Forbidden(format!("the token lacks the scope `{scope}`"))
    }

    /// A value is not what it has to be.
    pub(crate) fn invalid(field: &str, expected: impl std::fmt::Display) -> Self {
        Self::Invalid(format!("{field}: {expected}"))
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(refused) => Self::Refused(refused.reason),
            SubmitError::Unavailable(_) => fault(&error, "a command could not be carried out"),
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::UnknownEvent { .. } => Self::invalid("after", error),
            QueryError::Unavailable(_) => fault(&error, "the System Log could not be read"),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::InvalidToken => respond(Code::InvalidToken, None),
            Self::Forbidden(cause) => respond(Code::Forbidden, Some(cause)),
            Self::NotFound(cause) => respond(Code::NotFound, Some(cause)),
            Self::MethodNotAllowed => respond(Code::MethodNotAllowed, None),
            Self::Invalid(cause) => respond(Code::Validation, Some(cause)),
            Self::Refused(refusal) => respond(code_of(&refusal), Some(refusal.to_string())),
            Self::NotAuthenticated => respond(Code::NotAuthenticated, None),
            Self::Throttled(wait) => retry_after(respond(Code::TooMany, None), wait),
            Self::Busy => retry_after(respond(Code::TooMany, None), BUSY),
            Self::Policy(denied) => refuse_by_policy(&denied, None),
            Self::FactorMissing { denied, factor } => {
                let missing = format!("a factor of the kind `{factor}` is needed, and the user has none");
                refuse_by_policy(&denied, Some(missing))
            }
            Self::ProofRefused(cause) => respond(Code::InvalidToken, Some(cause)),
            Self::PhishingDeclined => respond(Code::Phishing, None),
            Self::DeviceDeleted => respond(Code::DeviceDeleted, None),
            Self::EnrollmentUnderWay => respond(Code::UnderWay, None),
            Self::DeviceConditions(policies) => respond(Code::DeviceConditions, Some(policies)),
            Self::Fault => respond(Code::Internal, None),
        }
    }
}

/// Answers a refused or failed command.
pub(crate) fn refusal(error: &SubmitError) -> Response {
    match error {
        SubmitError::Refused(refused) => ApiError::Refused(refused.reason.clone()).into_response(),
        SubmitError::Unavailable(_) => fault(error, "a command could not be carried out").into_response(),
    }
}

/// Answers in the shape that scripts know: `errorCode`, `errorSummary`, `errorLink`, `errorId`, `errorCauses`.
pub(crate) fn api_error(status: StatusCode, code: &str, summary: &str, causes: &[&str]) -> Response {
    let causes: Vec<_> = causes.iter().map(|cause| json!({ "errorSummary": cause })).collect();
    let id = format!("oae{:032x}", rand::random::<u128>());
    let body = json!({
        "errorCode": code,
        "errorSummary": summary,
        "errorLink": code,
        "errorId": id,
        "errorCauses": causes,
    });
    let mut response = (status, Json(body)).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"latchkey\""),
        );
    }
    response
}

/// The codes of the API that this speaks the dialect of, each with its status and its sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    Validation,
    Forbidden,
    NotFound,
    Internal,
    InvalidToken,
    MethodNotAllowed,
    DeviceStatus,
    UserNotActive,
    NotAuthenticated,
    TooMany,
    Phishing,
    DeviceDeleted,
    FactorNotActive,
    VerificationRequired,
    DeviceConditions,
    UnderWay,
}

impl Code {
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Validation => (StatusCode::BAD_REQUEST, "E0000001", "Api validation failed"),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "E0000006",
                "You do not have permission to perform the requested action",
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "E0000007", "Not found"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "E0000009", "Internal Server Error"),
            Self::InvalidToken => (StatusCode::UNAUTHORIZED, "E0000011", "Invalid token provided"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "E0000022",
                "The endpoint does not support the provided HTTP method",
            ),
            Self::DeviceStatus => (
                StatusCode::FORBIDDEN,
                "E0000152",
                "Illegal device status, cannot perform action",
            ),
            Self::UserNotActive => (StatusCode::LOCKED, "E0000155", "The user is not active"),
            Self::NotAuthenticated => (StatusCode::UNAUTHORIZED, "E0000004", "Authentication failed"),
            Self::TooMany => (
                StatusCode::TOO_MANY_REQUESTS,
                "E0000047",
                "Too many requests: try again later",
            ),
            Self::Phishing => (
                StatusCode::FORBIDDEN,
                "E0000212",
                "The device was asked by another origin than this organisation's",
            ),
            Self::DeviceDeleted => (StatusCode::GONE, "E0000153", "The device has been deleted"),
            Self::FactorNotActive => (StatusCode::GONE, "E0000154", "The account on this device is not active"),
            Self::VerificationRequired => (StatusCode::BAD_REQUEST, "E0000158", "User verification is required"),
            Self::DeviceConditions => (
                StatusCode::FORBIDDEN,
                "E0000174",
                "FastPass cannot be disabled while policies have device conditions",
            ),
            Self::UnderWay => (
                StatusCode::CONFLICT,
                "E0000265",
                "Another enrolment of this device is in progress",
            ),
        }
    }
}

/// Which code says what the directory says. Whoever presents an enrolment token that does not count has an invalid token.
fn code_of(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::NotFound { .. } => Code::NotFound,
        Refusal::IllegalTransition(_)
        | Refusal::NotUnique { .. }
        | Refusal::Circle
        | Refusal::KeyKnown
        | Refusal::CredentialKnown
        | Refusal::TooManyCredentials
        | Refusal::CertificateKnown
        | Refusal::InstanceElsewhere
        | Refusal::HardwareRequired
        | Refusal::HardwareUnproved
        | Refusal::OtherKey
        | Refusal::LastFactor
        | Refusal::NotReleased
        | Refusal::Invalid { .. } => Code::Validation,
        Refusal::TokenUnknown
        | Refusal::TokenUsed
        | Refusal::TokenExpired
        | Refusal::TokenGroundless
        | Refusal::TokenForOtherDevice
        | Refusal::TokenForOtherInstance => Code::InvalidToken,
        Refusal::DeviceNotActive => Code::DeviceStatus,
        Refusal::UserNotActive => Code::UserNotActive,
        Refusal::DeviceChanged => Code::UnderWay,
        Refusal::UserVerificationRequired => Code::VerificationRequired,
        Refusal::EnrollmentNotActive | Refusal::EnrollmentTooOld | Refusal::CertificateNotLive => Code::FactorNotActive,
        Refusal::CodeUsed | Refusal::CounterWentBack | Refusal::PasswordChanged | Refusal::NotAuthenticated { .. } => {
            Code::NotAuthenticated
        }
    }
}

/// The cause goes into the summary too: many scripts show nothing else.
fn respond(code: Code, cause: Option<String>) -> Response {
    let (status, name, sentence) = code.parts();
    match cause {
        Some(cause) => api_error(status, name, &format!("{sentence}: {cause}"), &[&cause]),
        None => api_error(status, name, sentence, &[]),
    }
}

/// The reasons are the causes, each with what would help.
fn refuse_by_policy(denied: &Denied, missing: Option<String>) -> Response {
    let (status, name, sentence) = Code::Forbidden.parts();
    let said = |reason: &Reason| match &reason.advice {
        Some(advice) => format!("{} ({advice})", reason.message),
        None => reason.message.to_string(),
    };
    let causes: Vec<String> = denied.reasons.iter().map(said).chain(missing).collect();
    let causes: Vec<&str> = causes.iter().map(String::as_str).collect();
    api_error(status, name, &format!("{sentence}: {}", causes.join(" ")), &causes)
}

/// Says when to come again, in whole seconds (RFC 9110, section 10.2.3).
fn retry_after(mut response: Response, wait: Duration) -> Response {
    let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// How long to stay away from a gateway that has too much to do.
const BUSY: Duration = Duration::from_secs(2);

/// The gateway itself fails: says so in the log, and nothing of it in the answer.
pub(crate) fn fault(error: &dyn std::error::Error, what: &'static str) -> ApiError {
    tracing::error!(error = %Chain(error), what, "an API call failed");
    ApiError::Fault
}

#[cfg(test)]
mod tests {
    use directory::IllegalTransition;

    use super::*;

    async fn read(response: Response) -> (u16, serde_json::Value) {
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn each_refusal_has_its_status_and_code() {
        let illegal = IllegalTransition {
            what: "a device",
            from: "active",
            to: "deleted",
        };
        let table = [
            (
                Refusal::NotFound {
                    what: "device",
                    id: "dev1".to_owned(),
                },
                404,
                "E0000007",
            ),
            (Refusal::IllegalTransition(illegal), 400, "E0000001"),
            (
                Refusal::NotUnique {
                    what: "user",
                    field: "login",
                },
                400,
                "E0000001",
            ),
            (Refusal::Circle, 400, "E0000001"),
            (Refusal::TokenUnknown, 401, "E0000011"),
            (Refusal::TokenUsed, 401, "E0000011"),
            (Refusal::TokenExpired, 401, "E0000011"),
            (Refusal::TokenGroundless, 401, "E0000011"),
            (Refusal::TokenForOtherDevice, 401, "E0000011"),
            (Refusal::KeyKnown, 400, "E0000001"),
            (Refusal::CertificateKnown, 400, "E0000001"),
            (Refusal::DeviceNotActive, 403, "E0000152"),
            (Refusal::UserNotActive, 423, "E0000155"),
            (
                Refusal::Invalid {
                    field: "name",
                    expected: "a name",
                },
                400,
                "E0000001",
            ),
        ];

        for (refusal, status, code) in table {
            let said = refusal.to_string();
            let (seen, body) = read(ApiError::Refused(refusal).into_response()).await;
            assert_eq!((seen, body["errorCode"].as_str()), (status, Some(code)), "{said}");
            assert_eq!(body["errorCauses"][0]["errorSummary"], said);
            assert!(body["errorSummary"].as_str().unwrap().ends_with(&said), "{body}");
        }
    }

    #[tokio::test]
    async fn an_error_has_the_shape_that_scripts_know() {
        let (status, body) = read(ApiError::lacks(Scope::DevicesManage).into_response()).await;

        assert_eq!((status, &body["errorCode"]), (403, &"E0000006".into()));
        assert_eq!(body["errorLink"], "E0000006");
        assert!(body["errorId"].as_str().is_some_and(|id| id.starts_with("oae")));
        assert_eq!(
            body["errorCauses"][0]["errorSummary"],
            "the token lacks the scope `devices.manage`"
        );
    }

    /// RFC 9110, section 15.5.2.
    #[test]
    fn who_is_not_let_in_is_told_how_to_ask() {
        let refused = ApiError::InvalidToken.into_response();
        assert_eq!(refused.status(), 401);
        assert!(refused.headers().contains_key(header::WWW_AUTHENTICATE));
        assert!(
            !ApiError::MethodNotAllowed
                .into_response()
                .headers()
                .contains_key(header::WWW_AUTHENTICATE)
        );
    }
}
