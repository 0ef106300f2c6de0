//! One queue of jobs in place of two: emails and logout notices. What counts for the limits of emails has a table of
//! its own, which outlives the jobs and holds no address.

use aws_lc_rs::digest::{SHA256, digest};
use sea_orm_migration::{prelude::*, sea_orm::FromQueryResult};

use super::{m20261123_000007_outbox as outbox, m20261123_000015_logout_notices as logout_notices};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(Clone, Copy, DeriveIden)]
enum Jobs {
    Table,
    Id,
    Kind,
    Topic,
    UserId,
    Payload,
    CreatedAt,
    DueAt,
    Attempts,
    Claim,
    DeadAt,
    LastError,
}

#[derive(Clone, Copy, DeriveIden)]
enum CountedEmail {
    Table,
    Id,
    Topic,
    UserId,
    AddressDigest,
    AddressedAt,
}

/// The columns of the earlier table that count.
#[derive(Clone, Copy, DeriveIden)]
enum Outbox {
    Table,
    Id,
    Kind,
    UserId,
    AddressKey,
    AddressedAt,
}

#[derive(FromQueryResult)]
struct Addressed {
    address_key: String,
}

const FROM_OUTBOX: &str = "INSERT INTO jobs (id, kind, topic, user_id, payload, created_at, due_at, attempts, claim, \
    dead_at, last_error) SELECT id, 'email', kind, user_id, payload, created_at, due_at, attempts, claim, dead_at, \
    last_error FROM outbox WHERE sent_at IS NULL";
const FROM_NOTICES: &str = "INSERT INTO jobs (id, kind, topic, user_id, payload, created_at, due_at, attempts, claim) \
    SELECT session_id, 'logout_notice', client_id, user_id, '{}', created_at, due_at, attempts, claim \
    FROM logout_notice";
// Addresses are not known any more: what was sent counts for its account, and for an address that nobody has.
const TO_OUTBOX: &str = "INSERT INTO outbox (id, kind, user_id, payload, created_at, due_at, attempts, claim, \
    address_key, addressed_at, dead_at, last_error) SELECT jobs.id, jobs.topic, jobs.user_id, payload, created_at, due_at, attempts, \
    claim, CASE WHEN addressed_at IS NULL THEN NULL ELSE '' END, addressed_at, dead_at, last_error FROM jobs LEFT JOIN counted_email ON counted_email.id = jobs.id \
    WHERE jobs.kind = 'email'";
const SENT_TO_OUTBOX: &str = "INSERT INTO outbox (id, kind, user_id, payload, created_at, attempts, address_key, \
    addressed_at, sent_at) SELECT id, topic, user_id, '{}', addressed_at, 1, '', addressed_at, addressed_at FROM counted_email \
    WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = counted_email.id)";
