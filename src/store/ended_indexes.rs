//! The bits of status lists, kept up to date as sessions end: a list's next token is made of its own bits, without a
//! look at any other list.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::domain::status_list::StatusPosition;

/// The bits of every list in which a session has ended. Each bit is cleared when its time is over.
#[derive(Debug, Clone)]
pub struct EndedIndexes {
    born: Instant,
    lists: Arc<Mutex<Lists>>,
}

#[derive(Debug, Default)]
struct Lists {
    by_number: HashMap<u16, List>,
    /// The last version that a list was given. No two states of a list have the same.
    version: u64,
}

/// One list. Times are whole seconds since the process started, rounded up.
#[derive(Debug)]
struct List {
    version: u64,
    bits: Vec<u8>,
    /// Until when each bit stays set.
    until: HashMap<u32, u64>,
    /// The bits whose time is over at that second, unless they were set again meanwhile.
    expiring: BTreeMap<u64, Vec<u32>>,
}

/// The bits of a list at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListState {
    /// Another one for every change; 0 for a list in which nothing has ended.
    pub version: u64,
    /// One bit an index, least significant first; empty where none is set.
    pub bits: Vec<u8>,
}

impl Default for EndedIndexes {
    fn default() -> Self {
        Self { born: Instant::now(), lists: Arc::default() }
    }
}

impl EndedIndexes {
    /// Sets the bit of a session that has ended, for `lifetime` from now on.
    pub fn set(&self, at: StatusPosition, lifetime: Duration) {
        let until = (self.born.elapsed() + lifetime).as_secs() + 1;
        let mut lists = self.lists();
        let version = lists.version + 1;
        if lists.by_number.entry(at.list).or_insert_with(List::empty).set(at.index, until, version) {
            lists.version = version;
        }
    }

    /// The state of a list; `None` if its version is still `known`. It takes no longer for other lists.
    #[must_use]
    pub fn state(&self, number: u16, known: Option<u64>) -> Option<ListState> {
        let now = self.born.elapsed().as_secs();
        let mut lists = self.lists();
        let version = lists.version + 1;
        if lists.by_number.get_mut(&number).is_some_and(|list| list.clear(now, version)) {
            lists.version = version;
        }
        let list = lists.by_number.get(&number);
        if list.is_some_and(|list| list.until.is_empty()) {
            lists.by_number.remove(&number);
        }
        let state = match lists.by_number.get(&number) {
            Some(list) if known == Some(list.version) => return None,
            Some(list) => ListState { version: list.version, bits: list.bits.clone() },
            None if known == Some(0) => return None,
            None => ListState { version: 0, bits: Vec::new() },
        };
        Some(state)
    }

    fn lists(&self) -> std::sync::MutexGuard<'_, Lists> {
        // No holder of the lock leaves the lists in a broken state.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    fn empty() -> Self {
        Self {
            version: 0,
            bits: vec![0; StatusPosition::LIST_LENGTH as usize / 8],
            until: HashMap::new(),
            expiring: BTreeMap::new(),
        }
    }

    /// Returns whether a bit changed.
    fn set(&mut self, index: u32, until: u64, version: u64) -> bool {
        let Some(byte) = self.bits.get_mut(index as usize / 8) else { return false };
        let bit = 1 << (index % 8);
        if self.until.get(&index).is_none_or(|known| *known < until) {
            self.until.insert(index, until);
            self.expiring.entry(until).or_default().push(index);
        }
        let is_new = *byte & bit == 0;
        *byte |= bit;
        if is_new {
            self.version = version;
        }
        is_new
    }

    /// Clears the bits whose time is over. Returns whether there were any.
    fn clear(&mut self, now: u64, version: u64) -> bool {
        let later = self.expiring.split_off(&(now + 1));
        let mut changed = false;
        for index in std::mem::replace(&mut self.expiring, later).into_values().flatten() {
            if self.until.get(&index).is_some_and(|until| *until <= now) {
                self.until.remove(&index);
                self.bits[index as usize / 8] &= !(1 << (index % 8));
                changed = true;
            }
        }
        if changed {
            self.version = version;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(list: u16, index: u32) -> StatusPosition {
        StatusPosition { list, index }
    }

    fn indexes(bits: &[u8]) -> Vec<usize> {
        (0..bits.len() * 8).filter(|index| bits[index / 8] & (1 << (index % 8)) != 0).collect()
    }

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_list_has_its_own_bits_and_a_new_version_for_each_change() {
        let ended = EndedIndexes::default();
        assert_eq!(ended.state(3, None), Some(ListState { version: 0, bits: Vec::new() }));
        assert_eq!(ended.state(3, Some(0)), None);
        ended.set(at(3, 7), HOUR);
        ended.set(at(4, 8), HOUR);
        let first = ended.state(3, Some(0)).expect("it changed");
        assert_eq!(indexes(&first.bits), [7]);
        assert_eq!(ended.state(3, Some(first.version)), None, "another list's end changes nothing here");
        ended.set(at(3, 7), HOUR);
        assert_eq!(ended.state(3, Some(first.version)), None, "an end that was known already");
        ended.set(at(3, 1_048_575), HOUR);
        let second = ended.state(3, Some(first.version)).expect("it changed");
        assert_eq!(indexes(&second.bits), [7, 1_048_575]);
        assert_ne!(first.version, second.version);
        ended.set(at(3, 1_048_576), HOUR);
        assert_eq!(ended.state(3, Some(second.version)), None, "no list is so long");
    }

    #[test]
    fn a_bit_is_cleared_when_its_time_is_over_and_not_before() {
        let mut list = List::empty();
        assert!(list.set(7, 10, 1) && list.set(8, 10, 2) && !list.set(8, 20, 3));
        assert!(!list.clear(9, 4));
        assert!(list.clear(10, 5));
        assert_eq!((indexes(&list.bits), list.version), (vec![8], 5));
        assert!(!list.clear(19, 6) && list.clear(20, 7));
        assert!(list.until.is_empty() && list.expiring.is_empty() && indexes(&list.bits).is_empty());
    }

    #[test]
    fn a_list_that_is_empty_again_is_forgotten() {
        let ended = EndedIndexes::default();
        ended.set(at(0, 7), HOUR);
        let set = ended.state(0, None).expect("new");
        {
            let mut lists = ended.lists();
            let list = lists.by_number.get_mut(&0).expect("it is there");
            *list = List::empty();
            list.set(7, 0, 9);
        }
        let state = ended.state(0, Some(set.version)).expect("it changed");
        assert!(state.version == 0 && state.bits.is_empty());
        assert!(ended.lists().by_number.is_empty());
    }
}
