//! The file around the parts, and what it says of itself.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hearthkeep::archive::{Archive, OpenError};
use hearthkeep::model::Item;

use crate::build::{JSON, entry, file, folder, header, outer, pax};
use crate::memory;

const AT_MOST: Duration = Duration::from_secs(30);

/// A file of these members, which takes little memory and time to read.
fn open(members: &[Vec<u8>]) -> Result<Archive, OpenError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.tar");
    let members = members.concat();
    let begin = Instant::now();
    let opened = outer(&path, &members);
    let took = begin.elapsed();
    let what = opened.as_ref().map_or_else(ToString::to_string, |it| it.metadata.slug.clone());
    assert!(took < AT_MOST, "{what:.200}: {took:?}");
    memory::check(&what, &path);
    opened
}

fn check_refused(what: &str, words: &str, members: &[Vec<u8>]) {
    let said = open(members).expect_err(what).to_string();
    assert!(said.contains(words), "{what}: {said:.500}");
    assert!(said.len() < 1000, "{what}: an error of {} bytes", said.len());
}

#[test]
fn extension_entries_without_end() {
    // A file with a hole, as anybody can make one.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("hole.tar");
    for kind in *b"xgLK" {
        let hole = File::create(&path).expect("a file");
        hole.write_all_at(&header(kind, b"long", 1 << 32, |_| ()), 0).expect("it can be written");
        hole.write_all_at(&file("./backup.json", JSON), 512 + (1 << 32)).expect("the same");
        let said = Archive::open(&path).expect_err("it is large").to_string();
        assert!(said.contains("larger than any name"), "{said}");
        memory::check("a hole", &path);
    }
    let name = vec![b'n'; 65_536];
    let json = || file("./backup.json", JSON);
    check_refused("64 KiB", "any name", &[json(), pax(&[("path", &name)]), file("x", "")]);
    let mut many = vec![json()];
    for n in 0..2_000 {
        many.extend([pax(&[("path", format!("{n:0>3000}").as_bytes())]), file("x", "")]);
    }
    check_refused("many long names", "any name", &many);
}

#[test]
fn members_without_end() {
    let many = |n: usize| {
        let mut members = vec![file("./backup.json", JSON)];
        members.extend((0..n).map(|n| file(&format!("{n}.tar.gz"), "")));
        members
    };
    check_refused("10,000 and one", "more members", &many(10_000));
    assert_eq!(open(&many(9_999)).expect("it can be read").members.len(), 10_000);
    check_refused(
        "a size beyond all",
        "larger than any",
        &[file("./backup.json", JSON), header(b'0', b"x", u64::MAX, |_| ())],
    );
    check_refused(
        "a size beyond the end",
        "cut short",
        &[file("./backup.json", JSON), header(b'0', b"x", 1 << 62, |_| ())],
    );
}

#[test]
fn what_strange_writers_wrote_stays_readable() {
    let json = |name: &str| file(name, JSON);
    let part = |name: &str| file(name, "part");
    let pythons = pax(&[("mtime", b"1795309071.6035922")]);
    let zeros = vec![0; 300_000];
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("the Supervisor", vec![pythons, part("homeassistant.tar.gz"), json("./backup.json")]),
        ("Core", vec![json("./backup.json"), part("homeassistant.tar.gz")]),
        (
            "a folder packed whole",
            vec![folder("./"), json("./backup.json"), part("./homeassistant.tar.gz")],
        ),
        ("no dots", vec![json("backup.json"), part("homeassistant.tar")]),
        ("a snapshot", vec![json("./snapshot.json"), part("./homeassistant.tar.gz")]),
        ("two names for one", vec![json("./backup.json"), part("homeassistant.tar.gz"), zeros]),
        (
            "a size in PAX",
            vec![
                json("./backup.json"),
                pax(&[("size", b"4"), ("GNU.sparse.name", b"./homeassistant.tar.gz")]),
                part("homeassistant.tar.gz"),
            ],
        ),
        (
            "things that are no files",
            vec![
                json("./backup.json"),
                header(b'6', b"fifo", 0, |_| ()),
                header(b'3', b"device", 0, |_| ()),
                part("homeassistant.tar.gz"),
            ],
        ),
    ];
    for (what, members) in cases {
        let archive = open(&members).unwrap_or_else(|err| panic!("{what}: {err}"));
        let member = archive.member_of(&Item::HomeAssistant);
        assert_eq!(member.map(|it| it.size), Some(4), "{what}");
    }
}

