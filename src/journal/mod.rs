//! What a run is about to do, on the disk before it is done, so that whoever comes after a crash
//! knows what was left open.
//!
//! `journal.jsonl` in the state folder has one JSON object a line, and only the run that has the
//! lock writes to it. [`open`] tells from its events what nobody has closed:
//!
//! ```text
//! draft-intended ──────────────────────── ended
//! staging-intended ──────────────── staging-done
//! hold-intended ─ (stopped) ─ released
//! after-owed ─ after-done
//! swap-intended ─ (swap-left ─ (back-intended)) ─ (proved) ─ swap-done
//! boot-intended ─ boot-gone
//! ```
//!
//! `ended` closes drafts alone: a run may end well and yet leave a container held that would not
//! go on.

mod event;
mod open;
mod raw_path;
mod swap;

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;

pub use self::event::{Event, OpenHold, OwedAfter, Story, now};
pub use self::open::{Open, open, story, writer};
pub use self::raw_path::RawPath;
pub use self::swap::{Attributes, OpenSwap, Stage, StayingFolder, SwapMount};
use crate::{faults, fsx};

/// The file's name in the state folder.
const NAME: &str = "journal.jsonl";

/// The journal of the run that has the lock. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Journal {
    file: Arc<Mutex<File>>,
    path: Arc<Path>,
}

impl Journal {
    /// A new journal, in place of the one before; `carried` is what that one has left open still.
    pub fn start(state: &Path, carried: &[Event]) -> anyhow::Result<Journal> {
        let path = state.join(NAME);
        if !carried.is_empty() {
            replace(&path, &lines(carried)?)?;
        }
        let journal = Journal::at(path)?;
        if carried.is_empty() {
            let emptying = || format!("emptying {}", journal.path.display());
            let file = journal.lock();
            file.set_len(0).and_then(|()| file.sync_data()).with_context(emptying)?;
        }
        fsx::sync_folder(state)?;
        Ok(journal)
    }

    /// The journal that is there, to go on with it, and its events. A last line that the crash has
    /// torn is cut off.
    pub fn go_on(state: &Path) -> anyhow::Result<(Journal, Vec<Event>)> {
        let path = state.join(NAME);
        let (events, n_bytes) = read_file(&path)?;
        let journal = Journal::at(path)?;
        let cutting = || format!("mending {}", journal.path.display());
        journal.lock().set_len(n_bytes).with_context(cutting)?;
        Ok((journal, events))
    }

    fn at(path: PathBuf) -> anyhow::Result<Journal> {
        let opening = || format!("opening {}", path.display());
        // Commands of containers are in it, and their owners may have put secrets into them.
        let file = File::options().create(true).append(true).mode(0o600).open(&path);
        let file = file.with_context(opening)?;
        Ok(Journal { file: Arc::new(Mutex::new(file)), path: path.into() })
    }

    /// Appends events, on the disk when it returns. All of them or none.
    pub fn note(&self, events: &[Event]) -> anyhow::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        faults::append(|| self.append(&lines(events)?))
    }

    fn append(&self, lines: &[u8]) -> anyhow::Result<()> {
        let writing = || format!("writing {}", self.path.display());
        let mut file = self.lock();
        let before = file.metadata().with_context(writing)?.len();
        if let Err(err) = file.write_all(lines).and_then(|()| file.sync_data()) {
            // Half a line would spoil the next one; that the disk is full is what counts.
            let _ = file.set_len(before);
            return Err(err).with_context(writing);
        }
        Ok(())
    }

    /// A panic elsewhere must not keep a release from being noted.
    fn lock(&self) -> std::sync::MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The events of the journal in a state folder; none where there is no journal.
///
/// # Errors
/// Where the file cannot be read.
pub fn read(state: &Path) -> anyhow::Result<Vec<Event>> {
    Ok(read_file(&state.join(NAME))?.0)
}

fn read_file(path: &Path) -> anyhow::Result<(Vec<Event>, u64)> {
    let text = match fs::read(path) {
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        text => text.with_context(|| format!("reading {}", path.display()))?,
    };
    Ok(parse(&text))
}

