//! The daemon: what it does when it is asked, and what becomes of a home when it is not let finish.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::crashes::{AT_ONCE, kill_in_the_hold};
use crate::holds::endless;
use crate::signals::{PROMPTLY, Running};
use crate::support::home::{Home, tool};
use crate::support::served::Served;
use crate::support::{LABEL, Run, wait_until};

/// A served home whose backup never comes to an end, in the middle of its hold.
fn in_the_hold(what: &str) -> (Home, Served, String) {
    let home = Home::new(what);
    home.companion("broker", &["--label", "hearthkeep.hold=stop", "--label", LABEL]);
    endless(&home);
    let served = Served::start(&home);
    let id = served.ask(&["backup"]);
    served.wait_for("archiving", Some("homeassistant"));
    assert_eq!(home.state("homeassistant"), "paused");
    assert_eq!(home.state("broker"), "exited");
    (home, served, id)
}

fn all_run(home: &Home) -> bool {
    ["homeassistant", "broker"].iter().all(|it| home.state(it) == "running")
}

fn assert_let_go(home: &Home, since: Instant, within: Duration) {
    wait_until("everything runs", || all_run(home));
    assert!(since.elapsed() < within, "{:?}", since.elapsed());
    wait_until("the draft is gone", || home.store().is_empty());
}

#[test]
fn it_does_what_it_is_asked_and_tells_every_step() {
    let home = Home::new("served");
    let served = Served::start(&home);
    let status = served.status();
    assert_eq!(status["running"], Value::Null, "{status}");
    assert_eq!(status["pid"], served.pid());
    let id = served.ask(&["backup", "--name", "asked"]);
    let lines = served.lines(&id);
    assert_eq!(lines.last(), Some(&json!({ "ended": 0 })), "{lines:?}");
    let steps: Vec<&str> = lines.iter().filter_map(|it| it["step"]["step"].as_str()).collect();
    assert!(steps.contains(&"looking at the home") && steps.contains(&"archiving"), "{steps:?}");
    let printed = lines.iter().find_map(|it| it.get("printed")).expect("there is a report");
    assert_eq!(printed["object"]["name"], "asked");
    let path = printed["object"]["path"].as_str().expect("it has a path");
    home.hearthkeep(&["verify", path]).ends(0);
    // Whoever comes late hears the outcome.
    let late = served.lines(&id);
    assert_eq!(late.iter().find_map(|it| it.get("printed")), Some(printed));
    assert_eq!(late.last(), Some(&json!({ "ended": 0 })));
    for step in ["backup --name asked: archiving", "STATUS=ready"] {
        wait_until(step, || served.has_said(step));
    }
    assert!(served.log().contains("looking at the home"), "{}", served.log());
}

#[test]
fn what_is_no_job_is_refused_with_its_code() {
    let home = Home::new("served-refused");
    let served = Served::start(&home);
    let (code, answer) = served.try_ask(&json!({ "words": ["list"] }));
    assert_eq!((code, &answer["exit_code"]), (400, &json!(2)), "{answer}");
    let (code, answer) = served.try_ask(&json!({ "password": 7, "words": "hunter2" }));
    assert_eq!((code, &answer["exit_code"]), (400, &json!(2)), "{answer}");
    assert!(!answer.to_string().contains("hunter2"), "{answer}");
    assert_eq!(served.http("GET", "jobs/none/lines", None).0, 404);
    assert_eq!(served.cancel("none"), 404);
    let id = served.ask(&["restore", "nothing-of-this-name"]);
    let lines = served.lines(&id);
    assert_eq!(lines.last(), Some(&json!({ "ended": 10 })), "{lines:?}");
    assert!(lines.iter().any(|it| it["failed"]["object"]["exit_code"] == 10), "{lines:?}");
}

