//! What a person does with it, from the first start on.

use std::fs;

use crate::project::{Cast, HOME, NEVER, Project};
use crate::support::{docker, wait_until};

const EVERY_MINUTE: &str = "* * * * *";

/// The sidecar sees the engine, the backups and its own state.
fn assert_sees_nothing(project: &Project) {
    let points = "{{range .Mounts}}{{.Destination}} {{end}}";
    let mounts = project.inspect("hearthkeep", points);
    let mut mounts: Vec<&str> = mounts.split_whitespace().collect();
    mounts.sort_unstable();
    assert_eq!(mounts, ["/backups", "/var/lib/hearthkeep", "/var/run/docker.sock"]);
}

#[test]
fn it_backs_up_by_hand_and_restores() {
    let project = Project::up("story", Cast::Helpers, NEVER, &[]);
    assert_sees_nothing(&project);
    let report = project.json(&["backup"]);
    let slug = report["slug"].as_str().expect("a slug").to_owned();
    assert_eq!(project.jobs(), [""; 0], "nothing is left of the job");
    project.try_hearthkeep(&["verify", &slug]).ends(0);

    let started = HOME.map(|(service, _)| project.inspect(service, "{{.State.StartedAt}}"));
    for (_, volume) in HOME {
        project.spoil(volume);
    }
    project.try_hearthkeep(&["restore", &slug, "--yes"]).ends(0);
    for ((service, volume), started) in HOME.iter().zip(started) {
        assert_eq!(project.note(volume).as_deref(), Some("kept"), "{volume}");
        assert_ne!(project.inspect(service, "{{.State.StartedAt}}"), started, "{service}");
    }
    assert!(project.runs());
    assert_sees_nothing(&project);
    assert_eq!(project.jobs(), [""; 0]);
    wait_until("Docker calls it healthy", || {
        project.inspect("hearthkeep", "{{.State.Health.Status}}") == "healthy"
    });
}

#[test]
fn the_real_home_comes_back() {
    let project = Project::made("real", Cast::Real, NEVER, &[]);
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/home/config/.");
    docker(&["cp", config, &format!("{}:/config", project.container("homeassistant"))]);
    project.compose(&["up", "-d"]);
    project.wait_until_served();
    let page = "python3 -c 'import urllib.request as it; it.urlopen(\"http://127.0.0.1:8123/manifest.json\")'";
    let answers = || {
        let words = ["exec", "-T", "homeassistant", "sh", "-c", page];
        project.try_compose(&words).code == 0
    };
    wait_until("Home Assistant answers", answers);
    let database = ["exec", "-T", "mariadb", "mariadb", "-uhomeassistant", "-ppassword", "-e"];
    let says = |statement: &str| {
        project.try_compose(&[&database[..], &[statement, "homeassistant"]].concat())
    };
    wait_until("the database answers", || says("SELECT 1").code == 0);
    says("CREATE TABLE kept (n INT); INSERT INTO kept VALUES (7)").ends(0);

    let report = project.json(&["backup"]);
    let databases = report["databases"].as_array().expect("a list");
    assert!(databases.iter().any(|it| it["container"] == project.name("mariadb")), "{report}");
    let slug = report["slug"].as_str().expect("a slug");
    says("DROP TABLE kept").ends(0);
    let file = project.volume("homeassistant").join("configuration.yaml");
    fs::remove_file(&file).expect("it is there");
    project.try_hearthkeep(&["restore", slug, "--yes"]).ends(0);
    assert!(file.exists());
    wait_until("the database is back", || says("SELECT n FROM kept").stdout.contains('7'));
    assert!(answers(), "Home Assistant has answered before the restore was over");
}

#[test]
fn it_backs_up_on_schedule() {
    let project = Project::up("schedule", Cast::Helpers, EVERY_MINUTE, &[]);
    wait_until("one is made", || !project.backups().is_empty());
    assert!(project.runs());
}
