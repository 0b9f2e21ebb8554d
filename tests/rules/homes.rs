//! Which containers are a home, and what of them is backed up.

use hearthkeep::model::{Container, Contents, Found, Item, PartKind, State};
use hearthkeep::plan::{self, BackupRequest, Facts, Pick, Refused, RestoreRequest};

use super::facts::{
    container, facts, home_assistant, in_project, with_bind, with_label, with_volume,
};

fn found(facts: &Facts, pick: &Pick) -> Result<(String, Vec<String>), Refused> {
    let home = plan::find(facts, pick)?;
    let companions = home.companions.into_iter().map(|it| it.name).collect();
    Ok((home.homeassistant.name, companions))
}

fn project(name: &str) -> Pick {
    Pick { project: Some(name.to_owned()), container: None }
}

#[test]
fn one_home_needs_no_settings() {
    let facts = facts(vec![
        in_project(home_assistant("ha"), "home", "homeassistant"),
        in_project(container("db", "mariadb:11"), "home", "db"),
        container("mqtt", "eclipse-mosquitto:2"),
        container("blog", "wordpress"),
        with_label(container("mine", "my/thing"), "hearthkeep.role", "companion"),
        with_label(in_project(container("no", "x"), "home", "no"), "hearthkeep.enable", "false"),
    ]);
    let (home, companions) = found(&facts, &Pick::default()).expect("there is a home");
    assert_eq!(home, "ha");
    assert_eq!(companions, ["db", "mine", "mqtt"]);
}

#[test]
fn over_whom_the_engine_hangs_is_passed_over_unless_it_is_of_the_home() {
    let silent = |mut it: Container| {
        it.is_silent = true;
        it
    };
    let ours = || in_project(home_assistant("ha"), "home", "homeassistant");
    let plan = |other: Container| {
        let facts = facts(vec![ours(), other]);
        let home = plan::find(&facts, &Pick::default())?;
        plan::backup(&facts, home, &BackupRequest::default()).map(|it| it.warnings)
    };
    let warnings = plan(silent(container("blog", "wordpress"))).expect("a stranger");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("blog was passed over"), "{warnings:?}");
    let of_home = in_project(container("db", "mariadb:11"), "home", "db");
    let refused = plan(silent(of_home)).expect_err("of the home");
    assert_eq!(refused, Refused::Silent { container: "db".to_owned() });
    let alone = facts(vec![silent(ours())]);
    let refused = plan::find(&alone, &Pick::default()).map(drop).expect_err("the home itself");
    assert_eq!(refused, Refused::Silent { container: "ha".to_owned() });
}

#[test]
fn without_a_home_it_says_what_it_looked_at() {
    let err = found(&facts(vec![container("blog", "wordpress")]), &Pick::default());
    assert_eq!(err, Err(Refused::NoHome { n_containers: 1 }));
}

#[test]
fn of_several_homes_one_must_be_meant() {
    let facts = facts(vec![
        in_project(home_assistant("a"), "one", "ha"),
        in_project(container("mqtt-a", "eclipse-mosquitto"), "one", "mqtt"),
        in_project(home_assistant("b"), "two", "ha"),
        in_project(container("mqtt-b", "eclipse-mosquitto"), "two", "mqtt"),
    ]);
    let err = found(&facts, &Pick::default()).expect_err("two homes");
    let said = err.to_string();
    assert!(said.contains("a of project one, b of project two"), "{said}");
    assert!(said.contains("--project") && said.contains("--home"), "{said}");
    assert_eq!(found(&facts, &project("two")), Ok(("b".to_owned(), vec!["mqtt-b".to_owned()])));
    let by_name = Pick { project: None, container: Some("a".to_owned()) };
    assert_eq!(found(&facts, &by_name), Ok(("a".to_owned(), vec!["mqtt-a".to_owned()])));
    let said = found(&facts, &project("three")).expect_err("no such project").to_string();
    assert!(said.contains("project three") && said.contains("project one"), "{said}");
}

#[test]
fn a_home_that_runs_goes_before_one_that_does_not() {
    let mut old = home_assistant("old");
    old.state = State::Stopped;
    let facts = facts(vec![old, home_assistant("new")]);
    assert_eq!(found(&facts, &Pick::default()).map(|it| it.0), Ok("new".to_owned()));
}

