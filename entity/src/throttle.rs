//! Counters of failed passwords.

use sea_orm::entity::prelude::*;

/// A counter of failed passwords, for what was typed as a name, an account, or a device of one.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "throttle")]
pub struct Model {
    /// An HMAC of what is counted: nothing tells what was typed.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: Vec<u8>,
    /// The rule: 1 for a name over all networks, 2 for a device or session, 3 for a name from one network, 4 for an
    /// account over all networks, 5 for a name that no account has.
    pub counting: i16,
    pub failures: i32,
    /// When the next attempt may come, in milliseconds since 1970, as all times here: statements reckon with them.
    pub free_at: i64,
    /// When the counter is forgotten.
    pub forget_at: i64,
    /// The account whose password was tried, if there is one: its operator may forgive the failures.
    pub account: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
