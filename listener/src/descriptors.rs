//! How many connections the process can hold: each takes a file descriptor, and other things need some too.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most connections, however high the limit of descriptors is. Measured, an idle one holds 28 kB (35 kB over TLS) and one
/// with a header of 31 kB holds 47 kB (57 kB): 10,000 hold 600 MB at most, HTTP/2 with requests in flight aside.
const MOST: usize = 10_000;
/// Descriptors kept for other uses: the database pool, the runtime, logs, key files and certificates while they are
/// read, SMTP, providers, metrics. On SQLite, a service without connections holds 17 descriptors.
const RESERVE: u64 = 96;

/// Raises the process's soft limit of descriptors to its hard one, where that is allowed, and returns how many
/// connections may be open at once.
pub(super) fn max_connections() -> usize {
    within(raise())
}

/// Raises the soft limit and returns the limit that now holds; `None` means unlimited.
fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    // Some systems refuse what they report as the hard limit; the soft one then stays.
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of file descriptors could not be raised");
            current
        }
    }
}

/// The descriptors left for connections. Under a small limit this is at least half, so that the service still answers.
fn within(limit: Option<u64>) -> usize {
    let left = limit.map_or(u64::MAX, |limit| limit - RESERVE.min(limit / 2));
    usize::try_from(left).unwrap_or(MOST).clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_everything_else() {
        assert_eq!(within(Some(1024)), 928);
        assert_eq!(within(Some(256)), 160);
    }

    #[test]
    fn under_a_small_limit_half_is_for_connections() {
        assert_eq!(within(Some(100)), 50);
        assert_eq!(within(Some(1)), 1);
        assert_eq!(within(Some(0)), 1);
    }

    #[test]
    fn no_limit_lifts_the_bound_on_memory() {
        assert_eq!(within(Some(1 << 20)), MOST);
        assert_eq!(within(None), MOST);
    }

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let raised = raise();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(raised, now.current);
        assert_eq!(now.current, now.maximum);
    }
}
