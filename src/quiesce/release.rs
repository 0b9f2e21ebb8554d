//! Let go on what was held.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Held, One, Stillness, disappeared, note, released};
use crate::engine::{Engine, Error};
use crate::island::island;
use crate::journal::Journal;
use crate::model::{Health, State};
use crate::plan::How;
use crate::thaw;

/// How long a release tries again where the engine answers, but refuses.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a release tries again where no engine answers: nothing better can be done than to wait
/// until somebody has mended it.
const PATIENCE_WITHOUT_ENGINE: Duration = Duration::from_mins(30);

/// How long a release waits before it asks again.
const PAUSE_BETWEEN_TRIES: Duration = Duration::from_millis(250);

/// How long the engine may take to unpause a container, which takes it some ten milliseconds,
/// before it is taken for locked up.
const PATIENCE_BEFORE_THAW: Duration = Duration::from_secs(1);

/// How long a container waits for another to become healthy. Longer than most take; and one that
/// runs too early is better than one that does not run.
const PATIENCE_FOR_HEALTH: Duration = Duration::from_secs(60);

/// How a release went.
#[derive(Debug, Default)]
pub struct Released {
    /// Each container that was held.
    pub containers: Vec<Stillness>,
    /// What a person should look at, though everything goes on.
    pub warnings: Vec<String>,
    /// Each container that does not go on as before.
    pub failures: Vec<Failure>,
}

/// A container that does not go on.
#[derive(Debug)]
pub struct Failure {
    /// Its name.
    pub name: String,
    /// Whether that is because it does not exist any more.
    pub is_gone: bool,
    /// The sentence that says it, and what to do.
    pub text: String,
}

impl Released {
    /// An error where anything is held still.
    pub fn outcome(&self) -> anyhow::Result<()> {
        match self.failures.as_slice() {
            [] => Ok(()),
            failures => {
                let texts: Vec<&str> = failures.iter().map(|it| it.text.as_str()).collect();
                Err(anyhow::anyhow!(texts.join("; ")))
            }
        }
    }
}

/// Lets everything go on that was held, all at once, but for those who wait for others that were
/// held too. Goes on after an error, and tries each container again until its patience ends.
pub async fn release(engine: &Engine, journal: &Journal, held: Held) -> Released {
    let release = Release {
        engine,
        journal,
        begin: Instant::now(),
        over: held.held.iter().map(|_| CancellationToken::new()).collect(),
        held: held.held,
    };
    // The last that was held is the first to go on.
    let all = join_all((0..release.held.len()).rev().map(|n| release.one(n))).await;
    let mut released = Released::default();
    for (stillness, warnings, outcome) in all {
        released.failures.extend(outcome.err());
        released.containers.push(stillness);
        released.warnings.extend(warnings);
    }
    released
}

struct Release<'a> {
    engine: &'a Engine,
    journal: &'a Journal,
    begin: Instant,
    held: Vec<One>,
    /// Cancelled for each container when its own release is over, well or not.
    over: Vec<CancellationToken>,
}

