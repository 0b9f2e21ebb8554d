//! Which backups exist: the store's files, read.

mod booted;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub use self::booted::Booted;
use crate::archive::{Archive, OpenError};
use crate::store::Store;

/// The word for the backup that was made last.
pub const NEWEST: &str = "newest";

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

/// Opens a backup by the path of its file; nothing where `wanted` is not a path.
///
/// # Errors
/// [`NoSuchBackup`], or [`OpenError`] for a file that is there but cannot be used.
pub fn open_file(wanted: &str) -> anyhow::Result<Option<Archive>> {
    let path = Path::new(wanted);
    match wanted.contains('/') || path.is_file() {
        true if path.symlink_metadata().is_err_and(|it| it.kind() == ErrorKind::NotFound) => {
            let folder = path.parent().unwrap_or(path).to_owned();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Err(NoSuchBackup { wanted: name, folder }.into())
        }
        true => Ok(Some(Archive::open(path)?)),
        false => Ok(None),
    }
}

/// Opens a backup of a store by its slug or by the name of its file.
///
/// # Errors
/// [`NoSuchBackup`], or [`OpenError`] for a file that is there but cannot be used.
pub fn find(store: &Store, wanted: &str) -> anyhow::Result<Archive> {
    let in_store = store.folder().join(wanted);
    if in_store.is_file() {
        return Ok(Archive::open(&in_store)?);
    }
    let slug = |it: &Archive| it.metadata.slug == wanted;
    read(store)?.backups.into_iter().find(slug).ok_or_else(|| {
        NoSuchBackup { wanted: wanted.to_owned(), folder: store.folder().to_owned() }.into()
    })
}

/// Opens the backup of a store that was made last: of all, or of those that a profile made.
///
/// # Errors
/// [`NoSuchBackup`] where there is none.
pub fn newest(store: &Store, profile: Option<&str>) -> anyhow::Result<Archive> {
    let made_by = |it: &Archive| {
        let job = it.metadata.hearthkeep.as_ref().and_then(|it| it.job.as_ref());
        profile.is_none_or(|name| job.is_some_and(|it| it.profile == name))
    };
    let mut backups = read(store)?.backups;
    let last = backups.iter().rposition(made_by).map(|it| backups.swap_remove(it));
    last.ok_or_else(|| {
        NoSuchBackup { wanted: NEWEST.to_owned(), folder: store.folder().to_owned() }.into()
    })
}

/// Refuses a backup whose slug is in the store already.
pub fn refuse_second(store: &Store, slug: &str) -> anyhow::Result<()> {
    match read(store)?.backups.iter().find(|it| it.metadata.slug == slug) {
        None => Ok(()),
        Some(it) => {
            anyhow::bail!("backup {slug} is in the store already, as {}", it.path.display())
        }
    }
}
