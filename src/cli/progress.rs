//! Progress on standard error: bars on a terminal, lines elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::monitor::Monitor;

const WITH_EXTENT: &str = "{spinner} {msg:<36} [{bar:24}] {bytes:>10} of {total_bytes:<10} {bytes_per_sec:>12}  {eta} left";
const WITHOUT_EXTENT: &str = "{spinner} {msg:<36} {elapsed}";

/// Prints what a story tells.
pub(super) struct Progress {
    is_terminal: bool,
    now: Mutex<Now>,
}

/// The step that runs.
struct Now {
    step: String,
    bar: ProgressBar,
}

impl Progress {
    pub(super) fn new() -> Progress {
        let is_terminal = std::io::stderr().is_terminal();
        let now = Now { step: String::new(), bar: ProgressBar::hidden() };
        Progress { is_terminal, now: Mutex::new(now) }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        // A panic elsewhere is no reason to stop telling.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, line: &str) {
        if !self.is_terminal {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }
}

impl Monitor for Progress {
    fn step(&self, step: &str, bytes: u64) {
        self.line(step);
        let mut now = self.now();
        now.bar.finish_and_clear();
        step.clone_into(&mut now.step);
        if self.is_terminal {
            now.bar = bar(bytes);
            now.bar.set_message(step.to_owned());
        }
    }

    fn part(&self, part: &str) {
        let now = self.now();
        let line = format!("{} {part}", now.step);
        now.bar.set_message(line.clone());
        drop(now);
        self.line(&format!("  {line}"));
    }

    fn advance(&self, bytes: u64) {
        self.now().bar.inc(bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.now().bar.finish_and_clear();
    }
}

fn bar(bytes: u64) -> ProgressBar {
    let (bar, template) = match bytes {
        0 => (ProgressBar::new_spinner(), WITHOUT_EXTENT),
        bytes => (ProgressBar::new(bytes), WITH_EXTENT),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
    let style = ProgressStyle::with_template(template).expect("the templates above are sound");
    bar.set_style(style.progress_chars("█▌ "));
    // Moves even while nothing advances, so that waiting is not taken for hanging.
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
