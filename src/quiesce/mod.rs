//! Hold containers still, and let them go on again.
//!
//! What was held is always released, whatever happened in between: the caller holds, works,
//! releases, and only then looks at how the work went. Nothing cancels a release.

use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::Instant;

use crate::engine::{Engine, Error};
use crate::model::State;
use crate::plan::{Hold, How};

/// How long a release tries again before it gives a container up: longer than a restart of the
/// engine takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a release waits before it asks again.
const PAUSE_BETWEEN_TRIES: Duration = Duration::from_millis(250);

/// Containers that are held now.
#[derive(Debug, Default)]
pub struct Held {
    held: Vec<(Hold, Instant)>,
}

/// How long a container stood still.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stillness {
    /// The container's name.
    pub name: String,
    /// How it was held: `pause`, `stop` or `none`.
    pub held: How,
    /// For how long, in seconds; 0 where it was not.
    pub hold_seconds: f64,
}

/// Makes all containers still: those to stop one after the other in the order of the plan, then
/// all others at once, so that those that are only paused stand still as briefly as they can.
///
/// # Errors
/// Where one cannot be held. The others are released before it returns.
pub async fn hold(engine: &Engine, holds: &[Hold]) -> anyhow::Result<Held> {
    let mut held = Held::default();
    let outcome = take(engine, holds, &mut held).await;
    match outcome {
        Ok(()) => Ok(held),
        Err(err) => {
            let (_, released) = release(engine, held).await;
            released.context("releasing what was held")?;
            Err(err)
        }
    }
}

async fn take(engine: &Engine, holds: &[Hold], held: &mut Held) -> anyhow::Result<()> {
    for hold in holds.iter().filter(|it| it.how == How::Stop) {
        // Noted before it is asked: a request that fails may still have done its work.
        held.held.push((hold.clone(), Instant::now()));
        engine
            .stop(&hold.id, hold.stop_timeout)
            .await
            .with_context(|| format!("holding {}", hold.name))?;
    }
    let pauses: Vec<&Hold> =
        holds.iter().filter(|it| it.how == How::Pause && it.was == State::Running).collect();
    held.held.extend(pauses.iter().map(|it| ((*it).clone(), Instant::now())));
    let done = join_all(pauses.iter().map(|it| engine.pause(&it.id))).await;
    for (hold, done) in pauses.iter().zip(done) {
        done.with_context(|| format!("holding {}", hold.name))?;
    }
    Ok(())
}

/// Whether everything that was held is held still. A container that was removed or recreated
/// meanwhile may have left its files in any state.
pub async fn check(engine: &Engine, held: &Held) -> anyhow::Result<()> {
    for (hold, _) in &held.held {
        let wanted = match hold.how {
            How::Pause => State::Paused,
            How::Stop => State::Stopped,
            How::None => continue,
        };
        let now = engine
            .inspect(&hold.id)
            .await
            .with_context(|| format!("{} disappeared while it was held", hold.name))?;
        anyhow::ensure!(
            now.state == wanted,
            "{} did not stay still: it was {} by something else",
            hold.name,
            if now.state == State::Stopped { "stopped" } else { "started" }
        );
    }
    Ok(())
}

/// Lets everything go on that was held: what was paused at once, what was stopped in the reverse
/// order. Goes on after an error, and tries each container again until its patience ends.
pub async fn release(engine: &Engine, held: Held) -> (Vec<Stillness>, anyhow::Result<()>) {
    let (stopped, paused): (Vec<_>, Vec<_>) =
        held.held.into_iter().partition(|(hold, _)| hold.how == How::Stop);
    let mut done = join_all(paused.iter().map(|it| release_one(engine, it))).await;
    for it in stopped.iter().rev() {
        done.push(release_one(engine, it).await);
    }
    let mut stillness = Vec::new();
    let mut failed = Vec::new();
    for (seconds, outcome) in done {
        stillness.push(seconds);
        failed.extend(outcome.err().map(|err| format!("{err:#}")));
    }
    match failed.as_slice() {
        [] => (stillness, Ok(())),
        _ => (stillness, Err(anyhow::anyhow!(failed.join("; ")))),
    }
}

async fn release_one(
    engine: &Engine,
    (hold, since): &(Hold, Instant),
) -> (Stillness, anyhow::Result<()>) {
    let outcome = patiently(engine, hold).await;
    let stillness = Stillness {
        name: hold.name.clone(),
        held: hold.how,
        hold_seconds: since.elapsed().as_secs_f64(),
    };
    (stillness, outcome)
}

async fn patiently(engine: &Engine, hold: &Hold) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match go_on(engine, hold).await {
            Ok(()) => return Ok(()),
            Err(Error::NotFound { .. }) => {
                anyhow::bail!("{} disappeared while it was held", hold.name)
            }
            Err(err) if Instant::now() > deadline => {
                let cure = match hold.how {
                    How::Stop => format!("docker start {}", hold.name),
                    _ => format!("docker unpause {}", hold.name),
                };
                return Err(err)
                    .with_context(|| format!("{} is still held, run `{cure}`", hold.name));
            }
            Err(_) => tokio::time::sleep(PAUSE_BETWEEN_TRIES).await,
        }
    }
}

async fn go_on(engine: &Engine, hold: &Hold) -> Result<(), Error> {
    match (hold.how, hold.was) {
        (How::Stop, State::Paused) => {
            engine.start(&hold.id).await?;
            engine.pause(&hold.id).await
        }
        // What was stopped before stays so.
        (How::Stop, State::Stopped) => Ok(()),
        (How::Stop, _) => engine.start(&hold.id).await,
        (How::Pause, _) => engine.unpause(&hold.id).await,
        (How::None, _) => Ok(()),
    }
}
