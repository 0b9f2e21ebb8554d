//! The one task that owns the jobs. It feeds the watchdog of systemd too: what feeds is what works.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::life::Life;
use super::run::Running;
use super::story::failed;
use super::{Handle, Job, Place, Queue, Refused, Request, State, Story, Withdrawn, Word};
use crate::exit::Exit;
use crate::island::island;
use crate::lines::Line;
use crate::{log, pulse, systemd};

/// How many jobs are remembered that are over.
const REMEMBERED: usize = 20;

/// How many words may wait for the worker, which takes them at once.
const WORDS: usize = 16;

/// How often systemd hears of a job that is being ended, and by how much more it then waits.
const ENDING: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));

/// The part of the watchdog's interval after which it is fed.
const FEEDS: u32 = 4;

/// The part of the interval for which a job may show no sign of life. The other half is for the
/// time between two looks, and for what a busy machine adds.
const PATIENCE: u32 = 2;

/// What systemd shows while nothing runs.
pub fn idle(settings_error: Option<&str>) -> String {
    match settings_error {
        None => "ready".to_owned(),
        Some(err) => format!("ready, with the settings as they were before: {err}"),
    }
}

/// The owner of all jobs.
#[derive(Debug)]
pub struct Worker {
    place: watch::Receiver<Arc<Place>>,
    settings_error: watch::Receiver<Option<String>>,
    watchdog: Option<Duration>,
    queue: Queue,
    words: mpsc::Receiver<Word>,
    state: watch::Sender<State>,
    /// What those that wait and the one that runs tell.
    stories: BTreeMap<String, watch::Sender<Story>>,
    running: Option<Task>,
    n_jobs: u64,
    tick: Option<Interval>,
    is_closing: bool,
}

/// The job that runs.
#[derive(Debug)]
struct Task {
    id: String,
    task: JoinHandle<u8>,
    cancel: CancellationToken,
    stop: CancellationToken,
    life: Life,
}

impl Worker {
    /// A worker, to be run, and the way to it.
    pub fn new(
        place: watch::Receiver<Arc<Place>>,
        settings_error: watch::Receiver<Option<String>>,
        watchdog: Option<Duration>,
    ) -> (Worker, Handle) {
        let (to_worker, words) = mpsc::channel(WORDS);
        let (state, states) = watch::channel(State::default());
        let worker = Worker {
            place,
            settings_error,
            watchdog,
            queue: Queue::default(),
            words,
            state,
            stories: BTreeMap::new(),
            running: None,
            n_jobs: 0,
            tick: None,
            is_closing: false,
        };
        (worker, Handle { words: to_worker, state: states })
    }

    /// Works until it is told to close and the last job has ended.
    pub async fn run(mut self) {
        self.tick = self.watchdog.map(|it| ticks(it / FEEDS));
        while !self.is_closing || self.running.is_some() {
            self.begin();
            tokio::select! {
                word = self.words.recv() => self.heard(word.unwrap_or(Word::Close)),
                code = end(&mut self.running) => self.ended(code),
                () = next(&mut self.tick) => self.look().await,
            }
        }
    }

    fn heard(&mut self, word: Word) {
        match word {
            Word::Submit(request, answer) => {
                // Who went away meanwhile has asked nevertheless, and may ask again.
                let _ = answer.send(self.submit(request));
            }
            Word::Withdraw(id, answer) => {
                let _ = answer.send(self.withdraw(&id));
            }
            Word::Close => self.close(),
        }
    }

    fn submit(&mut self, request: Request) -> Result<String, Refused> {
        let now = Timestamp::now();
        self.n_jobs += 1;
        // To the microsecond: other daemons on this engine name the containers of their jobs so, too.
        let id = format!("{}-{}", now.strftime("%Y%m%d-%H%M%S-%6f"), self.n_jobs);
        let (by, words) = (request.by, request.words.clone());
        let taken = self.queue.offer(id.clone(), request)?;
        if taken == id {
            let (sender, story) = watch::channel(Story::new());
            self.stories.insert(id.clone(), sender);
            let kind = self.queue.waiting().last().map(|it| it.kind).ok_or(Refused::NoJob)?;
            let job = Arc::new(Job { id, kind, words, by, since: now, story });
            self.state.send_modify(|it| it.waiting.push(job));
        }
        Ok(taken)
    }

