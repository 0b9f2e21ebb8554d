//! What a move from the Supervisor leaves to be done.
//!
//! Add-ons have their secrets in options, speak to each other by names of the Supervisor's network,
//! and log in as users that it makes. Containers have none of that. What can be known of it from
//! small files of the backup is told as things to do, with the place of the values, never the
//! values. What is without doubt is also a [`Change`] that a restore can make on request.

mod addons;
mod edit;
mod homeassistant;
mod reach;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

pub use self::edit::{is_json, rename_hosts, without_addons};
use crate::model::{Container, Item};
use crate::secret::Secret;

/// Mosquitto's add-on and where a container of it keeps its data.
pub const MOSQUITTO: (&str, &str) = ("core_mosquitto", "/mosquitto/data");
/// The official add-on for Z-Wave, and where a container that is the same keeps its data.
pub const ZWAVE: (&str, &str) = ("core_zwave_js", "/usr/src/app/store");
/// The file of logins that is made for Mosquitto, in its data.
pub const PASSWORD_FILE: &str = "passwordfile";
/// The file in which Z-Wave JS UI has its keys, in its data.
pub const ZWAVE_SETTINGS: &str = "settings.json";

const ADDON: &str = "addon.json";
const SYSTEM_USERS: &str = "data/system_user.json";
const ENTRIES: &str = "data/.storage/core.config_entries";
/// Where Zigbee2MQTT has its configuration: beside Home Assistant's, or in a folder of its own.
const ZIGBEE2MQTT: [&str; 2] = ["data/zigbee2mqtt/configuration.yaml", "config/configuration.yaml"];
const FLOWS: &str = "config/flows.json";
const SECRET: &str = "data/secret";

/// Home Assistant's own files of text that are looked at.
const YAML: [&str; 4] =
    ["data/configuration.yaml", "data/secrets.yaml", "data/automations.yaml", "data/scripts.yaml"];

/// Small files of a backup, by item and by path in its part. They hold secrets.
#[derive(Debug, Clone, Default)]
pub struct Clues(BTreeMap<(Item, String), Secret>);

/// One thing that needs a hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToDo {
    /// The item that it is about.
    pub item: String,
    /// What is different without a Supervisor.
    pub what: String,
    /// Where in the backup the values lie, such as `core_mosquitto: addon.json → user.options.logins`.
    pub place: String,
    /// What to do.
    pub how: String,
    /// Whether a restore does it on request.
    pub automatic: bool,
    /// How a restore does it.
    #[serde(skip)]
    pub change: Option<Change>,
}

/// What a restore can change in the files that it puts in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A host name becomes another.
    Host {
        /// The part of the file.
        item: Item,
        /// Its path in there.
        path: String,
        /// The name that only the Supervisor knows.
        from: String,
        /// The name that the container has here.
        to: String,
    },
    /// Integrations no longer ask a Supervisor to run their add-on.
    WithoutAddons {
        /// The part of the file.
        item: Item,
        /// Its path in there.
        path: String,
    },
    /// The broker's logins become its [`PASSWORD_FILE`].
    Logins,
    /// The keys become [`ZWAVE_SETTINGS`].
    ZwaveKeys,
}

/// A login of the broker.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user's name.
    pub name: String,
    /// The password.
    pub password: Secret,
}

/// What is known when the things to do are looked for.
#[derive(Debug, Clone)]
pub struct Scene<'a> {
    /// Small files of the backup.
    pub clues: &'a Clues,
    /// Home Assistant's container, where Home Assistant is restored.
    pub homeassistant: Option<&'a Container>,
    /// The containers of this home, by the add-ons that they stand for.
    pub twins: BTreeMap<String, &'a Container>,
    /// The add-ons of the backup that are restored or have no container.
    pub addons: Vec<String>,
}

impl fmt::Display for ToDo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {} ({}): {}", self.item, self.what, self.place, self.how)
    }
}

impl Clues {
    /// Adds a file.
    pub fn add(&mut self, item: Item, path: String, text: String) {
        self.0.insert((item, path), Secret::new(text));
    }

    fn text(&self, item: &Item, path: &str) -> Option<&str> {
        self.0.get(&(item.clone(), path.to_owned())).map(Secret::expose)
    }

    fn of_homeassistant(&self, path: &str) -> Option<&str> {
        self.text(&Item::HomeAssistant, path)
    }

    /// The options of an add-on; null where nothing is known of them.
    fn options(&self, addon: &str) -> Value {
        let json = self.json(addon, ADDON);
        json.pointer("/user/options").cloned().unwrap_or_default()
    }

    fn json(&self, addon: &str, path: &str) -> Value {
        let text = self.text(&Item::Companion(addon.to_owned()), path);
        text.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default()
    }

