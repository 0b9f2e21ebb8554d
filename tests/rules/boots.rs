//! What a boot test copies, and what the copies see.

use hearthkeep::model::{Container, Contents, Health, Item, MountKind, State};
use hearthkeep::plan::{self, BootMount, BootPlan, BootSource, Copied, Facts, Pick, Refused};

use super::facts::{
    container, facts, home_assistant, in_project, with_bind, with_label, with_volume,
};

fn plan(facts: &Facts, items: &[&str]) -> Result<BootPlan, Refused> {
    let home = plan::find(facts, &Pick::default())?;
    let items = items.iter().map(|it| Item::parse(it)).collect();
    plan::boot(facts, &home, &Contents { items, ..Contents::default() })
}

fn home(homeassistant: Container, companions: Vec<Container>) -> Facts {
    let all = std::iter::once(homeassistant).chain(companions);
    facts(all.map(|it| in_project(it.clone(), "home", &it.name)).collect())
}

fn companion(name: &str) -> Container {
    container(name, "x")
}

fn copy<'a>(plan: &'a BootPlan, name: &str) -> &'a Copied {
    plan.copies.iter().find(|it| it.name == name).expect("it is copied")
}

/// The mounts of a copy in words.
fn seen(copied: &Copied) -> Vec<String> {
    let word = |it: &BootMount| {
        let from = match &it.from {
            BootSource::Tree { folder, below } => format!("{folder}/{}", below.display()),
            BootSource::Empty => "empty".to_owned(),
        };
        format!("{} {from}{}", it.destination.display(), if it.writable { "" } else { " ro" })
    };
    copied.mounts.iter().map(word).collect()
}

#[test]
fn nothing_of_the_host_is_seen_by_a_copy() {
    let mut ha = home_assistant("ha");
    for (source, destination) in [
        ("/etc/localtime", "/etc/localtime"),
        ("/run/dbus", "/run/dbus"),
        ("/var/run/docker.sock", "/var/run/docker.sock"),
        ("/dev/ttyUSB0", "/dev/ttyUSB0"),
        ("/", "/host"),
        ("/var/lib/docker", "/engine"),
        ("/srv/media", "/media"),
        ("/srv/secrets.yaml", "/config/secrets.yaml"),
    ] {
        ha = with_bind(ha, source, destination);
    }
    let mut foreign = with_volume(ha, "/nas");
    for (kind, destination) in [
        (MountKind::Volume { name: "nas".to_owned(), local: false }, "/nas"),
        (MountKind::Tmpfs, "/tmp"),
        (MountKind::Other, "/new"),
    ] {
        foreign.mounts.retain(|it| it.destination.to_str() != Some(destination));
        foreign = with_bind(foreign, "/x", destination);
        foreign.mounts.last_mut().expect("it was added").kind = kind;
    }
    let plan = plan(&home(foreign, vec![]), &["homeassistant"]).expect("a plan");
    assert_eq!(plan.trees.len(), 2, "the configuration and a file of it");
    assert_eq!(
        seen(&plan.copies[0]),
        ["/config 0/", "/media empty", "/config/secrets.yaml 1/", "/nas empty"]
    );
}

#[test]
fn what_two_share_their_copies_share() {
    let mut ha = with_bind(home_assistant("ha"), "/srv/share", "/share");
    ha = with_bind(ha, "/srv/share/deep", "/deep");
    let mut reader = with_bind(companion("reader"), "/srv", "/all");
    reader.mounts[0].writable = false;
    let inside = with_bind(with_volume(companion("inside"), "/data"), "/srv/share/in", "/in");
    let items = ["homeassistant", "share", "reader", "inside"];
    let plan = plan(&home(ha, vec![reader, inside]), &items).expect("a plan");
    let folder = |item: &str| {
        let tree = plan.trees.iter().find(|it| it.item == Item::parse(item));
        tree.expect("it is extracted").folder.clone()
    };
    let (config, share) = (folder("homeassistant"), folder("share"));
    let ha = copy(&plan, "ha");
    assert_eq!(
        seen(ha),
        [format!("/config {config}/"), format!("/share {share}/"), format!("/deep {share}/deep")]
    );
    let inside = seen(copy(&plan, "inside"));
    assert_eq!(inside, [format!("/data {}/", folder("inside")), format!("/in {share}/in")]);
    // What was taken as a part of its own is a hole in the one around it.
    let reader = seen(copy(&plan, "reader"));
    assert_eq!(
        reader,
        [format!("/all {}/ ro", folder("reader")), format!("/all/share {share}/ ro")]
    );
}

