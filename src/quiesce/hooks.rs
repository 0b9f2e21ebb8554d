//! Commands that the home's owner has put at containers by label: before the hold, and after it.
//!
//! An `.after` is owed from the moment on at which the `.before` of its container is begun, whatever
//! becomes of that: it often undoes what the other did.

use std::time::Duration;

use anyhow::anyhow;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::{Command, Engine, Error, Executed};
use crate::model::Item;
use crate::plan::{Hook, Hooks, OnError};
use crate::signals;

/// With this a `.before` says that its container's part is not worth a backup now: `EX_TEMPFAIL` of
/// `sysexits.h`.
const NOT_NOW: i64 = 75;

/// A hook that ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ran {
    /// The container's name.
    pub container: String,
    /// `before` or `after`.
    pub hook: &'static str,
    /// How it ended; nothing where it did not, or could not be begun.
    pub exit_code: Option<i64>,
    /// What it printed, the last 16 KiB of it, or why it did not end.
    pub output: String,
    /// How long it took.
    pub seconds: f64,
}

/// An `.after` that has to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// The container's identifier at planning.
    pub id: String,
    /// Its name, by which it is found again when it was recreated.
    pub name: String,
    /// What to run.
    pub hook: Hook,
}

/// What came of the hooks before the hold.
#[derive(Debug, Default)]
pub struct Before {
    /// What is left out of this backup, as its container wishes, with the container's name.
    pub skipped: Vec<(Item, String)>,
    /// What has to run after the hold, in the order in which it has to.
    pub owed: Vec<Owed>,
    /// Every hook that ran.
    pub log: Vec<Ran>,
    /// What failed without an end of the run.
    pub warnings: Vec<String>,
    /// What ends the run, once everything owed has run.
    pub failed: Option<anyhow::Error>,
}

/// What came of the hooks after the hold.
#[derive(Debug, Default)]
pub struct After {
    /// Every hook that ran.
    pub log: Vec<Ran>,
    /// What failed.
    pub warnings: Vec<String>,
}

/// Everything that can be owed, in the order in which it would run: to be written down before the
/// first `.before` is begun.
pub fn intended(hooks: &[Hooks]) -> Vec<Owed> {
    hooks.iter().rev().filter_map(owed).collect()
}

fn owed(hooks: &Hooks) -> Option<Owed> {
    let hook = hooks.after.clone()?;
    Some(Owed { id: hooks.id.clone(), name: hooks.name.clone(), hook })
}

/// How long these may take, one after the other.
pub fn longest<'a>(hooks: impl Iterator<Item = &'a Hook>) -> Duration {
    hooks.fold(Duration::ZERO, |sum, it| sum.saturating_add(it.timeout))
}

/// Runs the hooks before the hold, one after the other, until one fails the run.
pub async fn before(engine: &Engine, hooks: &[Hooks], cancel: &CancellationToken) -> Before {
    let mut before = Before::default();
    for it in hooks {
        if let Err(cancelled) = signals::check(cancel) {
            before.failed = Some(cancelled.into());
            break;
        }
        // The last one to be prepared is the first to be looked after.
        before.owed.splice(0..0, owed(it));
        let Some(hook) = &it.before else { continue };
        let run = cancel.run_until_cancelled(run(engine, "before", &it.id, &it.name, hook)).await;
        let Some((ran, problem)) = run else {
            before.failed = signals::check(cancel).err().map(Into::into);
            break;
        };
        let not_now = ran.exit_code == Some(NOT_NOW);
        before.log.push(ran);
        match (problem, hook.on_error) {
            (None, _) => (),
            (Some(_), _) if not_now => {
                let skipped = it.items.iter().map(|item| (item.clone(), it.name.clone()));
                before.skipped.extend(skipped);
            }
            (Some(problem), OnError::Continue) => before.warnings.push(problem),
            (Some(problem), OnError::Fail) => {
                before.failed = Some(anyhow!(problem));
                break;
            }
        }
    }
    before
}

/// Runs everything that is owed. Nothing cancels it, and no failure keeps another one from running.
pub async fn after(engine: &Engine, owed: &[Owed]) -> After {
    let mut after = After::default();
    for it in owed {
        let (ran, problem) = run(engine, "after", &it.id, &it.name, &it.hook).await;
        after.log.push(ran);
        match it.hook.on_error {
            OnError::Fail => after.warnings.extend(problem),
            OnError::Continue => (),
        }
    }
    after
}

/// Runs one hook; tells what went wrong in one line.
async fn run(
    engine: &Engine,
    which: &'static str,
    id: &str,
    name: &str,
    hook: &Hook,
) -> (Ran, Option<String>) {
    let since = Instant::now();
    let command = Command { user: hook.user.clone(), ..Command::shell(&hook.command) };
    let outcome = match engine.exec(id, &command, hook.timeout).await {
        // Whoever recreates a container keeps its name.
        Err(Error::NotFound { .. }) => engine.exec(name, &command, hook.timeout).await,
        outcome => outcome,
    };
    let problem = problem(&outcome).map(|it| format!("hearthkeep.{which} of {name}: {it}"));
    let (exit_code, output) = match outcome {
        Ok(Executed { exit_code, output, .. }) => (Some(exit_code), output),
        Err(Error::TimedOut { said, .. }) => (None, said),
        Err(error) => (None, error.to_string()),
    };
    let seconds = since.elapsed().as_secs_f64();
    (Ran { container: name.to_owned(), hook: which, exit_code, output, seconds }, problem)
}

fn problem(outcome: &Result<Executed, Error>) -> Option<String> {
    let last = |said: &str| {
        said.trim().lines().last().map(|it| format!(": {}", it.trim())).unwrap_or_default()
    };
    match outcome {
        Ok(Executed { exit_code: 0, .. }) => None,
        Ok(it) => Some(format!("it ended with {}{}", it.exit_code, last(&it.output))),
        Err(Error::TimedOut { after, said, .. }) => {
            Some(format!("it did not end within {} s{}", after.as_secs(), last(said)))
        }
        Err(error) => Some(error.to_string()),
    }
}
