//! How the containers of a home are named in one Compose file.

use std::collections::BTreeMap;

use hearthkeep::compose_file::own_words;
use hearthkeep::model::{Container, Contents, Manifest, PartRecord, Recipe, RecipeMount, State};
use hearthkeep::plan::{self, Pick, RestoreRequest};

use crate::support::facts::{
    container, facts, home_assistant, in_project, with_label, with_volume,
};

fn recipe(container: &Container) -> Recipe {
    Recipe {
        container: container.name.clone(),
        service: container.service().unwrap_or(&container.name).to_owned(),
        runs: true,
        ..Recipe::default()
    }
}

fn mount(source: &str) -> RecipeMount {
    RecipeMount { source: source.to_owned(), target: "/x".into(), mode: String::new() }
}

fn in_home(name: &str, service: &str) -> Container {
    in_project(container(name, "x"), "home", service)
}

fn named(containers: Vec<Container>, recipes: &[Recipe]) -> Vec<Recipe> {
    let home = plan::find(&facts(containers), &Pick::default()).expect("a home");
    own_words(&home, recipes)
}

fn ha() -> Container {
    let ha = in_project(home_assistant("home_ha_1"), "home", "ha");
    with_label(ha, "com.docker.compose.project.working_dir", "/srv/home")
}

#[test]
fn what_a_project_has_is_named_without_it() {
    let check = |source: &str, wanted: &str| {
        let recipe = Recipe { mounts: vec![mount(source)], ..recipe(&ha()) };
        assert_eq!(named(vec![ha()], &[recipe])[0].mounts[0].source, wanted, "{source}");
    };
    check("home_config", "config");
    check("another", "another");
    check("homely", "homely");
    check("", "");
    check("/srv/home/config", "./config");
    check("/srv/home", ".");
    check("/srv/homely/config", "/srv/homely/config");
    check("/etc/localtime", "/etc/localtime");
}

#[test]
fn networks_and_those_who_share_them_are_told_by_service() {
    let recipe_with = |mode: Option<&str>, networks: &[&str]| {
        let networks = networks.iter().map(|it| ((*it).to_owned(), Vec::new()));
        let network_mode = mode.map(str::to_owned);
        Recipe { network_mode, networks: networks.collect(), ..recipe(&ha()) }
    };
    let check = |mode: Option<&str>, networks: &[&str], wanted: (Option<&str>, &[&str], usize)| {
        let all = named(
            vec![ha(), in_home("vpn", "tunnel")],
            &[recipe_with(mode, networks), recipe(&in_home("vpn", "tunnel"))],
        );
        let keys: Vec<&str> = all[0].networks.keys().map(String::as_str).collect();
        let found = (all[0].network_mode.as_deref(), keys.as_slice(), all[0].not_kept.len());
        assert_eq!(found, wanted, "{mode:?} {networks:?}");
    };
    check(None, &["home_default"], (None, &["default"], 0));
    check(None, &["bridge"], (None, &[], 0));
    check(None, &["proxy"], (None, &["proxy"], 1));
    check(Some("host"), &["host"], (Some("host"), &[], 0));
    check(Some("container:vpn"), &[], (Some("service:tunnel"), &[], 0));
    let id = in_home("vpn", "tunnel").id;
    check(Some(&format!("container:{id}")), &[], (Some("service:tunnel"), &[], 0));
    check(Some("container:gone"), &[], (None, &[], 1));
}

#[test]
fn each_container_is_a_service_of_its_own() {
    let second = with_label(in_home("home_db_2", "db"), "com.docker.compose.container-number", "2");
    let stray = with_label(container("db", "x"), "hearthkeep.enable", "true");
    let depends_on: BTreeMap<_, _> = [("db", "service_started"), ("gone", "service_started")]
        .map(|(it, how)| (it.to_owned(), how.to_owned()))
        .into();
    let containers = vec![ha(), in_home("home_db_1", "db"), second, stray];
    let mut recipes: Vec<Recipe> = containers.iter().map(recipe).collect();
    recipes[0].depends_on = depends_on;
    let all = named(containers, &recipes);
    let found: Vec<_> = all.iter().map(|it| (&*it.container, &*it.service)).collect();
    assert_eq!(found, [("home_ha_1", "ha"), ("home_db_1", "db"), ("db", "db_2")]);
    assert!(all[0].depends_on.contains_key("db") && all[0].depends_on.len() == 1, "{all:?}");
    assert_eq!(all[1].not_kept, ["its second container home_db_2"]);
}

fn part(item: &str) -> PartRecord {
    PartRecord {
        item: item.to_owned(),
        member: format!("{item}.companion.tgz"),
        image: String::new(),
        exclude: Vec::new(),
        trees: Vec::new(),
    }
}

#[test]
fn of_a_home_that_is_down_all_is_started_that_ran() {
    let check = |down: &[&str], idle: &[&str], only: &[&str], wanted: &[&str]| {
        let broker = with_volume(in_home("home_broker_1", "broker"), "/data");
        let broker = with_label(broker, "hearthkeep.priority", "1");
        let tool = with_volume(in_home("home_tool_1", "tool"), "/data");
        let mut containers = vec![ha(), broker, tool];
        let recipes: Vec<Recipe> = containers
            .iter()
            .map(|it| Recipe { runs: !idle.contains(&&*it.name), ..recipe(it) })
            .collect();
        for it in containers.iter_mut().filter(|it| down.contains(&&*it.name)) {
            it.state = State::Stopped;
        }
        let contents = Contents {
            items: ["homeassistant", "broker", "tool"].map(hearthkeep::model::Item::parse).into(),
            manifest: Some(Manifest {
                containers: recipes,
                parts: ["broker", "tool"].map(part).into(),
                ..Manifest::default()
            }),
            ..Contents::default()
        };
        let facts = facts(containers);
        let home = plan::find(&facts, &Pick::default()).expect("a home");
        let only = only.iter().map(|it| (*it).to_owned()).collect();
        let request = RestoreRequest { only, ..RestoreRequest::default() };
        let plan = plan::restore(&facts, home, &contents, &request).expect("a plan");
        let found: Vec<&str> = plan.start_too.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(found, wanted, "{down:?} {idle:?}");
        let told = plan.notes.iter().filter(|it| it.contains("is not started")).count();
        assert_eq!(told, down.iter().filter(|it| !wanted.contains(it)).count(), "{:?}", plan.notes);
    };
    let [ha, broker, tool] = ["home_ha_1", "home_broker_1", "home_tool_1"];
    check(&[], &[], &[], &[]);
    check(&[ha], &[], &[], &[ha]);
    check(&[tool], &[], &[], &[]);
    check(&[ha, tool], &[], &[], &[ha]);
    check(&[ha, broker, tool], &[], &[], &[broker, ha, tool]);
    check(&[ha, broker, tool], &[tool], &[], &[broker, ha]);
    check(&[ha, broker, tool], &[], &["homeassistant"], &[broker, ha, tool]);
}
