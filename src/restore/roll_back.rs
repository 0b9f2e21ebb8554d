//! The way back to the home as it was.

use anyhow::Context;

use crate::gate;
use crate::hands::Hands;
use crate::island::island;
use crate::journal::{Event, Journal};
use crate::plan::{Hold, RestorePlan};
use crate::quiesce;
use crate::swap::{Moves, Swapped};

/// Lines of the log in the report of a rollback.
const LOG_LINES: usize = 20;

/// The restored home did not come up; the old one is back.
#[derive(Debug, thiserror::Error)]
#[error("rolled back to what was there before: {reason}{}", log_suffix(.log))]
pub struct RolledBack {
    /// What did not come up, and how that was seen.
    pub reason: String,
    /// The last lines of the log of the container that did not; empty where there are none.
    pub log: String,
}

fn log_suffix(log: &str) -> String {
    if log.is_empty() { String::new() } else { format!("; its log ends: {log}") }
}

/// Puts the old content back, because `reason`; gives the error to tell.
pub(super) async fn roll_back(
    hands: &Hands,
    journal: &Journal,
    plan: &RestorePlan,
    moves: Moves,
    swapped: Swapped,
    reason: anyhow::Error,
) -> anyhow::Error {
    hands.monitor.step("rolling back", 0);
    let down = reason.downcast_ref::<gate::Down>().map(|it| &it.container);
    let name = down.unwrap_or(&plan.home.homeassistant.name);
    let log = hands.engine.log_tail(name, LOG_LINES).await.unwrap_or_default();
    let holds: Vec<Hold> = plan.stops.iter().chain(&plan.start_too).cloned().collect();
    let held = match quiesce::stop_what_is_there(&hands.engine, journal, &holds).await {
        Ok(held) => held,
        Err(err) => {
            return err.context(format!(
                "the restored home did not come up ({reason:#}) and cannot be stopped to roll back"
            ));
        }
    };
    let noting = journal.clone();
    let undone = island("moving back", move || {
        // A way back that cannot be written down has to be gone all the same.
        let _ = noting.note(&[Event::SwapIntended]);
        swapped.back()?;
        let _ = noting.note(&[Event::SwapDone]);
        moves.discard()
    })
    .await;
    let released = quiesce::release(&hands.engine, journal, held).await.outcome();
    match undone.context("moving back what was moved").and(released) {
        Ok(()) => {
            let log = log.trim().replace('\n', " | ");
            RolledBack { reason: format!("{reason:#}"), log }.into()
        }
        Err(err) => err.context(format!("the restored home did not come up ({reason:#})")),
    }
}
