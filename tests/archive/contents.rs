//! What is broken in a home before it is backed up is told by `verify`, and hinders nothing; what
//! only looks strange is not told.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use hearthkeep::archive::{self, Checks, OpenError, Verdict};
use hearthkeep::monitor::Quiet;
use rusqlite::Connection;
use tokio_util::sync::CancellationToken;

use crate::house::{House, V3, noise, open, table};

/// Looks into a backup of a house; gives the verdict.
fn look_into(house: &House, folder: &Path) -> Result<Verdict, OpenError> {
    let archive = open(&house.backup(V3));
    let checks = Checks { hashes: true, contents: Some(folder), ..Checks::default() };
    archive::verify(&archive, checks, &CancellationToken::new(), &Quiet)
}

/// What is told of a house, with the member before it.
fn told(house: &House) -> Vec<String> {
    let folder = house.bench.folder("verify");
    let verdict = look_into(house, &folder).expect("it can be read");
    assert_eq!(verdict.notes, [""; 0]);
    assert_eq!(fs::read_dir(&folder).expect("it is there").count(), 0, "something is left");
    let archive = open(&house.backup(V3));
    let (_, warnings) = verdict.clone().restorable(&archive).expect("it hinders nothing");
    assert_eq!(warnings.len(), verdict.problems.len());
    verdict.problems.iter().map(|it| format!("{}: {}", it.member, it.what)).collect()
}

#[test]
fn a_broken_database_is_told() {
    let house = House::small();
    for name in ["homeassistant/home-assistant_v2.db", "homeassistant/zigbee.db", "share/any"] {
        table(&house.bench.path().join(name), 2000);
    }
    assert_eq!(told(&house), [""; 0]);
    for name in ["homeassistant/zigbee.db", "share/any"] {
        let file = File::options().write(true).open(house.bench.path().join(name));
        file.expect("it is there").write_all_at(&noise(4096), 5 * 4096).expect("it can be written");
    }
    let told = told(&house);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("homeassistant.tar.gz: the database data/zigbee.db: "), "{told:?}");
    assert!(told[1].starts_with("share.tar.gz: the database any: "), "{told:?}");
    assert!(told.iter().all(|it| !it.contains('\n')), "{told:?}");
}

#[test]
fn a_database_that_is_cut_short_is_told() {
    let house = House::small();
    let path = house.bench.path().join("homeassistant/home-assistant_v2.db");
    table(&path, 2000);
    File::options().write(true).open(&path).and_then(|it| it.set_len(20_000)).expect("it is there");
    let told = told(&house);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("data/home-assistant_v2.db"), "{told:?}");
}

#[test]
fn a_broken_file_of_home_assistant_is_told() {
    let house = House::small();
    house.write("homeassistant/.storage/core.config", r#"{"version": 1, "data": {"#);
    house.write("homeassistant/.storage/core.entity_registry", &[0; 5000]);
    house.write("homeassistant/.storage/core.empty", "");
    house.write("homeassistant/.storage/core.tail", &[b"{}".as_slice(), &[0; 100]].concat());
    let told = told(&house);
    for (wanted, told) in [
        "core.config: it is not JSON",
        "core.empty: it is empty",
        "core.entity_registry: it is all zeros",
        "core.tail: it is not JSON",
    ]
    .iter()
    .zip(&told)
    {
        assert!(
            told.starts_with(&format!("homeassistant.tar.gz: data/.storage/{wanted}")),
            "{told}"
        );
    }
    assert_eq!(told.len(), 4, "{told:?}");
}

#[test]
fn what_only_looks_strange_is_not_told() {
    let house = House::small();
    house.write("homeassistant/.storage/auth", r#"{"version": 1, "data": {"users": []}}"#);
    house.write(
        "homeassistant/.storage/picture",
        &[b"\x89PNG\r\n".as_slice(), &noise(9000)].concat(),
    );
    house.write("homeassistant/.storage/text", "any text");
    house.write("homeassistant/.storage/folder/broken", "{");
    house.write("homeassistant/www/.storage/broken", "{");
    house.write("share/.storage/broken", "{");
    // Who encrypts a database encrypts its head, too.
    house.write("homeassistant/encrypted.db", &noise(40_960));
    house.write("homeassistant/empty.db", "");
    house.write("homeassistant/zeros.db", &[0; 8192]);
    // Its rows are in the log alone.
    let path = house.bench.path().join("log.db");
    let database = Connection::open(&path).expect("a database");
    let log = database.pragma_update(None, "journal_mode", "WAL");
    log.expect("it takes a log");
    database.execute_batch("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)").expect("a row");
    for end in ["", "-wal"] {
        let bytes = fs::read(path.with_extension(format!("db{end}"))).expect("it is there");
        assert!(!bytes.is_empty());
        house.write(&format!("homeassistant/log.db{end}"), &bytes);
    }
    assert_eq!(told(&house), [""; 0]);
}

/// That nothing could be looked into says nothing of the backup.
#[test]
fn a_folder_that_cannot_be_used_is_no_damage() {
    let house = House::small();
    table(&house.bench.path().join("homeassistant/home-assistant_v2.db"), 100);
    let refused = look_into(&house, Path::new("/proc"));
    assert!(refused.as_ref().is_err_and(|it| it.to_string().contains("/proc")), "{refused:?}");
}
