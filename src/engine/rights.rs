//! Whether the engine lets this program do what it has to. A proxy in front of its socket, or an
//! authorization plugin, may let it look and nothing else.

use bollard::errors::Error as Failure;
use bollard::models::ExecConfig;
use bollard::query_parameters::StopContainerOptionsBuilder;

use super::Error;
use super::docker::{Docker, PATIENCE};

/// A container that nobody has. Who may do a thing at all is told that it is missing.
const NOBODY: &str = "hearthkeep-asks-whether-it-may";

/// Something that the engine does not let this program do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forbidden {
    /// The call of the API, such as `POST /containers/*/pause`.
    pub call: &'static str,
    /// The engine's own words.
    pub message: String,
}

impl Docker {
    /// Asks for each deed on a container that nobody has.
    pub(super) async fn ask_for_rights(&self) -> Result<Vec<Forbidden>, Error> {
        let stop = StopContainerOptionsBuilder::new().t(0).build();
        let exec = ExecConfig { cmd: Some(vec!["true".to_owned()]), ..ExecConfig::default() };
        let client = &self.client;
        let exec = async { client.create_exec(NOBODY, exec).await.map(drop) };
        let answers = [
            ("POST /containers/*/pause", self.may(client.pause_container(NOBODY)).await?),
            ("POST /containers/*/unpause", self.may(client.unpause_container(NOBODY)).await?),
            ("POST /containers/*/stop", self.may(client.stop_container(NOBODY, Some(stop))).await?),
            ("POST /containers/*/start", self.may(client.start_container(NOBODY, None)).await?),
            ("POST /containers/*/exec", self.may(exec).await?),
        ];
        let forbidden =
            |(call, message): (_, Option<_>)| Some(Forbidden { call, message: message? });
        Ok(answers.into_iter().filter_map(forbidden).collect())
    }

    /// The refusal of a call, unless it is that the container is missing.
    async fn may(
        &self,
        call: impl Future<Output = Result<(), Failure>>,
    ) -> Result<Option<String>, Error> {
        let call = async {
            match call.await {
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
}
