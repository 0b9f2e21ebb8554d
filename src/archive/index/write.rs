//! Writing the index, as the parts are written.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::Path;

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use super::{Entry, Hash, PartTable, Table, VERSION, hex};
use crate::archive::blocks::Packed;
use crate::archive::deflate::BLOCK_BYTES;

/// Entries repeat most of each other; to look for more takes much time and finds little.
const LEVEL: Compression = Compression::new(1);

/// An index that grows, compressed, in a file without a name: some 40 bytes for each entry, which
/// would be much memory for many.
#[derive(Debug)]
pub(in crate::archive) struct IndexWriter {
    parts: Vec<PartTable>,
    confidential: Option<u64>,
    lists: GzEncoder<BufWriter<File>>,
    /// Bytes of the lists of the parts before.
    before: u64,
    n_entries: u64,
    line: Vec<u8>,
}

impl IndexWriter {
    /// An index that lies in `folder` until it is whole.
    pub(in crate::archive) fn new(folder: &Path) -> io::Result<IndexWriter> {
        let lists = BufWriter::new(tempfile::tempfile_in(folder)?);
        Ok(IndexWriter {
            parts: Vec::new(),
            confidential: None,
            lists: GzEncoder::new(lists, LEVEL),
            before: 0,
            n_entries: 0,
            line: Vec::new(),
        })
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
        self.lists.try_finish()?;
        let lists = self.lists.get_mut();
        lists.flush()?;
        let end = lists.get_mut().stream_position()?;
        // Each part has a gzip member of its own.
        let file = lists.get_ref().try_clone()?;
        self.lists = GzEncoder::new(BufWriter::new(file), LEVEL);
        self.parts.push(PartTable {
            member: member.to_owned(),
            size,
            tar_bytes: packed.tar_bytes,
            block_bytes: BLOCK_BYTES as u64,
            head: packed.head,
            blocks: packed.blocks,
            nonces: hex(packed.nonces.as_flattened()),
            n_entries: std::mem::take(&mut self.n_entries),
            list_bytes: end - self.before,
        });
        self.before = end;
        Ok(())
    }

    /// Notes that what may be secret of the containers has so many bytes in the file.
    pub(in crate::archive) fn confidential(&mut self, size: u64) {
        self.confidential = Some(size);
    }

    /// The whole index, in two pieces: its table, and its lists.
    pub(in crate::archive) fn finish(
        self,
        written: Timestamp,
        metadata: &[u8],
    ) -> anyhow::Result<(Vec<u8>, impl Read)> {
        let (parts, confidential) = (self.parts, self.confidential);
        let metadata = Hash::of(metadata);
        let table = Table { version: VERSION, written, metadata, parts, confidential };
        let mut head = GzEncoder::new(Vec::new(), LEVEL);
        serde_json::to_writer(&mut head, &table).context("writing the index")?;
        head.write_all(b"\n")?;
        // Behind the last part a list was begun, which ends here with nothing in it.
        let mut lists =
            self.lists.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        lists.rewind()?;
        Ok((head.finish()?, lists.take(self.before)))
    }
}
