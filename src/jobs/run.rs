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
use crate::chronicle::{self, Door, Outcome};
use crate::exit::Exit;
use crate::island::island;
use crate::lines::Line;
use crate::lock::{self, Busy};
use crate::log::{self, Entry, Kind, Log};
use crate::program::{self, Start, Surroundings};
use crate::recover::{self, Recovered, Wreck};
use crate::secret::Secret;
use crate::systemd;

/// How often is looked whether another run is over. Nobody waits for a second of it.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// How long the output of a job is read that has ended: what it started may have it open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long the guardian of a job that died is waited for. It waits for an engine that is away.
const GUARDIAN: Duration = Duration::from_mins(30);

/// How long it may take to end, once everything is closed.
const LAST_DEEDS: Duration = Duration::from_secs(5);

/// How often is looked whether the guardian is done.
const BETWEEN_LOCKS: Duration = Duration::from_millis(50);

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
        let is_restore = words.first().is_some_and(|it| it == "restore");
        if is_restore && !words.iter().any(|it| it == "--yes" || it == "-y") {
            words.push("--yes".to_owned());
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
                () = self.cancel.cancelled(), if !is_cancelled => {
                    is_cancelled = true;
                    signal(process, Signal::SIGINT);
                }
                () = self.stop.cancelled(), if !is_stopped => {
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

    /// Closes what a job left open that was killed. Its guardian may be faster.
    async fn clean_up(&self, signal: i32, began: Timestamp) -> u8 {
        let what = format!("the job was killed by signal {signal}");
        self.told.say(Entry::new(Kind::JobWarning, &what));
        self.hear(Line::Step { step: "closing what the job left open".to_owned(), bytes: 0 });
        let since = Instant::now();
        let mut recovered = loop {
            let state = &self.place.surroundings.state;
            // Containers may be held: nothing ends this.
            match recover::resume(state, Wreck::Stays, Door::Daemon, &CancellationToken::new())
                .await
            {
                Err(err) if err.is::<Busy>() && since.elapsed() < GUARDIAN => {
                    sleep(BETWEEN_LOCKS).await;
                }
                Ok(recovered) => break recovered,
                Err(err) => {
                    let warnings = vec![format!("closing what {} left open: {err:#}", self.id)];
                    break Recovered { warnings, ..Recovered::default() };
                }
            }
        };
        if recovered == Recovered::default() {
            recovered.warnings = self.closed_by_guardian(began).await;
        }
        for warning in &recovered.warnings {
            self.hear(Line::Warning(warning.clone()));
        }
        self.remember(began, &what).await;
        recovered.warnings.insert(0, format!("job {}: {what}", self.id));
        self.told.say(Entry::new(Kind::Recovered, &told(&recovered)));
        self.place.recovered.send_replace(Some(recovered));
        self.fail(&format!("{what}; what it had left open was closed"), Exit::Failed)
    }

    /// Writes down how a job ended that could not do so itself.
    async fn remember(&self, began: Timestamp, what: &str) {
        let Some(task) = self.request.task() else { return };
        let outcome = Outcome {
            task,
            profile: self.request.profile().unwrap_or_default().to_owned(),
            by_hand: false,
            began,
            ended: Timestamp::now(),
            exit_code: Exit::Failed as u8,
            slug: None,
            longest_hold_seconds: None,
            message: Some(what.to_owned()),
            warnings: Vec::new(),
            last_good: None,
        };
        let state = self.place.surroundings.state.clone();
        let ended = island("writing the chronicle", move || chronicle::ended(&state, outcome));
        if let Err(err) = ended.await {
            self.told.say(Entry::new(Kind::JobWarning, &format!("{err:#}")));
        }
    }

    /// What the guardian has closed since the job began, as it has written it down.
    async fn closed_by_guardian(&self, began: Timestamp) -> Vec<String> {
        let since = Instant::now();
        let incidents = loop {
            let state = self.place.surroundings.state.clone();
            // It writes before it lets go of the lock.
            let read = island("reading the chronicle", move || {
                let _lock = lock::take(&state)?;
                chronicle::read(&state).map(|it| it.incidents)
            });
            match read.await {
                Err(err) if err.is::<Busy>() && since.elapsed() < LAST_DEEDS => {
                    sleep(BETWEEN_LOCKS).await;
                }
                read => break read.unwrap_or_default(),
            }
        };
        let since = incidents.into_iter().filter(|it| it.by == Door::Guardian && it.at >= began);
        since.flat_map(|it| it.closed.into_iter().chain(it.warnings)).collect()
    }

    fn fail(&self, message: &str, exit: Exit) -> u8 {
        self.hear(failed(message, exit));
        exit as u8
    }

    /// Tells everybody what the job says.
    fn hear(&self, line: Line) {
        if let Line::Step { step, .. } = &line {
            systemd::status(&format!("{}: {step}", self.request.words.join(" ")));
        }
        self.told.line(&line);
        self.story.send_modify(|it| it.hear(line));
    }
}

/// What was recovered, as one sentence.
fn told(recovered: &Recovered) -> String {
    let Recovered { released, removed, warnings, .. } = recovered;
    let removed: Vec<String> = removed.iter().map(|it| it.display().to_string()).collect();
    format!(
        "recovered; released: {}; removed: {}; {}",
        released.join(", "),
        removed.join(", "),
        warnings.join("; ")
    )
}

fn signal(process: Option<u32>, signal: Signal) {
    let process = process.and_then(|it| i32::try_from(it).ok()).map(Pid::from_raw);
    if let Some(process) = process {
        // One that has just ended needs none; until it is waited for nobody else has its number.
        let _ = kill(process, signal);
    }
}
