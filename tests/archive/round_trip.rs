//! What is written comes back as it was: by blocks, by stream, and over a source that gives a few
//! bytes at a time.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use hearthkeep::archive::{Archive, Format, Source};

use crate::damaged::Pieces;
use crate::house::{House, How, open, unlocked, verify};
use crate::support::home::write;

#[test]
fn plain_files_come_back() {
    check(None);
}

#[test]
fn files_of_version_2_come_back() {
    check(Some(Format::V2));
}

#[test]
fn files_of_version_3_come_back() {
    check(Some(Format::V3));
}

fn check(format: Option<Format>) {
    let house = House::full();
    // What no peer can be asked for, since JSON has no such names.
    write(&house.bench.path().join("share").join(OsStr::from_bytes(b"\xff\n")), "any bytes");
    for level in [Some(1), Some(2), Some(6), Some(9), None] {
        let how = How { format, level };
        let file = house.backup(how);
        let archive = open(&file);
        assert_eq!(verify(&archive).problems, [], "{how:?}");
        house.assert_comes_back(&archive);
        if matches!(level, Some(2) | None) {
            without_index(&house, how, &file);
            in_small_pieces(&house, how, &file);
        }
        if (format, level) == (None, None) {
            let film = archive.members.iter().find(|it| it.name == "media.tar");
            assert_eq!(film.map(|it| it.size), Some(1 << 20), "the house misses its corner");
        }
    }
}

/// As if the program had never heard of an index.
fn without_index(house: &House, how: How, file: &Path) {
    let mut pieces = Pieces::of(&fs::read(file).expect("it can be read"));
    pieces.members.retain(|it| it.name != "hearthkeep.index");
    let file = write(&house.file("without-index.tar"), &pieces.bytes());
    let archive = open(&file);
    let problems = verify(&archive).problems;
    let told: Vec<_> = problems.iter().map(|it| (it.member.as_str(), it.hinders)).collect();
    assert_eq!(told, [("hearthkeep.index", false)], "{how:?}: {problems:?}");
    house.assert_comes_back(&archive);
}

/// As a remote may give it.
fn in_small_pieces(house: &House, how: How, file: &Path) {
    let bytes = fs::read(file).expect("it can be read");
    let (size, count) = (bytes.len() as u64, AtomicUsize::new(0));
    let source = Source::ranges(size, move |offset, piece| {
        let most = 1 + count.fetch_add(1, Ordering::Relaxed) % 7;
        let rest = bytes.get(usize::try_from(offset).expect("64 bits")..).unwrap_or_default();
        let n = most.min(piece.len()).min(rest.len());
        piece[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    });
    let archive = unlocked(Archive::open_source(file, source).expect("it is a backup"));
    assert_eq!(verify(&archive).problems, [], "{how:?}");
    house.assert_comes_back(&archive);
}
