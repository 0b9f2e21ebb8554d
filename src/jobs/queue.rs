//! In which order jobs are done: policy alone, without a clock and without anybody who waits.
//!
//! One runs at a time, the others in the order in which they came. A request equal to one that
//! waits is the same job. A restore lets go first what came before it, and lets nothing in after
//! it: whoever asks for a backup then would get one of a home that is being replaced.

use std::collections::VecDeque;

use super::request::{Kind, Request};

/// A job that waits or runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its identifier.
    pub id: String,
    /// What it does.
    pub kind: Kind,
    /// What is asked for.
    pub request: Request,
    /// How many want it.
    pub askers: usize,
}

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No job is called so.
    #[error("no job goes by this name: there are backup, restore, verify and prune")]
    NoJob,
    /// A restore waits or runs.
    #[error("a restore is under way; ask again when it is over")]
    Restore,
    /// The daemon ends.
    #[error("hearthkeep is being stopped; ask again when it runs")]
    Closing,
}

/// What became of a job that somebody does not want any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawn {
    /// There is no such job.
    Unknown,
    /// Somebody else still wants it.
    Wanted,
    /// It waited, and is gone.
    Gone,
    /// It runs, and has to be cancelled.
    Runs,
}

/// The jobs that wait, and the one that runs.
#[derive(Debug, Default)]
pub struct Queue {
    running: Option<Entry>,
    waiting: VecDeque<Entry>,
    is_closing: bool,
}

impl Queue {
    /// Takes a request, which gets this identifier unless an equal one waits already; gives the
    /// identifier that it has.
    ///
    /// # Errors
    /// [`Refused`], with the reason.
    pub fn offer(&mut self, id: String, request: Request) -> Result<String, Refused> {
        let kind = request.kind().ok_or(Refused::NoJob)?;
        if self.is_closing {
            return Err(Refused::Closing);
        }
        if let Some(same) = self.waiting.iter_mut().find(|it| it.request.is_same(&request)) {
            same.askers += 1;
            return Ok(same.id.clone());
        }
        if self.running.iter().chain(&self.waiting).any(|it| it.kind == Kind::Restore) {
            return Err(Refused::Restore);
        }
        self.waiting.push_back(Entry { id: id.clone(), kind, request, askers: 1 });
        Ok(id)
    }

    /// The job to begin now, which runs from here on; nothing where one runs or none waits.
    pub fn begin(&mut self) -> Option<&Entry> {
        if self.running.is_some() {
            return None;
        }
        self.running = self.waiting.pop_front();
        self.running.as_ref()
    }

    /// The job that ran has ended.
    pub fn end(&mut self) -> Option<Entry> {
        self.running.take()
    }

    /// Somebody who asked for it does not want it any more.
    pub fn withdraw(&mut self, id: &str) -> Withdrawn {
        let all = self.running.iter_mut().chain(&mut self.waiting);
        let Some(entry) = all.into_iter().find(|it| it.id == id) else { return Withdrawn::Unknown };
        entry.askers = entry.askers.saturating_sub(1);
        if entry.askers > 0 {
            return Withdrawn::Wanted;
        }
        let n_before = self.waiting.len();
        self.waiting.retain(|it| it.id != id);
        if self.waiting.len() < n_before { Withdrawn::Gone } else { Withdrawn::Runs }
    }

    /// Takes nothing any more; gives those that waited and will not be done.
    pub fn close(&mut self) -> Vec<Entry> {
        self.is_closing = true;
        self.waiting.drain(..).collect()
    }

    /// The job that runs.
    pub fn running(&self) -> Option<&Entry> {
        self.running.as_ref()
    }

