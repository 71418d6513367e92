//! How does a device without an agent of ours come by an account? It speaks the protocol itself, rightly or not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use device_checks::{jws, wire};
use directory::PublicKey;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use serde_json::{Value, json};

use crate::agent::PASSWORD;
use crate::curl::CurlAnswer;
use crate::demo::{Demo, NOBODY};
use crate::openssl::openssl;
use crate::process::until;

/// A P-256 key in memory.
#[derive(Clone)]
pub struct Key(SigningKey);

/// An authenticator of nobody's making: its keys, and what it got.
pub struct Device {
    /// The instance's key.
    pub instance: Key,
    /// The account's possession key.
    pub possession: Key,
    /// The account's user-verification key.
    pub verification: Key,
    /// What the gateway answered to `finish`; null before.
    pub enrolled: Value,
}

impl Key {
    /// A new key.
    pub fn new() -> Self {
        let random = ring::rand::SystemRandom::new();
        loop {
            let mut scalar = [0; 32];
            ring::rand::SecureRandom::fill(&random, &mut scalar).unwrap();
            if let Ok(key) = SigningKey::from_slice(&scalar) {
                return Self(key);
            }
        }
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey::from_sec1(self.0.verifying_key().to_sec1_point(false).as_bytes()).unwrap()
    }

    /// A token of this type under this key's name.
    pub fn sign(&self, typ: &str, claims: &Value) -> String {
        self.sign_as(self, typ, claims)
    }

    /// A token by this key under another key's name.
    pub fn sign_as(&self, other: &Key, typ: &str, claims: &Value) -> String {
        jws::sign(typ, other.public().thumbprint(), claims, |digest| {
            let signature: Signature = self.0.sign_prehash(digest)?;
            Ok::<_, p256::ecdsa::Error>(signature.to_bytes().into())
        })
        .unwrap()
    }

    /// The key itself.
    pub fn signing(&self) -> &SigningKey {
        &self.0
    }

    /// Reads a key in PEM.
    pub fn from_pem(pem: &str) -> Self {
        Self(SigningKey::from_pkcs8_pem(pem).unwrap())
    }

    /// A key of these octets, if they are one.
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        SigningKey::from_slice(octets).ok().map(Self)
    }

    /// The private key in PEM.
    pub fn pem(&self) -> String {
        self.0.to_pkcs8_pem(LineEnding::LF).unwrap().to_string()
    }

    /// A certificate request by this key, made by `openssl`, with more arguments for it.
    pub fn request(&self, more: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, self.pem()).unwrap();
        let file = file.display().to_string();
        let made = openssl(
            [&["req", "-new", "-key", &file, "-subj", "/CN=whatever"], more].concat(),
            "",
        );
        assert!(made.success, "{}", made.text);
        made.text
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Device {
    fn default() -> Self {
        Self {
            instance: Key::new(),
            possession: Key::new(),
            verification: Key::new(),
            enrolled: Value::Null,
        }
    }
}

impl Device {
    /// Says who the user is; the token of the answer is for this device alone.
    pub fn authenticate(&self, demo: &Demo, user: &str, password: &str, totp: Option<&str>) -> CurlAnswer {
        let mut body = json!({ "username": user, "password": password, "instanceKey": self.instance.public() });
        if let Some(code) = totp {
            body["totp"] = code.into();
        }
        self.step(demo, wire::AUTHENTICATE_PATH, None, &body)
    }

    /// The token for a user who has a password alone.
    pub fn token(&self, demo: &Demo, user: &str, password: &str) -> String {
        let answer = self.authenticate(demo, user, password, None);
        let token = answer.json()["token"].as_str().map(str::to_owned);
        token.unwrap_or_else(|| panic!("{}: {}", answer.status, answer.text()))
    }

    /// What `begin` takes for this device, without evidence.
    pub fn beginning(&self, name: &str) -> Value {
        json!({
            "version": 1,
            "name": name,
            "platform": "linux",
            "instanceKey": self.instance.public(),
            "keyStore": "software",
            "statement": { "fmt": "none" },
        })
    }

