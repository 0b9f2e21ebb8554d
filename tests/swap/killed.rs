//! An exchange that is killed before any of its renames, and its way back too.
//!
//! The one that is killed runs in a process of its own: this program again, which is told to run
//! nothing but [`the_one_that_is_killed`].

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use hearthkeep::archive;
use hearthkeep::journal::SwapMount;
use hearthkeep::swap;

use super::tree::{Seen, assert_same, look};
use super::{plant, ready, staging};

/// Ends the process right before that rename.
const ABORT_AT_RENAME: &str = "HEARTHKEEP_TEST_ABORT_AT_RENAME";

/// What the process that is killed has to do: `forward` or `back`, and the mount as the journal
/// has it.
const DEED: &str = "HEARTHKEEP_TEST_DEED";
const MOUNT: &str = "HEARTHKEEP_TEST_MOUNT";

/// More renames than any of these takes.
const MANY: usize = 40;

const KEEP: [&str; 3] = ["backups", "www/timelapse", "www/deep/er"];

/// A mount with everything that makes an exchange hard.
struct Mount {
    folder: tempfile::TempDir,
    mount: SwapMount,
    before: BTreeMap<Vec<u8>, Seen>,
}

impl Mount {
    fn new() -> Mount {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path();
        plant(path, &super::OLD);
        plant(
            path,
            &[("www/old.html", "old"), ("www/deep/er/file", "kept"), ("www/deep/x", "old")],
        );
        fs::create_dir(path.join("empty")).expect("a folder");
        symlink("nowhere", path.join("link")).expect("a link");
        let odd = path.join(OsStr::from_bytes(b"odd\xff"));
        fs::File::create(&odd).expect("a file");
        fs::set_permissions(&odd, Permissions::from_mode(0o4640)).expect("a mode");
        chown(path.join("gone/deep"), Some(1883), Some(1000)).expect("these tests need root");
        chown(path.join("www"), Some(70), Some(70)).expect("these tests need root");
        fs::set_permissions(path.join("www"), Permissions::from_mode(0o2750)).expect("a mode");
        for below in ["gone/deep", "gone", "www/deep", "www", ""] {
            age(&path.join(below));
        }
        let before = look(path);
        let staging = staging(path);
        let root = staging.folder().join(archive::ROOT);
        plant(&root, &super::NEW);
        plant(&root, &[("www/deep/y", "new"), ("gone/elsewhere", "new"), ("backups/no", "no")]);
        Mount { mount: ready(&staging, &KEEP), folder, before }
    }

    /// Does it in a process that is killed before the rename `n`; gives whether it came so far.
    fn killed(&self, deed: &str, n: usize) -> bool {
        let mount = serde_json::to_string(&self.mount).expect("it can be written");
        let output = Command::new(std::env::current_exe().expect("it runs"))
            .args(["--exact", "killed::the_one_that_is_killed"])
            .env(ABORT_AT_RENAME, n.to_string())
            .env(DEED, deed)
            .env(MOUNT, mount)
            .output()
            .expect("this program runs");
        let is_killed = output.status.code().is_none();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(is_killed || output.status.success(), "{deed} {n}: {said}");
        is_killed
    }

    /// Takes it back, and looks whether everything is as it was.
    fn assert_mended(&self, when: &str) {
        swap::back(&self.mount).unwrap_or_else(|err| panic!("{when}: {err:#}"));
        assert!(!swap::is_aside(&self.mount).expect("it is in reach"), "{when}");
        // What is back is left alone from then on, whatever comes there.
        plant(self.folder.path(), &[("later", "theirs")]);
        swap::back(&self.mount).expect("nothing is to be done");
        fs::remove_file(self.folder.path().join("later")).expect("it is there");
        age(self.folder.path());
        assert!(swap::discard(&self.mount.staging).expect("nothing old is in it"));
        assert_same(&self.before, &look(self.folder.path()));
    }
}

/// Long before now, so that whatever moves the time of a folder shows.
fn age(folder: &Path) {
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::new(1_500_000_000, 5);
    fs::File::open(folder).and_then(|it| it.set_modified(long_ago)).expect("it is ours");
}

/// Not a test of its own: see above. By itself it does nothing.
#[test]
fn the_one_that_is_killed() {
    let (Ok(deed), Ok(mount)) = (std::env::var(DEED), std::env::var(MOUNT)) else { return };
    let mount: SwapMount = serde_json::from_str(&mount).expect("a mount");
    match deed.as_str() {
        "forward" => swap::forward(&mount).expect("an exchange"),
        _ => swap::back(&mount).expect("the way back"),
    }
}

/// Calls it with 1, 2, … until it says that nothing was killed any more; gives the last.
fn until_whole(mut is_killed: impl FnMut(usize) -> bool) -> usize {
    (1..MANY).find(|n| !is_killed(*n)).expect("it comes to its end")
}

