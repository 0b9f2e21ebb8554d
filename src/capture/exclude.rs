//! Globs of what is left out.
//!
//! `*` stops at a slash and `**` does not. A glob that begins with a slash is matched against the
//! path in the container, one with a slash elsewhere against the path below the mount, and one
//! without a slash against the name alone, at any depth.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// A compiled set of globs.
#[derive(Debug, Clone)]
pub struct Exclude {
    in_container: GlobSet,
    below_mount: GlobSet,
    names: GlobSet,
}

impl Exclude {
    /// Compiles globs.
    ///
    /// # Errors
    /// Names the first glob that cannot be read.
    pub fn new<'a>(globs: impl IntoIterator<Item = &'a String>) -> anyhow::Result<Exclude> {
        let mut in_container = GlobSetBuilder::new();
        let mut below_mount = GlobSetBuilder::new();
        let mut names = GlobSetBuilder::new();
        for text in globs {
            let text = text.trim_end_matches('/');
            let glob = GlobBuilder::new(text)
                .literal_separator(true)
                .build()
                .with_context(|| format!("reading the glob {text:?}"))?;
            match text.find('/') {
                Some(0) => in_container.add(glob),
                Some(_) => below_mount.add(glob),
                None => names.add(glob),
            };
        }
        Ok(Exclude {
            in_container: in_container.build()?,
            below_mount: below_mount.build()?,
            names: names.build()?,
        })
    }

    /// Whether the file `below` a mount that the container has at `destination` is left out. What
    /// SQLite keeps beside a database goes with it: a log without its database, or beside another
    /// one, is worse than none.
    pub fn matches(&self, destination: &Path, below: &Path) -> bool {
        self.matches_itself(destination, below)
            || database(below).is_some_and(|it| self.matches_itself(destination, &it))
    }

    fn matches_itself(&self, destination: &Path, below: &Path) -> bool {
        let name = below.file_name().map(Path::new).unwrap_or(below);
        (!self.names.is_empty() && self.names.is_match(name))
            || (!self.below_mount.is_empty() && self.below_mount.is_match(below))
            || (!self.in_container.is_empty()
                && self.in_container.is_match(destination.join(below)))
    }
}

/// The database that a write-ahead log, its index or a journal belongs to, by its name.
fn database(path: &Path) -> Option<PathBuf> {
    let bytes = path.as_os_str().as_bytes();
    let stem =
        [&b"-wal"[..], b"-shm", b"-journal"].iter().find_map(|it| bytes.strip_suffix(*it))?;
    Some(PathBuf::from(OsStr::from_bytes(stem)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_where_they_say() {
        let check = |glob: &str, below: &str, wanted: bool| {
            let exclude = Exclude::new(&[glob.to_owned()]).expect("the glob is sound");
            let found = exclude.matches(Path::new("/config"), Path::new(below));
            assert_eq!(found, wanted, "{glob} against {below}");
        };
        check("*.log", "home.log", true);
        check("*.log", "deep/home.log", true);
        check("/config/*.log", "home.log", true);
        check("/config/*.log", "deep/home.log", false);
        check("/config/**/__pycache__/*", "__pycache__/x.pyc", true);
        check("/config/**/__pycache__/*", "a/b/__pycache__/x.pyc", true);
        check("/config/**/__pycache__/*", "a/b/__pycache__", false);
        check("www/timelapse/", "www/timelapse", true);
        check("www/timelapse", "other/www/timelapse", false);
        check("www/**", "www/a/b", true);
        check("*.{db,sqlite}-shm", "x/y.sqlite-shm", true);
        check("/media/**", "media/x", false);
        check("*.db", "deep/zigbee.db-wal", true);
        check("*.db", "deep/zigbee.db-journal", true);
        check("*.dbx", "deep/zigbee.db-wal", false);
    }
}