#[test]
fn who_cannot_be_tried_is_told() {
    let data = |name: &str| with_volume(companion(name), "/data");
    let mut stick = data("stick");
    stick.reaches_host = true;
    let (mut down, mut loops) = (data("down"), data("loops"));
    (down.state, loops.state) = (State::Stopped, State::Restarting);
    let zone = with_bind(data("zone"), "/etc/localtime", "/etc/localtime");
    let companions = vec![
        data("plain"),
        companion("bare"),
        zone,
        stick,
        down,
        loops,
        with_bind(data("socket"), "/var/run/docker.sock", "/var/run/docker.sock"),
        with_label(data("labelled"), "hearthkeep.boot", "false"),
        data("later"),
    ];
    let items = ["homeassistant", "plain", "zone", "stick", "down", "loops", "socket", "labelled"];
    let items = [&items[..], &["gone"]].concat();
    let plan = plan(&home(home_assistant("ha"), companions), &items).expect("a plan");
    let mut copied: Vec<&str> = plan.copies.iter().map(|it| it.name.as_str()).collect();
    copied.sort_unstable();
    assert_eq!(copied, ["bare", "ha", "plain", "zone"]);
    for (name, why) in [
        ("stick", "it has devices"),
        ("socket", "it has devices"),
        ("down", "it does not run"),
        ("loops", "it does not run"),
        ("labelled", "its label says so"),
        ("later", "the backup holds nothing of it"),
    ] {
        let told = format!("{name} is not started: {why}");
        assert!(plan.notes.iter().any(|it| it.starts_with(&told)), "{told}: {:?}", plan.notes);
    }
    assert!(plan.notes.iter().any(|it| it.starts_with("gone is not tried")), "{:?}", plan.notes);
    assert_eq!(plan.notes.len(), 7);
}

#[test]
fn home_assistant_is_tried_in_any_case() {
    let mut ha = with_label(home_assistant("ha"), "hearthkeep.boot", "false");
    ha = with_bind(ha, "/run/dbus", "/run/dbus");
    (ha.reaches_host, ha.state, ha.host_network) = (true, State::Stopped, true);
    let plan = plan(&home(ha, vec![]), &["homeassistant"]).expect("a plan");
    assert_eq!(seen(copy(&plan, "ha")), ["/config 0/"]);
}

#[test]
fn without_home_assistant_there_is_nothing_to_start() {
    let facts = home(home_assistant("ha"), vec![with_volume(companion("plain"), "/data")]);
    let refused = plan(&facts, &["plain"]).expect_err("nothing answers then");
    assert!(refused.to_string().contains("no Home Assistant"), "{refused}");
}

#[test]
fn in_a_container_it_takes_the_network_of_the_host() {
    let mut facts = home(home_assistant("ha"), vec![companion("hearthkeep")]);
    facts.own_container = Some(facts.containers[1].id.clone());
    let refused = plan(&facts, &["homeassistant"]).expect_err("nobody could be asked");
    assert!(refused.to_string().contains("hearthkeep has a network of its own"), "{refused}");
    facts.containers[1].host_network = true;
    assert_eq!(plan(&facts, &["homeassistant"]).expect("a plan").copies.len(), 1);
}

#[test]
fn copies_start_in_the_order_of_dependence_and_find_each_other() {
    const DEPENDS_ON: &str = "com.docker.compose.depends_on";
    let ha = with_label(
        home_assistant("ha"),
        DEPENDS_ON,
        "broker:service_healthy:false,vpn:service_started:false",
    );
    let mut broker = companion("broker");
    broker.health = Health::Unhealthy;
    let mut joined = companion("joined");
    joined.joined_network = Some("vpn".to_owned());
    let mut astray = companion("astray");
    astray.joined_network = Some("stick".to_owned());
    let mut stick = companion("stick");
    stick.reaches_host = true;
    let all = vec![broker, joined, companion("vpn"), astray, stick];
    let plan = plan(&home(ha, all), &["homeassistant"]).expect("a plan");
    let at = |name: &str| plan.copies.iter().position(|it| it.name == name).expect("it is there");
    assert!(at("broker") < at("ha") && at("vpn") < at("ha") && at("vpn") < at("joined"));
    assert_eq!(copy(&plan, "ha").waits_for, ["broker"]);
    assert_eq!(copy(&plan, "joined").joins.as_deref(), Some("vpn"));
    assert_eq!(copy(&plan, "astray").joins, None, "that one has no copy");
    assert!(!copy(&plan, "broker").needs_health && copy(&plan, "ha").needs_health);
    assert_eq!(copy(&plan, "broker").aliases, ["broker"]);
    let other = in_project(companion("home-broker-1"), "home", "broker");
    let facts = facts(vec![in_project(home_assistant("ha"), "home", "ha"), other]);
    let plan = self::plan(&facts, &["homeassistant"]).expect("a plan");
    assert_eq!(copy(&plan, "home-broker-1").aliases, ["broker", "home-broker-1"]);
}
