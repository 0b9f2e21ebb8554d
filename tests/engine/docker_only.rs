//! What only the real engine can show.

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};
use std::{env, fs, io, mem, thread};

use hearthkeep::engine::{Command, Engine, Error};
use hearthkeep::model::State;

use super::lab::{DEADLINE, Lab, Ways, docker};
use super::{run, run_to_end};

#[test]
fn says_its_version() {
    run(async {
        let about = Engine::connect().await?.about().await?;
        let expected =
            docker(&["version", "--format", "{{.Server.Version}} {{.Server.APIVersion}}"]);
        assert_eq!(format!("{} {}", about.version, about.api), expected);
        assert_eq!(about.root, Path::new(&docker(&["info", "--format", "{{.DockerRootDir}}"])));
        Ok(())
    });
}

#[test]
fn kills_what_does_not_end_in_time() {
    run(async {
        let home = Lab::Docker.container(Ways::IgnoresItsStopSignal).await;
        for timeout in [Some(Duration::from_millis(300)), None] {
            let since = Instant::now();
            home.engine.stop(&home.name, timeout).await?;
            let took = since.elapsed();
            assert!(took >= Duration::from_secs(1), "a part of a second is a second: {took:?}");
            assert!(took < DEADLINE, "{took:?}");
            home.is(State::Stopped).await?;
            home.engine.start(&home.name).await?;
        }
        Ok(())
    });
}

