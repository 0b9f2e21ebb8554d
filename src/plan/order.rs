//! Who has to run before whom: containers start in this order, and stop in its reverse.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::Path;

use super::labels;
use crate::model::{Container, Mount};

/// Compose's own label: `service:condition:restart,…`.
const DEPENDS_ON: &str = "com.docker.compose.depends_on";

/// The containers with those that others depend on first, and of those that have nothing to do
/// with each other the ones of higher priority. A circle is broken where it is met.
pub fn start_order<'a>(containers: &[&'a Container]) -> Vec<&'a Container> {
    let mut all = containers.to_vec();
    all.sort_by_key(|it| Reverse(labels::priority(it)));
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for container in &all {
        visit(container, &all, &mut seen, &mut order);
    }
    order
}

fn visit<'a>(
    container: &'a Container,
    all: &[&'a Container],
    seen: &mut BTreeSet<&'a str>,
    order: &mut Vec<&'a Container>,
) {
    if !seen.insert(&container.id) {
        return;
    }
    for other in all.iter().filter(|it| depends_on(container, it, all)) {
        visit(other, all, seen, order);
    }
    order.push(container);
}

/// Whether `one` is started only when `other` has been, where both were stopped.
pub(super) fn waits_for(one: &Container, other: &Container, all: &[&Container]) -> bool {
    depends_on(one, other, all) || labels::priority(other) > labels::priority(one)
}

/// Whether `one` asks Compose to be started only when `other` is healthy.
pub(super) fn wants_healthy(one: &Container, other: &Container) -> bool {
    condition(one, other) == Some("service_healthy")
}

/// Whether two paths of the host have anything in common.
pub(super) fn overlaps(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// Whether `one` needs `other`. What people wrote down counts more than what mounts look like.
fn depends_on(one: &Container, other: &Container, all: &[&Container]) -> bool {
    says_so(one, other) || (reads_from(one, other) && !is_reached(other, one, all))
}

/// By Compose's label, or because it has joined the other's network.
fn says_so(one: &Container, other: &Container) -> bool {
    one.has_joined(other) || condition(one, other).is_some()
}

/// The condition under which `one` may start after `other`; none where it does not depend on it.
fn condition<'a>(one: &'a Container, other: &Container) -> Option<&'a str> {
    let service = other.service().filter(|_| one.project() == other.project())?;
    let all = one.label(DEPENDS_ON).filter(|_| one.project().is_some())?;
    all.split(',').find_map(|it| {
        let mut words = it.split(':');
        (words.next() == Some(service)).then(|| words.next().unwrap_or_default())
    })
}

/// Whether `one` may only read a place that `other` writes.
fn reads_from(one: &Container, other: &Container) -> bool {
    let has = |it: &&Mount| !it.source.as_os_str().is_empty();
    let written = |container: &Container, source: &Path| {
        let mut mounts = container.mounts.iter().filter(has).filter(|it| it.writable);
        mounts.any(|it| overlaps(&it.source, source))
    };
    let mut read = one.mounts.iter().filter(has).filter(|it| !it.writable);
    one.id != other.id && read.any(|it| written(other, &it.source) && !written(one, &it.source))
}

/// Whether the way from `one` along what people wrote down leads to `other`.
fn is_reached(one: &Container, other: &Container, all: &[&Container]) -> bool {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut ahead = vec![one];
    while let Some(next) = ahead.pop() {
        if next.id == other.id {
            return true;
        }
        if seen.insert(&next.id) {
            ahead.extend(all.iter().filter(|it| says_so(next, it)));
        }
    }
    false
}
