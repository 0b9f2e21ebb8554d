//! What a move from the Supervisor leaves to be done, as tables: files of a backup and containers in,
//! things to do out.

use std::collections::BTreeMap;

use hearthkeep::companions::handover::{Change, Clues, Scene, ToDo, to_do};
use hearthkeep::model::{Container, Item};
use serde_json::{Value, json};

use super::facts::{container, with_volume};

const SECRET: &str = "hunter-two";

/// A world of files and containers.
#[derive(Clone, Default)]
struct World {
    clues: Clues,
    twins: Vec<(&'static str, Container)>,
    addons: Vec<String>,
}

impl World {
    fn file(mut self, path: &str, text: &str) -> World {
        self.clues.add(Item::HomeAssistant, path.to_owned(), text.to_owned());
        self
    }

    fn addon(mut self, id: &'static str, options: &Value, twin: Option<Container>) -> World {
        let json = json!({ "user": { "options": options } }).to_string();
        self.clues.add(Item::Companion(id.to_owned()), "addon.json".to_owned(), json);
        self.addons.push(id.to_owned());
        self.twins.extend(twin.map(|it| (id, it)));
        self
    }

    fn part_file(mut self, id: &str, path: &str, text: &str) -> World {
        self.clues.add(Item::Companion(id.to_owned()), path.to_owned(), text.to_owned());
        self
    }

