//! What add-ons have in their options and a container has elsewhere.

use serde_json::Value;

use super::{Change, FLOWS, MOSQUITTO, PASSWORD_FILE, SECRET, Scene, ToDo, ZWAVE, ZWAVE_SETTINGS};
use crate::companions;
use crate::model::{Container, Item};

/// Options of the add-on, and what the driver calls them.
pub(super) const ZWAVE_KEYS: [(&str, &str); 4] = [
    ("s0_legacy_key", "S0_Legacy"),
    ("s2_unauthenticated_key", "S2_Unauthenticated"),
    ("s2_authenticated_key", "S2_Authenticated"),
    ("s2_access_control_key", "S2_AccessControl"),
];
/// The same for Z-Wave Long Range.
pub(super) const ZWAVE_LONG_RANGE_KEYS: [(&str, &str); 2] = [
    ("lr_s2_authenticated_key", "S2_Authenticated"),
    ("lr_s2_access_control_key", "S2_AccessControl"),
];

type Rule = fn(&Addon<'_>) -> Vec<ToDo>;

/// The rules for add-ons, by the end of their identifiers: an add-on may come from several
/// repositories.
const RULES: [(&str, Rule); 6] = [
    ("mosquitto", mosquitto),
    ("zigbee2mqtt", zigbee2mqtt),
    ("zwave_js", zwave_js),
    ("nodered", nodered),
    ("mariadb", mariadb),
    ("grafana", grafana),
];

/// An add-on of the backup, and the container that stands for it.
struct Addon<'a> {
    id: &'a str,
    options: Value,
    container: &'a Container,
    scene: &'a Scene<'a>,
}

pub(super) fn to_do(scene: &Scene<'_>) -> Vec<ToDo> {
    let mut all = Vec::new();
    for id in &scene.addons {
        let Some(container) = scene.twins.get(id) else {
            all.extend(missing(id));
            continue;
        };
        let addon = Addon { id, options: scene.clues.options(id), container, scene };
        let rule = RULES.iter().find(|(end, _)| ends_with(id, end));
        all.extend(rule.into_iter().flat_map(|(_, rule)| rule(&addon)));
        all.extend(device(&addon));
    }
    all
}

/// Whether an item is the add-on of that short name, whatever its repository.
pub(super) fn is(item: &Item, slug: &str) -> bool {
    matches!(item, Item::Companion(id) if ends_with(id, slug))
}

fn ends_with(id: &str, slug: &str) -> bool {
    id.split_once('_').is_some_and(|(_, it)| it == slug)
}

/// The container that stands for an add-on of that short name.
pub(super) fn twin<'a>(scene: &Scene<'a>, slug: &str) -> Option<(String, &'a Container)> {
    scene.twins.iter().find(|(id, _)| ends_with(id, slug)).map(|(id, it)| (id.clone(), *it))
}

/// A known add-on without a container. Of the others nothing can be said.
fn missing(id: &str) -> Option<ToDo> {
    let (known, _) = companions::by_addon(id)?;
    let what = format!("no container here stands for {}", known.name);
    let how = format!("run {} beside Home Assistant, and restore {id} into it", known.images[0]);
    Some(ToDo::new(id, what, format!("the part {id}"), how))
}

impl Addon<'_> {
    fn has(&self, option: &str) -> bool {
        match &self.options[option] {
            Value::String(it) => !it.is_empty(),
            Value::Array(it) => !it.is_empty(),
            Value::Object(it) => !it.is_empty(),
            it => *it == true,
        }
    }

    fn option(&self, name: &str) -> String {
        format!("{}: addon.json → user.options.{name}", self.id)
    }

    fn to_do(&self, what: &str, place: String, how: impl Into<String>) -> ToDo {
        ToDo::new(self.id, what, place, how)
    }

    /// Whether the container has something mounted exactly there.
    fn is_mounted(&self, path: &str) -> bool {
        self.container.mounted_at(path).is_some_and(|it| it.writable)
    }
}

fn mosquitto(it: &Addon<'_>) -> Vec<ToDo> {
    let mut all = Vec::new();
    if !it.scene.clues.logins().is_empty() {
        let can = it.id == MOSQUITTO.0 && it.is_mounted(MOSQUITTO.1);
        let file = format!("{}/{PASSWORD_FILE}", MOSQUITTO.1);
        let place = format!("{} and data/system_user.json", it.option("logins"));
        let how = format!(
            "write them with mosquitto_passwd into {file}, and `password_file {file}` into mosquitto.conf"
        );
        let logins = it.to_do("a plain broker knows no login of the add-on", place, how);
        all.push(logins.done_by(can.then_some(Change::Logins)));
    }
    let mut logins = it.options["logins"].as_array().into_iter().flatten();
    if logins.any(|it| it["password_pre_hashed"] == true) {
        let what = "some logins have a password that is hashed as only the add-on does";
        let place = it.option("logins → password_pre_hashed");
        all.push(it.to_do(what, place, "give their users a new password with mosquitto_passwd"));
    }
    let what = "Home Assistant's users could log in to the add-on, and cannot to a plain broker";
    let place = "homeassistant: data/.storage/auth".to_owned();
    let how = "give each device that used one a login in the broker's password file";
    all.push(it.to_do(what, place, how));
    if it.options["customize"]["active"] == true {
        let what = "the add-on read further configuration from the folder share";
        let how = "copy what is in there to mosquitto.conf";
        all.push(it.to_do(what, it.option("customize.folder"), how));
    }
    all
}

