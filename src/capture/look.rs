//! Looking at a mount: every name below it, with what the kernel tells of it.
//!
//! A look goes from folder to folder by handles, never by paths, so that nobody who can write into
//! the mount leads it out. Folders are looked at by several threads at once: while the containers
//! are held, everybody waits for this.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat, openat2, readlinkat};
use nix::libc;
use nix::sys::stat::{Mode, fstat, fstatat};
use rayon::prelude::*;

use super::node::{Content, Kind, Node, Stat, View};
use super::spool::GoOn;
use super::{Exclude, Source, sqlite};
use crate::fsx;

/// Folders in folders beyond this many bytes of path are left out, as no program that goes by path
/// could have made or could read them.
const LONGEST_PATH: usize = libc::PATH_MAX as usize;

const FOLDER: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_CLOEXEC);

/// Looks at the mounts of a part again. What has not changed since the last look keeps the content
/// that was found for it. Sockets, FIFOs and devices are left out, and what vanishes between two
/// looks too; both are told in `warnings`.
///
/// # Errors
/// A folder that cannot be read, naming it, and whatever `go_on` says.
pub(super) fn look(
    source: &Source,
    views: Vec<View>,
    warnings: &mut Vec<String>,
    go_on: GoOn<'_>,
) -> anyhow::Result<Vec<View>> {
    let exclude = Exclude::new(source.part.exclude.iter().chain(&source.part.exclude_kept))?;
    let store = identity(&source.store);
    let prefixes = source.part.trees.iter().map(|it| it.prefix.clone().into_bytes()).collect();
    let told = Mutex::new(Vec::new());
    let mut looked = Vec::with_capacity(views.len());
    for (view, tree) in views.into_iter().zip(&source.part.trees) {
        let look = Look {
            root: &view.root,
            destination: &tree.destination,
            exclude: &exclude,
            prefixes: &prefixes,
            store,
            source,
            told: &told,
            go_on,
        };
        let node = look.root(view.prefix.as_slice(), view.node)?;
        looked.push(View { node, ..view });
    }
    warnings.extend(told.into_inner().unwrap_or_else(PoisonError::into_inner));
    Ok(looked)
}

struct Look<'a> {
    root: &'a Path,
    destination: &'a Path,
    exclude: &'a Exclude,
    prefixes: &'a HashSet<Vec<u8>>,
    store: Option<(u64, u64)>,
    source: &'a Source,
    told: &'a Mutex<Vec<String>>,
    go_on: GoOn<'a>,
}

/// A folder that is being looked at.
struct Place<'a> {
    folder: BorrowedFd<'a>,
    /// The path of the folder, for messages and globs.
    path: &'a Path,
    /// The name of the folder in the inner tar.
    name: &'a [u8],
    /// The file system of the mount. What is mounted below it on the host is not the container's.
    device: u64,
}

