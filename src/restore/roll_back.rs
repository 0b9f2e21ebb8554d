//! What becomes of a restored home that does not come up: the way back to the home as it was, or
//! a wreck to look at.

use crate::fsx::STAGING_OLD;
use crate::gate;
use crate::hands::Hands;
use crate::journal::{Event, Journal, OpenSwap};
use crate::plan::RestorePlan;
use crate::quiesce::{self, note};
use crate::recover;

/// The restored home did not come up; the old one is back.
#[derive(Debug, thiserror::Error)]
#[error("rolled back to what was there before: {reason}{}", gate::and_its_log(.log))]
pub struct RolledBack {
    /// What did not come up, and how that was seen.
    pub reason: String,
    /// The last lines of the log of the container that did not; empty where there are none.
    pub log: String,
}

/// The restored home did not come up, and stays to be looked at, as was asked for.
#[derive(Debug, thiserror::Error)]
#[error(
    "the restored home did not come up and stays as it is: {reason}{}; the old content waits in {}: `hearthkeep resume` puts it back, `hearthkeep resume --keep-restored` keeps the restored home and removes it",
    gate::and_its_log(.log),
    .waits.join(", ")
)]
pub struct LeftToLookAt {
    /// What did not come up, and how that was seen.
    pub reason: String,
    /// The last lines of the log of the container that did not; empty where there are none.
    pub log: String,
    /// Where the old content lies.
    pub waits: Vec<String>,
}

/// Puts the old content back, because `reason`; gives the error to tell.
pub(super) async fn roll_back(
    hands: &Hands,
    journal: &Journal,
    plan: &RestorePlan,
    swap: OpenSwap,
    reason: anyhow::Error,
) -> anyhow::Error {
    hands.monitor.step("rolling back", 0);
    hands.monitor.silence(quiesce::longest_hold(&plan.stops));
    let log = log_of(hands, plan, &reason).await;
    match recover::take_back(&hands.engine, journal, swap).await {
        Ok(warnings) => {
            let warnings: String = warnings.iter().map(|it| format!("; {it}")).collect();
            RolledBack { reason: format!("{reason:#}{warnings}"), log }.into()
        }
        Err(err) => err.context(format!("the restored home did not come up ({reason:#})")),
    }
}

/// Leaves the restored home as it is, because `reason`; gives the error to tell.
pub(super) async fn leave(
    hands: &Hands,
    journal: &Journal,
    plan: &RestorePlan,
    swap: OpenSwap,
    reason: anyhow::Error,
) -> anyhow::Error {
    if let Err(err) = note(journal, vec![Event::SwapLeft]).await {
        // What is not written down would be taken back by the next run anyway.
        return roll_back(hands, journal, plan, swap, reason.context(format!("{err:#}"))).await;
    }
    let old = swap.mounts.iter().map(|it| it.staging.join(STAGING_OLD[1]));
    let waits = old.map(|it| it.display().to_string()).collect();
    let log = log_of(hands, plan, &reason).await;
    LeftToLookAt { reason: format!("{reason:#}"), log, waits }.into()
}

/// Takes an exchange back that failed; gives the error to tell.
pub(super) async fn undo(
    hands: &Hands,
    journal: &Journal,
    swap: OpenSwap,
    err: anyhow::Error,
) -> anyhow::Error {
    match recover::take_back(&hands.engine, journal, swap).await {
        Ok(warnings) if warnings.is_empty() => err,
        Ok(warnings) => err.context(format!("{}; before that", warnings.join("; "))),
        Err(stuck) => err.context(format!("{stuck:#}; before that")),
    }
}

/// The end of the log of the container that did not come up, in one line.
async fn log_of(hands: &Hands, plan: &RestorePlan, reason: &anyhow::Error) -> String {
    let down = reason.downcast_ref::<gate::Down>().map(|it| &it.container);
    let name = down.unwrap_or(&plan.home.homeassistant.name);
    gate::last_words(&hands.engine, name).await
}
