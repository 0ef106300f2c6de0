//! `signet user`

use std::{
    io::{self, ErrorKind, Write},
    sync::Arc,
};

use serde_json::{Value, json};

use super::{
    arguments::{Account, NewUser, UserAction},
    failure::Failure,
    output::{date, print},
    password,
};
use crate::{
    app::{CommandContext, MissingDatabase},
    config::Config,
    domain::{
        clock::Clock,
        email::EmailAddress,
        ids::UserId,
        role::Role,
        user::{AccountRecord, User},
    },
    services::admin::accounts::{AccountOverview, Administer, AdministerError, NewAccount, NewEmail},
};

/// Creates, shows, changes and deletes accounts.
pub(super) async fn run(config: &Config, clock: Arc<dyn Clock>, action: UserAction) -> Result<(), Failure> {
    let missing = match action {
        UserAction::Create(_) => MissingDatabase::Create,
        _ => MissingDatabase::Refuse,
    };
    // Report wrong usage before opening anything.
    if let UserAction::GrantRole(which) | UserAction::RevokeRole(which) = &action {
        which.clone().parse().map_err(Failure::Usage)?;
    }
    let CommandContext { administer, .. } = CommandContext::open(config, clock, missing).await?;
    match action {
        UserAction::Create(new) => create(&administer, *new).await,
        UserAction::Show { account, json: _ } => show(&administer, &account).await,
        UserAction::List { json: _ } => list(&administer).await,
        UserAction::Disable(account) => {
            let user = find(&administer, &account).await?;
            let ended = administer.disable(user.id).await.map_err(failed(&account))?;
            say(&format!("{} is disabled", user.username), Some(ended));
            Ok(())
        }
        UserAction::Enable(account) => {
            let user = find(&administer, &account).await?;
            administer.enable(user.id).await.map_err(failed(&account))?;
            say(&format!("{} may log in", user.username), None);
            Ok(())
        }
        UserAction::Unlock(account) => {
            let user = find(&administer, &account).await?;
            administer.unlock(user.id).await.map_err(failed(&account))?;
            say(&format!("{} may try passwords again", user.username), None);
            Ok(())
        }
        UserAction::Delete(account) => {
            let user = find(&administer, &account).await?;
            let ended = administer.delete(user.id).await.map_err(failed(&account))?;
            say(&format!("{} is deleted", user.username), Some(ended));
            Ok(())
        }
        UserAction::SetPassword(account) => {
            let user = find(&administer, &account).await?;
            let ended = administer.set_password(&user, &password::read()?).await.map_err(failed(&account))?;
            say(&format!("{} has another password", user.username), Some(ended));
            Ok(())
        }
        UserAction::RevokeSessions(account) => {
            let user = find(&administer, &account).await?;
            let ended = administer.revoke_sessions(user.id).await.map_err(failed(&account))?;
            say(&format!("{} is logged out", user.username), Some(ended));
            Ok(())
        }
        UserAction::GrantRole(which) => {
            let (account, role) = which.parse().map_err(Failure::Usage)?;
            let user = find(&administer, &account).await?;
            let new = administer.grant_role(user.id, &role).await.map_err(failed(&account))?;
            say(&format!("{} {} the role {}", user.username, if new { "has" } else { "had" }, role.as_str()), None);
            Ok(())
        }
        UserAction::RevokeRole(which) => {
            let (account, role) = which.parse().map_err(Failure::Usage)?;
            let user = find(&administer, &account).await?;
            let had = administer.revoke_role(user.id, &role).await.map_err(failed(&account))?;
            let verb = if had { "no longer has" } else { "did not have" };
            say(&format!("{} {verb} the role {}", user.username, role.as_str()), None);
            Ok(())
        }
    }
}

