//! The system calls that neither the standard library nor socket2 has: options as bytes, and a receive that takes
//! several records at once and tells notifications from data.
//!
//! The only file of the repository with `unsafe`. Nothing is cast here: what an option holds is bytes, built and
//! read field by field in [`layout`](crate::layout).

#![allow(
    unsafe_code,
    reason = "setsockopt and getsockopt of SCTP, and recvmmsg with its flags, have no safe wrapper"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, socklen_t};

/// Bytes of one message or of one notification, never of two.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Piece {
    /// Where they begin in the buffer.
    pub(crate) start: usize,
    /// How many; 0 is the end.
    pub(crate) bytes: usize,
    /// They are of a notification, not of what the peer sent.
    pub(crate) notification: bool,
    /// They are the last of their message or notification.
    pub(crate) complete: bool,
}

/// What one receive of at most `N` pieces brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pieces<const N: usize> {
    pieces: [Piece; N],
    count: usize,
    /// Room was left: nothing more had come.
    pub(crate) drained: bool,
}

impl<const N: usize> Pieces<N> {
    /// In the order in which they came; at least one, unless there was no room.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Piece> {
        self.pieces.into_iter().take(self.count)
    }
}

/// Sets an option of `level` to these bytes.
pub(crate) fn set_option(
    socket: BorrowedFd<'_>,
    level: c_int,
    option: c_int,
    value: &[u8],
) -> io::Result<()> {
    let length = length_of(value)?;
    // SAFETY: the descriptor is open while it is borrowed; the system reads `length` bytes of `value`, which has
    // that many and is alive during the call, and keeps no pointer.
    let outcome =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value.as_ptr().cast(), length) };
    // SCTP answers `connectx` with an association's number where others answer 0.
    if outcome < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Reads an option of `level` into `value`, whose bytes may also be its question; how many the system wrote.
pub(crate) fn get_option(
    socket: BorrowedFd<'_>,
    level: c_int,
    option: c_int,
    value: &mut [u8],
) -> io::Result<usize> {
    let mut length = length_of(value)?;
    // SAFETY: the descriptor is open while it is borrowed; the system reads and writes at most `length` bytes of
    // `value`, which has that many and is borrowed alone, and one length; it keeps no pointer.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            option,
            value.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if outcome < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(length).unwrap_or(usize::MAX).min(value.len()))
}

/// Receives what has come, at most `N` pieces, each into `slot` bytes of its own (the last slot may be shorter); never
/// waits.
///
/// # Errors
///
/// As `recvmsg`. An error of the socket is told ahead of pieces that came before it, which the next call gives.
pub(crate) fn receive<const N: usize>(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    slot: usize,
) -> io::Result<Pieces<N>> {
    let slot = slot.max(1);
    // SAFETY: parts and headers are integers and pointers, for which zero is a value: no name, no control data.
    let mut parts: [libc::iovec; N] = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut headers: [libc::mmsghdr; N] = unsafe { std::mem::zeroed() };
    let mut wanted = 0;
    for ((room, part), header) in buffer.chunks_mut(slot).zip(&mut parts).zip(&mut headers) {
        part.iov_base = room.as_mut_ptr().cast();
        part.iov_len = room.len();
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        wanted += 1;
    }
    // SAFETY: the descriptor is open while it is borrowed; `wanted` headers were filled in, each points to one part,
    // alive until the end of this function, and that to its own chunk of `buffer`, which is borrowed alone. No timeout
    // is given, and nothing is kept.
    let count = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            wanted,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let Ok(count) = u32::try_from(count) else {
        return Err(io::Error::last_os_error());
    };
    let mut pieces = [Piece::default(); N];
    for (index, (piece, header)) in pieces.iter_mut().zip(&headers).take(count as usize).enumerate() {
        *piece = Piece {
            start: index * slot,
            bytes: (header.msg_len as usize).min(slot),
            notification: header.msg_hdr.msg_flags & libc::MSG_NOTIFICATION != 0,
            complete: header.msg_hdr.msg_flags & libc::MSG_EOR != 0,
        };
    }
    Ok(Pieces {
        pieces,
        count: count as usize,
        drained: count < wanted,
    })
}

fn length_of(value: &[u8]) -> io::Result<socklen_t> {
    socklen_t::try_from(value.len()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;

    /// Sockets of another family show that the calls themselves are right, where there is no SCTP.
    #[test]
    fn options_are_set_and_read_as_bytes() {
        let (socket, _other) = UnixStream::pair().expect("a pair of sockets");
        let (level, option) = (libc::SOL_SOCKET, libc::SO_PASSCRED);
        set_option(socket.as_fd(), level, option, &1_i32.to_ne_bytes()).expect("the option is set");
        let mut value = [0xff; 8];
        let count = get_option(socket.as_fd(), level, option, &mut value).expect("the option is read");
        assert_eq!(&value[..count], 1_i32.to_ne_bytes());
        assert_eq!(value[count..], [0xff; 4]);
        let error = set_option(socket.as_fd(), level, option, &[1]).expect_err("one byte is no integer");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let mut nothing = [];
        get_option(socket.as_fd(), 132, 0, &mut nothing).expect_err("a unix socket has no RTO");
    }

    #[test]
    fn receive_takes_what_fits_and_never_waits() {
        let (socket, mut other) = UnixStream::pair().expect("a pair of sockets");
        let mut buffer = [0; 4];
        let error = receive::<2>(socket.as_fd(), &mut buffer, 4).expect_err("nothing has come");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        other.write_all(b"abcdef").expect("there is room");
        for text in [&b"abcd"[..], b"ef"] {
            let pieces = receive::<2>(socket.as_fd(), &mut buffer, 4).expect("bytes have come");
            let pieces: Vec<_> = pieces.iter().map(|piece| (piece.start, piece.bytes)).collect();
            assert_eq!(pieces, [(0, text.len())]);
            assert_eq!(&buffer[..text.len()], text);
        }
        drop(other);
        let end = receive::<2>(socket.as_fd(), &mut buffer, 4).expect("the end");
        assert_eq!(end.iter().next().map(|piece| piece.bytes), Some(0));
    }

    #[test]
    fn several_records_come_by_one_call_into_slots_of_their_own() {
        let (socket, other) = UnixDatagram::pair().expect("a pair of sockets");
        for text in ["first", "2nd", "third", "4"] {
            other.send(text.as_bytes()).expect("there is room");
        }
        let mut buffer = [0; 20];
        let mut taken = Vec::new();
        let mut drained = Vec::new();
        for _ in 0..2 {
            let pieces = receive::<8>(socket.as_fd(), &mut buffer, 8).expect("records have come");
            drained.push(pieces.drained);
            for piece in pieces.iter() {
                let bytes = &buffer[piece.start..piece.start + piece.bytes];
                taken.push(String::from_utf8_lossy(bytes).into_owned());
            }
        }
        // The third slot has four bytes; what a datagram has beyond them is lost, what a record of SCTP has comes next.
        assert_eq!(taken, ["first", "2nd", "thir", "4"]);
        assert_eq!(drained, [false, true]);
    }

    #[test]
    fn more_pieces_than_one_call_takes_are_left_for_the_next() {
        let (socket, mut other) = UnixStream::pair().expect("a pair of sockets");
        other.write_all(&[7; 4]).expect("there is room");
        let mut buffer = [0; 64];
        for (count, drained) in [(3, false), (1, true)] {
            let pieces = receive::<3>(socket.as_fd(), &mut buffer, 1).expect("bytes have come");
            assert_eq!((pieces.iter().count(), pieces.drained), (count, drained));
        }
    }
}
