//! Holding and releasing where the engine fails.

use std::future::Future;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join;
use hearthkeep::engine::{Engine, Fault, Simulator};
use hearthkeep::journal::{self, Event, Journal};
use hearthkeep::model::{Health, State};
use hearthkeep::plan::{Hold, How, Need};
use hearthkeep::quiesce::{self, Held, Stillness};
use hearthkeep::signals::Cancelled;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

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
    let (compose, needs) = (None, Vec::new());
    Hold { id: name.clone(), name, compose, how, was, healthy: true, stop_timeout: None, needs }
}

/// A journal that nobody reads.
fn journal() -> Journal {
    let folder = tempfile::tempdir().expect("a folder");
    Journal::start(folder.path(), &[]).expect("a journal")
}

async fn take(engine: &Engine, holds: &[Hold]) -> anyhow::Result<Held> {
    quiesce::hold(engine, &journal(), holds, &CancellationToken::new()).await
}

async fn release(engine: &Engine, held: Held) -> (Vec<Stillness>, anyhow::Result<()>) {
    let released = quiesce::release(engine, &journal(), held).await;
    let outcome = released.outcome();
    (released.containers, outcome)
}

async fn state_of(engine: &Engine, name: &str) -> State {
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
        let err = take(&engine, &holds).await.expect_err("b cannot be held");
        assert!(format!("{err:#}").contains("holding b"), "{err:#}");
        for name in ["a", "b", "c"] {
            assert_eq!(state_of(&engine, name).await, State::Running, "{name}");
        }
    });
}

#[test]
fn a_release_tries_again() {
    run(async {
        let (simulator, engine) = world(&["a"]);
        let held = take(&engine, &[hold("a", How::Pause, State::Running)]).await;
        simulator.inject(refuse("unpause", "a", true));
        let (stillness, released) = release(&engine, held.expect("held")).await;
        released.expect("the second try does it");
        assert_eq!(stillness[0].name, "a");
        assert_eq!(state_of(&engine, "a").await, State::Running);
    });
}

#[test]
fn a_release_that_fails_says_how_to_free_the_container_and_frees_the_others() {
    run(async {
        let (simulator, engine) = world(&["a", "b"]);
        let holds = [hold("a", How::Pause, State::Running), hold("b", How::Stop, State::Running)];
        let held = take(&engine, &holds).await.expect("held");
        simulator.inject(refuse("unpause", "a", false));
        let (_, released) = release(&engine, held).await;
        let said = format!("{:#}", released.expect_err("a stays held"));
        assert!(said.contains("docker unpause a"), "{said}");
        assert_eq!(state_of(&engine, "b").await, State::Running);
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
        let held = take(&engine, &holds).await.expect("held");
        assert_eq!(state_of(&engine, "paused").await, State::Stopped);
        release(&engine, held).await.1.expect("released");
        assert_eq!(state_of(&engine, "paused").await, State::Paused);
        assert_eq!(state_of(&engine, "stopped").await, State::Stopped);
    });
}

#[test]
fn stops_go_in_order_and_starts_in_the_reverse() {
    run(async {
        let (simulator, engine) = world(&["ha", "db"]);
        let holds = [hold("ha", How::Stop, State::Running), hold("db", How::Stop, State::Running)];
        let held = take(&engine, &holds).await.expect("held");
        release(&engine, held).await.1.expect("released");
        assert_eq!(simulator.calls(), ["stop ha", "stop db", "start db", "start ha"]);
    });
}

#[test]
fn a_container_that_moved_meanwhile_is_noticed() {
    run(async {
        let (simulator, engine) = world(&["a"]);
        let holds = [hold("a", How::Pause, State::Running)];
        let held = take(&engine, &holds).await.expect("held");
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
        let held = take(&engine, &holds).await.expect("held");
        // Refused once, looked at, and then away.
        simulator.inject(refuse("unpause", "a", true));
        simulator.inject(Fault::Unreachable { at: 3 });
        let back = async {
            sleep(Duration::from_mins(20)).await;
            simulator.mend();
            // The first answer of an engine that has just come back is no reason to give up.
            simulator.inject(refuse("unpause", "a", true));
        };
        let ((_, released), ()) = join(release(&engine, held), back).await;
        released.expect("the engine is back");
        assert_eq!(state_of(&engine, "a").await, State::Running);
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
            let held = take(&engine, &[hold("a", how, State::Running)]).await;
            simulator.inject(fault);
            let since = Instant::now();
            let (_, released) = release(&engine, held.expect("held")).await;
            let said = format!("{:#}", released.expect_err("it stays held"));
            assert!(said.contains(cure), "{said}");
            let took = since.elapsed().as_secs();
            assert!((seconds..seconds + 2).contains(&took), "{took} s: {said}");
        });
    }
}

