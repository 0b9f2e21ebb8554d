//! Databases over the hold: MariaDB and MySQL let no commit through meanwhile, Mosquitto writes down
//! before what it knows.
//!
//! All of them recover from files of one instant. The lock is for what other containers write beside
//! a database: where nobody can commit, a client that notes what it has committed is soon done with
//! noting. So a lock that cannot be had is no more than a remark in the report.
//!
//! A lock lives as long as its client, and the client as long as our end of its input: however this
//! process ends, nobody waits for a lock of ours.

use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::companions::Database;
use crate::engine::{Command, Engine, Error, Session};
use crate::plan::{self, Served};

/// How long a client may take to enter and to tell the server's version.
const ENTRY: Duration = Duration::from_secs(5);

/// How long a lock is waited for; meanwhile it keeps others waiting.
const PATIENCE: Duration = Duration::from_secs(8);

/// For clients to hear of their last commits and to note them; a busy machine lets them wait for
/// their turn. All that it costs is that commits wait as much longer: nobody is held yet.
const NOTING: Duration = Duration::from_millis(300);

/// How long Mosquitto may take to be told.
const TELLING: Duration = Duration::from_secs(5);

/// Enters as root, else as the user that the image made, by the passwords that the container has
/// for itself. They never leave it, and are never among the words of a command.
const CLIENT: &str = r#"
secret() {
    eval "value=\${$1-} file=\${$1_FILE-}"
    [ -n "$value" ] || [ -z "$file" ] || value=$(cat "$file")
    printf %s "$value"
}
enter() {
    export MYSQL_PWD="$2"
    "$client" --user="$1" --connect-timeout=2 --batch --execute 'SELECT 1' </dev/null >/dev/null || return
    exec "$client" --user="$1" --connect-timeout=2 --batch --skip-column-names --unbuffered --skip-reconnect
}
client=$(command -v mariadb || command -v mysql) || { echo 'there is no client'; exit 1; }
for name in MARIADB_ROOT_PASSWORD MYSQL_ROOT_PASSWORD; do
    password=$(secret $name)
    [ -z "$password" ] || enter root "$password"
done
enter root ''
enter "${MARIADB_USER:-${MYSQL_USER-}}" "$(secret MARIADB_PASSWORD)"
enter "${MARIADB_USER:-${MYSQL_USER-}}" "$(secret MYSQL_PASSWORD)"
"#;

/// The signal by which Mosquitto saves. The engine could send it too, but Docker takes any signal
/// from there for a stop by hand, and forgets the container's restart policy over it.
const SAVE: &str = r#"
for it in /proc/[0-9]*; do
    name=
    read -r name 2>/dev/null <$it/comm
    [ "$name" = mosquitto ] && kill -USR1 "${it#/proc/}" && told=yes
done 2>/dev/null
# It does not tell when it is done. This is plenty for a broker of a home.
[ "$told" ] && { sleep 0.5 || sleep 1; }
"#;

/// What the client says once it holds the lock.
const HAS_LOCK: &str = "hearthkeep has the lock";

/// Asks whether it still does. A client may have come back by itself after it was thrown out, but
/// then its variable is gone, as the lock is.
const STILL: &str =
    "SELECT IF(@hearthkeep = 1, 'hearthkeep has the lock', 'hearthkeep lost the lock');\n";

/// Databases that are locked now.
#[derive(Debug, Default)]
pub struct Locked {
    locked: Vec<(Served, Session)>,
    given: Vec<Consistency>,
}

/// What state a database's files are in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Consistency {
    /// The container's name.
    pub container: String,
    /// In the words of the plan.
    pub consistency: String,
    /// Why it is not what the plan hoped for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Prepares databases for the hold, those that make nobody wait first.
