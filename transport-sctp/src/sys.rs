//! The system calls that neither the standard library nor socket2 has: options as bytes, and a receive that tells
//! notifications from data.
//!
//! The only file of the repository with `unsafe`. Nothing is cast here: what an option holds is bytes, built and
//! read field by field in [`layout`](crate::layout).

#![allow(
    unsafe_code,
    reason = "setsockopt and getsockopt of SCTP, and recvmsg with its flags, have no safe wrapper"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, socklen_t};

/// What one receive brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    /// Bytes written to the start of the buffer; 0 is the end.
    pub(crate) bytes: usize,
    /// They are of a notification, not of what the peer sent.
    pub(crate) notification: bool,
    /// They are the last of their message or notification.
    pub(crate) complete: bool,
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

/// Receives bytes of one message or of one notification, never of two; never waits.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Piece> {
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: a message header is integers and pointers, for which zero is a value: no name, no control data.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    // SAFETY: the descriptor is open while it is borrowed; the header points to one part, alive until the end of
    // this function, and that to `buffer`, which has `iov_len` bytes and is borrowed alone. Nothing is kept.
    let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
    let Ok(bytes) = usize::try_from(count) else {
        return Err(io::Error::last_os_error());
    };
    Ok(Piece {
        bytes: bytes.min(buffer.len()),
        notification: header.msg_flags & libc::MSG_NOTIFICATION != 0,
        complete: header.msg_flags & libc::MSG_EOR != 0,
    })
}

fn length_of(value: &[u8]) -> io::Result<socklen_t> {
    socklen_t::try_from(value.len()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

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
        let error = receive(socket.as_fd(), &mut buffer).expect_err("nothing has come");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        other.write_all(b"abcdef").expect("there is room");
        for (bytes, text) in [(4, &b"abcd"[..]), (2, &b"ef"[..])] {
            let piece = receive(socket.as_fd(), &mut buffer).expect("bytes have come");
            assert_eq!((piece.bytes, piece.notification), (bytes, false));
            assert_eq!(&buffer[..bytes], text);
        }
        drop(other);
        assert_eq!(receive(socket.as_fd(), &mut buffer).expect("the end").bytes, 0);
    }
}
