//! Decoding, to prove that an encoding decodes to the right content.
//!
//! Only this module and `encode` use the compression crates. The output is bounded, and is kept only if a caller needs
//! the bytes, so a small file can't fill the memory. This module must not accept anything that a browser would not: a
//! stream of another format, or data after its end.

use std::io::{self, BufRead, BufReader, Read, Write};

use crate::model::digest::{Digest, Hasher};
use crate::model::encoding::Coding;

/// The low seven bits of the first byte of a stream with a window beyond RFC 7932. This decoder accepts such a stream,
/// and no browser does.
pub(crate) const LARGE_WINDOW_MARK: u8 = 0x11;

/// The size of a read, in bytes.
pub(crate) const BUFFER: usize = 64 << 10;

/// Why bytes are not one complete encoding.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes could not be read; they may be intact.
    #[error("it can't be read")]
    Read(#[source] io::Error),
    /// The stream is damaged, cut off, or of another format.
    #[error("it is not a complete {0} stream")]
    Damaged(Coding),
    /// More bytes came out than this limit; the rest was not decoded.
    #[error("it decodes to more than {0} bytes")]
    TooLong(u64),
    /// There is data after the end of the stream.
    #[error("bytes follow the end of the {0} stream, which browsers drop")]
    Trailing(Coding),
}

/// Decodes a stream piece by piece. Returns the digest and length of the output, and does not keep the output.
///
/// # Errors
/// [`DecodeError`] if the bytes can't be read, are not exactly one complete stream of the coding, or decode to more
/// than `limit` bytes.
pub fn decodes_to(coding: Coding, reader: impl Read, limit: u64) -> Result<(Digest, u64), DecodeError> {
    let mut hasher = Hasher::new();
    decode_into(coding, reader, limit, &mut hasher)?;
    Ok((hasher.finish(), hasher.length()))
}

/// Decodes a stream to bytes, for a caller that needs them.
///
/// # Errors
/// As [`decodes_to`].
pub fn decode(coding: Coding, reader: impl Read, limit: u64) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::new();
    decode_into(coding, reader, limit, &mut bytes)?;
    Ok(bytes)
}

fn decode_into(coding: Coding, reader: impl Read, limit: u64, out: &mut dyn Write) -> Result<(), DecodeError> {
    let mut source = Source { reader, failed: None };
    let outcome = match coding {
        Coding::Brotli => decode_brotli(&mut source, limit, out),
        Coding::Gzip => decode_gzip(&mut source, limit, out),
    };
    match source.failed {
        // The decoder returns a reader's error as its own. Only here can the two be distinguished.
        Some(error) => Err(DecodeError::Read(error)),
        None => outcome,
    }
}

fn decode_gzip(source: &mut impl Read, limit: u64, out: &mut dyn Write) -> Result<(), DecodeError> {
    let coding = Coding::Gzip;
    let mut decoder = flate2::bufread::GzDecoder::new(BufReader::with_capacity(BUFFER, source));
    drain(coding, &mut decoder, limit, out)?;
    match decoder.into_inner().fill_buf() {
        Ok([]) => Ok(()),
        Ok(_) => Err(DecodeError::Trailing(coding)),
        Err(_) => Err(DecodeError::Damaged(coding)),
    }
}

fn decode_brotli(source: &mut impl Read, limit: u64, out: &mut dyn Write) -> Result<(), DecodeError> {
    let coding = Coding::Brotli;
    let mut reader = BufReader::with_capacity(BUFFER, source);
    match reader.fill_buf() {
        Ok([first, ..]) if first & 0x7f == LARGE_WINDOW_MARK => return Err(DecodeError::Damaged(coding)),
        Ok(_) => {}
        Err(_) => return Err(DecodeError::Damaged(coding)),
    }
    let mut decoder = brotli::Decompressor::new(reader, BUFFER);
    drain(coding, &mut decoder, limit, out)?;
    // The decoder has reported the end once. A second read fails if bytes are left in the decoder's buffer. Bytes that
    // it never fetched are still in the reader.
    let mut byte = [0];
    let left = decoder.read(&mut byte).is_err();
    match decoder.into_inner().fill_buf() {
        Ok([]) if !left => Ok(()),
        Ok(_) => Err(DecodeError::Trailing(coding)),
        Err(_) => Err(DecodeError::Damaged(coding)),
    }
}

/// Reads a decoder to its end, or until more than `limit` bytes have come out.
fn drain(coding: Coding, decoder: &mut impl Read, limit: u64, out: &mut dyn Write) -> Result<(), DecodeError> {
    // One byte more than allowed is enough to see that there are too many.
    match io::copy(&mut decoder.take(limit.saturating_add(1)), out) {
        Ok(length) if length > limit => Err(DecodeError::TooLong(limit)),
        Ok(_) => Ok(()),
        Err(_) => Err(DecodeError::Damaged(coding)),
    }
}

/// A reader that keeps its own error, to distinguish it from an error of the decoder.
struct Source<R> {
    reader: R,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.reader.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kind = error.kind();
                    self.failed = Some(error);
                    return Err(kind.into());
                }
                read => return read,
            }
        }
    }
}