    fn to_do(&self, home: &Container) -> Vec<ToDo> {
        let twins: BTreeMap<String, &Container> =
            self.twins.iter().map(|(id, it)| ((*id).to_owned(), it)).collect();
        let addons = self.addons.clone();
        let all = to_do(&Scene { clues: &self.clues, homeassistant: Some(home), twins, addons });
        for it in &all {
            let told = format!("{it} {it:?} {}", json!(it));
            assert!(!told.contains(SECRET), "{told}");
        }
        all
    }
}

fn on(networks: &[&str], mut container: Container) -> Container {
    container.networks = networks.iter().map(|it| (*it).to_owned()).collect();
    container
}

fn on_host(mut container: Container) -> Container {
    container.host_network = true;
    container
}

/// The names that take the place of `core-mariadb`, or what is told instead.
fn host(home: &Container, twin: Option<Container>) -> Result<String, String> {
    let text = format!("recorder:\n  db_url: mysql://u:{SECRET}@core-mariadb/ha\n");
    let world = World::default().file("data/configuration.yaml", &text);
    let world = world.addon("core_mariadb", &json!({}), twin);
    let all = world.to_do(home);
    let first = &all[0];
    assert_eq!(first.place, "homeassistant: data/configuration.yaml, line 2");
    assert_eq!(first.automatic, first.change.is_some());
    match &first.change {
        Some(Change::Host { from, to, .. }) => {
            assert_eq!(from, "core-mariadb");
            Ok(to.clone())
        }
        _ => Err(first.how.clone()),
    }
}

#[test]
fn a_host_name_becomes_another_only_where_that_is_without_doubt() {
    let home = |networks: &[&str]| on(networks, container("ha", "x"));
    let db = |networks: &[&str]| on(networks, container("db", "mariadb"));
    let service = |networks: &[&str]| {
        super::facts::in_project(
            on(networks, container("home-db-1", "mariadb")),
            "home",
            "database",
        )
    };
    let name = |it: &str| Ok(it.to_owned());
    assert_eq!(host(&home(&["net"]), Some(db(&["net", "x"]))), name("db"));
    assert_eq!(host(&home(&["net"]), Some(service(&["net"]))), name("database"));
    assert_eq!(host(&on_host(home(&[])), Some(on_host(db(&[])))), name("localhost"));
    let mut joined = db(&[]);
    joined.joined_network = Some("ha".to_owned());
    assert_eq!(host(&home(&["net"]), Some(joined)), name("localhost"));
    let doubtful = [
        (home(&["bridge"]), db(&["bridge"])),
        (home(&["one"]), db(&["other"])),
        (on_host(home(&[])), db(&["net"])),
        (home(&["net"]), on_host(db(&[]))),
    ];
    for (home, db) in doubtful {
        let told = host(&home, Some(db)).expect_err("nobody can know that");
        assert_eq!(told, "write how db is reached from ha");
    }
    let told = host(&home(&["net"]), None).expect_err("nothing is there");
    assert!(told.contains("no container here stands for it"), "{told}");
}

/// The things to do of one add-on with a container: their places, and what is done by itself.
fn of_addon(world: &World) -> Vec<(String, Option<Change>)> {
    let home = container("ha", "x");
    world.to_do(&home).into_iter().map(|it| (it.place, it.change)).collect()
}

fn told(places: &[(&str, Option<Change>)]) -> Vec<(String, Option<Change>)> {
    places.iter().map(|(place, change)| ((*place).to_owned(), change.clone())).collect()
}

#[test]
fn what_lay_in_options_is_told_with_its_place() {
    let login = json!([{ "username": "u", "password": SECRET }]);
    let broker = || container("broker", "eclipse-mosquitto");
    let with = |id, options: &Value, twin| World::default().addon(id, options, Some(twin));
    let logins = "core_mosquitto: addon.json → user.options.logins and data/system_user.json";
    let users = ("homeassistant: data/.storage/auth", None);
    let options = json!({ "logins": login, "customize": { "active": true, "folder": "m" } });
    let customized = ("core_mosquitto: addon.json → user.options.customize.folder", None);
    assert_eq!(
        of_addon(&with("core_mosquitto", &options, broker())),
        told(&[(logins, None), users.clone(), customized])
    );
    let with_data = with_volume(broker(), "/mosquitto/data");
    let options = json!({ "logins": login, "customize": { "active": false } });
    assert_eq!(
        of_addon(&with("core_mosquitto", &options, with_data)),
        told(&[(logins, Some(Change::Logins)), users])
    );

    let zwave = || container("zwave", "zwavejs/zwave-js-ui");
    let options = json!({
        "device": "/dev/ttyUSB0", "s0_legacy_key": SECRET, "s2_authenticated_key": "",
        "lr_s2_authenticated_key": SECRET,
    });
    let keys = "core_zwave_js: addon.json → user.options.{s0_legacy_key, lr_s2_authenticated_key}";
    let device = ("core_zwave_js: addon.json → user.options.device", None);
    assert_eq!(
        of_addon(&with("core_zwave_js", &options, zwave())),
        told(&[(keys, None), device.clone()])
    );
    let stored = with_volume(zwave(), "/usr/src/app/store");
    assert_eq!(
        of_addon(&with("core_zwave_js", &options, stored)),
        told(&[(keys, Some(Change::ZwaveKeys)), device])
    );

    let flows = json!([{ "type": "tab" }, { "type": "server", "addon": true }]).to_string();
    let options = json!({ "credential_secret": SECRET });
    let world = with("a0d7b954_nodered", &options, container("red", "nodered/node-red"));
    assert_eq!(
        of_addon(&world.part_file("a0d7b954_nodered", "config/flows.json", &flows)),
        told(&[
            ("a0d7b954_nodered: addon.json → user.options.credential_secret", None),
            ("a0d7b954_nodered: config/flows.json → type server, addon", None),
        ])
    );

    let bridge = || container("bridge", "koenkk/zigbee2mqtt");
    let id = "45df7312_zigbee2mqtt";
    let options = json!({ "mqtt": { "server": "mqtt://x", "password": SECRET }, "serial": {} });
    assert_eq!(
        of_addon(&with(id, &options, bridge())),
        told(&[("45df7312_zigbee2mqtt: addon.json → user.options.mqtt", None)])
    );
    let world = || with(id, &json!({ "mqtt": {} }), bridge());
    let asked = told(&[("core_mosquitto: data/system_user.json → addons", None)]);
    assert_eq!(of_addon(&world()), asked);
    let text = "mqtt:\n  server: mqtt://broker\n";
    let said = world().file("data/zigbee2mqtt/configuration.yaml", text);
    assert_eq!(of_addon(&said), []);

    assert_eq!(
        of_addon(&with("core_mariadb", &json!({ "logins": login }), container("db", "mariadb"))),
        told(&[("core_mariadb: addon.json → user.options.logins", None)])
    );
    let grafana = || with("a0d7b954_grafana", &json!({}), container("g", "grafana/grafana"));
    assert_eq!(of_addon(&grafana()), []);
    assert_eq!(
        of_addon(&grafana().part_file("a0d7b954_grafana", "data/secret", SECRET)),
        told(&[("a0d7b954_grafana: data/secret", None)])
    );
}

#[test]
fn where_nothing_can_be_known_nothing_is_said() {
    assert_eq!(of_addon(&World::default()), []);
    assert_eq!(
        of_addon(&World::default().addon("a0d7b954_unheard", &json!({ "x": SECRET }), None)),
        []
    );
    let broken = World::default()
        .file("data/configuration.yaml", "mqtt: mycore-mosquitto\nx: /config/share/y\n# /ssl/x\n")
        .file("data/.storage/core.config_entries", "{\"data\": 7");
    assert_eq!(of_addon(&broken), []);
}

#[test]
fn a_known_add_on_without_a_container_is_told() {
    let world = World::default().addon("core_mosquitto", &json!({}), None);
    let all = world.to_do(&container("ha", "x"));
    assert_eq!(all.len(), 1);
    assert!(all[0].how.contains("run eclipse-mosquitto beside Home Assistant"), "{}", all[0]);
}

#[test]
fn a_folder_that_is_used_is_told_where_it_is_not_mounted() {
    let text = format!("http:\n  ssl_key: /ssl/privkey.pem\n  password: {SECRET}\n");
    let world = World::default().file("data/configuration.yaml", &text);
    let home = container("ha", "x");
    let places = |home: &Container| -> Vec<String> {
        world.to_do(home).into_iter().map(|it| it.place).collect()
    };
    assert_eq!(places(&home), ["homeassistant: data/configuration.yaml, line 2"]);
    assert_eq!(places(&with_volume(home, "/ssl")), [] as [&str; 0]);
}

#[test]
fn a_name_at_the_beginning_of_a_line_is_on_that_line() {
    let world = World::default().file("data/secrets.yaml", "x: y\ncore-mariadb: z\n");
    let all = world.to_do(&container("ha", "x"));
    assert_eq!(all[0].place, "homeassistant: data/secrets.yaml, line 2");
}

#[test]
fn logins_are_those_of_the_options_and_of_the_supervisor() {
    let options = json!({ "logins": [
        { "username": "plain", "password": SECRET },
        { "username": "hashed", "password": SECRET, "password_pre_hashed": true },
        { "username": "with:colon", "password": SECRET },
        { "username": "", "password": SECRET },
        { "username": "empty", "password": "" },
    ] });
    let users =
        json!({ "homeassistant": { "password": SECRET }, "addons": { "password": SECRET } });
    let world = World::default().addon("core_mosquitto", &options, None);
    let world = world.part_file("core_mosquitto", "data/system_user.json", &users.to_string());
    let logins = world.clues.logins();
    let names: Vec<_> = logins.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["homeassistant", "addons", "plain"]);
    let places = of_addon(&World {
        twins: vec![("core_mosquitto", container("x", "mosquitto"))],
        ..world.clone()
    });
    let hashed = "core_mosquitto: addon.json → user.options.logins → password_pre_hashed";
    assert!(places.contains(&(hashed.to_owned(), None)), "{places:?}");
    assert!(!format!("{logins:?} {:?}", world.clues).contains(SECRET));
}

#[test]
fn keys_are_called_as_z_wave_js_ui_calls_them() {
    let options = json!({ "s0_legacy_key": "aa", "s2_access_control_key": "bb", "lr_s2_access_control_key": "cc" });
    let world = World::default().addon("core_zwave_js", &options, None);
    let zwave = &world.clues.zwave_settings()["zwave"];
    assert_eq!(zwave["securityKeys"], json!({ "S0_Legacy": "aa", "S2_AccessControl": "bb" }));
    assert_eq!(zwave["securityKeysLongRange"], json!({ "S2_AccessControl": "cc" }));
}
