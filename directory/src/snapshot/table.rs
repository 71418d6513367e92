//! Where are the records of one kind? Those that were loaded packed, those that changed since beside them.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use super::packed::{Key, Packed, Packing};
use super::records::{FoundBy, Record};

/// The records of one kind. Copies share what they have in common, so one costs only what changed.
#[derive(Debug, Clone)]
pub(super) struct Table<T: Record> {
    packed: Arc<Packed<T>>,
    /// What came since, and what is gone: then nothing.
    changed: OrdMap<T::Key, Option<Arc<T>>>,
    /// What those that came are found by, as a hash.
    found: OrdSet<(u32, T::Key)>,
}

impl<T: Record> Table<T> {
    /// These records, packed.
    pub(super) fn packed(packing: Packing<T>) -> Self {
        let (packed, left) = packing.finish();
        let mut table = Self {
            packed: Arc::new(packed),
            ..Self::default()
        };
        left.into_iter().for_each(|record| table.put(record));
        table
    }

    /// Whether more than so many records lie beside the packed ones, and more than an eighth of those.
    pub(super) fn is_worn(&self, most: usize) -> bool {
        self.changed.len() > most.max(self.packed.len() / 8)
    }

    /// The same records, packed anew: takes a while.
    pub(super) fn pack(&self) -> Repacked<T> {
        let mut packing = Packing::new();
        self.all().for_each(|record| packing.add((*record).clone()));
        Repacked {
            before: self.packed.clone(),
            table: Self::packed(packing),
        }
    }

    /// What this table has, on records that were packed anew from an earlier state of it; on those from another as it is.
    pub(super) fn on(self, repacked: Repacked<T>) -> Self {
        if !Arc::ptr_eq(&self.packed, &repacked.before) {
            return self;
        }
        let mut table = repacked.table;
        for (key, changed) in &self.changed {
            match changed {
                changed if *changed == table.get(*key) => {}
                Some(record) => table.put((**record).clone()),
                None => table.remove(*key),
            }
        }
        table
    }

    /// The record with this key.
    pub(super) fn get(&self, key: T::Key) -> Option<Arc<T>> {
        match self.changed.get(&key) {
            Some(changed) => changed.clone(),
            None => self.packed.get(key),
        }
    }

    /// All records, by key.
    pub(super) fn all(&self) -> impl Iterator<Item = Arc<T>> {
        self.after(None)
    }

    /// Those after this key, or all, by key.
    pub(super) fn after(&self, key: Option<T::Key>) -> impl Iterator<Item = Arc<T>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let begin = key.map_or(Unbounded, Excluded);
        let changed = self.changed.range((begin, Unbounded));
        let changed = changed.filter_map(|(_, record)| record.clone());
        let packed = self.packed.after(key).filter(|record| self.is_unchanged(record));
        Merged {
            one: changed.peekable(),
            other: packed.peekable(),
        }
    }

    /// Those that are found by this, by key.
    pub(super) fn find(&self, by: FoundBy<'_>) -> impl Iterator<Item = Arc<T>> + use<T> {
        let hash = self.packed.hash(&by);
        let range = (hash, T::Key::FIRST)..=(hash, T::Key::LAST);
        let changed = self.found.range(range);
        let changed = changed.filter_map(|(_, key)| self.changed.get(key).cloned().flatten());
        let packed = self.packed.candidates(hash).filter(|record| self.is_unchanged(record));
        let mut found: Vec<_> = changed.chain(packed).filter(|record| record.is_found_by(&by)).collect();
        found.sort_unstable_by_key(|record| record.key());
        found.into_iter()
    }

    /// Adds a record, in place of one with its key.
    pub(super) fn put(&mut self, record: T) {
        let key = record.key();
        self.forget(key);
        let _all = record.each_found_by(|by| {
            self.found.insert((self.packed.hash(&by), key));
            std::ops::ControlFlow::Continue(())
        });
        self.changed.insert(key, Some(Arc::new(record)));
    }

    /// Takes a record away.
    pub(super) fn remove(&mut self, key: T::Key) {
        self.forget(key);
        // Also of one that came since: records that are being packed may have it.
        if self.changed.contains_key(&key) || self.packed.has(key) {
            self.changed.insert(key, None);
        }
    }

    /// What a changed record was found by.
    fn forget(&mut self, key: T::Key) {
        let Some(old) = self.changed.get(&key).cloned().flatten() else {
            return;
        };
        let _all = old.each_found_by(|by| {
            self.found.remove(&(self.packed.hash(&by), key));
            std::ops::ControlFlow::Continue(())
        });
    }

    fn is_unchanged(&self, record: &T) -> bool {
        !self.changed.contains_key(&record.key())
    }
}

