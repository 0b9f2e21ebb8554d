//! The table of damages, through the library: what cannot be opened, what is refused, and what is
//! restored all the same.

use std::fs;
use std::path::Path;

use hearthkeep::archive::{self, Archive, Checks, Format, OpenError};
use hearthkeep::monitor::Quiet;
use tokio_util::sync::CancellationToken;

use crate::damaged::{Wanted, cases};
use crate::house::{House, How, PLAIN, V3, unlocked};
use crate::support::home::write;

#[test]
fn a_damaged_file_of_version_3_is_told_from_a_sound_one() {
    check(V3);
}

#[test]
fn a_damaged_plain_file_is_told_from_a_sound_one() {
    check(PLAIN);
}

/// Where nothing but the index tells parts from each other: they have the same size and shape.
#[test]
fn what_is_not_compressed_is_no_exception() {
    check(How { level: None, ..V3 });
    check(How { level: None, ..PLAIN });
}

#[test]
fn version_2_has_the_index_too() {
    check(How { format: Some(Format::V2), ..V3 });
}

fn check(how: How) {
    let house = House::small();
    let file = house.backup(how);
    let sound = fs::read(&file).expect("it can be read");
    let mut wrong = Vec::new();
    for case in cases(&sound) {
        let path = write(&house.file("damaged.tar"), &case.bytes);
        let found = found(&house, &path);
        let is_wanted = match (&case.wanted, &found) {
            (Wanted::Unreadable(wanted), Found::Unreadable(told)) => {
                told.contains(wanted.as_str()) && told.contains("damaged.tar")
            }
            (Wanted::Refused(wanted), Found::Refused(told)) => {
                told.contains(wanted.as_str()) && told.contains("damaged.tar")
            }
            (Wanted::Restored(wanted), Found::Restored(told)) => {
                !told.is_empty() && told.iter().all(|it| it.contains(wanted.as_str()))
            }
            (Wanted::Sound, Found::Sound) => true,
            _ => false,
        };
        if !is_wanted {
            wrong.push(format!("{}: {found:?} instead of {:?}", case.what, case.wanted));
        }
    }
    assert!(wrong.is_empty(), "{how:?}, {} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[derive(Debug)]
enum Found {
    Unreadable(String),
    Refused(String),
    Restored(Vec<String>),
    Sound,
}

/// What a restore finds out. What it would go on with has to come back as it was.
fn found(house: &House, path: &Path) -> Found {
    let archive = match Archive::open(path) {
        Err(err @ (OpenError::NotABackup { .. } | OpenError::Damaged { .. })) => {
            return Found::Unreadable(err.to_string());
        }
        archive => unlocked(archive.expect("nothing else may be wrong with it")),
    };
    // As a restore does it, without the hashes.
    let cancel = CancellationToken::new();
    let verdict = archive::verify(&archive, Checks::default(), &cancel, &Quiet);
    let verdict = verdict.expect("it can be read");
    let n_problems = verdict.problems.len();
    match verdict.restorable(&archive) {
        Err(err @ OpenError::Damaged { .. }) => Found::Refused(err.to_string()),
        Err(err) => panic!("{err}"),
        Ok((_, warnings)) => {
            assert_eq!(warnings.len(), n_problems);
            house.assert_comes_back(&archive);
            if warnings.is_empty() { Found::Sound } else { Found::Restored(warnings) }
        }
    }
}
