//! The units as files: systemd understands all of them, and each job is closed in as the service is.

use std::fs;
use std::path::{Path, PathBuf};

use crate::machine::Machine;
use crate::support::home::Home;

/// What the service is not worse than, by `systemd-analyze security`: 0 is closed, 10 open.
const EXPOSURE: &str = "35";

fn units() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    let entries = fs::read_dir(folder).expect("it is there").map(|it| it.expect("a file").path());
    let is_unit = |it: &PathBuf| {
        it.extension().is_some_and(|it| ["service", "socket", "timer"].iter().any(|of| it == *of))
    };
    let mut units: Vec<PathBuf> = entries.filter(is_unit).collect();
    units.sort();
    units
}

/// The lines of a service that close it in.
fn sandbox(unit: &Path) -> Vec<String> {
    let closes = |it: &&str| {
        let beginnings = ["NoNew", "Private", "Protect", "Restrict", "Lock", "Memory", "System"];
        beginnings.iter().any(|of| it.starts_with(of)) && !it.starts_with("RestartPrevent")
            || it.starts_with("CapabilityBoundingSet")
            || it.starts_with("LimitCORE")
    };
    let text = fs::read_to_string(unit).expect("it can be read");
    let mut lines: Vec<String> = text.lines().filter(closes).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn each_job_is_closed_in_as_the_service_is() {
    let units = units();
    let find = |name: &str| units.iter().find(|it| it.ends_with(name)).expect("it is there");
    let service = sandbox(find("hearthkeep.service"));
    assert!(service.len() > 15, "{service:?}");
    for unit in &units {
        let name = unit.display().to_string();
        // The administrator's own script may do anything.
        if name.ends_with(".service") && !name.contains("failed@") {
            assert_eq!(sandbox(unit), service, "{name}");
        }
    }
}

#[test]
fn systemd_understands_them_and_finds_little_open() {
    let home = Home::new("units");
    let machine = Machine::boot(&home);
    machine.install();
    machine.write("/etc/hearthkeep/on-failure", "#!/bin/sh\n");
    machine.ok(&["chmod", "755", "/etc/hearthkeep/on-failure"]);
    for unit in units() {
        let name = unit.file_name().expect("a file").to_string_lossy().replace('@', "@night");
        // The machine has no program that shows manuals.
        let said = machine.ok(&["systemd-analyze", "verify", "--man=no", &name]);
        assert_eq!(said.trim(), "", "{name}");
        if name.ends_with(".service") && !name.contains("failed@") {
            machine.ok(&["systemd-analyze", "security", "--threshold", EXPOSURE, &name]);
        }
    }
}
