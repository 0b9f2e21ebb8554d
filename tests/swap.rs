//! The exchange of a mount's content and its way back. These need no engine, only folders.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use hearthkeep::archive;
use hearthkeep::journal::SwapMount;
use hearthkeep::model::{Item, Tree};
use hearthkeep::plan::Route;
use hearthkeep::reach::Reach;
use hearthkeep::swap::{self, Staging, Targets};
use tokio_util::sync::CancellationToken;

#[path = "swap/killed.rs"]
mod killed;
#[path = "small/tree.rs"]
mod tree;

/// Files by path, folders with a slash at the end.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect(folder, folder, &mut found);
    found
}

fn collect(top: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.strip_prefix(top).expect("below").display().to_string();
        if path.is_dir() && !path.is_symlink() {
            found.insert(format!("{name}/"), String::new());
            collect(top, &path, found);
        } else {
            found.insert(name, fs::read_to_string(&path).expect("a text"));
        }
    }
}

fn plant(folder: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::File::create(path).and_then(|mut it| it.write_all(content.as_bytes())).expect("a file");
    }
}

/// A mount with old content and the new content staged beside it.
struct Mount {
    folder: tempfile::TempDir,
    staging: Staging,
}

impl Mount {
    fn new(old: &[(&str, &str)], new: &[(&str, &str)]) -> Mount {
        let folder = tempfile::tempdir().expect("a temporary folder");
        plant(folder.path(), old);
        let staging = staging(folder.path());
        plant(&staging.folder().join(archive::ROOT), new);
        Mount { folder, staging }
    }
}

fn staging(target: &Path) -> Staging {
    let staging = Staging::beside(target).expect("nothing is in it");
    staging.make().expect("a staging folder");
    staging
}

/// The exchange that a staging folder is ready for.
fn ready(staging: &Staging, keep: &[&str]) -> SwapMount {
    staging.mount(&self::keep(keep)).expect("it can be looked at")
}

fn keep(paths: &[&str]) -> HashSet<PathBuf> {
    paths.iter().map(PathBuf::from).collect()
}

const OLD: [(&str, &str); 5] = [
    ("configuration.yaml", "old"),
    ("home.db", "old"),
    ("gone/deep/file", "old"),
    ("backups/one.tar", "kept"),
    ("www/timelapse/1.jpg", "kept"),
];

const NEW: [(&str, &str); 4] = [
    ("configuration.yaml", "new"),
    ("home.db", "new"),
    ("home.db-wal", "new"),
    ("www/index.html", "new"),
];

#[test]
fn what_stays_stays_and_the_rest_is_exchanged() {
    let mount = Mount::new(&OLD, &NEW);
    swap::forward(&ready(&mount.staging, &["backups", "www/timelapse"])).expect("an exchange");
    let staged = mount.staging.folder().to_owned();
    assert_eq!(fs::read_to_string(staged.join("old/home.db")).expect("it waits"), "old");
    let Mount { folder, staging } = mount;
    swap::remove(staging.folder()).expect("removed");
    let wanted = [
        ("backups/", ""),
        ("backups/one.tar", "kept"),
        ("configuration.yaml", "new"),
        ("home.db", "new"),
        ("home.db-wal", "new"),
        ("www/", ""),
        ("www/index.html", "new"),
        ("www/timelapse/", ""),
        ("www/timelapse/1.jpg", "kept"),
    ];
    let wanted = wanted.map(|(name, content)| (name.to_owned(), content.to_owned())).into();
    assert_eq!(files(folder.path()), wanted);
}

#[test]
fn the_way_back_does_not_depend_on_what_the_restored_home_did() {
    let Mount { folder, staging } = Mount::new(&OLD, &NEW);
    let mut before = files(folder.path());
    before.retain(|name, _| !name.starts_with(".hearthkeep"));
    let mount = ready(&staging, &["backups", "www/timelapse"]);
    swap::forward(&mount).expect("an exchange");
    // A clean stop removes the log, a start makes files, and a folder that only the old home had.
    fs::remove_file(folder.path().join("home.db-wal")).expect("removed");
    plant(folder.path(), &[("home.db-journal", "x"), ("gone/other", "x"), ("www/new", "x")]);
    swap::back(&mount).expect("the way back");
    swap::discard(staging.folder()).expect("no old content is left in the staging folder");
    assert_eq!(files(folder.path()), before);
}

