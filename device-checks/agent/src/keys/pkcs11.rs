//! How does a PKCS#11 token hold keys? It makes them as sensitive and never to be taken out; its PIN stays in its own
//! file.
//!
//! One PIN opens the whole token, and the agent has it, so that possession is proved without asking. The user's PIN of
//! a
//! verification key is therefore asked for by the agent, not by the token: such verification counts as made in
//! software.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use device_checks::wire::{self, PublicKey};

use super::software::{Vault, hardware, pin_for};
use super::{
    Certifiable, DeviceKey, KeyError, KeyReference, KeyStore, Pkcs11Configuration, Role, Shared, StoredKey, Unlock,
    Verify, checked,
};
use crate::private_file;
use crate::secret::Secret;

/// Keys in a PKCS#11 token.
pub struct Pkcs11Store {
    token: std::sync::Arc<Token>,
    /// Where what asks for users' PINs is.
    folder: PathBuf,
}

impl Pkcs11Store {
    /// The token that is configured; files of the agent's own go into this folder.
    pub fn new(configuration: Pkcs11Configuration, folder: PathBuf) -> Self {
        let token = Token {
            configuration,
            module: Mutex::new(None),
        };
        Self {
            token: std::sync::Arc::new(token),
            folder,
        }
    }

    /// Logs in to the token.
    ///
    /// # Errors
    ///
    /// The module, the token or its PIN is not there, or not right.
    pub fn check(&self) -> Result<(), KeyError> {
        self.token.log_in().map(drop)
    }

    fn guard(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.guard"))
    }
}

impl KeyStore for Pkcs11Store {
    fn kind(&self) -> wire::KeyStore {
        wire::KeyStore::Pkcs11
    }

    fn create(&self, role: Role, verify: Option<Verify<'_>>) -> Result<StoredKey, KeyError> {
        let pin = pin_for(role, verify)?;
        let session = self.token.log_in()?;
        let id: [u8; 16] = rand::random();
        let public = generate(&session, &id, role)?;
        let guard = pin.map(|pin| {
            let name = public.thumbprint().to_string();
            let vault = Vault::take(&self.folder)?;
            vault.seal(&self.guard(&name), &id, &name, Some(pin))?;
            Ok::<_, KeyError>(name)
        });
        let guard = match guard.transpose() {
            Ok(guard) => guard,
            Err(error) => {
                destroy(&session, &id)?;
                return Err(error);
            }
        };
        Ok(StoredKey {
            public,
            reference: KeyReference::Pkcs11 { id: hex(&id), guard },
        })
    }

    fn open(&self, key: &StoredKey, unlock: Option<Unlock<'_>>) -> Result<Box<dyn DeviceKey>, KeyError> {
        let (id, guard) = parts(key)?;
        if let Some(guard) = guard {
            Vault::take(&self.folder)?.open(&self.guard(guard), guard, unlock)?;
        }
        let session = self.token.log_in()?;
        find(&session, &id)?;
        Ok(Box::new(TokenKey {
            token: std::sync::Arc::clone(&self.token),
            id,
            public: key.public,
        }))
    }

    fn change(&self, key: &StoredKey, unlock: Unlock<'_>, to: &Secret) -> Result<StoredKey, KeyError> {
        let (id, guard) = parts(key)?;
        let (pin, guard): (&Secret, _) = (checked(to)?, guard.ok_or(KeyError::OtherStore)?);
        let vault = Vault::take(&self.folder)?;
        vault.open(&self.guard(guard), guard, Some(unlock))?;
        vault.seal(&self.guard(guard), &id, guard, Some(pin))?;
        Ok(key.clone())
    }

    fn shared(&self, key: &StoredKey) -> Result<Option<Shared>, KeyError> {
        let (id, guard) = parts(key)?;
        Ok(guard
            .is_none()
            .then(|| Shared::Uri(uri(&self.token.configuration, &id))))
    }

    fn delete(&self, key: &StoredKey) -> Result<(), KeyError> {
        let (id, guard) = parts(key)?;
        destroy(&self.token.log_in()?, &id)?;
        if let Some(guard) = guard {
            private_file::remove(&self.guard(guard))?;
            private_file::remove(&self.guard(guard).with_added_extension("tries"))?;
        }
        Ok(())
    }
}

struct TokenKey {
    token: std::sync::Arc<Token>,
    id: Vec<u8>,
    public: PublicKey,
}

impl DeviceKey for TokenKey {
    fn public(&self) -> PublicKey {
        self.public
    }

    fn sign_digest(&self, digest: &[u8; 32]) -> Result<[u8; 64], KeyError> {
        let session = self.token.log_in()?;
        let key = find(&session, &self.id)?;
        let signature = session
            .sign(&Mechanism::Ecdsa, key, digest)
            .map_err(|error| hardware("sign with the token", error))?;
        <[u8; 64]>::try_from(signature.as_slice()).map_err(|error| hardware("read the token's signature", error))
    }

    fn certifiable(&self) -> Option<Certifiable<'_>> {
        None
    }
}

/// A token, and its module once it is loaded.
struct Token {
    configuration: Pkcs11Configuration,
    module: Mutex<Option<Pkcs11>>,
}

