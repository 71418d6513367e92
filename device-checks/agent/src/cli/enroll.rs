//! How does a user enrol this device? Everything that was not said is asked for, and nothing is kept before the gateway's
//! receipt was believed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use device_checks::wire::{Authenticated, Organization};

use super::World;
use super::browser::Browser;
use super::confirm::{How, Method};
use super::error::{CliError, chain};
use super::keep::keep;
use super::output::{Progress, paragraph};
use super::place::Place;
use super::prompt::{self, attended};
use super::settle;
use crate::enrollment::{Applicant, Chosen, Done, Journal, Step, Wish};
use crate::gateway::Gateway;
use crate::keys::{self, Configuration, KeyStore, Role, blocking};
use crate::pin;
use crate::private_file::FileError;
use crate::secret::Secret;
use crate::state::{Account, Device, Instance, Pending, Pinned, State, StateError, Writer};

/// How to enrol.
#[derive(Args)]
pub(super) struct Asked {
    /// The gateway's auth host, such as https://auth.localhost:8443; known already where something is enrolled
    #[arg(long, value_name = "URL")]
    gateway: Option<String>,
    /// The CA of the gateway's certificate, where the system does not trust it (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    #[command(flatten)]
    who: Who,
    /// What the device is to be called [default: the host's name]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Where certificates of a management service are: NAME.pem with NAME.key [default: STATE/management]
    #[arg(long, value_name = "DIR")]
    management: Option<PathBuf>,
}

/// For whom, and how they confirm.
#[derive(Args)]
pub(super) struct Who {
    /// The user
    #[arg(long, value_name = "LOGIN", conflicts_with_all = ["token_file", "browser"])]
    user: Option<String>,
    #[command(flatten)]
    sign_in: SignIn,
    /// What sign-ins are confirmed with [default: what is answered, or else a PIN where there is a file with one]
    #[arg(long, value_name = "HOW", conflicts_with = "no_pin")]
    verify: Option<Method>,
    #[command(flatten)]
    how: How,
    /// Make no user-verification key: the same as --verify none
    #[arg(long, conflicts_with = "pin_file")]
    no_pin: bool,
}

/// How the user says who they are.
#[derive(Args)]
pub(super) struct SignIn {
    /// The file with the password
    #[arg(long, value_name = "FILE", conflicts_with = "token_file")]
    password_file: Option<PathBuf>,
    /// The present code of the user's TOTP authenticator
    #[arg(long, value_name = "CODE", conflicts_with = "token_file")]
    totp: Option<String>,
    /// The file with an administrator's enrolment token, in place of user and password
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Say who you are in the browser, on this machine
    #[arg(long, conflicts_with_all = ["password_file", "totp", "token_file"])]
    browser: bool,
    /// Do not open the browser, only say where to go
    #[arg(long, requires = "browser")]
    no_open: bool,
}

/// What an enrolment is asked with.
pub(super) struct Asking<'a> {
    /// Who it is for, where that was said.
    pub(super) user: Option<&'a str>,
    pub(super) sign_in: &'a SignIn,
    /// How they want to confirm, where that was said.
    pub(super) verify: Option<Method>,
    pub(super) how: &'a How,
}

/// Enrols this device for a user: the first one, or a further one.
pub(super) async fn enroll(world: &World, asked: Asked) -> Result<(), CliError> {
    let writer = world.folder.write()?;
    if let Some(state) = world.folder.load()? {
        if let Some(other) = asked
            .gateway
            .as_deref()
            .filter(|url| *url.trim_end_matches('/') != state.gateway.issuer)
        {
            return Err(CliError::Usage(format!(
                "`{}` is enrolled with {}: for {other} use another --state",
                world.folder.path().display(),
                state.gateway.issuer
            )));
        }
        asked.refuse_what_is_settled(&state)?;
        return add(world, &writer, state, &asked.who.asking()).await;
    }
    let url = prompt::text(asked.gateway.clone(), "Gateway (https://…)", "--gateway URL", None)?;
    let authority = asked.ca.as_deref().map(read_text).transpose()?;
    let gateway = Gateway::new(&url, authority.as_deref(), None)?;
    let organization = gateway.organization().await?;
    let pinned = pin::pin(gateway.origin(), &organization, authority)?;
    let configuration = asked.place.choose().await?;
    let management = asked.management.clone().map(std::path::absolute).transpose();
    let draft = Draft {
        name: asked.name.clone(),
        management: management.map_err(CliError::Start)?,
        pinned,
        store: configuration.store(world.folder.path())?,
        configuration,
    };
    first(world, &writer, gateway, &organization, &asked.who.asking(), draft).await
}

impl Who {
    pub(super) fn asking(&self) -> Asking<'_> {
        Asking {
            user: self.user.as_deref(),
            sign_in: &self.sign_in,
            verify: self.verify.or_else(|| self.no_pin.then_some(Method::None)),
            how: &self.how,
        }
    }
}

