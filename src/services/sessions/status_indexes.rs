//! Draws the status list indexes of sessions: at random within a list, so that an index tells neither when nor in which
//! order people logged in (draft-ietf-oauth-status-list §12.1). The unique index of the database refuses one that
//! another session has.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use crate::{crypto::random::Random, domain::status_list::StatusPosition, store::StoreError};

/// How many indexes of one list may be taken before the next list is drawn from. In a half-full list every second draw
/// is taken; two in a row happen to one login in four, and then the next list is opened.
const TAKEN: usize = 2;

/// How many draws may be taken before something is wrong: they come from ever emptier lists.
const DRAWS: usize = 64;

/// All draws were taken.
pub(in crate::services) const NO_FREE_INDEX: StoreError = StoreError::Duplicate("index in every status list");

/// Draws status list indexes. Each process finds for itself which list has free ones.
#[derive(Debug, Clone)]
pub struct StatusIndexes {
    random: Random,
    open: Arc<AtomicU16>,
}

impl StatusIndexes {
    /// Starts with the first list.
    #[must_use]
    pub fn new(random: Random) -> Self {
        Self { random, open: Arc::default() }
    }

    /// Indexes to try for one session: go on to the next one only if the last one was taken.
    pub fn draws(&self) -> impl Iterator<Item = StatusPosition> + Send + '_ {
        let mut last = None;
        (0..DRAWS).map(move |taken| {
            let index = last.map_or_else(|| self.draw(), |last| self.draw_again(last, taken));
            last = Some(index);
            index
        })
    }

    fn draw(&self) -> StatusPosition {
        let index = u32::from_be_bytes(self.random.bytes()) % StatusPosition::LIST_LENGTH;
        StatusPosition { list: self.open.load(Ordering::Relaxed), index }
    }

    /// Another index for a session, `taken` of whose draws were taken; `last` is the last of them.
    fn draw_again(&self, last: StatusPosition, taken: usize) -> StatusPosition {
        if taken.is_multiple_of(TAKEN) {
            // One step, however many logins find the same list full at once; the second one draws from the new list.
            let next = last.list.saturating_add(1);
            let _ = self.open.compare_exchange(last.list, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        self.draw()
    }

    /// Starts again with the first list, in which sessions have been pruned since.
    pub fn start_over(&self) {
        self.open.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_list_gives_way_to_the_next_and_is_tried_again_later() {
        let indexes = StatusIndexes::new(Random);
        let mut index = indexes.draw();
        assert_eq!(index.list, 0);
        index = indexes.draw_again(index, 1);
        assert_eq!(index.list, 0);
        let other = indexes.draw_again(index, 2);
        assert_eq!(other.list, 1);
        assert_eq!(indexes.draw_again(index, 2).list, 1, "another login that found the same list full");
        assert_eq!(indexes.draw().list, 1, "it stays open for the next login");
        indexes.start_over();
        assert_eq!(indexes.draw().list, 0);
    }
}
