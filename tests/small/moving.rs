//! From the Supervisor onto containers: what its add-ons kept gets to where the containers of the
//! same programs keep it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use serde_json::json;

use crate::layout::full_home;
use crate::support::home::{Home, bind};
use crate::support::supervisor::{addon, backup, homeassistant};
use crate::tree::{assert_same, look};

const BRIDGE: &str = "45df7312_zigbee2mqtt";

/// Owner and group of something on the bench.
fn owner(home: &Home, path: &str) -> (u32, u32) {
    let status = fs::symlink_metadata(home.bench.path().join(path)).expect("it is there");
    (status.uid(), status.gid())
}

fn give(home: &Home, path: &str, owner: (u32, u32)) {
    chown(home.bench.path().join(path), Some(owner.0), Some(owner.1)).expect("root may");
}

/// A container that is taken for a known companion, on a folder of the bench of its name.
fn known(home: &Home, service: &str, image: &str, path: &str, options: &[&str]) {
    let image = home.image(&format!("hearthkeep-test/{}/{image}", home.project));
    let data = bind(&home.bench.folder(service), path);
    home.run(service, &[&["--volume", data.as_str()], options].concat(), &image, &[]);
}

fn written(home: &Home, parts: &[crate::support::supervisor::Part<'_>]) -> String {
    backup(&home.bench.path().join("moving.tar"), parts).display().to_string()
}

#[test]
fn full_backups_of_the_supervisor_restore_onto_a_home_with_a_broker() {
    for name in ["supervisor_full_plain_gz", "supervisor_full_sec3_gz"] {
        let home = full_home("supervisor");
        home.write("config/.HA_VERSION", "2026.11.0");
        let archives = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archives");
        let file = archives.join(name).with_extension("tar").display().to_string();
        let mut command = home.command(&["--json", "restore", &file, "--yes"]);
        command.env("HEARTHKEEP_PASSWORD", "hunter2");
        let run = crate::support::Run::from(command.output().expect("it can be started"));
        let report = run.ends(3).json();
        // Nothing but what the add-on had beside its data.
        let wanted = "config: no container has a mount for it; not restored";
        assert_eq!(report["warnings"], json!([wanted]), "{name}");
        let read = |path: &str| home.read(path).unwrap_or_else(|| panic!("{name}: {path}"));
        assert!(read("mosquitto/mosquitto.db").starts_with("dbdbdbdb"), "{name}");
        assert_eq!(read("mosquitto-config/mosquitto.conf"), "listener 1883", "{name}");
        for path in ["mosquitto", "mosquitto/mosquitto.db"] {
            assert_eq!(owner(&home, path), (1883, 1883), "{name}: {path}");
        }
        for (path, content) in [
            ("config/configuration.yaml", "default_config:\n"),
            ("share/s.txt", "share\n"),
            ("ssl/fullchain.pem", "CERT\n"),
            ("media/m.txt", "media\n"),
            ("addons/local/my_addon/config.yaml", "name: my\n"),
            ("bridge/state", "bridge"),
        ] {
            assert_eq!(read(path), content, "{name}: {path}");
            assert_eq!(owner(&home, path), (0, 0), "{name}: {path}");
        }
        assert_eq!(home.read("config/homeassistant.json"), None, "{name}");
        for container in ["homeassistant", "broker", "bridge"] {
            assert_eq!(home.state(container), "running", "{name}");
        }
    }
}

#[test]
fn what_add_ons_kept_in_home_assistants_folder_gets_to_their_containers() {
    let home = Home::new("across");
    known(&home, "bridge", "koenkk/zigbee2mqtt:2.1.0", "/app/data", &[]);
    known(&home, "builder", "esphome/esphome:2026.1", "/config", &[]);
    home.write("bridge/old", "old");
    give(&home, "bridge", (1234, 567));
    let options = json!({ "data_path": "/config/zigbee2mqtt" });
    let file = written(
        &home,
        &[
            homeassistant(&[
                ("data/zigbee2mqtt/", ""),
                ("data/zigbee2mqtt/database.db", "{\"id\":1}"),
                ("data/zigbee2mqtt/deep/er", "deep"),
                ("data/zigbee2mqtt-other", "beside"),
                ("data/esphome/lamp.yaml", "esphome:\n"),
            ]),
            addon(BRIDGE, &options, &[("config/", ""), ("config/stale", "left over")]),
            addon("15ef4d2f_esphome", &json!({}), &[("data/cache", "built")]),
        ],
    );
    let plan = home.hearthkeep(&["restore", &file, "--dry-run"]).ends(0).stdout;
    assert!(plan.contains("homeassistant/data/zigbee2mqtt; owner 1234:567"), "{plan}");
    home.hearthkeep(&["restore", &file, "--yes"]).ends(0);
    assert_eq!(home.read("bridge/database.db").as_deref(), Some("{\"id\":1}"));
    assert_eq!(home.read("bridge/deep/er").as_deref(), Some("deep"));
    for gone in ["bridge/old", "bridge/stale", "bridge/options.json", "config/zigbee2mqtt"] {
        assert!(!home.bench.path().join(gone).exists(), "{gone}");
    }
    for path in ["bridge", "bridge/database.db", "bridge/deep", "bridge/deep/er"] {
        assert_eq!(owner(&home, path), (1234, 567), "{path}");
    }
    assert_eq!(home.read("builder/lamp.yaml").as_deref(), Some("esphome:\n"));
    assert_eq!(home.read("config/zigbee2mqtt-other").as_deref(), Some("beside"));
    assert!(!home.bench.path().join("config/esphome").exists());

    // One of them alone, and Home Assistant alone.
    home.write("bridge/database.db", "damaged");
    home.write("config/mine", "mine");
    let started = home.started("homeassistant");
    home.hearthkeep(&["restore", &file, "--only", "zigbee2mqtt", "--yes"]).ends(0);
    assert_eq!(home.read("bridge/database.db").as_deref(), Some("{\"id\":1}"));
    assert_eq!(home.read("config/mine").as_deref(), Some("mine"));
    assert_eq!(home.started("homeassistant"), started, "it has nothing to do with it");
    home.write("bridge/database.db", "newer");
    let only = ["--json", "restore", &file, "--only", "homeassistant", "--yes"];
    let notes = home.hearthkeep(&only).ends(0).json()["notes"].to_string();
    assert!(notes.contains("data/zigbee2mqtt") && notes.contains(&home.name("bridge")), "{notes}");
    assert_eq!(home.read("bridge/database.db").as_deref(), Some("newer"));
    assert!(home.bench.path().join("config/zigbee2mqtt/database.db").exists());
}

#[test]
fn content_inside_a_mount_leaves_the_rest_of_it_alone() {
    let home = Home::new("inside-mount");
    known(&home, "broker", "eclipse-mosquitto:2", "/mosquitto", &[]);
    known(&home, "cameras", "blakeblackshear/frigate:0.16", "/config", &[]);
    home.write("broker/config/mosquitto.conf", "listener 1883");
    home.write("broker/data/old.db", "old");
    home.write("cameras/frigate.db", "events");
    give(&home, "broker", (1883, 1883));
    let folder = home.bench.path().join("broker");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o2771)).expect("a mode");
    let (conf, cameras) = (look(&folder.join("config")), look(&home.bench.path().join("cameras")));
    let top = look(&folder)[&b""[..]].clone();
    let file = written(
        &home,
        &[
            homeassistant(&[("data/frigate.yml", "mqtt:\n")]),
            addon("core_mosquitto", &json!({}), &[("data/mosquitto.db", "retained")]),
            addon("ccab4aaf_frigate", &json!({}), &[]),
        ],
    );
    home.hearthkeep(&["restore", &file, "--yes"]).ends(0);
    assert_eq!(home.read("broker/data/mosquitto.db").as_deref(), Some("retained"));
    assert_eq!(owner(&home, "broker/data/mosquitto.db"), (1883, 1883));
    assert!(!folder.join("data/old.db").exists());
    assert_same(&conf, &look(&folder.join("config")));
    assert_eq!(look(&folder)[&b""[..]], top, "the mount's own attributes");
    assert_eq!(home.read("cameras/config.yml").as_deref(), Some("mqtt:\n"));
    assert_eq!(home.read("config/frigate.yml"), None);
    let mut after = look(&home.bench.path().join("cameras"));
    after.remove(&b"config.yml"[..]);
    assert_same(&cameras, &after);

    // A home that does not come up gets all of it back.
    home.write("broker/data/mosquitto.db", "newer");
    let was = (look(&folder), look(&home.bench.path().join("cameras")));
    let broken = ("data/configuration.yaml", "http:\n  server_port: 9\n");
    let retained = [("data/mosquitto.db", "retained")];
    let parts = [
        homeassistant(&[broken, ("data/frigate.yml", "other:\n")]),
        addon("core_mosquitto", &json!({}), &retained),
        addon("ccab4aaf_frigate", &json!({}), &[]),
    ];
    let file = written(&home, &parts);
    home.hearthkeep(&["restore", &file, "--yes", "--patience", "1"]).ends(13);
    assert_same(&was.0, &look(&folder));
    assert_same(&was.1, &look(&home.bench.path().join("cameras")));
}

