//! The daemon, as a command sees it: a few requests over its socket.

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::Exit;
use crate::jobs::Request;
use crate::lines::Line;
use crate::socket;

/// A daemon that is well answers at once; one that is being started closes first what was open.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than any line is long; what is longer is none of ours.
const LONGEST_LINE: usize = 16 * 1024 * 1024;

/// A daemon that listens.
#[derive(Debug)]
pub(super) struct Daemon {
    path: PathBuf,
}

/// It does not want the job.
#[derive(Debug, Deserialize, thiserror::Error)]
#[error("{error}")]
pub(super) struct Refused {
    error: String,
    exit_code: u8,
}

impl Refused {
    pub(super) fn exit(&self) -> Exit {
        Exit::of_code(self.exit_code)
    }
}

impl Daemon {
    /// The daemon that listens on the socket; nothing where none does.
    ///
    /// # Errors
    /// Where there may be one, but this user must not ask it.
    pub(super) async fn find() -> anyhow::Result<Option<Daemon>> {
        let Some(path) = socket::path() else { return Ok(None) };
        match UnixStream::connect(&path).await {
            Ok(_) => Ok(Some(Daemon { path })),
            Err(err) if err.kind() == ErrorKind::PermissionDenied => Err(err).with_context(|| {
                format!("asking the service at {}: only its group and root may", path.display())
            }),
            // A folder on the way that is none, a socket that nobody listens on, no socket.
            Err(_) => Ok(None),
        }
    }

    /// What it says of itself.
    pub(super) async fn status(&self) -> anyhow::Result<Value> {
        let asked = async {
            let answer = self.send(Method::GET, "status", Bytes::new()).await?;
            read(answer).await
        };
        timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(self.silent()))
    }

    /// Asks for a job; gives its identifier.
    ///
    /// # Errors
    /// [`Refused`] where the daemon does not want it.
    pub(super) async fn submit(&self, request: &Request) -> anyhow::Result<String> {
        let body = serde_json::to_vec(request).context("writing the request")?;
        let answer = self.send(Method::POST, "jobs", body.into()).await?;
        let id = read(answer).await?;
        let id = id["id"].as_str().context("the service gave the job no name")?;
        Ok(id.to_owned())
    }

    /// Says that nobody here wants this job any more.
    pub(super) async fn cancel(&self, id: &str) -> anyhow::Result<()> {
        self.send(Method::DELETE, &format!("jobs/{id}"), Bytes::new()).await.map(drop)
    }

    /// What a job says, from its beginning on.
    pub(super) async fn follow(&self, id: &str) -> anyhow::Result<Lines> {
        let answer = self.send(Method::GET, &format!("jobs/{id}/lines"), Bytes::new()).await?;
        match answer.status() {
            StatusCode::OK => Ok(Lines { body: answer.into_body(), read: Vec::new() }),
            _ => Err(read(answer).await.err().context("the service gave no lines")?),
        }
    }

    async fn send(
        &self,
        method: Method,
        what: &str,
        body: Bytes,
    ) -> anyhow::Result<Response<Incoming>> {
        let asking = || format!("asking the service at {}", self.path.display());
        let stream = UnixStream::connect(&self.path).await.with_context(asking)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.with_context(asking)?;
        // It ends with the answer, or with the process.
        tokio::spawn(connection);
        let request = hyper::Request::builder()
            .method(method)
            .uri(format!("/hearthkeep/{what}"))
            .header("host", "hearthkeep")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .with_context(asking)?;
        sender.send_request(request).await.with_context(asking)
    }

    fn silent(&self) -> anyhow::Error {
        anyhow::anyhow!(
            "the service at {} says nothing for {} seconds",
            self.path.display(),
            PATIENCE.as_secs()
        )
    }
}

/// The lines of a job as they come.
pub(super) struct Lines {
    body: Incoming,
    /// What came of the next line.
    read: Vec<u8>,
}

impl Lines {
    /// The next line; nothing where the daemon says no more.
    pub(super) async fn next(&mut self) -> Option<Line> {
        loop {
            while let Some(end) = self.read.iter().position(|it| *it == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                if let Some(line) = Line::read(line.trim_end()) {
                    return Some(line);
                }
            }
            if self.read.len() > LONGEST_LINE {
                return None;
            }
            let frame = self.body.frame().await?.ok()?;
            self.read.extend(frame.into_data().unwrap_or_default());
        }
    }
}

/// The object of an answer, or the error that it is.
async fn read(answer: Response<Incoming>) -> anyhow::Result<Value> {
    let status = answer.status();
    let strange = |what: &dyn Display| format!("the service answers {status}: {what}");
    let body = answer.into_body().collect().await.context("reading the service's answer")?;
    let body = body.to_bytes();
    if status.is_success() {
        return serde_json::from_slice(&body).with_context(|| strange(&"no object"));
    }
    match serde_json::from_slice::<Refused>(&body) {
        Ok(refused) => Err(refused.into()),
        Err(_) => anyhow::bail!(strange(&String::from_utf8_lossy(&body))),
    }
}
