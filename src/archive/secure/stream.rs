//! The secretstream of libsodium, `crypto_secretstream_xchacha20poly1305`, without additional data.
//!
//! ```text
//! packet: tag, 1 byte | text | MAC, 16 bytes
//!
//! ChaCha20 block 0    key of the MAC
//!                1    the tag, and 63 zeros which are not sent but go into the MAC
//!                2..  the text
//! MAC over: block 1, text, zeros, length of nothing, length of block 1 and text
//! ```
//!
//! Each MAC goes into the nonce of the next packet, so that packets stand in their order.

use chacha20::cipher::{KeyIvInit, StreamCipher};
use chacha20::{ChaCha20, R20, hchacha};
use poly1305::Poly1305;
use poly1305::universal_hash::{KeyInit, UniversalHash};
use zeroize::Zeroizing;

use super::keys::Key;

/// What a packet is longer than its text.
pub(super) const OVERHEAD: usize = 1 + MAC;

/// The tag of a packet that others follow.
pub(super) const MESSAGE: u8 = 0;

/// The tag of the last packet.
pub(super) const FINAL: u8 = 3;

/// What of a nonce changes from packet to packet.
pub(super) type Nonce = [u8; 8];

const MAC: usize = 16;
const BLOCK: usize = 64;

/// Text is encrypted and authenticated in slices that stay in the first cache between the two.
const SLICE: usize = 8 * 1024;

/// One end of a stream, before one of its packets.
pub(super) struct Stream {
    key: Key,
    /// Counts packets from 1. At 0 it would have to make itself a new key, but it never gets there:
    /// [`super::chunks::MAX_CHUNKS`] bounds what is read and written. A last packet asks for a new
    /// key, too, and nothing follows it.
    counter: u32,
    nonce: Nonce,
}

impl Stream {
    /// A stream at its beginning.
    pub(super) fn new(key: &Key, header: &[u8; 24]) -> Stream {
        let (_, nonce) = header.split_last_chunk().expect("a header is longer than a nonce");
        Stream::at(key, header, 0, *nonce)
    }

    /// A stream before a packet, counted from 0, by the nonce it stood at there.
    pub(super) fn at(key: &Key, header: &[u8; 24], packet: u32, nonce: Nonce) -> Stream {
        let (input, _) = header.split_first_chunk().expect("a header is longer than its input");
        let mut hashed: chacha20::Key = hchacha::<R20>((&**key).into(), input.into());
        let key = Zeroizing::new(hashed.into());
        zeroize::Zeroize::zeroize(&mut hashed);
        Stream { key, counter: packet.wrapping_add(1), nonce }
    }

    /// The nonce at which the next packet begins.
    pub(super) fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// Encrypts a packet where it stands: room for the tag, the text, room for the MAC.
    pub(super) fn seal(&mut self, tag: u8, packet: &mut [u8]) {
        let (first, text, mac) = parts(packet);
        let (mut cipher, mut hash) = self.begin();
        let mut block = [0; BLOCK];
        block[0] = tag;
        cipher.apply_keystream(&mut block);
        *first = block[0];
        hash.add(&block);
        for slice in text.chunks_mut(SLICE) {
            cipher.apply_keystream(slice);
            hash.add(slice);
        }
        *mac = hash.end();
        self.advance(mac);
    }

    /// Decrypts a packet where it stands and gives its tag; none, and no text, where it is not what
    /// was encrypted.
    pub(super) fn open(&mut self, packet: &mut [u8]) -> Option<u8> {
        let (first, text, mac) = parts(packet);
        let (mut cipher, mut hash) = self.begin();
        let mut block = [0; BLOCK];
        cipher.apply_keystream(&mut block);
        let tag = *first ^ block[0];
        block[0] = *first;
        hash.add(&block);
        for slice in text.chunks_mut(SLICE) {
            hash.add(slice);
            cipher.apply_keystream(slice);
        }
        // One comparison of whole numbers: it takes the same time wherever they differ.
        if u128::from_le_bytes(hash.end()) != u128::from_le_bytes(*mac) {
            text.fill(0);
            return None;
        }
        self.advance(mac);
        Some(tag)
    }

    /// Cipher and hash of the next packet, the cipher standing at block 1.
    fn begin(&self) -> (ChaCha20, Hash) {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.counter.to_le_bytes());
        nonce[4..].copy_from_slice(&self.nonce);
        let mut cipher = ChaCha20::new((&*self.key).into(), &nonce.into());
        let mut block = Zeroizing::new([0; BLOCK]);
        cipher.apply_keystream(&mut *block);
        let key: &[u8; 32] = block.first_chunk().expect("a block is longer than a key");
        (cipher, Hash { poly: Poly1305::new(key.into()), rest: [0; MAC], n_rest: 0, length: 0 })
    }

    fn advance(&mut self, mac: &[u8; MAC]) {
        for (byte, with) in self.nonce.iter_mut().zip(mac) {
            *byte ^= with;
        }
        self.counter = self.counter.wrapping_add(1);
    }
}

/// The MAC of a packet on its way.
struct Hash {
    poly: Poly1305,
    rest: [u8; MAC],
    n_rest: usize,
    length: u64,
}

impl Hash {
    /// All but the last piece are whole blocks.
    fn add(&mut self, bytes: &[u8]) {
        let (blocks, rest) = poly1305::Block::slice_as_chunks(bytes);
        self.poly.update(blocks);
        self.rest[..rest.len()].copy_from_slice(rest);
        self.n_rest = rest.len();
        self.length += bytes.len() as u64;
    }

    fn end(self) -> [u8; MAC] {
        // Not up to the end of the block, as one would expect: libsodium adds as many zeros as
        // there are bytes in the last block, and everybody has to do it after it.
        let zeros = self.n_rest;
        let mut tail = [0; 2 * (MAC - 1) + 2 * 8];
        let lengths = self.n_rest + zeros;
        let end = lengths + 2 * 8;
        tail[..self.n_rest].copy_from_slice(&self.rest[..self.n_rest]);
        tail[lengths + 8..end].copy_from_slice(&self.length.to_le_bytes());
        self.poly.compute_unpadded(&tail[..end]).into()
    }
}

fn parts(packet: &mut [u8]) -> (&mut u8, &mut [u8], &mut [u8; MAC]) {
    let (first, rest) = packet.split_first_mut().expect("a packet has a tag");
    let (text, mac) = rest.split_last_chunk_mut().expect("a packet has a MAC");
    (first, text, mac)
}