#[test]
fn a_map_is_followed_and_a_bad_one_refused() {
    let home = Home::new("map");
    home.companion("tool", &[]);
    home.write("tool/old", "old");
    let parts =
        [homeassistant(&[("data/tool/state", "moved")]), addon("1a2b3c4d_tool", &json!({}), &[])];
    let file = written(&home, &parts);
    let map = home.write("map.yaml", "");
    let map = map.to_str().expect("a plain path");
    let restore = ["restore", &file, "--map", map, "--yes"];
    for (text, wanted) in [
        ("tool:\n  part: 1a2b3c4d_tool\n  pahts: {}\n", "line 3"),
        ("toool: { part: 1a2b3c4d_tool }\n", "\"toool\""),
    ] {
        home.write("map.yaml", text);
        let run = home.hearthkeep(&restore).ends(78);
        assert!(run.error().contains(wanted), "{}", run.error());
    }
    let missing = home.hearthkeep(&["restore", &file, "--map", "/none.yaml", "--yes"]).ends(78);
    assert!(missing.error().contains("/none.yaml"), "{}", missing.error());
    assert_eq!(home.read("tool/old").as_deref(), Some("old"));
    let text = "tool:
  part: 1a2b3c4d_tool
  paths:
    homeassistant:data/tool: /data
  owner: 70:71
";
    home.write("map.yaml", text);
    home.hearthkeep(&restore).ends(0);
    assert_eq!(home.read("tool/state").as_deref(), Some("moved"));
    assert_eq!(owner(&home, "tool/state"), (70, 71));
    assert_eq!((home.read("tool/old"), home.read("config/tool/state")), (None, None));
}

