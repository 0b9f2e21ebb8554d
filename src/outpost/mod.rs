//! A job container from its start to its end: a process of this program with more within its reach.
//!
//! It outlives whoever started it. What it says is in its log from the first line on, so whoever
//! comes later hears as much as the one who started it.

mod site;

use std::path::Path;

use anyhow::Context;
use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;

pub use self::site::Site;
use crate::engine::{Engine, Error, Progress, Said};
use crate::model::{Container, JOB_LABEL, Outpost, STATE_LABEL};
use crate::plan;
use crate::secret::Secret;
use crate::survey;

/// How long is waited before an engine is asked again that went away.
const PAUSE_BETWEEN_TRIES: Duration = Duration::from_millis(250);

/// How long is waited before one is told again to end that could not be told.
const PAUSE_BETWEEN_STOPS: Duration = Duration::from_secs(1);

/// Nobody starts any more what was made longer ago than this.
const FORGOTTEN: Duration = Duration::from_mins(10);

/// A line of what a job container says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// On its standard output: a [`Line`](crate::lines::Line).
    Line(String),
    /// On its standard error.
    Aside(String),
}

/// How a job container was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It ended, with this exit code.
    Ended(u8),
    /// It is gone: somebody removed it while it was followed.
    Gone,
}

/// A job container that is there.
#[derive(Debug, Clone)]
pub struct Post {
    engine: Engine,
    /// Its identifier.
    pub container: String,
    /// Its name.
    pub name: String,
}

impl Post {
    /// Makes a job container and starts it.
    pub async fn start(
        engine: &Engine,
        outpost: &Outpost,
        password: Option<&Secret>,
    ) -> anyhow::Result<Post> {
        let container = engine.create_outpost(outpost).await.context("making a job container")?;
        let post = Post { engine: engine.clone(), container, name: outpost.name() };
        let started = match password {
            Some(password) => engine.start_telling(&post.container, password).await,
            None => engine.start(&post.container).await,
        };
        if let Err(err) = started {
            // It may have started all the same, and then ends in good order.
            let _ = post.stop().await;
            let _ = post.remove().await;
            return Err(err).context("starting a job container");
        }
        Ok(post)
    }

    /// One that somebody else has started.
    pub fn found(engine: &Engine, left: &Left) -> Post {
        let (container, name) = (left.container.clone(), left.name.clone());
        Post { engine: engine.clone(), container, name }
    }

    /// Hears all that it says from its first line on, until it ends.
    pub async fn follow(&self, hear: &mut (dyn FnMut(Heard) + Send)) -> anyhow::Result<Ending> {
        let mut ear = Ear::default();
        loop {
            match self.listen(&mut ear, hear).await {
                Ok(()) => (),
                Err(Error::NotFound { .. }) => return Ok(Ending::Gone),
                // An engine that is restarted ends what it tells; the container may go on.
                Err(Error::Unreachable { .. } | Error::Refused { .. } | Error::TimedOut { .. }) => {
                }
            }
            match self.engine.progress(&self.container).await {
                Ok(Progress::Ended(code)) => {
                    // What it said last may have come between the end of the log and its own.
                    let _ = self.listen(&mut ear, hear).await;
                    ear.end(hear);
                    return Ok(Ending::Ended(exit_code(code)));
                }
                Err(Error::NotFound { .. }) => return Ok(Ending::Gone),
                Ok(Progress::Made(_) | Progress::Runs) | Err(_) => {
                    sleep(PAUSE_BETWEEN_TRIES).await;
                }
            }
        }
    }

    async fn listen(
        &self,
        ear: &mut Ear,
        hear: &mut (dyn FnMut(Heard) + Send),
    ) -> Result<(), Error> {
        let mut listener = self.engine.listen(&self.container).await?;
        ear.begin();
        while let Some(said) = listener.next().await? {
            ear.take(said, hear);
        }
        Ok(())
    }

    /// Tells it to end in good order, and waits until it has.
    pub async fn stop(&self) -> Result<(), Error> {
        self.engine.stop(&self.container, None).await
    }

    /// Removes it, once all it said was heard.
    pub async fn remove(&self) -> Result<(), Error> {
        self.engine.remove_container(&self.container).await
    }
}

/// Hears again what follows, until `cancel` says that it is to be stopped, and then until its end.
pub async fn follow(
    post: &Post,
    cancel: &CancellationToken,
    hear: &mut (dyn FnMut(Heard) + Send),
) -> anyhow::Result<Ending> {
    let stop = async {
        cancel.cancelled().await;
        // An engine that is away, or slow, has not heard it: what is to be cancelled must not go on.
        while !matches!(post.stop().await, Ok(()) | Err(Error::NotFound { .. })) {
            sleep(PAUSE_BETWEEN_STOPS).await;
        }
        std::future::pending().await
    };
    // It tells what it puts back, and only its end is an answer.
    tokio::select! {
        ending = post.follow(hear) => ending,
        ending = stop => ending,
    }
}

/// Makes lines of two streams, of which the beginning may come several times.
#[derive(Debug, Default)]
struct Ear {
    out: Stream,
    err: Stream,
}

