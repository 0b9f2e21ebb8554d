//! Which hooks a plan has, by the labels of the containers and by what these are doing; and what
//! follows where the engine or a container fails them.

use std::time::Duration;

use hearthkeep::model::{Container, State};
use hearthkeep::plan::{self, BackupPlan, BackupRequest, OnError, Pick, Refused};

use super::facts::{container, facts, home_assistant, with_label, with_volume};

fn broker() -> Container {
    with_volume(container("broker", "eclipse-mosquitto:2"), "/mosquitto/data")
}

fn labelled(container: Container, labels: &[(&str, &str)]) -> Container {
    let add = |it, (key, value): &(&str, &str)| with_label(it, &format!("hearthkeep.{key}"), value);
    labels.iter().fold(container, add)
}

fn backup(containers: Vec<Container>, only: &[&str]) -> Result<BackupPlan, Refused> {
    let facts = facts(containers);
    let home = plan::find(&facts, &Pick::default())?;
    let only = only.iter().map(|it| (*it).to_owned()).collect();
    plan::backup(&facts, home, &BackupRequest { only, ..BackupRequest::default() })
}

#[test]
fn hooks_are_as_the_labels_say() {
    let labels = [
        ("before", "sync; rm -f /tmp/x"),
        ("before.user", "1883"),
        ("before.timeout", "7"),
        ("before.on-error", "continue"),
        ("after", "true"),
    ];
    let plan =
        backup(vec![home_assistant("ha"), labelled(broker(), &labels)], &[]).expect("a plan");
    let [hooks] = plan.hooks.as_slice() else { panic!("{:?}", plan.hooks) };
    assert_eq!(hooks.name, "broker");
    let items: Vec<String> = hooks.items.iter().map(ToString::to_string).collect();
    assert_eq!(items, ["core_mosquitto"]);
    let before = hooks.before.as_ref().expect("it has one");
    assert_eq!(before.command, "sync; rm -f /tmp/x");
    assert_eq!(before.user.as_deref(), Some("1883"));
    assert_eq!((before.timeout, before.on_error), (Duration::from_secs(7), OnError::Continue));
    let after = hooks.after.as_ref().expect("it has one");
    assert_eq!((after.user.as_deref(), after.on_error), (None, OnError::Fail));
    assert_eq!(after.timeout, Duration::from_mins(5));
}

#[test]
fn a_label_that_says_nothing_is_refused() {
    let cases: [(&[(&str, &str)], &str); 8] = [
        (&[("before", "")], "hearthkeep.before"),
        (&[("after", " ")], "hearthkeep.after"),
        (&[("before", "x"), ("before.timeout", "soon")], "hearthkeep.before.timeout"),
        (&[("before", "x"), ("before.timeout", "0")], "hearthkeep.before.timeout"),
        (&[("after", "x"), ("after.on-error", "stop")], "hearthkeep.after.on-error"),
        (&[("after", "x"), ("after.user", "")], "hearthkeep.after.user"),
        (&[("before.user", "root")], "hearthkeep.before.user"),
        (&[("before", "x"), ("after.timeout", "9")], "hearthkeep.after.timeout"),
    ];
    for (labels, wanted) in cases {
        let refused = backup(vec![home_assistant("ha"), labelled(broker(), labels)], &[]);
        match refused.map(drop) {
            Err(Refused::BadLabel { label, .. }) => assert_eq!(label, wanted, "{labels:?}"),
            other => panic!("{labels:?}: {other:?}"),
        }
    }
}

#[test]
fn only_what_runs_and_is_in_the_backup_has_hooks() {
    let hooked = |container| labelled(container, &[("before", "true")]);
    for (state, wanted) in [
        (State::Running, None),
        (State::Paused, Some("broker is paused: its hooks cannot run")),
        (State::Stopped, Some("broker is stopped: its hooks cannot run")),
    ] {
        let mut broker = hooked(broker());
        broker.state = state;
        let plan = backup(vec![home_assistant("ha"), broker], &[]).expect("a plan");
        assert_eq!(plan.hooks.len(), usize::from(wanted.is_none()), "{state:?}");
        let warnings: Vec<&str> = plan.warnings.iter().map(String::as_str).collect();
        assert_eq!(warnings, Vec::from_iter(wanted), "{state:?}");
    }
    let home = vec![hooked(home_assistant("ha")), hooked(broker())];
    let names = |only| {
        let plan = backup(home.clone(), only).expect("a plan");
        plan.hooks.into_iter().map(|it| it.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&["homeassistant"]), ["ha"]);
    assert_eq!(names(&["core_mosquitto"]), ["broker"]);
    // One that has no part of its own, but is held since it writes another's.
    let mut editor = hooked(labelled(container("editor", "x"), &[("role", "companion")]));
    editor.mounts = home[0].mounts.clone();
    let plan = backup(vec![home[0].clone(), editor], &[]).expect("a plan");
    let found: Vec<_> = plan.hooks.iter().map(|it| (it.name.as_str(), it.items.len())).collect();
    assert!(found.contains(&("ha", 1)) && found.contains(&("editor", 0)), "{found:?}");
}
