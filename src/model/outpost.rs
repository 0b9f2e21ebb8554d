//! A container of this program's own image that does one job, with mounts that the one that starts
//! it has not.

use std::path::PathBuf;

use super::Mount;

/// The label that says which job it does, by the job's identifier.
pub const JOB_LABEL: &str = "hearthkeep.job";

/// The label that says whose it is: the state folder, as the engine's host sees it.
pub const STATE_LABEL: &str = "hearthkeep.state";

/// A job container to be made. Whatever stands not here it has from the container of the one that
/// starts it: image, user, rights, network, mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outpost {
    /// The identifier of the container that starts it.
    pub of: String,
    /// The job's identifier.
    pub job: String,
    /// The state folder, as the engine's host sees it.
    pub state: PathBuf,
    /// This program, as that container sees it.
    pub program: PathBuf,
    /// What the program is told to do.
    pub words: Vec<String>,
    /// The folder that relative paths are meant from.
    pub folder: PathBuf,
    /// Variables, `KEY=value`, that go before those of that container.
    pub variables: Vec<String>,
    /// What is mounted into it besides.
    pub mounts: Vec<Mount>,
    /// Whom it can talk to.
    pub meets: Meets,
    /// Whether it is told a password on its standard input.
    pub is_told: bool,
}

/// Whom a job container can talk to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Meets {
    /// Whom the container of the one that starts it can talk to.
    #[default]
    Same,
    /// Those on these networks, too.
    Networks(Vec<String>),
    /// The host, and through it everybody.
    Host,
}

impl Outpost {
    /// What it is called.
    pub fn name(&self) -> String {
        format!("hearthkeep-job-{}", self.job)
    }
}
