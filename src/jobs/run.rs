//! One job, as a process: started, listened to, ended on request, and cleaned up after if it dies.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::story::{Story, failed};
use super::{By, Request};
use crate::exit::Exit;
use crate::island::island;
use crate::lines::Line;
use crate::lock::{self, Busy};
use crate::log::{self, Log};
use crate::program::{self, Start, Surroundings};
use crate::recover::{self, Recovered};
use crate::secret::Secret;
use crate::systemd;

/// How often is looked whether another run is over. Nobody waits for a second of it.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// How long the output of a job is read that has ended: what it started may have it open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The option by which a request names its password itself.
const PASSWORD_FILE: &str = "--password-file";

/// Where jobs run, and who is told.
#[derive(Debug)]
pub struct Place {
    /// What each is started with.
    pub surroundings: Surroundings,
    /// The settings as they were read last, as variables for what is due by them.
    pub kept: Vec<(String, std::ffi::OsString)>,
    /// The password in the environment of the daemon.
    pub password: Option<Secret>,
    /// The log.
    pub log: Log,
    /// What had to be recovered.
    pub recovered: watch::Sender<Option<Recovered>>,
}

/// A job that runs.
#[derive(Debug)]
pub(super) struct Running<'a> {
    pub(super) place: &'a Place,
    pub(super) id: &'a str,
    pub(super) request: &'a Request,
    pub(super) story: &'a watch::Sender<Story>,
    /// The same as entries of the log.
    pub(super) told: &'a log::Story,
    /// Somebody cancels it.
    pub(super) cancel: &'a CancellationToken,
    /// The daemon ends.
    pub(super) stop: &'a CancellationToken,
}

/// How a process ended.
enum End {
    /// By itself, with this code.
    Code(u8),
    /// Another run has the lock.
    Busy,
    /// By a signal that no process survives.
    Killed(i32),
}