#[test]
fn an_exchange_that_fails_changes_nothing() {
    let Mount { folder, staging } = Mount::new(&OLD, &[("configuration.yaml", "new")]);
    let before = files(folder.path());
    let root = staging.folder().join(archive::ROOT);
    fs::remove_dir_all(&root).expect("removed");
    let victim = tempfile::tempdir().expect("a temporary folder");
    plant(victim.path(), &[("precious", "theirs")]);
    symlink(victim.path(), &root).expect("a link");
    let said = swap::forward(&ready(&staging, &[])).expect_err("a link").to_string();
    assert!(said.contains("is a link"), "{said}");
    fs::remove_file(&root).expect("removed");
    fs::create_dir(&root).expect("a folder");
    plant(&root, &[("configuration.yaml", "new")]);
    assert_eq!(files(folder.path()), before);
    assert_eq!(files(victim.path()).len(), 1);
}

#[test]
fn old_content_is_never_discarded() {
    let Mount { folder, staging } = Mount::new(&OLD, &NEW);
    swap::forward(&ready(&staging, &[])).expect("an exchange");
    let waiting = staging.folder().join("old/home.db");
    let said = swap::discard(staging.folder()).expect_err("old content").to_string();
    assert!(said.contains("nothing else has it"), "{said}");
    assert!(waiting.is_file());
    let said = Staging::beside(folder.path()).expect_err("still there").to_string();
    assert!(said.contains("interrupted restore"), "{said}");
}

#[test]
fn a_file_mount_is_exchanged_and_taken_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    plant(folder.path(), &[("one.conf", "old"), ("other.conf", "other")]);
    let target = folder.path().join("one.conf");
    let staging = staging(&target);
    plant(staging.folder(), &[(archive::ROOT, "new")]);
    let mount = ready(&staging, &[]);
    swap::forward(&mount).expect("an exchange");
    assert_eq!(fs::read_to_string(&target).expect("a file"), "new");
    swap::back(&mount).expect("the way back");
    swap::discard(staging.folder()).expect("nothing is left in it");
    assert_eq!(files(folder.path()).len(), 2);
    assert_eq!(fs::read_to_string(&target).expect("a file"), "old");
}

fn route(source: &Path, prefix: &str) -> Route {
    Route {
        item: Item::HomeAssistant,
        tree: Tree {
            prefix: prefix.to_owned(),
            source: source.to_owned(),
            destination: "/config".into(),
            container: "ha".to_owned(),
            volume: None,
        },
        from: Item::HomeAssistant,
        below: PathBuf::new(),
        keep: Vec::new(),
        keep_globs: Vec::new(),
        only: Vec::new(),
        never: Vec::new(),
        owner: None,
        passed_over: Vec::new(),
    }
}

#[test]
fn what_is_in_the_way_is_found_without_a_trace() {
    let Mount { folder, staging } = Mount::new(&OLD, &NEW);
    let cancel = CancellationToken::new();
    let problems = |routes: Vec<Route>, reach: &Reach| {
        Targets::look(routes, reach, &[], &cancel).expect("a look").problems
    };
    let target = folder.path();
    let host = Reach::Host;
    let before = fs::metadata(target).and_then(|it| it.modified()).expect("a time");
    assert_eq!(problems(vec![route(target, "data")], &host), [""; 0]);
    // The folder of another restore is no old content.
    assert!(staging.folder().is_dir());

    let twice = vec![route(target, "data"), route(target, "other")];
    assert!(problems(twice, &host)[0].contains("would be replaced twice"));
    let lost = problems(vec![route(&target.join("lost"), "data")], &host);
    assert!(lost[0].contains("is missing: make it"), "{lost:?}");
    let far = problems(vec![route(target, "data")], &Reach::Container(Vec::new()));
    assert!(far[0].contains("is out of reach: run hearthkeep on the host"), "{far:?}");
    assert_eq!(fs::metadata(target).and_then(|it| it.modified()).expect("a time"), before);

    swap::forward(&ready(&staging, &[])).expect("an exchange");
    let left = problems(vec![route(target, "data")], &host);
    assert!(left[0].contains("interrupted restore"), "{left:?}");
}

