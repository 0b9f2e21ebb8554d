//! What a job elsewhere says, printed as if it were done here.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::render::Out;
use super::{Exit, Face, job};
use crate::lines::Line;
use crate::monitor::Monitor;

/// Tells what the lines of a job say, in the form that was asked for.
pub(super) struct Relay {
    out: Out,
    /// Goes before a result comes, and its bars with it.
    monitor: Option<Arc<dyn Monitor>>,
    /// How many bytes of the step are done by now.
    done: u64,
    /// Whether a result is kept rather than printed.
    keeps: bool,
    /// The result that was kept.
    pub(super) kept: Option<(Value, String)>,
    /// How it ends, as far as its lines tell: once there was a result, or a reason why there is none.
    pub(super) answer: Option<Exit>,
}

impl Relay {
    pub(super) fn new(face: &Face) -> Relay {
        let monitor = Some(face.monitor());
        Relay { out: face.out.clone(), monitor, done: 0, keeps: false, kept: None, answer: None }
    }

    /// One that keeps the result for the one who asks.
    pub(super) fn keeping(face: &Face) -> Relay {
        Relay { keeps: true, ..Relay::new(face) }
    }

    /// Tells one line; what is none, such as the words of a library, goes nowhere.
    pub(super) fn hear(&mut self, text: &str) {
        if let Some(line) = Line::read(text) {
            self.tell(line);
        }
    }

    /// Tells one line.
    pub(super) fn tell(&mut self, line: Line) {
        self.answer = match &line {
            Line::Printed { .. } => Some(Exit::Done),
            Line::Warning(_) => self.answer.map(|_| Exit::DoneWithWarnings),
            Line::Failed { object, .. } => Some(failed(object)),
            _ => self.answer,
        };
        match line {
            Line::Printed { object, text } if self.keeps => self.kept = Some((object, text)),
            line if self.out.is_lines() => job::say(&line),
            Line::Step { step, bytes } => {
                self.done = 0;
                self.watch(|it| it.step(&step, bytes));
            }
            Line::Part(part) => self.watch(|it| it.part(&part)),
            Line::Done(bytes) => {
                let more = bytes.saturating_sub(self.done);
                self.done = bytes;
                self.watch(|it| it.advance(more));
            }
            Line::Silence(seconds) => self.watch(|it| it.silence(Duration::from_secs(seconds))),
            Line::Printed { object, text } => {
                self.monitor = None;
                self.out.print(&object, || text);
            }
            Line::Failed { object, message } => {
                self.monitor = None;
                self.out.failed(object, message);
            }
            Line::Warning(warning) => {
                self.monitor = None;
                self.out.warnings(&[warning]);
            }
            Line::Moved { .. } | Line::Ended(_) => (),
        }
    }

    fn watch(&self, tell: impl FnOnce(&dyn Monitor)) {
        if let Some(monitor) = &self.monitor {
            tell(&**monitor);
        }
    }
}

fn failed(object: &Value) -> Exit {
    let code = object["exit_code"].as_u64().and_then(|it| u8::try_from(it).ok());
    code.map_or(Exit::Failed, Exit::of_code)
}
