//! The file of `restore --map`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::plan::Map;

/// A map that cannot be read or says what nobody understands.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}", path = path.display())]
pub struct BadMap {
    /// The file.
    path: PathBuf,
    /// What is wrong, with line and column where it is known.
    reason: String,
}

/// Reads a map.
///
/// # Errors
/// [`BadMap`], in one line.
pub fn read(path: &Path) -> Result<Map, BadMap> {
    let bad = |reason: String| BadMap { path: path.to_owned(), reason };
    let text = fs::read_to_string(path).map_err(|err| bad(err.to_string()))?;
    parse(&text).map_err(bad)
}

fn parse(text: &str) -> Result<Map, String> {
    // Nothing said is a map of nothing.
    if text.lines().all(|it| it.trim().is_empty() || it.trim_start().starts_with('#')) {
        return Ok(Map::default());
    }
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|err| err.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Item;
    use crate::plan::{MapOwner, MapPlace};

    #[test]
    fn a_map_names_parts_places_and_owners() {
        let text = "
# my home
bridge:
  part: 45df7312_zigbee2mqtt
  paths:
    homeassistant:data/zigbee2mqtt: /app/data
    config: /app/other/
  owner: 1000:50
mqtt: { part: core_mosquitto, owner: keep }
";
        let map = parse(text).expect("it is sound").0;
        let bridge = &map["bridge"];
        assert_eq!(bridge.part, "45df7312_zigbee2mqtt");
        let place = |part: Option<Item>, path: &str| MapPlace { part, path: path.to_owned() };
        let path = |it: MapPlace| bridge.paths[&it].0.display().to_string();
        assert_eq!(path(place(Some(Item::HomeAssistant), "data/zigbee2mqtt")), "/app/data");
        assert_eq!(path(place(None, "config")), "/app/other");
        assert_eq!(bridge.owner, Some(MapOwner::Of(1000, 50)));
        assert_eq!(map["mqtt"].owner, Some(MapOwner::Keep));
        assert!(map["mqtt"].paths.is_empty());
        for nothing in ["", "\n# nothing yet\n"] {
            assert_eq!(parse(nothing), Ok(Map::default()));
        }
    }

    #[test]
    fn what_nobody_understands_is_told_in_one_line_with_its_place() {
        let check = |text: &str, wanted: &[&str]| {
            let said = parse(text).expect_err(text);
            for it in wanted {
                assert!(said.contains(it), "{it}: {said}");
            }
            assert!(!said.contains('\n'), "{said}");
        };
        check("a:\n  part: x\n  pahts: {}\n", &["line 3", "column 3", "pahts", "paths"]);
        check("a:\n  paths: {}\n", &["line", "part"]);
        check("a: {part: x, owner: root}\n", &["line 1", "\"root\" is no owner"]);
        check("a: {part: x, owner: \"1:4294967295\"}\n", &["is no owner"]);
        check("a:\n  part: x\n  paths:\n    config: app\n", &["line 4", "no path in a container"]);
        check("a:\n  part: x\n  paths:\n    config: /a/../b\n", &["line 4", "no path"]);
        check("a:\n  part: x\n  paths:\n    ../x: /a\n", &["line 4", "no place in a backup"]);
        check("a:\n  part: x\n  paths:\n    'homeassistant:': /a\n", &["line 4", "no place"]);
        check("a: {part: x}\na: {part: y}\n", &["line 2", "a"]);
        check("[1, 2]", &["line 1"]);
        check("a: {part", &["line"]);
    }
}
