//! The list of calls in the documentation is the one that the proxy of the second file passes.

use std::collections::BTreeMap;
use std::fs;

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