#[test]
fn a_version_file_makes_a_home_only_where_no_image_does() {
    let unknown = with_bind(container("mine", "my/own"), "/srv/ha", "/config");
    let editor = with_bind(container("editor", "code-server"), "/srv/ha", "/config");
    let mut facts = facts(vec![unknown.clone()]);
    facts.versions.insert("/srv/ha".into(), "2025.1.0".to_owned());
    let home = plan::find(&facts, &Pick::default()).expect("the file tells");
    assert_eq!(
        (home.homeassistant.name.as_str(), home.version.as_deref()),
        ("mine", Some("2025.1.0"))
    );
    let known = with_bind(container("ha", "homeassistant/home-assistant"), "/srv/ha", "/config");
    facts.containers = vec![known, editor];
    assert_eq!(found(&facts, &Pick::default()).map(|it| it.0), Ok("ha".to_owned()));
}

/// The items of a home, each with the prefixes of its trees.
fn items(facts: &Facts) -> Vec<(String, Vec<String>)> {
    let home = plan::find(facts, &Pick::default()).expect("there is a home");
    let plan = plan::backup(facts, home, &BackupRequest::default()).expect("there is a plan");
    let prefixes = |part: &hearthkeep::model::Part| {
        part.trees.iter().map(|it| it.prefix.clone()).collect::<Vec<_>>()
    };
    plan.parts.iter().map(|it| (it.item.to_string(), prefixes(it))).collect()
}

fn item(name: &str, prefixes: &[&str]) -> (String, Vec<String>) {
    (name.to_owned(), prefixes.iter().map(|it| (*it).to_owned()).collect())
}

#[test]
fn mounts_go_where_the_supervisor_would_look() {
    let ha = with_bind(home_assistant("ha"), "/srv/www", "/config/www");
    let ha = with_volume(with_volume(ha, "/media"), "/share");
    let ha = with_bind(ha, "/root/.ssh", "/root/.ssh");
    let broker = container("mqtt", "eclipse-mosquitto:2");
    let broker = with_volume(with_volume(broker, "/mosquitto/data"), "/mosquitto/config");
    let cache = in_project(with_volume(container("cache", "redis"), "/data"), "p", "my.cache");
    let cache = with_label(cache, "hearthkeep.role", "companion");
    let facts = facts(vec![ha, broker, cache]);
    let expected = [
        item("homeassistant", &["data", "data/www"]),
        item("core_mosquitto", &["mounts/mosquitto/config", "data"]),
        item("media", &[""]),
        item("share", &[""]),
        item("homeassistant_other", &["mounts/root/.ssh"]),
        item("my_cache", &["mounts/data"]),
    ];
    assert_eq!(items(&facts), expected);
}

#[test]
fn a_mount_of_two_is_taken_once_and_the_host_never() {
    let ha = with_bind(container("ha", "homeassistant/home-assistant"), "/srv/ha", "/config");
    let bridge = container("z2m", "koenkk/zigbee2mqtt");
    let bridge = with_bind(bridge, "/srv/ha/zigbee2mqtt", "/app/data");
    let bridge = with_bind(bridge, "/run/udev", "/run/udev");
    let mut agent = with_label(container("agent", "agent"), "hearthkeep.enable", "true");
    for path in ["/", "/proc", "/sys", "/dev/ttyUSB0", "/var/run/docker.sock", "/var/lib/docker"] {
        agent = with_bind(agent, path, &format!("/host{path}"));
    }
    let facts = facts(vec![ha, bridge, agent]);
    assert_eq!(items(&facts), [item("homeassistant", &["data"])]);
    let home = plan::find(&facts, &Pick::default()).expect("there is a home");
    let plan = plan::backup(&facts, home, &BackupRequest::default()).expect("there is a plan");
    let why = |what: &str| {
        let left = plan.left_out.iter().find(|it| it.what == what);
        left.map(|it| it.why.as_str()).unwrap_or_default()
    };
    assert!(why("/app/data").contains("lies inside homeassistant"), "{:?}", plan.left_out);
    assert_eq!(why("/host/"), "the whole host");
    assert_eq!(why("/host/var/run/docker.sock"), "the Docker socket");
    assert_eq!(why("/host/dev/ttyUSB0"), "device");
    // The bridge writes into what is backed up, so it is held; the agent does not.
    let held: Vec<&str> = plan.holds.iter().map(|it| it.name.as_str()).collect();
    assert!(held.contains(&"z2m") && held.contains(&"ha"), "{held:?}");
}

