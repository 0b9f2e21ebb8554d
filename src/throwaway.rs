//! A throw-away volume with content of a backup in it, for containers that are only tried out.
//!
//! Each tree of the backup has a folder of its own, in which it lies under the name [`ROOT`].
//! Volumes cannot be mounted in pieces, nor as a file; paths inside of one can.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bytesize::ByteSize;
use tokio_util::sync::CancellationToken;

use crate::archive::{self, Archive, ROOT, Share, Target};
use crate::fsx;
use crate::model::{Item, Source};
use crate::monitor::Monitor;
use crate::plan::{BootSource, BootTree};
use crate::reach::Reach;

/// What is left to the home that runs, whose disk this mostly is, and to what the copies write.
const LEFT_FREE: u64 = 256 << 20;

/// Home Assistant's database.
const DATABASE: &str = "home-assistant_v2.db";

/// A throw-away volume. Whoever made it removes it.
#[derive(Debug, Clone)]
pub struct Throwaway {
    /// Its folder as the engine's host sees it.
    volume: PathBuf,
    /// The same as this process sees it.
    folder: PathBuf,
}

impl Throwaway {
    /// The volume whose folder on the engine's host is `volume`.
    ///
    /// # Errors
    /// Where it is out of reach.
    pub fn new(volume: PathBuf, reach: &Reach) -> anyhow::Result<Throwaway> {
        let folder = reach.local(&volume).with_context(|| {
            format!(
                "{} is out of reach: mount the folder of the engine's volumes into the container of hearthkeep",
                volume.display()
            )
        })?;
        let folder =
            fs::canonicalize(&folder).with_context(|| format!("opening {}", folder.display()))?;
        Ok(Throwaway { volume, folder })
    }

    /// The folder, as this process sees it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Extracts trees of a backup; gives also what could not be placed, as sentences.
    /// `content_bytes` are the sizes of the members' content, by the member's name.
    ///
    /// # Errors
    /// Where there is no room, before a byte is extracted, and whatever stopped it later.
    pub fn fill(
        &self,
        archive: &Archive,
        content_bytes: &BTreeMap<String, u64>,
        trees: &[BootTree],
        cancel: &CancellationToken,
        monitor: &dyn Monitor,
    ) -> anyhow::Result<Vec<String>> {
        let mut items: Vec<&Item> = trees.iter().map(|it| &it.item).collect();
        items.dedup();
        let missing = |it: &Item| archive.damaged(format!("{it} is missing"));
        let members = items
            .into_iter()
            .map(|it| Ok((it, archive.member_of(it).ok_or_else(|| missing(it))?)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let bytes = members.iter().filter_map(|(_, it)| content_bytes.get(&it.name)).sum();
        self.check_room(bytes)?;
        let mut warnings = Vec::new();
        for (item, member) in members {
            monitor.part(&item.to_string());
            let its = trees.iter().filter(|it| it.item == *item);
            let targets = its.map(|it| self.target(it)).collect::<Result<Vec<_>, _>>()?;
            warnings.extend(archive::extract(archive, member, &targets, cancel, monitor)?.warnings);
        }
        Ok(warnings)
    }

    fn check_room(&self, bytes: u64) -> anyhow::Result<()> {
        let (room, needed) = (fsx::room(&self.folder)?, bytes.saturating_add(LEFT_FREE));
        anyhow::ensure!(
            room >= needed,
            "no room for a boot test in {}: {} free, {} needed, {} of it for the content of the backup",
            self.folder.display(),
            ByteSize(room),
            ByteSize(needed),
            ByteSize(bytes)
        );
        Ok(())
    }

    fn target(&self, tree: &BootTree) -> anyhow::Result<Target> {
        let staging = self.folder.join(&tree.folder);
        // Who sees into it is up to what lies in it; nobody else gets there.
        let made = DirBuilder::new().mode(0o700).create(&staging);
        made.with_context(|| format!("making {}", staging.display()))?;
        Ok(Target { share: Share::all(&tree.prefix), staging, ..Target::default() })
    }

    /// What is mounted into a copy. Where the backup has nothing there, an empty volume is.
    pub fn source(&self, from: &BootSource) -> Source {
        match self.place(from) {
            Some(below) => Source::Path(self.volume.join(below)),
            None => Source::Empty,
        }
    }

    /// Where a source of a copy lies below the volume's folder, if it is there. A link may lead
    /// anywhere, also to what belongs to the home.
    fn place(&self, from: &BootSource) -> Option<PathBuf> {
        let BootSource::Tree { folder, below } = from else { return None };
        let mut place = Path::new(folder).join(ROOT);
        place.extend(below);
        let real = fs::canonicalize(self.folder.join(&place)).ok()?;
        (real.strip_prefix(&self.folder) == Ok(&place)).then_some(place)
    }

    /// A file of text of Home Assistant's, where it can be read.
    pub fn text(&self, config: &BootSource, name: &str) -> Option<String> {
        let folder = self.folder.join(self.place(config)?);
        fs::read_to_string(folder.join(name)).ok()
    }

    /// Whether Home Assistant has its database there.
    pub fn has_database(&self, config: &BootSource) -> bool {
        self.names(config).iter().any(|it| it == DATABASE)
    }

    /// Whether somebody has opened that database: its backup never holds what is shared between
    /// those who do.
    pub fn database_is_open(&self, config: &BootSource) -> bool {
        let shared = format!("{DATABASE}-shm");
        self.names(config).iter().any(|it| *it == *shared)
    }

    /// The databases that Home Assistant has put aside, since it could not use them.
    pub fn put_aside(&self, config: &BootSource) -> Vec<OsString> {
        let begin = format!("{DATABASE}.corrupt.");
        let is_aside = |it: &OsString| it.as_encoded_bytes().starts_with(begin.as_bytes());
        self.names(config).into_iter().filter(is_aside).collect()
    }

    fn names(&self, from: &BootSource) -> Vec<OsString> {
        let folder = self.place(from).map(|it| self.folder.join(it));
        let entries = folder.and_then(|it| fs::read_dir(it).ok());
        entries.into_iter().flatten().flatten().map(|it| it.file_name()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_in_a_backup_mounts_nothing_of_the_host() {
        let volume = tempfile::tempdir().expect("a folder");
        let home = tempfile::tempdir().expect("a folder");
        fs::create_dir(home.path().join("data")).expect("a folder");
        let throwaway =
            Throwaway::new(volume.path().to_owned(), &Reach::Host).expect("it can be reached");
        let root = throwaway.folder().join("0").join(ROOT);
        fs::create_dir_all(root.join("real/deep")).expect("folders");
        fs::File::create(root.join("file")).expect("a file");
        symlink(home.path(), root.join("link")).expect("a link");
        symlink("real", root.join("alias")).expect("a link");
        let source = |below: &str| {
            throwaway.source(&BootSource::Tree { folder: "0".to_owned(), below: below.into() })
        };
        for below in ["", "real", "real/deep", "file"] {
            let mut path = volume.path().join("0").join(ROOT);
            path.extend(Path::new(below));
            assert_eq!(source(below), Source::Path(path), "{below}");
        }
        for below in ["link", "link/data", "alias", "alias/deep", "missing", "../0", "../../x"] {
            assert_eq!(source(below), Source::Empty, "{below}");
        }
        assert_eq!(throwaway.source(&BootSource::Empty), Source::Empty);
    }
}
