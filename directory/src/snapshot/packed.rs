//! How do a million records lie in memory? One behind the other, in as few octets as say what they are.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use borsh::{BorshDeserialize, BorshSerialize};
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::records::{FoundBy, Record};

/// Records that do not change any more. Those in use are kept unpacked beside.
pub(super) struct Packed<T: Record> {
    octets: Octets,
    /// Where each record begins, by key.
    places: Box<[u32]>,
    /// What each is found by, as a hash, and the place of its place.
    found: Box<[(u32, u32)]>,
    hasher: RandomState,
    unpacked: Cache<T::Key, Arc<T>, UnitWeighter, foldhash::fast::RandomState>,
}

/// Records that are being packed.
pub(super) struct Packing<T> {
    octets: Octets,
    /// The record that is being packed.
    packed: Vec<u8>,
    places: Vec<Entry>,
    found: Vec<(u32, u32)>,
    hasher: RandomState,
    /// Those that found no room.
    left: Vec<T>,
}

/// A record that was packed.
struct Entry {
    /// The first octets of its key, to sort by.
    begins: u64,
    place: u32,
    /// How many were packed before it.
    number: u32,
}

impl<T: Record> Packing<T> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self {
            octets: Octets::default(),
            packed: Vec::new(),
            places: Vec::new(),
            found: Vec::new(),
            hasher: RandomState::new(),
            left: Vec::new(),
        }
    }

    /// Packs one more; of two with the same key the later one counts.
    pub(super) fn add(&mut self, record: T) {
        self.packed.clear();
        let written = record.serialize(&mut self.packed).ok();
        let place = written.and_then(|()| self.octets.add(&self.packed));
        let (Some(place), Ok(number)) = (place, u32::try_from(self.places.len())) else {
            self.left.push(record);
            return;
        };
        let begins = self.packed.first_chunk();
        let begins = begins.map_or(0, |octets| u64::from_be_bytes(*octets));
        self.places.push(Entry { begins, place, number });
        let Self { found, hasher, .. } = self;
        let _all = record.each_found_by(|by| {
            found.push((hash(hasher, &by), number));
            std::ops::ControlFlow::Continue(())
        });
    }

    /// The packed records, and those that found no room.
    pub(super) fn finish(self) -> (Packed<T>, Vec<T>) {
        let Self {
            octets,
            mut places,
            mut found,
            hasher,
            left,
            packed: _,
        } = self;
        let key = |entry: &Entry| key_at::<T>(&octets, entry.place);
        places.sort_unstable_by(|one, other| {
            let order = one.begins.cmp(&other.begins).then_with(|| key(one).cmp(key(other)));
            order.then(other.number.cmp(&one.number))
        });
        let mut ranks = vec![GONE; places.len()];
        places.dedup_by(|one, other| one.begins == other.begins && key(one) == key(other));
        for (rank, entry) in (0..).zip(&places) {
            if let Some(slot) = ranks.get_mut(entry.number as usize) {
                *slot = rank;
            }
        }
        found.retain_mut(|(_, record)| {
            *record = ranks.get(*record as usize).copied().unwrap_or(GONE);
            *record != GONE
        });
        found.sort_unstable();
        found.dedup();
        let packed = Packed {
            places: places.iter().map(|entry| entry.place).collect(),
            octets,
            found: found.into_boxed_slice(),
            hasher,
            unpacked: Cache::with(
                IN_USE.min(places.len()),
                IN_USE as u64,
                UnitWeighter,
                foldhash::fast::RandomState::default(),
                DefaultLifecycle::default(),
            ),
        };
        (packed, left)
    }
}

