//! `signet keys`

use std::{path::Path, sync::Arc};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    failure::Failure,
    key_arguments::{Format, KeysAction},
    output::{date, print},
};
use crate::{
    app::{StartError, manage_keys},
    config::Config,
    domain::{clock::Clock, signing_key::KeyKind},
    services::keys::{
        establish::EstablishError,
        manage::{KeyReport, ManageError, ManageKeys, Pruned, PublicFormat, Revoked},
    },
};

/// Shows, rotates, prunes, revokes and exports keys.
pub(super) async fn run(config: &Config, clock: Arc<dyn Clock>, action: KeysAction) -> Result<(), Failure> {
    let keys = manage_keys(config, clock).await?;
    match action {
        KeysAction::List { json } => {
            let all = keys.list().await.map_err(refused)?;
            print(&if json { all.iter().map(describe).collect::<Value>().to_string() } else { table(&all) });
            Ok(())
        }
        KeysAction::Rotate { alg, json } => {
            let kind = alg.unwrap_or(KeyKind::Signing(config.signing_algorithm));
            let made = keys.rotate(kind).await.map_err(refused)?;
            print(&if json {
                describe(&made).to_string()
            } else {
                let from = made.life.active.map_or_else(|| "later".to_owned(), |at| format!("from {}", date(at)));
                format!("{} {} signs {from} ({})", kind.as_str(), made.kid, file(&made))
            });
            Ok(())
        }
        KeysAction::Prune { json } => prune(&keys, json).await,
        KeysAction::Revoke { kid, json } => revoke(&keys, &kid, json).await,
        KeysAction::Export { kid, format, json } => {
            let format = if json || format == Format::Jwk { PublicFormat::Jwk } else { PublicFormat::Pem };
            print(&keys.export(kid.as_deref(), format).await.map_err(refused)?);
            Ok(())
        }
    }
}

async fn prune(keys: &ManageKeys, json: bool) -> Result<(), Failure> {
    let pruned = keys.prune().await.map_err(refused)?;
    if json {
        let each = |Pruned { kid, file, keeps_public_half }: &Pruned| json!({ "kid": kid, "file": shown(file), "keeps_public_half": keeps_public_half });
        print(&pruned.iter().map(each).collect::<Value>().to_string());
        return Ok(());
    }
    for Pruned { kid, file, keeps_public_half } in &pruned {
        let what = if *keeps_public_half { "its private half is deleted" } else { "deleted" };
        print(&format!("{kid} {what} ({})", shown(file)));
    }
    if pruned.is_empty() {
        eprintln!("signet: nothing to delete: live tokens may need every key");
    }
    Ok(())
}

async fn revoke(keys: &ManageKeys, kid: &str, json: bool) -> Result<(), Failure> {
    let Revoked { key, successor, left } = keys.revoke(kid).await.map_err(refused)?;
    if let Some((file, why)) = &left {
        eprintln!("signet: the key is revoked everywhere, but its file stays ({why}): remove {}", file.display());
    }
    if json {
        let left = left.map(|(file, _)| shown(&file));
        let answer = json!({
            "kid": key.kid,
            "alg": key.kind.as_str(),
            "revoked_at": date(key.revoked),
            "active": successor,
            "file_left": left,
        });
        print(&answer.to_string());
        return Ok(());
    }
    let next = successor.map(|kid| format!("; {kid} signs from now on")).unwrap_or_default();
    print(&format!("{} {} is revoked{next}", key.kind.as_str(), key.kid));
    Ok(())
}

fn refused(error: ManageError) -> Failure {
    match error {
        ManageError::Establish(error @ EstablishError::Unavailable(_)) => Failure::Failed(error.to_string()),
        ManageError::Establish(error) => StartError::from(error).into(),
        ManageError::Unknown(_) | ManageError::NotPublished(_) => Failure::Failed(error.to_string()),
    }
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}

fn file(report: &KeyReport) -> String {
    report.file.as_deref().map(shown).unwrap_or_default()
}

fn describe(report: &KeyReport) -> Value {
    let KeyReport { kid, kind, state, life, revoked, next_change, file } = report;
    let at = |time: Option<DateTime<Utc>>| time.map(date);
    json!({
        "kid": kid,
        "alg": kind.as_str(),
        "state": state,
        "published_at": date(life.published),
        "active_at": at(life.active),
        "retired_at": at(life.retired),
        "gone_at": at(life.gone),
        "revoked_at": at(*revoked),
        "next_change_at": at(*next_change),
        "file": file.as_deref().map(shown),
    })
}

/// One key a line, in columns.
fn table(all: &[KeyReport]) -> String {
    let seconds = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let at = |time: Option<DateTime<Utc>>| time.map_or_else(|| "-".to_owned(), seconds);
    let head = ["KID", "ALG", "STATE", "PUBLISHED", "ACTIVE", "NEXT CHANGE", "FILE"].map(str::to_owned);
    let rows = all.iter().map(|report| {
        [
            report.kid.clone(),
            report.kind.as_str().to_owned(),
            report.state.to_owned(),
            seconds(report.life.published),
            at(report.life.active),
            at(report.next_change),
            if report.file.is_some() { file(report) } else { "-".to_owned() },
        ]
    });
    let rows: Vec<_> = [head].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..7).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
