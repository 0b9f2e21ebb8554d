//! What is told while nobody looks, one entry at a time: to the journal with fields, as JSON, or as
//! plain lines.
//!
//! `docs/logs.md` promises the kinds, their identifiers and the fields; a test holds the two together.

mod journal;
mod kind;
mod story;

use std::io::Write;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::journal::Journal;
pub use self::kind::Kind;
pub use self::story::Story;

/// How much an entry weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It went as it should.
    Info,
    /// A person should look at it.
    Warning,
    /// Something was not done.
    Error,
}

/// How entries are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A line of text on standard error.
    Plain,
    /// An object a line on standard error.
    Json,
    /// To systemd's journal, with fields.
    Journal,
}

impl Form {
    /// The form of this name, which is that of the settings.
    pub fn parse(text: &str) -> Option<Form> {
        match text {
            "plain" => Some(Form::Plain),
            "json" => Some(Form::Json),
            "journal" => Some(Form::Journal),
            _ => None,
        }
    }
}

/// One entry.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Entry<'a> {
    /// How much it weighs.
    pub level: Level,
    /// What it is.
    pub kind: Kind,
    /// The identifier of the job that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<&'a str>,
    /// The profile of that job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<&'a str>,
    /// The backup that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slug: Option<&'a str>,
    /// How the job ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    /// The sentence.
    #[serde(rename = "message")]
    pub text: &'a str,
}

impl<'a> Entry<'a> {
    /// An entry about no job, with the weight that its kind usually has.
    pub fn new(kind: Kind, text: &'a str) -> Entry<'a> {
        let level = kind.level();
        Entry { level, kind, job: None, profile: None, slug: None, exit_code: None, text }
    }
}

/// Where entries go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log(To);

#[derive(Debug, Clone)]
enum To {
    Plain,
    Json,
    Journal(Arc<Journal>),
}

impl Log {
    /// Plain lines on standard error.
    pub fn plain() -> Log {
        Log(To::Plain)
    }

    /// In the form that was set. Without one, to the journal where standard error is the journal,
    /// which keeps more of an entry than its text; else plain, as where there is no journal.
    pub fn new(form: Option<Form>) -> Log {
        match form {
            Some(Form::Plain) => Log(To::Plain),
            Some(Form::Json) => Log(To::Json),
            None if !journal::is_standard_error() => Log(To::Plain),
            Some(Form::Journal) | None => {
                Journal::connect().map_or(Log(To::Plain), |it| Log(To::Journal(Arc::new(it))))
            }
        }
    }

    /// What is wrong with it where the journal was asked for and is none.
    pub fn lacks(&self, form: Option<Form>) -> Option<&'static str> {
        let is_so = form == Some(Form::Journal) && self.is_plain();
        is_so.then_some("there is no journal for the log: set log to plain or json")
    }

    /// Whether it writes plain lines, which are for people and have no fields.
    pub fn is_plain(&self) -> bool {
        matches!(self.0, To::Plain)
    }

    /// Writes an entry. That it cannot be written is no reason for anything.
    pub fn say(&self, entry: &Entry<'_>) {
        let line = match &self.0 {
            To::Plain => plain(entry),
            To::Json => json(entry),
            To::Journal(journal) => match journal.say(entry) {
                Ok(()) => return,
                // It is being restarted, maybe; standard error may outlive that.
                Err(_) => plain(entry),
            },
        };
        // In one piece, so that lines of several threads stay whole.
        let _ = std::io::stderr().write_all((line + "\n").as_bytes());
    }
}

fn plain(entry: &Entry<'_>) -> String {
    let text = entry.text.replace('\n', " ");
    match entry.level {
        Level::Info => text,
        Level::Warning => format!("warning: {text}"),
        Level::Error => format!("error: {text}"),
    }
}

fn json(entry: &Entry<'_>) -> String {
    #[derive(Serialize)]
    struct Dated<'a> {
        time: Timestamp,
        #[serde(flatten)]
        entry: &'a Entry<'a>,
    }
    // Nothing of it can fail: keys are names, and the number is whole.
    serde_json::to_string(&Dated { time: Timestamp::now(), entry }).unwrap_or_default()
}
