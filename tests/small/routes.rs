//! What a restore puts where, and what it leaves alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::layout::{full_home, names};
use crate::support::home::Home;
use crate::tree::{Seen, assert_same, look};

/// The folders and the file of [`full_home`] that a backup holds.
const PLACES: [&str; 11] = [
    "config",
    "www",
    "secrets.yaml",
    "share",
    "ssl",
    "media",
    "addons/local",
    "extra",
    "mosquitto",
    "mosquitto-config",
    "bridge",
];

pub(crate) type Places = BTreeMap<&'static str, BTreeMap<Vec<u8>, Seen>>;

/// Without what the engine makes when it starts the container: the empty file on which another
/// is mounted, and with it the time of the folder.
pub(crate) fn places(home: &Home) -> Places {
    let mut places = PLACES.map(|it| (it, look(&home.bench.path().join(it))));
    for (_, seen) in places.iter_mut().filter(|(place, _)| *place == "config") {
        seen.remove(&b""[..]);
        seen.remove(&b"secrets.yaml"[..]);
    }
    places.into()
}

/// Changes, adds and removes something at every place.
pub(crate) fn damage(home: &Home) {
    for place in PLACES {
        let path = home.bench.path().join(place);
        if path.is_file() {
            home.write(place, "damaged");
            continue;
        }
        remove_files(&path);
        home.write(&format!("{place}/new/thing"), "damaged");
    }
}

fn remove_files(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("it goes on").path();
        if path.is_dir() {
            remove_files(&path);
        } else {
            fs::remove_file(path).expect("it is there");
        }
    }
}

fn backup_elsewhere(home: &Home, words: &[&str]) -> String {
    let store = home.bench.folder("store").display().to_string();
    home.backup(&[&["--store", &store], words].concat()).display().to_string()
}

#[test]
fn every_mount_gets_its_own_back() {
    let home = full_home("routes");
    // What Home Assistant's own backup leaves out does not come back.
    fs::remove_file(home.config().join("home-assistant.log")).expect("it is there");
    let was = places(&home);
    let backup = backup_elsewhere(&home, &[]);
    damage(&home);
    home.hearthkeep(&["restore", &backup, "--yes"]).ends(0);
    let mut is = places(&home);
    // The empty log of the database is added by every backup.
    let log = b"home-assistant_v2.db-wal".to_vec();
    assert!(is.get_mut("config").and_then(|it| it.remove(&log)).is_some());
    for place in PLACES {
        assert_same(&was[place], &is[place]);
    }
    // What was mounted into the configuration has not been put into the folder below the mount.
    assert_eq!(home.read("config/www/index.html"), None);
    assert_eq!(home.read("config/secrets.yaml").as_deref(), Some(""), "a place to mount a file");
    for container in ["homeassistant", "broker", "bridge"] {
        assert_eq!(home.state(container), "running");
    }
}

#[test]
fn one_item_is_restored_and_the_others_stay() {
    let home = full_home("only");
    let was = places(&home);
    let backup = backup_elsewhere(&home, &[]);
    for (asked, place) in [
        ("share", "share"),
        ("addons/local", "addons/local"),
        ("bridge", "bridge"),
        ("core_mosquitto", "mosquitto"),
        ("mosquitto", "mosquitto"),
        (&home.name("broker"), "mosquitto"),
    ] {
        damage(&home);
        let damaged = places(&home);
        let started = home.started("homeassistant");
        home.hearthkeep(&["restore", &backup, "--only", asked, "--yes"]).ends(0);
        let is = places(&home);
        for it in PLACES {
            let restored = it == place || (place == "mosquitto" && it == "mosquitto-config");
            assert_same(if restored { &was[it] } else { &damaged[it] }, &is[it]);
        }
        let restarted = home.started("homeassistant") != started;
        assert_eq!(restarted, ["share", "addons/local"].contains(&place), "{asked}");
    }
}

#[test]
fn a_dry_run_of_a_restore_changes_nothing() {
    let home = full_home("dry");
    let backup = backup_elsewhere(&home, &[]);
    damage(&home);
    let damaged = places(&home);
    let started = home.started("homeassistant");
    let text = home.hearthkeep(&["restore", &backup, "--dry-run"]).ends(0).stdout;
    let json = home.hearthkeep(&["--json", "restore", &backup, "--dry-run"]).ends(0).json();
    let moves = json["moves"].as_array().expect("a list");
    let names = [home.homeassistant(), home.name("broker"), home.name("bridge")];
    for it in ["/config", "/config/www", "/share", "/mosquitto/data", "/data", "/addons/local"] {
        assert!(moves.iter().any(|one| one["path"] == it), "{it}: {moves:?}");
        assert!(text.contains(it), "{it}: {text}");
    }
    let stops = json["stops"].as_array().expect("a list");
    for it in names {
        assert!(stops.iter().any(|one| *one == it), "{it}: {stops:?}");
    }
    for it in PLACES {
        assert_same(&damaged[it], &places(&home)[it]);
    }
    assert_eq!(home.started("homeassistant"), started);
}

