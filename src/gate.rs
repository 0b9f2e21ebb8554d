//! The gate behind a restore: do the containers run, and does Home Assistant answer?

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::model::{Container, Health, State};
use crate::signals::Cancelled;

/// Home Assistant's port where its configuration names none.
const PORT: u16 = 8123;

const PAUSE_BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// A container that comes up never stays down this long, even if the engine restarts it.
const DOWN_FOR_GOOD: Duration = Duration::from_secs(10);

/// After the answer, everything has to stay up this long: what crashes at its start comes up too.
const SETTLED: Duration = Duration::from_secs(2);

/// What has to come true, and until when.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Containers that have to run.
    pub running: Vec<Runner>,
    /// The container that has to answer on a port, by name, and the port.
    pub answering: Option<(String, u16)>,
    /// When to give up.
    pub patience: Duration,
}

/// A container that has to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// Its name.
    pub name: String,
    /// Whether its health check has to pass, where it has one.
    pub needs_health: bool,
}

/// Home Assistant runs but does not answer.
#[derive(Debug, thiserror::Error)]
#[error("Home Assistant does not answer on port {port} after {patience} s")]
pub struct Silent {
    /// The port that was asked.
    pub port: u16,
    /// How long it was waited for, in seconds.
    pub patience: u64,
}

/// Waits until everything is as it should be, and stays so for a moment.
///
/// # Errors
/// [`Silent`] where everything runs and only the answer is missing, [`Cancelled`] where the token
/// is, else what does not run: when the patience is over or when it cannot become true any more.
pub async fn pass(engine: &Engine, gate: &Gate, cancel: &CancellationToken) -> anyhow::Result<()> {
    cancel.run_until_cancelled(wait(engine, gate)).await.unwrap_or(Err(Cancelled.into()))
}

async fn wait(engine: &Engine, gate: &Gate) -> anyhow::Result<()> {
    let deadline = Instant::now() + gate.patience;
    loop {
        all_run(engine, gate, deadline).await?;
        if let Some((name, port)) = &gate.answering {
            while !answers(&engine.inspect(name).await?, *port).await {
                if Instant::now() > deadline {
                    return Err(Silent { port: *port, patience: gate.patience.as_secs() }.into());
                }
                // It may have given up meanwhile.
                all_run(engine, gate, deadline).await?;
                sleep(PAUSE_BETWEEN_LOOKS).await;
            }
        }
        let Some(runner) = fallen(engine, gate).await? else { return Ok(()) };
        anyhow::ensure!(Instant::now() < deadline, "{} does not stay up", runner.name);
    }
}

async fn all_run(engine: &Engine, gate: &Gate, deadline: Instant) -> anyhow::Result<()> {
    for runner in &gate.running {
        runs(engine, runner, deadline).await?;
    }
    Ok(())
}

async fn runs(engine: &Engine, runner: &Runner, deadline: Instant) -> anyhow::Result<()> {
    let name = &runner.name;
    let mut down_since = Instant::now();
    loop {
        let container = engine.inspect(name).await?;
        match container.state {
            _ if is_up(&container, runner) => return Ok(()),
            State::Running => down_since = Instant::now(),
            _ => anyhow::ensure!(down_since.elapsed() < DOWN_FOR_GOOD, "{name} does not stay up"),
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "{name} did not come up: {}",
            plight(&container)
        );
        sleep(PAUSE_BETWEEN_LOOKS).await;
    }
}

fn is_up(container: &Container, runner: &Runner) -> bool {
    let is_healthy = matches!(container.health, Health::None | Health::Healthy);
    match container.state {
        State::Running => is_healthy || !runner.needs_health,
        // Somebody else's doing; it came up before.
        State::Paused => true,
        State::Restarting | State::Stopped => false,
    }
}

/// Why a container is not up, to be read after a colon.
fn plight(container: &Container) -> &'static str {
    match (container.state, container.health) {
        (State::Stopped, _) => "it has stopped",
        (State::Restarting, _) => "the engine restarts it over and over",
        (_, Health::Starting) => "its health check has not passed yet",
        (_, _) => "its health check fails",
    }
}

/// The first container that does not run at every look for a while.
async fn fallen<'a>(engine: &Engine, gate: &'a Gate) -> anyhow::Result<Option<&'a Runner>> {
    let until = Instant::now() + SETTLED;
    while !gate.running.is_empty() && Instant::now() < until {
        sleep(PAUSE_BETWEEN_LOOKS).await;
        for runner in &gate.running {
            if !is_up(&engine.inspect(&runner.name).await?, runner) {
                return Ok(Some(runner));
            }
        }
    }
    Ok(None)
}

/// Whether anything speaks on the port. Any answer counts: behind TLS the plain request is
/// refused, but by somebody.
pub async fn answers(container: &Container, port: u16) -> bool {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let addresses = match container.host_network {
        true => &[loopback][..],
        false => &container.addresses,
    };
    for address in addresses {
        let asked = timeout(Duration::from_secs(5), ask(SocketAddr::new(*address, port))).await;
        if matches!(asked, Ok(Ok(true))) {
            return true;
        }
    }
    false
}

async fn ask(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request =
        format!("GET /manifest.json HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; 16];
    Ok(stream.read(&mut answer).await? > 0)
}

/// The port in Home Assistant's `configuration.yaml`: `server_port` in the section `http`. Only
/// what stands there plainly is seen; an include or a secret leaves the usual port.
pub fn port(configuration: &str) -> u16 {
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    configuration
        .lines()
        .filter(is_content)
        .skip_while(|line| line.trim_end() != "http:")
        .skip(1)
        .take_while(|line| line.starts_with([' ', '\t']))
        .find_map(|line| {
            line.trim().strip_prefix("server_port:")?.split('#').next()?.trim().parse().ok()
        })
        .unwrap_or(PORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_port_where_it_stands_plainly() {
        let check = |text: &str, wanted: u16| assert_eq!(port(text), wanted, "{text}");
        check("", 8123);
        check("http:\n", 8123);
        check("http:\n  # a comment\n  server_port: 80 # web\n", 80);
        check("mqtt:\n  server_port: 1\nhttp:\n  use_x: y\n\n  server_port: 443\nx:\n", 443);
        check("http:\nother:\n  server_port: 1\n", 8123);
        check("http:\n  server_port: !secret port\n", 8123);
    }
}