    /// Begins to enrol.
    pub fn begin(&self, demo: &Demo, token: &str, beginning: &Value) -> CurlAnswer {
        self.step(demo, wire::BEGIN_PATH, Some(token), beginning)
    }

    /// What `finish` takes, without evidence, with both keys.
    pub fn ending(&self, demo: &Demo, begun: &Value) -> Value {
        self.ending_with(demo, begun, &self.possession.request(&[]))
    }

    /// The same with this certificate request.
    pub fn ending_with(&self, demo: &Demo, begun: &Value, request: &str) -> Value {
        let proof = json!({
            "aud": demo.url("auth", ""),
            "tx": begun["attempt"],
            "nonce": begun["nonce"],
        });
        json!({
            "attempt": begun["attempt"],
            "certificateRequest": request,
            "possession": { "fmt": "none" },
            "verification": {
                "key": self.verification.public(),
                "method": "pin",
                "statement": { "fmt": "none" },
                "proof": self.verification.sign("latchkey-key-proof+jwt", &proof),
            },
        })
    }

    /// Ends the enrolment.
    pub fn finish(&self, demo: &Demo, token: &str, ending: &Value) -> CurlAnswer {
        self.step(demo, wire::FINISH_PATH, Some(token), ending)
    }

    /// Enrols with this token, which must succeed.
    pub fn enroll(&mut self, demo: &Demo, token: &str, name: &str) -> &Value {
        let begun = self.begin(demo, token, &self.beginning(name));
        assert_eq!(begun.status, 200, "{}", begun.text());
        let enrolled = self.finish(demo, token, &self.ending(demo, &begun.json()));
        assert_eq!(enrolled.status, 201, "{}", enrolled.text());
        self.enrolled = enrolled.json();
        &self.enrolled
    }

    /// One step of an enrolment, proved by the instance's key.
    pub fn step(&self, demo: &Demo, path: &str, token: Option<&str>, body: &Value) -> CurlAnswer {
        let body = body.to_string();
        let proof = self.proof(demo, path, token, &body);
        self.step_with(demo, path, token, &body, &proof)
    }

    /// The proof of a step by the instance's key.
    pub fn proof(&self, demo: &Demo, path: &str, token: Option<&str>, body: &str) -> String {
        let mut claims = json!({
            "aud": demo.url("auth", ""),
            "iat": now(),
            "jti": random(),
            "htm": "POST",
            "htu": demo.url("auth", path),
            "body": wire::hash(body.as_bytes()),
        });
        if let Some(token) = token {
            claims["ath"] = wire::hash(token.as_bytes()).into();
        }
        self.instance.sign("latchkey-instance-proof+jwt", &claims)
    }

    /// One step with this proof.
    pub fn step_with(&self, demo: &Demo, path: &str, token: Option<&str>, body: &str, proof: &str) -> CurlAnswer {
        let proof = format!("Instance-Proof: {proof}");
        let bearer = token.map(|token| format!("Authorization: Bearer {token}"));
        let mut arguments = vec!["-H", &proof, "--data-binary", body];
        if let Some(bearer) = &bearer {
            arguments.extend(["-H", bearer]);
        }
        demo.curl(NOBODY, &demo.url("auth", path), &arguments)
    }

    /// The claims of an assertion for a request, with a fresh nonce.
    pub fn assertion(&self, demo: &Demo, method: &str, url: &str) -> Value {
        self.assertion_with(demo, method, url, nonce(demo))
    }

    /// The same with this nonce.
    pub fn assertion_with(&self, demo: &Demo, method: &str, url: &str, nonce: String) -> Value {
        json!({
            "iss": self.enrolled["enrollment"],
            "aud": demo.url("auth", ""),
            "sub": self.enrolled["user"],
            "iat": now(),
            "exp": now() + 60,
            "jti": random(),
            "nonce": nonce,
            "htm": method,
            "htu": url.split('?').next(),
            "amr": ["fpt"],
            "keyType": "proofOfPossession",
        })
    }

