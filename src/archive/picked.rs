//! Pieces of an inner tar, without the rest of it.
//!
//! The index tells in which block a piece lies, where that block begins in the compressed stream, and
//! what the cipher needs to begin there.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::index::PartTable;
use super::inflate::{broken, inflate};
use super::open::{Archive, Member};
use super::reading::Plain;
use super::secure::{BLOCK, CHUNK, Envelope, Place, SEALED_CHUNK};
use super::unlock::Head;
use crate::signals;

/// Reads ranges of an inner tar, one behind the other.
pub(super) struct Picked<'a> {
    archive: &'a Archive,
    member: &'a Member,
    part: Arc<PartTable>,
    head: Head,
    cancel: &'a CancellationToken,
    /// Where each block begins in the plain stream, and where the last one ends.
    begins: Vec<u64>,
    ranges: VecDeque<Range<u64>>,
    /// The block that was read last, and its number.
    block: Vec<u8>,
    number: Option<usize>,
    /// The plain stream, and where it stands.
    plain: Option<(u64, Plain)>,
}

impl Archive {
    /// Ranges of an inner tar, in the order that is given.
    pub(super) fn picked<'a>(
        &'a self,
        member: &'a Member,
        part: Arc<PartTable>,
        ranges: impl IntoIterator<Item = Range<u64>>,
        cancel: &'a CancellationToken,
    ) -> anyhow::Result<Picked<'a>> {
        let mut begins = vec![part.head];
        for bytes in &part.blocks {
            begins.push(begins[begins.len() - 1] + bytes);
        }
        Ok(Picked {
            archive: self,
            member,
            head: self.head(member)?,
            cancel,
            begins,
            ranges: ranges.into_iter().filter(|it| !it.is_empty()).collect(),
            block: Vec::new(),
            number: None,
            plain: None,
            part,
        })
    }
}

impl Picked<'_> {
    /// Makes the block with this number the one that was read last.
    fn fetch(&mut self, number: usize) -> anyhow::Result<()> {
        signals::check(self.cancel)?;
        let (begin, end) = (self.begins[number], self.begins[number + 1]);
        let mut plain = match self.plain.take() {
            Some((at, plain)) if at == begin => plain,
            Some((at, mut plain)) if at < begin && !self.can_jump() => {
                io::copy(&mut (&mut plain).take(begin - at), &mut io::sink())?;
                plain
            }
            _ => self.plain_from(begin)?,
        };
        let mut packed = vec![0; (end - begin) as usize];
        plain.read_exact(&mut packed)?;
        self.plain = Some((end, plain));
        let size = self.part.bytes_of(number);
        if self.member.name.ends_with("gz") {
            inflate(&packed, size, &mut self.block)?;
            self.block.truncate(size);
        } else {
            anyhow::ensure!(packed.len() == size, "a block is not as long as its index says");
            self.block = packed;
        }
        self.number = Some(number);
        Ok(())
    }

    /// Whether a stream of v3 can be entered in its middle: not where somebody has encrypted the
    /// part anew, and the index, which Home Assistant leaves as it is, tells of another stream or of
    /// none.
    fn can_jump(&self) -> bool {
        let first = self.head.envelope.as_ref().and_then(Envelope::first_nonce);
        first.is_none() || first == self.part.nonce(0)
    }

    /// The plain stream from a place on.
    fn plain_from(&self, at: u64) -> anyhow::Result<Plain> {
        let (member, source) = (self.member, &self.archive.source);
        let Some(envelope) = &self.head.envelope else {
            let left = member.size.checked_sub(at).context("it is shorter than its index says")?;
            return Ok(Plain::Clear(source.range(member.offset + at, left, Arc::default())));
        };
        let body = member.offset + envelope.len();
        let (place, behind, skip) = match envelope {
            _ if !self.can_jump() => (Place::Start, 0, at),
            Envelope::V3 { .. } => {
                let number = at / CHUNK;
                let nonce = self.part.nonce(usize::try_from(number)?);
                let nonce = nonce.context("the index does not tell how to begin there")?;
                (Place::Chunk { number, nonce }, number * SEALED_CHUNK, at % CHUNK)
            }
            _ if at < BLOCK => (Place::Start, 0, at),
            _ => {
                let number = at / BLOCK;
                let mut before = [0; BLOCK as usize];
                source.read_exact_at(&mut before, body + (number - 1) * BLOCK)?;
                (Place::Block { number, before }, number * BLOCK, at % BLOCK)
            }
        };
        let opener = self.archive.opener.as_ref().context("it is encrypted")?;
        let left = member.size - envelope.len();
        let left = left.checked_sub(behind).context("it is shorter than its index says")?;
        let range = source.range(body + behind, left, Arc::default());
        let mut plain = opener.decrypt_from(envelope, range, member.size, place)?;
        io::copy(&mut plain.by_ref().take(skip), &mut io::sink())?;
        Ok(Plain::Sealed(Box::new(plain)))
    }
}

impl Read for Picked<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(range) = self.ranges.front().cloned() else { return Ok(0) };
        if range.end > self.part.tar_bytes {
            return Err(broken("its index tells of more than there is"));
        }
        let number = (range.start / self.part.block_bytes) as usize;
        if self.number != Some(number) {
            self.fetch(number).map_err(io::Error::other)?;
        }
        let at = (range.start % self.part.block_bytes) as usize;
        let left = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let there = &self.block[at..];
        let n = out.len().min(there.len()).min(left);
        out[..n].copy_from_slice(&there[..n]);
        match n == left {
            true => drop(self.ranges.pop_front()),
            false => self.ranges[0].start += n as u64,
        }
        Ok(n)
    }
}