#[test]
fn one_thing_is_done_at_a_time_and_equal_ones_once() {
    let (home, served, first) = in_the_hold("served-queue");
    let second = served.ask(&["backup", "--name", "second"]);
    assert_eq!(served.ask(&["backup", "--name", "second"]), second);
    // The one that runs began before this was asked for.
    let third = served.ask(&["backup"]);
    assert_ne!(third, first);
    let status = served.status();
    assert_eq!(status["running"]["id"], first.as_str(), "{status}");
    let waiting: Vec<&Value> =
        status["waiting"].as_array().expect("a list").iter().map(|it| &it["id"]).collect();
    assert_eq!(waiting, [second.as_str(), third.as_str()]);

    // One of the two who asked goes away, then the other.
    assert_eq!(served.cancel(&second), 204);
    assert_eq!(served.status()["waiting"][0]["id"], second.as_str());
    assert_eq!(served.cancel(&second), 204);
    assert_eq!(served.status()["waiting"][0]["id"], third.as_str());
    assert_eq!(served.ended(&second), 130);

    let since = Instant::now();
    assert_eq!(served.cancel(&first), 204);
    assert_eq!(served.ended(&first), 130);
    assert!(since.elapsed() < PROMPTLY, "{:?}", since.elapsed());
    served.wait_for("archiving", Some("homeassistant"));
    assert_eq!(served.status()["running"]["id"], third.as_str());
    assert_eq!(served.cancel(&third), 204);
    assert_eq!(served.ended(&third), 130);
    assert!(all_run(&home));
    assert_eq!(home.store(), Vec::<PathBuf>::new());
}

#[test]
fn while_a_restore_waits_nothing_else_is_taken() {
    let (_home, served, backup) = in_the_hold("served-restore");
    let restore = served.ask(&["restore", "none"]);
    let (code, answer) = served.try_ask(&json!({ "words": ["backup"] }));
    assert_eq!((code, &answer["exit_code"]), (409, &json!(11)), "{answer}");
    assert_eq!(served.ask(&["restore", "none"]), restore, "it is the same one");
    served.cancel(&restore);
    served.cancel(&restore);
    let other = served.ask(&["prune"]);
    assert_eq!(served.cancel(&other), 204);
    assert_eq!(served.cancel(&backup), 204);
    assert_eq!(served.ended(&backup), 130);
}

#[test]
fn what_a_crash_left_open_is_closed_before_it_is_ready() {
    let home = Home::new("served-recovers");
    home.companion("broker", &["--label", "hearthkeep.hold=stop"]);
    endless(&home);
    kill_in_the_hold(&home, true);
    // An engine that comes up later than the service, as after a crash of the machine.
    let engine = home.bench.path().join("engine.sock");
    let mut command = home.command(&["serve"]);
    command.env("DOCKER_HOST", format!("unix://{}", engine.display()));
    let served = Served::begin(command, home.bench.path());
    wait_until("it waits for the engine", || served.has_said("EXTEND_TIMEOUT_USEC"));
    std::thread::sleep(Duration::from_millis(300));
    assert!(!served.has_said("READY=1") && !served.socket().exists(), "{:?}", served.said());
    std::os::unix::fs::symlink("/var/run/docker.sock", &engine).expect("it can be linked");
    wait_until("it is ready", || served.has_said("READY=1"));
    assert!(all_run(&home), "{}", served.log());
    let recovered = &served.status()["recovered"];
    let released = recovered["released"].as_array().expect("a list");
    assert!(released.contains(&json!(home.homeassistant())), "{recovered}");
    assert!(served.log().contains("recovered"), "{}", served.log());
}

#[test]
fn settings_that_mean_nothing_keep_nobody_held() {
    let home = Home::new("served-configuration");
    home.companion("broker", &["--label", "hearthkeep.hold=stop"]);
    endless(&home);
    kill_in_the_hold(&home, true);
    let file = home.write("config.yaml", "levle: 4\n");
    let mut command = home.command(&["serve"]);
    command.env("HEARTHKEEP_CONFIG", file);
    let run = Run::from(command.output().expect("it can be started")).ends(78);
    assert!(run.error().contains("line 1, column 1"), "{}", run.error());
    assert!(all_run(&home));
}

/// Starts what its arguments say with a socket that listens already, as systemd does it.
const ACTIVATE: &str = "
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
if listener.fileno() != 3:
    os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
";

