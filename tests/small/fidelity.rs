//! What comes back is what was there, and other programs read the same.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::nasty::{self, N_SPECIAL};
use crate::signals::{self, Running};
use crate::support::home::{Home, tool};
use crate::support::wait_until;
use crate::tree::{Seen, assert_same, look};

#[test]
fn a_nasty_tree_comes_back_as_it_was() {
    round_trip("nasty", &[]);
}

#[test]
fn a_nasty_tree_comes_back_from_an_uncompressed_backup() {
    round_trip("nasty-plain", &["--uncompressed"]);
}

fn round_trip(what: &str, words: &[&str]) {
    let home = Home::new(what);
    let config = home.config();
    nasty::grow(&config);
    let was = look(&config);
    assert!(was.len() > 150, "{}", was.len());
    let store = home.bench.folder("store");
    let store = store.to_str().expect("a plain path");

    let backup = [&["--json", "--store", store, "backup"], words].concat();
    let report = home.hearthkeep(&backup).ends(3).json();
    let warnings = report["warnings"].as_array().expect("a list");
    assert_eq!(warnings.len(), N_SPECIAL, "{warnings:?}");
    for (name, kind) in
        [("fifo", "FIFO"), ("socket", "socket"), ("character", "device"), ("block", "device")]
    {
        let wanted = format!("{}/special/{name} is a {kind} and left out", config.display());
        assert!(warnings.iter().any(|it| *it == wanted), "{wanted}: {warnings:?}");
    }
    let path = report["path"].as_str().expect("a path");
    python_reads_the_same_names(path, &was);
    gnu_tar_extracts_the_same(&home, path, &was);

    ravage(&config);
    home.hearthkeep(&["--store", store, "restore", path, "--yes"]).ends(0);
    assert_same(&was, &look(&config));
}

/// Leaves nothing as it was.
fn ravage(config: &Path) {
    for entry in fs::read_dir(config).expect("it can be read") {
        let path = entry.expect("it goes on").path();
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.expect("root may remove everything");
    }
    File::create(config.join("new")).expect("a file");
    fs::set_permissions(config, fs::Permissions::from_mode(0o700)).expect("a mode");
    std::os::unix::fs::chown(config, Some(0), Some(0)).expect("an owner");
}

/// As Home Assistant itself reads: the outer tar, and a part of it as a stream.
const NAMES_BY_PYTHON: &str = "
import sys, tarfile
with tarfile.open(sys.argv[1], 'r:') as outer:
    member = next(it for it in outer if it.name.startswith('homeassistant.tar'))
    kind = 'r|gz' if member.name.endswith('.gz') else 'r|'
    with tarfile.open(fileobj=outer.extractfile(member), mode=kind) as inner:
        for it in inner:
            print(it.name.encode('utf-8', 'surrogateescape').hex(), it.size if it.isreg() else 0)
";

fn python_reads_the_same_names(path: &str, was: &BTreeMap<Vec<u8>, Seen>) {
    let text = tool("python3", &["-c", NAMES_BY_PYTHON, path]);
    let text = String::from_utf8(text).expect("hexadecimal digits");
    let mut read: Vec<&str> = text.lines().map(|it| it.split(' ').next().expect("two")).collect();
    let named = |name: &Vec<u8>| match name.as_slice() {
        b"" => b"data".to_vec(),
        name => [b"data/", name].concat(),
    };
    let mut wanted: Vec<String> =
        was.keys().map(|it| named(it).iter().map(|byte| format!("{byte:02x}")).collect()).collect();
    read.sort_unstable();
    wanted.sort();
    assert_eq!(read, wanted);
}

/// The manual way of Home Assistant's documentation, but with the folder `data`.
fn gnu_tar_extracts_the_same(home: &Home, path: &str, was: &BTreeMap<Vec<u8>, Seen>) {
    let (member, zip) = match tool("tar", &["-tf", path]) {
        it if it.windows(7).any(|it| it == b".tar.gz") => ("./homeassistant.tar.gz", "-z"),
        _ => ("./homeassistant.tar", "--no-auto-compress"),
    };
    let folder = home.bench.folder("by-gnu-tar");
    let mut outer = Command::new("tar")
        .args(["-xOf", path, member])
        .stdout(Stdio::piped())
        .spawn()
        .expect("tar is installed");
    let inner = Command::new("tar")
        .args(["--numeric-owner", "--same-owner", zip, "-xpf", "-", "-C"])
        .arg(&folder)
        .stdin(outer.stdout.take().expect("it is piped"))
        .output()
        .expect("tar is installed");
    let said = String::from_utf8_lossy(&inner.stderr);
    assert!(inner.status.success(), "{said}");
    assert!(outer.wait().expect("it ends").success());
    assert_same(was, &look(&folder.join("data")));
}

