//! What a service says of itself, one entry at a time.

use std::io::Write;

/// How much an entry weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// It went as it should.
    Info,
    /// A person should look at it.
    Warning,
    /// Something was not done.
    Error,
}

/// What kinds of entries there are; each has an identifier that never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The service is ready.
    Ready,
    /// The service ends.
    Stopping,
    /// A job has begun.
    JobBegan,
    /// A step of a job has begun.
    JobStep,
    /// A job says what a person should look at.
    JobWarning,
    /// A job is done.
    JobDone,
    /// A job has failed.
    JobFailed,
    /// What an interrupted run had left open was closed.
    Recovered,
    /// The settings were read again.
    Reloaded,
    /// The settings could not be read again, and the old ones go on.
    ReloadRefused,
    /// A job that was due while nobody could run it is made up for.
    MadeUp,
}

/// One entry.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// How much it weighs.
    pub level: Level,
    /// What it is.
    pub kind: Kind,
    /// The identifier of the job that it is about.
    pub job: Option<&'a str>,
    /// The sentence.
    pub text: &'a str,
}

/// Where entries go. Cheap to clone; whoever writes need not wait.
#[derive(Debug, Clone)]
pub struct Log;

impl Log {
    /// Plain lines on standard error.
    pub fn plain() -> Log {
        Log
    }

    /// Writes an entry. That it cannot be written is no reason for anything.
    pub fn say(&self, entry: &Entry<'_>) {
        let _ = writeln!(std::io::stderr(), "{}", entry.text);
    }
}
