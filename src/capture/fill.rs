//! Finding content for the files that a look has found new or changed.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use nix::sys::stat::fstat;
use rayon::prelude::*;

use super::look;
use super::node::{Content, Kind, Node, Stat, View};
use super::spool::{GoOn, Slot, Spool};
use super::sqlite::{self, Format, Reader};

/// A file that changed so many seconds ago may change again at any moment.
const RECENT: i64 = 5 * 60;

/// Larger ones are taken for finished sooner: copying a video without need is dear.
const RECENT_LARGE: i64 = 10;

/// What is copied rather than held open for as long as it is recent.
const LARGE: u64 = 4 * 1024 * 1024;

/// Two of the longest ticks that a kernel has.
const TICKS: Duration = Duration::from_millis(20);

/// The readers that stand in databases, by the device and inode of the main file.
pub(super) type Readers = Mutex<HashMap<(u64, u64), Reader>>;

/// Whether the containers run or are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// They run: what is not finished now is left for the next look.
    Warm,
    /// They are held: everything that is still to be had is taken now.
    Held,
}

/// What all threads that fill share.
pub(super) struct Fill<'a> {
    pub(super) phase: Phase,
    pub(super) spool: &'a Spool,
    /// Inodes that are being written.
    pub(super) hot: &'a HashSet<u64>,
    pub(super) readers: &'a Readers,
    /// Files up to this size are copied, because there are more files than descriptors.
    pub(super) pack: u64,
    /// Descriptors that may still be taken.
    pub(super) descriptors: &'a AtomicI64,
    /// Seconds since 1970 when the capture began.
    pub(super) began: i64,
    pub(super) go_on: GoOn<'a>,
    pub(super) told: &'a Mutex<Vec<String>>,
    /// Bytes that had to be copied.
    pub(super) copied: AtomicU64,
    /// Everything is copied: the part belongs to a database that must be of one instant.
    pub(super) all: bool,
}

