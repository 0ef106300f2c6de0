//! The open connections, and the order in which they are evicted at the limit.
//!
//! The threat: one network holds every connection, so that no other client can connect (slowloris, spread below the
//! deadlines of each connection). At the largest limit, 10,000 connections, 134 new ones a second are enough, if each
//! sends one cheap request and then stays idle for 75 s. Slow bodies and slowly read answers do the same. The test
//! `a_network_with_many_connections_evicts_its_own` in `tests/eviction.rs` shows it, and `tests/stories/connections.rs`
//! shows it with 2,000 connections against the whole service.
//!
//! A plain limit with a deadline for the first byte does not answer this threat. The attacker sends the first byte, and
//! the limit itself then keeps everyone else out. A fixed limit for each network would also refuse honest clients,
//! because all clients of one proxy share one network. So nothing is refused before the limit is reached.
//!
//! At the limit, the network with the most evictable connections loses one, so an attacker evicts its own connections.
//! Within a network the order is [`EvictionClass`], then the age. A connection is never evicted while the service works
//! on its request.

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

/// Why a connection waits for its peer, in the order of eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EvictionClass {
    /// No request was answered yet: the handshake, the header or the body is incomplete.
    Unproven,
    /// A request was answered, and the next one is incomplete.
    Idle,
    /// The peer is slow to read an answer.
    Slow,
}

/// The eviction order within one network. The number is unique and grows with time.
type EvictionKey = (EvictionClass, u64);

/// All open connections. Each operation takes logarithmic time.
#[derive(Debug, Default)]
pub(super) struct ConnectionTable {
    next_number: AtomicU64,
    state: Mutex<TableState>,
}

#[derive(Debug, Default)]
struct TableState {
    /// Every connection that may be evicted, ordered by network and then by eviction order.
    evictable: BTreeMap<(Network, EvictionKey), Arc<Notify>>,
    networks: HashMap<Network, NetworkQueue>,
    /// The network that loses the next connection is last. Among networks with equally many, it has the smallest key.
    ranking: BTreeSet<(NetworkQueue, Network)>,
}

/// How many evictable connections a network has, and the key of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct NetworkQueue {
    length: usize,
    first: Reverse<EvictionKey>,
}

/// A connection's entry in the table. Dropping it removes the entry.
#[derive(Debug)]
pub(super) struct ConnectionHandle {
    table: Arc<ConnectionTable>,
    network: Network,
    number: u64,
    class: Option<EvictionClass>,
    eviction: Arc<Notify>,
}

