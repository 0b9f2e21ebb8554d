//! A restore needs the room that it says, refuses where that is not there, and takes no more.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::statvfs::statvfs;

use crate::disk::Disk;
use crate::nasty::noise;
use crate::support::home::{Home, VERSION, bind, tool, write};
use crate::untouched::Untouched;

/// A home whose configuration lies on a disk of its own, with a backup of it elsewhere.
struct Scene {
    home: Home,
    backup: String,
    /// What the content takes on the disk, in bytes.
    taken: u64,
    /// Unmounted after the home that uses it is gone.
    disk: Disk,
}

impl Scene {
    fn new(what: &str, mebibytes: u64, fill: impl Fn(&Path)) -> Scene {
        let disk = Disk::new(mebibytes);
        let before = free(disk.path().as_path());
        let config = disk.path().join("config");
        write(&config.join(".HA_VERSION"), VERSION);
        fill(&config);
        tool("sync", &["--file-system", &disk.path().display().to_string()]);
        let taken = before - free(&disk.path());
        let home = Home::empty(what);
        home.run_homeassistant(&["--volume", &bind(&config, "/config")]);
        home.companion("bridge", &[]);
        home.write("bridge/state", "as backed up");
        let store = home.bench.folder("store").display().to_string();
        let backup = home.backup(&["--store", &store]).display().to_string();
        Scene { home, backup, taken, disk }
    }

    /// Leaves so much room on the disk.
    fn leave(&self, bytes: u64) {
        let filler = self.disk.path().join("filler");
        _ = fs::remove_file(&filler);
        let length = free(&self.disk.path()) - bytes;
        tool("fallocate", &["--length", &length.to_string(), &filler.display().to_string()]);
    }

    fn needed(&self) -> u64 {
        let words = ["--json", "restore", &self.backup, "--dry-run"];
        let json = self.home.hearthkeep(&words).json();
        let rooms = json["room"].as_array().expect("a list");
        assert_eq!(rooms.len(), 2, "two file systems: {json}");
        let at = self.disk.path().join("config").display().to_string();
        let room = rooms.iter().find(|it| it["at"] == at).expect("one is that of the disk");
        room["needed_bytes"].as_u64().expect("a number")
    }

    fn check(&self) {
        let needed = self.needed();
        let taken = self.taken;
        assert!((taken * 98 / 100..=taken * 115 / 100).contains(&needed), "{needed} for {taken}");

        self.leave(taken / 2);
        let names = [self.home.homeassistant(), self.home.name("bridge")];
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let targets = [self.disk.path(), self.home.bench.path().join("bridge")];
        let untouched = Untouched::look(&targets, &names);
        let run = self.home.hearthkeep(&["restore", &self.backup, "--yes"]).ends(1);
        let error = run.error();
        for said in ["no room to restore", "config: ", " free, ", " needed; make room"] {
            assert!(error.contains(said), "{error}");
        }
        untouched.check();

        self.leave(taken * 12 / 10);
        let before = free(&self.disk.path());
        let least = AtomicU64::new(before);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    least.fetch_min(free(&self.disk.path()), Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let run = self.home.hearthkeep(&["restore", &self.backup, "--yes"]);
            is_over.store(true, Ordering::Relaxed);
            run.ends(0)
        });
        let peak = before - least.load(Ordering::Relaxed);
        assert!(peak <= needed, "{peak} were taken, {needed} told");
        assert!(peak >= taken / 2, "{peak} were seen of {taken}");
    }
}

/// What is free for everybody on a file system.
fn free(at: &Path) -> u64 {
    let stat = statvfs(at).expect("it is mounted");
    stat.blocks_available() * stat.fragment_size()
}

#[test]
fn large_files_need_their_size() {
    Scene::new("room-large", 64, |config| {
        write(&config.join("noise"), &noise(8_000_000));
        write(&config.join("media/more"), &noise(4_000_000));
    })
    .check();
}

#[test]
fn very_many_tiny_files_need_a_block_each() {
    Scene::new("room-tiny", 64, |config| {
        for n in 0..4000 {
            write(&config.join(format!("www/{}/a-tiny-file-{n}", n / 100)), "tiny");
        }
    })
    .check();
}

#[test]
fn as_many_files_as_the_disk_can_name_are_counted() {
    let scene = Scene::new("room-names", 16, |config| {
        (0..100).for_each(|n| _ = write(&config.join(format!("empty/{n}")), ""));
    });
    let spare = scene.disk.path().join("spare");
    for n in 0.. {
        if statvfs(&scene.disk.path()).expect("it is mounted").files_available() <= 50 {
            break;
        }
        write(&spare.join(n.to_string()), "");
    }
    let untouched = Untouched::look(&[scene.disk.path()], &[&scene.home.homeassistant()]);
    let run = scene.home.hearthkeep(&["restore", &scene.backup, "--yes"]).ends(1);
    assert!(run.error().contains("more files can be made"), "{}", run.error());
    untouched.check();
    fs::remove_dir_all(spare).expect("it is there");
    scene.home.hearthkeep(&["restore", &scene.backup, "--yes"]).ends(0);
}
