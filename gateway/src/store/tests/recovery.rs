//! Do memory and disk stay the same when the store fails, and does everybody get an answer?

use std::sync::Arc;
use std::sync::atomic::Ordering;

use directory::{Command, DeviceState, EventType, Refusal, Revision, Store};
use tokio::sync::mpsc;

use crate::store::commands::{Accepted, Published, Submission, SubmitError, Unavailable};
use crate::store::samples::{
    Fault, FaultyStore, Place, accept, admin, all_events, clock, create_group, create_user, device, one_of_each,
    sessions, submission, user,
};
use crate::store::writer::Writer;

#[tokio::test]
async fn an_answered_command_is_in_every_snapshot_and_in_the_news() {
    let place = Place::new();
    let directory = place.open();
    let mut news = directory.subscribe();

    let accepted = directory.submit(create_user(1), admin(), vec![]).await.unwrap();

    assert!(directory.snapshot().user(user(1)).is_some());
    assert_eq!(accepted.snapshot.revision(), Revision(1));
    assert_eq!(*accepted.snapshot, *directory.snapshot());
    assert_eq!(news.try_recv().unwrap().users, [user(1)].into());
}

/// D-19: a second deactivation is refused, changes nothing and leaves one failure, not the events again.
#[tokio::test]
async fn a_refused_command_changes_nothing_and_leaves_one_failure() {
    let place = Place::new();
    let directory = place.open();
    accept(&directory, one_of_each()).await;
    let deactivated = accept(&directory, [Command::DeactivateDevice(device(1))]).await;
    let mut news = directory.subscribe();

    let again = directory
        .submit(Command::DeactivateDevice(device(1)), admin(), vec![])
        .await;

    assert!(
        matches!(again, Err(SubmitError::Refused(refused)) if matches!(refused.reason, Refusal::IllegalTransition(_)))
    );
    assert_eq!(*directory.snapshot(), *deactivated.snapshot);
    assert!(news.try_recv().is_err());
    let events = directory.events(&all_events()).await.unwrap();
    let deactivations = events
        .iter()
        .filter(|event| event.event_type == EventType::DeviceDeactivate);
    assert_eq!(
        deactivations.map(directory::Event::succeeded).collect::<Vec<_>>(),
        [true, false]
    );
}

#[tokio::test]
async fn commands_that_wait_together_share_commits_and_see_each_other() {
    let place = Place::new();
    let (store, published) = begin(&place, []).await;
    let commands = (0..150).flat_map(|n| [create_user(n), Command::SuspendUser(user(n))]);

    let answers = carry_out(&store, &published, commands.chain([create_group(1)])).await;

    let revisions: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.unwrap().snapshot.revision().0)
        .collect();
    assert_eq!(revisions, (1..=301).collect::<Vec<_>>());
    assert_eq!(store.appends.load(Ordering::Relaxed), 2);
    assert_eq!(*published.snapshot(), store.load().await.unwrap());
}

#[tokio::test]
async fn a_refused_command_does_not_hold_up_its_batch() {
    let place = Place::new();
    let (store, published) = begin(&place, []).await;

    let answers = carry_out(&store, &published, [create_user(1), create_user(1), create_user(2)]).await;

    assert!(
        matches!(answers.as_slice(), [Ok(_), Err(SubmitError::Refused(_)), Ok(_)]),
        "{answers:?}"
    );
    assert_eq!(store.load().await.unwrap().users().count(), 2);
    assert_eq!(store.events(&all_events()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_batch_that_was_not_written_is_not_published() {
    let place = Place::new();
    let (store, published) = begin(&place, [Fault::NotWritten]).await;

    let answers = carry_out(&store, &published, [create_user(1), create_user(2)]).await;

    for answer in answers {
        assert!(
            matches!(answer, Err(SubmitError::Unavailable(Unavailable::Append(_)))),
            "{answer:?}"
        );
    }
    assert_eq!(published.snapshot().revision(), Revision(0));
    assert!(carry_out(&store, &published, [create_user(1)]).await[0].is_ok());
}

/// D-19: a commit of which it is not known whether it happened leaves memory and disk the same, here with the change.
#[tokio::test]
async fn a_commit_in_doubt_is_looked_up() {
    let place = Place::new();
    let (store, published) = begin(&place, []).await;
    carry_out(&store, &published, one_of_each()).await;
    store.faults.lock().unwrap().push_back(Fault::WrittenInSilence);

    let answers = carry_out(
        &store,
        &published,
        [Command::DeactivateDevice(device(1)), create_user(2)],
    )
    .await;

    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Err(SubmitError::Unavailable(_)))),
        "{answers:?}"
    );
    let snapshot = published.snapshot();
    assert_eq!(*snapshot, store.load().await.unwrap());
    assert!(matches!(
        snapshot.device(device(1)).unwrap().state,
        DeviceState::Deactivated { .. }
    ));
    assert!(carry_out(&store, &published, [Command::SuspendUser(user(2))]).await[0].is_ok());
}

