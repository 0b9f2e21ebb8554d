//! What stood still before is started, in the order of dependence.

use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::hands::Hands;
use crate::model::{Health, State};
use crate::plan::Hold;
use crate::signals;

/// How long a container waits for another to become healthy. Longer than most take; what does not
/// come up then, the gate sees.
const PATIENCE_FOR_HEALTH: Duration = Duration::from_mins(1);

/// How long is waited before the engine is asked again.
const PAUSE_BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// Starts them one after the other, each when those are healthy of whom it wants that.
///
/// # Errors
/// The first that cannot be started, and whatever cancels the run.
pub(super) async fn start(
    hands: &Hands,
    holds: &[Hold],
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    for hold in holds {
        for need in hold.needs.iter().filter(|it| it.healthy) {
            wait_for_health(hands, &need.name, cancel).await?;
        }
        signals::check(cancel)?;
        let starting = || format!("starting {}", hold.name);
        hands.engine.start(&hold.id).await.with_context(starting)?;
    }
    Ok(())
}

async fn wait_for_health(
    hands: &Hands,
    name: &str,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    let since = Instant::now();
    while since.elapsed() < PATIENCE_FOR_HEALTH {
        signals::check(cancel)?;
        let now = hands.engine.inspect(name).await?;
        let is_healthy = matches!(now.health, Health::None | Health::Healthy);
        if is_healthy || now.state == State::Stopped {
            break;
        }
        sleep(PAUSE_BETWEEN_LOOKS).await;
    }
    Ok(())
}
