//! `backup.json`: strict in what is written, lenient in what is read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use sha1::{Digest, Sha1};

use super::lenient;
use crate::model::{
    Confidential, Contents, Found, Item, Manifest, Part, PartKind, PartRecord, Tree, TreeRecord,
};

/// Keys that are read; what else a file has is passed over. Those of [`Metadata`].
const KEYS: [&str; 14] = [
    "slug",
    "version",
    "name",
    "date",
    "type",
    "compressed",
    "protected",
    "homeassistant",
    "folders",
    "addons",
    "repositories",
    "extra",
    "supervisor_version",
    "hearthkeep",
];

/// The keys of `backup.json` (home-assistant/supervisor, `supervisor/backups/validate.py`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// Eight hexadecimal digits, see [`slug`].
    pub slug: String,
    /// The layout: 2 today, 1 where it is absent.
    #[serde(default = "layout_without_key", deserialize_with = "lenient::whole_number")]
    pub version: u32,
    /// What a person called it.
    pub name: String,
    /// ISO 8601 with an offset.
    pub date: String,
    /// `full` or `partial`.
    #[serde(rename = "type")]
    pub extent: String,
    /// Whether the inner tars are compressed.
    #[serde(default = "yes", deserialize_with = "lenient::truth")]
    pub compressed: bool,
    /// Whether the inner tars are encrypted. Old files have a string here.
    #[serde(default, deserialize_with = "lenient_bool")]
    pub protected: bool,
    /// Home Assistant, where it is in the file.
    #[serde(default, deserialize_with = "lenient_home_assistant")]
    pub homeassistant: Option<HomeAssistantRecord>,
    /// The folders in the file.
    #[serde(default, deserialize_with = "lenient::list")]
    pub folders: Vec<String>,
    /// The add-ons in the file.
    #[serde(default, deserialize_with = "lenient::list")]
    pub addons: Vec<AddonRecord>,
    /// Where the add-ons come from.
    #[serde(default, deserialize_with = "lenient::list")]
    pub repositories: Vec<String>,
    /// Free data of whoever asked for the backup.
    #[serde(default)]
    pub extra: Value,
    /// Of a file that a Supervisor wrote. Where it is newer than the Supervisor that reads, that
    /// one refuses the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervisor_version: Option<Value>,
    /// What only hearthkeep notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hearthkeep: Option<Manifest>,
    /// What may be secret of the containers, by their names. No part of `backup.json`: it is written
    /// into a member of its own where that is encrypted, and else nowhere.
    #[serde(skip)]
    pub confidential: BTreeMap<String, Confidential>,
}

/// Home Assistant in `backup.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HomeAssistantRecord {
    /// The version that wrote the data.
    #[serde(deserialize_with = "lenient::text")]
    pub version: String,
    /// Whether the database was left out.
    #[serde(default, deserialize_with = "lenient::truth")]
    pub exclude_database: bool,
}

/// An add-on in `backup.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddonRecord {
    /// Its identifier, such as `core_mosquitto`.
    pub slug: String,
    /// Its readable name.
    pub name: String,
    /// Its version.
    #[serde(deserialize_with = "lenient::text")]
    pub version: String,
    /// Size in MiB; for people only.
    #[serde(default, deserialize_with = "lenient::size")]
    pub size: f64,
}

impl Metadata {
    /// The metadata of a new backup, dated `now`.
    pub fn new(name: &str, now: Timestamp, parts: &[Part], compressed: bool) -> Metadata {
        let date = now.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string();
        let mut metadata = Metadata {
            slug: slug(&date, name),
            version: 2,
            name: name.to_owned(),
            date,
            // A full one invites the Supervisor to remove the add-ons that are not in it.
            extent: "partial".to_owned(),
            compressed,
            protected: false,
            homeassistant: None,
            folders: Vec::new(),
            addons: Vec::new(),
            repositories: Vec::new(),
            extra: Value::Object(serde_json::Map::new()),
            supervisor_version: None,
            hearthkeep: Some(Manifest {
                version: 2,
                writer: concat!("hearthkeep ", env!("CARGO_PKG_VERSION")).to_owned(),
                job: None,
                parts: parts.iter().map(|it| record(it, compressed)).collect(),
                containers: Vec::new(),
            }),
            confidential: BTreeMap::new(),
        };
        for part in parts {
            metadata.add(part);
        }
        metadata
    }

