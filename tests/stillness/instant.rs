//! What changes before the hold is in the archive, and what changes after it is not.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
use std::path::Path;

use crate::scene::{Scene, age, overwrite};
use crate::support::home::write;
use crate::support::process::Process;
use crate::support::wait_until;
use crate::tree::{assert_same, look};

/// Read in one piece, in several, and large enough to be taken for finished sooner.
const SIZES: [usize; 3] = [1_000, 600_000, 5_000_000];

/// Everything that [`change`] changes, for each size.
fn grow(top: &Path, size: usize) {
    fs::create_dir_all(top.join("folder/inner")).expect("it can be made");
    let names = [
        "in-place",
        "truncated",
        "replaced",
        "appended",
        "removed",
        "linked",
        "mode",
        "owner",
        "folder/inner/file",
        "became-folder",
        "touched",
        "same",
    ];
    for name in names {
        write(&top.join(name), &vec![b'o'; size]);
    }
    symlink("in-place", top.join("symlink")).expect("it can be made");
    symlink("in-place", top.join("became-file")).expect("it can be made");
}

fn change(top: &Path, size: usize) {
    let path = |name: &str| top.join(name);
    let new = vec![b'n'; size];
    overwrite(&path("in-place"), &new);
    let file = File::options().write(true).open(path("truncated")).expect("it is there");
    file.set_len(size as u64 / 2).expect("it can be truncated");
    write(&path("draft"), &new);
    fs::rename(path("draft"), path("replaced")).expect("it can be renamed");
    let file = File::options().append(true).open(path("appended"));
    file.and_then(|mut it| it.write_all(b"more")).expect("it can be written");
    write(&path("new"), &new);
    fs::remove_file(path("removed")).expect("it is there");
    fs::rename(path("folder"), path("moved")).expect("it can be renamed");
    fs::hard_link(path("linked"), path("link")).expect("it can be linked");
    fs::remove_file(path("symlink")).expect("it is there");
    symlink("replaced", path("symlink")).expect("it can be made");
    fs::set_permissions(path("mode"), Permissions::from_mode(0o601)).expect("it can be set");
    chown(path("owner"), Some(1001), Some(1002)).expect("it can be set");
    fs::remove_file(path("became-folder")).expect("it is there");
    fs::create_dir(path("became-folder")).expect("it can be made");
    fs::remove_file(path("became-file")).expect("it is there");
    write(&path("became-file"), &new);
    age(&path("touched"));
}

#[test]
fn each_file_is_as_it_was_when_everything_stood_still() {
    for is_cold in [true, false] {
        let scene = Scene::new();
        let all = || SIZES.map(|size| (scene.path(&size.to_string()), size));
        all().iter().for_each(|(top, size)| grow(top, *size));
        if is_cold {
            age_all(&scene.path(""));
        }
        let mut wanted = None;
        let archived = scene.through(
            || all().iter().for_each(|(top, size)| change(top, *size)),
            || {
                wanted = Some(look(&scene.path("")));
                // From here on it is too late; what is held open by name alone still goes.
                all().iter().for_each(|(top, _)| fs::remove_dir_all(top).expect("it is there"));
            },
        );
        assert_same(&wanted.expect("it was looked at"), &look(&archived.extract()));
    }
}

fn age_all(folder: &Path) {
    for entry in fs::read_dir(folder).expect("it can be read") {
        let entry = entry.expect("it can be read");
        let kind = entry.file_type().expect("it is there");
        if kind.is_dir() {
            age_all(&entry.path());
        } else if kind.is_file() {
            age(&entry.path());
        }
    }
}

#[test]
fn a_store_through_shared_memory_is_noticed() {
    let scene = Scene::new();
    let path = scene.cold("mapped", &[b'o'; 8192]);
    let process = Process::start();
    process.does(&format!("import mmap; file = open({:?}, 'r+b')", path.display().to_string()));
    process.does("it = mmap.mmap(file.fileno(), 0)");
    // Once more after each: only the first store into a clean page moves the time of the file.
    process.does("it[0:1] = b'1'");
    let archived = scene.through(|| drop(process.does("it[0:1] = b'2'")), || ());
    let content = fs::read(archived.extract().join("mapped")).expect("it is in it");
    assert_eq!(content[0], b'2');
}

/// Several writes within one tick of the clock leave one time.
#[test]
fn what_was_written_just_now_is_taken_once_more() {
    let scene = Scene::new();
    let path = scene.path("file");
    wait_until("a capture is quick enough", || {
        write(&path, "content");
        let mut capture = scene.warm();
        capture.settle(&|| Ok(())).expect("it can be taken") == 7
    });
}

