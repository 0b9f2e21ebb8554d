//! The database alone, everything but the database, or both.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::foreign;
use crate::support::home::{Home, IMAGE, VERSION, bind};
use crate::tree::{Seen, assert_same, look};

const DATABASE: &str = "home-assistant_v2.db";
const BESIDE: [&str; 3] =
    ["home-assistant_v2.db-wal", "home-assistant_v2.db-shm", "home-assistant_v2.db-journal"];

/// The configuration without the database.
fn rest(home: &Home) -> BTreeMap<Vec<u8>, Seen> {
    let mut seen = look(&home.config());
    seen.retain(|name, _| !name.starts_with(DATABASE.as_bytes()));
    seen
}

fn database(home: &Home) -> Vec<Option<String>> {
    [&[DATABASE], &BESIDE[..]]
        .concat()
        .iter()
        .map(|it| home.read(&format!("config/{it}")))
        .collect()
}

fn texts(texts: [Option<&str>; 4]) -> Vec<Option<String>> {
    texts.map(|it| it.map(str::to_owned)).into()
}

/// A home whose database has everything beside it that SQLite may have, with a companion.
fn home(what: &str) -> Home {
    let home = Home::new(what);
    home.write("config/note", "ours");
    home.write("config/deep/note", "ours");
    [&[DATABASE], &BESIDE[..]].concat().iter().for_each(|it| {
        home.write(&format!("config/{it}"), "ours");
    });
    home.companion("bridge", &[]);
    home.write("bridge/state", "ours");
    home
}

const THEIRS: [(&str, &str); 5] = [
    (".HA_VERSION", VERSION),
    ("configuration.yaml", "default_config:\n"),
    ("note", "theirs"),
    ("new", "theirs"),
    (DATABASE, "theirs"),
];

#[test]
fn the_database_alone_is_replaced_with_all_that_lies_beside_it() {
    let home = home("database-only");
    fs::set_permissions(home.config(), Permissions::from_mode(0o750)).expect("it is ours");
    let backup = foreign::write(&home, &foreign::of_core(), &THEIRS);
    let (was, started) = (rest(&home), home.started("bridge"));
    home.hearthkeep(&["restore", &backup, "--database-only", "--yes"]).ends(0);
    assert_eq!(database(&home), texts([Some("theirs"), None, None, None]));
    // The folder's own time shows when something in it was exchanged.
    let but_folder = |mut seen: BTreeMap<_, _>| {
        seen.remove(&b""[..]);
        seen
    };
    assert_same(&but_folder(was), &but_folder(rest(&home)));
    let mode = fs::metadata(home.config()).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o750);
    assert_eq!(home.started("bridge"), started, "it was stopped");
}

#[test]
fn everything_but_the_database_is_replaced() {
    let home = home("no-database");
    let backup = foreign::write(&home, &foreign::of_core(), &THEIRS);
    home.hearthkeep(&["restore", &backup, "--no-database", "--yes"]).ends(0);
    assert_eq!(database(&home), texts([Some("ours"); 4]));
    assert_eq!(home.read("config/note").as_deref(), Some("theirs"));
    assert_eq!(home.read("config/new").as_deref(), Some("theirs"));
    assert_eq!(home.read("config/deep/note"), None);
    // Without a choice both.
    home.hearthkeep(&["restore", &backup, "--yes"]).ends(0);
    assert_eq!(database(&home), texts([Some("theirs"), None, None, None]));
}

