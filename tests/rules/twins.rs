//! Where the parts go that the Supervisor wrote.

use std::path::Path;

use hearthkeep::model::{Asks, Container, Contents, Found, Item, Manifest, PartRecord};
use hearthkeep::plan::{
    self, Map, MapOwner, MapPath, MapPlace, Mapped, Pick, Refused, RestorePlan, RestoreRequest,
};

use crate::facts::{
    container, facts, home_assistant, in_project, with_bind, with_label, with_volume,
};

const BRIDGE: &str = "45df7312_zigbee2mqtt";

fn bridge() -> Container {
    with_volume(container("bridge", "ghcr.io/koenkk/zigbee2mqtt:2.1.0"), "/app/data")
}

/// A backup of the Supervisor with these items, and files at these places of it.
fn backup(items: &[&str], places: &[&str]) -> Contents {
    let place = |text: &&str| {
        let (item, path) = text.split_once(':').expect("item and path");
        (Item::parse(item), path.to_owned())
    };
    let found = Found { places: places.iter().map(place).collect(), ..Found::default() };
    let items = items.iter().map(|it| Item::parse(it)).collect();
    Contents { items, found, ..Contents::default() }
}

fn request(only: &[&str]) -> RestoreRequest {
    let only = only.iter().map(|it| (*it).to_owned()).collect();
    RestoreRequest { only, ..RestoreRequest::default() }
}

fn try_plan(
    companions: &[Container],
    contents: &Contents,
    request: &RestoreRequest,
) -> Result<RestorePlan, Refused> {
    let mut all = vec![in_project(home_assistant("ha"), "p", "homeassistant")];
    all.extend(companions.iter().map(|it| in_project(it.clone(), "p", &it.name)));
    let facts = facts(all);
    let home = plan::find(&facts, &Pick::default()).expect("there is a home");
    let plan = plan::restore(&facts, home, contents, request)?;
    // What speaks against all of it is told beside the plan.
    match plan.problems.split_first() {
        Some((first, _)) if plan.routes.is_empty() => Err(Refused::Nothing(first.clone())),
        _ => Ok(plan),
    }
}

/// Each move as `item: part/prefix → container:path`, and the notes.
fn moves(plan: &RestorePlan) -> Vec<String> {
    let text = |it: &plan::Route| {
        let path: std::path::PathBuf = it.tree.destination.join(&it.below).components().collect();
        let to = format!("{}:{}", it.tree.container, path.display());
        format!("{}: {}/{} → {to}", it.item, it.from, it.tree.prefix)
    };
    plan.routes.iter().map(text).collect()
}

fn check(companions: &[Container], contents: &Contents, only: &[&str], wanted: &[&str]) {
    let plan = try_plan(companions, contents, &request(only)).expect("a plan");
    assert_eq!(moves(&plan), wanted, "{only:?} of {contents:?}");
}

const HOME: &str = "homeassistant: homeassistant/data → ha:/config";

#[test]
fn zigbee2mqtt_is_found_wherever_its_add_on_kept_it() {
    let items = ["homeassistant", BRIDGE];
    let in_home = "45df7312_zigbee2mqtt: homeassistant/data/zigbee2mqtt → bridge:/app/data";
    let own = "45df7312_zigbee2mqtt: 45df7312_zigbee2mqtt/config → bridge:/app/data";
    let left_over = "45df7312_zigbee2mqtt:config";
    let both = backup(&items, &["homeassistant:data/zigbee2mqtt", left_over]);
    check(&[bridge()], &backup(&items, &["homeassistant:data/zigbee2mqtt"]), &[], &[HOME, in_home]);
    check(&[bridge()], &both, &[], &[HOME, own]);
    // The option of the add-on says which of several counts.
    let with_option = |path: &str, mut contents: Contents| {
        contents.found.options.insert(Item::parse(BRIDGE), path.to_owned());
        contents
    };
    check(&[bridge()], &with_option("/config/zigbee2mqtt", both.clone()), &[], &[HOME, in_home]);
    check(&[bridge()], &with_option("/addon_config", both.clone()), &[], &[HOME, own]);
    // An add-on that has moved its data leaves the option as it was.
    let moved = with_option("/config/zigbee2mqtt", backup(&items, &[left_over]));
    check(&[bridge()], &moved, &[], &[HOME, own]);
    let share = backup(&[BRIDGE, "share"], &["share:zigbee2mqtt"]);
    let wanted = "45df7312_zigbee2mqtt: share/zigbee2mqtt → bridge:/app/data";
    check(&[bridge()], &with_option("/share/zigbee2mqtt", share), &[], &[wanted]);
    // A place of a person's own is nobody's guess.
    let asked = try_plan(
        &[bridge()],
        &with_option("/config/z2m", both.clone()),
        &request(&["zigbee2mqtt"]),
    );
    let refused = asked.map(|it| moves(&it)).expect_err("nobody knows where").to_string();
    assert!(refused.contains("/config/z2m") && refused.contains("a map"), "{refused}");
    let plan = try_plan(&[bridge()], &with_option("/config/z2m", both), &request(&[]));
    let plan = plan.expect("a plan");
    assert_eq!(moves(&plan), [HOME]);
    let is_told = |it: &String| it.contains(BRIDGE) && it.contains("kept it at /config/z2m");
    assert!(plan.notes.iter().any(is_told), "{:?}", plan.notes);
}

