//! What it takes to make a container again, in the words of a Compose file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::secret::Secret;

/// What it takes to make a container again, without what may be secret: that is its
/// [`Confidential`], of which only the names are here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recipe {
    /// Its name.
    pub container: String,
    /// Whether a person chose that name, and not Compose.
    #[serde(skip_serializing_if = "is_false")]
    pub has_own_name: bool,
    /// What it is called in a Compose file.
    pub service: String,
    /// Whether it ran when it was backed up.
    pub runs: bool,
    /// The image as it was created with, tag included.
    pub image: String,
    /// What the registry called that image, where it came from one: a name with `@sha256:…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What a Compose file says as it is, such as `restart` or `devices`.
    pub settings: BTreeMap<String, Value>,
    /// What is mounted into it, but for memory, which is in `settings`.
    pub mounts: Vec<RecipeMount>,
    /// `host`, `none`, or `service:…`; without it, it is on `networks`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_mode: Option<String>,
    /// Its networks, each with the further names that it has there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, Vec<String>>,
    /// The services that it waits for, and for what of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<String, String>,
    /// Labels that say to hearthkeep what the container is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The names of its own environment variables.
    pub variables: Vec<String>,
    /// The names of its other labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more_labels: Vec<String>,
    /// Which of `entrypoint`, `command` and `healthcheck` are its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// The times of its own health check.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub health_times: BTreeMap<String, Value>,
    /// What it has that is not kept, as words to be read after "not kept: ".
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_kept: Vec<String>,
}

/// A mount in a recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipeMount {
    /// A volume's name; a path of the host; one that begins with `.`, below the Compose file; or
    /// nothing for a volume without a name.
    pub source: String,
    /// Where the container sees it.
    pub target: PathBuf,
    /// What else is said of it, such as `ro`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mode: String,
}

/// What may be secret of a container: its own variables, labels and words. It is written into
/// encrypted backups alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Confidential {
    /// Its environment, but for what the image has.
    pub environment: BTreeMap<String, Secret>,
    /// Its labels, but for those of the image and of Compose.
    pub labels: BTreeMap<String, Secret>,
    /// `entrypoint`, `command` and the test of `healthcheck`, where they are its own.
    pub words: BTreeMap<String, Vec<Secret>>,
}

impl Confidential {
    /// What is secret of several containers, by their names, as JSON.
    ///
    /// # Errors
    /// None that is known: all of it is text.
    pub fn to_json(all: &BTreeMap<String, Confidential>) -> serde_json::Result<Secret> {
        /// Nothing but this writes it, so that no report can.
        #[derive(Serialize)]
        struct Open<'a> {
            environment: BTreeMap<&'a str, &'a str>,
            labels: BTreeMap<&'a str, &'a str>,
            words: BTreeMap<&'a str, Vec<&'a str>>,
        }
        fn open(texts: &BTreeMap<String, Secret>) -> BTreeMap<&str, &str> {
            texts.iter().map(|(key, it)| (key.as_str(), it.expose())).collect()
        }
        let all: BTreeMap<&str, Open<'_>> = all
            .iter()
            .map(|(name, it)| {
                let words = it.words.iter();
                let words =
                    words.map(|(key, it)| (&**key, it.iter().map(Secret::expose).collect()));
                let (environment, labels) = (open(&it.environment), open(&it.labels));
                (name.as_str(), Open { environment, labels, words: words.collect() })
            })
            .collect();
        serde_json::to_string(&all).map(Secret::new)
    }

    /// Reads what [`Confidential::to_json`] wrote.
    ///
    /// # Errors
    /// Where it is something else. The error tells where, and nothing of what stands there.
    pub fn from_json(text: &Secret) -> anyhow::Result<BTreeMap<String, Confidential>> {
        serde_json::from_str(text.expose())
            .map_err(|err| anyhow::anyhow!("line {}, column {}", err.line(), err.column()))
    }
}

fn is_false(it: &bool) -> bool {
    !it
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn what_is_secret_comes_back_and_is_not_printed() {
        let confidential = Confidential {
            environment: [("KEY".to_owned(), secret("hunter2"))].into(),
            labels: [("a.b".to_owned(), secret("hunter3"))].into(),
            words: [("command".to_owned(), vec![secret("--key"), secret("hunter4")])].into(),
        };
        let all = BTreeMap::from([("broker".to_owned(), confidential)]);
        let json = Confidential::to_json(&all).expect("text");
        assert_eq!(Confidential::from_json(&json).expect("ours"), all);
        assert!(!format!("{all:?}").contains("hunter"), "{all:?}");
        let broken = secret(&json.expose().replace("\"hunter2\"", "[\"hunter2\"]"));
        let err = Confidential::from_json(&broken).expect_err("no text");
        assert!(!format!("{err:?}").contains("hunter"), "{err:?}");
    }
}
