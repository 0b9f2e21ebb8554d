//! The file, read by other means than those that wrote it.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use flate2::bufread::GzDecoder;
use hearthkeep::archive::slug;
use serde_json::{Value, json};

use crate::support::home::{Home, bind};

/// The outer tar: names as Python's `tarfile` takes them, and contents.
pub(crate) fn members(path: &Path) -> Vec<(String, Vec<u8>)> {
    entries(&fs::read(path).expect("the file can be read"))
}

fn entries(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut tar = tar::Archive::new(bytes);
    let entries = tar.entries().expect("it is a tar");
    entries
        .map(|it| {
            let mut entry = it.expect("the tar is whole");
            let name = path_record(&mut entry).unwrap_or_else(|| entry.path_bytes().into_owned());
            let name = String::from_utf8(name).expect("plain names");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("the tar is whole");
            (name, content)
        })
        .collect()
}

fn path_record(entry: &mut tar::Entry<'_, &[u8]>) -> Option<Vec<u8>> {
    let records = entry.pax_extensions().expect("the tar is whole")?;
    let records = records.map(|it| it.expect("a record is whole"));
    records.filter(|it| it.key_bytes() == b"path").last().map(|it| it.value_bytes().to_vec())
}

/// The entries of one inner tar, compressed or not.
pub(crate) fn inner(path: &Path, member: &str) -> Vec<(String, Vec<u8>)> {
    let members = members(path);
    let (_, content) = members.iter().find(|(name, _)| name == member).unwrap_or_else(|| {
        let names: Vec<_> = members.iter().map(|(name, _)| name).collect();
        panic!("no {member} in {names:?}")
    });
    if !member.ends_with("gz") {
        return entries(content);
    }
    let mut rest = content.as_slice();
    let mut bytes = Vec::new();
    GzDecoder::new(&mut rest).read_to_end(&mut bytes).expect("it is gzip");
    assert!(rest.is_empty(), "{member} is more than one gzip member");
    entries(&bytes)
}

/// The names in one inner tar.
pub(crate) fn names(path: &Path, member: &str) -> Vec<String> {
    inner(path, member).into_iter().map(|(name, _)| name).collect()
}

/// `backup.json`.
pub(crate) fn metadata(path: &Path) -> Value {
    let members = members(path);
    let (_, json) = members.iter().find(|(name, _)| name == "./backup.json").expect("metadata");
    serde_json::from_slice(json).expect("it is JSON")
}

/// A home with a part of every kind.
pub(crate) fn full_home(what: &str) -> Home {
    let home = Home::empty(what);
    home.write("config/.HA_VERSION", "2026.2.3\n");
    home.write("config/automations.yaml", "- alias: light\n");
    home.write("config/home-assistant_v2.db", "a database");
    home.write("config/home-assistant.log", "a log");
    home.write("www/index.html", "www");
    home.write("secrets.yaml", "token: 1\n");
    home.write("share/shared", "share");
    home.write("ssl/key.pem", "ssl");
    home.write("media/film", "media");
    home.write("addons/local/mine/config.yaml", "addon");
    home.write("extra/thing", "extra");
    home.write("mosquitto/mosquitto.db", "retained");
    home.write("mosquitto-config/mosquitto.conf", "listener 1883");
    home.write("bridge/state", "bridge");
    let path = |it: &str| home.bench.path().join(it);
    let binds = [
        ("config", "/config"),
        ("www", "/config/www"),
        ("secrets.yaml", "/config/secrets.yaml"),
        ("share", "/share"),
        ("ssl", "/ssl"),
        ("media", "/media"),
        ("addons/local", "/addons/local"),
        ("extra", "/extra"),
    ]
    .map(|(source, destination)| bind(&path(source), destination));
    let options: Vec<&str> = binds.iter().flat_map(|it| ["--volume", it]).collect();
    home.run_homeassistant(&options);

    let image = home.image(&format!("hearthkeep-test/{}/eclipse-mosquitto:2.0.18", home.project));
    let data = bind(&path("mosquitto"), "/mosquitto/data");
    let config = bind(&path("mosquitto-config"), "/mosquitto/config");
    home.run("broker", &["--volume", &data, "--volume", &config], &image, &[]);
    home.companion("bridge", &[]);
    home
}

const MEMBERS: [&str; 10] = [
    "homeassistant.tar.gz",
    "core_mosquitto.tar.gz",
    "addons_local.tar.gz",
    "media.tar.gz",
    "share.tar.gz",
    "ssl.tar.gz",
    "homeassistant_other.companion.tgz",
    "bridge.companion.tgz",
    "hearthkeep.index",
    "./backup.json",
];

