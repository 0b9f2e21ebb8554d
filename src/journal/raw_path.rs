//! A path that survives JSON, also where it is not UTF-8.

use std::ffi::OsString;
use std::ops::Deref;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A path, written as text where it is text, and else as the list of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Spelling", into = "Spelling")]
pub struct RawPath(PathBuf);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Spelling {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<&Path> for RawPath {
    fn from(path: &Path) -> RawPath {
        RawPath(path.to_owned())
    }
}

impl From<PathBuf> for RawPath {
    fn from(path: PathBuf) -> RawPath {
        RawPath(path)
    }
}

impl From<OsString> for RawPath {
    fn from(name: OsString) -> RawPath {
        RawPath(name.into())
    }
}

impl From<RawPath> for PathBuf {
    fn from(path: RawPath) -> PathBuf {
        path.0
    }
}

impl Deref for RawPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl From<Spelling> for RawPath {
    fn from(spelling: Spelling) -> RawPath {
        match spelling {
            Spelling::Text(text) => RawPath(text.into()),
            Spelling::Bytes(bytes) => RawPath(OsString::from_vec(bytes).into()),
        }
    }
}

impl From<RawPath> for Spelling {
    fn from(RawPath(path): RawPath) -> Spelling {
        match path.to_str() {
            Some(text) => Spelling::Text(text.to_owned()),
            None => Spelling::Bytes(path.as_os_str().as_bytes().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn every_path_survives() {
        let check = |bytes: &[u8], wanted: &str| {
            let path = RawPath::from(Path::new(OsStr::from_bytes(bytes)));
            let text = serde_json::to_string(&path).expect("it can be written");
            assert_eq!(text, wanted);
            assert_eq!(serde_json::from_str::<RawPath>(&text).expect("it can be read"), path);
        };
        check(b"", r#""""#);
        check(b"/a b/\"c\"\n", r#""/a b/\"c\"\n""#);
        check("/straße".as_bytes(), r#""/straße""#);
        check(b"/a\xff", "[47,97,255]");
    }
}
