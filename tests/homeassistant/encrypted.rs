//! Our encrypted files in Home Assistant's hands, and plain ones that it encrypts and decrypts.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::home::Home;
use super::moving::sound_inside;
use super::support::home::write;
use super::support::{Bench, Run, docker};
use super::{ITEMS, Made, backup_with, next, own};

pub(crate) const PASSWORD: &str = "lab-password";

/// What Home Assistant takes for parts of a backup; the others are ours alone.
const PARTS: [&str; 3] = ["core_mosquitto.tar.gz", "homeassistant.tar.gz", "share.tar.gz"];

/// One for the Home Assistant that runs here, one for newer ones.
pub(crate) fn backups(home: &Home, bench: &Bench) -> [Made; 2] {
    let file = password_file(bench.path(), PASSWORD);
    ["2", "3"].map(|format| {
        let words = ["--password-file", &file, "--format-version", format];
        let made = backup_with(home, bench, &format!("Ours by {format}"), &words);
        assert_eq!(made.report["protected"], true);
        made
    })
}

fn password_file(folder: &Path, password: &str) -> String {
    let path = write(&folder.join(password), password);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    path.display().to_string()
}

/// On the way to a store that wants it otherwise, Home Assistant encrypts or decrypts each part by
/// itself; on the way back it undoes that. What only we understand is as it was all the way, and
/// everything is in the end.
pub(crate) fn on_the_way_it_stays_whole(home: &Home, bench: &Bench, ours: [&Made; 2]) {
    let way = Way { bench, folder: bench.folder("old") };
    let id = home.homeassistant();
    for made in ours {
        let targets = ways(made).map(|it| format!("/tmp/{it}-{}.tar", made.slug));
        let seen = home.python("recrypt.py", &steps(made, &own::inside(made), &targets));
        for it in &targets {
            docker(&["cp", &format!("{id}:{it}"), &way.folder.display().to_string()]);
        }
        way.check(made, &seen);
    }
}

/// The same by the newest Home Assistant, which restores ours that is encrypted, too.
pub(crate) fn by_the_newest_it_stays_whole(bench: &Bench, ours: [&Made; 2]) {
    let way = Way { bench, folder: bench.folder("new") };
    for made in ours {
        let source = made.copied_to(&way.folder).path.display().to_string();
        let folder = way.folder.display();
        let targets = ways(made).map(|it| format!("{folder}/{it}-{}.tar", made.slug));
        let steps = steps(made, &source, &targets);
        way.check(made, &next::python("recrypt.py", &way.folder, &steps));
    }
    let [_, encrypted] = ours;
    next::restores_all(&encrypted.path, PASSWORD);
    next::refuses(&encrypted.path, Some("another"));
}

/// The words for `recrypt.py`.
fn steps<'a>(made: &Made, source: &'a str, targets: &'a [String; 2]) -> [&'a str; 6] {
    let [first, second] = ways(made);
    [PASSWORD, source, first, &targets[0], second, &targets[1]]
}

/// What Home Assistant does with a file, and how it undoes that.
fn ways(made: &Made) -> [&'static str; 2] {
    match made.report["protected"] == true {
        true => ["decrypt", "encrypt"],
        false => ["encrypt", "decrypt"],
    }
}

/// The files that a Home Assistant made of ours.
struct Way<'a> {
    bench: &'a Bench,
    folder: PathBuf,
}

impl Way<'_> {
    /// `seen` is what Home Assistant says of the file, and of what it made of it by two ways.
    fn check(&self, made: &Made, seen: &Value) {
        let is_protected = made.report["protected"] == true;
        let changed: BTreeSet<&str> = PARTS.into_iter().chain(["./backup.json"]).collect();
        let opens = |by: bool| json!({ PASSWORD: by, "another": false });
        let metadata = |n: usize| &seen[n]["metadata"];
        assert!(metadata(0)["hearthkeep"].is_object());
        for (n, protected) in [is_protected, !is_protected, is_protected].into_iter().enumerate() {
            assert_eq!(seen[n]["protected"], protected, "{n}: {seen}");
            assert_eq!(metadata(n)["hearthkeep"], metadata(0)["hearthkeep"]);
            if protected {
                assert_eq!(seen[n]["opens"], opens(true), "{n}: {seen}");
            }
        }
        assert_eq!(seen[1]["changed"], json!(changed));
        match is_protected {
            // By other salts.
            true => assert_eq!(seen[2]["changed"], json!(changed)),
            // Only spelt in another way.
            false => assert_eq!(seen[2]["changed"], json!(["./backup.json"])),
        }
        assert_eq!(metadata(2), metadata(0));
        for (n, way) in ways(made).into_iter().enumerate() {
            let file = self.folder.join(format!("{way}-{}.tar", made.slug));
            // Decrypted by Home Assistant, what is ours stays encrypted.
            self.is_whole(&file, made, is_protected || n == 0);
        }
    }

    /// We read all of it, to the byte.
    fn is_whole(&self, file: &Path, made: &Made, takes_password: bool) {
        let right = password_file(&self.folder, PASSWORD);
        let file = file.to_str().expect("a plain path");
        let by_right =
            |words: &[&str]| self.bench.hearthkeep(&[words, &["--password-file", &right]].concat());
        by_right(&["verify", "--deep", file]).ends(0);
        if takes_password {
            self.bench.hearthkeep(&["verify", file]).ends(12);
            let wrong = password_file(&self.folder, "another");
            self.bench.hearthkeep(&["verify", file, "--password-file", &wrong]).ends(12);
        } else {
            self.bench.hearthkeep(&["verify", "--deep", file]).ends(0);
        }
        let shown = self.bench.hearthkeep(&["show", file, "--json"]).ends(0).json();
        let items = shown["items"].as_array().expect("a list").iter();
        let items: BTreeSet<&str> = items.filter_map(Value::as_str).collect();
        assert_eq!(items, BTreeSet::from(ITEMS));
        // The index of ours tells where single files are, however they are encrypted now.
        let ours = made.path.to_str().expect("a plain path");
        for path in ["homeassistant/data/home-assistant_v2.db", "clock/mounts/data/ticks"] {
            let [now, then] = [file, ours].map(|it| by_right(&["cat", it, path]).ends(0));
            let is_same = |a: &Run, b: &Run| a.stdout == b.stdout && !a.stdout.is_empty();
            assert!(is_same(&now, &then), "{path} of {file} is another");
        }
        let told = by_right(&["diff", ours, file, "--json"]).ends(0).json();
        assert_eq!(told["equal"], true, "{told}");
    }
}

/// Home Assistant knows a wrong password from the right one, and restores by that.
pub(crate) fn restore_takes_it(home: &Home, made: &Made) {
    own::is_listed(home, made, true);
    let message = |kind: &str, password: &str| {
        json!({
            "type": kind, "backup_id": made.slug, "agent_id": "backup.local", "password": password,
        })
    };
    let can_decrypt = "backup/can_decrypt_on_download";
    home.ask(&[message(can_decrypt, PASSWORD)]);
    assert_eq!(home.is_refused(&message(can_decrypt, "another")), "password_incorrect");

    let before = sound_inside(home, "/config");
    own::change(home);
    assert_eq!(home.is_refused(&message("backup/restore", "another")), "password_incorrect");
    assert_eq!(own::is_changed(home), [true; 3], "area, automations, further file");
    home.ask(&[message("backup/restore", PASSWORD)]);
    own::came_back(home, &before, 2);
}
