//! A run that is told to stop in the middle.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use crate::holds;
use crate::support::home::{Home, tool};

pub(crate) const TERM: &str = "TERM";

/// From the signal to the end of the program, with everything released.
pub(crate) const PROMPTLY: Duration = Duration::from_secs(2);

/// The program while it runs.
pub(crate) struct Running {
    child: Child,
    progress: BufReader<ChildStderr>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Running {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let progress = BufReader::new(child.stderr.take().expect("it is piped"));
        Running { child, progress }
    }

    /// Waits until the progress says so.
    pub(crate) fn wait_for(&mut self, what: &str) {
        let mut all = String::new();
        while !all.lines().any(|it| it.trim() == what) {
            let n = self.progress.read_line(&mut all).expect("progress is text");
            assert!(n > 0, "it ended before {what:?}: {all}");
        }
    }

    /// Sends a signal and waits for the end; gives how long that took.
    pub(crate) fn end(&mut self, signal: &str) -> Duration {
        let since = Instant::now();
        tool("kill", &["-s", signal, &self.child.id().to_string()]);
        self.child.wait().expect("it is ours");
        since.elapsed()
    }

    /// Waits for the end; gives the exit code and what was said since.
    pub(crate) fn finish(&mut self) -> (i32, String) {
        let mut said = String::new();
        self.progress.read_to_string(&mut said).expect("progress is text");
        (self.code(), said)
    }

    /// Waits for the end; gives the exit code.
    pub(crate) fn code(&mut self) -> i32 {
        self.child.wait().expect("it is ours").code().expect("it ended by itself")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed must not leave it behind with containers held: it is asked, not killed.
        if let Ok(None) = self.child.try_wait() {
            _ = Command::new("kill").arg(self.child.id().to_string()).output();
            _ = self.child.wait();
        }
    }
}

#[test]
fn a_cancelled_backup_lets_everything_run_and_leaves_no_file() {
    let home = Home::new("cancelled");
    home.companion("broker", &["--label", "hearthkeep.hold=stop"]);
    holds::endless(&home);
    for signal in ["INT", TERM, "HUP"] {
        let mut backup = Running::start(home.command(&["backup"]));
        backup.wait_for("archiving homeassistant");
        assert_eq!(home.state("homeassistant"), "paused");
        assert_eq!(home.state("broker"), "exited");
        assert_eq!(home.store().len(), 1, "the file that is being written");
        let took = backup.end(signal);
        assert_eq!(home.state("homeassistant"), "running");
        assert_eq!(home.state("broker"), "running");
        assert!(took < PROMPTLY, "{took:?}");
        assert_eq!(backup.code(), 130);
        assert_eq!(home.store(), Vec::<std::path::PathBuf>::new());
        let list = home.hearthkeep(&["--json", "list"]).ends(0).json();
        assert_eq!(list["backups"].as_array().map(Vec::len), Some(0), "{list}");
    }
}

#[test]
fn cancelled_before_it_holds_anything_it_says_so() {
    let home = Home::new("cancelled-early");
    holds::endless(&home);
    let mut backup = Running::start(home.command(&["backup"]));
    backup.wait_for("looking at the home");
    assert!(backup.end(TERM) < PROMPTLY);
    assert_eq!(backup.code(), 130);
    assert_eq!(home.state("homeassistant"), "running");
    assert_eq!(home.store(), Vec::<std::path::PathBuf>::new());
}
