//! A Docker daemon of a test's own, which it may stop, kill and start again while everybody else's
//! goes on. It has only the helper's image, no network but loopback, and its containers are gone
//! with it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::home::IMAGE;
use super::{DEADLINE, Run, wait_until};

/// The daemon, its folder, its containerd and its containers.
pub(crate) struct Daemon {
    folder: tempfile::TempDir,
    options: Vec<String>,
    /// None while it is stopped.
    process: Mutex<Option<Child>>,
}

impl Daemon {
    /// Starts a daemon that has the helper's image. The options are for `dockerd`.
    pub(crate) fn new(options: &[&str]) -> Daemon {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let options = options.iter().map(|it| (*it).to_owned()).collect();
        let daemon = Daemon { folder, options, process: Mutex::default() };
        // The host's own settings contradict what is given here.
        let mut settings = File::create(daemon.path("daemon.json")).expect("a file can be made");
        settings.write_all(b"{}").expect("a file can be written");
        daemon.start();
        let image = daemon.path("image.tar");
        super::docker(&["save", "--output", &text(&image), IMAGE]);
        daemon.docker(&["load", "--input", &text(&image)]);
        daemon
    }

    /// What `DOCKER_HOST` says where this daemon is meant.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path("docker.sock")
    }

    /// Runs the `docker` command on this daemon; it must succeed.
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        let run = self.try_docker(arguments);
        assert_eq!(run.code, 0, "docker {}: {}", arguments.join(" "), run.stderr);
        run.stdout.trim().to_owned()
    }

    /// Runs the `docker` command on this daemon.
    pub(crate) fn try_docker(&self, arguments: &[&str]) -> Run {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", self.host()).args(arguments);
        command.output().expect("docker is installed").into()
    }

    /// `running`, `paused`, `exited` …
    pub(crate) fn state(&self, container: &str) -> String {
        self.docker(&["inspect", "--format", "{{.State.Status}}", container])
    }

    /// Starts it again after `stop` or `kill`, and waits until it answers.
    pub(crate) fn start(&self) {
        let mut process = self.process.lock().expect("no test panics while it holds this");
        assert!(process.is_none(), "it runs");
        // What a killed daemon left; whoever is process 1 here may not have buried them yet, and
        // then a new daemon takes them for alive.
        _ = fs::remove_file(self.path("pid"));
        _ = fs::remove_file(self.path("run/containerd/containerd.pid"));
        *process = Some(self.command().spawn().expect("dockerd is installed"));
        drop(process);
        let since = Instant::now();
        while self.try_docker(&["version"]).code != 0 {
            assert!(self.is_alive() && since.elapsed() < DEADLINE, "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it as systemd would, its containers included.
    pub(crate) fn stop(&self) {
        self.end("TERM");
    }

    /// Kills it at once; its containers stay, with nobody to look after them.
    pub(crate) fn kill(&self) {
        self.end("KILL");
    }

    /// Stops it and starts it again.
    pub(crate) fn restart(&self) {
        self.stop();
        self.start();
    }

    /// What it said so far, for a test that fails.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn command(&self) -> Command {
        let log = File::options().create(true).append(true).open(self.path("log"));
        let log = log.expect("a log can be written");
        // A network of its own: a daemon without a bridge removes `docker0`, which belongs to the
        // engine of this machine.
        let mut command = Command::new("unshare");
        command.args(["--net", "--"]).arg(dockerd());
        for (option, name) in [
            ("--config-file", "daemon.json"),
            ("--data-root", "data"),
            ("--exec-root", "run"),
            ("--pidfile", "pid"),
        ] {
            command.arg(option).arg(self.path(name));
        }
        command.args(["--host", &self.host()]);
        // The plainest storage works below every file system, and the image is one small layer.
        command.args(["--storage-driver", "vfs", "--bridge", "none", "--ip-forward=false"]);
        command.args(["--iptables=false", "--ip6tables=false"]);
        // Where the host's containerd is used, containers of two daemons must not meet in it.
        let namespace = self.namespace();
        command.args(["--containerd-namespace", &namespace]);
        command.args(["--containerd-plugins-namespace", &format!("{namespace}-plugins")]);
        command.args(&self.options).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("it is open")).stderr(log);
        command
    }

    fn namespace(&self) -> String {
        let name = self.folder.path().file_name().expect("it has a name").to_string_lossy();
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        format!("hearthkeep-{plain}")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn is_alive(&self) -> bool {
        let mut process = self.process.lock().expect("no test panics while it holds this");
        process.as_mut().is_some_and(|it| matches!(it.try_wait(), Ok(None)))
    }

    fn end(&self, signal: &str) {
        let mut process = self.process.lock().expect("no test panics while it holds this");
        let Some(mut child) = process.take() else { return };
        _ = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        _ = child.wait();
        // Its containerd is gone a moment later, and holds the socket as long.
        if let Some(id) = read_id(&self.path("run/containerd/containerd.pid")) {
            wait_until("containerd has ended", || !is_running(id));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Nothing may panic in here, and a test that failed has said so already.
        if self.is_alive() {
            let all = self.try_docker(&["ps", "--all", "--quiet"]).stdout;
            let all: Vec<&str> = all.split_whitespace().collect();
            if !all.is_empty() {
                _ = self.try_docker(&[["rm", "--force", "--volumes"].as_slice(), &all].concat());
            }
        }
        self.end("TERM");
        self.end_orphans();
        self.unmount();
    }
}

impl Daemon {
    /// Ends containers, and what looks after them, where the daemon was killed.
    fn end_orphans(&self) {
        let namespace = self.namespace();
        let root = self.path("run/runtime-runc").join(&namespace);
        for container in fs::read_dir(&root).into_iter().flatten().flatten() {
            // A frozen process does not die of a signal alone: this thaws it, too.
            let mut command = Command::new("runc");
            command.arg("--root").arg(&root).args(["delete", "--force"]);
            _ = command.arg(container.file_name()).output();
        }
        let Ok(processes) = fs::read_dir("/proc") else { return };
        for process in processes.flatten() {
            let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let mut words = words.split(|it| *it == 0);
            let is_shim = words.next().is_some_and(|it| contains(it, b"containerd-shim"));
            if !is_shim || !words.any(|it| it == namespace.as_bytes()) {
                continue;
            }
            _ = Command::new("kill").args(["-s", "KILL"]).arg(process.file_name()).status();
        }
    }

    fn unmount(&self) {
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let points = mounts.lines().filter_map(|it| it.split(' ').nth(1));
        let mut points: Vec<&str> =
            points.filter(|it| Path::new(it).starts_with(self.folder.path())).collect();
        points.reverse(); // the inner ones first
        for point in points {
            _ = Command::new("umount").args(["--lazy", point]).status();
        }
    }
}

fn dockerd() -> &'static str {
    static PLACE: OnceLock<&'static str> = OnceLock::new();
    // Debian keeps it where only root's path looks.
    PLACE.get_or_init(|| {
        let usual = "/usr/sbin/dockerd";
        if Path::new(usual).exists() { usual } else { "dockerd" }
    })
}

fn read_id(file: &Path) -> Option<u32> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Whether a process is there and more than a zombie.
fn is_running(id: u32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{id}/stat")) else { return false };
    !status.rsplit(')').next().is_some_and(|it| it.trim_start().starts_with('Z'))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|it| it == part)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
