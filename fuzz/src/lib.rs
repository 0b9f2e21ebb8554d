//! What is fuzzed: each function takes any bytes for one kind of thing that is read from a file, and
//! panics where something comes of them that must not. `fuzz_targets` calls them by libFuzzer, and
//! `tests/fuzz.rs` in `make test`, without it.

mod build;
mod cage;
mod judge;

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use hearthkeep::archive::{Archive, Member, Metadata, Source};
use hearthkeep::secret::Secret;

use self::build::{JSON, outer_tar};
use self::cage::Cage;

const INDEX: &str = "hearthkeep.index";

const PLAIN: &[u8] = include_bytes!("../../tests/archives/hearthkeep_plain_gz.tar");
const SEC2: &[u8] = include_bytes!("../../tests/archives/hearthkeep_sec2_gz.tar");
const SEC3: &[u8] = include_bytes!("../../tests/archives/hearthkeep_sec3_gz.tar");
const FOREIGN_SEC3: &[u8] = include_bytes!("../../tests/archives/core_sec3_gz.tar");

/// `backup.json`.
pub fn metadata(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(metadata) = Metadata::parse(text) else { return };
    let (items, name, _) = (metadata.items(), metadata.file_name(), metadata.when());
    assert!(name.ends_with(".tar"), "{name}");
    let written = serde_json::to_string(&metadata).expect("it can be written");
    let read = Metadata::parse(&written).expect("what is written can be read");
    assert_eq!((read.items(), read.file_name()), (items, name), "{written}");
    assert_eq!((read.addons, read.folders), (metadata.addons, metadata.folders), "{written}");
}

/// A whole file. Whether it is encrypted is found out, but its password is not tried: the ciphers
/// have a function of their own, which does not make a slow key each time.
pub fn outer(bytes: &[u8]) {
    let source = source(Arc::new(Mutex::new(bytes.to_vec())), bytes.len());
    if let Ok(mut archive) = Archive::open_source("fuzzed.tar".as_ref(), source) {
        judge::archive(&mut archive, None);
    }
}

/// The member of an encrypted part. The first byte says whether what was encrypted is compressed.
pub fn ciphers(bytes: &[u8]) {
    thread_local! {
        static OPEN: RefCell<Open> = RefCell::new(Open::with_keys());
    }
    let Some((name, member)) = part_name(bytes) else { return };
    OPEN.with_borrow_mut(|open| {
        open.set(member.to_vec());
        let size = member.len() as u64;
        open.archive.members = vec![Member { name: name.to_owned(), offset: 0, size }];
        judge::archive(&mut open.archive, None);
    });
}

/// The index of a file of ours. The first byte says how the parts are encrypted and whether the rest
/// is the member itself, or its lines: the table, and the lists of the parts, with an empty line
/// before each. `LIST0` in the table stands for the size of the first list, and so on.
pub fn index(bytes: &[u8]) {
    thread_local! {
        static OPEN: RefCell<[Open; 3]> =
            RefCell::new([Open::plain(PLAIN), Open::locked(SEC2), Open::locked(SEC3)]);
    }
    let Some((kind, rest)) = bytes.split_first() else { return };
    let member = if kind & 4 == 0 { build::index(rest) } else { rest.to_vec() };
    OPEN.with_borrow_mut(|all| {
        let open = &mut all[usize::from(kind & 3) % 3];
        let (file, members) = build::with_index(open.file, &open.members, &member);
        open.archive.size_bytes = file.len() as u64;
        open.set(file);
        open.archive.members = members;
        judge::archive(&mut open.archive, None);
    });
}

/// An inner tar. The first byte says whether it is compressed.
pub fn inner(bytes: &[u8]) {
    thread_local! {
        static CAGE: Cage = Cage::new();
    }
    let Some((name, tar)) = part_name(bytes) else { return };
    // Holes cost time and nothing else; `tests/hostile` shows what they are bounded to.
    if build::has_large_hole(tar) {
        return;
    }
    let part = if name.ends_with("gz") { build::gzip(tar) } else { tar.to_vec() };
    let file = outer_tar(&[("./backup.json", JSON.as_bytes()), (name, &part)]);
    let size = file.len();
    let source = source(Arc::new(Mutex::new(file)), size);
    let mut archive = Archive::open_source("fuzzed.tar".as_ref(), source).expect("it is sound");
    CAGE.with(|cage| judge::archive(&mut archive, Some(cage)));
}

fn part_name(bytes: &[u8]) -> Option<(&'static str, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let names = ["homeassistant.tar.gz", "homeassistant.tar"];
    Some((names[usize::from(kind & 1)], rest))
}

/// A file that stays open, with the keys of its password, while its bytes change.
struct Open {
    bytes: Arc<Mutex<Vec<u8>>>,
    archive: Archive,
    file: &'static [u8],
    members: Vec<Member>,
}

impl Open {
    fn plain(file: &'static [u8]) -> Open {
        let bytes = Arc::new(Mutex::new(file.to_vec()));
        let source = source(bytes.clone(), file.len());
        let archive = Archive::open_source("fuzzed.tar".as_ref(), source).expect("it is sound");
        let members = archive.members.clone();
        Open { bytes, archive, file, members }
    }

    fn locked(file: &'static [u8]) -> Open {
        let mut open = Open::plain(file);
        open.archive.unlock(Secret::new("hunter2".to_owned())).expect("its password");
        open
    }

    /// With the keys of all examples: only so many are made, and what is fuzzed takes the rest.
    fn with_keys() -> Open {
        let (mut open, other) = (Open::locked(FOREIGN_SEC3), Open::plain(SEC3));
        open.set(other.file.to_vec());
        open.archive.members = other.members;
        judge::archive(&mut open.archive, None);
        open
    }

    fn set(&mut self, bytes: Vec<u8>) {
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }
}

fn source(bytes: Arc<Mutex<Vec<u8>>>, size: usize) -> Source {
    Source::ranges(size as u64, move |offset, piece| {
        let bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let n = piece.len().min(bytes.len() - begin);
        piece[..n].copy_from_slice(&bytes[begin..begin + n]);
        Ok(n)
    })
}
