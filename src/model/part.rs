//! A part of a backup: one inner tar, and the mounts whose files are in it.

use std::path::PathBuf;

use super::Item;

/// One inner tar of the file, as planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What a person picks to get it.
    pub item: Item,
    /// What kind of tar it is.
    pub kind: PartKind,
    /// The mounts in it. No prefix stands twice.
    pub trees: Vec<Tree>,
    /// The image of the container that it belongs to.
    pub image: String,
    /// Globs of what is never worth keeping, as the capture reads them.
    pub exclude: Vec<String>,
    /// Globs of what is left out of this backup but belongs to the home: by the table of known
    /// companions, by label, or on request. A restore leaves that in place.
    pub exclude_kept: Vec<String>,
}

/// What kind of inner tar a part is, with what only that kind has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartKind {
    /// Home Assistant itself.
    HomeAssistant {
        /// Its version, as in its `.HA_VERSION`.
        version: String,
        /// Whether its database is left out.
        exclude_database: bool,
    },
    /// One of the Supervisor's four folders.
    Folder,
    /// A companion that the Supervisor knows as an add-on.
    Addon {
        /// The add-on's readable name.
        name: String,
        /// The version that is told to the Supervisor.
        version: String,
        /// The address of the add-on's repository, or `core`.
        repository: String,
        /// The content of `addon.json`.
        json: serde_json::Value,
    },
    /// A companion that only hearthkeep can restore; Home Assistant's software passes it over.
    Private,
}

/// One mount inside a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// Where its content lies in the inner tar, without slashes at the ends; empty for the root.
    pub prefix: String,
    /// The folder or file on the engine's host.
    pub source: PathBuf,
    /// Where the container sees it.
    pub destination: PathBuf,
    /// The container that has it.
    pub container: String,
    /// The name of the volume, where it is one.
    pub volume: Option<String>,
}

impl Part {
    /// The name of the part's member in the outer tar.
    ///
    /// Names and endings are those of home-assistant/supervisor, `supervisor/backups/backup.py`. A
    /// private part has an ending that Home Assistant's software neither reads nor drops.
    pub fn member(&self, compressed: bool) -> String {
        member_name(&self.item, self.kind == PartKind::Private, compressed)
    }
}

/// The name of the member that holds an item, see [`Part::member`].
pub fn member_name(item: &Item, private: bool, compressed: bool) -> String {
    let stem = item.to_string().replace('/', "_");
    match (private, compressed) {
        (false, true) => format!("{stem}.tar.gz"),
        (false, false) => format!("{stem}.tar"),
        (true, true) => format!("{stem}.companion.tgz"),
        (true, false) => format!("{stem}.companion.tar"),
    }
}
