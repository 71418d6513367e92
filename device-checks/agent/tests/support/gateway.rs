//! The gateway's side of the protocol, small enough to be wrong on purpose: one account at a time, checked for real.

mod answers;
mod http;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime};

use certs::{Authority, Material, Purpose, Terms, VerifiedRequest, read_anchors};
use device_checks::attestation::{DeviceStatement, RootClass};
use device_checks::jws::{self, Unverified};
use device_checks::wire::*;
use device_checks::*;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::page::free_ports;
use super::swtpm::make_credential;

use answers::answer;
use http::{Request, serve, tls};

/// How this gateway differs from an honest one with everything allowed.
#[derive(Debug, Clone)]
pub(crate) struct Behaviour {
    /// Which organisation it says it is.
    pub(crate) organization: OrganizationId,
    /// Which key signs challenges and receipts, and is named.
    pub(crate) key: [u8; 32],
    /// Which key it names; another than it signs with makes all it signs forged.
    pub(crate) named_key: [u8; 32],
    /// Whose password it takes, and who they are.
    pub(crate) user: (&'static str, u128),
    /// Whether a second factor is asked for.
    pub(crate) factor_required: bool,
    /// Whether the device certificate is for somebody else's key.
    pub(crate) foreign_certificate: bool,
    /// Which path answers with an error: status and code.
    pub(crate) refuses: Option<(&'static str, u16, &'static str)>,
    /// How far its clock is ahead, in seconds.
    pub(crate) ahead: i64,
    /// How long its device certificates last, in seconds, and how long ago they began.
    pub(crate) lifetime: u64,
    /// What its challenges say otherwise than they should.
    pub(crate) challenge: Value,
    /// On which ports its pages look for agents.
    pub(crate) ports: Vec<u16>,
    /// Whether devices that enrol may sign in.
    pub(crate) fastpass: bool,
    /// Whether what it says to whom it enrols is lost on the way.
    pub(crate) loses_answers: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            organization: OrganizationId::from_random(1),
            key: [7; 32],
            named_key: [7; 32],
            user: ("alice", 1),
            factor_required: false,
            foreign_certificate: false,
            refuses: None,
            ahead: 0,
            lifetime: 90 * 24 * 3600,
            challenge: json!({}),
            ports: free_ports(2),
            fastpass: true,
            loses_answers: false,
        }
    }
}

/// A gateway on a port of its own.
pub(crate) struct FakeGateway {
    world: Arc<World>,
}

struct World {
    port: u16,
    server: Authority,
    devices: Authority,
    behaviour: Mutex<Behaviour>,
    known: Mutex<Known>,
    answered: Condvar,
}

/// What it has learnt, and every request it saw.
#[derive(Default)]
struct Known {
    instance: Option<PublicKey>,
    begun: Option<Begin>,
    activated: bool,
    finished: Option<Finish>,
    possession: Option<PublicKey>,
    /// What it said to whom it enrolled last.
    enrolled: Option<Value>,
    /// Those of all who enrolled.
    keys: Vec<PublicKey>,
    verification: Option<PublicKey>,
    name: String,
    answers: Vec<Answer>,
    requests: Vec<String>,
    removed: bool,
}

impl FakeGateway {
    pub(crate) fn start() -> Self {
        Self::start_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
    }

