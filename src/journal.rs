//! What a run is about to do, on the disk before it is done, so that whoever comes after a crash
//! knows what was left open.
//!
//! `journal.jsonl` in the state folder has one JSON object a line, and only the run that has the
//! lock writes to it. [`open`] tells from its events what nobody has closed:
//!
//! ```text
//! draft-intended ──────────────────────── ended
//! hold-intended ─ (stopped) ─ released
//! after-owed ─ after-done
//! swap-intended ─ swap-done
//! ```
//!
//! `ended` closes drafts alone: a run may end well and yet leave a container held that would not
//! go on.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::model::{State, Who};
use crate::plan::{Hold, Hook, How, Need};
use crate::{faults, fsx};

/// The file's name in the state folder.
const NAME: &str = "journal.jsonl";

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A run began.
    Began {
        /// What it does.
        story: Story,
        /// Its process.
        pid: u32,
    },
    /// A file may lie there that is not finished.
    DraftIntended {
        /// The unfinished file itself, not the name that it will get.
        path: PathBuf,
    },
    /// A container may be held.
    HoldIntended(OpenHold),
    /// A stop that was asked for is over: none goes on behind the back of whoever starts it again.
    Stopped {
        /// The container's name.
        name: String,
    },
    /// A container does again what it did before.
    Released {
        /// Its name when it was held.
        name: String,
    },
    /// A command has to run in a container when it goes on.
    AfterOwed(OwedAfter),
    /// It has run.
    AfterDone {
        /// The container's name when the command was owed.
        name: String,
    },
    /// From here on old and new content may be mixed.
    SwapIntended,
    /// All content is of one kind again.
    SwapDone,
    /// The run came to its end, whichever.
    Ended,
    /// A line that is none of these: a disk that lost it, or a newer version wrote it.
    #[serde(skip)]
    Unreadable {
        /// Its number, from 1.
        line: usize,
    },
}

/// What kind of run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Story {
    /// A backup.
    Backup,
    /// A restore.
    Restore,
}

/// A container that may be held, with all that it takes to let it go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenHold {
    /// The container.
    pub container: Who,
    /// How it is held.
    pub how: How,
    /// What it did before.
    pub was: State,
    /// How long the engine gives it to stop; `None` where that is left to the engine.
    pub stop_timeout_seconds: Option<u64>,
    /// Who has to run before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// When that was, in seconds since 1970: a stop that a crashed run has asked for goes on.
    pub at: u64,
    /// Whether that stop is known to be over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_stopped: bool,
}

/// A command that a container is owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwedAfter {
    /// The container.
    pub container: Who,
    /// The command, for the container's shell.
    pub command: String,
    /// As whom; `None` is the container's own user.
    pub user: Option<String>,
    /// How long it may take.
    pub timeout_seconds: u64,
}

/// What nobody has closed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Open {
    /// Unfinished files.
    pub drafts: Vec<PathBuf>,
    /// Containers, in the order in which they were held.
    pub holds: Vec<OpenHold>,
    /// Commands that have not run.
    pub afters: Vec<OwedAfter>,
    /// Whether old and new content may be mixed.
    pub mixed: bool,
    /// Numbers of lines that could not be read, and may have told more.
    pub unreadable: Vec<usize>,
}

impl Event {
    /// The intent of a hold, now.
    pub fn hold(hold: &Hold) -> Event {
        Event::HoldIntended(OpenHold {
            container: hold.who(),
            how: hold.how,
            was: hold.was,
            stop_timeout_seconds: hold.stop_timeout.map(|it| it.as_secs()),
            needs: hold.needs.clone(),
            at: now(),
            is_stopped: false,
        })
    }

    /// The command that a container is owed.
    pub fn after_owed(container: Who, hook: &Hook) -> Event {
        Event::AfterOwed(OwedAfter {
            container,
            command: hook.command.clone(),
            user: hook.user.clone(),
            timeout_seconds: hook.timeout.as_secs(),
        })
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs())
}

/// What these events leave open.
pub fn open(events: &[Event]) -> Open {
    let mut open = Open::default();
    for event in events {
        match event.clone() {
            Event::Began { .. } => (),
            Event::Unreadable { line } => open.unreadable.push(line),
            Event::DraftIntended { path } => open.drafts.push(path),
            Event::HoldIntended(hold) => {
                let name = &hold.container.name;
                match open.holds.iter_mut().find(|it| it.container.name == *name) {
                    // What it did before the first hold is what it has to do in the end.
                    Some(first) => (first.at, first.is_stopped) = (hold.at, hold.is_stopped),
                    None => open.holds.push(hold),
                }
            }
            Event::Stopped { name } => {
                let held = open.holds.iter_mut().filter(|it| it.container.name == name);
                held.for_each(|it| it.is_stopped = true);
            }
            Event::Released { name } => open.holds.retain(|it| it.container.name != name),
            Event::AfterOwed(after) => open.afters.push(after),
            Event::AfterDone { name } => open.afters.retain(|it| it.container.name != name),
            Event::SwapIntended => open.mixed = true,
            Event::SwapDone => open.mixed = false,
            Event::Ended => open.drafts.clear(),
        }
    }
    open
}

