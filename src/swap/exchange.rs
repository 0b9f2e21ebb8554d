//! The restored content of one mount takes the place of the old, entry by entry, and back.
//!
//! Everything is a rename within one file system, so it takes no time whatever the size, and the
//! folder that is mounted stays the same folder:
//!
//! ```text
//! forward:  stash(target → leaving)  leaving ⇒ old      place(new → target)
//! back:     sweep(target → failed)   old ⇒ leaving      place(leaving → target)  leaving ⇒ failed
//! ```
//!
//! `⇒` is one rename of a whole folder, and it is the only memory of how far the exchange has come:
//! while there is `leaving`, nothing new is in the target; while there is `old`, nothing old is;
//! where there is neither, nothing has begun or all is back. It lies on the disk of what it tells
//! of, in one order with it, and needs no room. So the way back can begin wherever a crash has
//! ended the way there, or the way back itself. What a mount that is a file had before is one
//! file, `old`, and needs no such steps.
//!
//! The way back does not retrace the way there: the restored home has run meanwhile, and whatever
//! it made or removed must not stay beside the old content.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::attributes::{attributes, stamp};
use super::staging::{FAILED, LEAVING, OLD, holds_anything, is_staging};
use crate::archive::ROOT;
use crate::faults;
use crate::fsx;
use crate::journal::{Attributes, StayingFolder, SwapMount};

/// Puts the new content in place of the old.
///
/// # Errors
/// Where something cannot be moved. What was moved until then waits for [`back`].
pub fn forward(mount: &SwapMount) -> anyhow::Result<()> {
    Exchange::of(mount).forward()
}

/// Takes the exchange back, however far it had come and whatever has become of the new content.
/// Done twice, it does nothing more.
///
/// # Errors
/// Where the mount is out of reach, or something cannot be moved; what can be moved is.
pub fn back(mount: &SwapMount) -> anyhow::Result<()> {
    Exchange::of(mount).back()
}

/// Whether old content of a mount lies aside.
///
/// # Errors
/// Where the mount is out of reach, so that nobody can tell.
pub fn is_aside(mount: &SwapMount) -> anyhow::Result<bool> {
    is_in_reach(mount)?;
    let exchange = Exchange::of(mount);
    Ok(is_there(&exchange.leaving) || is_there(&exchange.old))
}

/// What the way back has to know of the folders of a target that stay while their content goes,
/// as they are now. `keep` are paths below the target that stay.
pub(super) fn staying_folders(
    target: &Path,
    keep: &HashSet<PathBuf>,
) -> anyhow::Result<Vec<StayingFolder>> {
    let mut folders = Vec::new();
    let stays = Stays::new(target, keep);
    if is_folder(target) {
        stays.survey(target, target, device(target)?, &mut folders)?;
    }
    Ok(folders)
}

/// Fails where the mount is not there, or is another one.
pub(super) fn is_in_reach(mount: &SwapMount) -> anyhow::Result<()> {
    let around = around(&mount.staging);
    let is_same = fs::metadata(around).is_ok_and(|it| it.ino() == mount.inode);
    anyhow::ensure!(is_same, "{} is not where it was", mount.target.display());
    Ok(())
}

/// The folder in which a staging folder lies.
pub(super) fn around(staging: &Path) -> &Path {
    staging.parent().unwrap_or(staging)
}

pub(super) fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|it| it.is_dir())
}

struct Exchange<'a> {
    mount: &'a SwapMount,
    target: &'a Path,
    stays: Stays,
    new: PathBuf,
    leaving: PathBuf,
    old: PathBuf,
    failed: PathBuf,
}

