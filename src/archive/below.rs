//! A folder below which files are made, and which cannot be left.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{
    FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmodat, fstatat, mkdirat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, linkat, symlinkat, unlinkat};

/// Who, when and which bits of something that was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: (i64, i64),
}

/// Zeros in pieces of this size become holes.
const PIECE: usize = 64 * 1024;

static ZEROS: [u8; PIECE] = [0; PIECE];

const FOLDER: OFlag =
    OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC).union(OFlag::O_RDONLY);

/// A file by the folder that holds it, and its name there.
#[derive(Debug)]
pub(super) struct First {
    parent: OwnedFd,
    name: OsString,
}

/// A handle on a folder. All paths are relative to it.
#[derive(Debug)]
pub(super) struct Below {
    top: OwnedFd,
    /// Who owns the folders that are made only because something lies in them.
    owner: Option<(u32, u32)>,
    /// The folder of the last entry: entries come folder by folder.
    last: Option<(PathBuf, OwnedFd)>,
    piece: Vec<u8>,
}

impl Below {
    pub(super) fn open(folder: &Path, owner: Option<(u32, u32)>) -> anyhow::Result<Below> {
        let top = open(folder, FOLDER, Mode::empty())
            .with_context(|| format!("opening {}", folder.display()))?;
        Ok(Below { top, owner, last: None, piece: vec![0; PIECE] })
    }

    /// Makes a folder; one that is there stays.
    pub(super) fn folder(&mut self, path: &Path) -> anyhow::Result<()> {
        let (parent, name) = self.parent(path)?;
        match mkdirat(parent, name, Mode::S_IRWXU) {
            Ok(()) => Ok(()),
            Err(Errno::EEXIST) => openat(parent, name, FOLDER, Mode::empty())
                .map(drop)
                .context("something else is already in its place"),
            Err(err) => Err(err).context("making the folder"),
        }
    }

    /// Makes a file out of `content`, with holes where it is zero. The last one of a name counts: it
    /// takes the place of an earlier file or link.
    pub(super) fn file(&mut self, path: &Path, content: &mut dyn Read) -> anyhow::Result<()> {
        let mut piece = std::mem::take(&mut self.piece);
        let flags =
            OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let (parent, name) = self.parent(path)?;
        let make = || openat(parent, name, flags, Mode::S_IRUSR | Mode::S_IWUSR);
        let made = match make() {
            Err(Errno::EEXIST) => {
                clear(parent, name)?;
                make()
            }
            made => made,
        };
        let file = made.context("making the file")?;
        let written = copy_with_holes(content, File::from(file), &mut piece);
        self.piece = piece;
        written
    }

    /// Makes a link, which takes the place of an earlier file or link.
    pub(super) fn symlink(&mut self, path: &Path, target: &[u8]) -> anyhow::Result<()> {
        let (parent, name) = self.parent(path)?;
        let make = || symlinkat(OsStr::from_bytes(target), parent, name);
        let made = match make() {
            Err(Errno::EEXIST) => {
                clear(parent, name)?;
                make()
            }
            made => made,
        };
        made.context("making the link")
    }

    /// A file that is already there, to give it further names.
    pub(super) fn first(&mut self, path: &Path) -> anyhow::Result<First> {
        const GONE: &str = "the file that it is a link to is not there";
        let name = path.file_name().context(GONE)?;
        self.find(path.parent().unwrap_or(Path::new("")), false).context(GONE)?;
        let (parent, _) = self.parent(path)?;
        Ok(First { parent: parent.try_clone_to_owned()?, name: name.to_owned() })
    }