#[test]
fn the_file_is_what_home_assistants_own_software_reads() {
    let home = full_home("layout");
    let path = home.backup(&["--name", "Größe & Co"]);
    let bytes = fs::metadata(&path).expect("it is there").len();
    assert_eq!(bytes % 10_240, 0, "{bytes}");
    let mut tail = fs::read(&path).expect("it can be read");
    let tail = tail.split_off(tail.len() - 1_024);
    assert!(tail.iter().all(|it| *it == 0), "it does not end in two zero blocks");
    let names: Vec<String> = members(&path).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, MEMBERS);

    let metadata = metadata(&path);
    let text = |key: &str| metadata[key].as_str().unwrap_or_else(|| panic!("{key}: {metadata}"));
    assert_eq!(text("name"), "Größe & Co");
    assert_eq!(text("slug"), slug(text("date"), text("name")));
    assert!(text("slug").len() == 8 && text("slug").chars().all(|it| it.is_ascii_hexdigit()));
    assert!(text("date").ends_with("+00:00") && text("date").contains('T'), "{}", text("date"));
    assert!(text("date").parse::<jiff::Timestamp>().is_ok());
    for (key, wanted) in [
        ("version", json!(2)),
        ("type", json!("partial")),
        ("compressed", json!(true)),
        ("protected", json!(false)),
        ("homeassistant", json!({ "version": "2026.2.3", "exclude_database": false })),
        ("extra", json!({})),
        ("repositories", json!(["core"])),
    ] {
        assert_eq!(metadata[key], wanted, "{key}");
    }
    for key in ["supervisor_version", "crypto", "docker"] {
        assert!(metadata.get(key).is_none(), "{key}");
    }
    let mut folders: Vec<&str> =
        metadata["folders"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    folders.sort_unstable();
    assert_eq!(folders, ["addons/local", "media", "share", "ssl"]);
    let addons = metadata["addons"].as_array().expect("a list");
    assert_eq!(addons.len(), 1, "{addons:?}");
    assert_eq!(addons[0]["slug"], "core_mosquitto");
    assert_eq!(addons[0]["version"], "2.0.18");
    assert!(addons[0]["name"].is_string() && addons[0]["size"].is_number());
    let shown = home.hearthkeep(&["--json", "show", text("slug")]).ends(0).json();
    assert_eq!(shown["metadata"], metadata);
}

#[test]
fn each_part_is_laid_out_as_its_kind_wants() {
    let home = full_home("parts");
    let path = home.backup(&[]);
    let has = |member: &str, wanted: &[&str], unwanted: &[&str]| {
        let names = names(&path, member);
        for it in wanted {
            assert_eq!(names.iter().filter(|name| name == it).count(), 1, "{it} of {names:?}");
        }
        for it in unwanted {
            assert!(!names.iter().any(|name| name == it), "{it} in {names:?}");
        }
    };
    has(
        "homeassistant.tar.gz",
        &["data", "data/.HA_VERSION", "data/www/index.html", "data/secrets.yaml", "data/www"],
        &["homeassistant.json", "data/home-assistant.log", "."],
    );
    has("share.tar.gz", &[".", "shared"], &["data"]);
    has("addons_local.tar.gz", &[".", "mine/config.yaml"], &[]);
    has("core_mosquitto.tar.gz", &[".", "./addon.json", "data", "data/mosquitto.db"], &[]);
    has("bridge.companion.tgz", &["mounts/data/state"], &["addon.json", "./addon.json"]);
    has("homeassistant_other.companion.tgz", &["mounts/extra/thing"], &[]);

    let addon = inner(&path, "core_mosquitto.tar.gz");
    assert_eq!(addon[0].0, ".");
    assert_eq!(addon[1].0, "./addon.json");
    let addon: Value = serde_json::from_slice(&addon[1].1).expect("it is JSON");
    assert_eq!(addon["state"], "started");
    assert_eq!(addon["version"], "2.0.18");
    assert_eq!(addon["user"]["version"], "2.0.18");
    assert_eq!(addon["system"]["slug"], "mosquitto");
    assert_eq!(addon["system"]["repository"], "core");
    for key in ["name", "version", "description", "arch", "translations"] {
        assert!(!addon["system"][key].is_null(), "{key}: {addon}");
    }
    for (name, _) in MEMBERS.iter().flat_map(|it| match *it {
        "hearthkeep.index" | "./backup.json" => Vec::new(),
        member => inner(&path, member),
    }) {
        assert!(!name.starts_with('/') && !name.split('/').any(|it| it == ".."), "{name}");
    }
}

#[test]
fn a_database_has_its_log_beside_it_whatever_was_there() {
    let home = Home::new("wal");
    let log = "data/home-assistant_v2.db-wal";
    let count = |path: &Path| {
        let all = inner(path, "homeassistant.tar.gz");
        let found: Vec<Vec<u8>> =
            all.into_iter().filter(|(name, _)| name == log).map(|(_, it)| it).collect();
        found
    };
    assert_eq!(count(&home.backup(&[])), [b""; 0], "a log without a database");
    home.write("config/home-assistant_v2.db", "a database");
    assert_eq!(count(&home.backup(&[])), [b""], "no empty log beside the database");
    home.write("config/home-assistant_v2.db-wal", "written ahead");
    home.write("config/home-assistant_v2.db-shm", "an index");
    let path = home.backup(&[]);
    assert_eq!(count(&path), [b"written ahead"]);
    let names = names(&path, "homeassistant.tar.gz");
    assert!(!names.iter().any(|it| it.ends_with("-shm")), "{names:?}");
}

#[test]
fn names_end_as_the_metadata_says() {
    let home = full_home("plain-names");
    let path = home.backup(&["--uncompressed"]);
    let names: Vec<String> = members(&path).into_iter().map(|(name, _)| name).collect();
    let wanted = MEMBERS.map(|it| it.replace(".tar.gz", ".tar").replace(".tgz", ".tar"));
    assert_eq!(names, wanted);
    assert_eq!(metadata(&path)["compressed"], false);
    let mut file = File::open(&path).expect("it is there");
    let mut head = [0; 512];
    file.read_exact(&mut head).expect("it has a header");
    assert_eq!(&head[257..263], b"ustar\0");
}
