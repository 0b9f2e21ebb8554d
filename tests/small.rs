//! Many small cases on the real engine, with homes made of a static helper.
//!
//! Docker must run here and have the image of `tests/lab/images helper`, and the tests must run as
//! root, since only root may give files away, make devices and mount a small disk. Without any of
//! that they fail rather than say nothing.

#[path = "small/asked.rs"]
mod asked;
#[path = "small/boots.rs"]
mod boots;
#[path = "small/changing.rs"]
mod changing;
#[path = "small/checks.rs"]
mod checks;
#[path = "small/commands.rs"]
mod commands;
#[path = "small/crashes.rs"]
mod crashes;
#[path = "small/damage.rs"]
mod damage;
#[path = "archive/damaged.rs"]
mod damaged;
#[path = "small/database_choice.rs"]
mod database_choice;
#[path = "small/databases.rs"]
mod databases;
#[path = "small/differences.rs"]
mod differences;
#[path = "small/disk.rs"]
mod disk;
#[path = "small/encrypted.rs"]
mod encrypted;
#[path = "small/fidelity.rs"]
mod fidelity;
#[path = "small/foreign.rs"]
mod foreign;
#[path = "small/fresh.rs"]
mod fresh;
#[path = "small/handover.rs"]
mod handover;
#[path = "small/holds.rs"]
mod holds;
#[path = "small/hooks.rs"]
mod hooks;
#[path = "small/layout.rs"]
mod layout;
#[path = "small/logs.rs"]
mod logs;
#[path = "small/mending.rs"]
mod mending;
#[path = "small/mounts.rs"]
mod mounts;
#[path = "small/moving.rs"]
mod moving;
#[path = "small/nasty.rs"]
mod nasty;
#[path = "small/onboarding.rs"]
mod onboarding;
#[path = "small/outposts.rs"]
mod outposts;
#[path = "small/own_files.rs"]
mod own_files;
#[path = "small/passwords.rs"]
mod passwords;
#[path = "small/profiles.rs"]
mod profiles;
#[path = "small/proxied.rs"]
mod proxied;
#[path = "small/refusals.rs"]
mod refusals;
#[path = "small/room.rs"]
mod room;
#[path = "small/routes.rs"]
mod routes;
#[path = "small/served.rs"]
mod served;
#[path = "small/settings.rs"]
mod settings;
#[path = "small/signals.rs"]
mod signals;
#[path = "small/single_files.rs"]
mod single_files;
#[path = "small/statuses.rs"]
mod statuses;
#[path = "small/storm.rs"]
mod storm;
#[path = "small/stubborn.rs"]
mod stubborn;
#[path = "small/tree.rs"]
mod tree;
#[path = "small/untouched.rs"]
mod untouched;

mod support;