    /// Gives `first` the further name `path`; makes a copy where it lies in another file system.
    pub(super) fn hard_link(
        &mut self,
        first: &First,
        path: &Path,
        stamp: &Stamp,
    ) -> anyhow::Result<()> {
        let (parent, name) = self.parent(path)?;
        // A link is not followed: it gets a further name itself.
        let link = || linkat(&first.parent, first.name.as_os_str(), parent, name, AtFlags::empty());
        let linked = match link() {
            Err(Errno::EEXIST) if is_same((first.parent.as_fd(), &first.name), (parent, name))? => {
                Ok(())
            }
            Err(Errno::EEXIST) => {
                clear(parent, name)?;
                link()
            }
            linked => linked,
        };
        match linked {
            Err(Errno::EXDEV) => (),
            Err(Errno::ENOENT) => anyhow::bail!("the file that it is a link to is not there"),
            Err(Errno::EPERM) => anyhow::bail!("what it is a link to is a folder"),
            linked => return linked.context("linking the file"),
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(&first.parent, first.name.as_os_str(), flags, Mode::empty())
            .context("opening the file that it is a link to")?;
        self.file(path, &mut File::from(file))?;
        self.stamp(path, stamp)
    }

    /// Sets owner, mode and time of what is at `path`. The owner comes first: it clears the bits
    /// that make a program run as its owner.
    pub(super) fn stamp(&mut self, path: &Path, stamp: &Stamp) -> anyhow::Result<()> {
        let (parent, name) = self.parent(path)?;
        let owner = (Some(Uid::from_raw(stamp.uid)), Some(Gid::from_raw(stamp.gid)));
        let mut mode = Mode::from_bits_truncate(stamp.mode);
        match fchownat(parent, name, owner.0, owner.1, AtFlags::AT_SYMLINK_NOFOLLOW) {
            // Without the right to give files away they stay with whoever restores, and must not
            // run as them for others.
            Err(Errno::EPERM) if !Uid::effective().is_root() => {
                mode.remove(Mode::S_ISUID | Mode::S_ISGID);
            }
            done => done.context("setting the owner")?,
        }
        if !is_symlink(parent, name)? {
            fchmodat(parent, name, mode, FchmodatFlags::FollowSymlink)
                .context("setting the mode")?;
        }
        let time = TimeSpec::new(stamp.mtime.0, stamp.mtime.1);
        utimensat(parent, name, &time, &time, UtimensatFlags::NoFollowSymlink)
            .context("setting the time")
    }

    /// The folder that holds the last component of a path, made where it is missing.
    fn parent<'a>(&mut self, path: &'a Path) -> anyhow::Result<(BorrowedFd<'_>, &'a OsStr)> {
        let name = path.file_name().context("it has no name")?;
        let handle = self.find(path.parent().unwrap_or(Path::new("")), true)?;
        Ok((handle, name))
    }

    /// A folder, made where it is missing and that is wanted.
    fn find(&mut self, folder: &Path, make: bool) -> anyhow::Result<BorrowedFd<'_>> {
        if self.last.as_ref().is_none_or(|(it, _)| it != folder) {
            let handle = match self.at_once(folder) {
                Some(handle) => handle,
                None => self.step_by_step(folder, make)?,
            };
            self.last = Some((folder.to_owned(), handle));
        }
        Ok(self.last.as_ref().expect("it was set just now").1.as_fd())
    }

    /// A folder that is there, in one call: step by step, folders a thousand levels deep would
    /// take a thousand calls each. None where the kernel cannot, or a step has to look closer.
    fn at_once(&self, folder: &Path) -> Option<OwnedFd> {
        if folder.as_os_str().is_empty() {
            return None;
        }
        let how = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        openat2(&self.top, folder, OpenHow::new().flags(FOLDER).resolve(how)).ok()
    }

    fn step_by_step(&self, folder: &Path, make: bool) -> anyhow::Result<OwnedFd> {
        let mut handle = self.top.try_clone()?;
        for component in folder {
            handle = self.enter(handle.as_fd(), component, make)?;
        }
        Ok(handle)
    }

    /// Opens a folder in a folder, never through a link.
    fn enter(&self, parent: BorrowedFd<'_>, name: &OsStr, make: bool) -> anyhow::Result<OwnedFd> {
        match openat(parent, name, FOLDER, Mode::empty()) {
            Ok(handle) => Ok(handle),
            Err(Errno::ENOENT) if make => {
                mkdirat(parent, name, Mode::S_IRWXU).context("making the folder around it")?;
                let handle = openat(parent, name, FOLDER, Mode::empty())
                    .context("opening the folder around it")?;
                if let Some((uid, gid)) = self.owner {
                    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
                    match fchown(&handle, Some(uid), Some(gid)) {
                        Err(Errno::EPERM) if !Uid::effective().is_root() => (),
                        done => done.context("setting the owner of the folder around it")?,
                    }
                }
                Ok(handle)
            }
            Err(err) => Err(err)
                .with_context(|| format!("{} in its path is not a folder", name.to_string_lossy())),
        }
    }
}

