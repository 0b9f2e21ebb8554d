//! What the chronicle gets of this run: one place for every command that is a job.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::Exit;
use super::args::{Args, Command};
use super::words;
use crate::chronicle::{self, Outcome, Task};

/// What a run tells of itself while it goes on.
#[derive(Debug)]
pub(super) struct Record {
    began: Timestamp,
    /// None where the command is no job.
    of: Option<Of>,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Of {
    task: Task,
    profile: String,
    by_hand: bool,
    state: PathBuf,
}

#[derive(Debug, Default)]
struct Told {
    has_begun: bool,
    is_elsewhere: bool,
    slug: Option<String>,
    longest_hold_seconds: Option<f64>,
    warnings: Vec<String>,
}

impl Record {
    pub(super) fn new(args: &Args) -> Record {
        let told = Mutex::default();
        Record { began: Timestamp::now(), of: of(args), told }
    }

    /// From here on it is more than words: how it ends is worth knowing.
    pub(super) fn begin(&self, slug: Option<&str>) {
        self.tell(|it| {
            it.has_begun = true;
            it.slug = slug.map(str::to_owned);
        });
    }

    /// Another process does it, and says itself how it ended.
    pub(super) fn is_elsewhere(&self) {
        self.tell(|it| it.is_elsewhere = true);
    }

    /// It is done.
    pub(super) fn done(&self, slug: Option<&str>, longest_hold: Option<f64>, warnings: &[String]) {
        self.tell(|it| {
            it.slug = slug.map(str::to_owned);
            it.longest_hold_seconds = longest_hold;
            it.warnings = warnings.to_vec();
        });
    }

    /// Writes down how it ended.
    ///
    /// # Errors
    /// Where that cannot be written, which changes nothing of how it ended.
    pub(super) fn end(&self, ended: &anyhow::Result<Exit>) -> anyhow::Result<()> {
        let Some(of) = &self.of else { return Ok(()) };
        let exit = ended.as_ref().map_or_else(Exit::of, |it| *it);
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_elsewhere || !counts(of.task, exit, told.has_begun) {
            return Ok(());
        }
        let outcome = Outcome {
            task: of.task,
            profile: of.profile.clone(),
            by_hand: of.by_hand,
            began: self.began,
            ended: Timestamp::now(),
            exit_code: exit as u8,
            slug: told.slug.clone(),
            longest_hold_seconds: told.longest_hold_seconds,
            message: ended.as_ref().err().map(|err| format!("{err:#}").replace('\n', " ")),
            warnings: told.warnings.clone(),
            last_good: None,
        };
        chronicle::ended(&of.state, outcome)
    }

    fn tell(&self, tell: impl FnOnce(&mut Told)) {
        tell(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Which job the words ask for, where they do.
fn of(args: &Args) -> Option<Of> {
    let task = match &args.command {
        Command::Backup(it) if !it.dry_run => Task::Backup,
        Command::Restore(it) if !it.dry_run => Task::Restore,
        Command::Verify(it) if it.boot => Task::BootTest,
        Command::Prune(it) if !it.dry_run => Task::Prune,
        _ => return None,
    };
    Some(Of {
        task,
        profile: args.common.profile.clone().unwrap_or_default(),
        by_hand: words::chooses(args),
        state: args.common.state_folder().ok()?,
    })
}

/// Whether it is worth remembering: neither a slip of the tongue nor a run that only met another.
fn counts(task: Task, exit: Exit, has_begun: bool) -> bool {
    match (task, exit) {
        (_, Exit::Usage | Exit::Busy) | (Task::BootTest, Exit::NoSuchBackup) => false,
        // Before, a person looks for the right file and password, and thinks it over.
        (Task::Restore, _) => has_begun,
        _ => true,
    }
}