#[derive(Debug, Default)]
struct Stream {
    /// How many bytes were taken in all.
    n_taken: usize,
    /// How many of those are still to come again.
    n_again: usize,
    rest: Vec<u8>,
}

impl Ear {
    /// The log begins anew.
    fn begin(&mut self) {
        for stream in [&mut self.out, &mut self.err] {
            stream.n_again = stream.n_taken;
        }
    }

    fn take(&mut self, said: Said, hear: &mut (dyn FnMut(Heard) + Send)) {
        match said {
            Said::Out(bytes) => self.out.take(&bytes, &mut |it| hear(Heard::Line(it))),
            Said::Err(bytes) => self.err.take(&bytes, &mut |it| hear(Heard::Aside(it))),
        }
    }

    /// What has no end of a line is one, too.
    fn end(&mut self, hear: &mut (dyn FnMut(Heard) + Send)) {
        self.take(Said::Out(Vec::new()), hear);
        for (stream, is_out) in [(&mut self.out, true), (&mut self.err, false)] {
            let rest = std::mem::take(&mut stream.rest);
            if !rest.is_empty() {
                let text = String::from_utf8_lossy(&rest).into_owned();
                hear(if is_out { Heard::Line(text) } else { Heard::Aside(text) });
            }
        }
    }
}

impl Stream {
    fn take(&mut self, bytes: &[u8], hear: &mut dyn FnMut(String)) {
        let n_known = self.n_again.min(bytes.len());
        self.n_again -= n_known;
        let new = &bytes[n_known..];
        self.n_taken += new.len();
        self.rest.extend_from_slice(new);
        while let Some(end) = self.rest.iter().position(|it| *it == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            hear(String::from_utf8_lossy(&line[..end]).into_owned());
        }
    }
}

/// A job container whose starter may be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The job's identifier.
    pub job: String,
    /// The container's identifier.
    pub container: String,
    /// The container's name.
    pub name: String,
    /// Its exit code, where it has ended.
    pub ended: Option<u8>,
}

/// The job containers of a state folder other than this one, if this process runs in one. One that
/// was made and not started has done nothing, and is removed when nobody can be about to start it.
pub async fn left_behind(engine: &Engine, state: &Path) -> anyhow::Result<Vec<Left>> {
    let facts = survey::look(engine).await?.facts;
    let own = plan::own(&facts);
    let state = match own {
        None => Some(state.to_owned()),
        Some(own) => plan::at_host(own, state),
    };
    let Some(state) = state else { return Ok(Vec::new()) };
    let is_own = |it: &Container| own.is_some_and(|own| own.id == it.id);
    let theirs = facts.containers.iter().filter(|it| belongs_to(it, &state) && !is_own(it));
    let mut left = Vec::new();
    for container in theirs {
        match Left::of(engine, container).await {
            Ok(it) => left.extend(it),
            // Somebody else has removed it meanwhile.
            Err(Error::NotFound { .. }) => (),
            Err(err) => return Err(err).context("looking for job containers"),
        }
    }
    Ok(left)
}

impl Left {
    /// Nothing where it never ran.
    async fn of(engine: &Engine, container: &Container) -> Result<Option<Left>, Error> {
        let id = &container.id;
        let ended = match engine.progress(id).await? {
            Progress::Made(age) if age < FORGOTTEN => return Ok(None),
            Progress::Made(_) => return engine.remove_idle_container(id).await.map(|()| None),
            Progress::Runs => None,
            Progress::Ended(code) => Some(exit_code(code)),
        };
        Ok(Some(Left {
            job: container.label(JOB_LABEL).unwrap_or_default().to_owned(),
            container: id.clone(),
            name: container.name.clone(),
            ended,
        }))
    }
}

/// No process of ours ends with another code than these.
fn exit_code(code: i64) -> u8 {
    u8::try_from(code).unwrap_or(1)
}

fn belongs_to(container: &Container, state: &Path) -> bool {
    container.label(JOB_LABEL).is_some()
        && container.label(STATE_LABEL).is_some_and(|it| Path::new(it) == state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_hears_each_line_once_however_often_the_log_begins() {
        let mut ear = Ear::default();
        let mut all = Vec::new();
        let mut hear = |it: Heard| all.push(it);
        let out = |text: &str| Said::Out(text.as_bytes().to_vec());
        ear.begin();
        ear.take(out("one\ntw"), &mut hear);
        ear.take(Said::Err(b"aside\n".to_vec()), &mut hear);
        ear.begin();
        ear.take(out("on"), &mut hear);
        ear.take(out("e\ntwo\nthr"), &mut hear);
        ear.take(Said::Err(b"aside\n".to_vec()), &mut hear);
        ear.begin();
        ear.take(out("one\ntwo\nthree"), &mut hear);
        ear.end(&mut hear);
        let line = |it: &str| Heard::Line(it.to_owned());
        let aside = Heard::Aside("aside".to_owned());
        assert_eq!(all, [line("one"), aside, line("two"), line("three")]);
    }
}
