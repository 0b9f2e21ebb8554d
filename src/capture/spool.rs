//! The spool: copies of files in one file without a name.
//!
//! It has no name so that nothing of it is left, however the process ends. Where the file system
//! shares blocks between files (btrfs, xfs), the kernel shares instead of copying.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use nix::errno::Errno;
use nix::fcntl::copy_file_range;
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, XFS_SUPER_MAGIC, fstatfs};
use nix::sys::statvfs::fstatvfs;

/// Blocks can be shared only where both files have them at whole multiples of their size; no usual
/// file system has larger ones.
const ALIGNMENT: u64 = 64 * 1024;

/// Copied in pieces of this size, so that a run that was cancelled ends soon.
const STEP: u64 = 16 * 1024 * 1024;

/// A larger file may grow by at least this much before its copy has to be made anew.
const GROWTH: u64 = 16 * 1024 * 1024;

/// Compared and patched in pieces of this size.
const PIECE: usize = 256 * 1024;

/// The spool's room is used up.
#[derive(Debug, thiserror::Error)]
#[error("no room for copies of what is being written: {room} bytes are not enough")]
pub struct NoRoom {
    room: u64,
}

/// A part of the spool that belongs to one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// Where it begins.
    at: u64,
    /// How long the file may become; what is not used takes no room on the disk.
    capacity: u64,
    /// The bytes that it holds.
    size: u64,
}

/// Whether to go on: a deadline or a person may say no between two pieces.
pub type GoOn<'a> = &'a (dyn Fn() -> anyhow::Result<()> + Sync);

/// A file without a name, to which any thread may add.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    device: u64,
    shares_blocks: bool,
    end: AtomicU64,
    used: AtomicU64,
    room: AtomicU64,
}

impl Spool {
    /// A spool in `folder` that takes at most `room` bytes.
    pub(super) fn new(folder: &Path, room: u64) -> anyhow::Result<Spool> {
        let making = || format!("making room for copies in {}", folder.display());
        let file = tempfile::tempfile_in(folder).with_context(making)?;
        let device = file.metadata().with_context(making)?.dev();
        let kind = fstatfs(&file).with_context(making)?.filesystem_type();
        let shares_blocks = kind == BTRFS_SUPER_MAGIC || kind == XFS_SUPER_MAGIC;
        let [end, used] = [AtomicU64::new(0), AtomicU64::new(0)];
        Ok(Spool { file, device, shares_blocks, end, used, room: AtomicU64::new(room) })
    }

    /// Lifts the limit to all that the disk has now, but for `spare` bytes: in the hold, containers
    /// wait for it.
    pub(super) fn lift(&self, spare: u64) -> anyhow::Result<()> {
        let now = fstatvfs(&self.file).context("asking for the room for copies")?;
        let free = now.blocks_available() * now.fragment_size();
        let room = self.used.load(Ordering::Relaxed) + free.saturating_sub(spare);
        self.room.fetch_max(room, Ordering::Relaxed);
        Ok(())
    }

    /// Copies the first `size` bytes of a file; nothing where it has become shorter.
    pub(super) fn add(
        &self,
        from: &File,
        size: u64,
        go_on: GoOn<'_>,
    ) -> anyhow::Result<Option<Slot>> {
        let slot = self.allocate(size);
        self.fill(slot, from, 0, size, go_on)
    }

    /// Makes an older copy one of the file as it is now. Where blocks are shared a new copy is
    /// quicker; elsewhere only what differs is written.
    pub(super) fn renew(
        &self,
        slot: Slot,
        from: &File,
        size: u64,
        go_on: GoOn<'_>,
    ) -> anyhow::Result<Option<Slot>> {
        if self.shares_blocks_with(from)? || size > slot.capacity {
            return self.add(from, size, go_on);
        }
        let (mut new, mut old) = (vec![0; PIECE], vec![0; PIECE]);
        let both = size.min(slot.size);
        let mut done = 0;
        while done < both {
            go_on()?;
            let n = PIECE.min(usize::try_from(both - done).unwrap_or(PIECE));
            match from.read_exact_at(&mut new[..n], done) {
                Err(err) if err.kind() == ErrorKind::UnexpectedEof => return Ok(None),
                read => read.context("reading it again")?,
            }
            self.file.read_exact_at(&mut old[..n], slot.at + done).context("reading its copy")?;
            if new[..n] != old[..n] {
                self.write(&new[..n], slot.at + done)?;
            }
            done += n as u64;
        }
        self.fill(slot, from, both, size, go_on)
    }

