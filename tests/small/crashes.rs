//! A run that is killed: whatever the moment, everything does afterwards what it did before.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::holds::endless;
use crate::signals::Running;
use crate::support::home::{ENDLESS, Home, IMAGE, bind, tool};
use crate::support::{Run, docker, wait_until};

/// Ends the program right after so many appends to its journal.
pub(crate) const ABORT_AFTER: &str = "HEARTHKEEP_TEST_ABORT_AFTER";

/// Ends it right before that append, with everything done that lies between the two.
pub(crate) const ABORT_BEFORE: &str = "HEARTHKEEP_TEST_ABORT_BEFORE";

/// Stands for a crash that takes the guardian too.
pub(crate) const NO_GUARDIAN: &str = "HEARTHKEEP_TEST_NO_GUARDIAN";

/// The process's exit code where a signal has ended it.
pub(crate) const BY_SIGNAL: i32 = -1;

/// From the death of a run until everything runs.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(2);

/// More appends than any run makes.
pub(crate) const MANY: usize = 40;

pub(crate) const SERVICES: [(&str, &[&str], &str); 5] = [
    ("homeassistant", &[], "running"),
    ("plain", &[], "running"),
    ("stopper", &["--label", "hearthkeep.hold=stop", "--stop-timeout", "1"], "running"),
    ("frozen", &[], "paused"),
    ("down", &[], "exited"),
];

pub(crate) fn home_of_all_kinds(what: &str) -> Home {
    let home = Home::new(what);
    for (service, options, _) in &SERVICES[1..] {
        home.companion(service, options);
        home.write(&format!("{service}/file"), service);
    }
    docker(&["pause", &home.name("frozen")]);
    docker(&["stop", &home.name("down")]);
    home
}

fn is_as_before(home: &Home) -> bool {
    SERVICES.iter().all(|(service, _, state)| home.state(service) == *state)
}

pub(crate) fn assert_as_before(home: &Home, when: &str) {
    for (service, _, state) in SERVICES {
        assert_eq!(home.state(service), state, "{service} {when}");
    }
}

/// What lies in the store has been read to its end by somebody, or is not listed.
pub(crate) fn assert_store_is_sound(home: &Home, when: &str) {
    let names: Vec<PathBuf> = home.store();
    let is_draft = |it: &PathBuf| it.extension().is_some_and(|it| it == "partial");
    assert!(!names.iter().any(is_draft), "{names:?} {when}");
    let list = home.hearthkeep(&["--json", "list"]).ends(0).json();
    assert_eq!(list["unreadable"].as_array().map(Vec::len), Some(0), "{list} {when}");
    for backup in list["backups"].as_array().expect("a list") {
        home.hearthkeep(&["verify", backup["slug"].as_str().expect("a slug")]).ends(0);
    }
}

pub(crate) fn resume(home: &Home) -> serde_json::Value {
    home.hearthkeep(&["--json", "resume"]).ends(0).json()
}

pub(crate) const NOTHING: &str = r#"{"released":[],"removed":[],"warnings":[]}"#;

/// Crashes a backup at every append to its journal in turn, until it comes to its end; gives the
/// number of appends that it then makes.
fn crash_everywhere(home: &Home, at: &str) -> usize {
    for n in 1..MANY {
        let mut command = home.command(&["backup"]);
        command.env(at, n.to_string()).env(NO_GUARDIAN, "1");
        let run = Run::from(command.output().expect("the program can be started"));
        if run.code != BY_SIGNAL {
            run.ends(0);
            return n - 1;
        }
        let when = format!("after a crash at append {n}, {at}");
        resume(home);
        assert_as_before(home, &when);
        assert_store_is_sound(home, &when);
        assert_eq!(resume(home).to_string(), NOTHING, "{when}");
    }
    panic!("it never came to its end");
}

