//! Folders that are captured and archived without any engine, and read back in three ways.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use hearthkeep::archive::{self, Archive, Checks, Metadata, ROOT, Target, Wrapping, Written};
use hearthkeep::capture::{Capture, Source, Staging};
use hearthkeep::fsx::Draft;
use hearthkeep::model::{Item, Part, PartKind, Tree};
use hearthkeep::monitor::{Monitor, Quiet};
use tokio_util::sync::CancellationToken;

use crate::support::Bench;
use crate::support::home::{tool, write};

/// Longer ago than anything counts as recent.
const LONG_AGO: Duration = Duration::from_secs(1_600_000_000);

/// Folders that become one part.
pub(crate) struct Scene {
    pub(crate) bench: Bench,
    /// The folders with their prefixes in the inner tar.
    roots: Vec<(&'static str, PathBuf)>,
}

/// An archive that was made of a scene.
pub(crate) struct Archived {
    folder: tempfile::TempDir,
    pub(crate) written: Written,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let bench = Bench::new();
        let roots = vec![("", bench.folder("share"))];
        Scene { bench, roots }
    }

    /// A scene of folders that lie anywhere.
    pub(crate) fn of(roots: Vec<(&'static str, PathBuf)>) -> Scene {
        Scene { bench: Bench::new(), roots }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.roots[0].1.join(name)
    }

    /// Writes a file that nobody has written for long.
    pub(crate) fn cold(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        write(&path, content);
        age(&path);
        path
    }

    pub(crate) fn look(&self) -> Capture {
        Capture::look(vec![self.source()]).expect("it can be looked at")
    }

    /// A capture that is warm.
    pub(crate) fn warm(&self) -> Capture {
        let mut capture = self.look();
        let staging = Staging { folder: self.bench.folder("staging"), room: 1 << 30 };
        capture.begin(&staging).expect("there is room");
        capture.warm(&|| Ok(())).expect("it can be copied");
        capture
    }

    fn source(&self) -> Source {
        let tree = |(prefix, root): &(&str, PathBuf)| Tree {
            prefix: (*prefix).to_owned(),
            source: root.clone(),
            destination: Path::new("/share").join(prefix),
            container: "homeassistant".to_owned(),
            volume: None,
        };
        Source {
            part: Part {
                item: Item::Folder("share"),
                kind: PartKind::Folder,
                trees: self.roots.iter().map(tree).collect(),
                image: "image".to_owned(),
                exclude: Vec::new(),
                exclude_kept: Vec::new(),
            },
            roots: self.roots.iter().map(|(_, root)| root.clone()).collect(),
            stops: Vec::new(),
            store: self.bench.folder("store"),
            at_one_instant: false,
        }
    }

    /// Archives what was captured.
    pub(crate) fn archive(&self, capture: &Capture) -> Archived {
        self.archive_while(capture, u64::MAX, &|| ())
    }

    /// Archives what was captured, and does something when so many bytes of it are written.
    pub(crate) fn archive_while(
        &self,
        capture: &Capture,
        bytes: u64,
        deed: &(dyn Fn() + Sync),
    ) -> Archived {
        let folder = tempfile::tempdir_in(self.bench.path()).expect("a temporary folder");
        let now = "2026-01-01T00:00:00Z".parse().expect("a date");
        let parts: Vec<Part> = capture.parts().cloned().collect();
        let metadata = Metadata::new("scene", now, &parts, true);
        let draft = Draft::create(&folder.path().join("it.tar")).expect("a draft");
        let meddler = Meddler { bytes, deed, seen: AtomicU64::new(0) };
        let again: archive::Again<'_> = &|part, names| capture.retake(part, names, &|| Ok(()));
        let wrapper = Wrapping::default().prepare().expect("no keys are needed");
        let cancel = CancellationToken::new();
        let written = archive::write(capture, metadata, &draft, &wrapper, again, &cancel, &meddler)
            .unwrap_or_else(|err| panic!("aborted: {err:#}"));
        let seen = meddler.seen.into_inner();
        assert!(bytes == u64::MAX || seen >= bytes, "nothing was done: {seen} bytes");
        draft.name().expect("it can be named");
        Archived { folder, written }
    }

    /// Captures and archives, with something done at each turn; sees that nothing is to be told.
    pub(crate) fn through(&self, between: impl FnOnce(), after: impl FnOnce()) -> Archived {
        let mut capture = self.warm();
        between();
        capture.settle(&|| Ok(())).expect("it can be taken");
        after();
        capture.let_go();
        let archived = self.archive(&capture);
        assert_eq!(archived.written.warnings, [""; 0]);
        archived
    }
}

impl Archived {
    fn path(&self) -> PathBuf {
        self.folder.path().join("it.tar")
    }

