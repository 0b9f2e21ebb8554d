//! A map: what a person says of which add-on a container is, and where its content goes.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::model::Item;

/// Containers by their service in the Compose project, or by their name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Map(pub BTreeMap<String, Mapped>);

/// What a map says of one container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapped {
    /// The add-on's identifier, as in `backup.json`.
    pub part: String,
    /// Each place in the backup with the path in the container; without any, those of the table of
    /// known companions.
    #[serde(default)]
    pub paths: BTreeMap<MapPlace, MapPath>,
    /// Whose the content becomes; without it, as the table and the mount say.
    #[serde(default)]
    pub owner: Option<MapOwner>,
}

/// A place in the backup: `config` in the container's own part, `homeassistant:data/x` in another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct MapPlace {
    /// The item of the other part.
    pub part: Option<Item>,
    /// The path in the part.
    pub path: String,
}

/// An absolute path in a container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct MapPath(pub PathBuf);

/// Whose content becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum MapOwner {
    /// Whose it is in the backup.
    Keep,
    /// This user's and group's.
    Of(u32, u32),
}

impl TryFrom<String> for MapPlace {
    type Error = String;

    fn try_from(text: String) -> Result<MapPlace, String> {
        let (part, path) = match text.split_once(':') {
            Some((part, path)) => (Some(Item::parse(part)), path),
            None => (None, text.as_str()),
        };
        let path = path.trim_end_matches('/');
        let is_plain = |it: Component<'_>| matches!(it, Component::Normal(_));
        match !path.is_empty() && Path::new(path).components().all(is_plain) {
            true => Ok(MapPlace { part, path: path.to_owned() }),
            false => Err(format!(
                "{text:?} is no place in a backup, such as `config` or `homeassistant:data/x`"
            )),
        }
    }
}

impl TryFrom<String> for MapPath {
    type Error = String;

    fn try_from(text: String) -> Result<MapPath, String> {
        let path: PathBuf = Path::new(&text).components().collect();
        let is_sound =
            path.is_absolute() && !path.components().any(|it| it == Component::ParentDir);
        match is_sound {
            true => Ok(MapPath(path)),
            false => Err(format!("{text:?} is no path in a container: it begins with a slash")),
        }
    }
}

impl TryFrom<String> for MapOwner {
    type Error = String;

    fn try_from(text: String) -> Result<MapOwner, String> {
        if text == "keep" {
            return Ok(MapOwner::Keep);
        }
        // The last number stands for "leave it as it is".
        let number = |it: &str| it.parse().ok().filter(|it| *it != u32::MAX);
        let numbers = text.split_once(':').and_then(|(u, g)| Some((number(u)?, number(g)?)));
        match numbers {
            Some((uid, gid)) => Ok(MapOwner::Of(uid, gid)),
            None => Err(format!("{text:?} is no owner, such as 1000:1000 or keep")),
        }
    }
}
