//! Is what was acknowledged in the file, and is a file that cannot be used refused?

use std::os::unix::fs::PermissionsExt;

use directory::{
    AppendError, Change, Command, EnrollmentId, Fingerprint, LoadError, Method, Revision, Snapshot, Store, Table,
    Transaction, TransactionId, Write,
};
use sqlx::{AssertSqlSafe, Connection};

use crate::store::Directory;
use crate::store::commands::OpenError;
use crate::store::samples::{
    Place, START, accept, admin, all_events, clock, create_user, der, device, one_of_each, user,
};
use crate::store::sqlite::{BadDatabase, SqliteStore};

#[tokio::test]
async fn a_reopened_directory_is_what_it_was_in_memory() {
    let place = Place::new();
    let directory = place.open();
    accept(&directory, one_of_each()).await;
    let before = directory.snapshot();
    directory.close();

    let reopened = place.open();

    assert_eq!(*reopened.snapshot(), *before);
    assert_eq!(before.revision(), Revision(10));
    assert!(before.device(device(1)).is_some() && before.report(device(1), "mdm").is_some());
}

/// What many commands changed is packed anew while others go on, and nothing of either is lost.
#[tokio::test]
async fn a_directory_that_was_packed_anew_is_what_it_was() {
    let place = Place::new();
    let directory = place.open();
    let (mut users, mut was_worn) = (0, false);
    while users < 2_000 && (!was_worn || directory.snapshot().is_worn(FEW)) {
        users += 1;
        accept(&directory, [create_user(users)]).await;
        was_worn |= directory.snapshot().is_worn(FEW);
    }
    assert!(was_worn && !directory.snapshot().is_worn(FEW), "after {users} users");

    let last = [Command::DeactivateUser(user(1)), Command::DeleteUser(user(1))];
    accept(&directory, last).await;
    let before = directory.snapshot();
    directory.close();

    assert_eq!(before.users().count() as u128, users - 1);
    assert!(place.open().snapshot().users().eq(before.users()));
}

/// How many records may lie unpacked where tests are run.
const FEW: usize = 20;

/// D-19: what was answered is on disk for anybody to read, all of it.
#[tokio::test]
async fn an_acknowledged_deactivation_is_in_the_file_with_everything_it_entails() {
    let place = Place::new();
    let directory = place.open();
    accept(&directory, one_of_each()).await;
    let mut operator = place.connect().await;
    let states = r#"SELECT devices.state || ' ' || enrollments.state || ' ' || certificates.state
        FROM devices, enrollments, certificates"#;
    let before: String = sqlx::query_scalar(states).fetch_one(&mut operator).await.unwrap();

    accept(&directory, [Command::DeactivateDevice(device(1))]).await;

    let after: String = sqlx::query_scalar(states).fetch_one(&mut operator).await.unwrap();
    assert_eq!(
        (before.as_str(), after.as_str()),
        ("active active live", "deactivated ended revoked")
    );
    let (revision, actor): (i64, String) =
        sqlx::query_as("SELECT revision, actor ->> '$.display_name' FROM changes ORDER BY revision DESC LIMIT 1")
            .fetch_one(&mut operator)
            .await
            .unwrap();
    assert_eq!((revision, actor.as_str()), (11, "Admin"));
}

#[tokio::test]
async fn an_operator_can_ask_for_records_by_what_is_in_them() {
    let place = Place::new();
    let directory = place.open();
    accept(&directory, one_of_each()).await;
    let mut operator = place.connect().await;

    for (query, answer) in [
        ("SELECT status FROM users WHERE login = 'user-1'", "active".to_owned()),
        ("SELECT name FROM \"groups\" ORDER BY name", "group-1".to_owned()),
        (
            "SELECT platform FROM devices WHERE name = 'laptop-1'",
            "linux".to_owned(),
        ),
        (
            "SELECT user FROM enrollments WHERE key_store = 'software'",
            user(1).to_string(),
        ),
        (
            "SELECT device FROM certificates WHERE not_after > 0 AND serial = '4001'",
            device(1).to_string(),
        ),
        (
            "SELECT source FROM reports WHERE managed = 1 AND ends > 0",
            "mdm".to_owned(),
        ),
        (
            "SELECT user FROM enrollment_tokens WHERE used IS NOT NULL",
            user(1).to_string(),
        ),
        ("SELECT name FROM api_tokens WHERE revoked IS NULL", "script".to_owned()),
    ] {
        let found: String = sqlx::query_scalar(query).fetch_one(&mut operator).await.unwrap();
        assert_eq!(found, answer, "{query}");
    }
    let stored: Vec<u8> = sqlx::query_scalar("SELECT der FROM certificates")
        .fetch_one(&mut operator)
        .await
        .unwrap();
    assert_eq!(Fingerprint::of(&stored), Fingerprint::of(&der(1)));
}

