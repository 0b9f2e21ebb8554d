//! Files that change while they are read: a warning each, never an aborted run.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hearthkeep::archive::{self, Archive, Checks, Metadata, Wrapping, Written};
use hearthkeep::capture::{Capture, Source};
use hearthkeep::fsx::Draft;
use hearthkeep::model::{Item, Part, PartKind, Tree};
use hearthkeep::monitor::{Monitor, Quiet};
use tokio_util::sync::CancellationToken;

use crate::support::Bench;
use crate::support::home::{Home, write};

/// Does something once, when the first piece of the first file has been read.
struct Meddler<'a> {
    deed: &'a (dyn Fn() + Sync),
    done: AtomicBool,
}

impl Monitor for Meddler<'_> {
    fn step(&self, _step: &str, _bytes: u64) {}
    fn part(&self, _part: &str) {}
    fn advance(&self, _bytes: u64) {
        if !self.done.swap(true, Ordering::Relaxed) {
            (self.deed)();
        }
    }
}

/// A folder of which `a` is read first, in pieces, and then what is called like `b`.
struct Scene {
    bench: Bench,
}

impl Scene {
    fn new() -> Scene {
        let scene = Scene { bench: Bench::new() };
        write(&scene.path("a"), &"a".repeat(1_000_000));
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.bench.folder("share").join(name)
    }

    /// Archives the folder while `deed` changes it; gives the one warning.
    fn warning(&self, deed: impl Fn() + Sync) -> String {
        let written = self.archived(&deed);
        let [warning] = written.warnings.as_slice() else { panic!("{:?}", written.warnings) };
        warning.clone()
    }

    fn source(&self) -> Source {
        let root = self.bench.folder("share");
        let tree = Tree {
            prefix: String::new(),
            source: root.clone(),
            destination: "/share".into(),
            container: "homeassistant".to_owned(),
            volume: None,
        };
        let part = Part {
            item: Item::Folder("share"),
            kind: PartKind::Folder,
            trees: vec![tree],
            image: "image".to_owned(),
            exclude: Vec::new(),
            exclude_kept: Vec::new(),
        };
        Source {
            part,
            roots: vec![root],
            stops: Vec::new(),
            store: self.bench.folder("store"),
            at_one_instant: false,
        }
    }

    /// Archives the folder while `deed` changes it, and sees that the file is whole.
    fn archived(&self, deed: &(dyn Fn() + Sync)) -> Written {
        let source = self.source();
        let file = source.store.join("it.tar");
        _ = fs::remove_file(&file);
        let now = "2026-01-01T00:00:00Z".parse().expect("a date");
        let parts = std::slice::from_ref(&source.part);
        let metadata = Metadata::new("changing", now, parts, true);
        let draft = Draft::create(&file).expect("a draft");
        let wrapper = Wrapping::default().prepare().expect("no keys are needed");
        let cancel = CancellationToken::new();
        let meddler = Meddler { deed, done: AtomicBool::new(false) };
        let capture = Capture::look(vec![source]).expect("it can be looked at");
        let never: archive::Again<'_> = &|_, _| Ok(Vec::new());
        let written =
            archive::write(&capture, metadata, &draft, &wrapper, never, &cancel, &meddler)
                .unwrap_or_else(|err| panic!("aborted: {err:#}"));
        assert!(meddler.done.into_inner(), "nothing was changed");
        let archive = Archive::open(draft.draft_path()).expect("it is a backup");
        let verdict =
            archive::verify(&archive, Checks::default(), &cancel, &Quiet).expect("it can be read");
        assert_eq!(verdict.problems, []);
        written
    }
}

fn grow(path: &Path) {
    let mut file = File::options().append(true).open(path).expect("it is there");
    file.write_all(&[b'x'; 7]).expect("it can be written");
}

#[test]
fn a_file_that_grows_is_cut() {
    let scene = Scene::new();
    let path = scene.path("a");
    let warning = scene.warning(|| grow(&path));
    let wanted = format!("{} grew by 7 bytes while it was read", path.display());
    assert!(warning.starts_with(&wanted), "{warning}");
}

#[test]
fn a_file_that_shrinks_is_filled_with_zeros() {
    let scene = Scene::new();
    let path = scene.path("a");
    let shrink = || {
        let file = File::options().write(true).open(&path).expect("it is there");
        file.set_len(3).expect("a length can be set");
    };
    let warning = scene.warning(shrink);
    let wanted = format!("{} shrank by ", path.display());
    assert!(warning.starts_with(&wanted), "{warning}");
}

