//! Who is held first and goes on last.

use hearthkeep::model::{Container, Contents, Item};
use hearthkeep::plan::{self, BackupRequest, Hold, Pick, Refused, RestoreRequest};

use super::facts::{container, facts, home_assistant, in_project, with_bind, with_label};

const DEPENDS_ON: &str = "com.docker.compose.depends_on";

fn service(name: &str) -> Container {
    in_project(container(name, "x"), "home", name)
}

fn ours() -> Container {
    in_project(home_assistant("ha"), "home", "ha")
}

/// With a mount that it may only read.
fn reading(container: Container, source: &str) -> Container {
    let mut container = with_bind(container, source, "/read");
    container.mounts.last_mut().expect("it was added").writable = false;
    container
}

/// The holds of a restore of Home Assistant, in which everybody who sees `/config` is stopped.
fn stops(companions: Vec<Container>) -> Vec<Hold> {
    let all = std::iter::once(ours()).chain(companions);
    let config = "/var/lib/docker/volumes/ha_config/_data";
    let sees_it = |it: Container| reading(it, &format!("{config}/look"));
    let all = all.map(|it| if it.name == "ha" { it } else { sees_it(it) });
    let facts = facts(all.collect());
    let home = plan::find(&facts, &Pick::default()).expect("a home");
    let contents = Contents { items: vec![Item::HomeAssistant], ..Contents::default() };
    let request = RestoreRequest::default();
    plan::restore(&facts, home, &contents, &request).expect("a plan").stops
}

fn needs<'a>(holds: &'a [Hold], name: &str) -> Vec<(&'a str, bool)> {
    let hold = holds.iter().find(|it| it.name == name).expect("it is held");
    hold.needs.iter().map(|it| (it.name.as_str(), it.healthy)).collect()
}

fn names(holds: &[Hold]) -> Vec<&str> {
    holds.iter().map(|it| it.name.as_str()).collect()
}

#[test]
fn who_only_reads_what_another_writes_is_held_first_and_goes_on_after_it() {
    let holds = stops(vec![service("a"), service("z")]);
    assert_eq!(names(&holds).last(), Some(&"ha"));
    assert_eq!(needs(&holds, "a"), [("ha", false)]);
    assert_eq!(needs(&holds, "ha"), []);
}

#[test]
fn what_people_wrote_down_counts_more_than_what_mounts_look_like() {
    // Home Assistant is started after the reader of its files, by way of another one.
    let reader = service("reader");
    let between = with_label(service("between"), DEPENDS_ON, "reader:service_started:false");
    let mut holds = stops(vec![reader, between]);
    assert_eq!(names(&holds).last(), Some(&"ha"), "nobody said otherwise yet");
    let reader = service("reader");
    let between = with_label(service("between"), DEPENDS_ON, "reader:service_started:false");
    let ha = with_label(ours(), DEPENDS_ON, "between:service_healthy:false");
    let look = "/var/lib/docker/volumes/ha_config/_data/look";
    let facts = facts(vec![ha, reading(reader, look), reading(between, look)]);
    let home = plan::find(&facts, &Pick::default()).expect("a home");
    let contents = Contents { items: vec![Item::HomeAssistant], ..Contents::default() };
    holds = plan::restore(&facts, home, &contents, &RestoreRequest::default()).expect("ok").stops;
    assert_eq!(names(&holds), ["ha", "between", "reader"]);
    assert_eq!(needs(&holds, "ha"), [("between", true)]);
    assert_eq!(needs(&holds, "between"), [("reader", false)]);
}

#[test]
fn priority_orders_what_is_not_related_otherwise() {
    let with =
        |name: &str, priority: &str| with_label(service(name), "hearthkeep.priority", priority);
    let holds = stops(vec![with("low", "-5"), with("high", "10"), service("mid")]);
    // All of them read what Home Assistant writes, whatever their priority.
    assert_eq!(names(&holds), ["low", "mid", "high", "ha"]);
    assert_eq!(needs(&holds, "low"), [("mid", false), ("high", false), ("ha", false)]);
    assert_eq!(needs(&holds, "high"), [("ha", false)]);
}

#[test]
fn a_priority_that_is_no_number_is_refused() {
    let odd = with_label(
        super::facts::with_volume(service("odd"), "/data"),
        "hearthkeep.priority",
        "first",
    );
    let facts = facts(vec![ours(), odd]);
    let home = plan::find(&facts, &Pick::default()).expect("a home");
    let refused = plan::backup(&facts, home, &BackupRequest::default()).expect_err("no number");
    assert!(matches!(&refused, Refused::BadLabel { .. }), "{refused}");
    assert!(refused.to_string().contains("must be a whole number"), "{refused}");
}
