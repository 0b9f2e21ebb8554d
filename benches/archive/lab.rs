//! What a run needs beside this program: trees, Python's packages, room, and a clean cache.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use hearthkeep::fsx;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::command::finish;
use super::disk::Disk;

/// The large tree, its backup, and what is extracted of it.
const ROOM: u64 = 26_000_000_000;

/// Room for what is extracted; nothing takes it before.
const DISK_BYTES: u64 = 16_000_000_000;

/// How many times smaller than meant everything is when it is only tried.
const SCALE: u64 = 40;

/// A folder that everybody archives.
pub(crate) struct Tree {
    /// What the tables call it.
    pub(crate) name: &'static str,
    pub(crate) folder: PathBuf,
    /// So many that Python takes minutes.
    pub(crate) is_small_files: bool,
}

/// The folder in which everything lies.
pub(crate) struct Lab {
    pub(crate) folder: PathBuf,
    pub(crate) trees: [Tree; 2],
    /// A Python that has the packages of `requirements.txt`.
    pub(crate) python: PathBuf,
    pub(crate) rounds: usize,
    /// How many times smaller than meant everything is.
    pub(crate) scale: u64,
}

impl Lab {
    /// Makes what is not there yet.
    pub(crate) fn prepare(quick: bool, rounds: usize) -> anyhow::Result<Lab> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
        fs::create_dir_all(&folder)?;
        let python = packages(&folder)?;
        let (scale, end) = if quick { (SCALE, "-quick") } else { (1, "") };
        let tree = |name, kind| tree(name, &folder, kind, end, scale);
        let trees = [tree("a home", "home")?, tree("many small files", "small")?];
        let (room, needed) = (fsx::room(&folder)?, ROOM / scale);
        let gb = |bytes| bytes / 1_000_000_000;
        anyhow::ensure!(room >= needed, "{} GB are free, {} are needed", gb(room), gb(needed));
        Ok(Lab { trees, python, folder, rounds, scale })
    }

    /// A file system to extract to: ext4 would make new files slowly for some minutes after many
    /// were removed.
    pub(crate) fn disk(&self) -> anyhow::Result<Disk> {
        Disk::new(&self.folder, "xfs", DISK_BYTES)
    }
}

fn tree(
    name: &'static str,
    below: &Path,
    kind: &str,
    end: &str,
    scale: u64,
) -> anyhow::Result<Tree> {
    let folder = below.join([kind, end].concat());
    eprintln!("making {}, where it is not there yet (some minutes)", folder.display());
    let mut make = Command::new("python3");
    make.arg(script("tree.py")).arg(&folder).args([kind, &scale.to_string()]);
    finish(&mut make, &[0])?;
    Ok(Tree { name, folder, is_small_files: kind == "small" })
}

/// Gives the Python that has them.
fn packages(folder: &Path) -> anyhow::Result<PathBuf> {
    let (venv, stamp) = (folder.join("venv"), folder.join("venv.stamp"));
    let python = venv.join("bin/python3");
    let wanted = fs::read_to_string(script("requirements.txt"))?;
    if python.exists() && fs::read_to_string(&stamp).is_ok_and(|it| it == wanted) {
        return Ok(python);
    }
    finish(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv), &[0])
        .context("making a virtual environment (Debian's package python3-venv)")?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    finish(install.arg(script("requirements.txt")), &[0])?;
    File::create(&stamp)?.write_all(wanted.as_bytes())?;
    Ok(python)
}

/// A file beside this one.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/archive").join(name)
}

/// A time for something else than the tree is worth nothing. Only the empty log may be more,
/// which Home Assistant expects beside its database.
pub(crate) fn compare(tree: &Path, extracted: &Path) -> anyhow::Result<()> {
    let mut diff = Command::new("diff");
    diff.args(["-rq", "--no-dereference", "--exclude=home-assistant_v2.db-wal"]);
    diff.arg(tree).arg(extracted);
    finish(&mut diff, &[0]).context("comparing what was extracted with the tree")?;
    Ok(())
}

/// Reads everything into the cache, when nothing of earlier commands is being written any more.
pub(crate) fn warm(path: &Path) -> anyhow::Result<()> {
    nix::unistd::sync();
    each_file(path, &mut |file| io::copy(&mut &*file, &mut io::sink()).map(drop))?;
    Ok(())
}

/// Takes everything out of the cache.
pub(crate) fn forget(path: &Path) -> anyhow::Result<()> {
    nix::unistd::sync();
    let advice = PosixFadviseAdvice::POSIX_FADV_DONTNEED;
    each_file(path, &mut |file| posix_fadvise(file, 0, 0, advice).map_err(io::Error::from))?;
    Ok(())
}

fn each_file(path: &Path, visit: &mut dyn FnMut(&File) -> io::Result<()>) -> io::Result<()> {
    if !path.is_dir() {
        return visit(&File::open(path)?);
    }
    for entry in fs::read_dir(path)? {
        each_file(&entry?.path(), visit)?;
    }
    Ok(())
}
