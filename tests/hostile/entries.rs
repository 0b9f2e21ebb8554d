//! Entries of an inner tar that lead out, lie, or stand in each other's way.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::build::{entry, file, folder, hard_link, header, pax, symlink};
use crate::cage::Cage;

enum Wanted {
    /// Refused with these words, by extraction and by `verify`.
    Refused(&'static str),
    /// Refused with these words where it would be made; to read it is no harm.
    Unmade(&'static str),
    /// Taken, with these words as a warning.
    Warned(&'static str),
    /// Taken, and this holds of the mount's new content.
    Made(fn(&Path) -> bool),
}

use Wanted::{Made, Refused, Unmade, Warned};

fn check(cases: Vec<(&str, Vec<Vec<u8>>, Wanted)>) {
    for (what, entries, wanted) in cases {
        let cage = Cage::new(|out| {
            out.write_all(&folder("data")).expect("it can be written");
            out.write_all(&entries.concat()).expect("it can be written");
        });
        let verdict = cage.verify();
        let said = cage.extract();
        match wanted {
            Refused(words) => {
                let said = said.expect_err(what);
                assert!(said.contains(words), "{what}: {said}");
                let problem = &verdict.problems.first().expect(what).what;
                assert!(problem.contains(words), "{what}: {problem}");
            }
            Unmade(words) => {
                let said = said.expect_err(what);
                assert!(said.contains(words), "{what}: {said}");
            }
            Warned(words) => {
                let said = said.unwrap_or_else(|err| panic!("{what}: {err}"));
                assert!(said.len() == 1 && said[0].contains(words), "{what}: {said:?}");
                assert_eq!(verdict.problems, [], "{what}");
            }
            Made(holds) => {
                let said = said.unwrap_or_else(|err| panic!("{what}: {err}"));
                assert!(said.is_empty(), "{what}: {said:?}");
                assert!(holds(&cage.root()), "{what}");
                assert_eq!(verdict.problems, [], "{what}");
            }
        }
        cage.check(what);
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

#[test]
fn names() {
    let long = |kind: u8, name: &[u8]| entry(kind, b"././@LongLink", &[name, b"\0"].concat());
    let x = || file("data/x", "bad");
    let path = |name: &[u8]| vec![pax(&[("path", name)]), x()];
    let deep = b"data/".repeat(20_000);
    check(vec![
        ("..", vec![file("data/../../canary/precious", "bad")], Refused("leads out")),
        (".. in the middle", vec![file("data/a/../../canary/x", "bad")], Refused("leads out")),
        (".. alone", vec![folder("..")], Refused("leads out")),
        ("absolute", vec![file("/canary", "bad")], Refused("leads out")),
        ("two slashes", vec![file("//canary", "bad")], Refused("leads out")),
        (".. in PAX", path(b"data/../../canary/precious"), Refused("leads out")),
        (".. in a long name", vec![long(b'L', b"../canary/x"), x()], Refused("leads out")),
        ("a zero byte in PAX", path(b"data/a\0b"), Refused("zero byte")),
        ("a zero byte in a long name", vec![long(b'L', b"data/a\0b"), x()], Refused("zero byte")),
        ("no name", vec![file("", "bad")], Refused("no name")),
        ("no name in PAX", path(b""), Refused("no name")),
        ("a name of 256 bytes", path(&[b'n'; 256]), Refused("longer than any name")),
        ("a name of 64 KiB", path(&[b'n'; 65_536]), Refused("longer than any path")),
        ("64 KiB of a long name", vec![long(b'L', &[b'n'; 65_536]), x()], Refused("any path")),
        ("100,000 folders deep", path(&b"d/".repeat(100_000)), Refused("longer than any path")),
        ("20,000 times data", path(&deep), Refused("longer than any path")),
        (
            "the longest name",
            path(&[&b"data/"[..], &[b'n'; 255]].concat()),
            Made(|root| text(&root.join("n".repeat(255))) == "bad"),
        ),
        (
            "a name with a line break, which the tar crate cuts",
            path("data/größe\nx".as_bytes()),
            Warned("line break"),
        ),
        (
            "not UTF-8",
            vec![entry(b'0', b"data/\xff", b"")],
            Made(|root| fs::read_dir(root).expect("a folder").count() == 1),
        ),
        (
            "our own names",
            ["root", "old", "failed", ".hearthkeep-restore/old/x", "root/root"]
                .map(|it| file(&format!("data/{it}"), it))
                .into_iter()
                .filter(|it| !it.starts_with(b"data/root\0"))
                .collect(),
            Made(|root| {
                text(&root.join("root/root")) == "root/root" && text(&root.join("old")) == "old"
            }),
        ),
    ]);
}

#[test]
fn symbolic_links() {
    let out = "../../canary";
    check(vec![
        ("in place of the mount", vec![symlink("data/.", out)], Unmade("in place of a mount")),
        (
            "in place of the mount, hard",
            vec![file("data/x", ""), hard_link("data", "data/x")],
            Unmade("in place of a mount"),
        ),
        (
            "through a link",
            vec![symlink("data/way", out), file("data/way/precious", "bad")],
            Unmade("not a folder"),
        ),
        (
            "a folder through a link",
            vec![symlink("data/way", out), folder("data/way/new")],
            Unmade("not a folder"),
        ),
        (
            "over a link",
            vec![symlink("data/way", "../../canary/precious"), file("data/way", "new")],
            Made(|root| text(&root.join("way")) == "new" && !root.join("way").is_symlink()),
        ),
        (
            "a folder over a link",
            vec![symlink("data/way", out), folder("data/way")],
            Unmade("already in its place"),
        ),
        (
            "attributes of a link's target",
            vec![header(b'2', b"data/way", 0, |it| {
                it.as_old_mut().linkname[..out.len()].copy_from_slice(out.as_bytes());
                it.set_mode(0o7777);
                it.set_uid(1234);
            })],
            Made(|root| root.join("way").symlink_metadata().expect("a link").uid() == 1234),
        ),
        ("without a target", vec![symlink("data/x", "")], Unmade("data/x")),
        (
            "twice",
            vec![symlink("data/x", "one"), symlink("data/x", "two")],
            Made(|root| root.join("x").read_link().is_ok_and(|it| it == Path::new("two"))),
        ),
        (
            "a chain of links",
            vec![symlink("data/a", "."), symlink("data/b", "a/.."), file("data/b/canary/x", "bad")],
            Unmade("not a folder"),
        ),
    ]);
}

#[test]
fn hard_links() {
    check(vec![
        ("outward", vec![hard_link("data/x", "../../canary/precious")], Unmade("leads out")),
        ("outward, absolute", vec![hard_link("data/x", "/etc/passwd")], Unmade("leads out")),
        ("to nothing", vec![hard_link("data/x", "data/gone")], Unmade("is not there")),
        ("to nowhere", vec![hard_link("data/x", "data/gone/deep/y")], Unmade("is not there")),
        ("to what is elsewhere", vec![hard_link("data/x", "other/y")], Warned("no place here")),
        ("to a folder", vec![folder("data/d"), hard_link("data/x", "data/d")], Unmade("a folder")),
        ("to itself", vec![hard_link("data/x", "data/x")], Unmade("is not there")),
        ("without a target", vec![hard_link("data/x", "")], Unmade("data/x")),
        (
            "to itself, once there",
            vec![file("data/x", "kept"), hard_link("data/x", "data/x")],
            Made(|root| text(&root.join("x")) == "kept"),
        ),
        (
            "to a link, and written to",
            vec![
                symlink("data/way", "../../canary/precious"),
                hard_link("data/x", "data/way"),
                file("data/x", "new"),
            ],
            Made(|root| text(&root.join("x")) == "new" && root.join("way").is_symlink()),
        ),
        (
            "through a link",
            vec![symlink("data/way", "../../canary"), hard_link("data/x", "data/way/precious")],
            Unmade("is not there"),
        ),
        (
            "over a file",
            vec![file("data/a", "a"), file("data/b", "b"), hard_link("data/b", "data/a")],
            Made(|root| text(&root.join("b")) == "a"),
        ),
        (
            "one name of two written anew",
            vec![file("data/a", "a"), hard_link("data/b", "data/a"), file("data/b", "new")],
            Made(|root| text(&root.join("a")) == "a" && text(&root.join("b")) == "new"),
        ),
    ]);
}

#[test]
fn kinds_and_collisions() {
    let special = |kind: u8| {
        header(kind, b"data/x", 0, |it| {
            it.set_device_major(1).and_then(|()| it.set_device_minor(3)).expect("a device");
        })
    };
    check(vec![
        ("a FIFO", vec![special(b'6')], Warned("is a FIFO")),
        ("a character device", vec![special(b'3')], Warned("is a device")),
        ("a block device", vec![special(b'4')], Warned("is a device")),
        ("of no known kind", vec![entry(b'Z', b"data/x", b"bad")], Warned("unknown kind")),
        ("below a file", vec![file("data/x", ""), file("data/x/y", "")], Unmade("not a folder")),
        (
            "below a FIFO",
            vec![file("data/x/y", "y")],
            Made(|root| {
                !root.join("x").symlink_metadata().expect("it is there").file_type().is_fifo()
            }),
        ),
        (
            "a file over a folder",
            vec![folder("data/x"), file("data/x", "")],
            Unmade("in its place"),
        ),
        (
            "a folder over a file",
            vec![file("data/x", ""), folder("data/x")],
            Unmade("in its place"),
        ),
        (
            "a link over a folder",
            vec![file("data/x/y", ""), symlink("data/x", "..")],
            Unmade("in its place"),
        ),
        ("a file in place of the mount", vec![file("data", "")], Unmade("in its place")),
        (
            "the last one counts",
            vec![file("data/x", "long, and first"), file("data/x", "2")],
            Made(|root| text(&root.join("x")) == "2"),
        ),
        (
            "of folders, too",
            vec![
                folder("data/x"),
                header(b'5', b"data/x", 0, |it| it.set_mode(0o700)),
                file("data/x/y", ""),
            ],
            Made(|root| root.join("x").metadata().expect("a folder").mode() & 0o7777 == 0o700),
        ),
        (
            "the bits of a stranger's program",
            vec![header(b'0', b"data/x", 0, |it| {
                it.set_mode(0o6755);
                it.set_uid(4321);
            })],
            Made(|root| {
                let status = root.join("x").metadata().expect("a file");
                (status.uid(), status.mode() & 0o7777) == (4321, 0o6755)
            }),
        ),
        (
            "bits beyond a mode",
            vec![header(b'0', b"data/x", 0, |it| it.set_mode(0o177_7777))],
            Made(|root| root.join("x").metadata().expect("a file").is_file()),
        ),
    ]);
}

#[test]
fn numbers_and_records() {
    let records = |text: &str| vec![entry(b'x', b"pax", text.as_bytes()), file("data/x", "x")];
    let sized = |size: u64| vec![header(b'0', b"data/x", size, |_| ())];
    let pax_size = |size: &str| vec![pax(&[("size", size.as_bytes())]), file("data/x", "x")];
    let owner = |key: &str, value: &str| vec![pax(&[(key, value.as_bytes())]), file("data/x", "")];
    check(vec![
        ("no end", records("12 path=data"), Refused("cannot be read")),
        ("a length of nought", records("0 path=x\n"), Refused("cannot be read")),
        ("a length beyond the end", records("999 path=x\n"), Refused("cannot be read")),
        ("a length beyond all", records("99999999999999999999 p=x\n"), Refused("cannot be read")),
        ("a length below nought", records("-5 p=x\n"), Refused("cannot be read")),
        ("a length that cuts", records("7 path=data/x\n"), Refused("cannot be read")),
        ("no sign", records("7 path\n"), Refused("cannot be read")),
        ("zeros", records("\0\0\0\0"), Refused("cannot be read")),
        (
            "a sparse file in PAX",
            vec![pax(&[("GNU.sparse.realsize", b"9223372036854775807")]), file("data/x", "x")],
            Refused("form of PAX"),
        ),
        ("a size of 16 EiB", sized(u64::MAX), Refused("larger than any file")),
        ("a size near 16 EiB", sized(u64::MAX - 511), Refused("")),
        ("a size of 8 EiB", sized(1 << 63), Refused("")),
        ("a size of 8 EiB in PAX", pax_size("9223372036854775808"), Refused("")),
        ("a size of 16 EiB in PAX", pax_size("18446744073709551615"), Refused("larger than any")),
        (
            "a header behind a false size",
            {
                // Whoever overlooked the record would take the content for a header.
                let inner = [file("data/../../canary/x", "bad"), vec![0; 512]].concat();
                let mut bytes = pax(&[("size", inner.len().to_string().as_bytes())]);
                bytes.extend(header(b'0', b"data/x", 0, |_| ()));
                vec![bytes, inner, file("data/y", "y")]
            },
            Made(|root| text(&root.join("y")) == "y" && !root.join("x").is_dir()),
        ),
        ("an owner out of range", owner("uid", "4294967296"), Unmade("out of range")),
        ("the owner that is none", owner("uid", "4294967295"), Unmade("out of range")),
        ("a group out of range", owner("gid", "18446744073709551615"), Unmade("out of range")),
        ("a time that is none", owner("mtime", "noon"), Unmade("not a number")),
        ("the first time of all", owner("mtime", "-9223372036854775808.5"), Unmade("not a number")),
        (
            "a time beyond time",
            owner("mtime", "9223372036854775807"),
            Made(|root| root.join("x").is_file()),
        ),
    ]);
}
