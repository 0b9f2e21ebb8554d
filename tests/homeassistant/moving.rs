//! A home that counts while it is backed up, and its life in another place.

use std::collections::BTreeSet;
use std::fs;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::by_hand::{DATABASE, extract};
use super::home::{Home, PASSWORD, USER, wait_for};
use super::support::{Bench, docker};
use super::{ITEMS, backup, restore};

const SENSOR: &str = "sensor.hearth";

pub(crate) fn is_sound_five_times_in_a_row(home: &Home, bench: &Bench) {
    let mut slugs = BTreeSet::new();
    for n in 1..=5 {
        let before = home.ticks();
        let recorded = || history(home, None).last().copied() >= before;
        wait_for("the recorder has written what is shown", recorded);
        let made = backup(home, bench, &format!("Busy {n}"));
        held_still(home, &made.report);
        slugs.insert(made.slug);

        let folder = bench.folder(&format!("busy-{n}"));
        extract("tar", &made.path, &folder);
        let (ticks, now) = (sound(home, &folder), home.ticks());
        assert!(ticks.last().copied() >= before, "{before:?} is not among {ticks:?}");
        assert!(ticks.last().copied() <= now, "the future is among {ticks:?}");
        wait_for("it counts on", || home.ticks() > now);
    }
    let listing = bench.hearthkeep(&["list", "--project", &home.project, "--json"]).ends(0).json();
    let listed = listing["backups"].as_array().expect("a list").iter();
    let listed: BTreeSet<String> =
        listed.map(|it| it["slug"].as_str().expect("a slug").to_owned()).collect();
    assert_eq!(listed, slugs);
}

/// All three stood still, by pausing, and not longer than the run took; all three run.
fn held_still(home: &Home, report: &Value) {
    let number = |it: &Value| it.as_f64().expect("a number");
    let longest = number(&report["longest_hold_seconds"]);
    println!("longest hold: {longest:.3} s");
    assert!(longest > 0.0 && longest <= number(&report["duration_seconds"]), "{report}");
    for service in ["homeassistant", "mosquitto", "clock"] {
        let id = home.container(service);
        let name = docker(&["inspect", "-f", "{{.Name}}", &id]);
        let mut containers = report["containers"].as_array().expect("a list").iter();
        let held = containers.find(|it| it["name"] == name[1..]);
        let held = held.unwrap_or_else(|| panic!("{name} was not held: {report}"));
        assert_eq!(held["held"], "pause", "{report}");
        assert!((f64::MIN_POSITIVE..=longest).contains(&number(&held["hold_seconds"])), "{report}");
        assert_eq!(docker(&["inspect", "-f", "{{.State.Status}}", &id]), "running");
    }
}

/// The counter's states in a database that was brought back, which must be sound and without a
/// gap.
fn sound(home: &Home, folder: &std::path::Path) -> Vec<u64> {
    let id = home.homeassistant();
    let inside = folder.file_name().expect("a name").to_string_lossy();
    docker(&["exec", &id, "mkdir", &format!("/tmp/{inside}")]);
    for name in [DATABASE.to_owned(), format!("{DATABASE}-wal")] {
        let from = folder.join(&name).display().to_string();
        docker(&["cp", &from, &format!("{id}:/tmp/{inside}/{name}")]);
    }
    sound_inside(home, &format!("/tmp/{inside}"))
}

/// The same for a folder of Home Assistant's container.
pub(crate) fn sound_inside(home: &Home, folder: &str) -> Vec<u64> {
    let database = home.python("database.py", &[folder]);
    assert_eq!(database["integrity"], json!(["ok"]));
    let ticks = database["ticks"].as_array().expect("a list").iter();
    let ticks: Vec<u64> = ticks.map(|it| it.as_u64().expect("a number")).collect();
    // A start goes back to what was last written down.
    let mut pairs = ticks.iter().zip(ticks.iter().skip(1));
    assert!(pairs.all(|(a, b)| *b <= a + 1), "a row is missing: {ticks:?}");
    ticks
}

