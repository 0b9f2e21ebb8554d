//! `secured.py`: what Home Assistant's own library reads of a backup that is encrypted.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Run;

/// The inner tars, as `secured.py` tells of them: the same in every way that a reader may take.
pub(crate) fn read(file: &Path, password: &str) -> Value {
    let [streamed, seekable] =
        ["streamed", "seekable"].map(|way| run(file, password, way).ends(0).json());
    assert_eq!(streamed, seekable, "{}", file.display());
    seekable
}

/// Reads in one way. What is damaged ends with another code than 0.
pub(crate) fn run(file: &Path, password: &str, way: &str) -> Run {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/lab/python/bin/python3");
    let mut secret = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    secret.write_all(password.as_bytes()).expect("the file can be written");
    let mut command = Command::new(&python);
    command.arg(root.join("tests/support/secured.py")).arg(file).arg(secret.path()).arg(way);
    let output = command.output();
    output.unwrap_or_else(|err| panic!("{} of tests/lab/prepare: {err}", python.display())).into()
}