impl Token {
    fn log_in(&self) -> Result<Session, KeyError> {
        let module = self.module()?;
        let label = &self.configuration.token;
        let slots = module.get_slots_with_initialized_token();
        let slots = slots.map_err(|error| hardware("list the PKCS#11 tokens", error))?;
        let named =
            |slot: &cryptoki::slot::Slot| module.get_token_info(*slot).is_ok_and(|token| token.label() == label);
        let slot = slots.into_iter().find(named).ok_or_else(|| {
            hardware(
                "find the PKCS#11 token",
                format!("there is none with the label `{label}`"),
            )
        })?;
        let session = module
            .open_rw_session(slot)
            .map_err(|error| hardware("open a session with the PKCS#11 token", error))?;
        // A wrong PIN was tried already: another one might lock the token for good.
        if module
            .get_token_info(slot)
            .is_ok_and(|token| token.user_pin_count_low() || token.user_pin_final_try() || token.user_pin_locked())
        {
            return Err(hardware(
                "log in to the PKCS#11 token",
                "a wrong PIN was tried: put the right one into the PIN file, and log in once with the token's own tools",
            ));
        }
        match session.login(UserType::User, Some(&self.pin()?)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(error) => Err(hardware("log in to the PKCS#11 token", error)),
        }
    }

    /// The module, loaded and initialised once.
    fn module(&self) -> Result<Pkcs11, KeyError> {
        let mut kept = self.module.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = kept.as_ref() {
            return Ok(module.clone());
        }
        let module =
            Pkcs11::new(&self.configuration.module).map_err(|error| hardware("load the PKCS#11 module", error))?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(hardware("initialise the PKCS#11 module", error)),
        }
        Ok(kept.insert(module).clone())
    }

    fn pin(&self) -> Result<AuthPin, KeyError> {
        let file = &self.configuration.pin_file;
        let octets = private_file::read(file)?.ok_or_else(|| KeyError::Gone(file.display().to_string()))?;
        let text = std::str::from_utf8(&octets).map_err(|error| hardware("read the token's PIN", error))?;
        Ok(AuthPin::new(text.trim_end_matches(['\r', '\n']).into()))
    }
}

fn generate(session: &Session, id: &[u8], role: Role) -> Result<PublicKey, KeyError> {
    let label = match role {
        Role::Instance => "latchkey instance",
        Role::Possession => "latchkey possession",
        Role::Verification => "latchkey verification",
    };
    let named = [
        Attribute::Id(id.to_vec()),
        Attribute::Label(label.into()),
        Attribute::Token(true),
    ];
    let public = [
        &named[..],
        &[Attribute::Verify(true), Attribute::EcParams(P256.to_vec())],
    ]
    .concat();
    let private = [
        &named[..],
        &[
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ],
    ]
    .concat();
    let (public, _) = session
        .generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)
        .map_err(|error| hardware("make a key in the token", error))?;
    let attributes = session
        .get_attributes(public, &[AttributeType::EcPoint])
        .map_err(|error| hardware("read a new key of the token", error))?;
    let point = attributes.iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(point) => PublicKey::from_sec1(point.strip_prefix(OCTET_STRING).unwrap_or(point)),
        _ => None,
    });
    point.ok_or_else(|| hardware("read a new key of the token", "it is not on P-256"))
}

fn find(session: &Session, id: &[u8]) -> Result<ObjectHandle, KeyError> {
    let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(id.to_vec())];
    let found = session.find_objects(&wanted);
    let found = found.map_err(|error| hardware("find a key in the token", error))?;
    found.first().copied().ok_or_else(|| KeyError::Gone(hex(id)))
}

fn destroy(session: &Session, id: &[u8]) -> Result<(), KeyError> {
    let failed = |error| hardware("destroy a key in the token", error);
    let objects = session.find_objects(&[Attribute::Id(id.to_vec())]).map_err(failed)?;
    objects
        .into_iter()
        .try_for_each(|object| session.destroy_object(object).map_err(failed))
}

/// The key's CKA_ID, and the file that asks for a PIN.
fn parts(key: &StoredKey) -> Result<(Vec<u8>, Option<&str>), KeyError> {
    let KeyReference::Pkcs11 { id, guard } = &key.reference else {
        return Err(KeyError::OtherStore);
    };
    // The file is named after the key, whatever the state says: it leads nowhere else.
    let own = |guard: &String| *guard == key.public.thumbprint().to_string();
    if !guard.as_ref().is_none_or(own) {
        return Err(KeyError::OtherStore);
    }
    let pairs = id.as_bytes().chunks(2);
    let octets = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let octets: Option<Vec<u8>> = octets.collect();
    let octets = octets.filter(|octets| !octets.is_empty()).ok_or(KeyError::OtherStore)?;
    Ok((octets, guard.as_deref()))
}

/// The URI by which other programs use the key (RFC 7512).
fn uri(configuration: &Pkcs11Configuration, id: &[u8]) -> String {
    let mut uri = "pkcs11:token=".to_owned();
    percent_encode(&mut uri, configuration.token.as_bytes());
    uri.push_str(";id=");
    for octet in id {
        let _ = write!(uri, "%{octet:02X}");
    }
    uri.push_str(";type=private?pin-source=file:");
    percent_encode(&mut uri, configuration.pin_file.as_os_str().as_encoded_bytes());
    uri
}

fn percent_encode(uri: &mut String, octets: &[u8]) {
    for octet in octets {
        if octet.is_ascii_alphanumeric() || b"-._~/".contains(octet) {
            uri.push(char::from(*octet));
        } else {
            let _ = write!(uri, "%{octet:02X}");
        }
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The object identifier of P-256 in DER.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// What stands before a point of 65 octets: most modules wrap it into an OCTET STRING.
const OCTET_STRING: &[u8] = &[0x04, 0x41];