impl Asking<'_> {
    /// How the user will confirm: as they said, or answer now.
    async fn choose(&self, organization: &Organization, login: &str) -> Result<Option<Chosen>, CliError> {
        // Whoever brings the password in a file is a script, and is not asked.
        let scripted = self.sign_in.password_file.is_some() || self.sign_in.token_file.is_some();
        self.how
            .choose(self.verify, organization.fastpass, scripted, login)
            .await
    }

    /// The browser, where it is to be used.
    async fn browser(&self, applicant: &Applicant, organization: &Organization) -> Result<Option<Browser>, CliError> {
        if !self.sign_in.browser {
            return Ok(None);
        }
        Browser::begin(applicant, organization, !self.sign_in.no_open)
            .await
            .map(Some)
    }
}

impl Asked {
    /// What the first enrolment settled is not changed by a further one: better said than passed over.
    fn refuse_what_is_settled(&self, state: &State) -> Result<(), CliError> {
        let place = &self.place;
        let other_ca = match &self.ca {
            Some(file) => Some(read_text(file)?) != state.gateway.authority,
            None => false,
        };
        let settled = [
            ("--ca", other_ca),
            (
                "--name",
                self.name.as_ref().is_some_and(|name| *name != state.device.name),
            ),
            ("--management", self.management.is_some()),
            ("--keys", place.keys.is_some_and(|keys| keys != state.keys.keys)),
            ("--tcti", place.tcti.is_some() && place.tcti != state.keys.tcti),
            (
                "--pkcs11-module",
                place.pkcs11_module.is_some() && state.keys.pkcs11.is_none(),
            ),
            ("--no-attestation", place.no_attestation && state.keys.attestation),
        ];
        match settled.iter().find(|(_, differs)| *differs) {
            Some((flag, _)) => Err(CliError::Usage(format!(
                "{flag} is settled by the first enrolment on this device: `unenroll` first, or use another --state"
            ))),
            None => Ok(()),
        }
    }
}

/// Adds an account to what is enrolled.
pub(super) async fn add(world: &World, writer: &Writer, state: State, asked: &Asking<'_>) -> Result<(), CliError> {
    if let Some(login) = asked.user.filter(|login| state.account(Some(login)).is_ok()) {
        return Err(CliError::Usage(format!(
            "`{login}` has an account here already: `latchkey-agent verification set` changes how it confirms"
        )));
    }
    enroll_again(world, writer, state, asked, None).await
}

/// Enrols on a device that is enrolled: a further user, or one whose new keys take the place of those there are.
pub(super) async fn enroll_again(
    world: &World,
    writer: &Writer,
    mut state: State,
    asked: &Asking<'_>,
    only: Option<&Account>,
) -> Result<(), CliError> {
    let (applicant, organization) = applicant(world, &state).await?;
    let wish = async |_: Option<String>| {
        Ok(Wish {
            name: state.device.name.clone(),
            chosen: asked.choose(&organization, only.map_or("", |only| &only.login)).await?,
            management: world.folder.management(&state),
            only: only.map(|only| only.user),
        })
    };
    let journal = |pending: Pending| {
        let mut state = state.clone();
        state.pending.push(pending);
        writer.save(&state)
    };
    let browser = asked.browser(&applicant, &organization).await?;
    let ended = match apply(world, &applicant, asked, browser.as_ref(), wish, Some(&journal)).await {
        Ok(done) => {
            state.learn(&organization);
            // The pinned keys stay: nothing that is signed by one of them vouches for others.
            state.gateway.device_origin = organization.device_origin;
            let kept = keep(world, writer, &applicant, state, done).await;
            kept.map(|kept| kept.show(world.json))
        }
        Err(error) if error.leaves_open() => settle::at_once(world, writer, error).await,
        Err(error) => writer.save(&state).map_err(CliError::from).and(Err(error)),
    };
    Browser::end(browser, &ended).await;
    ended.map(drop)
}

/// This installation, as it enrols again.
pub(super) async fn applicant(world: &World, state: &State) -> Result<(Applicant, Organization), CliError> {
    let gateway = Gateway::new(&state.gateway.issuer, state.gateway.authority.as_deref(), None)?;
    let organization = gateway.organization().await?;
    pin::check(&state.gateway, &organization)?;
    let applicant = Applicant {
        gateway,
        pinned: state.gateway.clone(),
        store: state.keys.store(world.folder.path())?,
        attestor: attestor(&state.keys, &organization),
        instance: Some(state.instance.id),
        instance_key: state.instance.key.clone(),
        now: world.now,
    };
    Ok((applicant, organization))
}

/// What the first enrolment begins with.
struct Draft {
    name: Option<String>,
    management: Option<PathBuf>,
    pinned: Pinned,
    store: Arc<dyn KeyStore>,
    configuration: Configuration,
}

