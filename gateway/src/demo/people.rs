//! Who is in the demo? Three users, two of them with a laptop, and the token of an admin.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certs::{Terms, VerifiedRequest};
use directory::{
    Actor, ActorKind, ApiTokenId, AuthenticatorId, Command, DeviceId, Enroll, EnrollmentId, EnrollmentTokenId, GroupId,
    KeyStore, MdmReport, NewApiToken, NewCertificate, NewDevice, NewEnrollmentToken, NewGroup, NewUser, OsVersion,
    Platform, Posture, Protected, Revision, Scope, SecretHash, Timestamp, TokenOrigin, UserId,
};
use rcgen::{CertificateParams, KeyPair};
use zeroize::Zeroizing;

use super::installation::token_file;
use super::{DemoError, MDM, files};
use crate::admin::Secret;
use crate::auth::crl_url;
use crate::factors::password::{self, Password};
use crate::factors::totp::TotpSecret;
use crate::private_file;
use crate::world::World;

const YEAR: Duration = Duration::from_hours(24 * 365);

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Makes users, devices and the admin's token, where they are not there yet.
pub(super) fn create(world: &World, folder: &Path, with_agents: bool) -> std::result::Result<(), DemoError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(files("cannot start a runtime".to_owned()))?;
    runtime
        .block_on(
            Maker {
                world,
                folder,
                with_agents,
            }
            .make(),
        )
        .map_err(DemoError::People)
}

struct Maker<'a> {
    world: &'a World,
    folder: &'a Path,
    with_agents: bool,
}