impl Running<'_> {
    /// Does the job; gives its exit code.
    pub(super) async fn run(&self) -> u8 {
        self.told.begin(&self.request.words);
        let code = self.patiently().await;
        self.told.line(&Line::Ended(code));
        code
    }

    async fn patiently(&self) -> u8 {
        let mut moved: Option<String> = None;
        loop {
            let began = Timestamp::now();
            match self.once(moved.as_deref()).await {
                Ok(End::Code(code)) => return code,
                Ok(End::Busy) => {
                    if let Err(code) = self.wait_for_another().await {
                        return code;
                    }
                }
                // Asked before it could listen; it has begun nothing.
                Ok(End::Killed(signal)) if self.has_asked(signal) && !self.has_begun().await => {
                    return self.fail("cancelled", Exit::Cancelled);
                }
                Ok(End::Killed(signal)) => {
                    let container = self.story.borrow().container.clone();
                    match container.filter(|it| moved.as_ref() != Some(it)) {
                        // Only the one who listened is gone.
                        Some(container) => moved = Some(container),
                        None => return self.clean_up(signal, began).await,
                    }
                }
                Err(err) => return self.fail(&format!("{err:#}"), Exit::Failed),
            }
        }
    }

    /// Whether the signal is one that this has sent.
    fn has_asked(&self, signal: i32) -> bool {
        (signal == Signal::SIGINT as i32 && self.cancel.is_cancelled())
            || (signal == Signal::SIGTERM as i32 && self.stop.is_cancelled())
    }

    /// Whether there is anything to close, here or in a container.
    async fn has_begun(&self) -> bool {
        let state = &self.place.surroundings.state;
        self.story.borrow().container.is_some() || recover::is_needed(state).await.unwrap_or(true)
    }

    /// Does it in a process, or listens to the container in which it goes on already.
    async fn once(&self, moved: Option<&str>) -> anyhow::Result<End> {
        let mut child = self.start(moved).await?;
        let process = child.id();
        self.story.send_modify(|it| it.process = process);
        let ended = self.listen(&mut child).await;
        self.story.send_modify(|it| it.process = None);
        let (status, failure) = ended?;
        if let Some(signal) = status.signal() {
            return Ok(End::Killed(signal));
        }
        let code = status.code().and_then(|it| u8::try_from(it).ok()).unwrap_or(Exit::Failed as u8);
        if code == Exit::Busy as u8 {
            return Ok(End::Busy);
        }
        match failure {
            Some(failure) => self.hear(failure),
            None if code != Exit::Done as u8 && code != Exit::DoneWithWarnings as u8 => {
                let message = format!("the job ended with exit code {code} and did not say why");
                self.hear(failed(&message, Exit::Failed));
            }
            None => (),
        }
        Ok(End::Code(code))
    }

    async fn start(&self, moved: Option<&str>) -> anyhow::Result<Child> {
        let password = self.password().filter(|_| moved.is_none());
        let request = self.request;
        let mut words = match moved {
            None => request.words.clone(),
            Some(container) => Request::following(container).words,
        };
        // Nobody is there who could be asked.
        if words.first().is_some_and(|it| it == "restore") {
            words.insert(1, "--yes".to_owned());
        }
        let start = Start {
            id: self.id,
            words: &words,
            variables: &request.variables,
            folder: request.folder.as_deref().filter(|it| *it != Path::new("")),
            has_password: password.is_some(),
        };
        let mut command = program::job(&self.place.surroundings, &start);
        if request.by == By::Schedule {
            command.envs(self.place.kept.iter().map(|(key, value)| (key, value)));
        }
        let mut child = Command::from(command).spawn().context("starting the job")?;
        if let (Some(mut stdin), Some(password)) = (child.stdin.take(), password) {
            // One that ended before it read it says why itself.
            let _ = stdin.write_all(password.expose().as_bytes()).await;
        }
        Ok(child)
    }

    /// The password to give: that of the request, or the daemon's own unless the request names
    /// another.
    fn password(&self) -> Option<Secret> {
        let request = self.request;
        let is_named = request.words.iter().any(|it| it.starts_with(PASSWORD_FILE))
            || request.variables.contains_key("HEARTHKEEP_PASSWORD_FILE");
        request.password.clone().or_else(|| self.place.password.clone().filter(|_| !is_named))
    }

    /// Hears all that the process says, and hands on who wants it ended; gives how it ended, and
    /// why it says that it failed.
    async fn listen(&self, child: &mut Child) -> anyhow::Result<(ExitStatus, Option<Line>)> {
        let stdout = child.stdout.take().context("listening to the job")?;
        let process = child.id();
        let mut lines = BufReader::new(stdout).split(b'\n');
        let (mut failure, mut status, mut is_silent) = (None, None, false);
        let (mut is_cancelled, mut is_stopped) = (false, false);
        let mut until = Instant::now();
        while status.is_none() || !is_silent {
            tokio::select! {
                biased;
                line = lines.next_segment(), if !is_silent => match line {
                    Ok(Some(bytes)) => match Line::read(&String::from_utf8_lossy(&bytes)) {
                        Some(line @ Line::Failed { .. }) => failure = Some(line),
                        Some(line) => self.hear(line),
                        // Words of a library.
                        None => (),
                    },
                    _ => is_silent = true,
                },
                () = self.cancel.cancelled(), if !is_cancelled && status.is_none() => {
                    is_cancelled = true;
                    signal(process, Signal::SIGINT);
                }
                () = self.stop.cancelled(), if !is_stopped && status.is_none() => {
                    is_stopped = true;
                    signal(process, Signal::SIGTERM);
                }
                ended = child.wait(), if status.is_none() => {
                    status = Some(ended.context("waiting for the job")?);
                    until = Instant::now() + LAST_WORDS;
                }
                () = sleep_until(until), if status.is_some() => break,
            }
        }
        Ok((status.context("waiting for the job")?, failure))
    }

    /// Waits until nobody has the lock.
    ///
    /// # Errors
    /// The exit code where it was cancelled meanwhile.
    async fn wait_for_another(&self) -> Result<(), u8> {
        self.hear(Line::Step { step: "waiting for another run".to_owned(), bytes: 0 });
        loop {
            tokio::select! {
                () = sleep(BETWEEN_LOOKS) => (),
                () = self.cancel.cancelled() => return Err(self.fail("cancelled", Exit::Cancelled)),
                () = self.stop.cancelled() => return Err(self.fail("cancelled", Exit::Cancelled)),
            }
            let state = self.place.surroundings.state.clone();
            let taken = island("locking", move || lock::take(&state).map(drop)).await;
            match taken {
                Err(err) if err.is::<Busy>() => (),
                // What else is wrong the job says itself.
                _ => return Ok(()),
            }
        }
    }

    pub(super) fn fail(&self, message: &str, exit: Exit) -> u8 {
        self.hear(failed(message, exit));
        exit as u8
    }

    /// Tells everybody what the job says.
    pub(super) fn hear(&self, line: Line) {
        if let Line::Step { step, .. } = &line {
            systemd::status(&format!("{}: {step}", self.request.words.join(" ")));
        }
        self.told.line(&line);
        self.story.send_modify(|it| it.hear(line));
    }
}

fn signal(process: Option<u32>, signal: Signal) {
    let process = process.and_then(|it| i32::try_from(it).ok()).map(Pid::from_raw);
    if let Some(process) = process {
        // One that has just ended needs none; until it is waited for nobody else has its number.
        let _ = kill(process, signal);
    }
}
