//! A disk that is full.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use hearthkeep::archive::Archive;
use hearthkeep::journal::Journal;
use hearthkeep::monitor::Quiet;
use hearthkeep::plan::{self, Pick, RestoreRequest};
use hearthkeep::reach::Reach;
use hearthkeep::survey;
use hearthkeep::swap::Moves;
use tokio_util::sync::CancellationToken;

use crate::nasty::noise;
use crate::support::home::{Home, VERSION, bind, tool, write};
use crate::support::on_engine;
use crate::tree::{assert_same, look};

/// A small ext4 of its own, unmounted when the test is over.
pub(crate) struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    pub(crate) fn new(mebibytes: u64) -> Disk {
        let disk = Disk { folder: tempfile::tempdir().expect("a temporary folder") };
        let image = disk.folder.path().join("image");
        File::create(&image).and_then(|it| it.set_len(mebibytes << 20)).expect("an image");
        let image = image.display().to_string();
        tool("mkfs.ext4", &["-q", "-F", "-m", "0", &image]);
        fs::create_dir(disk.path()).expect("a folder");
        tool("mount", &["-o", "loop", &image, &disk.path().display().to_string()]);
        disk
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Nothing may panic in here.
        _ = Command::new("umount").arg(self.path()).output();
    }
}

#[test]
fn a_full_store_is_named_and_nothing_stays_in_it() {
    let disk = Disk::new(8);
    let home = Home::new("full-store");
    home.companion("broker", &["--label", "hearthkeep.hold=stop"]);
    let store = disk.path().join("store");
    let words = ["--store", store.to_str().expect("a plain path"), "backup"];
    // Once it may fit, as far as anybody can tell beforehand, and once it cannot.
    for length in [20_000_000, 200_000_000] {
        let mut file = File::create(home.config().join("noise")).expect("a file");
        file.write_all(&noise(20_000_000)).expect("it can be written");
        file.set_len(length).expect("a hole takes no room");
        let run = home.hearthkeep(&words).ends(1);
        let error = run.error();
        assert!(error.contains(store.to_str().expect("a plain path")), "{error}");
        let left: Vec<_> = fs::read_dir(&store).expect("the store").collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(home.state("homeassistant"), "running");
        assert_eq!(home.state("broker"), "running");
    }
}

/// How much room there is was asked before; somebody else may have taken it since.
#[test]
fn a_disk_that_fills_up_meanwhile_stops_a_restore_before_anything_changes() {
    // Unmounted after the home that uses it is gone.
    let disk = Disk::new(48);
    let home = Home::empty("full-target");
    let config = disk.path().join("config");
    write(&config.join(".HA_VERSION"), VERSION);
    let volume = bind(&config, "/config");
    home.run_homeassistant(&["--volume", &volume]);
    home.companion("broker", &[]);
    home.write("broker/file", "as backed up");
    write_noise(&config.join("noise"), 16_000_000);
    let store = home.bench.folder("store").display().to_string();
    let backup = home.backup(&["--store", &store]);

    home.write("broker/file", "newer");
    write_noise(&config.join("filler"), 16_000_000);
    let was = look(&config);
    let backup = backup.to_str().expect("a plain path");
    let archive = Archive::open(Path::new(backup)).expect("it is a backup");
    let facts = on_engine(async |engine| survey::look(&engine).await.expect("it answers").facts);
    let pick = Pick { container: Some(home.homeassistant()), project: None };
    let there = plan::find(&facts, &pick).expect("it runs");
    let contents = archive.metadata.contents();
    let plan = plan::restore(&facts, there, &contents, &RestoreRequest::default()).expect("a plan");
    let cancel = CancellationToken::new();
    let journal = Journal::start(&home.bench.folder("journal"), &[]).expect("a journal");
    let extracted = Moves::extract(&archive, plan.routes, &Reach::Host, &journal, &cancel, &Quiet);
    let error = format!("{:#}", extracted.expect_err("there is no room"));
    assert!(error.contains("No space left on device"), "{error}");
    assert!(error.contains("data/noise of homeassistant.tar.gz"), "{error}");
    assert_same(&was, &look(&config));

    // With room it is restored.
    fs::remove_file(config.join("filler")).expect("it is there");
    home.hearthkeep(&["--store", &store, "restore", backup, "--yes"]).ends(0);
    assert_eq!(home.read("broker/file").as_deref(), Some("as backed up"));
}

fn write_noise(path: &Path, n_bytes: usize) {
    let mut file = File::create(path).expect("a file");
    file.write_all(&noise(n_bytes)).expect("there is room");
    file.sync_all().expect("there is room");
}