#[test]
fn a_backup_may_crash_at_every_event() {
    let home = home_of_all_kinds("crash-backup");
    for at in [ABORT_AFTER, ABORT_BEFORE] {
        let n = crash_everywhere(&home, at);
        // Began, the draft, the holds, the stop, three releases and the end.
        assert_eq!(n, 8, "{at}");
        assert_as_before(&home, "after a backup");
    }
}

#[test]
fn a_crash_in_the_hold_is_closed_by_resume_and_told() {
    let home = home_of_all_kinds("crash-hold");
    endless(&home);
    let mut backup = Running::start({
        let mut command = home.command(&["backup"]);
        command.env(NO_GUARDIAN, "1");
        command
    });
    backup.wait_for("archiving homeassistant");
    // The lock is its own, so nobody takes it for dead.
    let busy = home.hearthkeep(&["resume"]).ends(11);
    assert!(busy.error().contains("is running"), "{}", busy.error());
    // Whoever asks of itself is content; whoever started a job to close it has to know.
    home.hearthkeep(&["resume", "--automatic"]).ends(0);
    let mut job = home.command(&["resume", "--automatic"]);
    let job = job.env("HEARTHKEEP_JOB", "7").output().expect("it can be started");
    let code = job.status.code();
    assert_eq!(code, Some(11), "{job:?}");
    backup.end("KILL");
    assert_eq!(home.state("homeassistant"), "paused");
    assert_eq!(home.state("stopper"), "exited");
    let drafts = home.store();
    assert_eq!(drafts.len(), 1, "{drafts:?}");

    let told = resume(&home);
    assert_as_before(&home, "after resume");
    let mut released: Vec<String> =
        serde_json::from_value(told["released"].clone()).expect("a list of names");
    released.sort();
    let mut wanted = ["homeassistant", "plain", "stopper"].map(|it| home.name(it));
    wanted.sort();
    assert_eq!(released, wanted);
    assert_eq!(told["removed"], serde_json::json!(drafts));
    assert_eq!(home.store(), Vec::<PathBuf>::new());
    assert_eq!(resume(&home).to_string(), NOTHING);
    let text = home.hearthkeep(&["resume"]).ends(0).stdout;
    assert_eq!(text.trim(), "nothing was left open");
}

#[test]
fn the_next_run_closes_what_a_crash_left_open() {
    let home = home_of_all_kinds("crash-next");
    endless(&home);
    kill_in_the_hold(&home, true);
    assert_eq!(home.state("homeassistant"), "paused");
    fs::remove_file(home.config().join(ENDLESS)).expect("it is there");
    home.backup(&[]);
    assert_as_before(&home, "after the next backup");
    assert_store_is_sound(&home, "after the next backup");
}

#[test]
fn a_guardian_lets_everything_run_at_once() {
    let home = home_of_all_kinds("guardian");
    endless(&home);
    let since = kill_in_the_hold(&home, false);
    wait_until("everything does what it did", || is_as_before(&home));
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    wait_until("the draft is gone", || home.store().is_empty());
    // It has the lock until it has ended.
    wait_until("the guardian is gone", || guardians(&home).is_empty());
    assert_eq!(resume(&home).to_string(), NOTHING);
}

#[test]
fn a_guardian_outlives_what_ends_a_run_and_goes_with_it() {
    let home = home_of_all_kinds("guardian-signals");
    endless(&home);
    let mut backup = Running::start(home.command(&["backup"]));
    backup.wait_for("archiving homeassistant");
    let guardian = guardians(&home);
    assert_eq!(guardian.len(), 1, "{guardian:?}");
    for signal in ["INT", "TERM", "HUP", "QUIT", "TSTP", "PIPE"] {
        tool("kill", &["-s", signal, &guardian[0]]);
    }
    let status = || fs::read_to_string(format!("/proc/{}/status", guardian[0])).expect("it lives");
    let line = |key: &str| {
        let status = status();
        let line = status.lines().find_map(|it| it.strip_prefix(key));
        line.map(|it| it.trim().to_owned()).unwrap_or_default()
    };
    wait_until("it waits again", || line("State:").starts_with('S'));
    assert_eq!(line("Threads:"), "1");
    backup.end("TERM");
    assert_eq!(backup.code(), 130);
    assert_eq!(guardians(&home), Vec::<String>::new(), "it is gone when the run is");
    assert_as_before(&home, "after a cancelled backup");
}

