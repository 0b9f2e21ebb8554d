//! After a move from the Supervisor: what needs a hand is told, and done on request, and no secret
//! is told to anybody.

use serde_json::{Value, json};

use crate::support::home::{Home, bind, write};
use crate::support::supervisor::{Part, addon, backup};
use crate::support::{docker, wait_until};

const SECRETS: [&str; 4] = ["hunter-two", "core-secret", "other-secret", "db-password"];

/// Home Assistant and the real broker on one network; the broker's data is on the bench.
fn home() -> Home {
    let home = Home::empty("handover");
    let network = home.network("net");
    home.write("config/.HA_VERSION", "2026.2.3");
    let config = bind(&home.config(), "/config");
    home.run_homeassistant(&["--volume", &config, "--network", &network]);
    write_configuration(&home, "allow_anonymous true\n");
    let configuration = bind(&home.bench.folder("broker-config"), "/mosquitto/config");
    let data = bind(&home.bench.folder("broker"), "/mosquitto/data");
    let alias = ["--network", &network, "--network-alias", "broker"];
    let mounts = ["--volume", &configuration, "--volume", &data];
    home.run("broker", &[&alias[..], &mounts].concat(), "hearthkeep-lab/mosquitto:2", &[]);
    home
}

fn write_configuration(home: &Home, more: &str) {
    let text =
        format!("listener 1883\npersistence true\npersistence_location /mosquitto/data/\n{more}");
    write(&home.bench.path().join("broker-config/mosquitto.conf"), &text);
}

const CONFIGURATION: &str = "\
# core-mosquitto is a comment
mqtt:   { broker:  core-mosquitto }
recorder:
  db_url: mysql://ha:db-password@core-mariadb/ha?charset=utf8mb4
camera: /share/cameras
";

const ENTRIES: &str = r#"{"version":1, "data":{"entries":[
 {"domain":"mqtt","title":"core-mosquitto","data":{"broker":"core-mosquitto","password":"core-secret"}},
 {"domain":"matter","data":{"url":"ws://core-matter-server:5580/ws","use_addon":true}},
 {"domain":"hassio","data":{}}
]}}"#;

fn written(home: &Home) -> String {
    let options = json!({
        "logins": [{ "username": "lamp", "password": "hunter-two" }],
        "customize": { "active": false },
    });
    let users = json!({
        "homeassistant": { "password": "core-secret" },
        "addons": { "password": "other-secret" },
    });
    let users = users.to_string();
    let files = [
        ("./", ""),
        ("./homeassistant.json", "{}"),
        ("data/", ""),
        ("data/.HA_VERSION", "2026.2.3"),
        ("data/automations.yaml", "[]\n"),
        ("data/configuration.yaml", CONFIGURATION),
        ("data/.storage/", ""),
        ("data/.storage/core.config_entries", ENTRIES),
    ];
    let parts = [
        Part("homeassistant", files.map(|(name, text)| (name, text.to_owned())).into()),
        // A database of the broker's would have to be one, and it does without.
        addon(
            "core_mosquitto",
            &options,
            &[("data/system_user.json", &users), ("data/own.pem", "a file of a person's own")],
        ),
        addon("core_mariadb", &json!({}), &[]),
    ];
    backup(&home.bench.path().join("supervisor.tar"), &parts).display().to_string()
}

/// The things to do, by their places.
fn places<'a>(report: &'a Value, key: &str) -> Vec<(&'a str, bool)> {
    let all = report[key].as_array().expect("a list").iter();
    all.map(|it| (it["place"].as_str().expect("a text"), it["automatic"] == true)).collect()
}

