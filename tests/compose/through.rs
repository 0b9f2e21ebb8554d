//! The sidecar behind a proxy on the network that passes what the documentation lists.

use crate::project::{Cast, NEVER, Project};
use crate::support::Bench;
use crate::support::home::write;
use crate::support::proxy::{Proxy, documented};

#[test]
fn the_documented_calls_are_enough_for_the_containers_of_jobs() {
    let bench = Bench::new();
    let proxy = Proxy::passing(bench.path(), documented());
    let address = format!("DOCKER_HOST=tcp://socket-proxy:{}", proxy.port());
    let project = Project::up("proxied", Cast::Helpers, NEVER, &[&address]);

    let key = project.home.bench.folder("backups").join("key");
    write(&key, "hunter2\n");
    let words = ["--password-file", "/backups/key"];
    let report = project.json(&[&words[..], &["backup"]].concat());
    let slug = report["slug"].as_str().expect("a slug").to_owned();
    project.spoil("mariadb");
    let restore = [&words[..], &["restore", &slug, "--yes"]].concat();
    project.try_hearthkeep(&restore).ends(0);
    assert_eq!(project.note("mariadb").as_deref(), Some("kept"));
    assert!(project.runs());

    assert_eq!(proxy.refused(), [""; 0]);
    let passed = proxy.passed();
    for call in ["POST /containers/create", "POST /containers/*/attach", "DELETE /containers/*"] {
        assert!(passed.iter().any(|it| it == call), "{call} is listed, and nobody needs it");
    }
}