impl Exchange<'_> {
    fn of(mount: &SwapMount) -> Exchange<'_> {
        let place = |name: &str| mount.staging.join(name);
        let keep = mount.keep.iter().map(|it| it.to_path_buf()).collect();
        Exchange {
            mount,
            target: &mount.target,
            stays: Stays::new(&mount.target, &keep),
            new: place(ROOT),
            leaving: place(LEAVING),
            old: place(OLD),
            failed: place(FAILED),
        }
    }

    /// Whether a folder is exchanged. A target that is gone may have been made anew as another kind.
    fn was_folder(&self) -> bool {
        !self.mount.folders.is_empty()
    }

    fn forward(&self) -> anyhow::Result<()> {
        // Whoever can write into the mount could have made it a link that leads anywhere.
        anyhow::ensure!(!self.new.is_symlink(), "{} is a link", self.new.display());
        anyhow::ensure!(
            is_folder(&self.new) == self.was_folder(),
            "{} is a folder on one side and a file on the other",
            self.target.display()
        );
        if !self.was_folder() {
            rename(self.target, &self.old)?;
            return rename(&self.new, self.target);
        }
        self.stays.stash(self.target, &self.leaving)?;
        self.turn(&self.leaving, &self.old)?;
        let wanted = self.wanted()?;
        self.stays.place(&self.new, self.target)?;
        stamp_all(&wanted)
    }

    fn back(&self) -> anyhow::Result<()> {
        if !is_aside(self.mount)? {
            return Ok(());
        }
        if !self.was_folder() {
            if is_there(self.target) {
                rename(self.target, &self.grave()?)?;
            }
            return rename(&self.old, self.target);
        }
        if is_there(&self.old) {
            anyhow::ensure!(
                !is_there(&self.leaving),
                "{} and {} both hold old content",
                self.old.display(),
                self.leaving.display()
            );
            self.sweep(&self.old)?;
            self.turn(&self.old, &self.leaving)?;
        }
        // Whoever started the home between a crash and now has it make files.
        self.sweep(&self.leaving)?;
        self.stays.place(&self.leaving, self.target)?;
        let before = self.mount.folders.iter();
        let before: Vec<_> =
            before.map(|it| (join(self.target, &it.below), it.attributes)).collect();
        stamp_all(&before)?;
        anyhow::ensure!(
            !holds_anything(&self.leaving)?,
            "something is in the way of what lies in {}",
            self.leaving.display()
        );
        rename(&self.leaving, &self.grave()?)
    }

    /// Makes the one step that tells on which side the old content is. Nothing of what comes next
    /// may reach the disk before it.
    fn turn(&self, from: &Path, to: &Path) -> anyhow::Result<()> {
        rename(from, to)?;
        fsx::sync_folder(&self.mount.staging)
    }

    /// Moves out of the target what came after the old content: what has a name that was not there,
    /// or one that lies `aside`. A fresh database's log, say, must not meet the old database. What was
    /// there and was never moved belongs there, even if it would not stay now: a disk that was mounted
    /// below may be away.
    fn sweep(&self, aside: &Path) -> anyhow::Result<()> {
        let grave = self.grave()?;
        let folders: HashMap<&Path, &StayingFolder> =
            self.mount.folders.iter().map(|it| (&*it.below, it)).collect();
        for (below, folder) in &folders {
            let path = join(self.target, below);
            if !is_folder(&path) {
                continue;
            }
            let known: HashSet<&Path> = folder.names.iter().map(|it| &**it).collect();
            let device = device(&path)?;
            for name in names(&path)? {
                let (below, entry) = (below.join(&name), path.join(&name));
                let belongs = known.contains(Path::new(&name)) && !is_there(&aside.join(&below));
                if belongs || self.stays.stays(&entry, device)? {
                    continue;
                }
                let to = grave.join(&below);
                make_folder(to.parent().unwrap_or(&to))?;
                match self.stays.is_around(&entry) {
                    true if folders.contains_key(below.as_path()) => (),
                    true => self.stays.stash(&entry, &to)?,
                    false => rename(&entry, &to)?,
                }
            }
        }
        Ok(())
    }

    /// A place that is free for what is of no use any more: an interrupted way back may have left
    /// the same names.
    fn grave(&self) -> anyhow::Result<PathBuf> {
        make_folder(&self.failed)?;
        let free = (1..).map(|n: u32| self.failed.join(n.to_string())).find(|it| !is_there(it));
        free.context("there is no number left")
    }

    /// The attributes that the new content has for the folders that stay. Read before it is moved
    /// out of its own folders, which moves their times.
    fn wanted(&self) -> anyhow::Result<Vec<(PathBuf, Attributes)>> {
        let mut wanted = Vec::new();
        for folder in &self.mount.folders {
            let model = join(&self.new, &folder.below);
            if is_folder(&model) {
                wanted.push((join(self.target, &folder.below), attributes(&model)?));
            }
        }
        Ok(wanted)
    }
}

