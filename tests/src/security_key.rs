//! What does a security key sign that does what a test wants, rightly or not? Authenticator data and client data as WebAuthn
//! has them, with every field in the test's hand.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::device::Key;
use crate::visitor::{Page, Visitor, origin_of};

mod maker;

pub use maker::Maker;

/// Somebody touched the key.
pub const PRESENT: u8 = 0x01;
/// It verified them.
pub const VERIFIED: u8 = 0x04;
/// The credential may be copied to other devices.
pub const BACKUP_ELIGIBLE: u8 = 0x08;
/// It was.
pub const BACKED_UP: u8 = 0x10;
const ATTESTED: u8 = 0x40;

/// A key with one credential.
#[derive(Clone)]
pub struct SecurityKey {
    /// Its private key.
    pub key: Key,
    /// The credential's id.
    pub credential: Vec<u8>,
    /// Whose it is, as the gateway called them.
    pub user: Vec<u8>,
    /// What it has counted.
    pub counter: u32,
}

/// What a key is asked, and what it says to that. A test changes what it wants to be wrong.
#[derive(Debug, Clone)]
pub struct Act {
    /// Where the answer goes.
    pub finish: String,
    /// The page's state.
    pub state: String,
    /// Which question it is.
    pub attempt: String,
    /// `webauthn.create` or `webauthn.get`.
    pub kind: String,
    /// The question, as text.
    pub challenge: String,
    /// The origin that the browser saw.
    pub origin: String,
    /// Whether a page of another site framed it.
    pub cross_origin: bool,
    /// The site that the key signs for.
    pub site: String,
    /// What happened.
    pub flags: u8,
    /// What the key says it has counted.
    pub counter: u32,
    /// The credential's id as text.
    pub id: String,
    /// Whom the key names.
    pub user: Option<Vec<u8>>,
    /// What the page asked the browser for.
    pub options: Value,
}

/// Who vouches for a key's hardware.
#[derive(Clone, Copy)]
pub enum Vouched<'a> {
    /// Nobody.
    ByNobody,
    /// The key itself.
    ByItself,
    /// Something that nobody knows.
    Unknown,
    /// Its maker.
    ByMaker(&'a Maker),
}

impl SecurityKey {
    /// One that was never used.
    pub fn new() -> Self {
        Self {
            key: Key::new(),
            credential: crate::device::random().into_bytes(),
            user: Vec::new(),
            counter: 0,
        }
    }

    fn signing(&self) -> &SigningKey {
        self.key.signing()
    }

    /// What this key answers to a question of the page for a new credential; nothing is wrong with it yet.
    pub fn creating(&mut self, act: Asked) -> Act {
        let user = act.options["publicKey"]["user"]["id"].as_str().unwrap();
        self.user = URL_SAFE_NO_PAD.decode(user).unwrap();
        self.act("webauthn.create", act)
    }

    /// What this key answers to a question of the page for a signature; nothing is wrong with it yet.
    pub fn getting(&mut self, act: Asked) -> Act {
        self.counter += u32::from(self.counter > 0);
        self.act("webauthn.get", act)
    }

    fn act(&self, kind: &str, asked: Asked) -> Act {
        let public_key = &asked.options["publicKey"];
        let site = public_key["rpId"].as_str().or(public_key["rp"]["id"].as_str()).unwrap();
        Act {
            state: asked.state,
            attempt: asked.options["attempt"].as_str().unwrap().to_owned(),
            kind: kind.to_owned(),
            challenge: public_key["challenge"].as_str().unwrap().to_owned(),
            origin: origin_of(&asked.finish),
            cross_origin: false,
            site: site.to_owned(),
            flags: PRESENT | VERIFIED,
            counter: self.counter,
            id: URL_SAFE_NO_PAD.encode(&self.credential),
            user: Some(self.user.clone()),
            finish: asked.finish,
            options: asked.options,
        }
    }

    /// The new credential as the page sends it.
    pub fn credential(&self, act: &Act, vouched: Vouched<'_>) -> Value {
        let model = match vouched {
            Vouched::ByMaker(maker) => maker.model,
            Vouched::ByNobody | Vouched::ByItself | Vouched::Unknown => [0; 16],
        };
        let data = [
            act.head(ATTESTED),
            model.to_vec(),
            u16::try_from(self.credential.len()).unwrap().to_be_bytes().to_vec(),
            self.credential.clone(),
            self.public_key(),
        ]
        .concat();
        let signed = [data.clone(), Sha256::digest(act.client_data()).to_vec()].concat();
        let (format, statement) = match vouched {
            Vouched::ByNobody => ("none", map(&[])),
            Vouched::Unknown => ("somebody", map(&[])),
            Vouched::ByItself => ("packed", statement(&sign(self.signing(), &signed), &[])),
            Vouched::ByMaker(maker) => ("packed", statement(&maker.sign(&signed), &maker.chain())),
        };
        let object = map(&[
            ("fmt", text(format)),
            ("attStmt", statement),
            ("authData", octets(&data)),
        ]);
        json!({
            "id": act.id,
            "rawId": URL_SAFE_NO_PAD.encode(&self.credential),
            "type": "public-key",
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(act.client_data()),
                "attestationObject": URL_SAFE_NO_PAD.encode(object),
                "transports": ["usb"],
            },
            "clientExtensionResults": { "credProps": { "rk": true } },
        })
    }

    /// The signature as the page sends it.
    pub fn assertion(&self, act: &Act) -> Value {
        let data = act.head(0);
        let signed = [data.clone(), Sha256::digest(act.client_data()).to_vec()].concat();
        json!({
            "id": act.id,
            "rawId": URL_SAFE_NO_PAD.encode(&self.credential),
            "type": "public-key",
            "response": {
                "clientDataJSON": URL_SAFE_NO_PAD.encode(act.client_data()),
                "authenticatorData": URL_SAFE_NO_PAD.encode(data),
                "signature": URL_SAFE_NO_PAD.encode(sign(self.signing(), &signed)),
                "userHandle": act.user.as_ref().map(|user| URL_SAFE_NO_PAD.encode(user)),
            },
            "clientExtensionResults": {},
        })
    }

    /// The key in COSE (RFC 9053): ES256.
    fn public_key(&self) -> Vec<u8> {
        let point = self.key.public();
        [
            &[0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20][..],
            &point.x,
            &[0x22, 0x58, 0x20],
            &point.y,
        ]
        .concat()
    }
}

