//! Single files out of a backup: the same content by the index and without one, and little is read
//! for it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hearthkeep::archive::{self, Archive, Format, Kind, NoSuchFile, Source, entries};
use hearthkeep::model::Item;
use hearthkeep::monitor::Quiet;
use tokio_util::sync::CancellationToken;

use crate::damaged::Pieces;
use crate::house::{House, How, V3, noise, open, text, unlocked};
use crate::support::home::write;
use crate::tree::{assert_same, look};

#[test]
fn every_file_comes_out_of_a_plain_backup() {
    check(None);
}

#[test]
fn every_file_comes_out_of_version_2() {
    check(Some(Format::V2));
}

#[test]
fn every_file_comes_out_of_version_3() {
    check(Some(Format::V3));
}

fn check(format: Option<Format>) {
    let house = House::full();
    for level in [Some(2), None] {
        let how = How { format, level };
        let file = house.backup(how);
        let mut pieces = Pieces::of(&fs::read(&file).expect("it can be read"));
        pieces.members.retain(|it| it.name != "hearthkeep.index");
        let without = write(&house.file("without-index.tar"), &pieces.bytes());
        let (by_index, by_stream) = (open(&file), open(&without));
        // One of the many folders in folders is like the other.
        let n = cats(&house, &by_index, &|it| !it.contains("deep/deep") || it.ends_with("leaf"));
        assert!(n > 20, "{how:?}: {n} files");
        // Each is read from the beginning: one of each part is enough.
        let chosen = ["noise", "shared.txt", "state", "mosquitto.db", "film", "second"];
        let n = cats(&house, &by_stream, &|it| chosen.iter().any(|end| it.ends_with(end)));
        assert!(n >= chosen.len(), "{how:?}: {n} files");
        same_entries(&house, &by_index, &by_stream);
        out(&house, &by_index);
        out(&house, &by_stream);
    }
}

fn cat(archive: &Archive, wanted: &str) -> anyhow::Result<Vec<u8>> {
    let (mut content, cancel) = (Vec::new(), CancellationToken::new());
    archive::cat(archive, wanted, &mut content, &cancel, &Quiet)?;
    Ok(content)
}

/// Compares each file of the house that is wanted; gives how many these are.
fn cats(house: &House, archive: &Archive, is_wanted: &dyn Fn(&str) -> bool) -> usize {
    let mut n = 0;
    for source in &house.sources {
        let tree = look(&source.roots[0]);
        for name in tree.keys() {
            let name = Path::new(std::ffi::OsStr::from_bytes(name));
            let path = source.roots[0].join(name);
            let inner = Path::new(&source.part.trees[0].prefix).join(name);
            let wanted = format!("{}/{}", source.part.item, inner.display());
            if !is_wanted(&wanted) {
                continue;
            }
            let kind = path.symlink_metadata().expect("it is there").file_type();
            match cat(archive, &wanted) {
                Ok(content) => {
                    assert!(kind.is_file(), "{wanted} has a content");
                    assert!(content == fs::read(&path).expect("it can be read"), "{wanted}");
                    n += 1;
                }
                Err(err) if kind.is_symlink() => {
                    let target = fs::read_link(&path).expect("a link").display().to_string();
                    assert!(err.to_string().ends_with(&format!("is a link to {target}")), "{err}");
                }
                Err(err) => {
                    assert!(kind.is_dir(), "{wanted}: {err:#}");
                    assert!(err.to_string().ends_with("is a folder"), "{err}");
                }
            }
        }
    }
    n
}