#[test]
fn what_was_stopped_while_it_was_paused_is_started_and_said() {
    run(async {
        let (simulator, engine) = world(&["a"]);
        let holds = [hold("a", How::Pause, State::Running)];
        let held = take(&engine, &holds).await.expect("held");
        simulator.set_state("a", State::Stopped);
        let since = Instant::now();
        let released = quiesce::release(&engine, &journal(), held).await;
        let said = "a was stopped by something else while it was held, and was started again";
        assert_eq!(released.warnings, [said]);
        released.outcome().expect("it goes on");
        assert_eq!(state_of(&engine, "a").await, State::Running);
        assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    });
}

#[test]
fn the_journal_has_every_hold_before_the_engine_is_asked_and_every_release_after() {
    run(async {
        let (simulator, engine) = world(&["a", "b", "c"]);
        let state = tempfile::tempdir().expect("a folder");
        let journal = Journal::start(state.path(), &[]).expect("a journal");
        let open = || {
            let open = journal::open(&journal::read(state.path()).expect("it can be read"));
            open.holds.into_iter().map(|it| it.container.name).collect::<Vec<_>>()
        };
        let holds = [
            hold("b", How::Stop, State::Running),
            hold("a", How::Pause, State::Running),
            hold("c", How::None, State::Running),
        ];
        simulator.inject(refuse("stop", "b", true));
        let never = CancellationToken::new();
        let answer = quiesce::hold(&engine, &journal, &holds, &never).await;
        answer.expect_err("b cannot be held");
        assert_eq!(open(), Vec::<String>::new(), "what was never held is closed too");
        let held = quiesce::hold(&engine, &journal, &holds, &never).await.expect("held");
        assert_eq!(open(), ["b", "a"], "none of those that go on");
        simulator.inject(refuse("unpause", "a", false));
        let released = quiesce::release(&engine, &journal, held).await;
        let failed: Vec<&str> = released.failures.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(failed, ["a"]);
        assert_eq!(open(), ["a"], "what is held still stays open");
        let events = journal::read(state.path()).expect("it can be read");
        assert_eq!(events.last(), Some(&Event::Released { name: "b".to_owned() }));
    });
}

#[test]
fn without_room_for_the_journal_nothing_is_held() {
    run(async {
        let (simulator, engine) = world(&["a"]);
        let state = tempfile::tempdir().expect("a folder");
        let journal = full(state.path());
        let holds = [hold("a", How::Pause, State::Running)];
        let never = CancellationToken::new();
        let answer = quiesce::hold(&engine, &journal, &holds, &never).await;
        let said = format!("{:#}", answer.expect_err("nothing can be written"));
        assert!(said.contains("writing") && said.contains("journal.jsonl"), "{said}");
        assert_eq!(simulator.calls(), Vec::<String>::new());
        // Where the disk is full only afterwards, everything goes on all the same.
        let held = take(&engine, &holds).await.expect("held");
        let released = quiesce::release(&engine, &journal, held).await;
        released.outcome().expect("it goes on");
        assert_eq!(released.warnings.len(), 1, "{:?}", released.warnings);
        assert_eq!(state_of(&engine, "a").await, State::Running);
    });
}

/// A journal that cannot grow, as on a disk that is full.
fn full(state: &Path) -> Journal {
    let file = memfd_create(c"journal", MFdFlags::MFD_ALLOW_SEALING).expect("a file in memory");
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW)).expect("it can be sealed");
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    std::os::unix::fs::symlink(path, state.join("journal.jsonl")).expect("a link");
    Journal::start(state, &[]).expect("it opens")
}

#[test]
fn cancelled_while_it_stops_one_it_frees_the_others_and_starts_that_one_when_it_has_stopped() {
    run(async {
        let (simulator, engine) = world(&["slow", "done"]);
        simulator.inject(Fault::SlowStop { container: "slow".to_owned(), seconds: 100 });
        let mut slow = hold("slow", How::Stop, State::Running);
        slow.stop_timeout = Some(Duration::from_secs(120));
        let holds = [hold("done", How::Stop, State::Running), slow];
        let cancel = CancellationToken::new();
        let since = Instant::now();
        let meanwhile = async {
            sleep(Duration::from_secs(2)).await;
            cancel.cancel();
            sleep(Duration::from_secs(1)).await;
            let others = state_of(&engine, "done").await;
            sleep(Duration::from_secs(97)).await;
            simulator.set_state("slow", State::Stopped);
            others
        };
        let journal = journal();
        let hold = quiesce::hold(&engine, &journal, &holds, &cancel);
        let (answer, others) = join(hold, meanwhile).await;
        assert!(answer.expect_err("it was cancelled").is::<Cancelled>());
        assert_eq!(others, State::Running);
        assert_eq!(state_of(&engine, "slow").await, State::Running);
        assert!(since.elapsed() < Duration::from_secs(102), "{:?}", since.elapsed());
    });
}