#[test]
fn a_look_that_was_given_up_leaves_nothing_out() {
    let scene = Scene::new();
    scene.cold("folder/cold", b"cold");
    write(&scene.path("folder/hot"), "hot");
    let mut capture = scene.warm();
    let refused = capture.settle(&|| anyhow::bail!("too late"));
    refused.expect_err("somebody said no");
    capture.settle(&|| Ok(())).expect("it can be taken");
    let archived = scene.archive(&capture);
    assert_same(&look(&scene.path("")), &look(&archived.extract()));
}

#[test]
fn what_is_removed_or_replaced_after_the_hold_is_in_the_archive() {
    let scene = Scene::new();
    for name in ["removed", "replaced", "renamed", "mode", "truncated-and-gone"] {
        scene.cold(name, &vec![b'o'; 600_000]);
    }
    let wanted = fs::read(scene.path("removed")).expect("it is there");
    let mut capture = scene.warm();
    assert_eq!(capture.settle(&|| Ok(())).expect("it can be taken"), 0);
    let path = |name| scene.path(name);
    fs::remove_file(path("removed")).expect("it is there");
    write(&path("draft"), "new");
    fs::rename(path("draft"), path("replaced")).expect("it can be renamed");
    fs::rename(path("renamed"), path("other")).expect("it can be renamed");
    fs::set_permissions(path("mode"), Permissions::from_mode(0o600)).expect("it can be set");
    // Even this one can still be had, though not as it was.
    overwrite(&path("truncated-and-gone"), b"new");
    fs::remove_file(path("truncated-and-gone")).expect("it is there");
    let archived = scene.archive(&capture);
    assert_eq!(archived.written.warnings, [late("truncated-and-gone")]);
    for folder in archived.extract_in_three_ways() {
        for name in ["removed", "replaced", "renamed", "mode"] {
            let content = fs::read(folder.join(name)).expect("it is in it");
            assert!(content == wanted, "{name} in {}", folder.display());
        }
        let content = fs::read(folder.join("truncated-and-gone")).expect("it is in it");
        assert!(content.starts_with(b"newoo") && content.len() == wanted.len());
        assert!(!folder.join("other").exists() && !folder.join("draft").exists());
    }
}

#[test]
fn what_is_written_in_place_after_the_hold_is_taken_again() {
    let scene = Scene::new();
    // In the order in which they are read.
    for name in ["a-read", "b-small", "c-large", "d-longer", "e-shorter", "f-untouched"] {
        scene.cold(name, &vec![b'o'; if name == "b-small" { 10 } else { 600_000 }]);
    }
    fs::hard_link(scene.path("a-read"), scene.path("g-link")).expect("it can be linked");
    let mut capture = scene.warm();
    assert_eq!(capture.settle(&|| Ok(())).expect("it can be taken"), 0);
    for name in ["b-small", "c-large"] {
        overwrite(&scene.path(name), b"new");
    }
    let file = File::options().append(true).open(scene.path("d-longer"));
    file.and_then(|mut it| it.write_all(b"new")).expect("it can be written");
    let file = File::options().write(true).open(scene.path("e-shorter")).expect("it is there");
    file.set_len(3).expect("it can be truncated");
    // And one of which a piece is read already: it is torn.
    let archived = scene.archive_while(&capture, 1, &|| {
        let file = File::options().write(true).open(scene.path("a-read")).expect("it is there");
        file.write_all_at(b"new", 599_997).expect("it can be written");
    });
    let all = ["a-read", "b-small", "c-large", "d-longer", "e-shorter", "g-link"];
    let mut told = archived.written.warnings.clone();
    told.sort();
    assert_eq!(told, all.map(late));
    for folder in archived.extract_in_three_ways() {
        for name in all.into_iter().chain(["f-untouched"]) {
            let content = fs::read(folder.join(name)).expect("it is in it");
            let wanted = fs::read(scene.path(name)).expect("it is there");
            assert!(content == wanted, "{name} in {}", folder.display());
        }
    }
}

#[test]
fn a_further_name_of_what_was_read_is_of_the_same_moment() {
    let scene = Scene::new();
    scene.cold("a", &[b'o'; 10]);
    scene.cold("b", b"b");
    fs::hard_link(scene.path("a"), scene.path("c")).expect("it can be linked");
    let mut capture = scene.warm();
    assert_eq!(capture.settle(&|| Ok(())).expect("it can be taken"), 0);
    let wanted = look(&scene.path(""));
    let archived = scene.archive_while(&capture, 11, &|| overwrite(&scene.path("a"), b"new"));
    assert_eq!(archived.written.warnings, [""; 0]);
    assert_same(&wanted, &look(&archived.extract()));
}

fn late(name: &str) -> String {
    format!("{name} was written after the hold, and is of a later moment than the rest")
}
