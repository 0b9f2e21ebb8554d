//! The gate behind a restore, on the simulated engine.

use std::io::{Read, Write};
use std::time::Duration;

use futures_util::future::join;
use hearthkeep::engine::{Engine, Simulator};
use hearthkeep::gate::{self, Gate, Runner};
use hearthkeep::model::{Health, State};
use hearthkeep::signals::Cancelled;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::facts::container;
use super::holding::run;

fn world(state: State, health: Health) -> (Simulator, Engine) {
    let mut broker = container("broker", "x");
    (broker.state, broker.health) = (state, health);
    let simulator = Simulator::new(vec![broker]);
    (simulator.clone(), Engine::simulated(simulator))
}

fn gate(needs_health: bool) -> Gate {
    let broker = Runner { name: "broker".to_owned(), needs_health };
    let (patience, settle) = (Duration::from_mins(1), Duration::from_secs(2));
    Gate { running: vec![broker], answering: None, patience, settle }
}

/// What the gate says; nothing where it lets pass.
async fn said(engine: &Engine, gate: &Gate) -> Option<String> {
    let passed = gate::pass(engine, gate, &CancellationToken::new()).await;
    passed.err().map(|err| format!("{err:#}"))
}

#[test]
fn it_tells_by_name_and_in_words_what_did_not_come_up() {
    let cases = [
        (State::Running, Health::None, true, None),
        (State::Running, Health::Healthy, true, None),
        (State::Running, Health::Unhealthy, false, None),
        (State::Running, Health::Starting, false, None),
        (State::Running, Health::Unhealthy, true, Some("did not come up: its health check fails")),
        (
            State::Running,
            Health::Starting,
            true,
            Some("did not come up: its health check has not passed yet"),
        ),
        (State::Restarting, Health::None, true, Some("does not stay up")),
        (State::Stopped, Health::Unhealthy, false, Some("does not stay up")),
    ];
    for (state, health, needs_health, wanted) in cases {
        run(async {
            let (_, engine) = world(state, health);
            let wanted = wanted.map(|it| format!("broker {it}"));
            assert_eq!(said(&engine, &gate(needs_health)).await, wanted, "{state:?} {health:?}");
        });
    }
}

#[test]
fn what_crashes_over_and_over_does_not_pass() {
    run(async {
        let (simulator, engine) = world(State::Running, Health::None);
        // It always comes up, and never for as long as anybody would call a home.
        let crashes = async {
            for _ in 0..200 {
                simulator.set_state("broker", State::Running);
                sleep(Duration::from_millis(1300)).await;
                simulator.set_state("broker", State::Restarting);
                sleep(Duration::from_millis(600)).await;
            }
        };
        let (said, ()) = join(said(&engine, &gate(true)), crashes).await;
        assert_eq!(said.as_deref(), Some("broker does not stay up"));
    });
}

#[test]
fn what_crashed_once_passes_when_it_stays() {
    run(async {
        let (simulator, engine) = world(State::Running, Health::None);
        let since = Instant::now();
        let crash = async {
            sleep(Duration::from_secs(1)).await;
            simulator.set_state("broker", State::Restarting);
            sleep(Duration::from_secs(1)).await;
            simulator.set_state("broker", State::Running);
        };
        let (said, ()) = join(said(&engine, &gate(true)), crash).await;
        assert_eq!(said, None);
        assert!(since.elapsed() >= Duration::from_secs(4), "{:?}", since.elapsed());
    });
}

#[test]
fn it_ends_when_it_is_cancelled() {
    run(async {
        let (_, engine) = world(State::Running, Health::Starting);
        let (cancel, since) = (CancellationToken::new(), Instant::now());
        let signal = async {
            sleep(Duration::from_secs(3)).await;
            cancel.cancel();
        };
        let gate = gate(true);
        let (passed, ()) = join(gate::pass(&engine, &gate, &cancel), signal).await;
        assert!(passed.expect_err("it was cancelled").is::<Cancelled>());
        assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
    });
}

#[test]
fn home_assistant_in_its_recovery_mode_does_not_pass() {
    // Whoever answers here stands for Home Assistant, which answers in its recovery mode as well.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let answer = std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 512];
            let n_bytes = stream.read(&mut request).expect("a request");
            if n_bytes == 0 || request.starts_with(b"BYE") {
                return;
            }
            stream.write_all(b"HTTP/1.1 401 Unauthorized\r\n\r\n").expect("an answer");
        }
    });
    let line = "2026-11-25 11:12:51.723 WARNING (MainThread) [homeassistant.bootstrap] Unable to set up core integrations. Activating recovery mode";
    for (log, wanted) in [("all is well\n", None), (line, Some("runs in recovery mode"))] {
        let mut home = container("homeassistant", "x");
        home.host_network = true;
        let simulator = Simulator::new(vec![home]);
        simulator.set_log("homeassistant", log);
        let engine = Engine::simulated(simulator);
        let runner = Runner { name: "homeassistant".to_owned(), needs_health: true };
        let answering = Some(("homeassistant".to_owned(), port));
        let (patience, settle) = (Duration::from_secs(20), Duration::ZERO);
        let gate = Gate { running: vec![runner], answering, patience, settle };
        // A real answer takes real time.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let passed = runtime.expect("a runtime").block_on(gate::pass(
            &engine,
            &gate,
            &CancellationToken::new(),
        ));
        match wanted {
            None => passed.expect("nothing is wrong"),
            Some(wanted) => {
                let err = passed.expect_err("it does not run as it should");
                assert!(err.to_string().contains(wanted), "{err:#}");
                let down = err.downcast_ref::<gate::Down>().expect("it is told by name");
                assert_eq!(down.container, "homeassistant");
            }
        }
    }
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.write_all(b"BYE").expect("it reads");
    answer.join().expect("it answered");
}
