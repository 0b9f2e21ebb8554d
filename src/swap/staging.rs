//! The restored content of one mount takes the place of the old, entry by entry.
//!
//! Everything is a rename within one file system, so it takes no time whatever the size, and the
//! folder that is mounted stays the same folder. The old content waits in the staging folder.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::archive::ROOT;

/// Where the old content waits, beside [`ROOT`].
const OLD: &str = "old";

/// A staging folder beside what it will replace; removed with all its content when it is done.
#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    target: PathBuf,
}

/// What was done, in order, so that it can be undone.
#[derive(Debug, Default)]
pub struct Swap {
    deeds: Vec<Deed>,
}

#[derive(Debug)]
enum Deed {
    Moved { from: PathBuf, to: PathBuf },
    Stamped { folder: PathBuf, before: Metadata },
}

impl Staging {
    /// Makes the staging folder for a target, a folder or a file.
    ///
    /// # Errors
    /// Where an interrupted restore left old content there, which only a person may give up.
    pub fn create(target: &Path) -> anyhow::Result<Staging> {
        let folder = if target.is_dir() {
            target.join(".hearthkeep-restore")
        } else {
            let name = target.file_name().context("a mount without a name")?.to_string_lossy();
            target.with_file_name(format!(".hearthkeep-restore-{name}"))
        };
        let old = folder.join(OLD);
        match fs::read_dir(&old).map(|mut it| it.next().is_some()) {
            Ok(true) => anyhow::bail!(
                "{} holds what an interrupted restore has not put back: move it away first",
                old.display()
            ),
            Ok(false) | Err(_) => remove_all(&folder)?,
        }
        traceless(&folder, || {
            fs::DirBuilder::new()
                .mode(0o700)
                .create(&folder)
                .with_context(|| format!("making {}", folder.display()))
        })?;
        Ok(Staging { folder, target: target.to_owned() })
    }

    /// The folder into which the new content is extracted, below the name [`ROOT`].
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether anything was extracted into it.
    pub fn is_filled(&self) -> bool {
        self.folder.join(ROOT).symlink_metadata().is_ok()
    }

    /// Brings all that was extracted to the disk.
    pub fn sync(&self) -> anyhow::Result<()> {
        let syncing = || format!("syncing {}", self.folder.display());
        let folder = File::open(&self.folder).with_context(syncing)?;
        nix::unistd::syncfs(&folder).with_context(syncing)
    }

    /// Puts the new content in place of the old. `keep` are paths below the target that stay.
    ///
    /// # Errors
    /// Where something cannot be moved; what was moved until then is moved back first.
    pub fn exchange(&self, keep: &HashSet<PathBuf>) -> anyhow::Result<Swap> {
        let mut swap = Swap::default();
        let new = self.folder.join(ROOT);
        let old = self.folder.join(OLD);
        let outcome = if self.target.is_dir() {
            let mut keep: HashSet<PathBuf> = keep.iter().map(|it| self.target.join(it)).collect();
            keep.insert(self.folder.clone());
            swap.folder(&self.target, Some(&new), &old, &keep)
        } else {
            swap.file(&self.target, &new, &old)
        };
        match outcome {
            Ok(()) => Ok(swap),
            Err(err) => {
                swap.undo().context("moving back what was moved")?;
                Err(err)
            }
        }
    }

    /// Removes the staging folder with everything in it: the old content after a success, the new
    /// one after a failure.
    pub fn remove(self) -> anyhow::Result<()> {
        // What takes long comes first, so that the moment below is short.
        for content in [ROOT, OLD].map(|it| self.folder.join(it)) {
            if is_folder(&content) {
                remove_all(&content)?;
            }
        }
        traceless(&self.folder, || remove_all(&self.folder))
    }
}

