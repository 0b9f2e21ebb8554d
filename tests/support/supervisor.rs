//! Backups as the Supervisor lays them out: other words than ours, by the `tar` crate.

use std::fs::File;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

/// A part: its item, and its files by name with their content. A name that ends in a slash is a
/// folder. All belong to root.
pub(crate) struct Part<'a>(pub(crate) &'a str, pub(crate) Vec<(&'a str, String)>);

/// Home Assistant's part with these files in its folder, beside what every one has.
pub(crate) fn homeassistant<'a>(files: &[(&'a str, &str)]) -> Part<'a> {
    let all = [
        ("./", ""),
        ("./homeassistant.json", "{}"),
        ("data/", ""),
        ("data/.HA_VERSION", "2026.2.3"),
        ("data/configuration.yaml", "default_config:\n"),
    ];
    let owned = |(name, content): &(&'a str, &str)| (*name, (*content).to_owned());
    Part("homeassistant", all.iter().chain(files).map(owned).collect())
}

/// An add-on's part with its options and these files.
pub(crate) fn addon<'a>(id: &'a str, options: &Value, files: &[(&'a str, &str)]) -> Part<'a> {
    let json = json!({
        "user": { "version": "1.2.3", "options": options },
        "system": { "name": id, "version": "1.2.3", "slug": id },
        "version": "1.2.3",
        "state": "started",
    });
    let own = [
        ("./", String::new()),
        ("./addon.json", json.to_string()),
        ("data/", String::new()),
        ("data/options.json", options.to_string()),
    ];
    let files = files.iter().map(|(name, content)| (*name, (*content).to_owned()));
    Part(id, own.into_iter().chain(files).collect())
}

/// Writes a backup; gives its path.
pub(crate) fn backup(path: &Path, parts: &[Part<'_>]) -> PathBuf {
    let mut outer = Builder::new(File::create(path).expect("a file"));
    let has = |name: &str| parts.iter().any(|it| it.0 == name);
    let folders: Vec<&str> = ["share", "ssl", "media"].into_iter().filter(|it| has(it)).collect();
    let addons = parts.iter().filter(|it| it.0 != "homeassistant" && !folders.contains(&it.0));
    let addons = addons.map(|it| json!({ "slug": it.0, "name": it.0, "version": "1.2.3" }));
    let metadata = json!({
        "slug": "0badcafe",
        "version": 2,
        "name": "By the Supervisor",
        "date": "2026-11-01T12:00:00.250000+00:00",
        "type": "full",
        "supervisor_version": "2026.08.0",
        "compressed": true,
        "protected": false,
        "homeassistant": has("homeassistant").then(|| json!({ "version": "2026.2.3" })),
        "folders": folders,
        "addons": addons.collect::<Vec<_>>(),
    });
    add(&mut outer, "./backup.json", metadata.to_string().as_bytes());
    for Part(item, files) in parts {
        let mut inner = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        files.iter().for_each(|(name, content)| add(&mut inner, name, content.as_bytes()));
        let inner = inner.into_inner().expect("it is written").finish().expect("it is written");
        add(&mut outer, &format!("{item}.tar.gz"), &inner);
    }
    outer.into_inner().expect("it is written");
    path.to_owned()
}

fn add(tar: &mut Builder<impl std::io::Write>, name: &str, content: &[u8]) {
    let mut header = Header::new_ustar();
    let is_folder = name.ends_with('/');
    header.set_entry_type(if is_folder { EntryType::Directory } else { EntryType::Regular });
    header.set_mode(if is_folder { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_790_000_000);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, name, content).expect("it is written");
}
