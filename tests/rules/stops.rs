//! Who is stopped, who is stopped with it, and who must not be.

use hearthkeep::model::{Container, Contents, Health, Item, State};
use hearthkeep::plan::{
    self, BackupRequest, Facts, Hold, How, Pick, Refused, RestorePlan, RestoreRequest,
};

use super::facts::{container, facts, home_assistant, in_project, with_label, with_volume};

fn backup(facts: &Facts) -> Result<Vec<Hold>, Refused> {
    let home = plan::find(facts, &Pick::default())?;
    Ok(plan::backup(facts, home, &BackupRequest::default())?.holds)
}

fn restore(facts: &Facts) -> RestorePlan {
    let home = plan::find(facts, &Pick::default()).expect("there is a home");
    let contents = Contents { items: vec![Item::HomeAssistant], ..Contents::default() };
    plan::restore(facts, home, &contents, &RestoreRequest::default()).expect("a plan")
}

fn names(holds: &[Hold]) -> Vec<(&str, How)> {
    holds.iter().map(|it| (it.name.as_str(), it.how)).collect()
}

/// A companion that has joined the network of another container.
fn joined(name: &str, other: &str) -> Container {
    let mut joined = in_project(container(name, "x"), "home", name);
    joined.joined_network = Some(other.to_owned());
    joined
}

fn ours() -> Container {
    in_project(home_assistant("ha"), "home", "ha")
}

#[test]
fn who_has_joined_the_network_of_a_stopped_one_is_stopped_with_it() {
    let stopped = with_label(ours(), "hearthkeep.hold", "stop");
    let mut down = joined("down", "ha");
    down.state = State::Stopped;
    let mut by_id = joined("by-id", "x");
    by_id.joined_network = Some(stopped.id.clone());
    let further = joined("further", "proxy");
    let writer =
        with_label(with_volume(joined("writer", "ha"), "/data"), "hearthkeep.hold", "none");
    let apart = with_volume(in_project(container("apart", "x"), "home", "apart"), "/data");
    let companions = [joined("proxy", "ha"), down, by_id, further, writer, apart];
    let with =
        |home: Container| facts(std::iter::once(home).chain(companions.iter().cloned()).collect());
    let holds = backup(&with(stopped)).expect("a plan");
    let expected = [
        ("writer", How::Stop),
        ("further", How::Stop),
        ("proxy", How::Stop),
        ("by-id", How::Stop),
        ("apart", How::Pause),
        ("ha", How::Stop),
    ];
    let mut sorted = names(&holds);
    sorted.sort_by_key(|(name, _)| expected.iter().position(|it| it.0 == *name));
    assert_eq!(sorted, expected);
    let place = |name: &str| holds.iter().position(|it| it.name == name);
    assert!(place("further") < place("proxy") && place("proxy") < place("ha"), "{holds:?}");
    // What is only paused keeps its network.
    let paused = with(ours());
    let holds = backup(&paused).expect("a plan");
    assert_eq!(names(&holds).len(), 3, "{holds:?}");
    assert!(holds.iter().all(|it| it.how != How::Stop), "{holds:?}");
    // A restore stops Home Assistant whatever its label says.
    let holds = restore(&paused).stops;
    assert_eq!(holds.len(), 5, "{holds:?}");
    assert_eq!(holds.last().map(|it| it.name.as_str()), Some("ha"));
}

#[test]
fn what_a_stop_would_remove_is_not_stopped() {
    let fleeting = |label: &str| {
        let mut broker = with_volume(container("broker", "eclipse-mosquitto:2"), "/mosquitto/data");
        broker.auto_remove = true;
        facts(vec![ours(), with_label(broker, "hearthkeep.hold", label)])
    };
    assert!(backup(&fleeting("pause")).is_ok());
    let mut home = ours();
    home.auto_remove = true;
    let told = |facts: &Facts| restore(facts).problems;
    let refused = [
        vec![backup(&fleeting("stop")).expect_err("it would be gone").to_string()],
        told(&facts(vec![home.clone()])),
        told(&facts(vec![ours(), {
            let mut it = joined("proxy", "ha");
            it.auto_remove = true;
            it
        }])),
    ];
    for (refused, name) in refused.into_iter().zip(["broker", "ha", "proxy"]) {
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(refused[0].starts_with(&format!("{name} was started with --rm")), "{refused:?}");
    }
    assert!(backup(&facts(vec![home])).is_ok(), "a pause removes nothing");
}

#[test]
fn a_hold_remembers_whether_anything_spoke_against_the_health() {
    let cases = [
        (Health::None, true),
        (Health::Healthy, true),
        (Health::Starting, false),
        (Health::Unhealthy, false),
    ];
    for (health, wanted) in cases {
        let mut home = ours();
        home.health = health;
        let holds = backup(&facts(vec![home])).expect("a plan");
        assert_eq!(holds[0].healthy, wanted, "{health:?}");
    }
}
