//! What runs beside Home Assistant, and the add-on of the Supervisor that is the same program.
//!
//! Pure rules: an image or a slug in, a row of the table and names out.

mod addon;
mod database;
mod table;

pub use addon::{Addon, addon_json};
pub use database::Database;
pub use table::{Known, TABLE};

/// The row for an image, whatever its registry, tag and digest.
pub fn by_image(image: &str) -> Option<&'static Known> {
    let repository = repository(image);
    TABLE.iter().find(|known| known.images.iter().any(|it| ends_with_path(repository, it)))
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

    #[test]
    fn images_are_known_whatever_their_registry_and_tag() {
        let check = |image: &str, slug: Option<&str>| {
            let found = by_image(image).and_then(|it| it.addon.as_ref()).map(Addon::id);
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
        for known in TABLE {
            assert!(!known.images.is_empty(), "{}", known.name);
            for (path, prefix) in known.mounts {
                assert!(path.starts_with('/'), "{path}");
                let top = prefix.split('/').next();
                assert!(matches!(top, Some("data" | "config")), "{prefix}");
            }
            if let Some(addon) = &known.addon {
                assert!(!addon.id().contains('.'), "{}", addon.id());
            }
        }
    }
}
