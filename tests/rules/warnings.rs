//! What a plan warns of, and the mounts that are the reason.

use hearthkeep::model::{Container, MountKind, State};
use hearthkeep::plan::{self, BackupPlan, BackupRequest, Facts, Pick, Refused};

use super::facts::{container, facts, home_assistant, with_bind, with_label, with_volume};

fn backup(facts: &Facts, only: &[&str]) -> Result<BackupPlan, Refused> {
    let home = plan::find(facts, &Pick::default())?;
    let only = only.iter().map(|it| (*it).to_owned()).collect();
    plan::backup(facts, home, &BackupRequest { only, ..BackupRequest::default() })
}

/// The names with which warnings begin.
fn warned(facts: &Facts) -> Vec<String> {
    let plan = backup(facts, &[]).expect("a plan");
    let first = |it: &String| it.split(' ').next().unwrap_or_default().to_owned();
    plan.warnings.iter().map(first).collect()
}

fn ours() -> Container {
    with_bind(container("ha", "homeassistant/home-assistant"), "/srv/ha", "/config")
}

fn in_state(mut container: Container, state: State) -> Container {
    container.state = state;
    container
}

#[test]
fn who_may_write_and_is_not_held_is_named() {
    let stranger = || with_bind(container("sync", "syncthing"), "/srv/ha/www", "/data");
    let broker = || with_volume(container("broker", "eclipse-mosquitto:2"), "/mosquitto/data");
    let reader = {
        let mut reader = stranger();
        reader.mounts[0].writable = false;
        reader
    };
    let us = with_label(stranger(), "org.opencontainers.image.title", "hearthkeep");
    let disabled = with_label(stranger(), "hearthkeep.enable", "false");
    let monitor = with_bind(
        with_bind(container("monitor", "x"), "/", "/host"),
        "/var/lib/docker/volumes",
        "/v",
    );
    let cases: [(&str, Container, &[&str]); 11] = [
        ("a stranger", stranger(), &["sync"]),
        ("one around it", with_bind(container("sync", "x"), "/srv", "/data"), &["sync"]),
        ("one that is left alone", disabled, &["sync"]),
        ("a stranger that crashes", in_state(stranger(), State::Restarting), &["sync"]),
        ("a stranger that stopped", in_state(stranger(), State::Stopped), &[]),
        ("a stranger that is paused", in_state(stranger(), State::Paused), &[]),
        ("a reader", reader, &[]),
        ("this program", us, &[]),
        ("a monitor", monitor, &[]),
        ("a companion that crashes", in_state(broker(), State::Restarting), &["broker"]),
        ("a companion", broker(), &[]),
    ];
    for (what, container, wanted) in cases {
        assert_eq!(warned(&facts(vec![ours(), container])), wanted, "{what}");
    }
    let crashing = in_state(broker(), State::Restarting);
    for how in ["stop", "none"] {
        let crashing = with_label(crashing.clone(), "hearthkeep.hold", how);
        assert_eq!(warned(&facts(vec![ours(), crashing])), [""; 0], "{how}");
    }
    let mut own = facts(vec![ours(), stranger()]);
    own.own_container = Some(stranger().id);
    assert_eq!(warned(&own), [""; 0], "the own container");
}

#[test]
fn data_that_cannot_be_backed_up_is_named() {
    let kinds = [
        (MountKind::Volume { name: "v".to_owned(), local: false }, true),
        (MountKind::Other, true),
        (MountKind::Tmpfs, false),
        (MountKind::Volume { name: "v".to_owned(), local: true }, false),
    ];
    for (kind, wanted) in kinds {
        let mut broker = with_volume(container("broker", "eclipse-mosquitto:2"), "/mosquitto/data");
        broker = with_volume(broker, "/mosquitto/log");
        broker.mounts[1].kind = kind.clone();
        let facts = facts(vec![ours(), broker]);
        let warnings = backup(&facts, &[]).expect("a plan").warnings;
        assert_eq!(!warnings.is_empty(), wanted, "{kind:?}: {warnings:?}");
        assert!(
            warnings.iter().all(|it| it.starts_with("/mosquitto/log of broker")),
            "{warnings:?}"
        );
        let warnings = backup(&facts, &["homeassistant"]).expect("a plan").warnings;
        assert_eq!(warnings, [""; 0], "nobody asked for the broker");
    }
}

#[test]
fn a_configuration_that_is_left_out_is_refused() {
    let mut foreign = home_assistant("ha");
    foreign.mounts[0].kind = MountKind::Volume { name: "v".to_owned(), local: false };
    let bind = |source: &str| {
        with_bind(container("ha", "homeassistant/home-assistant"), source, "/config")
    };
    let cases = [
        (container("ha", "homeassistant/home-assistant"), "nothing mounted at /config"),
        (foreign, "a volume of a driver whose files are not on this host"),
        (bind("/run/ha"), "runtime state of the host"),
        (bind("/"), "the whole host"),
        (
            with_volume(container("ha", "homeassistant/home-assistant"), "/config/www"),
            "nothing mounted at /config",
        ),
    ];
    for (home, why) in cases {
        let said = backup(&facts(vec![home]), &[]).map(drop).expect_err(why).to_string();
        assert!(said.contains(why), "{said}");
    }
    // A mount around it takes nothing away from it.
    let around = with_bind(bind("/srv/ha"), "/srv", "/backup");
    let plan = backup(&facts(vec![around]), &[]).expect("a plan");
    assert_eq!(plan.parts.len(), 2, "{:?}", plan.left_out);
}

#[test]
fn no_prefix_stands_twice_in_a_part() {
    let home = with_volume(with_volume(ours(), "/addons"), "/addons/local");
    let otbr = with_volume(container("otbr", "openthread/otbr"), "/data/thread");
    let otbr = with_volume(otbr, "/var/lib/thread");
    let plan = backup(&facts(vec![home, otbr]), &[]).expect("a plan");
    let prefixes = |item: &str| {
        let part = plan.parts.iter().find(|it| it.item.to_string() == item).expect("it has a part");
        part.trees.iter().map(|it| it.prefix.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(prefixes("addons/local"), ["", "mounts/addons/local"]);
    assert_eq!(prefixes("core_openthread_border_router"), ["data/thread", "mounts/var/lib/thread"]);
}