impl Open {
    /// Whether there is nothing to close.
    pub fn is_empty(&self) -> bool {
        *self == Open::default()
    }

    /// The events that leave this open.
    pub fn events(self) -> Vec<Event> {
        let drafts = self.drafts.into_iter().map(|path| Event::DraftIntended { path });
        let mixed = self.mixed.then_some(Event::SwapIntended);
        let holds = self.holds.into_iter().map(Event::HoldIntended);
        let afters = self.afters.into_iter().map(Event::AfterOwed);
        drafts.chain(holds).chain(afters).chain(mixed).collect()
    }
}

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
    use super::*;

    fn hold(name: &str, was: State) -> Event {
        let container = Who { id: format!("{name}-id"), name: name.to_owned(), compose: None };
        let (how, needs) = (How::Pause, Vec::new());
        let (stop_timeout_seconds, at, is_stopped) = (None, 1, false);
        let hold = OpenHold { container, how, was, stop_timeout_seconds, needs, at, is_stopped };
        Event::HoldIntended(hold)
    }

    fn after(name: &str) -> Event {
        let container = Who { id: format!("{name}-id"), name: name.to_owned(), compose: None };
        let command = "true".to_owned();
        Event::AfterOwed(OwedAfter { container, command, user: None, timeout_seconds: 60 })
    }

    fn released(name: &str) -> Event {
        Event::Released { name: name.to_owned() }
    }

    fn stopped(name: &str) -> Event {
        Event::Stopped { name: name.to_owned() }
    }

    fn draft(path: &str) -> Event {
        Event::DraftIntended { path: path.into() }
    }

    /// What stays open, in one word each.
    fn told(open: &Open) -> String {
        let mut words: Vec<String> =
            open.drafts.iter().map(|it| it.display().to_string()).collect();
        words.extend(open.holds.iter().map(|it| {
            let stopped = if it.is_stopped { " stopped" } else { "" };
            format!("{} {:?}{stopped}", it.container.name, it.was)
        }));
        words.extend(open.afters.iter().map(|it| format!("after {}", it.container.name)));
        words.extend(open.mixed.then(|| "mixed".to_owned()));
        words.join(", ")
    }

    #[test]
    fn what_nobody_closed_is_open() {
        use State::{Paused, Running};
        let began = Event::Began { story: Story::Backup, pid: 7 };
        let done = Event::AfterDone { name: "a".to_owned() };
        let cases = [
            (vec![], ""),
            (vec![began.clone(), Event::Ended], ""),
            (vec![began, draft("/x.partial")], "/x.partial"),
            (vec![draft("/x.partial"), Event::Ended], ""),
            (vec![hold("a", Running), hold("b", Paused)], "a Running, b Paused"),
            (vec![hold("a", Running), hold("b", Running), released("a")], "b Running"),
            (vec![hold("a", Running), Event::Ended], "a Running"),
            (vec![hold("a", Running), hold("a", State::Stopped)], "a Running"),
            (vec![hold("a", Running), released("a"), hold("a", Paused)], "a Paused"),
            (vec![hold("a", Running), hold("a", Running), released("a")], ""),
            (vec![released("a")], ""),
            (
                vec![hold("a", Running), hold("b", Running), stopped("a")],
                "a Running stopped, b Running",
            ),
            (vec![hold("a", Running), stopped("a"), hold("a", Paused)], "a Running"),
            (vec![hold("a", Running), stopped("a"), released("a")], ""),
            (vec![after("a"), after("b"), done], "after b"),
            (vec![Event::SwapIntended, Event::Ended], "mixed"),
            (vec![Event::SwapIntended, Event::SwapDone], ""),
            (vec![Event::SwapIntended, Event::SwapDone, Event::SwapIntended], "mixed"),
        ];
        for (events, expected) in cases {
            let found = open(&events);
            assert_eq!(told(&found), expected, "{events:?}");
            assert_eq!(found.is_empty(), expected.is_empty(), "{events:?}");
            // What is carried over is open again, and nothing else is.
            assert_eq!(open(&found.clone().events()), found, "{events:?}");
        }
    }

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
