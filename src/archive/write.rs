//! Writing the whole file.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::blocks::{Packed, Packing, pack};
use super::confidential::{self, CONFIDENTIAL};
use super::deflate::Level;
use super::entry::padding;
use super::index::{INDEX, IndexWriter};
use super::inner::{Again, Out, write_part};
use super::member::{MemberWriter, small};
use super::metadata::Metadata;
use super::outer::{self, METADATA};
use super::secure::{Format, Sealer};
use crate::capture::Capture;
use crate::fsx::Draft;
use crate::monitor::Monitor;
use crate::secret::Secret;

/// How a file is to be written.
#[derive(Debug, Clone, Default)]
pub struct Wrapping {
    /// How hard to compress, where it is compressed at all.
    pub level: Level,
    /// Encrypts it, where there is one.
    pub password: Option<Secret>,
    /// The cipher.
    pub format: Format,
}

impl Wrapping {
    /// Makes the keys, which takes a moment and 16 MiB.
    pub fn prepare(&self) -> anyhow::Result<Wrapper> {
        let sealer = self.password.as_ref().map(|it| Sealer::new(it, self.format)).transpose();
        Ok(Wrapper { level: self.level, sealer: sealer.context("making the keys")? })
    }
}

/// What a file is written with.
#[derive(Debug)]
pub struct Wrapper {
    level: Level,
    sealer: Option<Sealer>,
}

/// What a finished file holds.
#[derive(Debug, Clone)]
pub struct Written {
    /// The content of its `backup.json`.
    pub metadata: Metadata,
    /// Size of the file in bytes.
    pub size_bytes: u64,
    /// What was left out or changed while it was read, as sentences.
    pub warnings: Vec<String>,
}

/// Writes what was captured into a draft, which may still be on its way to the disk when it
/// returns. `metadata` comes from [`Metadata::new`] over the same parts.
pub fn write(
    capture: &Capture,
    mut metadata: Metadata,
    draft: &Draft,
    wrapper: &Wrapper,
    again: Again<'_>,
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
) -> anyhow::Result<Written> {
    let mut file = Output { file: draft.file(), path: draft.draft_path() };
    let writer = Writer { file, wrapper, now: Timestamp::now() };
    metadata.protected = wrapper.sealer.is_some();
    let folder = file.path.parent().unwrap_or(Path::new("."));
    let mut index = IndexWriter::new(folder).context("beginning the index")?;
    let mut warnings = Vec::new();
    let level = metadata.compressed.then_some(wrapper.level);
    for (n, part) in capture.parts().enumerate() {
        let member = part.member(metadata.compressed);
        monitor.part(&part.item.to_string());
        let written = writer.member(&member, level, |blocks| {
            let out = Out { blocks, index: &mut index, cancel, monitor };
            write_part(capture, n, &part.kind, out, again)
        });
        let (told, size, packed) = written.with_context(|| format!("archiving {}", part.item))?;
        index.part(&member, size, packed)?;
        warnings.extend(told);
    }
    if metadata.protected && !metadata.confidential.is_empty() {
        let content = confidential::pack(&metadata.confidential)?;
        let fill = |blocks: &mut super::blocks::Blocks| blocks.copy(&mut content.as_slice());
        let ((), size, _) = writer.member(CONFIDENTIAL, None, fill)?;
        index.confidential(size);
    }
    let json = serde_json::to_vec(&metadata).context("writing backup.json")?;
    let (table, lists) = index.finish(writer.now, &json)?;
    let mut index = table.as_slice().chain(lists);
    writer.member(INDEX, None, |blocks| blocks.copy(&mut index))?;
    // Last, as the Supervisor does it: a file that was cut short is then no backup.
    let n = json.len() as u64;
    for bytes in [&small(METADATA, n, writer.now), &json, padding(n)] {
        file.write_all(bytes)?;
    }
    let end = file.file.stream_position()?;
    let size_bytes = outer::end(end);
    file.write_all(&vec![0; (size_bytes - end) as usize])?;
    // Not synced yet: containers may still be held, and the draft is synced before it is named.
    Ok(Written { metadata, size_bytes, warnings })
}

/// Writes members.
struct Writer<'a> {
    file: Output<'a>,
    wrapper: &'a Wrapper,
    now: Timestamp,
}

impl Writer<'_> {
    /// Writes one member, gives what `fill` gives, and the size of the member in the file.
    fn member<T>(
        &self,
        name: &str,
        level: Option<Level>,
        fill: impl FnOnce(&mut super::blocks::Blocks) -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, u64, Packed)> {
        let mut file = self.file;
        let outer = MemberWriter::begin(file.file, name, self.now)?;
        let packing = Packing {
            level,
            seal: self.wrapper.sealer.as_ref().map(Sealer::seal).transpose()?,
            name: name.replace(".tar.gz", ".tar").replace(".tgz", ".tar"),
            mtime: u32::try_from(self.now.as_second()).unwrap_or(0),
        };
        let (told, packed) = pack(&mut file, packing, fill)?;
        let size = outer.end(packed.envelope.as_deref().unwrap_or_default())?;
        Ok((told, size, packed))
    }
}

/// The draft's file, whose errors say that it was the writing that failed, and where.
#[derive(Clone, Copy)]
struct Output<'a> {
    file: &'a File,
    path: &'a Path,
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|err| {
            io::Error::new(err.kind(), format!("writing {}: {err}", self.path.display()))
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
