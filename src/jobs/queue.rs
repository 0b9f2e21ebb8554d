//! In which order jobs are done: policy alone, without a clock and without anybody who waits.
//!
//! One runs at a time, the others in the order in which they came. A request equal to one that
//! waits is the same job. A restore lets go first what came before it, and lets nothing in after
//! it: whoever asks for a backup then would get one of a home that is being replaced.

use std::collections::VecDeque;

use super::request::{Kind, Request};

/// A job that waits or runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its identifier.
    pub id: String,
    /// What it does.
    pub kind: Kind,
    /// What is asked for.
    pub request: Request,
    /// How many want it.
    pub askers: usize,
}

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No job is called so.
    #[error("no job goes by this name: there are backup, restore, verify and prune")]
    NoJob,
    /// A restore waits or runs.
    #[error("a restore is under way; ask again when it is over")]
    Restore,
    /// The daemon ends.
    #[error("hearthkeep is being stopped; ask again when it runs")]
    Closing,
}

/// What became of a job that somebody does not want any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawn {
    /// There is no such job.
    Unknown,
    /// Somebody else still wants it.
    Wanted,
    /// It waited, and is gone.
    Gone,
    /// It runs, and has to be cancelled.
    Runs,
}

/// The jobs that wait, and the one that runs.
#[derive(Debug, Default)]
pub struct Queue {
    running: Option<Entry>,
    waiting: VecDeque<Entry>,
    is_closing: bool,
}

impl Queue {
    /// Takes a request, which gets this identifier unless an equal one waits already; gives the
    /// identifier that it has.
    ///
    /// # Errors
    /// [`Refused`], with the reason.
    pub fn offer(&mut self, id: String, request: Request) -> Result<String, Refused> {
        let kind = request.kind().ok_or(Refused::NoJob)?;
        if self.is_closing {
            return Err(Refused::Closing);
        }
        if let Some(same) = self.waiting.iter_mut().find(|it| it.request.is_same(&request)) {
            same.askers += 1;
            return Ok(same.id.clone());
        }
        if self.running.iter().chain(&self.waiting).any(|it| it.kind == Kind::Restore) {
            return Err(Refused::Restore);
        }
        self.waiting.push_back(Entry { id: id.clone(), kind, request, askers: 1 });
        Ok(id)
    }

    /// The job to begin now, which runs from here on; nothing where one runs or none waits.
    pub fn begin(&mut self) -> Option<&Entry> {
        if self.running.is_some() {
            return None;
        }
        self.running = self.waiting.pop_front();
        self.running.as_ref()
    }

    /// The job that ran has ended.
    pub fn end(&mut self) -> Option<Entry> {
        self.running.take()
    }

    /// Somebody who asked for it does not want it any more.
    pub fn withdraw(&mut self, id: &str) -> Withdrawn {
        let all = self.running.iter_mut().chain(&mut self.waiting);
        let Some(entry) = all.into_iter().find(|it| it.id == id) else { return Withdrawn::Unknown };
        entry.askers = entry.askers.saturating_sub(1);
        if entry.askers > 0 {
            return Withdrawn::Wanted;
        }
        let n_before = self.waiting.len();
        self.waiting.retain(|it| it.id != id);
        if self.waiting.len() < n_before { Withdrawn::Gone } else { Withdrawn::Runs }
    }

    /// Takes nothing any more; gives those that waited and will not be done.
    pub fn close(&mut self) -> Vec<Entry> {
        self.is_closing = true;
        self.waiting.drain(..).collect()
    }

    /// The job that runs.
    pub fn running(&self) -> Option<&Entry> {
        self.running.as_ref()
    }

    /// The jobs that wait, the next one first.
    pub fn waiting(&self) -> impl Iterator<Item = &Entry> {
        self.waiting.iter()
    }
}
