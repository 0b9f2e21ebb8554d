//! What became of the runs so far, for whoever asks tomorrow: the last result of each job, and what
//! had to be closed after a run that was interrupted.
//!
//! `chronicle.json` in the state folder is one small object. Whoever changes it, be it a run, the
//! guardian or the daemon, has the folder locked for that moment, and puts the file there whole.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::fsx;
use crate::journal::Story;

/// The file's name in the state folder.
const NAME: &str = "chronicle.json";

/// More jobs than anybody has; profiles that are gone from the settings stay until then.
const MOST_RESULTS: usize = 60;

/// The newest incidents are those that somebody will still look at.
const MOST_INCIDENTS: usize = 20;

/// A job that was interrupted in a loop may have much to say.
const MOST_WARNINGS: usize = 10;

/// All that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chronicle {
    /// The last result of each job, the newest last.
    pub results: Vec<Outcome>,
    /// The newest last.
    pub incidents: Vec<Incident>,
    /// When each profile was last begun by its schedule.
    pub asked: BTreeMap<String, Asked>,
    /// A number that only this installation has.
    number: Option<u64>,
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// A backup.
    Backup,
    /// A restore.
    Restore,
    /// A backup is booted, out of everybody's sight.
    BootTest,
    /// Old backups are removed.
    Prune,
}

impl Task {
    /// Its name for people.
    pub fn word(self) -> &'static str {
        match self {
            Task::Backup => "backup",
            Task::Restore => "restore",
            Task::BootTest => "boot test",
            Task::Prune => "prune",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What it did.
    pub task: Task,
    /// For which profile; empty for the one without a name.
    pub profile: String,
    /// Whether the command line said what is in it, so that it is none that the job makes by itself.
    pub by_hand: bool,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// The exit code of its process.
    pub exit_code: u8,
    /// The backup that was made or read.
    pub slug: Option<String>,
    /// The longest that any container stood still.
    pub longest_hold_seconds: Option<f64>,
    /// Why it failed.
    pub message: Option<String>,
    /// What a person should look at.
    pub warnings: Vec<String>,
    /// The last one that did not fail, this one included.
    #[serde(default)]
    pub last_good: Option<Good>,
}

/// A run that did not fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Good {
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// The backup that was made or read.
    pub slug: Option<String>,
}

impl Outcome {
    /// Whether it did what it should, be it with warnings.
    pub fn is_good(&self) -> bool {
        matches!(self.exit_code, 0 | 3)
    }

    fn is_of_job(&self, other: &Outcome) -> bool {
        (self.task, &self.profile, self.by_hand) == (other.task, &other.profile, other.by_hand)
    }
}

/// Something that an interrupted run had left was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// When it was closed.
    pub at: Timestamp,
    /// Who closed it.
    pub by: Door,
    /// What was interrupted, where that is known.
    pub story: Option<Story>,
    /// What was closed, each in one line.
    pub closed: Vec<String>,
    /// What a person should look at.
    pub warnings: Vec<String>,
}

/// Through which door somebody came who closed what was open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// The next run.
    Run,
    /// `hearthkeep resume`, by a person or by the system.
    Resume,
    /// The guardian of the run itself.
    Guardian,
    /// The daemon.
    Daemon,
}

impl Door {
    /// Its name for people.
    pub fn word(self) -> &'static str {
        match self {
            Door::Run => "the next run",
            Door::Resume => "hearthkeep resume",
            Door::Guardian => "the guardian",
            Door::Daemon => "the service",
        }
    }
}

/// A run that a schedule began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// When.
    pub at: Timestamp,
    /// Whether it made up for one that was missed or interrupted.
    pub made_up: bool,
}

impl Chronicle {
    /// The last result of a job.
    pub fn result(&self, task: Task, profile: &str, by_hand: bool) -> Option<&Outcome> {
        let is_it =
            |it: &&Outcome| it.task == task && it.profile == profile && it.by_hand == by_hand;
        self.results.iter().find(is_it)
    }

    /// When the last backup was made, of whichever job.
    pub fn last_backup(&self) -> Option<Timestamp> {
        let backups = self.results.iter().filter(|it| it.task == Task::Backup);
        backups.filter_map(|it| it.last_good.as_ref()).map(|it| it.ended).max()
    }

    fn add_result(&mut self, mut outcome: Outcome) {
        let before = self.results.iter().position(|it| it.is_of_job(&outcome));
        let before = before.map(|n| self.results.remove(n));
        outcome.warnings.truncate(MOST_WARNINGS);
        outcome.last_good = match outcome.is_good() {
            true => Some(Good {
                began: outcome.began,
                ended: outcome.ended,
                slug: outcome.slug.clone(),
            }),
            false => before.and_then(|it| it.last_good),
        };
        self.results.push(outcome);
        let too_many = self.results.len().saturating_sub(MOST_RESULTS);
        self.results.drain(..too_many);
    }

    fn add_incident(&mut self, mut incident: Incident) {
        incident.warnings.truncate(MOST_WARNINGS);
        // What nobody has mended is found again by every run.
        let is_told =
            |it: &Incident| incident.closed.is_empty() && it.warnings == incident.warnings;
        if self.incidents.last().is_some_and(is_told) {
            return;
        }
        self.incidents.push(incident);
        let too_many = self.incidents.len().saturating_sub(MOST_INCIDENTS);
        self.incidents.drain(..too_many);
    }
}

/// What is remembered in a state folder; nothing where there is no chronicle yet.
///
/// # Errors
/// Where the file cannot be read, or is none of ours.
pub fn read(state: &Path) -> anyhow::Result<Chronicle> {
    let path = state.join(NAME);
    let text = match fs::read(&path) {
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(Chronicle::default()),
        text => text.with_context(|| format!("reading {}", path.display()))?,
    };
    serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))
}

