//! What do the tests of the store start from? A folder, commands, and a store that fails when told to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use directory::{
    Actor, ActorKind, ApiTokenId, AppendError, AuthenticatorEnroll, AuthenticatorId, Command, DeviceId, Enroll,
    EnrollmentId, EnrollmentTokenId, Event, EventQuery, Fingerprint, GroupId, Hardware, HardwareId, InstanceId,
    KeyStore, KeyThumbprint, LoadError, ManagementAnswer, MdmReport, NewApiToken, NewCertificate, NewDevice,
    NewEnrollmentToken, NewGroup, NewManagementCertificate, NewUser, Order, OrganizationId, Platform, Posture,
    Protected, PublicKey, QueryError, Revision, Scope, SecretHash, Serial, Snapshot, Store, StoredSessions, Timestamp,
    TokenOrigin, Transaction, UserId, Verification, VerificationMethod,
};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::commands::{Accepted, Directory, Now, Submission, SubmitError, Wish};
use super::sqlite::SqliteStore;
use crate::sessions::SessionTable;

pub(super) const START: Timestamp = Timestamp::from_secs(1_795_000_000);

/// A folder with a database in it.
pub(super) struct Place(TempDir);

impl Place {
    pub(super) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(super) fn database(&self) -> PathBuf {
        self.0.path().join("directory.sqlite")
    }

    pub(super) fn open(&self) -> Directory {
        Directory::open(&self.database(), clock()).unwrap()
    }

    /// A connection of somebody else's, an operator's for instance.
    pub(super) async fn connect(&self) -> sqlx::SqliteConnection {
        use sqlx::Connection;
        sqlx::SqliteConnection::connect(&format!("sqlite://{}", self.database().display()))
            .await
            .unwrap()
    }
}

/// A clock that is a second later each time it is read.
pub(super) fn clock() -> Now {
    let seconds = AtomicI64::new(START.secs());
    Arc::new(move || Timestamp::from_secs(seconds.fetch_add(1, Ordering::Relaxed)))
}

pub(super) fn admin() -> Actor {
    Actor {
        kind: ActorKind::ApiToken,
        id: ApiTokenId::from_random(1).to_string(),
        display_name: "Admin".to_owned(),
        address: "192.0.2.1".parse().ok(),
    }
}

pub(super) fn user(n: u128) -> UserId {
    UserId::from_random(n)
}

pub(super) fn device(n: u128) -> DeviceId {
    DeviceId::from_random(n)
}

pub(super) fn create_user(n: u128) -> Command {
    Command::CreateUser(NewUser {
        id: user(n),
        login: format!("user-{n}"),
        email: format!("user-{n}@example.com"),
        first_name: "Some".to_owned(),
        last_name: "Body".to_owned(),
        user_type: "employee".to_owned(),
        tags: BTreeMap::from([("site".to_owned(), BTreeSet::from(["north".to_owned()]))]),
    })
}

pub(super) fn create_group(n: u128) -> Command {
    Command::CreateGroup(NewGroup {
        id: GroupId::from_random(n),
        name: format!("group-{n}"),
        description: String::new(),
    })
}

pub(super) fn create_token(n: u128) -> Command {
    Command::CreateEnrollmentToken(NewEnrollmentToken {
        id: EnrollmentTokenId::from_random(n),
        secret: SecretHash::of(&n.to_string()),
        user: user(n),
        device: None,
        origin: TokenOrigin::Admin,
        factors: Default::default(),
        proofs: Vec::new(),
        session: None,
        bound_to: None,
        ends: START.plus(HOUR),
    })
}

pub(super) fn der(n: u128) -> Vec<u8> {
    format!("certificate {n}").into_bytes()
}

pub(super) fn enroll(n: u128) -> Command {
    Command::Enroll(Box::new(Enroll {
        secret: SecretHash::of(&n.to_string()),
        device: NewDevice {
            id: device(n),
            name: format!("laptop-{n}"),
            platform: Platform::Linux,
        },
        enrollment: EnrollmentId::from_random(n),
        key: KeyThumbprint::of(&der(n)),
        key_store: KeyStore::Software,
        certificate: NewCertificate {
            fingerprint: Fingerprint::of(&der(n)),
            serial: Serial::from_octets(serial(0x40, n)).unwrap(),
            issuer: Fingerprint::of(b"ca"),
            not_before: START,
            not_after: START.plus(HOUR * 1000),
        },
        authenticator: Some(authenticator(n)),
    }))
}

fn serial(first: u8, n: u128) -> Vec<u8> {
    let number = u16::try_from(n).unwrap().to_be_bytes();
    let number = number.into_iter().skip_while(|octet| *octet == 0);
    [first].into_iter().chain(number).collect()
}