impl Look<'_> {
    /// The mount itself, which may be named through a link, and may be a file.
    fn root(&self, name: &[u8], old: Option<Node>) -> anyhow::Result<Option<Node>> {
        let reading = || format!("reading {}", self.root.display());
        self.look_for_leftovers();
        let stat = Stat::from(nix::sys::stat::stat(self.root).with_context(reading)?);
        if let Some(what) = stat.special() {
            self.warn(self.root, &format!("is a {what} and left out"));
            return Ok(None);
        }
        if !stat.is_folder() {
            return Ok(Some(Node {
                name: OsString::new().into(),
                stat,
                kind: Kind::File(kept(old, &stat)),
            }));
        }
        let flags = FOLDER.difference(OFlag::O_NOFOLLOW);
        let folder = open(self.root, flags, Mode::empty()).with_context(reading)?;
        let stat = Stat::from(fstat(&folder).with_context(reading)?);
        let node = self.folder(folder, self.root, name, stat.device, children(old))?;
        Ok(Some(Node { name: OsString::new().into(), stat, kind: Kind::Folder(node) }))
    }

    /// What is in a folder, given what was in it at the last look.
    fn folder(
        &self,
        folder: OwnedFd,
        path: &Path,
        name: &[u8],
        device: u64,
        old: Vec<Node>,
    ) -> anyhow::Result<Vec<Node>> {
        (self.go_on)()?;
        let reading = || format!("reading {}", path.display());
        let mut listing = Dir::from_fd(folder).with_context(reading)?;
        let names = match names(&mut listing) {
            Ok(names) => names,
            Err(err) if fsx::has_changed(&err) => {
                self.warn(path, "vanished before it could be read");
                return Ok(Vec::new());
            }
            Err(err) => return Err(err).with_context(reading),
        };
        let place = Place { folder: listing.as_fd(), path, name, device };
        let mut old = old.into_iter().peekable();
        let mut nodes = Vec::with_capacity(names.len());
        for child in &names {
            if sqlite::is_index(child, &names) {
                continue;
            }
            let child = child.clone();
            while old.next_if(|it| *it.name < *child).is_some() {}
            let before = old.next_if(|it| *it.name == *child);
            // What was not left out at the last look is not now.
            if before.is_none() && self.is_left_out(&place, &child) {
                continue;
            }
            nodes.extend(self.child(&place, child, before)?);
        }
        nodes.par_iter_mut().try_for_each(|node| self.descend(&place, node))?;
        Ok(nodes)
    }

    /// One name of a folder. Of a folder, what was in it at the last look.
    fn child(
        &self,
        place: &Place<'_>,
        name: OsString,
        before: Option<Node>,
    ) -> anyhow::Result<Option<Node>> {
        let path = || place.path.join(&name);
        let stat = match fstatat(place.folder, &*name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Stat::from(stat),
            Err(err) => return self.gone(&path(), err),
        };
        if let Some(what) = stat.special() {
            self.warn(&path(), &format!("is a {what} and left out"));
            return Ok(None);
        }
        let kind = if stat.is_folder() {
            Kind::Folder(children(before))
        } else if stat.is_symlink() {
            match readlinkat(place.folder, &*name) {
                Ok(target) => Kind::Symlink(target),
                // Any other thing in the place of the link is an invalid argument.
                Err(Errno::EINVAL) => return self.gone(&path(), Errno::ENOENT),
                Err(err) => return self.gone(&path(), err),
            }
        } else {
            Kind::File(kept(before, &stat))
        };
        Ok(Some(Node { name: name.into(), stat, kind }))
    }

    /// Looks at what is in a folder of a folder.
    fn descend(&self, place: &Place<'_>, node: &mut Node) -> anyhow::Result<()> {
        let Kind::Folder(before) = &mut node.kind else { return Ok(()) };
        let before = std::mem::take(before);
        let path = place.path.join(&*node.name);
        if node.stat.device != place.device {
            self.warn(&path, "is another file system, and its content left out");
            return Ok(());
        }
        if path.as_os_str().len() > LONGEST_PATH {
            self.warn(&path, "lies too deep, and its content is left out");
            return Ok(());
        }
        let folder = match openat(place.folder, &*node.name, FOLDER, Mode::empty()) {
            Ok(folder) => folder,
            Err(err) => return self.gone(&path, err).map(|_| ()),
        };
        let name = join(place.name, &node.name);
        let children = self.folder(folder, &path, &name, place.device, before)?;
        node.kind = Kind::Folder(children);
        Ok(())
    }

    /// Something was there when its folder was read: it may have gone, which is only told.
    fn gone(&self, path: &Path, err: Errno) -> anyhow::Result<Option<Node>> {
        let err = std::io::Error::from(err);
        if !fsx::has_changed(&err) {
            return Err(err).with_context(|| format!("reading {}", path.display()));
        }
        self.warn(path, "vanished before it could be read");
        Ok(None)
    }

    fn is_left_out(&self, place: &Place<'_>, child: &OsStr) -> bool {
        let path = place.path.join(child);
        let below = path.strip_prefix(self.root).unwrap_or(&path);
        self.prefixes.contains(&join(place.name, child))
            || self.source.stops.contains(&path)
            || self.exclude.matches(self.destination, below)
            || is_backup(&path, self.store)
    }

    /// Old content that an interrupted restore has not put back is in no backup.
    fn look_for_leftovers(&self) {
        for old in fsx::STAGING_OLD.map(|it| self.root.join(fsx::STAGING).join(it)) {
            if old.exists() {
                self.warn(&old, "was left by an interrupted restore and is not in the backup");
            }
        }
    }

    fn warn(&self, path: &Path, what: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.push(format!("{} {what}", path.display()));
    }
}

