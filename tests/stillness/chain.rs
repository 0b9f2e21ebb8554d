//! A database that is written at full speed is whole in every backup.

use std::fs;

use crate::support::chain::{self, Checker};
use crate::support::home::Home;

/// Enough that a view of two instants, which half of all tries catch, has no chance to hide.
const BACKUPS: usize = 100;

/// A generation of the chain is as long as this; a backup at the turn of one finds a short chain.
const MANY_ROWS: u64 = 1000;

#[test]
fn every_backup_of_a_writer_at_full_speed_has_a_sound_database_without_a_gap() {
    let _alone = crate::alone();
    let home = Home::empty("chain");
    chain::run_writer(&home);
    let mut checker = Checker::start();
    let store = home.bench.folder("store").display().to_string();
    let mut long = 0;
    for _ in 0..BACKUPS {
        let backup = home.backup(&["--store", &store]);
        long += usize::from(checker.check(&backup) >= MANY_ROWS);
        fs::remove_file(backup).expect("it is there");
    }
    assert!(long > BACKUPS / 2, "the writer hardly wrote: {long} of {BACKUPS} chains were long");
    assert_eq!(home.state("homeassistant"), "running");
}