#[test]
fn what_was_recreated_meanwhile_is_found_again() {
    let home = home_of_all_kinds("crash-recreated");
    endless(&home);
    kill_in_the_hold(&home, true);
    // As Compose does it: the same service, another identifier, not yet started.
    let stopper = home.name("stopper");
    docker(&["rm", "--force", &stopper]);
    let data = bind(&home.bench.folder("stopper"), "/data");
    home.run("stopper", &["--label", "hearthkeep.hold=stop", "--volume", &data], IMAGE, &[]);
    docker(&["stop", &stopper]);
    // And one by another name, which only its place in the project tells.
    let plain = home.name("plain");
    docker(&["rm", "--force", &plain]);
    home.run("plain", &["--label", "com.docker.compose.container-number=1"], IMAGE, &[]);
    let other = home.name("plain-1");
    docker(&["rename", &plain, &other]);
    docker(&["pause", &other]);
    resume(&home);
    docker(&["rename", &other, &plain]);
    assert_as_before(&home, "after resume");
}

#[test]
fn what_is_gone_for_good_is_told_once() {
    let home = home_of_all_kinds("crash-gone");
    endless(&home);
    kill_in_the_hold(&home, true);
    let plain = home.name("plain");
    docker(&["rm", "--force", &plain]);
    let told = home.hearthkeep(&["--json", "resume"]).ends(3).json();
    let warnings = told["warnings"].to_string();
    assert!(warnings.contains(&plain) && warnings.contains("does not exist"), "{warnings}");
    assert_eq!(home.state("homeassistant"), "running");
    assert_eq!(resume(&home).to_string(), NOTHING);
}

#[test]
fn what_was_stopped_while_it_was_held_is_started() {
    let home = home_of_all_kinds("crash-stopped");
    endless(&home);
    kill_in_the_hold(&home, true);
    // A restart of the machine or of the engine ends what was paused.
    docker(&["kill", &home.homeassistant()]);
    wait_until("it has ended", || home.state("homeassistant") == "exited");
    let told = home.hearthkeep(&["--json", "resume"]).ends(3).json();
    let warnings = told["warnings"].to_string();
    assert!(warnings.contains("was stopped by something else"), "{warnings}");
    assert_as_before(&home, "after resume");
}

/// Kills a backup while everything is held, with its guardian or `alone`; gives when.
pub(crate) fn kill_in_the_hold(home: &Home, alone: bool) -> Instant {
    let mut command = home.command(&["backup"]);
    if alone {
        command.env(NO_GUARDIAN, "1");
    }
    let mut backup = Running::start(command);
    backup.wait_for("archiving homeassistant");
    assert_eq!(home.state("homeassistant"), "paused");
    let since = Instant::now();
    backup.end("KILL");
    since
}

/// The processes of guardians over this home's state.
pub(crate) fn guardians(home: &Home) -> Vec<String> {
    let found = Command::new("pgrep")
        .args(["--full", "--exact", "hearthkeep guardian"])
        .stderr(Stdio::null())
        .output()
        .expect("pgrep is installed");
    let state = format!("HEARTHKEEP_STATE={}", home.bench.path().join("state").display());
    let is_ours = |it: &&str| {
        let environment = fs::read(format!("/proc/{it}/environ")).unwrap_or_default();
        environment.split(|it| *it == 0).any(|it| it == state.as_bytes())
    };
    let processes = String::from_utf8_lossy(&found.stdout).into_owned();
    processes.lines().filter(is_ours).map(str::to_owned).collect()
}