pub async fn lock(engine: &Engine, databases: &[Served], cancel: &CancellationToken) -> Locked {
    let mut all = Locked::default();
    let (brokers, servers): (Vec<&Served>, Vec<&Served>) =
        databases.iter().partition(|it| it.database == Database::Mosquitto);
    let saves = join_all(brokers.iter().map(|it| save(engine, it)));
    let Some(saved) = cancel.run_until_cancelled(saves).await else { return all };
    all.given = saved;
    let locks = join_all(servers.iter().map(|it| lock_one(engine, it)));
    // A session that is dropped here ends by itself.
    let Some(locked) = cancel.run_until_cancelled(locks).await else { return all };
    for (served, outcome) in servers.into_iter().zip(locked) {
        match outcome {
            Ok(session) => all.locked.push((served.clone(), session)),
            Err(error) => all.given.push(without_lock(served, &error.to_string())),
        }
    }
    if !all.locked.is_empty() {
        cancel.run_until_cancelled(sleep(NOTING)).await;
    }
    all
}

/// Lets go of all locks, whatever became of the hold. Tells what each database was given, having
/// asked whether its lock was there to the end.
pub async fn unlock(locked: Locked) -> Vec<Consistency> {
    let Locked { locked, mut given } = locked;
    given.extend(join_all(locked.into_iter().map(unlock_one)).await);
    given
}

async fn lock_one(engine: &Engine, served: &Served) -> Result<Session, Error> {
    let mut session = engine.session(&served.id, &Command::shell(CLIENT)).await?;
    let greeting = "SELECT CONCAT('hearthkeep meets ', VERSION());\n";
    let version = session.ask(greeting, "hearthkeep meets ", ENTRY).await?;
    let version = version.trim_start_matches("hearthkeep meets ");
    let how = locking(version);
    // Shorter than our patience: a client that waits for a lock does not see its input close.
    let question =
        format!("SET lock_wait_timeout = 2, @hearthkeep = 1; {how}; SELECT '{HAS_LOCK}';\n");
    session.ask(&question, HAS_LOCK, PATIENCE).await?;
    Ok(session)
}

/// How a server keeps commits waiting. MariaDB has since 10.4 a way that does not wait for long
/// queries to end.
fn locking(version: &str) -> &'static str {
    let mut numbers = version.split(['.', '-']).map_while(|it| it.parse::<u32>().ok());
    let version_pair = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match version.contains("MariaDB") && version_pair >= (10, 4) {
        true => {
            "BACKUP STAGE START; BACKUP STAGE FLUSH; BACKUP STAGE BLOCK_DDL; BACKUP STAGE BLOCK_COMMIT"
        }
        false => "FLUSH TABLES WITH READ LOCK",
    }
}

async fn unlock_one((served, mut session): (Served, Session)) -> Consistency {
    let answer = session.ask(STILL, "hearthkeep ", ENTRY).await;
    session.end().await;
    match answer {
        Ok(line) if line == HAS_LOCK => Consistency {
            consistency: format!("{}: locked over the hold", served.database.name()),
            container: served.name,
            reason: None,
        },
        Ok(line) => without_lock(&served, &line),
        Err(error) => without_lock(&served, &error.to_string()),
    }
}

fn without_lock(served: &Served, reason: &str) -> Consistency {
    Consistency {
        container: served.name.clone(),
        consistency: plan::as_after_a_power_cut(served.database),
        reason: Some(reason.replace('\n', " ")),
    }
}

async fn save(engine: &Engine, served: &Served) -> Consistency {
    let outcome = match engine.exec(&served.id, &Command::shell(SAVE), TELLING).await {
        Ok(executed) if executed.exit_code == 0 => None,
        Ok(_) => Some("there is no process of that name to be told".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    Consistency {
        container: served.name.clone(),
        consistency: match outcome {
            None => "Mosquitto: saved right before the hold".to_owned(),
            Some(_) => plan::as_after_a_power_cut(served.database),
        },
        reason: outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_as_the_server_can() {
        for (version, staged) in [
            ("11.8.6-MariaDB-0+deb13u1 from Debian", true),
            ("10.4.0-MariaDB", true),
            ("10.3.39-MariaDB-log", false),
            ("5.5.5", false),
            ("8.4.3", false),
            ("", false),
        ] {
            assert_eq!(locking(version).starts_with("BACKUP"), staged, "{version}");
        }
    }
}
