//! Timers and units for a home whose owner wants no service: each run does it all by itself.

use std::time::SystemTime;

use crate::dying::{assert_at_once, held_by, runs};
use crate::machine::{BACKUP, Machine};
use crate::support::home::Home;

#[test]
fn timers_make_prune_and_boot_backups() {
    let home = Home::new("alone");
    let machine = Machine::without_service(&home);
    let profiles = "keep: { last: 1 }\nprofiles:\n  night: {}\n";
    machine.settings(&(machine.usual_settings() + profiles));
    machine.start_timer("hearthkeep-backup@night.timer");
    machine.wait_for_success("hearthkeep-backup@night.service");
    machine.start_timer("hearthkeep-backup.timer");
    machine.wait_for_success(BACKUP);
    let profiles: Vec<_> = machine.listed().iter().map(|it| it["profile"].clone()).collect();
    assert_eq!(profiles, ["night", ""]);
    machine.start_timer("hearthkeep-prune.timer");
    machine.wait_for_success("hearthkeep-prune.service");
    machine.start_timer("hearthkeep-verify@night.timer");
    machine.wait_for_success("hearthkeep-verify@night.service");
    let boots: Vec<_> = machine.listed().iter().map(|it| it["boot"]["passed"].clone()).collect();
    assert_eq!(boots, [true.into(), serde_json::Value::Null]);
    assert_eq!(home.state("homeassistant"), "running");
}

#[test]
fn stopped_or_killed_in_the_middle_it_releases_and_leaves_no_file() {
    let (home, machine) = held_by("alone-ended", Machine::without_service);
    for (words, result) in [
        (&["systemctl", "stop", BACKUP][..], "exit-code"),
        (&["systemctl", "kill", "--kill-who=main", "--signal=KILL", BACKUP], "signal"),
        (&["systemctl", "kill", "--kill-who=all", "--signal=KILL", BACKUP], "signal"),
        // With the engine's unit, everything of the program ends first.
        (&["systemctl", "stop", "docker"], "exit-code"),
    ] {
        machine.hold(&home);
        let since = SystemTime::now();
        machine.ok(words);
        machine.wait_until("everything runs", || runs(&home));
        assert_at_once(&home, since, &words.join(" "));
        machine.wait_until("it has ended", || machine.state(BACKUP) == "failed");
        assert_eq!(machine.property(BACKUP, "Result"), result, "{words:?}");
        assert_eq!(machine.stored(), Vec::<String>::new(), "{words:?}");
        machine.ok(&["systemctl", "reset-failed"]);
    }
}

#[test]
fn a_boot_after_a_power_cut_lets_everything_go_on() {
    let (home, machine) = held_by("alone-boot", Machine::without_service);
    machine.ok(&["systemctl", "enable", "hearthkeep-resume.service"]);
    machine.lose_a_run(&home);
    machine.reboot();
    machine.wait_until("everything runs", || runs(&home));
    assert_eq!(machine.property("hearthkeep-resume.service", "Result"), "success");
    assert_eq!(machine.stored(), Vec::<String>::new());
}