#[test]
fn those_that_depend_on_others_are_held_first() {
    let ha = in_project(home_assistant("ha"), "p", "ha");
    let ha = with_label(ha, "com.docker.compose.depends_on", "db:service_healthy:true,mqtt:x:y");
    let db = with_volume(in_project(container("db", "mariadb"), "p", "db"), "/var/lib/mysql");
    let mqtt = in_project(container("mqtt", "mosquitto"), "p", "mqtt");
    let mqtt =
        with_volume(with_label(mqtt, "com.docker.compose.depends_on", "db"), "/mosquitto/data");
    let facts = facts(vec![db, ha, mqtt]);
    let home = plan::find(&facts, &Pick::default()).expect("there is a home");
    let plan = plan::backup(&facts, home, &BackupRequest::default()).expect("there is a plan");
    let held: Vec<&str> = plan.holds.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(held, ["ha", "mqtt", "db"]);
}

/// What the plan of a backup says, or why there is none.
fn warnings(containers: Vec<Container>) -> Result<Vec<String>, Refused> {
    let facts = facts(containers);
    let home = plan::find(&facts, &Pick::default())?;
    plan::backup(&facts, home, &BackupRequest::default()).map(|it| it.warnings)
}

#[test]
fn labels_that_mean_nothing_are_refused() {
    for (label, value, said) in [
        ("hold", "freeze", "must be pause"),
        ("stop-timeout", "soon", "a number of seconds"),
        ("slug", "a.b", "letters"),
        ("role", "x", "homeassistant or companion"),
        ("port", "0", "a port"),
        ("boot", "no", "true or false"),
        ("enabel", "true", "no such label, probably hearthkeep.enable"),
        ("stop_timeout", "3", "no such label, probably hearthkeep.stop-timeout"),
        ("before.on-eror", "fail", "no such label, probably hearthkeep.before.on-error"),
        ("colour", "red", "there is no such label"),
    ] {
        let key = format!("hearthkeep.{label}");
        let refused = warnings(vec![with_label(home_assistant("ha"), &key, value)]);
        match &refused {
            Err(err @ Refused::BadLabel { container, label, value: it, .. }) => {
                assert_eq!((container, label, it.as_str()), (&"ha".to_owned(), &key, value));
                assert!(err.to_string().contains(said), "{err}");
            }
            other => panic!("{key}={value}: {other:?}"),
        }
    }
}

#[test]
fn labels_that_contradict_each_other_are_refused() {
    let companion = |name: &str, labels: &[(&str, &str)]| {
        let it = with_volume(in_project(container(name, "x"), "home", name), "/data");
        labels
            .iter()
            .fold(it, |it, (key, value)| with_label(it, &format!("hearthkeep.{key}"), value))
    };
    let check = |others: Vec<Container>, said: &[&str]| {
        let ours = in_project(home_assistant("ha"), "home", "ha");
        let err = warnings([vec![ours], others].concat()).expect_err(said[0]).to_string();
        said.iter().for_each(|it| assert!(err.contains(it), "{it}: {err}"));
    };
    let both = [("enable", "false"), ("role", "companion")];
    check(vec![companion("db", &both)], &["container db", "contradicts hearthkeep.enable=false"]);
    let slug = [("slug", "mine")];
    let two = vec![companion("a", &slug), companion("b", &slug)];
    check(two, &["container b", "is the slug of a as well"]);
    let named = with_label(home_assistant("ha"), "hearthkeep.role", "homeassistant");
    let err = warnings(vec![with_label(named, "hearthkeep.slug", "mine")]).expect_err("a slug");
    assert!(err.to_string().contains("contradicts hearthkeep.role=homeassistant"), "{err}");
}

