//! A large home takes little memory, to write and to read.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::{env, iter};

use hearthkeep::archive::ROOT;

use crate::house::{House, V3, extract, noise, open, text, verify};
use crate::support::home::write;

/// What a process of its own does, and where: what a process took at most, it says of itself, and
/// so it is one without other tests.
const DEED: &str = "HEARTHKEEP_TEST_DEED";

/// A Raspberry Pi has room for this beside everything else; the test's own code is in it.
const MOST_KIB: u64 = 64 * 1024;

/// Far more than that.
const MEBIBYTES: usize = 300;

#[test]
fn a_large_home_takes_little_memory() {
    if let Ok(deed) = env::var(DEED) {
        let (deed, folder) = deed.split_once(' ').expect("two words");
        return act(deed, Path::new(folder));
    }
    let folder = tempfile::tempdir().expect("a folder");
    fill(&folder.path().join("home"));
    takes_little("backup", folder.path());
    takes_little("extract", folder.path());
    cut_index(&folder.path().join("backup.tar"));
    takes_little("extract-without-index", folder.path());
}

/// Two large files, of which a quarter does not shrink.
fn fill(folder: &Path) {
    let (noise, text) = (noise(1 << 20), text(1 << 20));
    for name in ["one", "two"] {
        let mut file = File::create(write(&folder.join(name), "")).expect("a file");
        let pieces = iter::repeat([&noise, &text, &text, &text]).flatten().take(MEBIBYTES / 2);
        pieces.for_each(|it| file.write_all(it).expect("there is room"));
    }
}

fn takes_little(deed: &str, folder: &Path) {
    let output = Command::new(env::current_exe().expect("it runs"))
        .args(["--exact", "memory::a_large_home_takes_little_memory"])
        .env(DEED, format!("{deed} {}", folder.display()))
        .output()
        .expect("it can be started");
    assert!(output.status.success(), "{deed}: {}", String::from_utf8_lossy(&output.stdout));
    let kibibytes = fs::read_to_string(folder.join(deed)).expect("it has noted something");
    println!("{deed}: {kibibytes} KiB");
    let kibibytes: u64 = kibibytes.parse().expect("a number");
    assert!((1..MOST_KIB).contains(&kibibytes), "{deed} took {kibibytes} KiB");
}

/// What a run of the program does with the file.
fn act(deed: &str, folder: &Path) {
    let (mut house, file) = (House::new(), folder.join("backup.tar"));
    let home = folder.join("home");
    house.sources[0].part.trees[0].source.clone_from(&home);
    house.sources[0].roots = vec![home];
    if deed == "backup" {
        fs::rename(house.backup(V3), &file).expect("it is the same file system");
    }
    let archive = open(&file);
    if deed == "backup" {
        assert_eq!(verify(&archive).problems, []);
    } else {
        let staging = extract(&archive, &house.sources[0].part, &house.bench);
        let two = staging.path().join(ROOT).join("two").metadata().expect("it is there");
        assert_eq!(two.len(), (MEBIBYTES as u64 / 2) << 20);
    }
    write(&folder.join(deed), &peak().to_string());
}

/// Gives the index another name in place, everywhere in its headers: there is none then.
fn cut_index(file: &Path) {
    const AREA: u64 = 5 * 512;
    let archive = open(file);
    let index = archive.members.iter().find(|it| it.name == "hearthkeep.index");
    let begin = index.expect("it is in it").offset - AREA;
    let file = File::options().read(true).write(true).open(file).expect("it is there");
    // But for the last header, which has a checksum.
    let mut area = [0; AREA as usize - 512];
    file.read_exact_at(&mut area, begin).expect("it is whole");
    for at in 0..area.len() - 6 {
        if area[at..].starts_with(b".index") {
            file.write_all_at(b".other", begin + at as u64).expect("it can be written");
        }
    }
    let archive = open(&archive.path);
    assert!(archive.members.iter().any(|it| it.name == "hearthkeep.other"));
}

/// What this process took at most, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).expect("Linux tells");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
