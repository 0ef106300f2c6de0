//! The costs that password hashes have: a failed login takes the same time whichever hash an account has.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{ConnectionTrait, DatabaseBackend, Statement},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[derive(DeriveIden)]
enum PasswordCost {
    Table,
    MemoryKib,
    Iterations,
    Parallelism,
}

/// What precedes the parameters of a hash.
const PREFIX: &str = "$argon2id$v=19$";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create();
        table.table(PasswordCost::Table);
        for column in columns() {
            table.col(ColumnDef::new(column).big_integer().not_null());
        }
        let mut key = Index::create();
        for column in columns() {
            key.col(column);
        }
        manager.create_table(table.primary_key(&mut key).to_owned()).await?;

        let db = manager.get_connection();
        let backend = manager.get_database_backend();
        let find = if backend == DatabaseBackend::Sqlite { "instr" } else { "strpos" };
        let begin = PREFIX.len() + 1;
        let parameters = format!(
            "SELECT DISTINCT substr(password_hash, {begin}, {find}(substr(password_hash, {begin}), '$') - 1) AS cost \
             FROM \"user\" WHERE password_hash LIKE '{PREFIX}%'"
        );
        for row in db.query_all_raw(Statement::from_string(backend, parameters)).await? {
            let cost: String = row.try_get("", "cost")?;
            let Some([memory_kib, iterations, parallelism]) = parse(&cost) else { continue };
            let mut insert = Query::insert();
            insert.into_table(PasswordCost::Table).columns(columns());
            insert.values_panic([memory_kib.into(), iterations.into(), parallelism.into()]);
            db.execute(&insert).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(PasswordCost::Table).to_owned()).await
    }
}

fn columns() -> [PasswordCost; 3] {
    [PasswordCost::MemoryKib, PasswordCost::Iterations, PasswordCost::Parallelism]
}

/// Reads `m=M,t=T,p=P`.
fn parse(cost: &str) -> Option<[i64; 3]> {
    let mut parts = cost.split(',');
    let mut part = |name: &str| parts.next()?.strip_prefix(name)?.parse().ok();
    Some([part("m=")?, part("t=")?, part("p=")?])
}
