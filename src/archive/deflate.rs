//! One block of an inner tar → deflate that stands on its own.
//!
//! Every block ends at a whole byte and refers to nothing before it, so that blocks may be compressed
//! side by side, put one behind the other into one single gzip member, and read again from any of
//! them on.

use flate2::{Compress, Compression, FlushCompress, Status};

#[cfg(feature = "isal")]
use super::igzip::Igzip;

/// Bytes of the tar in each block but the last. Smaller ones cost time at their borders, larger ones
/// memory: each core has two of them in work.
pub(super) const BLOCK_BYTES: usize = 512 * 1024;

/// What a block may take at most: as it is, in pieces with a head each.
pub(super) const MAX_DEFLATED: usize = BLOCK_BYTES + (BLOCK_BYTES / MAX_STORED + 1) * 5 + 64;

/// Deflate's longest piece that is stored as it is.
const MAX_STORED: usize = 65_535;

/// Ends a deflate stream: an empty last piece.
pub(super) const LAST: [u8; 2] = [0x03, 0x00];

/// How hard to compress: 1 (fastest) to 9 (smallest).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(u8);

impl Level {
    /// The level of that number, where there is one.
    pub fn new(level: u8) -> Option<Level> {
        (1..=9).contains(&level).then_some(Level(level))
    }
}

impl Default for Level {
    /// What gives the most for its time: a file some 5 % larger than with zlib's usual level.
    fn default() -> Level {
        Level(2)
    }
}

/// Compresses blocks, one after the other.
#[derive(Debug)]
pub(super) struct Deflater {
    level: Level,
    encoder: Encoder,
}

#[derive(Debug)]
enum Encoder {
    #[cfg(feature = "isal")]
    Igzip(Igzip),
    Zlib(Compress),
}

impl Deflater {
    pub(super) fn new(level: Level) -> Deflater {
        let encoder = match level.0 {
            #[cfg(feature = "isal")]
            1..=3 => Encoder::Igzip(Igzip::new(level.0.into())),
            // Without ISA-L zlib's first level is nearest to what these are meant for.
            #[cfg(not(feature = "isal"))]
            1..=3 => Encoder::Zlib(Compress::new(Compression::new(1), false)),
            level => Encoder::Zlib(Compress::new(Compression::new(level.into()), false)),
        };
        Deflater { level, encoder }
    }

    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// Compresses a block of at most [`BLOCK_BYTES`] into `out` of [`MAX_DEFLATED`]; gives the bytes
    /// that it took. What does not become smaller is stored.
    pub(super) fn block(&mut self, block: &[u8], out: &mut [u8]) -> usize {
        if block.is_empty() {
            return 0;
        }
        if self.is_worth_it(block, out)
            && let Some(n) = self.encode(block, out)
            && n < block.len()
        {
            return n;
        }
        store(block, out)
    }

    fn encode(&mut self, block: &[u8], out: &mut [u8]) -> Option<usize> {
        match &mut self.encoder {
            #[cfg(feature = "isal")]
            Encoder::Igzip(igzip) => igzip.block(block, out),
            Encoder::Zlib(zlib) => {
                zlib.reset();
                // What a sync flush needs is more than nothing: a full buffer may hide a rest.
                let done = zlib.compress(block, out, FlushCompress::Full);
                let n = usize::try_from(zlib.total_out()).ok()?;
                let all = zlib.total_in() == block.len() as u64 && n < out.len();
                (matches!(done, Ok(Status::Ok)) && all).then_some(n)
            }
        }
    }

    /// Whether a block becomes smaller, told by samples: pictures, films and what is compressed
    /// already do not, and cost as much time as what does.
    fn is_worth_it(&mut self, block: &[u8], out: &mut [u8]) -> bool {
        let mut samples = [0; N_SAMPLES * SAMPLE];
        if block.len() < 2 * samples.len() || bits_per_byte(block, &mut samples) < SUSPICIOUS_BITS {
            return true;
        }
        match self.encode(&samples, out) {
            Some(n) => n * 100 < samples.len() * WORTH_PERCENT,
            None => false,
        }
    }
}

