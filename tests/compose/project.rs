//! A project of `packaging/compose.yaml`, gone when its test is over.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::Value;

use super::image::Image;
use crate::support::home::{Home, IMAGE, VERSION, write};
use crate::support::{Run, docker, wait_until};

/// What is in the home, each with its one volume that the tests look into.
pub(crate) const HOME: [(&str, &str); 4] = [
    ("homeassistant", "homeassistant"),
    ("mosquitto", "mosquitto-data"),
    ("zigbee2mqtt", "zigbee2mqtt"),
    ("mariadb", "mariadb"),
];

const VOLUMES: [&str; 7] = [
    "homeassistant",
    "mosquitto-config",
    "mosquitto-data",
    "mosquitto-log",
    "zigbee2mqtt",
    "mariadb",
    "state",
];

/// A user that is not the one who backs up.
const OTHER: u32 = 1234;

/// Never in the life of a test.
pub(crate) const NEVER: &str = "0 0 29 2 *";

/// What runs in place of the official images.
pub(crate) enum Cast {
    /// The static helper in all of them.
    Helpers,
    /// The lab's images, as far as there are any.
    Real,
}

/// The project, with the image of the project's own Dockerfile.
pub(crate) struct Project {
    /// Folders of the test's own, and a name that nobody else has.
    pub(crate) home: Home,
    image: Arc<Image>,
    cast: Cast,
    schedule: String,
}

impl Project {
    /// Containers that were made and not started.
    pub(crate) fn made(what: &str, cast: Cast, schedule: &str, variables: &[&str]) -> Project {
        let home = Home::empty(what);
        let schedule = schedule.to_owned();
        let project = Project { home, image: Image::shared(), cast, schedule };
        project.home.write("override.yaml", &project.overrides(variables));
        project.compose(&["up", "--no-start"]);
        if let Cast::Helpers = project.cast {
            write(&project.volume("homeassistant").join(".HA_VERSION"), VERSION);
            write(&project.volume("homeassistant").join("configuration.yaml"), "default_config:\n");
            for (_, volume) in HOME {
                let note = write(&project.volume(volume).join("note"), "kept");
                // Of another user, and nobody else may read it.
                chown(&note, Some(OTHER), Some(OTHER)).expect("tests run as root");
                fs::set_permissions(&note, Permissions::from_mode(0o600)).expect("it is there");
            }
        }
        project
    }

    /// A home that runs, and a sidecar that is healthy.
    pub(crate) fn up(what: &str, cast: Cast, schedule: &str, variables: &[&str]) -> Project {
        let project = Project::made(what, cast, schedule, variables);
        project.compose(&["up", "-d"]);
        project.wait_until_served();
        project
    }

    pub(crate) fn wait_until_served(&self) {
        wait_until("the daemon answers", || self.answers());
    }

    /// What a test needs besides: its label on all, and no port of the host.
    fn overrides(&self, variables: &[&str]) -> String {
        let label = "labels: { io.hearthkeep.test: '1' }";
        let mut text = "version: '2.4'\nservices:\n".to_owned();
        for (service, _) in HOME {
            text += &format!("  {service}:\n    {label}\n");
            let command = match (&self.cast, service) {
                (Cast::Helpers, "homeassistant") => "[http=8123]",
                (Cast::Helpers, "mosquitto") => "[tick=/mosquitto/data/ticks]",
                (Cast::Helpers, _) => "[]",
                (Cast::Real, _) => continue,
            };
            text += &format!("    command: {command}\n");
        }
        text += &format!("  hearthkeep:\n    {label}\n");
        // Where a test's own proxy listens.
        text += "    extra_hosts:\n      - socket-proxy:host-gateway\n";
        if !variables.is_empty() {
            text += &format!("    environment:\n      - {}\n", variables.join("\n      - "));
        }
        let volumes = VOLUMES.map(|it| format!("  {it}:\n    {label}\n")).concat();
        format!("{text}volumes:\n{volumes}networks:\n  default:\n    {label}\n")
    }

    fn command(&self, words: &[&str]) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = compose_command();
        command.args(["--project-name", &self.home.project]);
        command.arg("--project-directory").arg(self.home.bench.path());
        command.arg("-f").arg(root.join("packaging/compose.yaml"));
        command.arg("-f").arg(self.home.bench.path().join("override.yaml"));
        let homeassistant = format!("localhost/{}/home-assistant:{VERSION}", self.home.project);
        let (homeassistant, mosquitto, mariadb) = match self.cast {
            Cast::Helpers => {
                self.home.image(&homeassistant);
                (homeassistant.as_str(), IMAGE, IMAGE)
            }
            Cast::Real => (
                "hearthkeep-lab/homeassistant:2026.2.3",
                "hearthkeep-lab/mosquitto:2",
                "hearthkeep-lab/mariadb:11.8",
            ),
        };
        command
            .env("HEARTHKEEP_IMAGE", &self.image.name)
            .env("HOMEASSISTANT_IMAGE", homeassistant)
            .env("MOSQUITTO_IMAGE", mosquitto)
            .env("ZIGBEE2MQTT_IMAGE", IMAGE)
            .env("MARIADB_IMAGE", mariadb)
            .env("MARIADB_ROOT_PASSWORD", "root")
            .env("MARIADB_PASSWORD", "password")
            .env("HOMEASSISTANT_PORT", "0")
            .env("HEARTHKEEP_SCHEDULE", &self.schedule)
            .env("HEARTHKEEP_KEEP", "last=100")
            .env("HEARTHKEEP_PROJECT", &self.home.project)
            .args(words)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn try_compose(&self, words: &[&str]) -> Run {
        self.command(words).output().expect("Compose is installed").into()
    }

