//! What Home Assistant's own files say of a Supervisor.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{Change, ENTRIES, Scene, ToDo, YAML, addons, edit, reach, zigbee2mqtt_files};
use crate::companions::{Addon, TABLE};
use crate::model::{Container, Item};

/// Folders that every Home Assistant of a Supervisor sees.
const FOLDERS: [&str; 4] = ["/share", "/ssl", "/media", "/addon_configs"];

pub(super) fn to_do(scene: &Scene<'_>) -> Vec<ToDo> {
    let mut all = Vec::new();
    if let Some(homeassistant) = scene.homeassistant {
        for path in YAML.into_iter().chain([ENTRIES]) {
            all.extend(hosts(scene, &Item::HomeAssistant, path, homeassistant));
        }
        all.extend(folders(scene, homeassistant));
        all.extend(entries(scene));
    }
    if let Some((id, container)) = addons::twin(scene, "zigbee2mqtt") {
        for (item, path) in zigbee2mqtt_files(&id) {
            all.extend(hosts(scene, &item, path, container));
        }
    }
    all
}

/// The names of add-ons in a file that a container reads.
fn hosts(scene: &Scene<'_>, item: &Item, path: &str, reader: &Container) -> Vec<ToDo> {
    let Some(text) = scene.clues.text(item, path) else { return Vec::new() };
    let known = TABLE.iter().flat_map(|it| it.addons).map(Addon::id);
    let known: BTreeSet<String> = known.chain(scene.addons.iter().cloned()).collect();
    let to_do = |addon: String| {
        let name = addon.replace('_', "-");
        let found = edit::hosts(text, edit::is_json(path), &name);
        let first = found.first()?;
        let line = match edit::is_json(path) {
            true => String::new(),
            false => format!(", line {}", 1 + text[..first.start].matches('\n').count()),
        };
        let twin = scene.twins.get(&addon);
        let here = twin.and_then(|it| reach::host(reader, it));
        let how = match (here, twin) {
            (Some(here), _) => format!("write {here} instead"),
            (None, Some(it)) => format!("write how {} is reached from {}", it.name, reader.name),
            (None, None) => "no container here stands for it: write what does".to_owned(),
        };
        let change = here.map(|here| Change::Host {
            item: item.clone(),
            path: path.to_owned(),
            from: name.clone(),
            to: here.to_owned(),
        });
        let what = format!("only a Supervisor knows the host name {name}");
        let item = item.to_string();
        let place = format!("{item}: {path}{line}");
        Some(ToDo::new(&item, what, place, how).done_by(change))
    };
    known.into_iter().filter_map(to_do).collect()
}

/// Folders in the configuration that are not mounted here.
fn folders(scene: &Scene<'_>, homeassistant: &Container) -> Vec<ToDo> {
    let mut all = Vec::new();
    for folder in FOLDERS {
        let is_mounted = |it: &Path| it.starts_with(folder) || Path::new(folder).starts_with(it);
        if homeassistant.mounts.iter().any(|it| is_mounted(&it.destination)) {
            continue;
        }
        let used = YAML.iter().find_map(|path| {
            let text = scene.clues.of_homeassistant(path)?;
            let line = text.lines().position(|it| names_folder(it, folder))?;
            Some(place(path, &format!(", line {}", line + 1)))
        });
        all.extend(used.map(|place| {
            let what = format!("{folder} is used, and not mounted here");
            let how = format!("mount a folder at {folder} into {}", homeassistant.name);
            ToDo::new("homeassistant", what, place, how)
        }));
    }
    all
}

/// Whether a line that is no comment has a path at or below a folder.
fn names_folder(line: &str, folder: &str) -> bool {
    let begins = |before: &str| {
        before.is_empty() || before.ends_with([' ', '\t', '"', '\'', '[', ',', '=', ':', '('])
    };
    let ends =
        |after: &str| !after.starts_with(|it: char| it.is_alphanumeric() || it == '_' || it == '-');
    !line.trim_start().starts_with('#')
        && line
            .match_indices(folder)
            .any(|(at, _)| begins(&line[..at]) && ends(&line[at + folder.len()..]))
}

/// Integrations that need a Supervisor.
fn entries(scene: &Scene<'_>) -> Vec<ToDo> {
    let text = scene.clues.of_homeassistant(ENTRIES);
    let stored: Value = text.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
    let entries = stored["data"]["entries"].as_array().into_iter().flatten();
    let mut all = Vec::new();
    let mut with_addon = BTreeSet::new();
    for entry in entries {
        let domain = entry["domain"].as_str().unwrap_or_default();
        if domain == "hassio" {
            let what = "the integration of the Supervisor has nothing to talk to";
            let how = "remove it in Home Assistant";
            all.push(ToDo::new("homeassistant", what, place(ENTRIES, " → hassio"), how));
        }
        // A domain is a word; anything else is no text to show.
        let is_word = domain.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
        if entry["data"]["use_addon"] == true && is_word && with_addon.insert(domain) {
            let what = format!("{domain} waits for a Supervisor to run its add-on");
            let place = place(ENTRIES, &format!(" → {domain}: data.use_addon"));
            let how =
                "set it to false while Home Assistant is stopped, or set the integration up anew";
            let change =
                Change::WithoutAddons { item: Item::HomeAssistant, path: ENTRIES.to_owned() };
            all.push(ToDo::new("homeassistant", what, place, how).done_by(Some(change)));
        }
    }
    all
}

fn place(path: &str, rest: &str) -> String {
    format!("homeassistant: {path}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_by_a_path() {
        for yes in ["x: /ssl/fullchain.pem", "x: '/ssl'", "- /ssl", "x:/ssl/a", "/ssl"] {
            assert!(names_folder(yes, "/ssl"), "{yes}");
        }
        for no in
            ["x: https://host/ssl/a", "x: /config/ssl/a", "x: /sslx", "# /ssl/a", "x: /ssl-old"]
        {
            assert!(!names_folder(no, "/ssl"), "{no}");
        }
    }
}
