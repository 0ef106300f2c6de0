//! Who is connected, and who has to go when there is no room.
//!
//! The network with the most connections that wait for their peer gives one up, so that whoever opens many pushes out
//! its own. Of its connections the first to go is the oldest that never had a request answered, then the one that has
//! been idle the longest, then one whose peer is slow to take its answer. A connection whose request is being worked at
//! is not in any line.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::Notify;

/// What a connection waits for its peer with, in the order in which connections are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EvictionClass {
    /// No request was answered yet: the handshake, the header or the body is owed.
    Unproven,
    /// A request was answered; the next one is not whole.
    Idle,
    /// The answer is there, and the peer is slow to take it.
    Slow,
}

/// A place in the line of one network. The number grows with time and is nobody else's.
type EvictionKey = (EvictionClass, u64);

/// All who are connected. Each operation takes logarithmic time.
#[derive(Debug, Default)]
pub(super) struct ConnectionTable {
    numbers: AtomicU64,
    lines: Mutex<TableState>,
}

#[derive(Debug, Default)]
struct TableState {
    /// Everyone who may be asked to go, a network's line in one piece.
    waiting: BTreeMap<(Network, EvictionKey), Arc<Notify>>,
    networks: HashMap<Network, NetworkQueue>,
    /// The next to give up a connection is last: its line is the longest, and among equals has the earliest turn.
    ranking: BTreeSet<(NetworkQueue, Network)>,
}

/// How many of a network wait, and who is the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct NetworkQueue {
    length: usize,
    first: Reverse<EvictionKey>,
}

/// A connection on the roster, until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionHandle {
    table: Arc<ConnectionTable>,
    network: Network,
    number: u64,
    class: Option<EvictionClass>,
    asked: Arc<Notify>,
}

/// What one customer of the net usually has to itself: an IPv4 address, or the first 64 bits of an IPv6 one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Network(IpAddr);

impl Network {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

impl ConnectionTable {
    /// A connection that `peer` has just opened.
    pub(super) fn register(self: &Arc<Self>, peer: IpAddr) -> ConnectionHandle {
        let mut handle = ConnectionHandle {
            table: Arc::clone(self),
            network: Network::of(peer),
            number: self.next_number(),
            class: None,
            asked: Arc::default(),
        };
        handle.classify(Some(EvictionClass::Unproven));
        handle
    }

    /// Asks the next one to go, and says whether there was any. Whoever was asked has left the line, and comes back to
    /// it when it began to work in the meantime.
    pub(super) fn evict_one(&self) -> bool {
        let mut lines = self.lines();
        let Some((NetworkQueue { first: Reverse(turn), .. }, network)) = lines.ranking.last().copied() else {
            return false;
        };
        let Some(asked) = lines.remove(network, turn) else { return false };
        asked.notify_one();
        true
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn lines(&self) -> MutexGuard<'_, TableState> {
        // Nothing in here panics; and a connection too few in a line is no reason to stop serving.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TableState {
    fn insert(&mut self, network: Network, turn: EvictionKey, asked: Arc<Notify>) {
        if self.waiting.insert((network, turn), asked).is_none() {
            self.rank(network, self.length(network) + 1);
        }
    }

    fn remove(&mut self, network: Network, turn: EvictionKey) -> Option<Arc<Notify>> {
        let asked = self.waiting.remove(&(network, turn))?;
        self.rank(network, self.length(network) - 1);
        Some(asked)
    }

    fn length(&self, network: Network) -> usize {
        self.networks.get(&network).map_or(0, |line| line.length)
    }

    fn rank(&mut self, network: Network, length: usize) {
        let new = self.first(network).map(|first| NetworkQueue { length, first: Reverse(first) });
        let old = match new {
            Some(line) => self.networks.insert(network, line),
            None => self.networks.remove(&network),
        };
        if let Some(old) = old {
            self.ranking.remove(&(old, network));
        }
        if let Some(new) = new {
            self.ranking.insert((new, network));
        }
    }

    fn first(&self, network: Network) -> Option<EvictionKey> {
        let (&(of, turn), _) = self.waiting.range((network, (EvictionClass::Unproven, 0))..).next()?;
        (of == network).then_some(turn)
    }
}

impl ConnectionHandle {
    /// Takes its place among those who stand so; with `None` it leaves the line.
    pub(super) fn classify(&mut self, class: Option<EvictionClass>) {
        if class == self.class {
            return;
        }
        let mut lines = self.table.lines();
        if let Some(old) = self.class {
            lines.remove(self.network, (old, self.number));
        }
        if let Some(new) = class {
            lines.insert(self.network, (new, self.number), Arc::clone(&self.asked));
        }
        drop(lines);
        self.class = class;
    }

    /// Leaves the line, and will be the youngest in it when it comes back.
    pub(super) fn touch(&mut self) {
        self.classify(None);
        self.number = self.table.next_number();
    }

    /// Whether it may be asked to go.
    pub(super) fn is_evictable(&self) -> bool {
        self.class.is_some()
    }

    /// Is notified when it is asked to go.
    pub(super) fn asked(&self) -> Arc<Notify> {
        Arc::clone(&self.asked)
    }
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        self.classify(None);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const ATTACKER: [u8; 4] = [192, 0, 2, 1];
    const OTHER: [u8; 4] = [198, 51, 100, 7];

