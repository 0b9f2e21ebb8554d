//! `hearthkeep check`: a home in order, and what it says where one is not.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::Value;

use crate::support::Run;
use crate::support::home::Home;

fn check(home: &Home, settings: &str, variables: &[(&str, &str)], code: i32) -> Vec<Value> {
    let file = home.write("config.yaml", settings);
    let mut command = home.command(&["--json", "check"]);
    command
        .env("HEARTHKEEP_CONFIG", file)
        .env("TZ", "Europe/Berlin")
        .envs(variables.iter().copied());
    let run = Run::from(command.output().expect("the program can be started")).ends(code);
    run.json()["findings"].as_array().expect("findings").clone()
}

/// The one finding that says this.
fn finding<'a>(findings: &'a [Value], said: &str) -> &'a Value {
    let says = |it: &&Value| it["what"].as_str().is_some_and(|it| it.contains(said));
    let found: Vec<&Value> = findings.iter().filter(says).collect();
    assert_eq!(found.len(), 1, "{said}: {findings:?}");
    found[0]
}

#[track_caller]
fn assert_found(findings: &[Value], level: &str, said: &str, cure: &str) {
    let found = finding(findings, said);
    assert_eq!(found["level"], level, "{found}");
    let text = found["cure"].as_str().unwrap_or_default();
    assert!(text.contains(cure) && text.is_empty() == cure.is_empty(), "{found}");
}

#[test]
fn a_home_in_order_passes_and_nothing_is_touched() {
    let home = Home::new("check");
    home.companion("broker", &[]);
    let key = home.write("key", "hunter2\n");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("it is ours");
    let settings = format!("password-file: {}\nkeep: {{ last: 3 }}\n", key.display());
    let none = check(&home, &settings, &[], 3);
    assert_found(&none, "warning", "there is no backup yet", "hearthkeep backup");
    assert!(!home.config().join("backups").exists(), "a check makes no store");

    let file = home.bench.path().join("config.yaml");
    let mut command = home.command(&["backup"]);
    Run::from(command.env("HEARTHKEEP_CONFIG", file).output().expect("it runs")).ends(0);
    let was = (home.store(), home.started("broker"));
    let good = check(&home, &settings, &[], 0);
    for said in ["config.yaml can be read", "API 1.", "the password can be read", "can be written"]
    {
        let found: Vec<&Value> = good
            .iter()
            .filter(|it| it["what"].as_str().is_some_and(|it| it.contains(said)))
            .collect();
        assert!(
            !found.is_empty() && found.iter().all(|it| it["level"] == "ok"),
            "{said}: {good:?}"
        );
    }
    assert_found(&good, "ok", "the last backup is 0 min old", "");
    assert_found(&good, "ok", "Europe/Berlin", "");
    assert_eq!((home.store(), home.started("broker")), was);
    assert_eq!(home.state("broker"), "running");
    let mut command = home.command(&["check"]);
    let text = Run::from(command.env("TZ", "UTC").output().expect("it runs")).ends(0);
    assert!(text.stdout.ends_with("everything is in place\n"), "{text:?}");
}

