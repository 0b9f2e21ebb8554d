//! What the events of a journal leave open.

use super::{Event, OpenHold, OpenSwap, OwedAfter, RawPath, Stage, Story};

/// What nobody has closed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Open {
    /// Unfinished files.
    pub drafts: Vec<RawPath>,
    /// Folders with what was extracted.
    pub stagings: Vec<RawPath>,
    /// Containers, in the order in which they were held.
    pub holds: Vec<OpenHold>,
    /// Commands that have not run.
    pub afters: Vec<OwedAfter>,
    /// The exchange of old and new content.
    pub swap: Option<OpenSwap>,
    /// Marks of boot tests of which something may be left.
    pub boots: Vec<String>,
    /// Numbers of lines that could not be read, and may have told more.
    pub unreadable: Vec<usize>,
}

/// What these events leave open.
pub fn open(events: &[Event]) -> Open {
    let mut open = Open::default();
    for event in events {
        match event.clone() {
            Event::Began { .. } => (),
            Event::Unreadable { line } => open.unreadable.push(line),
            Event::DraftIntended { path } => open.drafts.push(path),
            Event::StagingIntended { folders } => open.stagings.extend(folders),
            Event::StagingDone => open.stagings.clear(),
            Event::HoldIntended(hold) => {
                let name = &hold.container.name;
                match open.holds.iter_mut().find(|it| it.container.name == *name) {
                    // What it did before the first hold is what it has to do in the end.
                    Some(first) => (first.at, first.is_stopped) = (hold.at, hold.is_stopped),
                    None => open.holds.push(hold),
                }
            }
            Event::Stopped { name } => {
                let held = open.holds.iter_mut().filter(|it| it.container.name == name);
                held.for_each(|it| it.is_stopped = true);
            }
            Event::Released { name } => open.holds.retain(|it| it.container.name != name),
            Event::AfterOwed(after) => open.afters.push(after),
            Event::AfterDone { name } => open.afters.retain(|it| it.container.name != name),
            Event::SwapIntended(swap) => open.swap = Some(swap),
            Event::SwapLeft => open.reach(Stage::Left),
            Event::BackIntended => open.reach(Stage::Underway),
            Event::Proved => open.reach(Stage::Proved),
            Event::SwapDone => open.swap = None,
            Event::BootIntended { mark } => open.boots.push(mark),
            Event::BootGone { mark } => open.boots.retain(|it| *it != mark),
            Event::Ended => open.drafts.clear(),
        }
    }
    open
}

/// What kind of run the events tell of, where they say.
pub fn story(events: &[Event]) -> Option<Story> {
    events.iter().rev().find_map(|it| match it {
        Event::Began { story, .. } => Some(*story),
        _ => None,
    })
}

/// The process that wrote the events, where they say.
pub fn writer(events: &[Event]) -> Option<u32> {
    events.iter().rev().find_map(|it| match it {
        Event::Began { pid, .. } => Some(*pid),
        _ => None,
    })
}

impl Open {
    /// Whether there is nothing to close.
    pub fn is_empty(&self) -> bool {
        *self == Open::default()
    }

    fn reach(&mut self, stage: Stage) {
        self.swap.iter_mut().for_each(|it| it.stage = stage);
    }