async fn create(administer: &Administer, new: NewUser) -> Result<(), Failure> {
    let NewUser { username, email, email_verified, roles, json: _ } = new;
    let name = username.as_written().to_owned();
    let email = email.map(if email_verified { NewEmail::Verified } else { NewEmail::Unverified });
    let account = NewAccount { username, email, roles: roles.into_iter().collect() };
    let created = administer
        .create(&account, &password::read()?)
        .await
        .map_err(failed(&Account { name: Some(name), id: None }))?;
    let record = AccountRecord { user: created, has_password: true };
    print(&describe(&record).to_string());
    Ok(())
}

async fn show(administer: &Administer, account: &Account) -> Result<(), Failure> {
    let user = find(administer, account).await?;
    let AccountOverview { record, sessions, lock } = administer.show(user.id).await.map_err(failed(account))?;
    let mut shown = describe(&record);
    shown["sessions"] = sessions.into();
    shown["locked_until"] = lock.map(|lock| date(lock.until)).into();
    shown["locked_everywhere"] = lock.is_some_and(|lock| lock.everywhere).into();
    print(&shown.to_string());
    Ok(())
}

/// Prints page by page, since there may be more accounts than fit into memory.
async fn list(administer: &Administer) -> Result<(), Failure> {
    let mut after = None;
    let mut separator = "[";
    loop {
        let (page, next) = administer.page(after).await.map_err(failed(&Account { name: None, id: None }))?;
        let mut text = String::new();
        for record in &page {
            text.push_str(separator);
            text.push('\n');
            text.push_str(&describe(record).to_string());
            separator = ",";
        }
        if next.is_none() {
            text.push_str(if separator == "[" { "[]\n" } else { "\n]\n" });
        }
        match io::stdout().write_all(text.as_bytes()) {
            // The reader has closed the pipe.
            Err(cause) if cause.kind() == ErrorKind::BrokenPipe => return Ok(()),
            other => other.map_err(|cause| Failure::Failed(format!("standard output cannot be written: {cause}")))?,
        }
        match next {
            Some(last) => after = Some(last),
            None => return Ok(()),
        }
    }
}

async fn find(administer: &Administer, account: &Account) -> Result<User, Failure> {
    let found = match (&account.id, &account.name) {
        (Some(id), _) => administer.find_by_id(UserId(*id)).await,
        (None, name) => administer.find(name.as_deref().unwrap_or_default()).await,
    };
    found.map_err(failed(account))
}

/// The message for an error about `account`, with advice.
fn failed(account: &Account) -> impl Fn(AdministerError) -> Failure {
    let Account { name, id } = account;
    let name = name.clone().or(id.map(|id| id.to_string())).unwrap_or_default();
    move |error| {
        let advice = match error {
            AdministerError::Unknown => format!("{name:?}; `signet user list` shows all"),
            AdministerError::Ambiguous => {
                format!("with --id {name} you mean the first, with --id and its own id the other")
            }
            AdministerError::UsernameTaken => format!("choose another one, or see `signet user show {name}`"),
            AdministerError::EmailTaken => "leave out --email-verified, or take it from that account first".to_owned(),
            AdministerError::TooManyRoles => "take one away first".to_owned(),
            AdministerError::Password(_) => "choose another one".to_owned(),
            AdministerError::Unavailable(_) => "try again".to_owned(),
        };
        Failure::Failed(format!("{error}: {advice}"))
    }
}

/// Prints what was done, and how many sessions ended.
fn say(what: &str, ended: Option<usize>) {
    match ended {
        None => eprintln!("signet: {what}"),
        Some(1) => eprintln!("signet: {what}; 1 session ended"),
        Some(ended) => eprintln!("signet: {what}; {ended} sessions ended"),
    }
}

/// An account as JSON, in the words of the API.
fn describe(AccountRecord { user, has_password }: &AccountRecord) -> Value {
    json!({
        "id": user.id.to_string(),
        "username": user.username.as_written(),
        "email": user.email.as_ref().map(EmailAddress::as_str),
        "email_verified": user.email_verified,
        "roles": user.roles.iter().map(Role::as_str).collect::<Vec<_>>(),
        "has_password": has_password,
        "created_at": date(user.created_at),
        "disabled_at": user.disabled_at.map(date),
    })
}
