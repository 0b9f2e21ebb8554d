//! A reader that works ahead, in a thread of its own.

use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

/// Pieces that may wait to be taken.
const WAITING: usize = 3;

/// Gives what a thread has read.
#[derive(Debug)]
pub(super) struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    /// The way back for buffers.
    spare: Sender<Vec<u8>>,
    piece: Vec<u8>,
    taken: usize,
}

impl Ahead {
    /// Begins to read. The thread ends with the reader, with its first error, or when nobody takes
    /// its pieces any more.
    pub(super) fn new(name: &str, mut reader: impl Read + Send + 'static) -> io::Result<Ahead> {
        let (full, pieces) = sync_channel(WAITING);
        let (spare, empty) = channel::<Vec<u8>>();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            loop {
                let spare = empty.try_recv().ok().filter(|it| it.len() == PIECE);
                let mut piece = spare.unwrap_or_else(|| vec![0; PIECE]);
                let read = fill(&mut reader, &mut piece).map(|n| {
                    piece.truncate(n);
                    piece
                });
                let goes_on = read.as_ref().is_ok_and(|it| !it.is_empty());
                if full.send(read).is_err() || !goes_on {
                    break;
                }
            }
        })?;
        Ok(Ahead { pieces, spare, piece: Vec::new(), taken: 0 })
    }
}

impl Read for Ahead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.piece.len() {
            let panicked = |_| io::Error::other("the thread that reads ahead has ended early");
            let next = match self.pieces.recv() {
                // It has told its end before.
                Err(_) if self.piece.is_empty() && self.taken == 0 => return Ok(0),
                next => next.map_err(panicked)??,
            };
            let last = std::mem::replace(&mut self.piece, next);
            // Where the thread has ended it needs no buffers.
            let _ = self.spare.send(last);
            self.taken = 0;
        }
        let n = out.len().min(self.piece.len() - self.taken);
        out[..n].copy_from_slice(&self.piece[self.taken..self.taken + n]);
        self.taken += n;
        Ok(n)
    }
}

/// Reads until the piece is full or the reader ends; gives how much that is.
pub(super) fn fill(reader: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < piece.len() {
        match reader.read(&mut piece[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(err) if err.kind() == ErrorKind::Interrupted => (),
            Err(err) => return Err(err),
        }
    }
    Ok(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(usize);

    impl Read for Broken {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = out.len().min(self.0);
            self.0 -= n;
            if n == 0 { Err(io::Error::other("broken")) } else { Ok(n) }
        }
    }

    #[test]
    fn it_gives_all_there_is() {
        for size in [0, 1, PIECE - 1, PIECE, PIECE + 1, 10 * PIECE + 7] {
            let bytes: Vec<u8> = (0..size).map(|it| (it % 251) as u8).collect();
            let mut ahead = Ahead::new("test", io::Cursor::new(bytes.clone())).expect("a thread");
            let mut read = Vec::new();
            ahead.read_to_end(&mut read).expect("it ends well");
            assert!(read == bytes, "{size}");
            assert_eq!(ahead.read(&mut [0; 8]).expect("it stays ended"), 0);
        }
    }

    #[test]
    fn an_error_comes_after_what_was_read_before_it() {
        let mut ahead = Ahead::new("test", Broken(PIECE)).expect("a thread");
        let mut read = Vec::new();
        let err = ahead.read_to_end(&mut read).expect_err("it is broken");
        assert_eq!((err.to_string(), read.len()), ("broken".to_owned(), PIECE));
    }

    #[test]
    fn who_goes_away_ends_the_thread() {
        drop(Ahead::new("test", io::repeat(0)).expect("a thread"));
    }
}
