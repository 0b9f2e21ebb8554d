//! The gate behind a restore: do the containers run, and does Home Assistant answer?

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::engine::Engine;
use crate::model::{Container, Health, State};

/// Home Assistant's port where its configuration names none.
const PORT: u16 = 8123;

const PAUSE_BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// A container that comes up never stays down this long, even if the engine restarts it.
const DOWN_FOR_GOOD: Duration = Duration::from_secs(10);

/// What has to come true, and until when.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Containers that have to run, and be healthy where they have a health check.
    pub running: Vec<String>,
    /// The container that has to answer on a port, and the port.
    pub answering: Option<(String, u16)>,
    /// When to give up.
    pub patience: Duration,
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

/// Waits until everything is as it should be.
///
/// # Errors
/// [`Silent`] where everything runs and only the answer is missing, else what does not run: when
/// the patience is over or when it cannot become true any more.
pub async fn pass(engine: &Engine, gate: &Gate) -> anyhow::Result<()> {
    let deadline = Instant::now() + gate.patience;
    for name in &gate.running {
        runs(engine, name, deadline).await?;
    }
    let Some((name, port)) = &gate.answering else { return Ok(()) };
    while !answers(&engine.inspect(name).await?, *port).await {
        if Instant::now() > deadline {
            return Err(Silent { port: *port, patience: gate.patience.as_secs() }.into());
        }
        // It may have given up meanwhile.
        runs(engine, name, deadline).await?;
        sleep(PAUSE_BETWEEN_LOOKS).await;
    }
    Ok(())
}

async fn runs(engine: &Engine, name: &str, deadline: Instant) -> anyhow::Result<()> {
    let mut down_since = Instant::now();
    loop {
        let container = engine.inspect(name).await?;
        match (container.state, container.health) {
            (State::Running, Health::None | Health::Healthy) | (State::Paused, _) => return Ok(()),
            (State::Running, _) => down_since = Instant::now(),
            _ => anyhow::ensure!(down_since.elapsed() < DOWN_FOR_GOOD, "{name} does not stay up"),
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "{name} is not healthy ({:?}, {:?})",
            container.state,
            container.health
        );
        sleep(PAUSE_BETWEEN_LOOKS).await;
    }
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