#[test]
fn a_start_waits_for_those_that_it_needs_and_for_their_health_where_it_says_so() {
    let cases =
        [(false, 0, Health::Starting), (true, 30, Health::Healthy), (true, 60, Health::Starting)];
    for (healthy, seconds, becomes) in cases {
        run(async {
            let (simulator, engine) = world(&["ha", "db", "other"]);
            let mut ha = hold("ha", How::Stop, State::Running);
            ha.needs = vec![Need { name: "db".to_owned(), healthy }];
            let other = hold("other", How::Stop, State::Running);
            let holds = [ha, other, hold("db", How::Stop, State::Running)];
            let held = take(&engine, &holds).await.expect("held");
            simulator.set_health("db", Health::Starting);
            // Its start is refused once, so that the others could overtake it.
            simulator.inject(refuse("start", "db", true));
            let begin = Instant::now();
            let meanwhile = async {
                sleep(Duration::from_secs(1)).await;
                let other = state_of(&engine, "other").await;
                sleep(Duration::from_secs(29)).await;
                simulator.set_health("db", becomes);
                other
            };
            let (released, other) = join(
                async {
                    let released = quiesce::release(&engine, &journal(), held).await;
                    (released, begin.elapsed().as_secs())
                },
                meanwhile,
            )
            .await;
            let (released, took) = released;
            released.outcome().expect("all go on");
            assert_eq!(other, State::Running, "who needs nobody waits for nobody");
            assert!((seconds..seconds + 2).contains(&took), "{took} s, not {seconds}");
            assert_eq!(released.warnings.is_empty(), seconds < 60, "{:?}", released.warnings);
            let starts: Vec<String> =
                simulator.calls().into_iter().filter(|it| it.starts_with("start")).collect();
            assert_eq!(starts, ["start db", "start other", "start db", "start ha"]);
        });
    }
}

#[test]
fn needs_in_a_circle_end() {
    run(async {
        let (_, engine) = world(&["a", "b"]);
        let circle = ["a", "b"].map(|name| {
            let mut hold = hold(name, How::Stop, State::Running);
            let other = if name == "a" { "b" } else { "a" };
            hold.needs = vec![Need { name: other.to_owned(), healthy: true }];
            hold
        });
        let held = take(&engine, &circle).await.expect("held");
        release(&engine, held).await.1.expect("released");
        assert_eq!(state_of(&engine, "a").await, State::Running);
        assert_eq!(state_of(&engine, "b").await, State::Running);
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
            let held = take(&engine, &holds).await.expect("held");
            simulator.inject(refuse(call, name, false));
            let meanwhile = async {
                sleep(Duration::from_secs(5)).await;
                let other = state_of(&engine, other).await;
                simulator.mend();
                other
            };
            let ((_, released), meanwhile) = join(release(&engine, held), meanwhile).await;
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
        let err = take(&engine, &holds).await.expect_err("b cannot be held");
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
            let held = take(&engine, &holds).await.expect("held");
            simulator.inject(fault);
            let err = quiesce::check(&engine, &held).await.expect_err("it cannot be seen");
            let said = format!("{err:#}");
            assert!(said.contains(wanted), "{said}");
            assert_eq!(said.contains("disappeared"), wanted.contains("disappeared"), "{said}");
        });
    }
}

#[test]
fn what_is_gone_cannot_be_held_and_the_others_go_on() {
    run(async {
        let (simulator, engine) = world(&["a", "gone"]);
        simulator.inject(Fault::Vanish { container: "gone".to_owned(), at: 1 });
        let holds = ["gone", "a"].map(|it| hold(it, How::Stop, State::Running));
        let err = take(&engine, &holds).await.expect_err("it is gone");
        assert!(format!("{err:#}").contains("holding gone"), "{err:#}");
        assert_eq!(state_of(&engine, "a").await, State::Running);
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
        let (held, ()) = join(take(&engine, &holds), late).await;
        held.expect_err("the stop was refused");
        assert_eq!(state_of(&engine, "a").await, State::Running);
    });
}
