//! A companion that does not start again after a backup has stopped it.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::crashes::{NOTHING, resume};
use crate::support::home::Home;
use crate::support::{Run, wait_until};

/// A home with a companion that is stopped for a backup and needs a folder to start again.
struct Stubborn {
    home: Home,
    name: String,
    // On the host but no part of the home: what lies in `/run` is not backed up.
    folder: tempfile::TempDir,
}

impl Stubborn {
    /// The home; the folder is gone already, of which a container that runs feels nothing.
    fn new(what: &str) -> Stubborn {
        let home = Home::new(what);
        let folder = tempfile::tempdir_in("/run").expect("a folder can be made");
        let mount = format!("type=bind,source={},destination=/needed", folder.path().display());
        let name =
            home.companion("stubborn", &["--label", "hearthkeep.hold=stop", "--mount", &mount]);
        home.write("stubborn/file", "stubborn");
        home.companion("stopper", &["--label", "hearthkeep.hold=stop"]);
        home.companion("plain", &[]);
        fs::remove_dir(folder.path()).expect("it is empty");
        Stubborn { home, name, folder }
    }

    /// Makes a backup; calls `deed` when everybody else was released.
    fn backup(&self, deed: impl FnOnce(&Path)) -> Run {
        let started = self.home.started("stopper");
        let mut command = self.home.command(&["--json", "backup"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.expect("the program can be started");
        let is_over = || self.home.started("stopper") != started && self.others_run();
        wait_until("all others were released", is_over);
        assert_eq!(self.home.state("stubborn"), "exited", "the engine refuses to start it");
        deed(self.folder.path());
        child.wait_with_output().expect("it is ours").into()
    }

    fn others_run(&self) -> bool {
        let mut others = ["homeassistant", "stopper", "plain"].into_iter();
        others.all(|it| self.home.state(it) == "running")
    }
}

#[test]
fn what_does_not_start_again_keeps_nobody_else_down_and_is_told() {
    let stubborn = Stubborn::new("stubborn");
    let (home, name) = (&stubborn.home, &stubborn.name);
    let report = stubborn.backup(|_| ()).ends(3).json();
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains(&format!("run `docker start {name}`")), "{warnings}");
    assert_eq!(report["warnings"].as_array().map(Vec::len), Some(1), "{warnings}");
    assert_eq!(home.state("stubborn"), "exited");
    assert!(stubborn.others_run());
    // The backup is there, with what the container has.
    let slug = report["slug"].as_str().expect("a slug");
    home.hearthkeep(&["verify", slug]).ends(0);
    let path = report["path"].as_str().expect("a path");
    let outer = crate::support::home::tool("tar", &["--list", "--file", path]);
    assert!(String::from_utf8_lossy(&outer).contains("stubborn"), "its part is missing");
    // It is not forgotten: once it can start, it does.
    fs::create_dir(stubborn.folder.path()).expect("it was gone");
    let told = resume(home);
    assert_eq!(told["released"], serde_json::json!([name]));
    assert_eq!(home.state("stubborn"), "running");
    assert_eq!(resume(home).to_string(), NOTHING);
}

#[test]
fn a_start_is_tried_again() {
    let stubborn = Stubborn::new("stubborn-once");
    let mend = |folder: &Path| fs::create_dir(folder).expect("it was gone");
    let report = stubborn.backup(mend).ends(0).json();
    assert_eq!(stubborn.home.state("stubborn"), "running");
    assert_eq!(report["warnings"].as_array().map(Vec::len), Some(0), "{report}");
}
