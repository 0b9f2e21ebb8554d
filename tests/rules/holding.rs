//! Holding and releasing where the engine fails.

use std::future::Future;

use hearthkeep::engine::{Engine, Fault, Simulator};
use hearthkeep::model::State;
use hearthkeep::plan::{Hold, How};
use hearthkeep::quiesce;

use super::facts::container;

fn run<T>(future: impl Future<Output = T>) -> T {
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
    Hold { id: name.to_owned(), name: name.to_owned(), how, was, stop_timeout: None }
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