impl Fill<'_> {
    /// Finds content for everything of a mount that has none yet.
    pub(super) fn view(&self, view: &mut View) -> anyhow::Result<()> {
        let View { root, node: Some(node), .. } = view else { return Ok(()) };
        match &mut node.kind {
            Kind::Folder(children) => self.folder(root, Path::new(""), children),
            Kind::File(_) => {
                let Some(file) = look::open_below(root, Path::new(""))? else { return Ok(()) };
                self.file(node, file, root)
            }
            Kind::Symlink(_) => Ok(()),
        }
    }

    fn folder(&self, root: &Path, below: &Path, nodes: &mut [Node]) -> anyhow::Result<()> {
        let mut folder = None;
        for node in nodes.iter_mut().filter(|it| self.is_wanted(it)) {
            (self.go_on)()?;
            if folder.is_none() {
                folder = look::folder_below(root, below)?;
            }
            // A folder that is gone takes its files with it.
            let Some(folder) = &folder else { break };
            let path = root.join(below).join(&*node.name);
            if let Some(file) = self.open(folder, &node.name, &path)? {
                self.file(node, file, &path)
                    .with_context(|| format!("keeping {}", path.display()))?;
            }
        }
        nodes.par_iter_mut().try_for_each(|node| match &mut node.kind {
            Kind::Folder(children) => self.folder(root, &below.join(&*node.name), children),
            _ => Ok(()),
        })
    }

    /// A log is worth nothing without the hold: it belongs to the very instant.
    fn is_wanted(&self, node: &Node) -> bool {
        let is_log = || sqlite::is_log(node.name.as_bytes());
        matches!(node.kind, Kind::File(Content::There(_)))
            && (self.phase == Phase::Held || !is_log())
    }

    fn open(&self, folder: &OwnedFd, name: &OsStr, path: &Path) -> anyhow::Result<Option<File>> {
        match look::open_file(folder, name) {
            Ok(file) => Ok(file),
            Err(err) => Err(err).with_context(|| format!("reading {}", path.display())),
        }
    }

    fn file(&self, node: &mut Node, file: File, path: &Path) -> anyhow::Result<()> {
        let now = Stat::from(fstat(&file).context("looking at it")?);
        let Kind::File(content) = &mut node.kind else { return Ok(()) };
        let Content::There(old) = content else { return Ok(()) };
        if !now.is_file() || (self.phase == Phase::Warm && now != node.stat) {
            // It changes at this very moment; the next look sees what becomes of it.
            drop(self.keep(&now, file));
            return Ok(());
        }
        let old = old.take();
        let is_wal = node.name.as_bytes().ends_with(b"-wal");
        let size = if is_wal {
            sqlite::log_size(&file, now.size).context("reading it")?
        } else {
            now.size
        };
        node.stat = Stat { size, ..now };
        *content = match self.content(&now, size, file, old, path, &node.name)? {
            // A further write in the same tick of the clock would move no time.
            Content::Spooled(slot) if self.phase == Phase::Warm && is_young(&now) => {
                Content::There(Some(slot))
            }
            content => content,
        };
        Ok(())
    }

    fn content(
        &self,
        stat: &Stat,
        size: u64,
        file: File,
        old: Option<Slot>,
        path: &Path,
        name: &OsStr,
    ) -> anyhow::Result<Content> {
        let is_log = sqlite::is_log(name.as_bytes());
        let format = sqlite::format(&file).context("reading it")?;
        let may_change = self.all || is_log || format != Format::None || self.may_change(stat);
        if !may_change && stat.size > self.pack && self.take_descriptor() {
            return Ok(Content::Open(file));
        }
        let file = match self.phase {
            Phase::Warm if format == Format::Wal => self.still(stat, file, path),
            _ => self.keep(stat, file).unwrap_or_else(Arc::new),
        };
        self.copied.fetch_add(size, Ordering::Relaxed);
        let slot = match old {
            Some(old) => self.spool.renew(old, &file, size, self.go_on)?,
            None => self.spool.add(&file, size, self.go_on)?,
        };
        if self.phase == Phase::Held && Stat::from(fstat(&*file).context("looking at it")?) != *stat
        {
            self.tell(path, "changed while everything was held: something else writes it");
        }
        Ok(slot.map_or(Content::There(None), Content::Spooled))
    }

    /// Whether a file that is only held open could change before it is read.
    fn may_change(&self, stat: &Stat) -> bool {
        match self.phase {
            Phase::Warm => self.hot.contains(&stat.inode) || is_recent(stat, self.began),
            // New since the last look by its name alone, such as one that was moved.
            Phase::Held => stat.size <= LARGE || stat.mtime.0 > self.began - RECENT_LARGE,
        }
    }

    fn take_descriptor(&self) -> bool {
        self.descriptors.fetch_sub(1, Ordering::Relaxed) > 0
    }

    /// Parks a reader in a database, where there is none yet. The file goes on being the only
    /// descriptor that the copies are made from.
    fn still(&self, stat: &Stat, file: File, path: &Path) -> Arc<File> {
        let file = match self.keep(stat, file) {
            Ok(kept) => return kept,
            Err(file) => file,
        };
        let (file, reader) = sqlite::park(path, file);
        // Without a reader the database is copied in the hold, as far as it has changed.
        if let Ok(Some(reader)) = reader {
            self.readers().insert(stat.identity(), reader);
        }
        file
    }

    /// Keeps a file until the end of the reader that stands in it, and gives the reader's own; gives
    /// it back where there is none. Closing any descriptor of a file loses all locks that this
    /// process has on it, and a home that closes its database then takes itself for the last one:
    /// it would write its log back past the reader, and remove it.
    fn keep(&self, stat: &Stat, file: File) -> Result<Arc<File>, File> {
        match self.readers().get(&stat.identity()) {
            Some(reader) => Ok(reader.keep(file)),
            None => Err(file),
        }
    }

    fn readers(&self) -> MutexGuard<'_, HashMap<(u64, u64), Reader>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, path: &Path, what: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.push(format!("{} {what}", path.display()));
    }
}

/// Whether a file changed within the last two ticks of the clock by which the kernel tells times.
fn is_young(stat: &Stat) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let nanoseconds =
        |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    nanoseconds(stat.ctime.0, stat.ctime.1) + TICKS.as_nanos().cast_signed()
        > now.as_nanos().cast_signed()
}

/// Whether a file changed so shortly before `began` that it may change again at any moment.
pub(super) fn is_recent(stat: &Stat, began: i64) -> bool {
    let recent = if stat.size > LARGE { RECENT_LARGE } else { RECENT };
    stat.mtime.0 > began - recent
}