/// Remembers how a run ended.
pub fn ended(state: &Path, outcome: Outcome) -> anyhow::Result<()> {
    change(state, |it| it.add_result(outcome))
}

/// Remembers what was closed just now.
pub fn closed(
    state: &Path,
    by: Door,
    story: Option<Story>,
    closed: Vec<String>,
    warnings: Vec<String>,
) -> anyhow::Result<()> {
    let incident = Incident { at: Timestamp::now(), by, story, closed, warnings };
    change(state, |it| it.add_incident(incident))
}

/// Remembers that a schedule begins these profiles now.
pub fn asked(state: &Path, profiles: &[String], asked: Asked) -> anyhow::Result<()> {
    change(state, |it| it.asked.extend(profiles.iter().map(|profile| (profile.clone(), asked))))
}

/// The number of this installation, which is drawn when it is first asked for.
pub fn number(state: &Path) -> anyhow::Result<u64> {
    if let Ok(Chronicle { number: Some(number), .. }) = read(state) {
        return Ok(number);
    }
    let drawn = getrandom::u64().context("drawing a number")?;
    change(state, |it| *it.number.get_or_insert(drawn))
}

fn change<T>(state: &Path, change: impl FnOnce(&mut Chronicle) -> T) -> anyhow::Result<T> {
    let changing = || format!("writing {}", state.join(NAME).display());
    DirBuilder::new().recursive(true).mode(0o700).create(state).with_context(changing)?;
    // The folder itself: the file is another one after each change.
    let folder = File::open(state).with_context(changing)?;
    folder.lock().with_context(changing)?;
    let mut chronicle = match read(state) {
        // Damaged, it is not worth keeping, and must not keep the next result out.
        Err(err) if err.is::<serde_json::Error>() => Chronicle::default(),
        read => read?,
    };
    let given = change(&mut chronicle);
    let draft = fsx::Draft::create(&state.join(NAME))?;
    let text = serde_json::to_vec_pretty(&chronicle).with_context(changing)?;
    (&draft).write_all(&text).with_context(changing)?;
    draft.replace()?;
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("it is a time")
    }

    fn outcome(profile: &str, began: i64, exit_code: u8) -> Outcome {
        Outcome {
            task: Task::Backup,
            profile: profile.to_owned(),
            by_hand: false,
            began: at(began),
            ended: at(began + 10),
            exit_code,
            slug: (exit_code == 0).then(|| format!("slug{began}")),
            longest_hold_seconds: None,
            message: None,
            warnings: vec!["look".to_owned(); 100],
            last_good: None,
        }
    }

    fn incident(second: i64, closed: &[&str], warnings: &[&str]) -> Incident {
        let list = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect();
        Incident {
            at: at(second),
            by: Door::Run,
            story: Some(Story::Backup),
            closed: list(closed),
            warnings: list(warnings),
        }
    }

    #[test]
    fn each_job_keeps_its_last_result_and_its_last_good_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("new/state");
        assert_eq!(read(&state).expect("none is no error"), Chronicle::default());
        for it in [outcome("", 100, 0), outcome("night", 200, 0), outcome("", 300, 1)] {
            ended(&state, it).expect("there is room");
        }
        ended(&state, Outcome { by_hand: true, ..outcome("", 400, 0) }).expect("there is room");
        let chronicle = read(&state).expect("it is ours");
        assert_eq!(chronicle.results.len(), 3);
        let last = chronicle.result(Task::Backup, "", false).expect("it was written");
        assert_eq!((last.began, last.exit_code, last.warnings.len()), (at(300), 1, MOST_WARNINGS));
        let good = last.last_good.as_ref().expect("the one before");
        assert_eq!((good.ended, good.slug.as_deref()), (at(110), Some("slug100")));
        assert_eq!(chronicle.last_backup(), Some(at(410)));
        for n in 0..1000 {
            ended(&state, outcome(&format!("p{n}"), n, 0)).expect("there is room");
        }
        assert_eq!(read(&state).expect("it is ours").results.len(), MOST_RESULTS);
    }

    #[test]
    fn incidents_are_told_once_and_not_for_ever() {
        let mut it = Chronicle::default();
        it.add_incident(incident(1, &[], &["wait"]));
        it.add_incident(incident(2, &[], &["wait"]));
        it.add_incident(incident(3, &["released x"], &["wait"]));
        it.add_incident(incident(4, &["released x"], &["wait"]));
        let told: Vec<i64> = it.incidents.iter().map(|it| it.at.as_second()).collect();
        assert_eq!(told, [1, 3, 4]);
        (0..100).for_each(|n| it.add_incident(incident(n, &["released x"], &[])));
        assert_eq!(it.incidents.len(), MOST_INCIDENTS);
    }

    #[test]
    fn a_damaged_one_begins_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = File::create(folder.path().join(NAME)).expect("it is ours");
        file.write_all(b"{\"results\": [{\"ta").expect("it is ours");
        read(folder.path()).expect_err("it is torn");
        ended(folder.path(), outcome("", 1, 0)).expect("there is room");
        assert_eq!(read(folder.path()).expect("it is ours").results.len(), 1);
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path();
        std::thread::scope(|scope| {
            for n in 0..8 {
                scope.spawn(move || {
                    (0..5).for_each(|m| {
                        ended(state, outcome(&format!("{n}-{m}"), 1, 0)).expect("there is room");
                    });
                });
            }
        });
        assert_eq!(read(state).expect("it is ours").results.len(), 40);
        let number = number(state).expect("one is drawn");
        assert_eq!(self::number(state).expect("it stays"), number);
    }
}