#[tokio::test]
async fn while_the_store_cannot_be_read_after_a_failure_commands_are_turned_away() {
    let place = Place::new();
    let faults = [Fault::WrittenInSilence, Fault::NotRead, Fault::NotRead];
    let (store, published) = begin(&place, faults).await;
    let (sender, queue) = mpsc::channel(8);
    let writer = tokio::spawn(Writer::new(store.clone(), published.clone(), sessions(), clock()).run(queue));
    let send = async |command| send(&sender, command).await;

    let in_doubt = send(create_user(1)).await;
    let turned_away = send(create_user(2)).await;
    let after = send(create_user(3)).await;

    assert!(
        matches!(in_doubt, Err(SubmitError::Unavailable(Unavailable::Append(_)))),
        "{in_doubt:?}"
    );
    assert!(
        matches!(turned_away, Err(SubmitError::Unavailable(Unavailable::Load(_)))),
        "{turned_away:?}"
    );
    assert_eq!(after.unwrap().snapshot.revision(), Revision(2));
    assert!(published.snapshot().user(user(1)).is_some() && published.snapshot().user(user(2)).is_none());
    drop(sender);
    writer.await.unwrap();
}

#[tokio::test]
async fn a_write_by_somebody_else_is_noticed_and_followed() {
    let place = Place::new();
    let directory = place.open();
    accept(&directory, one_of_each()).await;
    let mut news = directory.subscribe();
    let mut somebody = place.connect().await;
    let foreign_write = "
        UPDATE users SET version = 11, body = json_set(body, '$.version', 11, '$.first_name', 'Foreign');
        INSERT INTO changes VALUES (11, 'foreign', 0, '{}', '[]');";
    sqlx::raw_sql(foreign_write).execute(&mut somebody).await.unwrap();

    let conflict = directory.submit(Command::SuspendUser(user(1)), admin(), vec![]).await;
    let followed = directory.submit(create_user(2), admin(), vec![]).await;

    assert!(
        matches!(conflict, Err(SubmitError::Unavailable(Unavailable::Append(_)))),
        "{conflict:?}"
    );
    assert_eq!(followed.unwrap().snapshot.revision(), Revision(12));
    assert_eq!(directory.snapshot().user(user(1)).unwrap().first_name, "Foreign");
    assert!(news.try_recv().unwrap().users.contains(&user(1)));
}

#[tokio::test]
async fn a_database_that_is_gone_makes_commands_unavailable_and_leaves_what_is_published() {
    let place = Place::new();
    let directory = place.open();
    accept(&directory, [create_user(1)]).await;
    let mut somebody = place.connect().await;
    sqlx::raw_sql("DROP TABLE system_log_targets")
        .execute(&mut somebody)
        .await
        .unwrap();

    let answer = directory.submit(create_user(2), admin(), vec![]).await;

    assert!(matches!(answer, Err(SubmitError::Unavailable(_))), "{answer:?}");
    assert!(directory.snapshot().user(user(1)).is_some() && directory.snapshot().user(user(2)).is_none());
}

async fn begin(place: &Place, faults: impl IntoIterator<Item = Fault>) -> (Arc<FaultyStore>, Arc<Published>) {
    let store = FaultyStore::new(place, faults).await;
    let published = Published::new(store.store.load().await.unwrap());
    (store, Arc::new(published))
}

/// Lets a writer find all these commands waiting, and returns their answers.
async fn carry_out(
    store: &Arc<FaultyStore>,
    published: &Arc<Published>,
    commands: impl IntoIterator<Item = Command>,
) -> Vec<Result<Accepted, SubmitError>> {
    let (sender, queue) = mpsc::channel(1000);
    let mut waiting = Vec::new();
    for command in commands {
        let (submission, answered) = submission(command);
        sender.try_send(submission).ok().unwrap();
        waiting.push(answered);
    }
    drop(sender);
    Writer::new(store.clone(), published.clone(), sessions(), clock())
        .run(queue)
        .await;
    let mut answers = Vec::new();
    for answered in waiting {
        answers.push(answered.await.unwrap());
    }
    answers
}

async fn send(sender: &mpsc::Sender<Submission>, command: Command) -> Result<Accepted, SubmitError> {
    let (submission, answered) = submission(command);
    sender.send(submission).await.ok().unwrap();
    answered.await.unwrap()
}
