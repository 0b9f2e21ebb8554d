//! Files that are no backup, or not whole: refused by name, and nothing changes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hearthkeep::archive::{Archive, Member};

use crate::damaged::{Case, Wanted, cases};
use crate::layout::full_home;
use crate::nasty::noise;
use crate::support::home::{Home, bind, tool};
use crate::tree::{assert_same, look};

fn put(home: &Home, name: &str, bytes: &[u8]) -> String {
    // Under a name of its own each time, so that nothing of an earlier file stays.
    let path = home.bench.folder("files").join(name);
    let text = home.write(&format!("files/{name}"), "");
    assert_eq!(path, text);
    let mut file = fs::File::create(&path).expect("a file");
    std::io::Write::write_all(&mut file, bytes).expect("it can be written");
    path.display().to_string()
}

/// Everything that reads a file refuses it with one line that names it; the home stays as it is.
fn check_refused(home: &Home, file: &str) {
    let was = look(&home.config());
    let started = home.started("homeassistant");
    for words in [
        &["show", file][..],
        &["verify", file],
        &["export", file, "/tmp/never"],
        &["import", file],
        &["restore", file, "--yes"],
        &["restore", file, "--dry-run"],
    ] {
        let run = home.hearthkeep(words).ends(14);
        assert!(run.error().contains(file), "{words:?}: {}", run.error());
        assert_eq!(run.stdout, "", "{words:?}");
    }
    assert_same(&was, &look(&home.config()));
    assert_eq!(home.started("homeassistant"), started, "it was stopped");
    assert_eq!(home.state("homeassistant"), "running");
}

fn tar_of(home: &Home, name: &str, files: &[(&str, &str)]) -> String {
    let folder = home.bench.folder(&format!("tar-of-{name}"));
    for (path, content) in files {
        crate::support::home::write(&folder.join(path), content);
    }
    let path = home.bench.folder("files").join(name).display().to_string();
    let folder = folder.display().to_string();
    let mut words = vec!["-cf", &path, "-C", &folder];
    let names: Vec<String> = files.iter().map(|(path, _)| format!("./{path}")).collect();
    words.extend(names.iter().map(String::as_str));
    tool("tar", &words);
    path
}

