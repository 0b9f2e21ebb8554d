//! Backups that others wrote: everything in them can be read.

use std::fs;
use std::path::{Path, PathBuf};

use hearthkeep::archive::{self, Archive, Checks, OpenError, ROOT};
use hearthkeep::model::{Item, Part, PartKind, Tree};
use hearthkeep::monitor::Quiet;
use hearthkeep::secret::Secret;
use rusqlite::{Connection, OpenFlags};
use tokio_util::sync::CancellationToken;

use crate::house::{extract, open};
use crate::support::Bench;

/// A file, its members, and the items that it says it has.
type Example = (&'static str, &'static [&'static str], &'static [&'static str]);

const CORE: &[&str] = &["backup.json", "homeassistant.tar.gz"];

const SUPERVISOR: &[&str] = &[
    "homeassistant.tar.gz",
    "core_mosquitto.tar.gz",
    "share.tar.gz",
    "addons_local.tar.gz",
    "ssl.tar.gz",
    "media.tar.gz",
    "supervisor.tar.gz",
    "backup.json",
];

const ALL_ITEMS: &[&str] =
    &["homeassistant", "core_mosquitto", "share", "addons/local", "ssl", "media"];

const EXAMPLES: [Example; 7] = [
    ("core_plain_gz", CORE, &["homeassistant"]),
    ("core_sec1_gz", CORE, &["homeassistant"]),
    ("core_sec2_gz", CORE, &["homeassistant"]),
    ("core_sec3_gz", CORE, &["homeassistant"]),
    ("supervisor_full_plain_gz", SUPERVISOR, ALL_ITEMS),
    ("supervisor_full_sec3_gz", SUPERVISOR, ALL_ITEMS),
    (
        "snapshot_json_v1_sec1_gz",
        &["homeassistant.tar.gz", "snapshot.json", "ssl.tar.gz"],
        &["homeassistant", "ssl"],
    ),
];

/// What is in the other parts: item, name in its tar, content.
const FILES: [(&str, &str, &str); 6] = [
    ("core_mosquitto", "data/mosquitto.db", "dbdbdbdb"),
    ("core_mosquitto", "config/readme.txt", "cfg\n"),
    ("share", "s.txt", "share\n"),
    ("addons/local", "my_addon/config.yaml", "name: my\n"),
    ("ssl", "fullchain.pem", "CERT\n"),
    ("media", "m.txt", "media\n"),
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archives").join(name).with_extension("tar")
}

#[test]
fn each_is_listed_without_its_password() {
    let folder = fs::read_dir(path("x").parent().expect("a folder")).expect("it can be read");
    let names = folder.map(|it| it.expect("it goes on").file_name().into_string().expect("text"));
    // Those of ours are looked at elsewhere.
    let of_others = |it: &String| it.ends_with(".tar") && !it.starts_with("hearthkeep_");
    assert_eq!(names.filter(of_others).count(), EXAMPLES.len());
    for (name, members, items) in EXAMPLES {
        let archive = Archive::open(&path(name)).unwrap_or_else(|err| panic!("{name}: {err}"));
        let there: Vec<&str> = archive.members.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(there, members, "{name}");
        let there: Vec<String> = archive.metadata.items().iter().map(Item::to_string).collect();
        assert_eq!(there, items, "{name}");
        let is_encrypted = !name.contains("plain");
        assert_eq!(archive.is_encrypted().expect("it can be read"), is_encrypted, "{name}");
        assert_eq!(archive.metadata.protected, is_encrypted, "{name}");
    }
}

#[test]
fn each_is_sound_and_so_is_what_is_in_it() {
    let bench = Bench::new();
    let checks = Checks { hashes: true, contents: Some(bench.path()), ..Checks::default() };
    for (name, members, _) in EXAMPLES {
        let archive = open(&path(name));
        let verdict = archive::verify(&archive, checks, &CancellationToken::new(), &Quiet)
            .unwrap_or_else(|err| panic!("{name}: {err}"));
        assert_eq!((verdict.problems, verdict.notes), (vec![], vec![]), "{name}");
        assert_eq!(verdict.content_bytes.len(), members.len() - 1, "{name}");
        assert!(verdict.content_bytes["homeassistant.tar.gz"] > 8192, "{name}");
    }
    assert_eq!(fs::read_dir(bench.path()).expect("it is there").count(), 0, "something is left");
}

#[test]
fn each_is_opened_by_its_password_alone() {
    let bench = Bench::new();
    for (name, ..) in EXAMPLES.iter().filter(|(name, ..)| !name.contains("plain")) {
        let mut archive = Archive::open(&path(name)).expect("it is a backup");
        for wrong in ["", "Hunter2", "hunter2 ", "hunter"] {
            let refused = archive.unlock(Secret::new(wrong.to_owned()));
            assert!(matches!(refused, Err(OpenError::WrongPassword { .. })), "{name}: {wrong:?}");
        }
        let cancel = CancellationToken::new();
        let verdict = archive::verify(&archive, Checks::default(), &cancel, &Quiet);
        assert!(matches!(verdict, Err(OpenError::Encrypted { .. })), "{name}: {verdict:?}");
        let member = archive.members.iter().find(|it| it.name == "homeassistant.tar.gz");
        let target = archive::Target { staging: bench.path().to_owned(), ..Default::default() };
        let member = member.expect("it is in it");
        let done = archive::extract(&archive, member, &[target], &cancel, &Quiet);
        assert!(done.is_err_and(|it| format!("{it:#}").contains("encrypted")), "{name}");
        assert_eq!(fs::read_dir(bench.path()).expect("it is there").count(), 0, "{name}");
    }
}

#[test]
fn each_is_extracted() {
    let bench = Bench::new();
    for (name, _, items) in EXAMPLES {
        let archive = open(&path(name));
        let prefix = if name.starts_with("snapshot") { "" } else { "data" };
        let staging = extract(&archive, &part("homeassistant", prefix), &bench);
        assert_home(name, &staging.path().join(ROOT));
        for (item, file, wanted) in FILES.iter().filter(|(item, ..)| items.contains(item)) {
            let staging = extract(&archive, &part(item, ""), &bench);
            let content = fs::read_to_string(staging.path().join(ROOT).join(file));
            assert!(content.expect("it is there").starts_with(wanted), "{name}: {file}");
        }
    }
}

fn part(item: &str, prefix: &str) -> Part {
    let tree = Tree {
        prefix: prefix.to_owned(),
        source: PathBuf::new(),
        destination: PathBuf::new(),
        container: String::new(),
        volume: None,
    };
    Part {
        item: Item::parse(item),
        kind: PartKind::Private,
        trees: vec![tree],
        image: String::new(),
        exclude: Vec::new(),
        exclude_kept: Vec::new(),
    }
}

/// What the README beside the archives says of Home Assistant.
fn assert_home(name: &str, home: &Path) {
    let read = |it: &str| {
        fs::read_to_string(home.join(it)).unwrap_or_else(|err| panic!("{name}: {it}: {err}"))
    };
    assert_eq!(read("configuration.yaml"), "default_config:\n", "{name}");
    let config: serde_json::Value =
        serde_json::from_str(&read(".storage/core.config")).expect("it is JSON");
    assert!(config.is_object(), "{name}: {config}");
    assert!(read(".HA_VERSION").starts_with("202"), "{name}");
    assert!(read("custom_components/x/__init__.py").ends_with('\n'), "{name}");
    let link = fs::read_link(home.join("www/link.yaml")).expect("a link");
    assert_eq!(link, Path::new("../configuration.yaml"), "{name}");
    assert_eq!(fs::read_dir(home.join("empty")).expect("a folder").count(), 0, "{name}");
    let log = home.join("home-assistant_v2.db-wal").metadata();
    assert_eq!(log.expect("it is there").len(), 0, "{name}");
    let database = home.join("home-assistant_v2.db");
    let database = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let database = database.expect("a database");
    let rows = database.query_row("SELECT count(*) FROM t", [], |row| row.get(0));
    assert_eq!(rows, Ok(100), "{name}");
}
