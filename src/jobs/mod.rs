//! One job at a time: what is asked for, in which order it is done, and by whom.
//!
//! ```text
//! api, calendar ──► Handle ──► worker ──► queue (policy alone)
//!                     ▲          │
//!                     │          └──► run: one process for each job ──► its lines
//!                     └────────────── State, stories ◄──────────────────┘
//! ```

mod killed;
mod life;
mod queue;
mod request;
mod run;
mod story;
mod worker;

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

pub use self::queue::{Entry, Queue, Refused, Withdrawn};
pub use self::request::{By, Kind, Request};
pub use self::run::Place;
pub use self::story::Story;
pub use self::worker::{Worker, idle};

/// A job, for whoever looks at it.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its identifier.
    pub id: String,
    /// What it does.
    pub kind: Kind,
    /// The words that it was asked for with.
    pub words: Vec<String>,
    /// Who asked first.
    pub by: By,
    /// When it was asked for, or when it began if it runs.
    pub since: Timestamp,
    /// What it tells.
    pub story: watch::Receiver<Story>,
}

/// All jobs.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The one that runs.
    pub running: Option<Arc<Job>>,
    /// Those that wait, the next one first.
    pub waiting: Vec<Arc<Job>>,
    /// Those that are over, the last one first.
    pub ended: VecDeque<Arc<Job>>,
}

/// A job that the settings want done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Due {
    /// The profile, empty for the job without a name.
    pub profile: String,
    /// When, in RFC 3339.
    pub at: Timestamp,
}

/// What is said to the worker.
#[derive(Debug)]
enum Word {
    Submit(Request, oneshot::Sender<Result<String, Refused>>),
    Withdraw(String, oneshot::Sender<Withdrawn>),
    Close,
}

/// The way to the worker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    words: mpsc::Sender<Word>,
    state: watch::Receiver<State>,
}

impl Handle {
    /// Asks for a job; gives its identifier.
    ///
    /// # Errors
    /// [`Refused`], with the reason.
    pub async fn submit(&self, request: Request) -> Result<String, Refused> {
        let (answer, answered) = oneshot::channel();
        // A worker that is gone has closed.
        let sent = self.words.send(Word::Submit(request, answer)).await;
        sent.map_err(|_| Refused::Closing)?;
        answered.await.unwrap_or(Err(Refused::Closing))
    }

    /// Takes back what was asked for; it is cancelled where nobody else wants it.
    pub async fn cancel(&self, id: &str) -> Withdrawn {
        let (answer, answered) = oneshot::channel();
        match self.words.send(Word::Withdraw(id.to_owned(), answer)).await {
            Ok(()) => answered.await.unwrap_or(Withdrawn::Unknown),
            Err(_) => Withdrawn::Unknown,
        }
    }

    /// Whether the worker still answers; waits as long as it is busy with something else.
    pub async fn is_alive(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        // No job has no name, so that nothing comes of it but an answer.
        let sent = self.words.send(Word::Withdraw(String::new(), answer)).await;
        sent.is_ok() && answered.await.is_ok()
    }

    /// What a job tells, from its beginning; nothing where there is none of that name.
    pub fn follow(&self, id: &str) -> Option<watch::Receiver<Story>> {
        let state = self.state.borrow();
        let mut all = state.running.iter().chain(&state.waiting).chain(&state.ended);
        all.find(|it| it.id == id).map(|it| it.story.clone())
    }

    /// All jobs as they are now.
    pub fn status(&self) -> State {
        self.state.borrow().clone()
    }

    /// Changes with every job that comes, begins or ends.
    pub fn changes(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Takes no job any more, and ends the one that runs in good order.
    pub async fn close(&self) {
        // A worker that is gone has closed.
        let _ = self.words.send(Word::Close).await;
    }
}
