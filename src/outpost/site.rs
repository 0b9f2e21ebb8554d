//! The container in which this process runs, as the place from which job containers are started.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::engine::Engine;
use crate::island::island;
use crate::lines::VARIABLE;
use crate::model::{Container, JOB_LABEL, Meets, Mount, Outpost};
use crate::plan::{self, Facts};
use crate::secret;
use crate::{reach, survey};

/// Begins the names of the variables that are settings.
const PREFIX: &str = "HEARTHKEEP_";

/// The one setting of whoever closes an earlier run.
const STATE: &str = "HEARTHKEEP_STATE=";

/// How a job container reads its password.
const TOLD: [&str; 2] = [TELLS, "/dev/stdin"];

/// The option that names the file of a password.
const TELLS: &str = "--password-file";

/// A container of this program that can start others.
#[derive(Debug)]
pub struct Site {
    /// The engine, which is its own.
    pub engine: Engine,
    /// The facts for plans.
    pub facts: Facts,
    /// The state folder.
    pub state: PathBuf,
    own: Container,
    state_at_host: Option<PathBuf>,
}

impl Site {
    /// Looks where this process runs: nothing where that is the host, a container of another
    /// engine, or a job container already.
    pub async fn look(state: &Path) -> anyhow::Result<Option<Site>> {
        if !island("looking where this runs", reach::in_container).await? {
            return Ok(None);
        }
        let engine = Engine::connect().await?;
        let facts = survey::look(&engine).await?.facts;
        let state = std::path::absolute(state).context("finding the state folder")?;
        let Some(own) = plan::own(&facts).filter(|it| it.label(JOB_LABEL).is_none()) else {
            return Ok(None);
        };
        let state_at_host = plan::at_host(own, &state);
        let own = own.clone();
        Ok(Some(Site { engine, facts, state, own, state_at_host }))
    }

    /// Its own container.
    pub fn own(&self) -> &Container {
        &self.own
    }

    /// Refuses where what a job container writes would be lost with it: its state, and backups in
    /// this store.
    pub fn check_folders(&self, store: Option<&Path>) -> anyhow::Result<()> {
        let state = self.state.display();
        anyhow::ensure!(
            self.state_at_host.is_some(),
            "the state folder {state} lies in the container of hearthkeep itself, where a job container cannot see it: mount a volume at {state}"
        );
        if let Some(store) = store {
            let at = store.display();
            anyhow::ensure!(
                plan::at_host(&self.own, store).is_some(),
                "the store {at} lies in the container of hearthkeep itself, where backups would be lost with it: mount a folder at {at}"
            );
        }
        Ok(())
    }

    /// The mounts that lead to what an earlier job container left at these paths.
    pub fn leading_to(&self, paths: &[PathBuf]) -> Vec<Mount> {
        plan::for_paths(&self.facts, &self.own, paths)
    }

    /// A job container with these words and mounts, which has the settings of this process.
    pub fn outpost(
        &self,
        job: String,
        words: Vec<String>,
        mounts: Vec<Mount>,
        is_told: bool,
    ) -> anyhow::Result<Outpost> {
        let told = TOLD.iter().filter(|_| is_told).map(|it| (*it).to_owned());
        let words = without_password(words.into_iter(), is_told);
        Ok(Outpost {
            of: self.own.id.clone(),
            job,
            state: self.state_at_host.clone().context("finding the state folder on the host")?,
            program: std::env::current_exe().context("finding this program")?,
            words: told.chain(words).collect(),
            folder: std::env::current_dir().context("finding the working folder")?,
            variables: variables(is_told),
            mounts,
            meets: Meets::Same,
            is_told,
        })
    }

    /// One that closes what an earlier run left open, for which it needs no settings.
    pub fn closing(
        &self,
        job: String,
        words: &[&str],
        mounts: Vec<Mount>,
    ) -> anyhow::Result<Outpost> {
        let words = words.iter().map(|it| (*it).to_owned()).collect();
        let mut outpost = self.outpost(job, words, mounts, false)?;
        outpost.variables.retain(|it| it.starts_with(STATE));
        Ok(outpost)
    }
}

/// The words without those that name the password, where it is told. Where not, a job container may
/// have the file, but never what only this process has on its standard input.
fn without_password(mut all: impl Iterator<Item = String>, is_told: bool) -> Vec<String> {
    let goes = |file: &str| is_told || file == TOLD[1];
    let mut words = Vec::new();
    while let Some(word) = all.next() {
        let is_apart = word == TELLS;
        let file = match word.split_once('=') {
            Some((TELLS, file)) => Some(file.to_owned()),
            _ if is_apart => all.next(),
            _ => None,
        };
        if file.as_deref().is_some_and(goes) || (is_apart && file.is_none()) {
            continue;
        }
        words.push(word);
        words.extend(file.filter(|_| is_apart));
    }
    words
}

/// The settings in the environment of this process.
fn variables(is_told: bool) -> Vec<String> {
    let file = format!("{}_FILE", secret::VARIABLE);
    let is_wanted = |key: &str| {
        key.starts_with(PREFIX)
            && ![secret::VARIABLE, VARIABLE, "HEARTHKEEP_SOCKET"].contains(&key)
            && !(is_told && key == file)
    };
    let all = std::env::vars_os();
    let text = all.filter_map(|(key, value)| Some((key.into_string().ok()?, value)));
    text.filter(|(key, _)| is_wanted(key))
        .filter_map(|(key, value)| Some(format!("{key}={}", value.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_the_password_goes_along_only_where_none_is_told() {
        let check = |words: &[&str], told: &[&str], untold: &[&str]| {
            for (is_told, wanted) in [(true, told), (false, untold)] {
                let words = words.iter().map(|it| (*it).to_owned());
                assert_eq!(without_password(words, is_told), wanted, "{is_told}");
            }
        };
        check(&["backup"], &["backup"], &["backup"]);
        let apart = ["--password-file", "/x", "backup", "--json"];
        check(&apart, &["backup", "--json"], &apart);
        let joined = ["restore", "a", "--password-file=/x", "--yes"];
        check(&joined, &["restore", "a", "--yes"], &joined);
        check(&["--password-file", "/dev/stdin", "plan"], &["plan"], &["plan"]);
        check(&["--password-file=/dev/stdin", "plan"], &["plan"], &["plan"]);
        check(&["backup", "--password-file"], &["backup"], &["backup"]);
        check(&["list", "--name=x"], &["list", "--name=x"], &["list", "--name=x"]);
    }
}
