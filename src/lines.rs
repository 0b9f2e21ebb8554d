//! What a job says to the process that started it: one JSON object a line, on standard output.
//!
//! The daemon starts each job as a process of its own, and that process may start it again in a
//! container; each of them hands on what the one below says. So whoever asked sees the same,
//! wherever the work is done.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The environment variable that makes a process a job; its value is the job's identifier.
pub const VARIABLE: &str = "HEARTHKEEP_JOB";

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// A step begins; `bytes` is its known extent, 0 where it has none.
    Step {
        /// What is being done, such as `verifying`.
        step: String,
        /// How many bytes there are to do.
        bytes: u64,
    },
    /// Within the step, the work on this part begins.
    Part(String),
    /// So many bytes of the step are done by now.
    Done(u64),
    /// Nothing may be heard for so many seconds, and all is well nevertheless.
    Silence(u64),
    /// The work goes on in this container, which outlives the process that says so.
    Moved {
        /// Its identifier.
        container: String,
    },
    /// What a person should look at.
    Warning(String),
    /// The result, as data and as text for people.
    Printed {
        /// What `--json` prints.
        object: Value,
        /// What is printed without it.
        text: String,
    },
    /// Why it failed, as data and as one sentence.
    Failed {
        /// What `--json` prints.
        object: Value,
        /// The sentence.
        message: String,
    },
    /// The job is over; its exit code. The last line, by whoever waited for the process.
    Ended(u8),
}

impl Line {
    /// The line with its end.
    pub fn written(&self) -> String {
        // Nothing of it can fail: keys are names, and numbers are whole.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// Reads a line; nothing where it is none, such as the words of a library.
    pub fn read(text: &str) -> Option<Line> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_as_they_were_written() {
        let all = [
            Line::Step { step: "verifying".to_owned(), bytes: 7 },
            Line::Part("share".to_owned()),
            Line::Done(3),
            Line::Silence(250),
            Line::Moved { container: "4f2a".to_owned() },
            Line::Warning("two\nlines".to_owned()),
            Line::Printed { object: serde_json::json!({ "slug": "x" }), text: "done\n".to_owned() },
            Line::Failed { object: Value::Null, message: "busy".to_owned() },
            Line::Ended(11),
        ];
        for line in all {
            let written = line.written();
            assert_eq!(written.matches('\n').count(), 1, "{written}");
            assert_eq!(Line::read(written.trim_end()), Some(line));
        }
        assert_eq!(Line::read("thread panicked"), None);
    }
}
