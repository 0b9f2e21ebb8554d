//! A machine with systemd on which the package is installed, beside a home that it can reach.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use serde_json::Value;

use crate::support::home::{ENDLESS, Home, bind, tool};
use crate::support::{LABEL, Run, docker, unique, wait_until};

pub(crate) const IMAGE: &str = "hearthkeep-lab/systemd:bookworm";

/// Where the machine sees the package.
const PACKAGE: &str = "/hearthkeep.deb";

/// Where systemd looks for what an administrator adds to units.
const UNITS: &str = "/etc/systemd/system";

/// The service.
pub(crate) const SERVICE: &str = "hearthkeep.service";

/// The backup of the home that it serves, asked for by a unit.
pub(crate) const BACKUP: &str = "hearthkeep-backup.service";

/// A machine; gone when it is dropped.
pub(crate) struct Machine {
    name: String,
    store: PathBuf,
    home: String,
}

impl Machine {
    /// Boots a machine without the package, which sees what the home has at the same places as the
    /// engine does.
    pub(crate) fn boot(home: &Home) -> Machine {
        Machine::boot_with(home, &[])
    }

    /// The same, with more words for `docker run`.
    fn boot_with(home: &Home, options: &[&str]) -> Machine {
        let machine = Machine {
            name: unique("machine"),
            store: home.bench.folder("store"),
            home: home.homeassistant(),
        };
        let volumes = docker(&["info", "--format", "{{.DockerRootDir}}/volumes"]);
        let volumes = bind(Path::new(&volumes), &volumes);
        let bench = home.bench.path().display().to_string();
        let bench = bind(home.bench.path(), &bench);
        let package = format!("{}:{PACKAGE}:ro", package().display());
        let mut words = vec!["run", "--detach", "--name", &machine.name, "--label", LABEL];
        // What systemd needs as process 1, and has on a machine of its own.
        words.extend(["--stop-signal", "RTMIN+3", "--cgroupns", "host"]);
        words.extend(["--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE"]);
        words.extend(["--security-opt", "seccomp=unconfined"]);
        words.extend(["--security-opt", "apparmor=unconfined"]);
        words.extend(["--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp"]);
        words.extend(["--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"]);
        words.extend(["--volume", "/var/run/docker.sock:/var/run/docker.sock"]);
        words.extend(["--volume", &volumes, "--volume", &bench, "--volume", &package]);
        words.extend(options);
        words.push(IMAGE);
        docker(&words);
        machine.wait_for_boot();
        machine
    }

    /// A machine with the package, whose service knows the home and stores in the bench.
    pub(crate) fn new(home: &Home) -> Machine {
        let machine = Machine::boot(home);
        machine.install();
        machine.settings(&machine.usual_settings());
        machine.ok(&["systemctl", "restart", SERVICE]);
        machine
    }

    /// The same for who wants no service: timers and units do it all.
    pub(crate) fn without_service(home: &Home) -> Machine {
        // Copies of containers can be reached by the host alone.
        let machine = Machine::boot_with(home, &["--network", "host"]);
        machine.install();
        machine.settings(&machine.usual_settings());
        machine.ok(&["systemctl", "disable", "--now", SERVICE, "hearthkeep.socket"]);
        machine
    }

    pub(crate) fn install(&self) -> String {
        self.ok(&["dpkg", "--install", PACKAGE])
    }

    /// Which home, and where its backups go; for an endless one, no room for copies.
    pub(crate) fn usual_settings(&self) -> String {
        let mut settings = format!("home: {}\nstore: {}\n", self.home, self.store.display());
        let config = self.store.with_file_name("config");
        if config.join(ENDLESS).exists() {
            settings += "staging: /proc\n";
        }
        settings
    }

    pub(crate) fn settings(&self, text: &str) {
        self.write("/etc/hearthkeep/config.yaml", text);
    }

