//! Each command once, as a person and as a program see it.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::layout::{full_home, names};
use crate::support::home::Home;
use crate::support::{Bench, Run};
use crate::tree::{assert_same, look};

#[test]
fn a_plan_and_a_dry_run_are_the_same_and_write_nothing() {
    let home = full_home("plan");
    let was = look(home.bench.path());
    let plan = home.hearthkeep(&["--json", "plan"]).ends(0);
    let dry_run = home.hearthkeep(&["backup", "--dry-run", "--json"]).ends(0);
    assert_eq!(plan.json(), dry_run.json());
    assert_eq!(plan.json()["store"], home.config().join("backups").display().to_string());
    let words = ["plan", "--only", "share", "--uncompressed", "--name", "n", "--exclude", "*.x"];
    let plan = home.hearthkeep(&[&["--json"], &words[..]].concat()).ends(0).json();
    assert_eq!(plan["name"], "n");
    assert_eq!(plan["compressed"], false);
    assert_eq!(plan["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(plan["items"][0]["member"], "share.tar");
    assert_eq!(plan["items"][0]["exclude"][0], "*.x");
    assert_eq!(plan["items"][0]["bytes"], 5);
    assert_eq!(plan["bytes"], 5);
    let text = home.hearthkeep(&["plan"]).ends(0).stdout;
    assert_eq!(text, home.hearthkeep(&["backup", "--dry-run"]).ends(0).stdout);
    for said in ["homeassistant", "core_mosquitto", "paused", "/config/www"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    home.hearthkeep(&["list"]).ends(0);
    assert_same(&was, &look(home.bench.path()));
}

#[test]
fn only_what_was_asked_for_is_backed_up_and_held() {
    let home = full_home("some");
    let started = home.started("bridge");
    for (asked, items) in [
        (&["share"][..], &["share"][..]),
        (&["homeassistant", "ssl"], &["homeassistant", "ssl"]),
        (&["bridge"], &["bridge"]),
        (&["mosquitto"], &["core_mosquitto"]),
    ] {
        let words = [&["--json", "backup", "--only"], asked].concat();
        let report = home.hearthkeep(&words).ends(0).json();
        let slug = report["slug"].as_str().expect("a slug");
        let shown = home.hearthkeep(&["--json", "show", slug]).ends(0).json();
        assert_eq!(shown["items"], serde_json::json!(items));
        let held = report["containers"].as_array().expect("a list");
        let holds_bridge = held.iter().any(|it| it["name"] == home.name("bridge"));
        assert_eq!(holds_bridge, asked.contains(&"bridge"), "{asked:?}: {held:?}");
        assert!(shown["name"].as_str().is_some_and(|it| it.starts_with("Partial backup")));
    }
    assert_eq!(home.started("bridge"), started);
}

#[test]
fn a_backup_goes_out_and_comes_in_again() {
    let home = Home::new("round");
    let path = home.backup(&["--name", "to and fro"]);
    let bytes = fs::read(&path).expect("it can be read");
    let list = home.hearthkeep(&["--json", "list"]).ends(0).json();
    let slug = list["backups"][0]["slug"].as_str().expect("a slug").to_owned();

    let out = home.bench.folder("out");
    let to_folder = out.display().to_string();
    home.hearthkeep(&["export", &slug, &to_folder]).ends(0);
    let exported = out.join(path.file_name().expect("a name"));
    assert_eq!(fs::read(&exported).expect("it is there"), bytes);
    // What is there is never replaced.
    let run = home.hearthkeep(&["export", &slug, &to_folder]).ends(1);
    assert!(run.error().contains(&exported.display().to_string()), "{}", run.error());
    let other = out.join("other.tar").display().to_string();
    home.hearthkeep(&["export", &slug, &other]).ends(0);
    assert_eq!(fs::read(&other).expect("it is there"), bytes);

    // A name without a folder is a file right here.
    let here = home.command(&["export", &slug, "here.tar"]).current_dir(&out).output();
    Run::from(here.expect("the program can be started")).ends(0);
    assert_eq!(fs::read(out.join("here.tar")).expect("it is there"), bytes);

    let run = home.hearthkeep(&["import", &other]).ends(1);
    assert!(run.error().contains(&slug), "{}", run.error());
    assert_eq!(home.store(), std::slice::from_ref(&path));
    home.hearthkeep(&["remove", &slug]).ends(0);
    assert_eq!(home.store(), Vec::<PathBuf>::new());
    home.hearthkeep(&["remove", &slug]).ends(10);
    home.hearthkeep(&["import", &other]).ends(0);
    assert_eq!(home.store(), std::slice::from_ref(&path));
    assert_eq!(fs::read(&path).expect("it is back"), bytes);
    home.hearthkeep(&["verify", &slug]).ends(0);
    // By the name of the file as well.
    let name = path.file_name().and_then(|it| it.to_str()).expect("a plain name");
    home.hearthkeep(&["show", name]).ends(0);
    // A file in the very mount that is restored stays there.
    let inside = home.config().join("mine.tar");
    fs::copy(&path, &inside).expect("a copy");
    home.hearthkeep(&["restore", &inside.display().to_string(), "--yes"]).ends(0);
    assert_eq!(fs::read(&inside).expect("it is still there"), bytes);
}

#[test]
fn a_file_that_is_no_backup_does_not_hide_the_others() {
    let home = Home::new("beside");
    home.backup(&["--name", "good"]);
    home.write("config/backups/bad.tar", "not a tar");
    home.write("config/backups/._x.tar", "of another system");
    home.write("config/backups/note.txt", "a note");
    home.write("config/backups/unfinished.tar.partial", "half");
    let run = home.hearthkeep(&["list"]).ends(0);
    assert!(run.stdout.contains("good") && run.stderr.contains("bad.tar"), "{run:?}");
    let list = home.hearthkeep(&["--json", "list"]).ends(0).json();
    assert_eq!(list["backups"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list["unreadable"].as_array().map(Vec::len), Some(1), "{list}");
}

#[test]
fn every_command_prints_one_object_where_json_is_asked_for() {
    let home = Home::new("json");
    let report = home.hearthkeep(&["backup", "--json"]).ends(0);
    let object = report.json();
    for key in ["slug", "name", "path", "size_bytes", "duration_seconds", "longest_hold_seconds"] {
        assert!(!object[key].is_null(), "{key}: {object}");
    }
    let path = object["path"].as_str().expect("a path");
    let size = fs::metadata(path).expect("it is there").len();
    assert_eq!(object["size_bytes"], size);
    assert!(object["containers"].is_array() && object["warnings"].is_array(), "{object}");
    assert!(report.stderr.contains("archiving homeassistant"), "{}", report.stderr);
    let slug = object["slug"].as_str().expect("a slug");
    let out = home.bench.path().join("out.tar").display().to_string();
    for (words, key) in [
        (&["plan"][..], "items"),
        (&["list"], "backups"),
        (&["show", slug], "members"),
        (&["verify", slug], "sound"),
        (&["export", slug, &out], "path"),
        (&["restore", slug, "--dry-run"], "moves"),
        (&["restore", slug, "--yes"], "items"),
        (&["remove", slug], "slug"),
        (&["import", &out], "slug"),
        (&["list"], "store"),
    ] {
        let quiet = [&["--quiet", "--json"], words].concat();
        let run = home.hearthkeep(&quiet).ends(0);
        let object: Value = run.json();
        assert!(!object[key].is_null(), "{words:?}: {object}");
        assert_eq!(run.stdout.lines().count(), 1, "{words:?}");
        assert_eq!(run.stderr, "", "{words:?}");
    }
    // The option stands before or after the command.
    assert_eq!(
        home.hearthkeep(&["list", "--json"]).ends(0).stdout,
        home.hearthkeep(&["--json", "list"]).ends(0).stdout
    );
}

#[test]
fn the_name_of_a_backup_is_as_said_or_tells_what_it_is() {
    let home = Home::new("named");
    for (words, wanted) in [
        (&[][..], "Full backup 2026.2.3"),
        (&["--name", " Vor dem Umbau "], "Vor dem Umbau"),
        (&["--name", "-rf"][..1], ""),
    ] {
        if wanted.is_empty() {
            home.hearthkeep(&[&["backup"], words].concat()).ends(2);
            continue;
        }
        let report = home.hearthkeep(&[&["--json", "backup"], words].concat()).ends(0).json();
        assert_eq!(report["name"], wanted);
        let path: PathBuf = report["path"].as_str().expect("a path").into();
        let file = path.file_name().and_then(|it| it.to_str()).expect("a plain name");
        assert!(file.starts_with(&wanted.replace(' ', "_")), "{file}");
        assert!(!names(&path, "homeassistant.tar.gz").is_empty());
    }
}

#[test]
fn a_package_finds_its_manual_and_its_completions() {
    let bench = Bench::new();
    let run = |arguments: &[&str]| Run::from(bench.command(arguments).output().expect("it starts"));
    let folder = bench.folder("man").display().to_string();
    run(&["man", &folder]).ends(0);
    let page = fs::read_to_string(bench.path().join("man/hearthkeep-restore.1"));
    assert!(page.expect("every command has a page").contains("dry\\-run"));
    assert!(!bench.path().join("man/hearthkeep-guardian.1").exists());
    assert!(run(&["man", "/nowhere"]).ends(1).error().contains("/nowhere"));
    for shell in ["bash", "zsh", "fish"] {
        let words = run(&["completions", shell]).ends(0).stdout;
        assert!(words.contains("dry-run") && words.contains("restore"), "{shell}");
    }
}

#[test]
fn the_newest_backup_goes_by_a_word() {
    let home = Home::new("newest");
    let empty = home.hearthkeep(&["verify", "newest"]).ends(10);
    assert!(empty.error().contains("no backup newest"), "{empty:?}");
    let settings = home.write("settings.yaml", "profiles:\n  night: {}\n  noon: {}\n");
    let settings = settings.display().to_string();
    let backup = |words: &[&str]| {
        let words = [&["backup", "--json", "--config", &settings], words].concat();
        home.hearthkeep(&words).ends(0).json()["slug"].clone()
    };
    let night = backup(&["--profile", "night"]);
    let last = backup(&[]);
    let newest = |words: &[&str]| {
        let words = [&["verify", "newest", "--json", "--config", &settings], words].concat();
        home.hearthkeep(&words)
    };
    assert_eq!(newest(&[]).ends(0).json()["slug"], last);
    assert_eq!(newest(&["--profile", "night"]).ends(0).json()["slug"], night);
    newest(&["--profile", "noon"]).ends(10);
}
