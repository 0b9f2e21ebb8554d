//! What `std::fs` leaves open: files that appear whole or not at all, and folders that are on the
//! disk when they say so.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::libc;
use nix::sys::statfs::{TMPFS_MAGIC, statfs};

/// Ending of a file that is not finished; nothing that lists backups looks at it.
pub const PARTIAL: &str = "partial";

/// Begins the names of the folders in which a restore keeps what it exchanges.
pub const STAGING: &str = ".hearthkeep-restore";

/// The names below [`STAGING`] of what was there before: on its way, or all of it.
pub const STAGING_OLD: [&str; 2] = ["leaving", "old"];

/// A file that gets its name only when it is complete. Dropped before, it leaves nothing behind.
#[derive(Debug)]
pub struct Draft {
    file: File,
    draft: PathBuf,
    path: PathBuf,
    named: bool,
}

impl Draft {
    /// Starts `path` under a temporary name beside it, readable by the owner alone, since a
    /// backup holds secrets.
    pub fn create(path: &Path) -> anyhow::Result<Draft> {
        let draft = Draft::open(path, File::options().create(true).truncate(true))?;
        draft.give_to_owner_of_folder()?;
        Ok(draft)
    }

    /// The same for what nobody but the caller may read: it stays the caller's, and a draft that
    /// is already there is refused, since somebody else may have it open.
    pub fn create_secret(path: &Path) -> anyhow::Result<Draft> {
        Draft::open(path, File::options().create_new(true))
    }

    fn open(path: &Path, options: &mut OpenOptions) -> anyhow::Result<Draft> {
        let draft = draft_of(path);
        let file = options
            .read(true)
            .write(true)
            .mode(0o600)
            // Whoever may write there could have made it a link that leads anywhere.
            .custom_flags(libc::O_NOFOLLOW)
            .open(&draft)
            .with_context(|| format!("creating {}", draft.display()))?;
        Ok(Draft { file, draft, path: path.to_owned(), named: false })
    }

    /// Home Assistant may run as another user than this program, and must be able to read what
    /// lies in its own folder.
    fn give_to_owner_of_folder(&self) -> anyhow::Result<()> {
        if !nix::unistd::Uid::effective().is_root() {
            return Ok(());
        }
        let giving = || format!("giving {} its owner", self.draft.display());
        let owner = fs::metadata(folder_of(&self.path)).with_context(giving)?;
        match std::os::unix::fs::fchown(&self.file, Some(owner.uid()), Some(owner.gid())) {
            // Some network shares let not even root give files away.
            Err(err) if err.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
            done => done.with_context(giving),
        }
    }

    /// The file to write to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where it lies until it is named.
    pub fn draft_path(&self) -> &Path {
        &self.draft
    }

    fn sync(&self) -> anyhow::Result<()> {
        self.file.sync_all().with_context(|| format!("syncing {}", self.draft.display()))
    }

    /// Gives the file its name. On the disk when it returns. A file that is already there is
    /// never replaced.
    pub fn name(mut self) -> anyhow::Result<PathBuf> {
        self.sync()?;
        // A link fails where the name is taken; a rename would replace it. Where the file system
        // knows no links (FAT, some network shares) the check and the rename are two steps.
        match fs::hard_link(&self.draft, &self.path) {
            Ok(()) => {
                self.named = true;
                fs::remove_file(&self.draft)
                    .with_context(|| format!("removing {}", self.draft.display()))?;
            }
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => {
                anyhow::bail!(
                    "naming {}: a file of this name is already there",
                    self.path.display()
                )
            }
            Err(_) => {
                anyhow::ensure!(
                    !self.path.exists(),
                    "naming {}: a file of this name is already there",
                    self.path.display()
                );
                fs::rename(&self.draft, &self.path)
                    .with_context(|| format!("naming {}", self.path.display()))?;
                self.named = true;
            }
        }
        sync_folder(folder_of(&self.path))?;
        Ok(self.path.clone())
    }
}

impl Draft {
    /// Gives the file its name, in place of one that may be there. On the disk when it returns.
    pub fn replace(mut self) -> anyhow::Result<()> {
        self.sync()?;
        fs::rename(&self.draft, &self.path)
            .with_context(|| format!("naming {}", self.path.display()))?;
        self.named = true;
        sync_folder(folder_of(&self.path))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.named {
            // The reason why the draft was given up is what the user is told, not this.
            let _ = fs::remove_file(&self.draft);
        }
    }
}

impl Write for &Draft {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&self.file).write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&self.file).flush()
    }
}

/// Whether what was seen a moment ago is not there any more, or something of another kind is in
/// its place: a folder became a file, a file became a link or a socket.
pub fn has_changed(err: &io::Error) -> bool {
    const CODES: [i32; 5] = [libc::ENOENT, libc::ENOTDIR, libc::ELOOP, libc::ENXIO, libc::ESTALE];
    err.raw_os_error().is_some_and(|it| CODES.contains(&it))
}

/// Where a file lies until it is complete.
pub fn draft_of(path: &Path) -> PathBuf {
    path.with_added_extension(PARTIAL)
}

/// Whether there is a file, also by way of a link.
pub fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// Removes a file; gives whether there was one.
pub fn remove_if_there(path: &Path) -> anyhow::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(err) => Err(err).with_context(|| format!("removing {}", path.display())),
    }
}

/// The folder of a file, also of one that is named without any.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Brings the names of a folder to the disk.
pub fn sync_folder(folder: &Path) -> anyhow::Result<()> {
    File::open(folder)
        .and_then(|it| it.sync_all())
        .with_context(|| format!("syncing {}", folder.display()))
}

/// Bytes that a new file in `folder` may take, as an unprivileged process sees it.
pub fn room(folder: &Path) -> anyhow::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(folder)
        .with_context(|| format!("asking for the room in {}", folder.display()))?;
    Ok(stat.blocks_available() * stat.fragment_size())
}

/// Whether a file lies in memory, and so on no disk.
pub fn is_in_memory(path: &Path) -> bool {
    statfs(path).is_ok_and(|it| it.filesystem_type() == TMPFS_MAGIC)
}

/// Whether a file or folder is mounted where it lies.
pub fn is_mounted(path: &Path) -> bool {
    // The fifth word of a line; what cannot be read tells of no mount.
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts.lines().filter_map(|it| it.split(' ').nth(4)).any(|it| Path::new(it) == path)
}
