//! What the Python package `securetar`, by which Home Assistant and the Supervisor read, finds in
//! our backups.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use hearthkeep::archive::{Archive, Format};
use hearthkeep::capture::Source;
use hearthkeep::model::PartKind;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::house::{House, How, PASSWORD};
use crate::support::secured;

#[test]
fn plain_files_are_read_by_securetar() {
    check(None);
}

#[test]
fn files_of_version_2_are_read_by_securetar() {
    check(Some(Format::V2));
}

#[test]
fn files_of_version_3_are_read_by_securetar() {
    check(Some(Format::V3));
}

fn check(format: Option<Format>) {
    let house = House::full();
    for level in [Some(2), Some(6), None] {
        let how = How { format, level };
        let file = house.backup(how);
        let archive = Archive::open(&file).expect("it is a backup");
        assert_eq!(archive.metadata.compressed, level.is_some());
        assert_eq!(archive.metadata.protected, format.is_some());
        let version = format.map(|it| if it == Format::V2 { 2 } else { 3 });
        let wanted: BTreeMap<String, Value> = house
            .sources
            .iter()
            .map(|it| (it.part.member(level.is_some()), of_part(it, version)))
            .collect();
        assert!(wanted.keys().any(|it| it.contains(".companion.t")), "{:?}", wanted.keys());
        let read = secured::read(&file, PASSWORD);
        let read: BTreeMap<String, Value> = serde_json::from_value(read).expect("an object");
        assert_eq!(read.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>(), "{how:?}");
        for (member, wanted) in wanted {
            assert_eq!(read[&member]["format"], wanted["format"], "{how:?}: {member}");
            let names = |it: &Value| it["names"].as_object().cloned().expect("an object");
            for (name, entry) in names(&wanted) {
                assert_eq!(read[&member]["names"][&name], entry, "{how:?}: {member}: {name}");
            }
            assert_eq!(names(&read[&member]).len(), names(&wanted).len(), "{how:?}: {member}");
        }
        // Who gives a wrong password is told so, and not that the file is broken.
        if format.is_some() {
            let refused = secured::run(&file, "hunter3", "streamed").ends(0).json();
            assert_eq!(refused, json!({ "error": "password" }), "{how:?}");
        }
    }
}

/// What the source of a part should be in its tar.
fn of_part(source: &Source, format: Option<u8>) -> Value {
    let mut names = BTreeMap::new();
    if let PartKind::Addon { json, .. } = &source.part.kind {
        names.insert(".".to_owned(), json!(["folder", 0, null]));
        let text = serde_json::to_vec_pretty(json).expect("it is JSON");
        names.insert("./addon.json".to_owned(), file(&text));
    }
    let prefix = source.part.trees[0].prefix.as_str();
    add(&source.roots[0], if prefix.is_empty() { "." } else { prefix }, prefix, &mut names);
    // The walk is in the order of names, and of two that lead to one file the first has it.
    let second = names.iter_mut().find(|(name, _)| name.ends_with("links/second"));
    if let Some((_, second)) = second {
        *second = json!(["hardlink", 0, null]);
    }
    json!({ "format": format, "names": names })
}

fn add(path: &Path, name: &str, below: &str, names: &mut BTreeMap<String, Value>) {
    let kind = path.symlink_metadata().expect("it is there").file_type();
    let entry = match kind {
        _ if kind.is_symlink() => json!(["symlink", 0, null]),
        _ if kind.is_dir() => json!(["folder", 0, null]),
        _ => file(&fs::read(path).expect("it can be read")),
    };
    names.insert(name.to_owned(), entry);
    if kind.is_dir() {
        for child in fs::read_dir(path).expect("a folder") {
            let child = child.expect("it goes on");
            let name = child.file_name();
            let name = std::str::from_utf8(name.as_bytes()).expect("text");
            let name = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            add(&child.path(), &name, &name, names);
        }
    }
}

fn file(content: &[u8]) -> Value {
    let hash: String = Sha256::digest(content).iter().map(|it| format!("{it:02x}")).collect();
    json!(["file", content.len(), hash])
}
