//! The face of a run that nobody watches: what it tells is entries of the log, those of one job.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use jiff::Timestamp;

use crate::lines::Line;
use crate::log::{Entry, Kind, Log, Story};
use crate::monitor::Monitor;

/// The story of this run. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Told {
    story: Arc<Story>,
    /// Whether the service does the work, and tells all of it but how it ends.
    is_elsewhere: Arc<AtomicBool>,
}

impl Told {
    pub(super) fn new(log: Log, profile: Option<&str>) -> Told {
        // Nobody gave the run an identifier: when it began and which process it is are its own.
        let now = Timestamp::now().strftime("%Y%m%d-%H%M%S");
        let job = format!("{now}-{}", std::process::id());
        Told { story: Arc::new(Story::new(log, &job, profile)), is_elsewhere: Arc::default() }
    }

    pub(super) fn begin(&self, words: &[OsString]) {
        let words: Vec<String> = words.iter().map(|it| it.to_string_lossy().into_owned()).collect();
        self.story.begin(&words);
    }

    /// From here on it is a job of the service.
    pub(super) fn is_elsewhere(&self, job: &str) {
        self.story.say(Entry::new(Kind::JobStep, &format!("the service does it as job {job}")));
        self.is_elsewhere.store(true, Relaxed);
    }

    pub(super) fn line(&self, line: &Line) {
        let is_end = matches!(line, Line::Printed { .. } | Line::Failed { .. } | Line::Ended(_));
        if is_end || !self.is_elsewhere.load(Relaxed) {
            self.story.line(line);
        }
    }
}

impl Monitor for Told {
    fn step(&self, step: &str, bytes: u64) {
        self.line(&Line::Step { step: step.to_owned(), bytes });
    }

    fn part(&self, _part: &str) {}
    fn advance(&self, _bytes: u64) {}
}