#[test]
fn a_move_out_of_another_part_is_made_where_it_is_asked_for() {
    let contents = backup(&["homeassistant", BRIDGE], &["homeassistant:data/zigbee2mqtt"]);
    let moved = "45df7312_zigbee2mqtt: homeassistant/data/zigbee2mqtt → bridge:/app/data";
    for asked in [BRIDGE, "bridge", "zigbee2mqtt"] {
        check(&[bridge()], &contents, &[asked], &[moved]);
        check(&[bridge()], &contents, &["homeassistant", asked], &[HOME, moved]);
    }
    let plan = try_plan(&[bridge()], &contents, &request(&["homeassistant"])).expect("a plan");
    assert_eq!(moves(&plan), [HOME]);
    let is_told = |it: &String| it.contains("data/zigbee2mqtt") && it.contains("bridge");
    assert!(plan.notes.iter().any(is_told), "{:?}", plan.notes);
    // Home Assistant's own software lists no add-ons, and the folder may be an old one: only who
    // asks for it gets it.
    let contents = backup(&["homeassistant"], &["homeassistant:data/zigbee2mqtt"]);
    check(&[bridge()], &contents, &[], &[HOME]);
    check(&[bridge()], &contents, &["bridge"], &[moved]);
    let refused = try_plan(&[bridge()], &backup(&["homeassistant"], &[]), &request(&["bridge"]));
    assert!(matches!(refused, Err(Refused::UnknownItem { .. })), "{refused:?}");
}

#[test]
fn only_what_a_plan_needs_is_asked_for() {
    let ask = |companions: &[Container], contents: &Contents, only: &[&str]| {
        let facts = facts([&[home_assistant("ha")], companions].concat());
        let home = plan::find(&facts, &Pick::default()).expect("there is a home");
        plan::asks(&facts, &home, contents, &request(only)).expect("they can be told")
    };
    let contents = backup(&["homeassistant", BRIDGE, "core_mosquitto", "share"], &[]);
    assert_eq!(ask(&[], &contents, &[]), Asks::default());
    let broker = with_volume(container("broker", "eclipse-mosquitto:2"), "/mosquitto/data");
    let both = [bridge(), broker];
    let asks = ask(&both, &contents, &["core_mosquitto"]);
    let places: Vec<_> = asks.places.iter().map(|(item, path)| format!("{item}:{path}")).collect();
    assert_eq!(places, ["core_mosquitto:data"]);
    assert!(asks.options.is_empty());
    assert_eq!(asks.sources.len(), 1);
    let asks = ask(&both, &contents, &[]);
    assert_eq!(asks.options, [(Item::parse(BRIDGE), "data_path".to_owned())].into());
    assert!(asks.places.contains(&(Item::HomeAssistant, "data/zigbee2mqtt".to_owned())));
    assert_eq!(ask(&both, &backup(&["homeassistant"], &[]), &[]), Asks::default());
    // What hearthkeep wrote says itself where it goes.
    let mut ours = contents;
    let record = |item: &Item| PartRecord {
        item: item.to_string(),
        member: format!("{item}.tar.gz"),
        image: String::new(),
        exclude: Vec::new(),
        trees: Vec::new(),
    };
    let parts = ours.items.iter().map(record).collect();
    ours.manifest = Some(Manifest { version: 2, parts, ..Manifest::default() });
    assert_eq!(ask(&both, &ours, &[]), Asks::default());
}

