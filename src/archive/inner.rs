//! Writing one inner tar: the files of a part as a stream, and what the index has to know of them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::blocks::Blocks;
use super::entry::{Attributes, Kind, header, padding};
use super::index::{Entry, Hash, IndexWriter, Kind as IndexKind, Name};
use crate::capture::{self, Capture, Found, Reading, Retaken, Stat, What};
use crate::model::PartKind;
use crate::monitor::Monitor;
use crate::signals;

/// Read in pieces of this size: large enough that the system calls do not count, small enough
/// that a cancelled run ends at once.
const PIECE: usize = 256 * 1024;

const DATABASE: &[u8] = b"data/home-assistant_v2.db";
const DATABASE_LOG: &[u8] = b"data/home-assistant_v2.db-wal";

/// How files are taken again that were written in place since the hold: given the part and their
/// names in its tar.
pub type Again<'a> = &'a dyn Fn(usize, Vec<Vec<u8>>) -> anyhow::Result<Vec<Retaken>>;

/// Where an inner tar goes, and who watches.
pub(super) struct Out<'a> {
    pub(super) blocks: &'a mut Blocks,
    pub(super) index: &'a mut IndexWriter,
    pub(super) cancel: &'a CancellationToken,
    pub(super) monitor: &'a dyn Monitor,
}

/// Writes the inner tar of the n-th part, end blocks included, and says what was not as expected.
pub(super) fn write_part(
    capture: &Capture,
    part: usize,
    kind: &PartKind,
    out: Out<'_>,
    again: Again<'_>,
) -> anyhow::Result<Vec<String>> {
    let mut writer = InnerWriter {
        capture,
        out,
        linked: HashMap::new(),
        late: Vec::new(),
        warnings: capture.warnings(part).to_vec(),
        piece: vec![0; PIECE],
        database: None,
        has_database_log: false,
    };
    if let PartKind::Addon { json, .. } = kind {
        writer.addon_head(json)?;
    }
    capture.visit(part, &mut |found| writer.add(found))?;
    let late = std::mem::take(&mut writer.late);
    if !late.is_empty() {
        let retaken = again(part, late.clone())?;
        for it in &retaken {
            writer.retaken(it)?;
        }
        for name in late.iter().filter(|name| !retaken.iter().any(|it| it.name == **name)) {
            let path = Path::new(OsStr::from_bytes(name));
            let problem = "is written without a break, and not whole in the backup";
            writer.warnings.push(format!("{} {problem}", path.display()));
        }
    }
    writer.finish()?;
    Ok(writer.warnings)
}

struct InnerWriter<'a> {
    capture: &'a Capture,
    out: Out<'a>,
    /// Device and inode of each file with further names → the name that it has in the tar.
    linked: HashMap<(u64, u64), Vec<u8>>,
    /// Files that were written in place since the hold.
    late: Vec<Vec<u8>>,
    warnings: Vec<String>,
    piece: Vec<u8>,
    database: Option<Attributes>,
    has_database_log: bool,
}

