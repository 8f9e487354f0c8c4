//! Messages that wait for the loop, one behind the other in a byte arena: appending one is a copy.

use dlmwire_codec::LockspaceId;

/// Bytes in front of each payload: lockspace id and length, 4 bytes each.
pub(crate) const ENTRY_BYTES: usize = 8;

/// Appends a payload.
#[inline]
pub(crate) fn append(arena: &mut Vec<u8>, lockspace: LockspaceId, payload: &[u8]) {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let [a, b, c, d] = lockspace.get().to_le_bytes();
    let [e, f, g, h] = len.to_le_bytes();
    arena.reserve(ENTRY_BYTES + payload.len());
    arena.extend_from_slice(&[a, b, c, d, e, f, g, h]);
    arena.extend_from_slice(payload);
}

/// The first entry of `bytes`, and the length of it with its head.
pub(crate) fn entry(bytes: &[u8]) -> Option<(LockspaceId, &[u8], usize)> {
    let (lockspace, rest) = bytes.split_first_chunk::<4>()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    let payload = rest.get(..len)?;
    Some((
        LockspaceId::new(u32::from_le_bytes(*lockspace)),
        payload,
        len + ENTRY_BYTES,
    ))
}

/// How many entries `bytes` holds.
pub(crate) fn entries(mut bytes: &[u8]) -> u64 {
    let mut count = 0;
    while let Some((_, _, len)) = entry(bytes) {
        count += 1;
        bytes = bytes.get(len..).unwrap_or_default();
    }
    count
}
