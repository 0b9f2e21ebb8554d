//! A small home of a test's own: containers around the static helper, gone when the test is over.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use super::{Bench, LABEL, Run, docker, unique};

/// The image of `tests/lab/images helper`.
pub(crate) const IMAGE: &str = "hearthkeep-lab/helper:1";

/// The version that these homes say they are.
pub(crate) const VERSION: &str = "2026.2.3";

/// A file in the configuration whose backup takes far longer than any test looks at it. Where it
/// is, the program finds no room for copies, so that everything is held for as long.
pub(crate) const ENDLESS: &str = "zz-endless";

/// A folder on a file system that never has room.
const NO_ROOM: &str = "/proc";

/// A Compose project of the test's own, without Compose: labels are all that makes one.
pub(crate) struct Home {
    pub(crate) bench: Bench,
    /// The name of the project, and the beginning of the names of all that is in it.
    pub(crate) project: String,
    made: Mutex<Vec<Made>>,
}

/// What has to be taken away again, in the words of `docker`.
struct Made {
    remove: &'static [&'static str],
    name: String,
}

impl Home {
    /// A home without containers yet.
    pub(crate) fn empty(what: &str) -> Home {
        Home { bench: Bench::new(), project: unique(what), made: Mutex::default() }
    }

    /// A home with a folder at `/config` and Home Assistant answering on its port.
    pub(crate) fn new(what: &str) -> Home {
        Home::with(what, &[])
    }

    /// The same, with more words for `docker run`.
    pub(crate) fn with(what: &str, options: &[&str]) -> Home {
        let home = Home::empty(what);
        home.write("config/.HA_VERSION", VERSION);
        home.write("config/configuration.yaml", "default_config:\n");
        let config = bind(&home.config(), "/config");
        let mut all = vec!["--volume", config.as_str()];
        all.extend(options);
        home.run_homeassistant(&all);
        home
    }

    /// Runs what is taken for Home Assistant, with its version where the file with it is missing.
    pub(crate) fn run_homeassistant(&self, options: &[&str]) -> String {
        let version = format!("io.hass.version={VERSION}");
        let role = "hearthkeep.role=homeassistant";
        let all = [&["--label", role, "--label", &version], options].concat();
        self.run("homeassistant", &all, IMAGE, &["http=8123"])
    }

    /// The folder that Home Assistant sees as `/config`.
    pub(crate) fn config(&self) -> PathBuf {
        self.bench.folder("config")
    }

    /// The full name of a container or volume of this home.
    pub(crate) fn name(&self, service: &str) -> String {
        format!("{}-{service}", self.project)
    }

    /// The container of Home Assistant.
    pub(crate) fn homeassistant(&self) -> String {
        self.name("homeassistant")
    }

    /// Runs a companion on a folder of the bench that is called like it, seen at `/data`.
    pub(crate) fn companion(&self, service: &str, options: &[&str]) -> String {
        let data = bind(&self.bench.folder(service), "/data");
        let mut all = vec!["--volume", data.as_str()];
        all.extend(options);
        self.run(service, &all, IMAGE, &[])
    }

    /// Runs a container in the project; gives its name.
    pub(crate) fn run(
        &self,
        service: &str,
        options: &[&str],
        image: &str,
        words: &[&str],
    ) -> String {
        let name = self.name(service);
        // First the guard, then what it guards: a failed run may leave a container too.
        self.guard(&["rm", "--force", "--volumes"], &name);
        let project = format!("com.docker.compose.project={}", self.project);
        let service = format!("com.docker.compose.service={service}");
        let mut all = vec!["run", "--detach", "--stop-timeout", "5", "--name", &name];
        all.extend(["--label", LABEL, "--label", &project, "--label", &service]);
        all.extend(options);
        all.push(image);
        all.extend(words);
        docker(&all);
        name
    }

