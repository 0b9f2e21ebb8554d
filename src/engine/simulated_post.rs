//! Job containers on the simulated engine.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;

use super::Error;
use super::post::{Hear, Listener, Post, Progress, Said};
use super::simulator::{Simulated, Simulator, refused};
use crate::model::{Container, Health, JOB_LABEL, Mount, MountKind, Outpost, STATE_LABEL, State};
use crate::secret::Secret;

#[async_trait]
impl Post for Simulator {
    async fn create_outpost(&self, outpost: &Outpost) -> Result<String, Error> {
        let mut world = self.world();
        let of = world.call("create_outpost", &outpost.of)?.container.clone();
        let name = outpost.name();
        if world.find(&name).is_some() {
            return Err(refused("create_outpost", &name, "the name is in use"));
        }
        let container = post(of, outpost, world.containers.len());
        let id = container.id.clone();
        world.containers.push(Simulated::new(container));
        Ok(id)
    }

    async fn start_telling(&self, container: &str, _secret: &Secret) -> Result<(), Error> {
        self.world().call("start_telling", container)?;
        self.set_state(container, State::Running);
        Ok(())
    }

    async fn listen(&self, container: &str) -> Result<Listener, Error> {
        let mut world = self.world();
        let log = world.call("listen", container)?.log().as_bytes().to_vec();
        let hear = Box::new(Heard([Said::Out(log)].into()));
        Ok(Listener { container: container.to_owned(), hear })
    }

    async fn progress(&self, container: &str) -> Result<Progress, Error> {
        let mut world = self.world();
        let it = &world.call("progress", container)?.container;
        Ok(match (it.state, it.started.is_empty()) {
            (State::Stopped, true) => Progress::Made(Duration::ZERO),
            (State::Stopped, false) => Progress::Ended(0),
            _ => Progress::Runs,
        })
    }
}

struct Heard(VecDeque<Said>);

#[async_trait]
impl Hear for Heard {
    async fn next(&mut self) -> Result<Option<Said>, String> {
        Ok(self.0.pop_front())
    }
}

fn post(of: Container, outpost: &Outpost, n: usize) -> Container {
    let labels = [
        (JOB_LABEL, outpost.job.clone()),
        (STATE_LABEL, outpost.state.display().to_string()),
        ("hearthkeep.enable", "false".to_owned()),
    ];
    let own = of.mounts.iter().cloned();
    let mut mounts: Vec<Mount> = own.chain(outpost.mounts.iter().cloned()).collect();
    mounts.retain(|it| it.kind != MountKind::Other);
    mounts.sort_by(|a, b| a.destination.cmp(&b.destination));
    Container {
        id: format!("{n:0>64x}"),
        name: outpost.name(),
        labels: labels.map(|(key, value)| (key.to_owned(), value)).into(),
        state: State::Stopped,
        started: String::new(),
        health: Health::None,
        mounts,
        auto_remove: false,
        ..of
    }
}