impl Release<'_> {
    async fn one(&self, n: usize) -> (Stillness, Vec<String>, Result<(), Failure>) {
        let one = &self.held[n];
        let mut warnings = self.needs(n).await;
        let outcome = self.patiently(one).await;
        let stillness = Stillness {
            name: one.hold.name.clone(),
            held: one.hold.how,
            hold_seconds: one.since.elapsed().as_secs_f64(),
        };
        self.over[n].cancel();
        let outcome = match outcome {
            Ok(warning) => {
                warnings.extend(warning);
                // That a disk is full keeps nobody held, and recovery may release twice.
                let noted = note(self.journal, vec![released(&one.hold.name)]).await;
                warnings.extend(noted.err().map(|err| format!("{err:#}")));
                Ok(())
            }
            Err(err) => Err(err),
        };
        (stillness, warnings, outcome)
    }

    /// Waits for those who have to go on before; gives what was not waited for to the end.
    async fn needs(&self, n: usize) -> Vec<String> {
        let one = &self.held[n].hold;
        let mut warnings = Vec::new();
        for need in &one.needs {
            // Only those held later, as the plan has it: so nobody ever waits in a circle.
            let later = self.held.iter().enumerate().skip(n + 1);
            let Some((at, other)) = later.into_iter().find(|(_, it)| it.hold.name == need.name)
            else {
                continue;
            };
            // Asked for at once, in order: to wait for each other would cost a hold more than it is.
            if one.how == How::Pause && other.hold.how == How::Pause {
                continue;
            }
            self.over[at].cancelled().await;
            let was_started = other.hold.how == How::Stop && other.hold.was != State::Stopped;
            if need.healthy && was_started && !self.becomes_healthy(&other.hold.id).await {
                warnings.push(format!(
                    "{} was started although {} was not healthy after {} s",
                    one.name,
                    need.name,
                    PATIENCE_FOR_HEALTH.as_secs()
                ));
            }
        }
        warnings
    }

    /// Waits until a container is healthy, or never will be; gives whether there was time enough.
    async fn becomes_healthy(&self, id: &str) -> bool {
        let since = Instant::now();
        while since.elapsed() < PATIENCE_FOR_HEALTH {
            match self.engine.inspect(id).await {
                Ok(now) if matches!(now.health, Health::None | Health::Healthy) => return true,
                Ok(now) if matches!(now.state, State::Stopped | State::Paused) => return true,
                Err(Error::NotFound { .. }) => return true,
                _ => sleep(PAUSE_BETWEEN_TRIES).await,
            }
        }
        false
    }

    /// Tries until it is done or the patience is over; gives what a person should look at.
    async fn patiently(&self, one: &One) -> Result<Option<String>, Failure> {
        let hold = &one.hold;
        let mut refused_since = None;
        loop {
            let err = match go_on(self.engine, one).await {
                Ok(warning) => return Ok(warning),
                Err(Error::NotFound { .. }) => {
                    let text = disappeared(hold).to_string();
                    return Err(Failure { name: hold.name.clone(), is_gone: true, text });
                }
                Err(err) => err,
            };
            let is_over = match err {
                Error::Unreachable { .. } => {
                    refused_since = None;
                    self.begin.elapsed() > PATIENCE_WITHOUT_ENGINE
                }
                _ => refused_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE,
            };
            if is_over {
                let is_stopped = matches!(err, Error::Refused { doing: "starting", .. });
                let cure = match hold.how {
                    How::Pause if !is_stopped => format!("docker unpause {}", hold.name),
                    _ => format!("docker start {}", hold.name),
                };
                let text = format!("{} is still held, run `{cure}`: {err}", hold.name);
                return Err(Failure { name: hold.name.clone(), is_gone: false, text });
            }
            sleep(PAUSE_BETWEEN_TRIES).await;
        }
    }
}

/// Brings a container back to what it did; gives what a person should look at.
async fn go_on(engine: &Engine, one: &One) -> Result<Option<String>, Error> {
    let hold = &one.hold;
    match (hold.how, hold.was) {
        // What was stopped before stays so.
        (How::None, _) | (How::Stop, State::Stopped) => Ok(None),
        (How::Pause, _) => unpause(engine, one).await,
        (How::Stop, State::Paused) => {
            stopped(engine, one).await?;
            // It may never have been stopped, and a start would let it run for a moment.
            if engine.inspect(&hold.id).await?.state != State::Paused {
                engine.start(&hold.id).await?;
                engine.pause(&hold.id).await?;
            }
            Ok(None)
        }
        (How::Stop, _) => {
            stopped(engine, one).await?;
            engine.start(&hold.id).await.map(|()| None)
        }
    }
}

/// Lets a paused container go on. One that was stopped meanwhile, by a restart of the engine or
/// by lack of memory, is started.
async fn unpause(engine: &Engine, one: &One) -> Result<Option<String>, Error> {
    let hold = &one.hold;
    let mut unpausing = std::pin::pin!(engine.unpause(&hold.id));
    let answer = match timeout(PATIENCE_BEFORE_THAW, &mut unpausing).await {
        Ok(answer) => answer,
        Err(_) => {
            by_hand(thaw::thaw, &hold.id).await;
            match unpausing.await {
                Err(Error::Refused { .. }) => {
                    by_hand(thaw::freeze, &hold.id).await;
                    engine.unpause(&hold.id).await
                }
                answer => answer,
            }
        }
    };
    let Err(err) = answer else { return Ok(None) };
    let is_refused = matches!(err, Error::Refused { .. });
    if !is_refused || engine.inspect(&hold.id).await?.state != State::Stopped {
        return Err(err);
    }
    engine.start(&hold.id).await?;
    Ok(Some(format!(
        "{} was stopped by something else while it was held, and was started again",
        hold.name
    )))
}

/// Whether it helps, the engine tells.
async fn by_hand(what: fn(&str) -> std::io::Result<()>, id: &str) {
    let id = id.to_owned();
    let _ = island("thawing a container", move || Ok(what(&id)?)).await;
}

/// Waits for the end of a stop that may still go on: until then the engine calls the container
/// running, and starting it is nothing to do.
async fn stopped(engine: &Engine, one: &One) -> Result<(), Error> {
    let Some(until) = one.stopping_until else { return Ok(()) };
    while Instant::now() < until && engine.inspect(&one.hold.id).await?.state != State::Stopped {
        sleep(PAUSE_BETWEEN_TRIES).await;
    }
    Ok(())
}
