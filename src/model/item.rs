//! What a person can pick: `homeassistant`, one of the four folders, or a companion's slug.

use std::fmt;

/// A thing that can be backed up or restored on its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// Home Assistant's configuration and database.
    HomeAssistant,
    /// One of the Supervisor's folders: `share`, `ssl`, `media`, `addons/local`.
    Folder(&'static str),
    /// A companion, by its slug.
    Companion(String),
}

/// The only folder values that Home Assistant's software accepts in `backup.json`
/// (home-assistant/supervisor, `supervisor/backups/validate.py`), with the paths at which a Home
/// Assistant container may have them mounted.
pub const FOLDERS: [(&str, &[&str]); 4] = [
    ("share", &["/share"]),
    ("ssl", &["/ssl"]),
    ("media", &["/media"]),
    ("addons/local", &["/addons", "/addons/local"]),
];

impl Item {
    /// Reads an item as a person writes it. Whether a companion of that slug exists is for the
    /// caller to say.
    pub fn parse(text: &str) -> Item {
        match text {
            "homeassistant" => Item::HomeAssistant,
            other => match FOLDERS.iter().find(|(name, _)| *name == other) {
                Some((name, _)) => Item::Folder(name),
                None => Item::Companion(other.to_owned()),
            },
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::HomeAssistant => f.write_str("homeassistant"),
            Item::Folder(name) => f.write_str(name),
            Item::Companion(slug) => f.write_str(slug),
        }
    }
}