    /// The events that leave this open.
    pub fn events(self) -> Vec<Event> {
        let drafts = self.drafts.into_iter().map(|path| Event::DraftIntended { path });
        let folders = self.stagings;
        let stagings = (!folders.is_empty()).then_some(Event::StagingIntended { folders });
        let swap = self.swap.map(Event::SwapIntended);
        let holds = self.holds.into_iter().map(Event::HoldIntended);
        let afters = self.afters.into_iter().map(Event::AfterOwed);
        let boots = self.boots.into_iter().map(|mark| Event::BootIntended { mark });
        drafts.chain(stagings).chain(holds).chain(afters).chain(swap).chain(boots).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;
    use crate::journal::Story;
    use crate::model::{State, Who};
    use crate::plan::How;

    pub(in crate::journal) fn hold(name: &str, was: State) -> Event {
        let container = Who { id: format!("{name}-id"), name: name.to_owned(), compose: None };
        let (how, needs) = (How::Pause, Vec::new());
        let (stop_timeout_seconds, at, is_stopped) = (None, 1, false);
        let hold = OpenHold { container, how, was, stop_timeout_seconds, needs, at, is_stopped };
        Event::HoldIntended(hold)
    }

    pub(in crate::journal) fn after(name: &str) -> Event {
        let container = Who { id: format!("{name}-id"), name: name.to_owned(), compose: None };
        let command = "true".to_owned();
        Event::AfterOwed(OwedAfter { container, command, user: None, timeout_seconds: 60 })
    }

    pub(in crate::journal) fn released(name: &str) -> Event {
        Event::Released { name: name.to_owned() }
    }

    pub(in crate::journal) fn stopped(name: &str) -> Event {
        Event::Stopped { name: name.to_owned() }
    }

    pub(in crate::journal) fn draft(path: &str) -> Event {
        Event::DraftIntended { path: Path::new(path).into() }
    }

    fn staging(path: &str) -> Event {
        Event::StagingIntended { folders: vec![Path::new(path).into()] }
    }

    fn swap(backup: &str) -> Event {
        let backup = backup.to_owned();
        let (mounts, holds, stage) = (Vec::new(), Vec::new(), Stage::Underway);
        Event::SwapIntended(OpenSwap { backup, mounts, holds, stage })
    }

    /// What stays open, in one word each.
    pub(in crate::journal) fn told(open: &Open) -> String {
        let mut words: Vec<String> =
            open.drafts.iter().map(|it| it.display().to_string()).collect();
        words.extend(open.holds.iter().map(|it| {
            let stopped = if it.is_stopped { " stopped" } else { "" };
            format!("{} {:?}{stopped}", it.container.name, it.was)
        }));
        words.extend(open.afters.iter().map(|it| format!("after {}", it.container.name)));
        words.extend(open.stagings.iter().map(|it| it.display().to_string()));
        words.extend(open.swap.iter().map(|it| format!("swap {} {:?}", it.backup, it.stage)));
        words.extend(open.boots.iter().map(|it| format!("boot {it}")));
        words.join(", ")
    }

    #[test]
    fn what_nobody_closed_is_open() {
        use State::{Paused, Running};
        let began = Event::Began { story: Story::Backup, pid: 7 };
        let done = Event::AfterDone { name: "a".to_owned() };
        let boot = |mark: &str| Event::BootIntended { mark: mark.to_owned() };
        let gone = |mark: &str| Event::BootGone { mark: mark.to_owned() };
        let cases = [
            (vec![], ""),
            (vec![began.clone(), Event::Ended], ""),
            (vec![began, draft("/x.partial")], "/x.partial"),
            (vec![draft("/x.partial"), Event::Ended], ""),
            (vec![hold("a", Running), hold("b", Paused)], "a Running, b Paused"),
            (vec![hold("a", Running), hold("b", Running), released("a")], "b Running"),
            (vec![hold("a", Running), Event::Ended], "a Running"),
            (vec![hold("a", Running), hold("a", State::Stopped)], "a Running"),
            (vec![hold("a", Running), released("a"), hold("a", Paused)], "a Paused"),
            (vec![hold("a", Running), hold("a", Running), released("a")], ""),
            (vec![released("a")], ""),
            (
                vec![hold("a", Running), hold("b", Running), stopped("a")],
                "a Running stopped, b Running",
            ),
            (vec![hold("a", Running), stopped("a"), hold("a", Paused)], "a Running"),
            (vec![hold("a", Running), stopped("a"), released("a")], ""),
            (vec![after("a"), after("b"), done], "after b"),
            (vec![staging("/a/s"), staging("/b/s"), Event::Ended], "/a/s, /b/s"),
            (vec![staging("/a/s"), Event::StagingDone], ""),
            (vec![swap("x"), Event::Ended], "swap x Underway"),
            (vec![swap("x"), Event::SwapDone], ""),
            (vec![swap("x"), Event::SwapDone, swap("y")], "swap y Underway"),
            (vec![swap("x"), Event::SwapLeft], "swap x Left"),
            (vec![swap("x"), Event::SwapLeft, Event::BackIntended], "swap x Underway"),
            (vec![swap("x"), Event::SwapLeft, Event::Proved], "swap x Proved"),
            (vec![Event::Proved], ""),
            (vec![boot("1"), boot("2"), gone("1"), Event::Ended], "boot 2"),
        ];
        for (events, expected) in cases {
            let found = open(&events);
            assert_eq!(told(&found), expected, "{events:?}");
            assert_eq!(found.is_empty(), expected.is_empty(), "{events:?}");
            // What is carried over is open again, and nothing else is.
            assert_eq!(open(&found.clone().events()), found, "{events:?}");
        }
    }
}