/// Removes a file or link for what comes in its place.
fn clear(parent: BorrowedFd<'_>, name: &OsStr) -> anyhow::Result<()> {
    unlinkat(parent, name, UnlinkatFlags::NoRemoveDir)
        .context("something else is already in its place")
}

fn is_symlink(parent: BorrowedFd<'_>, name: &OsStr) -> anyhow::Result<bool> {
    let status = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let kind = SFlag::from_bits_truncate(status.st_mode);
    Ok(kind & SFlag::S_IFMT == SFlag::S_IFLNK)
}

/// Whether two names are of one file. Where the first is nowhere, they are not.
fn is_same(one: (BorrowedFd<'_>, &OsStr), other: (BorrowedFd<'_>, &OsStr)) -> anyhow::Result<bool> {
    let one = match fstatat(one.0, one.1, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => anyhow::bail!("the file that it is a link to is not there"),
        status => status?,
    };
    let other = fstatat(other.0, other.1, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

fn copy_with_holes(content: &mut dyn Read, mut file: File, piece: &mut [u8]) -> anyhow::Result<()> {
    let (mut size, mut ends_in_hole) = (0, false);
    loop {
        let n = fill(content, piece)?;
        if n == 0 {
            break;
        }
        size += n as u64;
        ends_in_hole = n == PIECE && *piece == ZEROS;
        if ends_in_hole {
            file.seek(SeekFrom::Current(n as i64))?;
        } else {
            file.write_all(&piece[..n]).context("writing the file")?;
        }
    }
    // Only then: xfs would wait until the whole file is on the disk.
    if ends_in_hole {
        file.set_len(size).context("writing the file")?;
    }
    Ok(())
}

/// Reads until the piece is full or the content ends, so that holes do not depend on how the
/// stream happens to be cut.
fn fill(content: &mut dyn Read, piece: &mut [u8]) -> anyhow::Result<usize> {
    let mut n = 0;
    while n < piece.len() {
        match content.read(&mut piece[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => (),
            Err(err) => return Err(err).context("reading the archive"),
        }
    }
    Ok(n)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn zeros_become_holes_and_no_byte_is_missing() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut below = Below::open(folder.path(), None).expect("a handle");
        let (zeros, text) = (vec![0; 4 * PIECE], vec![b'x'; PIECE]);
        let contents = [
            Vec::new(),
            vec![0; 10],
            zeros.clone(),
            [&zeros[..], b"end"].concat(),
            [&text[..], &zeros].concat(),
            [&text[..], &zeros, &text, &zeros[..7]].concat(),
        ];
        for (n, content) in contents.iter().enumerate() {
            let path = PathBuf::from(format!("folder/{n}"));
            below.file(&path, &mut &content[..]).expect("a file");
            let path = folder.path().join(path);
            assert!(fs::read(&path).expect("the file") == *content, "{n}");
        }
        let hole = fs::metadata(folder.path().join("folder/2")).expect("the file");
        assert_eq!(hole.blocks(), 0);
    }
}
