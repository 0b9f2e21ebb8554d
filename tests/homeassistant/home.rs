//! Homes of the real Home Assistant with a broker and one more companion, gone when a test is over.

use std::fmt::Display;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use serde_json::value::Index;
use serde_json::{Value, json};

use super::api::{Api, CLIENT};
use crate::support::{Run, docker, unique, wait_until};

pub(crate) const IMAGES: [&str; 4] = [
    "hearthkeep-lab/homeassistant:2026.2.3",
    super::next::IMAGE,
    "hearthkeep-lab/mosquitto:2",
    "hearthkeep-lab/helper:1",
];

pub(crate) const USER: &str = "lab";
pub(crate) const PASSWORD: &str = "lab-password";

/// A Compose project of its own.
pub(crate) struct Home {
    pub(crate) project: String,
    /// What its owner's applications hold.
    pub(crate) tokens: Tokens,
}

/// What an application gets when its user has logged in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Home {
    /// Containers that were never started, with empty volumes.
    pub(crate) fn fresh(what: &str) -> Home {
        name_the_images();
        // First the guard, then what it guards.
        let home = Home { project: unique(what), tokens: Tokens::default() };
        home.compose(&["up", "--no-start"]);
        home
    }

    /// A home that runs, with an owner, with the broker set up, and counting.
    pub(crate) fn lived_in(what: &str) -> Home {
        let mut home = Home::fresh(what);
        let config = tests().join("lab/home/config/.");
        docker(&[
            "cp",
            &config.display().to_string(),
            &format!("{}:/config", home.homeassistant()),
        ]);
        home.compose(&["up", "-d"]);
        home.move_in();
        home.wait_until_up();
        let refresh = home.tokens.refresh.clone();
        for (store, text) in [
            ("auth", refresh.as_str()),
            ("core.config_entries", "mqtt"),
            ("onboarding", "integration"),
        ] {
            home.wait_until_stored(store, text);
        }
        home
    }

    /// Waits until Home Assistant has written something down, which it does only some seconds
    /// after it has changed.
    pub(crate) fn wait_until_stored(&self, store: &str, text: &str) {
        let path = self.config().join(".storage").join(store);
        let is_stored = || fs::read_to_string(&path).is_ok_and(|it| it.contains(text));
        wait_for(&format!("{store} is written down"), is_stored);
    }

    /// What a person does in the browser the first time.
    fn move_in(&mut self) {
        wait_for("Home Assistant answers", || self.api().answers("/api/onboarding"));
        let user = json!({
            "client_id": CLIENT, "name": "Lab", "username": USER, "password": PASSWORD, "language": "en",
        });
        let user = self.api().post("/api/onboarding/users", &user);
        self.tokens = self.api().tokens("authorization_code", "code", text(&user, "auth_code"));
        let api = self.api();
        for step in ["core_config", "analytics"] {
            api.post(&format!("/api/onboarding/{step}"), &json!({}));
        }
        let back = json!({ "client_id": CLIENT, "redirect_uri": CLIENT });
        api.post("/api/onboarding/integration", &back);
        let mqtt = json!({ "handler": "mqtt", "show_advanced_options": false });
        let flow = api.post("/api/config/config_entries/flow", &mqtt);
        let flow = format!("/api/config/config_entries/flow/{}", text(&flow, "flow_id"));
        let entry = api.post(&flow, &json!({ "broker": "mosquitto", "port": 1883 }));
        assert_eq!(entry["type"], "create_entry", "{entry}");
    }

    /// Waits until Home Assistant has started everything, and counts.
    pub(crate) fn wait_until_up(&self) {
        let is_up = || {
            let config = self.api().try_get("/api/config");
            config.is_some_and(|it| it["state"] == "RUNNING")
        };
        wait_for("Home Assistant has started", is_up);
        wait_for("it counts", || self.ticks().is_some());
        let before = self.ticks();
        wait_for("it goes on counting", || self.ticks() != before);
    }

    pub(crate) fn api(&self) -> Api {
        let each = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
        let addresses = docker(&["inspect", "-f", each, &self.homeassistant()]);
        Api { address: addresses, access: self.tokens.access.clone() }
    }

    /// What the counter shows.
    pub(crate) fn ticks(&self) -> Option<u64> {
        let state = self.api().try_get("/api/states/counter.ticks")?;
        state["state"].as_str()?.parse().ok()
    }

    /// Asks over the WebSocket; gives one result a message.
    pub(crate) fn ask(&self, messages: &[Value]) -> Vec<Value> {
        let messages: Vec<String> = messages.iter().map(Value::to_string).collect();
        let mut arguments = vec![self.tokens.access.as_str()];
        arguments.extend(messages.iter().map(String::as_str));
        let answers = self.python("websocket.py", &arguments);
        let answers = answers.as_array().expect("one answer a message").iter();
        let result = |(answer, message): (&Value, &String)| {
            assert_eq!(answer[0], true, "{message}: {answer}");
            answer[1].clone()
        };
        answers.zip(&messages).map(result).collect()
    }

    /// Asks for what is refused; gives the code of the error.
    pub(crate) fn is_refused(&self, message: &Value) -> String {
        let answers = self.python("websocket.py", &[&self.tokens.access, &message.to_string()]);
        assert_eq!(answers[0][0], false, "{message}: {answers}");
        text(&answers[0], 1).to_owned()
    }

    pub(crate) fn areas(&self) -> Vec<String> {
        let areas = &self.ask(&[json!({ "type": "config/area_registry/list" })])[0];
        let areas = areas.as_array().expect("a list").iter();
        areas.map(|it| text(it, "name").to_owned()).collect()
    }

    pub(crate) fn add_area(&self, name: &str) {
        self.ask(&[json!({ "type": "config/area_registry/create", "name": name })]);
    }

    /// Runs a script beside this file with the Python and the libraries of Home Assistant; gives
    /// the JSON that it prints.
    pub(crate) fn python(&self, script: &str, arguments: &[&str]) -> Value {
        let path = tests().join("homeassistant").join(script);
        let script = fs::read(&path).expect("the script is there");
        let mut child = Command::new("docker")
            .args(["exec", "-i", &self.homeassistant(), "python3", "-"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker is installed");
        child.stdin.take().expect("it is piped").write_all(&script).expect("python reads it");
        let run = Run::from(child.wait_with_output().expect("it ends"));
        assert_eq!(run.code, 0, "{}: {}", path.display(), run.stderr);
        run.json()
    }

    pub(crate) fn homeassistant(&self) -> String {
        self.container("homeassistant")
    }

    /// The identifier of a service's container.
    pub(crate) fn container(&self, service: &str) -> String {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let service = format!("label=com.docker.compose.service={service}");
        let id = docker(&["ps", "-aq", "--filter", &project, "--filter", &service]);
        assert!(!id.is_empty(), "no container with {service} in {}", self.project);
        id
    }

    /// Where a volume lies.
    pub(crate) fn volume(&self, name: &str) -> PathBuf {
        let name = format!("{}_{name}", self.project);
        docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", &name]).into()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.volume("config")
    }

    pub(crate) fn compose(&self, arguments: &[&str]) {
        let run = self.compose_command(arguments).output();
        let run = Run::from(run.expect("Compose is installed"));
        assert_eq!(run.code, 0, "compose {}: {}", arguments.join(" "), run.stderr);
    }

    fn compose_command(&self, arguments: &[&str]) -> Command {
        let (program, first) = *COMPOSE;
        let mut command = Command::new(program);
        command.args(first).args(["-p", &self.project]);
        for file in ["lab/home/compose.yaml", "homeassistant/clock.yaml"] {
            command.arg("-f").arg(tests().join(file));
        }
        command.args(arguments);
        command
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Nothing may panic in here, and a case that failed has said so already.
        _ = self.compose_command(&["down", "-v", "-t", "0"]).output();
    }
}

/// Waits until something is so that takes Home Assistant seconds. Each look starts processes, so
/// it does not look all the time.
pub(crate) fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    wait_until(what, || {
        let so = is_so();
        if !so {
            thread::sleep(Duration::from_millis(200));
        }
        so
    });
}

/// The command for Compose: the plugin where it is there, else the program before it.
static COMPOSE: LazyLock<(&str, &[&str])> = LazyLock::new(|| {
    let plugin = Command::new("docker").args(["compose", "version"]).output();
    match plugin.is_ok_and(|it| it.status.success()) {
        true => ("docker", &["compose"]),
        false => ("docker-compose", &[]),
    }
});

/// Says once which images the tests run on; past the harness, which keeps what a test prints.
fn name_the_images() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let mut lines = String::new();
        for image in IMAGES {
            lines +=
                &format!("{image} {}\n", docker(&["image", "inspect", "-f", "{{.Id}}", image]));
        }
        std::io::stderr().write_all(lines.as_bytes()).expect("standard error is open");
    });
}

/// What an answer says under a key.
fn text(answer: &Value, key: impl Index + Display + Copy) -> &str {
    answer[key].as_str().unwrap_or_else(|| panic!("no {key}: {answer}"))
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}
