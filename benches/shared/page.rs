//! What all tables have in common, and the page that keeps them.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use anyhow::Context;

/// The machine in general words.
pub(crate) fn machine() -> anyhow::Result<String> {
    let cores = std::thread::available_parallelism()?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kib = memory.split_whitespace().nth(1).and_then(|it| it.parse::<f64>().ok());
    let gib = kib.context("reading the size of the memory")? / 1024.0 / 1024.0;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel = kernel.split('.').take(2).collect::<Vec<_>>().join(".");
    Ok(format!("{cores} cores, {gib:.0} GiB, Linux {kernel}"))
}

/// Puts tables between the marks of this name in `docs/benchmarks.md`.
pub(crate) fn keep(name: &str, tables: &str) -> anyhow::Result<()> {
    let marks = ["begin", "end"].map(|it| format!("<!-- {name}: {it} -->\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
    let text = fs::read_to_string(&path)?;
    let (before, rest) = text.split_once(&marks[0]).context("the first mark is missing")?;
    let (_, after) = rest.split_once(&marks[1]).context("the last mark is missing")?;
    let text = [before, &marks[0], "\n", tables, &marks[1], after].concat();
    File::create(&path)?.write_all(text.as_bytes())?;
    Ok(())
}

/// The middle of an odd number of values.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The least and the greatest.
pub(crate) fn extremes(values: &[f64]) -> (f64, f64) {
    let best = values.iter().copied().fold(f64::MAX, f64::min);
    (best, values.iter().copied().fold(0.0, f64::max))
}
