//! Reading what was captured.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Context;
use nix::sys::stat::fstat;

use super::node::{Content, Found, Kind, Node, Stat, Where};
use super::spool::{GoOn, Slot, Spool};
use super::{Capture, look};

/// How often a file is taken that changes meanwhile, since somebody writes it who is not held.
const TRIES: usize = 3;

/// The content of a file.
#[derive(Debug)]
pub enum Reading<'a> {
    /// Its copy, which cannot change.
    Copy(Copy<'a>),
    /// The file itself, as it was when the containers were held if it still looks the same.
    Open(&'a File),
    /// The file in its place, where the containers are still held.
    There(File),
}

/// A copy in the spool.
#[derive(Debug)]
pub struct Copy<'a> {
    spool: &'a Spool,
    slot: Slot,
}

/// A file that was taken again.
#[derive(Debug)]
pub struct Retaken {
    /// Its name in the inner tar.
    pub name: Vec<u8>,
    /// What it is now.
    pub stat: Stat,
    slot: Slot,
}

impl Reading<'_> {
    /// Reads from a place in it; 0 bytes mean its end.
    pub fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Reading::Copy(it) => it.spool.read_at(it.slot, bytes, offset),
            Reading::Open(file) => file.read_at(bytes, offset),
            Reading::There(file) => file.read_at(bytes, offset),
        }
    }

    /// What the file is at this moment; nothing for a copy.
    pub fn stat(&self) -> anyhow::Result<Option<Stat>> {
        let file = match self {
            Reading::Copy(_) => return Ok(None),
            Reading::Open(file) => file,
            Reading::There(file) => file,
        };
        Ok(Some(fstat(file).context("looking at it")?.into()))
    }
}

impl Capture {
    /// Visits everything of the n-th part, a folder before its content, names in order.
    ///
    /// # Errors
    /// Whatever `visit` returns.
    pub fn visit(
        &self,
        part: usize,
        visit: &mut dyn FnMut(&Found<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.parts[part].views.iter().try_for_each(|it| it.visit(visit))
    }

    /// What was noticed about the n-th part, as sentences.
    pub fn warnings(&self, part: usize) -> &[String] {
        &self.parts[part].warnings
    }

    /// The content of a file that a visit came to; nothing where it has vanished.
    ///
    /// # Errors
    /// Where it cannot be read, naming it.
    pub fn read<'a>(
        &'a self,
        found: &Found<'_>,
        Where(content): Where<'a>,
    ) -> anyhow::Result<Option<Reading<'a>>> {
        match (content, &self.spool) {
            (Content::Spooled(slot), Some(spool)) => {
                Ok(Some(Reading::Copy(Copy { spool, slot: *slot })))
            }
            (Content::Open(file), _) => Ok(Some(Reading::Open(file))),
            (Content::There(_) | Content::Spooled(_), _) => {
                let below = found.tree.below(found.name).unwrap_or(Path::new(""));
                let file = look::open_below(&found.tree.root, below)?;
                Ok(file.map(Reading::There))
            }
        }
    }

    /// Takes files of the n-th part again, while the containers are held once more: those that were
    /// held open, whatever has become of their names. One that cannot be had whole is left out.
    ///
    /// # Errors
    /// Where one cannot be read, and whatever `go_on` says.
    pub fn retake(
        &self,
        part: usize,
        names: Vec<Vec<u8>>,
        go_on: GoOn<'_>,
    ) -> anyhow::Result<Vec<Retaken>> {
        let spool = self.spool.as_ref().context("there is no room to take files again")?;
        let mut retaken = Vec::new();
        for name in names {
            let node = self.parts[part].views.iter().find_map(|it| it.find(&name));
            let Some(Node { kind: Kind::File(Content::Open(file)), .. }) = node else { continue };
            let keeping = || format!("keeping {}", OsStr::from_bytes(&name).display());
            for _ in 0..TRIES {
                let stat = Stat::from(fstat(file).with_context(keeping)?);
                let slot = spool.add(file, stat.size, go_on).with_context(keeping)?;
                let after = Stat::from(fstat(file).with_context(keeping)?);
                if let Some(slot) = slot.filter(|_| after.has_content_of(&stat)) {
                    retaken.push(Retaken { name, stat, slot });
                    break;
                }
            }
        }
        Ok(retaken)
    }

    /// The content of a file that was taken again.
    pub fn reread<'a>(&'a self, retaken: &Retaken) -> Option<Reading<'a>> {
        let spool = self.spool.as_ref()?;
        Some(Reading::Copy(Copy { spool, slot: retaken.slot }))
    }
}