#[test]
fn what_is_no_backup_is_refused() {
    let home = Home::new("foreign");
    let text = tar_of(&home, "no-metadata.tar", &[("homeassistant.tar.gz", "x"), ("b", "c")]);
    check_refused(&home, &text);
    for (n, json) in
        ["", "{", "[]", "null", "{}", r#"{"slug":"a","name":"b"}"#, "\u{0}"].iter().enumerate()
    {
        check_refused(&home, &tar_of(&home, &format!("bad-{n}.tar"), &[("backup.json", json)]));
    }
    check_refused(&home, &put(&home, "empty.tar", b""));
    check_refused(&home, &put(&home, "text.tar", b"this is not a tar file\n"));
    check_refused(&home, &put(&home, "noise.tar", &noise(100_000)));
    check_refused(&home, &put(&home, "zeros.tar", &[0; 20_480]));
    let plain = tar_of(&home, "plain.tar", &[("backup.json", "{}")]);
    tool("gzip", &["--keep", &plain]);
    check_refused(&home, &format!("{plain}.gz"));
    let folder = home.bench.folder("files/folder.tar");
    check_refused(&home, &folder.display().to_string());
}

/// A small backup with a part of several kinds, in a store of its own.
fn backup(home: &Home) -> (PathBuf, Vec<u8>) {
    let noise = noise(30_000);
    let text: String = noise.iter().map(|it| char::from(it % 64 + b' ')).collect();
    home.write("config/noise", &text);
    home.write("share/noise", &text);
    home.write("bridge/noise", &text);
    let store = home.bench.folder("store").display().to_string();
    let path = home.backup(&["--store", &store]);
    let bytes = fs::read(&path).expect("it can be read");
    (path, bytes)
}

#[test]
fn a_cut_file_is_refused_wherever_it_is_cut() {
    let home = full_home("cut");
    let (path, bytes) = backup(&home);
    let archive = Archive::open(&path).expect("it is whole");
    let end = end_of(archive.members.last().expect("it has members"));
    let mut cuts: Vec<usize> = vec![1, 100, 511, 512, 513, 1_023, 1_024, 1_535, 1_536, 1_537];
    for member in &archive.members {
        let (offset, size) = (member.offset as usize, member.size as usize);
        let behind = end_of(member);
        cuts.extend([offset - 512, offset - 1, offset, offset + 1, offset + size / 2]);
        cuts.extend([offset + size - 1, behind, behind + 1, behind + 512]);
    }
    cuts.retain(|it| *it < end);
    cuts.push(end);
    cuts.sort_unstable();
    cuts.dedup();
    assert!(cuts.len() > 60, "{}", cuts.len());
    let was = look(&home.config());
    let started = home.started("homeassistant");
    for (n, cut) in cuts.iter().enumerate() {
        let file = put(&home, &format!("cut-{cut}.tar"), &bytes[..*cut]);
        // All of them are read; to save time each offset sees one of those that would act.
        let words = [["restore", &file, "--yes"], ["restore", &file, "--dry-run"]];
        for words in [&["verify", &file][..], &words[n % 2]] {
            let run = home.hearthkeep(words).ends(14);
            assert!(run.error().contains(&file), "{words:?}: {}", run.error());
        }
    }
    assert_same(&was, &look(&home.config()));
    assert_eq!(home.started("homeassistant"), started, "it was stopped");
    // Behind the end everything is there, and only zeros are missing.
    let file = put(&home, "only-zeros-missing.tar", &bytes[..end + 512]);
    assert!(home.hearthkeep(&["verify", &file]).ends(14).stdout.contains("the end of the file"));
    let run = home.hearthkeep(&["restore", &file, "--yes"]).ends(3);
    assert!(run.stderr.contains("the end of the file"), "{}", run.stderr);
}

/// The parts of a file, all members but the metadata and the index, and where the headers of each
/// begin.
fn parts(path: &Path) -> Vec<(usize, Member)> {
    let archive = Archive::open(path).expect("it is whole");
    let ends = archive.members.iter().map(end_of);
    let begins: Vec<usize> = std::iter::once(0).chain(ends).collect();
    let parts = begins.into_iter().zip(archive.members);
    parts.filter(|(_, it)| !["backup.json", "hearthkeep.index"].contains(&&*it.name)).collect()
}

fn end_of(member: &Member) -> usize {
    (member.offset + member.size.next_multiple_of(512)) as usize
}

#[test]
fn a_part_with_a_wrong_byte_is_named() {
    let home = full_home("flip");
    let (path, bytes) = backup(&home);
    let was = look(&home.config());
    let started = home.started("homeassistant");
    for (_, part) in parts(&path) {
        // In the middle, in the checksum at the end, and in the length behind that. A single bit
        // in the middle may fall on a code that a small part does not use, and change nothing.
        for (at, n_bytes) in [(part.size / 2, 8), (part.size - 7, 1), (part.size - 3, 1)] {
            let mut bytes = bytes.clone();
            let begin = (part.offset + at) as usize;
            bytes[begin..begin + n_bytes].iter_mut().for_each(|it| *it ^= 0xa5);
            let file = put(&home, "flipped.tar", &bytes);
            let verify = home.hearthkeep(&["verify", &file]).ends(14);
            assert!(verify.stdout.contains(&part.name), "{}", verify.stdout);
            let verify = home.hearthkeep(&["--json", "verify", &file]).ends(14).json();
            assert_eq!(verify["sound"], false);
            assert_eq!(verify["problems"][0]["member"], part.name.as_str());
            assert_eq!(verify["problems"].as_array().map(Vec::len), Some(1));
            for words in [&["restore", &file, "--yes"][..], &["import", &file]] {
                let run = home.hearthkeep(words).ends(14);
                let error = run.error();
                assert!(error.contains(&file) && error.contains(&part.name), "{error}");
            }
        }
    }
    assert_same(&was, &look(&home.config()));
    assert_eq!(home.started("homeassistant"), started, "it was stopped");
}

#[test]
fn a_missing_part_is_named() {
    let home = full_home("missing");
    let (path, bytes) = backup(&home);
    let was = look(&home.config());
    let started = home.started("homeassistant");
    for (begin, part) in parts(&path) {
        let bytes = [&bytes[..begin], &bytes[end_of(&part)..]].concat();
        let file = put(&home, "without.tar", &bytes);
        let item = part.name.split('.').next().expect("a name").replace("s_local", "s/local");
        let verify = home.hearthkeep(&["verify", &file]).ends(14);
        assert!(verify.stdout.contains(&item), "{item}: {}", verify.stdout);
        let restore = home.hearthkeep(&["restore", &file, "--yes"]).ends(14);
        let error = restore.error();
        assert!(error.contains(&file) && error.contains(&item), "{error}");
    }
    assert_same(&was, &look(&home.config()));
    assert_eq!(home.started("homeassistant"), started, "it was stopped");
}

#[test]
fn a_header_with_a_wrong_byte_never_brings_the_program_down() {
    let home = full_home("header");
    let (path, bytes) = backup(&home);
    let (begin, part) = parts(&path).remove(1);
    let content = part.offset as usize;
    // Everywhere in the headers of the part, the records of its names included.
    for at in (begin..content).step_by(37) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x01;
        let file = put(&home, "header.tar", &bytes);
        let run = home.hearthkeep(&["verify", &file]);
        assert!([0, 14].contains(&run.code), "at {at}: {} {}", run.code, run.stderr);
    }
    // A size that no file has, with a right checksum.
    for size in [u64::MAX, u64::MAX - 511, 1 << 63, 1 << 40] {
        let mut bytes = bytes.clone();
        let header = &mut bytes[content - 512..content];
        header[124] = 0x80;
        header[125..128].fill(0);
        header[128..136].copy_from_slice(&size.to_be_bytes());
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|it| u32::from(*it)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let file = put(&home, "huge.tar", &bytes);
        let run = home.hearthkeep(&["verify", &file]).ends(14);
        assert!(run.error().contains(&file), "{}", run.error());
    }
}

