//! Why there is no SCTP, why a link is lost, and what the system said to which operation.

use std::fmt::{self, Display};
use std::io;

/// Why this host offers no SCTP, and what to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unavailable {
    /// The kernel has no SCTP.
    NotInKernel {
        /// What the system answered.
        errno: i32,
    },
    /// The kernel may have it, but this process may not use it.
    Forbidden {
        /// What the system answered.
        errno: i32,
    },
    /// SCTP is there, but not the hash that its listeners need for their cookies.
    NoCookieHash {
        /// What the system answered.
        errno: i32,
    },
    /// This is not Linux.
    OtherSystem,
}

impl Unavailable {
    /// The reason in an error of [`SctpTransport::bind`](crate::SctpTransport::bind), if it is this one.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }
}

impl Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInKernel { errno } => write!(
                f,
                "this kernel offers no SCTP (os error {errno}): run `modprobe sctp`, use a kernel with \
                 CONFIG_IP_SCTP, or set protocol = tcp on every node"
            ),
            Self::Forbidden { errno } => write!(
                f,
                "this process may not use SCTP (os error {errno}): allow it in the security policy or seccomp \
                 filter, or set protocol = tcp on every node"
            ),
            Self::NoCookieHash { errno } => write!(
                f,
                "SCTP cannot listen (os error {errno}): the hash of its cookies is missing, run `modprobe \
                 hmac` and `modprobe sha1_generic`, or let the kernel find modprobe (sysctl kernel.modprobe)"
            ),
            Self::OtherSystem => f.write_str("SCTP needs Linux: set protocol = tcp on every node"),
        }
    }
}

impl std::error::Error for Unavailable {}

impl From<Unavailable> for io::Error {
    fn from(reason: Unavailable) -> Self {
        Self::new(io::ErrorKind::Unsupported, reason)
    }
}

/// Why a link is lost, where the system's error number does not say it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LossReason {
    /// The association was aborted.
    Aborted {
        /// The cause that the ABORT named (RFC 9260 section 3.3.10); 0 if it named none.
        cause: u16,
    },
    /// The peer has begun the association again: what was under way is lost, in the middle of a frame perhaps.
    Restarted,
    /// The rest of a record that has come in part is lost.
    RecordCut,
    /// The association could not be made.
    NotMade,
}

impl LossReason {
    #[cfg(target_os = "linux")]
    pub(crate) fn kind(self) -> io::ErrorKind {
        match self {
            Self::Aborted { .. } | Self::Restarted => io::ErrorKind::ConnectionReset,
            Self::RecordCut => io::ErrorKind::ConnectionAborted,
            Self::NotMade => io::ErrorKind::ConnectionRefused,
        }
    }
}

impl Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted { cause: 0 } => f.write_str("association aborted"),
            Self::Aborted { cause } => write!(f, "association aborted with cause {cause}"),
            Self::Restarted => f.write_str("the peer has begun the association again"),
            Self::RecordCut => f.write_str("the rest of a record is lost"),
            Self::NotMade => f.write_str("the association could not be made"),
        }
    }
}

impl std::error::Error for LossReason {}

/// As [`sockets::in_operation`](dlmwire_transport::sockets::in_operation), but an [`Unavailable`] stays as it is, to be
/// found.
#[cfg(target_os = "linux")]
pub(crate) fn in_operation(operation: impl Display, error: io::Error) -> io::Error {
    if Unavailable::of(&error).is_some() {
        return error;
    }
    dlmwire_transport::sockets::in_operation(operation, error)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn every_reason_names_the_way_out() {
        for reason in [
            Unavailable::NotInKernel { errno: 93 },
            Unavailable::Forbidden { errno: 13 },
            Unavailable::NoCookieHash { errno: 38 },
            Unavailable::OtherSystem,
        ] {
            let text = reason.to_string();
            assert!(
                text.contains("set protocol = tcp") || text.contains("modprobe"),
                "{text}"
            );
            let error = in_operation("listen on 10.0.0.1:0", reason.into());
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            assert_eq!(
                Unavailable::of(&error),
                Some(reason),
                "it can be told from other errors"
            );
        }
    }

    #[test]
    fn other_error_is_told_with_its_operation() {
        let error = in_operation("listen on 10.0.0.1:0", io::ErrorKind::AddrInUse.into());
        assert_eq!(error.to_string(), "listen on 10.0.0.1:0: address in use");
        assert_eq!(Unavailable::of(&error), None);
    }
}