#[tokio::test]
async fn a_record_that_somebody_else_changed_is_a_conflict() {
    let place = Place::new();
    let store = SqliteStore::open(&place.database()).await.unwrap();
    store.append(&[put_user(1, 1, None)]).await.unwrap();

    let over_the_same_version = store.append(&[put_user(1, 2, Some(1))]).await;
    let over_an_old_version = store.append(&[put_user(1, 3, Some(1))]).await;
    let as_if_new = store.append(&[put_user(1, 3, None)]).await;
    let of_a_made_revision = store.append(&[put_user(2, 2, None)]).await;

    assert!(over_the_same_version.is_ok());
    for refused in [over_an_old_version, as_if_new, of_a_made_revision] {
        assert!(
            matches!(
                refused,
                Err(AppendError::Conflict {
                    table: Table::Users,
                    ..
                })
            ),
            "{refused:?}"
        );
    }
    assert_eq!(store.load().await.unwrap().revision(), Revision(2));
}

#[tokio::test]
async fn a_login_that_somebody_else_took_is_a_conflict() {
    let place = Place::new();
    let store = SqliteStore::open(&place.database()).await.unwrap();
    store.append(&[put_user(1, 1, None)]).await.unwrap();
    let mut same_login = put_user(2, 2, None);
    if let Change::PutUser(user) = &mut same_login.writes[0].change {
        user.login = "USER-1".to_owned();
    }
    assert!(matches!(
        store.append(&[same_login]).await,
        Err(AppendError::Conflict { .. })
    ));
    assert!(store.append(&[put_user(2, 2, None)]).await.is_ok());
}

/// D-19: a batch with a conflict in the middle leaves nothing behind, neither records nor events.
#[tokio::test]
async fn a_batch_is_written_as_a_whole_or_not_at_all() {
    let place = Place::new();
    let store = SqliteStore::open(&place.database()).await.unwrap();
    store.append(&[put_user(1, 1, None)]).await.unwrap();
    let before = store.load().await.unwrap();

    let conflicting = store
        .append(&[put_user(2, 2, None), put_user(1, 3, Some(7)), put_user(3, 4, None)])
        .await;
    let (after, events) = (store.load().await.unwrap(), store.events(&all_events()).await.unwrap());
    let control = store
        .append(&[put_user(2, 2, None), put_user(1, 3, Some(1)), put_user(3, 4, None)])
        .await;

    assert!(matches!(conflicting, Err(AppendError::Conflict { table: Table::Users, id }) if id == user(1).to_string()));
    assert_eq!((after, events.len()), (before, 1));
    assert!(control.is_ok());
    assert_eq!(store.load().await.unwrap().users().count(), 3);
}

#[tokio::test]
async fn the_database_is_readable_by_its_owner_alone() {
    let place = Place::new();
    let directory = place.open();
    accept(&directory, [create_user(1)]).await;
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", place.database().display());
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600,
            "{file}"
        );
    }
}

#[tokio::test]
async fn a_database_of_a_newer_schema_is_refused() {
    let place = Place::new();
    place.open().close();
    let mut connection = place.connect().await;
    let schema: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let newer = AssertSqlSafe(format!("PRAGMA user_version = {}", schema + 1));
    sqlx::raw_sql(newer).execute(&mut connection).await.unwrap();

    let refused = Directory::open(&place.database(), clock()).err().unwrap();

    assert_eq!(
        refused.to_string(),
        format!(
            "the database has schema {}; this version knows schemas up to {schema}",
            schema + 1
        )
    );
}