    /// The claims of a challenge to say what the device is like.
    pub fn challenge(&self, demo: &Demo) -> Value {
        let body = json!({ "enrollment": self.enrolled["enrollment"] }).to_string();
        let url = demo.url("auth", wire::CHALLENGES_PATH);
        let answer = demo.curl(NOBODY, &url, &["--data-binary", &body]).json();
        claims_of(answer["challenge"].as_str().unwrap())
    }

    /// The claims of a good answer to it, which says nothing.
    pub fn answer(&self, demo: &Demo, challenge: &Value) -> Value {
        json!({
            "iss": self.enrolled["enrollment"],
            "aud": demo.url("auth", ""),
            "sub": self.enrolled["user"],
            "iat": now(),
            "exp": now() + 60,
            "jti": random(),
            "tx": challenge["jti"],
            "nonce": challenge["nonce"],
            "amr": ["fpt"],
            "keyType": "proofOfPossession",
            "origin": challenge["origin"],
            "outcome": "approved",
            "signals": {},
            "management": [],
        })
    }

    /// Gives an answer with these claims, signed by the possession key.
    pub fn give(&self, demo: &Demo, challenge: &Value, claims: &Value) -> CurlAnswer {
        self.give_token(demo, challenge, &self.possession.sign("latchkey-answer+jwt", claims))
    }

    /// Gives a good answer signed by the user-verification key, as after a PIN.
    pub fn give_verified(&self, demo: &Demo, challenge: &Value) -> CurlAnswer {
        let mut claims = self.answer(demo, challenge);
        claims["keyType"] = "userVerification".into();
        claims["amr"] = json!(["fpt", "pin"]);
        self.give_token(demo, challenge, &self.verification.sign("latchkey-answer+jwt", &claims))
    }

    /// Gives this token as the answer.
    pub fn give_token(&self, demo: &Demo, challenge: &Value, token: &str) -> CurlAnswer {
        let body = json!({ "attempt": challenge["jti"], "answer": token }).to_string();
        demo.curl(NOBODY, &demo.url("auth", wire::ANSWERS_PATH), &["--data-binary", &body])
    }

    /// The header field with these claims, signed by the possession key.
    pub fn field(&self, claims: &Value) -> String {
        field(&self.possession, claims)
    }

    /// Asks for a page with an assertion that is good, beside a certificate if one is named.
    pub fn get(&self, demo: &Demo, certificate: Option<&str>, app: &str, path: &str) -> CurlAnswer {
        let url = demo.url(app, path);
        let field = self.field(&self.assertion(demo, "GET", &url));
        demo.curl(certificate, &url, &["-H", &field])
    }

    /// The path of the account on the auth host.
    pub fn account(&self, suffix: &str) -> String {
        let enrollment = self.enrolled["enrollment"].as_str().unwrap();
        format!("{}{enrollment}{suffix}", wire::ENROLLMENTS_PATH)
    }

    /// Gives the account up with its strongest key.
    pub fn leave(&self, demo: &Demo) -> CurlAnswer {
        let url = demo.url("auth", &self.account(""));
        let mut claims = self.assertion(demo, "DELETE", &url);
        claims["keyType"] = "userVerification".into();
        claims["amr"] = json!(["fpt", "pin"]);
        let field = field(&self.verification, &claims);
        demo.curl(NOBODY, &url, &["-X", "DELETE", "-H", &field])
    }

    /// Writes the certificate and the key among the demo's devices, under this name.
    pub fn keep(&self, demo: &Demo, name: &str) {
        let identity = demo.identity(name);
        std::fs::write(&identity.certificate, self.enrolled["certificate"].as_str().unwrap()).unwrap();
        std::fs::write(&identity.key, self.possession.pem()).unwrap();
    }
}

/// The header field with these claims, signed by this key.
pub fn field(key: &Key, claims: &Value) -> String {
    format!(
        "Device-Assertion: {}",
        key.sign("latchkey-device-assertion+jwt", claims)
    )
}

