//! What other programs write is no harm, however seldom it is.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use crate::cage::Cage;

/// Writes `data` below a folder into a tar, with Python.
const PYTHON: &str = r#"
import sys, tarfile
with tarfile.open(sys.argv[1], "w", format=getattr(tarfile, sys.argv[3])) as tar:
    tar.add(sys.argv[2] + "/data", "data")
"#;

fn grow(top: &Path) {
    let data = top.join("data");
    let deep = data.join("d".repeat(200)).join("e".repeat(200));
    fs::create_dir_all(&deep).expect("folders");
    let write = |path: &Path, at: &[u64], size: u64| {
        let file = File::create(path).expect("a file");
        at.iter().for_each(|it| file.write_all_at(b"x", *it).expect("a byte"));
        file.set_len(size).expect("a length");
    };
    write(&deep.join("größe"), &[0], 1);
    write(&data.join("plain"), &[0, 10_000], 10_001);
    // More pieces than fit into a header, and than fit into the first block behind it.
    let pieces: Vec<u64> = (0..100).map(|it| it * 1_000_000 + 5).collect();
    write(&data.join("sparse"), &pieces, 200_000_000);
    write(&data.join("hole"), &[], 1_000_000);
    fs::hard_link(data.join("plain"), deep.join("hard")).expect("a link");
    std::os::unix::fs::symlink("t".repeat(300), data.join("soft")).expect("a link");
}

#[test]
fn tars_of_gnu_and_python() {
    let home = tempfile::tempdir().expect("a temporary folder");
    grow(home.path());
    let (top, tar) = (home.path().display().to_string(), home.path().join("inner.tar"));
    let path = tar.display().to_string();
    let gnu =
        |words: &[&'static str]| [&["tar", "-cf", &path, "-C", &top], words, &["data"]].concat();
    let python = |format: &'static str| vec!["python3", "-c", PYTHON, &path, &top, format];
    for words in [
        gnu(&["--format=gnu"]),
        gnu(&["--format=gnu", "--sparse"]),
        gnu(&["--format=posix"]),
        python("PAX_FORMAT"),
        python("GNU_FORMAT"),
    ] {
        let output = Command::new(words[0]).args(&words[1..]).output().expect("it can be run");
        assert!(output.status.success(), "{words:?}: {output:?}");
        let cage = Cage::new(|out| {
            let mut tar = File::open(&tar).expect("a tar");
            std::io::copy(&mut tar, out).expect("it can be written");
        });
        assert_eq!(cage.verify().problems, [], "{words:?}");
        assert_eq!(cage.extract(), Ok(Vec::new()), "{words:?}");
        let differ = Command::new("diff")
            .args(["-r", "--no-dereference"])
            .args([&home.path().join("data"), &cage.root()])
            .output()
            .expect("diff runs");
        assert!(differ.status.success(), "{words:?}: {differ:?}");
        cage.check("sound");
    }
}