#[cfg(test)]
impl<T: Record> Table<T> {
    /// Whether both hold the same and find the same by whatever either is found by.
    pub(super) fn finds_the_same_as(&self, other: &Self) -> bool {
        let found = |by: FoundBy<'_>| match self.find(by).eq(other.find(by)) && self.find(by).next().is_some() {
            true => std::ops::ControlFlow::Continue(()),
            false => std::ops::ControlFlow::Break(()),
        };
        let mut all = self.all().chain(other.all());
        self == other
            && all.all(|record| {
                let known = |table: &Self| table.get(record.key()).as_ref() == Some(&record);
                known(self) && known(other) && record.each_found_by(found).is_continue()
            })
    }
}

/// A table's records, packed anew.
#[derive(Debug)]
pub(super) struct Repacked<T: Record> {
    /// What the table had packed before.
    before: Arc<Packed<T>>,
    table: Table<T>,
}

impl<T: Record> Default for Table<T> {
    fn default() -> Self {
        Self {
            packed: Arc::default(),
            changed: OrdMap::new(),
            found: OrdSet::new(),
        }
    }
}

impl<T: Record> PartialEq for Table<T> {
    fn eq(&self, other: &Self) -> bool {
        self.all().eq(other.all())
    }
}

impl<T: Record> Eq for Table<T> {}

/// Two sequences in the order of keys, as one.
struct Merged<A: Iterator, B: Iterator> {
    one: std::iter::Peekable<A>,
    other: std::iter::Peekable<B>,
}

impl<T: Record, A: Iterator<Item = Arc<T>>, B: Iterator<Item = Arc<T>>> Iterator for Merged<A, B> {
    type Item = Arc<T>;

