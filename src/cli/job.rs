//! The face of a job that another process has started: all that it says is lines for that process.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::lines::{Line, VARIABLE};
use crate::monitor::Monitor;

/// How often the number of bytes is told: often enough for a bar, seldom enough to cost nothing.
const BETWEEN_NUMBERS: Duration = Duration::from_millis(200);

/// Whether this process is a job.
pub(super) fn is_one() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|it| !it.is_empty())
}

/// Says a line. Where nobody listens any more the job goes on: it will be in its report.
pub(super) fn say(line: &Line) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(line.written().as_bytes()).and_then(|()| stdout.flush());
}

/// Tells what a story tells, as lines.
#[derive(Default)]
pub(super) struct Lines {
    done: Mutex<Done>,
}

#[derive(Default)]
struct Done {
    bytes: u64,
    told: Option<Instant>,
}

impl Monitor for Lines {
    fn step(&self, step: &str, bytes: u64) {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) = Done::default();
        say(&Line::Step { step: step.to_owned(), bytes });
    }

    fn part(&self, part: &str) {
        say(&Line::Part(part.to_owned()));
    }

    fn advance(&self, bytes: u64) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.bytes += bytes;
        if done.told.is_none_or(|it| it.elapsed() >= BETWEEN_NUMBERS) {
            done.told = Some(Instant::now());
            let bytes = done.bytes;
            drop(done);
            say(&Line::Done(bytes));
        }
    }

    fn silence(&self, longest: Duration) {
        if !longest.is_zero() {
            say(&Line::Silence(longest.as_secs().saturating_add(1)));
        }
    }
}
