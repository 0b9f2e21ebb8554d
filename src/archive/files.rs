//! Single files of a backup: listed, read, taken out.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use tokio_util::sync::CancellationToken;

use super::extract::{Extracted, Wanted, entry_name, extract_wanted, stamp};
use super::index::{Entry, Kind, Name};
use super::open::{Archive, Member};
use crate::model::Item;
use crate::monitor::Monitor;

/// Nothing in the backup goes by that path.
#[derive(Debug, thiserror::Error)]
#[error("{wanted} is not in {archive}; `hearthkeep ls` shows what is", archive = archive.display())]
pub struct NoSuchFile {
    /// As it was asked for.
    pub wanted: String,
    /// The file of the backup.
    pub archive: PathBuf,
}

/// A path in a backup: an item, and a path in the item's part; empty for all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The item.
    pub item: Item,
    /// The path in its inner tar.
    pub path: PathBuf,
}

impl Place {
    /// All of an item.
    pub fn all(item: Item) -> Place {
        Place { item, path: PathBuf::new() }
    }

    /// Whether an entry of the item is at or below it.
    pub fn holds(&self, entry: &Entry) -> bool {
        normal(&entry.path).starts_with(&self.path)
    }
}

impl Archive {
    /// Reads `homeassistant/data/configuration.yaml` as a place.
    ///
    /// # Errors
    /// [`NoSuchFile`] where no item of the backup stands before the path.
    pub fn place(&self, wanted: &str) -> Result<Place, NoSuchFile> {
        let path = Path::new(wanted.trim_start_matches("./"));
        let in_item = |item: Item| {
            let rest = path.strip_prefix(item.to_string()).ok()?.components().collect();
            Some(Place { item, path: rest })
        };
        let mut places: Vec<Place> =
            self.metadata.items().into_iter().filter_map(in_item).collect();
        // Where one item's name begins with another's, the longer one is meant.
        places.sort_by_key(|it| it.item.to_string().len());
        places.pop().ok_or_else(|| self.no_such_file(wanted))
    }

    fn no_such_file(&self, wanted: &str) -> NoSuchFile {
        NoSuchFile { wanted: wanted.to_owned(), archive: self.path.clone() }
    }

    fn part(&self, item: &Item) -> anyhow::Result<&Member> {
        Ok(self.member_of(item).ok_or_else(|| self.damaged(format!("{item} is missing")))?)
    }
}

/// The entries of an item, in the order of its tar; of a name that stands twice the last one counts.
/// By the index where there is one; else the part is read to its end, and `hashes` says whether
/// files are hashed on the way.
pub fn entries(
    archive: &Archive,
    item: &Item,
    hashes: bool,
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
) -> anyhow::Result<Vec<Entry>> {
    let member = archive.part(item)?;
    let mut all = Vec::new();
    each(archive, member, hashes, cancel, monitor, &mut |it| all.push(it))?;
    let last: HashMap<&Name, u64> = all.iter().map(|it| (&it.path, it.at)).collect();
    let counts: Vec<bool> = all.iter().map(|it| last[&it.path] == it.at).collect();
    Ok(all.into_iter().zip(counts).filter(|(_, counts)| *counts).map(|(it, _)| it).collect())
}

/// Visits the entries of a part one by one, which takes no memory.
pub(super) fn each(
    archive: &Archive,
    member: &Member,
    hashes: bool,
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
    visit: &mut dyn FnMut(Entry),
) -> anyhow::Result<()> {
    archive.check_unlocked()?;
    let index = archive.index().ok().flatten();
    let Some(told) = index.as_ref().and_then(|it| it.entries(&member.name)) else {
        return each_streamed(archive, member, hashes, cancel, monitor, visit);
    };
    for entry in told {
        visit(entry.context("reading the index")?);
    }
    Ok(())
}

fn each_streamed(
    archive: &Archive,
    member: &Member,
    hashes: bool,
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
    visit: &mut dyn FnMut(Entry),
) -> anyhow::Result<()> {
    let mut tar = tar::Archive::new(archive.read(member, None, cancel, monitor)?);
    for entry in tar.entries()? {
        let mut entry = entry.with_context(|| format!("reading {}", member.name))?;
        let kind = match entry.header().entry_type() {
            it if it.is_dir() => Kind::Folder,
            it if it.is_symlink() => Kind::Symlink,
            it if it.is_hard_link() => Kind::Hardlink,
            it if it.is_file() || it.is_contiguous() || it.is_gnu_sparse() => Kind::File,
            // Nothing of it could be taken out.
            _ => continue,
        };
        let (stamp, _) = stamp(&mut entry)?;
        let name = entry_name(&entry.path_bytes())
            .with_context(|| String::from_utf8_lossy(&entry.path_bytes()).into_owned())?;
        let mut hasher = blake3::Hasher::new();
        if hashes && kind == Kind::File {
            io::copy(&mut entry, &mut hasher)?;
        }
        visit(Entry {
            // As in an index: the root has a name there.
            path: match name.as_os_str().as_encoded_bytes() {
                b"" => Name::new(b"."),
                name => Name::new(name),
            },
            kind,
            at: entry.raw_header_position(),
            head: entry.raw_file_position() - entry.raw_header_position(),
            size: entry.size(),
            mode: stamp.mode,
            uid: stamp.uid.into(),
            gid: stamp.gid.into(),
            mtime: stamp.mtime,
            target: entry.link_name_bytes().map(|it| Name::new(&it)),
            hash: (hashes && kind == Kind::File).then(|| hasher.finalize().into()),
        });
    }
    Ok(())
}

