//! Home Assistant's own files: its database, which can be restored alone or stay, and those that
//! mean something only at the moment of a restore.
//!
//! As Home Assistant's own restore does (home-assistant/core, `homeassistant/backup_restore.py`):
//!
//! | in `/config` | the home's | that of the backup |
//! | --- | --- | --- |
//! | `backups` | stays | is passed over |
//! | `home-assistant_v2.db` and beside it | goes, or stays on request | comes, or is passed over |
//! | `.HA_RESTORE`: Home Assistant restores what it says when it starts | goes | is passed over |
//! | `.HA_RESTORE_RESULT`: how that went, told once | goes | is passed over |
//! | `.ha_run.lock`, `.storage/backup`, `tmp_backups`, `*.corrupt.*` | goes | comes |
//!
//! Core passes over a `backups` at every depth, and lets a `.HA_RESTORE` of a backup come, which
//! would wipe what was restored; hearthkeep does neither. What is in a `.ha_run.lock` binds nobody:
//! whoever starts locks the file anew.

use std::path::{Path, PathBuf};

use super::Route;
use crate::model::{Contents, Item};
use crate::plan::Refused;

/// Home Assistant's database, and what SQLite keeps beside it. A log that lies beside another
/// database than its own spoils it.
const DATABASE: [&str; 4] = [
    "home-assistant_v2.db",
    "home-assistant_v2.db-wal",
    "home-assistant_v2.db-shm",
    "home-assistant_v2.db-journal",
];

/// Tells Home Assistant to restore a backup of its own when it starts.
pub const PENDING_RESTORE: &str = ".HA_RESTORE";

/// What a backup may hold and no restore puts in place.
const OF_THE_MOMENT: [&str; 2] = [PENDING_RESTORE, ".HA_RESTORE_RESULT"];

/// What becomes of Home Assistant's database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Database {
    /// It is restored with the rest.
    #[default]
    Included,
    /// Of Home Assistant it alone is restored.
    Only,
    /// The home's stays.
    Stays,
}

impl Database {
    /// Refuses a choice that has nothing to choose from.
    pub(super) fn check(self, wanted: &[Item]) -> Result<(), Refused> {
        let word = match self {
            Database::Included => return Ok(()),
            Database::Only => "--database-only",
            Database::Stays => "--no-database",
        };
        match wanted.contains(&Item::HomeAssistant) {
            true => Ok(()),
            false => Err(Refused::NotWanted { word }),
        }
    }
}

/// Sets what stays, what comes alone and what never comes in the configuration; gives what speaks
/// against it.
pub(super) fn settle(
    routes: &mut Vec<Route>,
    contents: &Contents,
    database: Database,
) -> Option<String> {
    let is_only = database == Database::Only;
    let stays = database == Database::Stays || contents.exclude_database;
    routes.retain(|route| match is_database(&route.tree.destination) {
        // The database may be a mount of its own.
        true if is_home(route) => is_only || !stays,
        _ => !is_only || !is_home(route) || is_config(route),
    });
    for route in routes.iter_mut().filter(|it| is_config(it)) {
        route.keep.push("backups".into());
        route.never = paths(&OF_THE_MOMENT);
        if is_only {
            route.only = paths(&DATABASE);
        } else if stays {
            route.keep.extend(paths(&DATABASE));
        }
    }
    (is_only && contents.exclude_database)
        .then(|| "the backup holds no database: it was made without".to_owned())
}

/// What is good to know of the files that come.
pub(super) fn note(contents: &Contents, database: Database) -> Option<String> {
    // home-assistant/core#137890
    (contents.of_supervisor && database != Database::Only).then(|| {
        "the backup is from a Supervisor: should Home Assistant's automatic backups fail for their add-ons and folders, remove .storage/backup from its configuration, restart it and set them up again".to_owned()
    })
}

fn is_home(route: &Route) -> bool {
    route.item == Item::HomeAssistant
}

fn is_config(route: &Route) -> bool {
    is_home(route) && route.tree.destination == Path::new("/config")
}

fn is_database(destination: &Path) -> bool {
    let name = destination.strip_prefix("/config").unwrap_or(destination);
    DATABASE.iter().any(|it| Path::new(it) == name)
}

fn paths(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}
