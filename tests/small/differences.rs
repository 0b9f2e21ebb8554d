//! What tells a backup from another one, or from the home.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::layout::full_home;
use crate::single_files::{Asked, PASSWORD, printed, read_json};
use crate::support::docker;
use crate::support::home::{Home, bind};

/// The difference that `diff` tells.
fn diff(asked: &Asked, before: &str, after: &str) -> Value {
    let told = read_json(&asked.ask(&["--json", "diff", before, after]));
    let nothing = json!({ "versions": [], "gone": [], "new": [], "parts": [] });
    assert_eq!(told["equal"], told["difference"] == nothing, "{told}");
    told["difference"].clone()
}

#[test]
fn what_changed_since_a_backup_is_told() {
    changes_are_told(&Asked::of(full_home("diff"), ""));
}

#[test]
fn what_changed_since_an_encrypted_backup_is_told() {
    changes_are_told(&Asked::of(full_home("diff-encrypted"), PASSWORD));
}

fn changes_are_told(asked: &Asked) {
    let before = asked.file.clone();
    for other in ["live", &asked.backup()] {
        let text = asked.ask(&["diff", &before, other]);
        assert_eq!(String::from_utf8_lossy(printed(&text)), "no difference\n", "{other}");
        assert_eq!(diff(asked, &before, other)["parts"], json!([]), "{other}");
    }
    change(&asked.home);
    let after = asked.backup();
    let image = format!("hearthkeep-test/{}/eclipse-mosquitto", asked.home.project);
    let [first, second] = ["2.0.18", "2.0.19"].map(|it| format!("{image}:{it}"));
    let parts = json!([
        { "item": "bridge", "added": [], "removed": [], "changed": [
            { "path": "mounts/data/state", "what": ["mode", "owner"], "size": [6, 6] },
        ] },
        { "item": "homeassistant",
          "added": ["data/new", "data/new/thing"],
          "removed": ["data/automations.yaml"],
          "changed": [
            { "path": "data/secrets.yaml", "what": ["content"], "size": [9, 9] },
            { "path": "data/www/index.html", "what": ["size"], "size": [3, 13] },
        ] },
        { "item": "share", "added": [], "removed": [], "changed": [
            { "path": "shared", "what": ["kind", "mode"], "size": [5, 0] },
        ] },
    ]);
    for other in ["live", &after] {
        let told = diff(asked, &before, other);
        let version = json!({ "item": "core_mosquitto", "before": first, "after": second });
        let new = json!({ "item": "lamp", "before": null, "after": "hearthkeep-lab/helper:1" });
        assert_eq!(told["versions"], json!([version, new]), "{other}");
        assert_eq!((&told["gone"], &told["new"]), (&json!([]), &json!(["lamp"])), "{other}");
        assert_eq!(told["parts"], parts, "{other}");
    }
    let back = diff(asked, &after, &before);
    assert_eq!((&back["gone"], &back["new"]), (&json!(["lamp"]), &json!([])));
    assert_eq!(back["parts"][1]["added"], json!(["data/automations.yaml"]));

    let text = asked.ask(&["diff", &before, &after]);
    let text = String::from_utf8_lossy(printed(&text)).into_owned();
    for line in [
        &format!("core_mosquitto: {first} → {second}"),
        "lamp: is new",
        "homeassistant: 2 added, 1 removed, 2 changed",
        "  + data/new/thing",
        "  - data/automations.yaml",
        "  ~ data/www/index.html  3 B → 13 B",
        "  ~ mounts/data/state  mode, owner",
    ] {
        assert!(text.lines().any(|it| it == line), "{line:?} is not in {text}");
    }
}

/// One change of every kind. What only has another time is none.
fn change(home: &Home) {
    let config = home.config();
    home.write("config/new/thing", "new");
    fs::remove_file(config.join("automations.yaml")).expect("it is there");
    home.write("www/index.html", "www, and more");
    home.write("secrets.yaml", "token: 2\n");
    let state = home.bench.path().join("bridge/state");
    fs::set_permissions(&state, Permissions::from_mode(0o640)).expect("ours");
    chown(&state, Some(1000), Some(1001)).expect("tests run as root");
    fs::remove_file(home.bench.path().join("share/shared")).expect("it is there");
    symlink("nowhere", home.bench.path().join("share/shared")).expect("a link can be made");
    let key = fs::File::options().write(true).open(home.bench.path().join("ssl/key.pem"));
    let long_ago = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    key.expect("it is there").set_modified(long_ago).expect("it is ours");

    docker(&["rm", "--force", &home.name("broker")]);
    let image = home.image(&format!("hearthkeep-test/{}/eclipse-mosquitto:2.0.19", home.project));
    let path = |it: &str| home.bench.path().join(it);
    let data = bind(&path("mosquitto"), "/mosquitto/data");
    let conf = bind(&path("mosquitto-config"), "/mosquitto/config");
    home.run("broker", &["--volume", &data, "--volume", &conf], &image, &[]);
    home.companion("lamp", &[]);
}

#[test]
fn a_backup_is_compared_with_as_much_of_the_home_as_it_holds() {
    let home = full_home("diff-part");
    let store = home.bench.folder("store").display().to_string();
    let difference = |words: &[&str]| {
        let file = home.backup(&[&["--store", &store], words].concat()).display().to_string();
        home.hearthkeep(&["--json", "diff", &file, "live"]).ends(0).json()["difference"].clone()
    };
    for words in [&["--exclude", "www/**", "shared"][..], &["--no-database"]] {
        let told = difference(words);
        let nothing = json!({ "versions": [], "gone": [], "new": [], "parts": [] });
        assert_eq!(told, nothing, "{words:?}");
    }
    let told = difference(&["--only", "share", "bridge"]);
    assert_eq!((&told["gone"], &told["parts"]), (&json!([]), &json!([])));
    assert_eq!(told["new"].as_array().map(Vec::len), Some(6), "{told}");
}