#[test]
fn an_add_on_finds_its_container_under_any_of_its_identifiers() {
    let esphome = with_volume(container("builder", "ghcr.io/esphome/esphome:2026.1"), "/config");
    for id in ["5c53de3b_esphome", "15ef4d2f_esphome"] {
        let contents = backup(&["homeassistant", id], &["homeassistant:data/esphome"]);
        let moved = format!("{id}: homeassistant/data/esphome → builder:/config");
        check(std::slice::from_ref(&esphome), &contents, &[], &[HOME, &moved]);
        check(std::slice::from_ref(&esphome), &contents, &["esphome"], &[&moved]);
    }
    let zwave = container("zwave", "zwavejs/zwave-js-ui:11");
    let zwave = [with_volume(zwave, "/usr/src/app/store")];
    for (id, place) in [
        ("a0d7b954_zwavejs2mqtt", "data/store"),
        ("core_zwave_js", "config"),
        ("core_zwave_js", "data/cache"),
    ] {
        let contents = backup(&[id], &[&format!("{id}:{place}")]);
        check(&zwave, &contents, &[], &[&format!("{id}: {id}/{place} → zwave:/usr/src/app/store")]);
    }
    // One container cannot be both.
    let ids = ["core_zwave_js", "a0d7b954_zwavejs2mqtt"];
    let contents = backup(&ids, &["core_zwave_js:config", "a0d7b954_zwavejs2mqtt:data/store"]);
    let plan = try_plan(&zwave, &contents, &request(&[])).expect("a plan");
    let wanted =
        "a0d7b954_zwavejs2mqtt: a0d7b954_zwavejs2mqtt/data/store → zwave:/usr/src/app/store";
    assert_eq!(moves(&plan), [wanted]);
    assert!(plan.notes.iter().any(|it| it.contains("core_zwave_js")), "{:?}", plan.notes);
}

#[test]
fn a_label_makes_a_container_an_add_on() {
    let slug = |it: Container, slug: &str| with_label(it, "hearthkeep.slug", slug);
    let own_image = slug(with_volume(container("mine", "acme/z2m:1"), "/app/data"), BRIDGE);
    let contents = backup(&["homeassistant", BRIDGE], &["homeassistant:data/zigbee2mqtt"]);
    let moved = "45df7312_zigbee2mqtt: homeassistant/data/zigbee2mqtt → mine:/app/data";
    check(&[bridge(), own_image], &contents, &[BRIDGE], &[moved]);
    // An add-on that nobody knows sees its data at the usual paths.
    let unknown = with_volume(with_volume(container("tool", "acme/tool:1"), "/data"), "/other");
    let unknown = slug(unknown, "1a2b3c4d_tool");
    let contents = backup(&["1a2b3c4d_tool"], &["1a2b3c4d_tool:data", "1a2b3c4d_tool:config"]);
    let plan = try_plan(&[unknown], &contents, &request(&[])).expect("a plan");
    assert_eq!(moves(&plan), ["1a2b3c4d_tool: 1a2b3c4d_tool/data → tool:/data"]);
    let is_told = |it: &String| it.contains("1a2b3c4d_tool/config") && it.contains("/config");
    assert!(plan.notes.iter().any(is_told), "{:?}", plan.notes);
}

#[test]
fn a_map_says_what_nobody_can_guess() {
    let mapped = |part: &str, paths: &[(&str, &str)], owner| {
        let path = |(place, path): &(&str, &str)| {
            let place = MapPlace::try_from((*place).to_owned()).expect("a place");
            (place, MapPath::try_from((*path).to_owned()).expect("a path"))
        };
        Mapped { part: part.to_owned(), paths: paths.iter().map(path).collect(), owner }
    };
    let with_map = |name: &str, mapped: Mapped| RestoreRequest {
        map: Map([(name.to_owned(), mapped)].into()),
        ..RestoreRequest::default()
    };
    let paths = [("homeassistant:data/z2m", "/app/data"), ("data/extra", "/app/data/extra")];
    let mut contents = backup(
        &["homeassistant", "1a2b3c4d_mine"],
        &["homeassistant:data/z2m", "1a2b3c4d_mine:data/extra"],
    );
    contents.found.options.insert(Item::parse("1a2b3c4d_mine"), "/elsewhere".to_owned());
    let request = with_map("bridge", mapped("1a2b3c4d_mine", &paths, Some(MapOwner::Of(7, 8))));
    let plan = try_plan(&[bridge()], &contents, &request).expect("a plan");
    let wanted = [
        HOME,
        "1a2b3c4d_mine: 1a2b3c4d_mine/data/extra → bridge:/app/data/extra",
        "1a2b3c4d_mine: homeassistant/data/z2m → bridge:/app/data",
    ];
    assert_eq!(moves(&plan), wanted);
    let owners: Vec<_> = plan.routes.iter().map(|it| it.owner).collect();
    assert_eq!(owners, [None, Some((7, 8)), Some((7, 8))]);
    // The table fills in what a map leaves open, and a map goes before an image.
    let other = with_volume(container("other", "acme/z2m:1"), "/app/data");
    let contents = backup(&[BRIDGE], &["45df7312_zigbee2mqtt:config"]);
    let request = with_map("other", mapped(BRIDGE, &[], None));
    let plan = try_plan(&[bridge(), other], &contents, &request).expect("a plan");
    let wanted = "45df7312_zigbee2mqtt: 45df7312_zigbee2mqtt/config → other:/app/data";
    assert_eq!(moves(&plan), [wanted]);
    // Its own image does not make a container another add-on, too.
    let both = backup(&[BRIDGE, "1a2b3c4d_mine"], &["45df7312_zigbee2mqtt:config"]);
    let request = with_map("bridge", mapped("1a2b3c4d_mine", &[("data", "/app/data")], None));
    let refused = try_plan(&[bridge()], &both, &request).map(|it| moves(&it));
    assert!(matches!(refused, Err(Refused::Nothing(_))), "{refused:?}");
    let refused = try_plan(&[bridge()], &contents, &with_map("brigde", mapped(BRIDGE, &[], None)));
    let refused = refused.map(|_| ()).expect_err("no such container").to_string();
    assert!(refused.contains("\"brigde\"") && refused.contains("bridge"), "{refused}");
}

