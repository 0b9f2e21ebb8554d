//! What tells two backups apart, or a backup from the home as it is.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;

use anyhow::Context;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::files::entries;
use super::index::{Entry, Hash, Kind, Name};
use super::open::Archive;
use crate::capture::{Capture, Found, Reading, What, Where};
use crate::model::{Item, PartKind};
use crate::monitor::Monitor;
use crate::signals;

/// The files of one side, and what ran beside them.
#[derive(Debug, Default)]
pub struct Listing {
    /// The version of Home Assistant.
    homeassistant: Option<String>,
    /// The image of each companion, or the version of its add-on.
    companions: BTreeMap<String, String>,
    parts: BTreeMap<String, BTreeMap<Name, Entry>>,
}

/// What is on one side only, or differs.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Versions of Home Assistant and images of companions that differ.
    pub versions: Vec<Versions>,
    /// Parts that only the first side has.
    pub gone: Vec<String>,
    /// Parts that only the second side has.
    pub new: Vec<String>,
    /// Each part that both have and that differs.
    pub parts: Vec<PartDifference>,
}

/// A version on both sides; none where it is not there.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// `homeassistant`, or the companion.
    pub item: String,
    /// On the first side.
    pub before: Option<String>,
    /// On the second.
    pub after: Option<String>,
}

/// The files of a part that differ, by name.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct PartDifference {
    /// The part.
    pub item: String,
    /// What only the second side has.
    pub added: Vec<String>,
    /// What only the first side has.
    pub removed: Vec<String>,
    /// What both have and is not the same.
    pub changed: Vec<Changed>,
}

/// A file that differs.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Its path in the part.
    pub path: String,
    /// In what: `kind`, `size`, `content`, `target`, `mode`, `owner`.
    pub what: Vec<&'static str>,
    /// Bytes on both sides.
    pub size: (u64, u64),
}

impl Listing {
    /// The files of a backup. Without an index all of it is read.
    pub fn of(
        archive: &Archive,
        cancel: &CancellationToken,
        monitor: &dyn Monitor,
    ) -> anyhow::Result<Listing> {
        let metadata = &archive.metadata;
        let version = |it: &super::AddonRecord| (it.slug.clone(), it.version.clone());
        let mut companions: BTreeMap<_, _> = metadata.addons.iter().map(version).collect();
        for record in metadata.hearthkeep.iter().flat_map(|it| &it.parts) {
            if let Item::Companion(slug) = Item::parse(&record.item) {
                companions.insert(slug, record.image.clone());
            }
        }
        let mut parts = BTreeMap::new();
        for item in metadata.items() {
            monitor.part(&item.to_string());
            let all = entries(archive, &item, true, cancel, monitor)?;
            parts.insert(
                item.to_string(),
                all.into_iter().filter(is_of_home).map(|it| (it.path.clone(), it)).collect(),
            );
        }
        let homeassistant = metadata.homeassistant.as_ref().map(|it| it.version.clone());
        Ok(Listing { homeassistant, companions, parts })
    }

    /// The files of the home as it is, for a comparison with `other`: what has the size and the time
    /// that it has there is taken for the same, and what only has the size is read.
    pub fn live(
        capture: &Capture,
        other: &Listing,
        cancel: &CancellationToken,
        monitor: &dyn Monitor,
    ) -> anyhow::Result<Listing> {
        let mut listing = Listing::default();
        for (n, part) in capture.parts().enumerate() {
            let item = part.item.to_string();
            monitor.part(&item);
            match (&part.kind, &part.item) {
                (PartKind::HomeAssistant { version, .. }, _) => {
                    listing.homeassistant = Some(version.clone());
                }
                (_, Item::Companion(slug)) => {
                    listing.companions.insert(slug.clone(), part.image.clone());
                }
                _ => (),
            }
            let there = other.parts.get(&item);
            let mut all = BTreeMap::new();
            capture.visit(n, &mut |found| {
                signals::check(cancel)?;
                let name = Name::new(found.name);
                let known = there.and_then(|it| it.get(&name));
                if let Some(entry) = entry(capture, found, name, known)?.filter(is_of_home) {
                    all.insert(entry.path.clone(), entry);
                }
                Ok(())
            })?;
            listing.parts.insert(item, all);
        }
        Ok(listing)
    }

