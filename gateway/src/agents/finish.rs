//! Are these the keys of that device? Then device, account and certificate come into being, all at once or not at all.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certs::{IssuedCertificate, Terms, VerifiedRequest};
use device_checks::attestation::KeyStatement;
use device_checks::attestation::tpm::{ActivatedAk, KeyRole};
use device_checks::wire::{self, Enrolled, Finish, VerificationKey};
use device_checks::{management, verify_key_proof};
use directory::{
    AuthenticatorEnroll, Command, Enroll, EnrollmentId, Hardware, KeyStore, ManagementAnswer, NewCertificate,
    NewDevice, PublicKey, Refusal, Snapshot, Timestamp, Verification,
};
use http::StatusCode;

use super::attempts::{Attempt, Machine, Proved};
use super::begin::{device, may_register};
use super::enrolled::Answer;
use super::evidence::refused;
use super::step::{Granted, Step};
use crate::api_error::{ApiError, fault};
use crate::auth::crl_url;
use crate::logs::Chain;
use crate::sign_in::actor_of;
use crate::store::SubmitError;
use crate::world::World;

/// Ends an enrolment well; whatever is not as it has to be ends it with nothing changed.
pub(super) async fn finish(
    State(world): State<Arc<World>>,
    step: Step,
) -> Result<(StatusCode, Json<Enrolled>), ApiError> {
    let asked: Finish = step.read()?;
    let now = world.clock.now();
    let (granted, attempt) = step.attempt(&world, asked.attempt, now)?;
    if matches!(attempt.machine, Machine::Claimed(_)) {
        return Err(ApiError::invalid(
            "attempt",
            "expected the credential to be activated first",
        ));
    }
    let finishing = Finishing {
        world: &world,
        granted: &granted,
        attempt: &attempt,
        now,
    };
    let keys = finishing.keys(&asked)?;
    // Hardware that the account's key does not live in is no reason to let it in.
    let attested = keys.in_hardware && finishing.is_attested();
    let machine = (&attempt.machine, attested);
    may_register(&world, &granted.token, &granted.user, machine, &step.arrived)?;
    let enrolled = finishing.enroll(keys, &asked, &step).await?;
    metrics::counter!("latchkey_enrollments_total", "outcome" => "enrolled").increment(1);
    Ok((StatusCode::CREATED, Json(enrolled)))
}

/// An enrolment whose every step so far was good.
struct Finishing<'a> {
    world: &'a World,
    granted: &'a Granted,
    attempt: &'a Attempt,
    now: Timestamp,
}

/// The keys of an account, and what is proved of them.
struct Keys {
    request: VerifiedRequest,
    possession: PublicKey,
    in_hardware: bool,
    verification: Option<Verification>,
}

