//! `hearthkeep status` without a daemon: what the last runs left to tell.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::crashes::{ABORT_AFTER, BY_SIGNAL, NO_GUARDIAN};
use crate::support::Run;
use crate::support::home::Home;

pub(crate) fn status(home: &Home, code: i32) -> Value {
    home.hearthkeep(&["--json", "status"]).ends(code).json()
}

/// Which of the findings say something that a person should look at.
pub(crate) fn told(status: &Value) -> String {
    let findings = status["findings"].as_array().expect("findings");
    let bad = findings.iter().filter(|it| it["level"] == "warning" || it["level"] == "error");
    bad.map(|it| format!("{}: {}\n", it["about"].as_str().unwrap_or("?"), it["what"])).collect()
}

pub(crate) fn result<'a>(status: &'a Value, task: &str) -> &'a Value {
    let results = status["results"].as_array().expect("results");
    let found: Vec<&Value> = results.iter().filter(|it| it["task"] == task).collect();
    assert_eq!(found.len(), 1, "{task}: {status}");
    found[0]
}

#[test]
fn each_job_leaves_its_result_and_a_good_one_follows_a_failed_one() {
    let home = Home::new("status");
    home.companion("broker", &[]);
    let none = status(&home, 0);
    assert_eq!(
        (&none["results"], &none["daemon"]),
        (&Value::from(Vec::<Value>::new()), &Value::Null)
    );
    assert!(!home.bench.path().join("state").exists(), "to look makes nothing");

    let report = home.hearthkeep(&["--json", "backup"]).ends(0).json();
    let good = status(&home, 0);
    let backup = result(&good, "backup");
    assert_eq!((&backup["slug"], &backup["exit_code"]), (&report["slug"], &0.into()));
    assert_eq!(backup["longest_hold_seconds"], report["longest_hold_seconds"]);
    assert_eq!(backup["last_good"]["ended"], good["last_backup"]);

    home.hearthkeep(&["backup", "--store", "/proc/sys"]).ends(1);
    let failed = status(&home, 3);
    assert!(told(&failed).contains("backup: \"failed: "), "{failed}");
    let backup = result(&failed, "backup");
    assert!(backup["message"].as_str().is_some_and(|it| it.contains("/proc/sys")), "{failed}");
    assert_eq!(backup["last_good"]["slug"], report["slug"]);
    let text = home.hearthkeep(&["status"]).ends(3).stdout;
    for said in ["none answers", "nothing runs", "failed (1)", "mend that, then hearthkeep backup"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }

    let slug = report["slug"].as_str().expect("a slug");
    home.hearthkeep(&["verify", "--boot", slug]).ends(0);
    home.hearthkeep(&["restore", slug, "--yes"]).ends(0);
    // What only a person got wrong, or only looked at, is no result.
    home.hearthkeep(&["restore", "0badcafe", "--yes"]).ends(10);
    home.hearthkeep(&["restore", slug, "--dry-run"]).ends(0);
    home.hearthkeep(&["backup", "--dry-run"]).ends(0);
    home.hearthkeep(&["prune"]).ends(2);
    home.hearthkeep(&["backup"]).ends(0);
    let good = status(&home, 0);
    for task in ["backup", "restore", "boot-test"] {
        assert_eq!(result(&good, task)["exit_code"], 0, "{task}: {good}");
    }
    assert_eq!(good["results"].as_array().map(Vec::len), Some(3), "{good}");
    // By hand it says nothing of the job that goes by itself.
    home.hearthkeep(&["backup", "--name", "x", "--store", "/proc/sys"]).ends(1);
    assert!(home.hearthkeep(&["status"]).ends(0).stdout.contains("by hand"));
}

#[test]
fn an_interrupted_run_is_told_until_a_good_one_follows() {
    let home = Home::new("incident");
    home.companion("broker", &[]);
    home.write("broker/file", "x");
    let crash = |guardian: bool| {
        let mut command = home.command(&["backup"]);
        if !guardian {
            command.env(NO_GUARDIAN, "1");
        }
        Run::from(command.env(ABORT_AFTER, "3").output().expect("it runs")).ends(BY_SIGNAL);
    };
    crash(false);
    let open = status(&home, 3);
    assert_eq!(open["open"], true);
    assert!(told(&open).contains("left something open"), "{open}");
    home.hearthkeep(&["resume"]).ends(0);
    let closed = status(&home, 3);
    assert_eq!((&closed["open"], &closed["incidents"][0]["by"]), (&false.into(), &"resume".into()));
    assert_eq!(closed["incidents"][0]["story"], "backup");
    assert!(told(&closed).contains("a backup was interrupted; hearthkeep resume: "), "{closed}");

    crash(true);
    let by = || status(&home, 3)["incidents"][1]["by"].clone();
    crate::support::wait_until("the guardian has said so", || by() == "guardian");
    home.hearthkeep(&["backup"]).ends(0);
    assert_eq!(status(&home, 0)["incidents"], Value::from(Vec::<Value>::new()));
}

#[test]
fn broken_settings_and_a_damaged_chronicle_are_told() {
    let home = Home::empty("broken");
    let settings = home.write("config.yaml", "level: 2\nlevle: 3\n");
    let run = |settings: &Path, code| {
        let mut command = home.command(&["--json", "status"]);
        command.env("HEARTHKEEP_CONFIG", settings);
        Run::from(command.output().expect("it runs")).ends(code).json()
    };
    let broken = run(&settings, 3);
    assert!(told(&broken).contains("line 2, column 1"), "{broken}");
    // A timer's run fails by them, and that is remembered.
    let mut command = home.command(&["backup"]);
    Run::from(command.env("HEARTHKEEP_CONFIG", &settings).output().expect("it runs")).ends(78);
    assert_eq!(result(&run(&settings, 3), "backup")["exit_code"], 78);

    home.write("config.yaml", "schedule: 04:45\n");
    assert!(told(&run(&settings, 3)).contains("no service answers that would keep it"));
    home.write("config.yaml", "level: 3\n");
    home.write("state/chronicle.json", "{\"results\": [");
    assert!(told(&run(&settings, 3)).contains("chronicle.json"));
}

#[test]
fn a_chronicle_that_cannot_be_written_fails_no_run() {
    let home = Home::new("full");
    // Not even root replaces a file by a folder.
    fs::create_dir_all(home.bench.path().join("state/chronicle.json/x")).expect("it is ours");
    let run = home.hearthkeep(&["backup"]).ends(0);
    assert!(run.stderr.contains("chronicle.json"), "{run:?}");
    assert!(home.hearthkeep(&["--json", "backup"]).ends(0).json()["slug"].is_string());
}

#[test]
fn without_a_daemon_nobody_is_well() {
    let home = Home::empty("health");
    let mut command = home.command(&["status", "--health"]);
    command.env("DOCKER_HOST", "unix:///nowhere.sock");
    let run = Run::from(command.output().expect("it runs")).ends(1);
    assert!(run.error().contains("no service answers at "), "{run:?}");
}
