//! Runs that are ended at any moment from outside, half of them while something is held.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::crashes::{
    AT_ONCE, NOTHING, SERVICES, assert_as_before, assert_store_is_sound, guardians,
    home_of_all_kinds, resume,
};
use crate::signals::PROMPTLY;
use crate::support::home::{Home, tool};
use crate::support::{DEADLINE, docker, wait_until};

/// How often a run is killed with only its guardian to look after what it held.
const KILLS: u32 = 30;

/// How often a run is told to stop; the cancelling in the hold has tests of its own.
const STOPS: u32 = 16;

/// A hold of the home below is over by then, counted from its intent.
const WHOLE_HOLD: Duration = Duration::from_millis(400);

/// Chance that can be repeated: the seed is in the message of a test that fails.
struct Chance {
    seed: u64,
    state: u64,
}

impl Chance {
    fn new() -> Chance {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
        let seed = now.as_secs();
        println!("the seed is {seed}");
        Chance { seed, state: seed }
    }

    /// From 0 to 1 (splitmix64).
    fn next(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from((mixed ^ (mixed >> 31)) as u32) / f64::from(u32::MAX)
    }
}

/// A home, and how long a backup of it takes.
struct Storm {
    home: Home,
    staging: PathBuf,
    chance: Chance,
    span: Duration,
    config: Vec<PathBuf>,
}

impl Storm {
    fn new(what: &str) -> Storm {
        let home = home_of_all_kinds(what);
        // Something for the archive to do after the hold.
        for n in 0..8_u32 {
            let noise: String = (0..200_000_u32)
                .map(|it| char::from(b'0' + ((it.wrapping_mul(it + n) >> 7) & 63) as u8))
                .collect();
            home.write(&format!("config/noise-{n}"), &noise.repeat(5));
        }
        let staging = home.bench.folder("staging");
        let mut storm = Storm {
            home,
            staging,
            chance: Chance::new(),
            span: Duration::ZERO,
            config: Vec::new(),
        };
        fs::create_dir(storm.home.config().join("backups")).expect("there is none yet");
        storm.config = storm.names_in("config");
        let since = Instant::now();
        assert!(storm.backup().wait().expect("it is ours").success());
        storm.span = since.elapsed();
        storm.assert_clean("at first");
        storm
    }

    fn backup(&self) -> Child {
        let mut command = self.home.command(&["backup"]);
        command.env("HEARTHKEEP_STAGING", &self.staging);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the program can be started")
    }

    /// Starts a backup and waits for the moment of the `n`th of `all` tries: every other one some
    /// time after the intent to hold is written down, the rest spread over the whole run.
    fn until_moment(&mut self, n: u32, all: u32) -> (Child, String) {
        let mut run = self.backup();
        let at = match n % 2 {
            0 => {
                let at =
                    self.span.mul_f64((f64::from(n) + 2.0 * self.chance.next()) / f64::from(all));
                sleep(at);
                format!("{at:?} after the start")
            }
            _ => {
                let pid = format!("\"pid\":{}}}", run.id());
                let journal = self.home.bench.path().join("state/journal.jsonl");
                let since = Instant::now();
                while !fs::read_to_string(&journal)
                    .is_ok_and(|it| it.contains(&pid) && it.contains("hold-intended"))
                {
                    let is_over = run.try_wait().expect("it is ours").is_some();
                    assert!(!is_over && since.elapsed() < DEADLINE, "it never held anything");
                    sleep(Duration::from_millis(1));
                }
                let at = WHOLE_HOLD
                    .mul_f64((f64::from(n - 1) + 2.0 * self.chance.next()) / f64::from(all));
                sleep(at);
                format!("{at:?} after the intent to hold")
            }
        };
        (run, format!("{at}, try {n}, seed {}", self.chance.seed))
    }

    /// Nothing of the run is left but what is whole.
    fn assert_clean(&self, when: &str) {
        assert_as_before(&self.home, when);
        assert_store_is_sound(&self.home, when);
        assert_eq!(self.names_in("staging"), Vec::<PathBuf>::new(), "{when}");
        assert_eq!(self.names_in("config"), self.config, "{when}");
        let state = self.names_in("state");
        let known = ["chronicle.json", "journal.jsonl", "lock"];
        let is_known = |it: &PathBuf| known.iter().any(|name| it.ends_with(name));
        assert!(state.iter().all(is_known), "{state:?} {when}");
        assert_eq!(resume(&self.home).to_string(), NOTHING, "{when}");
        for backup in self.home.store() {
            fs::remove_file(backup).expect("it is there");
        }
    }

    fn names_in(&self, folder: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.home.bench.path().join(folder)).expect("it is a folder");
        let mut names: Vec<PathBuf> =
            entries.map(|it| it.expect("it can be read").path()).collect();
        names.sort();
        names
    }

    /// All states in one question, since the time counts.
    fn is_as_before(&self) -> bool {
        let names = SERVICES.map(|(service, ..)| self.home.name(service));
        let mut words = vec!["inspect", "--format", "{{.State.Status}}"];
        words.extend(names.iter().map(String::as_str));
        docker(&words).lines().eq(SERVICES.map(|(.., state)| state))
    }
}

fn end(mut run: Child, signal: &str) -> ExitStatus {
    let id = run.id().to_string();
    if run.try_wait().expect("it is ours").is_none() {
        tool("kill", &["-s", signal, &id]);
    }
    run.wait().expect("it is ours")
}

#[test]
fn a_guardian_alone_closes_what_a_kill_at_any_moment_leaves_open() {
    let mut storm = Storm::new("storm-kill");
    let (mut n_held, mut n_slow) = (0, 0);
    for n in 0..KILLS {
        let (run, when) = storm.until_moment(n, KILLS);
        let since = Instant::now();
        end(run, "KILL");
        if !storm.is_as_before() {
            n_held += 1;
            wait_until("everything does what it did", || storm.is_as_before());
        }
        assert!(since.elapsed() < AT_ONCE, "{:?} {when}", since.elapsed());
        wait_until("the guardian is gone", || guardians(&storm.home).is_empty());
        n_slow += u32::from(since.elapsed() > AT_ONCE);
        storm.assert_clean(&when);
    }
    assert!(n_held > 0, "no kill met a hold, seed {}", storm.chance.seed);
    // Only a stop that was about to be asked for has to be waited for in vain.
    assert!(n_slow < KILLS / 5, "{n_slow} guardians were slow, seed {}", storm.chance.seed);
}

#[test]
fn a_run_that_is_told_to_stop_at_any_moment_leaves_nothing() {
    let mut storm = Storm::new("storm-stop");
    for n in 0..STOPS {
        let (run, when) = storm.until_moment(n, STOPS);
        let journal = || fs::read_to_string(storm.home.bench.path().join("state/journal.jsonl"));
        let has_begun = journal().is_ok_and(|it| it.contains(&format!("\"pid\":{}}}", run.id())));
        let since = Instant::now();
        let status = end(run, "TERM");
        assert!(since.elapsed() < PROMPTLY, "{:?} {when}", since.elapsed());
        // Before it listens to signals, one ends it as any other program.
        let is_well =
            matches!(status.code(), Some(0 | 130)) || (status.code().is_none() && !has_begun);
        assert!(is_well, "{status} {when}");
        let n_whole = storm.home.store().len();
        assert!(
            status.success() || n_whole == 0,
            "{n_whole} files although it was cancelled, {when}"
        );
        assert_eq!(guardians(&storm.home), Vec::<String>::new(), "{when}");
        storm.assert_clean(&when);
    }
}