    fn start_on(listener: TcpListener) -> Self {
        let world = Arc::new(World {
            port: listener.local_addr().unwrap().port(),
            server: authority("Test server CA", Purpose::Server),
            devices: authority("Test device CA", Purpose::Device),
            behaviour: Mutex::default(),
            known: Mutex::default(),
            answered: Condvar::new(),
        });
        let tls = Arc::new(tls(&world));
        let shared = Arc::clone(&world);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (world, tls) = (Arc::clone(&shared), Arc::clone(&tls));
                std::thread::spawn(move || serve(&world, tls, stream));
            }
        });
        Self { world }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://auth.localhost:{}", self.world.port)
    }

    pub(crate) fn authority(&self) -> String {
        self.world.server.certificate_pem()
    }

    /// Behaves like this from now on.
    pub(crate) fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.world.behaviour.lock().unwrap());
    }

    /// Every request so far, in one text.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.world.known.lock().unwrap().requests.clone()
    }

    /// The answers to challenges so far.
    pub(crate) fn answers(&self) -> Vec<Answer> {
        self.world.known.lock().unwrap().answers.clone()
    }

    /// A challenge as a page gets it, with these claims in place of its own.
    pub(crate) fn challenge(&self, claims: &Value) -> String {
        let mut behaviour = self.world.behaviour.lock().unwrap().clone();
        behaviour.challenge = claims.clone();
        answers::challenge(&self.world, &behaviour)
    }

    /// Signs claims as challenges are signed.
    pub(crate) fn sign(&self, typ: &str, claims: &impl Serialize) -> String {
        sign(&self.world.behaviour.lock().unwrap().key, typ, claims)
    }

    /// On which ports its pages look for agents.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.world.behaviour.lock().unwrap().ports.clone()
    }

    /// Waits until there are so many answers.
    pub(crate) fn wait_for_answers(&self, count: usize) -> Vec<Answer> {
        let known = self.world.known.lock().unwrap();
        let waits = |known: &mut Known| known.answers.len() < count;
        let (known, waited) = self.world.answered.wait_timeout_while(known, PATIENCE, waits).unwrap();
        assert!(!waited.timed_out(), "{:?}", known.answers);
        known.answers.clone()
    }

    pub(crate) fn removed(&self) -> bool {
        self.world.known.lock().unwrap().removed
    }

    /// How the device began and finished to enrol, and whether it opened the credential.
    pub(crate) fn evidence(&self) -> (Begin, Finish, bool) {
        let known = self.world.known.lock().unwrap();
        (
            known.begun.clone().unwrap(),
            known.finished.clone().unwrap(),
            known.activated,
        )
    }

    pub(crate) fn device_name(&self) -> String {
        self.world.known.lock().unwrap().name.clone()
    }

    /// How the user of the account that was enrolled last is verified.
    pub(crate) fn method(&self) -> Option<VerificationMethod> {
        let known = self.world.known.lock().unwrap();
        let verification = known.finished.as_ref().unwrap().verification.as_ref();
        verification.map(|verification| verification.method)
    }

    /// Whether a user-verification key was enrolled.
    pub(crate) fn has_verification(&self) -> bool {
        self.world.known.lock().unwrap().verification.is_some()
    }

    /// Checks an assertion as an application's request would be; says which key signed.
    pub(crate) fn check_assertion(&self, token: &str, method: &str, url: &str) -> Option<KeyType> {
        let known = self.world.known.lock().unwrap();
        let token = Unverified::parse(token, ASSERTION_TYPE).ok()?;
        let keys = [known.possession, known.verification];
        let key = keys.into_iter().flatten().find(|key| key.thumbprint() == token.key())?;
        let claims: Assertion = token.verify(&key).ok()?;
        let fits = claims.htm == method && claims.htu == url && claims.nonce == NONCE && claims.iss == enrollment(1);
        fits.then_some(claims.key_type)
    }
}

fn authority(name: &str, purpose: Purpose) -> Authority {
    let made = Authority::create(name, purpose, Material::Production, &terms(365 * 24 * 3600)).unwrap();
    Authority::load(&made.certificate_pem, &made.key_pem).unwrap()
}

fn terms(seconds: u64) -> Terms {
    Terms {
        now: now(),
        lifetime: Duration::from_secs(seconds),
        random: rand::random(),
    }
}

fn public(key: &[u8; 32]) -> PublicKey {
    let key = SigningKey::from_slice(key).unwrap();
    PublicKey::from_sec1(key.verifying_key().to_sec1_point(false).as_bytes()).unwrap()
}

fn sign(key: &[u8; 32], typ: &str, claims: &impl Serialize) -> String {
    let signing = SigningKey::from_slice(key).unwrap();
    let sign = |digest: &[u8; 32]| {
        let signature: Result<Signature, p256::ecdsa::Error> = signing.sign_prehash(digest);
        signature.map(|signature| signature.to_bytes().into())
    };
    jws::sign(typ, public(key).thumbprint(), claims, sign).unwrap()
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_secs(i64::try_from(since_epoch.as_secs()).unwrap())
}

fn fastpass() -> FastPass {
    FastPass {
        enabled: true,
        hardware_required: false,
        user_verification_required: false,
    }
}

fn device() -> DeviceId {
    DeviceId::from_random(2)
}

fn enrollment(user: u128) -> EnrollmentId {
    EnrollmentId::from_random(user)
}

fn attempt() -> AttemptId {
    AttemptId::from_random(5)
}

const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const TOKEN: &str = "lke_token";
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const NONCE: &str = "nonce-of-22-characters";
