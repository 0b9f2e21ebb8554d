//! The gate behind a restore: do the containers run, does Home Assistant answer, and does it run as
//! it should rather than in its recovery mode?

mod answer;
mod log;
mod port;

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub use self::answer::answers;
pub use self::log::{and_its_log, last_words};
pub use self::port::{CONFIGURATION, STORED, port};
use crate::engine::{self, Engine};
use crate::model::{Container, Health, State};
use crate::signals::Cancelled;

const PAUSE_BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// A container that comes up never stays down this long, even if the engine restarts it.
const DOWN_FOR_GOOD: Duration = Duration::from_secs(10);

/// What has to come true, and until when.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Containers that have to run.
    pub running: Vec<Runner>,
    /// The container that has to answer on a port, by name, and the port.
    pub answering: Option<(String, u16)>,
    /// When to give up.
    pub patience: Duration,
    /// How long everything has to stay up after the answer: what crashes at its start comes up too.
    pub settle: Duration,
}

/// A container that has to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// Its name.
    pub name: String,
    /// Whether its health check has to pass, where it has one.
    pub needs_health: bool,
}

/// A container that did not come up.
#[derive(Debug, thiserror::Error)]
#[error("{container} {why}")]
pub struct Down {
    /// Its name.
    pub container: String,
    /// How that was seen, to be read after its name.
    pub why: String,
}

/// Home Assistant runs but does not answer.
#[derive(Debug, thiserror::Error)]
#[error("Home Assistant does not answer on port {port} after {patience} s")]
pub struct Silent {
    /// The port that was asked.
    pub port: u16,
    /// How long it was waited for, in seconds.
    pub patience: u64,
}

fn down(container: &str, why: impl Into<String>) -> anyhow::Error {
    Down { container: container.to_owned(), why: why.into() }.into()
}

/// Waits until everything is as it should be, and stays so for a moment.
///
/// # Errors
/// [`Silent`] where everything runs and only the answer is missing, [`Cancelled`] where the token
/// is, else [`Down`] for what does not run as it should: when the patience is over or when it cannot
/// become true any more.
pub async fn pass(engine: &Engine, gate: &Gate, cancel: &CancellationToken) -> anyhow::Result<()> {
    cancel.run_until_cancelled(wait(engine, gate)).await.unwrap_or(Err(Cancelled.into()))
}

async fn wait(engine: &Engine, gate: &Gate) -> anyhow::Result<()> {
    let deadline = Instant::now() + gate.patience;
    loop {
        all_run(engine, gate, deadline).await?;
        if let Some((name, port)) = &gate.answering {
            while !answers(&engine.inspect(name).await?, *port).await {
                if Instant::now() > deadline {
                    // In its recovery mode it may answer on another port.
                    started_well(engine, name).await?;
                    return Err(Silent { port: *port, patience: gate.patience.as_secs() }.into());
                }
                // It may have given up meanwhile.
                all_run(engine, gate, deadline).await?;
                sleep(PAUSE_BETWEEN_LOOKS).await;
            }
        }
        let fallen = fallen(engine, gate).await?;
        if let Some((name, _)) = &gate.answering {
            // Its recovery mode answers too, and has begun long before it does.
            started_well(engine, name).await?;
        }
        let Some(runner) = fallen else { return Ok(()) };
        if Instant::now() >= deadline {
            return Err(down(&runner.name, "does not stay up"));
        }
    }
}

/// Whether Home Assistant has nothing to complain of, as far as its log can be read.
async fn started_well(engine: &Engine, name: &str) -> anyhow::Result<()> {
    let log = match engine.log_since_start(name).await {
        // There are logging drivers that keep nothing.
        Err(engine::Error::Refused { .. }) => return Ok(()),
        log => log?,
    };
    match log::complaint(&log) {
        Some(why) => Err(down(name, why)),
        None => Ok(()),
    }
}

async fn all_run(engine: &Engine, gate: &Gate, deadline: Instant) -> anyhow::Result<()> {
    for runner in &gate.running {
        runs(engine, runner, deadline).await?;
    }
    Ok(())
}

async fn runs(engine: &Engine, runner: &Runner, deadline: Instant) -> anyhow::Result<()> {
    let name = &runner.name;
    let mut down_since = Instant::now();
    loop {
        let container = engine.inspect(name).await?;
        match container.state {
            _ if is_up(&container, runner) => return Ok(()),
            State::Running => down_since = Instant::now(),
            _ if down_since.elapsed() < DOWN_FOR_GOOD => (),
            _ => return Err(down(name, "does not stay up")),
        }
        if Instant::now() >= deadline {
            return Err(down(name, format!("did not come up: {}", plight(&container))));
        }
        sleep(PAUSE_BETWEEN_LOOKS).await;
    }
}

fn is_up(container: &Container, runner: &Runner) -> bool {
    let is_healthy = matches!(container.health, Health::None | Health::Healthy);
    match container.state {
        State::Running => is_healthy || !runner.needs_health,
        // Somebody else's doing; it came up before.
        State::Paused => true,
        State::Restarting | State::Stopped => false,
    }
}

/// Why a container is not up, to be read after a colon.
fn plight(container: &Container) -> &'static str {
    match (container.state, container.health) {
        (State::Stopped, _) => "it has stopped",
        (State::Restarting, _) => "the engine restarts it over and over",
        (_, Health::Starting) => "its health check has not passed yet",
        (_, _) => "its health check fails",
    }
}

/// The first container that does not run at every look for a while, or has started anew meanwhile.
async fn fallen<'a>(engine: &Engine, gate: &'a Gate) -> anyhow::Result<Option<&'a Runner>> {
    let mut starts = Vec::new();
    for runner in &gate.running {
        starts.push(engine.inspect(&runner.name).await?.started);
    }
    let until = Instant::now() + gate.settle;
    while !gate.running.is_empty() && Instant::now() < until {
        sleep(PAUSE_BETWEEN_LOOKS).await;
        for (runner, start) in gate.running.iter().zip(&starts) {
            let container = engine.inspect(&runner.name).await?;
            if !is_up(&container, runner) || container.started != *start {
                return Ok(Some(runner));
            }
        }
    }
    Ok(None)
}