/// The addresses that one customer of a provider usually has: an IPv4 address, or the first 64 bits of an IPv6 address.
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
    /// Adds a connection that `peer` has just opened, as [`EvictionClass::Unproven`].
    pub(super) fn register(self: &Arc<Self>, peer: IpAddr) -> ConnectionHandle {
        let mut handle = ConnectionHandle {
            table: Arc::clone(self),
            network: Network::of(peer),
            number: self.next_number(),
            class: None,
            eviction: Arc::default(),
        };
        handle.classify(Some(EvictionClass::Unproven));
        handle
    }

    /// Notifies the next connection that it is evicted. Returns false if none is evictable.
    ///
    /// The connection leaves the order of eviction at once. If it began to work on a request in the meantime, it stays
    /// open and is evictable again afterwards.
    pub(super) fn evict_one(&self) -> bool {
        let mut state = self.state();
        let Some((NetworkQueue { first: Reverse(key), .. }, network)) = state.ranking.last().copied() else {
            return false;
        };
        let Some(eviction) = state.remove(network, key) else { return false };
        eviction.notify_one();
        true
    }

    fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, TableState> {
        // Nothing in here panics, and a connection that is missing in the order is no reason to stop serving.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TableState {
    fn insert(&mut self, network: Network, key: EvictionKey, eviction: Arc<Notify>) {
        if self.evictable.insert((network, key), eviction).is_none() {
            self.rank(network, self.length(network) + 1);
        }
    }

    fn remove(&mut self, network: Network, key: EvictionKey) -> Option<Arc<Notify>> {
        let eviction = self.evictable.remove(&(network, key))?;
        self.rank(network, self.length(network) - 1);
        Some(eviction)
    }

    fn length(&self, network: Network) -> usize {
        self.networks.get(&network).map_or(0, |queue| queue.length)
    }

    fn rank(&mut self, network: Network, length: usize) {
        let new = self.first(network).map(|first| NetworkQueue { length, first: Reverse(first) });
        let old = match new {
            Some(queue) => self.networks.insert(network, queue),
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
        let (&(of, key), _) = self.evictable.range((network, (EvictionClass::Unproven, 0))..).next()?;
        (of == network).then_some(key)
    }
}

impl ConnectionHandle {
    /// Sets the class; with `None` the connection cannot be evicted.
    pub(super) fn classify(&mut self, class: Option<EvictionClass>) {
        if class == self.class {
            return;
        }
        let mut state = self.table.state();
        if let Some(old) = self.class {
            state.remove(self.network, (old, self.number));
        }
        if let Some(new) = class {
            state.insert(self.network, (new, self.number), Arc::clone(&self.eviction));
        }
        drop(state);
        self.class = class;
    }

    /// Makes the connection the youngest, and not evictable until the next [`Self::classify`].
    pub(super) fn touch(&mut self) {
        self.classify(None);
        self.number = self.table.next_number();
    }

    /// Whether the connection may be evicted.
    pub(super) fn is_evictable(&self) -> bool {
        self.class.is_some()
    }

    /// Is notified when the connection is evicted.
    pub(super) fn eviction(&self) -> Arc<Notify> {
        Arc::clone(&self.eviction)
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

    fn was_evicted(handle: &ConnectionHandle) -> bool {
        let state = handle.table.state();
        handle.class.is_some_and(|class| !state.evictable.contains_key(&(handle.network, (class, handle.number))))
    }

    /// The order in which these are evicted, until none is left.
    fn order(table: &ConnectionTable, handles: &[&ConnectionHandle]) -> Vec<usize> {
        let mut order = Vec::new();
        while table.evict_one() {
            order.extend(
                (0..handles.len()).filter(|n| was_evicted(handles[*n]) && !order.contains(n)).collect::<Vec<_>>(),
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
    fn within_a_class_the_oldest_goes_first_and_an_answer_makes_it_the_youngest() {
        let table = Arc::default();
        let [mut first, second, third] = [(); 3].map(|()| class(&table, OTHER, Some(EvictionClass::Idle)));
        first.touch();
        first.classify(Some(EvictionClass::Idle));
        assert_eq!(order(&table, &[&first, &second, &third]), [1, 2, 0]);
    }

    #[test]
    fn a_network_with_many_connections_evicts_its_own() {
        let table = Arc::default();
        let lone = class(&table, OTHER, Some(EvictionClass::Unproven));
        let crowd: Vec<_> = (0..50).map(|_| class(&table, ATTACKER, Some(EvictionClass::Idle))).collect();
        for _ in 0..49 {
            assert!(table.evict_one());
        }
        assert!(!was_evicted(&lone));
        assert_eq!(crowd.iter().filter(|handle| was_evicted(handle)).count(), 49);
        // One each: now the unproven one goes first.
        assert!(table.evict_one());
        assert!(was_evicted(&lone));
    }

    #[test]
    fn among_networks_with_equally_many_the_oldest_connection_goes_first() {
        let table = Arc::default();
        let handles: Vec<_> =
            (1..=4).map(|host| class(&table, [203, 0, 113, host], Some(EvictionClass::Unproven))).collect();
        assert_eq!(order(&table, &handles.iter().collect::<Vec<_>>()), [0, 1, 2, 3]);
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_network() {
        let network = |address: &str| Network::of(address.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }

    #[test]
    fn a_connection_is_evicted_once_and_never_after_it_is_closed() {
        let table = Arc::default();
        let gone = class(&table, OTHER, Some(EvictionClass::Idle));
        drop(gone);
        assert!(!table.evict_one());
        let _open = class(&table, OTHER, Some(EvictionClass::Idle));
        assert!(table.evict_one());
        assert!(!table.evict_one());
    }

    proptest! {
        /// After every step the indexes agree, and the evicted connection belongs to a network with the most.
        #[test]
        fn the_indexes_agree(steps in prop::collection::vec((0..6_usize, 0..4_u8, 0..3_u8), 0..200)) {
            let table: Arc<ConnectionTable> = Arc::default();
            let mut handles: Vec<ConnectionHandle> = Vec::new();
            for (what, host, how) in steps {
                let at = usize::from(host * 3 + how) % handles.len().max(1);
                let how = [None, Some(EvictionClass::Idle), Some(EvictionClass::Slow)][usize::from(how)];
                match what {
                    0 | 1 => handles.push(table.register([203, 0, 113, host].into())),
                    2 if !handles.is_empty() => handles[at].classify(how),
                    3 if !handles.is_empty() => handles[at].touch(),
                    4 if !handles.is_empty() => drop(handles.swap_remove(at)),
                    5 => {
                        let lengths: Vec<usize> = table.state().networks.values().map(|queue| queue.length).collect();
                        let largest = lengths.iter().max().copied();
                        let chosen = table.state().ranking.last().map(|(queue, _)| queue.length);
                        prop_assert_eq!(chosen, largest);
                        prop_assert_eq!(table.evict_one(), largest.is_some());
                    }
                    _ => {}
                }
                let state = table.state();
                let total: usize = state.networks.values().map(|queue| queue.length).sum();
                prop_assert_eq!(total, state.evictable.len());
                let present: HashSet<_> = state.evictable.keys().map(|(network, _)| *network).collect();
                prop_assert_eq!(present.len(), state.networks.len());
                prop_assert_eq!(state.ranking.len(), state.networks.len());
                for (network, queue) in &state.networks {
                    prop_assert!(state.ranking.contains(&(*queue, *network)));
                    prop_assert_eq!(state.first(*network), Some(queue.first.0));
                }
            }
            drop(handles);
            prop_assert!(table.state().evictable.is_empty() && table.state().networks.is_empty());
        }
    }
}
