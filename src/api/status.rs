//! What the daemon does, and what it will do.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::Facts;
use super::error::Error;
use crate::jobs::{self, By, Due, Kind};
use crate::recover::Recovered;

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: &'static str,
    pid: u32,
    /// RFC 3339.
    since: String,
    running: Option<Job>,
    waiting: Vec<Job>,
    next: Vec<Due>,
    recovered: Option<Recovered>,
    settings_error: Option<String>,
}

/// A job; what is not known of it is null.
#[derive(Debug, Serialize)]
struct Job {
    id: String,
    kind: Kind,
    words: Vec<String>,
    by: By,
    since: String,
    step: Option<String>,
    part: Option<String>,
    bytes: Option<u64>,
    done: Option<u64>,
    container: Option<String>,
}

/// Says how it is. Whoever looks whether the daemon is well hears nothing good from one that only
/// answers, and does no job any more.
pub(super) async fn status(State(facts): State<Facts>) -> Result<Json<Status>, Error> {
    if !facts.jobs.is_alive().await {
        return Err(Error::gone());
    }
    let jobs = facts.jobs.status();
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        since: facts.since.to_string(),
        running: jobs.running.as_deref().map(Job::of),
        waiting: jobs.waiting.iter().map(|it| Job::of(it)).collect(),
        next: facts.next.borrow().clone(),
        recovered: facts.recovered.borrow().clone(),
        settings_error: facts.settings_error.borrow().clone(),
    }))
}

impl Job {
    fn of(job: &jobs::Job) -> Job {
        let story = job.story.borrow();
        let has_extent = story.bytes > 0;
        Job {
            id: job.id.clone(),
            kind: job.kind,
            words: job.words.clone(),
            by: job.by,
            since: job.since.to_string(),
            step: story.step.clone(),
            part: story.part.clone(),
            bytes: has_extent.then_some(story.bytes),
            done: has_extent.then_some(story.done),
            container: story.container.clone(),
        }
    }
}