/// What the first version wrote is read by this one: no machine was proved then, and no key signs assertions.
#[tokio::test]
async fn a_database_of_the_first_schema_is_brought_up_to_date() {
    let place = Place::new();
    drop(place.open());
    std::fs::remove_file(place.database()).unwrap();
    std::fs::File::create(place.database()).unwrap();
    let mut connection = place.connect().await;
    let records = format!(
        r#"INSERT INTO "devices" (id, version, body) VALUES ('{device}', 1, '{{"id":"{device}","name":"old","platform":"linux",
            "state":{{"state":"active"}},"ownership":"unknown","groups":[],"tags":{{}},"reported":null,
            "secure_hardware":false,"created":0,"updated":0,"version":1}}');
        INSERT INTO "enrollments" (id, version, body) VALUES ('{enrollment}', 1, '{{"id":"{enrollment}","device":"{device}",
            "user":"{user}","state":{{"state":"active"}},"generation":0,"key":"{key}","key_store":"software",
            "hardware_key":false,"created":0,"version":1}}');
        PRAGMA user_version = 1"#,
        device = device(1),
        user = user(1),
        enrollment = EnrollmentId::from_random(1),
        key = "00".repeat(32),
    );
    let first = include_str!("../migrations/0001_directory.sql");
    sqlx::raw_sql(first).execute(&mut connection).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(records))
        .execute(&mut connection)
        .await
        .unwrap();
    drop(connection);

    let directory = place.open();

    let snapshot = directory.snapshot();
    assert_eq!(snapshot.device(device(1)).unwrap().hardware, None);
    let enrollment = snapshot.enrollment(EnrollmentId::from_random(1)).unwrap();
    assert_eq!(enrollment.methods, [Method::Certificate].into());
    assert!(enrollment.public_key.is_none() && snapshot.settings().is_none());
}

#[tokio::test]
async fn a_file_that_is_no_database_of_ours_is_refused() {
    let place = Place::new();
    let open = || Directory::open(&place.database(), clock()).map(Directory::close);

    std::fs::write(
        place.database(),
        "this is not a database, however long one looks at it".repeat(100),
    )
    .unwrap();
    assert!(matches!(
        open(),
        Err(OpenError::Database(BadDatabase::Unreadable { .. }))
    ));

    std::fs::remove_file(place.database()).unwrap();
    std::fs::create_dir(place.database()).unwrap();
    assert!(matches!(open(), Err(OpenError::Database(BadDatabase::File { .. }))));

    std::fs::remove_dir(place.database()).unwrap();
    std::fs::write(place.database(), "").unwrap();
    let mut somebody = place.connect().await;
    sqlx::raw_sql("CREATE TABLE recipes (id)")
        .execute(&mut somebody)
        .await
        .unwrap();
    assert!(matches!(open(), Err(OpenError::Database(BadDatabase::Foreign { .. }))));

    sqlx::raw_sql("DROP TABLE recipes")
        .execute(&mut somebody)
        .await
        .unwrap();
    somebody.close().await.unwrap();
    assert!(open().is_ok());
}

#[tokio::test]
async fn a_body_that_is_two_records_among_others_is_refused() {
    let place = Place::new();
    place.open().close();
    let settings = directory::Settings {
        organization: directory::OrganizationId::from_random(1),
        fastpass: directory::FastPassSettings::default(),
        version: Revision(0),
    };
    let mut somebody = place.connect().await;
    let write = r#"INSERT OR REPLACE INTO "settings" (id, version, body) VALUES ('settings', 0, ?)"#;
    let one = serde_json::to_string(&settings).unwrap();
    for (body, is_taken) in [(one.clone(), true), (format!("{one},{one}"), false)] {
        sqlx::query(write).bind(&body).execute(&mut somebody).await.unwrap();

        let opened = Directory::open(&place.database(), clock());

        assert_eq!(opened.is_ok(), is_taken, "{body}");
        opened.ok().into_iter().for_each(Directory::close);
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_understood_is_named() {
    let place = Place::new();
    let directory = place.open();
    accept(&directory, one_of_each()).await;
    directory.close();
    let mut somebody = place.connect().await;
    let spoil = r#"UPDATE devices SET body = json_set(body, '$.platform', 'abacus')"#;
    sqlx::raw_sql(spoil).execute(&mut somebody).await.unwrap();

    let refused = Directory::open(&place.database(), clock()).err().unwrap();

    let named = device(1).to_string();
    assert!(matches!(refused, OpenError::Load(LoadError::Record { table: Table::Devices, id, .. }) if id == named));
}

/// A transaction that writes a user at a revision over the version it expects.
fn put_user(number: u128, revision: u64, expected: Option<u64>) -> Transaction {
    let id = TransactionId::from_random(revision.into());
    let plan = Snapshot::empty()
        .plan(&create_user(number), &admin(), id, START)
        .unwrap();
    let revision = Revision(revision);
    let writes = plan.changes.into_iter().map(|mut change| {
        change.stamp(revision);
        Write {
            change,
            expected: expected.map(Revision),
        }
    });
    let writes = writes.collect();
    Transaction {
        id,
        at: START,
        actor: admin(),
        revision,
        writes,
        events: plan.events,
        sessions: Vec::new(),
        certificates_der: vec![],
    }
}
