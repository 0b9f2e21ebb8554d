//! What a plan promises for databases, and which containers it leaves to others.

use hearthkeep::companions::Database;
use hearthkeep::model::{Container, State};
use hearthkeep::plan::{self, BackupPlan, BackupRequest, Facts, Pick, Refused};

use super::facts::{container, facts, home_assistant, with_label, with_volume};

fn backup(facts: &Facts) -> Result<BackupPlan, Refused> {
    let home = plan::find(facts, &Pick::default())?;
    plan::backup(facts, home, &BackupRequest::default())
}

fn database(image: &str) -> Container {
    with_label(with_volume(container("db", image), "/data"), "hearthkeep.role", "companion")
}

#[test]
fn each_container_is_told_what_it_gets() {
    let held = |how: &str, image: &str| with_label(database(image), "hearthkeep.hold", how);
    let in_state = |state: State, image: &str| Container { state, ..database(image) };
    let with_password = |image: &str| Container {
        variables: vec!["MYSQL_ROOT_PASSWORD_FILE".to_owned(), "PATH".to_owned()],
        ..database(image)
    };
    let maria = Some(Database::MariaDb);
    let broker = Some(Database::Mosquitto);
    let cases = [
        (with_password("mariadb:11"), maria, "MariaDB: locked over the hold (root password in"),
        (database("mariadb:11"), maria, "MariaDB: locked over the hold if its root needs no"),
        (database("mysql:8"), Some(Database::MySql), "MySQL: locked over the hold if"),
        (held("stop", "mariadb"), None, "exact: stopped"),
        (held("none", "mariadb"), None, "each file as it is when it is read"),
        (in_state(State::Paused, "mariadb"), None, "MariaDB: as after a power cut"),
        (in_state(State::Stopped, "mariadb"), None, "exact: it is stopped"),
        (in_state(State::Restarting, "mariadb"), None, "each file as it is when it is read"),
        (database("postgres:17"), None, "PostgreSQL: as after a power cut, in one instant"),
        (database("timescale/timescaledb:2"), None, "PostgreSQL: as after a power cut"),
        (database("influxdb:2"), None, "InfluxDB: as after a power cut"),
        (database("redis:8"), None, "Redis: as after a power cut"),
        (database("eclipse-mosquitto"), broker, "Mosquitto: saved right before the hold"),
        (held("none", "eclipse-mosquitto"), broker, "each file as it is when it is read"),
        (database("vaultwarden/server"), None, "SQLite exact, other files as of one instant"),
    ];
    for (container, served, consistency) in cases {
        let plan = backup(&facts(vec![home_assistant("ha"), container.clone()])).expect("a plan");
        let found: Vec<Database> = plan.databases.iter().map(|it| it.database).collect();
        assert_eq!(found, Vec::from_iter(served), "{container:?}");
        let said = plan::consistency(&container, &plan.holds);
        assert!(said.starts_with(consistency), "{said}: {container:?}");
    }
}

#[test]
fn what_belongs_to_swarm_is_left_alone() {
    let of_swarm = |it| with_label(it, "com.docker.swarm.service.id", "4f2a");
    let plan = backup(&facts(vec![home_assistant("ha"), of_swarm(database("mariadb"))]));
    let plan = plan.expect("a plan");
    assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
    assert!(plan.warnings[0].starts_with("db belongs to a Swarm service"), "{:?}", plan.warnings);
    assert!(plan.holds.iter().all(|it| it.name != "db"));
    assert!(plan.parts.iter().flat_map(|it| &it.trees).all(|it| it.container != "db"));
    assert!(plan.left_out.iter().any(|it| it.container == "db" && it.what == "all of it"));
    let refused = backup(&facts(vec![of_swarm(home_assistant("ha"))])).map(drop);
    let refused = refused.expect_err("it may not be held").to_string();
    assert!(refused.starts_with("ha belongs to a Swarm service"), "{refused}");
    // What nobody wanted in the first place is not worth a word.
    let stranger = of_swarm(with_volume(container("web", "nginx"), "/data"));
    let plan = backup(&facts(vec![home_assistant("ha"), stranger])).expect("a plan");
    assert_eq!(plan.warnings, [""; 0]);
}

#[test]
fn podman_is_named_once() {
    let mut facts = facts(vec![home_assistant("ha"), database("mariadb")]);
    facts.is_podman = true;
    let plan = backup(&facts).expect("a plan");
    assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
    assert!(plan.warnings[0].starts_with("the engine is Podman"), "{:?}", plan.warnings);
}
