//! A command where a daemon answers: the daemon does it, and it looks as if it were done here.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hearthkeep::chronicle::{self, Asked};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::holds::endless;
use crate::statuses::{result, status, told};
use crate::support::home::Home;
use crate::support::{Run, wait_until};

/// What the daemon's own environment says, and no client's: it shows who did the work.
const NAME: &str = "By the daemon";

/// A daemon of a home; told to stop when it is dropped.
struct Served<'a> {
    home: &'a Home,
    process: Child,
}

impl<'a> Served<'a> {
    fn new(home: &'a Home) -> Served<'a> {
        Served::with(home, &[])
    }

    fn with(home: &'a Home, variables: &[(&str, &str)]) -> Served<'a> {
        let mut command = home.command(&["serve"]);
        command.env("HEARTHKEEP_NAME", NAME).envs(variables.iter().copied());
        let process = command.stderr(Stdio::null()).spawn().expect("the program can be started");
        let served = Served { home, process };
        wait_until("the daemon answers", || home.hearthkeep(&["status", "--health"]).code == 0);
        served
    }

    fn status(&self) -> Value {
        let run = self.home.hearthkeep(&["--json", "status"]);
        run.json()["daemon"].clone()
    }

    fn wait_for_step(&self, step: &str) {
        wait_until(step, || self.status()["running"]["step"] == step);
    }

    /// The process of the job that runs.
    fn job(&self) -> String {
        let pid = self.process.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        children.expect("it runs").trim().to_owned()
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            send("TERM", &self.process.id().to_string());
            _ = self.process.wait();
        }
    }
}

fn send(signal: &str, process: &str) {
    _ = Command::new("kill").args(["-s", signal, process]).status();
}

fn start(home: &Home, words: &[&str]) -> Child {
    let mut command = home.command(words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program can be started")
}

fn end(child: Child) -> Run {
    child.wait_with_output().expect("it ends").into()
}

#[test]
fn the_daemon_does_it_and_it_looks_the_same() {
    let home = Home::new("asked");
    home.companion("broker", &[]);
    home.write("broker/file", "old");
    let served = Served::new(&home);
    let here = home.command(&["--json", "backup"]).env("HEARTHKEEP_SOCKET", "/nowhere").output();
    let here = Run::from(here.expect("it runs")).ends(0).json();
    let asked = home.hearthkeep(&["--json", "backup"]).ends(0);
    assert!(asked.stderr.contains("verifying"), "progress is told: {asked:?}");
    let there = asked.json();
    assert_eq!((here["name"] == NAME, &there["name"]), (false, &NAME.into()));
    let keys = |it: &Value| it.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&here), keys(&there));
    let text = home.hearthkeep(&["--quiet", "backup", "--name", "By hand"]).ends(0);
    assert!(text.stdout.starts_with("backed up \"By hand\"") && text.stderr.is_empty(), "{text:?}");

    home.write("broker/file", "new");
    let slug = there["slug"].as_str().expect("a slug");
    let boot = home.hearthkeep(&["--json", "verify", "--boot", slug]).ends(0).json();
    assert_eq!(boot["boots"], true);
    home.hearthkeep(&["restore", slug]).ends(2); // nobody can be asked
    let restored = home.hearthkeep(&["restore", slug, "--yes"]).ends(0);
    assert!(restored.stdout.contains("restored "), "{restored:?}");
    assert_eq!(home.read("broker/file").as_deref(), Some("old"));
    // Errors are the same, too: with their code, as one line, and as an object.
    let run = home.hearthkeep(&["prune"]).ends(2);
    assert!(run.error().contains("do not say what is kept"), "{run:?}");
    let run = home.hearthkeep(&["--json", "backup", "--only", "nosuch"]).ends(2);
    assert!(run.json()["error"].as_str().is_some_and(|it| it.contains("nosuch")), "{run:?}");

    let good = status(&home, 0);
    let results = good["results"].as_array().expect("results");
    assert_eq!(results.len(), 4, "{good}");
    assert!(results.iter().all(|it| it["slug"].is_string()), "told by who did it: {good}");
    assert_eq!(result(&good, "restore")["slug"], slug);
    assert_eq!(served.status()["running"], Value::Null);
}

