//! A folder with a bad archive, the staging folder it may fill, and what it must not touch.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use hearthkeep::archive::{self, Archive, Checks, Share, Target, Verdict};
use hearthkeep::model::Item;
use hearthkeep::monitor::Quiet;
use tokio_util::sync::CancellationToken;

use crate::build::backup;

pub(crate) struct Cage {
    folder: tempfile::TempDir,
    archive: Archive,
    before: BTreeMap<PathBuf, String>,
}

impl Cage {
    /// A backup with these entries in its Home Assistant part. From the folder of the mount, what
    /// must not be touched is at `../../canary`.
    pub(crate) fn new(inner: impl FnOnce(&mut dyn Write)) -> Cage {
        assert!(nix::unistd::Uid::effective().is_root(), "these tests have to run as root");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let canary = folder.path().join("canary");
        fs::create_dir_all(canary.join("inside")).expect("a folder");
        for name in ["precious", "inside/deep"] {
            let mut file = File::create(canary.join(name)).expect("a file");
            file.write_all(b"theirs").expect("it can be written");
        }
        symlink("precious", canary.join("link")).expect("a link");
        fs::set_permissions(&canary, Permissions::from_mode(0o750)).expect("a mode");
        fs::create_dir(folder.path().join("staging")).expect("a folder");
        let archive = backup(&folder.path().join("bad.tar"), inner);
        let before = outside(folder.path());
        Cage { folder, archive, before }
    }

    /// Where the mount's new content lies.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("staging").join(archive::ROOT)
    }

    /// Extracts; gives warnings or the error.
    pub(crate) fn extract(&self) -> Result<Vec<String>, String> {
        let staging = self.folder.path().join("staging");
        let target = Target { share: Share::all("data"), staging, ..Default::default() };
        let member = self.archive.member_of(&Item::HomeAssistant).expect("a member");
        let cancel = CancellationToken::new();
        let extracted = archive::extract(&self.archive, member, &[target], &cancel, &Quiet);
        let told = |it: archive::Extracted| [it.warnings, it.unplaced].concat();
        extracted.map(told).map_err(|err| format!("{err:#}"))
    }

    pub(crate) fn verify(&self) -> Verdict {
        archive::verify(&self.archive, Checks::default(), &CancellationToken::new(), &Quiet)
            .expect("a verdict")
    }

    /// Nothing but the mount's new content has come into being, and nothing else has changed.
    pub(crate) fn check(&self, what: &str) {
        assert_eq!(outside(self.folder.path()), self.before, "{what}");
        for entry in fs::read_dir(self.folder.path().join("staging")).expect("a folder") {
            assert_eq!(entry.expect("an entry").file_name(), archive::ROOT, "{what}");
        }
    }

    /// The same, and reading it took little memory.
    pub(crate) fn check_all(&self, what: &str) {
        self.check(what);
        crate::memory::check(what, &self.archive.path);
    }
}

/// Everything beside the staging folder, with all that can be changed of it.
fn outside(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.file_name().is_some_and(|it| it == "staging") {
                continue;
            }
            let it = path.symlink_metadata().expect("a status");
            if it.is_dir() {
                folders.push(path.clone());
            }
            let owner = (it.uid(), it.gid(), it.nlink());
            let times = (it.mtime(), it.mtime_nsec(), it.ctime(), it.ctime_nsec());
            found.insert(path, format!("{:o} {owner:?} {times:?} {}", it.mode(), it.size()));
        }
    }
    found
}