#[test]
fn what_was_left_out_on_request_stays_in_place() {
    let home = Home::with("kept", &["--label", "hearthkeep.exclude=*.iso, by-label/**"]);
    let all = [
        "movie.mp4",
        "deep/movie.mp4",
        "clips/one",
        "deep/clips/one",
        "lapse/a/one",
        "deep/lapse/one",
        "disk.iso",
        "by-label/deep/one",
        "home-assistant_v2.db",
        "home-assistant_v2.db-wal",
        "other",
    ];
    all.iter().for_each(|it| _ = home.write(&format!("config/{it}"), "old"));
    let words = ["--no-database", "--exclude", "*.mp4", "--exclude", "clips/*"];
    let words = [&words[..], &["--exclude", "/config/lapse/**"]].concat();
    let backup = backup_elsewhere(&home, &words);
    let names = names(Path::new(&backup), "homeassistant.tar.gz");
    for (path, is_in) in
        all.iter().zip([false, false, false, true, false, true, false, false, false, false, true])
    {
        assert_eq!(names.contains(&format!("data/{path}")), is_in, "{path} in {names:?}");
    }
    let shown = home.hearthkeep(&["--json", "show", &backup]).ends(0).json();
    assert_eq!(shown["metadata"]["homeassistant"]["exclude_database"], true);

    all.iter().for_each(|it| _ = home.write(&format!("config/{it}"), "new"));
    home.hearthkeep(&["restore", &backup, "--yes"]).ends(0);
    for path in all {
        let is_in = names.contains(&format!("data/{path}"));
        let wanted = if is_in { "old" } else { "new" };
        assert_eq!(home.read(&format!("config/{path}")).as_deref(), Some(wanted), "{path}");
    }
}

#[test]
fn a_home_that_does_not_come_up_gets_everything_back() {
    let home = full_home("rolled-back");
    let right = "default_config:\n";
    home.write("config/configuration.yaml", "http:\n  server_port: 9\n");
    let backup = backup_elsewhere(&home, &[]);
    damage(&home);
    home.write("config/configuration.yaml", right);
    let damaged = places(&home);
    let run = home.hearthkeep(&["restore", &backup, "--yes", "--patience", "1"]).ends(13);
    assert!(run.error().contains("rolled back"), "{}", run.error());
    let is = places(&home);
    for it in PLACES {
        assert_same(&damaged[it], &is[it]);
    }
    for container in ["homeassistant", "broker", "bridge"] {
        assert_eq!(home.state(container), "running");
    }
}

#[test]
fn backups_in_the_configuration_survive_a_restore() {
    let home = Home::new("own-store");
    let first = home.backup(&["--name", "first"]);
    let second = home.backup(&["--name", "second"]);
    let inside = names(&second, "homeassistant.tar.gz");
    assert!(inside.contains(&"data/backups".to_owned()), "{inside:?}");
    assert!(!inside.iter().any(|it| it.starts_with("data/backups/")), "{inside:?}");
    home.hearthkeep(&["restore", second.to_str().expect("a plain path"), "--yes"]).ends(0);
    let mut store = home.store();
    store.sort();
    assert_eq!(store, [first, second]);
}

#[test]
fn a_store_inside_a_mount_is_never_in_the_backup() {
    let home = full_home("inside");
    let real = home.bench.folder("share/kept");
    home.write("share/kept/note.txt", "no backup");
    std::os::unix::fs::symlink(&real, home.bench.path().join("link")).expect("a link");
    let link = home.bench.path().join("link").display().to_string();
    // The same folder by its name, by a link, and as seen from another folder.
    for store in [real.to_str().expect("a plain path"), &link, "./share/../share/kept"] {
        let mut command = home.command(&["--json", "--store", store, "backup"]);
        command.current_dir(home.bench.path());
        let run: crate::support::Run = command.output().expect("it runs").into();
        let report = run.ends(0).json();
        let path = home.bench.path().join(report["path"].as_str().expect("a path"));
        let names = names(&path, "share.tar.gz");
        assert!(names.contains(&"kept/note.txt".to_owned()), "{store}: {names:?}");
        let found = names.iter().find(|it| it.ends_with(".tar") || it.ends_with(".partial"));
        assert_eq!(found, None, "{store}");
    }
    // And they are all there after a restore of what is around them.
    let n_backups = fs::read_dir(&real).expect("the store").count();
    let store = real.display().to_string();
    let list = home.hearthkeep(&["--json", "--store", &store, "list"]).ends(0).json();
    let slug = list["backups"][0]["slug"].as_str().expect("a slug");
    home.hearthkeep(&["--store", &store, "restore", slug, "--only", "share", "--yes"]).ends(0);
    assert_eq!(fs::read_dir(&real).expect("the store").count(), n_backups);
}

#[test]
fn hard_links_between_two_mounts_of_a_part_come_back() {
    let home = full_home("across");
    let first = home.config().join("automations.yaml");
    fs::hard_link(&first, home.bench.path().join("www/linked")).expect("one file system");
    let backup = backup_elsewhere(&home, &["--only", "homeassistant"]);
    damage(&home);
    home.hearthkeep(&["restore", &backup, "--yes"]).ends(0);
    assert_eq!(home.read("config/automations.yaml").as_deref(), Some("- alias: light\n"));
    assert_eq!(home.read("www/linked").as_deref(), Some("- alias: light\n"));
}
