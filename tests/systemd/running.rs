//! What the service does day by day.

use serde_json::Value;

use crate::dying::endless;
use crate::machine::{Machine, SERVICE};
use crate::support::home::Home;

/// An engine's address at which nobody answers yet.
const LATER: &str = "/run/engine-later.sock";

#[test]
fn it_is_active_only_when_it_has_recovered() {
    let home = Home::new("recovered");
    endless(&home);
    let machine = Machine::new(&home);
    machine.ok(&["systemctl", "stop", SERVICE, "hearthkeep.socket"]);
    machine.lose_a_run(&home);
    machine.write("/etc/hearthkeep/environment", &format!("DOCKER_HOST=unix://{LATER}\n"));
    machine.ok(&["systemctl", "start", "--no-block", SERVICE]);
    machine.wait_until("it says what it waits for", || {
        !machine.property(SERVICE, "StatusText").is_empty()
    });
    assert_eq!(machine.state(SERVICE), "activating");
    assert_eq!(home.state("homeassistant"), "paused");
    machine.ok(&["ln", "-s", "/var/run/docker.sock", LATER]);
    machine.wait_until("it is active", || {
        // Looked at in this order, it was released before the service was active.
        let is_active = machine.state(SERVICE) == "active";
        assert!(!is_active || home.state("homeassistant") == "running");
        is_active
    });
    assert_eq!(machine.property(SERVICE, "SubState"), "running");
    machine.wait_until("the draft is gone", || machine.stored().is_empty());
    let incidents = machine.incidents();
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert_eq!((&incidents[0]["by"], &incidents[0]["story"]), (&"daemon".into(), &"backup".into()));
}

#[test]
fn a_timer_makes_a_backup_of_its_profile() {
    let home = Home::new("timer");
    let machine = Machine::new(&home);
    let profiles = "profiles:\n  night: {}\n  other: {}\n";
    machine.settings(&(machine.usual_settings() + profiles));
    machine.ok(&["systemctl", "reload", SERVICE]);
    machine.start_timer("hearthkeep-backup@night.timer");
    machine.wait_for_success("hearthkeep-backup@night.service");
    let list = machine.listed();
    assert_eq!(list.len(), 1, "{list:?}");
    assert_eq!(list[0]["profile"], "night");
    assert_eq!(home.state("homeassistant"), "running");
    // It was the service that made it.
    let status = machine.ok(&["hearthkeep", "status", "--json"]);
    assert!(status.contains("night"), "{status}");
}

#[test]
fn broken_settings_are_told_and_the_old_ones_go_on() {
    let home = Home::new("reload");
    let machine = Machine::new(&home);
    let was = machine.main_process();
    machine.settings(&(machine.usual_settings() + "levle: 3\n"));
    machine.ok(&["systemctl", "reload", SERVICE]);
    machine.wait_until("the journal says why", || {
        let said = machine.journal();
        said.contains("config.yaml, line 3") && said.contains("level")
    });
    assert_eq!((machine.state(SERVICE), machine.main_process()), ("active".to_owned(), was));
    let status = machine.run(&["systemctl", "status", "--no-pager", SERVICE]).stdout;
    assert!(status.contains("config.yaml, line 3"), "{status}");
    // And once they are mended, they count.
    machine.settings(&(machine.usual_settings() + "level: 3\n"));
    machine.ok(&["systemctl", "reload", SERVICE]);
    machine.wait_until("it is told no more", || {
        let status = machine.run(&["systemctl", "status", "--no-pager", SERVICE]).stdout;
        !status.lines().any(|it| it.contains("Status:") && it.contains("config.yaml, line 3"))
    });
    // Where it has to start with them, it does not try again.
    machine.settings("levle: 3\n");
    machine.run(&["systemctl", "restart", SERVICE]).ends(1);
    assert_eq!(machine.state(SERVICE), "failed");
    assert_eq!(machine.property(SERVICE, "NRestarts"), "0");
    machine.settings(&machine.usual_settings());
    machine.ok(&["systemctl", "start", SERVICE]);
    machine.ok(&["hearthkeep", "status", "--health"]);
}

#[test]
fn the_password_comes_as_a_credential() {
    let home = Home::new("credential");
    let machine = Machine::new(&home);
    machine.write("/etc/hearthkeep/password", "correct horse\n");
    machine.ok(&["chmod", "600", "/etc/hearthkeep/password"]);
    machine.edit(SERVICE, "[Service]\nLoadCredential=password:/etc/hearthkeep/password\n");
    machine.ok(&["systemctl", "restart", SERVICE]);
    machine.ok(&["systemctl", "start", "hearthkeep-backup.service"]);
    let list = machine.listed();
    assert_eq!(list[0]["protected"], true, "{list:?}\n{}", machine.journal());
    let backup = &list[0]["path"];
    let backup = backup.as_str().expect("a path");
    machine.ok(&["hearthkeep", "verify", backup, "--password-file", "/etc/hearthkeep/password"]);
    let said = machine.ok(&["systemctl", "show", SERVICE]) + &machine.journal();
    assert!(!said.contains("correct horse"));
}

#[test]
fn who_fails_tells_somebody() {
    let home = Home::new("hook");
    let machine = Machine::new(&home);
    let script = "#!/bin/sh\necho \"$1 $MONITOR_SERVICE_RESULT\" >/root/told\n";
    machine.write("/etc/hearthkeep/on-failure", script);
    machine.ok(&["chmod", "755", "/etc/hearthkeep/on-failure"]);
    // A profile that is not there.
    machine.run(&["systemctl", "start", "hearthkeep-backup@nihgt.service"]).ends(1);
    machine.wait_until("it was told", || machine.run(&["test", "-s", "/root/told"]).code == 0);
    let told = machine.ok(&["cat", "/root/told"]);
    assert_eq!(told.trim(), "hearthkeep-backup@nihgt.service exit-code");
}

#[test]
fn entries_of_the_journal_can_be_found_by_job_and_kind() {
    let home = Home::new("journald");
    let machine = Machine::new(&home);
    machine.ok(&["systemctl", "start", "hearthkeep-backup.service"]);
    let entries = machine.ok(&["journalctl", "--unit", SERVICE, "--output", "json"]);
    let entries: Vec<Value> =
        entries.lines().map(|it| serde_json::from_str(it).expect("a line of JSON")).collect();
    let of_job: Vec<&Value> =
        entries.iter().filter(|it| it["HEARTHKEEP_JOB"] != Value::Null).collect();
    assert!(!of_job.is_empty(), "{}", machine.journal());
    for entry in of_job {
        assert_eq!(entry["MESSAGE_ID"].as_str().map(str::len), Some(32), "{entry}");
    }
}
