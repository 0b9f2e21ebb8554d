//! Docker: look at containers, make one still, let it go on. The only place that names bollard.
//!
//! [`Engine`] is what callers see; behind it stands the real engine or a [`Simulator`] with
//! faults, and both pass one suite (`tests/engine.rs`). Asking for a state that a container
//! already has is not an error: recovery may ask twice.

mod docker;
mod error;
mod exec;
mod facts;
mod make;
mod post;
mod recipe;
mod rights;
mod script;
mod simulated_make;
mod simulated_post;
mod simulator;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::error::Error;
pub use self::exec::{Command, Executed, Session};
use self::make::Make;
pub use self::make::Marked;
use self::post::Post;
pub use self::post::{Listener, Progress, Said};
pub use self::rights::{Forbidden, Right};
pub use self::script::Script;
pub use self::simulator::{Fault, Simulator};
use crate::model::{Confidential, Container, Outpost, Recipe, Replica};
use crate::secret::Secret;

/// The label that everything carries that is made here; its value says by which run.
pub const MARK: &str = "hearthkeep.boot-test";

/// A container engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    backend: Arc<dyn Backend>,
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The engine's version, such as `20.10.24`.
    pub version: String,
    /// The API version that both sides agreed on, such as `1.41`.
    pub api: String,
    /// Where the engine keeps volumes and images on its host, such as `/var/lib/docker`.
    pub root: PathBuf,
    /// Whether it is Podman, which speaks as Docker does.
    pub is_podman: bool,
    /// Whether it is asked over a network rather than at a socket of this machine.
    pub over_network: bool,
}

impl Engine {
    /// Connects to the engine that `DOCKER_HOST` names (`unix:///path`, `tcp://host:port`), or to the
    /// usual socket, and agrees on an API version with it.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where no engine answers, with the address that was tried.
    pub async fn connect() -> Result<Engine, Error> {
        Engine::connect_to(&docker::Docker::usual_address()).await
    }

    /// Connects to the engine at an address: `unix:///path`, or just the path, or `tcp://host:port`
    /// for a proxy before its socket.
    ///
    /// # Errors
    /// As those of [`Engine::connect`]; any other address is unreachable too.
    pub async fn connect_to(address: &str) -> Result<Engine, Error> {
        Ok(Engine { backend: Arc::new(docker::Docker::connect(address).await?) })
    }

    /// An engine that lives in memory.
    pub fn simulated(simulator: Simulator) -> Engine {
        Engine { backend: Arc::new(simulator) }
    }

    /// What the engine says of itself.
    pub async fn about(&self) -> Result<About, Error> {
        self.backend.about().await
    }

    /// What the engine does not let this program do of all that backups and restores need. Nothing
    /// is done to find out.
    pub async fn rights(&self) -> Result<Vec<Forbidden>, Error> {
        self.backend.rights().await
    }

    /// All containers, stopped ones too, sorted by name. One that vanishes while it is looked at
    /// is left out; one about which the engine does not answer is marked as silent.
    pub async fn look(&self) -> Result<Vec<Container>, Error> {
        self.backend.look().await
    }

    /// One container, by identifier or name.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none.
    pub async fn inspect(&self, container: &str) -> Result<Container, Error> {
        self.backend.inspect(container).await
    }

    /// What it takes to make a container again, beside what may be secret of that.
    pub async fn recipe(&self, container: &str) -> Result<(Recipe, Confidential), Error> {
        self.backend.recipe(container).await
    }

    /// Freezes all processes of a running container. One that is already paused stays so; one that
    /// is stopped or between two restarts is refused.
    pub async fn pause(&self, container: &str) -> Result<(), Error> {
        self.backend.pause(container).await
    }

    /// Lets a paused container go on. One that runs stays so; one that is stopped is refused.
    pub async fn unpause(&self, container: &str) -> Result<(), Error> {
        self.backend.unpause(container).await
    }

    /// Stops a container by its own stop signal, and kills it when `timeout` (whole seconds,
    /// rounded up) is over; without one the container's own setting counts. One that is paused
    /// goes on first, so that it can end well; one that is stopped stays so.
    pub async fn stop(&self, container: &str, timeout: Option<Duration>) -> Result<(), Error> {
        self.backend.stop(container, timeout).await
    }

    /// Lets a container run, whether it is stopped or paused. One that runs stays so.
    pub async fn start(&self, container: &str) -> Result<(), Error> {
        self.backend.start(container).await
    }

    /// The last `lines` lines that a container printed, both streams.
    pub async fn log_tail(&self, container: &str, lines: usize) -> Result<String, Error> {
        self.backend.log_tail(container, lines).await
    }