fn zigbee2mqtt(it: &Addon<'_>) -> Vec<ToDo> {
    let mut all = Vec::new();
    for (section, what) in [
        ("mqtt", "the add-on took the broker from its options"),
        ("serial", "the add-on took the adapter from its options"),
    ] {
        if it.has(section) {
            let how =
                format!("see that `{section}:` of Zigbee2MQTT's configuration.yaml says the same");
            all.push(it.to_do(what, it.option(section), how));
        }
    }
    let options_know_it = it.options["mqtt"]["server"].is_string();
    let file_knows_it = super::zigbee2mqtt_files(it.id).iter().any(|(item, path)| {
        let text = it.scene.clues.text(item, path).unwrap_or_default();
        text.lines().any(|it| it.trim().starts_with("server:"))
    });
    if it.options.is_object() && !options_know_it && !file_knows_it {
        let what = "the add-on asked the Supervisor for the broker";
        let place = "core_mosquitto: data/system_user.json → addons".to_owned();
        let how = "name the broker and a login in `mqtt:` of Zigbee2MQTT's configuration.yaml";
        all.push(it.to_do(what, place, how));
    }
    all
}

fn zwave_js(it: &Addon<'_>) -> Vec<ToDo> {
    let keys = ZWAVE_KEYS.iter().chain(&ZWAVE_LONG_RANGE_KEYS).map(|(option, _)| *option);
    let names: Vec<&str> = keys.filter(|name| it.has(name)).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let can = it.id == ZWAVE.0 && it.is_mounted(ZWAVE.1);
    let place = it.option(&format!("{{{}}}", names.join(", ")));
    let how = format!(
        "enter them as security keys in Z-Wave JS UI, which keeps them in {ZWAVE_SETTINGS}"
    );
    let keys = it.to_do("without its keys no secure device answers", place, how);
    vec![keys.done_by(can.then_some(Change::ZwaveKeys))]
}

fn nodered(it: &Addon<'_>) -> Vec<ToDo> {
    let mut all = Vec::new();
    if it.has("credential_secret") {
        let what = "the flows' credentials are encrypted with a secret of the options";
        let how = "set it as credentialSecret in settings.js";
        all.push(it.to_do(what, it.option("credential_secret"), how));
    }
    let flows = it.scene.clues.json(it.id, FLOWS);
    let is_proxied = |node: &Value| node["type"] == "server" && node["addon"] == true;
    if flows.as_array().is_some_and(|it| it.iter().any(is_proxied)) {
        let what = "the flows reach Home Assistant through the Supervisor";
        let place = format!("{}: {FLOWS} → type server, addon", it.id);
        let how = "give the server node Home Assistant's address and a long-lived token";
        all.push(it.to_do(what, place, how));
    }
    all
}

fn mariadb(it: &Addon<'_>) -> Vec<ToDo> {
    if !it.has("logins") {
        return Vec::new();
    }
    let what = "the users of the database are those of the options";
    let how =
        "use them as they are: what the container's environment says is for a new database only";
    vec![it.to_do(what, it.option("logins"), how)]
}

fn grafana(it: &Addon<'_>) -> Vec<ToDo> {
    if it.scene.clues.text(&Item::Companion(it.id.to_owned()), SECRET).is_none() {
        return Vec::new();
    }
    let what = "stored credentials are encrypted with the add-on's secret";
    let how = "set its content as GF_SECURITY_SECRET_KEY of the container";
    vec![it.to_do(what, format!("{}: {SECRET}", it.id), how)]
}

/// A device of the host that an option names.
fn device(it: &Addon<'_>) -> Option<ToDo> {
    let options =
        [("device", &it.options["device"]), ("serial.port", &it.options["serial"]["port"])];
    let is_device =
        |(_, value): &(&str, &Value)| value.as_str().is_some_and(|it| it.starts_with("/dev/"));
    let (name, _) = options.into_iter().find(is_device)?;
    let how =
        format!("give the device to {}, and set the path that it has in there", it.container.name);
    Some(it.to_do("it used a device of the host", it.option(name), how))
}
