//! The sidecar itself as a container under systemd.

use std::path::Path;
use std::process::Command;

use crate::machine::Machine;
use crate::support::home::Home;
use crate::support::{LABEL, docker, unique};

/// An image with the program under test, and a unit that runs it; both gone when it is dropped.
struct Contained {
    image: String,
    unit: String,
    /// What the unit is told besides.
    edit: String,
}

impl Contained {
    fn new(machine: &Machine, home: &Home) -> Contained {
        let (image, unit) = (unique("sidecar-image"), unique("sidecar"));
        let store = home.bench.folder("store").display().to_string();
        let edit = format!(
            "[Service]\nEnvironment=HEARTHKEEP_IMAGE={image}\nEnvironment=HEARTHKEEP_BACKUPS={store}\n"
        );
        let contained = Contained { image, unit, edit };
        let draft = unique("sidecar-draft");
        docker(&["create", "--name", &draft, "--label", LABEL, crate::machine::IMAGE]);
        let program = format!("{draft}:/usr/bin/hearthkeep");
        docker(&["cp", env!("CARGO_BIN_EXE_hearthkeep"), &program]);
        let entrypoint = "ENTRYPOINT [\"/usr/bin/hearthkeep\"]";
        let label = format!("LABEL {LABEL}");
        docker(&["commit", "--change", entrypoint, "--change", &label, &draft, &contained.image]);
        docker(&["rm", &draft]);

        // The machine has no command of the engine's own.
        let client = String::from_utf8(crate::support::home::tool("which", &["docker"]));
        machine.copy(Path::new(client.expect("a path").trim()), "/usr/bin/docker");
        let unit = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("systemd/container/hearthkeep-container.service");
        let unit = std::fs::read_to_string(unit).expect("it can be read");
        let name = format!("{}.service", contained.unit);
        machine.write(&format!("/etc/systemd/system/{name}"), &unit);
        machine.edit(&name, &contained.edit);
        contained
    }

    /// Runs the program in the sidecar.
    fn hearthkeep(&self, words: &[&str]) -> String {
        docker(&[&["exec", &self.unit, "/usr/bin/hearthkeep"], words].concat())
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        // Nothing may panic in here.
        for words in [["rm", "--force"], ["volume", "rm"], ["image", "rm"]] {
            let name = if words[0] == "image" { &self.image } else { &self.unit };
            _ = Command::new("docker").args(words).arg(name).output();
        }
    }
}

#[test]
fn it_is_active_when_it_is_well_and_ends_in_good_order() {
    let home = Home::new("contained");
    let machine = Machine::boot(&home);
    let contained = Contained::new(&machine, &home);
    let unit = format!("{}.service", contained.unit);
    machine.ok(&["systemctl", "start", &unit]);
    // `start` waited for this, and nothing is waited for here.
    contained.hearthkeep(&["status", "--health"]);
    assert_eq!(machine.state(&unit), "active");
    let status = contained.hearthkeep(&["--json", "status"]);
    assert!(status.contains("T04:45:00"), "the next backup is due in the night: {status}");
    // It comes again when it dies.
    docker(&["kill", &contained.unit]);
    machine.wait_until("it runs again", || {
        machine.property(&unit, "NRestarts") == "1" && machine.state(&unit) == "active"
    });
    contained.hearthkeep(&["status", "--health"]);
    machine.ok(&["systemctl", "stop", &unit]);
    assert_eq!(machine.property(&unit, "Result"), "success");
    assert_eq!(
        docker(&["ps", "--all", "--quiet", "--filter", &format!("name={}", contained.unit)]),
        ""
    );

    // A setting that means nothing is told once.
    let nonsense = "Environment=HEARTHKEEP_SCHEDULE=nonsense\n";
    machine.edit(&unit, &(contained.edit.clone() + nonsense));
    machine.run(&["systemctl", "start", &unit]).ends(1);
    assert_eq!(machine.property(&unit, "ExecMainStatus"), "78");
    assert_eq!(machine.state(&unit), "failed");

    // What ends at once never was active.
    machine.edit(&unit, "[Service]\nEnvironment=HEARTHKEEP_IMAGE=no/such:image\nRestart=no\n");
    machine.run(&["systemctl", "start", &unit]).ends(1);
    assert_eq!(machine.state(&unit), "failed");
}
