//! The gate behind a restore, on the simulated engine.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Duration;

use futures_util::future::join;
use hearthkeep::engine::{Engine, Fault, Simulator};
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
fn a_start_between_two_looks_is_no_staying_up() {
    run(async {
        let (simulator, engine) = world(State::Running, Health::None);
        // Nobody ever sees it down.
        let crashes = async {
            for _ in 0..200 {
                sleep(Duration::from_millis(1900)).await;
                simulator.set_state("broker", State::Restarting);
                simulator.set_state("broker", State::Running);
            }
        };
        let (said, ()) = join(said(&engine, &gate(true)), crashes).await;
        assert_eq!(said.as_deref(), Some("broker does not stay up"));
    });
}

/// A server on the loopback that gives each caller the answer to what it asks.
fn server(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let port = listener.local_addr().expect("it listens").port();
    thread::spawn(move || {
        for mut caller in listener.incoming().flatten() {
            let mut request = [0; 512];
            let n = caller.read(&mut request).unwrap_or(0);
            // Whoever calls may have gone.
            let _ = caller.write_all(&answer(&request[..n]));
        }
    });
    port
}

/// Who answers here stands for Home Assistant, which answers in its recovery mode as well.
fn homeassistant() -> u16 {
    server(|_| b"HTTP/1.1 401 Unauthorized\r\n\r\n".to_vec())
}

/// Home Assistant, which has been in recovery mode before it last started, and what it has printed
/// since.
fn restarted(log: &str) -> Simulator {
    let mut home = container("homeassistant", "x");
    home.host_network = true;
    let simulator = Simulator::new(vec![home]);
    simulator.set_log("homeassistant", RECOVERY);
    simulator.set_state("homeassistant", State::Stopped);
    simulator.set_state("homeassistant", State::Running);
    simulator.set_log("homeassistant", log);
    simulator
}

const RECOVERY: &str = "2026-11-25 11:12:51.723 WARNING (MainThread) [homeassistant.bootstrap] Unable to set up core integrations. Activating recovery mode\n";

/// Whether it passes. A real answer takes real time.
fn passes(simulator: &Simulator, port: u16) -> anyhow::Result<()> {
    let engine = Engine::simulated(simulator.clone());
    let runner = Runner { name: "homeassistant".to_owned(), needs_health: true };
    let answering = Some(("homeassistant".to_owned(), port));
    let (patience, settle) = (Duration::from_millis(600), Duration::ZERO);
    let gate = Gate { running: vec![runner], answering, patience, settle };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let cancel = CancellationToken::new();
    runtime.expect("a runtime").block_on(gate::pass(&engine, &gate, &cancel))
}

#[test]
fn home_assistant_in_its_recovery_mode_does_not_pass() {
    passes(&restarted("all is well\n"), homeassistant()).expect("that was an earlier start");
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let silent = nobody.local_addr().expect("it listens").port();
    drop(nobody);
    // Though it answers; and where it does not, that is the better reason.
    for port in [homeassistant(), silent] {
        let err = passes(&restarted(RECOVERY), port).expect_err("it does not run as it should");
        assert!(err.to_string().contains("runs in recovery mode"), "{err:#}");
        let down = err.downcast_ref::<gate::Down>().expect("it is told by name");
        assert_eq!(down.container, "homeassistant");
    }
}

#[test]
fn a_log_that_nobody_keeps_is_no_complaint() {
    let simulator = restarted("");
    let message = "configured logging driver does not support reading".to_owned();
    let (call, container) = ("log_since_start", "homeassistant".to_owned());
    simulator.inject(Fault::Refuse { call, container, message, once: false });
    passes(&simulator, homeassistant()).expect("it answers");
}

#[test]
fn tls_is_an_answer_and_trouble_or_silence_is_none() {
    let tls = server(|asked| match asked {
        [0x16, 3, ..] => b"\x16\x03\x03\x00\x7a\x02".to_vec(),
        // So does Home Assistant: not a word to who does not speak TLS.
        _ => Vec::new(),
    });
    passes(&restarted(""), tls).expect("it speaks TLS");
    for said in ["", "HTTP/1.1 503 Service Unavailable\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n"] {
        let port = server(move |_| said.as_bytes().to_vec());
        let err = passes(&restarted(""), port).expect_err(said);
        assert!(err.is::<gate::Silent>(), "{said}: {err:#}");
    }
}
