//! Writing the whole file.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;

use anyhow::Context;
use flate2::{Compression, GzBuilder};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::inner;
use super::member::{MemberWriter, write_small};
use super::metadata::Metadata;
use crate::capture::Source;
use crate::fsx::Draft;
use crate::monitor::Monitor;

/// The containers stand still while the archive is written, so speed goes before size.
const LEVEL: Compression = Compression::new(1);

/// A tar ends in two zero blocks and is filled up to its record size.
const RECORD: u64 = 10_240;

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

/// Writes the backup of `sources` into a draft, which may still be on its way to the disk when it
/// returns. `metadata` comes from [`Metadata::new`] over the same parts.
pub fn write(
    sources: &[Source],
    metadata: Metadata,
    draft: &Draft,
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
) -> anyhow::Result<Written> {
    let mut file = draft.file();
    let writing = || format!("writing {}", draft.draft_path().display());
    let now = Timestamp::now();
    let mut warnings = Vec::new();
    for source in sources {
        let member = source.part.member(metadata.compressed);
        monitor.part(&source.part.item.to_string());
        let outer = MemberWriter::begin(file, &member, now).with_context(writing)?;
        let found = write_member(source, &member, draft, &metadata, now, cancel, monitor)
            .with_context(|| format!("archiving {}", source.part.item))?;
        warnings.extend(found);
        outer.end().with_context(writing)?;
    }
    // Last, as the Supervisor does it: a file that was cut short is then no backup.
    let json = serde_json::to_vec(&metadata).context("writing backup.json")?;
    write_small(file, "./backup.json", &json, now).with_context(writing)?;
    let end = file.stream_position()? + 1024;
    let size_bytes = end.next_multiple_of(RECORD);
    file.write_all(&vec![0; (size_bytes - end + 1024) as usize]).with_context(writing)?;
    // Not synced yet: containers may still be held, and the draft is synced before it is named.
    Ok(Written { metadata, size_bytes, warnings })
}

/// The draft's file, whose errors say that it was the writing that failed, and where.
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

fn write_member(
    source: &Source,
    member: &str,
    draft: &Draft,
    metadata: &Metadata,
    now: Timestamp,
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
) -> anyhow::Result<Vec<String>> {
    let out = Output { file: draft.file(), path: draft.draft_path() };
    let mut out = BufWriter::with_capacity(256 * 1024, out);
    if !metadata.compressed {
        let warnings = inner::write_part(source, &mut out, cancel, monitor)?;
        out.flush()?;
        return Ok(warnings);
    }
    // One single gzip member: Python's stream readers stop after the first.
    let plain = member.replace(".tar.gz", ".tar").replace(".tgz", ".tar");
    let mut gzip = GzBuilder::new()
        .filename(plain)
        .mtime(u32::try_from(now.as_second()).unwrap_or(0))
        .write(&mut out, LEVEL);
    let warnings = inner::write_part(source, &mut gzip, cancel, monitor)?;
    gzip.finish()?;
    out.flush()?;
    Ok(warnings)
}
