//! Homes that never rest, and what a hold costs where they are large.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use crate::scene::age;
use crate::support::chain::IMAGE;
use crate::support::home::{Home, VERSION, bind, tool};
use crate::support::process::Process;
use crate::support::wait_until;

const BACKUPS: usize = 20;

/// 1,000 files a second that are made and removed, and a file that grows by 50 MB a second, a line
/// of 16 bytes with the next number after the other. It begins anew before it is too large for a
/// test, with the number at which it is.
const BUSY: &str = r#"
import os, time
LINES = 32_768  # half a mebibyte
log = os.open("/config/numbers.txt", os.O_RDWR | os.O_CREAT | os.O_APPEND)
os.makedirs("/config/files", exist_ok=True)
n = 0
begin = time.monotonic()
for turn in range(1_000_000_000):
    text = b"".join(b"%015d\n" % it for it in range(n, n + LINES))
    n += LINES
    if os.fstat(log).st_size > 32 << 20:
        os.ftruncate(log, 0)
    os.write(log, text)
    for it in range(10):
        with open(f"/config/files/{turn * 10 + it}", "w") as file:
            file.write(str(turn))
    if turn >= 10:
        for it in range(10):
            os.remove(f"/config/files/{(turn - 10) * 10 + it}")
    time.sleep(max(0, begin + turn / 100 - time.monotonic()))
"#;

#[test]
fn a_home_that_never_rests_is_backed_up_as_of_one_instant() {
    let _alone = crate::alone();
    let home = Home::empty("busy");
    home.write("config/.HA_VERSION", VERSION);
    home.write("config/configuration.yaml", "default_config:\n");
    let config = bind(&home.config(), "/config");
    let version = format!("io.hass.version={VERSION}");
    let options = ["--label", "hearthkeep.role=homeassistant", "--label", &version];
    let rest = ["--network", "none", "--entrypoint", "python3", "--volume", &config];
    home.run("homeassistant", &[options.as_slice(), &rest].concat(), IMAGE, &["-c", BUSY]);
    let log = home.config().join("numbers.txt");
    // More than ten turns, so that files are removed as well as made.
    wait_until("the log grows", || log.metadata().is_ok_and(|it| it.len() > 8 << 20));
    let store = home.bench.folder("store").display().to_string();
    let mut last = 0;
    for _ in 0..BACKUPS {
        let backup = home.backup(&["--store", &store]);
        tool("tar", &["-t".as_ref(), "-f".as_ref(), backup.as_os_str()]);
        // Between its end and its new beginning the log is empty.
        if let Some(end) = check(&backup) {
            assert!(end >= last, "the log of an earlier moment: {end} after {last}");
            last = end;
        }
        fs::remove_file(backup).expect("it is there");
    }
    assert!(last > 0, "nothing was written");
    assert_eq!(home.state("homeassistant"), "running");
}

/// Sees that an archive holds what was written, from some number on and without a gap, and at least
/// the files that nobody had begun to remove; gives the last number, where there is one.
fn check(backup: &Path) -> Option<u64> {
    let mut outer = tar::Archive::new(File::open(backup).expect("there is a backup"));
    let mut members = outer.entries().expect("it is a tar").map(|it| it.expect("it is whole"));
    let is_home = |it: &Path| it.file_name().is_some_and(|it| it == "homeassistant.tar.gz");
    let member = members.find(|it| is_home(&it.path().expect("it has a name")));
    let mut inner = tar::Archive::new(GzDecoder::new(member.expect("Home Assistant is in it")));
    let (mut end, mut n_files) = (None, 0);
    for entry in inner.entries().expect("it is a tar") {
        let mut entry = entry.expect("it is whole");
        let path = entry.path().expect("it has a name").into_owned();
        if path.ends_with("numbers.txt") {
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("it is text");
            assert!(end.replace(check_log(&text)).is_none(), "it is in it twice");
        } else if path.starts_with("data/files") {
            n_files += 1;
        }
    }
    // The folder, the files of ten turns, and of the one that makes some and removes as many.
    assert!((100..=121).contains(&n_files), "{n_files} files");
    end.expect("the log is in it")
}

/// The number of the last whole line, where all of them follow one another.
fn check_log(text: &str) -> Option<u64> {
    let number = |line: &str| line.trim_end().parse::<u64>().expect("a number");
    let mut last = None;
    for line in text.split_inclusive('\n').filter(|it| it.ends_with('\n')) {
        let it = number(line);
        assert!(line.len() == 16 && last.is_none_or(|last| it == last + 1), "{it} after {last:?}");
        last = Some(it);
    }
    last
}

#[test]
fn what_is_copied_in_the_hold_does_not_grow_with_what_is_cold_nor_with_the_database() {
    let _alone = crate::alone();
    let home = Home::new("large");
    let path = home.config().join("home-assistant_v2.db");
    let process = Process::with_database(&path);
    process.does("db.execute('INSERT INTO t VALUES (0)') and None");
    process.does("db.execute('CREATE TABLE bulk (b BLOB)') and None");
    let held_bytes = |mebibytes: u64| {
        let cold = home.config().join("cold");
        let file = File::create(&cold).expect("it can be made");
        file.set_len(mebibytes << 20).expect("a hole takes no room");
        age(&cold);
        process.does("db.execute('DELETE FROM bulk') and None");
        let fill = "db.execute('INSERT INTO bulk VALUES (randomblob(1 << 20))')";
        process.does(&format!("[{fill} and None for _ in range({mebibytes})] and None"));
        process.does("db.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchone() and None");
        process.does("[db.execute('UPDATE t SET n = n + 1') and None for _ in range(50)] and None");
        let report = home.hearthkeep(&["--json", "backup"]).ends(0).json();
        assert!(report["content_bytes"].as_u64() > Some((2 * mebibytes) << 20), "{report}");
        report["held_bytes"].as_u64().expect("a number")
    };
    let [small, large] = [12, 120].map(held_bytes);
    // The log with its fifty pages.
    assert!((50 * 4096..300 * 1024).contains(&small), "{small} bytes");
    assert_eq!(small, large);
}
