//! Which mounts are backed up, in which part, and which are left out and why.

use std::path::Path;

use serde_json::Value;

use crate::layout;
use crate::support::docker;
use crate::support::home::{Home, IMAGE, VERSION, bind, write};

/// The plan of a home.
struct Plan(Value);

impl Plan {
    fn of(home: &Home) -> Plan {
        Plan(home.hearthkeep(&["--json", "plan"]).ends(0).json())
    }

    fn list(&self, key: &str) -> &[Value] {
        self.0[key].as_array().unwrap_or_else(|| panic!("{key}: {}", self.0))
    }

    /// The paths in the containers that an item has; nothing where there is no such item.
    fn paths(&self, item: &str) -> Vec<&str> {
        let found = self.list("items").iter().find(|it| it["item"] == item);
        let mounts = found.and_then(|it| it["mounts"].as_array()).into_iter().flatten();
        mounts.filter_map(|it| it["path"].as_str()).collect()
    }

    fn items(&self) -> Vec<&str> {
        self.list("items").iter().filter_map(|it| it["item"].as_str()).collect()
    }

    /// Why a container's path is left out.
    fn why(&self, container: &str, path: &str) -> &str {
        let found = self
            .list("left_out")
            .iter()
            .find(|it| it["container"] == container && it["what"] == path);
        let found = found.unwrap_or_else(|| panic!("{path} is not left out: {}", self.0));
        found["why"].as_str().expect("a reason is text")
    }
}

#[test]
fn what_belongs_to_the_host_is_left_out_with_its_reason() {
    let root = docker(&["info", "--format", "{{.DockerRootDir}}"]);
    let home = Home::empty("host");
    home.write("config/.HA_VERSION", VERSION);
    let zone = bind(&home.write("zone", "UTC"), "/etc/localtime:ro");
    let bus = bind(&home.bench.folder("bus"), "/run/dbus:ro");
    let config = bind(&home.config(), "/config");
    let data = bind(&home.bench.folder("data"), "/data");
    let engine = format!("{root}:/engine:ro");
    let volumes = format!("{root}/volumes:/volumes:ro");
    let binds = [
        "/var/run/docker.sock:/var/run/docker.sock",
        "/var/run/docker.sock:/other/docker.sock:ro",
        "/proc:/host/proc:ro",
        "/sys:/host/sys:ro",
        "/dev:/host/dev:ro",
        "/dev/null:/dev/ttyUSB0",
        "/run:/host/run:ro",
        "/:/host/root:ro",
        &engine,
        &volumes,
        &zone,
        &bus,
        &config,
        &data,
    ];
    let mut options = vec!["--tmpfs", "/scratch"];
    options.extend(binds.iter().flat_map(|it| ["--volume", it]));
    let name = home.run_homeassistant(&options);

    let plan = Plan::of(&home);
    for (path, why) in [
        ("/var/run/docker.sock", "the Docker socket"),
        ("/other/docker.sock", "the Docker socket"),
        ("/host/proc", "kernel"),
        ("/host/sys", "kernel"),
        ("/host/dev", "device"),
        ("/dev/ttyUSB0", "device"),
        ("/host/run", "runtime state of the host"),
        ("/run/dbus", "runtime state of the host"),
        ("/host/root", "the whole host"),
        ("/engine", "the whole host"),
        ("/volumes", "the engine's own files"),
        ("/etc/localtime", "time zone of the host"),
        ("/scratch", "memory, gone with the container anyway"),
    ] {
        assert_eq!(plan.why(&name, path), why, "{path}");
    }
    assert_eq!(plan.list("left_out").len(), 13, "{:?}", plan.list("left_out"));
    assert_eq!(plan.items(), ["homeassistant", "homeassistant_other"]);
    assert_eq!(plan.paths("homeassistant"), ["/config"]);
    assert_eq!(plan.paths("homeassistant_other"), ["/data"]);
}

