//! What reading a file takes, measured in a process that does nothing else: this one builds large
//! files and does not count.

use std::fs;
use std::path::Path;
use std::process::Command;

use hearthkeep::archive::{self, Archive, Checks, Share, Target};
use hearthkeep::model::Item;
use hearthkeep::monitor::Quiet;
use tokio_util::sync::CancellationToken;

/// Memory that reading a file may take, whatever is in it.
const MAX_KIB: u64 = 64 * 1024;

const FILE: &str = "HOSTILE_FILE";

/// Opens, verifies and extracts a file elsewhere.
pub(crate) fn check(what: &str, file: &Path) {
    let output = Command::new(std::env::current_exe().expect("a program"))
        .args(["--ignored", "--exact", "--nocapture", "memory::child"])
        .env(FILE, file)
        .output()
        .expect("it can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{what}: {said}{}", String::from_utf8_lossy(&output.stderr));
    let peak = said.lines().find_map(|it| it.split_once("VmHWM:")).expect("it tells").1;
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(peak < MAX_KIB, "{what:.200}: {peak} KiB of memory");
}

#[test]
#[ignore = "is what the others start"]
fn child() {
    let Some(file) = std::env::var_os(FILE) else { return };
    let cancel = CancellationToken::new();
    if let Ok(archive) = Archive::open(Path::new(&file)) {
        let _ = archive::verify(&archive, Checks::default(), &cancel, &Quiet);
        let staging = tempfile::tempdir().expect("a temporary folder");
        let target = Target {
            share: Share::all("data"),
            staging: staging.path().to_owned(),
            ..Default::default()
        };
        if let Some(member) = archive.member_of(&Item::HomeAssistant) {
            let _ = archive::extract(&archive, member, &[target], &cancel, &Quiet);
        }
    }
    println!("{}", fs::read_to_string("/proc/self/status").expect("a status"));
}
