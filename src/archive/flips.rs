//! Whether damage is noticed: every byte of a file of ours, and every place where it may be cut.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use tokio_util::sync::CancellationToken;

use super::{Archive, Checks, Format, Metadata, OpenError, Source, Wrapping, verify, write};
use crate::capture::{self, Capture};
use crate::fsx::Draft;
use crate::model::{Confidential, Item, Part, PartKind, Tree};
use crate::monitor::Quiet;
use crate::secret::Secret;

fn part(item: Item, kind: PartKind, folder: &Path) -> capture::Source {
    let tree = Tree {
        prefix: "data".to_owned(),
        source: folder.to_owned(),
        destination: PathBuf::from("/config"),
        container: "test".to_owned(),
        volume: None,
    };
    let (image, exclude, exclude_kept) = (String::new(), Vec::new(), Vec::new());
    capture::Source {
        part: Part { item, kind, trees: vec![tree], image, exclude, exclude_kept },
        roots: vec![folder.to_owned()],
        stops: Vec::new(),
        store: folder.join("backups"),
        at_one_instant: false,
    }
}

/// A small backup of two parts, one of them private.
fn small(format: Option<Format>) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = folder.path().join("tree");
    fs::create_dir_all(tree.join(".storage")).expect("a folder");
    for (name, text) in [("configuration.yaml", "default_config:\n"), (".storage/auth", "{}")] {
        let mut file = fs::File::create(tree.join(name)).expect("a file");
        file.write_all(text.as_bytes()).expect("it can be written");
    }
    let version = "2026.2.3".to_owned();
    let sources = vec![
        part(
            Item::HomeAssistant,
            PartKind::HomeAssistant { version, exclude_database: false },
            &tree,
        ),
        part(Item::Companion("clock".to_owned()), PartKind::Private, &tree),
    ];
    let parts: Vec<Part> = sources.iter().map(|it| it.part.clone()).collect();
    let now = jiff::Timestamp::now();
    let mut metadata = Metadata::new("Small", now, &parts, true);
    metadata.confidential = [("test".to_owned(), Confidential::default())].into();
    let capture = Capture::look(sources).expect("it can be read");
    let wrapping = Wrapping {
        password: format.map(|_| Secret::new("hunter2".to_owned())),
        format: format.unwrap_or_default(),
        ..Wrapping::default()
    };
    let wrapper = wrapping.prepare().expect("keys");
    let path = folder.path().join("small.tar");
    let draft = Draft::create(&path).expect("a file");
    let (never, cancel) = (|_, _| Ok(Vec::new()), CancellationToken::new());
    let written = write(&capture, metadata, &draft, &wrapper, &never, &cancel, &Quiet);
    assert_eq!(written.expect("it is written").warnings, [""; 0]);
    draft.name().expect("it is named");
    fs::read(path).expect("it can be read")
}

fn source(bytes: &Arc<Vec<u8>>, size: usize, flip: Option<usize>) -> Source {
    let bytes = bytes.clone();
    Source::ranges(size as u64, move |offset, piece| {
        let begin = (offset as usize).min(size);
        let n = piece.len().min(size - begin);
        piece[..n].copy_from_slice(&bytes[begin..begin + n]);
        if let Some(at) = flip.filter(|it| (begin..begin + n).contains(it)) {
            piece[at - begin] ^= 0x20;
        }
        Ok(n)
    })
}

/// Whether a file is sound, with the keys of the one that it was made of.
fn is_sound(keys: &Archive, source: Source) -> Result<bool, OpenError> {
    let mut archive = Archive::open_source(Path::new("small.tar"), source)?;
    archive.opener = keys.opener.clone();
    let verdict = verify(&archive, Checks::default(), &CancellationToken::new(), &Quiet)?;
    Ok(verdict.problems.is_empty())
}

fn opened(bytes: &Arc<Vec<u8>>) -> Archive {
    let mut archive =
        Archive::open_source(Path::new("small.tar"), source(bytes, bytes.len(), None))
            .expect("it is a backup");
    if archive.is_encrypted().expect("it can be read") {
        archive.unlock(Secret::new("hunter2".to_owned())).expect("its password");
    }
    archive
}

/// The places at which a file stays sound, by as many threads as there are cores.
fn sound_at(places: &[usize], is_sound: impl Fn(usize) -> bool + Sync) -> BTreeSet<usize> {
    let n = thread::available_parallelism().map_or(1, NonZero::get);
    let share = |of| places.iter().skip(of).step_by(n).copied().filter(|it| is_sound(*it));
    thread::scope(|scope| {
        let shares: Vec<_> =
            (0..n).map(|of| scope.spawn(move || share(of).collect::<Vec<_>>())).collect();
        shares.into_iter().flat_map(|it| it.join().expect("nothing panics")).collect()
    })
}

#[test]
fn every_byte_of_an_encrypted_file_counts() {
    let bytes = Arc::new(small(Some(Format::V3)));
    let keys = opened(&bytes);
    assert!(is_sound(&keys, source(&bytes, bytes.len(), None)).expect("it is whole"));
    // Behind the last member there are zeros alone, which are compared as one piece.
    let last = keys.members.last().expect("it has members");
    let end = (last.offset + last.size) as usize;
    let places: Vec<usize> = (0..end).chain((end..bytes.len()).step_by(64)).collect();
    let unnoticed = sound_at(&places, |at| {
        is_sound(&keys, source(&bytes, bytes.len(), Some(at))).unwrap_or(false)
    });
    assert_eq!(unnoticed, BTreeSet::new(), "of {} bytes", bytes.len());
}

#[test]
fn an_encrypted_file_may_be_cut_nowhere() {
    let bytes = Arc::new(small(Some(Format::V3)));
    let keys = opened(&bytes);
    let places: Vec<usize> = (0..bytes.len()).step_by(64).collect();
    let unnoticed =
        sound_at(&places, |size| is_sound(&keys, source(&bytes, size, None)).unwrap_or(false));
    assert_eq!(unnoticed, BTreeSet::new(), "of {} bytes", bytes.len());
}

/// The older ciphers and plain files have no marks against whoever alters them with care, but a
/// checksum in each part; only what gzip does not guard itself goes unnoticed.
#[test]
fn a_plain_file_hides_little() {
    for format in [None, Some(Format::V2)] {
        let bytes = Arc::new(small(format));
        let keys = opened(&bytes);
        // One in eleven: they take long, and these are not told one by one.
        let places: Vec<usize> = (0..bytes.len()).step_by(11).collect();
        let unnoticed = sound_at(&places, |at| {
            is_sound(&keys, source(&bytes, bytes.len(), Some(at))).unwrap_or(false)
        });
        assert!(unnoticed.len() < 20, "{format:?}: {unnoticed:?}");
    }
}