async fn first(
    world: &World,
    writer: &Writer,
    gateway: Gateway,
    organization: &Organization,
    asked: &Asking<'_>,
    draft: Draft,
) -> Result<(), CliError> {
    let store = Arc::clone(&draft.store);
    let instance_key = blocking(move || store.create(Role::Instance, None)).await?;
    let applicant = Applicant {
        gateway,
        pinned: draft.pinned.clone(),
        attestor: attestor(&draft.configuration, organization),
        store: draft.store,
        instance: None,
        instance_key: instance_key.clone(),
        now: world.now,
    };
    let named = draft.name.clone();
    let wish = async |from_page: Option<String>| {
        let management = draft.management.clone();
        let usual = host_name();
        // Whoever was asked in the browser is not asked again.
        let said = named.or(from_page);
        let said = said.or_else(|| usual.clone().filter(|_| asked.sign_in.browser));
        Ok(Wish {
            name: prompt::text(said, "Name of this device", "--name NAME", usual)?,
            chosen: asked.choose(organization, asked.user.unwrap_or_default()).await?,
            management: management.unwrap_or_else(|| world.folder.path().join("management")),
            only: None,
        })
    };
    let (browser, done) = match asked.browser(&applicant, organization).await {
        Ok(browser) => {
            let done = apply(world, &applicant, asked, browser.as_ref(), wish, None).await;
            (browser, done)
        }
        Err(error) => (None, Err(error)),
    };
    let ended = match done {
        Ok(done) => {
            let enrolled = done.enrollment.enrolled();
            let (id, key) = (enrolled.instance, instance_key);
            let device = Device {
                id: enrolled.device,
                name: enrolled.name.clone(),
            };
            let (pinned, keys, management) = (draft.pinned, draft.configuration, draft.management);
            let mut state = State::new(pinned, keys, management, Instance { id, key }, device);
            state.learn(organization);
            let kept = keep(world, writer, &applicant, state, done).await;
            kept.map(|kept| kept.show(world.json))
        }
        Err(error) => {
            let store = Arc::clone(&applicant.store);
            if let Err(left) = blocking(move || store.delete(&instance_key)).await {
                super::output::complain(&format!("the instance's key is left over: {}\n", chain(&left)));
            }
            Err(error)
        }
    };
    Browser::end(browser, &ended).await;
    ended.map(drop)
}

/// Says who the user is, then enrols.
async fn apply(
    world: &World,
    applicant: &Applicant,
    asked: &Asking<'_>,
    browser: Option<&Browser>,
    wish: impl AsyncFnOnce(Option<String>) -> Result<Wish, CliError>,
    journal: Option<&Journal<'_>>,
) -> Result<Done, CliError> {
    let (token, name) = match (&asked.sign_in.token_file, browser) {
        (_, Some(browser)) => browser.granted().await?,
        (Some(file), None) => (prompt::read(file)?, None),
        (None, None) => (authenticate(applicant, asked).await?, None),
    };
    let wish = wish(name).await?;
    let progress = Progress::begin(world.json);
    let watch = |step| {
        if let Some(browser) = browser {
            browser.tell(step);
        }
        progress.say(match step {
            Step::Identifying => "asking the TPM which machine this is",
            Step::Beginning => "telling the gateway",
            Step::Activating => "proving the TPM",
            Step::MakingKeys => "making keys",
            Step::Finishing => "asking for the certificate",
        });
    };
    Ok(applicant.enroll(&token, &wish, journal, &watch).await?)
}

async fn authenticate(applicant: &Applicant, asked: &Asking<'_>) -> Result<Secret, CliError> {
    let who = asked.sign_in;
    let user = prompt::text(
        asked.user.map(str::to_owned),
        "User",
        "--user LOGIN (or --token-file FILE)",
        None,
    )?;
    let password = prompt::secret(who.password_file.as_deref(), "Password", "--password-file FILE")?;
    match applicant.authenticate(&user, &password, who.totp.as_deref()).await? {
        Authenticated::Success { token, .. } => Ok(Secret::new(token)),
        Authenticated::FactorRequired { message, .. } if who.totp.is_some() || !attended() => {
            Err(CliError::FactorNeeded { message })
        }
        Authenticated::FactorRequired { message, .. } => {
            super::output::complain(&paragraph(&message, ""));
            let code = prompt::text(None, "Code of your TOTP authenticator", "--totp CODE", None)?;
            match applicant.authenticate(&user, &password, Some(&code)).await? {
                Authenticated::Success { token, .. } => Ok(Secret::new(token)),
                Authenticated::FactorRequired { message, .. } => Err(CliError::FactorNeeded { message }),
            }
        }
    }
}

/// What proves the machine, where the gateway can verify it.
fn attestor(configuration: &Configuration, organization: &Organization) -> Option<Arc<dyn keys::Attestor>> {
    let verified = organization.attestation.iter().any(|format| format == "tpm");
    configuration.attestor().filter(|_| verified)
}

fn read_text(file: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(file).map_err(|source| {
        CliError::State(StateError::File(FileError::Unusable {
            file: file.to_owned(),
            source,
        }))
    })
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
