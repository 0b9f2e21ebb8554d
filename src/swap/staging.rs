//! The staging folder of one mount: where the new content is extracted, and the old one waits.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::exchange::{Exchange, is_folder};
use crate::archive::ROOT;
use crate::fsx::{STAGING, STAGING_OLD as OLD};

/// Where content goes that did not come up.
const FAILED: &str = "failed";

/// A staging folder beside what it will replace.
#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    target: PathBuf,
}

impl Staging {
    /// Makes the staging folder for a target, a folder or a file.
    ///
    /// # Errors
    /// Where an interrupted restore left old content there, which only a person may give up.
    pub fn create(target: &Path) -> anyhow::Result<Staging> {
        let folder = if target.is_dir() {
            target.join(STAGING)
        } else {
            let name = target.file_name().context("a mount without a name")?.to_string_lossy();
            target.with_file_name(format!("{STAGING}-{name}"))
        };
        let staging = Staging { folder, target: target.to_owned() };
        anyhow::ensure!(
            !staging.holds_old_content()?,
            "{} holds what an interrupted restore has not put back: move it away first",
            staging.folder.join(OLD).display()
        );
        remove_all(&staging.folder)?;
        traceless(&staging.folder, || {
            fs::DirBuilder::new()
                .mode(0o700)
                .create(&staging.folder)
                .with_context(|| format!("making {}", staging.folder.display()))
        })?;
        Ok(staging)
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

    /// Brings all that was extracted to the disk.
    pub fn sync(&self) -> anyhow::Result<()> {
        let syncing = || format!("syncing {}", self.folder.display());
        let folder = File::open(&self.folder).with_context(syncing)?;
        nix::unistd::syncfs(&folder).with_context(syncing)
    }

    /// The exchange of old and new content. `keep` are paths below the target that stay.
    pub fn exchange(&self, keep: &HashSet<PathBuf>) -> Exchange {
        let place = |name: &str| self.folder.join(name);
        let keep = keep.iter().map(|it| self.target.join(it));
        Exchange {
            target: self.target.clone(),
            new: place(ROOT),
            old: place(OLD),
            failed: place(FAILED),
            keep: keep.chain([self.folder.clone()]).collect(),
            before: Vec::new(),
        }
    }

    /// Removes the staging folder with everything in it, the old content too: the new one has
    /// proved itself.
    pub fn remove(self) -> anyhow::Result<()> {
        // What takes long comes first, so that the moment below is short.
        for content in [ROOT, OLD, FAILED].map(|it| self.folder.join(it)) {
            if is_folder(&content) {
                remove_all(&content)?;
            }
        }
        traceless(&self.folder, || remove_all(&self.folder))
    }

    /// Removes the staging folder with what was extracted.
    ///
    /// # Errors
    /// Where it holds old content, which then exists nowhere else.
    pub fn discard(self) -> anyhow::Result<()> {
        anyhow::ensure!(
            !self.holds_old_content()?,
            "{} holds old content that could not be put back; nothing else has it",
            self.folder.join(OLD).display()
        );
        self.remove()
    }

    /// Whether old content lies aside in it.
    pub(super) fn holds_old_content(&self) -> anyhow::Result<bool> {
        holds_anything(&self.folder.join(OLD))
    }
}

/// Whether there is a file at or below a path.
fn holds_anything(path: &Path) -> anyhow::Result<bool> {
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
