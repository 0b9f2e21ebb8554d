//! The real engine, through its Unix socket or a proxy before it.
//!
//! Two rules carry this file. A refusal is not believed at once: Docker refuses to pause what is
//! paused (409) and to unpause what runs (500), so a second look at the container decides. And no
//! call waits forever: each has its own patience, the body of the answer included.

use std::time::Duration;
use std::{env, io};

use async_trait::async_trait;
use bollard::API_DEFAULT_VERSION;
use bollard::errors::Error as Failure;
use bollard::models::ImageInspect;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, LogsOptionsBuilder, StopContainerOptionsBuilder,
};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::{About, Backend, Command, Error, Executed, Forbidden, Session, facts, recipe};
use crate::model::{Confidential, Container, Recipe, State};

/// For an engine to say its version. It is quick even on a small machine that just boots.
const GREETING: Duration = Duration::from_secs(30);

/// For a call that should be short; Docker's own clients wait as long.
pub(super) const PATIENCE: Duration = Duration::from_mins(2);

/// For one of all containers: a stranger over which the engine hangs must not stop a backup.
const PATIENCE_FOR_ONE: Duration = Duration::from_secs(10);

/// How long Docker gives a container to stop that does not say itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// On top of a stop timeout: to kill what did not end, and to unmount on a slow disk.
const STOP_MARGIN: Duration = Duration::from_mins(1);

/// More of a log nobody reads, and a container may print without end.
const LOG_BYTES: usize = 4 << 20;

/// Bollard's own limit in seconds. It starts late and ends early, so ours count; it must be longer.
const BOLLARD_PATIENCE: u64 = 24 * 60 * 60;

/// A connection to one engine.
#[derive(Debug)]
pub(super) struct Docker {
    pub(super) client: bollard::Docker,
    address: String,
}

impl Docker {
    /// The address that the environment names, or Docker's usual one.
    pub(super) fn usual_address() -> String {
        match env::var_os("DOCKER_HOST") {
            Some(address) if !address.is_empty() => address.to_string_lossy().into_owned(),
            _ => "unix:///var/run/docker.sock".to_owned(),
        }
    }

    pub(super) async fn connect(address: &str) -> Result<Docker, Error> {
        let unreachable = |reason| Error::Unreachable { address: address.to_owned(), reason };
        let door = door(address).map_err(unreachable)?;
        // Bollard would call a socket missing that we may not see; the kernel knows better.
        door.knock().await.map_err(|error| unreachable(reason(&error)))?;
        let greeting = async { door.open()?.negotiate_version().await };
        match timeout(GREETING, greeting).await {
            Ok(Ok(client)) => Ok(Docker { client: versioned(client), address: address.to_owned() }),
            Ok(Err(error)) => {
                Err(unreachable(format!("it does not speak as Docker does: {error}")))
            }
            Err(_) => Err(unreachable(format!("no answer within {} s", GREETING.as_secs()))),
        }
    }