    fn withdraw(&mut self, id: &str) -> Withdrawn {
        let withdrawn = self.queue.withdraw(id);
        match withdrawn {
            Withdrawn::Gone => self.drop_waiting(id, "cancelled", Exit::Cancelled),
            Withdrawn::Runs => {
                if let Some(task) = &self.running {
                    task.cancel.cancel();
                }
            }
            Withdrawn::Unknown | Withdrawn::Wanted => (),
        }
        withdrawn
    }

    fn close(&mut self) {
        for entry in self.queue.close() {
            self.drop_waiting(&entry.id, &Refused::Closing.to_string(), Exit::Busy);
        }
        if let Some(task) = &self.running {
            task.stop.cancel();
        }
        if !self.is_closing {
            self.is_closing = true;
            let longest = self.watchdog.map_or(ENDING.0, |it| ENDING.0.min(it / FEEDS));
            self.tick = Some(ticks(longest));
        }
    }

    /// A job that waited ends without having begun.
    fn drop_waiting(&mut self, id: &str, why: &str, exit: Exit) {
        let Some(story) = self.stories.remove(id) else { return };
        story.send_modify(|it| {
            it.hear(failed(why, exit));
            it.hear(Line::Ended(exit as u8));
        });
        self.state.send_modify(|it| {
            let n = it.waiting.iter().position(|job| job.id == id);
            let job = n.map(|n| it.waiting.remove(n));
            remember(it, job);
        });
    }

    /// Begins the next job where none runs.
    fn begin(&mut self) {
        if self.is_closing {
            return;
        }
        let Some(entry) = self.queue.begin() else { return };
        let Some(story) = self.stories.get(&entry.id).cloned() else { return };
        let (id, request) = (entry.id.clone(), entry.request.clone());
        let (cancel, stop) = (CancellationToken::new(), CancellationToken::new());
        self.state.send_modify(|it| {
            let n = it.waiting.iter().position(|job| job.id == id);
            let waited = n.map(|n| it.waiting.remove(n));
            it.running =
                waited.map(|it| Arc::new(Job { since: Timestamp::now(), ..Job::clone(&it) }));
        });
        let place = self.place.borrow().clone();
        let (its_id, its_cancel, its_stop) = (id.clone(), cancel.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let told = log::Story::new(place.log.clone(), &its_id, request.profile());
            let (id, request, story, told) = (&its_id, &request, &story, &told);
            let (place, cancel, stop) = (&place, &its_cancel, &its_stop);
            Running { place, id, request, story, told, cancel, stop }.run().await
        });
        let limit = self.watchdog.map_or(Duration::MAX, |it| it / PATIENCE);
        self.running =
            Some(Task { id, task, cancel, stop, life: Life::new(limit, Instant::now()) });
    }

    /// The job that ran is over.
    fn ended(&mut self, code: u8) {
        self.queue.end();
        let Some(task) = self.running.take() else { return };
        if let Some(story) = self.stories.remove(&task.id) {
            story.send_modify(|it| it.hear(Line::Ended(code)));
        }
        self.state.send_modify(|it| {
            let job = it.running.take();
            remember(it, job);
        });
        systemd::status(&idle(self.settings_error.borrow().as_deref()));
    }

    /// Tells systemd that all is well, if it is.
    async fn look(&mut self) {
        if let Some(task) = &mut self.running {
            let Some(story) = self.stories.get(&task.id) else { return };
            let (said, process) = {
                let story = story.borrow();
                (story.said(), story.process)
            };
            // Between two processes it is this program that works.
            if let Some(process) = process {
                let look = island("looking at the job", move || Ok(pulse::of(process))).await;
                if !task.life.look(Instant::now(), &said, look.unwrap_or_default()) {
                    return;
                }
            }
        }
        if self.watchdog.is_some() {
            systemd::alive();
        }
        if self.is_closing {
            systemd::extend(ENDING.1);
        }
    }
}

/// Keeps the outcome of a job, and forgets the oldest.
fn remember(state: &mut State, job: Option<Arc<Job>>) {
    let Some(job) = job else { return };
    let (_, story) = watch::channel(job.story.borrow().outcome());
    state.ended.push_front(Arc::new(Job { story, ..Job::clone(&job) }));
    state.ended.truncate(REMEMBERED);
}

fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The exit code of the job that runs; never where none does.
async fn end(running: &mut Option<Task>) -> u8 {
    match running {
        // One that panicked says no code.
        Some(task) => (&mut task.task).await.unwrap_or(Exit::Failed as u8),
        None => std::future::pending().await,
    }
}

/// The next tick; never where nobody needs one.
async fn next(tick: &mut Option<Interval>) {
    match tick {
        Some(tick) => {
            tick.tick().await;
        }
        None => std::future::pending().await,
    }
}
