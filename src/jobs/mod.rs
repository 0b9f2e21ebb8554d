//! One job at a time: what is asked for, in which order it is done, and by whom.

mod request;

pub use self::request::{By, Kind, Request};
