//! `chain.py` in containers: a database that is written at full speed, and who checks it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use flate2::read::GzDecoder;
use serde_json::Value;

use super::home::{Home, VERSION, bind};
use super::{LABEL, unique, wait_until};

/// The image of `tests/lab/images homeassistant`: of it, only its Python is used here.
pub(crate) const IMAGE: &str = "hearthkeep-lab/homeassistant:2026.2.3";

/// The database in `/config`.
pub(crate) const DATABASE: &str = "home-assistant_v2.db";

/// Runs the writer as the Home Assistant of a home, until the chain grows.
pub(crate) fn run_writer(home: &Home) {
    home.write("config/.HA_VERSION", VERSION);
    home.write("config/configuration.yaml", "default_config:\n");
    let config = bind(&home.config(), "/config");
    let script = script();
    let version = format!("io.hass.version={VERSION}");
    let options = ["--label", "hearthkeep.role=homeassistant", "--label", &version];
    let rest = ["--network", "none", "--entrypoint", "python3"];
    let volumes = ["--volume", &config, "--volume", &script];
    let database = format!("/config/{DATABASE}");
    let words = ["/chain.py", "write", &database];
    home.run("homeassistant", &[options.as_slice(), &rest, &volumes].concat(), IMAGE, &words);
    let acked = home.config().join(format!("{DATABASE}.acked"));
    wait_until("the chain grows", || acked.metadata().is_ok_and(|it| it.len() > 0));
}

/// Takes the database and what belongs to it out of a backup, by no means of our own.
fn extract(backup: &Path, folder: &Path) {
    let mut outer = tar::Archive::new(File::open(backup).expect("there is a backup"));
    let is_home = |it: &Path| it.file_name().is_some_and(|it| it == "homeassistant.tar.gz");
    let inner = outer.entries().expect("it is a tar").map(|it| it.expect("it is whole"));
    let mut inner = inner.into_iter();
    let member = inner.find(|it| is_home(&it.path().expect("it has a name")));
    let mut inner = tar::Archive::new(GzDecoder::new(member.expect("Home Assistant is in it")));
    for entry in inner.entries().expect("it is a tar") {
        let mut entry = entry.expect("it is whole");
        let path = entry.path().expect("it has a name").into_owned();
        let Some(name) = path.file_name().and_then(|it| it.to_str()) else { continue };
        if name.starts_with(DATABASE) {
            entry.unpack(folder.join(name)).expect("it can be unpacked");
        }
    }
}

/// A container that checks one backup after the other. Its folder is no part of the home, which
/// would be warned of a stranger.
pub(crate) struct Checker {
    folder: tempfile::TempDir,
    name: String,
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Checker {
    pub(crate) fn start() -> Checker {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let name = unique("checker");
        let mut command = Command::new("docker");
        command.args(["run", "--rm", "--interactive", "--network", "none", "--label", LABEL]);
        command.args(["--name", &name, "--entrypoint", "python3"]);
        // Under the same path as here, so that questions need no translation.
        let all = folder.path().display().to_string();
        command.args(["--volume", &bind(folder.path(), &all), "--volume", &script()]);
        command.args([IMAGE, "/chain.py", "check"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("docker is installed");
        let questions = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        Checker { folder, name, child, questions, answers }
    }

    /// The number of rows in the chain that lies in a backup, which must be sound.
    pub(crate) fn check(&mut self, backup: &Path) -> u64 {
        let folder = self.folder.path().join("extracted");
        fs::create_dir(&folder).expect("the one before is gone");
        extract(backup, &folder);
        writeln!(self.questions, "{}", folder.display()).expect("it listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("it answers");
        let answer: Value = serde_json::from_str(&answer).expect("it answers in JSON");
        assert_eq!(answer["problems"], Value::Array(Vec::new()), "{}", backup.display());
        fs::remove_dir_all(folder).expect("it is there");
        answer["rows"].as_u64().expect("it counts rows")
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        // Nothing may panic in here.
        _ = Command::new("docker").args(["rm", "--force", &self.name]).output();
        _ = self.child.wait();
    }
}

fn script() -> String {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support/chain.py");
    format!("{}:ro", bind(&script, "/chain.py"))
}
