//! What a person does with it, from the first start on.

use crate::project::{Cast, HOME, NEVER, Project};
use crate::support::home::write;
use crate::support::wait_until;

const EVERY_MINUTE: &str = "* * * * *";

/// The sidecar sees the engine, the backups and its own state.
fn assert_sees_nothing(project: &Project) {
    let points = "{{range .Mounts}}{{.Destination}} {{end}}";
    let mounts = project.inspect("hearthkeep", points);
    let mut mounts: Vec<&str> = mounts.split_whitespace().collect();
    mounts.sort_unstable();
    assert_eq!(mounts, ["/backups", "/var/lib/hearthkeep", "/var/run/docker.sock"]);
}

#[test]
fn it_backs_up_by_hand_and_restores() {
    let project = Project::up("story", Cast::Helpers, NEVER, &[]);
    assert_sees_nothing(&project);
    let report = project.json(&["backup"]);
    let slug = report["slug"].as_str().expect("a slug").to_owned();
    assert_eq!(project.jobs(), [""; 0], "nothing is left of the job");
    project.try_hearthkeep(&["verify", &slug]).ends(0);

    let started = HOME.map(|(service, _)| project.inspect(service, "{{.State.StartedAt}}"));
    for (_, volume) in HOME {
        write(&project.volume(volume).join("note"), "lost");
    }
    project.try_hearthkeep(&["restore", &slug, "--yes"]).ends(0);
    for ((service, volume), started) in HOME.iter().zip(started) {
        assert_eq!(project.note(volume).as_deref(), Some("kept"), "{volume}");
        assert_ne!(project.inspect(service, "{{.State.StartedAt}}"), started, "{service}");
    }
    assert!(project.runs());
    assert_sees_nothing(&project);
    assert_eq!(project.jobs(), [""; 0]);
    wait_until("Docker calls it healthy", || {
        project.inspect("hearthkeep", "{{.State.Health.Status}}") == "healthy"
    });
}

#[test]
fn it_backs_up_on_schedule() {
    let project = Project::up("schedule", Cast::Helpers, EVERY_MINUTE, &[]);
    wait_until("one is made", || !project.backups().is_empty());
    assert!(project.runs());
}