#[test]
fn whatever_is_damaged_is_refused_or_told() {
    check_all("table", &[]);
}

#[test]
fn whatever_is_damaged_is_refused_or_told_where_it_is_encrypted() {
    let home = Home::empty("password");
    let password = home.write("password", "correct horse");
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).expect("it is there");
    check_all("table-v3", &["--password-file", &password.display().to_string()]);
}

/// Every damage of the table, for each command that reads a file.
fn check_all(what: &str, password: &[&str]) {
    let home = Home::empty(what);
    home.write("config/.HA_VERSION", "2026.2.3");
    home.write("config/configuration.yaml", "default_config:\n");
    home.write("share/shared", "share");
    home.write("bridge/state", "bridge");
    let config = bind(&home.config(), "/config");
    let share = bind(&home.bench.folder("share"), "/share");
    home.run_homeassistant(&["--volume", &config, "--volume", &share]);
    home.companion("bridge", &[]);
    let store = home.bench.folder("store").display().to_string();
    let sound = home.backup(&[password, &["--store", &store]].concat());
    let cases = cases(&fs::read(sound).expect("it can be read"));
    let folder = home.bench.folder("damaged");
    let files: Vec<String> =
        (0..cases.len()).map(|n| folder.join(format!("{n}.tar")).display().to_string()).collect();
    for (file, case) in files.iter().zip(&cases) {
        crate::support::home::write(Path::new(file), &case.bytes);
    }
    check_list(&home, &files, &cases);

    let (was, started) = (look(home.bench.path()), home.started("homeassistant"));
    for (file, case) in files.iter().zip(&cases) {
        check_verify(&home, file, case, password);
        if let Wanted::Unreadable(wanted) | Wanted::Refused(wanted) = &case.wanted {
            let words = [&["restore", file, "--yes"], password].concat();
            let run = home.hearthkeep(&words);
            assert_eq!(run.code, 14, "{}: {}", case.what, run.stderr);
            let error = run.error();
            assert!(error.contains(file) && error.contains(wanted), "{}: {error}", case.what);
        }
    }
    // The program notes its runs beside the home.
    let all_but_state = |mut it: std::collections::BTreeMap<Vec<u8>, _>| {
        it.retain(|name, _| !name.is_empty() && !name.starts_with(b"state"));
        it
    };
    assert_same(&all_but_state(was), &all_but_state(look(home.bench.path())));
    assert_eq!(home.started("homeassistant"), started, "it was stopped");

    // Each takes a restart; to save time, one for each place that may be damaged.
    let places = ["without hearthkeep.index", "a byte behind", "a byte among", "the other way"];
    for place in places {
        let mut fitting = files.iter().zip(&cases).filter(|(_, it)| it.what.starts_with(place));
        let (file, case) = fitting.next().expect("the table has it");
        home.write("config/configuration.yaml", "changed:\n");
        let run = home.hearthkeep(&[&["restore", file, "--yes"], password].concat());
        let code = match &case.wanted {
            Wanted::Sound => 0,
            _ => 3,
        };
        assert_eq!(run.code, code, "{}: {}", case.what, run.stderr);
        if let Wanted::Restored(wanted) = &case.wanted {
            assert!(run.stderr.contains(file) && run.stderr.contains(wanted), "{}", run.stderr);
        }
        let config = home.read("config/configuration.yaml");
        assert_eq!(config.as_deref(), Some("default_config:\n"), "{}", case.what);
    }
}

