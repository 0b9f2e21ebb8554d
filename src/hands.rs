//! What a story needs to act: the engine, where to keep things, and whom to tell.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use crate::engine::Engine;
use crate::monitor::Monitor;
use crate::plan::Home;
use crate::reach::Reach;

/// The hands of a run.
#[derive(Clone)]
pub struct Hands {
    /// The container engine.
    pub engine: Engine,
    /// The folder of this program's own state.
    pub state: PathBuf,
    /// Where backups are kept; without one, where Home Assistant itself keeps them.
    pub store: Option<PathBuf>,
    /// Where copies of what changes are kept during a backup; without one, beside the backups or in
    /// the state folder.
    pub staging: Option<PathBuf>,
    /// Who watches.
    pub monitor: Arc<dyn Monitor>,
}

impl Hands {
    /// The folders that may take copies of what changes, the best one first.
    pub fn staging_folders(&self, store: &Path) -> Vec<PathBuf> {
        match &self.staging {
            Some(staging) => vec![staging.clone()],
            // The store may not be there yet; the folder that it will be in is.
            None => [Some(store), store.parent(), Some(&self.state)]
                .into_iter()
                .flatten()
                .map(Path::to_owned)
                .collect(),
        }
    }

    /// The folder of the store: the one that was set, else `backups` in Home Assistant's
    /// configuration.
    ///
    /// # Errors
    /// Where no store is set and Home Assistant's configuration is out of reach.
    pub fn store_of(&self, home: &Home, reach: &Reach) -> anyhow::Result<PathBuf> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        let homeassistant = &home.homeassistant;
        let config = homeassistant
            .mounted_at("/config")
            .with_context(|| format!("{} has nothing mounted at /config", homeassistant.name))?;
        let local = reach.local(&config.source).with_context(|| {
            format!("{} is out of reach: name a store with --store", config.source.display())
        })?;
        Ok(local.join("backups"))
    }
}