/// What the index tells is what is in the tar.
fn same_entries(house: &House, by_index: &Archive, by_stream: &Archive) {
    for source in &house.sources {
        let item = &source.part.item;
        let [told, seen] = [by_index, by_stream].map(|it| {
            entries(it, item, true, &CancellationToken::new(), &Quiet).expect("they can be read")
        });
        assert!(told.len() > 1 && told.iter().any(|it| it.kind == Kind::File), "{item}");
        let by_name = |all: Vec<archive::Entry>| -> BTreeMap<_, _> {
            // A stream does not show where the first header of several was, and nobody has to know.
            let same = |it: archive::Entry| archive::Entry { at: it.at + it.head, head: 0, ..it };
            all.into_iter().map(|it| (it.path.to_string(), same(it))).collect()
        };
        let (told, seen) = (by_name(told), by_name(seen));
        for (name, entry) in &told {
            assert_eq!(seen.get(name), Some(entry), "{item}: {name}");
        }
        assert_eq!(told.len(), seen.len(), "{item}");
    }
}

/// Takes a folder and a file out.
fn out(house: &House, archive: &Archive) {
    let to = house.file("out");
    let wanted =
        ["homeassistant/data/links", "homeassistant/data/deep", "share", "clock/data/state"];
    let wanted = wanted.map(str::to_owned);
    let cancel = CancellationToken::new();
    let done = archive::take_out(archive, &wanted, &to, &cancel, &Quiet).expect("it is there");
    assert_eq!(done.warnings, [""; 0]);
    for (from, at) in [
        ("homeassistant/links", "homeassistant/data/links"),
        ("homeassistant/deep", "homeassistant/data/deep"),
        ("share", "share"),
        ("clock/state", "clock/data/state"),
    ] {
        assert_same(&look(&house.bench.path().join(from)), &look(&to.join(at)));
    }
    let all: Vec<_> = fs::read_dir(to.join("homeassistant/data")).expect("a folder").collect();
    assert_eq!(all.len(), 2, "{all:?}");
    // Nothing is replaced.
    let again = archive::take_out(archive, &wanted[3..], &to, &cancel, &Quiet);
    assert!(again.is_err_and(|it| it.to_string().contains("there already")));
}

#[test]
fn what_is_not_there_is_told_so() {
    let house = House::small();
    let archive = open(&house.backup(V3));
    for wanted in ["share/nothing", "nothing", "", "/etc/passwd", "share/../clock", "homeassistan"]
    {
        let refused = cat(&archive, wanted);
        assert!(refused.as_ref().is_err_and(|it| it.is::<NoSuchFile>()), "{wanted}: {refused:?}");
    }
}

/// As a remote is asked: each question takes its time.
#[test]
fn a_small_file_of_a_large_backup_costs_little() {
    let mut house = House::small();
    for n in 0..20 {
        house.write(&format!("homeassistant/films/{n}"), &noise(4 << 20));
        house.write(&format!("homeassistant/logs/{n}"), &text(2 << 20));
    }
    let wanted = noise(4096);
    house.write("homeassistant/in/the/middle", &wanted);
    house.part(Item::Folder("media"), hearthkeep::model::PartKind::Folder, "");
    house.write("media/film", &noise(16 << 20));
    let file = house.backup(V3);
    let bytes = Arc::new(fs::read(&file).expect("it can be read"));
    assert!(bytes.len() > 100_000_000, "{}", bytes.len());
    let asked = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let (there, count) = (bytes.clone(), asked.clone());
    let source = Source::ranges(bytes.len() as u64, move |offset, piece| {
        let rest = there.get(usize::try_from(offset).expect("64 bits")..).unwrap_or_default();
        let n = piece.len().min(rest.len());
        piece[..n].copy_from_slice(&rest[..n]);
        count.0.fetch_add(1, Ordering::Relaxed);
        count.1.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    });
    let archive = unlocked(Archive::open_source(&file, source).expect("it is a backup"));
    let content = cat(&archive, "homeassistant/data/in/the/middle").expect("it is there");
    assert!(content == wanted);
    let (requests, bytes) = (asked.0.load(Ordering::Relaxed), asked.1.load(Ordering::Relaxed));
    println!("{requests} requests, {bytes} bytes");
    assert!(requests < 60 && bytes < 4_000_000, "{requests} requests, {bytes} bytes");
}
