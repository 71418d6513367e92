//! What does Cedar's `context` hold? Only the parts that the policies asked about read.

use cedar_policy::{Context, EntityUid, RestrictedExpression as Value};
use directory::Timestamp;

use crate::entities::{BadFacts, named, record, text, word};
use crate::facts::{AccessRequest, Proof};
use crate::reads::{Field, Reads};
use crate::schema::Kind;
use crate::{Age, Ages};

/// The context of an access decision, as far as it is read.
pub(crate) fn of_access(request: &AccessRequest, reads: &Reads) -> Result<Context, BadFacts> {
    let mut fields = vec![("age".to_owned(), ages(&request.ages, request.now, reads)?)];
    fields.push(("request".to_owned(), http_request(request, reads)?));
    if reads.needs(Field::Risk) {
        fields.push(("risk".to_owned(), Value::new_long(i64::from(request.risk))));
    }
    if let Some(installed) = request
        .authenticator_installed
        .filter(|_| reads.needs(Field::Authenticator))
    {
        let authenticator = record(CONTEXT, named([("installed", Value::new_bool(installed))]))?;
        fields.push(("authenticator".to_owned(), authenticator));
    }
    if let Some(session) = request.session.as_ref().filter(|_| reads.needs(Field::Session)) {
        fields.push(("session".to_owned(), Value::new_entity_uid(session.uid())));
    }
    if let Some(device) = request.device.as_ref().filter(|_| reads.needs(Field::Device)) {
        fields.push(("device".to_owned(), Value::new_entity_uid(device.uid())));
    }
    if let Some(proof) = request.proof.filter(|_| reads.needs(Field::Proof)) {
        fields.push(("proof".to_owned(), proof_record(proof)?));
    }
    Context::from_pairs(fields).map_err(|source| BadFacts::new(CONTEXT, source))
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

fn http_request(request: &AccessRequest, reads: &Reads) -> Result<Value, BadFacts> {
    let http = &request.request;
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