/// What stays where it is while the content around it is moved.
struct Stays {
    keep: HashSet<PathBuf>,
    /// The folders around what is kept.
    around: HashSet<PathBuf>,
}

impl Stays {
    fn new(target: &Path, keep: &HashSet<PathBuf>) -> Stays {
        let keep: HashSet<PathBuf> = keep.iter().map(|it| target.join(it)).collect();
        let around = keep.iter().flat_map(|it| it.ancestors().skip(1));
        let around = around.filter(|it| it.starts_with(target)).map(Path::to_owned).collect();
        Stays { keep, around }
    }

    fn survey(
        &self,
        target: &Path,
        folder: &Path,
        device: u64,
        folders: &mut Vec<StayingFolder>,
    ) -> anyhow::Result<()> {
        let names = names(folder)?;
        folders.push(StayingFolder {
            below: folder.strip_prefix(target).unwrap_or(folder).into(),
            attributes: attributes(folder)?,
            names: names.iter().cloned().map(Into::into).collect(),
        });
        for path in names.iter().map(|it| folder.join(it)) {
            if !self.stays(&path, device)? && self.is_around(&path) {
                self.survey(target, &path, device, folders)?;
            }
        }
        Ok(())
    }

    /// Moves everything out of a folder that does not stay. Where something that stays lies deeper
    /// in an entry, the entry itself stays and its content is moved.
    fn stash(&self, folder: &Path, to: &Path) -> anyhow::Result<()> {
        make_folder(to)?;
        let device = device(folder)?;
        for name in names(folder)? {
            let path = folder.join(&name);
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

    /// Moves the content of a folder to where it belongs. What can be moved is, also after an error.
    fn place(&self, from: &Path, folder: &Path) -> anyhow::Result<()> {
        let mut first = Ok(());
        let device = device(folder)?;
        for name in names(from)? {
            let (from, path) = (from.join(&name), folder.join(&name));
            let placed = if !is_there(&path) {
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
            first = first.and(placed);
        }
        first
    }

    fn stays(&self, path: &Path, device: u64) -> anyhow::Result<bool> {
        // A mount of the host inside this one is no part of it, and cannot be moved.
        // Staging folders of other mounts are theirs.
        Ok(self.keep.contains(path)
            || is_staging(path)
            || (is_folder(path) && self::device(path)? != device))
    }

    fn is_around(&self, path: &Path) -> bool {
        self.around.contains(path) && is_folder(path)
    }
}

/// The deepest folders first, since a folder may be closed by its own attributes.
fn stamp_all(stamps: &[(PathBuf, Attributes)]) -> anyhow::Result<()> {
    let mut stamps = stamps.iter().rev().filter(|(folder, _)| is_folder(folder));
    stamps.try_for_each(|(folder, like)| stamp(folder, *like))
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Joining nothing would add a slash.
fn join(folder: &Path, below: &Path) -> PathBuf {
    folder.components().chain(below.components()).collect()
}

fn device(path: &Path) -> anyhow::Result<u64> {
    let status = fs::symlink_metadata(path).with_context(|| format!("reading {}", path.display()));
    Ok(status?.dev())
}

fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    faults::rename();
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
