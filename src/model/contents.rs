//! What a backup holds, as far as a plan has to know.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{Item, Manifest};

/// The content of a backup, whoever wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// What it holds.
    pub items: Vec<Item>,
    /// The version of Home Assistant that wrote the data.
    pub homeassistant_version: Option<String>,
    /// Whether Home Assistant's database was left out.
    pub exclude_database: bool,
    /// Whether a Supervisor wrote it, that of Home Assistant OS or of a supervised installation.
    pub of_supervisor: bool,
    /// What hearthkeep noted, in a file of its own.
    pub manifest: Option<Manifest>,
    /// What a look has found of what a plan asked for.
    pub found: Found,
}

/// A place in a backup: an item, and a path in the item's part.
pub type InPart = (Item, String);

/// What a plan has to know of the parts of another writer, and of where they go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asks {
    /// Places that may hold something.
    pub places: BTreeSet<InPart>,
    /// Options of add-ons, by item and name.
    pub options: BTreeSet<(Item, String)>,
    /// Sources of mounts whose owner counts.
    pub sources: BTreeSet<PathBuf>,
}

/// The answer to [`Asks`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Those of the places at or below which there are files.
    pub places: BTreeSet<InPart>,
    /// The values of those of the options that are set to a text.
    pub options: BTreeMap<Item, String>,
    /// User and group that each source has now, where it can be reached.
    pub owners: BTreeMap<PathBuf, (u32, u32)>,
}
