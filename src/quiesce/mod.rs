//! Hold containers still, and let them go on again.
//!
//! What was held is always released, whatever happened in between: the caller holds, works,
//! releases, and only then looks at how the work went. Nothing cancels a release.

pub mod databases;
pub mod hooks;

use std::time::Duration;

use anyhow::Context;
use futures_util::future::{join, join_all};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};

use crate::engine::{Engine, Error};
use crate::model::{Container, State};
use crate::plan::{Hold, How};

/// How long a release tries again where the engine answers, but refuses.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a release tries again where no engine answers: nothing better can be done than to wait
/// until somebody has mended it.
const PATIENCE_WITHOUT_ENGINE: Duration = Duration::from_mins(30);

/// How long a release waits before it asks again.
const PAUSE_BETWEEN_TRIES: Duration = Duration::from_millis(250);

/// How often a release looks again at a container that was started while its stop may go on.
const LOOKS_AFTER_FAILED_STOP: usize = 12;

/// How long the engine may take to say whether everything is still.
const PATIENCE_FOR_CHECK: Duration = Duration::from_secs(5);

/// Containers that are held now.
#[derive(Debug, Default)]
pub struct Held {
    held: Vec<One>,
}

#[derive(Debug)]
struct One {
    hold: Hold,
    since: Instant,
    /// Whether the engine reported a failure, and may still be at work on it.
    failed: bool,
}

/// What a container means that does not exist any more.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Gone {
    Fails,
    IsStill,
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
    hold_those(engine, holds, Gone::Fails).await
}

/// The same, for the way back: a container to stop that does not exist any more is still enough,
/// and the release passes it over.
///
/// # Errors
/// As those of [`hold`].
pub async fn stop_what_is_there(engine: &Engine, holds: &[Hold]) -> anyhow::Result<Held> {
    hold_those(engine, holds, Gone::IsStill).await
}

async fn hold_those(engine: &Engine, holds: &[Hold], gone: Gone) -> anyhow::Result<Held> {
    let mut held = Held::default();
    let Err(err) = take(engine, holds, gone, &mut held).await else { return Ok(held) };
    match release(engine, held).await.1 {
        Ok(()) => Err(err),
        Err(more) => Err(anyhow::anyhow!("{err:#}; then, releasing what was held: {more:#}")),
    }
}

async fn take(engine: &Engine, holds: &[Hold], gone: Gone, held: &mut Held) -> anyhow::Result<()> {
    for hold in holds.iter().filter(|it| it.how == How::Stop) {
        let since = Instant::now();
        let answer = engine.stop(&hold.id, hold.stop_timeout).await;
        if gone == Gone::IsStill && matches!(answer, Err(Error::NotFound { .. })) {
            continue;
        }
        // Noted whatever the answer is: a request that fails may still have done its work.
        held.held.push(One { hold: hold.clone(), since, failed: answer.is_err() });
        answer.with_context(|| format!("holding {}", hold.name))?;
    }
    let pauses: Vec<&Hold> =
        holds.iter().filter(|it| it.how == How::Pause && it.was == State::Running).collect();
    let since = Instant::now();
    let noted = pauses.iter().map(|it| One { hold: (*it).clone(), since, failed: false });
    held.held.extend(noted);
    let done = join_all(pauses.iter().map(|it| engine.pause(&it.id))).await;
    for (hold, done) in pauses.iter().zip(done) {
        done.with_context(|| format!("holding {}", hold.name))?;
    }
    Ok(())
}

/// Whether everything that was held is held still. A container that was removed or recreated
/// meanwhile may have left its files in any state.
///
/// # Errors
/// What did not stay still, or that the engine did not say so in time: everything waits for this.
pub async fn check(engine: &Engine, held: &Held) -> anyhow::Result<()> {
    let looks = join_all(held.held.iter().map(|it| engine.inspect(&it.hold.id)));
    let looks = timeout(PATIENCE_FOR_CHECK, looks).await.with_context(|| {
        format!(
            "the engine did not say within {} s whether all containers had stayed still",
            PATIENCE_FOR_CHECK.as_secs()
        )
    })?;
    for (one, now) in held.held.iter().zip(looks) {
        stayed_still(&one.hold, now)?;
    }
    Ok(())
}