#[test]
fn an_earlier_start_is_not_in_the_log_since_the_start() {
    run(async {
        let home = Lab::Docker.container(Ways::PrintsAndEnds).await;
        let printed = async |n_times: usize| {
            let since = Instant::now();
            loop {
                let log = home.engine.log_tail(&home.name, 1000).await?;
                if log.matches("http=PORT").count() == n_times {
                    return home.becomes(State::Stopped).await;
                }
                assert!(since.elapsed() < DEADLINE, "{log}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        printed(1).await?;
        let first = home.engine.log_since_start(&home.name).await?;
        assert_eq!(first, home.engine.log_tail(&home.name, 1000).await?);
        // The engine tells the two apart to the second.
        tokio::time::sleep(Duration::from_secs(1)).await;
        home.engine.start(&home.name).await?;
        printed(2).await?;
        assert_eq!(home.engine.log_since_start(&home.name).await?, first);
        Ok(())
    });
}

#[test]
fn keeps_the_end_of_what_a_command_prints() {
    run(async {
        let home = Lab::Docker.container(Ways::HasAShell).await;
        let command = Command::shell("head -c 100000000 /dev/zero | tr '\\0' x; echo the end");
        let executed = home.engine.exec(&home.name, &command, DEADLINE).await?;
        assert_eq!((executed.exit_code, executed.cut), (0, true));
        assert_eq!(executed.output.len(), 16 * 1024);
        assert!(executed.output.ends_with("xthe end\n"));
        // All of it went through this process.
        assert!(peak_memory() < 50_000, "{} KiB", peak_memory());
        Ok(())
    });
}

/// The most memory that this process has had, in KiB.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let line = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).expect("Linux tells it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn does_not_wait_for_what_a_command_leaves_behind() {
    run(async {
        let home = Lab::Docker.container(Ways::HasAShell).await;
        let since = Instant::now();
        let command = Command::shell("sleep 1000 & echo left it");
        let executed = home.engine.exec(&home.name, &command, DEADLINE).await?;
        assert_eq!((executed.exit_code, executed.output.as_str()), (0, "left it\n"));
        assert!(since.elapsed() < DEADLINE / 2, "{:?}", since.elapsed());
        Ok(())
    });
}

#[test]
fn says_why_a_command_cannot_be_run() {
    run(async {
        let no_shell = Lab::Docker.container(Ways::Runs).await;
        let home = Lab::Docker.container(Ways::HasAShell).await;
        let user = Some("nobody-of-that-name".to_owned());
        let as_nobody = Command { user, ..Command::shell("true") };
        for (home, command, why) in [
            (&no_shell, Command::shell("true"), "/bin/sh"),
            (&home, as_nobody, "nobody-of-that-name"),
        ] {
            // Old engines tell it as the command's own words, new ones refuse.
            let said = match home.engine.exec(&home.name, &command, DEADLINE).await {
                Ok(executed) => {
                    assert_ne!(executed.exit_code, 0);
                    executed.output
                }
                Err(error) => error.to_string(),
            };
            assert!(said.contains(why), "{said}");
        }
        Ok(())
    });
}

#[test]
fn a_client_ends_when_its_session_is_dropped() {
    run(async {
        let home = Lab::Docker.container(Ways::HasAShell).await;
        let is_there = async || {
            let look = Command::shell("pidof cat");
            home.engine.exec(&home.name, &look, DEADLINE).await.map(|it| it.exit_code == 0)
        };
        let client = Command::shell("echo ready; cat");
        let mut session = home.engine.session(&home.name, &client).await?;
        session.ask("", "ready", DEADLINE).await?;
        assert!(is_there().await?);
        drop(session);
        let since = Instant::now();
        while is_there().await? {
            assert!(since.elapsed() < DEADLINE, "the client is still there");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    });
}

#[test]
fn tells_a_missing_network_from_a_missing_container() {
    run(async {
        let home = Lab::Docker.container(Ways::HasLostItsNetwork).await;
        // Docker says 404 for both.
        let error = home.engine.start(&home.name).await.expect_err("its network is gone");
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        assert!(error.to_string().contains("network"), "{error}");
        Ok(())
    });
}

#[test]
fn says_why_nothing_answers() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    drop(UnixListener::bind(place("deserted")).unwrap());
    parrot(&folder.path().join("stranger"), &[("/version", "200 OK", "hello")]);
    let cases = [
        (place("missing"), "no such socket; is Docker running"),
        (format!("unix://{}", place("deserted")), "nobody listens there"),
        (place("stranger"), "it does not speak as Docker does"),
        // A port that nobody has.
        ("tcp://127.0.0.1:1".to_owned(), "nobody listens there"),
        ("ssh://engine".to_owned(), "only Unix sockets and proxies before them are supported"),
    ];
    for (address, expected) in cases {
        let error = run_to_end(Engine::connect_to(&address)).expect_err("nothing is there");
        assert!(
            matches!(&error, Error::Unreachable { address: it, .. } if *it == address),
            "{error}"
        );
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn notices_that_the_engine_went_away() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let usual = env::var("DOCKER_HOST").unwrap_or_else(|_| "/var/run/docker.sock".to_owned());
    symlink(usual.trim_start_matches("unix://"), &socket).unwrap();
    let address = socket.display().to_string();
    run(async {
        let engine = Engine::connect_to(&address).await?;
        engine.look().await?;
        fs::remove_file(&socket).expect("it was there");
        let error = engine.look().await.expect_err("the socket is gone");
        assert!(
            matches!(&error, Error::Unreachable { address: it, .. } if *it == address),
            "{error}"
        );
        assert!(error.to_string().contains("no such socket"), "{error}");
        Ok(())
    });
}

#[test]
fn asks_in_the_version_agreed_on() {
    let cases = [
        (r#"{"Version":"20.10.24","ApiVersion":"1.41"}"#, "GET /v1.41/containers/mosquitto/json "),
        (r#"{"Version":"99.0.0","ApiVersion":"1.99"}"#, "GET /v1.53/containers/mosquitto/json "),
    ];
    for (version, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let version = [("/version", "200 OK", version)];
        let asked = parrot(&socket, &version);
        let engine = run_to_end(Engine::connect_to(&socket.display().to_string())).unwrap();
        let error = run_to_end(engine.inspect("mosquitto")).expect_err("it only knows its version");
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
        let last = asked.try_iter().last().expect("it was asked");
        assert!(last.starts_with(expected), "{last}");
    }
}

#[test]
fn leaves_out_what_vanishes_while_it_looks() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let here = r#"{"Id":"1","Name":"/here","State":{"Status":"running"}}"#;
    let answers = [
        ("/version", "200 OK", r#"{"ApiVersion":"1.41"}"#),
        ("/containers/json", "200 OK", r#"[{"Id":"1"},{"Id":"2"}]"#),
        ("/containers/1/json", "200 OK", here),
    ];
    parrot(&socket, &answers);
    run(async {
        let engine = Engine::connect_to(&socket.display().to_string()).await?;
        let names: Vec<String> = engine.look().await?.into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["here"]);
        Ok(())
    });
}

#[test]
fn does_not_wait_long_for_one_over_which_the_engine_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let here = r#"{"Id":"1","Name":"/here","State":{"Status":"running"}}"#;
    let list = r#"[{"Id":"1"},{"Id":"2","Names":["/stuck"],"State":"paused"}]"#;
    let answers = [
        ("/version", "200 OK", r#"{"ApiVersion":"1.41"}"#),
        ("/containers/json", "200 OK", list),
        ("/containers/1/json", "200 OK", here),
        ("/containers/2/json", NEVER, ""),
    ];
    parrot(&socket, &answers);
    run(async {
        let engine = Engine::connect_to(&socket.display().to_string()).await?;
        let since = Instant::now();
        let all = engine.look().await?;
        assert!(since.elapsed() < DEADLINE, "{:?}", since.elapsed());
        let seen: Vec<_> =
            all.iter().map(|it| (it.name.as_str(), it.state, it.is_silent)).collect();
        assert_eq!(seen, [("here", State::Running, false), ("stuck", State::Paused, true)]);
        Ok(())
    });
}

/// In place of a status: the answer never comes.
const NEVER: &str = "never";

/// What to say to a path, with which status; anything else is not found.
type Answer = (&'static str, &'static str, &'static str);

/// An engine that knows nothing but these answers. Tells the first line of each request.
fn parrot(socket: &Path, answers: &[Answer]) -> Receiver<String> {
    let (sender, asked) = mpsc::channel();
    let listener = UnixListener::bind(socket).expect("the folder is new");
    let answers = answers.to_vec();
    thread::spawn(move || {
        listener.incoming().flatten().for_each(|it| _ = answer(it, &answers, &sender));
    });
    asked
}

fn answer(mut client: UnixStream, answers: &[Answer], asked: &Sender<String>) -> io::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    // All of it, as closing with something unread would cut the answer off.
    while !request.ends_with(b"\r\n\r\n") {
        match client.read(&mut piece)? {
            0 => return Ok(()),
            n => request.extend_from_slice(&piece[..n]),
        }
    }
    let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
    let path = line.split([' ', '?']).nth(1).unwrap_or_default();
    let known = answers.iter().find(|(it, ..)| path.ends_with(it));
    let (_, status, body) = known.copied().unwrap_or(("", "404 Not Found", "{}"));
    if status == NEVER {
        // Open until the process ends, as the engine would leave it.
        mem::forget(client);
        return Ok(());
    }
    // Whether the test still listens is its own affair.
    _ = asked.send(line);
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}
