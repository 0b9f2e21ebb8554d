//! Who a container is, also after it was recreated.

use serde::{Deserialize, Serialize};

/// A container by all that it can be found again by: the identifier goes with a recreation, the
/// name with a renaming, the service with another project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The engine's identifier.
    pub id: String,
    /// The name.
    pub name: String,
    /// Its place in a Compose project, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose: Option<Compose>,
}

/// A place in a Compose project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compose {
    /// The project.
    pub project: String,
    /// The service.
    pub service: String,
    /// Which of the service's containers, from 1.
    pub number: u32,
}
