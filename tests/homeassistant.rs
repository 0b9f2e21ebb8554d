//! The real Home Assistant 2026.2.3, a real broker beside it and one more companion: backed up
//! while it counts every second, and brought back by us, by Home Assistant itself and by hand. And
//! a newer Home Assistant, which restores what is encrypted as only newer ones do.
//!
//! The images are those of `tests/lab/images`; without them, or without Docker, the tests fail.
//! A home takes seconds to come up, so one home serves a whole story.

#[path = "homeassistant/api.rs"]
mod api;
#[path = "homeassistant/behind_tls.rs"]
mod behind_tls;
#[path = "homeassistant/booting.rs"]
mod booting;
#[path = "homeassistant/by_hand.rs"]
mod by_hand;
#[path = "homeassistant/encrypted.rs"]
mod encrypted;
#[path = "homeassistant/home.rs"]
mod home;
#[path = "homeassistant/machine.rs"]
mod machine;
#[path = "homeassistant/moving.rs"]
mod moving;
#[path = "homeassistant/next.rs"]
mod next;
#[path = "homeassistant/own.rs"]
mod own;
#[path = "homeassistant/rolling_back.rs"]
mod rolling_back;
mod support;
#[path = "homeassistant/tree.rs"]
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::Value;

use self::home::Home;
use self::support::Bench;

/// What the lab's home holds, as a backup names it: Home Assistant, the broker (an add-on to the
/// Supervisor), a folder, and a companion that nobody else knows.
const ITEMS: [&str; 4] = ["homeassistant", "core_mosquitto", "share", "clock"];

#[test]
fn a_busy_home_moves_into_empty_volumes() {
    let (home, bench) = (Home::lived_in("busy"), Bench::new());
    moving::is_sound_five_times_in_a_row(&home, &bench);
    booting::tells_good_backups_from_bad_ones(&home, &bench);
    moving::comes_up_elsewhere(&home, &bench);
    machine::comes_up_on_a_new_one(&home, &bench);
}

#[test]
fn home_assistant_and_we_take_each_others_files() {
    let (home, bench) = (Home::lived_in("own"), Bench::new());
    let ours = backup(&home, &bench, "Ours");
    let [older, newer] = encrypted::backups(&home, &bench);
    own::software_reads_it(&home, &ours);
    encrypted::on_the_way_it_stays_whole(&home, &bench, [&ours, &older]);
    let [plain, sealed] = [&ours, &newer].map(|it| it.copied_to(&bench.folder("elsewhere")));
    thread::scope(|scope| {
        // The newest one needs nothing of this home but its files.
        scope.spawn(|| encrypted::by_the_newest_it_stays_whole(&bench, [&plain, &sealed]));
        own::restore_takes_it(&home, &ours);
        encrypted::restore_takes_it(&home, &older);
    });
    own::backups_are_restored_by_us(&home, &bench);
    // Stops Home Assistant, so that it can compare what lies still; the next one starts it.
    by_hand::restores_the_same(&home, &bench);
    rolling_back::brings_the_old_home_back(&home, &bench, &ours);
    rolling_back::takes_no_recovery_mode_for_a_home(&home, &bench);
}

#[test]
fn the_newest_home_assistant_restores_what_is_encrypted() {
    let file = archive("core_sec3_gz.tar");
    next::restores_all(&file, "hunter2");
    next::refuses(&file, Some("another"));
    next::refuses(&file, None);
}

#[test]
fn a_home_behind_tls_answers() {
    behind_tls::answers();
}

/// A backup that others made.
fn archive(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/archives").join(name)
}

/// A backup that was made.
struct Made {
    slug: String,
    name: String,
    path: PathBuf,
    size_bytes: u64,
    /// The report as a whole.
    report: Value,
}

impl Made {
    /// The same in another folder.
    fn copied_to(&self, folder: &Path) -> Made {
        let path = folder.join(self.path.file_name().expect("a backup has a name"));
        fs::copy(&self.path, &path).expect("it can be copied");
        let (slug, name, report) = (self.slug.clone(), self.name.clone(), self.report.clone());
        Made { slug, name, path, size_bytes: self.size_bytes, report }
    }
}

/// Backs a home up, which must end well.
fn backup(home: &Home, bench: &Bench, name: &str) -> Made {
    backup_with(home, bench, name, &[])
}

/// The same with more words.
fn backup_with(home: &Home, bench: &Bench, name: &str, more: &[&str]) -> Made {
    let words = ["backup", "--project", &home.project, "--name", name, "--json"];
    let report = bench.hearthkeep(&[&words, more].concat()).ends(0).json();
    let text = |key: &str| report[key].as_str().expect("the report has it").to_owned();
    Made {
        slug: text("slug"),
        name: text("name"),
        path: text("path").into(),
        size_bytes: report["size_bytes"].as_u64().expect("the report has it"),
        report,
    }
}

/// Restores into a home.
fn restore(home: &Home, bench: &Bench, backup: &str, more: &[&str]) -> support::Run {
    let arguments = ["restore", backup, "--project", &home.project, "--yes", "--json"];
    bench.hearthkeep(&[&arguments, more].concat())
}
