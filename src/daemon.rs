//! The story of the daemon: it closes what an earlier run left open, then serves until it is told
//! to stop, and ends what it has begun.

use std::ffi::OsString;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::{self, Facts};
use crate::calendar::Calendar;
use crate::chronicle::Door;
use crate::engine::Engine;
use crate::island::island;
use crate::jobs::{Handle, Place, Request, Worker, idle};
use crate::lock::{self, Busy};
use crate::log::{Entry, Kind, Level, Log};
use crate::program::Surroundings;
use crate::recover::{self, Recovered, Wreck};
use crate::secret::Secret;
use crate::settings::{self, Settings};
use crate::signals::{self, Cancelled};
use crate::{outpost, reach, socket, systemd};

/// How often systemd hears of a recovery, which may have to wait for the engine, and by how much
/// more it then waits.
const RECOVERING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(1));

/// How long is waited before the lock is tried again.
const BETWEEN_LOCKS: Duration = Duration::from_millis(50);

/// How long whoever is being answered may take, once the last job is over.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Reads the settings.
pub type Load = Arc<dyn Fn() -> anyhow::Result<Settings> + Send + Sync>;

/// What the daemon is given.
pub struct Service {
    /// What each job is started with, the state folder among it.
    pub surroundings: Surroundings,
    /// The password in its environment.
    pub password: Option<Secret>,
    /// The socket, where systemd listens on it already.
    pub listener: Option<UnixListener>,
    /// The log, until the settings name another.
    pub log: Log,
    /// What a person should know of how it was started.
    pub remarks: Vec<String>,
    /// Reads the settings.
    pub load: Load,
    /// Tells it to stop.
    pub stop: CancellationToken,
    /// Tells it to read the settings again.
    pub reload: Arc<Notify>,
}

/// Serves until it is told to stop.
///
/// # Errors
/// Where it cannot begin: another daemon has the state or the socket, what an earlier run left open
/// cannot be closed, or the settings mean nothing. From then on nothing ends it but its token.
pub async fn run(mut service: Service) -> anyhow::Result<()> {
    let state = service.surroundings.state.clone();
    let _lock = island("locking", move || lock::serve(&state)).await?;
    let recovered = match recover(&service).await {
        // Told to stop before it has begun.
        Err(err) if err.is::<Cancelled>() => return Ok(()),
        recovered => recovered?,
    };
    let current = read(&service).await?;
    let (listener, path) = listen(service.listener.take()).await?;
    let form = current.settings.log;
    if form.is_some() {
        service.log = Log::new(form);
    }
    let log = &service.log;
    let lacks = log.lacks(form).map(str::to_owned);
    for remark in service.remarks.iter().chain(&lacks) {
        say(log, Level::Warning, Kind::Warned, remark);
    }

    let (recovered, recoveries) = watch::channel(recovered);
    let (settings, settings_now) = watch::channel(current.settings);
    let (settings_error, settings_errors) = watch::channel(None);
    let place = |kept| {
        Arc::new(Place {
            surroundings: service.surroundings.clone(),
            kept,
            password: service.password.clone(),
            log: log.clone(),
            recovered: recovered.clone(),
        })
    };
    let (places, place_now) = watch::channel(place(current.kept));
    let (worker, jobs) = Worker::new(place_now, settings_errors.clone(), systemd::watchdog());
    let mut worker = tokio::spawn(worker.run());
    if let Err(err) = adopt(&service.surroundings.state, &jobs).await {
        let text = format!("looking for jobs that go on in containers: {err:#}");
        say(log, Level::Warning, Kind::Recovered, &text);
    }
    let (due, next) = watch::channel(Vec::new());
    let state = service.surroundings.state.clone();
    let calendar = Calendar::new(jobs.clone(), settings_now, state, log.clone(), due).await?;
    let mut calendar = tokio::spawn(calendar.keep());
    let since = Timestamp::now();
    let facts = Facts {
        since,
        jobs: jobs.clone(),
        next,
        recovered: recoveries,
        settings_error: settings_errors,
    };
    let end = CancellationToken::new();
    let mut answers = tokio::spawn(api::serve(listener, facts, end.clone()));
    systemd::ready(&idle(None));
    say(log, Level::Info, Kind::Ready, "ready");

    let ended = loop {
        tokio::select! {
            () = service.stop.cancelled() => break Ok(()),
            // Nothing that is due would begin any more: better to start anew.
            ended = &mut calendar => break ended.context("keeping the schedules").flatten(),
            // It ends by itself only where it panicked.
            ended = &mut worker => break ended.context("doing the jobs"),
            () = service.reload.notified() => match read(&service).await {
                Ok(Current { settings: new, kept }) => {
                    settings.send_replace(new);
                    places.send_replace(place(kept));
                    settings_error.send_replace(None);
                    reloaded(log, None);
                }
                Err(err) => {
                    let why = format!("{err:#}").replace('\n', " ");
                    reloaded(log, Some(&why));
                    settings_error.send_replace(Some(why));
                }
            },
        }
    };
    systemd::stopping();
    say(log, Level::Info, Kind::Stopping, "stopping");
    jobs.close().await;
    if !worker.is_finished() {
        // Its own end is all that it says.
        let _ = worker.await;
    }
    end.cancel();
    let _ = timeout(LAST_ANSWERS, &mut answers).await;
    let remove = move || {
        path.iter().for_each(|it| socket::remove(it));
        Ok(())
    };
    island("removing the socket", remove).await?;
    ended
}

