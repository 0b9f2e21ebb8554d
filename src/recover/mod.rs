//! What an earlier run left open → closed.
//!
//! A run that was killed could not release what it held; its journal tells what that was. Every
//! run begins with this, `hearthkeep resume` does nothing else, and the guardian does it at once
//! for the run that it watched. Doing it twice does nothing more.

mod beyond;
mod boot;
mod debris;
mod release;
mod swap;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub use self::beyond::open_paths;
pub(crate) use self::boot::clear;
use self::debris::{remove, run_owed};
use self::release::release;
pub use self::swap::{Wreck, take_back};
use crate::chronicle::{self, Door};
use crate::engine::{Engine, Error};
use crate::guardian::Guardian;
use crate::hands::Hands;
use crate::island::island;
use crate::journal::{self, Event, Journal, Open, Stage, Story};
use crate::lock::{self, Busy, Lock};
use crate::outpost::{self, Left};
use crate::signals;

/// How long an engine is waited for that does not answer: as long as a release waits for it.
const PATIENCE_WITHOUT_ENGINE: Duration = Duration::from_mins(30);

/// How long is waited before the engine is asked again.
const PAUSE_BETWEEN_TRIES: Duration = Duration::from_millis(250);

/// How long the guardian waits for the lock. The system takes it from a dead run; who else has it
/// is a new run, which closes everything itself.
const PATIENCE_FOR_LOCK: Duration = Duration::from_secs(5);

/// How long the guardian waits before it tries to take the lock again.
const PAUSE_BETWEEN_LOCKS: Duration = Duration::from_millis(10);

/// What was closed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recovered {
    /// The containers that do again what they did before.
    pub released: Vec<String>,
    /// The unfinished files and folders that are gone.
    pub removed: Vec<PathBuf>,
    /// The marks of boot tests of which everything is gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub boot_tests: Vec<String>,
    /// The slug of the backup whose restore was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_back: Option<String>,
    /// The slug of the backup whose restored home a person kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// The jobs that went on in containers of their own after whoever waited for them was gone, and
    /// have ended since.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finished: Vec<Finished>,
    /// What a person should look at.
    pub warnings: Vec<String>,
}

impl Recovered {
    /// Each thing that was closed, in one line.
    pub fn lines(&self) -> Vec<String> {
        let back = self.taken_back.iter().map(|it| format!("took back the restore of {it}"));
        let kept = self.kept.iter().map(|it| format!("kept what was restored from {it}"));
        let released = self.released.iter().map(|it| format!("released {it}"));
        let removed = self.removed.iter().map(|it| format!("removed {}", it.display()));
        let boots = self.boot_tests.iter().map(|it| format!("removed boot test {it}"));
        let finished = self
            .finished
            .iter()
            .map(|it| format!("job {} ended in {} with {}", it.job, it.container, it.exit_code));
        let all = finished.chain(back).chain(kept).chain(released).chain(removed).chain(boots);
        all.collect()
    }
}

/// A job that ended while nobody waited for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The job's identifier.
    pub job: String,
    /// The container in which it was done, which is gone.
    pub container: String,
    /// How it ended.
    pub exit_code: u8,
}

/// What a run works at: the lock is its own, and the journal is open.
#[derive(Debug)]
pub struct Desk {
    /// The run's journal.
    pub journal: Journal,
    /// What a person should look at of what an earlier run had left.
    pub warnings: Vec<String>,
    state: PathBuf,
    guardian: Option<Guardian>,
    // Let go last: whoever has the lock may believe the journal.
    _lock: Lock,
}

impl Desk {
    /// Starts the guardian, which has to be there before anything is held.
    pub async fn guard(&mut self) -> anyhow::Result<()> {
        let state = self.state.clone();
        let guardian = island("starting the guardian", move || Guardian::start(&state)).await?;
        self.guardian = Some(guardian);
        Ok(())
    }

    /// Writes to the journal; it is on the disk when this returns.
    pub async fn note(&self, event: Event) -> anyhow::Result<()> {
        let journal = self.journal.clone();
        island("writing the journal", move || journal.note(&[event])).await
    }

