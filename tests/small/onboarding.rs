//! From containers to the Supervisor: our backup by the rules that it checks one with. They are those
//! of home-assistant/supervisor, `supervisor/backups/validate.py`, `supervisor/addons/validate.py`
//! and `supervisor/validate.py`, and of home-assistant/core, `homeassistant/components/backup`.

use std::collections::BTreeSet;

use hearthkeep::archive::slug;
use hearthkeep::companions::{OF_THE_ADDON, TABLE};
use serde_json::{Map, Value, json};

use crate::layout::{inner, members, metadata, names};
use crate::support::home::{Home, bind};

type Object = Map<String, Value>;

fn object<'a>(value: &'a Value, what: &str) -> &'a Object {
    value.as_object().unwrap_or_else(|| panic!("{what} is no object: {value}"))
}

fn text<'a>(object: &'a Object, key: &str) -> &'a str {
    let value = object.get(key).unwrap_or_else(|| panic!("no {key} in {object:?}"));
    value.as_str().unwrap_or_else(|| panic!("{key} is no text: {value}"))
}

fn list<'a>(object: &'a Object, key: &str) -> &'a [Value] {
    let value = object.get(key).unwrap_or_else(|| panic!("no {key} in {object:?}"));
    value.as_array().unwrap_or_else(|| panic!("{key} is no list: {value}"))
}

/// Whether the keys of an object are among those that the rules name.
fn only(object: &Object, known: &[&str]) {
    for key in object.keys() {
        assert!(known.contains(&key.as_str()), "{key} of {object:?}");
    }
}

fn unique<'a>(values: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    values.for_each(|it| assert!(seen.insert(it), "{it} stands twice"));
    seen
}

/// What `AwesomeVersion` takes, as far as ours go: it begins with a digit and has no space.
fn check_version(version: &str) {
    assert!(version.starts_with(|it: char| it.is_ascii_digit()), "{version}");
    assert!(!version.contains(char::is_whitespace), "{version}");
}

fn check_metadata(metadata: &Object) {
    let keys = [
        "slug",
        "version",
        "name",
        "date",
        "type",
        "compressed",
        "protected",
        "homeassistant",
        "folders",
        "addons",
        "repositories",
        "extra",
    ];
    only(metadata, &[&keys[..], &["hearthkeep"]].concat());
    for key in keys {
        assert!(metadata.contains_key(key), "no {key}");
    }
    assert_eq!(metadata["version"], 2);
    assert_eq!(text(metadata, "type"), "partial", "a full one makes it remove add-ons");
    assert_eq!(metadata["compressed"], true);
    assert!(metadata["protected"].is_boolean());
    assert!(metadata["extra"].is_object());
    let name = text(metadata, "name");
    assert!(!name.is_empty() && !name.contains(['/', '\\']), "{name}");
    assert_eq!(text(metadata, "slug"), slug(text(metadata, "date"), name));
    let date: Result<jiff::Timestamp, _> = text(metadata, "date").parse();
    assert!(date.is_ok() && text(metadata, "date").ends_with("+00:00"), "{}", metadata["date"]);

    let home = object(&metadata["homeassistant"], "homeassistant");
    only(home, &["version", "exclude_database", "size"]);
    check_version(text(home, "version"));
    assert!(home["exclude_database"].is_boolean());

    let folders = unique(list(metadata, "folders").iter().map(|it| it.as_str().expect("a text")));
    for it in folders {
        assert!(["share", "addons/local", "ssl", "media"].contains(&it), "{it}");
    }
    let addons = list(metadata, "addons").iter().map(|it| object(it, "an add-on"));
    unique(addons.clone().map(|it| text(it, "slug")));
    for addon in addons {
        only(addon, &["slug", "name", "version", "size"]);
        // Core reads a member's name up to its first dot.
        assert!(!text(addon, "slug").contains('.'), "{addon:?}");
        assert!(!text(addon, "name").is_empty(), "{addon:?}");
        check_version(text(addon, "version"));
        assert!(addon["size"].is_number(), "{addon:?}");
    }
    let repositories = list(metadata, "repositories").iter().map(|it| it.as_str().expect("a text"));
    for it in unique(repositories) {
        let is_url = it.strip_prefix("https://").is_some_and(|it| it.split('/').count() == 3);
        assert!(is_url || it == "core" || it == "local", "{it}");
    }
}