pub(crate) fn comes_up_elsewhere(home: &Home, bench: &Bench) {
    add_sensor(home);
    home.add_area("Study");
    home.wait_until_stored("core.entity_registry", SENSOR);
    home.wait_until_stored("core.area_registry", "Study");
    let seen = history(home, None);
    let made = backup(home, bench, "Moving");
    let (end, entities, registry) = (Timestamp::now(), entities(home), registry(home));
    let folder = bench.folder("export");
    let folder = folder.to_str().expect("a plain path");
    bench.hearthkeep(&["export", &made.slug, folder, "--project", &home.project]).ends(0);
    let file = fs::read_dir(folder).expect("the folder").next().expect("a file").expect("it");

    let mut new = Home::fresh("new");
    let id = new.homeassistant();
    for volume in ["config", "share", "clock"] {
        let mut content = fs::read_dir(new.volume(volume)).expect("the volume is there");
        assert!(content.next().is_none(), "{volume} is not empty");
    }
    let path = file.path();
    let run = restore(&new, bench, path.to_str().expect("a plain path"), &[]).ends(0);
    let items = run.json()["items"].clone();
    for item in ITEMS {
        assert!(items.as_array().expect("a list").contains(&json!(item)), "{items}");
    }
    new.compose(&["up", "-d"]);
    assert_eq!(new.homeassistant(), id, "Home Assistant was made anew");

    // The session of an application that was logged in before goes on.
    new.tokens = home.tokens.clone();
    new.wait_until_up();
    assert_eq!(self::registry(&new), registry);
    assert_eq!(new.areas(), home.areas());
    wait_for("the broker has told the sensor's value", || state(&new).as_deref() == Some("21.5"));
    assert_eq!(self::entities(&new), entities);
    logs_in(&new);

    let history = history(&new, Some(end));
    assert!(history.starts_with(&seen), "{history:?} instead of {seen:?}");
    let ticks = sound_inside(&new, "/config");
    assert!(ticks.starts_with(&seen), "{ticks:?} instead of {seen:?}");
    let ticks = fs::read_to_string(new.volume("clock").join("ticks")).expect("the clock's file");
    assert!(ticks.starts_with("1\n2\n") || ticks.starts_with("0\n1\n"), "{}", &ticks[..20]);
}

/// The broker has a sensor, and keeps it and its value.
fn add_sensor(home: &Home) {
    let id = home.container("mosquitto");
    let sensor = json!({
        "name": "Hearth", "unique_id": "hearth-temperature", "state_topic": "hearth/temperature",
    });
    let topics = [
        ("homeassistant/sensor/hearth/config", sensor.to_string()),
        ("hearth/temperature", "21.5".to_owned()),
    ];
    for (topic, message) in topics {
        docker(&["exec", &id, "mosquitto_pub", "-r", "-t", topic, "-m", &message]);
    }
    wait_for("the sensor has its value", || state(home).as_deref() == Some("21.5"));
    let kept = home.volume("mosquitto-data").join("mosquitto.db");
    let topic = b"hearth/temperature";
    let is_kept = || fs::read(&kept).is_ok_and(|it| it.windows(topic.len()).any(|it| it == topic));
    wait_for("the broker has written it down", is_kept);
}

fn state(home: &Home) -> Option<String> {
    let state = home.api().try_get(&format!("/api/states/{SENSOR}"))?;
    state["state"].as_str().map(str::to_owned)
}

/// Everything that has a state.
fn entities(home: &Home) -> BTreeSet<String> {
    let states = home.api().get("/api/states");
    let id = |it: &Value| it["entity_id"].as_str().expect("an identifier").to_owned();
    states.as_array().expect("a list").iter().map(id).collect()
}

/// The registered entities, with what Home Assistant and the integrations call them.
fn registry(home: &Home) -> BTreeSet<String> {
    let entries = &home.ask(&[json!({ "type": "config/entity_registry/list" })])[0];
    let name = |it: &Value| format!("{} {} {}", it["entity_id"], it["id"], it["unique_id"]);
    let names: BTreeSet<String> = entries.as_array().expect("a list").iter().map(name).collect();
    assert!(names.iter().any(|it| it.contains(SENSOR)), "{names:?}");
    names
}

/// The counter's states as the history shows them, up to a time.
fn history(home: &Home, end: Option<Timestamp>) -> Vec<u64> {
    let end = end.map_or("2099-01-01T00:00:00Z".to_owned(), |it| it.to_string());
    let path = format!(
        "/api/history/period/2020-01-01T00:00:00Z?end_time={end}&filter_entity_id=counter.ticks"
    );
    let history = home.api().get(&path);
    let states = history.get(0).and_then(Value::as_array).into_iter().flatten();
    states.filter_map(|it| it["state"].as_str()?.parse().ok()).collect()
}

/// The owner gets in with the old password and no other, and an application that was logged in
/// stays so.
fn logs_in(home: &Home) {
    let mut api = home.api();
    api.access.clear();
    assert_eq!(api.log_in(USER, "another")["errors"]["base"], "invalid_auth");
    let answer = api.log_in(USER, PASSWORD);
    let code = answer["result"].as_str().unwrap_or_else(|| panic!("no code: {answer}"));
    api.access = api.tokens("authorization_code", "code", code).access;
    assert_eq!(api.get("/api/config")["state"], "RUNNING");
    api.access = api.tokens("refresh_token", "refresh_token", &home.tokens.refresh).access;
    assert_eq!(api.get("/api/config")["state"], "RUNNING");
    let user = &home.ask(&[json!({ "type": "auth/current_user" })])[0];
    assert_eq!((&user["name"], &user["is_owner"]), (&json!("Lab"), &json!(true)));
}