    /// The logins that the broker's add-on knew: those of its options, and the two by which Home
    /// Assistant and other add-ons used it. Those whose password is hashed are left out: Mosquitto takes
    /// no salt of the length that the add-on's command makes.
    pub fn logins(&self) -> Vec<Login> {
        let (options, system) = (self.options(MOSQUITTO.0), self.json(MOSQUITTO.0, SYSTEM_USERS));
        let login = |name: &str, password: &Value| {
            let password = password.as_str().filter(|it| !it.is_empty())?;
            // Mosquitto's file has one login a line, with a colon behind the name.
            let is_sound =
                !name.is_empty() && !name.contains(|it: char| it == ':' || it.is_control());
            let password = Secret::new(password.to_owned());
            is_sound.then(|| Login { name: name.to_owned(), password })
        };
        let system = ["homeassistant", "addons"]
            .into_iter()
            .filter_map(|name| login(name, &system[name]["password"]));
        let is_plain = |it: &&Value| it["password_pre_hashed"] != true;
        let own = options["logins"].as_array().into_iter().flatten().filter(is_plain);
        let own = own.filter_map(|it| login(it["username"].as_str()?, &it["password"]));
        system.chain(own).collect()
    }

    /// What Z-Wave JS UI keeps in its settings of the keys that the add-on had in its options.
    pub fn zwave_settings(&self) -> Value {
        let options = self.options(ZWAVE.0);
        let keys = |names: &[(&str, &str)]| -> serde_json::Map<String, Value> {
            let key = |(option, name): &(&str, &str)| {
                let key = options[option].as_str().filter(|it| !it.is_empty())?;
                Some(((*name).to_owned(), key.into()))
            };
            names.iter().filter_map(key).collect()
        };
        let (near, far) = (keys(&addons::ZWAVE_KEYS), keys(&addons::ZWAVE_LONG_RANGE_KEYS));
        // Home Assistant asks the server on the port that the add-on had.
        serde_json::json!({ "zwave": {
            "serverEnabled": true,
            "serverPort": 3000,
            "securityKeys": near,
            "securityKeysLongRange": far,
        } })
    }
}

/// The files of a part that tell something, by their paths in it.
pub fn telling(item: &Item, all: &[Item]) -> Vec<&'static str> {
    match item {
        Item::HomeAssistant => {
            let has_zigbee2mqtt = all.iter().any(|it| addons::is(it, "zigbee2mqtt"));
            let more = has_zigbee2mqtt.then_some(ZIGBEE2MQTT[0]);
            YAML.into_iter().chain([ENTRIES]).chain(more).collect()
        }
        Item::Folder(_) => Vec::new(),
        it if addons::is(it, "zigbee2mqtt") => vec![ADDON, ZIGBEE2MQTT[1]],
        it if addons::is(it, "grafana") => vec![ADDON, SECRET],
        it if addons::is(it, "nodered") => vec![ADDON, FLOWS],
        Item::Companion(id) if id == MOSQUITTO.0 => vec![ADDON, SYSTEM_USERS],
        Item::Companion(_) => vec![ADDON],
    }
}

/// Everything that needs a hand, as far as it can be known.
pub fn to_do(scene: &Scene<'_>) -> Vec<ToDo> {
    let mut all = homeassistant::to_do(scene);
    all.extend(addons::to_do(scene));
    all
}

/// The files that may be the configuration of that add-on.
fn zigbee2mqtt_files(id: &str) -> [(Item, &'static str); 2] {
    let own = Item::Companion(id.to_owned());
    [(Item::HomeAssistant, ZIGBEE2MQTT[0]), (own, ZIGBEE2MQTT[1])]
}

impl Change {
    /// What is left to do of something when this is done.
    pub fn leaves(&self, of: &ToDo) -> Option<ToDo> {
        let Change::Logins = self else { return None };
        let file = format!("{}/{PASSWORD_FILE}", MOSQUITTO.1);
        let what = format!("the broker has to know its logins, which are in {file} then");
        let how =
            format!("write `password_file {file}` and `allow_anonymous false` into mosquitto.conf");
        Some(ToDo::new(&of.item, what, of.place.clone(), how))
    }
}

impl ToDo {
    fn new(item: &str, what: impl Into<String>, place: String, how: impl Into<String>) -> ToDo {
        let (item, what, how) = (item.to_owned(), what.into(), how.into());
        ToDo { item, what, place, how, automatic: false, change: None }
    }

    fn done_by(mut self, change: Option<Change>) -> ToDo {
        self.automatic = change.is_some();
        self.change = change;
        self
    }
}
