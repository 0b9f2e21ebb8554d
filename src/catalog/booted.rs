//! What a boot test of a backup has shown, in a small file beside it.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::Archive;
use crate::fsx::{self, Draft};

/// What follows the name of a backup's file. It does not end as backups do.
const ENDING: &str = ".boot.json";

/// A note of a boot test is shorter.
const MAX_BYTES: u64 = 64 * 1024;

/// What a boot test has shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Booted {
    /// The slug of the backup: the file beside it may be another one by now.
    pub slug: String,
    /// When the test ended, as in `2026-11-25T03:04:05Z`.
    pub when: String,
    /// Whether all that was started came up.
    pub passed: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long the test took.
    pub seconds: f64,
    /// The version of hearthkeep that made it.
    pub hearthkeep: String,
}

impl Booted {
    /// Where the note of a backup lies.
    pub fn path(backup: &Path) -> PathBuf {
        let mut path = OsString::from(backup);
        path.push(ENDING);
        path.into()
    }

    /// Where it lies until it is complete.
    pub fn draft_path(backup: &Path) -> PathBuf {
        fsx::draft_of(&Booted::path(backup))
    }

    /// What is noted of a backup; nothing where it was never tried, or where that cannot be read.
    pub fn of(archive: &Archive) -> Option<Booted> {
        let path = Booted::path(&archive.path);
        let is_note = path.symlink_metadata().is_ok_and(|it| it.is_file() && it.len() <= MAX_BYTES);
        let text = is_note.then(|| std::fs::read(&path).ok()).flatten()?;
        let booted: Booted = serde_json::from_slice(&text).ok()?;
        (booted.slug == archive.metadata.slug).then_some(booted)
    }

    /// Notes this beside a backup, in place of what was noted before.
    pub fn write(&self, backup: &Path) -> anyhow::Result<()> {
        let path = Booted::path(backup);
        let draft = Draft::create(&path)?;
        let text = serde_json::to_string(self).context("putting the result into words")?;
        writeln!(&draft, "{text}").with_context(|| format!("writing {}", path.display()))?;
        draft.replace()
    }

    /// Removes what is noted of a backup that is no more.
    pub fn forget(backup: &Path) -> anyhow::Result<()> {
        fsx::remove_if_there(&Booted::path(backup)).map(drop)
    }
}