#[test]
fn the_way_there_may_be_killed_at_every_rename() {
    let n = until_whole(|n| {
        let mount = Mount::new();
        let is_killed = mount.killed("forward", n);
        mount.assert_mended(&format!("there, killed at {n}"));
        is_killed
    });
    assert!(n > 15, "{n}");
}

#[test]
fn the_way_back_may_be_killed_at_every_rename() {
    let n = until_whole(|n| {
        let mount = Mount::new();
        swap::forward(&mount.mount).expect("an exchange");
        plant(mount.folder.path(), &[("home.db-journal", "new"), ("www/deep/z", "new")]);
        let is_killed = mount.killed("back", n);
        mount.assert_mended(&format!("back, killed at {n}"));
        is_killed
    });
    assert!(n > 15, "{n}");
}

#[test]
fn the_way_back_of_a_way_back_may_be_killed_too() {
    // Where each has something to do: in the stashing, in the placing, and at the turn between.
    for (there, back) in [(3, 2), (6, 4), (100, 5), (100, 9), (100, 12), (100, 15)] {
        until_whole(|n| {
            let mount = Mount::new();
            mount.killed("forward", there);
            assert!(mount.killed("back", back), "{there} {back}");
            let is_killed = mount.killed("back", n);
            mount.assert_mended(&format!("there {there}, back {back}, killed at {n}"));
            is_killed
        });
    }
}

#[test]
fn what_was_made_between_a_crash_and_the_way_back_does_not_stay() {
    let made = [
        ("home.db", "x"),
        ("home.db-wal", "x"),
        ("configuration.yaml", "x"),
        ("gone/other", "x"),
        ("www/deep/other", "x"),
        ("brand/new", "x"),
    ];
    until_whole(|n| {
        let mount = Mount::new();
        let is_killed = mount.killed("forward", n);
        // The engine starts the home, whatever there is; but what is there already is not written.
        let path = mount.folder.path();
        let is_old = |name: &str| path.join(name.split('/').next().unwrap_or(name)).exists();
        let made: Vec<_> = made.into_iter().filter(|(it, _)| !is_old(it)).collect();
        plant(path, &made);
        // What comes when all is back already may stay.
        if mount.killed("back", 4) {
            plant(path, &[("brand/newer", "x"), ("home.db-shm", "x")]);
        }
        mount.assert_mended(&format!("killed at {n}, then started"));
        is_killed
    });
}

#[test]
fn a_file_may_be_killed_at_every_rename() {
    let file = || {
        let folder = tempfile::tempdir().expect("a temporary folder");
        plant(folder.path(), &[("one.conf", "old"), ("other.conf", "other")]);
        let before = look(folder.path());
        let staging = staging(&folder.path().join("one.conf"));
        plant(staging.folder(), &[(archive::ROOT, "new")]);
        Mount { mount: ready(&staging, &[]), folder, before }
    };
    let check = |mount: Mount, when: &str| {
        // As the engine does where a file that it has to mount is gone.
        if !mount.mount.target.exists() {
            fs::create_dir(&*mount.mount.target).expect("a folder");
        }
        swap::back(&mount.mount).unwrap_or_else(|err| panic!("{when}: {err:#}"));
        swap::discard(&mount.mount.staging).expect("nothing old is in it");
        let (mut before, mut is) = (mount.before, look(mount.folder.path()));
        // Renaming it has moved the time of the folder around it, which is no part of the mount.
        before.remove(&b""[..]);
        is.remove(&b""[..]);
        assert_same(&before, &is);
    };
    for deed in ["forward", "back"] {
        until_whole(|n| {
            let mount = file();
            if deed == "back" {
                swap::forward(&mount.mount).expect("an exchange");
            }
            let is_killed = mount.killed(deed, n);
            check(mount, &format!("{deed} {n}"));
            is_killed
        });
    }
}

#[test]
fn another_folder_in_the_place_of_a_mount_is_not_touched() {
    let mount = Mount::new();
    swap::forward(&mount.mount).expect("an exchange");
    let away = mount.folder.path().with_extension("away");
    fs::rename(mount.folder.path(), &away).expect("it can be moved");
    let said = swap::back(&mount.mount).expect_err("it is away").to_string();
    assert!(said.contains("is not where it was"), "{said}");
    fs::create_dir(mount.folder.path()).expect("a folder");
    plant(mount.folder.path(), &[("theirs", "theirs")]);
    swap::back(&mount.mount).expect_err("it is another one");
    assert_eq!(look(mount.folder.path()).len(), 2);
    fs::remove_dir_all(mount.folder.path()).expect("it is ours");
    fs::rename(&away, mount.folder.path()).expect("it is back");
    mount.assert_mended("back again");
}
