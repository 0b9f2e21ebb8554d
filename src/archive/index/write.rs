//! Writing the index, as the parts are written.

use std::io::{self, Write};

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use super::{Entry, Hash, PartTable, Table, VERSION, hex};
use crate::archive::blocks::Packed;
use crate::archive::deflate::BLOCK_BYTES;

/// Entries repeat most of each other; to look for more takes much time and finds little.
const LEVEL: Compression = Compression::new(1);

/// An index that grows, compressed: some 40 bytes for each entry.
#[derive(Debug)]
pub(in crate::archive) struct IndexWriter {
    parts: Vec<PartTable>,
    lists: GzEncoder<Vec<u8>>,
    /// Bytes of the lists of the parts before.
    before: usize,
    n_entries: u64,
    line: Vec<u8>,
}

impl IndexWriter {
    pub(in crate::archive) fn new() -> IndexWriter {
        IndexWriter {
            parts: Vec::new(),
            lists: GzEncoder::new(Vec::new(), LEVEL),
            before: 0,
            n_entries: 0,
            line: Vec::new(),
        }
    }

    /// Notes an entry of the part that is being written.
    pub(in crate::archive) fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, entry)?;
        self.line.push(b'\n');
        self.n_entries += 1;
        self.lists.write_all(&self.line)
    }

    /// Ends the part: it has `size` bytes in the file.
    pub(in crate::archive) fn part(
        &mut self,
        member: &str,
        size: u64,
        packed: Packed,
    ) -> io::Result<()> {
        let lists = std::mem::replace(&mut self.lists, GzEncoder::new(Vec::new(), LEVEL));
        let lists = lists.finish()?;
        self.parts.push(PartTable {
            member: member.to_owned(),
            size,
            tar_bytes: packed.tar_bytes,
            block_bytes: BLOCK_BYTES as u64,
            head: packed.head,
            blocks: packed.blocks,
            nonces: hex(packed.nonces.as_flattened()),
            n_entries: std::mem::take(&mut self.n_entries),
            list_bytes: (lists.len() - self.before) as u64,
        });
        self.before = lists.len();
        // The next list follows in the same memory.
        self.lists = GzEncoder::new(lists, LEVEL);
        Ok(())
    }

    /// The whole index, in two pieces.
    pub(in crate::archive) fn finish(
        self,
        written: Timestamp,
        metadata: &[u8],
    ) -> anyhow::Result<[Vec<u8>; 2]> {
        let parts = self.parts;
        let table = Table { version: VERSION, written, metadata: Hash::of(metadata), parts };
        let mut head = GzEncoder::new(Vec::new(), LEVEL);
        serde_json::to_writer(&mut head, &table).context("writing the index")?;
        head.write_all(b"\n")?;
        let mut lists = self.lists.finish()?;
        // Behind the last part a list was begun that nobody filled.
        lists.truncate(self.before);
        Ok([head.finish()?, lists])
    }
}