    fn add(&mut self, part: &Part) {
        match &part.kind {
            PartKind::HomeAssistant { version, exclude_database } => {
                self.homeassistant = Some(HomeAssistantRecord {
                    version: version.clone(),
                    exclude_database: *exclude_database,
                });
            }
            PartKind::Folder => self.folders.push(part.item.to_string()),
            PartKind::Addon { name, version, repository, .. } => {
                self.addons.push(AddonRecord {
                    slug: part.item.to_string(),
                    name: name.clone(),
                    version: version.clone(),
                    size: 0.0,
                });
                if !self.repositories.contains(repository) {
                    self.repositories.push(repository.clone());
                }
            }
            PartKind::Private => (),
        }
    }

    /// Reads `backup.json`. Keys that nobody knows are passed over, of keys that stand twice the
    /// last one counts: both occur in the wild.
    pub fn parse(text: &str) -> Result<Metadata, serde_json::Error> {
        lenient::object(text, &KEYS).and_then(serde_json::from_value).map_err(lenient::brief)
    }

    /// The items that the file says it holds.
    pub fn items(&self) -> Vec<Item> {
        let mut items = Vec::new();
        // Before 2022 the configuration was listed as a folder.
        if self.homeassistant.is_some() || self.folders.iter().any(|it| it == "homeassistant") {
            items.push(Item::HomeAssistant);
        }
        items.extend(self.addons.iter().map(|it| Item::Companion(it.slug.clone())));
        let folders = self.folders.iter().filter(|it| *it != "homeassistant");
        items.extend(folders.map(|it| Item::parse(it)));
        let private = self.hearthkeep.iter().flat_map(|it| &it.parts);
        for record in private.filter(|it| it.member.contains(".companion.")) {
            items.push(Item::Companion(record.item.clone()));
        }
        items
    }

    /// What a plan has to know of the file.
    pub fn contents(&self) -> Contents {
        let record = self.homeassistant.as_ref();
        Contents {
            items: self.items(),
            homeassistant_version: record.map(|it| it.version.clone()),
            exclude_database: record.is_some_and(|it| it.exclude_database),
            of_supervisor: self.supervisor_version.is_some(),
            manifest: self.hearthkeep.clone(),
            found: Found::default(),
        }
    }

    /// When it was made, where the date can be read.
    pub fn when(&self) -> Option<Timestamp> {
        self.date.parse().ok()
    }

    /// The name of the file, as Home Assistant would call it (home-assistant/core,
    /// `homeassistant/components/backup/util.py`).
    pub fn file_name(&self) -> String {
        let when = match self.when() {
            Some(when) => when.strftime("%Y-%m-%d %H.%M %S%6f").to_string(),
            None => self.slug.clone(),
        };
        let name = format!("{} {when}.tar", self.name);
        name.split_whitespace().collect::<Vec<_>>().join("_")
    }
}

/// The slug of a backup: the first eight hexadecimal digits of SHA-1 over `<date> - <name>` in
/// lower case (home-assistant/supervisor, `supervisor/backups/utils.py`).
pub fn slug(date: &str, name: &str) -> String {
    let digest = Sha1::digest(format!("{date} - {name}").to_lowercase().as_bytes());
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

fn record(part: &Part, compressed: bool) -> PartRecord {
    let tree = |tree: &Tree| TreeRecord {
        prefix: tree.prefix.clone(),
        container: tree.container.clone(),
        destination: tree.destination.clone(),
        volume: tree.volume.clone(),
        source: tree.source.clone(),
        is_file: false,
    };
    PartRecord {
        item: part.item.to_string(),
        member: part.member(compressed),
        image: part.image.clone(),
        exclude: part.exclude_kept.clone(),
        trees: part.trees.iter().map(tree).collect(),
    }
}

fn layout_without_key() -> u32 {
    1
}

fn yes() -> bool {
    true
}

fn lenient_bool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Bool(value) => value,
        Value::Null => false,
        _ => true,
    })
}

