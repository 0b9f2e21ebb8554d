//! What the daemon answers on its socket: HTTP with JSON, below `/hearthkeep/`.

mod error;
mod follow;
mod jobs;
mod status;

use axum::Router;
use axum::routing::{delete, get, post};
use jiff::Timestamp;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::jobs::{Due, Handle};
use crate::recover::Recovered;

/// What the answers are made of. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Since when the daemon runs.
    pub since: Timestamp,
    /// The jobs.
    pub jobs: Handle,
    /// What is due next.
    pub next: watch::Receiver<Vec<Due>>,
    /// What had to be recovered last.
    pub recovered: watch::Receiver<Option<Recovered>>,
    /// Why the settings could not be read again.
    pub settings_error: watch::Receiver<Option<String>>,
}

/// Answers until it is told to stop and everybody has been answered.
pub async fn serve(
    listener: UnixListener,
    facts: Facts,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/hearthkeep/status", get(status::status))
        .route("/hearthkeep/jobs", post(jobs::submit))
        .route("/hearthkeep/jobs/{id}", delete(jobs::cancel))
        .route("/hearthkeep/jobs/{id}/lines", get(follow::lines))
        .fallback(error::no_route)
        .with_state(facts);
    axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await
}
