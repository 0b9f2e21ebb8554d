//! Writing the whole file.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;

use anyhow::Context;
use flate2::{Compression, GzBuilder};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::inner::{Again, write_part};
use super::member::{MemberWriter, write_small};
use super::metadata::Metadata;
use crate::capture::Capture;
use crate::fsx::Draft;
use crate::monitor::Monitor;

/// Speed goes before size: a person waits for it, and where there is no room to copy what changes,
/// the containers stand still until it is written.
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

/// Writes what was captured into a draft, which may still be on its way to the disk when it
/// returns. `metadata` comes from [`Metadata::new`] over the same parts.
pub fn write(
    capture: &Capture,
    metadata: Metadata,
    draft: &Draft,
    again: Again<'_>,
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
) -> anyhow::Result<Written> {
    let mut file = draft.file();
    let writing = || format!("writing {}", draft.draft_path().display());
    let now = Timestamp::now();
    let mut warnings = Vec::new();
    for (n, part) in capture.parts().enumerate() {
        let member = part.member(metadata.compressed);
        monitor.part(&part.item.to_string());
        let outer = MemberWriter::begin(file, &member, now).with_context(writing)?;
        let mut inner =
            |out: &mut dyn Write| write_part(capture, n, &part.kind, out, again, cancel, monitor);
        let told = match metadata.compressed {
            true => compressed(&member, draft, now, &mut inner),
            false => plain(draft, &mut inner),
        };
        warnings.extend(told.with_context(|| format!("archiving {}", part.item))?);
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

/// What writes the inner tar, and gives what it has to tell.
type Inner<'a> = &'a mut dyn FnMut(&mut dyn Write) -> anyhow::Result<Vec<String>>;

fn plain(draft: &Draft, inner: Inner<'_>) -> anyhow::Result<Vec<String>> {
    let mut out = output(draft);
    let told = inner(&mut out)?;
    out.flush()?;
    Ok(told)
}

/// One single gzip member: Python's stream readers stop after the first.
fn compressed(
    member: &str,
    draft: &Draft,
    now: Timestamp,
    inner: Inner<'_>,
) -> anyhow::Result<Vec<String>> {
    let mut out = output(draft);
    let plain = member.replace(".tar.gz", ".tar").replace(".tgz", ".tar");
    let mut gzip = GzBuilder::new()
        .filename(plain)
        .mtime(u32::try_from(now.as_second()).unwrap_or(0))
        .write(&mut out, LEVEL);
    let told = inner(&mut gzip)?;
    gzip.finish()?;
    out.flush()?;
    Ok(told)
}

fn output(draft: &Draft) -> BufWriter<Output<'_>> {
    let out = Output { file: draft.file(), path: draft.draft_path() };
    BufWriter::with_capacity(256 * 1024, out)
}
