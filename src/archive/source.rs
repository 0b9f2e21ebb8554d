//! Where the bytes of a file come from: a disk, or pieces that somebody else fetches.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;

/// Gives bytes from an offset on, as many as it likes; none at the end.
type Fetch = dyn Fn(u64, &mut [u8]) -> io::Result<usize> + Send + Sync;

/// The bytes of a file, by their offset. Cheap to clone.
#[derive(Clone)]
pub struct Source {
    fetch: Arc<Fetch>,
    size: u64,
}

impl fmt::Debug for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Source({} bytes)", self.size)
    }
}

impl Source {
    /// The bytes of a file on a disk; nothing where the path leads to something else.
    pub(super) fn open(path: &Path) -> anyhow::Result<Option<Source>> {
        let reading = || format!("reading {}", path.display());
        let file = File::open(path).with_context(reading)?;
        let status = file.metadata().with_context(reading)?;
        let fetch = move |offset, piece: &mut [u8]| file.read_at(piece, offset);
        Ok(status.is_file().then(|| Source::ranges(status.len(), fetch)))
    }

    /// `size` bytes that are fetched in pieces, such as by the range requests of a remote.
    pub fn ranges(
        size: u64,
        fetch: impl Fn(u64, &mut [u8]) -> io::Result<usize> + Send + Sync + 'static,
    ) -> Source {
        Source { fetch: Arc::new(fetch), size }
    }

    /// All bytes together.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills `piece` with the bytes from `offset` on.
    pub(super) fn read_exact_at(&self, piece: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < piece.len() {
            match (self.fetch)(offset + done as u64, &mut piece[done..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => done += n,
                Err(err) if err.kind() == ErrorKind::Interrupted => (),
                Err(err) => return Err(err),
            }
        }
        Ok(())
    }

    /// Reads `size` bytes from `offset` on, and adds to `read` how many that were so far.
    pub(super) fn range(&self, offset: u64, size: u64, read: Arc<AtomicU64>) -> Range {
        Range { source: self.clone(), at: offset, left: size, read }
    }
}

/// A stretch of a file, on its way.
#[derive(Debug)]
pub(super) struct Range {
    source: Source,
    at: u64,
    left: u64,
    read: Arc<AtomicU64>,
}

impl Read for Range {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let n = piece.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if n == 0 {
            return Ok(0);
        }
        let n = (self.source.fetch)(self.at, &mut piece[..n])?;
        self.at += n as u64;
        self.left -= n as u64;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// A reader that goes back and forth, and asks for more than it needs at once: the heads of a tar
/// lie together, and each question to a remote takes its time.
#[derive(Debug)]
pub(super) struct Window {
    source: Source,
    at: u64,
    /// What was fetched last, and where that begins.
    piece: Vec<u8>,
    begin: u64,
}

impl Window {
    /// The heads of a member and the beginning of its content.
    const BYTES: u64 = 4096;

    pub(super) fn new(source: Source) -> Window {
        Window { source, at: 0, piece: Vec::new(), begin: 0 }
    }
}

impl Read for Window {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let end = self.begin + self.piece.len() as u64;
        if !(self.begin..end).contains(&self.at) {
            let n = self.source.size.saturating_sub(self.at).min(Window::BYTES);
            self.piece.resize(n as usize, 0);
            self.source.read_exact_at(&mut self.piece, self.at)?;
            self.begin = self.at;
        }
        let there = &self.piece[(self.at - self.begin) as usize..];
        let n = out.len().min(there.len());
        out[..n].copy_from_slice(&there[..n]);
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.source.size.checked_add_signed(by),
        };
        self.at = to.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
