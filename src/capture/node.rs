//! A file, folder or link as it was at one look, and where its content is to be had.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::stat::FileStat;

use super::Source;
use super::spool::Slot;

/// What a look tells of a file, folder or link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The file system that it lies on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Bytes of its content.
    pub size: u64,
    /// When its content last changed: seconds since 1970, and nanoseconds on top.
    pub mtime: (i64, i64),
    /// When anything about it last changed, in the same form.
    pub ctime: (i64, i64),
    /// Its kind and permissions, as the kernel gives them.
    pub mode: u32,
    /// The number of its owner.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
    /// How many names it has.
    pub links: u64,
}

impl From<FileStat> for Stat {
    fn from(it: FileStat) -> Stat {
        Stat {
            device: it.st_dev,
            inode: it.st_ino,
            // The kernel knows no negative sizes.
            size: u64::try_from(it.st_size).unwrap_or(0),
            mtime: (it.st_mtime, it.st_mtime_nsec),
            ctime: (it.st_ctime, it.st_ctime_nsec),
            mode: it.st_mode,
            uid: it.st_uid,
            gid: it.st_gid,
            // Its width differs between architectures.
            #[allow(clippy::useless_conversion, reason = "it is narrower on some of them")]
            links: it.st_nlink.into(),
        }
    }
}

impl Stat {
    pub(super) fn is_folder(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind() == libc::S_IFREG
    }

    pub(super) fn is_symlink(&self) -> bool {
        self.kind() == libc::S_IFLNK
    }

    /// What is never in a backup, by its name; nothing for all that is.
    pub(super) fn special(&self) -> Option<&'static str> {
        match self.kind() {
            libc::S_IFSOCK => Some("socket"),
            libc::S_IFIFO => Some("FIFO"),
            libc::S_IFCHR | libc::S_IFBLK => Some("device"),
            _ => None,
        }
    }

    /// What tells one file from every other.
    pub fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Whether the content is still the same, as far as it tells. Links, names and permissions may
    /// have changed: a file that is removed while it is held open has all of its content.
    pub fn has_content_of(&self, other: &Stat) -> bool {
        self.identity() == other.identity() && self.size == other.size && self.mtime == other.mtime
    }

    fn kind(&self) -> u32 {
        self.mode & libc::S_IFMT
    }
}

/// One name in a folder.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: Box<OsStr>,
    pub(super) stat: Stat,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// With what is in it, sorted by name.
    Folder(Vec<Node>),
    /// With its target.
    Symlink(OsString),
    File(Content),
}

/// Where the content of a file is to be had, as it was when the file was looked at.
#[derive(Debug)]
pub(super) enum Content {
    /// In its place. An older copy of it may lie in the spool.
    There(Option<Slot>),
    /// In its place, whatever becomes of its name.
    Open(File),
    /// In the spool.
    Spooled(Slot),
}

/// Something of a part, as the archive needs it.
#[derive(Debug)]
pub struct Found<'a> {
    /// Its name in the inner tar, as bytes: no encoding is promised for names. Empty for the root.
    pub name: &'a [u8],
    /// What it was.
    pub stat: &'a Stat,
    /// What it is, with what only that kind has.
    pub what: What<'a>,
    pub(super) tree: &'a View,
}

/// What a [`Found`] is.
#[derive(Debug, Clone, Copy)]
pub enum What<'a> {
    /// A folder.
    Folder,
    /// A symbolic link, with its target.
    Symlink(&'a OsStr),
    /// A regular file.
    File(Where<'a>),
}

/// Where a file's content lies; only the capture can read it.
#[derive(Debug, Clone, Copy)]
pub struct Where<'a>(pub(super) &'a Content);

impl Found<'_> {
    /// Its path for this process, to name it in messages.
    pub fn path(&self) -> PathBuf {
        self.tree.path_of(self.name)
    }
}

/// One mount of a part.
#[derive(Debug)]
pub(super) struct View {
    /// Where this process finds it.
    pub(super) root: PathBuf,
    /// Where its content lies in the inner tar.
    pub(super) prefix: Vec<u8>,
    /// The mount itself; nothing before the first look, or where it is left out.
    pub(super) node: Option<Node>,
}

impl View {
    /// Where this process finds what has this name in the inner tar.
    pub(super) fn path_of(&self, name: &[u8]) -> PathBuf {
        match self.below(name) {
            Some(below) if !below.as_os_str().is_empty() => self.root.join(below),
            _ => self.root.clone(),
        }
    }

    /// The path below the mount of what has this name in the inner tar; nothing where it belongs
    /// to another mount.
    pub(super) fn below<'a>(&self, name: &'a [u8]) -> Option<&'a Path> {
        let rest = name.strip_prefix(self.prefix.as_slice())?;
        let rest = match (self.prefix.as_slice(), rest) {
            (b"", rest) | (_, rest @ b"") => rest,
            (_, rest) => rest.strip_prefix(b"/")?,
        };
        Some(Path::new(OsStr::from_bytes(rest)))
    }

    /// What has this name in the inner tar; nothing where it belongs to another mount.
    pub(super) fn find(&self, name: &[u8]) -> Option<&Node> {
        let mut node = self.node.as_ref()?;
        for component in self.below(name)?.iter().filter(|it| *it != ".") {
            let Kind::Folder(children) = &node.kind else { return None };
            let n = children.binary_search_by(|it| (*it.name).cmp(component)).ok()?;
            node = &children[n];
        }
        Some(node)
    }

    /// Visits everything, a folder before its content, names in order.
    pub(super) fn visit(
        &self,
        visit: &mut dyn FnMut(&Found<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match &self.node {
            Some(node) => self.visit_one(node, &mut self.prefix.clone(), visit),
            None => Ok(()),
        }
    }

    fn visit_one(
        &self,
        node: &Node,
        name: &mut Vec<u8>,
        visit: &mut dyn FnMut(&Found<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let what = match &node.kind {
            Kind::Folder(_) => What::Folder,
            Kind::Symlink(target) => What::Symlink(target),
            Kind::File(content) => What::File(Where(content)),
        };
        visit(&Found { name, stat: &node.stat, what, tree: self })?;
        let Kind::Folder(children) = &node.kind else { return Ok(()) };
        let length = name.len();
        for child in children {
            if !name.is_empty() {
                name.push(b'/');
            }
            name.extend_from_slice(child.name.as_bytes());
            self.visit_one(child, name, visit)?;
            name.truncate(length);
        }
        Ok(())
    }
}

/// The mounts of a part, not looked at yet.
pub(super) fn views(source: &Source) -> Vec<View> {
    let trees = source.part.trees.iter().zip(&source.roots);
    trees
        .map(|(tree, root)| View {
            root: root.clone(),
            prefix: tree.prefix.clone().into_bytes(),
            node: None,
        })
        .collect()
}