#[test]
fn a_file_that_is_a_mount_itself_cannot_be_replaced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    plant(folder.path(), &[("one.conf", "old")]);
    let target = folder.path().join("one.conf");
    let look = || {
        let route = route(&target, "data/one.conf");
        let targets = Targets::look(vec![route], &Reach::Host, &[], &CancellationToken::new());
        targets.expect("a look").problems
    };
    assert_eq!(look(), [""; 0]);
    let mount = Mounted(target.clone());
    let done = Command::new("mount").arg("--bind").args([&target, &target]).output();
    assert!(done.expect("mount runs").status.success(), "these tests need root");
    let found = look();
    assert!(found.len() == 1 && found[0].contains("mount the folder around it"), "{found:?}");
    drop(mount);
    let around = folder.path().display().to_string();
    let flag = |it: &str| {
        let done = Command::new("chattr").args([it, &around]).output().expect("chattr runs");
        assert!(done.status.success(), "these tests need root");
    };
    flag("+i");
    let found = look();
    flag("-i");
    assert!(found.len() == 1 && found[0].contains("immutable"), "{found:?}");
}

/// Another file system, mounted for a while.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

#[test]
fn another_file_system_inside_a_mount_is_left_alone() {
    let old = [("nas/readme", "covered"), ("a", "old")];
    let Mount { folder, staging } = Mount::new(&old, &[("a", "new"), ("nas/below", "no")]);
    let nas = Mounted(folder.path().join("nas"));
    let mount = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&nas.0).output();
    assert!(mount.expect("mount runs").status.success(), "these tests need root");
    plant(&nas.0, &[("film", "theirs")]);
    let mount = ready(&staging, &[]);
    swap::forward(&mount).expect("an exchange");
    assert_eq!(fs::read_to_string(folder.path().join("a")).expect("a file"), "new");
    assert_eq!(fs::read_to_string(nas.0.join("film")).expect("a file"), "theirs");
    swap::back(&mount).expect("the way back");
    assert_eq!(fs::read_to_string(folder.path().join("a")).expect("a file"), "old");
    assert_eq!(files(&nas.0).len(), 1);
}

#[test]
fn what_a_file_system_covered_stays_although_that_is_away_on_the_way_back() {
    let old = [("nas/readme", "covered"), ("a", "old")];
    let Mount { folder, staging } = Mount::new(&old, &[("a", "new"), ("b", "new")]);
    let nas = folder.path().join("nas");
    let mounted = Mounted(nas.clone());
    let mount = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&nas).output();
    assert!(mount.expect("mount runs").status.success(), "these tests need root");
    let mount = ready(&staging, &[]);
    swap::forward(&mount).expect("an exchange");
    drop(mounted);
    swap::back(&mount).expect("the way back");
    swap::discard(staging.folder()).expect("nothing is left in it");
    let wanted = [("a", "old"), ("nas/", ""), ("nas/readme", "covered")];
    let wanted = wanted.map(|(name, content)| (name.to_owned(), content.to_owned())).into();
    assert_eq!(files(folder.path()), wanted);
}

#[test]
fn what_cannot_be_moved_keeps_everything_where_it_is() {
    for stuck in ["a", "b", "c"] {
        let old = ["a", "b", "c"].map(|it| (it, "old"));
        let Mount { folder, staging } = Mount::new(&old, &[("a", "new"), ("d", "new")]);
        let before = files(folder.path());
        let path = Mounted(folder.path().join(stuck));
        let mount = Command::new("mount").arg("--bind").args([&path.0, &path.0]).output();
        assert!(mount.expect("mount runs").status.success(), "these tests need root");
        let mount = ready(&staging, &[]);
        let said = format!("{:#}", swap::forward(&mount).expect_err("it is mounted"));
        assert!(said.contains(&path.0.display().to_string()), "{said}");
        swap::back(&mount).expect("the way back");
        drop(path);
        let mut is = files(folder.path());
        is.retain(|name, _| !name.starts_with(".hearthkeep"));
        let is_old = |(name, _): &(&String, &String)| !name.starts_with(".hearthkeep");
        assert!(before.iter().filter(is_old).eq(is.iter()), "{is:?}");
        swap::discard(staging.folder()).expect("nothing old is left in it");
    }
}
