//! Holding and releasing where the engine fails.

use std::future::Future;
use std::time::Duration;

use futures_util::future::join;
use hearthkeep::engine::{Engine, Fault, Simulator};
use hearthkeep::model::State;
use hearthkeep::plan::{Hold, How};
use hearthkeep::quiesce;
use tokio::time::{Instant, sleep};

use super::facts::container;

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Patience passes at once: no test waits for a clock.
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn world(names: &[&str]) -> (Simulator, Engine) {
    let simulator = Simulator::new(names.iter().map(|it| container(it, "x")).collect());
    (simulator.clone(), Engine::simulated(simulator))
}

fn hold(name: &str, how: How, was: State) -> Hold {
    let name = name.to_owned();
    Hold { id: name.clone(), name, how, was, healthy: true, stop_timeout: None }
}

async fn state(engine: &Engine, name: &str) -> State {
    engine.inspect(name).await.expect("it exists").state
}

fn refuse(call: &'static str, container: &str, once: bool) -> Fault {
    Fault::Refuse { call, container: container.to_owned(), message: "no".to_owned(), once }
}

#[test]
fn what_cannot_be_held_lets_the_others_go_on() {
    run(async {
        let (simulator, engine) = world(&["a", "b", "c"]);
        simulator.inject(refuse("pause", "b", false));
        let holds = [
            hold("c", How::Stop, State::Running),
            hold("a", How::Pause, State::Running),
            hold("b", How::Pause, State::Running),
        ];
        let err = quiesce::hold(&engine, &holds).await.expect_err("b cannot be held");
        assert!(format!("{err:#}").contains("holding b"), "{err:#}");
        for name in ["a", "b", "c"] {
            assert_eq!(state(&engine, name).await, State::Running, "{name}");
        }
    });
}

#[test]
fn a_release_tries_again() {
    run(async {
        let (simulator, engine) = world(&["a"]);
        let held = quiesce::hold(&engine, &[hold("a", How::Pause, State::Running)]).await;
        simulator.inject(refuse("unpause", "a", true));
        let (stillness, released) = quiesce::release(&engine, held.expect("held")).await;
        released.expect("the second try does it");
        assert_eq!(stillness[0].name, "a");
        assert_eq!(state(&engine, "a").await, State::Running);
    });
}

#[test]
fn a_release_that_fails_says_how_to_free_the_container_and_frees_the_others() {
    run(async {
        let (simulator, engine) = world(&["a", "b"]);
        let holds = [hold("a", How::Pause, State::Running), hold("b", How::Stop, State::Running)];
        let held = quiesce::hold(&engine, &holds).await.expect("held");
        simulator.inject(refuse("unpause", "a", false));
        let (_, released) = quiesce::release(&engine, held).await;
        let said = format!("{:#}", released.expect_err("a stays held"));
        assert!(said.contains("docker unpause a"), "{said}");
        assert_eq!(state(&engine, "b").await, State::Running);
    });
}

#[test]
fn what_was_paused_or_stopped_before_is_so_after() {
    run(async {
        let (simulator, engine) = world(&["paused", "stopped"]);
        simulator.set_state("paused", State::Paused);
        simulator.set_state("stopped", State::Stopped);
        let holds =
            [hold("paused", How::Stop, State::Paused), hold("stopped", How::Stop, State::Stopped)];
        let held = quiesce::hold(&engine, &holds).await.expect("held");
        assert_eq!(state(&engine, "paused").await, State::Stopped);
        quiesce::release(&engine, held).await.1.expect("released");
        assert_eq!(state(&engine, "paused").await, State::Paused);
        assert_eq!(state(&engine, "stopped").await, State::Stopped);
    });
}

#[test]
fn stops_go_in_order_and_starts_in_the_reverse() {
    run(async {
        let (simulator, engine) = world(&["ha", "db"]);
        let holds = [hold("ha", How::Stop, State::Running), hold("db", How::Stop, State::Running)];
        let held = quiesce::hold(&engine, &holds).await.expect("held");
        quiesce::release(&engine, held).await.1.expect("released");
        assert_eq!(simulator.calls(), ["stop ha", "stop db", "start db", "start ha"]);
    });
}

#[test]
fn a_container_that_moved_meanwhile_is_noticed() {
    run(async {
        let (simulator, engine) = world(&["a"]);
        let holds = [hold("a", How::Pause, State::Running)];
        let held = quiesce::hold(&engine, &holds).await.expect("held");
        quiesce::check(&engine, &held).await.expect("still");
        simulator.set_state("a", State::Running);
        let said = quiesce::check(&engine, &held).await.expect_err("it ran").to_string();
        assert!(said.contains("a did not stay still"), "{said}");
    });
}

#[test]
fn a_release_waits_for_an_engine_that_is_away() {
    run(async {
        let (simulator, engine) = world(&["a"]);
        let holds = [hold("a", How::Pause, State::Running)];
        let held = quiesce::hold(&engine, &holds).await.expect("held");
        // Refused once, looked at, and then away.
        simulator.inject(refuse("unpause", "a", true));
        simulator.inject(Fault::Unreachable { at: 3 });
        let back = async {
            sleep(Duration::from_mins(20)).await;
            simulator.mend();
            // The first answer of an engine that has just come back is no reason to give up.
            simulator.inject(refuse("unpause", "a", true));
        };
        let ((_, released), ()) = join(quiesce::release(&engine, held), back).await;
        released.expect("the engine is back");
        assert_eq!(state(&engine, "a").await, State::Running);
    });
}