#[test]
fn home_assistant_is_found_by_the_version_in_its_volume() {
    let home = Home::empty("by-file");
    let volume = home.volume("config");
    let folder = docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", &volume]);
    write(&Path::new(&folder).join(".HA_VERSION"), VERSION);
    let name = home.run(
        "homeassistant",
        &["--volume", &format!("{volume}:/config")],
        IMAGE,
        &["http=8123"],
    );
    let data = home.volume("data");
    home.run("bridge", &["--volume", &format!("{data}:/data")], IMAGE, &[]);
    let plan = Plan::of(&home);
    assert_eq!(plan.0["homeassistant"], name);
    assert_eq!(plan.0["version"], VERSION);
    assert_eq!(plan.0["store"], format!("{folder}/backups"));
    let volumes: Vec<&Value> =
        plan.list("items").iter().map(|it| &it["mounts"][0]["volume"]).collect();
    assert_eq!(volumes, [&volume, &data]);

    // And it comes back.
    let backup = home.backup(&[]);
    write(&Path::new(&folder).join(".HA_VERSION"), "0");
    let backup = backup.to_str().expect("a plain path");
    let run = home.hearthkeep(&["restore", backup, "--yes"]).ends(0);
    let note = "the backup was made by Home Assistant 2026.2.3, this home has 0";
    assert!(run.stdout.contains(note), "{}", run.stdout);
    let version = std::fs::read_to_string(Path::new(&folder).join(".HA_VERSION"));
    assert_eq!(version.expect("it is there"), VERSION);
}

#[test]
fn a_mount_of_two_containers_is_taken_once() {
    let home = Home::new("shared");
    home.write("config/zigbee/state", "inside");
    let whole = bind(&home.config(), "/ha");
    let part = bind(&home.config().join("zigbee"), "/zigbee");
    let editor = home.run("editor", &["--volume", &whole], IMAGE, &[]);
    let bridge = home.run("bridge", &["--volume", &part], IMAGE, &[]);
    let common = bind(&home.bench.folder("common"), "/common");
    let first = home.run("first", &["--volume", &common], IMAGE, &[]);
    let second = home.run("second", &["--volume", &common], IMAGE, &[]);
    let plan = Plan::of(&home);
    assert_eq!(plan.items(), ["homeassistant", "first"]);
    assert_eq!(plan.why(&editor, "/ha"), "shared with homeassistant, where it is backed up");
    assert_eq!(plan.why(&bridge, "/zigbee"), "lies inside homeassistant, where it is backed up");
    assert_eq!(plan.why(&second, "/common"), "shared with first, where it is backed up");
    assert_eq!(plan.paths("first"), ["/common"]);
    // All who can write what is backed up are held.
    for name in [&editor, &bridge, &first, &second] {
        let container = plan.list("containers").iter().find(|it| it["name"] == *name);
        assert_eq!(container.expect("it is in the plan")["hold"], "pause", "{name}");
    }
}

#[test]
fn folders_and_companions_have_parts_of_their_own() {
    let home = layout::full_home("parts-plan");
    let plan = Plan::of(&home);
    let kinds: Vec<(&str, &str)> = plan
        .list("items")
        .iter()
        .map(|it| (it["item"].as_str().unwrap_or(""), it["kind"].as_str().unwrap_or("")))
        .collect();
    let wanted = [
        ("homeassistant", "homeassistant"),
        ("core_mosquitto", "addon"),
        ("addons/local", "folder"),
        ("media", "folder"),
        ("share", "folder"),
        ("ssl", "folder"),
        ("homeassistant_other", "private"),
        ("bridge", "private"),
    ];
    assert_eq!(kinds, wanted);
    let paths = ["/config", "/config/secrets.yaml", "/config/www"];
    assert_eq!(plan.paths("homeassistant"), paths);
    assert_eq!(plan.paths("core_mosquitto"), ["/mosquitto/config", "/mosquitto/data"]);
}

#[test]
fn a_container_that_is_not_wanted_is_left_alone() {
    let home = Home::new("disabled");
    home.companion("metrics", &["--label", "hearthkeep.enable=false"]);
    home.run("empty", &[], IMAGE, &[]);
    let plan = Plan::of(&home);
    assert_eq!(plan.items(), ["homeassistant"]);
    assert_eq!(plan.why(&home.name("empty"), "all of it"), "nothing of its own is mounted into it");
    let metrics = home.name("metrics");
    assert!(plan.list("containers").iter().all(|it| it["name"] != metrics), "{}", plan.0);
}

#[test]
fn two_ways_to_one_folder_are_one_mount() {
    let home = Home::new("two-ways");
    let real = home.bench.folder("common");
    let link = home.bench.path().join("link");
    std::os::unix::fs::symlink(&real, &link).expect("a link");
    home.write("common/file", "once");
    home.run("first", &["--volume", &bind(&real, "/data")], IMAGE, &[]);
    let second = home.run("second", &["--volume", &bind(&link, "/data")], IMAGE, &[]);
    let plan = Plan::of(&home);
    assert_eq!(plan.items(), ["homeassistant", "first"]);
    assert_eq!(plan.why(&second, "/data"), "shared with first, where it is backed up");
}
