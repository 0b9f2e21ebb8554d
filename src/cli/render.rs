//! Text, JSON or lines, chosen once. Text goes to people and may change; JSON is one object and
//! stays; lines go to the process that started this one as a job.

use std::io::Write;

use bytesize::ByteSize;
use serde::Serialize;
use serde_json::Value;

use super::{Exit, job};
use crate::lines::Line;
use crate::restore::RolledBack;

/// Where results and errors go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Out {
    Text,
    Json,
    Lines,
}

impl Out {
    /// The form that was asked for.
    pub(super) fn of(json: bool) -> Out {
        match json {
            _ if job::is_one() => Out::Lines,
            true => Out::Json,
            false => Out::Text,
        }
    }

    /// Prints a result in the form that was asked for.
    pub(super) fn print(self, object: &impl Serialize, text: impl FnOnce() -> String) {
        let text = match self {
            Out::Lines => {
                let object = serde_json::to_value(object).unwrap_or_default();
                return job::say(&Line::Printed { object, text: text() });
            }
            Out::Json => serde_json::to_string(object)
                .unwrap_or_else(|err| format!("{{\"error\":\"{err}\"}}")),
            Out::Text => text(),
        };
        // A reader that has gone away (`| head`) is no reason to fail.
        let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    }

    /// Prints what a person should look at.
    pub(super) fn warnings(self, warnings: &[String]) {
        for warning in warnings {
            match self {
                Out::Text => drop(writeln!(std::io::stderr(), "warning: {warning}")),
                Out::Lines => job::say(&Line::Warning(warning.clone())),
                // They are in the object.
                Out::Json => (),
            }
        }
    }

    /// Prints an error as one line, and as an object where JSON was asked for.
    pub(super) fn error(self, err: &anyhow::Error) {
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
    pub(super) fn failed(self, object: Value, message: String) {
        if self == Out::Lines {
            return job::say(&Line::Failed { object, message });
        }
        let _ = writeln!(std::io::stderr(), "error: {message}");
        if self == Out::Json {
            let _ = writeln!(std::io::stdout(), "{object}");
        }
    }
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
