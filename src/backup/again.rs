//! A second, short hold for files that were written in place after the first.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{HeldTooLong, Report, Run};
use crate::capture::{Capture, Retaken};
use crate::engine::Engine;
use crate::island::Shore;
use crate::journal::Journal;
use crate::plan::{Hold, How};
use crate::quiesce::{self, Released, Unseen};
use crate::signals;

/// What it takes to hold once more, from the middle of the writing. Containers that would have to
/// be stopped for it go on: the files are not worth that.
pub(super) struct Again {
    engine: Engine,
    journal: Journal,
    pauses: Vec<Hold>,
    longest: Duration,
    cancel: CancellationToken,
    shore: Shore,
    told: Mutex<Told>,
}

/// What goes into the report.
#[derive(Default)]
struct Told {
    released: Vec<Released>,
    warnings: Vec<String>,
}

impl Again {
    pub(super) fn new(run: &Run<'_>) -> Arc<Again> {
        let pauses = run.plan.holds.iter().filter(|it| it.how == How::Pause).cloned().collect();
        Arc::new(Again {
            engine: run.hands.engine.clone(),
            journal: run.desk.journal.clone(),
            pauses,
            longest: run.limit.longest,
            cancel: run.cancel.clone(),
            shore: Shore::here(),
            told: Mutex::default(),
        })
    }

    /// Takes files again; those that cannot be had are left out. To be called from an island.
    pub(super) fn retake(
        &self,
        capture: &Capture,
        part: usize,
        names: Vec<Vec<u8>>,
    ) -> anyhow::Result<Vec<Retaken>> {
        let (engine, journal) = (&self.engine, &self.journal);
        let pauses = self.shore.wait(quiesce::as_they_are(engine, &self.pauses))?;
        let held = self.shore.wait(quiesce::hold(engine, journal, &pauses, &self.cancel))?;
        let deadline = Instant::now() + self.longest;
        let go_on = || {
            signals::check(&self.cancel)?;
            match Instant::now() > deadline {
                true => Err(HeldTooLong(self.longest).into()),
                false => Ok(()),
            }
        };
        // Whatever happens in there, nobody stays held.
        let retaken = catch_unwind(AssertUnwindSafe(|| capture.retake(part, names, &go_on)));
        let stayed = self.shore.wait(quiesce::check(engine, &held));
        let released = self.shore.wait(quiesce::release(engine, journal, held));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.released.push(released);
        let retaken = retaken.map_err(|_| anyhow::anyhow!("taking files again panicked"))?;
        let stayed = stayed.or_else(|err| if err.is::<Unseen>() { Ok(()) } else { Err(err) });
        match (retaken, stayed) {
            (Ok(retaken), Ok(())) => Ok(retaken),
            (Err(err), _) if !err.is::<HeldTooLong>() => Err(err),
            (Err(err), _) | (Ok(_), Err(err)) => {
                told.warnings.push(format!("{err:#}"));
                Ok(Vec::new())
            }
        }
    }

    /// Adds to the report how long the containers stood still again.
    pub(super) fn tell(&self, report: &mut Report) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        report.warnings.append(&mut told.warnings);
        for released in told.released.drain(..) {
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
