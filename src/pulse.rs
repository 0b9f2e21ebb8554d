//! Whether a process lives: what the kernel counts of it, of its threads and of what it started.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What was seen of a process at one look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Moves with every bit of processor time and every switch to or from one of the threads; of
    /// what is stopped or locked up it stands still.
    pub count: u64,
    /// Whether a thread waits for a disk, which nobody can hurry.
    pub is_at_disk: bool,
}

/// Looks at a process and all that it has started. Of one that is gone nothing moves.
pub fn of(process: u32) -> Pulse {
    let mut pulse = Pulse::default();
    for process in tree(process) {
        for thread in numbers(Path::new(&format!("/proc/{process}/task"))) {
            let thread = format!("/proc/{process}/task/{thread}");
            let read = |name: &str| fs::read_to_string(format!("{thread}/{name}"));
            // A thread that has just ended counts as little as one that never was.
            let (Ok(stat), Ok(status)) = (read("stat"), read("status")) else { continue };
            let Some(stat) = Stat::parse(&stat) else { continue };
            pulse.count += stat.ticks + switches(&status);
            pulse.is_at_disk |= stat.state == 'D';
        }
    }
    pulse
}

/// The process and its descendants.
fn tree(process: u32) -> BTreeSet<u32> {
    let parent = |it: u32| {
        let stat = fs::read_to_string(format!("/proc/{it}/stat")).ok()?;
        Some((it, Stat::parse(&stat)?.parent))
    };
    let all: Vec<(u32, u32)> = numbers(Path::new("/proc")).filter_map(parent).collect();
    let mut tree = BTreeSet::from([process]);
    loop {
        let is_new = |it: &&(u32, u32)| tree.contains(&it.1) && !tree.contains(&it.0);
        let more: Vec<u32> = all.iter().filter(is_new).map(|it| it.0).collect();
        if more.is_empty() {
            return tree;
        }
        tree.extend(more);
    }
}

/// The names in a folder of `/proc` that are numbers.
fn numbers(folder: &Path) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|it| it.file_name().to_str()?.parse().ok())
}

/// What counts of a line of `/proc/…/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    state: char,
    parent: u32,
    /// Processor time, in the kernel's unit.
    ticks: u64,
}

impl Stat {
    /// A name may hold blanks and parentheses; what counts comes after the last of them.
    fn parse(line: &str) -> Option<Stat> {
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |n: usize| fields.get(n)?.parse::<u64>().ok();
        Some(Stat {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            ticks: number(11)? + number(12)?,
        })
    }
}

/// How often a thread was switched to or from, as `/proc/…/status` has it.
fn switches(status: &str) -> u64 {
    let counts = status.lines().filter_map(|it| it.split_once("ctxt_switches:"));
    counts.filter_map(|(_, it)| it.trim().parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn it_reads_what_the_kernel_says() {
        let line = "42 (a) b) R 7 42 42 0 -1 4194304 100 0 0 0 11 22 0 0 20 0 1 0 500 1 2";
        assert_eq!(Stat::parse(line), Some(Stat { state: 'R', parent: 7, ticks: 33 }));
        assert_eq!(Stat::parse("42 (cut"), None);
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t45\n";
        assert_eq!(switches(status), 195);
    }

    #[test]
    fn what_a_child_does_counts_and_nothing_moves_once_it_stands() {
        let mut shell = Command::new("sh")
            .args(["-c", "while :; do sleep 0.01; done"])
            .stdin(Stdio::null())
            .spawn()
            .expect("there is a shell");
        let before = of(shell.id());
        let since = std::time::Instant::now();
        while of(shell.id()).count == before.count {
            assert!(since.elapsed() < std::time::Duration::from_secs(30), "it does nothing");
        }
        shell.kill().expect("it is ours");
        shell.wait().expect("it is ours");
        assert_eq!(of(shell.id()), Pulse::default());
    }
}