#[test]
fn a_socket_that_systemd_listens_on_is_taken_and_stays() {
    let home = Home::new("served-activated");
    let plain = home.command(&[]);
    let mut command = std::process::Command::new("python3");
    command.args(["-c", ACTIVATE]).arg(home.bench.path().join("served.sock"));
    command.arg(plain.get_program()).arg("serve");
    for (key, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    endless(&home);
    command.env("HEARTHKEEP_STAGING", "/proc");
    let mut served = Served::with(command, home.bench.path());
    let id = served.ask(&["backup"]);
    served.wait_for("archiving", Some("homeassistant"));
    let job = PathBuf::from(format!("/proc/{}", served.job()));
    let environment = fs::read(job.join("environ")).expect("it lives");
    let environment = String::from_utf8_lossy(&environment).into_owned();
    assert!(environment.contains("HEARTHKEEP_JOB="), "{environment}");
    for key in ["LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_"] {
        assert!(!environment.contains(key), "{key}: {environment}");
    }
    let socket = |process: PathBuf| fs::read_link(process.join("fd/3")).ok();
    let own = socket(PathBuf::from(format!("/proc/{}", served.pid())));
    assert!(own.is_some() && socket(job) != own, "a job does not listen");
    served.cancel(&id);
    assert_eq!(served.ended(&id), 130);
    served.signal("TERM");
    assert_eq!(served.code(), 0, "{}", served.log());
    assert!(served.socket().exists(), "it is not its own");
}

#[test]
fn a_job_that_is_killed_keeps_nobody_held_and_is_told() {
    let (home, served, id) = in_the_hold("served-job-killed");
    let since = Instant::now();
    tool("kill", &["-s", "KILL", &served.job().to_string()]);
    assert_let_go(&home, since, AT_ONCE);
    let lines = served.lines(&id);
    assert_eq!(lines.last(), Some(&json!({ "ended": 1 })), "{lines:?}");
    let failed = lines.iter().find_map(|it| it.get("failed")).expect("it failed");
    assert!(failed["message"].to_string().contains("killed by signal 9"), "{failed}");
    let status = served.status();
    let told =
        status["recovered"]["warnings"].to_string() + &status["recovered"]["released"].to_string();
    assert!(told.contains(&id) && told.contains(&home.homeassistant()), "{status}");
    assert!(served.log().contains("killed by signal 9"), "{}", served.log());
    // It goes on serving.
    let next = served.ask(&["prune"]);
    assert_eq!(served.ended(&next), 2, "no rules say what is kept");
}

#[test]
fn a_daemon_that_is_killed_keeps_nobody_held() {
    let (home, served, _) = in_the_hold("served-killed");
    let since = Instant::now();
    served.signal("KILL");
    assert_let_go(&home, since, AT_ONCE);
}

#[test]
fn a_daemon_and_its_job_that_are_killed_keep_nobody_held() {
    let (home, served, _) = in_the_hold("served-both-killed");
    let (daemon, job) = (served.pid().to_string(), served.job().to_string());
    let since = Instant::now();
    tool("kill", &["-s", "KILL", &daemon, &job]);
    assert_let_go(&home, since, AT_ONCE);
}

#[test]
fn told_to_stop_it_ends_its_job_in_good_order() {
    for signal in ["TERM", "INT"] {
        let (home, mut served, _) = in_the_hold("served-stopped");
        served.ask(&["backup", "--name", "waiting"]);
        let since = Instant::now();
        served.signal(signal);
        assert_eq!(served.code(), 0, "{}", served.log());
        assert!(since.elapsed() < PROMPTLY, "{:?}", since.elapsed());
        assert!(all_run(&home));
        assert_eq!(home.store(), Vec::<PathBuf>::new());
        assert!(served.has_said("STOPPING=1") && served.has_said("EXTEND_TIMEOUT_USEC"));
        assert!(!served.socket().exists(), "nobody asks in vain");
        assert!(!served.log().contains("begins backup --name waiting"), "{}", served.log());
    }
}

#[test]
fn told_twice_it_ends_at_once() {
    let (home, mut served, _) = in_the_hold("served-twice");
    let job = served.job().to_string();
    // A job that cannot do what it is told.
    tool("kill", &["-s", "STOP", &job]);
    served.signal("TERM");
    wait_until("it stops", || served.has_said("STOPPING=1"));
    let since = Instant::now();
    served.signal("TERM");
    assert_eq!(served.code(), 130);
    assert!(since.elapsed() < PROMPTLY, "{:?}", since.elapsed());
    tool("kill", &["-s", "CONT", &job]);
    assert_let_go(&home, since, AT_ONCE);
}

#[test]
fn broken_settings_change_nothing_and_are_told() {
    let home = Home::new("served-reload");
    let file = home.write("config.yaml", "level: 3\n");
    let mut command = home.command(&["serve"]);
    command.env("HEARTHKEEP_CONFIG", &file);
    let served = Served::with(command, home.bench.path());
    let error = || served.status()["settings_error"].clone();
    assert_eq!(error(), Value::Null);
    home.write("config.yaml", "level: 3\nlevle: 4\n");
    served.signal("HUP");
    wait_until("it has read them", || error() != Value::Null);
    let why = error().as_str().map(str::to_owned).expect("a sentence");
    assert!(why.contains("line 2, column 1: unknown key levle, probably level"), "{why}");
    assert!(served.has_said("RELOADING=1"));
    wait_until("systemd hears of it", || served.last(&why) >= served.last("RELOADING=1"));
    assert!(served.log().contains(&why), "{}", served.log());
    home.write("config.yaml", "level: 4\n");
    served.signal("HUP");
    wait_until("it has read them", || error() == Value::Null);
    assert!(served.is_alive());
}

#[test]
fn the_watchdog_is_fed_by_life_alone() {
    const INTERVAL: Duration = Duration::from_secs(2);
    let home = Home::new("served-watchdog");
    home.companion("broker", &["--label", "hearthkeep.hold=stop"]);
    endless(&home);
    let mut command = home.command(&["serve"]);
    command.env("WATCHDOG_USEC", INTERVAL.as_micros().to_string());
    let served = Served::with(command, home.bench.path());
    let fed = || served.said().iter().filter(|(_, it)| it.contains("WATCHDOG=1")).count();
    let n = fed();
    wait_until("it is fed while nothing runs", || fed() > n + 2);
    let id = served.ask(&["backup"]);
    served.wait_for("archiving", Some("homeassistant"));
    let n = fed();
    wait_until("it is fed while a job works", || fed() > n + 6);

    let job = served.job().to_string();
    tool("kill", &["-s", "STOP", &job]);
    wait_until("nothing feeds it", || {
        served.last("WATCHDOG=1").is_some_and(|it| it.elapsed() > INTERVAL)
    });
    // The daemon itself is well, and says what it waits for.
    assert_eq!(served.status()["running"]["id"], id.as_str());
    let n = fed();
    tool("kill", &["-s", "CONT", &job]);
    wait_until("it is fed again", || fed() > n);
    assert_eq!(served.cancel(&id), 204);
    assert_eq!(served.ended(&id), 130);
    let n = fed();
    wait_until("it is fed afterwards", || fed() > n + 2);
}

#[test]
fn a_job_that_waits_for_a_slow_container_feeds_it_too() {
    const INTERVAL: Duration = Duration::from_secs(2);
    let home = Home::new("served-slow");
    // It has no ear for this signal, so that the engine waits for five seconds.
    home.companion("slow", &["--label", "hearthkeep.hold=stop", "--stop-signal", "SIGUSR2"]);
    let mut command = home.command(&["serve"]);
    command.env("WATCHDOG_USEC", INTERVAL.as_micros().to_string());
    let served = Served::with(command, home.bench.path());
    let since = Instant::now();
    let id = served.ask(&["backup"]);
    assert_eq!(served.ended(&id), 0);
    assert!(since.elapsed() > 2 * INTERVAL, "it took its time: {:?}", since.elapsed());
    let said = served.said();
    let fed = said.iter().filter(|(_, it)| it.contains("WATCHDOG=1")).map(|(at, _)| *at);
    let fed: Vec<Instant> = fed.collect();
    let longest = fed.windows(2).map(|it| it[1] - it[0]).max().expect("it was fed");
    assert!(longest < INTERVAL, "{longest:?}");
}

#[test]
fn while_nothing_is_to_do_it_is_small_and_sleeps() {
    const LOOK: Duration = Duration::from_secs(30);
    let home = Home::new("served-idle");
    let served = Served::start(&home);
    let id = served.ask(&["backup"]);
    assert_eq!(served.ended(&id), 0);
    // Threads that are not needed any more go after ten seconds.
    wait_until("its threads are gone", || tasks(&served).len() <= 2);
    let before = switches(&served);
    // The one wait that is the test itself: what must not happen can only be waited for.
    std::thread::sleep(LOOK);
    let n = switches(&served) - before;
    assert!(n <= 2, "it woke {n} times");
    let status = fs::read_to_string(format!("/proc/{}/status", served.pid())).expect("it lives");
    let kib = |key: &str| -> u64 {
        let line = status.lines().find_map(|it| it.strip_prefix(key)).expect("the kernel says it");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    };
    // The code of a debug build is several times as large as that of the real one.
    let (has, most) = match cfg!(debug_assertions) {
        true => (kib("RssAnon:"), 6 << 10),
        false => (kib("VmRSS:"), 15 << 10),
    };
    assert!(has <= most, "{has} KiB of {most}");
}

fn tasks(served: &Served) -> Vec<PathBuf> {
    let tasks = fs::read_dir(format!("/proc/{}/task", served.pid())).expect("it lives");
    tasks.map(|it| it.expect("it can be read").path()).collect()
}

fn switches(served: &Served) -> u64 {
    let of = |task: PathBuf| {
        let status = fs::read_to_string(task.join("status")).expect("it lives");
        let line = status.lines().find_map(|it| it.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|it| it.trim().parse::<u64>().ok()).expect("the kernel counts them")
    };
    tasks(served).into_iter().map(of).sum()
}

#[test]
fn a_password_is_in_no_argument_and_no_environment() {
    const PASSWORD: &str = "correct horse battery staple";
    let home = Home::new("served-password");
    endless(&home);
    let served = Served::start(&home);
    let request = json!({ "words": ["backup"], "password": PASSWORD });
    let (code, answer) = served.try_ask(&request);
    assert_eq!(code, 202, "{answer}");
    served.wait_for("archiving", Some("homeassistant"));
    let mut n_read = 0;
    for process in fs::read_dir("/proc").expect("it is there").flatten() {
        for file in ["cmdline", "environ"] {
            let Ok(bytes) = fs::read(process.path().join(file)) else { continue };
            let text = String::from_utf8_lossy(&bytes);
            n_read += usize::from(text.contains("HEARTHKEEP_JOB="));
            assert!(!text.contains(PASSWORD), "{}: {text}", process.path().display());
        }
    }
    assert!(n_read > 0, "the job was looked at");
    let id = answer["id"].as_str().expect("it has an identifier");
    assert!(!served.status().to_string().contains(PASSWORD));
    served.cancel(id);
    assert_eq!(served.ended(id), 130);
    assert!(!served.log().contains(PASSWORD));
}

#[test]
fn a_backup_has_the_password_that_came_with_it_or_is_the_daemons() {
    let home = Home::new("served-encrypted");
    let mut command = home.command(&["serve"]);
    command.env("HEARTHKEEP_PASSWORD", "the daemon's own");
    let served = Served::with(command, home.bench.path());
    let cases = [(json!({ "words": ["backup"] }), "the daemon's own"), {
        let request = json!({ "words": ["backup", "--name", "x"], "password": "of who asks" });
        (request, "of who asks")
    }];
    for (request, password) in cases {
        let (_, answer) = served.try_ask(&request);
        let lines = served.lines(answer["id"].as_str().expect("it has an identifier"));
        let report = lines.iter().find_map(|it| it.get("printed")).expect("there is a report");
        let path = report["object"]["path"].as_str().expect("it has a path");
        let mut verify = home.command(&["verify", path]);
        verify.env("HEARTHKEEP_PASSWORD", password);
        Run::from(verify.output().expect("it can be started")).ends(0);
    }
}

#[test]
fn it_waits_for_a_run_that_somebody_else_has_begun() {
    let home = Home::new("served-busy");
    endless(&home);
    let served = Served::start(&home);
    let mut by_hand = home.command(&["backup"]);
    by_hand.env("HEARTHKEEP_SOCKET", home.bench.path().join("nobody.sock"));
    let mut by_hand = Running::start(by_hand);
    by_hand.wait_for("archiving homeassistant");
    let id = served.ask(&["backup"]);
    served.wait_for("waiting for another run", None);
    by_hand.end("TERM");
    served.wait_for("archiving", Some("homeassistant"));
    served.cancel(&id);
    let lines = served.lines(&id);
    assert_eq!(lines.last(), Some(&json!({ "ended": 130 })), "{lines:?}");
    let failures = lines.iter().filter(|it| it.get("failed").is_some()).count();
    assert_eq!(failures, 1, "that it was busy is none: {lines:?}");
}

#[test]
fn a_state_folder_and_a_socket_have_one_daemon() {
    let home = Home::new("served-two");
    let served = Served::start(&home);
    let mut second = home.command(&["serve"]);
    second.env("HEARTHKEEP_SOCKET", home.bench.path().join("second.sock"));
    let run = Run::from(second.output().expect("it can be started")).ends(11);
    assert!(run.error().contains("another hearthkeep serves"), "{}", run.error());
    let mut second = home.command(&["serve"]);
    second.env("HEARTHKEEP_STATE", home.bench.path().join("other"));
    second.env("HEARTHKEEP_SOCKET", served.socket());
    let run = Run::from(second.output().expect("it can be started")).ends(1);
    assert!(run.error().contains("another hearthkeep listens"), "{}", run.error());
    let mode = fs::metadata(served.socket()).expect("it is there");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o660);
}
