//! Docker Compose, as a program: which containers are those of a file, and making them.
//!
//! Names, volumes, relative paths and variables are Compose's own affair; this only asks it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use anyhow::{Context, bail, ensure};
use tokio_util::sync::CancellationToken;

use crate::fsx::{self, Draft};
use crate::model::Container;
use crate::secret::{Secret, VARIABLE};
use crate::signals;

/// How often is looked whether Compose has ended: it takes seconds.
const PAUSE_BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// How many of its last lines tell why it failed.
const N_LINES: usize = 5;

/// A Compose file, whether it is there or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The file by its whole path, without links where its folder is there.
    pub file: PathBuf,
    /// What the project is called, where Compose is not to find that itself.
    pub name: Option<String>,
}

/// The command for Compose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compose {
    program: &'static str,
    first: &'static [&'static str],
}

impl Project {
    /// The project of a file.
    pub fn new(file: &Path, name: Option<String>) -> anyhow::Result<Project> {
        let finding = || format!("finding {}", file.display());
        let file = std::path::absolute(file).with_context(finding)?;
        let name_of_file = file.file_name().with_context(finding)?;
        ensure!(!file.is_dir(), "{} is a folder: name the file in it", file.display());
        let real = file.parent().and_then(|it| fs::canonicalize(it).ok());
        let file = real.map_or_else(|| file.clone(), |it| it.join(name_of_file));
        Ok(Project { file, name })
    }

    /// Whether the file is there.
    pub fn is_there(&self) -> bool {
        self.file.symlink_metadata().is_ok()
    }

    /// The folder of the file.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }

    /// Whether Compose made a container by this file.
    pub fn has(&self, container: &Container) -> bool {
        let label = |it: &str| container.label(&format!("com.docker.compose.project.{it}"));
        let folder = Path::new(label("working_dir").unwrap_or("/"));
        let is_named = self.name.is_none() || container.project() == self.name.as_deref();
        let mut files = label("config_files").into_iter().flat_map(|it| it.split(','));
        is_named
            && files.any(|it| {
                let file = folder.join(it);
                file == self.file || fs::canonicalize(file).is_ok_and(|it| it == self.file)
            })
    }

    /// The containers that belong to another file but to a project of the same name: to Compose they
    /// would be this one's.
    pub fn strangers<'a>(&self, containers: &'a [Container]) -> Vec<&'a Container> {
        let name = self.likely_name();
        let of_name = containers.iter().filter(|it| it.project() == Some(name.as_str()));
        of_name.filter(|it| !self.has(it)).collect()
    }

    /// What Compose will call the project, unless the file itself says otherwise.
    fn likely_name(&self) -> String {
        const KEY: &str = "COMPOSE_PROJECT_NAME";
        let in_file = || {
            let text = fs::read_to_string(self.folder().join(".env")).ok()?;
            let lines = text.lines().filter_map(|it| it.trim().strip_prefix(KEY));
            let value = lines.filter_map(|it| it.trim_start().strip_prefix('=')).next_back()?;
            Some(value.trim().trim_matches(['"', '\'']).to_owned())
        };
        let of_folder = || {
            self.folder()
                .file_name()
                .map(|it| it.to_string_lossy().into_owned())
                .unwrap_or_default()
        };
        let set = self.name.clone().or_else(|| env::var(KEY).ok()).or_else(in_file);
        let name = set.filter(|it| !it.is_empty()).unwrap_or_else(of_folder).to_lowercase();
        name.chars().filter(|it| it.is_ascii_alphanumeric() || "-_".contains(*it)).collect()
    }

    /// Writes the file, with its folder; for its owner alone where it `is_secret`. Nothing is ever
    /// replaced.
    pub fn write(&self, text: &Secret, is_secret: bool) -> anyhow::Result<()> {
        use std::io::Write;
        use std::os::unix::fs::PermissionsExt;

        let folder = self.folder();
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let draft = Draft::create_secret(&self.file)?;
        let writing = || format!("writing {}", self.file.display());
        draft.file().write_all(text.expose().as_bytes()).with_context(writing)?;
        if !is_secret {
            let everybody = fs::Permissions::from_mode(0o644);
            draft.file().set_permissions(everybody).with_context(writing)?;
        }
        draft.name().map(drop)
    }
}

