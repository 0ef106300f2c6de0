//! Accounts and sessions made by SQL, so that tables have the size of a deployment.

use crate::{Failure, postgres::Cluster};

/// Rows a statement.
const STEP: u64 = 250_000;
/// A status list has 2^20 places; the service would go on to the next list long before it is full.
const SESSIONS_A_LIST: u64 = 1 << 19;
/// The id of row `{n}`: a UUID of version 7 with this millisecond, so that ids are in the order of insertion, as the
/// service makes them.
const MILLISECOND: &str = "019a00000000";

fn id(number: &str) -> String {
    let (high, low) = MILLISECOND.split_at(8);
    format!("('{high}-{low}-7000-8000-' || lpad(to_hex({number}::bigint), 12, '0'))::uuid")
}

/// Inserts this many accounts, each with a session.
pub(crate) fn insert(cluster: &Cluster, count: u64) -> Result<(), Failure> {
    let (id, mut first) = (id("n"), 1);
    while first <= count {
        let last = count.min(first + STEP - 1);
        cluster.sql(&format!(
            "INSERT INTO \"user\" (id, username, username_key, username_skeleton, email_verified, password_hash, roles, created_at) \
             SELECT {id}, 'seed_' || n, 'seed_' || n, 'seed_' || n, false, \
                '$argon2id$v=19$m=19456,t=2,p=1$' || repeat('s', 22) || '$' || repeat('h', 43), '[]', now() \
             FROM generate_series({first}, {last}) AS n"
        ))?;
        cluster.sql(&format!(
            "INSERT INTO session (id, user_id, client_id, scope, username, roles, amr, generation, authenticated_at, \
                created_at, rotated_at, idle_ends_at, ends_at, access_ends_at, status_list, status_index, user_agent, ip) \
             SELECT {id}, {id}, 'first-party', 'openid profile email', 'seed_' || n, '[]', '[\"pwd\"]', 1, now(), now(), now(), \
                now() + '30 days', now() + '90 days', now() + '10 minutes', n / {SESSIONS_A_LIST}, n % {SESSIONS_A_LIST}, \
                'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36', '192.0.2.1' \
             FROM generate_series({first}, {last}) AS n"
        ))?;
        first = last + 1;
    }
    cluster.sql("VACUUM ANALYZE").map(|_| ())
}

/// The statement of a refresh, for `pgbench`, at a session of those inserted. It does not know the generation, so it
/// compares that with another condition; all else is as the service sends it.
pub(crate) fn refresh_script(count: u64) -> String {
    let id = id(":number");
    format!(
        "\\set number random(1, {count})\n\
         UPDATE session SET generation = generation + 1, rotated_at = now(), \
            idle_ends_at = CASE WHEN ends_at < now() + '30 days' THEN ends_at ELSE now() + '30 days' END, \
            access_ends_at = CASE WHEN access_ends_at > now() + '10 minutes' THEN access_ends_at \
                ELSE now() + '10 minutes' END \
         WHERE id = {id} AND generation >= 1 AND client_id = 'first-party' AND resource IS NULL \
            AND ended_at IS NULL AND ends_at > now() AND idle_ends_at > now() RETURNING *;\n"
    )
}