    fn was_asked(handle: &ConnectionHandle) -> bool {
        let lines = handle.table.lines();
        handle.class.is_some_and(|class| !lines.waiting.contains_key(&(handle.network, (class, handle.number))))
    }

    /// Which of these are asked to go, in turn, until nobody is left.
    fn order(table: &ConnectionTable, members: &[&ConnectionHandle]) -> Vec<usize> {
        let mut order = Vec::new();
        while table.evict_one() {
            order.extend(
                (0..members.len()).filter(|n| was_asked(members[*n]) && !order.contains(n)).collect::<Vec<_>>(),
            );
        }
        order
    }

    fn class(table: &Arc<ConnectionTable>, from: [u8; 4], class: Option<EvictionClass>) -> ConnectionHandle {
        let mut handle = table.register(from.into());
        handle.classify(class);
        handle
    }

    #[test]
    fn of_one_network_the_unproven_go_first_then_the_idle_then_the_slow() {
        let table = Arc::default();
        let slow = class(&table, OTHER, Some(EvictionClass::Slow));
        let idle = class(&table, OTHER, Some(EvictionClass::Idle));
        let working = class(&table, OTHER, None);
        let unproven = class(&table, OTHER, Some(EvictionClass::Unproven));
        assert_eq!(order(&table, &[&slow, &idle, &working, &unproven]), [3, 1, 0]);
    }

    #[test]
    fn among_equals_the_oldest_goes_first_and_an_answer_makes_young() {
        let table = Arc::default();
        let [mut first, second, third] = [(); 3].map(|()| class(&table, OTHER, Some(EvictionClass::Idle)));
        first.touch();
        first.classify(Some(EvictionClass::Idle));
        assert_eq!(order(&table, &[&first, &second, &third]), [1, 2, 0]);
    }

    #[test]
    fn a_network_that_holds_many_gives_up_its_own() {
        let table = Arc::default();
        let lone = class(&table, OTHER, Some(EvictionClass::Unproven));
        let crowd: Vec<_> = (0..50).map(|_| class(&table, ATTACKER, Some(EvictionClass::Idle))).collect();
        for _ in 0..49 {
            assert!(table.evict_one());
        }
        assert!(!was_asked(&lone));
        assert_eq!(crowd.iter().filter(|handle| was_asked(handle)).count(), 49);
        // One each: now the unproven one goes first.
        assert!(table.evict_one());
        assert!(was_asked(&lone));
    }

    #[test]
    fn networks_with_equally_many_give_up_in_turn() {
        let table = Arc::default();
        let members: Vec<_> =
            (1..=4).map(|host| class(&table, [203, 0, 113, host], Some(EvictionClass::Unproven))).collect();
        assert_eq!(order(&table, &members.iter().collect::<Vec<_>>()), [0, 1, 2, 3]);
    }

    #[test]
    fn one_house_is_one_network() {
        let network = |address: &str| Network::of(address.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }

    #[test]
    fn nobody_is_asked_twice_for_the_same_and_the_gone_are_not_asked() {
        let table = Arc::default();
        let gone = class(&table, OTHER, Some(EvictionClass::Idle));
        drop(gone);
        assert!(!table.evict_one());
        let _member = class(&table, OTHER, Some(EvictionClass::Idle));
        assert!(table.evict_one());
        assert!(!table.evict_one());
    }

    proptest! {
        /// Whatever happens, the lists agree with one another, and the victim is one of the largest network's.
        #[test]
        fn the_lists_agree(steps in prop::collection::vec((0..6_usize, 0..4_u8, 0..3_u8), 0..200)) {
            let table: Arc<ConnectionTable> = Arc::default();
            let mut members: Vec<ConnectionHandle> = Vec::new();
            for (what, host, how) in steps {
                let at = usize::from(host * 3 + how) % members.len().max(1);
                let how = [None, Some(EvictionClass::Idle), Some(EvictionClass::Slow)][usize::from(how)];
                match what {
                    0 | 1 => members.push(table.register([203, 0, 113, host].into())),
                    2 if !members.is_empty() => members[at].classify(how),
                    3 if !members.is_empty() => members[at].touch(),
                    4 if !members.is_empty() => drop(members.swap_remove(at)),
                    5 => {
                        let lengths: Vec<usize> = table.lines().networks.values().map(|line| line.length).collect();
                        let largest = lengths.iter().max().copied();
                        let chosen = table.lines().ranking.last().map(|(line, _)| line.length);
                        prop_assert_eq!(chosen, largest);
                        prop_assert_eq!(table.evict_one(), largest.is_some());
                    }
                    _ => {}
                }
                let lines = table.lines();
                let total: usize = lines.networks.values().map(|line| line.length).sum();
                prop_assert_eq!(total, lines.waiting.len());
                let present: HashSet<_> = lines.waiting.keys().map(|(network, _)| *network).collect();
                prop_assert_eq!(present.len(), lines.networks.len());
                prop_assert_eq!(lines.ranking.len(), lines.networks.len());
                for (network, line) in &lines.networks {
                    prop_assert!(lines.ranking.contains(&(*line, *network)));
                    prop_assert_eq!(lines.first(*network), Some(line.first.0));
                }
            }
            drop(members);
            prop_assert!(table.lines().waiting.is_empty() && table.lines().networks.is_empty());
        }
    }
}
