//! The restored content of one mount takes the place of the old, entry by entry.
//!
//! Everything is a rename within one file system, so it takes no time whatever the size, and the
//! folder that is mounted stays the same folder:
//!
//! ```text
//! forward:  stash(target → old)     place(new → target)
//! back:     stash(target → failed)  place(old → target)
//! ```
//!
//! The way back does not retrace the way there: the restored home has run meanwhile, and whatever
//! it made or removed must not stay beside the old content.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::fsx::STAGING;

/// The exchange of a mount's content, which can be taken back.
#[derive(Debug)]
pub struct Exchange {
    pub(super) target: PathBuf,
    pub(super) new: PathBuf,
    pub(super) old: PathBuf,
    pub(super) failed: PathBuf,
    /// Absolute paths that stay.
    pub(super) keep: HashSet<PathBuf>,
    /// Attributes of the folders that stay while their content goes.
    pub(super) before: Vec<(PathBuf, Metadata)>,
}

impl Exchange {
    /// Puts the new content in place of the old.
    ///
    /// # Errors
    /// Where something cannot be moved; what was moved until then is moved back first.
    pub fn forward(&mut self) -> anyhow::Result<()> {
        let (target, old, new) = (self.target.clone(), self.old.clone(), self.new.clone());
        // Whoever can write into the mount could have made it a link that leads anywhere.
        anyhow::ensure!(!new.is_symlink(), "{} is a link", new.display());
        anyhow::ensure!(
            is_folder(&new) == is_folder(&target),
            "{} is a folder on one side and a file on the other",
            target.display()
        );
        if let Err(err) = self.stash(&target, &old) {
            // Nothing new is in place yet, so what is there still belongs there.
            return Err(self.put_back(err));
        }
        match self.wanted().and_then(|wanted| self.place(&new, &target).map(|()| wanted)) {
            Ok(wanted) => stamp_all(&wanted),
            Err(err) => match self.stash(&target, &self.failed.clone()) {
                Ok(()) => Err(self.put_back(err)),
                Err(stuck) => Err(anyhow::anyhow!("{err:#}; moving it back: {stuck:#}")),
            },
        }
    }

    /// Takes the exchange back, whatever has become of the new content.
    ///
    /// # Errors
    /// The first thing that could not be moved back; everything else is.
    pub fn back(mut self) -> anyhow::Result<()> {
        let (target, failed, old) = (self.target.clone(), self.failed.clone(), self.old.clone());
        let stashed = self.stash(&target, &failed);
        let placed = self.place(&old, &target);
        stashed.and(placed).and(stamp_all(&self.before))
    }

    /// After an error on the way there: moves the old content back; gives the error to tell.
    fn put_back(&self, err: anyhow::Error) -> anyhow::Error {
        match self.place(&self.old, &self.target).and_then(|()| stamp_all(&self.before)) {
            Ok(()) => err,
            Err(stuck) => anyhow::anyhow!("{err:#}; moving it back: {stuck:#}"),
        }
    }

    /// Moves everything out of the target that does not stay. Where something that stays lies
    /// deeper in an entry, the entry itself stays and its content is moved.
    fn stash(&mut self, target: &Path, to: &Path) -> anyhow::Result<()> {
        if !is_folder(target) {
            make_folder(to.parent().unwrap_or(to))?;
            return match target.symlink_metadata() {
                Ok(_) => rename(target, to),
                Err(_) => Ok(()),
            };
        }
        make_folder(to)?;
        let status = metadata(target)?;
        let device = status.dev();
        if !self.before.iter().any(|(folder, _)| folder == target) {
            self.before.push((target.to_owned(), status));
        }
        for name in names(target)? {
            let path = target.join(&name);
            if self.stays(&path, device)? {
                continue;
            }
            if self.is_around(&path) {
                self.stash(&path, &to.join(&name))?;
            } else {
                rename(&path, &to.join(&name))?;
            }
        }
        Ok(())
    }

    /// Moves the content of a folder, or a file, to where it belongs.
    fn place(&self, from: &Path, target: &Path) -> anyhow::Result<()> {
        if !is_folder(from) {
            return match from.symlink_metadata() {
                Ok(_) => rename(from, target),
                Err(_) => Ok(()),
            };
        }
        let mut first = Ok(());
        let device = metadata(target)?.dev();
        for name in names(from)? {
            let (from, path) = (from.join(&name), target.join(&name));
            let placed = if path.symlink_metadata().is_err() {
                rename(&from, &path)
            } else if self.stays(&path, device)? {
                Ok(())
            } else if self.is_around(&path) && is_folder(&from) {
                self.place(&from, &path)
            } else if self.is_around(&path) {
                Ok(())
            } else {
                Err(anyhow::anyhow!("{} is in the way", path.display()))
            };
            // On the way back everything that can be moved is.
            first = first.and(placed);
        }
        first
    }

    fn stays(&self, path: &Path, device: u64) -> anyhow::Result<bool> {
        // A mount of the host inside this one is no part of it, and cannot be moved.
        Ok(self.keep.contains(path)
            || is_staging(path)
            || (is_folder(path) && metadata(path)?.dev() != device))
    }

    fn is_around(&self, path: &Path) -> bool {
        is_folder(path) && self.keep.iter().any(|it| it.starts_with(path) && it != path)
    }

    /// The attributes that the new content has for the folders that stay. Read before it is moved
    /// out of its own folders, which moves their times.
    fn wanted(&self) -> anyhow::Result<Vec<(PathBuf, Metadata)>> {
        let mut wanted = Vec::new();
        for (folder, _) in &self.before {
            let below = folder.strip_prefix(&self.target).unwrap_or(folder);
            let model = self.new.join(below);
            if is_folder(&model) {
                wanted.push((folder.clone(), metadata(&model)?));
            }
        }
        Ok(wanted)
    }
}

/// The deepest folders first, since a folder may be closed by its own attributes.
fn stamp_all(stamps: &[(PathBuf, Metadata)]) -> anyhow::Result<()> {
    stamps.iter().rev().try_for_each(|(folder, like)| stamp(folder, like))
}

/// Staging folders of other mounts are theirs.
fn is_staging(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(STAGING.as_bytes())
}

pub(super) fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|it| it.is_dir())
}

pub(super) fn metadata(path: &Path) -> anyhow::Result<Metadata> {
    fs::symlink_metadata(path).with_context(|| format!("reading {}", path.display()))
}

fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::rename(from, to).with_context(|| format!("replacing {}", from.display()))
}

fn make_folder(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))
}

pub(super) fn names(folder: &Path) -> anyhow::Result<Vec<OsString>> {
    let reading = || format!("reading {}", folder.display());
    fs::read_dir(folder)
        .with_context(reading)?
        .map(|it| it.map(|it| it.file_name()).with_context(reading))
        .collect()
}

pub(super) fn stamp(folder: &Path, like: &Metadata) -> anyhow::Result<()> {
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
