//! Did a security key or passkey answer this question, for this site, and what is its answer worth?
//!
//! `webauthn-rs-core` verifies. What it leaves to its caller is here: the origin as a text, the credential's id, what a
//! counter means (in the directory, where two answers cannot pass each other) and whose word on hardware counts.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use directory::{CredentialId, Fingerprint, User, WebauthnKey};
use serde::Deserialize;
use url::Url;
use webauthn_rs_core::WebauthnCore;
use webauthn_rs_core::error::WebauthnError;
use webauthn_rs_core::proto::{
    AttestationCaList, AttestationConveyancePreference, AttestationFormat, AttestationMetadata, AuthenticationState,
    AuthenticatorTransport, CreationChallengeResponse, Credential, ParsedAttestation, PublicKeyCredential,
    RegisterPublicKeyCredential, RegisteredExtensions, RegistrationState, RequestChallengeResponse,
    RequestRegistrationExtensions, ResidentKeyRequirement, UserVerificationPolicy,
};

/// Asks security keys and passkeys of this site, and verifies what they answer.
pub(crate) struct Webauthn {
    core: WebauthnCore,
    site: String,
    origin: String,
    attestation: Option<Attestation>,
}

/// Whose word on a key's hardware counts.
pub(crate) struct Attestation {
    roots: Vec<(Fingerprint, AttestationCaList)>,
    models: BTreeSet<String>,
    required: bool,
}

/// What a key said of itself when it was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Used {
    /// What it says it has counted.
    pub(crate) counter: u32,
    /// Whether it says that it is backed up.
    pub(crate) backed_up: bool,
    /// Whether it verified its user.
    pub(crate) verified: bool,
}

/// Says why an answer is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    /// It is well made, for another site: somebody handed the question on.
    #[error("the answer was made for `{0}`")]
    ForeignOrigin(String),
    /// It contradicts itself.
    #[error("the answer contradicts itself")]
    Ambiguous,
    /// Nobody whose word counts vouches for the hardware.
    #[error("no configured root vouches for the key")]
    NotAttested,
    /// What is stored of the key, or the site's own origin, cannot be read.
    #[error("the stored key cannot be read")]
    Unreadable,
    /// It is not a good answer.
    #[error(transparent)]
    Refused(#[from] WebauthnError),
}

/// Says why the attestation roots of security keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("expected the certificates of CAs that attest security keys")]
pub(crate) struct BadKeyRoots;

/// Says that an origin is none.
#[derive(Debug, thiserror::Error)]
#[error("expected an origin such as https://auth.example.com")]
pub(crate) struct BadOrigin;

impl Attestation {
    /// These roots, in DER; where models are named, only those count.
    ///
    /// # Errors
    /// A certificate cannot be read, or there is none.
    pub(crate) fn new(roots: &[Vec<u8>], models: BTreeSet<String>, required: bool) -> Result<Self, BadKeyRoots> {
        // One list each: a list finds a root by its name alone, and two may have the same.
        let root = |der: &Vec<u8>| {
            let text = format!(
                "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
                in_lines(&STANDARD.encode(der))
            );
            let list = AttestationCaList::try_from(text.as_bytes()).map_err(|_| BadKeyRoots)?;
            Ok((Fingerprint::of(der), list))
        };
        let roots: Vec<_> = roots.iter().map(root).collect::<Result<_, _>>()?;
        match roots.is_empty() {
            true => Err(BadKeyRoots),
            false => Ok(Self {
                roots,
                models,
                required,
            }),
        }
    }

    /// The root that vouches for a credential that was just made.
    fn root_of(&self, credential: &Credential) -> Option<Fingerprint> {
        let model = model_of(credential);
        if !self.models.is_empty() && !model.is_some_and(|model| self.models.contains(&model)) {
            return None;
        }
        let vouches = |list: &AttestationCaList| matches!(credential.verify_attestation(list), Ok(Some(_)));
        let root = self.roots.iter().find(|(_, list)| vouches(list))?;
        Some(root.0)
    }
}

impl Webauthn {
    /// For the auth host of this name and origin; browsers say that `name` asks.
    ///
    /// # Errors
    /// The origin is none.
    pub(crate) fn new(
        name: &str,
        site: &str,
        origin: &str,
        attestation: Option<Attestation>,
    ) -> Result<Self, BadOrigin> {
        Ok(Self {
            core: core(name, site, origin)?,
            site: site.to_owned(),
            origin: origin.to_owned(),
            attestation,
        })
    }