impl Default for SecurityKey {
    fn default() -> Self {
        Self::new()
    }
}

impl Act {
    /// Authenticator data up to where attested data begins.
    fn head(&self, more: u8) -> Vec<u8> {
        [
            Sha256::digest(&self.site).to_vec(),
            vec![self.flags | more],
            self.counter.to_be_bytes().to_vec(),
        ]
        .concat()
    }

    fn client_data(&self) -> Vec<u8> {
        let data = json!({
            "type": self.kind,
            "challenge": self.challenge,
            "origin": self.origin,
            "crossOrigin": self.cross_origin,
        });
        data.to_string().into_bytes()
    }

    /// What the page sends in the end, with these further members.
    pub fn body(&self, credential: Value, more: Value) -> Value {
        let mut body = more;
        body["state"] = self.state.as_str().into();
        body["attempt"] = self.attempt.as_str().into();
        body["credential"] = credential;
        body
    }
}

/// A question that a page got.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Where the answer goes.
    pub finish: String,
    /// The page's state.
    pub state: String,
    /// What the page asks the browser for.
    pub options: Value,
}

impl Visitor<'_> {
    /// Has a page of a sign-in ask for a security key.
    pub fn ask_key(&mut self, page: &Page) -> Asked {
        let asked = self.ask_key_of(page, &page.state(), "/sign-in/webauthn");
        asked.unwrap_or_else(|page| panic!("{}", page.text()))
    }

    /// Has the page that adds a key ask for one.
    ///
    /// # Errors
    /// What it is answered where it is not let.
    pub fn ask_new_key(&mut self) -> Result<Asked, Page> {
        let page = self.open(&self.demo().url("auth", "/account/webauthn/add"));
        let html = page.text().replace("&#34;", "\"").replace("&quot;", "\"");
        let state = html.split("{\"state\":\"").nth(1);
        let Some(state) = state.and_then(|rest| rest.split('"').next()) else {
            return Err(page);
        };
        self.ask_key_of(&page, state, "/account/webauthn")
    }

    fn ask_key_of(&mut self, page: &Page, state: &str, place: &str) -> Result<Asked, Page> {
        let options = page.absolute(&format!("{place}/options"));
        let asked = self.post_json(&options, &json!({ "state": state }));
        if asked.status != 200 {
            return Err(asked);
        }
        Ok(Asked {
            finish: page.absolute(&format!("{place}/finish")),
            state: state.to_owned(),
            options: asked.json(),
        })
    }

    /// Brings the answer to where the page would.
    pub fn bring(&mut self, act: &Act, credential: Value, more: Value) -> Page {
        self.post_json(&act.finish, &act.body(credential, more))
    }

    /// Signs in with a key from a page of a sign-in; where that ends.
    pub fn with_key(&mut self, page: &Page, key: &mut SecurityKey) -> Page {
        let asked = self.ask_key(page);
        let act = key.getting(asked);
        let finished = self.bring(&act, key.assertion(&act), json!({}));
        self.follow_next(finished)
    }

    /// Adds a key of this name; what is answered.
    pub fn add_key(&mut self, key: &mut SecurityKey, name: &str) -> Page {
        let asked = match self.ask_new_key() {
            Ok(asked) => asked,
            Err(page) => return page,
        };
        let act = key.creating(asked);
        self.bring(&act, key.credential(&act, Vouched::ByNobody), json!({ "name": name }))
    }
}

fn sign(key: &SigningKey, message: &[u8]) -> Vec<u8> {
    let signature: Signature = key.sign_prehash(&Sha256::digest(message)).unwrap();
    signature.to_der().as_bytes().to_vec()
}

/// An attestation statement of the format `packed`.
fn statement(signature: &[u8], chain: &[Vec<u8>]) -> Vec<u8> {
    let algorithm = ("alg", vec![0x26]);
    let signature = ("sig", octets(signature));
    match chain {
        [] => map(&[algorithm, signature]),
        chain => {
            let certificates: Vec<Vec<u8>> = chain.iter().map(|der| octets(der)).collect();
            let list = [vec![0x80 | u8::try_from(chain.len()).unwrap()], certificates.concat()].concat();
            map(&[algorithm, signature, ("x5c", list)])
        }
    }
}

/// A map in CBOR (RFC 8949) of encoded values.
fn map(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut encoded = vec![0xa0 | u8::try_from(members.len()).unwrap()];
    for (name, value) in members {
        encoded.extend(text(name));
        encoded.extend(value);
    }
    encoded
}

fn text(text: &str) -> Vec<u8> {
    [length(0x60, text.len()), text.as_bytes().to_vec()].concat()
}

fn octets(octets: &[u8]) -> Vec<u8> {
    [length(0x40, octets.len()), octets.to_vec()].concat()
}

fn length(kind: u8, length: usize) -> Vec<u8> {
    match length {
        0..24 => vec![kind | u8::try_from(length).unwrap()],
        24..256 => vec![kind | 24, u8::try_from(length).unwrap()],
        _ => [vec![kind | 25], u16::try_from(length).unwrap().to_be_bytes().to_vec()].concat(),
    }
}
