//! A folder of backups: bytes by name. It does not know what is in them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::fsx::{self, Draft};

/// Ends the name of the file that pins a backup, after its slug.
const PIN: &str = ".pinned";

/// A folder where backups lie.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The store in a folder, which is made with the first file where it is missing but its parent
    /// is there: a path whose parent is missing is more likely a typing mistake or a disk that is
    /// not mounted. Whoever only looks makes nothing.
    pub fn open(folder: &Path) -> anyhow::Result<Store> {
        let opening = || format!("opening the store {}", folder.display());
        // Paths of the store are compared with those of mounts, and told to the user.
        let folder = std::path::absolute(folder).with_context(opening)?;
        let there = match fs::metadata(&folder) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                fs::metadata(folder.parent().unwrap_or(&folder))
            }
            answer => answer,
        };
        let there = there.with_context(opening)?;
        anyhow::ensure!(
            there.is_dir(),
            "opening the store {}: it is not a folder",
            folder.display()
        );
        Ok(Store { folder })
    }

    /// Makes the folder where it is missing.
    pub fn make(&self) -> anyhow::Result<()> {
        match fs::create_dir(&self.folder) {
            Err(err) if err.kind() != io::ErrorKind::AlreadyExists => {
                Err(err).with_context(|| format!("making the store {}", self.folder.display()))
            }
            _ => Ok(()),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The files that may be backups, sorted by name. What other systems leave beside them
    /// (`._x.tar`) is passed over.
    pub fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let reading = || format!("reading the store {}", self.folder.display());
        let mut files = Vec::new();
        let entries = match fs::read_dir(&self.folder) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(files),
            entries => entries.with_context(reading)?,
        };
        for entry in entries {
            let path = entry.with_context(reading)?.path();
            let hidden = path.file_name().is_some_and(|it| it.as_encoded_bytes().starts_with(b"."));
            if !hidden && path.extension().is_some_and(|it| it == "tar") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// Begins a new file.
    pub fn draft(&self, name: &str) -> anyhow::Result<Draft> {
        Draft::create(&self.folder.join(name))
    }

    /// Where that file lies until it is complete.
    pub fn draft_path(&self, name: &str) -> PathBuf {
        fsx::draft_of(&self.folder.join(name))
    }

    /// Copies a file into the store under a name; gives its path there.
    pub fn put(&self, file: &Path, name: &str) -> anyhow::Result<PathBuf> {
        self.make()?;
        copy(file, &self.folder.join(name))
    }

    /// Removes a file for good.
    pub fn remove(&self, path: &Path) -> anyhow::Result<()> {
        fs::remove_file(path).with_context(|| format!("removing {}", path.display()))
    }

    /// Pins a slug. The pin is a file beside the backup, since it has to be there for whoever looks
    /// at this folder, and has to outlive this program's own state.
    ///
    /// # Errors
    /// Where the slug is none that a file can be named after.
    pub fn pin(&self, slug: &str) -> anyhow::Result<()> {
        let path = self.pin_path(slug)?;
        if is_pin(&path) {
            return Ok(());
        }
        let draft = Draft::create(&path)?;
        let text = format!("hearthkeep keeps backup {slug} until: hearthkeep unpin {slug}\n");
        draft.file().write_all(text.as_bytes()).with_context(|| format!("pinning {slug}"))?;
        draft.name().map(drop)
    }

    /// Takes a pin away; gives whether there was one.
    pub fn unpin(&self, slug: &str) -> anyhow::Result<bool> {
        fsx::remove_if_there(&self.pin_path(slug)?)
    }

    fn pin_path(&self, slug: &str) -> anyhow::Result<PathBuf> {
        let name = pin_name(slug).with_context(|| {
            format!("slug {slug:?} cannot be pinned: no file can be named after it")
        })?;
        Ok(self.folder.join(name))
    }
}

/// Whether the backup in a file is pinned in the folder where it lies.
pub fn is_pinned(file: &Path, slug: &str) -> bool {
    pin_name(slug).is_some_and(|it| is_pin(&file.with_file_name(it)))
}

/// Where that cannot be told, nothing should be lost.
fn is_pin(path: &Path) -> bool {
    !path.symlink_metadata().is_err_and(|it| it.kind() == io::ErrorKind::NotFound)
}

/// The name of the file that pins a slug. What a foreign backup calls itself must not lead out of
/// the folder.
fn pin_name(slug: &str) -> Option<String> {
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_sound = !slug.is_empty() && slug.len() < 200 && slug.chars().all(sound);
    is_sound.then(|| format!("{slug}{PIN}"))
}

/// Copies a file to a path, or into a folder under its own name.
pub fn export(file: &Path, to: &Path) -> anyhow::Result<PathBuf> {
    match to.is_dir() {
        true => copy(file, &to.join(file.file_name().unwrap_or_default())),
        false => copy(file, to),
    }
}

/// Copies a file so that the copy appears whole or not at all, and is on the disk.
fn copy(from: &Path, to: &Path) -> anyhow::Result<PathBuf> {
    let mut source = File::open(from).with_context(|| format!("reading {}", from.display()))?;
    let draft = Draft::create(to)?;
    io::copy(&mut source, &mut draft.file())
        .with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    draft.name()
}
