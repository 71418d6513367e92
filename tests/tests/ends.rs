//! What ends when something is taken away, and what does not? The table in docs/lifecycle.md, cell by cell.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use latchkey_tests::ends::{Event, Standing, Thing, table, words};
use latchkey_tests::shared::Shared;

static DEMO: Shared = Shared::new();
/// What is measured is not measured beside another row.
static TURN: Mutex<()> = Mutex::new(());

/// D-05, D-06, D-07, D-08, D-10: what rests on the device ends with it; what does not lives.
#[test]
fn deactivating_the_device_ends_what_rests_on_it() {
    row(Event::Deactivate);
}

/// D-21: suspension ends the same.
#[test]
fn suspending_the_device_ends_what_rests_on_it() {
    row(Event::Suspend);
}

/// D-05: deletion adds nothing but other words.
#[test]
fn deleting_the_device_ends_what_rests_on_it() {
    row(Event::Delete);
}

/// A certificate that is revoked takes what came by it, and no session.
#[test]
fn revoking_the_certificate_ends_what_came_by_it() {
    row(Event::RevokeCertificate);
}

/// Whoever is removed from a device loses what rested on their key there; who else is on it loses nothing.
#[test]
fn removing_one_user_from_the_device_ends_only_theirs() {
    row(Event::RemoveUser);
}

#[test]
fn suspending_the_user_ends_everything_of_theirs() {
    row(Event::SuspendUser);
}

#[test]
fn changing_the_password_ends_what_rests_on_it() {
    row(Event::ChangePassword);
}

#[test]
fn signing_out_everywhere_ends_all_sessions() {
    row(Event::SignOutEverywhere);
}

#[test]
fn an_admin_ends_one_session() {
    row(Event::EndSession);
}

/// The documentation shows this table and no other.
#[test]
fn the_documentation_shows_the_table() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/lifecycle.md");
    let document = std::fs::read_to_string(file).unwrap();
    for part in [table(), words()] {
        assert!(document.contains(&part), "docs/lifecycle.md does not have:\n{part}");
    }
}

/// One row: everything of one user, beside the same of another who must not notice.
fn row(event: Event) {
    let demo = DEMO.demo();
    let name = format!("{event:?}").to_lowercase();
    let mut suffering = Standing::new(&demo, &name, None);
    // Who stays on the device sees that only the removed one leaves it.
    let shared = (event == Event::RemoveUser).then_some(&suffering.device);
    let mut control = Standing::new(&demo, &format!("{name}-control"), shared);
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);

    let answered = suffering.suffer(event);

    let (end, live): (Vec<Thing>, Vec<Thing>) = Thing::ALL.iter().partition(|thing| event.fate(**thing).is_some());
    let mut wrong = Vec::new();
    for thing in &end {
        let left = BOUND.saturating_sub(answered.elapsed());
        let told = suffering.lives(*thing, left).err();
        if told.as_deref() != event.fate(*thing) {
            wrong.push(format!("{thing:?}: {told:?} and not {:?}", event.fate(*thing)));
        }
    }
    let longest = answered.elapsed();
    println!("{event:?}: all {} had ended after {longest:?}", end.len());
    for thing in live {
        if let Err(told) = suffering.lives(thing, LOOKED) {
            wrong.push(format!("{thing:?} lives no more: {told}"));
        }
    }
    for thing in Thing::ALL {
        if let Err(told) = control.lives(thing, LOOKED) {
            wrong.push(format!("{thing:?} of another user lives no more: {told}"));
        }
    }
    drop(turn);
    assert!(wrong.is_empty(), "{event:?}: {wrong:#?}");
}

/// Within which everything has ended, from the answer on.
const BOUND: Duration = Duration::from_secs(1);

/// For how long a stream that lives is looked at.
const LOOKED: Duration = Duration::from_millis(300);
