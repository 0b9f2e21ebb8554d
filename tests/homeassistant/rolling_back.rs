//! A restored home that does not come up in time, so that the old one has to come back.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::time::{Duration, UNIX_EPOCH};

use super::home::Home;
use super::moving::sound_inside;
use super::support::home::write;
use super::support::{Bench, docker};
use super::tree::Tree;
use super::{Made, backup, own, restore};

/// Home Assistant needs some seconds until it answers, so it cannot be up within this.
const TOO_SHORT: [&str; 2] = ["--patience", "1"];

/// Home Assistant ran, so it runs again, with all that was changed after the backup. What it does
/// not write itself is as it was, to the byte.
pub(crate) fn brings_the_old_home_back(home: &Home, bench: &Bench, made: &Made) {
    docker(&["start", &home.homeassistant()]);
    home.wait_until_up();
    own::change(home);
    furnish(home);
    let before = look(home);
    assert!(before[0].has("www/picture") && before[0].has("later.txt"));
    let ticks = sound_inside(home, "/config");

    let run = restore(home, bench, &made.slug, &TOO_SHORT).ends(13);
    let error = run.error();
    assert!(error.contains("rolled back to what was there before: Home Assistant"), "{error}");
    assert!(error.contains("does not answer on port 8123"), "{error}");
    for (now, before) in look(home).iter().zip(&before) {
        now.assert_is(before);
    }
    home.wait_until_up();
    assert_eq!(own::is_changed(home), [true; 3], "area, automations, further file");
    let now = sound_inside(home, "/config");
    assert!(now.starts_with(&ticks), "{now:?} instead of {ticks:?}");
    for service in ["homeassistant", "mosquitto", "clock"] {
        let state = docker(&["inspect", "-f", "{{.State.Status}}", &home.container(service)]);
        assert_eq!(state, "running", "{service}");
    }
}

/// A backup whose configuration cannot be read is restored, and Home Assistant answers, but only in its
/// recovery mode: so the old home comes back, and the report says why.
pub(crate) fn takes_no_recovery_mode_for_a_home(home: &Home, bench: &Bench) {
    let configuration = home.config().join("configuration.yaml");
    let sound = fs::read_to_string(&configuration).expect("it is there");
    // Home Assistant reads it when it starts, and not before.
    write(&configuration, "http:\n  bad: [unclosed\n foo: : bar\n");
    let broken = backup(home, bench, "Broken");
    write(&configuration, &sound);
    let before = look(home);

    let run = restore(home, bench, &broken.slug, &[]).ends(13);
    let error = run.error();
    for part in ["rolled back", "recovery mode", "Failed to parse configuration.yaml", "log ends"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let told = run.json();
    assert!(told["reason"].as_str().is_some_and(|it| it.contains("recovery mode")), "{told}");
    assert!(told["log"].as_str().is_some_and(|it| !it.is_empty()), "{told}");
    assert!(told["error"].as_str().is_some_and(|it| it.contains("recovery mode")), "{told}");
    for (now, before) in look(home).iter().zip(&before) {
        now.assert_is(before);
    }
    home.wait_until_up();
}

/// Files of every kind that a person may have put there.
fn furnish(home: &Home) {
    let folder = home.config().join("www");
    fs::create_dir(&folder).expect("the folder is new");
    fs::create_dir(folder.join("empty")).expect("the folder is new");
    symlink("../configuration.yaml", folder.join("link")).expect("the link is new");
    let picture = File::create(folder.join("picture")).expect("the file is new");
    picture.set_len(3_000_001).expect("there is room");
    picture.set_permissions(Permissions::from_mode(0o640)).expect("it is ours");
    let long_ago = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    picture.set_modified(long_ago).expect("it is ours");
    chown(folder.join("picture"), Some(1000), Some(1001)).expect("the engine's volumes are root's");
}

/// The volumes, without what a running home writes.
fn look(home: &Home) -> [Tree; 3] {
    let is_written = |path: &str| {
        path.starts_with("home-assistant")
            || path.starts_with(".storage")
            || path.starts_with(".cache")
            || path == ".ha_run.lock"
    };
    ["config", "share", "mosquitto-config"].map(|it| Tree::of(&home.volume(it), &is_written))
}