/// The events of a text, and how many of its bytes they are: a crash in the middle of an append
/// leaves a last line that is none, and the deed of which was never done.
fn parse(text: &[u8]) -> (Vec<Event>, u64) {
    let lines: Vec<&[u8]> = text.split_inclusive(|it| *it == b'\n').collect();
    let (mut events, mut n_bytes) = (Vec::new(), 0);
    for (n, line) in lines.iter().enumerate() {
        let is_last = n + 1 == lines.len();
        match serde_json::from_slice(line) {
            Ok(event) if line.ends_with(b"\n") => events.push(event),
            _ if is_last => break,
            // What the other lines tell must be closed all the same.
            _ => events.push(Event::Unreadable { line: n + 1 }),
        }
        n_bytes += line.len() as u64;
    }
    (events, n_bytes)
}

fn lines(events: &[Event]) -> anyhow::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for event in events {
        serde_json::to_writer(&mut lines, event).context("putting an event into words")?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Puts a text at `path` whole or not at all.
fn replace(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    let draft = fsx::draft_of(path);
    let writing = || format!("writing {}", draft.display());
    let options = File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft);
    let mut file = options.with_context(writing)?;
    file.write_all(text).and_then(|()| file.sync_all()).with_context(writing)?;
    fs::rename(&draft, path).with_context(|| format!("naming {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::open::tests::{hold, released, told};
    use super::*;
    use crate::model::State;

    #[test]
    fn a_torn_last_line_is_none_and_any_other_is_told() {
        let began = br#"{"event":"began","story":"restore","pid":1}"#;
        let ended = br#"{"event":"ended"}"#;
        let text = |lines: &[&[u8]]| lines.concat();
        let cases: [(Vec<u8>, usize, &[usize]); 7] = [
            (vec![], 0, &[]),
            (text(&[began, b"\n", ended, b"\n"]), 2, &[]),
            (text(&[began, b"\n", ended]), 1, &[]),
            (text(&[began, b"\n", b"{\"event\":\"rel"]), 1, &[]),
            (text(&[began, b"\n", b"\0\0\0\n"]), 1, &[]),
            (text(&[began, b"\n{\"ev\n", ended, b"\n"]), 3, &[2]),
            (text(&[b"{\"event\":\"flown\"}\n", ended, b"\n"]), 2, &[1]),
        ];
        for (text, n, unreadable) in cases {
            let (events, n_bytes) = parse(&text);
            assert_eq!(events.len(), n);
            let kept = &text[..usize::try_from(n_bytes).expect("it is small")];
            assert_eq!(kept.iter().filter(|it| **it == b'\n').count(), n);
            assert_eq!(open(&events).unreadable, unreadable);
        }
    }

    #[test]
    fn what_is_noted_is_read_again_behind_a_torn_line_too() {
        let state = tempfile::tempdir().expect("a folder");
        let journal = Journal::start(state.path(), &[]).expect("a journal");
        journal.note(&[hold("a", State::Running), hold("b", State::Running)]).expect("noted");
        let path = state.path().join(NAME);
        let mut file = File::options().append(true).open(&path).expect("it is there");
        file.write_all(b"{\"event\":\"releas").expect("torn");
        let (journal, events) = Journal::go_on(state.path()).expect("it can be read");
        assert_eq!(events.len(), 2);
        journal.note(&[released("a")]).expect("noted");
        let left = open(&read(state.path()).expect("it can be read"));
        assert_eq!(told(&left), "b Running");
        // What stays open is carried into the next, and the rest is forgotten.
        Journal::start(state.path(), &left.events()).expect("a journal");
        assert_eq!(read(state.path()).expect("it can be read"), [hold("b", State::Running)]);
        Journal::start(state.path(), &[]).expect("a journal");
        assert_eq!(fs::metadata(&path).expect("it is there").len(), 0);
    }

    #[test]
    fn what_does_not_fit_is_said_and_leaves_no_half_line() {
        // A device that is always full stands for a disk that is.
        let state = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("/dev/full", state.path().join(NAME)).expect("a link");
        let journal = Journal::at(state.path().join(NAME)).expect("it opens");
        let err = journal.note(&[Event::Ended]).expect_err("there is no room");
        assert!(format!("{err:#}").contains(NAME), "{err:#}");
    }
}
