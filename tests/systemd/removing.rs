//! What a removal ends, and what it leaves.

use crate::dying::endless;
use crate::machine::Machine;
use crate::support::home::Home;

#[test]
fn a_purge_ends_a_backup_and_leaves_those_that_are_there() {
    let home = Home::new("purged");
    let machine = Machine::new(&home);
    // The worst place for a store: among what is to go.
    let store = "/var/lib/hearthkeep/backups";
    let settings = format!("home: {}\nstore: '{store}' # here\n", home.homeassistant());
    machine.settings(&settings);
    machine.ok(&["mkdir", store]);
    machine.ok(&["systemctl", "reload", "hearthkeep"]);
    let made = machine.ok(&["hearthkeep", "backup", "--json", "--quiet"]);
    assert!(made.contains(store), "{made}");
    machine.write("/etc/hearthkeep/password", "of another backup\n");
    machine.write("/etc/hearthkeep/environment", "HEARTHKEEP_LEVEL=2\n");
    machine.ok(&["systemctl", "enable", "--now", "hearthkeep-prune.timer"]);

    endless(&home);
    machine.settings(&(settings + "staging: /proc\n"));
    machine.ok(&["systemctl", "reload", "hearthkeep"]);
    machine.ok(&["systemctl", "start", "--no-block", "hearthkeep-backup"]);
    machine.wait_until("it is held", || home.state("homeassistant") == "paused");
    let said = machine.ok(&["dpkg", "--purge", "hearthkeep"]);
    assert_eq!(home.state("homeassistant"), "running");
    assert!(said.contains(&format!("backups are left in {store}")), "{said}");

    let left = machine.ok(&["find", "/var/lib/hearthkeep", "/etc/hearthkeep", "-type", "f"]);
    let mut left: Vec<&str> = left.lines().collect();
    left.sort_unstable();
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(left[0], "/etc/hearthkeep/password");
    assert!(left[1].starts_with(store) && left[1].ends_with(".tar"), "{left:?}");
    machine.run(&["test", "-e", "/run/hearthkeep"]).ends(1);
    let states = "--state=active,activating,failed";
    let words = ["systemctl", "list-units", "--no-legend", states, "--type=service,socket,timer"];
    let units = machine.ok(&[&words[..], &["hearthkeep*"]].concat());
    assert_eq!(units.trim(), "");
    let links = machine.ok(&["find", "/etc/systemd", "/var/lib/systemd", "-name", "*hearthkeep*"]);
    assert_eq!(links.trim(), "");
}

#[test]
fn nothing_is_left_of_a_purge_where_the_store_is_elsewhere() {
    let home = Home::new("purged-whole");
    let machine = Machine::new(&home);
    machine.ok(&["hearthkeep", "backup"]);
    let was = machine.stored();
    assert_eq!(was.len(), 1, "{was:?}");
    let said = machine.ok(&["dpkg", "--purge", "hearthkeep"]);
    assert!(said.contains("backups are left in"), "{said}");
    assert_eq!(machine.stored(), was);
    for folder in ["/var/lib/hearthkeep", "/etc/hearthkeep", "/run/hearthkeep"] {
        let left = machine.run(&["find", folder]);
        assert_eq!(left.stdout, "", "{folder}");
    }
}
