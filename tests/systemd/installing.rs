//! What an installation brings, and what it starts.

use crate::machine::{Machine, SERVICE};
use crate::support::home::Home;

/// Whose the socket is, and who may use it.
fn socket_rights(machine: &Machine) -> String {
    let socket = "/run/hearthkeep/hearthkeep.sock";
    machine.ok(&["stat", "--format", "%U:%G %a", socket]).trim().to_owned()
}

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
    assert_eq!(socket_rights(&machine), "root:hearthkeep 660");
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
    // A second time over itself, as an upgrade does: with a process of its own, and the same socket.
    let was = machine.main_process();
    machine.ok(&["dpkg", "--install", "--force-confold", "/hearthkeep.deb"]);
    machine.wait_until("the service runs anew", || {
        machine.state(SERVICE) == "active" && machine.main_process() != was
    });
    assert_eq!(machine.state("hearthkeep.socket"), "active");
    assert_eq!(socket_rights(&machine), "root:hearthkeep 660");
    // And once more: what a person decided, and what was set, stays.
    machine.settings("level: 3\n");
    machine.ok(&["systemctl", "disable", "--now", SERVICE]);
    machine.ok(&["dpkg", "--install", "--force-confold", "/hearthkeep.deb"]);
    assert_eq!(machine.run(&["systemctl", "is-enabled", SERVICE]).stdout.trim(), "disabled");
    assert_eq!(machine.state(SERVICE), "inactive");
    assert_eq!(machine.ok(&["cat", "/etc/hearthkeep/config.yaml"]), "level: 3\n");
}

#[test]
fn who_is_in_the_group_may_ask_and_nobody_else() {
    let home = Home::new("member");
    let machine = Machine::new(&home);
    // As the package installs it.
    machine.ok(&["chmod", "644", "/etc/hearthkeep/config.yaml"]);
    // It is asked by its socket, whichever way it was started.
    machine.ok(&["systemctl", "stop", SERVICE]);
    machine.ok(&["systemctl", "start", SERVICE]);
    assert_eq!(socket_rights(&machine), "root:hearthkeep 660");
    let run = |groups: &str, words: &[&str]| {
        // Without what the engine mounts into each container it looks like a host: in a container
        // of its own the program would look with the engine at what it can reach.
        let host = "umount /etc/hosts /etc/hostname /etc/resolv.conf && exec \"$@\"";
        let host = ["unshare", "--mount", "sh", "-c", host, "host"];
        let ids = ["setpriv", "--reuid=1234", "--regid=1234", groups];
        let program = ["env", "HOME=/tmp/somebody", "hearthkeep", "--json"];
        machine.run(&[&host[..], &ids, &program, words].concat())
    };
    let member = machine.ok(&["getent", "group", "hearthkeep"]);
    let member = member.split(':').nth(2).expect("a number").to_owned();
    let member = format!("--groups={member}");
    run(&member, &["status"]).ends(0);
    let report = run(&member, &["backup"]).ends(0).json();
    assert_eq!(machine.listed()[0]["slug"], report["slug"]);
    let refused = run("--clear-groups", &["backup"]).ends(1).json();
    let refused = refused["error"].as_str().expect("an error");
    assert!(refused.contains("only its group and root may"), "{refused}");
}
