//! Draws sessions' places in the status lists: at random within a list, so that a place says nothing of when or in
//! which order people logged in (draft-ietf-oauth-status-list §12.1), and never one that another session still has,
//! which the unique index decides.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use crate::{crypto::random::Random, domain::status_list::StatusPosition};

/// How many places of one list may turn out taken before the next list is drawn from. A list that is half full costs
/// one draw in two; two in a row happen to one log-in in four, and then the next list is opened.
const TAKEN: usize = 2;

/// Draws places. Each process finds for itself which list has room.
#[derive(Debug, Clone)]
pub struct StatusPlaces {
    random: Random,
    open: Arc<AtomicU16>,
}

impl StatusPlaces {
    /// Begins with the first list.
    #[must_use]
    pub fn new(random: Random) -> Self {
        Self { random, open: Arc::default() }
    }

    /// A place for a session.
    #[must_use]
    pub fn draw(&self) -> StatusPosition {
        let index = u32::from_be_bytes(self.random.bytes()) % StatusPosition::LIST_LENGTH;
        StatusPosition { list: self.open.load(Ordering::Relaxed), index }
    }

    /// Another place for a session, of whose draws `taken` have turned out taken, `last` being the last.
    #[must_use]
    pub fn draw_again(&self, last: StatusPosition, taken: usize) -> StatusPosition {
        if taken.is_multiple_of(TAKEN) {
            // One step, however many log-ins find the same list full at once; who comes second draws from the new one.
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
        let places = StatusPlaces::new(Random);
        let mut place = places.draw();
        assert_eq!(place.list, 0);
        place = places.draw_again(place, 1);
        assert_eq!(place.list, 0);
        let other = places.draw_again(place, 2);
        assert_eq!(other.list, 1);
        assert_eq!(places.draw_again(place, 2).list, 1, "another log-in that found the same list full");
        assert_eq!(places.draw().list, 1, "it stays open for the next log-in");
        places.start_over();
        assert_eq!(places.draw().list, 0);
    }
}
