//! Whether the engine lets this program hold containers and let them go on, asked before any is
//! held.

use std::collections::BTreeSet;

use crate::engine::{Engine, Forbidden, Right};
use crate::model::State;
use crate::plan::{Hold, How};

/// A deed that belongs to the plan, and that the engine refuses.
#[derive(Debug, thiserror::Error)]
#[error("nothing was held, since {} is refused ({message}): let the proxy or plugin before the engine's socket pass what docs/docker.md lists", calls.join(", "))]
pub struct NotAllowed {
    /// The calls of the API.
    pub calls: Vec<&'static str>,
    /// The words with which the first of them was refused.
    pub message: String,
}

/// Asks whether these containers may be held and released, and commands be run in some where that
/// is planned.
pub async fn check(engine: &Engine, holds: &[Hold], has_commands: bool) -> anyhow::Result<()> {
    let needed = needed(holds, has_commands);
    if needed.is_empty() {
        return Ok(());
    }
    let mut forbidden: Vec<Forbidden> = engine.rights().await?;
    forbidden.retain(|it| needed.contains(&it.right));
    match forbidden.first() {
        None => Ok(()),
        Some(first) => Err(NotAllowed {
            message: first.message.clone(),
            calls: forbidden.iter().map(|it| it.right.call()).collect(),
        }
        .into()),
    }
}

fn needed(holds: &[Hold], has_commands: bool) -> BTreeSet<Right> {
    let of_hold = |hold: &Hold| match hold.how {
        How::Pause => &[Right::Pause, Right::Unpause][..],
        // It is started, and then frozen again.
        How::Stop if hold.was == State::Paused => &[Right::Stop, Right::Start, Right::Pause],
        How::Stop => &[Right::Stop, Right::Start],
        How::None => &[],
    };
    let commands = has_commands.then_some(Right::Exec);
    holds.iter().flat_map(of_hold).copied().chain(commands).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_for_what_a_hold_and_its_release_do() {
        let check = |how, was, wanted: &[Right]| {
            let hold = Hold {
                id: String::new(),
                name: String::new(),
                compose: None,
                how,
                was,
                healthy: true,
                stop_timeout: None,
                needs: Vec::new(),
            };
            let wanted: BTreeSet<Right> = wanted.iter().copied().collect();
            assert_eq!(needed(&[hold], false), wanted, "{how:?} {was:?}");
        };
        check(How::Pause, State::Running, &[Right::Pause, Right::Unpause]);
        check(How::Stop, State::Running, &[Right::Stop, Right::Start]);
        check(How::Stop, State::Paused, &[Right::Stop, Right::Start, Right::Pause]);
        check(How::None, State::Running, &[]);
    }
}