    fn next(&mut self) -> Option<Arc<T>> {
        match (self.one.peek(), self.other.peek()) {
            (Some(one), Some(other)) if other.key() < one.key() => self.other.next(),
            (Some(_), _) => self.one.next(),
            (None, _) => self.other.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        Authenticator, AuthenticatorId, AuthenticatorKind, CredentialId, GroupId, Protected, Revision, SecretHash,
        Timestamp, User, UserId, UserStatus, WebauthnKey,
    };

    fn user(number: u128, login: &str) -> User {
        User {
            id: UserId::from_random(number),
            login: login.to_owned(),
            email: String::new(),
            first_name: "ÄÖ".to_owned(),
            last_name: String::new(),
            user_type: "employee".to_owned(),
            status: UserStatus::Suspended {
                at: Timestamp::from_millis(-5),
            },
            groups: BTreeSet::from([GroupId::from_random(7)]),
            tags: std::iter::once(("site".to_owned(), BTreeSet::from(["here".to_owned()]))).collect(),
            release: None,
            created: Timestamp::from_millis(0),
            updated: Timestamp::from_millis(i64::MAX),
            version: Revision(3),
        }
    }

    fn table(users: impl IntoIterator<Item = User>) -> Table<User> {
        let mut packing = Packing::new();
        users.into_iter().for_each(|user| packing.add(user));
        Table::packed(packing)
    }

    fn logins(found: impl Iterator<Item = Arc<User>>) -> Vec<String> {
        let mut logins: Vec<_> = found.map(|user| user.login.clone()).collect();
        logins.sort();
        logins
    }

    #[test]
    fn what_was_packed_is_found_by_all_it_is_found_by() {
        let users: Vec<_> = (0..1_000)
            .map(|number| user(number * 7919, &format!("User-{number}")))
            .collect();
        let table = table(users.clone());

        for user in &users {
            assert_eq!(table.get(user.id).as_deref(), Some(user));
            let login = user.login.to_ascii_lowercase();
            assert_eq!(table.find(FoundBy::Login(&login)).count(), 1);
            assert_eq!(logins(table.find(FoundBy::Login(&login))).concat(), user.login);
        }
        assert_eq!(table.find(FoundBy::Group(GroupId::from_random(7))).count(), users.len());
        assert!(table.all().map(|user| user.id).is_sorted());
        let middle = table.all().nth(500).unwrap().id;
        assert_eq!(table.after(Some(middle)).count(), 499);
        for none in [UserId::FIRST, UserId::LAST, UserId::from_random(1)] {
            assert_eq!(table.get(none), None, "{none:?}");
        }
        assert_eq!(table.find(FoundBy::Login("nobody")).count(), 0);
    }

    #[test]
    fn of_two_with_the_same_key_the_later_one_counts() {
        let table = table([user(1, "before"), user(2, "another"), user(1, "after")]);

        assert_eq!(logins(table.all()), ["after", "another"]);
        assert_eq!(table.find(FoundBy::Login("before")).count(), 0);
    }

    #[test]
    fn what_changes_is_found_as_it_is_now_and_what_is_gone_by_nothing() {
        let before = table([user(1, "one"), user(2, "two")]);
        let mut after = before.clone();
        after.put(user(1, "uno"));
        after.put(user(3, "three"));
        after.remove(UserId::from_random(2));
        after.put(user(4, "four"));
        after.remove(UserId::from_random(4));

        assert_eq!(logins(after.all()), ["three", "uno"]);
        for (login, found) in [("one", 0), ("uno", 1), ("two", 0), ("three", 1), ("four", 0)] {
            assert_eq!(after.find(FoundBy::Login(login)).count(), found, "{login}");
        }
        assert!(after.finds_the_same_as(&table([user(1, "uno"), user(3, "three")])));
        assert_eq!(
            logins(before.all()),
            ["one", "two"],
            "control: the one before is as it was"
        );
        after.put(user(2, "two"));
        assert_eq!(
            after.get(UserId::from_random(2)).as_deref(),
            Some(&user(2, "two")),
            "back again"
        );
    }

    #[test]
    fn what_changes_while_records_are_packed_anew_is_kept() {
        let mut table = table((0..100).map(|number| user(number, &format!("user-{number}"))));
        table.put(user(1, "before"));
        table.remove(UserId::from_random(2));
        assert!(!table.is_worn(12) && !table.is_worn(2), "two of a hundred");
        (200..220).for_each(|number| table.put(user(number, &format!("user-{number}"))));
        assert!(table.is_worn(12) && !table.is_worn(22));

        let repacked = table.pack();
        table.put(user(3, "meanwhile"));
        table.put(user(2, "back"));
        table.remove(UserId::from_random(4));
        table.remove(UserId::from_random(201));
        let after = table.clone().on(repacked);

        assert!(after.finds_the_same_as(&table));
        assert!(!after.is_worn(4), "four changed since");
        let of_another = Table::default().pack();
        assert!(table.clone().on(of_another).finds_the_same_as(&table));
    }

    #[test]
    fn every_kind_of_authenticator_is_packed_as_it_is() {
        let key = WebauthnKey {
            name: "key".to_owned(),
            credential: CredentialId::from_octets(vec![0, 1, 255]).unwrap(),
            public_key: "{}".to_owned(),
            counter: 7,
            backup_eligible: true,
            backed_up: false,
            model: Some("model".to_owned()),
            attested_by: Some(crate::Fingerprint([9; 32])),
            discoverable: true,
            verifies: false,
            transports: BTreeSet::from(["usb".to_owned()]),
            last_used: Some(Timestamp::from_millis(1)),
        };
        let kinds = [
            AuthenticatorKind::Password {
                hash: Protected::new("$argon2id$".to_owned()),
            },
            AuthenticatorKind::Totp {
                secret: Protected::new("SECRET".to_owned()),
                last_step: Some(5),
                held_by: None,
            },
            AuthenticatorKind::Webauthn(Box::new(key.clone())),
            AuthenticatorKind::RecoveryCodes {
                unused: BTreeSet::from([SecretHash::of("one"), SecretHash::of("two")]),
            },
        ];
        let mut packing = Packing::new();
        let all: Vec<_> = (1..)
            .zip(kinds)
            .map(|(number, kind)| Authenticator {
                id: AuthenticatorId::from_random(number),
                user: UserId::from_random(1),
                kind,
                created: Timestamp::from_millis(1),
                updated: Timestamp::from_millis(2),
                version: Revision(1),
            })
            .collect();
        all.iter().cloned().for_each(|one| packing.add(one));
        let table = Table::packed(packing);

        for one in &all {
            assert_eq!(table.get(one.id).as_deref(), Some(one));
        }
        assert_eq!(table.find(FoundBy::Credential(&key.credential)).count(), 1);
        assert!(!format!("{table:?}").contains("SECRET"));
    }
}
