//! Walking the mounts of a part in the order in which they go into the tar.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Exclude, Extent, Source};
use crate::fsx;

/// A file, folder or link of a part.
#[derive(Debug)]
pub struct Found {
    /// Its name in the inner tar, as bytes: no encoding is promised for names.
    pub name: Vec<u8>,
    /// Where this process finds it.
    pub path: PathBuf,
    /// What it was when the walk came by; links are not followed.
    pub metadata: Metadata,
}

/// Visits everything of a part, a folder before its content, names in order. Sockets, FIFOs and
/// devices are left out, and what vanishes between two looks too; both are told in `warnings`.
///
/// # Errors
/// A folder that cannot be read, naming it, and whatever `visit` returns.
pub fn walk(
    source: &Source,
    warnings: &mut Vec<String>,
    visit: &mut dyn FnMut(Found) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let exclude = Exclude::new(source.part.exclude.iter().chain(&source.part.exclude_kept))?;
    // The mount or the store may have been named through a link.
    let store = fs::canonicalize(&source.store).unwrap_or_else(|_| source.store.clone());
    let prefixes = source.part.trees.iter().map(|it| it.prefix.clone().into_bytes()).collect();
    for (tree, root) in source.part.trees.iter().zip(&source.roots) {
        let metadata = fs::metadata(root).with_context(|| format!("reading {}", root.display()))?;
        let mut walker = Walker {
            root,
            device: metadata.dev(),
            destination: &tree.destination,
            exclude: &exclude,
            prefixes: &prefixes,
            store: &store,
            source,
            warnings,
            visit,
        };
        walker.look_for_leftovers();
        match special(&metadata) {
            Some(what) => walker.warn(root, &format!("is a {what} and left out")),
            None => walker.enter(tree.prefix.as_bytes(), root, metadata)?,
        }
    }
    Ok(())
}

/// Adds up what a walk would visit.
pub fn measure(source: &Source) -> anyhow::Result<Extent> {
    let mut extent = Extent::default();
    // Whatever is worth telling is told when the files are read.
    walk(source, &mut Vec::new(), &mut |found| {
        extent.entries += 1;
        if found.metadata.is_file() {
            extent.bytes += found.metadata.len();
        }
        Ok(())
    })?;
    Ok(extent)
}

struct Walker<'a> {
    root: &'a Path,
    /// The file system of the root. What is mounted below it on the host is not the container's.
    device: u64,
    destination: &'a Path,
    exclude: &'a Exclude,
    prefixes: &'a HashSet<Vec<u8>>,
    store: &'a Path,
    source: &'a Source,
    warnings: &'a mut Vec<String>,
    visit: &'a mut dyn FnMut(Found) -> anyhow::Result<()>,
}

impl Walker<'_> {
    fn enter(&mut self, name: &[u8], path: &Path, metadata: Metadata) -> anyhow::Result<()> {
        let is_dir = metadata.is_dir();
        let is_foreign = is_dir && metadata.dev() != self.device;
        (self.visit)(Found { name: name.to_vec(), path: path.to_owned(), metadata })?;
        if !is_dir {
            return Ok(());
        }
        if is_foreign {
            self.warn(path, "is another file system, and its content left out");
            return Ok(());
        }
        let Some(children) = self.children(path)? else { return Ok(()) };
        for child in children {
            let child_path = path.join(&child);
            let child_name = join(name, &child);
            if self.is_left_out(&child_name, &child_path) {
                continue;
            }
            match fs::symlink_metadata(&child_path) {
                Ok(metadata) => match special(&metadata) {
                    Some(what) => self.warn(&child_path, &format!("is a {what} and left out")),
                    None => self.enter(&child_name, &child_path, metadata)?,
                },
                Err(err) if fsx::has_changed(&err) => {
                    self.warn(&child_path, "vanished before it could be read");
                }
                Err(err) => {
                    return Err(err).with_context(|| format!("reading {}", child_path.display()));
                }
            }
        }
        Ok(())
    }

    /// The sorted names in a folder; nothing where it vanished.
    fn children(&mut self, path: &Path) -> anyhow::Result<Option<Vec<std::ffi::OsString>>> {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(err) if fsx::has_changed(&err) => {
                self.warn(path, "vanished before it could be read");
                return Ok(None);
            }
            Err(err) => return Err(err).with_context(|| format!("reading {}", path.display())),
        };
        let mut names = entries
            .map(|it| it.map(|it| it.file_name()))
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| format!("reading {}", path.display()))?;
        names.sort();
        Ok(Some(names))
    }

    fn is_left_out(&self, name: &[u8], path: &Path) -> bool {
        let below = path.strip_prefix(self.root).unwrap_or(path);
        self.prefixes.contains(name)
            || self.source.stops.iter().any(|it| it == path)
            || self.exclude.matches(self.destination, below)
            || is_backup(path, self.store)
    }

    /// Old content that an interrupted restore has not put back is in no backup.
    fn look_for_leftovers(&mut self) {
        let old = self.root.join(fsx::STAGING).join(fsx::STAGING_OLD);
        if old.exists() {
            self.warn(&old, "was left by an interrupted restore and is not in the backup");
        }
    }

    fn warn(&mut self, path: &Path, what: &str) {
        self.warnings.push(format!("{} {what}", path.display()));
    }
}

/// A backup, or one that is being written, in the folder where they are kept.
fn is_backup(path: &Path, store: &Path) -> bool {
    let ends = |end: &str| path.extension().is_some_and(|it| it == end);
    let is_named_so = ends("tar") || ends(fsx::PARTIAL);
    // Asked last, and of few files: it takes a walk down the path.
    is_named_so && path.parent().is_some_and(|it| fs::canonicalize(it).is_ok_and(|it| it == store))
}

fn special(metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    match kind {
        _ if kind.is_socket() => Some("socket"),
        _ if kind.is_fifo() => Some("FIFO"),
        _ if kind.is_char_device() || kind.is_block_device() => Some("device"),
        _ => None,
    }
}

fn join(name: &[u8], child: &OsStr) -> Vec<u8> {
    let mut joined = name.to_vec();
    if !joined.is_empty() {
        joined.push(b'/');
    }
    joined.extend_from_slice(child.as_bytes());
    joined
}
