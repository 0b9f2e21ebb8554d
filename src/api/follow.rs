//! What a job tells, line by line, to whoever follows it.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::watch;

use super::Facts;
use super::error::Error;
use crate::jobs::Story;
use crate::lines::Line;

/// Answers with all that a job has told so far, then with what it tells, until it is over.
pub(super) async fn lines(
    State(facts): State<Facts>,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let story = facts.jobs.follow(&id).ok_or_else(|| Error::no_job(&id))?;
    let follower = Follower { story, n_told: 0, done: 0, due: VecDeque::new() };
    let lines = stream::unfold(follower, |mut it| async move {
        it.next().await.map(|line| (Ok::<_, Infallible>(line.written()), it))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// Somebody who follows a job. One who reads slowly misses numbers, and nothing else.
struct Follower {
    story: watch::Receiver<Story>,
    n_told: usize,
    done: u64,
    due: VecDeque<Line>,
}

impl Follower {
    async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.due.pop_front() {
                return Some(line);
            }
            if self.look() {
                return None;
            }
            // Whoever tells may be gone, but only once it has said how it ended.
            if self.due.is_empty() && self.story.changed().await.is_err() && !self.is_more() {
                return None;
            }
        }
    }

    /// Takes what is new; gives whether nothing will come any more.
    fn look(&mut self) -> bool {
        let story = self.story.borrow_and_update();
        let new = &story.lines[self.n_told.min(story.lines.len())..];
        if new.iter().any(|it| matches!(it, Line::Step { .. })) {
            self.done = 0;
        }
        self.due.extend(new.iter().cloned());
        self.n_told = story.lines.len();
        if story.done != self.done {
            self.done = story.done;
            // The last line stays the last.
            let at = self.due.len() - usize::from(story.ended.is_some() && !self.due.is_empty());
            self.due.insert(at, Line::Done(story.done));
        }
        self.due.is_empty() && story.ended.is_some()
    }

    fn is_more(&self) -> bool {
        self.story.borrow().lines.len() > self.n_told
    }
}
