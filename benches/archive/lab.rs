//! What a run needs beside this program: the tree, Python's packages, room, and a clean cache.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use hearthkeep::fsx;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// All rounds stay until the end: five trees of 1.1 GB and four files of 0.6 GB each.
const ROOM: u64 = 26_000_000_000;

/// The folder in which everything lies.
pub(crate) struct Lab {
    folder: PathBuf,
    /// The tree that everybody archives.
    pub(crate) tree: PathBuf,
    /// A Python that has the packages of `requirements.txt`.
    pub(crate) python: PathBuf,
}

impl Lab {
    /// Makes what is not there yet.
    pub(crate) fn prepare() -> anyhow::Result<Lab> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
        fs::create_dir_all(&folder)?;
        let python = folder.join("venv/bin/python3");
        let lab = Lab { tree: folder.join("tree"), python, folder };
        lab.packages()?;
        eprintln!("making the tree, where it is not there yet (some minutes)");
        let mut tree = Command::new("python3");
        tree.arg(script("tree.py")).arg(&lab.tree);
        succeed(&mut tree)?;
        let room = fsx::room(&lab.folder)?;
        let gb = |bytes| bytes / 1_000_000_000;
        anyhow::ensure!(room >= ROOM, "{} GB are free, {} are needed", gb(room), gb(ROOM));
        Ok(lab)
    }

    /// The folder of a round. No two runs share one: what a broken run left is in nobody's way.
    pub(crate) fn round(&self, round: usize) -> PathBuf {
        self.rounds().join(format!("{}-{round}", std::process::id()))
    }

    /// Removes all rounds, those of broken runs too.
    pub(crate) fn clean(&self) -> anyhow::Result<()> {
        match fs::remove_dir_all(self.rounds()) {
            Err(err) if err.kind() != ErrorKind::NotFound => {
                Err(err).context("removing the rounds")
            }
            _ => Ok(()),
        }
    }

    /// A time for something else than the tree is worth nothing. Only the empty log may be more,
    /// which Home Assistant expects beside its database.
    pub(crate) fn compare(&self, extracted: &Path) -> anyhow::Result<()> {
        let mut diff = Command::new("diff");
        diff.args(["-rq", "--no-dereference", "--exclude=home-assistant_v2.db-wal"]);
        diff.arg(&self.tree).arg(extracted);
        succeed(&mut diff).context("comparing what was extracted with the tree")
    }

    fn rounds(&self) -> PathBuf {
        self.folder.join("rounds")
    }

    fn packages(&self) -> anyhow::Result<()> {
        let wanted = fs::read_to_string(script("requirements.txt"))?;
        let stamp = self.folder.join("venv.stamp");
        if self.python.exists() && fs::read_to_string(&stamp).is_ok_and(|it| it == wanted) {
            return Ok(());
        }
        let venv = self.folder.join("venv");
        succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))
            .context("making a virtual environment (Debian's package python3-venv)")?;
        let mut install = Command::new(&self.python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
        succeed(install.arg(script("requirements.txt")))?;
        File::create(&stamp)?.write_all(wanted.as_bytes())?;
        Ok(())
    }
}

/// A file beside this one.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/archive").join(name)
}

/// Reads everything into the cache, when nothing of earlier commands is being written any more.
pub(crate) fn warm(path: &Path) -> anyhow::Result<()> {
    nix::unistd::sync();
    each_file(path, &mut |file| io::copy(&mut &*file, &mut io::sink()).map(drop))?;
    Ok(())
}

/// Takes what was extracted out of the cache again, so that the next command finds memory which
/// this machine already has; memory fresh from the host of a virtual machine is slow.
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

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    // Our standard output is the result alone.
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("starting {name}"))?;
    let said = [output.stdout, output.stderr].concat();
    anyhow::ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&said).trim());
    Ok(())
}