/// Where the big file has something else than zeros.
const MARKS: [(u64, &[u8]); 4] = [
    (0, b"the beginning"),
    (4_294_967_290, b"across 4 GiB"),
    (8_589_934_585, b"across 8 GiB"),
    (8_600_000_000, b"the end"),
];

const BIG: u64 = 8_600_000_007;

#[test]
fn a_file_beyond_eight_gib_comes_back_sparse_and_a_cancelled_restore_changes_nothing() {
    let home = Home::new("big");
    let path = home.config().join("zz-big");
    let file = File::create(&path).expect("a file");
    MARKS.iter().for_each(|(at, bytes)| file.write_all_at(bytes, *at).expect("it is written"));
    assert_eq!(file.metadata().expect("it is there").len(), BIG);
    let store = home.bench.folder("store");
    let store = store.to_str().expect("a plain path");
    let backup = home.backup(&["--store", store]);
    let backup = backup.to_str().expect("a plain path");
    others_read_the_size(backup);

    // The file is sparse in the home, and must be so again.
    fs::remove_file(&path).expect("it is there");
    home.write("config/zz-big", "small now");
    let was = look(&home.config());
    let started = home.started("homeassistant");
    let mut restore = Running::start(home.command(&["--store", store, "restore", backup, "--yes"]));
    restore.wait_for("extracting");
    let staged = home.config().join(".hearthkeep-restore/root/zz-big");
    wait_until("the big file is being extracted", || staged.exists());
    assert!(restore.end(signals::TERM) < signals::PROMPTLY);
    assert_eq!(restore.code(), 130);
    assert_same(&was, &look(&home.config()));
    assert_eq!(home.started("homeassistant"), started, "it was stopped");

    home.hearthkeep(&["--store", store, "restore", backup, "--yes"]).ends(0);
    let file = File::open(&path).expect("it is back");
    let status = file.metadata().expect("it is there");
    assert_eq!(status.len(), BIG);
    assert!(status.blocks() * 512 < 10_000_000, "{} blocks", status.blocks());
    for (at, wanted) in MARKS {
        let mut bytes = vec![0; wanted.len()];
        file.read_exact_at(&mut bytes, at).expect("it can be read");
        assert_eq!(bytes, wanted, "at {at}");
    }
}

/// Only the headers, so that nine gigabytes of zeros are not unpacked twice more.
fn others_read_the_size(backup: &str) {
    const SIZE_BY_PYTHON: &str = "
import sys, tarfile
with tarfile.open(sys.argv[1], 'r:') as outer:
    inner = tarfile.open(fileobj=outer.extractfile('homeassistant.tar.gz'), mode='r|gz')
    print(next(it for it in inner if it.name == 'data/zz-big').size)
";
    let size = tool("python3", &["-c", SIZE_BY_PYTHON, backup]);
    assert_eq!(String::from_utf8_lossy(&size).trim(), BIG.to_string());

    let mut outer = Command::new("tar")
        .args(["-xOf", backup, "./homeassistant.tar.gz"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("tar is installed");
    let mut inner = Command::new("tar")
        .args(["-tvzf", "-"])
        .stdin(outer.stdout.take().expect("it is piped"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("tar is installed");
    // It prints a member before it reads its content.
    let mut line = Vec::new();
    let mut said = inner.stdout.take().expect("it is piped");
    while !line.ends_with(b"data/zz-big\n") {
        let mut byte = [0];
        assert_eq!(said.read(&mut byte).expect("it can be read"), 1, "it ends too early");
        line.push(byte[0]);
    }
    for child in [&mut outer, &mut inner] {
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
    }
    let line = String::from_utf8_lossy(&line);
    assert!(line.contains(&format!(" {BIG} ")), "{line}");
}