#[test]
fn each_fault_is_told_with_its_cure() {
    let home = Home::new("faults");
    let outside = Home::empty("outside");
    let stranger = outside.companion("blog", &[]);
    let key = home.write("key", "hunter2\n");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("it is ours");
    let memory = home.write("config/backups/bad.tar", "not a tar");
    let database = home.image(&format!("localhost/{}/postgres:16", home.project));
    home.write("db/file", "data");
    let data = format!("{}:/data", home.bench.path().join("db").display());
    home.run("db", &["--volume", &data, "--tmpfs", "/cache"], &database, &[]);

    let settings = format!("password-file: {}\nschedule: 04:45\n", key.display());
    let variables = [("TZ", "Mars/Base"), ("HEARTHKEEP_STROE", "/x")];
    let findings = check(&home, &settings, &variables, 1);
    assert_found(&findings, "error", "TZ=Mars/Base is no time zone", "Europe/Berlin");
    assert_found(&findings, "warning", "HEARTHKEEP_STROE is no setting", "HEARTHKEEP_STORE");
    assert_found(&findings, "warning", "is open to others (644): chmod 600", "");
    assert_found(&findings, "warning", &memory.display().to_string(), "remove the file");
    assert_found(&findings, "warning", "there is no backup yet", "hearthkeep backup");
    assert_found(&findings, "note", "none is ever removed", "keep: { daily: 7");
    assert_found(&findings, "note", "PostgreSQL: as after a power cut", "hearthkeep.hold=stop");
    assert_found(&findings, "note", &format!("{}:/cache is left out", home.name("db")), "");
    assert_found(&findings, "note", &format!("{stranger} has data"), "hearthkeep.enable=true");

    let nowhere = home.bench.path().join("no/where").display().to_string();
    let findings = check(&home, &format!("store: {nowhere}\n"), &[], 1);
    assert_found(&findings, "error", &nowhere, "");
    let findings = check(&home, "password-file: /nowhere/key\n", &[], 1);
    assert_found(&findings, "error", "/nowhere/key", "");
    let findings = check(&home, "store: /proc/sys\n", &[], 1);
    assert_found(&findings, "error", "/proc/sys cannot be written", "mount it");
    let findings = check(&home, "only: nosuch\n", &[], 1);
    assert_found(&findings, "error", "unknown item \"nosuch\"", "");
    let findings = check(&home, "", &[("DOCKER_HOST", "unix:///nowhere.sock")], 1);
    assert_found(&findings, "error", "/nowhere.sock", "");
    // Daylight saving may leave out its time, in which it comes nevertheless.
    let schedule = "schedule: { time: 02:30, time-zone: Europe/Berlin }\nkeep: { last: 3 }\n";
    let findings = check(&home, schedule, &[], 3);
    assert_found(
        &findings,
        "note",
        "daylight saving leaves out its time, so it comes at 03:00",
        "another time",
    );
    assert_found(&findings, "ok", " 02:30 CE", "");
    // Variables go before all profiles, which may not be meant.
    let findings = check(&home, "profiles: { a: , b: }\n", &[("HEARTHKEEP_LEVEL", "3")], 3);
    assert_found(&findings, "note", "HEARTHKEEP_LEVEL goes before the level", "at the top");
}

#[test]
fn a_proxy_that_only_lets_look_is_told_before_the_night() {
    let home = Home::new("proxied");
    let socket = proxy(home.bench.path());
    let host = format!("unix://{}", socket.display());
    let findings = check(&home, "", &[("DOCKER_HOST", &host)], 1);
    for call in ["pause", "unpause", "stop", "start", "exec"] {
        let said = format!("POST /containers/*/{call} is refused: not here");
        assert_found(&findings, "error", &said, "let the proxy");
    }
    assert_eq!(home.state("homeassistant"), "running");
}

/// A proxy before the engine's socket that refuses whatever is not a look.
fn proxy(folder: &Path) -> PathBuf {
    let path = folder.join("proxy.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.expect("a client");
            thread::spawn(move || pass(client));
        }
    });
    path
}

/// One request a connection: the answer asks the client to come again.
fn pass(mut client: UnixStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    if head.starts_with("POST ") {
        let body = "{\"message\":\"not here\"}";
        let answer = format!(
            "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        _ = client.write_all(answer.as_bytes());
        _ = client.shutdown(Shutdown::Write);
        _ = client.read_to_end(&mut Vec::new());
        return;
    }
    let mut engine = UnixStream::connect("/var/run/docker.sock").expect("the engine");
    let head = head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    engine.write_all(head.as_bytes()).expect("it listens");
    _ = std::io::copy(&mut engine, &mut client);
}
