//! Looking at the engine and at what can be reached: the facts that plans are made of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;

use crate::engine::Engine;
use crate::island::island;
use crate::model::{Container, MountKind};
use crate::plan::Facts;
use crate::reach::{self, Reach};

/// What was found.
#[derive(Debug, Clone)]
pub struct Survey {
    /// The facts for plans.
    pub facts: Facts,
    /// What this process can reach.
    pub reach: Reach,
}

/// Looks at everything once.
pub async fn look(engine: &Engine) -> anyhow::Result<Survey> {
    let about = engine.about().await?;
    let containers = engine.look().await.context("looking at the containers")?;
    island("looking at the folders", move || {
        let own = reach::own_container(&containers)?.cloned();
        anyhow::ensure!(
            own.is_some() || !about.over_network,
            "the engine is asked over a network by a program in none of its containers, so its folders are out of reach: run hearthkeep in a container of that engine, or where its socket is"
        );
        let (reach, own_container, containers) = match own {
            None => (Reach::Host, None, reach::with_real_sources(containers)),
            Some(own) => (Reach::Container(own.mounts), Some(own.id), containers),
        };
        let versions = versions(&containers, &reach);
        let facts = Facts {
            containers,
            versions,
            own_container,
            engine_root: about.root,
            is_podman: about.is_podman,
        };
        Ok(Survey { facts, reach })
    })
    .await
}

fn versions(containers: &[Container], reach: &Reach) -> BTreeMap<PathBuf, String> {
    let mounts = containers.iter().flat_map(|it| &it.mounts);
    let of_files =
        mounts.filter(|it| matches!(it.kind, MountKind::Bind | MountKind::Volume { .. }));
    of_files
        .filter_map(|it| {
            let version = reach::home_assistant_version(&reach.local(&it.source)?)?;
            Some((it.source.clone(), version))
        })
        .collect()
}
