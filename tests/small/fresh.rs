//! A home on a machine where nothing runs yet: made by Compose, backed up, gone, and made again.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::home::{IMAGE, write};
use crate::support::{Bench, LABEL, Run, docker, unique};

const PASSWORD: &str = "AB12-CD34-EF56-GH78-IJ90-KL12-MN34";

/// A value that no shell, YAML or Compose leaves alone, and that nobody may see.
const TRICKY: &str = "hunter2 ${HOME} $$x: 'yes' \"no\" #1 \\ ä\n- 0123";

/// A Compose project of a test's own; gone when the test is over, with all that it made.
struct Project {
    bench: Bench,
    /// The folder of its file, which names it.
    name: String,
}

impl Project {
    fn new(what: &str) -> Project {
        let project = Project { bench: Bench::new(), name: unique(what) };
        project.bench.folder(&project.name);
        project
    }

    fn folder(&self) -> PathBuf {
        self.bench.path().join(&self.name)
    }

    fn file(&self) -> String {
        self.folder().join("compose.yaml").display().to_string()
    }

    fn compose(&self, words: &[&str]) -> String {
        let run = Run::from(self.command(words).output().expect("Compose is installed"));
        assert_eq!(run.code, 0, "{words:?}: {}", run.stderr);
        run.stdout
    }

    fn command(&self, words: &[&str]) -> Command {
        let plugin = Command::new("docker").args(["compose", "version"]).output();
        let mut command = match plugin.is_ok_and(|it| it.status.success()) {
            true => Command::new("docker"),
            false => Command::new("docker-compose"),
        };
        if command.get_program() == "docker" {
            command.arg("compose");
        }
        command.args(["-f", &self.file()]).args(words).current_dir(self.folder());
        command
    }

    /// What `docker inspect` says of a service's container.
    fn inspect(&self, service: &str) -> Value {
        let id = self.id(service);
        let text = docker(&["inspect", &id]);
        let all: Value = serde_json::from_str(&text).expect("JSON");
        all[0].clone()
    }

    fn id(&self, service: &str) -> String {
        let service = format!("label=com.docker.compose.service={service}");
        docker(&["ps", "-aq", "--no-trunc", "--filter", &self.filter(), "--filter", &service])
    }

    fn filter(&self) -> String {
        format!("label=com.docker.compose.project={}", self.name)
    }

    fn ids(&self) -> String {
        docker(&["ps", "-aq", "--no-trunc", "--filter", &self.filter()])
    }

    fn volume(&self, name: &str) -> PathBuf {
        let name = format!("{}_{name}", self.name);
        docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", &name]).into()
    }

    /// Runs the program for this project.
    fn hearthkeep(&self, words: &[&str]) -> Run {
        let mut command = self.bench.command(words);
        command.current_dir(self.bench.path()).env_remove("COMPOSE_PROJECT_NAME");
        Run::from(command.output().expect("the program can be started"))
    }

    fn backup(&self, words: &[&str]) -> String {
        let store = self.bench.folder("store").display().to_string();
        let first = ["--json", "--store", &store, "--project", &self.name, "backup"];
        let run = self.hearthkeep(&[&first, words].concat()).ends(0);
        hides(&run);
        run.json()["path"].as_str().expect("a report has a path").to_owned()
    }

    fn password_file(&self) -> String {
        let path = self.bench.path().join("password");
        write(&path, PASSWORD);
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
        path.display().to_string()
    }