    /// Reads from a copy.
    pub(super) fn read_at(&self, slot: Slot, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(slot.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let n = bytes.len().min(left);
        self.file.read_at(&mut bytes[..n], slot.at + offset)
    }

    fn shares_blocks_with(&self, from: &File) -> anyhow::Result<bool> {
        Ok(self.shares_blocks && from.metadata().context("looking at it")?.dev() == self.device)
    }

    /// Copies what lies behind the first `done` bytes.
    fn fill(
        &self,
        slot: Slot,
        from: &File,
        mut done: u64,
        size: u64,
        go_on: GoOn<'_>,
    ) -> anyhow::Result<Option<Slot>> {
        let more = if self.shares_blocks_with(from)? { 0 } else { size.saturating_sub(done) };
        let room = self.room.load(Ordering::Relaxed);
        if self.used.fetch_add(more, Ordering::Relaxed).saturating_add(more) > room {
            return Err(NoRoom { room }.into());
        }
        while done < size {
            go_on()?;
            match self.copy(from, done, slot.at + done, (size - done).min(STEP))? {
                0 => return Ok(None),
                n => done += n,
            }
        }
        Ok(Some(Slot { size, ..slot }))
    }

    /// Small files are packed. A larger one gets room to grow into, which is a hole until then.
    fn allocate(&self, size: u64) -> Slot {
        let update = |end: u64| match size < ALIGNMENT {
            true => (end, size),
            false => (end.next_multiple_of(ALIGNMENT), (size + size / 2).next_multiple_of(GROWTH)),
        };
        let mut end = self.end.load(Ordering::Relaxed);
        loop {
            let (at, capacity) = update(end);
            let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
            match self.end.compare_exchange(end, at + capacity, success, failure) {
                Ok(_) => return Slot { at, capacity, size: 0 },
                Err(now) => end = now,
            }
        }
    }

    /// Copies one piece; gives how much of it.
    fn copy(&self, from: &File, offset: u64, at: u64, n: u64) -> anyhow::Result<u64> {
        // For a small one a read and a write are quicker than to ask the file system.
        if n > PIECE as u64 {
            let (mut source, mut target) = (offset.cast_signed(), at.cast_signed());
            let n = usize::try_from(n).unwrap_or(PIECE);
            match copy_file_range(from, Some(&mut source), &self.file, Some(&mut target), n) {
                Ok(n) => return Ok(n as u64),
                // Not between these two file systems, or not on this kernel.
                Err(Errno::ENOSPC | Errno::EDQUOT) => return Err(self.no_room()),
                Err(Errno::EXDEV | Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => (),
                Err(err) => return Err(err).context("copying it"),
            }
        }
        let mut piece = vec![0; PIECE.min(usize::try_from(n).unwrap_or(PIECE))];
        let n = from.read_at(&mut piece, offset).context("reading it")?;
        self.write(&piece[..n], at)?;
        Ok(n as u64)
    }

    fn write(&self, piece: &[u8], at: u64) -> anyhow::Result<()> {
        self.file.write_all_at(piece, at).map_err(|err| match err.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => self.no_room(),
            _ => anyhow::Error::from(err).context("writing its copy"),
        })
    }

    /// There is less room than there was when the spool was begun.
    fn no_room(&self) -> anyhow::Error {
        NoRoom { room: self.used.load(Ordering::Relaxed) }.into()
    }
}