/// A fresh nonce from the gateway.
pub fn nonce(demo: &Demo) -> String {
    let answer = demo.curl(NOBODY, &demo.url("auth", wire::NONCE_PATH), &["-X", "POST"]);
    answer.json()["nonce"].as_str().unwrap().to_owned()
}

/// What a token says, whoever signed it.
pub fn claims_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(elapsed.as_secs()).unwrap()
}

/// So many seconds since 1970 as the API writes them.
pub fn rfc3339(seconds: i64) -> String {
    directory::Timestamp::from_secs(seconds).to_string()
}

/// A text that comes once.
pub fn random() -> String {
    let mut octets = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut octets).unwrap();
    URL_SAFE_NO_PAD.encode(octets)
}

impl Demo {
    /// A new user with a password, in these groups, who reads no mail.
    pub fn user(&self, login: &str, password: &str, groups: &[&str]) {
        self.command(&["user", "create", login, "--email", "someone@example.invalid"]);
        let body = json!({ "password": password }).to_string();
        let set = self.admin("PUT", &format!("/api/v1/users/{login}/password"), Some(&body));
        assert_eq!(set.status, 204, "{}", set.text());
        for group in groups {
            self.command(&["group", "add", group, login]);
        }
    }

    /// A new employee with a device of this name and `-laptop`.
    pub fn user_with_device(&self, login: &str) -> Device {
        self.user_in(login, &["employees"])
    }

    /// A new user in these groups with a device of this name and `-laptop`.
    pub fn user_in(&self, login: &str, groups: &[&str]) -> Device {
        self.user(login, PASSWORD, groups);
        let mut device = Device::default();
        let token = device.token(self, login, PASSWORD);
        device.enroll(self, &token, &format!("{login}-laptop"));
        device
    }

    /// A new code generator of a user's; its secret.
    pub fn totp(&self, login: &str) -> String {
        self.command(&["user", "totp", login]).stdout.trim().to_owned()
    }

    /// Lets the demo's MDM say that it manages a device.
    pub fn manage(&self, device: &Device) {
        let id = device.enrolled["device"].as_str().unwrap();
        self.command(&["device", "report", id, "--managed"]);
    }

    /// Replaces the policies in a file of the demo's, and waits until they are in force.
    pub fn set_policies(&self, file: &str, text: &str) {
        let taken_over = || self.process().output().matches("policies taken over").count();
        let before = taken_over();
        std::fs::write(self.file(&format!("policies/{file}")), text).unwrap();
        self.process().signal("HUP");
        assert!(until(PATIENCE, || taken_over() > before), "{}", self.process().output());
    }

    /// Adds to the policies in a file of the demo's, and waits until they are in force.
    pub fn add_policies(&self, file: &str, text: &str) {
        let known = std::fs::read_to_string(self.file(&format!("policies/{file}"))).unwrap();
        self.set_policies(file, &format!("{known}\n{text}"));
    }

    /// How many devices a user has.
    pub fn count_devices(&self, login: &str) -> usize {
        let of_user = self
            .admin("GET", &format!("/api/v1/users/{login}/devices"), None)
            .json();
        of_user.as_array().unwrap().len()
    }

    /// Changes the FastPass settings; what the gateway answers.
    pub fn fastpass(&self, settings: &Value) -> CurlAnswer {
        self.admin("POST", "/api/v1/settings/fastpass", Some(&settings.to_string()))
    }

    /// A device as an admin sees it.
    pub fn device(&self, id: &Value) -> Value {
        let id = id.as_str().unwrap();
        self.admin("GET", &format!("/api/v1/devices/{id}"), None).json()
    }

    /// The System Log since the beginning, oldest first.
    pub fn events(&self, query: &str) -> Vec<Value> {
        let answer = self.admin(
            "GET",
            &format!("/api/v1/logs?limit=1000&sortOrder=ASCENDING&{query}"),
            None,
        );
        answer.json().as_array().unwrap().clone()
    }
}

const PATIENCE: Duration = Duration::from_secs(15);
