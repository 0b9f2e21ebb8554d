//! Files that were extracted, changed before they are put in place: below a folder handle, never
//! through a link.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, ensure};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use super::below::{Below, Stamp};

/// A file that is larger is none that a person wrote.
const LARGEST_BYTES: u64 = 4 << 20;

/// Gives a file of text below a folder another text, and keeps its owner, mode and the time of the
/// folder around it. `change` gives nothing where nothing is to be changed.
///
/// # Errors
/// Where there is no such file, or something else is in its place; it stays as it is then.
pub fn edit(
    folder: &Path,
    path: &Path,
    change: impl FnOnce(&str) -> Option<String>,
) -> anyhow::Result<()> {
    let mut file = find(folder, path)?.context("it is not there")?;
    let status = file.metadata()?;
    ensure!(status.is_file() && status.len() <= LARGEST_BYTES, "it is no file of text");
    let mut text = String::new();
    file.read_to_string(&mut text).context("it is no file of text")?;
    match change(&text) {
        Some(new) => {
            let owner = (status.uid(), status.gid());
            put(folder, path, new.as_bytes(), owner, status.mode())
        }
        None => Ok(()),
    }
}

/// Makes a new file below a folder. It gets the owner of the folder around it; where that is root,
/// user and group of the program that will read it.
///
/// # Errors
/// Where something is in its place.
pub fn add(
    folder: &Path,
    path: &Path,
    content: &[u8],
    mode: u32,
    program: (u32, u32),
) -> anyhow::Result<()> {
    ensure!(find(folder, path)?.is_none(), "something is there already");
    let around = find(folder, around(path))?.context("the folder around it is not there")?;
    let around = around.metadata()?;
    let owner = if around.uid() == 0 { program } else { (around.uid(), around.gid()) };
    put(folder, path, content, owner, mode)
}

fn put(
    folder: &Path,
    path: &Path,
    content: &[u8],
    owner: (u32, u32),
    mode: u32,
) -> anyhow::Result<()> {
    let mut below = Below::open(folder, None)?;
    let outside = find(folder, around(path))?.context("the folder around it is not there")?;
    let outside = outside.metadata()?;
    below.file(path, &mut &content[..])?;
    let now = std::time::UNIX_EPOCH.elapsed()?.as_secs();
    let stamp = |mode, (uid, gid), mtime| Stamp { mode: mode & 0o7777, uid, gid, mtime };
    below.stamp(path, &stamp(mode, owner, (now.cast_signed(), 0)))?;
    let (owner, mtime) = ((outside.uid(), outside.gid()), (outside.mtime(), outside.mtime_nsec()));
    below.stamp(around(path), &stamp(outside.mode(), owner, mtime))
}

fn around(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// What is at a path, where that is reached without a link.
fn find(folder: &Path, path: &Path) -> anyhow::Result<Option<File>> {
    let top = File::open(folder).with_context(|| format!("opening {}", folder.display()))?;
    let how = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    // Whoever sends a pipe must not make us wait.
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
    match openat2(top, path, OpenHow::new().flags(flags).resolve(how)) {
        Ok(handle) => Ok(Some(handle.into())),
        Err(Errno::ENOENT) => Ok(None),
        Err(Errno::ELOOP | Errno::EXDEV) => anyhow::bail!("a link is in its path"),
        Err(err) => Err(err).context("opening it"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn write(path: &Path) {
        let mut file = File::create(path).expect("a file");
        file.write_all(b"old").expect("there is room");
    }

    #[test]
    fn a_file_is_changed_and_what_is_around_it_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("root");
        fs::create_dir(&inner).expect("a folder");
        let path = inner.join("a.yaml");
        write(&path);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("it is ours");
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        File::open(&inner).and_then(|it| it.set_modified(long_ago)).expect("it is ours");
        edit(folder.path(), Path::new("root/a.yaml"), |it| Some(format!("{it} and new")))
            .expect("it is a file");
        assert_eq!(fs::read_to_string(&path).expect("the file"), "old and new");
        assert_eq!(fs::metadata(&path).expect("the file").mode() & 0o7777, 0o640);
        add(folder.path(), Path::new("root/b"), b"b", 0o600, (1, 2)).expect("nothing is there");
        assert_eq!(fs::metadata(inner.join("b")).expect("the file").mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(&inner).expect("it").modified().expect("a time"), long_ago);
        add(folder.path(), Path::new("root/b"), b"c", 0o600, (1, 2)).expect_err("it is there");
    }

    #[test]
    fn no_link_is_followed() {
        let (folder, other) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let outside = other.path().join("x");
        write(&outside);
        symlink(&outside, folder.path().join("file")).expect("a link");
        symlink(other.path(), folder.path().join("folder")).expect("a link");
        for path in ["file", "folder/x", "../x", "folder/../x"] {
            edit(folder.path(), Path::new(path), |_| Some("new".to_owned())).expect_err(path);
            add(folder.path(), Path::new(path), b"new", 0o600, (1, 2)).expect_err(path);
        }
        add(folder.path(), Path::new("folder/new"), b"new", 0o600, (1, 2))
            .expect_err("a link is there");
        assert_eq!(fs::read_to_string(&outside).expect("the file"), "old");
        assert!(!other.path().join("new").exists());
    }
}