impl InnerWriter<'_> {
    /// The two entries that the Supervisor expects at the head of an add-on's tar.
    fn addon_head(&mut self, json: &serde_json::Value) -> anyhow::Result<()> {
        let text = serde_json::to_vec_pretty(json).context("writing addon.json")?;
        let owner = Attributes { mode: 0o700, uid: 0, gid: 0, mtime: (0, 0) };
        self.entry(b".", Kind::Folder, &owner)?;
        let owner = Attributes { mode: 0o600, ..owner };
        let begun = self.begin(b"./addon.json", text.len() as u64, &owner)?;
        self.put(&text)?;
        self.put(padding(text.len() as u64))?;
        self.end(begun, Hash::of(&text))
    }

    fn add(&mut self, found: &Found<'_>) -> anyhow::Result<()> {
        signals::check(self.out.cancel)?;
        let name = if found.name.is_empty() { b"." } else { found.name };
        let attributes = Attributes::from(found.stat);
        match found.what {
            What::Folder => self.entry(name, Kind::Folder, &attributes),
            What::Symlink(target) => {
                self.entry(name, Kind::Symlink(target.as_bytes()), &attributes)
            }
            What::File(place) => self.found(name, found, place),
        }
    }

    fn found(
        &mut self,
        name: &[u8],
        found: &Found<'_>,
        place: capture::Where<'_>,
    ) -> anyhow::Result<()> {
        let path = found.path();
        let Some(reading) = self.capture.read(found, place)? else {
            return self.vanished(&path);
        };
        let stat = match &reading {
            Reading::Copy(_) => *found.stat,
            // Where another name of it came first, that has the content already.
            Reading::Open(_) if self.linked.contains_key(&found.stat.identity()) => *found.stat,
            Reading::Open(_) if is_written(&reading, found.stat)? => {
                self.late.push(name.to_vec());
                return Ok(());
            }
            Reading::Open(_) => *found.stat,
            // Where it is read in its place, what counts is what it is now.
            Reading::There(_) => match reading.stat()? {
                Some(now) if now.is_file() => {
                    if self.capture.is_stable() {
                        let problem = "could not be had in the hold, and is of a later moment";
                        self.warnings.push(format!("{} {problem}", path.display()));
                    }
                    now
                }
                _ => return self.vanished(&path),
            },
        };
        self.file(name, &stat, &reading, &path)
    }

    /// A file that was taken again. Readers take the last entry of a name for the file.
    fn retaken(&mut self, retaken: &Retaken) -> anyhow::Result<()> {
        let Some(reading) = self.capture.reread(retaken) else { return Ok(()) };
        // Never a link: the name may be that of an entry, which a link could not replace.
        self.linked.clear();
        let path = Path::new(OsStr::from_bytes(&retaken.name));
        self.warnings.push(format!(
            "{} was written after the hold, and is of a later moment than the rest",
            path.display()
        ));
        self.file(&retaken.name, &retaken.stat, &reading, path)
    }

    fn file(
        &mut self,
        name: &[u8],
        stat: &Stat,
        reading: &Reading<'_>,
        path: &Path,
    ) -> anyhow::Result<()> {
        let attributes = Attributes::from(stat);
        if let Some(first) = self.linked.get(&stat.identity()).cloned() {
            return self.entry(name, Kind::HardLink(&first), &attributes);
        }
        // Before anything is written: of a small file it is known then whether it is whole.
        let n = self.read_first(reading, path, stat.size)?;
        if n as u64 == stat.size && is_written(reading, stat)? {
            self.late.push(name.to_vec());
            return Ok(());
        }
        if stat.links > 1 {
            self.linked.insert(stat.identity(), name.to_vec());
        }
        match name {
            DATABASE => self.database = Some(attributes),
            DATABASE_LOG => self.has_database_log = true,
            _ => (),
        }
        let begun = self.begin(name, stat.size, &attributes)?;
        let hash = self.content(reading, path, stat.size, n)?;
        self.end(begun, hash)?;
        self.check_after(name, stat, reading, path)
    }

    /// Notices what happened to a file while it was read.
    fn check_after(
        &mut self,
        name: &[u8],
        stat: &Stat,
        reading: &Reading<'_>,
        path: &Path,
    ) -> anyhow::Result<()> {
        if is_written(reading, stat)? {
            self.late.push(name.to_vec());
            // Its other names would be links to what was read.
            self.linked.remove(&stat.identity());
        }
        if let Reading::There(_) = reading
            && let Some(now) = reading.stat()?
            && now.size > stat.size
        {
            self.warnings.push(format!(
                "{} grew by {} bytes while it was read; they are not in the backup",
                path.display(),
                now.size - stat.size
            ));
        }
        Ok(())
    }

    /// Reads the first piece of a file of `size` bytes into memory of its own; 0 bytes mean that it
    /// is shorter.
    fn read_first(
        &mut self,
        reading: &Reading<'_>,
        path: &Path,
        size: u64,
    ) -> anyhow::Result<usize> {
        signals::check(self.out.cancel)?;
        let n = self.piece.len().min(usize::try_from(size).unwrap_or(usize::MAX));
        read(reading, &mut self.piece[..n], 0, path)
    }

    /// Writes exactly `size` bytes, as the header promised, of which the first `n` are read
    /// already: a file that grows is cut, one that shrinks is filled with zeros. Gives the hash.
    fn content(
        &mut self,
        reading: &Reading<'_>,
        path: &Path,
        size: u64,
        n: usize,
    ) -> anyhow::Result<Hash> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.piece[..n]);
        self.out.blocks.put(&self.piece[..n])?;
        self.out.monitor.advance(n as u64);
        let mut done = n as u64;
        while done < size {
            signals::check(self.out.cancel)?;
            // Straight to where it is compressed.
            let room = self.out.blocks.room()?;
            let n = room.len().min(usize::try_from(size - done).unwrap_or(usize::MAX));
            let n = match done {
                // The first piece said already that there is nothing.
                0 => 0,
                _ => read(reading, &mut room[..n], done, path)?,
            };
            if n == 0 {
                let left = size - done;
                self.warnings.push(format!(
                    "{} shrank by {left} bytes while it was read; they are zeros in the backup",
                    path.display()
                ));
                self.zeros(left, &mut hasher)?;
                break;
            }
            hasher.update(&room[..n]);
            self.out.blocks.fill(n);
            self.out.monitor.advance(n as u64);
            done += n as u64;
        }
        self.put(padding(size))?;
        Ok(hasher.finalize().into())
    }

    fn zeros(&mut self, mut left: u64, hasher: &mut blake3::Hasher) -> anyhow::Result<()> {
        self.piece.fill(0);
        while left > 0 {
            let n = self.piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.out.blocks.put(&self.piece[..n])?;
            hasher.update(&self.piece[..n]);
            left -= n as u64;
        }
        Ok(())
    }

    fn vanished(&mut self, path: &Path) -> anyhow::Result<()> {
        self.warnings.push(format!("{} vanished before it could be read", path.display()));
        Ok(())
    }

    /// Writes an entry without content.
    fn entry(
        &mut self,
        name: &[u8],
        kind: Kind<'_>,
        attributes: &Attributes,
    ) -> anyhow::Result<()> {
        let entry = self.header(name, kind, attributes)?;
        Ok(self.out.index.entry(&entry)?)
    }

    /// Begins a file: what follows is its content.
    fn begin(&mut self, name: &[u8], size: u64, attributes: &Attributes) -> anyhow::Result<Entry> {
        self.header(name, Kind::File(size), attributes)
    }

    /// Ends a file.
    fn end(&mut self, begun: Entry, hash: Hash) -> anyhow::Result<()> {
        Ok(self.out.index.entry(&Entry { hash: Some(hash), ..begun })?)
    }

    fn header(
        &mut self,
        name: &[u8],
        kind: Kind<'_>,
        attributes: &Attributes,
    ) -> anyhow::Result<Entry> {
        let at = self.out.blocks.position();
        let header = header(name, kind, attributes);
        self.put(&header)?;
        let (kind, size, target) = match kind {
            Kind::File(size) => (IndexKind::File, size, None),
            Kind::Folder => (IndexKind::Folder, 0, None),
            Kind::Symlink(target) => (IndexKind::Symlink, 0, Some(target)),
            Kind::HardLink(first) => (IndexKind::Hardlink, 0, Some(first)),
        };
        Ok(Entry {
            path: Name::new(name.strip_prefix(b"./").unwrap_or(name)),
            kind,
            at,
            head: header.len() as u64,
            size,
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
            mtime: attributes.mtime,
            target: target.map(Name::new),
            hash: None,
        })
    }

    fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.out.blocks.put(bytes)?)
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        // Home Assistant's restore of the database alone insists on both files, and a database
        // that was closed cleanly has no log.
        if let (Some(attributes), false) = (self.database, self.has_database_log) {
            let log = self.begin(DATABASE_LOG, 0, &attributes)?;
            self.end(log, Hash::of(b""))?;
        }
        self.put(padding(1))?;
        self.put(&[0])?;
        self.put(padding(1))?;
        self.put(&[0])
    }
}

/// Reads at a place of a file; 0 bytes mean that it ends there.
fn read(
    reading: &Reading<'_>,
    piece: &mut [u8],
    offset: u64,
    path: &Path,
) -> anyhow::Result<usize> {
    loop {
        match reading.read_at(piece, offset) {
            Err(err) if err.kind() == ErrorKind::Interrupted => (),
            read => return read.with_context(|| format!("reading {}", path.display())),
        }
    }
}

/// Whether a file that was held open was written in place since it looked like `stat`.
fn is_written(reading: &Reading<'_>, stat: &Stat) -> anyhow::Result<bool> {
    match reading {
        Reading::Open(_) => Ok(!reading.stat()?.is_some_and(|it| it.has_content_of(stat))),
        Reading::Copy(_) | Reading::There(_) => Ok(false),
    }
}
