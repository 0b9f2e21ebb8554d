//! Why a plan cannot be made.

/// The request or the home does not allow a plan; nothing has been touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No container looks like Home Assistant.
    #[error(
        "no Home Assistant found among {n_containers} containers: start it, or name its container with --home"
    )]
    NoHome {
        /// How many containers were looked at.
        n_containers: usize,
    },
    /// More than one container looks like Home Assistant.
    #[error(
        "{n} Home Assistants found ({names}): say which is meant with --project or --home",
        n = names.split(", ").count()
    )]
    SeveralHomes {
        /// Each with its project.
        names: String,
    },
    /// The home that was asked for does not exist.
    #[error("no Home Assistant found in {asked}; found: {found}")]
    UnknownHome {
        /// `project x` or `container y`.
        asked: String,
        /// The homes that there are.
        found: String,
    },
    /// The engine hangs over a container of the home.
    #[error(
        "the engine does not answer about {container}, which belongs to the home and could not be held: `docker inspect {container}` should answer; restart the container, or else the engine"
    )]
    Silent {
        /// The container's name.
        container: String,
    },
    /// An item that this home, or this backup, does not have.
    #[error("unknown item {item:?}; there are: {known}")]
    UnknownItem {
        /// As it was asked for.
        item: String,
        /// The items that there are.
        known: String,
    },
    /// A label whose value says nothing.
    #[error("container {container}: label {label}={value:?}: {wanted}")]
    BadLabel {
        /// The container that carries it.
        container: String,
        /// The label's key.
        label: String,
        /// Its value.
        value: String,
        /// What it may be.
        wanted: String,
    },
    /// A map names a container that has no place in this home.
    #[error("the map names {container:?}, which is no companion with a mount; there are: {found}")]
    UnknownMapped {
        /// As the map names it.
        container: String,
        /// The containers that there are.
        found: String,
    },
    /// A name that Home Assistant would not accept.
    #[error("backup name {name:?}: {problem}")]
    BadName {
        /// As it was asked for.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A glob that cannot be read.
    #[error("--exclude {glob:?}: {problem}")]
    BadGlob {
        /// As it was asked for.
        glob: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A choice about Home Assistant, which is not restored.
    #[error("{word} is about Home Assistant, which is not among what is restored")]
    NotWanted {
        /// The word of the command line.
        word: &'static str,
    },
    /// Nothing is left to back up or to restore.
    #[error("{0}")]
    Nothing(String),
}