/// The content that was found for a file at the last look, where it is still the same file.
fn kept(before: Option<Node>, stat: &Stat) -> Content {
    match before {
        Some(Node { stat: old, kind: Kind::File(content), .. }) if old == *stat => content,
        Some(Node {
            kind: Kind::File(Content::Spooled(slot) | Content::There(Some(slot))),
            ..
        }) => Content::There(Some(slot)),
        _ => Content::There(None),
    }
}

fn children(before: Option<Node>) -> Vec<Node> {
    match before {
        Some(Node { kind: Kind::Folder(children), .. }) => children,
        _ => Vec::new(),
    }
}

/// The sorted names in a folder.
fn names(listing: &mut Dir) -> std::io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in listing.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// What a folder is, whichever way leads to it: a link, or in a container a second mount.
fn identity(folder: &Path) -> Option<(u64, u64)> {
    let stat = nix::sys::stat::stat(folder).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

/// A backup, or one that is being written, in the folder where they are kept.
fn is_backup(path: &Path, store: Option<(u64, u64)>) -> bool {
    let ends = |end: &str| path.extension().is_some_and(|it| it == end);
    let is_named_so = ends("tar") || ends(fsx::PARTIAL);
    // Asked last, and of few files: it takes a walk down the path.
    is_named_so && store.is_some() && path.parent().and_then(identity) == store
}

fn join(name: &[u8], child: &OsStr) -> Vec<u8> {
    let mut joined = Vec::with_capacity(name.len() + 1 + child.len());
    joined.extend_from_slice(name);
    if !joined.is_empty() {
        joined.push(b'/');
    }
    joined.extend_from_slice(child.as_bytes());
    joined
}

/// Opens a file below a folder without following any link. Nothing where something else is there
/// now, or nothing at all.
pub(super) fn open_below(root: &Path, below: &Path) -> anyhow::Result<Option<File>> {
    let Some(name) = below.file_name() else {
        // The mount itself is a file.
        return File::open(root).map(Some).with_context(|| format!("reading {}", root.display()));
    };
    if let Some(file) = at_once(root, below) {
        return Ok(Some(file));
    }
    let parent = below.parent().unwrap_or(Path::new(""));
    let Some(folder) = folder_below(root, parent)? else { return Ok(None) };
    open_file(&folder, name).with_context(|| format!("reading {}", root.join(below).display()))
}

/// A file that is there, in two calls. None where the kernel cannot, or where a step has to look
/// closer.
fn at_once(root: &Path, below: &Path) -> Option<File> {
    let root = open(root, FOLDER.difference(OFlag::O_NOFOLLOW), Mode::empty()).ok()?;
    let flags = FOLDER.difference(OFlag::O_DIRECTORY);
    let how = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    openat2(&root, below, OpenHow::new().flags(flags).resolve(how)).ok().map(File::from)
}

/// Opens a folder below another one without following any link, as [`open_below`] does a file.
pub(super) fn folder_below(root: &Path, below: &Path) -> anyhow::Result<Option<OwnedFd>> {
    let opened = || {
        let mut folder = open(root, FOLDER.difference(OFlag::O_NOFOLLOW), Mode::empty())?;
        for component in below {
            folder = openat(&folder, component, FOLDER, Mode::empty())?;
        }
        Ok(folder)
    };
    there(opened()).with_context(|| format!("reading {}", root.join(below).display()))
}

/// Opens a file of a folder without following a link that took its place, and without waiting for
/// the other end of a FIFO that did.
pub(super) fn open_file(folder: &OwnedFd, name: &OsStr) -> std::io::Result<Option<File>> {
    let opened = openat(folder, name, FOLDER.difference(OFlag::O_DIRECTORY), Mode::empty());
    Ok(there(opened)?.map(File::from))
}

fn there<T>(opened: Result<T, Errno>) -> std::io::Result<Option<T>> {
    match opened.map_err(std::io::Error::from) {
        Ok(it) => Ok(Some(it)),
        Err(err) if fsx::has_changed(&err) => Ok(None),
        Err(err) => Err(err),
    }
}
