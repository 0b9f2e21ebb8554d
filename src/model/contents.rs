//! What a backup holds, as far as a plan has to know.

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
}
