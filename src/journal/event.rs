//! One line of the journal, and what stands in it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{OpenSwap, RawPath};
use crate::model::{State, Who};
use crate::plan::{Hold, Hook, How, Need};

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
        path: RawPath,
    },
    /// Folders may lie there with what was extracted.
    StagingIntended {
        /// The folders.
        folders: Vec<RawPath>,
    },
    /// They are gone.
    StagingDone,
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
    /// From here on old and new content may change places.
    SwapIntended(OpenSwap),
    /// The restored home did not come up, and a person wants to look at it.
    SwapLeft,
    /// Now that person wants the old home back.
    BackIntended,
    /// The restored home came up: nothing leads back any more.
    Proved,
    /// No old content lies aside any more: it is back, or was removed for good.
    SwapDone,
    /// Things may be made on the engine for a boot test.
    BootIntended {
        /// The mark that all of them carry.
        mark: String,
    },
    /// All of them are gone.
    BootGone {
        /// That mark.
        mark: String,
    },
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
    /// A boot test.
    Boot,
}

impl Story {
    /// Its name for people.
    pub fn word(self) -> &'static str {
        match self {
            Story::Backup => "a backup",
            Story::Restore => "a restore",
            Story::Boot => "a boot test",
        }
    }
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

impl OpenHold {
    /// A hold that is about to be taken.
    pub fn now(hold: &Hold) -> OpenHold {
        OpenHold {
            container: hold.who(),
            how: hold.how,
            was: hold.was,
            stop_timeout_seconds: hold.stop_timeout.map(|it| it.as_secs()),
            needs: hold.needs.clone(),
            at: now(),
            is_stopped: false,
        }
    }
}

impl Event {
    /// The intent of a hold, now.
    pub fn hold(hold: &Hold) -> Event {
        Event::HoldIntended(OpenHold::now(hold))
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
