//! Small files that would be large: little memory, little time.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use crate::build::{entry, file, folder, header, pax, repeat, sparse};
use crate::cage::Cage;

const GIB: u64 = 1024 * 1024 * 1024;

/// For a plain build on two busy cores; what these files promise would take hours.
const AT_MOST: Duration = Duration::from_secs(60);

fn check_refused(what: &str, words: &str, inner: impl FnOnce(&mut dyn Write)) {
    let cage = Cage::new(inner);
    let begin = Instant::now();
    let said = cage.extract().expect_err(what);
    assert!(said.contains(words), "{what}: {said}");
    let verdict = cage.verify();
    assert!(verdict.problems[0].what.contains(words), "{what}: {:?}", verdict.problems);
    assert!(begin.elapsed() < AT_MOST, "{what}: {:?}", begin.elapsed());
    cage.check_all(what);
}

fn write(out: &mut dyn Write, bytes: &[u8]) {
    out.write_all(bytes).expect("it can be written");
}

#[test]
fn extension_entries_without_end() {
    for kind in *b"xgLK" {
        let what = char::from(kind).to_string();
        check_refused(&what, "larger than any name", |out| {
            write(out, &header(kind, b"long", GIB / 4, |_| ()));
            repeat(out, &[b'a'; 1024], 256 * 1024);
        });
        // It need not even be there.
        check_refused(&what, "larger than any name", |out| {
            write(out, &header(kind, b"long", 1 << 62, |_| ()));
        });
    }
    check_refused("many in a row", "in a row", |out| {
        repeat(out, &entry(b'g', b"global", b"9 a=bcde\n"), 100_000);
    });
    let old = header(b'x', b"x", GIB, |it| it.as_mut_bytes()[257..265].fill(0));
    check_refused("without a format", "no known format", |out| write(out, &old));
}

#[test]
fn sparse_files_without_end() {
    check_refused("8 EiB", "larger than any file", |out| {
        write(out, &sparse("data/x", 1 << 63, &[(1 << 63, 0)], false));
    });
    check_refused("16 TiB", "beyond all measure", |out| {
        write(out, &sparse("data/x", 1 << 44, &[(1 << 44, 0)], false));
    });
    check_refused("a map without end", "too many pieces", |out| {
        write(out, &sparse("data/x", 0, &[], true));
        let mut block = [0; 512];
        block[504] = 1;
        repeat(out, &block, 500_000);
    });
    check_refused("a map of nothing", "too many pieces", |out| {
        write(out, &sparse("data/x", 0, &[], true));
        let mut block = [b'0'; 512];
        block[504] = 1;
        repeat(out, &block, 500_000);
    });
}

#[test]
fn what_is_large_and_sound_takes_little_memory() {
    let cage = Cage::new(|out| {
        write(out, &folder("data"));
        write(out, &header(b'0', b"data/zeros", GIB / 4, |_| ()));
        repeat(out, &[0; 1024], 256 * 1024);
        write(out, &sparse("data/hole", GIB / 4 + 1, &[(512, 512), (GIB / 4, 1)], false));
        write(out, &[b'a'; 512]);
        write(out, &entry(b'0', b"", b"d")[512..]);
        for _ in 0..8 {
            write(out, &pax(&[("comment", &[b'c'; 1_000_000])]));
            write(out, &file("data/x", "x"));
        }
    });
    let begin = Instant::now();
    assert_eq!(cage.extract(), Ok(Vec::new()));
    assert_eq!(cage.verify().problems, []);
    assert!(begin.elapsed() < AT_MOST, "{:?}", begin.elapsed());
    let size = |name: &str| {
        let status = cage.root().join(name).metadata().expect("a file");
        (status.size(), status.blocks() < 1000)
    };
    assert_eq!(size("zeros"), (GIB / 4, true));
    assert_eq!(size("hole"), (GIB / 4 + 1, true));
    cage.check_all("large and sound");
}

#[test]
fn warnings_without_end() {
    let cage = Cage::new(|out| {
        let name = format!("data/{}", "f".repeat(90));
        repeat(out, &header(b'6', name.as_bytes(), 0, |_| ()), 300_000);
        for n in 0..3_000 {
            write(out, &file(&format!("elsewhere-{n}/x"), "x"));
        }
        repeat(out, &folder("data/again"), 100_000);
    });
    let said = cage.extract().expect("it can be read");
    assert_eq!(said.len(), 2002);
    assert_eq!(said[1000], "and 299000 more of the like");
    assert_eq!(said[2001], "and 2000 more of the like");
    cage.check_all("warnings");
}

#[test]
fn folders_as_deep_as_a_path() {
    // Both chains of folders again and again, each entry in another folder than the one before.
    let deep = |letter: &str| format!("data/{}", format!("{letter}/").repeat(2_000));
    let cage = Cage::new(|out| {
        for n in 0..200 {
            for letter in ["a", "b"] {
                let name = format!("{}{n}", deep(letter));
                write(out, &pax(&[("path", name.as_bytes())]));
                write(out, &file("x", "x"));
            }
        }
    });
    let begin = Instant::now();
    assert_eq!(cage.extract(), Ok(Vec::new()));
    eprintln!("folders_as_deep_as_a_path: {:?}", begin.elapsed());
    assert!(begin.elapsed() < AT_MOST, "{:?}", begin.elapsed());
    cage.check_all("deep");
}
