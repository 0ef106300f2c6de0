//! The cost of a failed password check.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use crate::crypto::password::parameters::HashParameters;

/// The parameters of every hash that may be stored. A failed check computes one hash with each of them, whatever the
/// account's own has: otherwise, after a change of the configured parameters, the time would tell which names have an
/// account. Clones share the set.
#[derive(Debug, Clone)]
pub(super) struct HashCosts {
    current: HashParameters,
    known: Arc<RwLock<BTreeSet<HashParameters>>>,
}

impl HashCosts {
    /// Knows the `current` parameters alone.
    pub(super) fn new(current: HashParameters) -> Self {
        Self { current, known: Arc::new(RwLock::new(BTreeSet::from([current]))) }
    }

    /// Adds the parameters of a stored hash.
    pub(super) fn learn(&self, parameters: HashParameters) {
        if !self.known.read().unwrap_or_else(PoisonError::into_inner).contains(&parameters) {
            self.known.write().unwrap_or_else(PoisonError::into_inner).insert(parameters);
        }
    }

    /// Replaces everything but the current parameters.
    pub(super) fn replace(&self, stored: impl IntoIterator<Item = HashParameters>) {
        let stored = stored.into_iter().chain([self.current]).collect();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = stored;
    }

    /// Everything but `spent`.
    pub(super) fn without(&self, spent: HashParameters) -> Vec<HashParameters> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().copied().filter(|parameters| *parameters != spent).collect()
    }
}
