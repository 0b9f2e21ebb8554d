//! What hearthkeep notes in a backup beyond Home Assistant's own format: which container and which
//! mount each part came from, and how its containers were made. It travels as the key `hearthkeep` of `backup.json`, which Home
//! Assistant's software keeps and ignores.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Recipe;

/// Our own key of `backup.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The layout of this object; 2 today, of whose files each has an index.
    pub version: u32,
    /// The program that wrote the file.
    pub writer: String,
    /// The job that made it by itself, whose retention it falls under. A backup whose content a
    /// person chose has none, and stays until a person removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// Every part of the file, in its order.
    pub parts: Vec<PartRecord>,
    /// What it takes to make the containers of the home again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Recipe>,
}

/// A job of a home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The profile; empty for the job without a name.
    pub profile: String,
    /// The home: its Compose project and the service of Home Assistant in it, or the name of Home
    /// Assistant's container.
    pub home: String,
}

/// A part of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// What a person picks to get it.
    pub item: String,
    /// The member of the outer tar, without `./`.
    pub member: String,
    /// The image of the container that the part belongs to.
    pub image: String,
    /// Globs of what was left out but belongs to the home; a restore leaves it in place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// The mounts in it.
    pub trees: Vec<TreeRecord>,
}

/// A mount of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeRecord {
    /// Where its content lies in the inner tar; empty for the root.
    pub prefix: String,
    /// The container that had it.
    pub container: String,
    /// Where that container saw it.
    pub destination: PathBuf,
    /// The volume's name, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
    /// The folder or file on the host.
    pub source: PathBuf,
    /// Whether that is a file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_file: bool,
}
