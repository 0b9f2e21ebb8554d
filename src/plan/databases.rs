//! What can be done for databases beyond the hold, and what state of files a backup gets.

use super::{Hold, How};
use crate::companions::Database;
use crate::model::{Container, State};

/// The variables in which a container has its root password, as the images read them.
const ROOT_PASSWORDS: [&str; 4] = [
    "MARIADB_ROOT_PASSWORD",
    "MARIADB_ROOT_PASSWORD_FILE",
    "MYSQL_ROOT_PASSWORD",
    "MYSQL_ROOT_PASSWORD_FILE",
];

/// A container whose database is prepared for the hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The container's identifier at planning.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub database: Database,
}

/// The databases that can be prepared: what runs and is held as it is.
pub(super) fn for_backup(home: &super::Home, holds: &[Hold]) -> Vec<Served> {
    let served = |container: &Container| {
        let database = Database::by_image(&container.image)?;
        let hold = holds.iter().find(|it| it.id == container.id)?;
        let is_of_use = match database {
            Database::MariaDb | Database::MySql => hold.how == How::Pause && !is_stopping(holds),
            Database::Mosquitto => hold.how != How::Stop,
            Database::PostgreSql | Database::InfluxDb | Database::Redis => false,
        };
        (is_of_use && container.state == State::Running).then(|| Served {
            id: container.id.clone(),
            name: container.name.clone(),
            database,
        })
    };
    home.containers().filter_map(served).collect()
}

/// Whether a container is stopped for the backup. It may have to commit before it can end, so that a
/// lock would keep it from that.
fn is_stopping(holds: &[Hold]) -> bool {
    holds.iter().any(|it| it.how == How::Stop)
}

/// In a few words, what state a container's files are in a backup.
pub fn consistency(container: &Container, holds: &[Hold]) -> String {
    let Some(hold) = holds.iter().find(|it| it.id == container.id) else {
        return match container.state {
            State::Stopped => "exact: it is stopped".to_owned(),
            _ => "it writes nothing that is backed up".to_owned(),
        };
    };
    match (hold.how, hold.was, Database::by_image(&container.image)) {
        (How::Stop, ..) => "exact: stopped meanwhile".to_owned(),
        (How::None, ..) => "each file as it is when it is read".to_owned(),
        (How::Pause, State::Restarting, _) => "each file as it is when it is read".to_owned(),
        (How::Pause, _, None) => "SQLite exact, other files as of one instant".to_owned(),
        (How::Pause, State::Running, Some(Database::MariaDb | Database::MySql))
            if is_stopping(holds) =>
        {
            "not locked, since another container is stopped; as after a power cut".to_owned()
        }
        (How::Pause, State::Running, Some(database)) => of_database(database, container),
        (How::Pause, _, Some(database)) => as_after_a_power_cut(database),
    }
}

fn of_database(database: Database, container: &Container) -> String {
    match database {
        Database::MariaDb | Database::MySql => {
            let name = database.name();
            let has = |variable: &str| container.variables.iter().any(|it| it == variable);
            match ROOT_PASSWORDS.iter().any(|it| has(it)) {
                true => format!("{name}: locked over the hold (root password in its environment)"),
                false => format!(
                    "{name}: locked over the hold if its root needs no password, else as after a power cut"
                ),
            }
        }
        Database::Mosquitto => "Mosquitto: saved right before the hold".to_owned(),
        Database::PostgreSql | Database::InfluxDb | Database::Redis => {
            as_after_a_power_cut(database)
        }
    }
}

/// What a database gets for which nothing is done, or nothing could be: each recovers from this.
pub fn as_after_a_power_cut(database: Database) -> String {
    format!("{}: as after a power cut, in one instant", database.name())
}