/// An object without a version says, as null does, that Home Assistant is not in the file.
fn lenient_home_assistant<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<HomeAssistantRecord>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    match value.get("version") {
        Some(Value::String(_) | Value::Number(_)) => {
            serde_json::from_value(value).map(Some).map_err(serde::de::Error::custom)
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_those_of_real_files() {
        let check = |date: &str, name: &str, wanted: &str| assert_eq!(slug(date, name), wanted);
        check("2024-11-21T17:58:38.135597+00:00", "Example", "7fed74c8");
        check("2025-02-03T18:48:28.273501+00:00", "Encrypt test", "93b462f8");
        check("2026-02-24T10:16:26.994906+00:00", "backup_example_sec_v3", "f92f0339");
        check("2026-11-22T00:43:50.520005+00:00", "Custom backup 2026.2.3", "798189aa");
    }

    #[test]
    fn the_file_is_named_as_home_assistant_does() {
        let now: Timestamp = "2025-02-27T04:47:21.001433Z".parse().expect("a date");
        let metadata = Metadata::new("Automatic backup 2025.3.0b0", now, &[], true);
        assert_eq!(
            metadata.file_name(),
            "Automatic_backup_2025.3.0b0_2025-02-27_04.47_21001433.tar"
        );
    }

    #[test]
    fn reads_what_other_writers_wrote() {
        let least = r#"{"slug":"a","name":"n","date":"2020-01-01","type":"full""#;
        let check = |rest: &str, wanted: fn(&Metadata) -> bool| {
            let text = format!("{least}{rest}}}");
            let metadata = Metadata::parse(&text).unwrap_or_else(|err| panic!("{text}: {err}"));
            assert!(wanted(&metadata), "{text}: {metadata:?}");
        };
        check("", |it| it.version == 1 && it.compressed && !it.protected);
        check(r#","protected":"1""#, |it| it.protected);
        check(r#","protected":false,"protected":true"#, |it| it.protected);
        check(r#","homeassistant":{}"#, |it| it.homeassistant.is_none());
        check(r#","homeassistant":null"#, |it| it.homeassistant.is_none());
        check(r#","homeassistant":{"version":"1","ssl":true}"#, |it| it.homeassistant.is_some());
        check(r#","folders":["homeassistant"]"#, |it| it.items() == [Item::HomeAssistant]);
        check(r#","docker":{},"crypto":null"#, |it| it.items().is_empty());
        check(r#","version":"2","compressed":"no""#, |it| it.version == 2 && !it.compressed);
        check(r#","docker":{"a":1},"docker":[],"docker":{"a":1,"a":2}"#, |it| it.version == 1);
        check(
            r#","homeassistant":{"version":"0","size":"1.5","version":"1","version":"2"}"#,
            |it| it.contents().homeassistant_version.as_deref() == Some("2"),
        );
        check(r#","homeassistant":{"version":1.5,"exclude_database":1}"#, |it| {
            it.contents().homeassistant_version.as_deref() == Some("1.5")
                && it.contents().exclude_database
        });
        for nothing in ["{\"version\":null}", "\"\"", "false", "[]", "0"] {
            check(&format!(",\"homeassistant\":{nothing}"), |it| it.homeassistant.is_none());
        }
        check(r#","folders":null,"addons":null,"repositories":null"#, |it| it.items().is_empty());
        let addon =
            r#""addons":[{"slug":"s","slug":"a_b","name":"n","version":1,"size":"0.5","x":[]}]"#;
        check(&format!(",{addon}"), |it| it.addons[0].slug == "a_b" && it.addons[0].size == 0.5);
        check(r#","addons":[{"slug":"s","name":"n","version":"1","size":null}]"#, |it| {
            it.addons[0].size == 0.0
        });
    }

    #[test]
    fn refuses_what_the_supervisor_refuses() {
        let least = r#"{"slug":"a","name":"n","date":"2020-01-01","type":"full""#;
        for rest in [
            r#","folders":"share""#,
            r#","folders":[1]"#,
            r#","addons":{}"#,
            r#","addons":["a"]"#,
            r#","addons":[{"slug":"s"}]"#,
            r#","version":"x""#,
            r#","version":-1"#,
            r#","slug":null"#,
        ] {
            let text = format!("{least}{rest}}}");
            assert!(Metadata::parse(&text).is_err(), "{text}");
        }
        assert!(Metadata::parse(r#"{"slug":"a"}"#).is_err());
    }

    #[test]
    fn every_key_that_is_written_is_read() {
        let mut metadata = Metadata::new("n", Timestamp::UNIX_EPOCH, &[], true);
        let record = HomeAssistantRecord { version: "1".to_owned(), exclude_database: true };
        metadata.homeassistant = Some(record);
        metadata.supervisor_version = Some(Value::from("2026.08.0"));
        let text = serde_json::to_string(&metadata).expect("JSON");
        let Ok(Value::Object(written)) = serde_json::from_str(&text) else { panic!("{text}") };
        assert_eq!(written.len(), KEYS.len());
        assert_eq!(Metadata::parse(&text).expect("ours"), metadata);
    }
}
