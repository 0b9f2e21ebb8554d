//! The list of calls in the documentation is the one that the proxy of the second file passes.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::project::compose_command;
use crate::support::Run;
use crate::support::proxy::documented;

#[test]
fn the_proxy_passes_what_is_documented() {
    let mut paths: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for call in documented() {
        let (method, path) = call.split_once(" /").expect("a method and a path");
        paths.entry(method.to_owned()).or_default().push(path.replace('*', "[^/]+"));
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/compose.proxy.yaml");
    let file = fs::read_to_string(file).expect("it is there");
    let lines: Vec<&str> = file.lines().map(str::trim).collect();
    let wanted: Vec<String> = paths
        .iter()
        .map(|(method, paths)| {
            format!(r#"SP_ALLOW_{method}: "(/v1\\.[0-9]+)?/({})""#, paths.join("|"))
        })
        .collect();
    for line in &wanted {
        assert!(lines.contains(&line.as_str()), "missing: {line}");
    }
    assert_eq!(lines.iter().filter(|it| it.starts_with("SP_ALLOW_")).count(), wanted.len());
}

#[test]
fn behind_the_proxy_hearthkeep_has_no_socket() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging");
    let mut command = compose_command();
    for file in ["compose.yaml", "compose.proxy.yaml"] {
        command.arg("-f").arg(format!("{folder}/{file}"));
    }
    for name in ["MARIADB_ROOT_PASSWORD", "MARIADB_PASSWORD", "DOCKER_GROUP"] {
        command.env(name, "1");
    }
    let run = Run::from(command.arg("config").output().expect("Compose is installed")).ends(0);
    let merged: Value = serde_saphyr::from_str(&run.stdout).expect("it is YAML");
    let volumes = merged["services"]["hearthkeep"]["volumes"].as_array().expect("a list");
    // One generation of Compose writes words, the other objects.
    let both = |it: &Value| match it.as_str() {
        Some(words) => {
            let mut words = words.split(':').map(str::to_owned);
            (words.next(), words.next())
        }
        None => {
            let text = |key: &str| it[key].as_str().map(str::to_owned);
            (text("source"), text("target"))
        }
    };
    let sources: Vec<Option<String>> = volumes
        .iter()
        .map(both)
        .filter(|(_, target)| target.as_deref().is_some_and(|it| it.ends_with("docker.sock")))
        .map(|(source, _)| source)
        .collect();
    assert_eq!(sources, [Some("/dev/null".to_owned())], "{volumes:?}");
}