    /// Ends the run, however it went. What could not be released stays open in the journal.
    pub async fn end(self) {
        // How the run went is what counts; where the journal says less, recovery looks itself.
        let _ = self.note(Event::Ended).await;
        if let Some(guardian) = self.guardian {
            let dismiss = move || {
                guardian.dismiss();
                Ok(())
            };
            let _ = island("dismissing the guardian", dismiss).await;
        }
    }
}

/// Begins a run: takes the lock, closes what an earlier run left open, starts a journal.
///
/// # Errors
/// [`Busy`] where another run has the lock. Where an earlier restore can neither be finished nor
/// taken back, or waits for a person to decide: nothing should be done to that home before.
pub async fn begin(hands: &Hands, story: Story) -> anyhow::Result<Desk> {
    let state = hands.state.clone();
    let lock = island("locking", move || lock::take(&state)).await?;
    let (recovered, left) = close_all(&hands.engine, &hands.state, Wreck::Stays, Door::Run).await?;
    match &left.swap {
        Some(open) if open.stage == Stage::Left => anyhow::bail!(swap::waits(open)),
        // What is only to be removed is in nobody's way but that of the next exchange.
        Some(open) if open.stage == Stage::Underway || story == Story::Restore => {
            anyhow::bail!(recovered.warnings.join("; "))
        }
        _ => (),
    }
    let state = hands.state.clone();
    let journal = island("starting the journal", move || {
        let journal = Journal::start(&state, &left.events())?;
        journal.note(&[Event::Began { story, pid: std::process::id() }])?;
        Ok(journal)
    })
    .await?;
    let (state, warnings) = (hands.state.clone(), recovered.warnings);
    Ok(Desk { journal, warnings, state, guardian: None, _lock: lock })
}

/// Whether an earlier run left anything open.
pub async fn is_needed(state: &Path) -> anyhow::Result<bool> {
    let state = state.to_owned();
    island("reading the journal", move || Ok(!journal::open(&journal::read(&state)?).is_empty()))
        .await
}

/// Whether who has the lock is a run, rather than somebody who closes what one left open. Of a process
/// that cannot be seen from here, as in a job container, it is believed.
pub async fn is_run(state: &Path) -> anyhow::Result<bool> {
    let state = state.to_owned();
    island("looking who has the lock", move || {
        let Some(holder) = lock::holder(&state)? else {
            // Nobody has it any more, or somebody who cannot be seen.
            return Ok(lock::take(&state).is_err_and(|err| err.is::<Busy>()));
        };
        Ok(journal::writer(&journal::read(&state)?) == Some(holder))
    })
    .await
}

/// Closes what an earlier run left open; `wreck` is for a restored home that waits to be looked at.
///
/// # Errors
/// [`Busy`] where the run is still under way.
pub async fn resume(
    state: &Path,
    wreck: Wreck,
    door: Door,
    cancel: &CancellationToken,
) -> anyhow::Result<Recovered> {
    if !is_needed(state).await? {
        return Ok(Recovered::default());
    }
    let problem = match beyond::resume(state, wreck, cancel).await {
        Ok(Some(recovered)) => return Ok(recovered),
        Ok(None) => None,
        Err(err) if err.is::<Busy>() => return Err(err),
        // What is held has to go on all the same. Of an exchange, who cannot reach it cannot move
        // anything, and leaves it open.
        Err(err) => Some(format!("{err:#}")),
    };
    let folder = state.to_owned();
    let lock = island("locking", move || lock::take(&folder)).await?;
    let mut recovered = under_lock(state, lock, wreck, door, cancel).await?;
    recovered.warnings.extend(problem);
    Ok(recovered)
}

/// Takes away the job containers that have ended; gives those, and where one still runs, its name.
pub async fn finished(
    engine: &Engine,
    state: &Path,
) -> anyhow::Result<(Vec<Finished>, Option<String>)> {
    let (mut finished, mut running) = (Vec::new(), None);
    for left in outpost::left_behind(engine, state).await? {
        let Left { job, name: container, ended, .. } = left;
        let Some(exit_code) = ended else {
            running = Some(format!("job {job} goes on in container {container}"));
            continue;
        };
        engine.remove_container(&left.container).await?;
        finished.push(Finished { job, container, exit_code });
    }
    Ok((finished, running))
}

/// Whether a run has the lock.
pub async fn is_under_way(state: &Path) -> anyhow::Result<bool> {
    let state = state.to_owned();
    match island("locking", move || lock::take(&state)).await {
        Ok(_free) => Ok(false),
        Err(err) if err.is::<Busy>() => Ok(true),
        Err(err) => Err(err),
    }
}