    /// Writes a file on the machine, with the folders around it.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        crate::support::home::write(file.path(), text);
        let folder = Path::new(path).parent().expect("a file has a folder");
        self.ok(&["mkdir", "--parents", &folder.display().to_string()]);
        self.copy(file.path(), path);
        self.ok(&["chown", "root:root", path]);
    }

    /// Copies a file of the host to the machine.
    pub(crate) fn copy(&self, from: &Path, to: &str) {
        docker(&["cp", &from.display().to_string(), &format!("{}:{to}", self.name)]);
    }

    /// What the program says of incidents.
    pub(crate) fn incidents(&self) -> Vec<Value> {
        let status = self.run(&["hearthkeep", "status", "--json"]).stdout;
        let status: Value = serde_json::from_str(&status).expect("it is JSON");
        status["incidents"].as_array().expect("a list").clone()
    }

    /// Adds to a unit, as `systemctl edit` does.
    pub(crate) fn edit(&self, unit: &str, text: &str) {
        self.write(&format!("{UNITS}/{unit}.d/test.conf"), text);
        self.ok(&["systemctl", "daemon-reload"]);
    }

    /// Runs a program on the machine.
    pub(crate) fn run(&self, words: &[&str]) -> Run {
        let mut command = Command::new("docker");
        command.args(["exec", &self.name]).args(words).stdin(Stdio::null());
        command.output().expect("docker is installed").into()
    }

    /// Runs a program on the machine, which must succeed; gives what it says.
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let run = self.run(words);
        assert_eq!(run.code, 0, "{words:?}: {run:?}\n{}", self.journal());
        run.stdout + &run.stderr
    }

    /// A property of a unit.
    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        self.ok(&["systemctl", "show", "--value", "--property", name, unit]).trim().to_owned()
    }

    /// `active`, `activating`, `failed` …
    pub(crate) fn state(&self, unit: &str) -> String {
        self.property(unit, "ActiveState")
    }

    /// The main process of the service, as the machine's processes number it.
    pub(crate) fn main_process(&self) -> String {
        self.property(SERVICE, "MainPID")
    }

    /// All that the units of the program have said.
    pub(crate) fn journal(&self) -> String {
        self.run(&["journalctl", "--no-pager", "--output", "cat", "--unit", "hearthkeep*"]).stdout
    }

    /// Waits with a deadline; what the machine says is in the failure.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let since = Instant::now();
        let last = crate::support::DEADLINE * 9 / 10;
        wait_until(what, || {
            let is_so = is_so();
            assert!(is_so || since.elapsed() < last, "until {what}: {}", self.journal());
            is_so
        });
    }

    /// Has a unit make the endless backup, and waits until everything is held.
    pub(crate) fn hold(&self, home: &Home) {
        self.ok(&["systemctl", "start", "--no-block", BACKUP]);
        self.wait_until("it is held", || home.state("homeassistant") == "paused");
        self.wait_until("a file is begun", || !self.stored().is_empty());
    }

    /// Starts a timer so that it is due at once.
    pub(crate) fn start_timer(&self, timer: &str) {
        let soon = "[Timer]\nOnCalendar=\nOnActiveSec=1s\nRandomizedDelaySec=0\nAccuracySec=1us\n";
        self.edit(timer, soon);
        self.ok(&["systemctl", "start", timer]);
    }

    /// Waits until a unit that runs once has done so, and well.
    pub(crate) fn wait_for_success(&self, unit: &str) {
        self.wait_until(&format!("{unit} has run"), || {
            !self.property(unit, "ExecMainExitTimestamp").is_empty()
                && !self.state(unit).contains("activating")
        });
        assert_eq!(self.property(unit, "Result"), "success", "{}", self.journal());
    }

    /// The backups in the store, as the program lists them.
    pub(crate) fn listed(&self) -> Vec<Value> {
        let list = self.ok(&["hearthkeep", "list", "--json", "--quiet"]);
        let list: Value = serde_json::from_str(&list).expect("it is JSON");
        list["backups"].as_array().expect("a list").clone()
    }

    /// Leaves a hold open, as a power cut does: a run is killed with its guardian.
    pub(crate) fn lose_a_run(&self, home: &Home) {
        let run = "HEARTHKEEP_TEST_NO_GUARDIAN=1 hearthkeep backup >/dev/null 2>&1 & echo $!";
        let process = self.ok(&["sh", "-c", run]);
        self.wait_until("it is held", || home.state("homeassistant") == "paused");
        self.wait_until("a file is begun", || !self.stored().is_empty());
        self.ok(&["sh", "-c", &format!("kill -s KILL {}", process.trim())]);
    }

    /// Takes the power away, and gives it back.
    pub(crate) fn reboot(&self) {
        docker(&["kill", &self.name]);
        docker(&["start", &self.name]);
        self.wait_for_boot();
    }

    fn wait_for_boot(&self) {
        self.wait_until("it has booted", || {
            self.run(&["systemctl", "is-system-running"]).stdout.trim() == "running"
        });
        // As on a machine of its own: else systemd cannot hand on credentials.
        self.ok(&["mount", "--make-rshared", "/"]);
    }

    /// The names in the store.
    pub(crate) fn stored(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.store).expect("the store is there");
        let name = |it: fs::DirEntry| it.file_name().to_string_lossy().into_owned();
        entries.map(|it| name(it.expect("it can be read"))).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Nothing may panic in here. Its containers are others' and have guards of their own.
        _ = Command::new("docker").args(["rm", "--force", "--volumes", &self.name]).output();
    }
}

/// The package, made once a run from the program under test.
pub(crate) fn package() -> PathBuf {
    static PACKAGE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let made = || {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = env!("CARGO_BIN_EXE_hearthkeep");
        tool(&project.join("packaging/words").display().to_string(), &[program]);
        // The tool takes a program from a folder called release alone.
        let target = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(target.path().join("release")).expect("a folder");
        let there = target.path().join("release/hearthkeep");
        fs::copy(program, there).expect("there is room");
        let package = target.path().join("hearthkeep.deb");
        let output = Command::new(env!("CARGO"))
            .args(["deb", "--no-build", "--fast", "--offline", "--locked", "--output"])
            .arg(&package)
            .env("CARGO_TARGET_DIR", target.path())
            .current_dir(project)
            .output()
            .expect("cargo can be started");
        Run::from(output).ends(0);
        (target, package)
    };
    PACKAGE.get_or_init(made).1.clone()
}
