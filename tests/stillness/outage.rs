//! The Docker daemon goes away while a home is held, and comes back.

use std::fs::{self, File};
use std::process::{Child, Stdio};

use crate::support::daemon::Daemon;
use crate::support::home::{ENDLESS, IMAGE, VERSION, bind, tool, write};
use crate::support::{Bench, Run, wait_until};

/// What each container does before and has to do after.
const STATES: [(&str, &str); 5] = [
    ("homeassistant", "running"),
    ("plain", "running"),
    ("restarting", "running"),
    ("stopper", "running"),
    ("down", "exited"),
];

/// A home on a daemon of its own, with a hold that does not end by itself.
struct Home {
    daemon: Daemon,
    bench: Bench,
}

impl Home {
    fn new() -> Home {
        let home = Home { daemon: Daemon::new(&[]), bench: Bench::new() };
        let config = home.bench.folder("config");
        write(&config.join(".HA_VERSION"), VERSION);
        let endless = File::create(config.join(ENDLESS)).expect("a file");
        endless.set_len(16 << 30).expect("a hole takes no room");
        let role = ["--label", "hearthkeep.role=homeassistant", "--restart", "unless-stopped"];
        home.run("homeassistant", "/config", &role);
        home.run("plain", "/data", &[]);
        home.run("restarting", "/data", &["--restart", "unless-stopped"]);
        home.run("stopper", "/data", &["--label", "hearthkeep.hold=stop", "--stop-timeout", "1"]);
        home.run("down", "/data", &[]);
        home.daemon.docker(&["stop", "--time", "1", "down"]);
        home
    }

    fn run(&self, name: &str, destination: &str, options: &[&str]) {
        let folder = self.bench.folder(if name == "homeassistant" { "config" } else { name });
        write(&folder.join("file"), name);
        let data = bind(&folder, destination);
        let project = ["--label", "com.docker.compose.project=outage", "--name", name];
        let mut words = vec!["run", "--detach", "--network", "none", "--volume", &data];
        words.extend(project.iter().chain(options));
        words.push(IMAGE);
        self.daemon.docker(&words);
    }

    fn command(&self, words: &[&str]) -> std::process::Command {
        let mut command = self.bench.command(words);
        // No file system for copies: the hold lasts until the archive is written.
        command.env("DOCKER_HOST", self.daemon.host()).env("HEARTHKEEP_STAGING", "/proc");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a backup, and waits until everything is held.
    fn held(&self, words: &[&str], envs: &[(&str, &str)]) -> Child {
        let mut command = self.command(&[&["backup"], words].concat());
        let run = command.envs(envs.iter().copied()).spawn().expect("the program can be started");
        let held = ["paused", "paused", "paused", "exited", "exited"];
        wait_until("everything is held", || self.states() == held);
        run
    }

    fn states(&self) -> Vec<String> {
        let mut words = vec!["inspect", "--format", "{{.State.Status}}"];
        words.extend(STATES.map(|(name, _)| name));
        self.daemon.docker(&words).lines().map(str::to_owned).collect()
    }

    fn is_as_before(&self) -> bool {
        self.states() == STATES.map(|(_, state)| state)
    }

    fn resume(&self) -> Run {
        self.command(&["--json", "resume"]).output().expect("it can be started").into()
    }

    /// Everything does what it did, and nothing is left, listed or open.
    fn assert_closed(&self, when: &str) {
        let is_over =
            || self.resume().stdout.trim() == r#"{"released":[],"removed":[],"warnings":[]}"#;
        wait_until("nothing is open", is_over);
        assert_eq!(self.states(), STATES.map(|(_, state)| state), "{when}");
        let mut store = fs::read_dir(self.bench.path().join("config/backups")).expect("the store");
        assert!(store.next().is_none(), "a file is left {when}");
    }
}

/// What can happen to a daemon, and how to call it.
type Deed = (&'static str, fn(&Daemon));

const DEEDS: [Deed; 2] =
    [("after it was stopped", Daemon::stop), ("after it was killed", Daemon::kill)];

#[test]
fn a_backup_outlives_its_daemon_and_everything_runs_again() {
    let home = Home::new();
    for (when, deed) in DEEDS {
        let run = home.held(&["--max-hold", "8"], &[]);
        deed(&home.daemon);
        home.daemon.start();
        let run = Run::from(run.wait_with_output().expect("it is ours")).ends(1);
        // Whoever was started again meanwhile may have written.
        assert!(run.error().contains("were held for 8 s"), "{} {when}", run.error());
        home.assert_closed(when);
    }
}

#[test]
fn a_backup_waits_with_its_release_until_the_daemon_is_back() {
    let home = Home::new();
    for (when, deed) in DEEDS {
        let run = home.held(&[], &[]);
        deed(&home.daemon);
        tool("kill", &["-s", "TERM", &run.id().to_string()]);
        home.daemon.start();
        Run::from(run.wait_with_output().expect("it is ours")).ends(130);
        home.assert_closed(when);
    }
}

#[test]
fn where_the_run_dies_with_the_daemon_the_guardian_waits_for_its_return() {
    let home = Home::new();
    for (when, deed) in DEEDS {
        let mut run = home.held(&[], &[]);
        deed(&home.daemon);
        run.kill().expect("it runs");
        run.wait().expect("it is ours");
        home.daemon.start();
        wait_until("the guardian has released everything", || home.is_as_before());
        home.assert_closed(when);
    }
}

#[test]
fn where_everything_dies_resume_waits_for_the_daemon() {
    let home = Home::new();
    for (when, deed) in DEEDS {
        let mut run = home.held(&[], &[("HEARTHKEEP_TEST_NO_GUARDIAN", "1")]);
        deed(&home.daemon);
        run.kill().expect("it runs");
        run.wait().expect("it is ours");
        let resume = home.command(&["resume"]).spawn().expect("the program can be started");
        home.daemon.start();
        // That something else stopped what was held is worth a word.
        Run::from(resume.wait_with_output().expect("it is ours")).ends(3);
        home.assert_closed(when);
    }
}
