//! Two folders compared: names, content and everything that `lstat` tells and a backup keeps.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// One thing in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Folder,
    /// Length, a hash of the content, and the first name of the same file where it has several.
    File(u64, u64, Option<Vec<u8>>),
    Symlink(Vec<u8>),
}

/// Everything below a folder by its relative path, the folder itself under the empty path.
/// Sockets, FIFOs and devices are passed over, as no backup keeps them.
pub(crate) fn look(folder: &Path) -> BTreeMap<Vec<u8>, Seen> {
    let mut seen = BTreeMap::new();
    enter(folder, Path::new(""), &mut seen, &mut HashMap::new());
    seen
}

fn enter(
    top: &Path,
    below: &Path,
    all: &mut BTreeMap<Vec<u8>, Seen>,
    links: &mut HashMap<(u64, u64), Vec<u8>>,
) {
    let path = if below == Path::new("") { top.to_owned() } else { top.join(below) };
    let status = fs::symlink_metadata(&path).expect("it was there just now");
    let kind = status.file_type();
    let name = below.as_os_str().as_bytes().to_vec();
    let what = match kind {
        _ if kind.is_socket() || kind.is_fifo() => return,
        _ if kind.is_char_device() || kind.is_block_device() => return,
        _ if kind.is_dir() => What::Folder,
        _ if kind.is_symlink() => {
            let target = fs::read_link(&path).expect("a link has a target");
            What::Symlink(target.as_os_str().as_bytes().to_vec())
        }
        _ => {
            let mut hasher = DefaultHasher::new();
            fs::read(&path).expect("a file can be read").hash(&mut hasher);
            let first = (status.nlink() > 1)
                .then(|| links.entry((status.dev(), status.ino())).or_insert(name.clone()).clone());
            What::File(status.len(), hasher.finish(), first)
        }
    };
    let seen = Seen {
        mode: status.mode(),
        owner: (status.uid(), status.gid()),
        mtime: (status.mtime(), status.mtime_nsec()),
        what,
    };
    all.insert(name, seen);
    if kind.is_dir() {
        let entries = fs::read_dir(&path).expect("a folder can be read");
        let mut names: Vec<_> = entries.map(|it| it.expect("it goes on").file_name()).collect();
        names.sort();
        for child in names {
            enter(top, &below.join(child), all, links);
        }
    }
}

/// Fails with every difference between what was and what is.
pub(crate) fn assert_same(was: &BTreeMap<Vec<u8>, Seen>, is: &BTreeMap<Vec<u8>, Seen>) {
    let names: std::collections::BTreeSet<_> = was.keys().chain(is.keys()).collect();
    let differences: Vec<String> = names
        .into_iter()
        .filter(|name| was.get(*name) != is.get(*name))
        .map(|name| {
            let path = Path::new(OsStr::from_bytes(name));
            format!("{path:?}\n  was {:?}\n  is  {:?}", was.get(name), is.get(name))
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
