//! Text, JSON or lines, chosen once. Text goes to people and may change; JSON is one object and
//! stays; lines go to the process that started this one as a job.
//!
//! Errors and warnings are on standard error, or entries of the log where it has a form for
//! programs.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};

use bytesize::ByteSize;
use serde::Serialize;
use serde_json::Value;

use super::told::Told;
use super::{Exit, job};
use crate::lines::Line;
use crate::log::{Entry, Form, Kind, Log};
use crate::restore::RolledBack;

/// Where results and errors go.
#[derive(Debug, Clone)]
pub(super) struct Out {
    results: Results,
    log: Log,
    /// Where entries have fields: the story that they belong to.
    told: Option<Told>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Results {
    Text,
    Json,
    Lines,
}

impl Out {
    /// The form that was asked for. Until it begins, a run has no story.
    pub(super) fn new(json: bool, log: Log) -> Out {
        let results = match json {
            _ if job::is_one() => Results::Lines,
            true => Results::Json,
            false => Results::Text,
        };
        Out { results, log, told: None }
    }

    /// The same with the log that the settings ask for.
    pub(super) fn logged(self, form: Option<Form>) -> Out {
        let out = Out { log: log(form), ..self };
        match out.log.lacks(form) {
            Some(what) if !out.is_lines() && !std::io::stderr().is_terminal() => {
                out.warnings(&[what.to_owned()]);
            }
            _ => (),
        }
        out
    }

    /// The run begins. Where entries have fields, all that follow are those of one job.
    pub(super) fn begin(&mut self, words: &[OsString], profile: Option<&str>) {
        if !self.log.is_plain() && !self.is_lines() {
            let told = Told::new(self.log.clone(), profile);
            told.begin(words);
            self.told = Some(told);
        }
    }

    /// Whether this process is a job that another one started.
    pub(super) fn is_lines(&self) -> bool {
        self.results == Results::Lines
    }

    /// The log.
    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// The story of this run, where its entries have fields.
    pub(super) fn told(&self) -> Option<&Told> {
        self.told.as_ref()
    }

    /// Prints a result in the form that was asked for.
    pub(super) fn print(&self, object: &impl Serialize, text: impl FnOnce() -> String) {
        let value = || serde_json::to_value(object).unwrap_or_default();
        let text = match self.results {
            Results::Lines => {
                return job::say(&Line::Printed { object: value(), text: text() });
            }
            Results::Json if self.told.is_none() => {
                return print(&json(object));
            }
            Results::Json | Results::Text => text(),
        };
        if let Some(told) = &self.told {
            told.line(&Line::Printed { object: value(), text: text.clone() });
        }
        print(&if self.results == Results::Json { json(object) } else { text });
    }

    /// Prints what a person should look at.
    pub(super) fn warnings(&self, warnings: &[String]) {
        for warning in warnings {
            match (self.results, &self.told) {
                (Results::Lines, _) => job::say(&Line::Warning(warning.clone())),
                (_, Some(told)) => told.line(&Line::Warning(warning.clone())),
                // They are in the object.
                (Results::Json, None) if self.log.is_plain() => (),
                (_, None) => self.log.say(&Entry::new(Kind::Warned, warning)),
            }
        }
    }

    /// Prints an error as one line, and as an object where JSON was asked for.
    pub(super) fn error(&self, err: &anyhow::Error) {
        let cure = if lacks_permission(err) { "; run it as root" } else { "" };
        let message = format!("{err:#}{cure}").replace('\n', " ");
        let code = Exit::of(err) as u8;
        let mut object = serde_json::json!({ "error": message, "exit_code": code });
        if let Some(RolledBack { reason, log, .. }) = err.downcast_ref() {
            object["reason"] = reason.as_str().into();
            object["log"] = log.as_str().into();
        }
        self.failed(object, message);
    }

    /// The same for an error that another process had.
    pub(super) fn failed(&self, object: Value, message: String) {
        if self.results == Results::Json {
            print(&object.to_string());
        }
        match (self.results, &self.told) {
            (Results::Lines, _) => job::say(&Line::Failed { object, message }),
            (_, Some(told)) => told.line(&Line::Failed { object, message }),
            (_, None) => {
                let exit_code = object["exit_code"].as_u64().and_then(|it| it.try_into().ok());
                let entry = Entry::new(Kind::Failed, &message);
                self.log.say(&Entry { exit_code, ..entry });
            }
        }
    }

    /// Tells how it ended, where that is told at all.
    pub(super) fn end(&self, exit: Exit) {
        if let Some(told) = &self.told {
            told.line(&Line::Ended(exit as u8));
        }
    }
}

/// The log that is meant: who looks at a terminal wants lines for people, whatever a service on
/// this machine is set to write.
pub(super) fn log(form: Option<Form>) -> Log {
    match std::io::stderr().is_terminal() {
        true => Log::plain(),
        false => Log::new(form),
    }
}

fn json(object: &impl Serialize) -> String {
    serde_json::to_string(object).unwrap_or_else(|err| format!("{{\"error\":\"{err}\"}}"))
}

/// Prints a line, or several.
fn print(text: &str) {
    // A reader that has gone away (`| head`) is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

/// Volumes, and what containers write, mostly belong to root.
fn lacks_permission(err: &anyhow::Error) -> bool {
    let is_denied = |it: &std::io::Error| it.kind() == std::io::ErrorKind::PermissionDenied;
    !nix::unistd::Uid::effective().is_root()
        && err.chain().filter_map(|it| it.downcast_ref()).any(is_denied)
}

/// The exit of a run that is done.
pub(super) fn exit(warnings: &[String]) -> Exit {
    if warnings.is_empty() { Exit::Done } else { Exit::DoneWithWarnings }
}

/// A size for people.
pub(super) fn size(bytes: u64) -> String {
    ByteSize(bytes).to_string()
}

/// A name may hold what would move a terminal's cursor.
pub(super) fn printable(name: &str) -> String {
    name.chars().map(|it| if it.is_control() { '\u{fffd}' } else { it }).collect()
}

/// Rows under one another, columns in line, two spaces apart.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |n: usize| {
        rows.iter().filter_map(|it| it.get(n)).map(|it| it.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let line: String =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
