//! Several slices as one.

use std::io::IoSlice;

/// So few bytes in several slices are put together: copying them costs less than what the system does for a list.
pub const GATHERED_BYTES_MAX: usize = 512;

/// The bytes of several slices in `buffer`, if they are few; `None` for one slice, or for more than
/// [`GATHERED_BYTES_MAX`] bytes.
#[inline]
pub fn gather<'b>(slices: &[IoSlice<'_>], buffer: &'b mut [u8; GATHERED_BYTES_MAX]) -> Option<&'b [u8]> {
    if slices.len() < 2 {
        return None;
    }
    let mut end = 0;
    for slice in slices {
        buffer.get_mut(end..end + slice.len())?.copy_from_slice(slice);
        end += slice.len();
    }
    buffer.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_bytes_of_several_slices_come_together_in_order_and_nothing_else_does() {
        let mut buffer = [7; GATHERED_BYTES_MAX];
        let slices = [&b"ab"[..], b"", b"cde"].map(IoSlice::new);
        assert_eq!(gather(&slices, &mut buffer), Some(&b"abcde"[..]));
        assert_eq!(gather(&slices[..1], &mut buffer), None);
        assert_eq!(gather(&[], &mut buffer), None);
        let half = [1; GATHERED_BYTES_MAX / 2];
        let full = [&half[..], &half].map(IoSlice::new);
        assert_eq!(
            gather(&full, &mut buffer).map(<[u8]>::len),
            Some(GATHERED_BYTES_MAX)
        );
        let more = [&half[..], &half, b"x"].map(IoSlice::new);
        assert_eq!(gather(&more, &mut buffer), None);
    }
}
