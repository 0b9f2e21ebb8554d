//! What a job has told so far, for whoever follows it: early, late, or slower than it talks.

use std::time::{Duration, Instant};

use serde_json::json;

use super::life::Said;
use crate::exit::Exit;
use crate::lines::Line;

/// A job that tells more than this repeats itself, and a daemon has to stay small.
const LONGEST: usize = 5_000;

/// What a job has told.
#[derive(Debug, Clone)]
pub struct Story {
    /// All but numbers, in order.
    pub lines: Vec<Line>,
    /// The step that it is at.
    pub step: Option<String>,
    /// The part within it.
    pub part: Option<String>,
    /// The step's extent, 0 where it has none.
    pub bytes: u64,
    /// How much of it is done.
    pub done: u64,
    /// The container in which the work goes on.
    pub container: Option<String>,
    /// How it ended.
    pub ended: Option<u8>,
    /// The process that does it now.
    pub(super) process: Option<u32>,
    heard: Instant,
    quiet_until: Option<Instant>,
}

impl Story {
    pub(super) fn new() -> Story {
        Story {
            lines: Vec::new(),
            step: None,
            part: None,
            bytes: 0,
            done: 0,
            container: None,
            ended: None,
            process: None,
            heard: Instant::now(),
            quiet_until: None,
        }
    }

    /// Takes a line in.
    pub(super) fn hear(&mut self, line: Line) {
        self.heard = Instant::now();
        match &line {
            Line::Step { step, bytes } => {
                (self.step, self.part) = (Some(step.clone()), None);
                (self.bytes, self.done) = (*bytes, 0);
                // What was announced belonged to the step before.
                self.quiet_until = None;
            }
            Line::Part(part) => self.part = Some(part.clone()),
            Line::Done(bytes) => {
                self.done = *bytes;
                return;
            }
            Line::Silence(seconds) => {
                let until = self.heard.checked_add(Duration::from_secs(*seconds));
                self.quiet_until = self.quiet_until.max(until);
                return;
            }
            Line::Moved { container } => self.container = Some(container.clone()),
            Line::Warning(_) | Line::Printed { .. } | Line::Failed { .. } => (),
            Line::Ended(code) => self.ended = Some(*code),
        }
        if self.lines.len() < LONGEST || !is_progress(&line) {
            self.lines.push(line);
        }
    }

    /// What is kept of a job that is over.
    pub(super) fn outcome(&self) -> Story {
        let lines = self.lines.iter().filter(|it| !is_progress(it)).cloned().collect();
        Story { lines, ..self.clone() }
    }

    pub(super) fn said(&self) -> Said {
        Said {
            heard: self.heard,
            quiet_until: self.quiet_until,
            is_elsewhere: self.container.is_some(),
        }
    }
}

fn is_progress(line: &Line) -> bool {
    matches!(line, Line::Step { .. } | Line::Part(_))
}

/// What a job would say that fails so.
pub(super) fn failed(message: &str, exit: Exit) -> Line {
    let object = json!({ "error": message, "exit_code": exit as u8 });
    Line::Failed { object, message: message.to_owned() }
}
