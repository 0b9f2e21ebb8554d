//! A short run of what is fuzzed (`fuzz/`), in each `make test`: the corpus, the example archives, and
//! the same some thousand times altered, always in the same way. What is new is found by libFuzzer,
//! see `CONTRIBUTING.md`; what it found stays away because of this.

use std::fs::{self, File};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub)] // What is public there is so for the targets of libFuzzer.
mod targets;

/// A slow machine alters less: all functions together take no longer than this, four at a time.
const MOST_TIME: Duration = Duration::from_secs(6);

/// libFuzzer's own corpora keep to this, too.
const MAX_BYTES: usize = 64 * 1024;

/// Numbers that look random and are always the same (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `n`, which is not 0.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// A piece of so many bytes, mostly a short one.
    fn piece(&mut self, n: usize) -> std::ops::Range<usize> {
        let begin = self.below(n + 1);
        let most = if self.below(4) == 0 { 1024 } else { 16 };
        begin..begin + self.below((n - begin).min(most) + 1)
    }
}

/// What is altered: a bit, a byte, a digit, the end, a piece, a block.
fn alter(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    const BLOCK: usize = 512;
    const TELLING: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'0', b'7', b'9'];
    let n = bytes.len();
    match random.below(9) {
        0 | 1 if n > 0 => bytes[random.below(n)] ^= 1 << random.below(8),
        2 if n > 0 => bytes[random.below(n)] = TELLING[random.below(TELLING.len())],
        3 => {
            let digits: Vec<usize> = (0..n).filter(|it| bytes[*it].is_ascii_digit()).collect();
            if !digits.is_empty() {
                bytes[digits[random.below(digits.len())]] = b'0' + random.below(10) as u8;
            }
        }
        4 => bytes.truncate(random.below(n + 1)),
        5 => drop(bytes.drain(random.piece(n))),
        6 => {
            let (piece, at) = (other[random.piece(other.len())].to_vec(), random.below(n + 1));
            bytes.splice(at..at, piece);
        }
        7 => {
            let (piece, at) = (other[random.piece(other.len())].to_vec(), random.below(n + 1));
            bytes.splice(at..(at + piece.len()).min(n), piece);
        }
        _ if n >= BLOCK => {
            let (from, at) = (random.below(n / BLOCK), random.below(n / BLOCK));
            let block = bytes[from * BLOCK..(from + 1) * BLOCK].to_vec();
            let end = if random.below(2) == 0 { at } else { at + 1 };
            bytes.splice(at * BLOCK..end * BLOCK, block);
        }
        _ => bytes.push(random.below(256) as u8),
    }
    bytes.truncate(MAX_BYTES);
}

/// Runs a function on what there is for it, then altered; `repair` makes sums right again.
fn run(name: &str, n: usize, function: fn(&[u8]), repair: fn(&mut [u8])) {
    let check = |what: &str, bytes: &[u8]| {
        if catch_unwind(AssertUnwindSafe(|| function(bytes))).is_err() {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
            let kept = File::create(&path).and_then(|mut it| it.write_all(bytes));
            kept.expect("it can be kept");
            panic!("{name}: {what}, kept as {}", path.display());
        }
    };
    let there = seeds(name);
    assert!(!there.is_empty(), "{name} has no corpus");
    there.iter().for_each(|(path, bytes)| check(&path.display().to_string(), bytes));
    let (mut random, end) = (Random(0x9e37_79b9_7f4a_7c15), Instant::now() + MOST_TIME);
    let mut done = 0;
    while done < n && Instant::now() < end {
        let (path, bytes) = &there[random.below(there.len())];
        let (other, mut bytes) = (&there[random.below(there.len())].1, bytes.clone());
        for _ in 0..=random.below(4) {
            alter(&mut bytes, other, &mut random);
        }
        repair(&mut bytes);
        check(&format!("{} altered, the {done}th", path.display()), &bytes);
        done += 1;
    }
    println!("{name}: {} as they are, {done} altered", there.len());
}

fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = files(&here.join("fuzz/corpus").join(name));
    if name == "outer" {
        files.extend(self::files(&here.join("tests/archives")));
    }
    files.retain(|it| it.extension().is_none_or(|it| it == "tar"));
    files.sort();
    files.into_iter().map(|it| (it.clone(), fs::read(it).expect("it can be read"))).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|it| it.expect("an entry").path()).collect()
}

/// Makes the sum of each header right, else nothing behind it would be read.
fn sums(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512).filter(|it| it[257..262] == *b"ustar") {
        let others = block[..148].iter().chain(&block[156..]);
        let sum = others.fold(8 * u32::from(b' '), |sum, it| sum + u32::from(*it));
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

/// The same behind the byte that says what it is.
fn sums_behind(bytes: &mut [u8]) {
    if let Some((_, tar)) = bytes.split_first_mut() {
        sums(tar);
    }
}

#[test]
fn metadata() {
    run("metadata", 20_000, targets::metadata, |_| ());
}

#[test]
fn outer() {
    run("outer", 2000, targets::outer, sums);
}

#[test]
fn ciphers() {
    run("ciphers", 2000, targets::ciphers, |_| ());
}

#[test]
fn index() {
    run("index", 2000, targets::index, |_| ());
}

#[test]
fn inner() {
    run("inner", 2000, targets::inner, sums_behind);
}
