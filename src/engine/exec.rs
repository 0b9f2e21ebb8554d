//! Commands inside a container: one that runs to its end, and one that is talked to.
//!
//! The engine cannot end what it has started inside a container. What is given up goes on there,
//! and a session is ended by closing its input, which its client takes for the end of its work.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::errors::Error as Failure;
use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::docker::{Docker, PATIENCE};
use super::{Backend, Error};

/// How much of an output is kept: its end, where programs say what went wrong.
const KEPT: usize = 16 * 1024;

/// How long silence lasts until the engine is asked whether the command has ended. Its streams stay
/// open for as long as a child of it lives that has inherited them.
const SILENCE: Duration = Duration::from_secs(1);

/// How long a client may take to end once its input is closed.
const FAREWELL: Duration = Duration::from_secs(5);

const RUNNING: &str = "running a command in";
const TALKING: &str = "talking to a client in";

/// What to run inside a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// As whom, where not as the container's own user.
    pub user: Option<String>,
}

impl Command {
    /// A script for the container's own shell.
    pub fn shell(script: &str) -> Command {
        Command { words: ["/bin/sh", "-c", script].map(str::to_owned).into(), user: None }
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// Its exit code.
    pub exit_code: i64,
    /// What it printed on both streams, the last 16 KiB of it.
    pub output: String,
    /// Whether it printed more than that.
    pub cut: bool,
}

/// A client inside a container, its input and output attached. Its input is closed when this is
/// dropped, so that it ends by itself.
pub struct Session {
    container: String,
    heard: Tail,
    talk: Box<dyn Talk>,
}

/// Both ends of a client.
#[async_trait]
pub(super) trait Talk: Send {
    async fn say(&mut self, text: &str) -> Result<(), String>;
    /// The next piece of its output; nothing where it has ended.
    async fn hear(&mut self) -> Result<Option<Vec<u8>>, String>;
    async fn close(&mut self);
}

impl Session {
    pub(super) fn new(container: &str, talk: Box<dyn Talk>) -> Session {
        Session { container: container.to_owned(), heard: Tail::default(), talk }
    }

    /// Says something, and waits for a whole line that contains `until`. Returns that line.
    ///
    /// # Errors
    /// Where the client ended instead, or said nothing of the kind in time; with what it said.
    pub async fn ask(
        &mut self,
        text: &str,
        until: &str,
        patience: Duration,
    ) -> Result<String, Error> {
        self.heard = Tail::default();
        let call = async {
            self.talk.say(text).await?;
            loop {
                if let Some(line) = self.heard.line_with(until) {
                    return Ok(line);
                }
                match self.talk.hear().await? {
                    Some(piece) => self.heard.push(&piece),
                    None => return Err("it ended".to_owned()),
                }
            }
        };
        let failure = match timeout(patience, call).await {
            Ok(Ok(line)) => return Ok(line),
            Ok(Err(reason)) => Some(reason),
            Err(_) => None,
        };
        let container = self.container.clone();
        let said = self.heard.text();
        Err(match failure {
            None => Error::TimedOut { doing: TALKING, container, after: patience, said },
            Some(reason) => {
                let message = format!("{reason} {}", said.trim()).trim_end().to_owned();
                Error::Refused { doing: TALKING, container, message }
            }
        })
    }

    /// Closes the client's input, and waits a little until it has ended. Returns whether it did.
    pub async fn end(mut self) -> bool {
        self.talk.close().await;
        let ends = async { while let Ok(Some(_)) = self.talk.hear().await {} };
        timeout(FAREWELL, ends).await.is_ok()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("container", &self.container).finish_non_exhaustive()
    }
}

/// The end of an output, however long that is.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    cut: bool,
}

impl Tail {
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
        // Twice as much, so that not every piece moves all that is kept.
        if self.bytes.len() > 2 * KEPT {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.bytes.len() > KEPT {
            self.bytes.drain(..self.bytes.len() - KEPT);
            self.cut = true;
        }
    }

    fn line_with(&self, until: &str) -> Option<String> {
        let whole = self.bytes.iter().rposition(|it| *it == b'\n')?;
        let text = String::from_utf8_lossy(&self.bytes[..whole]);
        text.lines().find(|it| it.contains(until)).map(str::to_owned)
    }

