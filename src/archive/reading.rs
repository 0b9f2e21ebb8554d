//! The inner tars of a file, as streams.
//!
//! ```text
//! a thread: file → cipher ──► a thread, or every core: inflate ──► this thread
//! ```

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::ahead::Ahead;
use super::guard::Guard;
use super::index::{INDEX, Index, PartTable};
use super::inflate::{OldGzip, Parallel, gunzip};
use super::open::{Archive, Member};
use super::secure::{Decrypt, Envelope};
use super::source::Range;
use super::unlock::Head;
use crate::monitor::Monitor;
use crate::signals;

/// An index larger than this is none: it is that of some ten million files.
const MAX_INDEX_BYTES: u64 = 512 * 1024 * 1024;

/// The bytes of a member without their cipher.
pub(super) enum Plain {
    Clear(Range),
    Sealed(Box<Decrypt<Range>>),
}

impl Read for Plain {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Plain::Clear(range) => range.read(out),
            Plain::Sealed(decrypt) => decrypt.read(out),
        }
    }
}

impl Archive {
    /// The inner tar of a member, decrypted and decompressed; with what the index says of it, by all
    /// cores. It tells `monitor` the bytes of the file that are read, and ends with an error when
    /// `cancel` says so.
    pub(super) fn read<'a>(
        &self,
        member: &Member,
        part: Option<&Arc<PartTable>>,
        cancel: &'a CancellationToken,
        monitor: &'a dyn Monitor,
    ) -> anyhow::Result<Box<dyn Read + 'a>> {
        let read = Arc::new(AtomicU64::new(0));
        let head = self.head(member)?;
        let is_old = matches!(head.envelope, Some(Envelope::V1 { .. }));
        let plain = Ahead::new("decrypting", self.plain(member, &head, read.clone())?)?;
        let tar: Box<dyn Read> = match part {
            _ if !member.name.ends_with("gz") => Box::new(plain),
            Some(part) => Box::new(Parallel::new(plain, part.clone())?),
            None if is_old => Box::new(Ahead::new("inflating", OldGzip::new(plain)?)?),
            None => Box::new(Ahead::new("inflating", gunzip(plain))?),
        };
        let tar = Guard::new(tar, member.size);
        Ok(Box::new(Watched { tar, read, told: 0, cancel, monitor }))
    }

    /// The index, where the file has one.
    pub(super) fn index(&self) -> anyhow::Result<Option<Arc<Index>>> {
        if let Some(index) = self.index.get() {
            return Ok(Some(index.clone()));
        }
        let Some(member) = self.members.iter().find(|it| it.name == INDEX) else { return Ok(None) };
        anyhow::ensure!(member.size <= MAX_INDEX_BYTES, "it is far too large");
        let head = self.head(member)?;
        let mut bytes = Vec::with_capacity(member.size as usize);
        self.plain(member, &head, Arc::default())?.read_to_end(&mut bytes)?;
        let index = Arc::new(Index::parse(bytes, self.size_bytes)?);
        Ok(Some(self.index.get_or_init(|| index).clone()))
    }

    /// The bytes of a member without their cipher.
    pub(super) fn plain(
        &self,
        member: &Member,
        head: &Head,
        read: Arc<AtomicU64>,
    ) -> anyhow::Result<Plain> {
        let Some(envelope) = &head.envelope else {
            return Ok(Plain::Clear(self.source.range(member.offset, member.size, read)));
        };
        let opener = self.opener.as_ref().context("it is encrypted")?;
        anyhow::ensure!(
            opener.fits(envelope, &head.body)?,
            "it is encrypted otherwise than the rest of the file, or damaged"
        );
        let (offset, size) = (member.offset + envelope.len(), member.size - envelope.len());
        let body = self.source.range(offset, size, read);
        Ok(Plain::Sealed(Box::new(opener.decrypt(envelope, body, member.size)?)))
    }
}

/// An inner tar whose reading is watched and can be stopped.
struct Watched<'a> {
    tar: Guard<Box<dyn Read>>,
    /// Bytes of the file so far, and how many of them were told.
    read: Arc<AtomicU64>,
    told: u64,
    cancel: &'a CancellationToken,
    monitor: &'a dyn Monitor,
}

impl Read for Watched<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        signals::check(self.cancel).map_err(io::Error::other)?;
        let read = self.read.load(Ordering::Relaxed);
        if read > self.told {
            self.monitor.advance(read - self.told);
            self.told = read;
        }
        self.tar.read(out)
    }
}