    /// Compose, which must succeed.
    pub(crate) fn compose(&self, words: &[&str]) -> String {
        let run = self.try_compose(words);
        assert_eq!(run.code, 0, "{words:?}: {}", run.stderr);
        run.stdout.trim().to_owned()
    }

    /// The program in its container.
    pub(crate) fn exec(&self, words: &[&str]) -> Command {
        self.command(&[&["exec", "-T", "hearthkeep", "hearthkeep"], words].concat())
    }

    pub(crate) fn try_hearthkeep(&self, words: &[&str]) -> Run {
        self.exec(words).output().expect("Compose is installed").into()
    }

    pub(crate) fn json(&self, words: &[&str]) -> Value {
        self.try_hearthkeep(&[&["--json"], words].concat()).ends(0).json()
    }

    /// The slugs of all backups, oldest first.
    pub(crate) fn backups(&self) -> Vec<String> {
        let list = self.json(&["list"]);
        let backups = list["backups"].as_array().expect("a list").iter();
        backups.map(|it| it["slug"].as_str().expect("a slug").to_owned()).collect()
    }

    /// The identifier of a service's container.
    pub(crate) fn container(&self, service: &str) -> String {
        self.compose(&["ps", "-q", service])
    }

    /// The name of a service's container.
    pub(crate) fn name(&self, service: &str) -> String {
        self.inspect(service, "{{.Name}}").trim_start_matches('/').to_owned()
    }

    pub(crate) fn inspect(&self, service: &str, template: &str) -> String {
        docker(&["inspect", "--format", template, &self.container(service)])
    }

    /// The folder of a volume on the host.
    pub(crate) fn volume(&self, name: &str) -> PathBuf {
        let name = format!("{}_{name}", self.home.project);
        docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", &name]).into()
    }

    /// What the note of a volume says, if it is there and as it was.
    pub(crate) fn note(&self, volume: &str) -> Option<String> {
        let path = self.volume(volume).join("note");
        let status = fs::metadata(&path).ok()?;
        assert_eq!((status.uid(), status.gid(), status.mode() & 0o7777), (OTHER, OTHER, 0o600));
        fs::read_to_string(path).ok()
    }

    /// Another note than the one that was backed up, also of another user.
    pub(crate) fn spoil(&self, volume: &str) {
        let path = self.volume(volume).join("note");
        fs::remove_file(&path).expect("it was there");
        write(&path, "lost");
    }

    /// Containers of jobs of this project, also those that have ended.
    pub(crate) fn jobs(&self) -> Vec<String> {
        // Each has the sidecar's state, which nobody else has.
        let volume = format!("volume={}_state", self.home.project);
        let words = ["ps", "--all", "--quiet", "--filter", "label=hearthkeep.job"];
        let ids = docker(&[&words[..], &["--filter", &volume]].concat());
        ids.lines().map(str::to_owned).collect()
    }

    /// What a container of the home is doing. Quicker than by Compose.
    pub(crate) fn home_state(&self, service: &str) -> String {
        let project = format!("label=com.docker.compose.project={}", self.home.project);
        let service = format!("label=com.docker.compose.service={service}");
        docker(&["ps", "-a", "--filter", &project, "--filter", &service, "--format", "{{.State}}"])
    }

    /// Whether the daemon answers, where it runs.
    pub(crate) fn answers(&self) -> bool {
        self.try_hearthkeep(&["status", "--health"]).code == 0
    }

    /// Whether everything of the home runs.
    pub(crate) fn runs(&self) -> bool {
        HOME.iter().all(|(service, _)| self.home_state(service) == "running")
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // Nothing may panic in here, and a test that failed has said so already.
        let volume = format!("volume={}_state", self.home.project);
        let list = ["ps", "-aq", "--filter", "label=hearthkeep.job", "--filter", &volume];
        let listed = Command::new("docker").args(list).output();
        let ids = listed.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
        for id in ids.unwrap_or_default().lines() {
            _ = Command::new("docker").args(["rm", "--force", id]).output();
        }
        _ = self.command(&["down", "--volumes", "--timeout", "5"]).output();
    }
}

/// Either generation of Compose serves.
pub(crate) fn compose_command() -> Command {
    let newer = Command::new("docker").args(["compose", "version"]).output();
    if newer.is_ok_and(|it| it.status.success()) {
        let mut command = Command::new("docker");
        command.arg("compose");
        return command;
    }
    Command::new("docker-compose")
}
