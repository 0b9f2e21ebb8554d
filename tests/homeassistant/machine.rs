//! A home that comes up where nothing of it was before, from a file alone.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::backup_with;
use super::home::{Home, PASSWORD};
use super::moving::sound_inside;
use super::support::home::write;
use super::support::{Bench, docker, unique};

/// Compose makes what the backup tells of, and the old life goes on in it.
pub(crate) fn comes_up_on_a_new_one(home: &Home, bench: &Bench) {
    let password = write(&bench.path().join("new-password"), PASSWORD);
    std::fs::set_permissions(&password, Permissions::from_mode(0o600)).expect("it is ours");
    let password = password.display().to_string();
    let made = backup_with(home, bench, "Machine", &["--password-file", &password]);
    let backup = made.copied_to(&bench.folder("kept")).path.display().to_string();

    // First the guard, then what it guards. The folder names the project.
    let new = Home { project: unique("machine"), tokens: home.tokens.clone() };
    let file = bench.path().join(&new.project).join("compose.yaml").display().to_string();
    let words = ["restore", &backup, "--onto", &file, "--yes", "--password-file", &password];
    bench.hearthkeep(&words).ends(0);
    new.wait_until_up();
    assert_eq!(new.areas(), home.areas());
    assert!(!sound_inside(&new, "/config").is_empty());
    for service in ["homeassistant", "mosquitto", "clock"] {
        let image =
            |home: &Home| docker(&["inspect", "-f", "{{.Config.Image}}", &home.container(service)]);
        assert_eq!(image(&new), image(home), "{service}");
    }
}