/// What can be opened is listed, what cannot is named; neither is a failure of the list.
fn check_list(home: &Home, files: &[String], cases: &[Case]) {
    let store = home.bench.folder("damaged").display().to_string();
    let list = home.hearthkeep(&["--json", "list", "--store", &store]).ends(0).json();
    let texts = |key: &str, get: fn(&serde_json::Value) -> &serde_json::Value| -> Vec<String> {
        let all = list[key].as_array().expect("a list").iter();
        all.map(|it| get(it).as_str().expect("a text").to_owned()).collect()
    };
    let (listed, unreadable) = (texts("backups", |it| &it["path"]), texts("unreadable", |it| it));
    for (file, case) in files.iter().zip(cases) {
        match &case.wanted {
            Wanted::Unreadable(wanted) => {
                let is_told = |it: &String| it.contains(file) && it.contains(wanted);
                assert!(unreadable.iter().any(is_told), "{}: {unreadable:?}", case.what);
            }
            _ => assert!(listed.contains(file), "{}: {listed:?}", case.what),
        }
    }
    assert_eq!(listed.len() + unreadable.len(), files.len());
}

fn check_verify(home: &Home, file: &str, case: &Case, password: &[&str]) {
    let run = home.hearthkeep(&[&["verify", file], password].concat());
    let (code, told, wanted) = match &case.wanted {
        Wanted::Sound => (0, &run.stdout, file),
        Wanted::Unreadable(wanted) => (14, &run.stderr, wanted.as_str()),
        Wanted::Refused(wanted) | Wanted::Restored(wanted) => (14, &run.stdout, wanted.as_str()),
    };
    assert_eq!(run.code, code, "{}: {}{}", case.what, run.stdout, run.stderr);
    assert!(told.contains(file) && told.contains(wanted), "{}: {told}", case.what);
}