    /// What a container printed since it was last started, or a moment before: the first 4 MiB, both
    /// streams.
    pub async fn log_since_start(&self, container: &str) -> Result<String, Error> {
        self.backend.log_since_start(container).await
    }

    /// Runs a command inside a running container, and waits for its end. Of what it prints, on
    /// both streams, the end is kept.
    ///
    /// # Errors
    /// [`Error::TimedOut`] where it has not ended in time; it goes on in the container, since no
    /// engine can end it.
    pub async fn exec(
        &self,
        container: &str,
        command: &Command,
        timeout: Duration,
    ) -> Result<Executed, Error> {
        self.backend.exec(container, command, timeout).await
    }

    /// Starts a client inside a running container, to talk to.
    pub async fn session(&self, container: &str, command: &Command) -> Result<Session, Error> {
        self.backend.session(container, command).await
    }

    /// Makes an empty volume of the engine's own, with a mark; gives its folder on the engine's
    /// host.
    pub async fn create_volume(&self, name: &str, mark: &str) -> Result<PathBuf, Error> {
        self.backend.create_volume(name, mark).await
    }

    /// Makes a network, with a mark, from which nothing leads out.
    pub async fn create_network(&self, name: &str, mark: &str) -> Result<(), Error> {
        self.backend.create_network(name, mark).await
    }

    /// Makes a container like another one, with a mark; gives its identifier. What the other one
    /// has in its environment goes from one to the other and nowhere else.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none that it could be like.
    pub async fn create_replica(&self, replica: &Replica, mark: &str) -> Result<String, Error> {
        self.backend.create_replica(replica, mark).await
    }

    /// Removes a container, whatever it is doing, with the volumes that have no other name than its
    /// own. One that is gone stays so.
    pub async fn remove_container(&self, container: &str) -> Result<(), Error> {
        self.backend.remove_container(container).await
    }

    /// The same, unless a process of it runs: then it is refused.
    pub async fn remove_idle_container(&self, container: &str) -> Result<(), Error> {
        self.backend.remove_idle_container(container).await
    }

    /// Removes a network that nobody is on. One that is gone stays so.
    pub async fn remove_network(&self, name: &str) -> Result<(), Error> {
        self.backend.remove_network(name).await
    }

    /// Removes a volume that no container has. One that is gone stays so.
    pub async fn remove_volume(&self, name: &str) -> Result<(), Error> {
        self.backend.remove_volume(name).await
    }

    /// Everything that carries a mark.
    pub async fn marked(&self, mark: &str) -> Result<Marked, Error> {
        self.backend.marked(mark).await
    }

    /// Makes a job container; gives its identifier.
    ///
    /// # Errors
    /// [`Error::Refused`] also where the container whose image it is to have is gone.
    pub async fn create_outpost(&self, outpost: &Outpost) -> Result<String, Error> {
        self.backend.create_outpost(outpost).await
    }

    /// Starts a container that was made to be told a password, and tells it. Its input ends then.
    pub async fn start_telling(&self, container: &str, secret: &Secret) -> Result<(), Error> {
        self.backend.start_telling(container, secret).await
    }

    /// Listens to a container, from the beginning of its log to its end.
    pub async fn listen(&self, container: &str) -> Result<Listener, Error> {
        self.backend.listen(container).await
    }

    /// How far a container is between being made and its end.
    pub async fn progress(&self, container: &str) -> Result<Progress, Error> {
        self.backend.progress(container).await
    }
}

/// What both engines do; the contract is on the methods of [`Engine`].
#[async_trait]
trait Backend: Make + Post + Send + Sync + std::fmt::Debug {
    async fn about(&self) -> Result<About, Error>;
    async fn rights(&self) -> Result<Vec<Forbidden>, Error>;
    async fn look(&self) -> Result<Vec<Container>, Error>;
    async fn inspect(&self, container: &str) -> Result<Container, Error>;
    async fn recipe(&self, container: &str) -> Result<(Recipe, Confidential), Error>;
    async fn pause(&self, container: &str) -> Result<(), Error>;
    async fn unpause(&self, container: &str) -> Result<(), Error>;
    async fn stop(&self, container: &str, timeout: Option<Duration>) -> Result<(), Error>;
    async fn start(&self, container: &str) -> Result<(), Error>;
    async fn log_tail(&self, container: &str, lines: usize) -> Result<String, Error>;
    async fn log_since_start(&self, container: &str) -> Result<String, Error>;
    async fn exec(
        &self,
        container: &str,
        command: &Command,
        timeout: Duration,
    ) -> Result<Executed, Error>;
    async fn session(&self, container: &str, command: &Command) -> Result<Session, Error>;
}
