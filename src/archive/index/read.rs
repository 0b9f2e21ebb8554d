//! Reading an index. Nothing in it is trusted: it only tells where to look.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use anyhow::{Context, ensure};
use flate2::bufread::GzDecoder;

use super::{Entry, PartTable, Table, VERSION, unhex};
use crate::archive::entry::BLOCK;

/// A table larger than this is none: it is that of many terabytes.
const MAX_TABLE_BYTES: u64 = 64 * 1024 * 1024;

/// What the table of any file may have, and the bytes of a file for each one beyond: a block is told
/// in less than 30, and takes no less than 500.
const LEAST_TABLE_BYTES: u64 = 1024 * 1024;
const BYTES_TO_TELL_OF: u64 = 16;

/// A line longer than this is no entry: names have at most 4096 bytes.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// A block larger than this would take too much memory.
const MAX_BLOCK_BYTES: u64 = 16 * 1024 * 1024;

/// An index in memory, its lists still compressed.
#[derive(Debug)]
pub(in crate::archive) struct Index {
    pub(in crate::archive) written: jiff::Timestamp,
    pub(in crate::archive) metadata: super::Hash,
    pub(in crate::archive) parts: Vec<Arc<PartTable>>,
    pub(in crate::archive) confidential: Option<u64>,
    bytes: Vec<u8>,
    /// Where the first list begins.
    lists: usize,
}

impl Index {
    /// Reads an index that is no longer encrypted, of a file of so many bytes.
    pub(in crate::archive) fn parse(bytes: Vec<u8>, file_bytes: u64) -> anyhow::Result<Index> {
        let mut gzip = GzDecoder::new(&bytes[..]);
        let mut text = Vec::new();
        let most = (LEAST_TABLE_BYTES + file_bytes / BYTES_TO_TELL_OF).min(MAX_TABLE_BYTES);
        (&mut gzip).take(most).read_to_end(&mut text).context("its table")?;
        let lists = bytes.len() - gzip.into_inner().len();
        let table: Table = serde_json::from_slice(&text).context("its table")?;
        ensure!(table.version == VERSION, "its layout {} is not known", table.version);
        table.parts.iter().try_for_each(check)?;
        let in_lists = table.parts.iter().try_fold(0_u64, |sum, it| sum.checked_add(it.list_bytes));
        ensure!(
            in_lists == Some((bytes.len() - lists) as u64),
            "its lists are not as long as told"
        );
        let Table { written, metadata, parts, confidential, .. } = table;
        Ok(Index {
            written,
            metadata,
            parts: parts.into_iter().map(Arc::new).collect(),
            confidential,
            bytes,
            lists,
        })
    }

    /// What it says of a part.
    pub(in crate::archive) fn part(&self, member: &str) -> Option<&Arc<PartTable>> {
        self.parts.iter().find(|it| it.member == member)
    }

    /// The entries of a part, in the order of its tar.
    pub(in crate::archive) fn entries(&self, member: &str) -> Option<Cursor<'_>> {
        let n = self.parts.iter().position(|it| it.member == member)?;
        let list = |it: &Arc<PartTable>| it.list_bytes as usize;
        let begin = self.lists + self.parts[..n].iter().map(list).sum::<usize>();
        let bytes = &self.bytes[begin..begin + list(&self.parts[n])];
        let lines = BufReader::with_capacity(64 * 1024, GzDecoder::new(bytes));
        let part = &self.parts[n];
        Some(Cursor { lines, line: Vec::new(), left: part.n_entries, tar_bytes: part.tar_bytes })
    }
}

fn check(part: &PartTable) -> anyhow::Result<()> {
    let says = |what: &str| format!("what it says of {}: {what}", part.member);
    ensure!((1..=MAX_BLOCK_BYTES).contains(&part.block_bytes), says("the size of its blocks"));
    let n_blocks = part.tar_bytes.div_ceil(part.block_bytes);
    ensure!(part.blocks.len() as u64 == n_blocks, says("the number of its blocks"));
    // Deflate that does not compress grows by a thousandth.
    let fits = |it: &u64| *it <= part.block_bytes + part.block_bytes / 64 + 1024;
    ensure!(part.blocks.iter().all(fits), says("a block"));
    ensure!(part.head <= MAX_LINE_BYTES, says("its head"));
    // Each has a header.
    ensure!(part.n_entries <= part.tar_bytes / BLOCK, says("the number of its entries"));
    Ok(())
}

impl PartTable {
    /// Bytes of the inner tar in the n-th block.
    pub(in crate::archive) fn bytes_of(&self, n: usize) -> usize {
        (self.tar_bytes - n as u64 * self.block_bytes).min(self.block_bytes) as usize
    }

    /// What the cipher needs to begin at its n-th chunk.
    pub(in crate::archive) fn nonce(&self, n: usize) -> Option<[u8; 8]> {
        const DIGITS: usize = 16;
        unhex(self.nonces.get(n * DIGITS..(n + 1) * DIGITS)?)?.try_into().ok()
    }
}

/// The entries of a part, one after the other.
pub(in crate::archive) struct Cursor<'a> {
    lines: BufReader<GzDecoder<&'a [u8]>>,
    line: Vec<u8>,
    left: u64,
    tar_bytes: u64,
}

impl Cursor<'_> {
    fn entry(&self) -> io::Result<Entry> {
        let entry: Entry = serde_json::from_slice(&self.line)?;
        let padded = entry.size.checked_next_multiple_of(BLOCK);
        let ends = [Some(entry.at), Some(entry.head), padded]
            .into_iter()
            .try_fold(0_u64, |sum, it| sum.checked_add(it?));
        match ends.is_some_and(|it| it <= self.tar_bytes) {
            true => Ok(entry),
            false => Err(io::Error::other("the index tells of more than there is")),
        }
    }
}

impl Iterator for Cursor<'_> {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<io::Result<Entry>> {
        self.line.clear();
        let read = (&mut self.lines).take(MAX_LINE_BYTES).read_until(b'\n', &mut self.line);
        match read {
            Ok(0) if self.left == 0 => None,
            Ok(0) => {
                // Told once: the list ends in either case.
                self.left = 0;
                Some(Err(io::Error::other("the index is cut short")))
            }
            Ok(_) if self.left == 0 => {
                Some(Err(io::Error::other("the index has more entries than it says")))
            }
            Ok(_) => {
                self.left -= 1;
                Some(self.entry())
            }
            Err(err) => {
                self.left = 0;
                Some(Err(err))
            }
        }
    }
}