#[test]
fn what_vanishes_is_named() {
    let scene = Scene::new();
    write(&scene.path("b"), "b");
    let warning = scene.warning(|| fs::remove_file(scene.path("b")).expect("it is there"));
    assert_eq!(warning, format!("{} vanished before it could be read", scene.path("b").display()));

    let scene = Scene::new();
    write(&scene.path("b/c"), "c");
    let warning = scene.warning(|| fs::remove_dir_all(scene.path("b")).expect("it is there"));
    assert_eq!(
        warning,
        format!("{} vanished before it could be read", scene.path("b/c").display())
    );
}

/// One name that is a file, a link, a folder, a FIFO and nothing in turn, so fast that every
/// moment of the reading is met by chance; the other tests need no chance.
#[test]
fn what_takes_the_place_of_a_file_is_no_reason_to_stop() {
    let scene = Scene::new();
    let path = scene.path("b");
    let over = AtomicBool::new(false);
    let mut warnings = Vec::new();
    thread::scope(|scope| {
        let _end = End(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                _ = File::create(&path);
                _ = fs::remove_file(&path);
                _ = symlink("a", &path);
                _ = fs::remove_file(&path);
                _ = fs::create_dir(&path);
                _ = fs::remove_dir(&path);
                _ = nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU);
                _ = fs::remove_file(&path);
            }
        });
        for _ in 0..N_ROUNDS {
            warnings.extend(scene.archived(&|| ()).warnings);
        }
    });
    assert!(!warnings.is_empty(), "nothing changed while it was read");
}

const N_ROUNDS: usize = 300;

#[test]
fn what_is_removed_while_it_is_read_is_complete() {
    let scene = Scene::new();
    let written = scene.archived(&|| fs::remove_file(scene.path("a")).expect("it is there"));
    assert_eq!(written.warnings, [""; 0]);
}

#[test]
fn a_home_that_changes_all_the_time_is_backed_up() {
    let home = Home::with("changing", &["--label", "hearthkeep.hold=none"]);
    let top = home.config().join("changing");
    for n in 0..N_FILES {
        put(&path(&top, n), n);
    }
    let over = AtomicBool::new(false);
    let mut warnings = Vec::new();
    thread::scope(|scope| {
        let _end = End(&over);
        for seed in [1, 2] {
            let (top, over) = (&top, &over);
            scope.spawn(move || churn(top, seed, over));
        }
        for _ in 0..4 {
            let run = home.hearthkeep(&["--json", "backup"]);
            assert!([0, 3].contains(&run.code), "{}", run.stderr);
            let report = run.json();
            let found = report["warnings"].as_array().expect("a list");
            assert_eq!(run.code, if found.is_empty() { 0 } else { 3 });
            warnings.extend(found.iter().map(ToString::to_string));
            let path = report["path"].as_str().expect("a path");
            home.hearthkeep(&["verify", path]).ends(0);
        }
    });
    assert!(!warnings.is_empty(), "nothing changed while it was read");
}

const N_FILES: usize = 2_000;

fn path(top: &Path, n: usize) -> PathBuf {
    top.join(format!("folder-{}", n % 40)).join(format!("file-{n}"))
}

/// What a file is made of for the first time, or again.
fn put(path: &Path, n: usize) {
    // All of this may fail: another thread is at it as well.
    _ = fs::create_dir_all(path.parent().expect("it has a folder"));
    if let Ok(mut file) = File::create(path) {
        _ = file.write_all(&vec![b'x'; (n % 50) * 2_000]);
    }
}

/// Ends the threads also when the test panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Appends, truncates, removes, makes anew, and exchanges files, links and folders.
fn churn(top: &Path, seed: usize, over: &AtomicBool) {
    let mut state = seed;
    while !over.load(Ordering::Relaxed) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        let n = (state >> 33) % N_FILES;
        let path = path(top, n);
        match (state >> 20) % 9 {
            0 => _ = File::options().append(true).open(&path).map(|mut it| it.write_all(b"more")),
            1 => _ = File::options().write(true).open(&path).map(|it| it.set_len(1)),
            2 => _ = fs::remove_file(&path),
            3 => {
                _ = fs::remove_file(&path);
                _ = symlink("file-1", &path);
            }
            4 => {
                _ = fs::remove_file(&path);
                _ = fs::create_dir(&path);
                _ = File::create(path.join("inside"));
            }
            5 => _ = fs::remove_dir_all(&path),
            6 if n.is_multiple_of(50) => {
                _ = fs::remove_dir_all(path.parent().expect("it has a folder"));
            }
            _ => put(&path, n),
        }
    }
}
