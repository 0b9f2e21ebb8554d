//! The add-on twin of a companion, as the Supervisor wants it described.

use serde_json::{Map, Value, json};

use super::Known;

/// An add-on of the Supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addon {
    /// `core`, or eight hexadecimal digits that stand for the repository.
    pub repository_id: &'static str,
    /// The add-on's own short name.
    pub slug: &'static str,
    /// The repository's address, or `core`.
    pub repository: &'static str,
}

impl Addon {
    /// The identifier that the Supervisor and `backup.json` use.
    pub fn id(&self) -> String {
        format!("{}_{}", self.repository_id, self.slug)
    }
}

/// The content of `addon.json`: the least that passes the Supervisor's check
/// (home-assistant/supervisor, `supervisor/backups/validate.py` and `supervisor/addons/validate.py`).
/// On restore the Supervisor takes everything else from the add-on's repository.
pub fn addon_json(addon: &Addon, known: &Known, version: &str, running: bool) -> Value {
    let name = known.name;
    let options: Map<String, Value> =
        known.options.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    json!({
        "user": { "version": version, "options": options },
        "system": {
            "name": name,
            "version": version,
            "slug": addon.slug,
            "description": name,
            "arch": ["aarch64", "amd64"],
            "repository": addon.repository_id,
            "translations": {},
        },
        "version": version,
        "state": if running { "started" } else { "stopped" },
    })
}
