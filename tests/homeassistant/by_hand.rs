//! The restore that Home Assistant's documentation tells people to do by hand.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::home::Home;
use super::support::{Bench, Run, docker};
use super::tree::Tree;
use super::{ITEMS, backup};

pub(crate) const DATABASE: &str = "home-assistant_v2.db";

/// As documented, with one or the other `tar`.
pub(crate) fn extract(tar: &str, backup: &Path, folder: &Path) {
    let line = format!(
        r#"set -o pipefail; {tar} -xOf "$0" "./homeassistant.tar.gz" | {tar} --strip-components=1 -zxf - -C "$1""#
    );
    let run = Command::new("bash").args(["-c", &line]).arg(backup).arg(folder).output();
    let run = Run::from(run.expect("bash is installed"));
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{tar}");
}

/// What both give is the configuration, to the byte.
pub(crate) fn restores_the_same(home: &Home, bench: &Bench) {
    docker(&["stop", "-t", "60", &home.homeassistant()]);
    let made = backup(home, bench, "Still");
    // This folder has changed when the backup appeared in it.
    let is_store = |path: &str| path == "backups";
    // What Home Assistant leaves out of a backup.
    let is_left_out = |path: &str| {
        path.starts_with("home-assistant.log") || path.contains("__pycache__/") || is_store(path)
    };
    let config = Tree::of(&home.config(), &is_left_out);
    // A database that was closed has no log, which Home Assistant's own restore wants to see.
    let wal = format!("{DATABASE}-wal");
    assert!(!config.has(&wal) && config.has(".storage/auth"), "Home Assistant was stopped");
    let wanted = config.with_empty(&wal, DATABASE);

    let folder = bench.folder("gnu");
    extract("tar", &made.path, &folder);
    assert!(folder.join("backups").is_dir());
    Tree::of(&folder, &is_store).assert_is(&wanted);
    let folder = bench.folder("busybox");
    extract("busybox tar", &made.path, &folder);
    let restored = Tree::of(&folder, &is_store).without_folder_times();
    restored.assert_is(&wanted.without_folder_times());
    names_are_listed(&made.path);
}

/// GNU tar finds the names as the documentation spells them.
fn names_are_listed(backup: &Path) {
    let run = Run::from(Command::new("tar").arg("-tf").arg(backup).output().expect("tar is here"));
    let run = run.ends(0);
    let mut names: Vec<&str> = run.stdout.lines().collect();
    names.sort_unstable();
    let member = |item: &&str| match *item {
        "clock" => "./clock.companion.tgz".to_owned(),
        item => format!("./{item}.tar.gz"),
    };
    let mut wanted: Vec<String> = ITEMS.iter().map(member).collect();
    wanted.extend(["./backup.json", "./hearthkeep.index"].map(str::to_owned));
    wanted.sort_unstable();
    assert_eq!((names, run.stderr.as_str()), (wanted.iter().map(String::as_str).collect(), ""));
    assert!(fs::metadata(backup).expect("it is there").len().is_multiple_of(10_240));
}
