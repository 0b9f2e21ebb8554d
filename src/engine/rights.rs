//! Whether the engine lets this program do what it has to. A proxy in front of its socket, or an
//! authorization plugin, may let it look and nothing else.

use bollard::errors::Error as Failure;
use bollard::models::ExecConfig;
use bollard::query_parameters::StopContainerOptionsBuilder;

use super::Error;
use super::docker::{Docker, PATIENCE};

/// A container that nobody has. Who may do a thing at all is told that it is missing.
const NOBODY: &str = "hearthkeep-asks-whether-it-may";

/// Something to be done to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Freeze it.
    Pause,
    /// Let it go on.
    Unpause,
    /// Stop it.
    Stop,
    /// Start it.
    Start,
    /// Run a command in it.
    Exec,
}

impl Right {
    const ALL: [Right; 5] = [Right::Pause, Right::Unpause, Right::Stop, Right::Start, Right::Exec];

    /// The call of the API.
    pub fn call(self) -> &'static str {
        match self {
            Right::Pause => "POST /containers/*/pause",
            Right::Unpause => "POST /containers/*/unpause",
            Right::Stop => "POST /containers/*/stop",
            Right::Start => "POST /containers/*/start",
            Right::Exec => "POST /containers/*/exec",
        }
    }
}

/// Something that the engine does not let this program do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forbidden {
    /// What that is.
    pub right: Right,
    /// The engine's own words.
    pub message: String,
}

impl Docker {
    /// Asks for each deed on a container that nobody has.
    pub(super) async fn ask_for_rights(&self) -> Result<Vec<Forbidden>, Error> {
        let mut forbidden = Vec::new();
        for right in Right::ALL {
            if let Some(message) = self.may(right).await? {
                forbidden.push(Forbidden { right, message });
            }
        }
        Ok(forbidden)
    }

    /// The refusal of a deed, unless it is that the container is missing.
    async fn may(&self, right: Right) -> Result<Option<String>, Error> {
        let call = async {
            match self.try_on_nobody(right).await {
                Err(Failure::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
                answer => answer,
            }
        };
        match self.ask("asking for a right", "", PATIENCE, call).await {
            Ok(()) => Ok(None),
            Err(Error::Refused { message, .. }) => Ok(Some(message)),
            Err(error) => Err(error),
        }
    }

    async fn try_on_nobody(&self, right: Right) -> Result<(), Failure> {
        let client = &self.client;
        match right {
            Right::Pause => client.pause_container(NOBODY).await,
            Right::Unpause => client.unpause_container(NOBODY).await,
            Right::Stop => {
                let at_once = StopContainerOptionsBuilder::new().t(0).build();
                client.stop_container(NOBODY, Some(at_once)).await
            }
            Right::Start => client.start_container(NOBODY, None).await,
            Right::Exec => {
                let cmd = Some(vec!["true".to_owned()]);
                let exec = ExecConfig { cmd, ..ExecConfig::default() };
                client.create_exec(NOBODY, exec).await.map(drop)
            }
        }
    }
}
