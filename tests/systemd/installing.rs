//! What an installation brings, and what it starts.

use crate::machine::{Machine, SERVICE};
use crate::support::home::Home;

#[test]
fn the_service_and_its_socket_run_and_no_timer_does() {
    let home = Home::new("installed");
    let machine = Machine::boot(&home);
    machine.install();
    machine.wait_until("the service runs", || machine.state(SERVICE) == "active");
    assert_eq!(machine.state("hearthkeep.socket"), "active");
    for unit in [SERVICE, "hearthkeep.socket"] {
        assert_eq!(machine.ok(&["systemctl", "is-enabled", unit]).trim(), "enabled", "{unit}");
    }
    for timer in ["hearthkeep-backup.timer", "hearthkeep-prune.timer", "hearthkeep-verify.timer"] {
        assert_eq!(machine.run(&["systemctl", "is-enabled", timer]).stdout.trim(), "disabled");
    }
    let socket = "/run/hearthkeep/hearthkeep.sock";
    let rights = machine.ok(&["stat", "--format", "%U:%G %a", socket]);
    assert_eq!(rights.trim(), "root:hearthkeep 660");
    let rights = machine.ok(&["stat", "--format", "%U:%G %a", "/var/lib/hearthkeep"]);
    assert_eq!(rights.trim(), "root:root 700");
    for file in [
        "/usr/share/man/man1/hearthkeep-backup.1.gz",
        "/usr/share/bash-completion/completions/hearthkeep",
        "/usr/share/zsh/vendor-completions/_hearthkeep",
        "/usr/share/fish/vendor_completions.d/hearthkeep.fish",
    ] {
        machine.ok(&["test", "-s", file]);
    }
    // A second time over itself: what a person decided, and what was set, stays.
    machine.settings("level: 3\n");
    machine.ok(&["systemctl", "disable", "--now", SERVICE]);
    machine.ok(&["dpkg", "--install", "--force-confold", "/hearthkeep.deb"]);
    assert_eq!(machine.run(&["systemctl", "is-enabled", SERVICE]).stdout.trim(), "disabled");
    assert_eq!(machine.state(SERVICE), "inactive");
    assert_eq!(machine.ok(&["cat", "/etc/hearthkeep/config.yaml"]), "level: 3\n");
}