#[test]
fn content_that_is_not_a_whole_mount_replaces_no_more_than_itself() {
    // One mount around all of a broker's folders.
    let broker = with_volume(container("broker", "eclipse-mosquitto:2"), "/mosquitto");
    let contents = backup(&["core_mosquitto"], &["core_mosquitto:data"]);
    let moved = "core_mosquitto: core_mosquitto/data → broker:/mosquitto/data";
    check(&[broker], &contents, &[], &[moved]);
    // A single file of Home Assistant's folder.
    let cameras = with_volume(container("cameras", "blakeblackshear/frigate:0.16"), "/config");
    let items = ["homeassistant", "ccab4aaf_frigate-fa"];
    let contents = backup(&items, &["homeassistant:data/frigate.yml"]);
    let moved = "ccab4aaf_frigate-fa: homeassistant/data/frigate.yml → cameras:/config/config.yml";
    check(&[cameras], &contents, &[], &[HOME, moved]);
    // One place, and the container has it in two mounts.
    let adguard = container("dns", "adguard/adguardhome:latest");
    let adguard = with_volume(adguard, "/opt/adguardhome/work");
    let adguard = with_bind(adguard, "/srv/dns", "/opt/adguardhome/conf");
    let file = "a0d7b954_adguard:data/adguard/AdGuardHome.yaml";
    let contents = backup(&["a0d7b954_adguard"], &["a0d7b954_adguard:data/adguard", file]);
    let wanted = [
        "a0d7b954_adguard: a0d7b954_adguard/data/adguard → dns:/opt/adguardhome/work",
        "a0d7b954_adguard: a0d7b954_adguard/data/adguard/AdGuardHome.yaml → dns:/opt/adguardhome/conf/AdGuardHome.yaml",
    ];
    check(&[adguard], &contents, &[], &wanted);
    // A mount inside the place.
    let zwave = with_volume(container("zwave", "zwavejs/zwave-js-ui"), "/usr/src/app/store/db");
    let contents = backup(&["a0d7b954_zwavejs2mqtt"], &["a0d7b954_zwavejs2mqtt:data/store"]);
    let wanted =
        "a0d7b954_zwavejs2mqtt: a0d7b954_zwavejs2mqtt/data/store/db → zwave:/usr/src/app/store/db";
    check(&[zwave], &contents, &[], &[wanted]);
}

#[test]
fn content_becomes_its_containers_own() {
    let check = |image: &str, path: &str, item: &str, now: Option<(u32, u32)>, wanted| {
        let companion = with_volume(container("it", image), path);
        let mut contents = backup(&[item], &[]);
        for place in ["data", "config", "data/databases", "data/influxdb"] {
            contents.found.places.insert((Item::parse(item), place.to_owned()));
        }
        let source = companion.mounts[0].source.clone();
        contents.found.owners.extend(now.map(|it| (source, it)));
        let plan = try_plan(&[companion], &contents, &request(&[])).expect("a plan");
        assert_eq!(plan.routes[0].owner, wanted, "{image} {now:?}");
    };
    let (broker, path, id) = ("eclipse-mosquitto:2", "/mosquitto/data", "core_mosquitto");
    check(broker, path, id, None, Some((1883, 1883)));
    check(broker, path, id, Some((0, 0)), Some((1883, 1883)));
    check(broker, path, id, Some((1000, 100)), Some((1000, 100)));
    check("grafana/grafana:12", "/var/lib/grafana", "a0d7b954_grafana", None, Some((472, 0)));
    check("mariadb:11", "/var/lib/mysql", "core_mariadb", Some((0, 0)), Some((999, 999)));
    check("vaultwarden/server", "/data", "a0d7b954_bitwarden", Some((0, 0)), None);
    check("vaultwarden/server", "/data", "a0d7b954_bitwarden", Some((5, 0)), Some((5, 0)));
    // Home Assistant's own and the folders keep what the backup says.
    let contents = backup(&["homeassistant"], &[]);
    let plan = try_plan(&[], &contents, &request(&[])).expect("a plan");
    assert_eq!(plan.routes[0].owner, None);
    assert_eq!(plan.routes[0].below, Path::new(""));
}
