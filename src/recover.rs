//! What an earlier run left open → closed.
//!
//! A run that was killed could not release what it held; its journal tells what that was. Every
//! run begins with this, `hearthkeep resume` does nothing else, and the guardian does it at once
//! for the run that it watched. Doing it twice does nothing more.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, Error};
use crate::fsx::{self, PARTIAL};
use crate::guardian::Guardian;
use crate::hands::Hands;
use crate::island::island;
use crate::journal::{self, Event, Journal, Open, OpenHold, OwedAfter, Story};
use crate::lock::{self, Busy, Lock};
use crate::model::{Container, State, Who};
use crate::plan::{Hold, Hook, How, OnError};
use crate::quiesce::hooks::{self, Owed};
use crate::quiesce::{self, Held, Released};
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// The containers that do again what they did before.
    pub released: Vec<String>,
    /// The unfinished files that are gone.
    pub removed: Vec<PathBuf>,
    /// What a person should look at.
    pub warnings: Vec<String>,
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
/// [`Busy`] where another run has the lock. Where an earlier restore left old and new content
/// mixed: nothing should be done to that but mend it.
pub async fn begin(hands: &Hands, story: Story) -> anyhow::Result<Desk> {
    let state = hands.state.clone();
    let lock = island("locking", move || lock::take(&state)).await?;
    let (recovered, left) = close_all(&hands.engine, &hands.state).await?;
    anyhow::ensure!(!left.mixed, recovered.warnings.join("; "));
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

/// Closes what an earlier run left open.
///
/// # Errors
/// [`Busy`] where the run is still under way.
pub async fn resume(state: &Path, cancel: &CancellationToken) -> anyhow::Result<Recovered> {
    if !is_needed(state).await? {
        return Ok(Recovered::default());
    }
    let folder = state.to_owned();
    let lock = island("locking", move || lock::take(&folder)).await?;
    under_lock(state, lock, cancel).await
}

/// The same for the guardian, whose run has just died; nothing where another run is there already.
pub async fn take_over(state: &Path) -> anyhow::Result<Option<Recovered>> {
    if !is_needed(state).await? {
        return Ok(None);
    }
    let since = Instant::now();
    loop {
        let folder = state.to_owned();
        match island("locking", move || lock::take(&folder)).await {
            Ok(lock) => {
                return under_lock(state, lock, &CancellationToken::new()).await.map(Some);
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
    cancel: &CancellationToken,
) -> anyhow::Result<Recovered> {
    let engine = connect(cancel).await?;
    let (mut recovered, left) = close_all(&engine, state).await?;
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

/// Closes what can be closed; gives that and what is still open.
async fn close_all(engine: &Engine, state: &Path) -> anyhow::Result<(Recovered, Open)> {
    let state = state.to_owned();
    let (journal, mut open) = island("reading the journal", move || {
        let (journal, events) = Journal::go_on(&state)?;
        Ok((journal, journal::open(&events)))
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
    release(engine, &journal, &mut open, &mut recovered).await?;
    if !open.mixed {
        recovered
            .warnings
            .extend(run_owed(engine, &journal, std::mem::take(&mut open.afters)).await);
    }
    let drafts = std::mem::take(&mut open.drafts);
    let (removed, kept, problems) =
        island("removing unfinished files", move || Ok(remove(drafts))).await?;
    recovered.removed = removed;
    open.drafts = kept;
    recovered.warnings.extend(problems);
    Ok((recovered, open))
}

/// Brings every container back to what it did before. What cannot be brought back stays open.
///
/// No other container is looked at unless one is missing: what does not answer there must keep
/// nobody held here.
async fn release(
    engine: &Engine,
    journal: &Journal,
    open: &mut Open,
    recovered: &mut Recovered,
) -> anyhow::Result<()> {
    if open.mixed {
        let are_back = are_as_before(engine, &open.holds).await;
        recovered.warnings.push(mixed(&open.holds, are_back));
        if !are_back {
            return Ok(());
        }
        open.mixed = false;
    }
    let stopping = stopping_for(&open.holds, journal::now());
    let stopping = |it: &OpenHold| if it.is_stopped { Duration::ZERO } else { stopping };
    let held = open.holds.iter().map(|it| (again(it, &it.container.id), stopping(it))).collect();
    let released = quiesce::release(engine, journal, Held::by_crashed(held)).await;
    let gone = settle(released, open, recovered);
    let mut found = Vec::new();
    for hold in gone {
        let name = hold.container.name.clone();
        match recreated(engine, &hold.container).await {
            Ok(Some(container)) => {
                found.push((again(&hold, &container.id), Duration::ZERO));
                open.holds.push(hold);
            }
            Ok(None) => recovered.warnings.push(does_not_exist(&name)),
            Err(err) => {
                recovered.warnings.push(format!("looking for {name}: {err}"));
                open.holds.push(hold);
            }
        }
    }
    if !found.is_empty() {
        let released = quiesce::release(engine, journal, Held::by_crashed(found)).await;
        let gone = settle(released, open, recovered);
        recovered.warnings.extend(gone.iter().map(|it| does_not_exist(&it.container.name)));
    }
    Ok(())
}

/// Moves what was released from what is open to what was recovered; gives those that are gone.
fn settle(released: Released, open: &mut Open, recovered: &mut Recovered) -> Vec<OpenHold> {
    let is = |name: &str, is_gone: bool| {
        released.failures.iter().any(|it| it.name == name && it.is_gone == is_gone)
    };
    let done = released.containers.iter().map(|it| it.name.clone());
    let done: Vec<String> = done.filter(|it| !is(it, true) && !is(it, false)).collect();
    let holds = std::mem::take(&mut open.holds);
    let (gone, left): (Vec<_>, Vec<_>) =
        holds.into_iter().partition(|it| is(&it.container.name, true));
    open.holds = left;
    open.holds.retain(|it| !done.contains(&it.container.name));
    recovered.released.extend(done);
    recovered.warnings.extend(released.warnings);
    let failures = released.failures.into_iter().filter(|it| !it.is_gone);
    recovered.warnings.extend(failures.map(|it| it.text));
    gone
}

fn does_not_exist(name: &str) -> String {
    format!("{name} was held when a run was interrupted, and does not exist any more")
}

/// What a person has to know of content that may be mixed.
fn mixed(holds: &[OpenHold], are_back: bool) -> String {
    let names: Vec<&str> = holds.iter().map(|it| it.container.name.as_str()).collect();
    let old = format!("{}*/{}", fsx::STAGING, fsx::STAGING_OLD);
    let what = "a restore was interrupted while it exchanged old and new content";
    match are_back {
        // Somebody has started them; that may have been the engine, after a reboot.
        true => format!("{what}: look whether {old} in a mount has what the home misses"),
        false => format!(
            "{what}, so it was not started again ({}): put back what lies in {old} of each mount, then start what was stopped",
            names.join(", ")
        ),
    }
}

/// Whether somebody else has brought all of them back already.
async fn are_as_before(engine: &Engine, holds: &[OpenHold]) -> bool {
    for hold in holds {
        let container = match engine.inspect(&hold.container.id).await {
            Err(Error::NotFound { .. }) => recreated(engine, &hold.container).await,
            answer => answer.map(Some),
        };
        if !container.is_ok_and(|it| it.is_none_or(|it| is_as_before(&it, hold.was))) {
            return false;
        }
    }
    true
}

/// What a container was recreated as.
async fn recreated(engine: &Engine, who: &Who) -> Result<Option<Container>, Error> {
    match engine.inspect(&who.name).await {
        Err(Error::NotFound { .. }) => (),
        answer => return answer.map(Some),
    }
    let Some(wanted) = &who.compose else { return Ok(None) };
    let all = engine.look().await?;
    Ok(all.into_iter().find(|it| it.compose().as_ref() == Some(wanted)))
}

fn is_as_before(container: &Container, was: State) -> bool {
    let runs = |it: State| matches!(it, State::Running | State::Restarting);
    was == State::Stopped || container.state == was || (runs(was) && runs(container.state))
}

/// How long stops may still go on that the crashed run had asked for: one came after the other.
fn stopping_for(holds: &[OpenHold], now: u64) -> Duration {
    let longest =
        |it: &OpenHold| quiesce::longest_stop(it.stop_timeout_seconds.map(Duration::from_secs));
    let stops = holds.iter().filter(|it| it.how == How::Stop && !it.is_stopped);
    let all: Duration = stops.map(longest).sum();
    let since = holds.iter().map(|it| it.at).max().unwrap_or(now);
    // A clock that was set back meanwhile counts as no time.
    all.saturating_sub(Duration::from_secs(now.saturating_sub(since)))
}

/// The hold as the crashed run had it, of the container as it is now.
fn again(hold: &OpenHold, id: &str) -> Hold {
    Hold {
        id: id.to_owned(),
        name: hold.container.name.clone(),
        compose: hold.container.compose.clone(),
        how: hold.how,
        was: hold.was,
        healthy: true,
        stop_timeout: hold.stop_timeout_seconds.map(Duration::from_secs),
        needs: hold.needs.clone(),
    }
}

/// Runs the commands that containers are owed; gives what a person should look at. They may have
/// run before the crash, as one that undoes something can.
async fn run_owed(engine: &Engine, journal: &Journal, afters: Vec<OwedAfter>) -> Vec<String> {
    let owed = |it: &OwedAfter| Owed {
        id: it.container.id.clone(),
        name: it.container.name.clone(),
        hook: Hook {
            command: it.command.clone(),
            user: it.user.clone(),
            timeout: Duration::from_secs(it.timeout_seconds),
            on_error: OnError::Fail,
        },
    };
    let after = hooks::after(engine, &afters.iter().map(owed).collect::<Vec<_>>()).await;
    let done = afters.into_iter().map(|it| Event::AfterDone { name: it.container.name });
    let (journal, done) = (journal.clone(), done.collect::<Vec<_>>());
    // At worst they run once more.
    let _ = island("writing the journal", move || journal.note(&done)).await;
    after.warnings
}

/// Removes unfinished files; gives those that are gone, those that are still there, and why.
fn remove(drafts: Vec<PathBuf>) -> (Vec<PathBuf>, Vec<PathBuf>, Vec<String>) {
    let (mut removed, mut kept, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for draft in drafts {
        // Whatever a damaged journal says, nothing else is removed.
        if draft.extension().is_none_or(|it| it != PARTIAL) {
            continue;
        }
        match fsx::remove_if_there(&draft) {
            Ok(true) => removed.push(draft),
            Ok(false) => (),
            Err(err) => {
                problems.push(format!("{err:#}"));
                kept.push(draft);
            }
        }
    }
    (removed, kept, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop(seconds: Option<u64>, at: u64) -> OpenHold {
        let container = Who { id: String::new(), name: String::new(), compose: None };
        let (how, was, needs) = (How::Stop, State::Running, Vec::new());
        let (stop_timeout_seconds, is_stopped) = (seconds, false);
        OpenHold { container, how, was, stop_timeout_seconds, needs, at, is_stopped }
    }

    #[test]
    fn a_stop_may_go_on_until_all_before_it_could_have_ended() {
        let pause = OpenHold { how: How::Pause, ..stop(Some(500), 100) };
        let stopped = OpenHold { is_stopped: true, ..stop(Some(500), 100) };
        let cases = [
            (vec![], 100, 0),
            (vec![pause.clone()], 100, 0),
            (vec![stop(Some(5), 100)], 100, 15),
            (vec![stop(None, 100)], 100, 20),
            (vec![stop(Some(5), 100), stop(Some(260), 100), pause], 110, 275),
            (vec![stop(Some(5), 100), stopped], 100, 15),
            (vec![stop(Some(5), 100)], 5000, 0),
            (vec![stop(Some(5), 100)], 50, 15),
        ];
        for (holds, now, seconds) in cases {
            let found = stopping_for(&holds, now);
            assert_eq!(found, Duration::from_secs(seconds), "{holds:?} {now}");
        }
    }

    #[test]
    fn nothing_is_removed_that_is_no_draft() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["a.tar", "b.tar.partial"] {
            std::fs::File::create(path(name)).expect("a file");
        }
        let drafts = ["a.tar", "b.tar.partial", "c.tar.partial"].map(path).to_vec();
        let (removed, kept, problems) = remove(drafts);
        assert_eq!(removed, [path("b.tar.partial")]);
        assert!(path("a.tar").exists() && kept.is_empty() && problems.is_empty());
    }
}
