//! Does the System Log give what is asked of it?

use std::time::Duration;

use directory::{Command, EventQuery, EventType, Order, QueryError};

use crate::store::Directory;
use crate::store::samples::{Place, START, accept, admin, all_events, create_user, device, one_of_each, user};

#[tokio::test]
async fn the_log_is_read_oldest_or_newest_first_and_page_by_page() {
    let (_place, directory) = with_events().await;
    let all = ids(&directory, all_events()).await;
    let newest_first = EventQuery {
        order: Order::Descending,
        ..all_events()
    };

    let pages = [
        ids(
            &directory,
            EventQuery {
                limit: 2,
                ..all_events()
            },
        )
        .await,
        ids(
            &directory,
            EventQuery {
                limit: 2,
                after: Some(all[1].clone()),
                ..all_events()
            },
        )
        .await,
    ];
    let back = ids(
        &directory,
        EventQuery {
            after: Some(all[2].clone()),
            ..newest_first.clone()
        },
    )
    .await;
    let reversed = ids(&directory, newest_first).await;

    assert_eq!(pages.concat(), all[..4]);
    assert_eq!(back, [all[1].clone(), all[0].clone()]);
    assert_eq!(reversed, all.iter().rev().cloned().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_log_is_narrowed_by_what_happened_to_whom_by_whom_and_when() {
    let (_place, directory) = with_events().await;
    let all = directory.events(&all_events()).await.unwrap();
    let count = async |query| directory.events(&query).await.unwrap().len();
    let enrolment = all
        .iter()
        .find(|event| event.event_type == EventType::DeviceEnroll)
        .unwrap();

    let of_type = count(EventQuery {
        event_type: Some(EventType::UserCreate),
        ..all_events()
    })
    .await;
    let of_target = count(EventQuery {
        target: Some(device(1).to_string()),
        ..all_events()
    })
    .await;
    let by_admin = count(EventQuery {
        actor: Some(admin().id),
        ..all_events()
    })
    .await;
    let by_nobody = count(EventQuery {
        actor: Some("nobody".to_owned()),
        ..all_events()
    })
    .await;
    let in_transaction = count(EventQuery {
        transaction: Some(enrolment.transaction),
        ..all_events()
    })
    .await;
    let (second, end) = (START.plus(Duration::from_secs(1)), START.plus(Duration::from_secs(2)));
    let in_a_second = count(EventQuery {
        since: Some(second),
        until: Some(end),
        ..all_events()
    })
    .await;

    assert_eq!(of_type, 2);
    assert_eq!(
        of_target,
        all.iter()
            .filter(|event| event.targets.iter().any(|t| t.id == device(1).to_string()))
            .count()
    );
    assert!(of_target > 0);
    assert_eq!((by_admin, by_nobody), (all.len(), 0));
    assert_eq!(
        in_transaction,
        all.iter()
            .filter(|event| event.transaction == enrolment.transaction)
            .count()
    );
    assert!(in_transaction > 1);
    assert_eq!(
        in_a_second,
        all.iter().filter(|event| event.published == second).count()
    );
    assert_eq!(in_a_second, 1);
}

#[tokio::test]
async fn the_log_is_searched_in_any_case_and_wildcards_are_plain_text() {
    let (_place, directory) = with_events().await;
    let found = async |text: &str| {
        directory
            .events(&EventQuery {
                q: Some(text.to_owned()),
                ..all_events()
            })
            .await
            .unwrap()
    };

    assert_eq!(found("LAPTOP-1").await[0].event_type, EventType::DeviceEnroll);
    assert_eq!(found("user.lifecycle.CREATE").await.len(), 2);
    assert_eq!(found("another user has this").await.len(), 1);
    for nowhere in ["laptop-2", "%", "' OR 1=1 --"] {
        assert!(found(nowhere).await.is_empty(), "{nowhere}");
    }
}

#[tokio::test]
async fn a_page_after_an_unknown_event_is_refused() {
    let (_place, directory) = with_events().await;
    let refused = directory
        .events(&EventQuery {
            after: Some("nothing".to_owned()),
            ..all_events()
        })
        .await;
    assert!(matches!(refused, Err(QueryError::UnknownEvent { id }) if id == "nothing"));
}

/// A directory with one record of each kind, and one command that was refused.
async fn with_events() -> (Place, Directory) {
    let place = Place::new();
    let directory = place.open();
    accept(&directory, one_of_each()).await;
    let refused = directory.submit(create_user(1), admin(), vec![]).await;
    assert!(refused.is_err());
    accept(&directory, [Command::SuspendUser(user(1))]).await;
    (place, directory)
}

async fn ids(directory: &Directory, query: EventQuery) -> Vec<String> {
    directory
        .events(&query)
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.id)
        .collect()
}
