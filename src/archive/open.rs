//! Opening a file: its metadata and where its members lie.

use std::io::Seek;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use tar::EntryType;

use super::entry::BLOCK;
use super::guard;
use super::index::Index;
use super::metadata::Metadata;
use super::secure::Opener;
use super::source::{Source, Window};
use crate::model::{Item, member_name};

/// A `backup.json` larger than this is none.
const MAX_METADATA_BYTES: u64 = 4 * 1024 * 1024;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is something else.
    #[error("{path} is not a backup: {reason}", path = path.display())]
    NotABackup {
        /// The file.
        path: PathBuf,
        /// What was missed in it.
        reason: String,
    },
    /// It was a backup, but is not whole.
    #[error("{path} is damaged: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong and in which member.
        reason: String,
    },
    /// Its parts are encrypted, and no password was given.
    #[error("{path} is encrypted, and takes its password", path = path.display())]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// The password is not that of the file.
    #[error("wrong password for {path}", path = path.display())]
    WrongPassword {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read at all.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// A member of the outer tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name without `./`.
    pub name: String,
    /// Where its content begins in the file.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// An open backup.
#[derive(Debug, Clone)]
pub struct Archive {
    /// Where it lies.
    pub path: PathBuf,
    /// What it says of itself.
    pub metadata: Metadata,
    /// Its members, in the order of the file.
    pub members: Vec<Member>,
    /// Size of the file in bytes.
    pub size_bytes: u64,
    pub(super) source: Source,
    /// The keys of its password, once that is known.
    pub(super) opener: Option<Arc<Opener>>,
    /// The index, once it was read.
    pub(super) index: OnceLock<Arc<Index>>,
}

impl Archive {
    /// Reads the headers and the metadata of a file, not its parts.
    ///
    /// # Errors
    /// [`OpenError::NotABackup`] and [`OpenError::Damaged`] tell a foreign file from a cut one.
    pub fn open(path: &Path) -> Result<Archive, OpenError> {
        match Source::open(path)? {
            Some(source) => Archive::open_source(path, source),
            None => Err(not_a_backup(path, "it is not a file")),
        }
    }

    /// The same for a file whose bytes come from elsewhere; `path` is what messages call it.
    pub fn open_source(path: &Path, source: Source) -> Result<Archive, OpenError> {
        let members = members(path, &source)?;
        let metadata = metadata(path, &source, &members)?;
        let (path, size_bytes) = (path.to_owned(), source.size());
        Ok(Archive {
            path,
            metadata,
            members,
            size_bytes,
            source,
            opener: None,
            index: OnceLock::new(),
        })
    }

    /// The member that holds an item; readers of foreign files must take both endings.
    pub fn member_of(&self, item: &Item) -> Option<&Member> {
        let names = [(false, true), (false, false), (true, true), (true, false)]
            .map(|(private, compressed)| member_name(item, private, compressed));
        names.iter().find_map(|name| self.members.iter().find(|it| it.name == *name))
    }

    /// Bytes that the members of these items take in the file.
    pub fn size_of<'a>(&self, items: impl IntoIterator<Item = &'a Item>) -> u64 {
        items.into_iter().filter_map(|it| self.member_of(it)).map(|it| it.size).sum()
    }

    /// An error that says what is wrong with this file.
    pub fn damaged(&self, reason: impl Into<String>) -> OpenError {
        damaged(&self.path, reason)
    }
}

fn not_a_backup(path: &Path, reason: impl Into<String>) -> OpenError {
    OpenError::NotABackup { path: path.to_owned(), reason: reason.into() }
}

fn damaged(path: &Path, reason: impl Into<String>) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), reason: reason.into() }
}

fn members(path: &Path, source: &Source) -> Result<Vec<Member>, OpenError> {
    let file_size = source.size();
    let mut heads = Window::new(source.clone());
    guard::check_outer(&mut heads).map_err(|err| damaged(path, err.to_string()))?;
    heads.rewind().context("reading the outer tar")?;
    let mut tar = tar::Archive::new(heads);
    let mut members: Vec<Member> = Vec::new();
    let mut end = 0;
    for entry in tar.entries_with_seek().context("reading the outer tar")? {
        let entry = match entry {
            Ok(entry) => entry,
            Err(err) if members.is_empty() => {
                return Err(not_a_backup(path, format!("it is no tar file ({err})")));
            }
            Err(err) => return Err(damaged(path, format!("behind {}: {err}", last(&members)))),
        };
        let (offset, size) = (entry.raw_file_position(), entry.size());
        end = match size.checked_next_multiple_of(BLOCK).and_then(|it| it.checked_add(offset)) {
            Some(end) => end,
            None => return Err(damaged(path, format!("behind {}: no size", last(&members)))),
        };
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type() != EntryType::Regular {
            continue;
        }
        let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
        if offset + size > file_size {
            let reason =
                format!("it is cut short in {name}, {} bytes are missing", end - file_size);
            return Err(damaged(path, reason));
        }
        members.push(Member { name, offset, size });
    }
    ended(path, source, end, &members)?;
    Ok(members)
}

/// A tar that ends without its zero block was cut exactly between two members.
fn ended(path: &Path, source: &Source, end: u64, members: &[Member]) -> Result<(), OpenError> {
    let mut block = [1; BLOCK as usize];
    match source.read_exact_at(&mut block, end) {
        Ok(()) if block.iter().all(|it| *it == 0) && !members.is_empty() => Ok(()),
        _ if members.is_empty() => Err(not_a_backup(path, "it is no tar file with members")),
        _ => Err(damaged(path, format!("it is cut short behind {}", last(members)))),
    }
}

fn last(members: &[Member]) -> &str {
    members.last().map_or("its beginning", |it| it.name.as_str())
}

fn metadata(path: &Path, source: &Source, members: &[Member]) -> Result<Metadata, OpenError> {
    // Before August 2021 backups were called snapshots.
    let member = ["snapshot.json", "backup.json"]
        .iter()
        .find_map(|name| members.iter().find(|it| it.name == *name))
        .ok_or_else(|| not_a_backup(path, "it holds no backup.json"))?;
    if member.size > MAX_METADATA_BYTES {
        return Err(not_a_backup(path, "its backup.json is far too large"));
    }
    let mut json = vec![0; member.size as usize];
    source
        .read_exact_at(&mut json, member.offset)
        .with_context(|| format!("reading {}", path.display()))?;
    let text = std::str::from_utf8(&json)
        .map_err(|_| damaged(path, format!("{} is not text", member.name)))?;
    Metadata::parse(text).map_err(|err| damaged(path, format!("{}: {err}", member.name)))
}