    /// Extracts it as a restore does; gives the folder.
    pub(crate) fn extract(&self) -> PathBuf {
        let cancel = CancellationToken::new();
        let archive = Archive::open(&self.path()).expect("it is a backup");
        let verdict =
            archive::verify(&archive, Checks::default(), &cancel, &Quiet).expect("it can be read");
        assert_eq!(verdict.problems, []);
        let staging = self.folder("hearthkeep");
        let target = Target { staging: staging.clone(), ..Default::default() };
        let member = archive.member_of(&Item::Folder("share")).expect("it is in it");
        let done = archive::extract(&archive, member, &[target], &cancel, &Quiet);
        assert_eq!(done.expect("it can be extracted").warnings, [""; 0]);
        staging.join(ROOT)
    }

    /// Extracts it as hearthkeep, GNU tar and Python's `tarfile` do; gives the folders.
    pub(crate) fn extract_in_three_ways(&self) -> [PathBuf; 3] {
        let outer = self.folder("outer");
        tar(&self.path(), &outer);
        let inner = outer.join("share.tar.gz");
        let [by_tar, by_python] = ["tar", "python"].map(|it| self.folder(it));
        tar(&inner, &by_tar);
        let words = [BY_PYTHON, &inner.display().to_string(), &by_python.display().to_string()];
        tool("python3", &[&["-c"], words.as_slice()].concat());
        [self.extract(), by_tar, by_python]
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).expect("it is not there yet");
        folder
    }
}

/// As the Supervisor and Home Assistant extract.
const BY_PYTHON: &str = "import sys, tarfile
with tarfile.open(sys.argv[1]) as it: it.extractall(sys.argv[2], filter='fully_trusted')";

fn tar(file: &Path, folder: &Path) {
    let [file, folder] = [file, folder].map(|it| it.display().to_string());
    tool("tar", &["-x", "-f", &file, "-C", &folder]);
}

/// Does something once so many bytes were archived.
struct Meddler<'a> {
    bytes: u64,
    deed: &'a (dyn Fn() + Sync),
    seen: AtomicU64,
}

impl Monitor for Meddler<'_> {
    fn step(&self, _step: &str, _bytes: u64) {}
    fn part(&self, _part: &str) {}
    fn advance(&self, bytes: u64) {
        let before = self.seen.fetch_add(bytes, Ordering::Relaxed);
        if before < self.bytes && before + bytes >= self.bytes {
            (self.deed)();
        }
    }
}

/// Makes a file one that nobody has written for long.
pub(crate) fn age(path: &Path) {
    let file = File::options().write(true).open(path).expect("it is there");
    file.set_modified(SystemTime::UNIX_EPOCH + LONG_AGO).expect("the time can be set");
}

/// Writes over the first bytes of a file in its place.
pub(crate) fn overwrite(path: &Path, content: &[u8]) {
    let mut file = File::options().write(true).open(path).expect("it is there");
    file.write_all(content).expect("it can be written");
}

/// A small file system in memory, unmounted when the test is over.
pub(crate) struct Memory(tempfile::TempDir);

impl Memory {
    pub(crate) fn new(mebibytes: u64) -> Memory {
        let memory = Memory(tempfile::tempdir().expect("a temporary folder"));
        let (size, path) = (format!("size={mebibytes}m"), memory.path().display().to_string());
        tool("mount", &["-t", "tmpfs", "-o", &size, "none", &path]);
        memory
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Bytes that are taken.
    pub(crate) fn used(&self) -> u64 {
        let it = nix::sys::statvfs::statvfs(self.path()).expect("it is mounted");
        (it.blocks() - it.blocks_free()) * it.fragment_size()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // Nothing may panic in here.
        _ = Command::new("umount").args(["--lazy".as_ref(), self.path().as_os_str()]).output();
    }
}
