//! What a boot test has made → gone.

use std::time::Duration;

use anyhow::Context;
use tokio::time::sleep;

use super::Recovered;
use crate::engine::{Engine, Marked};
use crate::island::island;
use crate::journal::{Event, Journal, Open};

/// How often is tried to remove what an engine still has its hands on.
const TRIES: usize = 20;

/// How long is waited between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Removes what crashed boot tests have left. What cannot be removed stays open.
pub(super) async fn remove(
    engine: &Engine,
    journal: &Journal,
    open: &mut Open,
    recovered: &mut Recovered,
) {
    for mark in std::mem::take(&mut open.boots) {
        match clear_twice(engine, &mark).await {
            Ok(()) => {
                let (journal, event) = (journal.clone(), Event::BootGone { mark: mark.clone() });
                // At worst it is looked for once more.
                let _ = island("writing the journal", move || journal.note(&[event])).await;
                recovered.boot_tests.push(mark);
            }
            Err(err) => {
                recovered.warnings.push(format!("{err:#}"));
                open.boots.push(mark);
            }
        }
    }
}

/// The engine may still have been making something when the run that asked for it was killed.
async fn clear_twice(engine: &Engine, mark: &str) -> anyhow::Result<()> {
    clear(engine, mark).await?;
    sleep(PAUSE).await;
    clear(engine, mark).await
}

/// Removes everything that carries a mark.
///
/// # Errors
/// What could not be removed, after some tries.
pub(crate) async fn clear(engine: &Engine, mark: &str) -> anyhow::Result<()> {
    let removing = || format!("removing what the boot test {mark} has made");
    let mut last = Ok(());
    for n in 0..TRIES {
        if n > 0 {
            sleep(PAUSE).await;
        }
        let marked = engine.marked(mark).await.with_context(removing)?;
        if marked.is_empty() {
            return Ok(());
        }
        last = remove_all(engine, marked).await;
        if last.is_ok() {
            return Ok(());
        }
    }
    last.with_context(removing)
}

/// Goes on after an error, and gives the last one: it is the nearest to what is still there.
async fn remove_all(engine: &Engine, marked: Marked) -> anyhow::Result<()> {
    let mut answers = Vec::new();
    for container in &marked.containers {
        answers.push(engine.remove_container(container).await);
    }
    for network in &marked.networks {
        answers.push(engine.remove_network(network).await);
    }
    for volume in &marked.volumes {
        answers.push(engine.remove_volume(volume).await);
    }
    Ok(answers.into_iter().rev().collect::<Result<(), _>>()?)
}
