//! A folder to extract into, and one beside it that must not be touched.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

pub struct Cage {
    folder: tempfile::TempDir,
    before: BTreeMap<PathBuf, String>,
}

impl Cage {
    pub fn new() -> Cage {
        // In memory, where there is such a folder: it is made and removed some thousand times.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::tempdir_in(folder).expect("a temporary folder");
        let canary = folder.path().join("canary");
        fs::create_dir_all(canary.join("inside")).expect("a folder");
        for name in ["precious", "inside/deep"] {
            let mut file = File::create(canary.join(name)).expect("a file");
            file.write_all(b"theirs").expect("it can be written");
        }
        symlink("precious", canary.join("link")).expect("a link");
        let before = seen(&canary);
        Cage { folder, before }
    }

    /// An empty folder; what is in the canary is `../canary` from there.
    pub fn staging(&self) -> PathBuf {
        let staging = self.folder.path().join("staging");
        fs::create_dir(&staging).expect("a folder");
        staging
    }

    /// Nothing but what is in the staging folder has changed; it is removed.
    pub fn check(&self) {
        assert_eq!(seen(&self.folder.path().join("canary")), self.before);
        let mut beside: Vec<_> = fs::read_dir(self.folder.path())
            .expect("a folder")
            .map(|it| it.expect("an entry").file_name())
            .collect();
        beside.sort();
        assert_eq!(beside, ["canary", "staging"]);
        remove(&self.folder.path().join("staging"));
    }
}

/// Everything in a folder, with all that can be changed of it.
fn seen(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let it = path.symlink_metadata().expect("a status");
        if it.is_dir() {
            let entries = fs::read_dir(&path).expect("a folder");
            left.extend(entries.map(|it| it.expect("an entry").path()));
        }
        let owner = (it.uid(), it.gid(), it.nlink());
        let times = (it.mtime(), it.mtime_nsec(), it.ctime(), it.ctime_nsec());
        found.insert(path, format!("{:o} {owner:?} {times:?} {}", it.mode(), it.size()));
    }
    found
}

/// Whoever is not root cannot enter folders whose modes the archive took away.
fn remove(folder: &Path) {
    if fs::remove_dir_all(folder).is_ok() {
        return;
    }
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let _ = fs::set_permissions(&path, Permissions::from_mode(0o700));
        let entries = fs::read_dir(&path).into_iter().flatten().flatten();
        left.extend(entries.map(|it| it.path()).filter(|it| it.is_dir() && !it.is_symlink()));
    }
    fs::remove_dir_all(folder).expect("it can be removed");
}
