//! What is true of whatever can be opened.

use std::{fmt, fs};

use hearthkeep::archive::{
    self, Archive, Checks, Entry, Kind, OpenError, ROOT, Target, Verdict, cat, entries, verify,
};
use hearthkeep::model::Item;
use hearthkeep::monitor::Quiet;
use tokio_util::sync::CancellationToken;

use super::INDEX;
use super::cage::Cage;

/// Items and files in each that are read: all of them are alike, and each is read to its end.
const FEW: usize = 3;

/// A file that is longer is not compared byte by byte.
const MANY_BYTES: u64 = 4 * 1024 * 1024;

/// Reads an open file in every way there is, and compares what comes of it.
pub fn archive(archive: &mut Archive, cage: Option<&Cage>) {
    let cancel = CancellationToken::new();
    let is_encrypted = archive.is_encrypted();
    let checks = Checks { hashes: true, ..Checks::default() };
    let verdict = match verify(archive, checks, &cancel, &Quiet) {
        Ok(verdict) => verdict,
        Err(OpenError::Encrypted { .. }) => {
            assert_eq!(is_encrypted.ok(), Some(true));
            return;
        }
        Err(err) => panic!("nobody cancels, and the memory does not fail: {err}"),
    };
    let is_sound = verdict.problems.is_empty();
    told_well(&verdict);
    let items: Vec<Item> = archive.metadata.items().into_iter().take(FEW).collect();
    let first: Vec<_> = items.iter().map(|it| listed(archive, it)).collect();
    if let Some(cage) = cage {
        extracted(archive, cage);
    }
    let n = archive.members.len();
    archive.members.retain(|it| it.name != INDEX);
    if !is_sound || n == archive.members.len() {
        return;
    }
    for (item, first) in items.iter().zip(first) {
        if let (Ok(first), Ok(second)) = (first, listed(archive, item)) {
            assert_eq!(first, second, "{item}, by its index and without");
        }
    }
}

/// Each problem is one line that can be shown.
fn told_well(verdict: &Verdict) {
    for problem in &verdict.problems {
        assert!(!problem.what.is_empty(), "{}", problem.member);
    }
}

/// What is the same whether it comes from the index or from the tar.
type Listed = Vec<(String, Kind, u64, u64, Option<String>, Option<Content>)>;

/// The bytes of a file, which nobody wants to see.
#[derive(PartialEq)]
struct Content(Vec<u8>);

impl fmt::Debug for Content {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} bytes", self.0.len())
    }
}

/// The entries of an item, and what is in a few of its files.
fn listed(archive: &Archive, item: &Item) -> Result<Listed, String> {
    let cancel = CancellationToken::new();
    let all = entries(archive, item, false, &cancel, &Quiet).map_err(|err| err.to_string())?;
    let mut left = FEW;
    let mut told = Vec::new();
    for it in &all {
        let is_read = it.kind == Kind::File && it.size < MANY_BYTES && left > 0;
        left -= usize::from(is_read);
        let content = is_read.then(|| content(archive, item, it)).transpose();
        let target = it.target.as_ref().map(ToString::to_string);
        let content = content?.map(Content);
        told.push((it.path.to_string(), it.kind, it.at + it.head, it.size, target, content));
    }
    Ok(told)
}

fn content(archive: &Archive, item: &Item, entry: &Entry) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let wanted = format!("{item}/{}", entry.path);
    cat(archive, &wanted, &mut out, &CancellationToken::new(), &Quiet)
        .map_err(|err| format!("{err:#}"))?;
    Ok(out)
}

/// Extracts the first part; each file that is there afterwards is what `cat` gives.
fn extracted(archive: &Archive, cage: &Cage) {
    let cancel = CancellationToken::new();
    let item = Item::HomeAssistant;
    let member = archive.member_of(&item).expect("it was put there").clone();
    let staging = cage.staging();
    let target = Target { staging: staging.clone(), ..Default::default() };
    let done = archive::extract(archive, &member, &[target], &cancel, &Quiet);
    if done.is_ok() {
        let all = entries(archive, &item, false, &cancel, &Quiet).unwrap_or_default();
        let files = all.iter().filter(|it| it.kind == Kind::File && it.size < MANY_BYTES);
        for entry in files.take(FEW) {
            let path = staging.join(ROOT).join(entry.path.to_string());
            if !path.symlink_metadata().is_ok_and(|it| it.is_file()) {
                continue;
            }
            let there = fs::read(&path).expect("it can be read");
            let content = content(archive, &item, entry).expect("it was extracted");
            assert!(there == content, "{}: {} bytes", entry.path, entry.size);
        }
    }
    cage.check();
}