    /// Asks for a new credential of this user, beside those they have.
    ///
    /// # Errors
    /// The question cannot be made.
    pub(crate) fn ask_to_register<'a>(
        &self,
        user: &User,
        known: impl Iterator<Item = &'a WebauthnKey>,
    ) -> Result<(CreationChallengeResponse, RegistrationState), WebauthnError> {
        let known = known.map(|key| key.credential.octets().to_vec()).collect();
        let attestation = match self.attestation {
            Some(_) => AttestationConveyancePreference::Direct,
            None => AttestationConveyancePreference::None,
        };
        let extensions = RequestRegistrationExtensions {
            uvm: None,
            cred_props: Some(true),
            ..RequestRegistrationExtensions::default()
        };
        let question = self
            .core
            .new_challenge_register_builder(user.id.as_str().as_bytes(), &user.login, &display_name(user))?
            .attestation(attestation)
            .user_verification_policy(UserVerificationPolicy::Preferred)
            .exclude_credentials(Some(known))
            .extensions(Some(extensions));
        let (mut question, state) = self.core.generate_challenge_register(question)?;
        if let Some(selection) = &mut question.public_key.authenticator_selection {
            selection.resident_key = Some(ResidentKeyRequirement::Preferred);
        }
        Ok((question, state))
    }

    /// Verifies the answer to that; gives what is kept of the key, under this name.
    ///
    /// # Errors
    /// Anything about it is not as it has to be.
    pub(crate) fn register(
        &self,
        answer: &RegisterPublicKeyCredential,
        state: &RegistrationState,
        name: String,
    ) -> Result<WebauthnKey, NotTaken> {
        check_id(&answer.id, &answer.raw_id, &answer.type_)?;
        let seen = Seen::by(&answer.response.client_data_json)?;
        if seen.origin != self.origin {
            let elsewhere = core(&self.site, &self.site, &seen.origin).map_err(|BadOrigin| NotTaken::Ambiguous)?;
            elsewhere.register_credential(answer, state, None)?;
            return Err(NotTaken::ForeignOrigin(seen.origin));
        }
        let made = self.core.register_credential(answer, state, None)?;
        if made.cred_id != answer.raw_id {
            return Err(NotTaken::Ambiguous);
        }
        let attested_by = self.attestation.as_ref().and_then(|trusted| trusted.root_of(&made));
        if attested_by.is_none() && self.attestation.as_ref().is_some_and(|trusted| trusted.required) {
            return Err(NotTaken::NotAttested);
        }
        let props = answer.extensions.cred_props.as_ref();
        Ok(WebauthnKey {
            name,
            credential: CredentialId::from_octets(made.cred_id.clone()).map_err(|_| NotTaken::Ambiguous)?,
            public_key: serde_json::to_string(&made.cred).map_err(|_| NotTaken::Unreadable)?,
            counter: made.counter,
            backup_eligible: made.backup_eligible,
            backed_up: made.backup_state,
            model: model_of(&made),
            attested_by,
            discoverable: props.and_then(|props| props.rk) == Some(true),
            verifies: made.user_verified,
            transports: words_of(answer.response.transports.as_deref().unwrap_or_default()),
            last_used: None,
        })
    }

    /// Asks one of these keys to sign, or any that finds its user by itself where there are none.
    ///
    /// # Errors
    /// The question cannot be made.
    pub(crate) fn ask<'a>(
        &self,
        keys: impl Iterator<Item = &'a WebauthnKey>,
        verified: bool,
    ) -> Result<(RequestChallengeResponse, AuthenticationState), NotTaken> {
        let keys = keys.map(credential).collect::<Result<_, _>>()?;
        let policy = match verified {
            true => UserVerificationPolicy::Required,
            false => UserVerificationPolicy::Preferred,
        };
        let question = self.core.new_challenge_authenticate_builder(keys, Some(policy))?;
        Ok(self.core.generate_challenge_authenticate(question)?)
    }

    /// Verifies what this key answered.
    ///
    /// # Errors
    /// Anything about it is not as it has to be.
    pub(crate) fn verify(
        &self,
        answer: &PublicKeyCredential,
        state: &AuthenticationState,
        key: &WebauthnKey,
    ) -> Result<Used, NotTaken> {
        check_id(&answer.id, &answer.raw_id, &answer.type_)?;
        let (seen, key) = (Seen::by(&answer.response.client_data_json)?, credential(key)?);
        if seen.origin != self.origin {
            let elsewhere = core(&self.site, &self.site, &seen.origin).map_err(|BadOrigin| NotTaken::Ambiguous)?;
            elsewhere.authenticate_single_credential(answer, state, &key)?;
            return Err(NotTaken::ForeignOrigin(seen.origin));
        }
        let result = self.core.authenticate_single_credential(answer, state, &key)?;
        Ok(Used {
            counter: result.counter(),
            backed_up: result.backup_state(),
            verified: result.user_verified(),
        })
    }

    /// Whether a root that is still configured vouched for the key's hardware, and its model is still allowed.
    pub(crate) fn is_hardware(&self, key: &WebauthnKey) -> bool {
        let (Some(trusted), Some(root)) = (&self.attestation, &key.attested_by) else {
            return false;
        };
        let model = key.model.as_ref().is_some_and(|model| trusted.models.contains(model));
        let listed = trusted.roots.iter().any(|(known, _)| known == root);
        listed && (trusted.models.is_empty() || model)
    }
}

