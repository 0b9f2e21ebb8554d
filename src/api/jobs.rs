//! Jobs: asked for, and cancelled.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Facts;
use super::error::Error;
use crate::jobs::{By, Request, Withdrawn};

/// Asks for a job.
pub(super) async fn submit(
    State(facts): State<Facts>,
    request: Result<Json<Request>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), Error> {
    let Json(request) = request?;
    let request = Request { by: By::Socket, ..request };
    let id = facts.jobs.submit(request).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "id": id }))))
}

/// Takes back what was asked for.
pub(super) async fn cancel(
    State(facts): State<Facts>,
    Path(id): Path<String>,
) -> Result<StatusCode, Error> {
    match facts.jobs.cancel(&id).await {
        Withdrawn::Unknown if facts.jobs.follow(&id).is_none() => Err(Error::no_job(&id)),
        // One that is over needs nothing more.
        _ => Ok(StatusCode::NO_CONTENT),
    }
}
