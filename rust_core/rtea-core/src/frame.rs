//! Bytes with their length before them, as u32, little-endian: how state bytes hold several things.

const LENGTH_BYTES: usize = 4;

/// Appends what `write` writes, with its length before it.
///
/// ```
/// use rtea_core::frame::{append, take};
/// let mut bytes = Vec::new();
/// append(&mut bytes, |bytes| bytes.extend(b"first"));
/// append(&mut bytes, |bytes| bytes.extend(b"second"));
/// let mut rest = bytes.as_slice();
/// assert_eq!(take(&mut rest), Some(b"first".as_slice()));
/// assert_eq!(take(&mut rest), Some(b"second".as_slice()));
/// assert_eq!(take(&mut rest), None);
/// ```
pub fn append(bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    bytes.extend([0; LENGTH_BYTES]);
    let start = bytes.len();
    write(bytes);
    let length = u32::try_from(bytes.len() - start).unwrap_or(u32::MAX);
    bytes[start - LENGTH_BYTES..start].copy_from_slice(&length.to_le_bytes());
}

/// Takes the next part from the front of `rest`; `None` when it is cut off, or when there is none.
pub fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<LENGTH_BYTES>()?;
    let (taken, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *rest = after;
    Some(taken)
}
