//! What a story needs to act: the engine, where to keep things, and whom to tell.

use std::path::PathBuf;
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
    /// Who watches.
    pub monitor: Arc<dyn Monitor>,
}

impl Hands {
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