#[test]
fn the_companions_come_along_where_they_are_named() {
    let home = home("database-and");
    let store = home.bench.folder("store").display().to_string();
    let backup = home.backup(&["--store", &store]).display().to_string();
    let change = || {
        home.write(&format!("config/{DATABASE}"), "newer");
        home.write("config/note", "newer");
        home.write("bridge/state", "newer");
    };
    let read =
        || ["config/home-assistant_v2.db", "config/note", "bridge/state"].map(|it| home.read(it));
    for (words, wanted) in [
        (&["--database-only"][..], ["ours", "newer", "newer"]),
        (&["--database-only", "--only", "homeassistant", "bridge"], ["ours", "newer", "ours"]),
        (&["--no-database"], ["newer", "ours", "ours"]),
        (&["--no-database", "--only", "homeassistant"], ["newer", "ours", "newer"]),
    ] {
        change();
        home.hearthkeep(&[&["restore", &backup, "--yes"], words].concat()).ends(0);
        assert_eq!(read(), wanted.map(|it| Some(it.to_owned())), "{words:?}");
    }
}

#[test]
fn what_lies_beside_the_database_comes_back_with_it_when_it_is_rolled_back() {
    let home = Home::empty("database-back");
    home.write("config/.HA_VERSION", VERSION);
    home.write("config/configuration.yaml", "default_config:\n");
    for name in BESIDE {
        home.write(&format!("config/{name}"), "ours");
    }
    let config = bind(&home.config(), "/config");
    let version = format!("io.hass.version={VERSION}");
    let labels = ["--label", "hearthkeep.role=homeassistant", "--label", &version];
    // It cannot write where its database should be when that is a folder.
    let words = ["http=8123", "tick=/config/home-assistant_v2.db"];
    home.run("homeassistant", &[&labels[..], &["--volume", &config]].concat(), IMAGE, &words);
    let files = [("home-assistant_v2.db/", ""), ("home-assistant_v2.db/file", "x")];
    let backup = foreign::write(&home, &foreign::of_core(), &files);
    let was = rest(&home);
    let words = ["restore", &backup, "--database-only", "--yes", "--patience", "5"];
    home.hearthkeep(&words).ends(13);
    let is = database(&home);
    assert!(is[0].as_ref().is_some_and(|it| it.starts_with("1\n2\n")), "{is:?}");
    assert_eq!(is[1..], texts([Some("ours"); 4])[1..]);
    assert_same(&was, &rest(&home));
    assert_eq!(home.state("homeassistant"), "running");
}

#[test]
fn a_choice_without_a_database_is_refused() {
    let home = home("database-none");
    let store = home.bench.folder("store").display().to_string();
    let without = home.backup(&["--store", &store, "--no-database"]).display().to_string();
    let with = home.backup(&["--store", &store]).display().to_string();
    // One that says it holds a database, and does not.
    let elsewhere = foreign::write(&home, &foreign::of_core(), &THEIRS[..4]);
    let (was, started) = (look(&home.config()), home.started("homeassistant"));
    for (file, words, code, said) in [
        (&with, &["--database-only", "--no-database"][..], 2, "cannot be used with"),
        (&with, &["--only", "bridge", "--database-only"], 2, "--database-only"),
        (&with, &["--only", "bridge", "--no-database"], 2, "--no-database"),
        (&without, &["--database-only"], 1, "the backup holds no database"),
        (&elsewhere, &["--database-only"], 1, "its database may be elsewhere"),
    ] {
        let run = home.hearthkeep(&[&["restore", file, "--yes"], words].concat()).ends(code);
        assert!(run.error().contains(said), "{words:?}: {}", run.error());
    }
    assert_same(&was, &look(&home.config()));
    assert_eq!(home.started("homeassistant"), started, "it was stopped");
}

#[test]
fn only_what_is_wanted_needs_room() {
    let home = home("database-room");
    let big = "x".repeat(3 << 20);
    let files = [("movie", big.as_str()), (DATABASE, &big[..1 << 20])];
    let backup = foreign::write(&home, &foreign::of_core(), &files);
    let needed = |words: &[&str]| {
        let words = [&["--json", "restore", &backup, "--dry-run"], words].concat();
        let json = home.hearthkeep(&words).ends(0).json();
        json["room"][0]["needed_bytes"].as_u64().expect("a number") >> 19
    };
    assert_eq!(needed(&[]), 8);
    assert_eq!(needed(&["--database-only"]), 2);
    assert_eq!(needed(&["--no-database"]), 6);
}