#[test]
fn a_bad_label_of_a_stranger_is_a_warning_and_of_another_home_nothing() {
    let ours = || in_project(home_assistant("ha"), "home", "ha");
    let bad = |it: Container| with_label(it, "hearthkeep.enabel", "true");
    let found = warnings(vec![ours(), bad(container("blog", "wordpress"))]).expect("a plan");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("blog") && found[0].contains("probably hearthkeep.enable"),
        "{found:?}"
    );
    assert!(found[0].ends_with("it does not belong to the home"), "{found:?}");
    // A copy in a boot test is known.
    let copy = with_label(container("copy", "wordpress"), hearthkeep::engine::MARK, "7");
    assert_eq!(warnings(vec![ours(), copy]).expect("a plan"), Vec::<String>::new());
    // A value that cannot be read says nothing, and that is said.
    let maybe = with_label(container("blog", "wordpress"), "hearthkeep.enable", "yes");
    let found = warnings(vec![ours(), maybe]).expect("a plan");
    assert!(found[0].contains("must be true or false"), "{found:?}");
    // Without a home it is the first thing to look at.
    let only = with_label(container("mine", "my/own"), "hearthkeep.role", "homeasistant");
    let err = warnings(vec![only]).expect_err("no home").to_string();
    assert!(err.contains("hearthkeep.role") && err.contains("must be homeassistant"), "{err}");

    let facts = facts(vec![
        ours(),
        in_project(home_assistant("other"), "two", "ha"),
        bad(in_project(container("db", "x"), "two", "db")),
    ]);
    let home = plan::find(&facts, &project("home")).expect("there is a home");
    let plan = plan::backup(&facts, home, &BackupRequest::default()).expect("a plan");
    assert_eq!(plan.warnings, Vec::<String>::new());
    let home = plan::find(&facts, &project("two")).expect("there is a home");
    assert!(plan::backup(&facts, home, &BackupRequest::default()).is_err());
}

#[test]
fn items_are_picked_by_slug_by_container_and_by_short_name() {
    let broker = with_volume(container("broker", "eclipse-mosquitto:2"), "/mosquitto/data");
    let facts = facts(vec![home_assistant("ha"), broker]);
    let plan = |only: &str| {
        let home = plan::find(&facts, &Pick::default()).expect("there is a home");
        let request = BackupRequest { only: vec![only.to_owned()], ..BackupRequest::default() };
        plan::backup(&facts, home, &request)
    };
    for name in ["core_mosquitto", "mosquitto", "broker"] {
        let plan = plan(name).unwrap_or_else(|err| panic!("{name}: {err}"));
        assert_eq!(plan.parts.len(), 1);
        assert!(matches!(plan.parts[0].kind, PartKind::Addon { .. }));
    }
    let refused = plan("brokers").map(drop).expect_err("no such item").to_string();
    assert!(refused.contains("brokers") && refused.contains("core_mosquitto"), "{refused}");
}

#[test]
fn what_the_table_leaves_out_stays_in_place_on_restore() {
    let frigate = container("cameras", "ghcr.io/blakeblackshear/frigate:0.16.0");
    let frigate = with_volume(with_volume(frigate, "/config"), "/media/frigate");
    let facts = facts(vec![home_assistant("ha"), frigate]);
    let home = plan::find(&facts, &Pick::default()).expect("there is a home");
    let backup = plan::backup(&facts, home.clone(), &BackupRequest::default()).expect("a plan");
    let part = backup.parts.iter().find(|it| it.item.to_string() == "ccab4aaf_frigate");
    let recordings = "/media/frigate/**".to_owned();
    assert!(part.expect("a part").exclude_kept.contains(&recordings));
    // A file of the Supervisor says nothing of it.
    let item = Item::Companion("ccab4aaf_frigate".to_owned());
    let places = [(item.clone(), "config".to_owned())].into();
    let found = Found { places, ..Found::default() };
    let contents = Contents { items: vec![item], found, ..Contents::default() };
    let plan = plan::restore(&facts, home, &contents, &RestoreRequest::default()).expect("a plan");
    assert_eq!(plan.routes.len(), 1);
    assert!(plan.routes.iter().all(|it| it.keep_globs.contains(&recordings)));
}