    /// Makes a volume; gives its name.
    pub(crate) fn volume(&self, what: &str) -> String {
        let name = self.name(what);
        self.guard(&["volume", "rm", "--force"], &name);
        docker(&["volume", "create", "--label", LABEL, &name]);
        name
    }

    /// Makes a network on which containers know each other's names; gives its name.
    pub(crate) fn network(&self, what: &str) -> String {
        let name = self.name(what);
        self.guard(&["network", "rm"], &name);
        docker(&["network", "create", "--label", LABEL, &name]);
        name
    }

    /// Gives the helper's image another name for as long as this home lives, so that it is taken
    /// for a known companion.
    pub(crate) fn image(&self, name: &str) -> String {
        self.tag(IMAGE, name)
    }

    /// The same for any other image.
    pub(crate) fn tag(&self, image: &str, name: &str) -> String {
        self.guard(&["rmi", "--no-prune"], name);
        docker(&["tag", image, name]);
        name.to_owned()
    }

    fn guard(&self, remove: &'static [&'static str], name: &str) {
        let mut made = self.made.lock().expect("no test panics while it holds this");
        made.push(Made { remove, name: name.to_owned() });
    }

    /// Writes a file of the bench, with the folders around it.
    pub(crate) fn write(&self, path: &str, content: &str) -> PathBuf {
        write(&self.bench.path().join(path), content)
    }

    /// Reads a file of the bench; nothing where it is missing.
    pub(crate) fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.bench.path().join(path)).ok()
    }

    /// The program, for this home.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bench.command(arguments);
        command.env("HEARTHKEEP_HOME", self.homeassistant()).stdin(Stdio::null());
        if self.config().join(ENDLESS).exists() {
            command.env("HEARTHKEEP_STAGING", NO_ROOM);
        }
        command
    }

    /// Runs the program for this home to its end.
    pub(crate) fn hearthkeep(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().expect("the program can be started").into()
    }

    /// Makes a backup that has to succeed without warnings; gives its path.
    pub(crate) fn backup(&self, arguments: &[&str]) -> PathBuf {
        let mut all = vec!["--json", "backup"];
        all.extend(arguments);
        let report = self.hearthkeep(&all).ends(0).json();
        report["path"].as_str().expect("a report has a path").into()
    }

    /// The files in the default store.
    pub(crate) fn store(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.config().join("backups")) else { return Vec::new() };
        entries.map(|it| it.expect("the store can be read").path()).collect()
    }

    /// What `docker inspect` says in a template of it, for one container of this home.
    pub(crate) fn inspect(&self, service: &str, template: &str) -> String {
        docker(&["inspect", "--format", template, &self.name(service)])
    }

    /// `running`, `paused`, `exited` …
    pub(crate) fn state(&self, service: &str) -> String {
        self.inspect(service, "{{.State.Status}}")
    }

    /// When a container was last started.
    pub(crate) fn started(&self, service: &str) -> String {
        self.inspect(service, "{{.State.StartedAt}}")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Nothing may panic in here, and a test that failed has said so already.
        let Ok(made) = self.made.get_mut() else { return };
        while let Some(it) = made.pop() {
            _ = Command::new("docker").args(it.remove).arg(it.name).output();
        }
    }
}

/// A folder of the host for `--volume`.
pub(crate) fn bind(source: &Path, destination: &str) -> String {
    format!("{}:{destination}", source.display())
}

/// Writes a file, with the folders around it.
pub(crate) fn write(path: &Path, content: &(impl AsRef<[u8]> + ?Sized)) -> PathBuf {
    fs::create_dir_all(path.parent().expect("a file has a folder")).expect("it can be made");
    let mut file = File::create(path).expect("the file can be made");
    file.write_all(content.as_ref()).expect("the file can be written");
    path.to_owned()
}

/// Runs any other program, which must succeed.
pub(crate) fn tool(program: &str, arguments: &[impl AsRef<OsStr>]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().expect("the program is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
    output.stdout
}
