//! What the tests on the real engine share: the program, the engine, and guards that leave
//! nothing behind.

#![allow(dead_code, reason = "each test binary uses its own share of this")]

pub(crate) mod chain;
pub(crate) mod daemon;
pub(crate) mod facts;
pub(crate) mod home;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod secured;
pub(crate) mod served;
pub(crate) mod supervisor;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hearthkeep::engine::Engine;
use serde_json::Value;

/// On everything that a test makes on the engine.
pub(crate) const LABEL: &str = "io.hearthkeep.test=1";

/// Long enough for a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// What a run of the program said and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The run, which must have ended with this exit code.
    pub(crate) fn ends(self, code: i32) -> Run {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The one JSON object on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|err| panic!("{err}: {}\n{}", self.stdout, self.stderr))
    }

    /// The error, which must be one line.
    pub(crate) fn error(&self) -> &str {
        let lines: Vec<&str> = self.stderr.lines().filter(|it| it.starts_with("error:")).collect();
        assert_eq!(lines.len(), 1, "{}", self.stderr);
        lines[0]
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        Run {
            // A signal ends a process without a code.
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A folder of a test's own, with a state folder for the program in it.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench { folder: tempfile::tempdir().expect("a temporary folder can be made") }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A new folder in it.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(&path).expect("a folder can be made");
        path
    }

    /// The program, with nothing of the caller's settings and with a state folder of its own.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearthkeep"));
        for (key, _) in std::env::vars_os() {
            if key.as_encoded_bytes().starts_with(b"HEARTHKEEP_") {
                command.env_remove(key);
            }
        }
        command.env("HEARTHKEEP_STATE", self.path().join("state")).args(arguments);
        // Nor the daemon and the settings of the machine.
        command.env("HEARTHKEEP_SOCKET", self.path().join("hearthkeep.sock"));
        command.env("HEARTHKEEP_CONFIG", "/dev/null");
        // Nor the daemon.
        command.env("HEARTHKEEP_SOCKET", self.socket());
        command
    }

    /// Where a daemon of this bench listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path().join("hearthkeep.sock")
    }

    /// Runs the program to its end.
    pub(crate) fn hearthkeep(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().expect("the program can be started").into()
    }
}

/// Runs the `docker` command, which must succeed.
pub(crate) fn docker(arguments: &[&str]) -> String {
    let run =
        Run::from(Command::new("docker").args(arguments).output().expect("docker is installed"));
    assert_eq!(run.code, 0, "docker {}: {}", arguments.join(" "), run.stderr);
    run.stdout.trim().to_owned()
}

/// A name on the engine that nobody else has.
pub(crate) fn unique(what: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("hearthkeep-test-{}-{what}-{n}", std::process::id())
}

/// Runs something that talks to the real engine itself.
pub(crate) fn on_engine<T>(work: impl AsyncFnOnce(Engine) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .expect("a runtime starts")
        .block_on(async { work(Engine::connect().await.expect("these tests need Docker")).await })
}

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < DEADLINE, "still waiting until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