#[test]
fn a_password_goes_to_the_daemon_from_wherever_it_comes() {
    let home = Home::new("password");
    let served = Served::new(&home);
    let key = home.write("key", "hunter2\n");
    let key = key.to_str().expect("a path");
    let mut command = home.command(&["--json", "--password-file", "/dev/stdin", "backup"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be started");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(b"hunter2\n").expect("it reads");
    drop(stdin);
    let report = end(child).ends(0).json();
    assert_eq!((&report["protected"], &report["name"]), (&true.into(), &NAME.into()));
    let slug = report["slug"].as_str().expect("a slug");
    let verified = ["verify", "--boot", slug];
    home.hearthkeep(&[&verified[..], &["--password-file", key]].concat()).ends(0);
    let run = |password: &str| {
        let mut command = home.command(&["restore", slug, "--yes"]);
        Run::from(command.env("HEARTHKEEP_PASSWORD", password).output().expect("it runs"))
    };
    run("hunter3").ends(12);
    run("hunter2").ends(0);
    // What the service alone has.
    drop(served);
    let _served = Served::with(&home, &[("HEARTHKEEP_PASSWORD", "hunter2")]);
    home.hearthkeep(&verified).ends(0);
    home.hearthkeep(&["restore", slug, "--yes"]).ends(0);
    // What systemd hands to the unit of a timer.
    home.write("credentials/password", "hunter2\n");
    let mut command = home.command(&["--json", "backup"]);
    command.env("CREDENTIALS_DIRECTORY", home.bench.path().join("credentials"));
    let report = Run::from(command.output().expect("it runs")).ends(0).json();
    assert_eq!((&report["protected"], &report["name"]), (&true.into(), &NAME.into()));
}

#[test]
fn an_interrupt_cancels_it_and_a_second_one_leaves() {
    let home = Home::new("interrupted");
    endless(&home);
    let served = Served::new(&home);
    let client = start(&home, &["backup"]);
    served.wait_for_step("archiving");
    send("INT", &client.id().to_string());
    let run = end(client).ends(130);
    assert!(run.error().contains("cancelled"), "{run:?}");
    assert_eq!((home.state("homeassistant"), home.store().len()), ("running".to_owned(), 0));

    let mut client = start(&home, &["backup"]);
    served.wait_for_step("archiving");
    let job = served.job();
    send("STOP", &job);
    send("INT", &client.id().to_string());
    // It waits for the job, which cannot end.
    std::thread::sleep(Duration::from_millis(500));
    let since = Instant::now();
    send("INT", &client.id().to_string());
    let mut has_left = false;
    while !has_left && since.elapsed() < Duration::from_secs(2) {
        has_left = client.try_wait().expect("it can be asked").is_some();
    }
    send("CONT", &job);
    end(client).ends(130);
    assert!(has_left, "it waited for a job that could not end");
    wait_until("the job is cancelled", || served.status()["running"].is_null());
}

#[test]
fn a_restore_refuses_what_comes_after_it() {
    let home = Home::new("refused");
    let path = home.backup(&[]);
    endless(&home);
    let served = Served::new(&home);
    let first = start(&home, &["backup"]);
    served.wait_for_step("archiving");
    let restore = start(&home, &["restore", path.to_str().expect("a path"), "--yes"]);
    wait_until("the restore waits", || {
        served.status()["waiting"].as_array().is_some_and(|it| it.len() == 1)
    });
    let run = home.hearthkeep(&["backup", "--name", "late"]).ends(11);
    assert!(run.error().contains("a restore is under way"), "{run:?}");
    let text = home.hearthkeep(&["status"]).stdout;
    assert!(text.contains("backup since ") && text.contains("; 1 more wait"), "{text}");
    send("INT", &restore.id().to_string());
    end(restore).ends(130);
    send("INT", &first.id().to_string());
    end(first).ends(130);
}

#[test]
fn a_daemon_that_goes_away_is_told_with_what_to_do() {
    let home = Home::new("gone");
    endless(&home);
    let mut served = Served::new(&home);
    let client = start(&home, &["backup"]);
    served.wait_for_step("archiving");
    served.process.kill().expect("it runs");
    served.process.wait().expect("it ends");
    let run = end(client).ends(1);
    assert!(run.error().contains("look at hearthkeep status"), "{run:?}");
    wait_until("everything runs", || home.state("homeassistant") == "running");
    drop(served);
    fs::remove_file(home.config().join(crate::support::home::ENDLESS)).expect("it is ours");
    // The socket is there, and nobody listens.
    assert!(home.bench.socket().exists());
    wait_until("the run is over", || home.hearthkeep(&["backup"]).code == 0);
}

#[test]
fn a_job_that_is_killed_is_told_here_and_by_the_status() {
    let home = Home::new("killed");
    endless(&home);
    let served = Served::new(&home);
    let client = start(&home, &["backup"]);
    served.wait_for_step("archiving");
    send("KILL", &served.job());
    let run = end(client).ends(1);
    assert!(run.error().contains("the job was killed by signal 9"), "{run:?}");
    assert_eq!(home.state("homeassistant"), "running");
    let said = told(&status(&home, 3));
    assert!(said.contains("backup: \"failed: the job was killed by signal 9"), "{said}");
    assert!(said.contains("incident: \"a backup was interrupted; "), "{said}");
}

#[test]
fn what_is_due_during_a_restore_waits_for_its_end() {
    let home = Home::new("patient");
    let path = home.backup(&[]);
    endless(&home);
    let config = home.write("config.yaml", "profiles: { soon: { schedule: '* * * * *' } }\n");
    let config = config.to_str().expect("a path");
    let served = Served::with(&home, &[("HEARTHKEEP_CONFIG", config)]);
    let waits = || served.status()["waiting"].to_string();
    let first = start(&home, &["backup", "--max-hold", "600"]);
    served.wait_for_step("archiving");
    // A minute is longer than it takes.
    let job = served.job();
    send("STOP", &job);
    let restore = start(&home, &["restore", path.to_str().expect("a path"), "--yes"]);
    wait_until("the restore waits", || waits().contains("restore"));
    let next = || served.status()["next"][0]["at"].clone();
    let due = next();
    let since = Instant::now();
    while next() == due {
        assert!(since.elapsed() < Duration::from_secs(90), "a minute is over");
        std::thread::sleep(Duration::from_millis(200));
    }
    let since = Instant::now();
    assert!(!waits().contains("soon"), "{}", waits());
    send("INT", &restore.id().to_string());
    end(restore).ends(130);
    wait_until("it is asked for again", || waits().contains("soon"));
    assert!(since.elapsed() < Duration::from_secs(30), "and not because of the next minute");
    send("CONT", &job);
    drop(served);
    end(first).ends(130);
}

#[test]
fn who_may_not_ask_is_told_so_and_silence_is_not_health() {
    let home = Home::empty("silent");
    // It accepts, and never answers.
    let _listener = UnixListener::bind(home.bench.socket()).expect("a socket");
    let run = home.hearthkeep(&["status", "--health"]).ends(1);
    assert!(run.error().contains("says nothing for 5 seconds"), "{run:?}");
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let mut command = Command::new("setpriv");
    command.args(nobody).arg("--").arg(env!("CARGO_BIN_EXE_hearthkeep")).arg("backup");
    command.env("HEARTHKEEP_SOCKET", home.bench.socket()).env("HEARTHKEEP_CONFIG", "/dev/null");
    let run = Run::from(command.env("HOME", "/nowhere").output().expect("it runs")).ends(1);
    assert!(run.error().contains("only its group and root may"), "{run:?}");
}

#[test]
fn what_is_due_is_done_and_what_was_missed_is_made_up_for_once() {
    let home = Home::new("due");
    let settings = |text: &str| home.write("config.yaml", text).display().to_string();
    let config = settings(
        "profiles:\n  late:\n    schedule: { cron: 0 3 1 1 *, time-zone: UTC }\n  never:\n    schedule: { cron: 0 4 1 1 *, time-zone: UTC }\n",
    );
    let state = home.bench.path().join("state");
    let long_ago =
        Asked { at: Timestamp::now() - SignedDuration::from_hours(24 * 400), made_up: false };
    chronicle::asked(&state, &["late".to_owned()], long_ago).expect("it is ours");
    let variables = [("HEARTHKEEP_CONFIG", config.as_str())];
    let with_settings =
        |words: &[&str]| Run::from(home.command(words).envs(variables).output().expect("it runs"));
    let results = || {
        let status = with_settings(&["--json", "status"]).json();
        let results = status["results"].as_array().expect("results").clone();
        results
            .iter()
            .map(|it| it["profile"].as_str().unwrap_or("?").to_owned())
            .collect::<Vec<_>>()
    };
    {
        let served = Served::with(&home, &variables);
        wait_until("the missed one is made up for", || results() == ["late"]);
        let next = served.status()["next"].clone();
        let at = |n: usize| next[n]["at"].as_str().unwrap_or("?").to_owned();
        assert!(
            at(0).ends_with("-01-01T03:00:00Z") && at(1).ends_with("-01-01T04:00:00Z"),
            "{next}"
        );
    }
    let stamp = || chronicle::read(&state).expect("it is ours").asked["late"];
    let made_up = stamp();
    assert!(made_up.made_up);
    // A minute is waited for, and not with what was made up for already.
    settings(
        "profiles:\n  late:\n    schedule: { cron: 0 3 1 1 *, time-zone: UTC }\n  soon:\n    schedule: '* * * * *'\n    store: /proc/sys\n",
    );
    let served = Served::with(&home, &variables);
    let since = Instant::now();
    while !results().contains(&"soon".to_owned()) {
        assert!(since.elapsed() < Duration::from_secs(90), "nothing was begun");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(stamp(), made_up);
    // It failed, and that is told.
    let failed = with_settings(&["--json", "status"]).ends(3).json();
    assert!(told(&failed).contains("backup soon: \"failed: "), "{failed}");
    // New settings are taken up.
    settings("schedule: 04:45\n");
    send("HUP", &served.process.id().to_string());
    wait_until("the plan is a new one", || served.status()["next"][0]["profile"] == "");
}
