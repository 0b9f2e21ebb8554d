//! Hearthkeep backs up and restores Home Assistant Container homes, companions included.
//!
//! A tour, from the top: [`cli`] turns words into a request; [`daemon`] has its [`jobs`] done one after
//! the other, each as a process of its own; the stories [`backup`],
//! [`restore`] and [`boot`] read top to bottom; they ask [`plan`] what to do (rules, no I/O) and let hands do
//! it: [`engine`] talks to Docker, [`quiesce`] holds and releases containers, [`capture`] walks
//! their files, [`archive`] turns files into the Supervisor's format and back, [`store`] and
//! [`catalog`] keep and find backups, [`swap`] puts restored folders in place. `ARCHITECTURE.md`
//! says which of them may know which.

pub mod api;
pub mod archive;
pub mod backup;
pub mod boot;
pub mod calendar;
pub mod capture;
pub mod catalog;
pub mod check;
pub mod chronicle;
pub mod cli;
pub mod companions;
pub mod compose;
pub mod compose_file;
pub mod daemon;
pub mod due;
pub mod engine;
pub mod exit;
mod faults;
pub mod findings;
pub mod fsx;
pub mod gate;
pub mod guardian;
pub mod hands;
pub mod island;
pub mod jobs;
pub mod journal;
pub mod keyfile;
pub mod kit;
pub mod lines;
pub mod lock;
pub mod log;
pub mod mapfile;
pub mod memory;
pub mod model;
pub mod monitor;
pub mod nearest;
pub mod outpost;
pub mod plan;
pub mod probe;
pub mod program;
pub mod prune;
pub mod pulse;
pub mod quiesce;
pub mod reach;
pub mod recover;
pub mod restore;
pub mod retention;
pub mod schedule;
pub mod secret;
pub mod settings;
pub mod signals;
pub mod socket;
pub mod standing;
pub mod store;
pub mod survey;
pub mod swap;
pub mod systemd;
pub mod thaw;
pub mod throwaway;
pub mod translate;