    /// The jobs that wait, the next one first.
    pub fn waiting(&self) -> impl Iterator<Item = &Entry> {
        self.waiting.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::request::By;
    use super::*;

    fn request(words: &[&str], by: By) -> Request {
        Request {
            words: words.iter().map(|it| (*it).to_owned()).collect(),
            variables: std::collections::BTreeMap::new(),
            folder: None,
            password: None,
            by,
        }
    }

    /// What may happen to a queue.
    #[derive(Debug, Clone)]
    enum Deed {
        Offer(usize, By),
        Begin,
        End,
        /// One of the jobs that there ever were.
        Withdraw(usize),
        Close,
    }

    const WORDS: [&[&str]; 6] = [
        &["backup"],
        &["backup", "--profile", "night"],
        &["verify", "x"],
        &["prune"],
        &["restore", "x"],
        &["restore", "y"],
    ];

    fn deed() -> impl Strategy<Value = Deed> {
        let by = prop_oneof![Just(By::Socket), Just(By::Schedule)];
        prop_oneof![
            8 => (0..WORDS.len(), by).prop_map(|(n, by)| Deed::Offer(n, by)),
            4 => Just(Deed::Begin),
            3 => Just(Deed::End),
            4 => (0..2000_usize).prop_map(Deed::Withdraw),
            1 => (0..200_u8).prop_map(|it| if it == 0 { Deed::Close } else { Deed::Begin }),
        ]
    }

    /// The same policy without a queue: a list of all jobs that there ever were, each with what it
    /// is now.
    #[derive(Debug, Default)]
    struct Model {
        /// Index of words, askers, place.
        jobs: Vec<(usize, usize, Place)>,
        is_closing: bool,
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Place {
        Waits,
        Runs,
        Over,
    }

    impl Model {
        fn is_restore(words: usize) -> bool {
            WORDS[words][0] == "restore"
        }

        fn first(&self, place: Place) -> Option<usize> {
            self.jobs.iter().position(|it| it.2 == place)
        }

        fn offer(&mut self, words: usize) -> Result<usize, Refused> {
            if self.is_closing {
                return Err(Refused::Closing);
            }
            let same = self.jobs.iter().position(|it| it.0 == words && it.2 == Place::Waits);
            if let Some(n) = same {
                self.jobs[n].1 += 1;
                return Ok(n);
            }
            if self.jobs.iter().any(|it| it.2 != Place::Over && Model::is_restore(it.0)) {
                return Err(Refused::Restore);
            }
            self.jobs.push((words, 1, Place::Waits));
            Ok(self.jobs.len() - 1)
        }

        fn withdraw(&mut self, n: usize) -> Withdrawn {
            let Some(job) = self.jobs.get_mut(n).filter(|it| it.2 != Place::Over) else {
                return Withdrawn::Unknown;
            };
            job.1 = job.1.saturating_sub(1);
            match (job.1, job.2) {
                (0, Place::Runs) => Withdrawn::Runs,
                (0, _) => {
                    job.2 = Place::Over;
                    Withdrawn::Gone
                }
                _ => Withdrawn::Wanted,
            }
        }
    }

    /// What a model has at the beginning of its life belongs to it as the queue has it.
    fn assert_same(queue: &Queue, model: &Model) {
        let at = |place: Place| {
            let jobs = model.jobs.iter().enumerate().filter(move |(_, it)| it.2 == place);
            jobs.map(|(n, it)| (n.to_string(), it.1)).collect::<Vec<_>>()
        };
        let told = |it: &Entry| (it.id.clone(), it.askers);
        assert_eq!(queue.running().map(told).into_iter().collect::<Vec<_>>(), at(Place::Runs));
        assert_eq!(queue.waiting().map(told).collect::<Vec<_>>(), at(Place::Waits));
        // What follows from the rules, whatever the model says.
        let waiting: Vec<&Entry> = queue.waiting().collect();
        let words: BTreeSet<&Vec<String>> = waiting.iter().map(|it| &it.request.words).collect();
        assert_eq!(words.len(), waiting.len(), "equal ones wait once");
        let all: Vec<&Entry> = queue.running().into_iter().chain(waiting).collect();
        let restore = all.iter().position(|it| it.kind == Kind::Restore);
        assert!(restore.is_none_or(|n| n == all.len() - 1), "nothing comes after a restore");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn it_does_what_the_model_does(deeds in prop::collection::vec(deed(), 1000..1500)) {
            let (mut queue, mut model) = (Queue::default(), Model::default());
            for deed in deeds {
                match deed {
                    Deed::Offer(words, by) => {
                        let id = model.jobs.len().to_string();
                        let taken = queue.offer(id, request(WORDS[words], by));
                        prop_assert_eq!(taken, model.offer(words).map(|it| it.to_string()));
                    }
                    Deed::Begin => {
                        let begun = queue.begin().map(|it| it.id.clone());
                        let next = model.first(Place::Waits);
                        let next = next.filter(|_| model.first(Place::Runs).is_none());
                        prop_assert_eq!(begun, next.map(|it| it.to_string()));
                        next.into_iter().for_each(|it| model.jobs[it].2 = Place::Runs);
                    }
                    Deed::End => {
                        let ended = queue.end().map(|it| it.id);
                        let runs = model.first(Place::Runs);
                        prop_assert_eq!(ended, runs.map(|it| it.to_string()));
                        runs.into_iter().for_each(|it| model.jobs[it].2 = Place::Over);
                    }
                    Deed::Withdraw(n) => {
                        let n = n % (model.jobs.len() + 1);
                        prop_assert_eq!(queue.withdraw(&n.to_string()), model.withdraw(n));
                    }
                    Deed::Close => {
                        let dropped: Vec<String> =
                            queue.close().into_iter().map(|it| it.id).collect();
                        let waited: Vec<usize> = (0..model.jobs.len())
                            .filter(|it| model.jobs[*it].2 == Place::Waits)
                            .collect();
                        let names: Vec<String> = waited.iter().map(usize::to_string).collect();
                        prop_assert_eq!(dropped, names);
                        waited.into_iter().for_each(|it| model.jobs[it].2 = Place::Over);
                        model.is_closing = true;
                    }
                }
                assert_same(&queue, &model);
            }
        }
    }

    #[test]
    fn what_is_no_job_is_refused() {
        let mut queue = Queue::default();
        for words in [&["list"][..], &[], &["--json", "backup"]] {
            let refused = queue.offer("1".to_owned(), request(words, By::Socket));
            assert_eq!(refused, Err(Refused::NoJob), "{words:?}");
        }
    }

    #[test]
    fn other_settings_make_another_job() {
        let mut queue = Queue::default();
        let plain = request(&["backup"], By::Socket);
        let folder = Request { folder: Some("/srv".into()), ..plain.clone() };
        let password =
            Request { password: Some(crate::secret::Secret::new("x".to_owned())), ..plain.clone() };
        let due = Request { by: By::Schedule, ..plain.clone() };
        let all = [plain, folder, password, due];
        let ids = all.map(|it| queue.offer(queue.waiting().count().to_string(), it));
        assert_eq!(ids, ["0", "1", "2", "0"].map(|it| Ok(it.to_owned())));
    }
}
