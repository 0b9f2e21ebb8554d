//! The copies of the containers, on a network of their own.

use tokio_util::sync::CancellationToken;

use super::name;
use crate::engine::Engine;
use crate::island::island;
use crate::model::{Join, Replica, ReplicaMount};
use crate::plan::{BootMount, BootPlan, Copied};
use crate::signals;
use crate::throwaway::Throwaway;

/// The name of a container's copy.
pub(super) fn copy_of(mark: &str, container: &str) -> String {
    name(mark, container)
}

/// Makes the network and all copies; none of them runs yet.
pub(super) async fn make(
    engine: &Engine,
    mark: &str,
    throwaway: &Throwaway,
    plan: &BootPlan,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    signals::check(cancel)?;
    let network = name(mark, "network");
    engine.create_network(&network, mark).await?;
    let (throwaway, copies) = (throwaway.clone(), plan.copies.clone());
    let network_of = |it: &Copied| match &it.joins {
        Some(other) => Join::Container(copy_of(mark, other)),
        None => Join::Network { name: network.clone(), aliases: it.aliases.clone() },
    };
    let joins: Vec<Join> = copies.iter().map(network_of).collect();
    let mounts = island("looking at what was extracted", move || {
        Ok(copies.iter().map(|it| mounts(it, &throwaway)).collect::<Vec<_>>())
    })
    .await?;
    for ((copied, join), mounts) in plan.copies.iter().zip(joins).zip(mounts) {
        signals::check(cancel)?;
        let replica =
            Replica { of: copied.of.clone(), name: copy_of(mark, &copied.name), join, mounts };
        engine.create_replica(&replica, mark).await?;
    }
    Ok(())
}

fn mounts(copied: &Copied, throwaway: &Throwaway) -> Vec<ReplicaMount> {
    let mount = |it: &BootMount| ReplicaMount {
        source: throwaway.source(&it.from),
        destination: it.destination.clone(),
        writable: it.writable,
    };
    copied.mounts.iter().map(mount).collect()
}