/// Samples of a block, spread evenly, and the bytes of each.
const N_SAMPLES: usize = 8;
const SAMPLE: usize = 4096;

/// Text has some 5 bits in a byte, programs 6, pictures 7.9.
const SUSPICIOUS_BITS: f32 = 7.6;

/// To save less than this is not worth the time, now and at every reading.
const WORTH_PERCENT: usize = 97;

/// Takes the samples; gives how many bits of news each byte of them has, by its frequency alone.
fn bits_per_byte(block: &[u8], samples: &mut [u8; N_SAMPLES * SAMPLE]) -> f32 {
    let step = (block.len() - SAMPLE) / (N_SAMPLES - 1);
    let mut counts = [0_u16; 256];
    for (n, sample) in samples.chunks_exact_mut(SAMPLE).enumerate() {
        sample.copy_from_slice(&block[n * step..n * step + SAMPLE]);
        sample.iter().for_each(|it| counts[usize::from(*it)] += 1);
    }
    let total = samples.len() as f32;
    let share = |count: &u16| f32::from(*count) / total;
    counts.iter().filter(|it| **it > 0).map(share).map(|it| -it * it.log2()).sum()
}

/// Deflate that is the block itself, in pieces with their lengths before them.
fn store(block: &[u8], out: &mut [u8]) -> usize {
    let mut n = 0;
    for piece in block.chunks(MAX_STORED) {
        let length = u16::try_from(piece.len()).expect("a piece is at most 65,535 bytes");
        out[n] = 0;
        out[n + 1..n + 3].copy_from_slice(&length.to_le_bytes());
        out[n + 3..n + 5].copy_from_slice(&(!length).to_le_bytes());
        out[n + 5..n + 5 + piece.len()].copy_from_slice(piece);
        n += 5 + piece.len();
    }
    n
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::DeflateDecoder;

    use super::*;

    /// Bytes that repeat nothing.
    fn noise(n: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..n).map(|_| next()).collect()
    }

    fn text(n: usize) -> Vec<u8> {
        (0..).flat_map(|it: u32| format!("line {it} of a log\n").into_bytes()).take(n).collect()
    }

    fn deflate(level: u8, block: &[u8]) -> Vec<u8> {
        let mut out = vec![0; MAX_DEFLATED];
        let level = Level::new(level).expect("a level");
        let n = Deflater::new(level).block(block, &mut out);
        out.truncate(n);
        out
    }

    #[test]
    fn blocks_in_a_row_are_one_stream() {
        for level in 1..=9 {
            let blocks = [text(BLOCK_BYTES), noise(BLOCK_BYTES), vec![0; BLOCK_BYTES], text(1)];
            let mut stream: Vec<u8> = blocks.iter().flat_map(|it| deflate(level, it)).collect();
            stream.extend(LAST);
            let mut read = Vec::new();
            DeflateDecoder::new(&stream[..]).read_to_end(&mut read).expect("it is deflate");
            assert!(read == blocks.concat(), "level {level}");
        }
    }

    #[test]
    fn what_does_not_shrink_is_stored() {
        let noise = noise(BLOCK_BYTES);
        assert_eq!(deflate(2, &noise).len(), BLOCK_BYTES + 9 * 5);
        assert!(deflate(2, &text(BLOCK_BYTES)).len() < BLOCK_BYTES / 4);
        // Half of it does: it is compressed.
        let half = [&noise[..BLOCK_BYTES / 2], &text(BLOCK_BYTES / 2)].concat();
        assert!(deflate(2, &half).len() < BLOCK_BYTES * 7 / 10);
        assert_eq!(deflate(2, b"").len(), 0);
        assert_eq!(deflate(2, b"x").len(), 6);
    }

    #[test]
    fn levels_have_an_order() {
        let text = text(BLOCK_BYTES);
        assert!(deflate(9, &text).len() < deflate(2, &text).len());
        assert_eq!((Level::new(0), Level::new(10)), (None, None));
    }
}
