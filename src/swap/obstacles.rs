//! What would be in the way of an exchange, found without a trace and before anybody is stopped.
//!
//! Each is a sentence that ends in its cure.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::statvfs::FsFlags;
use nix::unistd::AccessFlags;
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
use tokio_util::sync::CancellationToken;

use super::exchange::{is_folder, names};
use super::staging::is_staging;
use crate::reach;
use crate::signals;

/// Nobody needs more to know what to do.
const MAX_TOLD: usize = 10;

/// What is in the way of a target. What is one of `stays` and not among what is kept was reached in
/// another way than its path tells, and would go with the old content.
///
/// # Errors
/// [`signals::Cancelled`].
pub(super) fn obstacles<'a>(
    target: &Path,
    folder: &Path,
    keep: &HashSet<PathBuf>,
    stays: &'a [PathBuf],
    cancel: &CancellationToken,
) -> anyhow::Result<Vec<String>> {
    let around = folder.parent().unwrap_or(folder);
    if let Some(obstacle) = closed(around) {
        return Ok(vec![obstacle]);
    }
    let known = |it: &'a PathBuf| Some((identity(&fs::metadata(it).ok()?), it.as_path()));
    let stays = stays.iter().filter_map(known).collect();
    let swap = swap_files();
    let mut look = Look { keep, stays, target, swap, cancel, told: Vec::new(), n_untold: 0 };
    if is_folder(target) {
        look.emptied(target)?;
    } else {
        look.flags(around);
        look.replaced_file()?;
    }
    if look.n_untold > 0 {
        let n = look.n_untold;
        look.told.push(format!("{n} more in {} cannot be replaced either", target.display()));
    }
    Ok(look.told)
}

/// Why nothing can be made in a folder, if nothing can.
fn closed(folder: &Path) -> Option<String> {
    let at = folder.display();
    let flags = nix::sys::statvfs::statvfs(folder).map(|it| it.flags());
    if flags.is_ok_and(|it| it.contains(FsFlags::ST_RDONLY)) {
        return Some(format!("{at} is read-only: mount it for writing"));
    }
    // A folder that is immutable is refused in another way, and told by its flag.
    let access = nix::unistd::access(folder, AccessFlags::W_OK | AccessFlags::X_OK);
    (access == Err(Errno::EACCES))
        .then(|| format!("{at} cannot be written by this user: run hearthkeep as root"))
}

struct Look<'a> {
    target: &'a Path,
    keep: &'a HashSet<PathBuf>,
    stays: Vec<(Identity, &'a Path)>,
    swap: BTreeSet<PathBuf>,
    cancel: &'a CancellationToken,
    told: Vec<String>,
    n_untold: u64,
}

