//! Writing one inner tar: the files of a part as a stream.

use std::collections::HashMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;

use super::entry::{Attributes, Kind, header, padding};
use crate::capture::{self, Found, Source};
use crate::fsx;
use crate::model::PartKind;
use crate::monitor::Monitor;
use crate::signals;
use tokio_util::sync::CancellationToken;

/// Read in pieces of this size: large enough that the system calls do not count, small enough
/// that a cancelled run ends at once.
const PIECE: usize = 256 * 1024;

const DATABASE: &[u8] = b"data/home-assistant_v2.db";
const DATABASE_LOG: &[u8] = b"data/home-assistant_v2.db-wal";

/// Writes the inner tar of a part to `out`, end blocks included, and says what was not as
/// expected.
pub(super) fn write_part(
    source: &Source,
    out: &mut dyn Write,
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
) -> anyhow::Result<Vec<String>> {
    let mut writer = InnerWriter {
        out,
        cancel,
        monitor,
        linked: HashMap::new(),
        warnings: Vec::new(),
        piece: vec![0; PIECE],
        database: None,
        has_database_log: false,
    };
    if let PartKind::Addon { json, .. } = &source.part.kind {
        writer.addon_head(json)?;
    }
    let mut warnings = Vec::new();
    capture::walk(source, &mut warnings, &mut |found| writer.add(&found))?;
    writer.finish()?;
    warnings.append(&mut writer.warnings);
    Ok(warnings)
}

struct InnerWriter<'a> {
    out: &'a mut dyn Write,
    cancel: &'a CancellationToken,
    monitor: &'a dyn Monitor,
    /// Device and inode of each file with further names → the name that it has in the tar.
    linked: HashMap<(u64, u64), Vec<u8>>,
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
        self.put(&header(b".", Kind::Folder, &owner))?;
        let owner = Attributes { mode: 0o600, ..owner };
        self.put(&header(b"./addon.json", Kind::File(text.len() as u64), &owner))?;
        self.put(&text)?;
        self.put(padding(text.len() as u64))
    }

    fn add(&mut self, found: &Found) -> anyhow::Result<()> {
        signals::check(self.cancel)?;
        let name = if found.name.is_empty() { b"." } else { found.name.as_slice() };
        let attributes = Attributes::from(&found.metadata);
        let kind = found.metadata.file_type();
        if kind.is_dir() {
            self.put(&header(name, Kind::Folder, &attributes))
        } else if kind.is_symlink() {
            match fs::read_link(&found.path) {
                Ok(target) => {
                    let target = target.as_os_str().as_bytes();
                    self.put(&header(name, Kind::Symlink(target), &attributes))
                }
                // Any other thing in the place of the link is invalid input.
                Err(err) if fsx::has_changed(&err) || err.kind() == ErrorKind::InvalidInput => {
                    self.vanished(&found.path)
                }
                Err(err) => Err(err).with_context(|| format!("reading {}", found.path.display())),
            }
        } else {
            self.file(name, found)
        }
    }

    fn file(&mut self, name: &[u8], found: &Found) -> anyhow::Result<()> {
        let Some((file, metadata)) = self.open(&found.path)? else { return Ok(()) };
        let attributes = Attributes::from(&metadata);
        let identity = (metadata.dev(), metadata.ino());
        if metadata.nlink() > 1 {
            if let Some(first) = self.linked.get(&identity) {
                let header = header(name, Kind::HardLink(first), &attributes);
                return self.put(&header);
            }
            self.linked.insert(identity, name.to_vec());
        }
        match name {
            DATABASE => self.database = Some(attributes),
            DATABASE_LOG => self.has_database_log = true,
            _ => (),
        }
        self.put(&header(name, Kind::File(metadata.len()), &attributes))?;
        self.content(&file, &found.path, metadata.len())
    }

    /// Opens a file without following a link that took its place, and without waiting for the
    /// other end of a FIFO that did.
    fn open(&mut self, path: &Path) -> anyhow::Result<Option<(File, Metadata)>> {
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(err) if fsx::has_changed(&err) => {
                self.vanished(path)?;
                return Ok(None);
            }
            Err(err) => return Err(err).with_context(|| format!("reading {}", path.display())),
        };
        let metadata = file.metadata().with_context(|| format!("reading {}", path.display()))?;
        if !metadata.is_file() {
            self.vanished(path)?;
            return Ok(None);
        }
        Ok(Some((file, metadata)))
    }

    /// Copies exactly `size` bytes, as the header promised: a file that grows is cut, one that
    /// shrinks is filled with zeros.
    fn content(&mut self, mut file: &File, path: &Path, size: u64) -> anyhow::Result<()> {
        let mut left = size;
        while left > 0 {
            signals::check(self.cancel)?;
            let wanted = self.piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = match file.read(&mut self.piece[..wanted]) {
                Ok(0) => {
                    self.warnings.push(format!(
                        "{} shrank by {left} bytes while it was read; they are zeros in the backup",
                        path.display()
                    ));
                    self.piece[..wanted].fill(0);
                    return self.zeros(left).and_then(|()| self.put(padding(size)));
                }
                Ok(n) => n,
                Err(err) if err.kind() == ErrorKind::Interrupted => continue,
                Err(err) => return Err(err).with_context(|| format!("reading {}", path.display())),
            };
            self.out.write_all(&self.piece[..n])?;
            self.monitor.advance(n as u64);
            left -= n as u64;
        }
        let now = file.metadata().with_context(|| format!("reading {}", path.display()))?;
        if now.len() > size {
            self.warnings.push(format!(
                "{} grew by {} bytes while it was read; they are not in the backup",
                path.display(),
                now.len() - size
            ));
        }
        self.put(padding(size))
    }

    fn zeros(&mut self, mut left: u64) -> anyhow::Result<()> {
        self.piece.fill(0);
        while left > 0 {
            let n = self.piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.out.write_all(&self.piece[..n])?;
            left -= n as u64;
        }
        Ok(())
    }

    fn vanished(&mut self, path: &Path) -> anyhow::Result<()> {
        self.warnings.push(format!("{} vanished before it could be read", path.display()));
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.out.write_all(bytes)?;
        Ok(())
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        // Home Assistant's restore of the database alone insists on both files, and a database
        // that was closed cleanly has no log.
        if let (Some(attributes), false) = (self.database, self.has_database_log) {
            self.put(&header(DATABASE_LOG, Kind::File(0), &attributes))?;
        }
        self.put(padding(1))?;
        self.put(&[0])?;
        self.put(padding(1))?;
        self.put(&[0])
    }
}