#[test]
fn what_needs_a_hand_is_told_and_done_on_request_without_a_secret_in_any_word() {
    let home = home();
    let file = written(&home);
    let run = |words: &[&str]| {
        let run = home.hearthkeep(&[&["restore", &file], words].concat());
        for secret in SECRETS {
            assert!(!run.stdout.contains(secret) && !run.stderr.contains(secret), "{secret}");
        }
        run
    };

    let plan = run(&["--dry-run", "--json"]).ends(0).json();
    assert_eq!(
        places(&plan, "to_do"),
        [
            ("homeassistant: data/configuration.yaml, line 4", false),
            ("homeassistant: data/configuration.yaml, line 2", true),
            ("homeassistant: data/.storage/core.config_entries", false),
            ("homeassistant: data/.storage/core.config_entries", true),
            ("homeassistant: data/configuration.yaml, line 5", false),
            ("homeassistant: data/.storage/core.config_entries → matter: data.use_addon", true),
            ("homeassistant: data/.storage/core.config_entries → hassio", false),
            ("core_mosquitto: addon.json → user.options.logins and data/system_user.json", true),
            ("homeassistant: data/.storage/auth", false),
            ("the part core_mariadb", false),
        ]
    );
    assert_eq!(plan["translations"], json!([]));
    let text = run(&["--dry-run"]).ends(0).stdout;
    assert!(text.contains("to do: homeassistant: only a Supervisor knows the host name"), "{text}");
    assert!(text.contains("write broker instead (or say --translate)"), "{text}");

    // A database needs no hand.
    let plan = run(&["--dry-run", "--json", "--database-only"]).json();
    assert_eq!(plan["to_do"], json!([]));

    let plan = run(&["--dry-run", "--json", "--translate"]).ends(0).json();
    assert_eq!(plan["translations"].as_array().map(Vec::len), Some(4), "{plan}");
    let report = run(&["--yes", "--json", "--translate"]);
    let report = if report.code == 3 { report.ends(3) } else { report.ends(0) }.json();
    assert_eq!(report["translated"].as_array().map(Vec::len), Some(4), "{report}");
    assert_eq!(places(&report, "to_do").len(), 7, "{report}");

    let wanted = CONFIGURATION.replace("broker:  core-mosquitto", "broker:  broker");
    assert_eq!(home.read("config/configuration.yaml"), Some(wanted));
    let wanted = ENTRIES
        .replace(r#""broker":"core-mosquitto""#, r#""broker":"broker""#)
        .replace(r#""use_addon":true"#, r#""use_addon":false"#);
    assert_eq!(home.read("config/.storage/core.config_entries"), Some(wanted));
    let logins = home.read("broker/passwordfile").expect("it was made");
    for secret in SECRETS {
        assert!(!logins.contains(secret), "{logins}");
    }

    // As the last thing to do says.
    write_configuration(
        &home,
        "password_file /mosquitto/data/passwordfile\nallow_anonymous false\n",
    );
    docker(&["restart", "--time", "5", &home.name("broker")]);
    let logs_in = |name: &str, password: &str| {
        let words = ["mosquitto_pub", "-u", name, "-P", password, "-t", "x", "-m", "x"];
        let mut docker = std::process::Command::new("docker");
        let run = docker.args(["exec", &home.name("broker")]).args(words).output();
        run.expect("docker is installed").status.success()
    };
    wait_until("the broker answers", || logs_in("lamp", "hunter-two"));
    assert!(logs_in("homeassistant", "core-secret") && logs_in("addons", "other-secret"));
    assert!(!logs_in("lamp", "core-secret") && !logs_in("nobody", "x"));
}

#[test]
fn a_backup_of_our_own_needs_no_hand() {
    let home = Home::new("own-hand");
    home.write("config/configuration.yaml", CONFIGURATION);
    let file = home.backup(&["--name", "own"]).display().to_string();
    let plan = home.hearthkeep(&["restore", &file, "--dry-run", "--json", "--translate"]);
    let plan = plan.ends(0).json();
    assert_eq!((&plan["to_do"], &plan["translations"]), (&json!([]), &json!([])));
    home.hearthkeep(&["restore", &file, "--yes", "--translate"]).ends(0);
    assert_eq!(home.read("config/configuration.yaml").as_deref(), Some(CONFIGURATION));
}