/// What the browser saw, as it says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    origin: String,
    #[serde(default)]
    cross_origin: Option<bool>,
}

impl Seen {
    /// A page in another site's frame asks nobody.
    fn by(client_data: &[u8]) -> Result<Self, NotTaken> {
        let seen: Self = serde_json::from_slice(client_data).map_err(|_| NotTaken::Ambiguous)?;
        match seen.cross_origin {
            Some(true) => Err(WebauthnError::CredentialCrossOrigin.into()),
            Some(false) | None => Ok(seen),
        }
    }
}

/// The credential's id is there twice: as octets, and as their text.
fn check_id(id: &str, raw_id: &[u8], kind: &str) -> Result<(), NotTaken> {
    match kind == "public-key" && id == URL_SAFE_NO_PAD.encode(raw_id) {
        true => Ok(()),
        false => Err(NotTaken::Ambiguous),
    }
}

fn core(name: &str, site: &str, origin: &str) -> Result<WebauthnCore, BadOrigin> {
    let origin = Url::parse(origin).map_err(|_| BadOrigin)?;
    Ok(WebauthnCore::new_unsafe_experts_only(
        name,
        site,
        vec![origin],
        PATIENCE,
        Some(false),
        Some(false),
    ))
}

/// The key as it is verified with. Its counter is judged in the directory, and who has to be verified by each question.
fn credential(key: &WebauthnKey) -> Result<Credential, NotTaken> {
    let transports: Vec<_> = key.transports.iter().filter_map(|word| word.parse().ok()).collect();
    Ok(Credential {
        cred_id: key.credential.octets().to_vec(),
        cred: serde_json::from_str(&key.public_key).map_err(|_| NotTaken::Unreadable)?,
        counter: 0,
        transports: Some(transports).filter(|known| !known.is_empty()),
        user_verified: false,
        backup_eligible: key.backup_eligible,
        backup_state: key.backed_up,
        registration_policy: UserVerificationPolicy::Discouraged_DO_NOT_USE,
        extensions: RegisteredExtensions::none(),
        attestation: ParsedAttestation::default(),
        attestation_format: AttestationFormat::None,
    })
}

/// The model that the key says it is.
fn model_of(credential: &Credential) -> Option<String> {
    match &credential.attestation.metadata {
        AttestationMetadata::Packed { aaguid } | AttestationMetadata::Tpm { aaguid, .. } => Some(aaguid.to_string()),
        AttestationMetadata::None
        | AttestationMetadata::AndroidKey { .. }
        | AttestationMetadata::AndroidSafetyNet { .. } => None,
    }
}

fn words_of(transports: &[AuthenticatorTransport]) -> BTreeSet<String> {
    let word = |transport: &AuthenticatorTransport| match transport {
        AuthenticatorTransport::Usb => Some("usb"),
        AuthenticatorTransport::Nfc => Some("nfc"),
        AuthenticatorTransport::Ble => Some("ble"),
        AuthenticatorTransport::Internal => Some("internal"),
        AuthenticatorTransport::Hybrid => Some("hybrid"),
        AuthenticatorTransport::Test | AuthenticatorTransport::Unknown => None,
    };
    transports.iter().filter_map(word).map(str::to_owned).collect()
}

fn display_name(user: &User) -> String {
    let name = format!("{} {}", user.first_name, user.last_name);
    match name.trim() {
        "" => user.login.clone(),
        name => name.to_owned(),
    }
}

/// Base64 as PEM has it: 64 characters a line.
fn in_lines(text: &str) -> String {
    let lines = text.as_bytes().chunks(64);
    let lines: Vec<_> = lines.map(String::from_utf8_lossy).collect();
    lines.join("\n")
}

/// How long a browser gives the person, who may have to find the key.
const PATIENCE: Duration = Duration::from_secs(240);