#[test]
fn metadata_of_all_shapes() {
    const N_BYTES: usize = 4 * 1024 * 1024;
    let inside = JSON.strip_suffix('}').expect("an object");
    // Filled up to the largest that is read.
    let full = |key: &str, open: &str, piece: &str, close: &str| {
        let mut text = format!("{inside},\"{key}\":{open}");
        let n = (N_BYTES - text.len() - close.len() - 1) / piece.len();
        text.push_str(&piece.repeat(n));
        text.push_str(close);
        text.push('}');
        text
    };
    let shapes = |key: &str| {
        [
            ("numbers", full(key, "[0", ",0", "]")),
            ("lists", full(key, "[[]", ",[]", "]")),
            ("objects", full(key, "[{}", ",{}", "]")),
            ("duplicates", full(key, "{\"a\":0", ",\"a\":0", "}")),
            ("texts", full(key, "[\"\"", ",\"\"", "]")),
            ("one text", full(key, "\"", "a", "\"")),
            ("one number", full(key, "1", "1", "")),
            ("escapes", full(key, "\"", "\\u0000", "\"")),
        ]
    };
    for key in ["extra", "addons", "folders", "hearthkeep", "version", "slug", "unknown"] {
        for (what, text) in shapes(key) {
            match open(&[file("./backup.json", &text)]) {
                Ok(_) => match key {
                    "unknown" => (),
                    "slug" => assert!(["one text", "escapes"].contains(&what), "{what}"),
                    // What takes a hundred thousand values to say is no client's note.
                    "extra" => assert!(["one text", "escapes"].contains(&what), "{what}"),
                    _ => panic!("{key}: {what}"),
                },
                Err(err) => {
                    let n_bytes = err.to_string().len();
                    assert!(n_bytes < 1000, "{key}: {what}: an error of {n_bytes} bytes");
                    assert!(key != "unknown", "{what}: {err}");
                }
            }
        }
    }
    let mut many = format!("{inside},\"k\":0");
    (0..250_000).for_each(|n| many.push_str(&format!(",\"{n}\":0")));
    many.push('}');
    open(&[file("./backup.json", &many)]).expect("keys that nobody knows");
    let deep = format!("{inside},\"extra\":{}", "[".repeat(1_000_000));
    check_refused("deep", "recursion", &[file("./backup.json", &deep)]);
    let large = format!("{JSON}{}", " ".repeat(N_BYTES));
    check_refused("too large", "far too large", &[file("./backup.json", &large)]);
    let twice = format!("{inside},\"slug\":\"first\",\"slug\":\"last\"}}");
    let archive = open(&[file("./backup.json", &twice)]).expect("it can be read");
    assert_eq!(archive.metadata.slug, "last");
}

#[test]
fn the_file_may_be_anything() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = folder.path().join(name);
        File::create(&path).and_then(|mut it| it.write_all(bytes)).expect("it can be written");
        path
    };
    let sound = [file("./backup.json", JSON), entry(b'0', b"homeassistant.tar.gz", b"part")];
    let sound = [sound.concat(), vec![0; 1024]].concat();
    // Every byte of both headers with each bit turned: refused or read, and never a panic.
    for at in (0..512).chain(1024..1536) {
        for bit in 0..8 {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << bit;
            let _ = Archive::open(&write("flipped.tar", &bytes));
        }
    }
}