impl<T: Record> Packed<T> {
    /// What hashes what records are found by.
    pub(super) fn hash(&self, by: &FoundBy<'_>) -> u32 {
        hash(&self.hasher, by)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The record with this key.
    pub(super) fn get(&self, key: T::Key) -> Option<Arc<T>> {
        if let Some(record) = self.unpacked.get(&key) {
            return Some(record);
        }
        let record = Arc::new(self.unpack(self.place(key)?)?);
        self.unpacked.insert(key, record.clone());
        Some(record)
    }

    /// Whether there is one with this key.
    pub(super) fn has(&self, key: T::Key) -> bool {
        self.place(key).is_some()
    }

    /// Those that may be found by what has this hash, and a few others.
    pub(super) fn candidates(&self, hash: u32) -> impl Iterator<Item = Arc<T>> {
        let begin = self.found.partition_point(|(other, _)| *other < hash);
        let found = self.found.get(begin..).unwrap_or_default().iter();
        found
            .take_while(move |(other, _)| *other == hash)
            .filter_map(|(_, rank)| self.get(self.key(*rank)?))
    }

    /// All after this key, or all, by key.
    pub(super) fn after(&self, key: Option<T::Key>) -> impl Iterator<Item = Arc<T>> {
        let wanted = key.and_then(|key| PackedKey::of::<T>(key));
        let begin = wanted.map_or(0, |wanted| {
            self.places
                .partition_point(|place| key_at::<T>(&self.octets, *place) <= wanted.octets())
        });
        let places = self.places.get(begin..).unwrap_or_default().iter();
        // Whoever looks at all of them must not push out those in use.
        places.filter_map(|place| self.unpack(*place)).map(Arc::new)
    }

    fn place(&self, key: T::Key) -> Option<u32> {
        let wanted = PackedKey::of::<T>(key)?;
        let found = self
            .places
            .binary_search_by(|place| key_at::<T>(&self.octets, *place).cmp(wanted.octets()));
        found.ok().and_then(|rank| self.places.get(rank)).copied()
    }

    fn key(&self, rank: u32) -> Option<T::Key> {
        let place = self.places.get(rank as usize)?;
        T::Key::deserialize(&mut key_at::<T>(&self.octets, *place)).ok()
    }

    fn unpack(&self, place: u32) -> Option<T> {
        // INVARIANT: what was packed unpacks.
        T::deserialize(&mut self.octets.at(place)?).ok()
    }
}

impl<T: Record> Default for Packed<T> {
    fn default() -> Self {
        Packing::new().finish().0
    }
}

impl<T: Record> fmt::Debug for Packed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records", self.places.len())
    }
}

/// A key as it is packed: octets that sort as keys do.
pub(super) trait Key:
    Copy + Ord + std::hash::Hash + fmt::Debug + BorshSerialize + BorshDeserialize + Send + Sync + 'static
{
    /// Sorts before every other.
    const FIRST: Self;
    /// Sorts after every other.
    const LAST: Self;
    /// How many octets it has.
    const OCTETS: usize;
}

/// A key as records begin with it.
struct PackedKey {
    octets: [u8; MOST_OCTETS],
    length: usize,
}

impl PackedKey {
    /// Nothing where no record can have it.
    fn of<T: Record>(key: T::Key) -> Option<Self> {
        let mut octets = [0; MOST_OCTETS];
        key.serialize(&mut octets.as_mut_slice()).ok()?;
        let length = T::Key::OCTETS;
        Some(Self { octets, length })
    }

    fn octets(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }
}

/// How many octets keys have at most.
const MOST_OCTETS: usize = 32;

fn key_at<T: Record>(octets: &Octets, place: u32) -> &[u8] {
    let record = octets.at(place).unwrap_or_default();
    record.get(..T::Key::OCTETS).unwrap_or_default()
}

/// Records one behind the other, in pieces, so that nothing has to be moved where there are more of them.
#[derive(Default)]
struct Octets(Vec<Vec<u8>>);

impl Octets {
    /// Adds a record; nothing where there is no room for it.
    fn add(&mut self, record: &[u8]) -> Option<u32> {
        let has_room = |piece: &Vec<u8>| piece.len() + record.len() <= PIECE;
        if !self.0.last().is_some_and(has_room) {
            self.0.push(Vec::with_capacity(PIECE));
        }
        let piece = self.0.len().checked_sub(1)?;
        let place = u32::try_from(piece.checked_mul(PIECE)? + self.0.get(piece)?.len()).ok()?;
        let last = self.0.get_mut(piece).filter(|piece| has_room(piece))?;
        last.extend_from_slice(record);
        Some(place)
    }

    /// What begins at this place.
    fn at(&self, place: u32) -> Option<&[u8]> {
        let place = place as usize;
        self.0.get(place / PIECE)?.get(place % PIECE..)
    }
}

/// How large a piece is, in octets.
const PIECE: usize = 1 << 20;

fn hash(hasher: &RandomState, by: &FoundBy<'_>) -> u32 {
    // Half of it takes half of the room; what it leads to is compared.
    let [.., a, b, c, d] = hasher.hash_one(by).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// Stands for a record that a later one with its key replaced.
const GONE: u32 = u32::MAX;

/// How many records of a kind are kept unpacked.
const IN_USE: usize = 10_000;
