//! Reading one part to its end, beside what the index tells of it.

use std::io::{self, Read};
use std::path::Path;

use anyhow::ensure;
use tokio_util::sync::CancellationToken;

use super::contents::Contents;
use super::extract::{entry_name, stamp};
use super::index::{Cursor, Entry, Hash, Kind, Name};
use super::open::Member;
use super::share::{Extent, Gauge, Share};
use crate::signals;

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

/// The length from which on a symbolic link takes room of its own (ext4).
const SHORT_LINK: u64 = 60;

/// Goes through a part.
pub(super) struct Through<'a> {
    member: &'a Member,
    told: Option<Cursor<'a>>,
    contents: Option<Contents>,
    cancel: &'a CancellationToken,
    piece: Vec<u8>,
    index: Option<String>,
    /// Those of this member, with what was counted.
    gauges: Vec<(&'a Gauge, Extent)>,
}

/// What has come up beside what hinders.
pub(super) struct Seen {
    /// Why the index could not be followed to the end.
    pub(super) index: Option<String>,
    /// What is wrong with databases and with Home Assistant's own files.
    pub(super) contents: Vec<String>,
    /// What could not be looked into.
    pub(super) notes: Vec<String>,
    /// What the gauges of this member say, in their order.
    pub(super) extents: Vec<Extent>,
}

impl<'a> Through<'a> {
    pub(super) fn new(
        member: &'a Member,
        told: Option<Cursor<'a>>,
        contents: Option<Contents>,
        gauges: &'a [Gauge],
        cancel: &'a CancellationToken,
    ) -> Through<'a> {
        let ours = gauges.iter().filter(|it| it.member == member.name);
        let gauges = ours.map(|it| (it, Extent::default())).collect();
        Through { member, told, contents, cancel, piece: vec![0; PIECE], index: None, gauges }
    }

    /// Reads an inner tar; gives the bytes of its files.
    ///
    /// # Errors
    /// The first thing that is damaged, or not what the index says.
    pub(super) fn read(&mut self, mut inner: impl Read, hashes: bool) -> anyhow::Result<u64> {
        let mut bytes = 0;
        let mut tar = tar::Archive::new(&mut inner);
        for entry in tar.entries()? {
            bytes += self.entry(&mut entry?, hashes)?;
        }
        ensure!(self.next_told().is_none(), "the index tells of more entries than there are");
        // The checksum stands behind the end of the tar.
        io::copy(&mut inner, &mut io::sink())?;
        Ok(bytes)
    }

    /// What has come up beside.
    pub(super) fn finish(self) -> Seen {
        let (contents, notes) = self.contents.map(Contents::finish).unwrap_or_default();
        let extents = self.gauges.into_iter().map(|(_, it)| it).collect();
        Seen { index: self.index, contents, notes, extents }
    }

    fn entry<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        hashes: bool,
    ) -> anyhow::Result<u64> {
        let name = entry_name(&entry.path_bytes()).map_err(|err| {
            anyhow::anyhow!("{}: {err}", String::from_utf8_lossy(&entry.path_bytes()))
        })?;
        let told = self.next_told();
        if let Some(told) = &told {
            let is_told = is_told(entry, &name, told)?;
            ensure!(is_told, "{} is not what the index says", name.display());
        }
        let hash = self.content(entry, &name, hashes)?;
        if let (Some(hash), Some(Some(wanted))) = (hash, told.map(|it| it.hash)) {
            ensure!(wanted == hash, "{} has another content", name.display());
        }
        self.gauge(entry, &name);
        Ok(entry.size())
    }

    /// Counts an entry where it would go.
    fn gauge<R: Read>(&mut self, entry: &tar::Entry<'_, R>, name: &Path) {
        let shares = self.gauges.iter().map(|(it, _)| &it.share);
        let Some((n, below)) = Share::find(shares, name) else { return };
        let (gauge, extent) = &mut self.gauges[n];
        if gauge.share.takes(below) {
            let kind = entry.header().entry_type();
            let target = entry.link_name_bytes().map_or(0, |it| it.len() as u64);
            let content = match kind.is_symlink() && target >= SHORT_LINK {
                true => target,
                false => entry.size(),
            };
            extent.add(name, kind.is_dir(), content, gauge.block_bytes);
        }
    }

    /// Reads the content of an entry.
    fn content<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        name: &Path,
        hashes: bool,
    ) -> anyhow::Result<Option<Hash>> {
        let (promised, mut seen) = (entry.size(), 0);
        let mut hasher = hashes.then(blake3::Hasher::new);
        let is_file = entry.header().entry_type().is_file();
        if let Some(contents) = self.contents.as_mut().filter(|_| is_file) {
            contents.begin(&self.member.name, name, promised);
        }
        loop {
            // What is in a hole passes nobody else who would ask.
            signals::check(self.cancel)?;
            let n = entry.read(&mut self.piece)?;
            if let Some(contents) = &mut self.contents {
                contents.piece(&self.piece[..n]);
            }
            if n == 0 {
                break;
            }
            seen += n as u64;
            if let Some(hasher) = &mut hasher {
                hasher.update(&self.piece[..n]);
            }
        }
        ensure!(seen == promised, "cut short in {}", name.display());
        Ok(hasher.map(|it| it.finalize().into()))
    }

    /// What the index says of the next entry, as long as it can be read.
    fn next_told(&mut self) -> Option<Entry> {
        match self.told.as_mut()?.next()? {
            Ok(entry) => Some(entry),
            Err(err) => {
                self.index = Some(err.to_string());
                self.told = None;
                None
            }
        }
    }
}

fn is_told<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    name: &Path,
    told: &Entry,
) -> anyhow::Result<bool> {
    let (stamp, _) = stamp(entry)?;
    let kind = entry.header().entry_type();
    let is_kind = match told.kind {
        Kind::File => kind.is_file(),
        Kind::Folder => kind.is_dir(),
        Kind::Symlink => kind.is_symlink(),
        Kind::Hardlink => kind.is_hard_link(),
    };
    let told_name = entry_name(told.path.as_bytes());
    let owner = (u64::from(stamp.uid), u64::from(stamp.gid));
    Ok(is_kind
        && told_name.is_ok_and(|it| it == name)
        && entry.size() == told.size
        && entry.raw_file_position() == told.at + told.head
        && (stamp.mode, owner, stamp.mtime) == (told.mode, (told.uid, told.gid), told.mtime)
        && entry.link_name_bytes().as_deref() == told.target.as_ref().map(Name::as_bytes))
}
