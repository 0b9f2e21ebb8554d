//! The face of a run that nobody watches: what it tells is entries of the log, those of one job.

use std::ffi::OsString;
use std::sync::Arc;

use jiff::Timestamp;

use crate::lines::Line;
use crate::log::{Log, Story};
use crate::monitor::Monitor;

/// The story of this run. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Told(Arc<Story>);

impl Told {
    pub(super) fn new(log: Log, profile: Option<&str>) -> Told {
        // Nobody gave the run an identifier: when it began and which process it is are its own.
        let now = Timestamp::now().strftime("%Y%m%d-%H%M%S");
        let job = format!("{now}-{}", std::process::id());
        Told(Arc::new(Story::new(log, &job, profile)))
    }

    pub(super) fn begin(&self, words: &[OsString]) {
        let words: Vec<String> = words.iter().map(|it| it.to_string_lossy().into_owned()).collect();
        self.0.begin(&words);
    }

    pub(super) fn line(&self, line: &Line) {
        self.0.line(line);
    }
}

impl Monitor for Told {
    fn step(&self, step: &str, bytes: u64) {
        self.line(&Line::Step { step: step.to_owned(), bytes });
    }

    fn part(&self, _part: &str) {}
    fn advance(&self, _bytes: u64) {}
}
