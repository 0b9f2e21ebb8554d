//! The rules and the holding, on facts and on the simulated engine: what cannot be made to happen
//! on a real one at will.

#[path = "rules/boots.rs"]
mod boots;
#[path = "rules/compose_files.rs"]
mod compose_files;
#[path = "rules/databases.rs"]
mod databases;
#[path = "rules/gates.rs"]
mod gates;
#[path = "rules/handover.rs"]
mod handover;
#[path = "rules/holding.rs"]
mod holding;
#[path = "rules/homes.rs"]
mod homes;
#[path = "rules/hooks.rs"]
mod hooks;
#[path = "rules/orders.rs"]
mod orders;
#[path = "rules/posts.rs"]
mod posts;
#[path = "rules/stops.rs"]
mod stops;
#[path = "rules/twins.rs"]
mod twins;
#[path = "rules/warnings.rs"]
mod warnings;

mod support;

use self::support::facts;
