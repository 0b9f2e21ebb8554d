//! Home Assistant's own software, and its files.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;

use serde_json::{Value, json};

use super::home::{Home, wait_for};
use super::moving::sound_inside;
use super::support::{Bench, docker};
use super::{Made, restore};

/// Plain Python, securetar and the readers of Home Assistant see the same members, each inner tar
/// whole in one gzip member.
pub(crate) fn software_reads_it(home: &Home, made: &Made) {
    let seen = home.python("read.py", &[&inside(made)]);
    let wanted = json!({
        "homeassistant.tar.gz": true,
        "core_mosquitto.tar.gz": true,
        "share.tar.gz": true,
        "clock.companion.tgz": true,
        "hearthkeep.index": false,
        "./backup.json": false,
    });
    assert_eq!(seen["whole"], wanted);
    let names = &seen["python"];
    assert_eq!(seen["securetar"], *names);
    assert_eq!(keys(names), keys(&wanted));
    let holds = |member: &str, name: &str| {
        assert!(names[member].as_array().expect("a list").contains(&json!(name)), "{names}");
    };
    for name in ["data", "data/configuration.yaml", "data/.storage/auth"] {
        holds("homeassistant.tar.gz", name);
    }
    holds("core_mosquitto.tar.gz", "./addon.json");
    holds("clock.companion.tgz", "mounts/data/ticks");
    assert_eq!(seen["no_password"], true);
    assert_eq!(Some(seen["file_name"].as_str().expect("a name")), file_name(made).to_str());
    let backup = &seen["backup"];
    assert_eq!((&backup["backup_id"], &backup["name"]), (&json!(made.slug), &json!(made.name)));
    assert_eq!(backup["size"], made.size_bytes);
}

/// The file lies where Home Assistant keeps its backups. Told to by its own means, it restores it,
/// and lists it afterwards.
pub(crate) fn restore_takes_it(home: &Home, made: &Made) {
    let before = sound_inside(home, "/config");
    change(home);
    let order = json!({
        "path": inside(made),
        "password": null,
        "remove_after_restore": false,
        "restore_database": true,
        "restore_homeassistant": true,
    });
    put(home, ".HA_RESTORE", &order.to_string());
    let id = home.homeassistant();
    docker(&["restart", &id]);
    came_back(home, &before, 1);
    is_listed(home, made, false);
}

/// Waits until Home Assistant has restored for the n-th time; it is as it was at the backup then.
pub(crate) fn came_back(home: &Home, before: &[u64], n: usize) {
    let id = home.homeassistant();
    let done = || docker(&["logs", &id]).matches("Restore complete, restarting").count() == n;
    wait_for("Home Assistant has restored it", done);
    home.wait_until_up();
    assert_unchanged(home);
    let info = &home.ask(&[json!({ "type": "backup/info" })])[0];
    let event = &info["last_action_event"];
    assert_eq!(
        (&event["manager_state"], &event["state"]),
        (&json!("restore_backup"), &json!("completed"))
    );
    let ticks = sound_inside(home, "/config");
    let n_common = before.iter().zip(&ticks).take_while(|(a, b)| a == b).count();
    assert!((1..before.len()).contains(&n_common), "{ticks:?} after {before:?}");
}

/// Home Assistant lists it among its own.
pub(crate) fn is_listed(home: &Home, made: &Made, protected: bool) {
    let info = &home.ask(&[json!({ "type": "backup/info" })])[0];
    assert_eq!(info["agent_errors"], json!({}));
    let backups = info["backups"].as_array().expect("a list");
    let listed = backups.iter().find(|it| it["backup_id"] == made.slug);
    let listed = listed.unwrap_or_else(|| panic!("not listed: {info}"));
    assert_eq!(listed["name"], made.name);
    let local = json!({ "backup.local": { "protected": protected, "size": made.size_bytes } });
    assert_eq!(listed["agents"], local);
    assert_eq!(listed["homeassistant_version"], "2026.2.3");
    assert_eq!(listed["folders"], json!(["share"]));
    assert_eq!(listed["addons"][0]["slug"], "core_mosquitto");
}

/// What `backup.create` makes is listed, sound, and brought back by us; only who is concerned is
/// stopped for it.
pub(crate) fn backups_are_restored_by_us(home: &Home, bench: &Bench) {
    let listed = || {
        let run = bench.hearthkeep(&["list", "--project", &home.project, "--json"]).ends(0);
        let backups = run.json()["backups"].as_array().expect("a list").clone();
        let slug = |it: Value| it["slug"].as_str().expect("a slug").to_owned();
        backups.into_iter().map(slug).collect::<BTreeSet<String>>()
    };
    let before = listed();
    home.api().post("/api/services/backup/create", &json!({}));
    let new: Vec<String> = listed().difference(&before).cloned().collect();
    let [slug] = new.as_slice() else { panic!("{new:?} instead of one") };
    bench.hearthkeep(&["verify", slug, "--project", &home.project]).ends(0);

    change(home);
    let started = |service: &str| {
        docker(&["inspect", "-f", "{{.State.StartedAt}}", &home.container(service)])
    };
    let (broker, homeassistant) = (started("mosquitto"), started("homeassistant"));
    let report = restore(home, bench, slug, &[]).ends(0).json();
    assert_eq!(report["items"], json!(["homeassistant"]));
    assert!(report["longest_hold_seconds"].as_f64().expect("a number") > 0.0, "{report}");
    assert_eq!(started("mosquitto"), broker, "the broker was stopped");
    assert_ne!(started("homeassistant"), homeassistant, "Home Assistant was not stopped");
    home.wait_until_up();
    assert_unchanged(home);
    sound_inside(home, "/config");
    assert!(listed().is_superset(&before), "the backups themselves stay");
}

const MARK: &str = "# added later\n";

/// Changes what a restore has to take back: a file, one more file, and what Home Assistant keeps
/// itself.
pub(crate) fn change(home: &Home) {
    home.add_area("Attic");
    let automations = home.config().join("automations.yaml");
    let mut file = File::options().append(true).open(automations).expect("the file can be written");
    file.write_all(MARK.as_bytes()).expect("the file can be written");
    put(home, "later.txt", "later");
    assert!(is_changed(home).iter().all(|it| *it));
}

pub(crate) fn assert_unchanged(home: &Home) {
    assert_eq!(is_changed(home), [false; 3], "area, automations, further file");
}

pub(crate) fn is_changed(home: &Home) -> [bool; 3] {
    let automations = fs::read_to_string(home.config().join("automations.yaml"));
    [
        home.areas().contains(&"Attic".to_owned()),
        automations.expect("the file is there").ends_with(MARK),
        home.config().join("later.txt").exists(),
    ]
}

/// Writes a file of the configuration.
fn put(home: &Home, name: &str, text: &str) {
    let mut file = File::create(home.config().join(name)).expect("the file can be written");
    file.write_all(text.as_bytes()).expect("the file can be written");
}

fn file_name(made: &Made) -> &std::ffi::OsStr {
    made.path.file_name().expect("a backup has a name")
}

/// Where Home Assistant sees the backup.
pub(crate) fn inside(made: &Made) -> String {
    format!("/config/backups/{}", file_name(made).to_string_lossy())
}

fn keys(object: &Value) -> BTreeSet<&String> {
    object.as_object().expect("an object").keys().collect()
}
