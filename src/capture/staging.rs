//! Where the spool lies: on the file system of what it copies where it can, and only where it fits.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::node::Node;
use super::{Capture, fill, hot, sqlite};
use crate::fsx;

/// Left free for everybody else on the file system of the spool.
pub(super) const SPARE: u64 = 64 * 1024 * 1024;

/// A folder that has room for the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staging {
    /// The folder.
    pub folder: PathBuf,
    /// The bytes that the spool may take there.
    pub room: u64,
}

impl Capture {
    /// Bytes that probably have to be copied: databases, and what is being written.
    pub fn needs(&self) -> u64 {
        let hot = hot::inodes();
        let mut needs = 0;
        let mut add = |node: &Node, all: bool| {
            let is_small = node.stat.size <= self.pack;
            let is_hot = || {
                sqlite::is_named_so(&node.name)
                    || hot.contains(&node.stat.inode)
                    || fill::is_recent(&node.stat, self.began)
            };
            if node.stat.is_file() && (all || is_small || is_hot()) {
                needs += node.stat.size;
            }
        };
        self.parts.iter().for_each(|it| it.each(&mut |node| add(node, it.source.at_one_instant)));
        needs
    }

    /// The first of these folders that has room for `needs` bytes; those first that lie on the file
    /// system of the first part, which may share blocks. `taken` bytes are for the archive, where
    /// it lies on the same file system.
    pub fn staging(
        &self,
        folders: &[PathBuf],
        needs: u64,
        archive: (&Path, u64),
    ) -> Option<Staging> {
        let device = |folder: &Path| fs::metadata(folder).map(|it| it.dev()).ok();
        let near = self.parts.first().and_then(|it| it.source.roots.first());
        let near = near.and_then(|it| device(it));
        let room = |folder: &PathBuf| {
            // The archive's folder may not be there yet; the one that it will be in is.
            let archive_device = archive.0.ancestors().find_map(device);
            let is_elsewhere = archive_device.is_some_and(|it| Some(it) != device(folder));
            let taken = if is_elsewhere { 0 } else { archive.1 };
            let room = fsx::room(folder).ok()?.saturating_sub(SPARE).saturating_sub(taken);
            Some(Staging { folder: folder.clone(), room })
        };
        let mut fitting: Vec<Staging> =
            folders.iter().filter_map(room).filter(|it| it.room > needs).collect();
        fitting.sort_by_key(|it| device(&it.folder) != near);
        fitting.into_iter().next()
    }
}