    /// Waits for an answer, and puts what goes wrong into our words.
    pub(super) async fn ask<T>(
        &self,
        doing: &'static str,
        container: &str,
        patience: Duration,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Error> {
        let message = match timeout(patience, call).await {
            Ok(Ok(answer)) => return Ok(answer),
            Err(_) => format!("no answer within {} s", patience.as_secs()),
            Ok(Err(failure)) => match told(&failure) {
                Ok(message) => message,
                Err(reason) => {
                    return Err(Error::Unreachable { address: self.address.clone(), reason });
                }
            },
        };
        Err(Error::Refused { doing, container: container.to_owned(), message })
    }

    async fn inspect_within(
        &self,
        container: &str,
        patience: Duration,
    ) -> Result<Container, Error> {
        is_reference(container)?;
        let doing = "inspecting";
        let call = async {
            match self.client.inspect_container(container, None).await {
                Err(Failure::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
                answer => answer.map(Some),
            }
        };
        match self.ask(doing, container, patience, call).await? {
            None => Err(Error::NotFound { container: container.to_owned() }),
            Some(response) => facts::container(response).ok_or_else(|| Error::Refused {
                doing,
                container: container.to_owned(),
                message: "the answer lacks its identifier, name or state".to_owned(),
            }),
        }
    }

    /// The first [`LOG_BYTES`] of what the options choose, both streams.
    async fn log(&self, container: &str, options: LogsOptionsBuilder) -> Result<String, Error> {
        is_reference(container)?;
        let options = options.stdout(true).stderr(true).build();
        let mut log = Box::pin(self.client.logs(container, Some(options)));
        let call = async {
            let mut bytes = Vec::new();
            while bytes.len() < LOG_BYTES
                && let Some(piece) = log.try_next().await?
            {
                bytes.extend_from_slice(piece.as_ref());
            }
            Ok(bytes)
        };
        match self.ask("reading the log of", container, PATIENCE, call).await {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(refused @ Error::Refused { .. }) => {
                // A log that cannot be read and a container that is gone look alike from here.
                self.inspect(container).await?;
                Err(refused)
            }
            Err(error) => Err(error),
        }
    }

    /// Asks for a deed, and is content with a refusal where the container is as wanted all the same.
    async fn bring(
        &self,
        doing: &'static str,
        container: &str,
        patience: Duration,
        wanted: fn(State) -> bool,
        call: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Error> {
        is_reference(container)?;
        match self.ask(doing, container, patience, call).await {
            Err(refused @ Error::Refused { .. }) => match self.inspect(container).await {
                Ok(now) if wanted(now.state) => Ok(()),
                Err(gone @ Error::NotFound { .. }) => Err(gone),
                Ok(_) | Err(_) => Err(refused),
            },
            answer => answer,
        }
    }
}

#[async_trait]
impl Backend for Docker {
    async fn about(&self) -> Result<About, Error> {
        let doing = "asking the engine for its version";
        let version = self.ask(doing, "", PATIENCE, self.client.version()).await?;
        let info = self.ask(doing, "", PATIENCE, self.client.info()).await?;
        // Podman answers in Docker's words, and names itself among its components.
        let mut components = version.components.iter().flatten();
        let is_podman = components.any(|it| it.name.contains("Podman"));
        Ok(About {
            version: version.version.unwrap_or_default(),
            api: self.client.client_version().to_string(),
            root: info.docker_root_dir.unwrap_or_default().into(),
            is_podman,
            over_network: matches!(door(&self.address), Ok(Door::Proxy(_))),
        })
    }

    async fn rights(&self) -> Result<Vec<Forbidden>, Error> {
        self.ask_for_rights().await
    }

    async fn look(&self) -> Result<Vec<Container>, Error> {
        let all = ListContainersOptionsBuilder::new().all(true).build();
        let call = self.client.list_containers(Some(all));
        let list = self.ask("listing containers", "", PATIENCE, call).await?;
        let ids: Vec<String> = list.iter().map(|it| it.id.clone().unwrap_or_default()).collect();
        let looks = ids.iter().map(|id| self.inspect_within(id, PATIENCE_FOR_ONE));
        let mut containers = Vec::with_capacity(list.len());
        for (answer, listed) in join_all(looks).await.into_iter().zip(list) {
            match answer {
                Ok(container) => containers.push(container),
                Err(Error::NotFound { .. }) => (),
                // An engine that hangs over one container still lists it, and knows all others.
                Err(refused @ Error::Refused { .. }) => {
                    containers.push(facts::listed(listed).ok_or(refused)?);
                }
                Err(error) => return Err(error),
            }
        }
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(containers)
    }

    async fn inspect(&self, container: &str) -> Result<Container, Error> {
        self.inspect_within(container, PATIENCE).await
    }

    async fn recipe(&self, container: &str) -> Result<(Recipe, Confidential), Error> {
        is_reference(container)?;
        let call = self.client.inspect_container(container, None);
        let response = self.ask("inspecting", container, PATIENCE, call).await?;
        let image = response.image.clone().unwrap_or_default();
        let call = async {
            match self.client.inspect_image(&image).await {
                // A container outlives its image, which then says nothing.
                Err(Failure::DockerResponseServerError { status_code: 404, .. }) => {
                    Ok(ImageInspect::default())
                }
                answer => answer,
            }
        };
        let image = self.ask("inspecting the image of", container, PATIENCE, call).await?;
        Ok(recipe::recipe(response, image))
    }

    async fn pause(&self, container: &str) -> Result<(), Error> {
        let call = self.client.pause_container(container);
        self.bring("pausing", container, PATIENCE, |it| it == State::Paused, call).await
    }

    async fn unpause(&self, container: &str) -> Result<(), Error> {
        let call = self.client.unpause_container(container);
        self.bring("unpausing", container, PATIENCE, lives, call).await
    }

    async fn stop(&self, container: &str, timeout: Option<Duration>) -> Result<(), Error> {
        let mut options = StopContainerOptionsBuilder::new();
        let grace = match timeout {
            Some(timeout) => {
                options = options.t(whole_seconds(timeout));
                timeout
            }
            None => self.inspect(container).await?.stop_timeout.unwrap_or(STOP_TIMEOUT),
        };
        let patience = grace.saturating_add(STOP_MARGIN);
        let call = self.client.stop_container(container, Some(options.build()));
        self.bring("stopping", container, patience, |it| it == State::Stopped, call).await
    }

    async fn start(&self, container: &str) -> Result<(), Error> {
        let call = self.client.start_container(container, None);
        match self.bring("starting", container, PATIENCE, lives, call).await {
            Err(refused @ Error::Refused { .. }) => match self.inspect(container).await {
                Ok(now) if now.state == State::Paused => self.unpause(container).await,
                _ => Err(refused),
            },
            answer => answer,
        }
    }

    async fn log_tail(&self, container: &str, lines: usize) -> Result<String, Error> {
        self.log(container, LogsOptionsBuilder::new().tail(&lines.to_string())).await
    }

    async fn log_since_start(&self, container: &str) -> Result<String, Error> {
        let started = self.inspect(container).await?.started.parse::<Timestamp>();
        // The engine takes whole seconds.
        let since = started.map_or(0, |it| it.as_second().max(0));
        let since = i32::try_from(since).unwrap_or(0);
        self.log(container, LogsOptionsBuilder::new().since(since)).await
    }

    async fn exec(
        &self,
        container: &str,
        command: &Command,
        timeout: Duration,
    ) -> Result<Executed, Error> {
        self.execute(container, command, timeout).await
    }

    async fn session(&self, container: &str, command: &Command) -> Result<Session, Error> {
        self.open(container, command).await
    }
}

/// Whether nothing has to be done for a container to go on. One between two restarts does so by
/// itself.
fn lives(state: State) -> bool {
    matches!(state, State::Running | State::Restarting)
}

/// Docker takes whole seconds; rounding up keeps a fraction from becoming "kill at once".
fn whole_seconds(timeout: Duration) -> i32 {
    let seconds = timeout.as_secs().saturating_add(u64::from(timeout.subsec_nanos() > 0));
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

/// Refuses what no container can be called, since it becomes part of an address.
pub(super) fn is_reference(container: &str) -> Result<(), Error> {
    let allowed = |it: u8| it.is_ascii_alphanumeric() || b"_.-".contains(&it);
    let begins_well = container.bytes().next().is_some_and(|it| it.is_ascii_alphanumeric());
    match begins_well && container.bytes().all(allowed) {
        true => Ok(()),
        false => Err(Error::NotFound { container: container.to_owned() }),
    }
}

/// Bollard 0.21 agrees on a version of the API and then asks without one. The engine would answer
/// in its newest words, some of which bollard may not know.
fn versioned(client: bollard::Docker) -> bollard::Docker {
    let version = client.client_version();
    client.with_request_modifier(move |mut request| {
        let mut parts = request.uri().clone().into_parts();
        let asked = parts.path_and_query.as_ref().map_or("", |it| it.as_str());
        parts.path_and_query =
            Some(format!("/v{version}{asked}").parse().expect("a path was put before a path"));
        *request.uri_mut() = parts.try_into().expect("it was an address with a path before");
        request
    })
}

/// Where an engine is asked.
#[derive(Debug, PartialEq, Eq)]
enum Door<'a> {
    /// At a socket, by its path.
    Socket(&'a str),
    /// At a proxy before its socket, by host and port.
    Proxy(&'a str),
}

impl Door<'_> {
    /// Whether anybody is there.
    async fn knock(&self) -> io::Result<()> {
        match self {
            Door::Socket(path) => UnixStream::connect(path).await.map(drop),
            Door::Proxy(host) => match timeout(GREETING, TcpStream::connect(host)).await {
                Ok(answer) => answer.map(drop),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            },
        }
    }

    fn open(&self) -> Result<bollard::Docker, Failure> {
        match self {
            Door::Socket(path) => {
                bollard::Docker::connect_with_unix(path, BOLLARD_PATIENCE, API_DEFAULT_VERSION)
            }
            Door::Proxy(host) => {
                bollard::Docker::connect_with_http(host, BOLLARD_PATIENCE, API_DEFAULT_VERSION)
            }
        }
    }
}

/// The door that an address names, or why that cannot be.
fn door(address: &str) -> Result<Door<'_>, String> {
    let has_port = |it: &str| {
        it.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
        })
    };
    if let Some(host) = address.strip_prefix("tcp://") {
        let host = host.trim_end_matches('/');
        return match has_port(host) {
            true => Ok(Door::Proxy(host)),
            false => Err("it lacks a port, as in tcp://socket-proxy:2375".to_owned()),
        };
    }
    match address.strip_prefix("unix://").unwrap_or(address) {
        path if path.starts_with('/') => Ok(Door::Socket(path)),
        _ => Err("only Unix sockets and proxies before them are supported, such as unix:///var/run/docker.sock or tcp://socket-proxy:2375".to_owned()),
    }
}

/// What the engine said (`Ok`), or why it said nothing (`Err`).
fn told(failure: &Failure) -> Result<String, String> {
    match failure {
        Failure::DockerResponseServerError { status_code, message } if message.is_empty() => {
            Ok(format!("status {status_code}"))
        }
        Failure::DockerResponseServerError { message, .. }
        | Failure::DockerStreamError { error: message } => Ok(message.trim().to_owned()),
        Failure::IOError { err } => Err(reason(err)),
        Failure::SocketNotFoundError(_) => Err(reason(&io::ErrorKind::NotFound.into())),
        Failure::HyperLegacyError { .. } | Failure::HyperResponseError { .. } => {
            Err(deepest(failure))
        }
        other => Ok(format!("its answer makes no sense: {other}")),
    }
}

/// Clients wrap what happened in layers that only say that something did.
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    match (error.downcast_ref::<io::Error>(), error.source()) {
        (Some(error), _) => reason(error),
        (None, Some(source)) => deepest(source),
        (None, None) => error.to_string(),
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "no such socket; is Docker running, and inside a container, is its socket mounted?"
                .into()
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; run as root or as a member of the group docker".into()
        }
        io::ErrorKind::ConnectionRefused => "nobody listens there; is Docker running?".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_up_on_a_call_that_never_ends() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // Any path will do: nothing is sent.
        let client = bollard::Docker::connect_with_unix("/", 1, API_DEFAULT_VERSION).unwrap();
        let docker = Docker { client, address: "/".to_owned() };
        let call = std::future::pending::<Result<(), Failure>>();
        let answer =
            runtime.block_on(docker.ask("pausing", "frigate", Duration::from_millis(1), call));
        let error = answer.expect_err("nothing answers").to_string();
        assert_eq!(error, "pausing frigate: no answer within 0 s");
    }

    #[test]
    fn takes_sockets_and_proxies_before_them() {
        let cases = [
            ("unix:///run/docker.sock", Some(Door::Socket("/run/docker.sock"))),
            ("/run/docker.sock", Some(Door::Socket("/run/docker.sock"))),
            ("tcp://proxy:2375", Some(Door::Proxy("proxy:2375"))),
            ("tcp://[::1]:2375/", Some(Door::Proxy("[::1]:2375"))),
            ("tcp://proxy", None),
            ("tcp://:2375", None),
            ("tcp://proxy:2375/engine", None),
            ("unix://docker.sock", None),
            ("ssh://home@host", None),
            ("http://host", None),
            ("https://host:2376", None),
            ("localhost:2375", None),
        ];
        for (address, expected) in cases {
            assert_eq!(door(address).ok(), expected, "{address}");
        }
    }

    #[test]
    fn says_what_to_do_where_a_socket_does_not_open() {
        let cases = [
            (io::ErrorKind::NotFound, "is Docker running"),
            (io::ErrorKind::PermissionDenied, "member of the group docker"),
            (io::ErrorKind::ConnectionRefused, "nobody listens"),
        ];
        for (kind, expected) in cases {
            assert!(reason(&kind.into()).contains(expected), "{kind}");
        }
    }

    #[test]
    fn asks_only_for_what_can_be_a_container() {
        for good in ["homeassistant", "a", "Zigbee2MQTT_1.x-y", "4f2a91c0"] {
            assert!(is_reference(good).is_ok(), "{good}");
        }
        for bad in ["", "..", "/homeassistant", "a/../b", "a?b", "a b", "ä"] {
            assert!(is_reference(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rounds_a_timeout_up() {
        let cases = [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2), (u64::MAX, i32::MAX)];
        for (millis, expected) in cases {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), expected, "{millis}");
        }
    }
}