impl Swap {
    /// Moves everything back as it was, the last deed first. Goes on after an error.
    ///
    /// # Errors
    /// The first thing that could not be moved back.
    pub fn undo(self) -> anyhow::Result<()> {
        let mut first = Ok(());
        for deed in self.deeds.into_iter().rev() {
            let done = match deed {
                Deed::Moved { from, to } => fs::rename(&to, &from)
                    .with_context(|| format!("moving {} back", from.display())),
                Deed::Stamped { folder, before } => stamp(&folder, &before),
            };
            first = first.and(done);
        }
        first
    }

    fn file(&mut self, target: &Path, new: &Path, old: &Path) -> anyhow::Result<()> {
        fs::create_dir(old).with_context(|| format!("making {}", old.display()))?;
        self.move_to(target, &old.join(ROOT))?;
        self.move_to(new, target)
    }

    /// Exchanges the content of a folder. Where something that stays lies deeper in an entry, the
    /// entry itself stays and its content is exchanged.
    fn folder(
        &mut self,
        target: &Path,
        new: Option<&Path>,
        old: &Path,
        keep: &HashSet<PathBuf>,
    ) -> anyhow::Result<()> {
        fs::create_dir(old).with_context(|| format!("making {}", old.display()))?;
        let before =
            fs::metadata(target).with_context(|| format!("reading {}", target.display()))?;
        // First, since the first is undone last: moving things back moves the folder's time.
        self.deeds.push(Deed::Stamped { folder: target.to_owned(), before });
        for name in names(target)? {
            let path = target.join(&name);
            if keep.contains(&path) {
                continue;
            }
            let is_around = keep.iter().any(|it| it.starts_with(&path));
            if is_around && path.is_dir() && !path.is_symlink() {
                let inner = new.map(|it| it.join(&name)).filter(|it| is_folder(it));
                self.folder(&path, inner.as_deref(), &old.join(&name), keep)?;
            } else {
                self.move_to(&path, &old.join(&name))?;
            }
        }
        let Some(new) = new else { return Ok(()) };
        // Before anything is moved out of it, which moves its time.
        let wanted = fs::metadata(new).with_context(|| format!("reading {}", new.display()))?;
        for name in names(new)? {
            let path = target.join(&name);
            if path.symlink_metadata().is_err() {
                self.move_to(&new.join(&name), &path)?;
            }
        }
        stamp(target, &wanted)
    }

    fn move_to(&mut self, from: &Path, to: &Path) -> anyhow::Result<()> {
        fs::rename(from, to).with_context(|| format!("replacing {}", from.display()))?;
        self.deeds.push(Deed::Moved { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }
}

fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|it| it.is_dir())
}

fn names(folder: &Path) -> anyhow::Result<Vec<OsString>> {
    let reading = || format!("reading {}", folder.display());
    fs::read_dir(folder)
        .with_context(reading)?
        .map(|it| it.map(|it| it.file_name()).with_context(reading))
        .collect()
}

fn stamp(folder: &Path, like: &Metadata) -> anyhow::Result<()> {
    let setting = || format!("setting the attributes of {}", folder.display());
    let owner = std::os::unix::fs::chown(folder, Some(like.uid()), Some(like.gid()));
    match owner {
        Err(err) if err.kind() != ErrorKind::PermissionDenied => {
            return Err(err).with_context(setting);
        }
        // Without the right to give files away they stay with whoever restores.
        _ => (),
    }
    fs::set_permissions(folder, Permissions::from_mode(like.mode() & 0o7777))
        .with_context(setting)?;
    let times = fs::FileTimes::new().set_modified(like.modified().with_context(setting)?);
    File::open(folder).and_then(|it| it.set_times(times)).with_context(setting)
}

/// Does something with `path` that leaves no trace in the time of the folder around it.
fn traceless(path: &Path, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let around = path.parent().unwrap_or(path);
    let before = fs::metadata(around).and_then(|it| it.modified());
    work()?;
    if let Ok(time) = before {
        let times = fs::FileTimes::new().set_modified(time);
        // It may belong to somebody else; a time is no reason to fail.
        let _ = File::open(around).and_then(|it| it.set_times(times));
    }
    Ok(())
}

fn remove_all(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(()),
        Err(err) => Err(err).with_context(|| format!("removing {}", folder.display())),
    }
}
