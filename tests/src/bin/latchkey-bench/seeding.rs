//! How does a directory come to have a million devices in a minute? Copies of an enrolled one are written into its database.

use std::path::Path;

use directory::{
    Certificate, Device, DeviceId, Enrollment, EnrollmentId, Fingerprint, Instance, InstanceId, PublicKey, Serial,
    User, UserId,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

/// Adds so many devices, each with a user, an instance, an enrolment and a certificate of its own, made after those of the device with
/// this name. Nobody has their keys. The gateway must not be running; it reads the records as any others, so that what does not fit
/// its schema keeps it from starting.
pub(crate) fn add(database: &Path, name: &str, count: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        // Speed is all that matters here: a crash leaves nothing that anybody wants back.
        let options = SqliteConnectOptions::new()
            .filename(database)
            .journal_mode(SqliteJournalMode::Memory)
            .synchronous(SqliteSynchronous::Off)
            .pragma("cache_size", "-1000000")
            .disable_statement_logging();
        let mut connection = options.connect().await.expect("the database opens");
        let original = Original::read(&mut connection, name).await;
        let numbers: Vec<usize> = (0..count).collect();
        for numbers in numbers.chunks(CHUNK) {
            let copies: Vec<Original> = numbers.iter().map(|number| original.copy(*number)).collect();
            let mut transaction = connection.begin().await.expect("a transaction");
            write(&mut transaction, "users", "id", copies.iter().map(|copy| &copy.user)).await;
            write(
                &mut transaction,
                "devices",
                "id",
                copies.iter().map(|copy| &copy.device),
            )
            .await;
            write(
                &mut transaction,
                "instances",
                "id",
                copies.iter().map(|copy| &copy.instance),
            )
            .await;
            write(
                &mut transaction,
                "enrollments",
                "id",
                copies.iter().map(|copy| &copy.enrollment),
            )
            .await;
            write(
                &mut transaction,
                "certificates",
                "fingerprint",
                copies.iter().map(|copy| &copy.certificate),
            )
            .await;
            transaction.commit().await.expect("the copies are written");
        }
        connection.close().await.expect("the database closes");
    });
}

/// A device and what belongs to it.
struct Original {
    user: User,
    device: Device,
    instance: Instance,
    enrollment: Enrollment,
    certificate: Certificate,
}

impl Original {
    async fn read(connection: &mut SqliteConnection, name: &str) -> Self {
        let device: Device = one(connection, "devices", "name", name).await;
        let enrollment: Enrollment = one(connection, "enrollments", "device", device.id.as_str()).await;
        Self {
            user: one(connection, "users", "id", enrollment.user.as_str()).await,
            instance: one(connection, "instances", "device", device.id.as_str()).await,
            certificate: one(connection, "certificates", "device", device.id.as_str()).await,
            device,
            enrollment,
        }
    }

    /// Everything that is one's own is another's.
    fn copy(&self, number: usize) -> Self {
        let random = |what: &str| -> [u8; 32] { Sha256::digest(format!("{what} {number}")).into() };
        let id = u128::from_be_bytes(random("id")[..16].try_into().expect("16 octets"));
        let key = |what: &str| PublicKey {
            x: random(&format!("x of {what}")),
            y: random(&format!("y of {what}")),
        };
        let (user, device) = (UserId::from_random(id), DeviceId::from_random(id));
        let (instance, enrollment) = (InstanceId::from_random(id), EnrollmentId::from_random(id));
        let mut serial = random("serial")[..16].to_vec();
        serial[0] = (serial[0] >> 1) | 0x40;
        let possession = key("possession");
        let mut verification = self.enrollment.verification.clone();
        if let Some(verification) = &mut verification {
            verification.key = key("verification");
        }
        Self {
            user: User {
                id: user,
                login: format!("made-up-{number}"),
                email: format!("made-up-{number}@example.com"),
                ..self.user.clone()
            },
            device: Device {
                id: device,
                name: format!("made-up-{number}-laptop"),
                ..self.device.clone()
            },
            instance: Instance {
                id: instance,
                device,
                key: key("instance"),
                ..self.instance.clone()
            },
            enrollment: Enrollment {
                id: enrollment,
                device,
                user,
                key: possession.thumbprint(),
                public_key: Some(possession),
                verification,
                instance: Some(instance),
                ..self.enrollment.clone()
            },
            certificate: Certificate {
                fingerprint: Fingerprint(random("certificate")),
                serial: Serial::from_octets(serial).expect("a serial number"),
                enrollment,
                device,
                ..self.certificate.clone()
            },
        }
    }
}

/// The one record whose column has this value.
async fn one<T: DeserializeOwned>(connection: &mut SqliteConnection, table: &str, column: &str, value: &str) -> T {
    let query = AssertSqlSafe(format!(r#"SELECT body FROM "{table}" WHERE "{column}" = ?"#));
    let body: String = sqlx::query_scalar(query)
        .bind(value)
        .fetch_one(connection)
        .await
        .unwrap_or_else(|error| panic!("{table} with {column} {value}: {error}"));
    serde_json::from_str(&body).expect("a record of the directory")
}

/// Writes records whose key is in this field.
async fn write<'a, T: Serialize + 'a>(
    connection: &mut SqliteConnection,
    table: &str,
    key: &str,
    records: impl Iterator<Item = &'a T>,
) {
    let records: Vec<&T> = records.collect();
    let insert = AssertSqlSafe(format!(
        r#"INSERT INTO "{table}" (id, version, body) SELECT value ->> '$.{key}', value ->> '$.version', value FROM json_each(?)"#
    ));
    let records = serde_json::to_string(&records).expect("records are JSON");
    let written = sqlx::query(insert).bind(records).execute(connection).await;
    written.unwrap_or_else(|error| panic!("{table}: {error}"));
}

/// How many devices are written at a time.
const CHUNK: usize = 5000;
