//! The staging folder of one mount: where the new content is extracted, and the old one waits.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::exchange::{around, is_folder, staying_folders};
use crate::archive::ROOT;
use crate::fsx::{STAGING, STAGING_OLD};
use crate::journal::SwapMount;

/// Where old content lies while the target has nothing new, and while it has nothing old.
pub(super) const LEAVING: &str = STAGING_OLD[0];
pub(super) const OLD: &str = STAGING_OLD[1];

/// Where content goes that did not come up.
pub(super) const FAILED: &str = "failed";

/// A staging folder beside what it will replace, which [`Staging::make`] makes.
#[derive(Debug, Clone)]
pub struct Staging {
    folder: PathBuf,
    target: PathBuf,
}

impl Staging {
    /// The staging folder for a target, a folder or a file, made or not.
    pub(super) fn of(target: &Path) -> anyhow::Result<Staging> {
        let folder = if target.is_dir() {
            target.join(STAGING)
        } else {
            let mut name = OsString::from(format!("{STAGING}-"));
            name.push(target.file_name().context("a mount without a name")?);
            target.with_file_name(name)
        };
        Ok(Staging { folder, target: target.to_owned() })
    }

    /// The staging folder for a target, which is to be made.
    ///
    /// # Errors
    /// Where an interrupted restore left old content there, which only a person may give up.
    pub fn beside(target: &Path) -> anyhow::Result<Staging> {
        let staging = Staging::of(target)?;
        staging.check_left()?;
        Ok(staging)
    }

    /// Makes it anew, empty.
    pub fn make(&self) -> anyhow::Result<()> {
        remove_all(&self.folder)?;
        traceless(&self.folder, || {
            fs::DirBuilder::new()
                .mode(0o700)
                .create(&self.folder)
                .with_context(|| format!("making {}", self.folder.display()))
        })
    }

    /// Refuses where an interrupted restore left old content.
    pub(super) fn check_left(&self) -> anyhow::Result<()> {
        if let Some(old) = old_content(&self.folder)? {
            anyhow::bail!(
                "{} holds what an interrupted restore has not put back: run `hearthkeep resume`, or move it away",
                old.display()
            );
        }
        Ok(())
    }

    /// The folder into which the new content is extracted, below the name [`ROOT`].
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What becomes the target's root.
    pub fn root(&self) -> PathBuf {
        self.folder.join(ROOT)
    }

    /// Whether anything was extracted into it.
    pub fn is_filled(&self) -> bool {
        self.root().symlink_metadata().is_ok()
    }

    /// The exchange that it is ready for, with the target as it is now. `keep` are paths below the
    /// target that stay.
    pub fn mount(&self, keep: &HashSet<PathBuf>) -> anyhow::Result<SwapMount> {
        let around = around(&self.folder);
        let status = fs::metadata(around);
        let status = status.with_context(|| format!("reading {}", around.display()))?;
        Ok(SwapMount {
            target: self.target.clone().into(),
            staging: self.folder.clone().into(),
            inode: status.ino(),
            keep: keep.iter().map(|it| it.clone().into()).collect(),
            folders: staying_folders(&self.target, keep)?,
        })
    }
}

/// Brings all that lies on the disk of a staging folder to it.
pub(super) fn sync(folder: &Path) -> anyhow::Result<()> {
    let syncing = || format!("syncing {}", folder.display());
    let file = File::open(folder).with_context(syncing)?;
    nix::unistd::syncfs(&file).with_context(syncing)
}

/// Removes a staging folder with everything in it, the old content too: the new one has proved
/// itself. Gives whether there was one.
pub fn remove(folder: &Path) -> anyhow::Result<bool> {
    if !is_folder(folder) {
        return Ok(false);
    }
    // What takes long comes first, so that the moment below is short.
    for content in [ROOT, LEAVING, OLD, FAILED].map(|it| folder.join(it)) {
        if is_folder(&content) {
            remove_all(&content)?;
        }
    }
    traceless(folder, || remove_all(folder))?;
    Ok(true)
}

/// Removes a staging folder with what was extracted. Gives whether there was one.
///
/// # Errors
/// Where it holds old content, which then exists nowhere else.
pub fn discard(folder: &Path) -> anyhow::Result<bool> {
    if let Some(old) = old_content(folder)? {
        anyhow::bail!(
            "{} holds old content that could not be put back; nothing else has it",
            old.display()
        );
    }
    remove(folder)
}

/// Where old content lies aside in a staging folder.
pub fn old_content(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    for old in [LEAVING, OLD].map(|it| folder.join(it)) {
        if holds_anything(&old)? {
            return Ok(Some(old));
        }
    }
    Ok(None)
}

/// Whether a folder has a name that staging folders have, whatever a damaged journal says.
pub fn is_staging(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(STAGING.as_bytes())
}

/// Whether there is a file at or below a path.
pub(super) fn holds_anything(path: &Path) -> anyhow::Result<bool> {
    let reading = || format!("reading {}", path.display());
    match fs::symlink_metadata(path) {
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(false),
        status if !status.as_ref().is_ok_and(fs::Metadata::is_dir) => {
            return status.map(|_| true).with_context(reading);
        }
        _ => (),
    }
    for entry in fs::read_dir(path).with_context(reading)? {
        if holds_anything(&entry.with_context(reading)?.path())? {
            return Ok(true);
        }
    }
    Ok(false)
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
