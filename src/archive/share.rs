//! Which entries of a part go to one place, and what they take there.

use std::path::{Path, PathBuf};

/// The entries below a prefix, some of them perhaps left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    /// The prefix in the inner tar; empty for the root.
    pub prefix: String,
    /// Below the prefix. Where there are any, only they and what lies in them are taken, and the
    /// prefix itself.
    pub only: Vec<PathBuf>,
    /// Below the prefix. They and what lies in them are left out.
    pub without: Vec<PathBuf>,
}

/// Asks what a share takes on a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gauge {
    /// The member of the outer tar.
    pub member: String,
    /// What goes there.
    pub share: Share,
    /// What the file system gives at once, in bytes.
    pub block_bytes: u64,
}

/// What a share takes on a file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Files, folders and links.
    pub entries: u64,
    /// Content in whole blocks, and folders with the names in them.
    pub bytes: u64,
    /// Of the names, which share blocks.
    name_bytes: u64,
}

/// A name in a folder has a number and two lengths beside it (ext4; others take about as much), and
/// folders are split in half when they are full.
const NAME_BYTES: u64 = 12;
const FULL_PERCENT: u64 = 60;

impl Share {
    /// All below a prefix.
    pub fn all(prefix: &str) -> Share {
        Share { prefix: prefix.to_owned(), ..Share::default() }
    }

    /// Whether what lies at a path below the prefix is taken.
    pub(super) fn takes(&self, below: &Path) -> bool {
        let is_root = below.as_os_str().is_empty();
        let is_in = |it: &PathBuf| below.starts_with(it);
        (is_root || self.only.is_empty() || self.only.iter().any(is_in))
            && !self.without.iter().any(is_in)
    }

    /// Of several shares, the one with the longest prefix of a name, and the rest of the name.
    pub(super) fn find<'a, 'b>(
        shares: impl Iterator<Item = &'a Share>,
        name: &'b Path,
    ) -> Option<(usize, &'b Path)> {
        let fitting = shares.enumerate().filter_map(|(n, share)| {
            let below = name.strip_prefix(&share.prefix).ok()?;
            Some((share.prefix.len(), n, below))
        });
        fitting.max_by_key(|(length, ..)| *length).map(|(_, n, below)| (n, below))
    }
}

impl Extent {
    /// Counts an entry with this much content.
    pub(super) fn add(&mut self, name: &Path, is_folder: bool, content: u64, block_bytes: u64) {
        let name = name.file_name().map_or(0, |it| it.len() as u64);
        let block_bytes = block_bytes.max(1);
        self.entries += 1;
        self.bytes += match (is_folder, content) {
            (true, _) => block_bytes,
            (false, content) => content.div_ceil(block_bytes).saturating_mul(block_bytes),
        };
        self.name_bytes += (NAME_BYTES + name) * 100 / FULL_PERCENT;
    }

    /// What it takes together, in bytes. `entry_bytes` is what the file system adds for each entry.
    pub fn room(&self, entry_bytes: u64) -> u64 {
        self.bytes + self.name_bytes + self.entries * entry_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_takes_what_is_wanted_of_it() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let share = |only: &[&str], without: &[&str]| Share {
            prefix: "data".to_owned(),
            only: paths(only),
            without: paths(without),
        };
        let check = |share: &Share, below: &str, wanted: bool| {
            assert_eq!(share.takes(Path::new(below)), wanted, "{below} of {share:?}");
        };
        for below in ["", "a", "a/b"] {
            check(&share(&[], &[]), below, true);
        }
        let only = share(&["a.db", "deep/x"], &[]);
        for (below, wanted) in
            [("", true), ("a.db", true), ("a.db-wal", false), ("deep", false), ("deep/x/y", true)]
        {
            check(&only, below, wanted);
        }
        let without = share(&[], &["backups", ".HA_RESTORE"]);
        for (below, wanted) in [
            ("", true),
            ("backups", false),
            ("backups/one.tar", false),
            ("www/backups", true),
            (".HA_RESTORE", false),
            (".HA_RESTORE_RESULT", true),
        ] {
            check(&without, below, wanted);
        }
    }

    #[test]
    fn the_longest_prefix_takes_a_name() {
        let shares = ["data", "data/www", ""].map(Share::all);
        let find = |name: &'static str| Share::find(shares.iter(), Path::new(name));
        assert_eq!(find("data/www/x"), Some((1, Path::new("x"))));
        assert_eq!(find("data/wwwx"), Some((0, Path::new("wwwx"))));
        assert_eq!(find("addon.json"), Some((2, Path::new("addon.json"))));
        assert_eq!(Share::find(shares[..2].iter(), Path::new("addon.json")), None);
    }

    #[test]
    fn content_takes_whole_blocks() {
        let mut extent = Extent::default();
        for (is_folder, content) in
            [(true, 0), (false, 0), (false, 1), (false, 4096), (false, 4097)]
        {
            extent.add(Path::new("name"), is_folder, content, 4096);
        }
        assert_eq!((extent.entries, extent.bytes), (5, (1 + 1 + 1 + 2) * 4096));
        let names = extent.room(0) - extent.bytes;
        assert!((5 * 16..=5 * 32).contains(&names), "{names}");
        assert_eq!(extent.room(512) - extent.room(0), 5 * 512);
    }
}