fn stayed_still(hold: &Hold, now: Result<Container, Error>) -> anyhow::Result<()> {
    let now = match now {
        Ok(now) => now.state,
        Err(Error::NotFound { .. }) => return Err(disappeared(hold)),
        Err(err) => {
            let doing = format!("asking whether {} had stayed still", hold.name);
            return Err(anyhow::Error::from(err).context(doing));
        }
    };
    let wanted = match hold.how {
        How::Pause => State::Paused,
        How::Stop => State::Stopped,
        How::None => now,
    };
    anyhow::ensure!(
        now == wanted,
        "{} did not stay still: it was {} by something else",
        hold.name,
        if now == State::Stopped { "stopped" } else { "started" }
    );
    Ok(())
}

fn disappeared(hold: &Hold) -> anyhow::Error {
    anyhow::anyhow!("{} disappeared while it was held", hold.name)
}

/// Lets everything go on that was held: what was paused at once, and beside it what was stopped,
/// in the reverse order. Goes on after an error, and tries each container again until its patience
/// ends.
pub async fn release(engine: &Engine, held: Held) -> (Vec<Stillness>, anyhow::Result<()>) {
    let (stopped, paused): (Vec<_>, Vec<_>) =
        held.held.into_iter().partition(|it| it.hold.how == How::Stop);
    let unpauses = join_all(paused.iter().map(|it| release_one(engine, it)));
    let starts = async {
        let mut done = Vec::new();
        for it in stopped.iter().rev() {
            done.push(release_one(engine, it).await);
        }
        done
    };
    let (mut done, started) = join(unpauses, starts).await;
    done.extend(started);
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

async fn release_one(engine: &Engine, one: &One) -> (Stillness, anyhow::Result<()>) {
    let outcome = patiently(engine, one).await;
    let stillness = Stillness {
        name: one.hold.name.clone(),
        held: one.hold.how,
        hold_seconds: one.since.elapsed().as_secs_f64(),
    };
    (stillness, outcome)
}

async fn patiently(engine: &Engine, one: &One) -> anyhow::Result<()> {
    let hold = &one.hold;
    let begin = Instant::now();
    let mut refused_since = None;
    loop {
        let err = match go_on(engine, one).await {
            Ok(()) => return Ok(()),
            Err(Error::NotFound { .. }) => return Err(disappeared(hold)),
            Err(err) => err,
        };
        let is_over = match err {
            Error::Unreachable { .. } => {
                refused_since = None;
                begin.elapsed() > PATIENCE_WITHOUT_ENGINE
            }
            _ => refused_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE,
        };
        if is_over {
            let cure = match hold.how {
                How::Stop => format!("docker start {}", hold.name),
                _ => format!("docker unpause {}", hold.name),
            };
            return Err(err).with_context(|| format!("{} is still held, run `{cure}`", hold.name));
        }
        if hold.how == How::Pause && refused_since.is_some() {
            let now = engine.inspect(&hold.id).await;
            anyhow::ensure!(
                !now.is_ok_and(|it| it.state == State::Stopped),
                "{} was stopped by something else while it was held",
                hold.name
            );
        }
        sleep(PAUSE_BETWEEN_TRIES).await;
    }
}

async fn go_on(engine: &Engine, one: &One) -> Result<(), Error> {
    let hold = &one.hold;
    match (hold.how, hold.was) {
        (How::Stop, State::Paused) => {
            start(engine, one).await?;
            engine.pause(&hold.id).await
        }
        // What was stopped before stays so.
        (How::Stop, State::Stopped) => Ok(()),
        (How::Stop, _) => start(engine, one).await,
        (How::Pause, _) => engine.unpause(&hold.id).await,
        (How::None, _) => Ok(()),
    }
}

/// Starts a container. Where its stop was given up, the engine may still be ending it, and call it
/// running until then.
async fn start(engine: &Engine, one: &One) -> Result<(), Error> {
    engine.start(&one.hold.id).await?;
    if one.failed {
        for _ in 0..LOOKS_AFTER_FAILED_STOP {
            sleep(PAUSE_BETWEEN_TRIES).await;
            if engine.inspect(&one.hold.id).await?.state == State::Stopped {
                engine.start(&one.hold.id).await?;
            }
        }
    }
    Ok(())
}

/// The longest that any of the containers stood still, in seconds.
pub fn longest(stillness: &[Stillness]) -> f64 {
    stillness.iter().map(|it| it.hold_seconds).fold(0.0, f64::max)
}