    /// The machine is lost: containers, networks, volumes and folders.
    fn burn(&self) {
        self.compose(&["down", "-v", "-t", "0"]);
        fs::remove_dir_all(self.folder()).expect("it is there");
        assert_eq!(self.ids(), "");
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // Nothing may panic in here, and by the project's name alone, since the file may be gone.
        let list = |words: &[&str]| {
            let listed =
                Command::new("docker").args(words).args(["--filter", &self.filter()]).output();
            let text = listed.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
            text.unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let remove = |words: &[&str], names: Vec<String>| {
            for name in names {
                _ = Command::new("docker").args(words).arg(name).output();
            }
        };
        remove(&["rm", "--force", "--volumes"], list(&["ps", "-aq"]));
        remove(&["network", "rm"], list(&["network", "ls", "-q"]));
        remove(&["volume", "rm"], list(&["volume", "ls", "-q"]));
    }
}

fn hides(run: &Run) {
    assert!(!format!("{run:?}").contains("hunter2"), "{run:?}");
}

/// Home Assistant, a broker, and a companion that did not run when it was backed up.
fn lived_in(what: &str) -> Project {
    let project = Project::new(what);
    let (label, version) = LABEL.split_once('=').expect("a key and a value");
    let test = |more: Value| {
        let mut labels = json!({ label: version });
        labels
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().cloned().unwrap_or_default());
        labels
    };
    let file = json!({
        "services": {
            "ha": {
                "image": IMAGE,
                "command": ["http=8123", TRICKY.replace('$', "$$")],
                "restart": "unless-stopped",
                "ports": ["127.0.0.1::22", "127.0.0.1::53/udp"],
                "volumes": ["./config:/config", "./extra.txt:/extra.txt:ro", "share:/share"],
                "environment": {
                    "TRICKY": TRICKY.replace('$', "$$"), "OFF": "off", "NUMBER": "0123", "EMPTY": "",
                },
                "labels": test(json!({
                    "hearthkeep.role": "homeassistant", "io.hass.version": "2026.2.3",
                    "of.mine": "a: $$b",
                    // As Compose 2 notes it, and 1.29 does not.
                    "com.docker.compose.depends_on": "broker:service_healthy:false",
                })),
                "depends_on": ["broker"],
                "stop_grace_period": "5s",
                "cap_add": ["NET_ADMIN"],
                "extra_hosts": ["somewhere:10.0.0.1"],
                "sysctls": { "net.ipv4.ip_unprivileged_port_start": "0" },
                "tmpfs": ["/tmp:size=1m"],
                "shm_size": 1_000_000,
                "hostname": "hearth",
            },
            "broker": {
                "image": IMAGE,
                "container_name": format!("{}-my-broker", project.name),
                "command": ["healthy=/data/healthy"],
                "healthcheck": {
                    "test": ["CMD", "/helper", "check", "healthy=/data/healthy"], "interval": "1s",
                },
                "volumes": ["data:/data"],
                "networks": { "default": { "aliases": ["mqtt"] } },
                "labels": test(json!({})),
                "stop_grace_period": "5s",
            },
            "idle": {
                "image": IMAGE, "volumes": ["./idle:/idle"], "labels": test(json!({})),
            },
        },
        "volumes": { "data": { "labels": test(json!({})) }, "share": { "labels": test(json!({})) } },
        "networks": { "default": { "labels": test(json!({})) } },
    });
    // JSON is YAML.
    write(Path::new(&project.file()), &file.to_string());
    write(&project.folder().join("config/.HA_VERSION"), "2026.2.3");
    write(&project.folder().join("config/www/deep/picture"), "a picture");
    write(&project.folder().join("extra.txt"), "a file alone");
    write(&project.folder().join("idle/kept"), "idle");
    project.compose(&["up", "-d"]);
    project.compose(&["stop", "-t", "0", "idle"]);
    let treasure = write(&project.volume("data").join("treasure"), "gold");
    chown(treasure, Some(1883), Some(1884)).expect("root may give it away");
    write(&project.volume("share").join("song"), "la");
    project
}

/// What counts of a container, whatever it is called and whenever it was made.
fn essence(project: &Project, service: &str) -> Value {
    let it = project.inspect(service);
    let host = &it["HostConfig"];
    let mut labels = it["Config"]["Labels"].as_object().expect("it has labels").clone();
    labels.retain(|key, _| !key.starts_with("com.docker.compose."));
    let mut variables: Vec<String> =
        serde_json::from_value(it["Config"]["Env"].clone()).unwrap_or_default();
    variables.sort();
    let mut mounts: Vec<String> = it["Mounts"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| format!("{} {} {} {}", it["Type"], it["Source"], it["Destination"], it["RW"]))
        .collect();
    mounts.sort();
    let aliases =
        &it["NetworkSettings"]["Networks"][format!("{}_default", project.name)]["Aliases"];
    let mut aliases: Vec<String> = serde_json::from_value(aliases.clone()).unwrap_or_default();
    aliases.retain(|alias| !it["Id"].as_str().is_some_and(|id| id.starts_with(alias.as_str())));
    aliases.sort();
    let config = |key: &str| it["Config"][key].clone();
    let hosts: Vec<Value> =
        ["RestartPolicy", "PortBindings", "CapAdd", "ExtraHosts", "Sysctls", "Tmpfs", "ShmSize"]
            .map(|key| host[key].clone())
            .into();
    let hostname = if service == "ha" { config("Hostname") } else { Value::Null };
    json!([
        it["Name"],
        config("Image"),
        config("Cmd"),
        config("Entrypoint"),
        config("Healthcheck"),
        config("StopTimeout"),
        hostname,
        labels,
        variables,
        mounts,
        aliases,
        hosts,
    ])
}

