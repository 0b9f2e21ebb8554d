//! Hold containers still, and let them go on again.
//!
//! What was held is always released, whatever happened in between: the caller holds, works,
//! releases, and only then looks at how the work went. Nothing cancels a release. What will be
//! held is in the journal before the engine is asked, so that a crash changes nothing of that.

mod release;

pub mod databases;
pub mod hooks;
pub mod rights;

use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

pub use self::release::{Failure, Released, release};
use crate::engine::{Engine, Error};
use crate::island::island;
use crate::journal::{Event, Journal};
use crate::model::{Container, State};
use crate::plan::{Hold, How};
use crate::signals;

/// How long an engine that has reported a failure may still be at work on a stop.
const AFTER_FAILED_STOP: Duration = Duration::from_secs(3);

/// How long the engine gives a container to stop that does not say itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// On top of it, until what did not end was killed and is gone, on a slow disk too.
const STOP_MARGIN: Duration = Duration::from_secs(10);

/// Whatever a label says, nobody waits longer for a stop to end.
const LONGEST_STOP: Duration = Duration::from_hours(24);

/// How long the engine may take to say whether everything is still: everybody is held meanwhile.
const PATIENCE_FOR_CHECK: Duration = Duration::from_secs(1);

/// The engine did not say in time whether everything is still. It may be locked up for as long as
/// something is paused (see [`thaw`](crate::thaw)), so this says nothing against what was taken.
#[derive(Debug, thiserror::Error)]
#[error("the engine did not say within {} s whether everything had stayed still", .0.as_secs())]
pub struct Unseen(Duration);

/// Containers that are held now.
#[derive(Debug, Default)]
pub struct Held {
    held: Vec<One>,
}

