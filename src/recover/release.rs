//! Containers that an earlier run held → what they did before.

use std::time::Duration;

use super::Recovered;
use crate::engine::{Engine, Error};
use crate::journal::{self, Journal, Open, OpenHold, Stage};
use crate::model::{Container, State, Who};
use crate::plan::{Hold, How};
use crate::quiesce::{self, Held, Released};

/// Brings every container back to what it did before. What cannot be brought back stays open.
///
/// No other container is looked at unless one is missing: what does not answer there must keep
/// nobody held here.
pub(super) async fn release(
    engine: &Engine,
    journal: &Journal,
    open: &mut Open,
    recovered: &mut Recovered,
) {
    let stay_down = stay_down(open);
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
    open.holds.splice(0..0, stay_down);
}

/// Takes those from what is open to release that see content which may be mixed.
fn stay_down(open: &mut Open) -> Vec<OpenHold> {
    let swap = open.swap.iter().filter(|it| it.stage == Stage::Underway);
    let see: Vec<String> =
        swap.flat_map(|it| &it.holds).map(|it| it.container.name.clone()).collect();
    let holds = std::mem::take(&mut open.holds);
    let (stay_down, holds) = holds.into_iter().partition(|it| see.contains(&it.container.name));
    open.holds = holds;
    stay_down
}

/// Moves what was released from what is open to what was recovered; gives those that are gone.
fn settle(released: Released, open: &mut Open, recovered: &mut Recovered) -> Vec<OpenHold> {
    let is = |name: &str, is_gone: bool| {
        released.failures.iter().any(|it| it.name == name && it.is_gone == is_gone)
    };
    let done = released.containers.iter().map(|it| it.name.clone());
    let done: Vec<String> = done.filter(|it| !is(it, true) && !is(it, false)).collect();
    let holds = std::mem::take(&mut open.holds);
    let was_down = |name: &String| {
        holds.iter().any(|it| it.container.name == *name && it.was == State::Stopped)
    };
    recovered.released.extend(done.iter().filter(|it| !was_down(it)).cloned());
    let (gone, left): (Vec<_>, Vec<_>) =
        holds.into_iter().partition(|it| is(&it.container.name, true));
    open.holds = left;
    open.holds.retain(|it| !done.contains(&it.container.name));
    recovered.warnings.extend(released.warnings);
    let failures = released.failures.into_iter().filter(|it| !it.is_gone);
    recovered.warnings.extend(failures.map(|it| it.text));
    gone
}

fn does_not_exist(name: &str) -> String {
    format!("{name} was held when a run was interrupted, and does not exist any more")
}

/// What a container was recreated as.
pub(super) async fn recreated(engine: &Engine, who: &Who) -> Result<Option<Container>, Error> {
    match engine.inspect(&who.name).await {
        Err(Error::NotFound { .. }) => (),
        answer => return answer.map(Some),
    }
    let Some(wanted) = &who.compose else { return Ok(None) };
    let all = engine.look().await?;
    Ok(all.into_iter().find(|it| it.compose().as_ref() == Some(wanted)))
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
}