impl Maker<'_> {
    async fn make(&self) -> Result<()> {
        self.make_admin_token().await?;
        for name in ["employees", "finance", "admins"] {
            if self.world.directory.snapshot().group_by_name(name).is_none() {
                let group = NewGroup {
                    id: GroupId::from_random(rand::random()),
                    name: name.to_owned(),
                    description: format!("Demo group {name}"),
                };
                self.submit(Command::CreateGroup(group), Vec::new()).await?;
            }
        }
        self.make_user("alice", "Alice", "Archer", &["employees", "finance"])
            .await?;
        self.make_user("bob", "Bob", "Baker", &["employees"]).await?;
        self.make_user("carol", "Carol", "Clark", &["employees"]).await?;
        for login in ["alice", "bob", "carol"] {
            self.make_password(login).await?;
        }
        self.make_totp("carol").await?;
        for (login, pin) in [("alice", "314159"), ("bob", "161803"), ("carol", "271828")] {
            self.make_secret(login, "pin", pin)?;
        }
        let alice = self.make_device("alice", "alice-laptop", Platform::Macos).await?;
        self.make_device("bob", "bob-laptop", Platform::Linux).await?;
        if let Some(device) = alice {
            self.report_managed(device).await?;
        }
        if self.with_agents {
            self.make_agent_token("alice", "alice-laptop").await?;
            self.make_agent_token("bob", "bob-laptop").await?;
        }
        Ok(())
    }

    /// Lets the agent of a laptop enrol on the device that there is, unless it did.
    async fn make_agent_token(&self, login: &str, name: &str) -> Result<()> {
        let enrolled = self.folder.join("agents").join(name).join("agent.json").exists();
        let snapshot = self.world.directory.snapshot();
        let Some(device) = snapshot.devices_named(name).next().filter(|_| !enrolled) else {
            return Ok(());
        };
        let secret = Secret::enrollment(rand::random());
        let token = NewEnrollmentToken {
            device: Some(device.id),
            ..self.token(self.user_id(login)?, secret.hash())
        };
        self.submit(Command::CreateEnrollmentToken(token), Vec::new()).await?;
        private_file::write(&token_file(self.folder, name), secret.reveal())?;
        Ok(())
    }

    fn token(&self, user: UserId, secret: SecretHash) -> NewEnrollmentToken {
        NewEnrollmentToken {
            id: EnrollmentTokenId::from_random(rand::random()),
            secret,
            user,
            device: None,
            origin: TokenOrigin::Admin,
            factors: Default::default(),
            proofs: Vec::new(),
            session: None,
            bound_to: None,
            ends: self.now().plus(Duration::from_secs(60)),
        }
    }

    /// Keeps the token in the folder if it still opens the admin API, else makes a new one.
    async fn make_admin_token(&self) -> Result<()> {
        let file = self.folder.join("admin-token");
        let now = self.now();
        if let Ok(secret) = private_file::read(&file) {
            let snapshot = self.world.directory.snapshot();
            let known = snapshot.api_token_by_secret(&SecretHash::of(secret.trim()));
            if known.is_some_and(|token| token.revoked.is_none() && now < token.ends) {
                return Ok(());
            }
        }
        let secret = Secret::api(rand::random());
        let token = NewApiToken {
            id: ApiTokenId::from_random(rand::random()),
            name: "demo admin".to_owned(),
            secret: secret.hash(),
            scopes: Scope::ALL.iter().copied().collect::<BTreeSet<_>>(),
            networks: vec!["127.0.0.0/8".parse()?, "::1/128".parse()?],
            ends: now.plus(YEAR),
            demo: true,
        };
        // Written first: a token that nobody can use is better than one that nobody knows.
        private_file::write(&file, secret.reveal())?;
        self.submit(Command::CreateApiToken(token), Vec::new()).await
    }

    async fn make_user(&self, login: &str, first: &str, last: &str, groups: &[&str]) -> Result<()> {
        if self.world.directory.snapshot().user_by_login(login).is_some() {
            return Ok(());
        }
        let user = UserId::from_random(rand::random());
        let new = NewUser {
            id: user,
            login: login.to_owned(),
            email: format!("{login}@example.com"),
            first_name: first.to_owned(),
            last_name: last.to_owned(),
            user_type: "employee".to_owned(),
            tags: Default::default(),
        };
        self.submit(Command::CreateUser(new), Vec::new()).await?;
        for name in groups {
            let group = self
                .world
                .directory
                .snapshot()
                .group_by_name(name)
                .map(|group| group.id);
            if let Some(group) = group {
                self.submit(Command::AddMember { group, user }, Vec::new()).await?;
            }
        }
        Ok(())
    }

    /// Gives a user a password, unless there is a file with it.
    async fn make_password(&self, login: &str) -> Result<()> {
        if self.users_file(login, "password").exists() {
            return Ok(());
        }
        let text = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 12]>());
        let password = Password::chosen(Zeroizing::new(text.clone()))?;
        let hash = password::hash(&password, rand::random())?;
        let command = Command::SetPassword {
            user: self.user_id(login)?,
            id: AuthenticatorId::from_random(rand::random()),
            hash: Protected::new(hash.to_phc()),
        };
        self.submit(command, Vec::new()).await?;
        self.make_secret(login, "password", &text)
    }

    /// Gives a user a TOTP secret, unless there is a file with it.
    async fn make_totp(&self, login: &str) -> Result<()> {
        if self.users_file(login, "totp").exists() {
            return Ok(());
        }
        let secret = TotpSecret::from_random(rand::random()).to_base32();
        let command = Command::SetTotp {
            user: self.user_id(login)?,
            id: AuthenticatorId::from_random(rand::random()),
            secret: Protected::new(secret.to_string()),
        };
        self.submit(command, Vec::new()).await?;
        self.make_secret(login, "totp", &secret)
    }

    fn make_secret(&self, login: &str, ending: &str, text: &str) -> Result<()> {
        let file = self.users_file(login, ending);
        if !file.exists() {
            private_file::write(&file, &format!("{text}\n"))?;
        }
        Ok(())
    }

    fn users_file(&self, login: &str, ending: &str) -> PathBuf {
        self.folder.join("users").join(format!("{login}.{ending}"))
    }

    fn user_id(&self, login: &str) -> Result<UserId> {
        let directory = self.world.directory.snapshot();
        let user = directory.user_by_login(login).map(|user| user.id);
        Ok(user.ok_or("the user is gone")?)
    }

    /// Enrols a device with a new key, unless its certificate is there already; the device if it is new.
    async fn make_device(&self, login: &str, name: &str, platform: Platform) -> Result<Option<DeviceId>> {
        let certificate_file = self.folder.join("devices").join(format!("{name}.pem"));
        if certificate_file.exists() {
            return Ok(None);
        }
        let user = self.user_id(login)?;
        let secret = Secret::enrollment(rand::random()).hash();
        let now = self.now();
        let token = self.token(user, secret);
        self.submit(Command::CreateEnrollmentToken(token), Vec::new()).await?;
        let device = DeviceId::from_random(rand::random());
        let key = KeyPair::generate()?;
        let request = CertificateParams::default().serialize_request(&key)?.pem()?;
        let request = VerifiedRequest::parse_pem(&request)?;
        let authority = &self.world.authority;
        let terms = Terms {
            now,
            lifetime: YEAR,
            random: rand::random(),
        };
        let url = crl_url(&self.world.setup.load(), authority);
        let issued = authority.issue_device(&request, device, &terms, Some(&url))?;
        let enroll = Enroll {
            secret,
            device: NewDevice {
                id: device,
                name: name.to_owned(),
                platform,
            },
            enrollment: EnrollmentId::from_random(rand::random()),
            key: request.key(),
            key_store: KeyStore::Software,
            certificate: NewCertificate {
                fingerprint: issued.fingerprint,
                serial: issued.serial.clone(),
                issuer: authority.fingerprint(),
                not_before: issued.not_before,
                not_after: issued.not_after,
            },
            authenticator: None,
        };
        let chain = issued.pem() + &authority.certificate_pem();
        self.submit(
            Command::Enroll(Box::new(enroll)),
            vec![(issued.fingerprint, issued.der)],
        )
        .await?;
        private_file::write(&certificate_file.with_extension("key"), &key.serialize_pem())?;
        fs::write(&certificate_file, chain)?;
        Ok(Some(device))
    }

    async fn report_managed(&self, device: DeviceId) -> Result<()> {
        let now = self.now();
        let posture = Posture {
            os: Some(OsVersion {
                major: 15,
                minor: 1,
                patch: 0,
            }),
            disk_encrypted: Some(true),
            screen_lock: Some(true),
            firewall: Some(true),
            ..Posture::default()
        };
        let report = MdmReport {
            device,
            source: MDM.to_owned(),
            managed: true,
            posture,
            certificate: None,
            at: now,
            ends: now.plus(YEAR),
            version: Revision::default(),
        };
        self.submit(Command::ReportDevice(report), Vec::new()).await
    }

    async fn submit(&self, command: Command, certificates: Vec<(directory::Fingerprint, Vec<u8>)>) -> Result<()> {
        let actor = Actor {
            kind: ActorKind::System,
            id: "demo".to_owned(),
            display_name: "latchkey demo".to_owned(),
            address: None,
        };
        self.world.directory.submit(command, actor, certificates).await?;
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }
}
