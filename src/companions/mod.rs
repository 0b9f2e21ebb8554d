//! What runs beside Home Assistant, and the add-on of the Supervisor that is the same program.
//!
//! Pure rules: an image or a slug in, a row of the table and names out.

mod addon;
mod database;
mod place;
mod table;

pub use addon::{Addon, addon_json};
pub use database::Database;
pub use place::{OF_THE_ADDON, Place, seen_by_addon};
pub use table::{Known, TABLE};

/// The row for an image, whatever its registry, tag and digest.
pub fn by_image(image: &str) -> Option<&'static Known> {
    let repository = repository(image);
    TABLE.iter().find(|known| known.images.iter().any(|it| ends_with_path(repository, it)))
}

/// The row for an add-on's identifier, and which of its add-ons that is.
pub fn by_addon(id: &str) -> Option<(&'static Known, &'static Addon)> {
    TABLE.iter().find_map(|known| Some((known, known.addons.iter().find(|it| it.id() == id)?)))
}

impl Known {
    /// User and group that the program of this image runs as, where that is not root.
    pub fn owner(&self, image: &str) -> Option<(u32, u32)> {
        let found = self.owners.iter().find(|(word, ..)| image.contains(word));
        found.map(|(_, uid, gid)| (*uid, *gid))
    }

    /// The place in the add-on's own part that content of a path is written to.
    pub fn written(&self, path: &str) -> Option<&'static str> {
        let (_, places) = self.mounts.iter().find(|(it, _)| *it == path)?;
        places.iter().find(|it| it.part.is_none() && it.file.is_none()).map(|it| it.path)
    }
}

/// Whether an image is Home Assistant's, of whichever publisher and machine.
pub fn is_home_assistant(image: &str) -> bool {
    let name = repository(image).rsplit('/').next().unwrap_or_default();
    // Older images carry the machine: `raspberrypi4-64-homeassistant`.
    ["homeassistant", "home-assistant"].contains(&name) || name.ends_with("-homeassistant")
}

/// An image's tag, where it has one.
pub fn tag(image: &str) -> Option<&str> {
    let image = image.split('@').next().unwrap_or(image);
    let tail = image.rsplit('/').next().unwrap_or(image);
    tail.split_once(':').map(|(_, tag)| tag)
}

/// An image's name without tag and digest.
pub fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match tag(image) {
        Some(tag) => &image[..image.len() - tag.len() - 1],
        None => image,
    }
}

/// Whether `path` ends in `tail` at a slash: `ghcr.io/koenkk/zigbee2mqtt` in `koenkk/zigbee2mqtt`.
fn ends_with_path(path: &str, tail: &str) -> bool {
    path.strip_suffix(tail).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Item;

    #[test]
    fn images_are_known_whatever_their_registry_and_tag() {
        let check = |image: &str, slug: Option<&str>| {
            let found = by_image(image).and_then(|it| it.addons.first()).map(Addon::id);
            assert_eq!(found.as_deref(), slug, "{image}");
        };
        check("eclipse-mosquitto", Some("core_mosquitto"));
        check("eclipse-mosquitto:2.0", Some("core_mosquitto"));
        check("docker.io/library/eclipse-mosquitto:2@sha256:00ff", Some("core_mosquitto"));
        check("registry:5000/eclipse-mosquitto", Some("core_mosquitto"));
        check("ghcr.io/koenkk/zigbee2mqtt:latest", Some("45df7312_zigbee2mqtt"));
        check("not-eclipse-mosquitto", None);
        check("nginx:1", None);
    }

    #[test]
    fn home_assistant_is_known_by_its_image() {
        for yes in [
            "homeassistant/home-assistant:stable",
            "ghcr.io/home-assistant/home-assistant:2026.2.3",
            "lscr.io/linuxserver/homeassistant",
            "ghcr.io/home-assistant/raspberrypi4-64-homeassistant:2026.11.0",
        ] {
            assert!(is_home_assistant(yes), "{yes}");
        }
        for no in ["nginx", "home-assistant/supervisor", "acme/home-assistant-tools:1"] {
            assert!(!is_home_assistant(no), "{no}");
        }
    }

    #[test]
    fn tags_are_told_from_ports() {
        assert_eq!(tag("registry:5000/x"), None);
        assert_eq!(tag("registry:5000/x:1.2"), Some("1.2"));
    }

    #[test]
    fn every_slug_and_mapping_of_the_table_is_sound() {
        let mut ids = std::collections::BTreeSet::new();
        for known in TABLE {
            assert!(!known.images.is_empty(), "{}", known.name);
            for (path, places) in known.mounts {
                assert!(path.starts_with('/'), "{path}");
                for place in *places {
                    let top = place.path.split('/').next().expect("a path has a beginning");
                    let in_part = match place.part {
                        None => ["data", "config"].contains(&top),
                        Some("homeassistant") => top == "data" && place.path.len() > 5,
                        Some(part) => part == "share" && !top.is_empty(),
                    };
                    assert!(in_part, "{place}");
                }
            }
            for addon in known.addons {
                assert!(!addon.id().contains('.'), "{}", addon.id());
                assert!(ids.insert(addon.id()), "{} stands twice", addon.id());
                let (found, _) = by_addon(&addon.id()).expect("it is in the table");
                assert_eq!(found.name, known.name);
            }
        }
        let written = |image: &str, path: &str| by_image(image).and_then(|it| it.written(path));
        assert_eq!(written("koenkk/zigbee2mqtt", "/app/data"), Some("config"));
        assert_eq!(written("esphome/esphome", "/config"), None, "the add-on has it elsewhere");
        assert_eq!(written("adguard/adguardhome", "/opt/adguardhome/conf"), None, "a file there");
    }

    #[test]
    fn owners_are_those_of_the_images_program() {
        let owner = |image: &str| by_image(image).and_then(|it| it.owner(image));
        assert_eq!(owner("eclipse-mosquitto:2"), Some((1883, 1883)));
        assert_eq!(owner("postgres:17"), Some((999, 999)));
        assert_eq!(owner("postgres:17-alpine"), Some((70, 70)));
        assert_eq!(owner("timescale/timescaledb-ha:pg17"), Some((1000, 1000)));
        assert_eq!(owner("timescale/timescaledb:latest-pg17"), Some((70, 70)));
        assert_eq!(owner("ghcr.io/home-assistant-libs/python-matter-server:stable"), None);
        assert_eq!(owner("koenkk/zigbee2mqtt"), None);
    }

    #[test]
    fn what_an_add_on_sees_is_found_in_its_backup() {
        let item = Item::Companion("45df7312_zigbee2mqtt".to_owned());
        let check = |path: &str, wanted: Option<(&str, &str)>| {
            let wanted = wanted.map(|(part, path)| (Item::parse(part), path.to_owned()));
            assert_eq!(seen_by_addon(path, &item), wanted, "{path}");
        };
        check("/config/zigbee2mqtt", Some(("homeassistant", "data/zigbee2mqtt")));
        check("/homeassistant/z2m/", Some(("homeassistant", "data/z2m")));
        check("/addon_config", Some(("45df7312_zigbee2mqtt", "config")));
        check("/addon_config/zigbee2mqtt", Some(("45df7312_zigbee2mqtt", "config/zigbee2mqtt")));
        check("/share/zigbee2mqtt", Some(("share", "zigbee2mqtt")));
        check("/elsewhere", None);
    }
}
