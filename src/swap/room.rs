//! Whether old and new content fit beside each other.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bytesize::ByteSize;
use nix::sys::statfs::EXT4_SUPER_MAGIC;
use serde::Serialize;

use crate::archive::Extent;

/// What an entry takes on file systems that make room for its attributes when it is made (xfs, by
/// default; btrfs and ZFS take less, but keep it twice). ext4 has that room set aside.
const ENTRY_BYTES: u64 = 512;

/// What a target takes beside its content: the staging folder, and what begins with it.
const STAGING_BYTES: u64 = 16 * 1024;

/// One byte in so many is where the blocks of large files are written down.
const BYTES_PER_MAP_BYTE: u64 = 1024;

/// What a restore needs on one file system beside what is there, and what is free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Room {
    /// One of the places that get something there.
    pub at: PathBuf,
    /// What the new content takes.
    pub needed_bytes: u64,
    /// What is free for everybody.
    pub free_bytes: u64,
    /// Files, folders and links of the new content.
    pub needed_entries: u64,
    /// How many more there can be, where the file system has a limit.
    pub free_entries: Option<u64>,
}

impl Room {
    /// The room on the file system of a folder, of which nothing is needed yet.
    pub(super) fn of(folder: &Path) -> anyhow::Result<Room> {
        let stat = nix::sys::statvfs::statvfs(folder)
            .with_context(|| format!("asking for the room in {}", folder.display()))?;
        Ok(Room {
            at: folder.to_owned(),
            needed_bytes: 0,
            free_bytes: crate::fsx::room(folder)?,
            needed_entries: 0,
            free_entries: (stat.files() > 0).then(|| stat.files_available()),
        })
    }

    /// Adds what goes into a folder of this file system.
    pub(super) fn add(&mut self, extent: &Extent, folder: &Path) {
        let kind = nix::sys::statfs::statfs(folder).map(|it| it.filesystem_type());
        let is_ext4 = kind.is_ok_and(|it| it == EXT4_SUPER_MAGIC);
        let entry_bytes = if is_ext4 { 0 } else { ENTRY_BYTES };
        let room = extent.room(entry_bytes);
        let room = room.saturating_add(room / BYTES_PER_MAP_BYTE + STAGING_BYTES);
        self.needed_bytes = self.needed_bytes.saturating_add(room);
        self.needed_entries += extent.entries;
    }

    /// Why the new content does not fit, if it does not.
    pub(super) fn problem(&self) -> Option<String> {
        let at = self.at.display();
        let cure = "make room, or restore less with --only";
        if self.needed_bytes > self.free_bytes {
            let (free, needed) = (ByteSize(self.free_bytes), ByteSize(self.needed_bytes));
            return Some(format!(
                "no room to restore beside what is in {at}: {free} free, {needed} needed; {cure}"
            ));
        }
        let free = self.free_entries.filter(|it| *it < self.needed_entries)?;
        let needed = self.needed_entries;
        Some(format!(
            "no room to restore beside what is in {at}: {free} more files can be made, {needed} are needed; {cure}"
        ))
    }
}

/// What a file system gives at once, in bytes.
pub(super) fn block_bytes(folder: &Path) -> u64 {
    nix::sys::statvfs::statvfs(folder).map_or(4096, |it| it.fragment_size())
}