impl Compose {
    /// The plugin of `docker` where it is there, else the program before it.
    ///
    /// # Errors
    /// Where neither is, with the command to run where it is.
    pub fn find(project: &Project) -> anyhow::Result<Compose> {
        const BOTH: [Compose; 2] = [
            Compose { program: "docker", first: &["compose"] },
            Compose { program: "docker-compose", first: &[] },
        ];
        let answers = |it: &Compose| {
            let mut command = it.command();
            command.arg("version").stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|it| it.success())
        };
        BOTH.into_iter().find(answers).with_context(|| {
            format!(
                "there is no Compose here: run `docker compose -f {} up --no-start` where it is, then this without --onto",
                project.file.display()
            )
        })
    }

    /// Makes the containers of a project without starting them.
    ///
    /// # Errors
    /// With the last lines of what Compose said. It may have made some.
    pub fn make(&self, project: &Project, cancel: &CancellationToken) -> anyhow::Result<()> {
        let words = ["up", "--no-start", "--no-recreate", "--no-color", "--quiet-pull"];
        self.run(project, &words, cancel)
            .with_context(|| format!("making the containers of {}", project.file.display()))
    }

    /// Removes the containers and networks of a project. Its volumes stay.
    pub fn unmake(&self, project: &Project) -> anyhow::Result<()> {
        self.run(project, &["down"], &CancellationToken::new())
            .with_context(|| format!("removing the containers of {}", project.file.display()))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.args(self.first).stdin(Stdio::null()).env_remove(VARIABLE);
        command
    }

    fn run(
        &self,
        project: &Project,
        words: &[&str],
        cancel: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut command = self.command();
        command.current_dir(project.folder()).arg("-f").arg(&project.file);
        command.args(project.name.iter().flat_map(|it| ["-p", it]));
        command.args(words).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {}", self.program))?;
        let mut said = child.stderr.take().context("its output is not there")?;
        let listener = thread::spawn(move || {
            let mut text = Vec::new();
            // What cannot be read was not said.
            let _ = said.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let status = wait(&mut child, cancel)?;
        let text = listener.join().unwrap_or_default();
        if !status {
            bail!("Compose: {}", last_lines(&text));
        }
        Ok(())
    }
}

/// Waits until it has ended; gives whether well.
fn wait(child: &mut Child, cancel: &CancellationToken) -> anyhow::Result<bool> {
    loop {
        if let Some(status) = child.try_wait().context("waiting for Compose")? {
            return Ok(status.success());
        }
        if let Err(cancelled) = signals::check(cancel) {
            child.kill().context("ending Compose")?;
            child.wait().context("waiting for Compose")?;
            return Err(cancelled.into());
        }
        thread::sleep(PAUSE_BETWEEN_LOOKS);
    }
}

/// The end of what a program said, on one line.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(N_LINES)..].join(" | ");
    last.chars().filter(|it| !it.is_control()).collect()
}

/// Makes what a mount needs to be there, and the folders around it: an empty folder, or an empty
/// file. Gives what was made, the outermost first; nothing where all is there.
pub fn make_source(path: &Path, is_file: bool) -> anyhow::Result<Vec<PathBuf>> {
    if path.symlink_metadata().is_ok() {
        return Ok(Vec::new());
    }
    let mut made: Vec<PathBuf> = path
        .ancestors()
        .take_while(|it| it.symlink_metadata().is_err())
        .map(Path::to_owned)
        .collect();
    made.reverse();
    let making = || format!("making {}", path.display());
    let folder = if is_file { path.parent().unwrap_or(path) } else { path };
    fs::create_dir_all(folder).with_context(making)?;
    if is_file {
        fs::File::create_new(path).with_context(making)?;
    }
    Ok(made)
}

/// Removes what was made and has stayed empty.
pub fn remove_sources(made: &[PathBuf]) {
    for path in made.iter().rev() {
        // What somebody has put there meanwhile stays.
        let _ = match fsx::is_file(path) {
            true if path.metadata().is_ok_and(|it| it.len() == 0) => fs::remove_file(path),
            true => Ok(()),
            false => fs::remove_dir(path),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_called_after_its_folder_unless_told() {
        let bench = tempfile::tempdir().expect("a folder");
        let folder = bench.path().join("My Home.1");
        fs::create_dir(&folder).expect("a folder");
        let project = |name: Option<&str>| {
            let file = folder.join("compose.yaml");
            Project::new(&file, name.map(str::to_owned)).expect("a path").likely_name()
        };
        assert_eq!(project(None), "myhome1");
        let text = "A=1\nCOMPOSE_PROJECT_NAME = \"other\"\n";
        let mut file = fs::File::create(folder.join(".env")).expect("a file");
        std::io::Write::write_all(&mut file, text.as_bytes()).expect("it can be written");
        assert_eq!(project(None), "other");
        assert_eq!(project(Some("told")), "told");
    }

    #[test]
    fn a_source_is_made_with_what_is_around_it_and_goes_again() {
        let bench = tempfile::tempdir().expect("a folder");
        for is_file in [false, true] {
            let path = bench.path().join("a/b/c");
            let made = make_source(&path, is_file).expect("there is room");
            assert_eq!(made.len(), 3);
            assert_eq!(path.is_file(), is_file);
            assert!(path.exists() && make_source(&path, is_file).expect("it is there").is_empty());
            remove_sources(&made);
            assert!(!bench.path().join("a").exists());
        }
    }

    #[test]
    fn of_what_a_program_said_the_end_is_told() {
        assert_eq!(last_lines("\n1\n2\n3\n\n4 \n\u{1b}5\n6\n"), "2 | 3 | 4 | 5 | 6");
    }
}