fn content(project: &Project) -> Vec<Option<String>> {
    let read = |it: PathBuf| fs::read_to_string(it).ok();
    let folder = project.folder();
    vec![
        read(folder.join("config/.HA_VERSION")),
        read(folder.join("config/www/deep/picture")),
        read(folder.join("extra.txt")),
        read(folder.join("idle/kept")),
        read(project.volume("data").join("treasure")),
        read(project.volume("share").join("song")),
    ]
}

fn state(project: &Project, service: &str) -> String {
    project.inspect(service)["State"]["Status"].as_str().expect("a state").to_owned()
}

#[test]
fn a_home_that_burnt_down_is_made_again_from_its_encrypted_backup() {
    let project = lived_in("fresh");
    let services = ["ha", "broker", "idle"];
    let was = services.map(|it| essence(&project, it));
    let had = content(&project);
    assert!(had.iter().all(Option::is_some), "{had:?}");
    let password = project.password_file();
    let backup = project.backup(&["--password-file", &password]);
    let bytes = fs::read(&backup).expect("it can be read");
    assert!(!bytes.windows(7).any(|it| it == b"hunter2"), "a value lies open in the backup");
    project.burn();

    let file = project.file();
    let restore = ["restore", &backup, "--onto", &file, "--password-file", &password];
    for words in [&["--dry-run"][..], &["--dry-run", "--json"]] {
        let run = project.hearthkeep(&[&restore, words].concat()).ends(0);
        hides(&run);
        for told in ["TRICKY", "my-broker", "/data", "shows only when Compose makes"] {
            assert!(run.stdout.contains(told), "{told}: {}", run.stdout);
        }
        assert!(!project.folder().exists() && project.ids().is_empty(), "a dry run made something");
    }
    let run = project.hearthkeep(&[&restore[..], &["--yes", "--json"]].concat()).ends(0);
    hides(&run);
    let mode = fs::metadata(&file).expect("it was written").mode() & 0o777;
    assert_eq!(mode, 0o600, "it holds values");

    assert_eq!(services.map(|it| essence(&project, it)), was);
    assert_eq!(content(&project), had);
    let treasure = fs::metadata(project.volume("data").join("treasure")).expect("it is there");
    assert_eq!((treasure.uid(), treasure.gid()), (1883, 1884));
    assert_eq!(services.map(|it| state(&project, it)), ["running", "running", "created"]);
    assert!(started(&project, "broker") < started(&project, "ha"), "out of order");

    // Compose agrees that all of this is its own, and as it should be.
    let text = project.compose(&["config"]);
    assert!(text.contains("service_healthy"), "{text}");
    let ids = project.ids();
    project.compose(&["up", "-d"]);
    assert_eq!(project.ids(), ids, "Compose made something anew");
}

fn started(project: &Project, service: &str) -> String {
    project.inspect(service)["State"]["StartedAt"].as_str().expect("a time").to_owned()
}

#[test]
fn a_plain_backup_knows_no_values_and_asks_for_them() {
    let project = lived_in("fresh-plain");
    let was = essence(&project, "ha");
    let had = content(&project);
    let backup = project.backup(&[]);
    let bytes = fs::read(&backup).expect("it can be read");
    assert!(!bytes.windows(7).any(|it| it == b"hunter2"), "a value lies in a plain backup");
    project.burn();

    let file = project.file();
    let restore = ["restore", &backup, "--onto", &file, "--yes"];
    let run = project.hearthkeep(&restore).ends(1);
    let error = run.error().to_owned();
    for told in ["was written and stays", "TRICKY", "HA_COMMAND", "BROKER_COMMAND", ".env"] {
        assert!(error.contains(told), "{told}: {error}");
    }
    assert_eq!(project.ids(), "", "something was made");
    let text = fs::read_to_string(&file).expect("it was written");
    assert!(text.contains("      TRICKY: \"${TRICKY:?set it}\"\n"), "{text}");

    // A person fills them in, and it goes on.
    let values = "TRICKY=mine\nOFF=off\nNUMBER=0123\nEMPTY=none\nHA_COMMAND=http=8123\nBROKER_COMMAND=healthy=/data/healthy\n";
    write(&project.folder().join(".env"), values);
    project.hearthkeep(&restore).ends(0);
    assert_eq!(fs::read_to_string(&file).expect("it is there"), text, "it was replaced");
    assert_eq!(content(&project), had);
    let is = essence(&project, "ha");
    let [image, mounts, hosts] = [1, 9, 11];
    assert_eq!([&is[image], &is[mounts], &is[hosts]], [&was[image], &was[mounts], &was[hosts]]);
    assert!(is[8].as_array().expect("a list").contains(&json!("TRICKY=mine")), "{is}");
    assert_eq!(["ha", "broker"].map(|it| state(&project, it)), ["running", "running"]);
}