/// The file `addon.json` of the add-on `id`, which `backup.json` lists as `listed`.
fn check_addon(id: &str, addon: &Object, listed: &Object) {
    only(addon, &["user", "system", "state", "version"]);
    let version = text(addon, "version");
    check_version(version);
    assert_eq!(version, text(listed, "version"), "{id}");
    assert!(["started", "stopped"].contains(&text(addon, "state")), "{id}");

    let user = object(&addon["user"], "user");
    let optional = [
        "image",
        "uuid",
        "access_token",
        "ingress_token",
        "options",
        "auto_update",
        "boot",
        "network",
        "audio_output",
        "audio_input",
        "protected",
        "ingress_panel",
        "watchdog",
        "system_managed",
        "system_managed_config_entry",
    ];
    only(user, &[&optional[..], &["version"]].concat());
    assert_eq!(text(user, "version"), version, "{id}");
    assert!(user["options"].is_object(), "{id}");

    let system = object(&addon["system"], "system");
    for key in ["name", "version", "slug", "description", "repository"] {
        assert!(!text(system, key).is_empty(), "{key} of {id}");
    }
    assert_eq!(text(system, "version"), version, "{id}");
    assert_eq!(text(system, "name"), text(listed, "name"), "{id}");
    let (repository, slug) = (text(system, "repository"), text(system, "slug"));
    assert_eq!(format!("{repository}_{slug}"), id);
    let sound = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    assert!(slug.chars().all(sound), "{slug}");
    let known = ["aarch64", "amd64", "armhf", "armv7", "i386"];
    let arch = unique(list(system, "arch").iter().map(|it| it.as_str().expect("a text")));
    assert!(!arch.is_empty() && arch.iter().all(|it| known.contains(it)), "{id}: {arch:?}");
    assert!(system["translations"].is_object(), "{id}");
}

/// A home with a container of each kind that the table knows as an add-on.
fn home_of_all() -> Home {
    let home = Home::new("onboarding");
    for (n, known) in TABLE.iter().filter(|it| !it.addons.is_empty()).enumerate() {
        // The names decide, and one of them is enough.
        let image = format!("hearthkeep-test/{}/{}:1.{n}", home.project, known.images[0]);
        let image = home.image(&image);
        let service = format!("c{n}");
        let paths = known.mounts.iter().map(|(path, _)| *path);
        let mut options = Vec::new();
        for path in paths {
            let folder = home.bench.folder(&format!("{service}{path}"));
            home.write(&format!("{service}{path}/content"), path);
            options.extend(["--volume".to_owned(), bind(&folder, path)]);
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        home.run(&service, &options, &image, &[]);
    }
    home
}

#[test]
fn every_part_passes_the_rules_of_the_supervisor() {
    let home = home_of_all();
    let path = home.backup(&[]);
    let metadata = metadata(&path);
    let metadata = object(&metadata, "backup.json");
    check_metadata(metadata);
    let listed = list(metadata, "addons").iter().map(|it| object(it, "an add-on"));
    let known: Vec<_> = TABLE.iter().filter(|it| !it.addons.is_empty()).collect();
    let wanted: BTreeSet<String> = known.iter().map(|it| it.addons[0].id()).collect();
    let there: BTreeSet<String> = listed.clone().map(|it| text(it, "slug").to_owned()).collect();
    assert_eq!(there, wanted);
    let repositories = list(metadata, "repositories");
    for known in known {
        let addon = &known.addons[0];
        let id = addon.id();
        assert!(repositories.iter().any(|it| *it == addon.repository), "{}", addon.repository);
        let member = format!("{id}.tar.gz");
        let entries = inner(&path, &member);
        assert_eq!((entries[0].0.as_str(), entries[1].0.as_str()), (".", "./addon.json"), "{id}");
        let json: Value = serde_json::from_slice(&entries[1].1).expect("it is JSON");
        let listed = listed.clone().find(|it| text(it, "slug") == id).expect("it is listed");
        check_addon(&id, object(&json, "addon.json"), listed);
        // The add-on finds its content, and nothing that it has to write itself is in its way.
        for (mount, _) in known.mounts {
            let Some(place) = known.written(mount) else { continue };
            let file = format!("{place}/content");
            let content = entries.iter().find(|(name, _)| *name == file);
            let content = content.unwrap_or_else(|| panic!("no {file} in {id}"));
            assert!(content.1.starts_with(b"/"), "{id}");
        }
        let all: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
        assert!(!all.iter().any(|it| OF_THE_ADDON.contains(it)), "{all:?}");
    }
    let bridge = inner(&path, "45df7312_zigbee2mqtt.tar.gz");
    let bridge: Value = serde_json::from_slice(&bridge[1].1).expect("it is JSON");
    assert_eq!(bridge["user"]["options"], json!({ "data_path": "/addon_config" }));

    // The password check opens the first part, and none may come before Home Assistant's.
    let all: Vec<String> = members(&path).into_iter().map(|(name, _)| name).collect();
    assert_eq!(all[0], "homeassistant.tar.gz");
    assert!(all.contains(&"./backup.json".to_owned()), "{all:?}");
    let names = names(&path, "homeassistant.tar.gz");
    assert!(names.contains(&"data".to_owned()) && !names.iter().any(|it| it.contains(".json")));
}
