//! ISA-L's compressor: one block of bytes → deflate that stands on its own.
//!
//! The only place with `unsafe`: ISA-L is C and assembler. It only ever compresses what this program
//! reads from the home; nothing from an archive gets here.
#![allow(unsafe_code)]

use std::fmt;
use std::mem::MaybeUninit;

use isal_sys::igzip_lib as isal;

/// A compressor with its working memory.
pub(super) struct Igzip {
    stream: Box<isal::isal_zstream>,
    memory: Vec<u8>,
    level: u32,
}

// SAFETY: the stream's pointers lead into `memory`, which moves along with it, into constant tables,
// or, during a call, into the slices of that call. Nothing of it belongs to a thread.
unsafe impl Send for Igzip {}

impl fmt::Debug for Igzip {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Igzip(level {})", self.level)
    }
}

impl Igzip {
    /// A compressor of level 1, 2 or 3.
    pub(super) fn new(level: u32) -> Igzip {
        let bytes = match level {
            1 => isal::ISAL_DEF_LVL1_DEFAULT,
            2 => isal::ISAL_DEF_LVL2_DEFAULT,
            _ => isal::ISAL_DEF_LVL3_DEFAULT,
        };
        let mut stream = Box::new(MaybeUninit::<isal::isal_zstream>::zeroed());
        // SAFETY: the function fills a stream, for which the pointer has room. All its fields are
        // numbers and pointers, for which zeros are values.
        let stream = unsafe {
            isal::isal_deflate_stateless_init(stream.as_mut_ptr());
            stream.assume_init()
        };
        Igzip { stream, memory: vec![0; bytes as usize], level: level.min(3) }
    }

    /// Compresses a block, ended at a whole byte and so that more may follow; gives how many bytes
    /// of `out` that took, or nothing where they are too few.
    pub(super) fn block(&mut self, block: &[u8], out: &mut [u8]) -> Option<usize> {
        let stream = &mut *self.stream;
        // SAFETY: the stream was made by `new`.
        unsafe { isal::isal_deflate_stateless_init(stream) };
        stream.level = self.level;
        stream.level_buf = self.memory.as_mut_ptr();
        stream.level_buf_size = self.memory.len() as u32;
        stream.gzip_flag = isal::IGZIP_DEFLATE as u16;
        stream.flush = isal::FULL_FLUSH as u16;
        stream.end_of_stream = 0;
        stream.next_in = block.as_ptr().cast_mut();
        stream.avail_in = u32::try_from(block.len()).ok()?;
        stream.next_out = out.as_mut_ptr();
        stream.avail_out = u32::try_from(out.len()).ok()?;
        // SAFETY: input, output and working memory are slices that live until it returns, with
        // their true lengths; it only reads the input.
        let answer = unsafe { isal::isal_deflate_stateless(stream) };
        let done = answer == isal::COMP_OK as i32 && stream.avail_in == 0;
        done.then_some(stream.total_out as usize)
    }
}
