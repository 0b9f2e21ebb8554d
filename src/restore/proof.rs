//! Whether the restored home came up.

use tokio_util::sync::CancellationToken;

use super::Trial;
use super::start::start;
use crate::gate::{self, Gate, Runner};
use crate::hands::Hands;
use crate::island::island;
use crate::model::State;
use crate::plan::{Hold, RestorePlan};
use crate::reach::Reach;
use crate::swap;

/// Waits until everything runs and Home Assistant answers.
pub(super) async fn come_up(
    hands: &Hands,
    plan: &RestorePlan,
    reach: &Reach,
    trial: Trial,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    start(hands, &plan.start_too, cancel).await?;
    hands.monitor.step("waiting for Home Assistant", 0);
    let home = &plan.home.homeassistant;
    let ran = plan.stops.iter().filter(|it| it.was == State::Running);
    let runner = |it: &Hold| Runner { name: it.name.clone(), needs_health: it.healthy };
    let running: Vec<Runner> = ran.chain(&plan.start_too).map(runner).collect();
    let port = port(plan, reach).await?;
    let answers = running.iter().any(|it| it.name == home.name);
    let answering = answers.then(|| (home.name.clone(), port));
    let Trial { patience, settle, .. } = trial;
    hands.monitor.silence(patience.saturating_add(settle));
    gate::pass(&hands.engine, &Gate { running, answering, patience, settle }, cancel).await
}

/// Whether Home Assistant answers now.
pub(super) async fn answers(plan: &RestorePlan, reach: &Reach) -> anyhow::Result<bool> {
    Ok(gate::answers(&plan.home.homeassistant, port(plan, reach).await?).await)
}

/// The port that the label tells, else that in Home Assistant's configuration, as it lies in its
/// mount now.
async fn port(plan: &RestorePlan, reach: &Reach) -> anyhow::Result<u16> {
    if let Some(port) = plan.home.port {
        return Ok(port);
    }
    let config = plan.home.homeassistant.mounted_at("/config");
    let folder = config.and_then(|it| reach.local(&it.source));
    island("reading the port", move || {
        let text =
            |name: &str| folder.as_ref().and_then(|it| swap::text(it, name)).unwrap_or_default();
        Ok(gate::port(&text(gate::CONFIGURATION), &text(gate::STORED)))
    })
    .await
}