fn authenticator(n: u128) -> AuthenticatorEnroll {
    let key = |role: u8| {
        let x = KeyThumbprint::of(&[&[role], der(n).as_slice()].concat()).0;
        PublicKey { x, y: x }
    };
    let fingerprint = Fingerprint::of(&[b"management", der(n).as_slice()].concat());
    AuthenticatorEnroll {
        instance: InstanceId::from_random(n),
        instance_key: key(1),
        public_key: key(2),
        verification: Some(Verification {
            key: key(3),
            method: VerificationMethod::Pin,
            hardware: true,
        }),
        hardware: Some(Hardware {
            id: HardwareId::of(&der(n)),
            chain: vec!["MA==".to_owned()],
            at: START,
        }),
        hardware_key: true,
        attested: true,
        management: ManagementAnswer::Proved(NewManagementCertificate {
            fingerprint,
            issuer: Fingerprint::of(b"management ca"),
            serial: Serial::from_octets(serial(0x41, n)).unwrap(),
            not_after: START.plus(HOUR * 1000),
        }),
    }
}

/// Commands that put a record of each kind there, with the number 1; the last changes a group.
pub(super) fn one_of_each() -> Vec<Command> {
    vec![
        Command::FoundOrganization(OrganizationId::from_random(1)),
        create_user(1),
        Command::SetPassword {
            user: user(1),
            id: AuthenticatorId::from_random(1),
            hash: Protected::new("$argon2id$".to_owned()),
        },
        create_group(1),
        Command::AddMember {
            group: GroupId::from_random(1),
            user: user(1),
        },
        create_token(1),
        enroll(1),
        Command::ReportDevice(MdmReport {
            device: device(1),
            source: "mdm".to_owned(),
            managed: true,
            posture: Posture {
                disk_encrypted: Some(true),
                ..Posture::default()
            },
            certificate: None,
            at: START,
            ends: START.plus(HOUR),
            version: Revision(0),
        }),
        Command::CreateApiToken(NewApiToken {
            id: ApiTokenId::from_random(1),
            name: "script".to_owned(),
            secret: SecretHash::of("script"),
            scopes: BTreeSet::from([Scope::UsersRead]),
            networks: vec!["192.0.2.0/24".parse().unwrap()],
            ends: START.plus(HOUR),
            demo: false,
        }),
        create_group(2),
    ]
}

/// Carries out commands that must be accepted; returns what came of the last.
pub(super) async fn accept(directory: &Directory, commands: impl IntoIterator<Item = Command>) -> Accepted {
    let mut last = None;
    for command in commands {
        let der = match &command {
            Command::Enroll(enroll) => {
                let of_number = (0..255)
                    .map(der)
                    .find(|der| Fingerprint::of(der) == enroll.certificate.fingerprint);
                of_number
                    .map(|der| (enroll.certificate.fingerprint, der))
                    .into_iter()
                    .collect()
            }
            _ => Vec::new(),
        };
        last = Some(directory.submit(command, admin(), der).await.unwrap());
    }
    last.unwrap()
}

/// All events, oldest first.
pub(super) fn all_events() -> EventQuery {
    EventQuery {
        since: None,
        until: None,
        event_type: None,
        actor: None,
        target: None,
        transaction: None,
        q: None,
        after: None,
        order: Order::Ascending,
        limit: 1000,
    }
}

/// A command on its way, and where its answer arrives.
pub(super) fn submission(command: Command) -> (Submission, oneshot::Receiver<Result<Accepted, SubmitError>>) {
    let (answer, answered) = oneshot::channel();
    (
        Submission {
            wish: Wish::Directory(command),
            actor: admin(),
            certificates_der: Vec::new(),
            answer,
        },
        answered,
    )
}

/// How a store fails the next time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The batch is not written.
    NotWritten,
    /// The batch is written, and nobody learns of it.
    WrittenInSilence,
    /// The directory cannot be read.
    NotRead,
}

/// A store that fails as told, in this order.
pub(super) struct FaultyStore {
    pub(super) store: SqliteStore,
    pub(super) faults: Mutex<VecDeque<Fault>>,
    pub(super) appends: AtomicUsize,
}

impl FaultyStore {
    pub(super) async fn new(place: &Place, faults: impl IntoIterator<Item = Fault>) -> Arc<Self> {
        Arc::new(Self {
            store: SqliteStore::open(&place.database()).await.unwrap(),
            faults: Mutex::new(faults.into_iter().collect()),
            appends: AtomicUsize::new(0),
        })
    }

    fn fails(&self, fault: Fault) -> bool {
        let mut faults = self.faults.lock().unwrap();
        faults.pop_front_if(|next| *next == fault).is_some()
    }
}

impl Store for FaultyStore {
    async fn load(&self) -> Result<Snapshot, LoadError> {
        if self.fails(Fault::NotRead) {
            return Err(LoadError::Unavailable("told to fail".into()));
        }
        self.store.load().await
    }

    async fn load_sessions(&self) -> Result<StoredSessions, LoadError> {
        Ok(StoredSessions::default())
    }

    async fn append(&self, batch: &[Transaction]) -> Result<(), AppendError> {
        self.appends.fetch_add(1, Ordering::Relaxed);
        if self.fails(Fault::NotWritten) {
            return Err(AppendError::Unavailable("told to fail".into()));
        }
        self.store.append(batch).await?;
        if self.fails(Fault::WrittenInSilence) {
            return Err(AppendError::Unavailable("told to fail".into()));
        }
        Ok(())
    }

    async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, QueryError> {
        self.store.events(query).await
    }
}

pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// No sessions.
pub(super) fn sessions() -> Arc<SessionTable> {
    Arc::new(SessionTable::new(StoredSessions::default()))
}
