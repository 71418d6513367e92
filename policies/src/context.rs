//! What does Cedar's `context` hold? Only the parts that the policies asked about read.

use cedar_policy::{Context, EntityUid, RestrictedExpression as Value};
use directory::Timestamp;

use crate::entities::{BadFacts, named, record, text, word};
use crate::facts::{AccessRequest, DeviceFacts, Proof, RequestFacts, SessionFacts};
use crate::organization::{OrganizationAction, OrganizationRequest};
use crate::reads::{Field, Reads};
use crate::schema::Kind;
use crate::{Age, Ages};

/// What every request of a user brings with it, whatever it asks for: the schema's `AccessContext`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    device: Option<&'a DeviceFacts>,
    session: Option<&'a SessionFacts>,
    request: &'a RequestFacts,
    ages: &'a Ages,
    proof: Option<Proof>,
    risk: u8,
    authenticator_installed: Option<bool>,
    now: Timestamp,
}

/// The context of an access decision, as far as it is read.
pub(crate) fn of_access(request: &AccessRequest, reads: &Reads) -> Result<Context, BadFacts> {
    context(Circumstances::from(request).fields(reads)?)
}

/// The context of a decision on the organisation, as far as it is read.
pub(crate) fn of_organization(
    action: &OrganizationAction,
    request: &OrganizationRequest,
    reads: &Reads,
) -> Result<Context, BadFacts> {
    let access = Circumstances::from(request).fields(reads)?;
    let facts = match action {
        OrganizationAction::CreateSession | OrganizationAction::ContinueSession => return context(access),
        OrganizationAction::RegisterDevice(registration) => vec![
            ("adminToken", registration.admin_token),
            ("knownHardware", registration.known_hardware),
            ("lostTrustBefore", registration.lost_trust_before),
            ("attested", registration.attested),
        ],
        OrganizationAction::ManageAuthenticator { as_strong_as_strongest } => {
            vec![("asStrongAsStrongest", *as_strong_as_strongest)]
        }
    };
    let facts = facts
        .into_iter()
        .map(|(name, holds)| (name.to_owned(), Value::new_bool(holds)));
    let access = ("access".to_owned(), record(CONTEXT, access)?);
    context(facts.chain([access]))
}

/// The context of an assurance decision.
pub(crate) fn of_assurance(ages: &Ages, now: Timestamp) -> Result<Context, BadFacts> {
    let said = [
        ("mdmAge", ages.seconds(Age::Mdm, now)),
        ("reportedAge", ages.seconds(Age::Reported, now)),
    ];
    let fields = said
        .into_iter()
        .filter_map(|(name, age)| Some((name.to_owned(), Value::new_long(age?))));
    context(fields)
}

impl Circumstances<'_> {
    /// The fields of an `AccessContext`, as far as they are read.
    fn fields(&self, reads: &Reads) -> Result<Vec<(String, Value)>, BadFacts> {
        let mut fields = vec![("age".to_owned(), ages(self.ages, self.now, reads)?)];
        fields.push(("request".to_owned(), http_request(self.request, reads)?));
        if reads.needs(Field::Risk) {
            fields.push(("risk".to_owned(), Value::new_long(i64::from(self.risk))));
        }
        if let Some(installed) = self
            .authenticator_installed
            .filter(|_| reads.needs(Field::Authenticator))
        {
            let authenticator = record(CONTEXT, named([("installed", Value::new_bool(installed))]))?;
            fields.push(("authenticator".to_owned(), authenticator));
        }
        if let Some(session) = self.session.filter(|_| reads.needs(Field::Session)) {
            fields.push(("session".to_owned(), Value::new_entity_uid(session.uid())));
        }
        if let Some(device) = self.device.filter(|_| reads.needs(Field::Device)) {
            fields.push(("device".to_owned(), Value::new_entity_uid(device.uid())));
        }
        if let Some(proof) = self.proof.filter(|_| reads.needs(Field::Proof)) {
            fields.push(("proof".to_owned(), proof_record(proof)?));
        }
        Ok(fields)
    }
}

impl<'a> From<&'a AccessRequest> for Circumstances<'a> {
    fn from(request: &'a AccessRequest) -> Self {
        Self {
            device: request.device.as_deref(),
            session: request.session.as_deref(),
            request: &request.request,
            ages: &request.ages,
            proof: request.proof,
            risk: request.risk,
            authenticator_installed: request.authenticator_installed,
            now: request.now,
        }
    }
}

impl<'a> From<&'a OrganizationRequest> for Circumstances<'a> {
    fn from(request: &'a OrganizationRequest) -> Self {
        Self {
            device: request.device.as_deref(),
            session: request.session.as_deref(),
            request: &request.request,
            ages: &request.ages,
            proof: request.proof,
            risk: request.risk,
            authenticator_installed: request.authenticator_installed,
            now: request.now,
        }
    }
}

fn context(fields: impl IntoIterator<Item = (String, Value)>) -> Result<Context, BadFacts> {
    Context::from_pairs(fields).map_err(|source| BadFacts::new(CONTEXT, source))
}

fn ages(ages: &Ages, now: Timestamp, reads: &Reads) -> Result<Value, BadFacts> {
    let known = Age::ALL
        .into_iter()
        .filter(|age| reads.needs(Field::Age(*age)))
        .filter_map(|age| {
            let seconds = ages.seconds(age, now)?;
            Some((age.as_str().to_owned(), Value::new_long(seconds)))
        });
    record(CONTEXT, known)
}

fn http_request(http: &RequestFacts, reads: &Reads) -> Result<Value, BadFacts> {
    let mut fields = Vec::new();
    for (field, name, value) in [
        (Field::Method, "method", &http.method),
        (Field::Host, "host", &http.host),
        (Field::Path, "path", &http.path),
    ] {
        if reads.needs(field) {
            fields.push((name.to_owned(), text(value)));
        }
    }
    if reads.needs(Field::Ip) {
        fields.push(("ip".to_owned(), Value::new_ip(http.ip.to_string())));
    }
    if reads.needs(Field::Zones) {
        let zones: Vec<EntityUid> = http.zones.iter().map(|zone| Kind::Zone.named(zone)).collect();
        fields.push((
            "zones".to_owned(),
            Value::new_set(zones.into_iter().map(Value::new_entity_uid)),
        ));
    }
    record(CONTEXT, fields)
}

fn proof_record(proof: Proof) -> Result<Value, BadFacts> {
    let fields = named([
        ("device", word(Kind::Device, proof.device.as_str())),
        ("hardware", Value::new_bool(proof.hardware)),
        ("channelBound", Value::new_bool(proof.channel_bound)),
        ("userVerified", Value::new_bool(proof.user_verified)),
        (
            "userVerifiedInSoftware",
            Value::new_bool(proof.user_verified_in_software),
        ),
    ]);
    record(CONTEXT, fields)
}

const CONTEXT: &str = "request";
