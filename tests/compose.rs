//! `packaging/compose.yaml` for real: the sidecar from the project's own Dockerfile beside a home,
//! with nothing mounted of what it backs up.
//!
//! Docker, Compose and the images of `tests/lab/images` must be there; without them the tests fail.

#[path = "compose/image.rs"]
mod image;
#[path = "compose/killed.rs"]
mod killed;
#[path = "compose/listed.rs"]
mod listed;
#[path = "compose/project.rs"]
mod project;
#[path = "compose/story.rs"]
mod story;
#[path = "compose/through.rs"]
mod through;

mod support;