impl Look<'_> {
    /// A folder that stays while what is in it goes.
    fn emptied(&mut self, folder: &Path) -> anyhow::Result<()> {
        self.flags(folder);
        for path in self.children(folder)? {
            let below = path.strip_prefix(self.target).unwrap_or(&path);
            if is_staging(&path) || self.keep.contains(below) {
                continue;
            }
            if is_folder(&path) && self.keep.iter().any(|it| it.starts_with(below)) {
                self.emptied(&path)?;
            } else {
                self.moved(path)?;
            }
        }
        Ok(())
    }

    /// Something that goes with all that is in it. Deep inside it could be moved still, but not
    /// removed when the restored home has proved itself.
    fn moved(&mut self, path: PathBuf) -> anyhow::Result<()> {
        // Folders can be deeper than any stack.
        let mut waiting = vec![path];
        while let Some(path) = waiting.pop() {
            self.flags(&path);
            self.is_none_of_stays(&path);
            if is_folder(&path) {
                waiting.extend(self.children(&path)?);
            }
        }
        Ok(())
    }

    /// The home goes on meanwhile: what is gone is in nobody's way.
    fn children(&self, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
        signals::check(self.cancel)?;
        let names = names(folder).unwrap_or_default();
        Ok(names.into_iter().map(|it| folder.join(it)).collect())
    }

    /// A file that is a mount. Only a name in a folder can be given to another file.
    fn replaced_file(&mut self) -> anyhow::Result<()> {
        signals::check(self.cancel)?;
        let target = self.target;
        if reach::mounted_below(target)?.iter().any(|it| it.as_os_str().is_empty()) {
            let at = target.display();
            self.tell(format!(
                "{at} cannot be replaced: it is mounted on its own here; mount the folder around it"
            ));
        }
        self.flags(target);
        Ok(())
    }

    fn flags(&mut self, path: &Path) {
        // Where the file system or an old engine's filter tells nothing, nothing is known.
        let status = rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE);
        let has = |flag| status.as_ref().is_ok_and(|it| it.stx_attributes.contains(flag));
        let at = path.display();
        if has(StatxAttributes::IMMUTABLE) {
            self.tell(format!("{at} cannot be replaced: it is immutable; `chattr -i` allows it"));
        } else if has(StatxAttributes::APPEND) {
            self.tell(format!("{at} cannot be replaced: it is append-only; `chattr -a` allows it"));
        } else if self.swap.contains(path) {
            self.tell(format!(
                "{at} cannot be replaced: the host swaps to it; `swapoff` ends that"
            ));
        }
    }

    fn is_none_of_stays(&mut self, path: &Path) {
        if self.stays.is_empty() {
            return;
        }
        let Ok(status) = path.symlink_metadata() else { return };
        // Of a file that has other names, one may go.
        let is_last = status.is_dir() || status.nlink() == 1;
        let identity = identity(&status);
        let same = self.stays.iter().find(|(it, _)| *it == identity).filter(|_| is_last);
        if let Some((_, stays)) = same {
            self.tell(format!(
                "{} cannot be replaced: it is {}, where backups are, by another way; move the backups out of the home, or name their folder by its path there",
                path.display(),
                stays.display()
            ));
        }
    }

    fn tell(&mut self, obstacle: String) {
        match self.told.len() < MAX_TOLD {
            true => self.told.push(obstacle),
            false => self.n_untold += 1,
        }
    }
}

/// What two ways to one folder or file have in common: device and inode.
type Identity = (u64, u64);

fn identity(status: &Metadata) -> Identity {
    (status.dev(), status.ino())
}

/// The files to which the host swaps.
fn swap_files() -> BTreeSet<PathBuf> {
    swap_files_in(&fs::read_to_string("/proc/swaps").unwrap_or_default())
}

fn swap_files_in(table: &str) -> BTreeSet<PathBuf> {
    let files = table.lines().skip(1).filter_map(|it| it.split_whitespace().next());
    files.map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_file_is_in_the_way() {
        let (keep, cancel) = (HashSet::new(), CancellationToken::new());
        let target = Path::new("/target");
        let swap =
            swap_files_in("Filename\tType\tSize\n/dev/vdb partition 1\n/target/swap file 2\n");
        let mut look = Look {
            keep: &keep,
            stays: vec![],
            target,
            swap,
            cancel: &cancel,
            told: vec![],
            n_untold: 0,
        };
        look.flags(Path::new("/target/other"));
        assert_eq!(look.told, [""; 0]);
        look.flags(Path::new("/target/swap"));
        assert!(look.told[0].contains("swapoff"), "{:?}", look.told);
    }

    #[test]
    fn the_store_by_another_way_is_in_the_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("home");
        let store = target.join("deep/backups");
        fs::create_dir_all(&store).expect("a folder");
        let alias = folder.path().join("alias");
        std::os::unix::fs::symlink(&store, &alias).expect("a link");
        let found = |keep: &[&str]| {
            let keep = keep.iter().map(PathBuf::from).collect();
            let staging = target.join("staging");
            obstacles(
                &target,
                &staging,
                &keep,
                std::slice::from_ref(&alias),
                &CancellationToken::new(),
            )
            .expect("it is not cancelled")
        };
        let told = found(&[]);
        assert!(told.len() == 1 && told[0].contains("where backups are"), "{told:?}");
        assert_eq!(found(&["deep/backups"]), [""; 0]);
        // A link to it can go.
        fs::rename(&store, folder.path().join("elsewhere")).expect("it is there");
        fs::remove_file(&alias).expect("it is there");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &alias).expect("a link");
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), &store).expect("a link");
        assert_eq!(found(&[]), [""; 0]);
    }
}