const TO_NOTICES: &str = "INSERT INTO logout_notice (session_id, user_id, client_id, created_at, due_at, attempts, \
    claim) SELECT id, user_id, topic, created_at, due_at, attempts, claim FROM jobs \
    WHERE kind = 'logout_notice' AND due_at IS NOT NULL";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Jobs::Table)
                    .col(ColumnDef::new(Jobs::Id).uuid().not_null().primary_key())
                    .col(ColumnDef::new(Jobs::Kind).text().not_null())
                    .col(ColumnDef::new(Jobs::Topic).text().not_null())
                    .col(ColumnDef::new(Jobs::UserId).uuid())
                    .col(ColumnDef::new(Jobs::Payload).text().not_null())
                    .col(ColumnDef::new(Jobs::CreatedAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(Jobs::DueAt).timestamp_with_time_zone())
                    .col(ColumnDef::new(Jobs::Attempts).integer().not_null().default(0))
                    .col(ColumnDef::new(Jobs::Claim).uuid())
                    .col(ColumnDef::new(Jobs::DeadAt).timestamp_with_time_zone())
                    .col(ColumnDef::new(Jobs::LastError).text())
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table(CountedEmail::Table)
                    .col(ColumnDef::new(CountedEmail::Id).uuid().not_null().primary_key())
                    .col(ColumnDef::new(CountedEmail::Topic).text().not_null())
                    .col(ColumnDef::new(CountedEmail::UserId).uuid())
                    .col(ColumnDef::new(CountedEmail::AddressDigest).binary().not_null())
                    .col(ColumnDef::new(CountedEmail::AddressedAt).timestamp_with_time_zone().not_null())
                    .to_owned(),
            )
            .await?;
        index_jobs(manager).await?;
        for (name, columns) in [
            ("counted_email_user", [CountedEmail::UserId, CountedEmail::AddressedAt].as_slice()),
            ("counted_email_address", &[CountedEmail::AddressDigest, CountedEmail::AddressedAt]),
            ("counted_email_addressed", &[CountedEmail::AddressedAt]),
        ] {
            let mut index = Index::create().name(name).table(CountedEmail::Table).to_owned();
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index).await?;
        }
        count_sent(manager).await?;
        let db = manager.get_connection();
        for copy in [FROM_OUTBOX, FROM_NOTICES] {
            db.execute_unprepared(copy).await?;
        }
        outbox::Migration.down(manager).await?;
        logout_notices::Migration.down(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        outbox::Migration.up(manager).await?;
        logout_notices::Migration.up(manager).await?;
        let db = manager.get_connection();
        for copy in [TO_OUTBOX, SENT_TO_OUTBOX, TO_NOTICES] {
            db.execute_unprepared(copy).await?;
        }
        manager.drop_table(Table::drop().table(Jobs::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(CountedEmail::Table).to_owned()).await
    }
}

/// What is due is polled and counted by kind; what a receiver does not take is put off together.
async fn index_jobs(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    for (name, columns, present) in [
        ("jobs_due", [Jobs::Kind, Jobs::DueAt].as_slice(), Jobs::DueAt),
        ("jobs_topic", &[Jobs::Topic, Jobs::DueAt], Jobs::DueAt),
        ("jobs_dead", &[Jobs::Kind, Jobs::DeadAt], Jobs::DeadAt),
        ("jobs_pruned", &[Jobs::DeadAt], Jobs::DeadAt),
        ("jobs_claim", &[Jobs::Claim], Jobs::Claim),
        ("jobs_user", &[Jobs::UserId], Jobs::UserId),
    ] {
        let present = Expr::col(present).is_not_null();
        let mut index = Index::create().name(name).table(Jobs::Table).and_where(present).to_owned();
        for column in columns {
            index.col(*column);
        }
        manager.create_index(index).await?;
    }
    Ok(())
}

/// Counts the emails of the last day under the digest of their mailbox.
async fn count_sent(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let db = manager.get_connection();
    let addressed = Expr::col(Outbox::AddressKey).is_not_null().and(Expr::col(Outbox::AddressedAt).is_not_null());
    let keys = Query::select()
        .distinct()
        .column(Outbox::AddressKey)
        .from(Outbox::Table)
        .and_where(addressed.clone())
        .to_owned();
    for row in db.query_all(&keys).await? {
        let Addressed { address_key: key } = Addressed::from_query_result(&row, "")?;
        let sent = Query::select()
            .columns([Outbox::Id, Outbox::Kind, Outbox::UserId, Outbox::AddressedAt])
            .expr(Expr::value(digest(&SHA256, mailbox(&key).as_bytes()).as_ref().to_vec()))
            .from(Outbox::Table)
            .and_where(addressed.clone())
            .and_where(Expr::col(Outbox::AddressKey).eq(key))
            .to_owned();
        let columns = [
            CountedEmail::Id,
            CountedEmail::Topic,
            CountedEmail::UserId,
            CountedEmail::AddressedAt,
            CountedEmail::AddressDigest,
        ];
        let insert = Query::insert()
            .into_table(CountedEmail::Table)
            .columns(columns)
            .select_from(sent)
            .map_err(|why| DbErr::Migration(why.to_string()))?
            .to_owned();
        db.execute(&insert).await?;
    }
    Ok(())
}

/// A folded address without its tag.
fn mailbox(key: &str) -> String {
    let (local, domain) = key.rsplit_once('@').unwrap_or((key, ""));
    let name = local.split_once('+').map_or(local, |(name, _)| name);
    format!("{}@{domain}", if name.is_empty() { local } else { name })
}
