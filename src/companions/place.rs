//! Where content lies in a backup: a part of it, and a path in that part.

use std::fmt;

use crate::model::Item;

/// A place in a backup, as the table names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The item of another part; none for the add-on's own.
    pub part: Option<&'static str>,
    /// The path in the part, without slashes at the ends.
    pub path: &'static str,
    /// The file that it becomes in the container, where it is a single one.
    pub file: Option<&'static str>,
}

/// A place in the add-on's own part.
pub(super) const fn own(path: &'static str) -> Place {
    Place { part: None, path, file: None }
}

/// A place in Home Assistant's part: an add-on may keep its data in Home Assistant's folder.
pub(super) const fn homeassistant(path: &'static str) -> Place {
    folder("homeassistant", path)
}

/// A place in one of the Supervisor's folders.
pub(super) const fn folder(part: &'static str, path: &'static str) -> Place {
    Place { part: Some(part), path, file: None }
}

impl Place {
    /// The same for a single file, and what that is called in the container.
    pub(super) const fn named(self, file: &'static str) -> Place {
        Place { file: Some(file), ..self }
    }

    /// The item in whose part it is, of an add-on's `item`.
    pub fn item(&self, item: &Item) -> Item {
        self.part.map_or_else(|| item.clone(), Item::parse)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Some(part) => write!(f, "{part}:{}", self.path),
            None => f.write_str(self.path),
        }
    }
}

/// What an add-on's part has for the Supervisor and the add-on's own scripts, and no container can
/// use.
pub const OF_THE_ADDON: [&str; 2] = ["data/options.json", "data/system_user.json"];

/// The place that an add-on means by a path that it sees: `/config/zigbee2mqtt` is Home Assistant's
/// `data/zigbee2mqtt`. As item and path in its part.
pub fn seen_by_addon(path: &str, item: &Item) -> Option<(Item, String)> {
    const FOLDERS: [(&str, Option<&str>, &str); 7] = [
        ("/addon_config", None, "config"),
        ("/homeassistant_config", Some("homeassistant"), "data"),
        ("/homeassistant", Some("homeassistant"), "data"),
        ("/config", Some("homeassistant"), "data"),
        ("/share", Some("share"), ""),
        ("/media", Some("media"), ""),
        ("/data", None, "data"),
    ];
    let path = std::path::Path::new(path);
    FOLDERS.iter().find_map(|(folder, part, prefix)| {
        let rest = path.strip_prefix(folder).ok()?.to_str()?;
        let inside = [*prefix, rest].into_iter().filter(|it| !it.is_empty());
        let inside = inside.collect::<Vec<_>>().join("/");
        Some((part.map_or_else(|| item.clone(), Item::parse), inside))
    })
}
