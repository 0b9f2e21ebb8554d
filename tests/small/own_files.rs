//! Home Assistant's own files that mean something beside their content: as its own backup and
//! restore treat them.

use std::fs;
use std::path::Path;

use crate::foreign;
use crate::layout::names;
use crate::support::home::{Home, VERSION};

#[test]
fn a_backup_holds_of_them_what_home_assistants_own_does() {
    let home = Home::new("own-backup");
    let all = [
        (".HA_RESTORE", false),
        (".HA_RESTORE_RESULT", true),
        (".ha_run.lock", true),
        (".storage/backup", true),
        ("home-assistant_v2.db.corrupt.2026-11-01", true),
        (".storage/auth.corrupt.2026-11-01", true),
        ("tmp_backups/half.tar", false),
        ("backups/old.tar", false),
        ("backups/readme", true),
    ];
    for (name, _) in all {
        home.write(&format!("config/{name}"), "x");
    }
    let store = home.bench.folder("store").display().to_string();
    let names = names(&home.backup(&["--store", &store]), "homeassistant.tar.gz");
    for (name, is_in) in all {
        assert_eq!(names.contains(&format!("data/{name}")), is_in, "{name} in {names:?}");
    }
    for folder in ["data/backups", "data/tmp_backups"] {
        assert!(names.iter().any(|it| it == folder), "{folder} in {names:?}");
    }
}

#[test]
fn a_restore_treats_them_as_home_assistants_own_does() {
    let home = Home::new("own-restore");
    let theirs = [
        (".HA_VERSION", VERSION),
        ("configuration.yaml", "default_config:\n"),
        (".HA_RESTORE", "theirs"),
        (".HA_RESTORE_RESULT", "theirs"),
        (".ha_run.lock", "theirs"),
        (".storage/", ""),
        (".storage/backup", "theirs"),
        (".storage/auth.corrupt.1", "theirs"),
        ("home-assistant_v2.db.corrupt.1", "theirs"),
        ("backups/", ""),
        ("backups/theirs", "theirs"),
        ("deep/backups/", ""),
        ("deep/backups/one", "theirs"),
        ("deep/.HA_RESTORE", "theirs"),
        ("tmp_backups/", ""),
        ("tmp_backups/theirs.tar", "theirs"),
    ];
    let backup = foreign::write(&home, &foreign::of_core(), &theirs);
    let ours = [
        ".HA_RESTORE",
        ".HA_RESTORE_RESULT",
        ".ha_run.lock",
        ".storage/backup",
        "backups/ours",
        "tmp_backups/ours.tar",
        "home-assistant_v2.db.corrupt.0",
    ];
    ours.iter().for_each(|it| _ = home.write(&format!("config/{it}"), "ours"));
    home.hearthkeep(&["restore", &backup, "--yes"]).ends(0);
    for (name, wanted) in [
        (".HA_RESTORE", None),
        (".HA_RESTORE_RESULT", None),
        (".ha_run.lock", Some("theirs")),
        (".storage/backup", Some("theirs")),
        (".storage/auth.corrupt.1", Some("theirs")),
        ("home-assistant_v2.db.corrupt.1", Some("theirs")),
        ("home-assistant_v2.db.corrupt.0", None),
        ("backups/ours", Some("ours")),
        ("backups/theirs", None),
        ("deep/backups/one", Some("theirs")),
        ("deep/.HA_RESTORE", Some("theirs")),
        ("tmp_backups/ours.tar", None),
        ("tmp_backups/theirs.tar", Some("theirs")),
    ] {
        assert_eq!(home.read(&format!("config/{name}")).as_deref(), wanted, "{name}");
    }
}

#[test]
fn a_restore_that_waits_in_the_home_would_undo_one_of_the_database() {
    let home = Home::new("own-waiting");
    let files = [("home-assistant_v2.db", "theirs"), ("home-assistant_v2.db-wal", "")];
    let backup = foreign::write(&home, &foreign::of_core(), &files);
    home.write("config/home-assistant_v2.db", "ours");
    let waiting = home.write("config/.HA_RESTORE", "{}");
    let run = home.hearthkeep(&["restore", &backup, "--database-only", "--yes"]).ends(1);
    assert!(run.error().contains(&waiting.display().to_string()), "{}", run.error());
    assert_eq!(home.read("config/home-assistant_v2.db").as_deref(), Some("ours"));
    fs::remove_file(waiting).expect("it is there");
    home.hearthkeep(&["restore", &backup, "--database-only", "--yes"]).ends(0);
    assert_eq!(home.read("config/home-assistant_v2.db").as_deref(), Some("theirs"));
}

#[test]
fn settings_that_a_container_cannot_meet_are_told() {
    let home = Home::new("own-settings");
    let notes = |path: &str, words: &[&str]| {
        let words = [&["--json", "restore", path, "--dry-run"], words].concat();
        let json = home.hearthkeep(&words).ends(0).json();
        json["notes"].to_string()
    };
    let files = [("home-assistant_v2.db", "theirs")];
    let backup = foreign::write(&home, &foreign::of_core(), &files);
    assert!(!notes(&backup, &[]).contains(".storage/backup"));
    let mut metadata = foreign::of_core();
    metadata["supervisor_version"] = "2026.08.0".into();
    let backup = foreign::write(&home, &metadata, &files);
    assert!(notes(&backup, &[]).contains(".storage/backup"));
    assert!(!notes(&backup, &["--database-only"]).contains(".storage/backup"));
    assert!(Path::new(&backup).is_file());
}