#[test]
fn files_of_our_own_backups_stay_whose_they_were() {
    let home = Home::new("owners");
    known(&home, "broker", "eclipse-mosquitto:2", "/mosquitto/data", &[]);
    let single = home.write("single.conf", "a file");
    let mount = bind(&single, "/etc/single.conf");
    let volume = home.volume("cluster");
    home.companion("database", &["--volume", &mount, "--volume", &format!("{volume}:/var/lib/x")]);
    for (path, owner) in [
        ("broker/mosquitto.db", (1883, 1883)),
        ("database/base/1", (70, 70)),
        ("database/pg_hba.conf", (999, 999)),
        ("single.conf", (472, 0)),
        ("database/nobody", (65_534, 65_534)),
        ("database/high", (4_000_000_000, 100_000)),
    ] {
        if path != "single.conf" {
            home.write(path, path);
        }
        give(&home, path, owner);
    }
    give(&home, "broker", (1883, 1883));
    give(&home, "database", (70, 70));
    give(&home, "database/base", (70, 0));
    let folders = ["broker", "database"].map(|it| home.bench.path().join(it));
    let was = folders.each_ref().map(|it| look(it));
    let was_single = look(&single);
    let file = home.backup(&[]).display().to_string();
    // The mounts belong to others by then.
    for path in ["broker", "broker/mosquitto.db", "database", "database/base/1", "single.conf"] {
        give(&home, path, (5, 6));
    }
    home.write("single.conf", "damaged");
    home.hearthkeep(&["restore", &file, "--yes"]).ends(0);
    for (was, folder) in was.iter().zip(&folders) {
        assert_same(was, &look(folder));
    }
    assert_same(&was_single, &look(&single));
}