    pub(super) fn text(&mut self) -> String {
        self.cut();
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(super) fn executed(mut self, exit_code: i64) -> Executed {
        let output = self.text();
        Executed { exit_code, output, cut: self.cut }
    }
}

/// A command that the engine has started.
struct Started {
    id: String,
    output: Output,
    input: Pin<Box<dyn AsyncWrite + Send>>,
}

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Failure>> + Send>>;

impl Docker {
    /// Runs a command to its end.
    pub(super) async fn execute(
        &self,
        container: &str,
        command: &Command,
        patience: Duration,
    ) -> Result<Executed, Error> {
        let end = Instant::now() + patience;
        let mut started = self.begin(RUNNING, container, command, false).await?;
        let mut tail = Tail::default();
        let call = self.read_to_end(container, &mut started, &mut tail);
        let Ok(ended) = tokio::time::timeout_at(end, call).await else {
            let (container, said) = (container.to_owned(), tail.text());
            return Err(Error::TimedOut { doing: RUNNING, container, after: patience, said });
        };
        Ok(tail.executed(ended?))
    }

    /// Starts a client with its input and output attached.
    pub(super) async fn open(&self, container: &str, command: &Command) -> Result<Session, Error> {
        let Started { output, input, .. } = self.begin(TALKING, container, command, true).await?;
        Ok(Session::new(container, Box::new(Attached { input, output })))
    }

    async fn begin(
        &self,
        doing: &'static str,
        container: &str,
        command: &Command,
        attach_stdin: bool,
    ) -> Result<Started, Error> {
        super::docker::is_reference(container)?;
        let config = ExecConfig {
            attach_stdin: Some(attach_stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.words.clone()),
            user: command.user.clone(),
            ..ExecConfig::default()
        };
        let call = async {
            let id = self.client.create_exec(container, config).await?.id;
            Ok((self.client.start_exec(&id, None).await?, id))
        };
        match self.ask(doing, container, PATIENCE, call).await {
            Ok((StartExecResults::Attached { output, input }, id)) => {
                Ok(Started { id, output, input })
            }
            Ok((StartExecResults::Detached, _)) => Err(Error::Refused {
                doing,
                container: container.to_owned(),
                message: "the engine did not attach to it".to_owned(),
            }),
            Err(refused @ Error::Refused { .. }) => {
                // Docker says 404 also where only the program is missing.
                self.inspect(container).await?;
                Err(refused)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads what a command prints until it has ended; returns its exit code.
    async fn read_to_end(
        &self,
        container: &str,
        started: &mut Started,
        tail: &mut Tail,
    ) -> Result<i64, Error> {
        let mut open = true;
        loop {
            match timeout(SILENCE, started.output.next()).await {
                Ok(Some(Ok(piece))) if open => {
                    tail.push(piece.as_ref());
                    continue;
                }
                Ok(_) if open => open = false,
                Ok(_) => tokio::time::sleep(SILENCE / 20).await,
                Err(_) => (),
            }
            let call = self.client.inspect_exec(&started.id);
            let now = self.ask(RUNNING, container, PATIENCE, call).await?;
            if let (Some(exit_code), Some(false)) = (now.exit_code, now.running) {
                return Ok(exit_code);
            }
        }
    }
}

struct Attached {
    input: Pin<Box<dyn AsyncWrite + Send>>,
    output: Output,
}

#[async_trait]
impl Talk for Attached {
    async fn say(&mut self, text: &str) -> Result<(), String> {
        let write = async {
            self.input.write_all(text.as_bytes()).await?;
            self.input.flush().await
        };
        write.await.map_err(|error| error.to_string())
    }

    async fn hear(&mut self) -> Result<Option<Vec<u8>>, String> {
        match self.output.next().await {
            Some(Ok(piece)) => Ok(Some(piece.as_ref().to_vec())),
            Some(Err(failure)) => Err(failure.to_string()),
            None => Ok(None),
        }
    }

    async fn close(&mut self) {
        // Where the client has gone already, there is nothing left to close.
        _ = self.input.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_end_of_an_output() {
        for (n, length, cut) in [(0, 0, false), (1, 10, false), (1638, 16380, false)] {
            let mut tail = Tail::default();
            (0..n).for_each(|_| tail.push(b"0123456789"));
            let executed = tail.executed(0);
            assert_eq!((executed.output.len(), executed.cut), (length, cut), "{n}");
        }
        for n in [1639, 3276, 3277, 100_000] {
            let mut tail = Tail::default();
            (0..n).for_each(|_| tail.push(b"0123456789"));
            let executed = tail.executed(0);
            assert!(executed.cut && executed.output.ends_with("0123456789"), "{n}");
            assert_eq!(executed.output.len(), KEPT, "{n}");
        }
    }

    #[test]
    fn waits_for_a_whole_line() {
        let mut tail = Tail::default();
        tail.push(b"first\nhearthkeep: lock");
        assert_eq!(tail.line_with("hearthkeep:"), None);
        tail.push(b"ed\nmore");
        assert_eq!(tail.line_with("hearthkeep:").as_deref(), Some("hearthkeep: locked"));
    }
}
