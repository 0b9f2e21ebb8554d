//! A second, short hold for files that were written in place after the first.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::{Report, Run};
use crate::capture::{Capture, Retaken};
use crate::engine::Engine;
use crate::island::Shore;
use crate::journal::Journal;
use crate::plan::{Hold, How};
use crate::quiesce::{self, Released};
use crate::signals;

/// What it takes to hold once more, from the middle of the writing. Containers that would have to
/// be stopped for it go on: the files are not worth that.
pub(super) struct Again {
    engine: Engine,
    journal: Journal,
    pauses: Vec<Hold>,
    cancel: CancellationToken,
    shore: Shore,
    released: Mutex<Vec<Released>>,
}

impl Again {
    pub(super) fn new(run: &Run<'_>) -> Arc<Again> {
        let pauses = run.plan.holds.iter().filter(|it| it.how == How::Pause).cloned().collect();
        Arc::new(Again {
            engine: run.hands.engine.clone(),
            journal: run.desk.journal.clone(),
            pauses,
            cancel: run.cancel.clone(),
            shore: Shore::here(),
            released: Mutex::default(),
        })
    }

    /// Takes files again. To be called from an island.
    pub(super) fn retake(
        &self,
        capture: &Capture,
        part: usize,
        names: Vec<Vec<u8>>,
    ) -> anyhow::Result<Vec<Retaken>> {
        let (engine, journal) = (&self.engine, &self.journal);
        let held = self.shore.wait(quiesce::hold(engine, journal, &self.pauses, &self.cancel))?;
        let retaken = capture.retake(part, names, &|| Ok(signals::check(&self.cancel)?));
        let released = self.shore.wait(quiesce::release(engine, journal, held));
        self.released.lock().unwrap_or_else(PoisonError::into_inner).push(released);
        retaken
    }

    /// Adds to the report how long the containers stood still again.
    pub(super) fn tell(&self, report: &mut Report) {
        let mut all = self.released.lock().unwrap_or_else(PoisonError::into_inner);
        for released in all.drain(..) {
            let longest = quiesce::longest(&released.containers);
            report.longest_hold_seconds = report.longest_hold_seconds.max(longest);
            for it in released.containers {
                let first = report.containers.iter_mut().find(|first| first.name == it.name);
                first.into_iter().for_each(|first| first.hold_seconds += it.hold_seconds);
            }
            report.warnings.extend(released.failures.into_iter().map(|it| it.text));
            report.warnings.extend(released.warnings);
        }
    }
}