    /// What is different in `other`.
    pub fn difference(&self, other: &Listing) -> Difference {
        let mut difference = Difference::default();
        let home = [&self.homeassistant, &other.homeassistant];
        difference.version("homeassistant", home[0].as_ref(), home[1].as_ref());
        for (item, before) in &self.companions {
            difference.version(item, Some(before), other.companions.get(item));
        }
        for (item, after) in &other.companions {
            if !self.companions.contains_key(item) {
                difference.version(item, None, Some(after));
            }
        }
        let lacks = |side: &Listing, item: &&String| !side.parts.contains_key(*item);
        difference.gone = self.parts.keys().filter(|it| lacks(other, it)).cloned().collect();
        difference.new = other.parts.keys().filter(|it| lacks(self, it)).cloned().collect();
        for (item, before) in &self.parts {
            let Some(after) = other.parts.get(item) else { continue };
            let part = compare(item, before, after);
            if !(part.added.is_empty() && part.removed.is_empty() && part.changed.is_empty()) {
                difference.parts.push(part);
            }
        }
        difference
    }
}

impl Difference {
    fn version(&mut self, item: &str, before: Option<&String>, after: Option<&String>) {
        if before != after {
            let (before, after) = (before.cloned(), after.cloned());
            self.versions.push(Versions { item: item.to_owned(), before, after });
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Difference::default()
    }
}

/// Whether an entry comes from the home, or was only added for Home Assistant's software.
fn is_of_home(entry: &Entry) -> bool {
    match entry.path.as_bytes() {
        b"" | b"." | b"addon.json" => false,
        b"data/home-assistant_v2.db-wal" => entry.size > 0,
        _ => true,
    }
}

fn compare(
    item: &str,
    before: &BTreeMap<Name, Entry>,
    after: &BTreeMap<Name, Entry>,
) -> PartDifference {
    let mut part = PartDifference { item: item.to_owned(), ..PartDifference::default() };
    for (name, old) in before {
        match after.get(name) {
            None => part.removed.push(name.to_string()),
            Some(new) => {
                let what = differing(old, new);
                if !what.is_empty() {
                    let size = (old.size, new.size);
                    part.changed.push(Changed { path: name.to_string(), what, size });
                }
            }
        }
    }
    let is_new = |it: &&Name| !before.contains_key(*it);
    part.added = after.keys().filter(is_new).map(Name::to_string).collect();
    part
}

/// In what two entries differ. The time alone is no difference, and neither is which of its names a
/// file has its content under.
fn differing(old: &Entry, new: &Entry) -> Vec<&'static str> {
    let is_file = |it: &Entry| matches!(it.kind, Kind::File | Kind::Hardlink);
    let has_content = old.kind == Kind::File && new.kind == Kind::File;
    let differs = [
        ("kind", old.kind != new.kind && !(is_file(old) && is_file(new))),
        ("size", has_content && old.size != new.size),
        ("content", has_content && old.size == new.size && old.hash != new.hash),
        ("target", old.kind == Kind::Symlink && new.kind == old.kind && old.target != new.target),
        ("mode", old.mode != new.mode),
        ("owner", (old.uid, old.gid) != (new.uid, new.gid)),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect()
}

/// A file of the home; nothing where it has gone meanwhile.
fn entry(
    capture: &Capture,
    found: &Found<'_>,
    path: Name,
    known: Option<&Entry>,
) -> anyhow::Result<Option<Entry>> {
    let stat = found.stat;
    let mut entry = Entry {
        path,
        kind: Kind::File,
        at: 0,
        head: 0,
        size: 0,
        mode: stat.mode & 0o7777,
        uid: stat.uid.into(),
        gid: stat.gid.into(),
        mtime: stat.mtime,
        target: None,
        hash: None,
    };
    match found.what {
        What::Folder => entry.kind = Kind::Folder,
        What::Symlink(target) => {
            entry.kind = Kind::Symlink;
            entry.target = Some(Name::new(target.as_bytes()));
        }
        What::File(place) => {
            entry.size = stat.size;
            let known = known.filter(|it| it.size == stat.size);
            entry.hash = match known {
                None => None,
                Some(it) if it.mtime == stat.mtime => it.hash,
                Some(_) => match hash(capture, found, place)? {
                    None => return Ok(None),
                    hash => hash,
                },
            };
        }
    }
    Ok(Some(entry))
}

fn hash(capture: &Capture, found: &Found<'_>, place: Where<'_>) -> anyhow::Result<Option<Hash>> {
    let Some(reading) = capture.read(found, place)? else { return Ok(None) };
    let mut hasher = blake3::Hasher::new();
    let mut content = At { reading: &reading, at: 0 };
    let path = found.path();
    std::io::copy(&mut content, &mut hasher)
        .with_context(|| format!("reading {}", path.display()))?;
    Ok(Some(hasher.finalize().into()))
}

/// A reading from its beginning on.
struct At<'a> {
    reading: &'a Reading<'a>,
    at: u64,
}

impl Read for At<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.reading.read_at(out, self.at) {
                Err(err) if err.kind() == ErrorKind::Interrupted => (),
                Ok(n) => {
                    self.at += n as u64;
                    return Ok(n);
                }
                Err(err) => return Err(err),
            }
        }
    }
}