/// Writes the content of a file.
///
/// # Errors
/// [`NoSuchFile`]; and for what has no content, which says what it is.
pub fn cat(
    archive: &Archive,
    wanted: &str,
    out: &mut dyn Write,
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
) -> anyhow::Result<()> {
    let place = archive.place(wanted)?;
    let member = archive.part(&place.item)?;
    let find = |path: &Path| {
        let name = match path.as_os_str().as_encoded_bytes() {
            b"" => b".",
            name => name,
        };
        let mut found = None;
        // Of a name that stands twice the last one counts.
        each(archive, member, false, cancel, monitor, &mut |it| {
            if it.path.as_bytes() == name {
                found = Some(it);
            }
        })?;
        anyhow::Ok(found.ok_or_else(|| archive.no_such_file(wanted))?)
    };
    let mut entry = find(&place.path)?;
    if let (Kind::Hardlink, Some(first)) = (entry.kind, &entry.target) {
        entry = find(&normal(first))?;
    }
    match (entry.kind, &entry.target) {
        (Kind::File, _) => (),
        (Kind::Symlink, Some(target)) => bail!("{wanted} is a link to {target}"),
        _ => bail!("{wanted} is a folder"),
    }
    let index = archive.index().ok().flatten();
    let copied = match index.as_ref().and_then(|it| it.part(&member.name)) {
        Some(part) => {
            let begin = entry.at + entry.head;
            let range = begin..begin + entry.size;
            io::copy(&mut archive.picked(member, part.clone(), [range], cancel)?, out)
        }
        None => copy_streamed(archive.read(member, None, cancel, monitor)?, entry.at, out),
    };
    let n = copied.with_context(|| format!("reading {wanted}"))?;
    ensure!(n == entry.size, "{wanted} is cut short");
    Ok(())
}

/// Copies the content of the entry whose header is at a place. A sparse file is shorter in the tar
/// than it is.
fn copy_streamed(tar: impl Read, at: u64, out: &mut dyn Write) -> io::Result<u64> {
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        if entry.raw_header_position() == at {
            return io::copy(&mut entry, out);
        }
    }
    Ok(0)
}

/// Takes places out into a folder, in which each gets its whole path; what lies below them comes
/// along. Owners, modes and times are set as the backup says.
///
/// # Errors
/// [`NoSuchFile`], and a file that is there already: nothing is replaced.
pub fn take_out(
    archive: &Archive,
    wanted: &[String],
    folder: &Path,
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
) -> anyhow::Result<Extracted> {
    match fs::create_dir(folder) {
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => (),
        made => made.with_context(|| format!("making {}", folder.display()))?,
    }
    let mut places = Vec::new();
    for text in wanted {
        let place = archive.place(text)?;
        let target: PathBuf =
            folder.join(place.item.to_string()).join(&place.path).components().collect();
        let is_there = target.symlink_metadata().is_ok();
        ensure!(!is_there, "{} is there already; name another folder with --to", target.display());
        places.push((text, place));
    }
    let of = |item: &Item| -> Vec<&(&String, Place)> {
        places.iter().filter(|(_, it)| it.item == *item).collect()
    };
    // All of them are looked for before the first is taken out.
    let mut parts = Vec::new();
    for item in archive.metadata.items().into_iter().filter(|it| !of(it).is_empty()) {
        let all = entries(archive, &item, false, cancel, monitor)?;
        for (text, place) in of(&item) {
            ensure!(all.iter().any(|it| place.holds(it)), archive.no_such_file(text));
        }
        parts.push((item, all));
    }
    let mut done = Extracted::default();
    for (item, all) in parts {
        let places = of(&item);
        let is_wanted = |it: &Entry| places.iter().any(|(_, place)| place.holds(it));
        let renamed = renamed(&all, is_wanted);
        let is_needed = |it: &&Entry| is_wanted(it) || renamed.contains_key(&normal(&it.path));
        let entries = all.iter().filter(is_needed).collect();
        monitor.part(&item.to_string());
        let member = archive.part(&item)?;
        let root = PathBuf::from(item.to_string());
        let wanted = Wanted { folder, root, entries, renamed };
        done.warnings.extend(extract_wanted(archive, member, &wanted, cancel, monitor)?.warnings);
    }
    Ok(done)
}

/// Files that nobody asked for, but for another of their names: with that name, the first one of
/// them in the tar.
fn renamed(all: &[Entry], is_wanted: impl Fn(&Entry) -> bool) -> HashMap<PathBuf, PathBuf> {
    let links: Vec<(PathBuf, &Entry)> = all
        .iter()
        .filter(|it| it.kind == Kind::Hardlink && is_wanted(it))
        .filter_map(|it| Some((normal(it.target.as_ref()?), it)))
        .collect();
    let mut firsts: HashSet<&Path> = links.iter().map(|(first, _)| first.as_path()).collect();
    for it in all.iter().filter(|it| is_wanted(it)) {
        firsts.remove(&*normal(&it.path));
    }
    let mut renamed = HashMap::new();
    for (first, link) in &links {
        if firsts.remove(&**first) {
            renamed.insert(first.clone(), normal(&link.path));
        }
    }
    renamed
}

/// A name as components, as a person would write it. What leads out of the backup is refused where
/// it is extracted.
pub(super) fn normal(name: &Name) -> PathBuf {
    entry_name(name.as_bytes()).unwrap_or_default()
}