#[test]
fn what_does_not_come_up_on_a_new_machine_is_taken_away_again() {
    let project = lived_in("fresh-bad");
    let password = project.password_file();
    let backup = project.backup(&["--password-file", &password]);
    let file = project.file();
    let text = fs::read_to_string(&file).expect("it is there");
    project.burn();

    // The file is there already, and by it nothing answers on the port.
    let broken = text.replace("http=8123", "http=8124");
    assert_ne!(broken, text);
    write(Path::new(&file), &broken);
    let restore = ["restore", &backup, "--onto", &file, "--password-file", &password];
    let run = project.hearthkeep(&[&restore[..], &["--yes", "--patience", "3"]].concat()).ends(13);
    hides(&run);
    assert!(run.error().contains("does not answer on port 8123"), "{run:?}");
    assert_eq!(project.ids(), "", "containers are left");
    assert_eq!(fs::read_to_string(&file).expect("it stays"), broken);
    assert!(!project.folder().join("config/.HA_VERSION").exists(), "content is left");
    let networks = docker(&["network", "ls", "-q", "--filter", &project.filter()]);
    assert_eq!(networks, "", "a network is left");
}

#[test]
fn containers_that_are_there_are_used_as_they_are() {
    let project = lived_in("fresh-there");
    let backup = project.backup(&[]);
    let had = content(&project);
    let ids = project.ids();
    let file = project.file();
    let restore = ["restore", &backup, "--onto", &file, "--yes"];
    // Running, and all of it stopped.
    for stop in [false, true] {
        fs::remove_file(project.folder().join("config/www/deep/picture")).expect("it is there");
        if stop {
            project.compose(&["stop", "-t", "0"]);
        }
        project.hearthkeep(&restore).ends(0);
        assert_eq!(project.ids(), ids);
        assert_eq!(content(&project), had);
        let states = ["ha", "broker", "idle"].map(|it| state(&project, it));
        assert_eq!(states, ["running", "running", "exited"]);
    }
    // In another place of the same name Compose would take them for its own.
    let other = project.bench.folder("elsewhere").join(&project.name).join("compose.yaml");
    let other = other.display().to_string();
    let run = project.hearthkeep(&["restore", &backup, "--onto", &other, "--yes"]).ends(1);
    assert!(run.error().contains("another project of the same name"), "{run:?}");
    assert!(!Path::new(&other).exists());
}

#[test]
fn without_compose_a_person_is_told_what_to_run() {
    let project = lived_in("fresh-none");
    let backup = project.backup(&[]);
    project.burn();
    let file = project.file();
    let mut command = project.bench.command(&["restore", &backup, "--onto", &file, "--yes"]);
    let run = Run::from(command.env("PATH", "/nowhere").output().expect("it can be started"));
    let run = run.ends(1);
    let wanted = format!("run `docker compose -f {file} up --no-start`");
    assert!(run.error().contains(&wanted), "{run:?}");
}

#[test]
fn a_backup_of_others_gets_a_file_with_what_is_usual() {
    let project = Project::new("fresh-foreign");
    let archives = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archives");
    let backup = archives.join("supervisor_full_plain_gz.tar").display().to_string();
    let file = project.file();
    let restore = ["restore", &backup, "--onto", &file];
    let run = project.hearthkeep(&[&restore[..], &["--dry-run"]].concat()).ends(0);
    assert!(run.stdout.contains("does not say how its containers were made"), "{}", run.stdout);
    assert!(!Path::new(&file).exists());
    // Nothing answers there, so that no image comes from anywhere.
    let mut command = project.bench.command(&[&restore[..], &["--yes"]].concat());
    let run = Run::from(command.env("DOCKER_HOST", "unix:///nowhere").output().expect("it starts"));
    assert!(run.ends(1).error().contains("/nowhere"));
    project.hearthkeep(&[&restore[..], &["--yes"]].concat()).ends(1);
    let text = project.compose(&["config"]);
    for told in
        ["ghcr.io/home-assistant/home-assistant:", "eclipse-mosquitto", "network_mode: host"]
    {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert_eq!(project.ids(), "");
}
