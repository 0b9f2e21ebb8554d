//! Which backups exist: the store's files, read.

use std::path::{Path, PathBuf};

use crate::archive::{Archive, OpenError};
use crate::store::Store;

/// No backup goes by that name.
#[derive(Debug, thiserror::Error)]
#[error("no backup {wanted} in {folder}; `hearthkeep list` shows what is there", folder = folder.display())]
pub struct NoSuchBackup {
    /// As it was asked for.
    pub wanted: String,
    /// Where it was looked for.
    pub folder: PathBuf,
}

/// What a store holds.
#[derive(Debug, Default)]
pub struct Catalog {
    /// The backups, oldest first.
    pub backups: Vec<Archive>,
    /// Files that are named like backups but cannot be read as one.
    pub unreadable: Vec<OpenError>,
}

/// Reads every file of a store.
pub fn read(store: &Store) -> anyhow::Result<Catalog> {
    let mut catalog = Catalog::default();
    for file in store.files()? {
        match Archive::open(&file) {
            Ok(archive) => catalog.backups.push(archive),
            Err(err) => catalog.unreadable.push(err),
        }
    }
    catalog.backups.sort_by_key(|it| it.metadata.when());
    Ok(catalog)
}

/// Opens the backup that a person means: the path of a file, or the slug or the name of a file
/// in the store.
///
/// # Errors
/// [`NoSuchBackup`], or [`OpenError`] for a file that is there but cannot be used.
pub fn find(store: Option<&Store>, wanted: &str) -> anyhow::Result<Archive> {
    let path = Path::new(wanted);
    if wanted.contains('/') || path.is_file() {
        return Ok(Archive::open(path)?);
    }
    let Some(store) = store else {
        return Err(NoSuchBackup { wanted: wanted.to_owned(), folder: ".".into() }.into());
    };
    let in_store = store.folder().join(wanted);
    if in_store.is_file() {
        return Ok(Archive::open(&in_store)?);
    }
    let slug = |it: &Archive| it.metadata.slug == wanted;
    read(store)?.backups.into_iter().find(slug).ok_or_else(|| {
        NoSuchBackup { wanted: wanted.to_owned(), folder: store.folder().to_owned() }.into()
    })
}