#[test]
fn a_release_gives_up_after_its_patience() {
    let cases = [
        ("pause", refuse("unpause", "a", false), 60, "docker unpause a"),
        ("stop", refuse("start", "a", false), 60, "docker start a"),
        ("pause", Fault::Unreachable { at: 1 }, 30 * 60, "docker unpause a"),
    ];
    for (how, fault, seconds, cure) in cases {
        run(async {
            let (simulator, engine) = world(&["a"]);
            let how = if how == "stop" { How::Stop } else { How::Pause };
            let held = quiesce::hold(&engine, &[hold("a", how, State::Running)]).await;
            simulator.inject(fault);
            let since = Instant::now();
            let (_, released) = quiesce::release(&engine, held.expect("held")).await;
            let said = format!("{:#}", released.expect_err("it stays held"));
            assert!(said.contains(cure), "{said}");
            let took = since.elapsed().as_secs();
            assert!((seconds..seconds + 2).contains(&took), "{took} s: {said}");
        });
    }
}

#[test]
fn what_was_stopped_while_it_was_paused_is_said_at_once() {
    run(async {
        let (simulator, engine) = world(&["a"]);
        let holds = [hold("a", How::Pause, State::Running)];
        let held = quiesce::hold(&engine, &holds).await.expect("held");
        simulator.set_state("a", State::Stopped);
        let since = Instant::now();
        let (_, released) = quiesce::release(&engine, held).await;
        let said = released.expect_err("it does not run").to_string();
        assert_eq!(said, "a was stopped by something else while it was held");
        assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    });
}

#[test]
fn a_start_that_waits_keeps_no_other_container_held() {
    run(async {
        let (simulator, engine) = world(&["paused", "stopped"]);
        let holds = [
            hold("stopped", How::Stop, State::Running),
            hold("paused", How::Pause, State::Running),
        ];
        for (call, name, other) in
            [("start", "stopped", "paused"), ("unpause", "paused", "stopped")]
        {
            let held = quiesce::hold(&engine, &holds).await.expect("held");
            simulator.inject(refuse(call, name, false));
            let meanwhile = async {
                sleep(Duration::from_secs(5)).await;
                let other = state(&engine, other).await;
                simulator.mend();
                other
            };
            let ((_, released), meanwhile) = join(quiesce::release(&engine, held), meanwhile).await;
            released.expect("the fault is over");
            assert_eq!(meanwhile, State::Running, "{other} while {name} is still held");
        }
    });
}

#[test]
fn of_two_failures_the_first_is_told_first() {
    run(async {
        let (simulator, engine) = world(&["a", "b"]);
        simulator.inject(refuse("pause", "b", false));
        simulator.inject(refuse("unpause", "a", false));
        let holds = ["a", "b"].map(|it| hold(it, How::Pause, State::Running));
        let err = quiesce::hold(&engine, &holds).await.expect_err("b cannot be held");
        let said = format!("{err:#}");
        let at = |what: &str| said.find(what).unwrap_or_else(|| panic!("no {what}: {said}"));
        assert!(at("holding b") < at("docker unpause a"), "{said}");
    });
}

#[test]
fn a_check_tells_what_it_could_not_see() {
    let gone = Fault::Vanish { container: "a".to_owned(), at: 1 };
    let cases = [
        (gone, "a disappeared while it was held"),
        (Fault::Unreachable { at: 1 }, "no Docker engine answers"),
        (refuse("inspect", "a", false), "inspecting a: no"),
    ];
    for (fault, wanted) in cases {
        run(async {
            let (simulator, engine) = world(&["a"]);
            let holds = [hold("a", How::Pause, State::Running)];
            let held = quiesce::hold(&engine, &holds).await.expect("held");
            simulator.inject(fault);
            let err = quiesce::check(&engine, &held).await.expect_err("it cannot be seen");
            let said = format!("{err:#}");
            assert!(said.contains(wanted), "{said}");
            assert_eq!(said.contains("disappeared"), wanted.contains("disappeared"), "{said}");
        });
    }
}

#[test]
fn on_the_way_back_what_is_gone_is_still_enough() {
    run(async {
        let (simulator, engine) = world(&["a", "gone"]);
        simulator.inject(Fault::Vanish { container: "gone".to_owned(), at: 1 });
        let holds = ["gone", "a"].map(|it| hold(it, How::Stop, State::Running));
        let err = quiesce::hold(&engine, &holds).await.expect_err("it is gone");
        assert!(format!("{err:#}").contains("holding gone"), "{err:#}");
        let held = quiesce::stop_what_is_there(&engine, &holds).await.expect("the other is there");
        assert_eq!(state(&engine, "a").await, State::Stopped);
        let (stillness, released) = quiesce::release(&engine, held).await;
        released.expect("only what was stopped is started");
        assert_eq!(stillness.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(state(&engine, "a").await, State::Running);
    });
}

#[test]
fn a_stop_that_was_given_up_and_comes_late_is_made_good() {
    run(async {
        let (simulator, engine) = world(&["a"]);
        simulator.inject(refuse("stop", "a", true));
        let late = async {
            sleep(Duration::from_secs(1)).await;
            simulator.set_state("a", State::Stopped);
        };
        let holds = [hold("a", How::Stop, State::Running)];
        let (held, ()) = join(quiesce::hold(&engine, &holds), late).await;
        held.expect_err("the stop was refused");
        assert_eq!(state(&engine, "a").await, State::Running);
    });
}