#[derive(Debug)]
struct One {
    hold: Hold,
    since: Instant,
    /// Until when a stop may still go on that nobody waits for any more. It cannot be taken back,
    /// so a start before its end would be in vain.
    stopping_until: Option<Instant>,
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

impl Held {
    /// What a run has left that crashed. Each comes with the time for which a stop that the run
    /// asked for may go on.
    pub fn by_crashed(holds: Vec<(Hold, Duration)>) -> Held {
        let now = Instant::now();
        let one = |(hold, stopping)| One { hold, since: now, stopping_until: Some(now + stopping) };
        Held { held: holds.into_iter().map(one).collect() }
    }
}

/// How long a stop goes on at most.
pub fn longest_stop(stop_timeout: Option<Duration>) -> Duration {
    stop_timeout.unwrap_or(STOP_TIMEOUT).saturating_add(STOP_MARGIN).min(LONGEST_STOP)
}

/// How long it may take until all of them are held: those to stop come one after the other, and
/// nothing is heard meanwhile.
pub fn longest_hold(holds: &[Hold]) -> Duration {
    let stops = holds.iter().filter(|it| it.how == How::Stop);
    stops.fold(Duration::ZERO, |sum, it| sum.saturating_add(longest_stop(it.stop_timeout)))
}

/// The holds as they are needed now: time has passed since the plan, and what somebody has stopped
/// or paused meanwhile has to stay so.
pub async fn as_they_are(engine: &Engine, holds: &[Hold]) -> anyhow::Result<Vec<Hold>> {
    let looks = join_all(holds.iter().map(|it| engine.inspect(&it.id))).await;
    let mut now = Vec::with_capacity(holds.len());
    for (hold, look) in holds.iter().zip(looks) {
        match look {
            Ok(container) => now.push(Hold { was: container.state, ..hold.clone() }),
            // Who holds it says so.
            Err(Error::NotFound { .. }) => now.push(hold.clone()),
            Err(err) => return Err(err).with_context(|| format!("looking at {}", hold.name)),
        }
    }
    // What does not run writes nothing; and what is stopped cannot be stopped.
    now.retain(|it| it.was != State::Stopped);
    Ok(now)
}

/// Makes all containers still: those to stop one after the other in the order of the plan, then
/// all others at once, so that those that are only paused stand still as briefly as they can.
///
/// # Errors
/// Where one cannot be held, the journal cannot be written, or the run was cancelled. The others
/// are released before it returns.
pub async fn hold(
    engine: &Engine,
    journal: &Journal,
    holds: &[Hold],
    cancel: &CancellationToken,
) -> anyhow::Result<Held> {
    let holds: Vec<Hold> = holds.iter().filter(|it| is_touched(it)).cloned().collect();
    // All of it now, so that no disk is waited for while anybody is held.
    note(journal, holds.iter().map(Event::hold).collect()).await?;
    let mut held = Held::default();
    let taken = take(engine, journal, &holds, &mut held, cancel).await;
    // Nobody holds those, so nobody will release them.
    let is_held = |hold: &Hold| held.held.iter().any(|it| it.hold.id == hold.id);
    let passed: Vec<Event> =
        holds.iter().filter(|it| !is_held(it)).map(|it| released(&it.name)).collect();
    let Err(err) = taken else {
        if !passed.is_empty() {
            // Recovery would come to the same end by itself.
            let _ = note(journal, passed).await;
        }
        return Ok(held);
    };
    let outcome = release(engine, journal, held).await.outcome();
    let _ = note(journal, passed).await;
    match outcome {
        Ok(()) => Err(err),
        Err(more) => Err(anyhow::anyhow!("{err:#}; then, releasing what was held: {more:#}")),
    }
}

/// Whether the engine will be asked to do anything to it.
fn is_touched(hold: &Hold) -> bool {
    match hold.how {
        How::Stop => true,
        How::Pause => hold.was == State::Running,
        How::None => false,
    }
}

fn released(name: &str) -> Event {
    Event::Released { name: name.to_owned() }
}

/// Writes to the journal; it is on the disk when this returns.
pub(crate) async fn note(journal: &Journal, events: Vec<Event>) -> anyhow::Result<()> {
    let journal = journal.clone();
    island("writing the journal", move || journal.note(&events)).await
}

async fn take(
    engine: &Engine,
    journal: &Journal,
    holds: &[Hold],
    held: &mut Held,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    for hold in holds.iter().filter(|it| it.how == How::Stop) {
        signals::check(cancel)?;
        let since = Instant::now();
        let stop = engine.stop(&hold.id, hold.stop_timeout);
        let answer = cancel.run_until_cancelled(stop).await;
        let stopping_until = match &answer {
            Some(Ok(())) => None,
            Some(Err(_)) => Some(Instant::now() + AFTER_FAILED_STOP),
            // The engine goes on with it, cancelled or not.
            None => Some(since + longest_stop(hold.stop_timeout)),
        };
        // Noted whatever the answer is: a request that fails may still have done its work.
        held.held.push(One { hold: hold.clone(), since, stopping_until });
        answer.ok_or(signals::Cancelled)?.with_context(|| format!("holding {}", hold.name))?;
        // Without it, recovery waits for the end of a stop that is over.
        let _ = note(journal, vec![Event::Stopped { name: hold.name.clone() }]).await;
    }
    signals::check(cancel)?;
    let pauses: Vec<&Hold> = holds.iter().filter(|it| it.how == How::Pause).collect();
    let since = Instant::now();
    let noted = pauses.iter().map(|it| One { hold: (*it).clone(), since, stopping_until: None });
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
/// What did not stay still; [`Unseen`] where the engine did not say so in time, since everything
/// waits for this.
pub async fn check(engine: &Engine, held: &Held) -> anyhow::Result<()> {
    let looks = join_all(held.held.iter().map(|it| engine.inspect(&it.hold.id)));
    let looks = timeout(PATIENCE_FOR_CHECK, looks).await.map_err(|_| Unseen(PATIENCE_FOR_CHECK))?;
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

/// The longest that any of the containers stood still, in seconds.
pub fn longest(stillness: &[Stillness]) -> f64 {
    stillness.iter().map(|it| it.hold_seconds).fold(0.0, f64::max)
}