impl Finishing<'_> {
    fn keys(&self, asked: &Finish) -> Result<Keys, ApiError> {
        let request = VerifiedRequest::parse_pem(&asked.certificate_request)
            .map_err(|bad| ApiError::invalid("certificateRequest", Chain(&bad)))?;
        let possession = request
            .p256_key()
            .ok_or_else(|| ApiError::invalid("certificateRequest", "expected a P-256 key"))?;
        let origin = &self.world.setup.load().auth_origin;
        let binding = wire::binding(origin, &self.attempt.nonce, self.attempt.user, request.der());
        let in_hardware = self.is_certified(&asked.possession, &possession, &binding, KeyRole::Possession)?;
        let verification = asked
            .verification
            .as_ref()
            .map(|key| self.verification(key, &binding, origin))
            .transpose()?;
        Ok(Keys {
            request,
            possession,
            in_hardware,
            verification,
        })
    }

    fn verification(&self, key: &VerificationKey, binding: &[u8; 32], origin: &str) -> Result<Verification, ApiError> {
        verify_key_proof(&key.proof, &key.key, origin, self.attempt.id, &self.attempt.nonce)
            .map_err(|refuted| ApiError::invalid("verification.proof", refuted))?;
        let role = if key.method.is_hardwares() {
            KeyRole::Verification
        } else {
            KeyRole::Possession
        };
        let certified = self.is_certified(&key.statement, &key.key, binding, role)?;
        Ok(Verification::new(key.key, key.method, certified))
    }

    /// Whether the machine that was proved certified this key; a statement that does not hold is refused, not passed over.
    fn is_certified(
        &self,
        statement: &KeyStatement,
        key: &PublicKey,
        binding: &[u8; 32],
        role: KeyRole,
    ) -> Result<bool, ApiError> {
        let statement = match statement {
            KeyStatement::None => return Ok(false),
            KeyStatement::Tpm(statement) => statement,
        };
        let certified = self.attestation_key()?.certified(statement, binding, role);
        let certified = certified.map_err(|bad| refused(&bad))?;
        if certified.key() == *key {
            Ok(true)
        } else {
            Err(ApiError::invalid(
                "statement",
                "expected a statement about the key that is enrolled",
            ))
        }
    }

    /// Whether the machine that was proved attests, by the roots that are in force now.
    fn is_attested(&self) -> bool {
        let trust = &self.world.setup.load().trust;
        let machine = self.attempt.machine.endorsed();
        machine.is_some_and(|machine| {
            let vouched = trust.vouch(&machine.chain, self.now);
            vouched.is_ok_and(|vouched| vouched.counts)
        })
    }

    fn attestation_key(&self) -> Result<&ActivatedAk, ApiError> {
        match &self.attempt.machine {
            Machine::Proved(Proved { key, .. }) => Ok(key),
            Machine::Unknown | Machine::Claimed(_) => Err(ApiError::invalid(
                "statement",
                "expected none: this attempt proved no machine that could certify keys",
            )),
        }
    }

    async fn enroll(&self, keys: Keys, asked: &Finish, step: &Step) -> Result<Enrolled, ApiError> {
        let directory = self.world.directory.snapshot();
        // A device that became known since the attempt began is this one: the plan says so where it is not.
        let known = device(
            &directory,
            self.granted,
            &self.attempt.machine,
            &self.attempt.instance_key,
        )?;
        let device = known.map_or(self.attempt.device, |known| known.id);
        let issued = self.issue(&keys.request, device)?;
        let chain = issued.pem() + &self.world.authority.certificate_pem();
        let enrollment = EnrollmentId::from_random(rand::random());
        let machine = self.attempt.machine.endorsed();
        let enroll = Enroll {
            secret: self.attempt.secret,
            device: NewDevice {
                id: device,
                name: self.attempt.name.clone(),
                platform: self.attempt.platform,
            },
            enrollment,
            key: keys.request.key(),
            key_store: key_store(self.attempt.key_store, keys.in_hardware),
            certificate: NewCertificate {
                fingerprint: issued.fingerprint,
                serial: issued.serial.clone(),
                issuer: self.world.authority.fingerprint(),
                not_before: issued.not_before,
                not_after: issued.not_after,
            },
            authenticator: Some(AuthenticatorEnroll {
                instance: self.attempt.instance,
                instance_key: self.attempt.instance_key,
                public_key: keys.possession,
                verification: keys.verification.clone(),
                hardware: machine.map(|machine| Hardware {
                    id: machine.id,
                    chain: machine.chain.iter().map(|der| STANDARD.encode(der)).collect(),
                    at: self.now,
                }),
                hardware_key: keys.in_hardware,
                attested: self.is_attested(),
                management: self.management(asked, &keys, device, &directory),
            }),
        };
        let actor = actor_of(&self.granted.user, step.arrived.peer);
        let submitted = self.world.directory.submit(
            Command::Enroll(Box::new(enroll)),
            actor,
            vec![(issued.fingerprint, issued.der)],
        );
        let accepted = submitted.await.map_err(|error| match error {
            SubmitError::Refused(refused) if refused.reason == Refusal::DeviceChanged => ApiError::EnrollmentUnderWay,
            error => error.into(),
        })?;
        self.answer(&accepted.snapshot, enrollment, chain)
    }

    fn issue(&self, request: &VerifiedRequest, device: directory::DeviceId) -> Result<IssuedCertificate, ApiError> {
        issue(self.world, request, device, (self.now, self.now))
    }

    /// What came of the management certificate that the device showed, if it showed one.
    fn management(
        &self,
        asked: &Finish,
        keys: &Keys,
        device: directory::DeviceId,
        directory: &Snapshot,
    ) -> ManagementAnswer {
        let setup = self.world.setup.load();
        let Some(token) = &asked.management else {
            return ManagementAnswer::NotAsked;
        };
        let expected = management::Expected {
            audience: &setup.auth_origin,
            attempt: self.attempt.id,
            nonce: &self.attempt.nonce,
            key: keys.possession.thumbprint(),
            now: self.now,
        };
        match management::verify(token, setup.trust.anchors(), &expected) {
            Ok(shown) => {
                let hardware = self.attempt.machine.id();
                setup.trust.claim(&shown, device, hardware, directory, self.now)
            }
            Err(bad) => ManagementAnswer::Refused {
                reason: Chain(&bad).to_string(),
            },
        }
    }

    fn answer(
        &self,
        directory: &Snapshot,
        enrollment: EnrollmentId,
        certificate: String,
    ) -> Result<Enrolled, ApiError> {
        let answer = Answer {
            attempt: self.attempt.id,
            nonce: &self.attempt.nonce,
            instance_key: &self.attempt.instance_key,
            root_class: self.attempt.machine.endorsed().map(|machine| machine.class),
            now: self.now,
        };
        answer.enrolled(self.world, directory, enrollment, certificate)
    }
}

/// Issues a device certificate for the key of a request.
pub(super) fn issue(
    world: &World,
    request: &VerifiedRequest,
    device: directory::DeviceId,
    (now, enrolled): (Timestamp, Timestamp),
) -> Result<IssuedCertificate, ApiError> {
    let setup = world.setup.load();
    let times = &setup.config.enrollment;
    // No certificate outlives the enrolment.
    let left = now.until(enrolled.plus(times.maximum_age)).unwrap_or_default();
    let terms = Terms {
        now,
        lifetime: times.certificate_lifetime.min(left),
        random: rand::random(),
    };
    let url = crl_url(&setup, &world.authority);
    let issued = world.authority.issue_device(request, device, &terms, Some(&url));
    issued.map_err(|error| fault(&error, "a certificate could not be issued"))
}

/// Where a key is known to live: what is claimed and not proved is software, but for a PKCS#11 token, which claims no more.
fn key_store(claimed: KeyStore, in_hardware: bool) -> KeyStore {
    match (in_hardware, claimed) {
        (true, _) => KeyStore::Tpm,
        (false, KeyStore::Pkcs11) => KeyStore::Pkcs11,
        (false, KeyStore::Software | KeyStore::Tpm | KeyStore::SecureEnclave | KeyStore::Strongbox | KeyStore::Tee) => {
            KeyStore::Software
        }
    }
}