/// Listens to the jobs that an earlier daemon of this container began and that go on without it. Those
/// that have ended are told from their first line to their end, too.
async fn adopt(state: &Path, jobs: &Handle) -> anyhow::Result<()> {
    if !island("looking where this runs", reach::in_container).await? {
        return Ok(());
    }
    let engine = Engine::connect().await?;
    for left in outpost::left_behind(&engine, state).await? {
        jobs.submit(Request::following(&left.name)).await?;
    }
    Ok(())
}

/// Closes what an earlier run left open; gives what that was.
async fn recover(service: &Service) -> anyhow::Result<Option<Recovered>> {
    systemd::status("closing what an earlier run left open");
    let state = &service.surroundings.state;
    let resume = async {
        loop {
            match recover::resume(state, Wreck::Stays, Door::Daemon, &service.stop).await {
                // The guardian of a run, or `resume`, is still at it.
                Err(err) if err.is::<Busy>() && !recover::is_run(state).await? => {
                    signals::check(&service.stop)?;
                    sleep(BETWEEN_LOCKS).await;
                }
                resumed => return resumed,
            }
        }
    };
    let told = async {
        loop {
            systemd::extend(RECOVERING.1);
            sleep(RECOVERING.0).await;
        }
    };
    let recovered: anyhow::Result<Recovered> = tokio::select! {
        recovered = resume => recovered,
        () = told => unreachable!("it goes on for ever"),
    };
    let recovered = match recovered {
        // A run is under way, and closes itself what it has opened.
        Err(err) if err.is::<Busy>() => return Ok(None),
        recovered => recovered.context("closing what an earlier run left open")?,
    };
    if recovered == Recovered::default() {
        return Ok(None);
    }
    let what = format!("recovered: {}", recovered.lines().join("; "));
    say(&service.log, Level::Warning, Kind::Recovered, &what);
    for warning in &recovered.warnings {
        say(&service.log, Level::Warning, Kind::Recovered, warning);
    }
    Ok(Some(recovered))
}

/// The settings as they were read last.
struct Current {
    settings: Settings,
    /// Where they are kept, as variables for a job.
    kept: Vec<(String, OsString)>,
}

/// Reads the settings, and keeps a copy for the jobs that are due by them.
async fn read(service: &Service) -> anyhow::Result<Current> {
    let (load, state) = (service.load.clone(), service.surroundings.state.clone());
    island("reading the settings", move || {
        let settings = load()?;
        let kept = settings::keep(settings.file.as_deref(), &state)?;
        let kept = kept.map(|it| (settings::FILE.to_owned(), it.into_os_string()));
        Ok(Current { settings, kept: kept.into_iter().collect() })
    })
    .await
}

fn reloaded(log: &Log, error: Option<&str>) {
    systemd::reloading();
    systemd::ready(&idle(error));
    match error {
        None => say(log, Level::Info, Kind::Reloaded, "read the settings again"),
        Some(why) => {
            let text = format!("the settings stay as they were: {why}");
            say(log, Level::Error, Kind::ReloadRefused, &text);
        }
    }
}

/// Where people ask: the socket of systemd, or one of its own, with its path.
async fn listen(
    given: Option<UnixListener>,
) -> anyhow::Result<(tokio::net::UnixListener, Option<PathBuf>)> {
    let (listener, path) = match given {
        Some(listener) => (listener, None),
        None => {
            let path = socket::own().context(
                "no place for the socket: set HEARTHKEEP_SOCKET, such as /run/hearthkeep.sock",
            )?;
            let made = path.clone();
            let listener = island("listening", move || socket::listen(&made)).await?;
            (listener, Some(path))
        }
    };
    listener.set_nonblocking(true).context("listening")?;
    Ok((tokio::net::UnixListener::from_std(listener).context("listening")?, path))
}

fn say(log: &Log, level: Level, kind: Kind, text: &str) {
    log.say(&Entry { level, ..Entry::new(kind, text) });
}