/// The same as [`resume`] for the guardian, whose run has just died; nothing where another run is
/// there already.
pub async fn take_over(state: &Path) -> anyhow::Result<Option<Recovered>> {
    if !is_needed(state).await? {
        return Ok(None);
    }
    let since = Instant::now();
    loop {
        let folder = state.to_owned();
        match island("locking", move || lock::take(&folder)).await {
            Ok(lock) => {
                let never = CancellationToken::new();
                return under_lock(state, lock, Wreck::Stays, Door::Guardian, &never)
                    .await
                    .map(Some);
            }
            Err(err) if !err.is::<Busy>() => return Err(err),
            Err(_) if since.elapsed() > PATIENCE_FOR_LOCK => return Ok(None),
            Err(_) => sleep(PAUSE_BETWEEN_LOCKS).await,
        }
    }
}

async fn under_lock(
    state: &Path,
    _lock: Lock,
    wreck: Wreck,
    door: Door,
    cancel: &CancellationToken,
) -> anyhow::Result<Recovered> {
    let engine = connect(cancel).await?;
    let (mut recovered, left) = close_all(&engine, state, wreck, door).await?;
    let state = state.to_owned();
    let started = island("starting the journal", move || Journal::start(&state, &left.events()));
    // Everything is closed; that it cannot be written down only means that it is looked at again.
    recovered.warnings.extend(started.await.err().map(|err| format!("{err:#}")));
    Ok(recovered)
}

/// The engine, waited for where it is away: after a crash of the machine it may come up later.
async fn connect(cancel: &CancellationToken) -> anyhow::Result<Engine> {
    let since = Instant::now();
    loop {
        match Engine::connect().await {
            Err(Error::Unreachable { .. }) if since.elapsed() < PATIENCE_WITHOUT_ENGINE => {
                signals::check(cancel)?;
                sleep(PAUSE_BETWEEN_TRIES).await;
            }
            answer => return Ok(answer?),
        }
    }
}

/// Closes what can be closed, and remembers that; gives it and what is still open.
async fn close_all(
    engine: &Engine,
    state: &Path,
    wreck: Wreck,
    door: Door,
) -> anyhow::Result<(Recovered, Open)> {
    let folder = state.to_owned();
    let (journal, mut open, story) = island("reading the journal", move || {
        let (journal, events) = Journal::go_on(&folder)?;
        Ok((journal, journal::open(&events), journal::story(&events)))
    })
    .await?;
    let mut recovered = Recovered::default();
    if open.is_empty() {
        return Ok((recovered, open));
    }
    let unreadable = std::mem::take(&mut open.unreadable);
    recovered.warnings.extend(unreadable.iter().map(|line| {
        format!("line {line} of the journal cannot be read; look whether everything runs")
    }));
    let back = swap::close(engine, &journal, &mut open, &mut recovered, wreck).await?;
    release(engine, &journal, &mut open, &mut recovered).await;
    if let Some(swap) = back {
        swap::settle(&journal, swap, &mut open, &mut recovered).await;
    }
    let owed = std::mem::take(&mut open.afters);
    recovered.warnings.extend(run_owed(engine, &journal, owed).await);
    boot::remove(engine, &journal, &mut open, &mut recovered).await;
    let (open, removed, problems) = island("removing unfinished files", move || {
        let (removed, problems) = remove(&mut open);
        Ok((open, removed, problems))
    })
    .await?;
    recovered.removed.extend(removed);
    recovered.warnings.extend(problems);
    remember(state, story, door, &mut recovered).await;
    Ok((recovered, open))
}

/// Writes down for `hearthkeep status` what was closed.
async fn remember(state: &Path, story: Option<Story>, by: Door, recovered: &mut Recovered) {
    let (closed, warnings) = (recovered.lines(), recovered.warnings.clone());
    if closed.is_empty() && warnings.is_empty() {
        return;
    }
    let state = state.to_owned();
    let told = island("writing the chronicle", move || {
        chronicle::closed(&state, by, story, closed, warnings)
    });
    // Everything is closed; that it cannot be written down is only worth a word.
    recovered.warnings.extend(told.await.err().map(|err| format!("{err:#}")));
}
